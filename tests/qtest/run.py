"""Runs a qtest on a QEMU that was built with it, or skips it.

What it leaves among temporary files goes with it, even if it was killed.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import os
import signal
import subprocess
import sys
import tempfile


def run(qemu, program):
    """The exit status of a test."""
    with tempfile.TemporaryDirectory(prefix='vmnet-qtest-',
                                     ignore_cleanup_errors=True) as folder:
        with subprocess.Popen([program, '--tap', '-k'],
                              cwd=os.path.dirname(qemu),
                              env=dict(os.environ, QTEST_QEMU_BINARY=qemu,
                                       TMPDIR=folder)) as test:
            try:
                return test.wait()
            finally:
                test.kill()


def main():
    """run.py QEMU NAME"""
    qemu, name = sys.argv[1:]
    program = os.path.join(os.path.dirname(qemu), 'tests', 'qtest', name)
    for path in (qemu, program):
        if not os.access(path, os.X_OK):
            print('1..0 # SKIP no %s: run scripts/build-qemu' % path)
            return
    # What Meson sends first when a test has taken too long.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(1))
    status = run(qemu, program)
    sys.exit(status if status >= 0 else 1)


main()
