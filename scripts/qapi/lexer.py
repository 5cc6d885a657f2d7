# SPDX-License-Identifier: GPL-2.0-or-later
"""Schema text to tokens.

The language is JSON with strings in single quotes and comments to the end of
the line, without numbers and null.  Lines between two lines `##` are a
documentation comment, which is a token.
"""

import re

from .error import Place, SchemaError

STRING = re.compile(r"'([^'\\\n\x00-\x1f]*)(.?)", re.S)
WORD = re.compile(r'[A-Za-z0-9_]+')


class Token:
    """kind: one of []{}:, or 'string', 'word', 'doc', 'end'."""

    def __init__(self, kind, value, place):
        self.kind = kind
        self.value = value
        self.place = place

    def __str__(self):
        if self.kind == 'end':
            return 'end of file'
        if self.kind == 'doc':
            return 'documentation comment'
        return f"'{self.value}'"


class Lexer:
    """Iterates over the tokens of one file."""

    def __init__(self, path, text):
        self.path = path
        self.text = text
        self.at = 0
        self.line = 1

    def place(self):
        """Returns where the lexer is."""
        return Place(self.path, self.line)

    def tokens(self):
        """Yields all tokens, 'end' last."""
        while self.at < len(self.text):
            char = self.text[self.at]
            if char == '\n':
                self.line += 1
                self.at += 1
            elif char in ' \r':
                self.at += 1
            elif char == '#':
                yield from self.comment()
            elif char in '[]{}:,':
                self.at += 1
                yield Token(char, char, self.place())
            elif char == "'":
                yield self.string()
            else:
                yield self.word()
        yield Token('end', None, self.place())

    def string(self):
        """Returns the string that begins here."""
        match = STRING.match(self.text, self.at)
        if match[2] != "'":
            what = ("escape sequence in string" if match[2] == '\\'
                    else "missing terminating \"'\"")
            raise SchemaError(self.place(), what)
        self.at = match.end()
        if not match[1].isascii():
            raise SchemaError(self.place(), 'string is not ASCII')
        return Token('string', match[1], self.place())

    def word(self):
        """Returns the bare word that begins here: true or false."""
        match = WORD.match(self.text, self.at)
        if not match:
            raise SchemaError(self.place(),
                              f'stray {self.text[self.at]!r}')
        self.at = match.end()
        if match[0] not in ('true', 'false'):
            raise SchemaError(self.place(), f"stray '{match[0]}'")
        return Token('word', match[0], self.place())

    def next_line(self):
        """Returns the rest of this line and goes behind it."""
        end = self.text.find('\n', self.at)
        if end < 0:
            end = len(self.text)
        line = self.text[self.at:end]
        self.at = min(end + 1, len(self.text))
        self.line += 1
        return line.rstrip()

    def comment(self):
        """Skips a comment; yields one of documentation."""
        place = self.place()
        is_doc = self.text.startswith('##', self.at)
        if not is_doc or self.text.startswith('###', self.at):
            self.at = self.text.find('\n', self.at)
            if self.at < 0:
                self.at = len(self.text)
            return
        if self.next_line() != '##':
            raise SchemaError(
                place, "junk after '##' at start of documentation comment")
        lines = []
        while True:
            here = self.place()
            line = self.next_line() if self.at < len(self.text) else ''
            if line == '##':
                break
            if not line.startswith('#'):
                raise SchemaError(
                    here, "documentation comment must end with '##'")
            if line.startswith('##'):
                raise SchemaError(
                    here, "junk after '##' at end of documentation comment")
            if len(line) > 1 and line[1] != ' ':
                raise SchemaError(here, "missing space after #")
            lines.append((line[2:], here))
        yield Token('doc', lines, place)
