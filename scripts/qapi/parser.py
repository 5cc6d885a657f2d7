# SPDX-License-Identifier: GPL-2.0-or-later
"""Tokens to expressions: what the schema says, before it is understood."""

import os

from .doc import Doc
from .error import SchemaError
from .lexer import Lexer


class Dict(dict):
    """An object that knows where it and its members are."""

    def __init__(self, place):
        super().__init__()
        self.place = place
        self.places = {}


class List(list):
    """An array that knows where it and its elements are."""

    def __init__(self, place):
        super().__init__()
        self.place = place
        self.places = []


class Expression:
    """A top-level object, with the documentation before it."""

    def __init__(self, value, doc):
        self.value = value
        self.doc = doc
        self.place = value.place


class Parser:
    """Reads a file and those that it includes, each once."""

    def __init__(self, path, seen=None, place=None):
        self.path = path
        self.seen = {} if seen is None else seen
        self.seen[os.path.abspath(path)] = path
        self.items = []         # Expression, or Doc that is the manual's
        self.pragmas = []       # (name, value, place)
        try:
            with open(path, encoding='utf-8') as file:
                text = file.read()
        except (OSError, UnicodeDecodeError) as err:
            reason = getattr(err, 'strerror', None) or 'not UTF-8'
            raise SchemaError(place or path,
                              f"can't read schema file '{path}': {reason}"
                              ) from err
        self.stream = Lexer(path, text).tokens()
        self.token = next(self.stream)
        self.parse()

    def advance(self):
        """Returns the token, and goes to the next."""
        token = self.token
        if token.kind != 'end':
            self.token = next(self.stream)
        return token

    def parse(self):
        """Reads all expressions."""
        doc = None
        while self.token.kind != 'end':
            if self.token.kind == 'doc':
                self.pending(doc)
                token = self.advance()
                doc = Doc(token.value, token.place)
                if doc.symbol is None:
                    self.items.append(doc)
                    doc = None
                continue
            place = self.token.place
            value = self.value()
            if not isinstance(value, Dict):
                raise SchemaError(place,
                                  'top-level expression must be an object')
            if 'include' in value or 'pragma' in value:
                self.pending(doc)
                doc = None
                self.directive(value)
            else:
                self.items.append(Expression(value, doc))
                doc = None
        self.pending(doc)

    @staticmethod
    def pending(doc):
        """Refuses documentation that documents nothing."""
        if doc is not None:
            raise SchemaError(doc.place, f"documentation for '{doc.symbol}' is"
                              " not followed by the definition")

    def directive(self, value):
        """Obeys an include or a pragma."""
        if len(value) != 1:
            raise SchemaError(value.place, "a directive has just one member")
        name, arg = next(iter(value.items()))
        if name == 'include':
            if not isinstance(arg, str):
                raise SchemaError(value.place,
                                  "value of 'include' must be a string")
            self.include(arg, value.place)
            return
        if not isinstance(arg, Dict):
            raise SchemaError(value.place,
                              "value of 'pragma' must be an object")
        for key, names in arg.items():
            self.pragmas.append((key, names, arg.places[key]))

    def include(self, name, place):
        """Reads another file, unless that was done before."""
        path = os.path.join(os.path.dirname(self.path), name)
        if os.path.abspath(path) in self.seen:
            return
        inner = Parser(path, self.seen, place)
        self.items += inner.items
        self.pragmas += inner.pragmas

    def value(self):
        """Reads a string, bool, object or array."""
        token = self.advance()
        if token.kind == 'string':
            return token.value
        if token.kind == 'word':
            return token.value == 'true'
        if token.kind == '{':
            return self.members(token.place)
        if token.kind == '[':
            return self.elements(token.place)
        raise SchemaError(token.place, f"expected '{{', '[', string, or"
                          f" boolean, not {token}")

    def members(self, place):
        """Reads an object behind its brace."""
        result = Dict(place)
        if self.token.kind == '}':
            self.advance()
            return result
        while True:
            key = self.advance()
            if key.kind != 'string':
                raise SchemaError(key.place, f"expected string, not {key}")
            if key.value in result:
                raise SchemaError(key.place, f"duplicate key '{key.value}'")
            colon = self.advance()
            if colon.kind != ':':
                raise SchemaError(colon.place, f"expected ':', not {colon}")
            result[key.value] = self.value()
            result.places[key.value] = key.place
            token = self.advance()
            if token.kind == '}':
                return result
            if token.kind != ',':
                raise SchemaError(token.place,
                                  f"expected ',' or '}}', not {token}")

    def elements(self, place):
        """Reads an array behind its bracket."""
        result = List(place)
        if self.token.kind == ']':
            self.advance()
            return result
        while True:
            result.places.append(self.token.place)
            result.append(self.value())
            token = self.advance()
            if token.kind == ']':
                return result
            if token.kind != ',':
                raise SchemaError(token.place,
                                  f"expected ',' or ']', not {token}")
