"""The log: what it has at each level, where it is, how long it gets.

  test -- commands, VMMs --> vmnetd -- lines --> a file or standard error

SPDX-License-Identifier: GPL-2.0-or-later
"""

import os
import re
import signal
import socket
import time

import pytest

from lib.qmp import Qmp

LEVELS = ['error', 'warning', 'message', 'info', 'debug']
LINE = re.compile(r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z vmnetd\[\d+\] (%s): .'
                  % '|'.join(LEVELS))


def wait_until(condition, timeout=10):
    """Poll, at most @timeout seconds."""
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, 'did not happen in time'
        time.sleep(0.01)


def info(instance):
    """What the daemon says of itself."""
    with Qmp(instance.socket) as client:
        return client.call('query-daemon')


def with_vmm(instance):
    """A netdev and an export, and a VMM that comes and goes."""
    with Qmp(instance.socket) as client:
        path = instance.netdev(client)[1]
        with socket.socket(socket.AF_UNIX) as vmm:
            vmm.connect(path)
            wait_until(lambda: client.call('query-exports')[0]['connected'])


# What each level adds: the first line that has it, and who causes it.
SAID = {
    'error': 'giving up',
    'warning': 'leases are kept in memory only',
    'message': 'network shared started',
    'info': 'client %d came' % os.getpid(),
    'debug': 'executes netdev_add',
}


@pytest.mark.parametrize('level', LEVELS)
def test_level(idle_daemon, level):
    """All that is as important as that or more, and nothing else."""
    wanted = LEVELS[:LEVELS.index(level) + 1]
    log = os.path.join(idle_daemon.folder, 'log')
    with open(os.path.join(idle_daemon.state, 'vmnet'), 'w', encoding='ascii'):
        pass        # where the directory would be
    idle_daemon.start('--log-file', log, '--log-level', level)
    with_vmm(idle_daemon)
    while level == 'error' and idle_daemon.daemon.poll() is None:
        try:
            os.kill(info(idle_daemon)['pid'], signal.SIGKILL)
        except (OSError, EOFError):
            time.sleep(0.02)
    with open(log, encoding='utf-8') as text:
        lines = text.read().splitlines()
    assert {LINE.match(line).group(1) for line in lines} <= set(wanted)
    for other, said in SAID.items():
        found = any(said in line for line in lines)
        assert found == (other in wanted) or other == 'error', other
    if level == 'error':
        assert [line for line in lines if SAID[level] in line] == lines


def test_log_file(vmnetd, idle_daemon):
    log = os.path.join(idle_daemon.folder, 'log')
    idle_daemon.start('--log-file', log)
    with_vmm(idle_daemon)
    assert info(idle_daemon)['log-file'] == log
    with open(log, encoding='utf-8') as text:
        lines = text.read().splitlines()
    assert lines
    for line in lines:
        assert re.match(r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z vmnetd\[\d+\] '
                        r'(error|warning|message): ', line), line


def test_log_begins_anew(vmnetd, idle_daemon):
    log = os.path.join(idle_daemon.folder, 'log')
    with open(log, 'wb') as text:
        text.truncate(4 * 1024 * 1024)
    idle_daemon.start('--log-file', log)
    with_vmm(idle_daemon)
    assert os.path.getsize(log) < 65536
    assert os.path.getsize(log + '.1') >= 4 * 1024 * 1024


@pytest.mark.parametrize('where', ['state', 'elsewhere'])
def test_log_begins_anew_under_the_sandbox(vmnetd, idle_daemon, where):
    """By the engine, which makes files in its own directories only."""
    folder = os.path.join(idle_daemon.state, 'vmnet') if where == 'state' \
        else idle_daemon.folder
    os.makedirs(folder, mode=0o700, exist_ok=True)
    log = os.path.join(folder, 'log')
    idle_daemon.start('--log-file', log, '--netdev', 'vmnet-host,id=first')
    for word in (b'one', b'two'):
        with open(log, 'ab') as text:
            text.write(b'\n'.join([word] * (1 << 20)) + b'\n')
        with_vmm(idle_daemon)
        assert os.path.getsize(log) < 65536
        with open(log + '.1', 'rb') as text:
            old = text.read()
        assert len(old) >= 4 << 20
        assert old.endswith(word + b'\n') and b'vmnetd[' in old[:100]
    with open(log, encoding='utf-8') as text:
        assert LINE.match(text.read())


def test_log_is_bounded_in_time(daemon):
    """Two messages for each netdev with a VMM: hundreds of them."""
    with Qmp(daemon.socket) as client:
        client.call('netdev_add', type='vmnet-shared', id='n0')
        path = client.call('export-add', type='stream', id='e0', netdev='n0',
                           addr={'type': 'unix'})['path']
        for _ in range(500):
            with socket.socket(socket.AF_UNIX) as vmm:
                vmm.connect(path)
        wait_until(lambda: not client.call('query-exports')[0]['connected'])
    assert len(daemon.stderr()) < 65536
