# SPDX-License-Identifier: GPL-2.0-or-later
"""qapi-doc.rst: the reference manual, for docutils and Sphinx alike."""

import re

from .doc import Doc
from .schema import Array, Command, Enum, Event, Struct

UNDERLINE = {1: '=', 2: '-', 3: '~'}
KIND = {Enum: 'Enum', Struct: 'Object', Command: 'Command', Event: 'Event'}


def heading(title, level):
    """Returns a heading."""
    return f'{title}\n{UNDERLINE[level] * len(title)}\n\n'


def prose(text):
    """Returns rst: references @name become literals."""
    return re.sub(r'(?<![A-Za-z0-9])@([A-Za-z0-9_-]+)', r'``\1``', text)


def indent(text, by='   '):
    """Returns the text with its lines indented."""
    return '\n'.join(by + line if line else line for line in text.split('\n'))


def type_name(kind):
    """Returns how the manual names a type."""
    if isinstance(kind, Array):
        return f'array of {type_name(kind.element)}'
    if isinstance(kind, (Struct, Enum)):
        return f'`{kind.name} <qapi-{kind.name}_>`__'
    return f'``{kind.name}``'


def notes(entity):
    """Returns what limits an entity or member: condition, features."""
    text = ''
    if entity.cond:
        text += f'\n\nOnly where ``{entity.cond}`` is defined.'
    return text


def definition(term, text):
    """Returns an item of a definition list."""
    return f'{term}\n{indent(text)}\n\n'


def member_list(title, members):
    """Returns the manual of members."""
    text = f'**{title}**\n\n' if members else ''
    for member in members:
        term = f'``{member.name}``'
        if member.type is not None:
            term += f' : {type_name(member.type)}'
        if member.optional:
            term += ' (optional)'
        text += definition(term, prose(member.doc.text) + notes(member))
    return text


def struct_parts(struct):
    """Returns the manual of a struct's members, base and branches."""
    text = member_list('Members', struct.members)
    if struct.base:
        text += f'The members of {type_name(struct.base)}.\n\n'
    for branch in (struct.branches or {}).values():
        text += (f'When ``{struct.tag.name}`` is ``"{branch.name}"``: the'
                 f' members of {type_name(branch.type)}.\n\n')
    return text


def argument_parts(entity):
    """Returns the manual of a command's or event's data."""
    title = 'Arguments' if isinstance(entity, Command) else 'Data'
    if entity.arg is None:
        return ''
    if entity.arg.is_implicit:
        return member_list(title, entity.arg.members)
    return f'**{title}**\n\nThe members of {type_name(entity.arg)}.\n\n'


def tag_parts(entity):
    """Returns the manual of features, result, errors and version."""
    doc = entity.doc
    text = ''
    if doc.features:
        text += '**Features**\n\n'
        for name, section in doc.features.items():
            text += definition(f'``{name}``', prose(section.text))
    if isinstance(entity, Command) and entity.ret:
        section = doc.tags.get('Returns')
        words = f'{type_name(entity.ret)}'
        if section:
            words += f': {prose(section.text)}'
        text += f'**Returns**\n\n{indent(words)}\n\n'
    for name in ('Errors', 'Note'):
        if name in doc.tags:
            text += (f'**{name}**\n\n{indent(prose(doc.tags[name].text))}'
                     '\n\n')
    if 'Example' in doc.tags:
        example = indent(doc.tags['Example'].text)
        text += f'**Example**\n\n::\n\n{example}\n\n'
    if 'Since' in doc.tags:
        text += f'Since {doc.tags["Since"].text}.\n\n'
    return text


def entity_parts(entity):
    """Returns the manual of one definition."""
    text = f'.. _qapi-{entity.name}:\n\n'
    text += heading(f'{entity.name} ({KIND[type(entity)]})', 3)
    if entity.doc.body.text:
        text += prose(entity.doc.body.text) + '\n\n'
    if isinstance(entity, Enum):
        text += member_list('Values', entity.members)
    elif isinstance(entity, Struct):
        text += struct_parts(entity)
    else:
        text += argument_parts(entity)
    if entity.cond:
        text += f'Only where ``{entity.cond}`` is defined.\n\n'
    return text + tag_parts(entity)


def free_parts(doc):
    """Returns headings and text that belong to no definition."""
    text, block = '', []
    for line in doc.body.lines + ['= ']:
        match = re.match(r'(=+) (.*)', line)
        if not match:
            block.append(line)
            continue
        words = prose('\n'.join(block).strip())
        text += words + '\n\n' if words else ''
        block = []
        if match[2]:
            text += heading(match[2], min(len(match[1]), 2))
    return text


def generate(schema, output):
    """Adds qapi-doc.rst."""
    text = ('.. Generated from the schema.\n'
            '.. SPDX-License-Identifier: GPL-2.0-or-later\n\n')
    for item in schema.manual:
        text += free_parts(item) if isinstance(item, Doc) \
            else entity_parts(item)
    output.files[f'{output.prefix}qapi-doc.rst'] = text.rstrip('\n') + '\n'
