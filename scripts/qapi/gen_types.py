# SPDX-License-Identifier: GPL-2.0-or-later
"""qapi-types: enums, structs, lists, and how they are freed."""

from .cgen import guard
from .names import c_const
from .schema import Array, Enum, Struct


def c_decl(c_type, name):
    """Returns `type name` or `type *name`."""
    return c_type + name if c_type.endswith('*') else f'{c_type} {name}'


def enum_header(enum):
    """Returns the declarations for an enum."""
    body = ''
    for member in enum.members:
        body += guard(member.cond,
                      f'    {c_const(enum.name, member.name)},\n')
    body += f'    {c_const(enum.name, "")}_MAX,\n'
    text = (f'typedef enum {enum.name} {{\n{body}}} {enum.name};\n'
            f'extern const QEnumLookup {enum.name}_lookup;\n'
            f'static inline const char *{enum.name}_str({enum.name} value)\n'
            '{\n'
            f'    return qapi_enum_lookup(&{enum.name}_lookup, (int)value);\n'
            '}\n')
    return guard(enum.cond, text) + '\n'


def enum_source(enum):
    """Returns the table of an enum's names."""
    body = ''
    for member in enum.members:
        const = c_const(enum.name, member.name)
        body += guard(member.cond, f'        [{const}] = "{member.name}",\n')
    text = (f'const QEnumLookup {enum.name}_lookup = {{\n'
            f'    .array = (const char *const[]) {{\n{body}    }},\n'
            f'    .size = {c_const(enum.name, "")}_MAX,\n}};\n')
    return guard(enum.cond, text) + '\n'


def forward(struct):
    """Returns the forward declaration of a struct."""
    return guard(struct.cond,
                 f'typedef struct {struct.name} {struct.name};\n')


def list_header(array):
    """Returns a list's type."""
    text = (f'typedef struct {array.name} {{\n'
            f'    struct {array.name} *next;\n'
            f'    {c_decl(array.element.c_type, "value")};\n'
            f'}} {array.name};\n')
    return guard(array.cond, text) + '\n'


def struct_member(member):
    """Returns the lines that declare a member."""
    text = f'    bool has_{member.c_name};\n' if member.has_flag else ''
    text += f'    {c_decl(member.type.c_type, member.c_name)};\n'
    return guard(member.cond, text)


def base_header(struct):
    """Returns qapi_X_base(), by which a struct is read as its base."""
    if not struct.base or struct.base.is_implicit:
        return ''
    base = struct.base.name
    return (f'\nstatic inline {base} *'
            f'qapi_{struct.name}_base(const {struct.name} *value)\n{{\n'
            f'    return ({base} *)value;\n}}\n')


def struct_header(struct):
    """Returns the definition of a struct or union."""
    body = ''
    if struct.base:
        body += f'    /* Members of {struct.base.name}: */\n'
        body += ''.join(struct_member(m) for m in struct.base.all_members)
        body += '    /* Own members: */\n' if struct.members else ''
    body += ''.join(struct_member(m) for m in struct.members)
    if struct.branches is not None:
        body += f'    union {{ /* by {struct.tag.c_name} */\n'
        for branch in struct.branches.values():
            body += guard(branch.cond, f'        {branch.type.name}'
                          f' {branch.c_name};\n')
        body += '    } u;\n'
    if not body:
        body = '    char empty_struct_;     /* C has no empty ones */\n'
    text = f'struct {struct.name} {{\n{body}}};\n'
    return guard(struct.cond, text + base_header(struct)) + '\n'


def free_header(entity):
    """Returns the declaration of a type's qapi_free_X()."""
    return guard(entity.cond,
                 f'void qapi_free_{entity.name}({entity.name} *value);\n'
                 f'G_DEFINE_AUTOPTR_CLEANUP_FUNC({entity.name},'
                 f' qapi_free_{entity.name})\n') + '\n'


def free_value(kind, value):
    """Returns the statement that frees a value, or nothing."""
    if isinstance(kind, (Struct, Array)):
        return f'qapi_free_{kind.name}({value});\n'
    if kind.name == 'str':
        return f'g_free({value});\n'
    if kind.name == 'any':
        return f'json_unref({value});\n'
    return ''


def free_members(members, where, indent):
    """Returns the statements that free members."""
    text = ''
    for member in members:
        line = free_value(member.type, where + member.c_name)
        text += guard(member.cond, indent + line if line else '')
    return text


def free_branches(union):
    """Returns the switch that frees a union's branch."""
    text = f'    switch (value->{union.tag.c_name}) {{\n'
    for tag in union.tag.type.members:
        case = f'    case {c_const(union.tag.type.name, tag.name)}:\n'
        branch = union.branches.get(tag.name)
        if branch:
            case += guard(branch.cond,
                          free_members(branch.type.all_members,
                                       f'value->u.{branch.c_name}.',
                                       '        '))
        text += guard(tag.cond, case + '        break;\n')
    text += f'    case {c_const(union.tag.type.name, "")}_MAX:\n'
    return text + '        break;\n    }\n'


def struct_source(struct):
    """Returns a struct's qapi_free_X()."""
    body = ''
    if struct.branches is not None:
        body += free_branches(struct)
    body += free_members(struct.all_members, 'value->', '    ')
    text = (f'void qapi_free_{struct.name}({struct.name} *value)\n{{\n'
            '    if (value == NULL) {\n        return;\n    }\n'
            f'{body}    g_free(value);\n}}\n')
    return guard(struct.cond, text) + '\n'


def list_source(array):
    """Returns a list's qapi_free_X()."""
    line = free_value(array.element, 'value->value')
    text = (f'void qapi_free_{array.name}({array.name} *value)\n{{\n'
            '    while (value != NULL) {\n'
            f'        {array.name} *next = value->next;\n\n'
            + (f'        {line}' if line else '') +
            '        g_free(value);\n        value = next;\n    }\n}\n')
    return guard(array.cond, text) + '\n'


def in_order(structs):
    """Returns the structs so that a union comes after its branches."""
    done = []

    def visit(struct):
        if struct in done:
            return
        for branch in (struct.branches or {}).values():
            visit(branch.type)
        done.append(struct)
    for struct in structs:
        visit(struct)
    return done


def generate(schema, output):
    """Adds qapi-types.h and .c."""
    assert all(isinstance(enum, Enum) for enum in schema.enums)
    body = ''.join(enum_header(enum) for enum in schema.enums)
    body += ''.join(forward(struct) for struct in schema.structs) + '\n'
    body += ''.join(list_header(array) for array in schema.arrays)
    body += ''.join(struct_header(s) for s in in_order(schema.structs))
    body += ''.join(free_header(entity)
                    for entity in schema.structs + schema.arrays)
    output.header('qapi-types', 'Types of the schema',
                  ['"qapi/json.h"', '"qapi/qapi-util.h"'],
                  body.rstrip('\n') + '\n')
    body = ''.join(enum_source(enum) for enum in schema.enums)
    body += ''.join(struct_source(struct) for struct in schema.structs)
    body += ''.join(list_source(array) for array in schema.arrays)
    output.source('qapi-types', 'Types of the schema: names, and how they are'
                  ' freed', [output.own('qapi-types')],
                  body.rstrip('\n') + '\n')
