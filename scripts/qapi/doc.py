# SPDX-License-Identifier: GPL-2.0-or-later
"""Documentation comments.

    ##
    # @Name:
    #
    # What it is.
    #
    # @member: What it is,
    #          continued below its first word.
    #
    # @other:
    #     What begins on a line of its own.
    #
    # Features:
    #
    # @feature: What it says.
    #
    # Returns: What comes back.
    #
    # Errors:
    #     - When it fails
    #
    # Since: 0.1
    ##

A comment that does not begin with `@Name:` is text of the manual; one that
begins with `= ` or `== ` is a heading of it.

What QEMU 7.2 refuses is refused: text that is indented less than the first line's
of its section, and members after a section with a tag or a paragraph of their
own.  Without that a schema which both read would break QEMU's build alone.
"""

import re

from .error import SchemaError

INDENT = 4      # of text below the line with the name
TAGS = ('Returns', 'Errors', 'Since', 'Note', 'Example')
SYMBOL = re.compile(r'@([^ ]*?)(:?)$')
MEMBER = re.compile(r'@([^ :]+):(?: +(.*))?$')
TAG = re.compile(r'(' + '|'.join(TAGS) + r'):(?: +(.*))?$')


class Section:
    """A paragraph or more, with the place of its first line."""

    def __init__(self, place, text='', indent=0):
        self.place = place
        self.lines = [text] if text else []
        self.indent = indent

    def add(self, line, place):
        """Adds a line of text."""
        if line and not line.startswith(' ' * self.indent):
            raise SchemaError(place, 'unexpected de-indent (expected at least'
                              f' {self.indent} spaces)')
        self.lines.append(line)

    @property
    def text(self):
        """The text, without the indentation of what continues a line."""
        first, rest = self.lines[:1], self.lines[1:]
        depth = min((len(line) - len(line.lstrip())
                     for line in rest if line), default=0)
        return '\n'.join(first + [line[depth:] for line in rest]).strip()


class Doc:
    """One documentation comment."""

    def __init__(self, lines, place):
        self.place = place
        self.symbol = None
        self.body = Section(place)
        self.members = {}
        self.features = {}
        self.tags = {}
        self.parse(lines)

    def parse(self, lines):
        """Takes the comment apart."""
        lines = list(lines)
        while lines and not lines[0][0]:
            lines.pop(0)
        if not lines:
            raise SchemaError(self.place, 'documentation comment is empty')
        if lines[0][0].startswith('@'):
            self.parse_symbol(*lines.pop(0))
            self.parse_sections(lines)
        else:
            for line, place in lines:
                self.body.add(line, place)

    def parse_symbol(self, line, place):
        """Takes the line that names what is documented."""
        match = SYMBOL.match(line)
        if not match or not match[2]:
            raise SchemaError(place, "line should end with ':'")
        if not match[1]:
            raise SchemaError(place, 'name required after @')
        self.symbol = match[1]

    def parse_sections(self, lines):
        """Takes what follows the name."""
        section = self.body
        into = self.members     # None behind the last member or feature
        blank = False
        for line, place in lines:
            match = MEMBER.match(line)
            tag = TAG.match(line)
            if match:
                if into is None:
                    raise SchemaError(place, f"'@{match[1]}:' follows a section"
                                      " that is no member's")
                section = self.enter(into, match, place)
            elif line == 'Features:' and into is not None and (
                    blank or section is self.body):
                into = self.features
                section = self.body
            elif tag:
                into = None
                section = self.enter(self.tags, tag, place)
            elif line.startswith('@') and blank:
                raise SchemaError(place, f"'{line.split()[0]}' lacks a ':'")
            else:
                if (blank and section is not self.body and into is not None
                        and line and not line.startswith(' ')):
                    into = None
                    section = self.body
                    section.add('', place)
                section.add(line, place)
            blank = not line

    @staticmethod
    def enter(into, match, place):
        """Enters the section that begins with @match under its name."""
        name, text = match[1], match[2]
        if name in into:
            raise SchemaError(place, f"'{name}' is documented twice")
        into[name] = Section(place, text or '',
                             match.start(2) if text else INDENT)
        return into[name]
