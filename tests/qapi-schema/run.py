#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs the generator on every schema here.

NAME.json is refused with the text in NAME.err; without that file it is taken.
Where there is NAME.rst, that is its manual.
"""

import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
MAIN = HERE.parent.parent / 'scripts' / 'qapi' / 'main.py'


def check_manual(schema):
    """Returns what is wrong with the manual that is made, or nothing."""
    expected = schema.with_suffix('.rst')
    if not expected.exists():
        return None
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, MAIN, '-o', folder, schema.name],
                       cwd=HERE, timeout=20, check=True)
        made = pathlib.Path(folder, 'qapi-doc.rst').read_text()
    return None if made == expected.read_text() else 'manual differs'


def check(schema):
    """Returns what is wrong with the generator's answer, or nothing."""
    expected = schema.with_suffix('.err')
    want = expected.read_text() if expected.exists() else ''
    run = subprocess.run([sys.executable, MAIN, '--check', schema.name],
                         cwd=HERE, stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, text=True, timeout=20,
                         check=False)
    if run.stderr != want:
        return f'said {run.stderr!r}, not {want!r}'
    if run.returncode != (1 if want else 0):
        return f'exit status {run.returncode}'
    if run.stdout:
        return f'printed {run.stdout!r}'
    return check_manual(schema)


def main():
    """Prints TAP; returns the exit status."""
    schemas = sorted(HERE.glob('*.json'))
    failed = 0
    print(f'1..{len(schemas)}')
    for number, schema in enumerate(schemas, 1):
        wrong = check(schema)
        failed += wrong is not None
        print(f'{"not ok" if wrong else "ok"} {number} - {schema.stem}')
        if wrong:
            print(f'# {wrong}')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
