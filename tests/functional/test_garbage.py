"""Bad input of every kind: a clear error, and nothing lost or half made.

  test -- bytes, descriptors, paths, files, options --> vmnetd

Whatever happens, afterwards the daemon is the same process, has the
descriptors that it had before, and serves the next client.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import contextlib
import os
import random
import select
import socket
import stat
import struct
import subprocess
import time

import pytest

from lib.instance import BUILD
from lib.qmp import Qmp, QmpError
from lib.vmm import Silence, Vmm

ASAN = 'asan' in os.path.basename(BUILD)
CLIENTS_MAX = 256       # LIMIT_CLIENTS


def wait_until(condition, timeout=10):
    """Poll, at most @timeout seconds."""
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, 'did not happen in time'
        time.sleep(0.01)


def engine(instance):
    """The engine's pid."""
    return instance.pids()[0]


def count_fds(pid):
    """Open descriptors of a process."""
    return len(os.listdir('/proc/%d/fd' % pid))


@pytest.fixture
def unharmed(daemon):
    """A daemon that is looked at before and after."""
    pid = engine(daemon)
    # Made once and kept: a network, its uplink.
    with Qmp(daemon.socket) as client:
        client.call('netdev_add', type='vmnet-shared', id='warm')
    wait_until(lambda: len(daemon.ctl()['netdevs']) == 0)
    before = count_fds(pid)
    yield daemon
    assert engine(daemon) == pid
    wait_until(lambda: count_fds(pid) <= before)


@pytest.fixture
def client(unharmed):
    """A negotiated client of it."""
    with Qmp(unharmed.socket) as made:
        yield made


def refused(client, command, *texts, **arguments):
    """The command fails, and says each of @texts."""
    with pytest.raises(QmpError) as failure:
        client.call(command, **arguments)
    for text in texts:
        assert text in failure.value.text
    return failure.value.text


# Bytes on the QMP socket

def long_member():
    """A request of which one string is longer than requests may be."""
    return b'{"execute": "' + b'x' * (3 << 20) + b'"}\n'


GARBAGE = {
    'random': random.Random(1).randbytes(200000),
    'zeros': bytes(50000),
    'deep': b'[' * 30000 + b']' * 30000,
    'open': b'{"execute": {"a": [' * 20000,
    'long': long_member(),
    'tokens': b'[' + b'0,' * 40000 + b'0]',
    'escapes': b'"' + b'\\ud800' * 50000 + b'"',
    'utf-8': b'{"execute": "\xc0\x80\xed\xa0\x80\xf8\x88\x80\x80\x80"}' * 1000,
    'numbers': b'{"id": 1' + b'0' * 60000 + b'e999999999}\n',
    'ids': b'{"execute": "x", "id": ' + b'[' * 900 + b']' * 900 + b'}\n',
    'members': b'{' + b','.join(b'"%d": 1' % n for n in range(20000)) + b'}',
    'http': b'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n' * 100,
    'empty': b'\r\n \t' * 50000,
}


def send_and_drain(path, data):
    """Send all of @data and read what comes; whoever hangs up may do so."""
    with socket.socket(socket.AF_UNIX) as one:
        one.connect(path)
        assert one.recv(4096).startswith(b'{"QMP": ')
        one.setblocking(False)
        sent = 0
        end = time.monotonic() + 20
        while sent < len(data) and time.monotonic() < end:
            readable, writable, _ = select.select([one], [one], [], 5)
            with contextlib.suppress(BlockingIOError, BrokenPipeError,
                                     ConnectionResetError):
                if readable:
                    if not one.recv(1 << 20):
                        return
                if writable:
                    sent += one.send(data[sent:sent + 65536])
        assert sent == len(data), 'the daemon stopped reading'


@pytest.mark.parametrize('kind', sorted(GARBAGE))
@pytest.mark.parametrize('negotiated', [False, True])
def test_garbage_on_the_qmp_socket(unharmed, kind, negotiated):
    rss = unharmed.rss_kib()
    prefix = b'{"execute": "qmp_capabilities"}' if negotiated else b''
    for _ in range(3):
        send_and_drain(unharmed.socket, prefix + GARBAGE[kind])
    if not ASAN:        # whose allocator keeps what was freed for a while
        assert unharmed.rss_kib() - rss < 16 * 1024


def test_random_requests(client):
    """Every command with arguments of every wrong kind."""
    values = ['', 'x' * 5000, '../..', 'n0', -1, 0, 1 << 63, -(1 << 63), 1.5,
              True, None, [], {}, [[]], {'type': 'unix', 'path': '/'},
              {'type': 'fd', 'str': 'x'}, ['tcp::0-:0']]
    names = ['id', 'type', 'netdev', 'addr', 'host-port', 'guest-port', 'guest',
             'fdname', 'network', 'path', 'mtu', 'mac', 'hostfwd', 'enable']
    dice = random.Random(7)
    commands = [entry['name'] for entry in client.call('query-commands')
                if entry['name'] != 'quit']
    for _ in range(1500):
        arguments = {dice.choice(names): dice.choice(values)
                     for _ in range(dice.randrange(4))}
        with contextlib.suppress(QmpError):
            client.call(dice.choice(commands), **arguments)
    assert client.call('query-netdevs') == []
    assert client.call('query-exports') == []


def test_thousands_of_half_open_connections(unharmed):
    """Nobody says anything; the first are served, the rest are told."""
    crowd = []
    refusals = 0
    for _ in range(2000):
        one = socket.socket(socket.AF_UNIX)
        one.settimeout(10)
        one.connect(unharmed.socket)
        crowd.append(one)
    for one in crowd:
        text = one.recv(4096)
        if b'too many clients' in text:
            refusals += 1
        else:
            assert text.startswith(b'{"QMP": ')
    assert refusals == 2000 - CLIENTS_MAX
    for one in crowd:
        one.close()

    def is_served():
        with contextlib.suppress(OSError), \
                Qmp(unharmed.socket, negotiate=False) as after:
            return after.greeting.startswith(b'{"QMP": ')
    wait_until(is_served)


def test_client_that_never_reads(unharmed):
    """Its requests wait; what is kept for it has a bound."""
    rss = unharmed.rss_kib()
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.connect(unharmed.socket)
        deaf.setblocking(False)
        request = b'{"execute": "qmp_capabilities"}' \
            + b'{"execute": "query-qmp-schema"}' * 1000
        sent = 0
        with contextlib.suppress(BlockingIOError):
            while sent < 16 << 20:
                sent += deaf.send(request)
        assert sent < 16 << 20
        with Qmp(unharmed.socket) as other:
            for _ in range(100):
                other.call('netdev_add', type='vmnet-shared', id='n0')
                other.call('netdev_del', id='n0')
        if not ASAN:
            assert unharmed.rss_kib() - rss < 16 * 1024


# Descriptors

def open_kinds(folder):
    """Descriptors that no export can use: {kind: number}."""
    pipe = os.pipe()
    inet = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    lonely = socket.socket(socket.AF_UNIX)
    return {
        'file': os.open(os.path.join(folder, 'plain'), os.O_RDWR | os.O_CREAT),
        'directory': os.open(folder, os.O_RDONLY),
        'path': os.open(folder, os.O_PATH),
        'pipe': pipe[0], 'pipe2': pipe[1],
        'null': os.open('/dev/null', os.O_RDWR),
        'memory': os.memfd_create('x'),
        'pidfd': os.pidfd_open(os.getpid()),
        'inet': inet.detach(),
        'unconnected': lonely.detach(),
    }


@pytest.mark.parametrize('server', [None, True, False])
@pytest.mark.parametrize('kind', ['stream', 'dgram'])
def test_descriptors_of_the_wrong_kind(unharmed, client, kind, server):
    client.call('netdev_add', type='vmnet-shared', id='n0')
    more = {} if server is None else {'server': server}
    for name, fd in open_kinds(unharmed.folder).items():
        client.call('getfd', [fd], fdname=name)
        os.close(fd)
        # A datagram socket of any family waits for its first sender.
        if (kind, name) != ('dgram', 'inet'):
            refused(client, 'export-add', name, type=kind, id='e0', netdev='n0',
                    addr={'type': 'fd', 'str': name}, **more)
            assert client.call('query-exports') == []
        client.call('closefd', fdname=name)
    client.call('netdev_del', id='n0')


def test_descriptors_that_nobody_asked_for(unharmed, client):
    """With a command that takes none, too many, one after the other."""
    null = os.open('/dev/null', os.O_RDWR)
    for count in (1, 16, 17, 100, 253):
        for _ in range(20):
            client.ask(b'{"execute": "query-version"}', [null] * count)
    os.close(null)
    pid = engine(unharmed)
    assert count_fds(pid) < 60


def test_a_vmm_that_is_its_own_daemon(unharmed, client):
    """The other end of an export is the QMP socket: two protocols meet."""
    client.call('netdev_add', type='vmnet-shared', id='n0')
    with contextlib.suppress(QmpError):
        client.call('export-add', type='stream', id='e0', netdev='n0',
                    server=False,
                    addr={'type': 'unix', 'path': unharmed.socket})
    assert client.call('query-version')
    client.call('netdev_del', id='n0')


# Paths of exports

@pytest.fixture
def lumber(unharmed):
    """Things that lie where an export's socket is to be: {kind: path}."""
    folder = os.path.join(unharmed.folder, 'lumber')
    os.mkdir(folder)
    place = {kind: os.path.join(folder, kind) for kind in (
        'directory', 'file', 'fifo', 'link', 'dangling', 'link-to-socket')}
    os.mkdir(place['directory'])
    with open(place['file'], 'w', encoding='ascii') as text:
        text.write('precious')
    os.mkfifo(place['fifo'])
    os.symlink(place['file'], place['link'])
    os.symlink(folder + '/nowhere', place['dangling'])
    os.symlink(unharmed.socket, place['link-to-socket'])
    return place


@pytest.mark.parametrize('kind', ['directory', 'file', 'fifo', 'link',
                                  'dangling', 'link-to-socket'])
def test_export_path_with_something_there(unharmed, client, lumber, kind):
    path = lumber[kind]
    before = os.lstat(path)
    client.call('netdev_add', type='vmnet-shared', id='n0')
    refused(client, 'export-add', "path '%s' exists and is not a socket of ours"
            % path, type='stream', id='e0', netdev='n0',
            addr={'type': 'unix', 'path': path})
    after = os.lstat(path)
    assert (before.st_ino, before.st_mode) == (after.st_ino, after.st_mode)
    assert client.call('query-exports') == []
    client.call('netdev_del', id='n0')


@pytest.mark.parametrize('path, text', [
    ('', 'is not absolute'),
    ('relative', 'is not absolute'),
    ('/proc/version/x', 'Not a directory'),
    ('/nonexistent/x', 'No such file or directory'),
    ('/' + 'x' * 81, 'file name is longer than 80 bytes'),
    ('/x' * 3000, 'File name too long'),
], ids=['empty', 'relative', 'file', 'missing', 'long-name', 'long-path'])
def test_export_path_that_cannot_be(client, path, text):
    client.call('netdev_add', type='vmnet-shared', id='n0')
    refused(client, 'export-add', text, type='stream', id='e0', netdev='n0',
            addr={'type': 'unix', 'path': path})
    assert client.call('query-exports') == []
    client.call('netdev_del', id='n0')


def test_socket_of_another_user_is_not_replaced(unharmed, client):
    if os.getuid() != 0:
        pytest.skip('needs root to give a socket away')
    path = os.path.join(unharmed.folder, 'theirs')
    with socket.socket(socket.AF_UNIX) as theirs:
        theirs.bind(path)
    os.chown(path, 65534, 65534)
    client.call('netdev_add', type='vmnet-shared', id='n0')
    refused(client, 'export-add', 'is not a socket of ours', type='stream',
            id='e0', netdev='n0', addr={'type': 'unix', 'path': path})
    assert os.path.exists(path)
    client.call('netdev_del', id='n0')


# Names

@pytest.mark.parametrize('name', [
    '', '.', '..', '../x', 'a/b', '/etc', 'a/../../b', ' ', 'a b', 'a\nb',
    'a\0b', '-x', 'x' * 300, 'é', '~', '*', '.hidden', 'a\\b'])
def test_names_of_networks(unharmed, client, name):
    refused(client, 'netdev_add', 'is not a name', type='vmnet-shared',
            id='n0', network=name)
    assert client.call('query-networks') == [] or \
        client.call('query-networks')[0]['name'] == 'shared'
    kept = os.path.join(unharmed.state, 'vmnet')
    assert set(os.listdir(kept)) <= {'networks', 'lock'}
    assert not os.path.exists(kept + '/networks') or \
        set(os.listdir(kept + '/networks')) <= {'shared'}


@pytest.mark.parametrize('name', ['a..', 'a.b-c_d', '0', 'x' * 32])
def test_odd_names_that_are_allowed(daemon, name):
    with Qmp(daemon.socket) as client:
        client.call('netdev_add', type='vmnet-shared', id='n0', network=name)
        assert client.call('query-networks')[0]['name'] == name


# Files of networks

def plant(path, kind):
    """Something other than what the daemon wrote; what it was before."""
    with open(path, 'rb') as text:
        good = text.read()
    os.unlink(path)
    if kind == 'directory':
        os.mkdir(path)
    elif kind == 'link':
        os.symlink('/etc/passwd', path)
    elif kind == 'fifo':
        os.mkfifo(path)
    else:
        text = {'random': random.Random(3).randbytes(5000), 'empty': b'',
                'cut': good[:len(good) // 2], 'nul': good[:40] + b'\0' + good[40:],
                'version': good.replace(b'1', b'9'),
                'long': good + b'#' * (17 << 20)}[kind]
        with open(path, 'wb') as out:
            out.write(text)


def guest_with_a_lease(instance, **options):
    """A guest was there; its address."""
    with instance.qmp() as client:
        _, path = instance.netdev(client, **options)
        with Vmm(path) as vmm:
            return vmm.lease()


@pytest.mark.parametrize('file', ['leases', 'network'])
@pytest.mark.parametrize('kind', ['random', 'empty', 'cut', 'nul', 'version',
                                  'long', 'directory', 'link', 'fifo'])
def test_damaged_files_of_networks(idle_daemon, file, kind):
    """Set aside where it is a file; in any case the network works."""
    path = os.path.join(idle_daemon.state, 'vmnet', 'networks', 'shared', file)
    idle_daemon.start()
    guest_with_a_lease(idle_daemon)
    idle_daemon.daemon.terminate()
    assert idle_daemon.daemon.wait(20) == 0     # all is written by now
    plant(path, kind)
    idle_daemon.start()
    assert guest_with_a_lease(idle_daemon)
    if kind not in ('directory', 'link', 'fifo'):
        assert '%s is damaged' % path in idle_daemon.stderr()
        assert 'set aside as %s.damaged' % path in idle_daemon.stderr()
        assert os.path.exists(path + '.damaged')
    assert idle_daemon.stderr().count('damaged (') <= 1


# Directories

def vmnetd(instance, *options, prefix=()):
    """vmnetd to its end, which is to be soon."""
    return subprocess.run(
        [*prefix, os.path.join(BUILD, 'vmnetd', 'vmnetd'), *options],
        env=instance.env, text=True, stdin=subprocess.DEVNULL,
        capture_output=True, timeout=20, check=False)


@pytest.mark.parametrize('kind, text', [
    ('link', 'is not a directory but a symbolic link'),
    ('file', 'File exists'), ('group', 'others may write to it'),
    ('foreign', 'belongs to uid 65534')])
def test_planted_runtime_directory(idle_daemon, kind, text):
    path = os.path.join(idle_daemon.runtime, 'vmnet')
    if kind == 'foreign' and os.getuid() != 0:
        pytest.skip('needs root to give a directory away')
    if kind == 'link':
        os.mkdir(idle_daemon.folder + '/target')
        os.symlink(idle_daemon.folder + '/target', path)
    elif kind == 'file':
        with open(path, 'w', encoding='ascii'):
            pass
    else:
        os.mkdir(path, 0o700)
        if kind == 'group':
            os.chmod(path, 0o770)
        else:
            os.chown(path, 65534, 65534)
    for done in (vmnetd(idle_daemon),
                 idle_daemon.run('vmnet-run', '--network', 'shared', '--',
                                 'true')):
        assert done.returncode in (1, 125)
        assert path in done.stderr
        assert text in done.stderr or 'is not a directory' in done.stderr
    assert not os.path.exists(idle_daemon.folder + '/target/vmnetd.sock')


@pytest.mark.parametrize('kind', ['link', 'group'])
def test_planted_state_directory(idle_daemon, kind):
    path = os.path.join(idle_daemon.state, 'vmnet')
    os.mkdir(idle_daemon.folder + '/target')
    if kind == 'link':
        os.symlink(idle_daemon.folder + '/target', path)
    else:
        os.mkdir(path)
        os.chmod(path, 0o770)
    idle_daemon.start()
    assert guest_with_a_lease(idle_daemon)
    assert idle_daemon.stderr().count('kept in memory only') == 1
    assert path in idle_daemon.stderr()
    assert os.listdir(idle_daemon.folder + '/target') == []


# Sockets' paths

@pytest.mark.parametrize('name', ['with space', 'with,comma', 'key=value',
                                  '%s%n', 'é', 'new\nline', "quo'te",
                                  'd' * 60 + '/' + 'd' * 60 + '/x'])
def test_odd_paths_of_the_daemon(idle_daemon, name):
    path = os.path.join(idle_daemon.folder, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    idle_daemon.env['VMNET_SOCKET'] = path
    done = idle_daemon.run('vmnet-run', '--network', 'shared', '--', 'true')
    try:
        assert done.returncode == 0, done.stderr
        about = idle_daemon.ctl()
        assert stat.S_ISSOCK(os.stat(path).st_mode)
        assert about
    finally:
        assert idle_daemon.run('vmnetctl', 'stop').returncode == 0
    assert not os.path.exists(path)


# Ports

def test_hostfwd_on_a_privileged_port(idle_daemon):
    with open('/proc/sys/net/ipv4/ip_unprivileged_port_start',
              encoding='ascii') as text:
        first = int(text.read())
    if first <= 1:
        pytest.skip('here all ports are for everybody')
    # Root without its capabilities is an ordinary user here.
    prefix = ['setpriv', '--bounding-set=-all', '--inh-caps=-all'] \
        if os.getuid() == 0 else []
    idle_daemon.start(prefix=prefix)
    with Qmp(idle_daemon.socket) as client:
        refused(client, 'netdev_add', '127.0.0.1:%d/tcp' % (first - 1),
                'Permission denied', 'ip_unprivileged_port_start',
                type='vmnet-shared', id='n0',
                hostfwd=['tcp:127.0.0.1:0-:1',
                         'tcp:127.0.0.1:%d-:80' % (first - 1)])
        assert client.call('query-netdevs') == []
        assert client.call('query-forwards') == []


@pytest.mark.parametrize('proto', ['tcp', 'udp'])
def test_hostfwd_on_a_port_that_is_taken(unharmed, client, proto):
    kind = socket.SOCK_STREAM if proto == 'tcp' else socket.SOCK_DGRAM
    with socket.socket(socket.AF_INET, kind) as taken:
        taken.bind(('127.0.0.1', 0))
        if proto == 'tcp':
            taken.listen()
        port = taken.getsockname()[1]
        refused(client, 'netdev_add', '127.0.0.1:%d/%s' % (port, proto),
                'Address already in use', type='vmnet-shared', id='n0',
                hostfwd=['tcp:127.0.0.1:0-:1',
                         '%s:127.0.0.1:%d-:80' % (proto, port)])
        assert client.call('query-netdevs') == []
        assert client.call('query-forwards') == []


# Options that contradict each other, or what is in force

UUID = '53f56307-b6bf-11d0-94f2-00a0c91efb8b'


@pytest.mark.parametrize('more', [
    {'network': 'lab'}, {'dhcp': True}, {'dns': True},
    {'start-address': '10.9.0.1', 'end-address': '10.9.0.9',
     'subnet-mask': '255.255.255.0'}])
def test_net_uuid_with_what_it_excludes(client, more):
    text = refused(client, 'netdev_add', 'net-uuid', type='vmnet-host', id='n0',
                   **{'net-uuid': UUID}, **more)
    assert sorted(more)[0] in text or 'network' in text
    assert client.call('query-netdevs') == []


IN_FORCE = {'mtu': 9000, 'lease-time': 120, 'dns': False}


@pytest.mark.parametrize('key, wanted, in_force', [
    ('mtu', 1400, '9000'), ('lease-time', 60, '120'), ('dns', True, 'off')])
def test_what_is_written_is_honoured_or_refused(client, key, wanted, in_force):
    """adopt takes over what was not written, and nothing else."""
    client.call('netdev_add', type='vmnet-shared', id='n0', network='lab',
                **IN_FORCE)
    client.call('netdev_add', type='vmnet-shared', id='n1', network='lab')
    refused(client, 'netdev_add', key, in_force, type='vmnet-shared', id='n2',
            network='lab', **{key: wanted})
    refused(client, 'netdev_add', *IN_FORCE, type='vmnet-shared', id='n2',
            network='lab', match='strict')
    assert len(client.call('query-netdevs')) == 2
    client.call('netdev_add', type='vmnet-shared', id='n2', network='lab',
                match='strict', **IN_FORCE)
    for ident in ('n0', 'n1', 'n2'):
        client.call('netdev_del', id=ident)


def test_strictly_the_addresses_must_be_those_of_the_defaults(daemon):
    """Wherever a network that was made by defaults is."""
    with Qmp(daemon.socket) as client:
        client.call('netdev_add', type='vmnet-host', id='n0', network='lobby')
        client.call('netdev_add', type='vmnet-host', id='n1', network='lobby',
                    match='strict')
        client.call('netdev_add', type='vmnet-shared', id='n2', network='hall',
                    **{'start-address': '10.9.0.1', 'end-address': '10.9.0.99',
                       'subnet-mask': '255.255.0.0',
                       'nat66-prefix': 'fd12:3456:789a:1::'})
        client.call('netdev_add', type='vmnet-shared', id='n3', network='hall')
        refused(client, 'netdev_add', 'start-address', '10.9.0.1 is in force',
                'end-address', '10.9.0.99 is in force', 'subnet-mask',
                '255.255.0.0 is in force', 'nat66-prefix',
                'fd12:3456:789a:1:: is in force', type='vmnet-shared', id='n4',
                network='hall', match='strict')


def test_modes_of_one_network_differ(daemon):
    with Qmp(daemon.socket) as client:
        client.call('netdev_add', type='vmnet-shared', id='n0', network='lab')
        refused(client, 'netdev_add', 'mode', 'lab', type='vmnet-host', id='n1',
                network='lab')
        assert len(client.call('query-netdevs')) == 1


# VMMs

@pytest.mark.parametrize('data', [
    struct.pack('!I', 0), struct.pack('!I', 1 << 31), b'\xff' * 4096,
    struct.pack('!I', 1) + b'x' + struct.pack('!I', 13) + bytes(13),
    b'GET / HTTP/1.0\r\n\r\n', struct.pack('!I', 60) + b'half'],
    ids=['zero', 'giant', 'ones', 'runts', 'http', 'half'])
def test_streams_that_are_none(unharmed, client, data):
    """That connection ends, and the next one works."""
    _, path = unharmed.netdev(client)
    for _ in range(5):
        with socket.socket(socket.AF_UNIX) as vmm:
            vmm.connect(path)
            with contextlib.suppress(BrokenPipeError):
                vmm.sendall(data)
    wait_until(lambda: not client.call('query-exports')[0]['connected'])
    end = time.monotonic() + 5
    while True:
        try:
            with Vmm(path) as vmm:
                assert vmm.lease()
                break
        except Silence:     # it waited behind the last one
            assert time.monotonic() < end
    client.call('netdev_del', id='n1')


# The end

@pytest.mark.parametrize('way', ['quit', 'SIGTERM', 'stop'])
def test_ends_clean_after_work(idle_daemon, way):
    """Under sanitizers: nothing is leaked by whatever way it ends."""
    idle_daemon.start('--netdev', 'vmnet-host,id=own')
    guest_with_a_lease(idle_daemon, hostfwd=['tcp:127.0.0.1:0-:22'])
    with Qmp(idle_daemon.socket) as client:
        client.call('netdev_add', type='vmnet-shared', id='n9')
        client.call('getfd', [0], fdname='left')
        if way == 'quit':
            client.call('quit')
        elif way == 'SIGTERM':
            idle_daemon.daemon.terminate()
        else:
            done = idle_daemon.run('vmnetctl', 'stop')
            assert done.returncode == 0, done.stderr
    assert idle_daemon.daemon.wait(20) == 0, idle_daemon.stderr()
    assert not idle_daemon.sanitizer_reports()
