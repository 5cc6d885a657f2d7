# SPDX-License-Identifier: GPL-2.0-or-later
"""qapi-events: the names of events, and their data as JSON."""

from .cgen import guard
from .gen_commands import c_parameter
from .names import c_upper


def prototype(event):
    """Returns the prototype of an event's encoder."""
    parameters = ['void']
    if event.boxed:
        parameters = [f'const {event.arg.name} *arg']
    elif event.arg:
        parameters = [c_parameter(m) for m in event.arg.all_members]
    return (f'JsonValue *qapi_event_encode_{event.c_name}('
            f'{", ".join(parameters)})')


def source(event):
    """Returns an event's encoder."""
    text = prototype(event) + '\n{\n'
    if event.arg is None:
        return text + '    return NULL;\n}\n'
    if event.boxed:
        return text + f'    return qapi_encode_{event.arg.name}(arg);\n}}\n'
    text += f'    {event.arg.name} arg = {{\n'
    for member in event.arg.all_members:
        if member.has_flag:
            text += f'        .has_{member.c_name} = has_{member.c_name},\n'
        cast = '(char *)' if member.type.name == 'str' else ''
        text += f'        .{member.c_name} = {cast}{member.c_name},\n'
    return text + (f'    }};\n\n    return qapi_encode_{event.arg.name}(&arg);'
                   '\n}\n')


def generate(schema, output):
    """Adds qapi-events.h and .c."""
    name = output.c_prefix + 'QapiEvent'
    upper = c_upper(output.c_prefix.rstrip('_')) + '_' if output.c_prefix \
        else ''
    first = upper + 'QAPI_EVENT_'
    body = f'typedef enum {name} {{\n'
    for event in schema.events:
        body += guard(event.cond, f'    {first}{event.name},\n')
    body += (f'    {first}_MAX,\n}} {name};\n'
             f'extern const QEnumLookup {name}_lookup;\n'
             f'static inline const char *{name}_str({name} value)\n{{\n'
             f'    return qapi_enum_lookup(&{name}_lookup, (int)value);\n'
             '}\n\n/* (transfer full) The data; NULL if the event has none. */'
             '\n')
    body += ''.join(guard(event.cond, prototype(event) + ';\n')
                    for event in schema.events)
    output.header('qapi-events', 'Events of the schema',
                  [output.own('qapi-types')], body)
    body = (f'const QEnumLookup {name}_lookup = {{\n'
            '    .array = (const char *const[]) {\n')
    for event in schema.events:
        body += guard(event.cond,
                      f'        [{first}{event.name}] = "{event.name}",\n')
    body += f'        NULL\n    }},\n    .size = {first}_MAX,\n}};\n\n'
    body += '\n'.join(guard(event.cond, source(event))
                      for event in schema.events)
    output.source('qapi-events', 'Events of the schema: their data as JSON',
                  [output.own('qapi-events'), output.own('qapi-visit')], body)
