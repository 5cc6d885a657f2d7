# SPDX-License-Identifier: GPL-2.0-or-later
"""Form: which keys an expression has, and how names must look.

What a name refers to is the business of schema.py.
"""

from . import names
from .error import SchemaError
from .parser import Dict, List

# metatype: (mandatory keys, optional keys)
KEYS = {
    'enum': (('data',), ('if', 'features')),
    'struct': (('data',), ('base', 'if', 'features')),
    'union': (('base', 'discriminator', 'data'), ('if', 'features')),
    'command': ((), ('data', 'boxed', 'returns', 'gen', 'if', 'features')),
    'event': ((), ('data', 'boxed', 'if', 'features')),
}
PRAGMAS = ('command-name-exceptions', 'member-name-exceptions')
LOWER_CASE = 'consist of lower-case letters, digits and hyphens'


class Pragmas:
    """Exceptions from the rules for names."""

    def __init__(self, pragmas):
        self.commands = set()
        self.members = set()
        for name, value, place in pragmas:
            if name not in PRAGMAS:
                raise SchemaError(place, f"unknown pragma '{name}'")
            if not isinstance(value, List) or not all(
                    isinstance(item, str) for item in value):
                raise SchemaError(
                    place, f"pragma '{name}' must be an array of strings")
            target = (self.commands if name == PRAGMAS[0] else self.members)
            target.update(value)


class Checker:
    """Checks the form of expressions."""

    def __init__(self, pragmas):
        self.pragmas = pragmas

    def expression(self, value):
        """Returns the metatype and the name of what is defined."""
        metas = [meta for meta in KEYS if meta in value]
        if not metas:
            raise SchemaError(value.place, 'expression is missing metatype')
        if len(metas) > 1:
            raise SchemaError(value.place, "expression has more than one"
                              f" metatype: '{metas[0]}', '{metas[1]}'")
        meta = metas[0]
        name = value[meta]
        if not isinstance(name, str):
            raise SchemaError(value.place, f"'{meta}' key must have a string"
                              " value")
        self.definition_name(meta, name, value.places[meta])
        self.keys(value, f"{meta} '{name}'", (meta,) + KEYS[meta][0],
                  KEYS[meta][1])
        getattr(self, meta)(value, f"{meta} '{name}'")
        self.condition(value)
        self.features(value)
        return meta, name

    def definition_name(self, meta, name, place):
        """Checks what is defined for how its name looks."""
        if meta == 'command':
            good = (names.LEGACY if name in self.pragmas.commands
                    else names.MEMBER).match(name)
            want = LOWER_CASE
        elif meta == 'event':
            good = names.EVENT.match(name)
            want = 'consist of upper-case letters, digits and underscores'
        else:
            good = names.TYPE.match(name)
            want = 'be in CamelCase'
            if good and name.endswith('List'):
                raise SchemaError(place, f"{meta} name '{name}' should not"
                                  " end in 'List'")
        if not good:
            raise SchemaError(place, f"{meta} name '{name}' must {want}")

    @staticmethod
    def keys(value, what, mandatory, optional):
        """Checks that an object has its keys and no others."""
        for key in mandatory:
            if key not in value:
                raise SchemaError(value.place, f"{what} misses key '{key}'")
        for key in value:
            if key not in mandatory + optional:
                raise SchemaError(value.places[key],
                                  f"{what} has unknown key '{key}'")

    @staticmethod
    def flag(value, key, allowed, what):
        """Checks a boolean that may have one value only."""
        if key in value and value[key] is not allowed:
            raise SchemaError(value.places[key], f"flag '{key}' of {what} may"
                              f" only use {str(allowed).lower()} value")

    @staticmethod
    def condition(value):
        """Checks an 'if'."""
        cond = value.get('if')
        if 'if' in value and (not isinstance(cond, str)
                              or not names.CONDITION.match(cond)):
            raise SchemaError(value.places['if'], "'if' must be the name of a"
                              " preprocessor symbol")

    def features(self, value):
        """Checks a list of features."""
        if 'features' not in value:
            return
        place = value.places['features']
        features = value['features']
        if not isinstance(features, List):
            raise SchemaError(place, "'features' must be an array")
        seen = set()
        for item, where in zip(features, features.places):
            name = self.item_name(item, where, 'feature', ('if',))
            if not names.MEMBER.match(name):
                raise SchemaError(where, f"feature name '{name}' is invalid")
            if name in seen:
                raise SchemaError(where, f"duplicate feature '{name}'")
            seen.add(name)

    def item_name(self, item, place, what, optional):
        """Returns the name of an element that is a string or an object."""
        if isinstance(item, str):
            return item
        if not isinstance(item, Dict):
            raise SchemaError(place, f"{what} must be a string or an object")
        self.keys(item, what, ('name',), optional)
        if not isinstance(item['name'], str):
            raise SchemaError(place, f"name of {what} must be a string")
        self.condition(item)
        if 'features' in optional:
            self.features(item)
        return item['name']

    def enum(self, value, what):
        """Checks an enum."""
        data = value['data']
        if not isinstance(data, List):
            raise SchemaError(value.places['data'],
                              f"'data' of {what} must be an array")
        seen = {}
        for item, place in zip(data, data.places):
            name = self.item_name(item, place, f'value of {what}',
                                  ('if', 'features'))
            if not names.VALUE.match(name) \
                    and name not in self.pragmas.members:
                raise SchemaError(place, f"value '{name}' of {what} must"
                                  f" {LOWER_CASE}")
            upper = names.c_upper(name)
            if upper in seen:
                raise SchemaError(place, f"value '{name}' of {what} collides"
                                  f" with '{seen[upper]}'")
            seen[upper] = name

    def members(self, data, what):
        """Checks an object whose members are members of the type."""
        seen = {}
        for key, spec in data.items():
            place = data.places[key]
            name = key[1:] if key.startswith('*') else key
            if not names.MEMBER.match(name) \
                    and name not in self.pragmas.members:
                raise SchemaError(place, f"member '{name}' of {what} must"
                                  f" {LOWER_CASE}")
            if name == 'u' or name.startswith(('has-', 'q-')):
                raise SchemaError(place, f"member '{name}' of {what} uses"
                                  " reserved name")
            if names.c_name(name) in seen:
                raise SchemaError(place, f"member '{name}' of {what} collides"
                                  f" with '{seen[names.c_name(name)]}'")
            seen[names.c_name(name)] = name
            if isinstance(spec, Dict):
                self.keys(spec, f"member '{name}' of {what}", ('type',),
                          ('if', 'features'))
                self.condition(spec)
                self.features(spec)
                spec = spec['type']
            self.type_reference(spec, place, f"member '{name}' of {what}")

    @staticmethod
    def type_reference(spec, place, what):
        """Checks a type's name, or an array of one."""
        if isinstance(spec, List):
            if len(spec) != 1 or not isinstance(spec[0], str):
                raise SchemaError(place, f"{what}: array type must contain"
                                  " single type name")
        elif not isinstance(spec, str):
            raise SchemaError(place, f"{what} should be a type name")

    def struct(self, value, what):
        """Checks a struct."""
        if not isinstance(value['data'], Dict):
            raise SchemaError(value.places['data'],
                              f"'data' of {what} must be an object")
        self.members(value['data'], what)
        if 'base' in value and not isinstance(value['base'], str):
            raise SchemaError(value.places['base'],
                              f"'base' of {what} must be a type name")

    def union(self, value, what):
        """Checks a flat union."""
        if isinstance(value['base'], Dict):
            self.members(value['base'], what)
        elif not isinstance(value['base'], str):
            raise SchemaError(value.places['base'], f"'base' of {what} must be"
                              " an object or a type name")
        if not isinstance(value['discriminator'], str):
            raise SchemaError(value.places['discriminator'],
                              f"'discriminator' of {what} must be a string")
        if not isinstance(value['data'], Dict):
            raise SchemaError(value.places['data'],
                              f"'data' of {what} must be an object")
        for key, spec in value['data'].items():
            place = value['data'].places[key]
            if isinstance(spec, Dict):
                self.keys(spec, f"branch '{key}' of {what}", ('type',),
                          ('if',))
                self.condition(spec)
                spec = spec['type']
            if not isinstance(spec, str):
                raise SchemaError(place, f"branch '{key}' of {what} should be"
                                  " a type name")

    def arguments(self, value, what):
        """Checks the data of a command or event."""
        self.flag(value, 'boxed', True, what)
        data = value.get('data')
        if 'boxed' in value and not isinstance(data, str):
            raise SchemaError(value.place, f"{what}: boxed requires 'data' to"
                              " be a type name")
        if isinstance(data, Dict):
            self.members(data, what)
        elif data is not None and not isinstance(data, str):
            raise SchemaError(value.places['data'], f"'data' of {what} must be"
                              " an object or a type name")

    def command(self, value, what):
        """Checks a command."""
        self.arguments(value, what)
        self.flag(value, 'gen', False, what)
        if 'returns' in value:
            self.type_reference(value['returns'], value.places['returns'],
                                f"'returns' of {what}")

    def event(self, value, what):
        """Checks an event."""
        self.arguments(value, what)
