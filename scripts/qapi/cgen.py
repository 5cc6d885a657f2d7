# SPDX-License-Identifier: GPL-2.0-or-later
"""Writing C: files, conditions, comments."""

import os

LICENCE = 'SPDX-License-Identifier: LGPL-2.1-or-later'


def guard(cond, text):
    """Returns the text, under #if where there is a condition."""
    if not cond or not text:
        return text
    return f'#if defined({cond})\n{text}#endif\n'


def read(path):
    """Returns the text of a file; None if there is none."""
    try:
        with open(path, encoding='utf-8') as file:
            return file.read()
    except FileNotFoundError:
        return None


class Output:
    """The files to write, with their text."""

    def __init__(self, directory, prefix):
        self.directory = directory
        self.prefix = prefix
        self.c_prefix = prefix.replace('-', '_')
        self.files = {}

    def header(self, name, what, includes, body):
        """Adds PREFIXname.h."""
        path = f'{self.prefix}{name}.h'
        macro = path.upper().replace('-', '_').replace('.', '_')
        lines = [f'/*\n * {what}\n *\n * Generated from the schema.\n *\n'
                 f' * {LICENCE}\n */\n',
                 f'#ifndef {macro}\n#define {macro}\n\n']
        lines += [f'#include {include}\n' for include in includes]
        lines += ['\n', body, f'\n#endif /* {macro} */\n']
        self.files[path] = ''.join(lines)

    def source(self, name, what, includes, body):
        """Adds PREFIXname.c."""
        lines = [f'/*\n * {what}\n *\n * Generated from the schema.\n *\n'
                 f' * {LICENCE}\n */\n']
        lines += [f'#include {include}\n' for include in includes]
        lines += ['\n', body]
        self.files[f'{self.prefix}{name}.c'] = ''.join(lines)

    def own(self, name):
        """Returns the #include of a generated header."""
        return f'"{self.prefix}{name}.h"'

    def write(self):
        """Writes all files that changed: what includes others stays built."""
        os.makedirs(self.directory, exist_ok=True)
        for name, text in self.files.items():
            path = os.path.join(self.directory, name)
            if read(path) == text:
                continue
            with open(path, 'w', encoding='utf-8') as file:
                file.write(text)

    def write_depfile(self, path, sources):
        """Writes a make rule: the files depend on the schema's."""
        targets = ' '.join(os.path.join(self.directory, name)
                           for name in self.files)
        with open(path, 'w', encoding='utf-8') as file:
            file.write(f'{targets}: {" ".join(sources)}\n')
