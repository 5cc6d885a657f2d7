"""scripts/quickstart: it works, and its exit status follows each step.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import os
import shutil
import subprocess
import sys

import pytest

from lib.instance import BUILD, IMAGE, TOP

pytestmark = pytest.mark.guest

STEPS = ['boot', 'lease', 'advertisement', 'name', 'tcp', 'udp', 'tcp6',
         'udp6', 'ping', 'neighbours', 'forward']


def quickstart(*options):
    """The script itself, without the installing part."""
    if not shutil.which('qemu-system-x86_64'):
        pytest.skip('needs qemu-system-x86_64')
    return subprocess.run(
        [sys.executable, os.path.join(TOP, 'scripts/quickstart.py'),
         '--build', BUILD, '--image', IMAGE, '--accel', 'tcg', *options],
        text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        timeout=150, check=False)


def test_quickstart_works():
    done = quickstart()
    assert done.returncode == 0, done.stdout
    for step in STEPS:
        assert '\n' + step in '\n' + done.stdout
    assert 'FAILED' not in done.stdout


@pytest.mark.parametrize('step', STEPS)
def test_exit_status_follows(step):
    done = quickstart('--break', step, '--only', step)
    if '%-14s skipped' % step in done.stdout:
        pytest.skip('this host skips the step: ' + step)
    assert done.returncode == 1, done.stdout
    assert '%-14s FAILED' % step in done.stdout
