"""vmnet-run --netns: a command whose only interface is a netdev.

  vmnet-run -- [ namespace: COMMAND, eth0: tap ] -- vmnetd -- services

SPDX-License-Identifier: GPL-2.0-or-later
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

import pytest

from lib.instance import BUILD, Instance
from lib.process import Process
from lib.qmp import Qmp

RUN = os.path.join(BUILD, 'tools/vmnet-run')


def missing():
    """Why namespaces cannot be made here, in vmnet-run's words; or None."""
    made = Instance()
    try:
        done = made.start().run('vmnet-run', '-q', '--netns', 'true')
    finally:
        made.stop()
    return done.stderr.strip() if done.returncode else None


# In a user namespace of one's own: that there are no further ones.
FORBID = 'echo 0 >/proc/sys/user/max_user_namespaces\n'
FORBIDS = not subprocess.run(['unshare', '-Ur', 'sh', '-ec', FORBID], check=False,
                             stderr=subprocess.DEVNULL).returncode
WHY_NOT = missing()
pytestmark = pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))


def netns(daemon, *command, network='shared', options=(), **how):
    """Run in a namespace to its end."""
    return daemon.run('vmnet-run', '-q', '--network', network, '--netns',
                      *options, '--', *command, **how)


@contextlib.contextmanager
def started(daemon, *command, network='shared', options=()):
    """A namespace whose COMMAND has said 'ready'; killed if it is still there."""
    process = Process(
        [RUN, '-q', '--network', network, '--netns', *options, '--', *command],
        env=daemon.env, text=True, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        ready = process.line() == 'ready\n'
        assert ready, process.line(process.stderr)
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_until(condition, timeout=10):
    """Poll, at most @timeout seconds."""
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, 'did not happen in time'
        time.sleep(0.01)


def netdevs(daemon):
    """The names of all netdevs."""
    with daemon.qmp() as client:
        return [info['id'] for info in client.call('query-netdevs')]


def test_exit_status(daemon):
    assert netns(daemon, 'true').returncode == 0
    assert netns(daemon, 'sh', '-c', 'exit 7').returncode == 7
    assert netns(daemon, 'sh', '-c', 'kill -TERM $$').returncode == 128 + 15
    assert netns(daemon, '/nonexistent').returncode == 127
    assert netns(daemon, '/etc/passwd').returncode == 126
    assert netns(daemon, 'true', network='shared,mtu=9').returncode == 125
    assert netdevs(daemon) == []


def test_exit_status_where_the_caller_ignores_it(daemon):
    """Then there is neither a signal nor a status, if nobody sees to it."""
    done = subprocess.run(
        ['env', '--ignore-signal=CHLD', RUN, '-q', '--netns', 'sh', '-c', 'exit 7'],
        env=daemon.env, check=False, timeout=20)
    assert done.returncode == 7


def test_what_is_inside(daemon):
    """A lease, names, root that is none outside; outside nothing changed."""
    with open('/etc/resolv.conf', 'rb') as file:
        before = file.read()
    done = netns(daemon, 'sh', '-ec', '''
        id -u
        cat /etc/resolv.conf
        ip -br addr show eth0
        ip -br link show lo
        ip route show default
        ping -c 1 -W 5 192.168.107.1 >/dev/null
        readlink /proc/self/ns/user /proc/self/ns/net /proc/self/ns/mnt
        cat /proc/self/uid_map
    ''')
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith(
        '0\nsearch vmnet.internal\nnameserver 192.168.107.1\n')
    assert 'default via 192.168.107.1 dev eth0' in done.stdout
    *spaces, uid_map = done.stdout.split('\n')[-5:-1]
    for kind, space in zip(('user', 'net', 'mnt'), spaces):
        assert space.startswith(kind + ':')
        assert space != os.readlink('/proc/self/ns/' + kind)
    assert uid_map.split() == ['0', str(os.geteuid()), '1']
    with open('/etc/resolv.conf', 'rb') as file:
        assert file.read() == before


def test_names_and_ipv6(daemon):
    done = netns(daemon, sys.executable, '-c', '''
import socket, subprocess, time
print(socket.gethostbyname('host.vmnet.internal'))
end = time.monotonic() + 5
while ' inet6 fd' not in subprocess.check_output(
        ['ip', '-6', 'addr', 'show', 'eth0'], text=True):
    assert time.monotonic() < end
    time.sleep(0.01)
''')
    assert (done.returncode, done.stdout) == (0, '192.168.107.1\n'), done.stderr


def test_tcp_to_a_service_of_the_host(daemon):
    with socket.create_server(('127.0.0.1', 0)) as server:
        client = '''
import socket, sys
with socket.create_connection(('192.168.107.1', int(sys.argv[1])), 10) as s:
    s.sendall(bytes(1 << 20))
    s.shutdown(socket.SHUT_WR)
    print(len(b''.join(iter(lambda: s.recv(65536), b''))))
'''
        process = Process(
            [RUN, '-q', '--network', 'shared,host-loopback=on', '--netns',
             sys.executable, '-c', client, str(server.getsockname()[1])],
            env=daemon.env, text=True, stdout=subprocess.PIPE)
        server.settimeout(10)
        peer, _ = server.accept()
        peer.settimeout(20)
        with peer:
            data = b''.join(iter(lambda: peer.recv(65536), b''))
            peer.sendall(data * 2)
        assert process.communicate(timeout=20)[0] == '2097152\n'
        assert len(data) == 1 << 20


def test_two_to_each_other(daemon):
    server = '''
import socket, subprocess
print('ready', flush=True)
with socket.create_server(('', 7000)) as server:
    peer, _ = server.accept()
    print(len(b''.join(iter(lambda: peer.recv(65536), b''))), flush=True)
'''
    client = '''
import socket, sys, time
end = time.monotonic() + 10
while True:
    try:
        with socket.create_connection((sys.argv[1], 7000), 5) as s:
            s.sendall(bytes(3 << 20))
        break
    except ConnectionRefusedError:
        assert time.monotonic() < end
        time.sleep(0.01)
'''
    with started(daemon, sys.executable, '-c', server) as one:
        with daemon.qmp() as control:
            info, = control.call('query-netdevs')
        assert info['port'] == 'tap'
        done = netns(daemon, sys.executable, '-c', client, info['address'])
        assert done.returncode == 0, done.stderr
        assert one.line() == '%d\n' % (3 << 20)


CONTAINER = """
import hashlib, os, socket, sys

def send(peer, size):
    block, whole = os.urandom(1 << 20), hashlib.sha1()
    for number in range(size >> 20):
        piece = number.to_bytes(8, 'big') + block[8:]
        whole.update(piece)
        peer.sendall(piece)
    peer.shutdown(socket.SHUT_WR)
    return whole.hexdigest()

def receive(peer):
    whole, view = hashlib.sha1(), memoryview(bytearray(1 << 18))
    while n := peer.recv_into(view):
        whole.update(view[:n])
    return whole.hexdigest()

assert os.getpid() < 10
assert [name for _, name in socket.if_nameindex()] == ['lo', 'eth0']
assert socket.gethostbyname('host.vmnet.internal') == '192.168.107.1'
size = int(sys.argv[1])
if len(sys.argv) < 3:
    with socket.create_server(('', 7000)) as server:
        print('ready', flush=True)
        peer, _ = server.accept()
    got = receive(peer)
    print(got, send(peer, size), flush=True)
else:
    peer = socket.create_connection((sys.argv[2], 7000), 10)
    peer.settimeout(None)
    sent = send(peer, size)
    print(sent, receive(peer), flush=True)
"""


@pytest.mark.skipif(not shutil.which('bwrap'), reason='needs bubblewrap')
@pytest.mark.parametrize('size_mib', [
    64, pytest.param(1024, marks=pytest.mark.slow)])
def test_two_containers(daemon, size_mib):
    """Unprivileged ones, made inside: one finds the other by its name, and as
    much goes each way, unharmed."""
    container = ['bwrap', '--unshare-pid', '--unshare-ipc', '--unshare-uts',
                 '--ro-bind', '/', '/', '--proc', '/proc', '--dev', '/dev',
                 '--tmpfs', '/tmp', sys.executable, '-c', CONTAINER,
                 str(size_mib << 20)]
    with started(daemon, *container, options=('--name', 'one')) as one:
        done = netns(daemon, *container, 'one', options=('--name', 'two'),
                     timeout=200)
        assert done.returncode == 0, done.stderr
        assert len(done.stdout) == 82 and one.line() == done.stdout


def test_signals_are_passed_on(daemon):
    with started(daemon, 'sh', '-c', "trap 'exit 3' TERM; echo ready; "
                 'while :; do sleep 0.05; done') as process:
        process.terminate()
        assert process.wait(10) == 3
    assert netdevs(daemon) == []


def test_nothing_is_left_of_one_that_is_killed(daemon):
    with started(daemon, 'sh', '-c', 'echo ready; echo $$ >&2; exec sleep 1000'
                 ) as process:
        with open('/proc/%d/task/%d/children' % (process.pid, process.pid),
                  encoding='ascii') as file:
            child = int(file.read())
        process.send_signal(signal.SIGKILL)
        process.wait(10)
        wait_until(lambda: not os.path.exists('/proc/%d/ns/net' % child))
    wait_until(lambda: netdevs(daemon) == [])


def test_vmnetd_dies_and_comes_back(daemon):
    ask = 'echo ready; while read line; do ping -c 1 -W 1 192.168.107.1 | ' \
          'grep -c "1 received"; done'
    with started(daemon, 'sh', '-c', ask) as process:
        os.kill(daemon.pids()[0], signal.SIGKILL)
        end = time.monotonic() + 20
        answer = None
        while answer != '1\n':
            assert time.monotonic() < end
            process.stdin.write('ping\n')
            process.stdin.flush()
            answer = process.line()


def test_user_namespaces_are_forbidden(daemon):
    """Who is nobody, in a user namespace without a map, cannot make another."""
    done = subprocess.run(['unshare', '-U', RUN, '--netns', 'true'],
                          env=daemon.env, text=True, stderr=subprocess.PIPE,
                          check=False, timeout=20)
    assert done.returncode == 125
    assert done.stderr.startswith('vmnet-run: cannot make a user namespace: '
                                  'Operation not permitted; ')
    assert netdevs(daemon) == []


@pytest.mark.skipif(os.geteuid() != 0, reason='needs root to become another')
def test_an_ordinary_user():
    """Nothing is needed but a /dev/net/tun for everybody; no file of root's can
    be written by the root inside."""
    own, roots = tempfile.mkdtemp(), tempfile.mkdtemp()
    os.chown(own, 65534, 65534)
    os.chmod(roots, 0o755)
    env = dict(os.environ, HOME=own, XDG_RUNTIME_DIR=own, XDG_STATE_HOME=own,
               VMNET_SOCKET=own + '/s')
    done = subprocess.run(
        ['unshare', '-m', 'sh', '-ec', '''
            mount -t tmpfs none /mnt
            mknod -m 666 /mnt/tun c 10 200
            mount --bind /mnt/tun /dev/net/tun
            exec setpriv --reuid 65534 --regid 65534 --clear-groups "$@"''',
         'sh', RUN, '-q', '--netns', 'sh', '-c',
         'id -u; touch "$0/file" 2>/dev/null; echo $?; '
         'ping -c 1 -W 5 192.168.107.1 >/dev/null', roots],
        env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        check=False, timeout=30)
    with contextlib.suppress(OSError):
        with Qmp(env['VMNET_SOCKET']) as client:
            client.call('quit')
    assert (done.returncode, done.stdout) == (0, '0\n1\n'), done.stderr
    assert os.listdir(roots) == []
    shutil.rmtree(own, ignore_errors=True)
    os.rmdir(roots)


@pytest.mark.skipif(not FORBIDS, reason='no user namespace in which others can '
                    'be forbidden')
def test_root_needs_no_user_namespace(daemon):
    """Where he may not make one, the others do."""
    done = subprocess.run(['unshare', '-Ur', 'sh', '-ec', FORBID + '''
        readlink /proc/self/ns/user /proc/self/ns/net
        exec "$0" -q --netns --name other sh -ec '
            readlink /proc/self/ns/user /proc/self/ns/net
            hostname
            ping -c 1 -W 5 192.168.107.1 >/dev/null' ''', RUN], env=daemon.env,
                          text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, check=False, timeout=30)
    assert done.returncode == 0, done.stderr
    user, net, user_inside, net_inside, name = done.stdout.split()
    assert user == user_inside and net != net_inside and name == 'other'


def test_one_finds_the_other_by_name(daemon):
    """The name is the host's own inside, and comes back with its address."""
    with started(daemon, 'sh', '-c', 'hostname >&2; echo ready; exec sleep 1000',
                 options=('--name', 'Web')) as web:
        with daemon.qmp() as client:
            info, = client.call('query-netdevs')
        done = netns(daemon, 'sh', '-ec', 'hostname; ping -c 1 -W 5 web',
                     options=('--name', 'other'))
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith(
            'other\nPING web.vmnet.internal (%s)' % info['address'])
        web.kill()
        assert web.stderr.read() == 'Web\n'
    wait_until(lambda: netdevs(daemon) == [])
    done = netns(daemon, 'ip', '-br', 'addr', 'show', 'eth0')
    assert info['address'] not in done.stdout
    done = netns(daemon, 'ip', '-br', 'addr', 'show', 'eth0',
                 options=('--name', 'Web'))
    assert info['address'] in done.stdout


def test_options(daemon):
    for name in ('', '-a', 'a-', 'a.b', 'a b', 'x' * 64):
        done = daemon.run('vmnet-run', '--netns', '--name', name, 'true')
        assert done.returncode == 125 and 'is not a host name' in done.stderr
    done = daemon.run('vmnet-run', '--name', 'a', 'true')
    assert done.returncode == 125 and '--name needs --netns' in done.stderr
    for options in (['--fd', '3'], ['--port', 'dgram']):
        done = daemon.run('vmnet-run', '--netns', *options, 'true')
        assert done.returncode == 125
        assert 'do not go together with --netns' in done.stderr
    done = daemon.run('vmnet-run', '--dry-run', '--netns', 'echo', 'a b')
    assert (done.returncode, done.stdout) == (0, "echo 'a b'\n")
