# SPDX-License-Identifier: GPL-2.0-or-later
"""qapi-visit: qapi_decode_X() and qapi_encode_X()."""

from .cgen import guard
from .gen_types import c_decl
from .names import c_const
from .schema import Array, Enum, Struct


def decode_prototype(entity):
    """Returns the prototype of a decoder."""
    return (f'bool qapi_decode_{entity.name}(const JsonValue *value,'
            f' QapiInput input,\n    {entity.name} **ret, GError **error)')


def encode_prototype(entity):
    """Returns the prototype of an encoder."""
    return (f'JsonValue *qapi_encode_{entity.name}('
            f'const {entity.name} *value)')


# Decoders

def read_call(kind, target):
    """Returns the expression that reads the node `child` into a target."""
    if isinstance(kind, (Struct, Array)):
        return f'decode_{kind.name}(&child, &{target}, error)'
    if isinstance(kind, Enum):
        return (f'qapi_read_enum(&child, &{kind.name}_lookup, &number,'
                ' error)')
    return f'qapi_read_{kind.name}(&child, &{target}, error)'


def decode_member(member, where):
    """Returns the statements that read a member of the node `node`."""
    target = where + member.c_name
    read = read_call(member.type, target)
    store = ''
    if isinstance(member.type, Enum):
        store = f'{target} = ({member.type.name})number;\n'
    if not member.optional:
        text = (f'    if (!qapi_node_require(node, "{member.name}", &child,'
                f' error)\n        || !{read}) {{\n'
                '        return false;\n    }\n')
        text += f'    {store}' if store else ''
        return guard(member.cond, text)
    text = (f'    if (qapi_node_find(node, "{member.name}", &child)) {{\n'
            f'        if (!{read}) {{\n            return false;\n        }}\n')
    text += f'        {store}' if store else ''
    if member.has_flag:
        text += f'        {where}has_{member.c_name} = true;\n'
    return guard(member.cond, text + '    }\n')


def decode_members(name, c_type, members, cond):
    """Returns a function that reads members into an object."""
    enums = [member for member in members if isinstance(member.type, Enum)]
    unused = ' G_GNUC_UNUSED' if all(member.cond for member in enums) else ''
    text = (f'static bool decode_members_{name}(const QapiNode *node,\n'
            f'    {c_type} *obj, GError **error)\n{{\n')
    if members:
        text += '    QapiNode child;\n'
    if enums:
        text += f'    int number{unused};\n'
    if members:
        text += '\n'
    text += ''.join(decode_member(member, 'obj->') for member in members)
    return guard(cond, text + '    return true;\n}\n') + '\n'


def known_names(members):
    """Returns the initializer of a list of names."""
    text = ''
    for member in members:
        text += guard(member.cond, f'        "{member.name}",\n')
    return text + '        NULL\n'


def decode_union(union):
    """Returns the statements that read a union's branch, then check."""
    text = f'    switch (obj->{union.tag.c_name}) {{\n'
    for tag in union.tag.type.members:
        case = f'    case {c_const(union.tag.type.name, tag.name)}: {{\n'
        branch = union.branches.get(tag.name)
        members = union.all_members
        read = ''
        if branch:
            members = members + branch.type.all_members
            read = (f'        if (!decode_members_{branch.type.name}(node,'
                    f' &obj->u.{branch.c_name},\n            error)) {{\n'
                    '            return false;\n        }\n')
            read = guard(branch.cond, read)
        case += ('        static const char *const known[] = {\n'
                 + known_names(members).replace('        ', '            ')
                 + '        };\n\n')
        case += read + '        return qapi_node_check(node, known, error);\n'
        text += guard(tag.cond, case + '    }\n')
    text += f'    case {c_const(union.tag.type.name, "")}_MAX:\n'
    return text + '        break;\n    }\n    return true;\n'


def decode_all(struct):
    """Returns the function that reads and checks a whole object."""
    text = (f'static bool decode_all_{struct.name}(const QapiNode *node,\n'
            f'    {struct.name} *obj, GError **error)\n{{\n')
    read = (f'    if (!decode_members_{struct.name}(node, obj, error)) {{\n'
            '        return false;\n    }\n')
    if struct.branches is not None:
        text += read + decode_union(struct)
    else:
        text += ('    static const char *const known[] = {\n'
                 + known_names(struct.all_members) + '    };\n\n' + read
                 + '    return qapi_node_check(node, known, error);\n')
    return text + '}\n\n'


def decode_node(entity, body):
    """Returns decode_X(), around a body that fills `obj`."""
    return (f'static bool decode_{entity.name}(const QapiNode *node,'
            f' {entity.name} **ret,\n    GError **error)\n{{\n{body}}}\n\n')


def decode_struct(struct):
    """Returns a struct's decoder."""
    body = (f'    g_autoptr({struct.name}) obj = NULL;\n\n'
            '    if (!qapi_node_is_dict(node, error)) {\n'
            '        return false;\n    }\n'
            f'    obj = g_new0({struct.name}, 1);\n'
            f'    if (!decode_all_{struct.name}(node, obj, error)) {{\n'
            '        return false;\n    }\n'
            '    *ret = g_steal_pointer(&obj);\n    return true;\n')
    return (decode_all(struct) + decode_node(struct, body)
            + decode_public(struct))


def decode_list(array):
    """Returns a list's decoder."""
    kind = array.element
    if isinstance(kind, Enum):
        declare, value = 'int number', f'({kind.name})number'
    else:
        zero = 'NULL' if kind.is_pointer else '0'
        declare, value = c_decl(kind.c_type, f'item = {zero}'), 'item'
    body = (f'    g_autoptr({array.name}) list = NULL;\n'
            f'    {array.name} **tail = &list;\n'
            '    QapiNode child;\n\n'
            '    if (!qapi_node_is_list(node, error)) {\n'
            '        return false;\n    }\n'
            '    for (size_t i = 0; qapi_node_at(node, i, &child); i++) {\n'
            f'        {declare};\n\n'
            f'        if (!{read_call(kind, "item")}) {{\n'
            '            return false;\n        }\n'
            f'        QAPI_LIST_APPEND(tail, {value});\n    }}\n'
            '    *ret = g_steal_pointer(&list);\n    return true;\n')
    return decode_node(array, body) + decode_public(array)


def decode_public(entity):
    """Returns qapi_decode_X()."""
    return (f'{decode_prototype(entity)}\n{{\n'
            '    QapiNode root = { .value = value, .input = input };\n\n'
            f'    return decode_{entity.name}(&root, ret, error);\n}}\n')


# Encoders

def encode_value(kind, value):
    """Returns the expression that makes a JsonValue."""
    if isinstance(kind, (Struct, Array)):
        return f'qapi_encode_{kind.name}({value})'
    if isinstance(kind, Enum):
        return f'json_string({kind.name}_str({value}))'
    if kind.name == 'str':
        return f'json_string({value} != NULL ? {value} : "")'
    if kind.name == 'any':
        return f'({value} != NULL ? json_ref({value}) : json_null())'
    if kind.name == 'bool':
        return f'json_bool({value})'
    if kind.name.startswith('uint') or kind.name == 'size':
        return f'json_uint({value})'
    return f'json_int({value})'


def encode_member(member, where):
    """Returns the statements that add a member to `dict`."""
    value = where + member.c_name
    line = (f'json_dict_set(dict, "{member.name}",\n'
            f'        {encode_value(member.type, value)});\n')
    if not member.optional:
        return guard(member.cond, '    ' + line)
    given = f'{where}has_{member.c_name}' if member.has_flag \
        else f'{value} != NULL'
    return guard(member.cond, f'    if ({given}) {{\n        '
                 + line.replace('\n        ', '\n            ') + '    }\n')


def encode_members(name, c_type, members, cond):
    """Returns a function that adds members to an object."""
    text = (f'static void encode_members_{name}(JsonValue *dict,\n'
            f'    const {c_type} *obj)\n{{\n')
    text += ''.join(encode_member(member, 'obj->') for member in members)
    return guard(cond, text + '}\n') + '\n'


def encode_struct(struct):
    """Returns a struct's encoder."""
    text = (f'{encode_prototype(struct)}\n{{\n'
            '    JsonValue *dict = json_dict();\n\n'
            f'    encode_members_{struct.name}(dict, value);\n')
    if struct.branches is not None:
        text += f'    switch (value->{struct.tag.c_name}) {{\n'
        for tag in struct.tag.type.members:
            case = f'    case {c_const(struct.tag.type.name, tag.name)}:\n'
            branch = struct.branches.get(tag.name)
            if branch:
                case += guard(branch.cond,
                              f'        encode_members_{branch.type.name}('
                              f'dict, &value->u.{branch.c_name});\n')
            text += guard(tag.cond, case + '        break;\n')
        text += (f'    case {c_const(struct.tag.type.name, "")}_MAX:\n'
                 '        break;\n    }\n')
    return text + '    return dict;\n}\n'


def encode_list(array):
    """Returns a list's encoder."""
    return (f'{encode_prototype(array)}\n{{\n'
            '    JsonValue *list = json_list();\n\n'
            '    for (; value != NULL; value = value->next) {\n'
            '        json_list_append(list,\n            '
            f'{encode_value(array.element, "value->value")});\n    }}\n'
            '    return list;\n}\n')


def forward_node(entity):
    """Returns the prototype of decode_X()."""
    return guard(entity.cond, f'static bool decode_{entity.name}('
                 f'const QapiNode *node, {entity.name} **ret,\n'
                 '    GError **error);\n')


def generate(schema, output):
    """Adds qapi-visit.h and .c."""
    kinds = schema.structs + schema.arrays
    body = ''.join(guard(kind.cond, f'{decode_prototype(kind)};\n'
                         f'{encode_prototype(kind)};\n') + '\n'
                   for kind in kinds)
    output.header('qapi-visit', 'Types of the schema from JSON and to it',
                  ['"qapi/keyval.h"', output.own('qapi-types')],
                  body.rstrip('\n') + '\n')
    body = ''.join(forward_node(kind) for kind in kinds) + '\n'
    for struct in schema.structs:
        body += decode_members(struct.name, struct.name, struct.all_members,
                               struct.cond)
        body += encode_members(struct.name, struct.name, struct.all_members,
                               struct.cond)
    for struct in schema.structs:
        body += guard(struct.cond, decode_struct(struct) + '\n'
                      + encode_struct(struct)) + '\n'
    for array in schema.arrays:
        body += guard(array.cond, decode_list(array) + '\n'
                      + encode_list(array)) + '\n'
    output.source('qapi-visit', 'Types of the schema from JSON and to it',
                  ['"qapi/qapi-decode.h"', output.own('qapi-visit')],
                  body.rstrip('\n') + '\n')
