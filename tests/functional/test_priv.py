"""The system instance: who has which rights, and who may use what.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import os
import socket
import subprocess
import sys

import pytest

from lib import netns
from lib.instance import BUILD
from lib.lan import lone_instance
from lib.process import Process
from lib.qmp import Qmp
from lib.users import as_user, qmp

pytestmark = pytest.mark.skipif(bool(netns.missing()),
                                reason=str(netns.missing()))

VMNETD = os.path.join(BUILD, 'vmnetd', 'vmnetd')
NOBODY = 65534      # user, and group, of the instance
NETWORK_CAPS = 1 << 12 | 1 << 13

CONNECT = r'''
import socket, sys
sock = socket.socket(socket.AF_UNIX)
sock.settimeout(2)
sock.connect(sys.argv[1])
try:
    # The host's interface may have spoken already.
    print('refused' if sock.recv(1) == b'' else 'accepted')
except TimeoutError:
    print('accepted')
'''
# As systemd starts a service with a socket.
PASS = r'''
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[2], sys.argv[2:])
'''


@pytest.fixture
def system():
    """The instance in a namespace with nothing in it, not started."""
    yield from lone_instance()


def status(pid):
    """/proc/PID/status as a dict."""
    with open('/proc/%d/status' % pid, encoding='ascii') as text:
        return dict(line.rstrip('\n').split(':\t', 1) for line in text
                    if ':\t' in line)


def test_rights(system):
    system.start()
    engine, supervisor = system.pids()
    for pid in (engine, supervisor):
        facts = status(pid)
        assert facts['Uid'].split() == facts['Gid'].split() == \
            [str(NOBODY)] * 4
        assert facts['Groups'].strip() == ''
        for caps in ('CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'):
            assert int(facts[caps], 16) == 0
    facts = status(engine)
    assert (facts['NoNewPrivs'], facts['Seccomp']) == ('1', '2')


def test_rights_of_the_privileged_process(system):
    system.start()
    pid = system.priv_pid()
    facts = status(pid)
    for caps in ('CapPrm', 'CapEff', 'CapBnd'):
        assert int(facts[caps], 16) == NETWORK_CAPS
    assert (facts['NoNewPrivs'], facts['Seccomp']) == ('1', '2')
    # The engine's socket, its own and perhaps libnftables', and where it keeps
    # what it changed: no listening socket, no lock.
    kept = [os.readlink('/proc/%d/fd/%s' % (pid, fd))
            for fd in os.listdir('/proc/%d/fd' % pid) if int(fd) > 2]
    sockets = [name for name in kept if name.startswith('socket:')]
    others = [name for name in kept if name not in sockets]
    assert len(sockets) in (2, 3)
    assert others in ([], [os.path.dirname(system.socket) + '/rules'])


def test_keeper_has_no_more_rights(system):
    """Whoever starts vmnetd-priv again has what that has."""
    system.start()
    facts = status(system.priv_pids()[0])
    for caps in ('CapPrm', 'CapEff', 'CapBnd'):
        assert int(facts[caps], 16) == NETWORK_CAPS
    assert facts['NoNewPrivs'] == '1'


def test_users_have_their_own(system):
    system.start()
    add = {'execute': 'netdev_add',
           'arguments': {'type': 'vmnet-shared', 'id': 'n0', 'vm': 'one',
                         'lifetime': 'export'}}
    export = {'execute': 'export-add',
              'arguments': {'type': 'stream', 'id': 'e0', 'netdev': 'n0',
                            'addr': {'type': 'unix'}}}
    delete = {'execute': 'netdev_del', 'arguments': {'id': 'one/n0'}}
    owner, answer = qmp(system, 12345, add, export)
    path = answer['return']['path']
    other, answer = qmp(system, 12346, delete)
    assert answer['error']['desc'] == "Device 'one/n0' not found"
    assert [as_user(uid, '-c', CONNECT, path).communicate(timeout=20)[0]
            for uid in (12346, 12345)] == ['refused\n', 'accepted\n']
    stranger, answer = qmp(system, 12345, group=12345)
    assert 'PermissionError' in answer
    again, answer = qmp(system, 12345, delete)
    assert answer == {'return': {}}
    for process in (owner, other, stranger, again):
        process.communicate(timeout=20)


def test_name_of_another_users_machine_is_taken(system):
    """Also while that one has no VMM: nobody else takes its place."""
    system.start()
    netdev = {'type': 'vmnet-shared', 'id': 'n0', 'vm': 'one',
              'lifetime': 'export', 'mac-seed': 'one'}
    export = {'execute': 'export-add',
              'arguments': {'type': 'stream', 'id': 'e0', 'netdev': 'n0',
                            'addr': {'type': 'unix'}}}
    owner, answer = qmp(system, 12345,
                        {'execute': 'netdev_add', 'arguments': netdev}, export)
    owner.communicate(timeout=20)
    with system.qmp() as client:
        as_user(12345, '-c', 'import socket, sys\n'
                'socket.socket(socket.AF_UNIX).connect(sys.argv[1])',
                answer['return']['path']).communicate(timeout=20)
        client.wait_event('EXPORT_DISCONNECTED')
        client.call('netdev_add', **netdev)
        machines = [(one['vm'], one['mac'])
                    for one in client.call('query-netdevs')]
    assert sorted(vm for vm, _ in machines) == ['one', 'one-2']
    assert machines[0][1] != machines[1][1]


def test_datagrams_are_not_exported_by_path(system):
    system.start()
    with system.qmp() as client:
        client.call('netdev_add', type='vmnet-shared', id='n0')
        with pytest.raises(Exception, match='by file descriptor only'):
            client.call('export-add', type='dgram', id='e0', netdev='n0',
                        addr={'type': 'unix'})


def test_socket_of_systemd(system):
    """It is used, and is there when the daemon has gone."""
    path = os.path.join(system.system, 'passed.sock')
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        os.makedirs(os.path.dirname(system.socket))
        del system.env['VMNET_SOCKET']
        daemon = Process(system.lan.host.argv(
            sys.executable, '-c', PASS, str(listener.fileno()), VMNETD,
            '--system', '--user', 'nobody', '--group', 'nogroup',
            '--runtime-dir', os.path.dirname(system.socket), '--state-dir',
            os.path.join(system.system, 'state')),
            env=system.env, pass_fds=[listener.fileno()])
    with Qmp(path) as client:
        assert client.call('query-daemon').get('socket') is None
        client.call('quit')
    assert daemon.wait(10) == 0
    assert os.path.exists(path) and not os.path.exists(system.socket)


def test_tools_of_the_system_instance(system):
    """They find it as libvmnet does; the command has the user's environment."""
    system.start()
    done = system.run('vmnet-run', '--system', '--network', 'shared', 'env')
    assert done.returncode == 0, done.stderr
    assert 'VMNET_SOCKET=%s\n' % system.socket in done.stdout
    assert system.ctl('--system', 'status')


@pytest.mark.parametrize('options, text', [
    (['--user', 'root'], "--user 'root': is root"),
    (['--user', 'nosuch'], "--user 'nosuch': there is no such user"),
    (['--user', 'nobody', '--group', 'nosuch'],
     "--group 'nosuch': there is no such group"),
    (['--user', 'nobody', '--runtime-dir', 'run'], 'is not an absolute path'),
])
def test_mistakes(vmnetd, options, text):
    done = subprocess.run([vmnetd, '--system', *options], check=False,
                          stderr=subprocess.PIPE, text=True, timeout=20)
    assert done.returncode == 1 and text in done.stderr


def test_without_root(vmnetd):
    done = subprocess.run([vmnetd, '--system'], check=False, user=NOBODY,
                          stderr=subprocess.PIPE, text=True, timeout=20)
    assert done.returncode == 1
    assert '--system: must be started by root' in done.stderr
    done = subprocess.run([vmnetd, '--bridged', 'eth0'], check=False,
                          stderr=subprocess.PIPE, text=True, timeout=20)
    assert '--bridged is for the system instance (--system)' in done.stderr


def test_directory_of_somebody_else(system):
    os.makedirs(os.path.dirname(system.socket))
    os.chown(os.path.dirname(system.socket), 12345, -1)
    with pytest.raises(RuntimeError, match='Operation not permitted'):
        system.start()
