# SPDX-License-Identifier: GPL-2.0-or-later
"""qapi-commands: prototypes of qmp_x(), and the table that calls them."""

from .cgen import guard
from .gen_types import c_decl
from .schema import Array


def c_parameter(member):
    """Returns the parameters for a member of unboxed arguments."""
    c_type = member.type.c_type
    if member.type.name == 'str':
        c_type = 'const char *'
    text = f'bool has_{member.c_name}, ' if member.has_flag else ''
    return text + c_decl(c_type, member.c_name)


def prototype(command):
    """Returns the prototype of qmp_x()."""
    if not command.gen:
        return (f'bool qmp_{command.c_name}(void *session,'
                ' const JsonValue *args,\n    JsonValue **ret,'
                ' GError **error)')
    parameters = ['void *session']
    if command.boxed:
        parameters.append(f'{command.arg.name} *arg')
    elif command.arg:
        parameters += [c_parameter(m) for m in command.arg.all_members]
    parameters.append('GError **error')
    ret = command.ret.c_type if command.ret else 'bool '
    return f'{ret}qmp_{command.c_name}({", ".join(parameters)})'


def call(command):
    """Returns the call of qmp_x()."""
    parameters = ['session']
    if command.boxed:
        parameters.append('arg')
    elif command.arg:
        for member in command.arg.all_members:
            if member.has_flag:
                parameters.append(f'arg->has_{member.c_name}')
            parameters.append(f'arg->{member.c_name}')
    parameters.append('&err' if command.ret else 'error')
    return f'qmp_{command.c_name}({", ".join(parameters)})'


def no_arguments():
    """Returns the statements that refuse any argument."""
    return ('    static const char *const known[] = { NULL };\n'
            '    QapiNode node = { .value = args, .input = QAPI_INPUT_JSON };'
            '\n')


def invoke(command):
    """Returns the function that decodes, calls and encodes."""
    text = (f'static bool invoke_{command.c_name}(void *session,'
            ' const JsonValue *args,\n    JsonValue **ret, GError **error)\n'
            '{\n')
    if not command.gen:
        return (text + f'    return qmp_{command.c_name}(session, args, ret,'
                ' error);\n}\n')
    if command.arg:
        text += ('    g_autoptr(JsonValue) none = NULL;\n'
                 f'    g_autoptr({command.arg.name}) arg = NULL;\n')
    else:
        text += no_arguments()
    if command.ret:
        text += (f'    g_autoptr({command.ret.name}) result = NULL;\n'
                 '    GError *err = NULL;\n')
    text += '\n'
    if command.arg:
        text += ('    if (args == NULL) {\n        none = json_dict();\n'
                 '        args = none;\n    }\n'
                 f'    if (!qapi_decode_{command.arg.name}(args,'
                 ' QAPI_INPUT_JSON, &arg, error)) {\n'
                 '        return false;\n    }\n')
    else:
        text += ('    if (args != NULL\n'
                 '        && !qapi_node_check(&node, known, error)) {\n'
                 '        return false;\n    }\n')
    if not command.ret:
        return text + f'    *ret = NULL;\n    return {call(command)};\n}}\n'
    text += (f'    result = {call(command)};\n'
             '    if (err != NULL) {\n'
             '        g_propagate_error(error, err);\n'
             '        return false;\n    }\n')
    if isinstance(command.ret, Array):
        text += f'    *ret = qapi_encode_{command.ret.name}(result);\n'
    else:
        text += (f'    *ret = result != NULL ? qapi_encode_{command.ret.name}'
                 '(result) : json_dict();\n')
    return text + '    return true;\n}\n'


def table_entry(command):
    """Returns the command's line in the table."""
    flags = [f'QMP_COMMAND_{name.upper()}' for name in command.features
             if name in ('deprecated', 'unstable')]
    return (f'    {{ "{command.name}", invoke_{command.c_name},'
            f' {" | ".join(flags) or "0"} }},\n')


QMP_COMMAND = '''\
#ifndef QMP_COMMAND_DEFINED
#define QMP_COMMAND_DEFINED

enum {
    QMP_COMMAND_DEPRECATED = 1 << 0,
    QMP_COMMAND_UNSTABLE = 1 << 1,
};

typedef struct QmpCommand {
    const char *name;
    /**
     * invoke: decode, call, encode.
     * @args: a dict; NULL is an empty one
     * @ret: (transfer full) the result; NULL for commands without one
     */
    bool (*invoke)(void *session, const JsonValue *args, JsonValue **ret,
                   GError **error);
    unsigned flags;
} QmpCommand;

#endif

'''


def generate(schema, output):
    """Adds qapi-commands.h and .c."""
    table = f'{output.c_prefix}qmp_commands'
    body = QMP_COMMAND
    body += ''.join(guard(command.cond, prototype(command) + ';\n')
                    for command in schema.commands)
    body += (f'\n/* Ended by a NULL name. */\n'
             f'extern const QmpCommand {table}[];\n')
    output.header('qapi-commands', 'Commands of the schema',
                  ['"qapi/keyval.h"', output.own('qapi-types')], body)
    body = ''.join(guard(command.cond, invoke(command)) + '\n'
                   for command in schema.commands)
    body += f'const QmpCommand {table}[] = {{\n'
    body += ''.join(guard(command.cond, table_entry(command))
                    for command in schema.commands)
    body += '    { NULL, NULL, 0 }\n};\n'
    output.source('qapi-commands', 'Commands of the schema: the dispatch'
                  ' table', ['"qapi/qapi-decode.h"',
                             output.own('qapi-commands'),
                             output.own('qapi-visit')], body)
