"""vmnet-run before a real QEMU that has no guest: how it starts and ends.

  vmnet-run -- becomes --> QEMU (-machine none) -- netdevs --> vmnetd

Tried with VMNET_QEMU, else the distribution's.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import json
import os
import re
import shutil
import signal
import subprocess
import time

import pytest

from lib.instance import Instance
from lib.process import Process

OPTIONS = ['-name', 'guest=lv,debug-threads=on', '-machine', 'none',
           '-nodefaults', '-display', 'none',
           '-netdev', 'vmnet-shared,id=hostnet0',
           '-netdev', '{"type": "vmnet-host", "id": "hostnet1"}']

# An export without a connection for so long goes, and its netdev with it.
GONE_S = 2.5


@pytest.fixture(scope='module')
def qemu():
    """The program."""
    program = os.environ.get('VMNET_QEMU') or shutil.which('qemu-system-x86_64')
    if not program:
        pytest.skip('needs qemu-system-x86_64')
    return program


@pytest.fixture
def instance():
    """Directories of a test's own; the daemon starts on demand."""
    made = Instance()
    yield made
    made.stop()


def wait_until(condition, timeout=20):
    """Poll, at most @timeout seconds."""
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, 'did not happen in time'
        time.sleep(0.02)


def connected(client):
    """Both exports have their VMM."""
    return [one['connected'] for one in client.call('query-exports')] == \
        [True, True]


def pid_in(path):
    """What QEMU wrote there, once it is a number in a line of its own."""
    def there():
        if not os.path.exists(path):
            return False
        with open(path, encoding='utf-8') as text:
            return text.read().endswith('\n')
    wait_until(there)
    with open(path, encoding='utf-8') as text:
        content = text.read()
    assert re.fullmatch(r'\d+\n', content), content
    return int(content)


def test_daemonized_twice(instance, qemu):
    """The first one's own process has ended when the second one comes."""
    pidfiles = [os.path.join(instance.folder, 'pid%d' % n) for n in range(2)]
    pids = []
    try:
        for pidfile in pidfiles:
            done = instance.run('vmnet-run', qemu, *OPTIONS, '-daemonize',
                                '-pidfile', pidfile)
            assert done.returncode == 0, done.stderr
            pids.append(pid_in(pidfile))
        with instance.qmp() as client:
            wait_until(lambda: [one['connected'] for one in
                                client.call('query-exports')] == [True] * 4)
            assert sorted(one['id'] for one in client.call('query-netdevs')) \
                == ['lv-2/hostnet0', 'lv-2/hostnet1', 'lv/hostnet0',
                    'lv/hostnet1']
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGTERM)
    with instance.qmp() as client:
        wait_until(lambda: client.call('query-netdevs') == [])


def check_and_end(instance, pid):
    """It has its networks; when it goes, so do its netdevs."""
    try:
        with instance.qmp() as client:
            wait_until(lambda: connected(client))
            assert sorted(one['id'] for one in client.call('query-netdevs')) \
                == ['lv/hostnet0', 'lv/hostnet1']
    finally:
        os.kill(pid, signal.SIGTERM)
    with instance.qmp() as client:
        wait_until(lambda: client.call('query-netdevs') == [])


def test_daemonize(instance, qemu):
    """The QEMU that stays behind is not the process that vmnet-run became."""
    pidfile = os.path.join(instance.folder, 'pid')
    done = instance.run('vmnet-run', qemu, *OPTIONS, '-daemonize', '-pidfile',
                        pidfile)
    assert done.returncode == 0, done.stderr
    check_and_end(instance, pid_in(pidfile))


def test_daemonize_with_a_nic(instance, qemu):
    """Its descriptors are the only ones, and those of the QEMU that stays."""
    pidfile = os.path.join(instance.folder, 'pid')
    done = instance.run(
        'vmnet-run', qemu, '-name', 'nics', '-machine', 'pc', '-S', '-m', '32',
        '-nodefaults', '-display', 'none', '-nic', 'vmnet-shared,model=virtio',
        '-nic', 'vmnet-host,model=e1000', '-daemonize', '-pidfile', pidfile)
    assert done.returncode == 0, done.stderr
    pid = pid_in(pidfile)
    try:
        with instance.qmp() as client:
            wait_until(lambda: connected(client))
            kept = time.monotonic() + GONE_S
            while time.monotonic() < kept:
                assert connected(client)
                time.sleep(0.1)
            assert [(one['vm'], one['type'])
                    for one in client.call('query-netdevs')] == \
                [('nics', 'vmnet-shared'), ('nics', 'vmnet-host')]
    finally:
        os.kill(pid, signal.SIGTERM)
    with instance.qmp() as client:
        wait_until(lambda: client.call('query-netdevs') == [])


@pytest.mark.parametrize('more', [[], ['-daemonize']], ids=['stays', 'daemonize'])
@pytest.mark.parametrize('closed', ['<&-', '<&- >&-', '<&- >&- 2>&-'])
def test_started_by_a_manager(instance, qemu, closed, more):
    """
    Without standard descriptors, terminal, HOME: what would get their numbers
    would get warnings, too.
    """
    pidfile = os.path.join(instance.folder, 'pid')
    env = {key: instance.env[key] for key in (
        'PATH', 'XDG_RUNTIME_DIR', 'XDG_STATE_HOME', 'VMNET_RESOLV_CONF')}
    process = Process(
        ['/bin/sh', '-c', 'exec "$@" ' + closed, 'sh',
         instance.tool('vmnet-run'), qemu, *OPTIONS, *more, '-pidfile', pidfile],
        env=dict(env, LC_ALL='C'), cwd='/', start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL)
    with process:
        if more:
            assert process.wait(30) == 0
        pid = pid_in(pidfile)
        assert more or pid == process.pid
        check_and_end(instance, pid)
        process.wait(20)


def test_runtime_directory_longer_than_a_socket_address(instance, qemu):
    """QEMU would say nothing, and have no network."""
    runtime = os.path.join(instance.folder, 'r' * 120)
    os.mkdir(runtime, mode=0o700)
    pidfile = os.path.join(instance.folder, 'pid')
    env = dict(instance.env, XDG_RUNTIME_DIR=runtime)
    done = subprocess.run(
        [instance.tool('vmnet-run'), '-q', qemu, *OPTIONS, '-daemonize',
         '-pidfile', pidfile], env=env, check=False, timeout=30)
    assert done.returncode == 0
    try:
        def shows(want):
            shown = subprocess.run(
                [instance.tool('vmnetctl'), '--json'], env=env, check=True,
                stdout=subprocess.PIPE, timeout=30).stdout
            return [one['connected'] for one in json.loads(shown)['netdevs']] \
                == want
        wait_until(lambda: shows([True, True]))
    finally:
        os.kill(pid_in(pidfile), signal.SIGTERM)
        wait_until(lambda: shows([]))
        subprocess.run([instance.tool('vmnetctl'), 'stop'], env=env, check=True,
                       stdout=subprocess.DEVNULL, timeout=30)


def test_real_version_decides_the_line(instance, qemu):
    """As the manual says; what it does with it is test_recovery's."""
    text = subprocess.run([qemu, '--version'], stdout=subprocess.PIPE,
                          text=True, check=True, timeout=30).stdout
    version = tuple(map(int, re.search(r'version (\d+)\.(\d+)', text).groups()))
    done = instance.run('vmnet-run', '--dry-run', qemu, *OPTIONS)
    assert done.returncode == 0 and done.stderr == ''
    wanted = 2 if version >= (8, 0) else 0
    option = ',reconnect-ms=100' if version >= (9, 2) else ',reconnect=1'
    assert done.stdout.count(',reconnect') == wanted
    assert done.stdout.count(option) == wanted
    assert not os.path.exists(instance.socket)
