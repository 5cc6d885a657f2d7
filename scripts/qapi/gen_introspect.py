# SPDX-License-Identifier: GPL-2.0-or-later
"""qapi-introspect: the answer of query-qmp-schema, as JSON text.

Types have numbers for names, so that nobody comes to rely on the schema's:
what counts on the wire are members and values.  Only types that a command or
event uses are told.
"""

from .schema import Array, Builtin, Enum, Struct


class Piece:
    """JSON text that is there under a condition."""

    def __init__(self, cond, value):
        self.cond = cond
        self.value = value


class Introspection:
    """Collects the answer's objects."""

    def __init__(self, schema):
        self.schema = schema
        self.numbers = {}
        self.used = []          # types, in the order of first use
        self.entries = []       # Piece

    def collect(self):
        """Returns the answer, as a list of Piece."""
        for command in self.schema.commands:
            entry = {'name': command.name, 'meta-type': 'command',
                     'arg-type': self.use(command.arg),
                     'ret-type': self.use(command.ret)}
            self.add(command, entry)
        for event in self.schema.events:
            self.add(event, {'name': event.name, 'meta-type': 'event',
                             'arg-type': self.use(event.arg)})
        done = 0
        while done < len(self.used):
            self.describe(self.used[done])
            done += 1
        return self.entries

    def add(self, entity, entry):
        """Enters an object of the answer."""
        if entity is not None and entity.features:
            entry['features'] = entity.features
        self.entries.append(Piece(entity.cond if entity else None, entry))

    def use(self, kind):
        """Returns the name by which the answer refers to a type."""
        if isinstance(kind, Builtin):
            kind = self.plain(kind)
        if isinstance(kind, Array):
            self.remember(kind)
            return f'[{self.use(kind.element)}]'
        self.remember(kind)
        if isinstance(kind, Builtin):
            return kind.name
        return str(self.numbers[kind])

    def plain(self, builtin):
        """Returns `int` for integers of all widths."""
        if builtin.json_type == 'int':
            return self.schema.types['int']
        return builtin

    def remember(self, kind):
        """Enters a type that is used; None is an empty object."""
        if kind in self.used:
            return
        self.used.append(kind)
        if not isinstance(kind, (Builtin, Array)):
            self.numbers[kind] = len(self.numbers)

    def describe(self, kind):
        """Enters the object that describes a type."""
        entry = {'name': self.use(kind)}
        if isinstance(kind, Builtin):
            entry['meta-type'] = 'builtin'
            entry['json-type'] = kind.json_type
        elif isinstance(kind, Array):
            entry['meta-type'] = 'array'
            entry['element-type'] = self.use(kind.element)
        elif isinstance(kind, Enum):
            entry['meta-type'] = 'enum'
            entry['members'] = [Piece(m.cond, self.member(m, {'name': m.name}))
                                for m in kind.members]
            entry['values'] = [Piece(m.cond, m.name) for m in kind.members]
        else:
            entry['meta-type'] = 'object'
            self.describe_object(kind, entry)
        self.add(kind, entry)

    @staticmethod
    def member(member, entry):
        """Adds a member's features to its entry."""
        if member.features:
            entry['features'] = member.features
        return entry

    def describe_object(self, struct, entry):
        """Adds members and branches to a struct's entry."""
        entry['members'] = []
        if struct is None:
            return
        assert isinstance(struct, Struct)
        for member in struct.all_members:
            value = {'name': member.name, 'type': self.use(member.type)}
            if member.optional:
                value['default'] = None
            entry['members'].append(
                Piece(member.cond, self.member(member, value)))
        if struct.branches is None:
            return
        entry['tag'] = struct.tag.name
        entry['variants'] = []
        for tag in struct.tag.type.members:
            branch = struct.branches.get(tag.name)
            kind = self.use(branch.type if branch else None)
            entry['variants'].append(
                Piece(tag.cond, {'case': tag.name, 'type': kind}))


def write(value):
    """Returns JSON text with lines \\0if, \\0endif where it is conditional."""
    if value is None:
        return 'null'
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, dict):
        return '{' + ', '.join(f'"{key}": {write(item)}'
                               for key, item in value.items()) + '}'
    pieces = [item if isinstance(item, Piece) else Piece(None, item)
              for item in value]
    text, before = '', []
    for i, piece in enumerate(pieces):
        text += condition([piece.cond], comma(i, before)
                          + write(piece.value))
        before.append(piece.cond)
    return f'[{text}]'


def comma(index, before):
    """Returns the comma behind elements under the conditions @before."""
    if index == 0:
        return ''
    if None in before:
        return ', '
    return condition(before, ', ')


def condition(conds, text):
    """Returns text for where one of the conditions holds."""
    if None in conds:
        return text
    test = ' || '.join(f'defined({cond})' for cond in conds)
    return f'\0#if {test}\0{text}\0#endif\0'


def c_string(text):
    """Returns the lines of a C string."""
    lines = []
    for part in text.split('\0'):
        if part.startswith('#'):
            lines.append(part)
            continue
        while part:
            cut = part.rfind(' ', 0, 66) + 1
            if len(part) <= 66 or cut == 0:
                cut = min(len(part), 66)
            escaped = part[:cut].replace('\\', '\\\\').replace('"', '\\"')
            lines.append(f'    "{escaped}"')
            part = part[cut:]
    return '\n'.join(lines)


def generate(schema, output):
    """Adds qapi-introspect.h and .c."""
    name = f'{output.c_prefix}qapi_introspect_json'
    what = 'The answer of query-qmp-schema'
    output.header('qapi-introspect', what, [],
                  f'extern const char {name}[];\n')
    text = write(Introspection(schema).collect())
    output.source('qapi-introspect', what, [output.own('qapi-introspect')],
                  f'const char {name}[] =\n{c_string(text)};\n')
