# SPDX-License-Identifier: GPL-2.0-or-later
"""Where something is in the schema, and what is wrong there."""


class Place:
    """A line of a schema file."""

    def __init__(self, path, line):
        self.path = path
        self.line = line

    def __str__(self):
        return f'{self.path}:{self.line}'


class SchemaError(Exception):
    """A mistake in the schema: `file:line: message`."""

    def __init__(self, place, message):
        super().__init__(f'{place}: {message}')
