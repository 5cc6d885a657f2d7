"""Starting a daemon by a systemd user manager, which gives it a scope.

  vmnet-run -- systemd-run --user --scope -- vmnetd

A systemd-run that a test makes does what the real one does, without a manager:
it takes --setenv and executes the command as the same process.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import json
import os
import shutil
import subprocess
import sys

import pytest

from lib.fake import Fake
from lib.instance import Instance

NETDEV = ['-netdev', 'vmnet-shared,id=net0']

# Notes its arguments; $FAILS: the manager does not answer.
SYSTEMD_RUN = '''#!%s
import json, os, sys
with open(%%(notes)r, 'a') as notes:
    notes.write(json.dumps({'argv': sys.argv[1:], 'pid': os.getpid()}) + '\\n')
if os.path.exists(%%(fails)r):
    sys.exit('Failed to connect to bus: No such file or directory')
at = sys.argv.index('--')
for word in sys.argv[1:at]:
    if word.startswith('--setenv='):
        name, value = word[len('--setenv='):].split('=', 1)
        os.environ[name] = value
os.execv(sys.argv[at + 1], sys.argv[at + 1:])
''' % sys.executable


class Manager(Fake):
    """A fake daemon, and a systemd-run that a manager seems to stand behind."""

    def __init__(self):
        super().__init__()
        self.asked_for = os.path.join(self.folder, 'systemd-run')
        self.fails = os.path.join(self.folder, 'fails')
        self.program('systemd-run', SYSTEMD_RUN % {'notes': self.asked_for,
                                                   'fails': self.fails})

    def appears(self):
        """Its socket is there, which is what vmnet-run looks for."""
        os.makedirs(os.path.join(self.runtime, 'systemd', 'private'))

    def scopes(self):
        """What systemd-run was started with."""
        if not os.path.exists(self.asked_for):
            return []
        with open(self.asked_for, encoding='utf-8') as text:
            return [json.loads(line) for line in text]


@pytest.fixture
def manager():
    """See Manager."""
    made = Manager()
    yield made
    made.stop()


def test_without_a_manager_nobody_asks_for_a_scope(manager):
    assert manager.run('vmnet-run', 'true', *NETDEV).returncode == 0
    assert len(manager.started()) == 1
    assert manager.scopes() == []


def test_daemon_gets_a_scope_of_its_own(manager):
    manager.appears()
    done = manager.run('vmnet-run', 'true', *NETDEV)
    assert done.returncode == 0, done.stderr
    [daemon], [scope] = manager.started(), manager.scopes()
    log = os.path.join(manager.state, 'vmnet', 'vmnetd.log')
    assert scope['argv'] == [
        '--user', '--scope', '--quiet', '--collect', '--setenv=LISTEN_FDS=1',
        '--setenv=LISTEN_PID=%d' % daemon['pid'], '--', manager.env['VMNETD'],
        '--log-file', log]
    # The same process: LISTEN_PID is told before it is known to run.
    assert scope['pid'] == daemon['pid']
    assert daemon['env']['LISTEN_PID'] == str(daemon['pid'])
    assert daemon['fds'] == {'0': '/dev/null', '1': '/dev/null', '2': log,
                             '3': 'socket:stream'}


def test_manager_that_does_not_answer(manager):
    """A daemon without a scope is better than none."""
    manager.appears()
    with open(manager.fails, 'w', encoding='ascii'):
        pass
    done = manager.run('vmnet-run', 'true', *NETDEV)
    assert done.returncode == 0, done.stderr
    assert len(manager.scopes()) == 1
    assert len(manager.started()) == 1


def test_manager_that_fails_at_once(manager):
    """systemd-run is gone, and its socket with it, before vmnet-run connects."""
    if not shutil.which('strace'):
        pytest.skip('needs strace')
    manager.appears()
    with open(manager.fails, 'w', encoding='ascii'):
        pass
    done = subprocess.run(
        ['strace', '-o', '/dev/null', '-e', 'trace=connect',
         '-e', 'inject=connect:delay_enter=300000',
         manager.tool('vmnet-run'), 'true', *NETDEV],
        env=dict(manager.env, ASAN_OPTIONS='detect_leaks=0'),   # wants ptrace
        timeout=30, check=False, text=True, stderr=subprocess.PIPE)
    assert done.returncode == 0, done.stderr
    assert len(manager.scopes()) == 1
    assert len(manager.started()) == 1


def scope_of(pid):
    """The control group of a process, where systemd makes them."""
    with open('/proc/%d/cgroup' % pid, encoding='ascii') as text:
        return text.read()


def test_real_manager():
    """The daemon is in another control group than who started it."""
    real = os.path.join(os.environ.get('XDG_RUNTIME_DIR', '/nowhere'), 'systemd')
    answer = shutil.which('systemctl') and subprocess.run(
        ['systemctl', '--user', 'show-environment'], check=False,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        timeout=30).returncode == 0
    if not answer or not os.path.exists(os.path.join(real, 'private')):
        pytest.skip('needs a systemd user manager')
    instance = Instance()
    try:
        os.symlink(real, os.path.join(instance.runtime, 'systemd'))
        done = instance.run('vmnet-run', 'true', *NETDEV)
        assert done.returncode == 0, done.stderr
        for pid in instance.pids():
            assert '.scope' in scope_of(pid)
            assert scope_of(pid) != scope_of(os.getpid())
    finally:
        instance.stop()
