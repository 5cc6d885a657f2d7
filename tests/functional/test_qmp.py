"""What a QMP client of vmnetd gets: commands, errors, events, descriptors.

  test --- QMP ---> vmnetd --- sockets --- a VMM, played by the test

SPDX-License-Identifier: GPL-2.0-or-later
"""

import json
import os
import resource
import socket
import stat
import struct
import subprocess
import time

import pytest

from lib.qmp import Qmp, QmpError


@pytest.fixture
def client(daemon):
    """A negotiated client."""
    with Qmp(daemon.socket) as made:
        yield made


def fails(client, command, text, kind='GenericError', **arguments):
    """The command is refused in these words."""
    with pytest.raises(QmpError) as failure:
        client.call(command, **arguments)
    assert failure.value.text == text
    assert failure.value.kind == kind


def add(client, ident='n0', kind='vmnet-shared', **options):
    client.call('netdev_add', type=kind, id=ident, **options)


def export(client, ident='e0', netdev='n0', kind='stream', path=None, **more):
    addr = {'type': 'unix'}
    if path:
        addr['path'] = path
    return client.call('export-add', type=kind, id=ident, netdev=netdev,
                       addr=addr, **more)


def only(items):
    """The one element of a list."""
    assert len(items) == 1, items
    return items[0]


def wait_until(condition, timeout=5):
    """Poll, at most @timeout seconds."""
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, 'did not happen in time'
        time.sleep(0.01)


# Netdevs

ERRORS = [
    ({}, "Parameter 'id' is missing"),
    ({'id': 'n0'}, "Parameter 'type' is missing"),
    ({'id': '', 'type': 'vmnet-host'}, "Parameter 'id' expects an identifier"),
    ({'id': '1a', 'type': 'vmnet-host'}, "Parameter 'id' expects an identifier"),
    ({'id': 'a/b', 'type': 'vmnet-host'}, "Parameter 'id' expects an identifier"),
    ({'id': 'n0', 'type': 'user'}, "Parameter 'type' does not accept value 'user'"),
    ({'id': 'n0', 'type': 'vmnet-host', 'foo': 1}, "Parameter 'foo' is unexpected"),
    ({'id': 'n0', 'type': 'vmnet-host', 'nat66-prefix': 'fd00::'},
     "Parameter 'nat66-prefix' is unexpected"),
    ({'id': 'n0', 'type': 'vmnet-host', 'isolated': 'on'},
     "Invalid parameter type for 'isolated', expected: boolean"),
    ({'id': 'n0', 'type': 'vmnet-bridged', 'ifname': 'none0'},
     "vmnet-bridged needs the system instance of vmnetd "
     "(/run/vmnet/vmnetd.sock), since a user cannot join host interface "
     "'none0': start it as root by 'vmnetd --system', and be root or in group "
     "'vmnet'"),
    ({'id': 'n0', 'type': 'vmnet-bridged', 'mtu': 9000},
     "Parameter 'mtu' is unexpected"),
    ({'id': 'n0', 'type': 'vmnet-shared', 'start-address': '10.0.0.1'},
     "'start-address', 'end-address', 'subnet-mask' should be provided together"),
    ({'id': 'n0', 'type': 'vmnet-host', 'net-uuid': 'x'},
     "Invalid UUID provided in 'net-uuid'"),
    ({'id': 'n0', 'type': 'vmnet-shared', 'hostfwd': ['x']},
     "Invalid host forwarding rule 'x' (No : separators)"),
    ({'id': 'n0', 'type': 'vmnet-shared', 'mac-seed': 'x' * 4224},
     "Parameter 'mac-seed' expects at most 4223 bytes"),
    ({'id': 'n0', 'type': 'vmnet-shared', 'vm': 'a/b'},
     "Parameter 'vm' expects a name of 1 to 127 bytes without '/' and control "
     "characters"),
]


@pytest.mark.parametrize('arguments,text', ERRORS,
                         ids=[error[1][:40] for error in ERRORS])
def test_netdev_add_refuses(client, arguments, text):
    fails(client, 'netdev_add', text, **arguments)
    assert client.call('query-netdevs') == []
    assert client.call('query-networks') == []


def test_ids_belong_to_their_client(daemon, client):
    add(client, vm='one')
    fails(client, 'netdev_add', "Duplicate ID 'n0'", type='vmnet-shared', id='n0')
    with Qmp(daemon.socket) as other:
        add(other, vm='two')
        ids = [netdev['id'] for netdev in other.call('query-netdevs')]
        assert sorted(ids) == ['n0', 'one/n0']
        fails(other, 'netdev_del', "Device 'three/n0' not found",
              'DeviceNotFound', id='three/n0')
        other.call('netdev_del', id='one/n0')
    assert client.call('query-netdevs') == [] or \
        only(client.call('query-netdevs'))['id'] == 'two/n0'
    wait_until(lambda: client.call('query-netdevs') == [])


def test_same_vm_name_twice(daemon, client):
    add(client, vm='web')
    with Qmp(daemon.socket) as other:
        add(other, vm='web')
        names = sorted(netdev['vm'] for netdev in other.call('query-netdevs'))
        assert names == ['web', 'web-2']


def test_netdev_shows_its_network(client):
    add(client, mac='52:54:00:12:34:56', mtu=1400)
    netdev = only(client.call('query-netdevs'))
    network = only(client.call('query-networks'))
    assert netdev['network'] == network['name'] == 'shared'
    assert netdev['mac'] == '52:54:00:12:34:56'
    assert netdev['mtu'] == network['mtu'] == 1400
    assert netdev['subnet'] == network['subnet']
    assert netdev['gateway'] == network['gateway']
    assert not netdev['connected'] and 'port' not in netdev


def test_mac_is_one_netdevs(client):
    add(client, mac='52:54:00:12:34:56')
    fails(client, 'netdev_add', "netdev 'n1': mac 52:54:00:12:34:56 is that of "
          'another netdev on this network', type='vmnet-shared', id='n1',
          mac='52:54:00:12:34:56')
    client.call('netdev_del', id='n0')
    add(client, 'n1', mac='52:54:00:12:34:56')


def test_mac_from_seed_is_the_same_again(client):
    seed = {'mac-seed': 'web net0'}
    add(client, 'n0', **seed)
    first = only(client.call('query-netdevs'))['mac']
    add(client, 'n1', **seed)
    macs = {netdev['mac'] for netdev in client.call('query-netdevs')}
    assert len(macs) == 2
    client.call('netdev_del', id='n0')
    client.call('netdev_del', id='n1')
    add(client, 'n0', **seed)
    assert only(client.call('query-netdevs'))['mac'] == first


def test_client_takes_what_it_holds(daemon, client):
    with Qmp(daemon.socket) as other:
        add(other)
        path = export(other)['path']
        assert stat.S_ISSOCK(os.stat(path).st_mode)
        assert len(client.call('query-netdevs')) == 1
    wait_until(lambda: client.call('query-netdevs') == [])
    assert client.call('query-exports') == []
    assert not os.path.exists(path)


# Exports

def test_vmm_comes_goes_and_comes_back(client):
    add(client, vm='web')
    path = export(client)['path']
    for _ in range(2):
        with socket.socket(socket.AF_UNIX) as vmm:
            vmm.connect(path)
            event = json.loads(client.line())
            assert event['event'] == 'EXPORT_CONNECTED'
            assert event['data'] == {'id': 'web/e0', 'netdev': 'web/n0'}
            netdev = only(client.call('query-netdevs'))
            assert netdev['connected'] and netdev['port'] == 'stream'
        assert json.loads(client.line())['event'] == 'EXPORT_DISCONNECTED'
    assert not only(client.call('query-exports'))['connected']


def test_frame_length_zero_ends_that_connection(client):
    add(client)
    path = export(client)['path']
    with socket.socket(socket.AF_UNIX) as vmm:
        vmm.settimeout(5)
        vmm.connect(path)
        client.line()
        vmm.sendall(struct.pack('!I', 0))
        event = json.loads(client.line())
        assert event['event'] == 'EXPORT_DISCONNECTED'
        assert event['data']['reason']
    assert client.call('query-version')


def test_second_vmm_is_sent_away(client):
    add(client)
    path = export(client)['path']
    with socket.socket(socket.AF_UNIX) as vmm, \
            socket.socket(socket.AF_UNIX) as second:
        vmm.connect(path)
        second.settimeout(5)
        second.connect(path)
        assert second.recv(1) == b''
        assert only(client.call('query-exports'))['connected']


def test_second_vmm_takes_over_at_once(client):
    """The old connection ends while the new one waits."""
    add(client)
    path = export(client)['path']
    with socket.socket(socket.AF_UNIX) as second:
        with socket.socket(socket.AF_UNIX) as vmm:
            vmm.connect(path)
            second.settimeout(0.7)
            second.connect(path)
            time.sleep(0.05)
        with pytest.raises(socket.timeout):
            while second.recv(4096):
                pass
        assert only(client.call('query-exports'))['connected']


def test_connects_to_a_listening_vmm(daemon, client):
    path = os.path.join(daemon.folder, 'vmm.sock')
    add(client)
    fails(client, 'export-add', "cannot connect to '%s': No such file or "
          'directory' % path, type='stream', id='e0', netdev='n0',
          addr={'type': 'unix', 'path': path}, server=False)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        listener.settimeout(5)
        assert export(client, path=path, server=False)['connected']
        for _ in range(2):
            vmm, _ = listener.accept()
            vmm.close()     # and vmnetd comes again
    assert os.path.exists(path)


def test_datagram_socket(daemon, client):
    add(client)
    path = export(client, kind='dgram')['path']
    for number in range(2):
        own = os.path.join(daemon.folder, 'vmm-%d.sock' % number)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as vmm:
            vmm.bind(own)
            vmm.connect(path)
            vmm.send(b'\xff' * 6 + b'\x52\x54\0\0\0\1' + b'\x08\x06' + bytes(46))
            wait_until(lambda: only(client.call('query-exports'))['connected'])
        client.call('export-del', id='e0')
        assert not os.path.exists(path)
        path = export(client, kind='dgram')['path']


@pytest.mark.parametrize('name', ['a b', 'with,comma', 'key=value',
                                  'd' * 60 + '/' + 'd' * 60 + '/vmm'],
                         ids=['space', 'comma', 'equals', 'long'])
def test_odd_paths(daemon, client, name):
    path = os.path.join(daemon.folder, name)
    folder, base = os.path.split(path)
    os.makedirs(folder, exist_ok=True)
    add(client)
    assert export(client, path=path)['path'] == path
    reached = os.open(folder, os.O_PATH)
    with socket.socket(socket.AF_UNIX) as vmm:
        vmm.connect('/proc/self/fd/%d/%s' % (reached, base))
        wait_until(lambda: only(client.call('query-exports'))['connected'])
    os.close(reached)
    client.call('export-del', id='e0')
    assert not os.path.exists(path)


def test_export_refuses(daemon, client):
    taken = os.path.join(daemon.folder, 'file')
    with open(taken, 'w', encoding='ascii'):
        pass
    add(client)
    arguments = {'type': 'stream', 'id': 'e0', 'netdev': 'n0'}
    fails(client, 'export-add', "Device 'zz' not found", 'DeviceNotFound',
          type='stream', id='e0', netdev='zz', addr={'type': 'unix'})
    fails(client, 'export-add', "path 'relative' is not absolute",
          addr={'type': 'unix', 'path': 'relative'}, **arguments)
    fails(client, 'export-add', "path '%s' exists and is not a socket of ours"
          % taken, addr={'type': 'unix', 'path': taken}, **arguments)
    fails(client, 'export-add', "File descriptor named 'x' not found",
          addr={'type': 'fd', 'str': 'x'}, **arguments)
    assert os.path.exists(taken)
    export(client)
    fails(client, 'export-add', "Duplicate ID 'e0'", addr={'type': 'unix'},
          **arguments)
    fails(client, 'export-del', "Export 'zz' is not found", id='zz')


def test_path_in_use_is_not_taken_over(daemon, client):
    path = os.path.join(daemon.folder, 'vmm.sock')
    add(client)
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(path)
        other.listen()
        fails(client, 'export-add', "path '%s' is in use" % path, type='stream',
              id='e0', netdev='n0', addr={'type': 'unix', 'path': path})
    assert export(client, path=path)['path'] == path    # a dead one is


# Descriptors

def test_descriptors(client):
    ours, theirs = socket.socketpair()
    add(client)
    fails(client, 'getfd', 'No file descriptor supplied via SCM_RIGHTS',
          fdname='vmm')
    with pytest.raises(QmpError, match='not starting with a digit'):
        client.call('getfd', [theirs.fileno()], fdname='1')
    client.call('getfd', [theirs.fileno()], fdname='vmm')
    theirs.close()
    assert client.call('export-add', type='stream', id='e0', netdev='n0',
                       addr={'type': 'fd', 'str': 'vmm'})['connected']
    fails(client, 'closefd', "File descriptor named 'vmm' not found",
          fdname='vmm')      # it was consumed
    ours.close()
    wait_until(lambda: not only(client.call('query-exports'))['connected'])


def test_descriptor_of_another_kind_stays(client):
    reader, writer = os.pipe()
    add(client)
    client.call('getfd', [reader], fdname='p')
    fails(client, 'export-add', "file descriptor 'p' is not a socket that a "
          'stream export can use', type='stream', id='e0', netdev='n0',
          addr={'type': 'fd', 'str': 'p'})
    client.call('closefd', fdname='p')
    os.close(reader)
    with pytest.raises(BrokenPipeError):
        os.write(writer, b'x')
    os.close(writer)


def test_seventeenth_descriptor_is_refused(client):
    reader, writer = os.pipe()
    for number in range(16):
        client.call('getfd', [reader], fdname='p%d' % number)
    client.call('getfd', [reader], fdname='p0')
    with pytest.raises(QmpError, match='too many file descriptors'):
        client.call('getfd', [reader], fdname='one-more')
    os.close(reader)
    os.close(writer)


def test_descriptor_that_finds_no_place(daemon, client):
    pid = daemon.pids()[0]
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    reader, writer = os.pipe()
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, before[1]))
    try:
        with pytest.raises(QmpError, match='its limit allows; raise it'):
            client.call('getfd', [reader], fdname='p')
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
    client.call('getfd', [reader], fdname='p')
    fails(client, 'getfd', 'No file descriptor supplied via SCM_RIGHTS',
          fdname='q')
    os.close(reader)
    os.close(writer)


def test_listening_descriptor(daemon, client):
    path = os.path.join(daemon.folder, 'listen.sock')
    add(client)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        client.call('getfd', [listener.fileno()], fdname='l')
        fails(client, 'export-add', "file descriptor 'l' is not a listening "
              'socket', type='stream', id='e0', netdev='n0', server=True,
              addr={'type': 'fd', 'str': 'l'})
        listener.listen()
        client.call('export-add', type='stream', id='e0', netdev='n0',
                    server=True, addr={'type': 'fd', 'str': 'l'})
    with socket.socket(socket.AF_UNIX) as vmm:
        vmm.connect(path)
        wait_until(lambda: only(client.call('query-exports'))['connected'])


# Forwards

def free_port():
    """A port that is free; bound and closed just now."""
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


def test_forward_lifetimes(daemon, client):
    with Qmp(daemon.socket) as other:
        add(client, vm='web')
        made = other.call('forward-add', netdev='web/n0', lifetime='client', **{
            'host-address': '127.0.0.1', 'host-port': 0, 'guest-port': 22})
        assert made['host-port'] > 0 and made['lifetime'] == 'client'
        assert made['netdev'] == 'web/n0'
        assert len(client.call('query-forwards')) == 1
    wait_until(lambda: client.call('query-forwards') == [])
    client.call('forward-add', netdev='n0', lifetime='netdev', **{
        'host-address': '127.0.0.1', 'host-port': 0, 'guest-port': 22})
    client.call('forward-add', netdev='n0', **{
        'host-address': '127.0.0.1', 'host-port': 0, 'guest-port': 23})
    assert len(client.call('query-forwards')) == 2
    client.call('netdev_del', id='n0')
    assert client.call('query-forwards') == []


def test_hostfwd_on_a_taken_port(client):
    with socket.socket() as taken:
        taken.bind(('127.0.0.1', 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(QmpError) as failure:
            add(client, hostfwd=['tcp:127.0.0.1:%d-:22' % port])
        assert '127.0.0.1' in failure.value.text
        assert str(port) in failure.value.text
        assert 'in use' in failure.value.text
    assert client.call('query-netdevs') == []
    assert client.call('query-forwards') == []


def test_forward_remove_and_errors(client):
    add(client)
    port = free_port()
    client.call('forward-add', netdev='n0', **{
        'host-address': '127.0.0.1', 'host-port': port, 'guest-port': 22})
    arguments = {'host-address': '127.0.0.1', 'host-port': port}
    client.call('forward-remove', **arguments)
    fails(client, 'forward-remove', 'no tcp forward listens on 127.0.0.1 port %d'
          % port, 'DeviceNotFound', **arguments)
    fails(client, 'forward-add',
          "one of 'netdev', 'guest-address', 'guest' is needed",
          **{'host-port': 1, 'guest-port': 1})
    fails(client, 'forward-add', 'guest-port 0 is not a port', netdev='n0',
          **{'host-port': 1, 'guest-port': 0})
    fails(client, 'forward-add', "no guest 'nobody' has a lease now",
          guest='nobody', **{'host-port': 0, 'guest-port': 1})


# The rest

def test_every_command_is_in_the_schema(client):
    names = {entry['name'] for entry in client.call('query-commands')}
    schema = client.call('query-qmp-schema')
    assert names == {entry['name'] for entry in schema
                     if entry['meta-type'] == 'command'}
    assert {'netdev_add', 'export-add', 'forward-add', 'quit'} <= names


def test_netdev_add_is_found_as_libvirt_finds_it(client):
    """arg-type -> variants -> case, as with QEMU's schema."""
    schema = {entry['name']: entry for entry in client.call('query-qmp-schema')}
    netdev = schema[schema['netdev_add']['arg-type']]
    cases = {variant['case']: variant['type'] for variant in netdev['variants']}
    assert set(cases) == {'vmnet-host', 'vmnet-shared', 'vmnet-bridged'}
    members = {member['name'] for member in
               schema[cases['vmnet-host']]['members']}
    assert {'start-address', 'net-uuid', 'isolated', 'hostfwd'} <= members


def test_client_that_does_not_read(daemon, client):
    """It loses events; the daemon goes on, and others lose nothing."""
    with Qmp(daemon.socket) as deaf:
        deaf.socket.sendall(b'{"execute": "query-qmp-schema"}' * 40)
        for _ in range(300):
            add(client)
            client.call('netdev_del', id='n0')
        assert client.call('query-version')


def test_many_clients(daemon):
    clients = [Qmp(daemon.socket) for _ in range(200)]
    for one in clients:
        assert one.call('query-version')
        one.close()


def test_another_user_is_refused(daemon):
    if os.getuid() != 0:
        pytest.skip('needs root to become another user')
    os.chmod(daemon.folder, 0o755)
    for folder in (daemon.runtime, os.path.dirname(daemon.socket)):
        os.chmod(folder, 0o755)
    os.chmod(daemon.socket, 0o666)
    answer = json.loads(subprocess.check_output(
        ['/usr/bin/python3', '-c', 'import socket, sys\n'
         's = socket.socket(socket.AF_UNIX)\n'
         's.connect(sys.argv[1])\n'
         'print(s.recv(4096).decode())', daemon.socket],
        user=65534, timeout=20))
    assert answer['error']['desc'] == 'this vmnetd belongs to another user'
