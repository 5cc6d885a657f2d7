"""Runs a qtest on a QEMU that was built with it, or skips it.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import os
import sys


def main():
    """run.py QEMU NAME"""
    qemu, name = sys.argv[1:]
    program = os.path.join(os.path.dirname(qemu), 'tests', 'qtest', name)
    for path in (qemu, program):
        if not os.access(path, os.X_OK):
            print('1..0 # SKIP no %s: run scripts/build-qemu' % path)
            return
    os.chdir(os.path.dirname(qemu))
    os.environ['QTEST_QEMU_BINARY'] = qemu
    os.execv(program, [program, '--tap', '-k'])


main()
