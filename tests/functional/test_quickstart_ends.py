"""scripts/quickstart, whole: how its shell ends, and that nothing stays behind.

  test -- scripts/quickstart -- guard -- worker -- vmnet-run, QEMU, vmnetd
              |
          TMPDIR and HOME below one folder: whoever works for this run knows its
          name, by environment or command line

SPDX-License-Identifier: GPL-2.0-or-later
"""

import os
import pty
import select
import shutil
import signal
import subprocess
import termios
import time

import pytest

from lib.instance import BUILD, IMAGE, TOP
from lib.process import Process

pytestmark = [
    pytest.mark.guest,
    pytest.mark.skipif(not shutil.which('qemu-system-x86_64'),
                       reason='needs qemu-system-x86_64')]

LIMIT_S = 90


class Place:
    """Where one run may write, and who belongs to it."""

    def __init__(self, folder):
        self.folder = str(folder)
        self.env = dict(os.environ, VMNET_BUILD=BUILD, VMNET_GUEST=IMAGE)
        for name in ('TMPDIR', 'HOME', 'XDG_STATE_HOME'):
            self.env[name] = os.path.join(self.folder, name.lower())
            os.mkdir(self.env[name], 0o700)
        self.files_before = self.files()

    def start(self, *options, **extra):
        """The script itself, under software emulation."""
        return Process([os.path.join(TOP, 'scripts/quickstart'), '--accel', 'tcg',
                        *options], env=self.env, **extra)

    def files(self):
        """Everything there is."""
        return sorted(os.path.join(path, name)
                      for path, folders, files in os.walk(self.folder)
                      for name in folders + files)

    def processes(self):
        """Names of programs that know the folder."""
        found = []
        for pid in filter(str.isdigit, os.listdir('/proc')):
            try:
                with open('/proc/%s/environ' % pid, 'rb') as text:
                    known = text.read()
                with open('/proc/%s/cmdline' % pid, 'rb') as text:
                    argv = text.read()
            except OSError:
                continue
            if self.folder.encode() in known + argv:
                found.append(os.path.basename(argv.split(b'\0')[0]).decode())
        return sorted(found)

    def sockets(self):
        """Unix sockets with names below the folder."""
        with open('/proc/net/unix', encoding='utf-8', errors='replace') as table:
            return [line for line in table if self.folder in line]

    def wait_for(self, condition):
        """Until @condition() holds."""
        end = time.monotonic() + LIMIT_S
        while not condition():
            assert time.monotonic() < end
            time.sleep(0.01)

    def check_nothing_left(self):
        """After the script has ended, at once."""
        assert self.processes() == []
        assert self.sockets() == []
        assert self.files() == self.files_before


@pytest.fixture
def place(tmp_path):
    """Of this test alone."""
    return Place(tmp_path)


def test_nothing_is_left_behind(place):
    with place.start('--only', 'tcp', text=True, stdout=subprocess.PIPE) as process:
        place.wait_for(lambda: {'vmnetd', 'qemu-system-x86_64'} <= set(place.processes()))
        shown = process.communicate(timeout=LIMIT_S)[0]
    assert process.returncode == 0, shown
    place.check_nothing_left()


@pytest.mark.parametrize('number, moment', [
    (signal.SIGTERM, 'folder'), (signal.SIGHUP, 'boot'), (signal.SIGINT, 'lease')])
def test_signal_leaves_nothing_behind(place, number, moment):
    with place.start('--only', 'ping', stdout=subprocess.PIPE, text=True) as process:
        if moment == 'folder':
            place.wait_for(lambda: os.listdir(place.env['TMPDIR']))
        elif moment == 'boot':
            place.wait_for(lambda: 'qemu-system-x86_64' in place.processes())
        else:
            while not process.line(timeout=LIMIT_S).startswith(moment):
                assert process.poll() is None
        process.send_signal(number)
        assert process.wait(30) == -number
    place.check_nothing_left()


def read_until(terminal, text):
    """What a terminal shows, to @text."""
    shown = b''
    end = time.monotonic() + LIMIT_S
    while text not in shown:
        assert time.monotonic() < end and \
            select.select([terminal], [], [], LIMIT_S)[0], shown
        shown += os.read(terminal, 4096)
    return shown


@pytest.mark.parametrize('ending', ['exit', 'Ctrl-]', 'SIGTERM'])
def test_shell_ends(place, ending):
    terminal, end_of_script = pty.openpty()
    mode = termios.tcgetattr(end_of_script)
    with place.start('--shell', '--only', 'boot', stdin=end_of_script,
                     stdout=end_of_script, stderr=end_of_script) as process:
        read_until(terminal, b'exit or Ctrl-] ends it')
        read_until(terminal, b'# ')
        os.write(terminal, b'echo $((40 + 2))@@3\n')
        read_until(terminal, b'42@@3')
        assert termios.tcgetattr(end_of_script) != mode
        if ending == 'SIGTERM':
            process.terminate()
        else:
            os.write(terminal, b'exit\n' if ending == 'exit' else b'\x1d')
        assert process.wait(30) == (-signal.SIGTERM if ending == 'SIGTERM' else 0)
    assert termios.tcgetattr(end_of_script) == mode
    os.close(terminal)
    os.close(end_of_script)
    place.check_nothing_left()
