#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs the generator on every schema here.

NAME.json is refused with the text in NAME.err; without that file it is taken.
Where there is NAME.rst, that is its manual.
"""

import os
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
SCRIPTS = HERE.parent.parent / 'scripts'
MAIN = SCRIPTS / 'qapi' / 'main.py'

# In this process: a hundred Pythons would take longer than all the rest.
sys.path.insert(0, str(SCRIPTS))
from qapi.error import SchemaError  # noqa: E402  pylint: disable=C0413
from qapi.schema import Schema  # noqa: E402  pylint: disable=C0413


def check_program():
    """Returns what is wrong with how the program itself ends, or nothing."""
    for name in ('good', 'number'):
        run = subprocess.run([sys.executable, MAIN, '--check', name + '.json'],
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             text=True, timeout=20, check=False)
        want = pathlib.Path(name + '.err')
        want = want.read_text() if want.exists() else ''
        if (run.returncode, run.stdout, run.stderr) != (bool(want), '', want):
            return f'{name}.json: {run}'
    return None


def check_manual(schema):
    """Returns what is wrong with the manual that is made, or nothing."""
    expected = schema.with_suffix('.rst')
    if not expected.exists():
        return None
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, MAIN, '-o', folder, schema.name],
                       timeout=20, check=True)
        made = pathlib.Path(folder, 'qapi-doc.rst').read_text()
    return None if made == expected.read_text() else 'manual differs'


def check(schema):
    """Returns what is wrong with the answer to a schema, or nothing."""
    expected = schema.with_suffix('.err')
    want = expected.read_text() if expected.exists() else ''
    said = ''
    try:
        Schema(schema.name)
    except SchemaError as err:
        said = f'{err}\n'
    if said != want:
        return f'said {said!r}, not {want!r}'
    return check_manual(schema)


def main():
    """Prints TAP; returns the exit status."""
    os.chdir(HERE)
    schemas = sorted(HERE.glob('*.json'))
    results = [('program', check_program())]
    results += [(schema.stem, check(schema)) for schema in schemas]
    print(f'1..{len(results)}')
    for number, (name, wrong) in enumerate(results, 1):
        print(f'{"not ok" if wrong else "ok"} {number} - {name}')
        if wrong:
            print(f'# {wrong}')
    return 1 if any(wrong for _, wrong in results) else 0


if __name__ == '__main__':
    sys.exit(main())
