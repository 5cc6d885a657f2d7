# SPDX-License-Identifier: GPL-2.0-or-later
"""Names of the schema, and what C makes of them."""

import re

TYPE = re.compile(r'[A-Z][A-Za-z0-9]*[a-z][A-Za-z0-9]*$')
MEMBER = re.compile(r'[a-z][a-z0-9-]*$')
VALUE = re.compile(r'[a-z0-9][a-z0-9-]*$')
EVENT = re.compile(r'[A-Z][A-Z0-9_]*$')
LEGACY = re.compile(r'[A-Za-z][A-Za-z0-9_-]*$')
CONDITION = re.compile(r'[A-Z_][A-Z0-9_]*$')

# C's keywords, and names that compilers define to something in gnu11.
TAKEN = frozenset('''
    auto break case char const continue default do double else enum extern
    float for goto if inline int long register restrict return short signed
    sizeof static struct switch typedef union unsigned void volatile while
    asm typeof bool true false errno unix linux i386 mips sparc sun
    '''.split())


def c_name(name):
    """Returns the C identifier for a member, command or branch."""
    name = re.sub(r'[^A-Za-z0-9_]', '_', name)
    return 'q_' + name if name in TAKEN or name[0].isdigit() else name


def c_upper(name):
    """Returns NAME_LIKE_THIS for a NameLikeThis, QMPName or name-like-this."""
    name = re.sub(r'(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])', '_',
                  name)
    return re.sub(r'[^A-Za-z0-9_]', '_', name).upper()


def c_const(type_name, value):
    """Returns the constant for an enum's value."""
    return f'{c_upper(type_name)}_{c_upper(value)}'
