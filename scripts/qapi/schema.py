# SPDX-License-Identifier: GPL-2.0-or-later
"""The schema understood: types, commands and events that refer to each other.
"""

from . import names
from .checks import Checker, Pragmas
from .error import SchemaError
from .parser import Dict, Expression, List, Parser

# name: (C type, JSON type)
BUILTINS = {
    'str': ('char *', 'string'),
    'bool': ('bool', 'boolean'),
    'int': ('int64_t', 'int'),
    'int8': ('int8_t', 'int'),
    'int16': ('int16_t', 'int'),
    'int32': ('int32_t', 'int'),
    'int64': ('int64_t', 'int'),
    'uint8': ('uint8_t', 'int'),
    'uint16': ('uint16_t', 'int'),
    'uint32': ('uint32_t', 'int'),
    'uint64': ('uint64_t', 'int'),
    'size': ('uint64_t', 'int'),
    'any': ('JsonValue *', 'value'),
}


class Member:
    """A member of a struct, or a value of an enum."""

    def __init__(self, name, spec, place):
        self.optional = name.startswith('*')
        self.name = name[1:] if self.optional else name
        self.c_name = names.c_name(self.name)
        self.place = place
        self.cond = None
        self.features = []
        self.spec = spec
        if isinstance(spec, Dict):
            self.cond = spec.get('if')
            self.features = feature_names(spec)
            self.spec = spec.get('type')
        self.type = None
        self.doc = None

    @property
    def has_flag(self):
        """Whether a bool has_NAME stands before it."""
        return self.optional and not self.type.is_pointer


class Entity:
    """Something that the schema defines."""

    is_pointer = True       # in C, a value of it is one
    is_scalar = False

    def __init__(self, name, value=None, doc=None):
        self.name = name
        self.doc = doc
        self.place = value.place if value is not None else None
        self.cond = value.get('if') if value is not None else None
        self.features = feature_names(value) if value is not None else []


class Builtin(Entity):
    """A type that the language has."""

    def __init__(self, name):
        super().__init__(name)
        self.c_type, self.json_type = BUILTINS[name]
        self.is_pointer = self.c_type.endswith('*')
        self.is_scalar = name != 'any'


class Enum(Entity):
    """An enum; .members are its values."""

    is_pointer = False
    is_scalar = True

    def __init__(self, name, value, doc):
        super().__init__(name, value, doc)
        self.c_type = name
        self.members = []
        for item, place in zip(value['data'], value['data'].places):
            key = item if isinstance(item, str) else item['name']
            member = Member(key, None, place)
            if isinstance(item, Dict):
                member.cond = item.get('if')
                member.features = feature_names(item)
            self.members.append(member)

    def find(self, name):
        """Returns the value of that name, or None."""
        return next((m for m in self.members if m.name == name), None)


class Struct(Entity):
    """A struct or union, or the arguments of a command or event.

    .members are its own, .all_members with those of its base.  Of a union,
    .tag is the discriminator and .branches maps its values to structs.
    """

    def __init__(self, name, data, value=None, doc=None, implicit=False):
        super().__init__(name, value, doc)
        self.c_type = name + ' *'
        self.place = self.place or data.place
        self.is_implicit = implicit
        self.base_name = None
        self.base = None
        self.members = [Member(key, spec, data.places[key])
                        for key, spec in data.items()]
        self.tag = None
        self.branches = None
        self.state = 'new'      # then 'resolving', 'resolved'

    @property
    def all_members(self):
        """Members in C's order: the base's first."""
        return (self.base.all_members if self.base else []) + self.members


class Array(Entity):
    """A list of something."""

    def __init__(self, element):
        super().__init__(element.name + 'List')
        self.element = element
        self.c_type = self.name + ' *'
        self.cond = element.cond


class Command(Entity):
    """.arg: Struct or None; .ret: Entity or None."""

    def __init__(self, name, value, doc):
        super().__init__(name, value, doc)
        self.c_name = names.c_name(name)
        self.value = value
        self.boxed = value.get('boxed', False)
        self.gen = value.get('gen', True)
        self.arg = None
        self.ret = None


class Event(Entity):
    """.arg: Struct or None."""

    def __init__(self, name, value, doc):
        super().__init__(name, value, doc)
        self.c_name = names.c_name(name)
        self.value = value
        self.boxed = value.get('boxed', False)
        self.arg = None


def feature_names(value):
    """Returns the names of the features of an expression or member."""
    return [item if isinstance(item, str) else item['name']
            for item in value.get('features', [])]


class Schema:
    """Everything, in the order of the files."""

    def __init__(self, path):
        parser = Parser(path)
        self.files = list(parser.seen.values())
        self.types = {name: Builtin(name) for name in BUILTINS}
        self.enums, self.structs, self.arrays = [], [], []
        self.commands, self.events = [], []
        self.manual = []        # Doc that is free, and entities
        self.names = {}
        checker = Checker(Pragmas(parser.pragmas))
        for item in parser.items:
            if isinstance(item, Expression):
                self.define(item, *checker.expression(item.value))
            else:
                self.manual.append(item)
        self.resolve()
        self.check_docs()

    def define(self, item, meta, name):
        """Enters what an expression defines."""
        value, doc = item.value, item.doc
        place = value.places[meta]
        if name in BUILTINS:
            raise SchemaError(place, f"built-in type '{name}' is already"
                              " defined")
        if name in self.names:
            raise SchemaError(place, f"'{name}' is already defined at"
                              f" {self.names[name]}")
        self.names[name] = place
        entity = getattr(self, 'define_' + meta)(name, value, doc)
        self.manual.append(entity)

    def define_enum(self, name, value, doc):
        """Returns the new enum."""
        self.types[name] = Enum(name, value, doc)
        self.enums.append(self.types[name])
        return self.types[name]

    def define_struct(self, name, value, doc):
        """Returns the new struct."""
        struct = Struct(name, value['data'], value, doc)
        struct.base_name = value.get('base')
        if struct.base_name:
            struct.base_place = value.places['base']
        self.types[name] = struct
        self.structs.append(struct)
        return struct

    def define_union(self, name, value, doc):
        """Returns the new union."""
        is_named = isinstance(value['base'], str)
        empty = Dict(value.place)
        struct = Struct(name, empty if is_named else value['base'], value, doc)
        if is_named:
            struct.base_name = value['base']
            struct.base_place = value.places['base']
        struct.value = value
        struct.branches = {}
        self.types[name] = struct
        self.structs.append(struct)
        return struct

    def define_command(self, name, value, doc):
        """Returns the new command."""
        self.commands.append(Command(name, value, doc))
        return self.commands[-1]

    def define_event(self, name, value, doc):
        """Returns the new event."""
        self.events.append(Event(name, value, doc))
        return self.events[-1]

    # What names refer to

    def lookup(self, name, place, what):
        """Returns the type of that name."""
        if name not in self.types:
            raise SchemaError(place, f"{what} uses unknown type '{name}'")
        return self.types[name]

    def reference(self, spec, place, what):
        """Returns the type, or the array of it."""
        if not isinstance(spec, List):
            return self.lookup(spec, place, what)
        element = self.lookup(spec[0], place, what)
        array = next((a for a in self.arrays if a.element is element), None)
        if array is None:
            array = Array(element)
            self.arrays.append(array)
        return array

    def resolve(self):
        """Connects everything."""
        for struct in list(self.structs):
            self.resolve_struct(struct)
        for struct in list(self.structs):
            self.check_embedding(struct, [])
        for entity in self.commands + self.events:
            self.resolve_arguments(entity)
        for command in self.commands:
            self.resolve_returns(command)
        if 'strList' not in [array.name for array in self.arrays]:
            self.arrays.insert(0, Array(self.types['str']))

    def resolve_struct(self, struct):
        """Connects a struct or union, its base before."""
        what = f"struct '{struct.name}'"
        if struct.branches is not None:
            what = f"union '{struct.name}'"
        if struct.state == 'resolved':
            return
        if struct.state == 'resolving':
            raise SchemaError(struct.place, f"{what} contains itself")
        struct.state = 'resolving'
        if struct.base_name:
            self.resolve_base(struct, what)
        for member in struct.members:
            member.type = self.reference(member.spec, member.place,
                                         f"member '{member.name}' of {what}")
        self.check_collisions(struct.all_members, what)
        if struct.branches is not None:
            self.resolve_union(struct, what)
        struct.state = 'resolved'

    def resolve_base(self, struct, what):
        """Connects a struct with its base."""
        base = self.lookup(struct.base_name, struct.base_place,
                           f"'base' of {what}")
        if not isinstance(base, Struct) or base.branches is not None:
            raise SchemaError(struct.base_place, f"'base' of {what} must be a"
                              f" struct, not '{base.name}'")
        self.resolve_struct(base)
        struct.base = base

    @staticmethod
    def check_collisions(members, what):
        """Refuses two members with one name."""
        seen = {}
        for member in members:
            if member.c_name in seen:
                raise SchemaError(member.place, f"member '{member.name}' of"
                                  f" {what} collides with base member"
                                  f" '{seen[member.c_name]}'")
            seen[member.c_name] = member.name

    def resolve_union(self, union, what):
        """Connects a union with its discriminator and branches."""
        value = union.value
        place = value.places['discriminator']
        name = value['discriminator']
        tag = next((m for m in union.all_members if m.name == name), None)
        if tag is None:
            raise SchemaError(place, f"discriminator '{name}' of {what} is not"
                              " a member of 'base'")
        if not isinstance(tag.type, Enum):
            raise SchemaError(place, f"discriminator '{name}' of {what} must"
                              " be of enum type")
        if tag.optional or tag.cond:
            raise SchemaError(place, f"discriminator '{name}' of {what} must"
                              " not be optional or conditional")
        union.tag = tag
        for key, spec in value['data'].items():
            member = Member(key, spec, value['data'].places[key])
            self.resolve_branch(union, member, what)
        if not union.branches:
            raise SchemaError(value.places['data'], f"{what} has no branches")

    def resolve_branch(self, union, member, what):
        """Connects one branch of a union."""
        if union.tag.type.find(member.name) is None:
            raise SchemaError(member.place, f"branch '{member.name}' of {what}"
                              " is not a value of enum"
                              f" '{union.tag.type.name}'")
        member.type = self.lookup(member.spec, member.place,
                                  f"branch '{member.name}' of {what}")
        if not isinstance(member.type, Struct) or member.type.branches \
                is not None:
            raise SchemaError(member.place, f"branch '{member.name}' of {what}"
                              f" must be a struct, not '{member.type.name}'")
        self.resolve_struct(member.type)
        self.check_collisions(union.all_members + member.type.all_members,
                              f"branch '{member.name}' of {what}")
        union.branches[member.name] = member

    def check_embedding(self, struct, above):
        """Refuses a type that must contain itself: no value would end."""
        if struct in above:
            raise SchemaError(struct.place, f"'{struct.name}' contains itself")
        for member in struct.all_members:
            if isinstance(member.type, Struct) and not member.optional:
                self.check_embedding(member.type, above + [struct])

    def resolve_arguments(self, entity):
        """Connects a command or event with its data."""
        meta = 'command' if isinstance(entity, Command) else 'event'
        what = f"{meta} '{entity.name}'"
        data = entity.value.get('data')
        if data is None:
            return
        if isinstance(data, str):
            entity.arg = self.named_arguments(entity, what)
        else:
            entity.arg = self.implicit_arguments(entity, what)
        if entity.boxed:
            return
        for member in entity.arg.all_members:
            if member.cond:
                raise SchemaError(entity.place, f"conditional member"
                                  f" '{member.name}' of {what} requires"
                                  " 'boxed': true")

    def named_arguments(self, entity, what):
        """Returns the type that a command or event names for its data."""
        name = entity.value['data']
        place = entity.value.places['data']
        struct = self.lookup(name, place, f"'data' of {what}")
        if not isinstance(struct, Struct):
            raise SchemaError(place, f"'data' of {what} must be a struct or"
                              f" union, not '{name}'")
        if struct.branches is not None and not entity.boxed:
            raise SchemaError(place, f"'data' of {what} can be a union only"
                              " with 'boxed': true")
        return struct

    def implicit_arguments(self, entity, what):
        """Returns a struct of the members that stand in the expression."""
        struct = Struct(f'q_obj_{entity.c_name}_arg', entity.value['data'],
                        implicit=True)
        struct.cond = entity.cond
        for member in struct.members:
            member.type = self.reference(member.spec, member.place,
                                         f"member '{member.name}' of {what}")
        struct.state = 'resolved'
        self.structs.append(struct)
        return struct

    def resolve_returns(self, command):
        """Connects a command with what it returns."""
        value = command.value
        if 'returns' not in value:
            return
        place = value.places['returns']
        what = f"'returns' of command '{command.name}'"
        command.ret = self.reference(value['returns'], place, what)
        item = command.ret
        if isinstance(item, Array):
            item = item.element
        if not isinstance(item, Struct):
            raise SchemaError(place, f"{what} must be a struct, a union, or an"
                              f" array of them, not '{item.name}'")

    # Documentation

    def check_docs(self):
        """Demands that everything is documented, and nothing else."""
        for entity in self.manual:
            if not isinstance(entity, Entity):
                continue
            doc = entity.doc
            if doc is None:
                raise SchemaError(entity.place,
                                  f"'{entity.name}' lacks documentation")
            if doc.symbol != entity.name:
                raise SchemaError(doc.place, f"documentation is for"
                                  f" '{doc.symbol}', definition is for"
                                  f" '{entity.name}'")
            self.check_members_docs(doc, self.documented(entity))
            self.check_feature_docs(doc, entity)
            if 'Returns' in doc.tags and not isinstance(entity, Command):
                raise SchemaError(doc.tags['Returns'].place, "'Returns:' is"
                                  " only for commands")
            if 'Errors' in doc.tags and not isinstance(entity, Command):
                raise SchemaError(doc.tags['Errors'].place, "'Errors:' is"
                                  " only for commands")

    @staticmethod
    def documented(entity):
        """Returns the members that the entity's comment documents."""
        if isinstance(entity, (Enum, Struct)):
            return entity.members
        if entity.arg is not None and entity.arg.is_implicit:
            return entity.arg.members
        return []

    @staticmethod
    def check_members_docs(doc, members):
        """Compares the members with their documentation."""
        for member in members:
            section = doc.members.get(member.name)
            if section is None:
                raise SchemaError(member.place,
                                  f"'{member.name}' lacks documentation")
            if not section.text:
                raise SchemaError(section.place,
                                  f"'{member.name}' lacks a description")
            member.doc = section
        known = [member.name for member in members]
        for name, section in doc.members.items():
            if name not in known:
                raise SchemaError(section.place, f"documented member '{name}'"
                                  " does not exist")

    def check_feature_docs(self, doc, entity):
        """Compares the features with their documentation."""
        known = list(entity.features)
        for member in self.documented(entity):
            known += member.features
        for name in known:
            if name not in doc.features:
                raise SchemaError(entity.place,
                                  f"feature '{name}' lacks documentation")
        for name, section in doc.features.items():
            if name not in known:
                raise SchemaError(section.place, f"documented feature"
                                  f" '{name}' does not exist")
