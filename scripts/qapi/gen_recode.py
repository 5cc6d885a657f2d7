# SPDX-License-Identifier: GPL-2.0-or-later
"""qapi-recode: every type with samples, there and back, for tests."""

import json

from .cgen import guard
from .gen_introspect import c_string
from .schema import Array, Enum, Struct

LIMITS = {
    'int': -2 ** 63, 'int8': -2 ** 7, 'int16': -2 ** 15, 'int32': -2 ** 31,
    'int64': 2 ** 63 - 1, 'uint8': 2 ** 8 - 1, 'uint16': 2 ** 16 - 1,
    'uint32': 2 ** 32 - 1, 'uint64': 2 ** 64 - 1, 'size': 2 ** 63,
}
DEPTH_MAX = 4           # of a type that contains itself


def sample(kind, full, depth):
    """Returns a value of a type, as Python has it."""
    if isinstance(kind, Struct):
        return struct_samples(kind, full, depth)[-1]
    if isinstance(kind, Array):
        return [sample(kind.element, full, depth)] * 2 if full else []
    if isinstance(kind, Enum):
        return [m.name for m in kind.members if not m.cond][-1]
    if kind.name == 'str':
        return 'text' if full else ''
    if kind.name == 'bool':
        return full
    if kind.name == 'any':
        return {'any': [None, 1]}
    return LIMITS[kind.name]


def member_samples(members, full, depth):
    """Returns an object with all members, or just the mandatory ones."""
    full_here = full and depth < DEPTH_MAX
    return {m.name: sample(m.type, full_here, depth + 1) for m in members
            if not m.cond and (full_here or not m.optional)}


def struct_samples(struct, full, depth=0):
    """Returns values of a struct: of a union, one per branch."""
    base = member_samples(struct.all_members, full, depth)
    if struct.branches is None:
        return [base]
    values = []
    for tag in struct.tag.type.members:
        if tag.cond:
            continue
        value = dict(base, **{struct.tag.name: tag.name})
        branch = struct.branches.get(tag.name)
        if branch and not branch.cond:
            value.update(member_samples(branch.type.all_members, full,
                                        depth))
        values.append(value)
    return values


def samples(kind):
    """Returns values of a struct or list."""
    if isinstance(kind, Struct):
        return struct_samples(kind, False) + struct_samples(kind, True)
    return [sample(kind, False, 0), sample(kind, True, 0)]


def recoder(kind):
    """Returns the function and the samples of a type."""
    text = (f'static bool recode_{kind.name}(const JsonValue *value,\n'
            '    QapiInput input, JsonValue **ret, GError **error)\n{\n'
            f'    g_autoptr({kind.name}) obj = NULL;\n\n'
            f'    if (!qapi_decode_{kind.name}(value, input, &obj, error))'
            ' {\n        return false;\n    }\n'
            f'    *ret = qapi_encode_{kind.name}(obj);\n'
            '    return true;\n}\n\n'
            f'static const char *const samples_{kind.name}[] = {{\n')
    for value in samples(kind):
        text += c_string(json.dumps(value)) + ',\n'
    return guard(kind.cond, text + '    NULL\n};\n') + '\n'


HEADER = '''\
#ifndef QAPI_RECODE_DEFINED
#define QAPI_RECODE_DEFINED

/** QapiRecode: a type of the schema.  @samples end with NULL. */
typedef struct QapiRecode {
    const char *name;
    bool (*recode)(const JsonValue *value, QapiInput input, JsonValue **ret,
                   GError **error);
    const char *const *samples;
} QapiRecode;

#endif

'''


def generate(schema, output):
    """Adds qapi-recode.h and .c."""
    table = f'{output.c_prefix}qapi_recode'
    kinds = schema.structs + schema.arrays
    output.header('qapi-recode', 'Every type of the schema, for tests',
                  ['"qapi/keyval.h"'], HEADER + '/* Ended by a NULL name. */\n'
                  f'extern const QapiRecode {table}[];\n')
    body = ''.join(recoder(kind) for kind in kinds)
    body += f'const QapiRecode {table}[] = {{\n'
    body += ''.join(guard(kind.cond, f'    {{ "{kind.name}",'
                          f' recode_{kind.name}, samples_{kind.name} }},\n')
                    for kind in kinds)
    body += '    { NULL, NULL, NULL }\n};\n'
    output.source('qapi-recode', 'Every type of the schema, for tests',
                  [output.own('qapi-recode'), output.own('qapi-visit')], body)
