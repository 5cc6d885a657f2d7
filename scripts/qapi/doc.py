# SPDX-License-Identifier: GPL-2.0-or-later
"""Documentation comments.

    ##
    # @Name:
    #
    # What it is.
    #
    # @member: What it is,
    #     continued with indentation.
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
"""

import re

from .error import SchemaError

TAGS = ('Returns', 'Errors', 'Since', 'Note', 'Example')
SYMBOL = re.compile(r'@([^ ]*?)(:?)$')
MEMBER = re.compile(r'@([^ :]+):(?: +(.*))?$')
TAG = re.compile(r'(' + '|'.join(TAGS) + r'):(?: +(.*))?$')


class Section:
    """A paragraph or more, with the place of its first line."""

    def __init__(self, place, text=''):
        self.place = place
        self.lines = [text] if text else []
        self.indented = True

    def add(self, line):
        """Adds a line of text."""
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
        self.body.indented = False
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
            for line, _ in lines:
                self.body.add(line)

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
        into = self.members
        blank = False
        for line, place in lines:
            match = MEMBER.match(line)
            tag = TAG.match(line)
            if match:
                section = Section(place, match[2] or '')
                self.enter(into, match[1], section, place)
            elif line == 'Features:':
                into = self.features
                section = self.body
            elif tag:
                section = Section(place, tag[2] or '')
                self.enter(self.tags, tag[1], section, place)
            elif line.startswith('@') and blank:
                raise SchemaError(place, f"'{line.split()[0]}' lacks a ':'")
            else:
                section = self.continued(section, line, place, blank)
            blank = not line

    def continued(self, section, line, place, blank):
        """Takes a line of text; returns the section that it belongs to."""
        if line and section.indented and not line.startswith(' '):
            if not blank:
                raise SchemaError(place, 'unexpected de-indent'
                                  ' (expected at least 4 spaces)')
            section = self.body
            section.add('')
        section.add(line)
        return section

    @staticmethod
    def enter(into, name, section, place):
        """Enters a section under its name."""
        if name in into:
            raise SchemaError(place, f"'{name}' is documented twice")
        into[name] = section
