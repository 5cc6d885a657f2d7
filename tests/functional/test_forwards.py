"""Forwards that were added by command, before and after a daemon's death.

  a peer on the host --> forward --> Vmm, which connects again
                            ^ kill -9 of the engine, or of the supervisor, too

SPDX-License-Identifier: GPL-2.0-or-later
"""

import os
import signal
import socket
import time

import pytest

from lib.instance import is_running
from lib.qmp import QmpError
from lib.vmm import Vmm

MAC = '52:54:00:12:34:56'
LOOPBACK = {'host_address': '127.0.0.1', 'host_port': 0}
SHOWN = ['network', 'protocol', 'host-address', 'host-port', 'netdev',
         'guest-address', 'guest-port', 'lifetime']


def wait_until(condition, timeout=10):
    """Poll, at most @timeout seconds."""
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, 'did not happen in time'
        time.sleep(0.01)


def forwards(instance):
    """All of them, in an order of their own."""
    with instance.qmp() as client:
        found = [{key: one.get(key) for key in SHOWN}
                 for one in client.call('query-forwards')]
    return sorted(found, key=str)


def kill(instance, who, *options):
    """The engine, which its supervisor starts again; or both, and a new start."""
    pids = instance.pids()
    for pid in reversed(pids) if who == 'both' else pids[:1]:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not is_running(pids[0]))
    if who == 'both':
        instance.daemon.wait()
        instance.start(*options)
    assert instance.pids()[0] != pids[0]    # it answers: what it restores is there


def wait_written(path, *texts):
    """A file has all of @texts: what is on disk outlives its writer."""
    def has_all():
        if not os.path.exists(path):
            return False
        with open(path, encoding='utf-8') as text:
            kept = text.read()
        return all(text in kept for text in texts)
    wait_until(has_all)


def reaches(forward, vmm):
    """A peer of the host speaks to that forward, and the guest hears it."""
    kind = {'tcp': socket.SOCK_STREAM, 'udp': socket.SOCK_DGRAM}
    with socket.socket(type=kind[forward['protocol']]) as peer:
        peer.setblocking(False)
        peer.connect_ex(('127.0.0.1', forward['host-port']))
        if forward['protocol'] == 'tcp':
            return vmm.await_syn(forward['guest-port'])
        peer.send(b'hello')
        return vmm.await_datagram(forward['guest-port'])


@pytest.mark.parametrize('who', ['engine', 'both'])
def test_they_are_there_again(daemon, who):
    """Of each lifetime but the client's, which went with it."""
    record = os.path.join(os.path.dirname(daemon.socket), 'record.json')
    with daemon.qmp() as client:
        path = daemon.netdev(client, lifetime='export', vm='web', mac=MAC)[1]
        with Vmm(path, MAC) as vmm:
            address = vmm.lease()
            made = [client.call('forward-add', guest_port=port, **LOOPBACK, **more)
                    for port, more in [
                        (21, {'netdev': 'n1', 'lifetime': 'client'}),
                        (22, {'netdev': 'n1'}),
                        (23, {'netdev': 'n1', 'lifetime': 'netdev'}),
                        (24, {'guest_address': address}),
                        (25, {'guest_address': address, 'protocol': 'udp'}),
                        (26, {'guest_address': address,
                              'lifetime': 'persistent'}),
                        (27, {'netdev': 'n1', 'protocol': 'udp'})]]
            wait_written(record, *[str(one['host-port']) for one in made
                                   if one['guest-port'] not in (21, 26)])
            wait_written(os.path.join(daemon.state, 'vmnet/networks/shared/network'),
                         '127.0.0.1 %d' % made[5]['host-port'])
            wait_written(os.path.join(daemon.state, 'vmnet/networks/shared/leases'),
                         address)
            before = [one for one in forwards(daemon) if one['guest-port'] != 21]
            for one in before:
                one['netdev'] = one['netdev'] and 'web/n1'
            kill(daemon, who)
    assert len(before) == 6
    with Vmm(path, MAC) as vmm:
        vmm.lease()
        assert forwards(daemon) == before
        for forward in before:
            assert reaches(forward, vmm)
    assert 'not made again' not in daemon.stderr()


def test_one_into_a_netdev_of_the_command_line(idle_daemon):
    """Which is made again by the command line, not by the record."""
    netdev = ['--netdev', 'vmnet-shared,id=net0']
    idle_daemon.start(*netdev)
    record = os.path.join(os.path.dirname(idle_daemon.socket), 'record.json')
    with idle_daemon.qmp() as client:
        made = client.call('forward-add', netdev='vmnetd/net0', guest_port=22,
                           **LOOPBACK)
        wait_written(record, str(made['host-port']))
    for who in ('engine', 'both'):
        before = forwards(idle_daemon)
        kill(idle_daemon, who, *netdev)
        assert forwards(idle_daemon) == before
        assert len(before) == 1
    with idle_daemon.qmp() as client:
        client.call('forward-remove', host_address='127.0.0.1',
                    host_port=made['host-port'])
    wait_until(lambda: not os.path.exists(record))


def test_one_that_is_kept_and_cannot_be_made(idle_daemon):
    """It is listed, tried again, not doubled by who adds it again, removable."""
    netdev = ['--netdev', 'vmnet-shared,id=net0']
    kept = os.path.join(idle_daemon.state, 'vmnet/networks/shared/network')

    def stop():
        assert idle_daemon.run('vmnetctl', 'stop').returncode == 0
        idle_daemon.daemon.wait()
        idle_daemon.daemon = None

    def add():
        with idle_daemon.qmp() as client:
            address = client.call('query-networks')[0]['pool-end']
            return client.call('forward-add', guest_address=address,
                               guest_port=22, lifetime='persistent',
                               host_address='127.0.0.1', host_port=port)

    def errors():
        with idle_daemon.qmp() as client:
            return [one.get('error') for one in client.call('query-forwards')]

    def text():
        with open(kept, encoding='utf-8') as file:
            return file.read()

    port = 0
    idle_daemon.start(*netdev)
    port = add()['host-port']
    wait_written(kept, '127.0.0.1 %d' % port)
    stop()
    with socket.create_server(('127.0.0.1', port)):
        idle_daemon.start(*netdev)
        assert errors() == ['cannot listen on 127.0.0.1:%d/tcp: Address already '
                            'in use' % port]
        assert 'not in force: cannot listen on' in idle_daemon.run(
            'vmnetctl', 'forward', 'list').stdout
        with pytest.raises(QmpError, match='already in use'):
            add()
    add()
    assert errors() == [None]
    stop()
    with socket.create_server(('127.0.0.1', port)):
        idle_daemon.start(*netdev)
        assert len(errors()) == 1
        stop()
    idle_daemon.start(*netdev)
    assert errors() == [None]
    stop()
    with socket.create_server(('127.0.0.1', port)):
        idle_daemon.start(*netdev)
        assert idle_daemon.run('vmnetctl', 'forward', 'remove',
                               '127.0.0.1:%d' % port).returncode == 0
        assert errors() == []
        wait_until(lambda: ' %d ' % port not in text())


def test_one_for_a_single_connection(daemon):
    """Whoever else comes is reset, and the guest does not hear of it."""
    with daemon.qmp() as client, socket.socket() as ours:
        path = daemon.netdev(client, lifetime='export', mac=MAC)[1]
        ours.bind(('127.0.0.1', 0))
        own = ours.getsockname()[1]
        rule = {'netdev': 'n1', 'guest_port': 22, **LOOPBACK}
        for more, text in [
                ({'lifetime': 'client', 'client_port': 0}, 'is not a port'),
                ({'client_port': own}, "lifetime 'client'"),
                ({'lifetime': 'client', 'client_port': own, 'protocol': 'udp'},
                 "protocol 'tcp'")]:
            with pytest.raises(QmpError, match=text):
                client.call('forward-add', **rule, **more)
        with Vmm(path, MAC) as vmm:
            vmm.lease()
            port = client.call('forward-add', lifetime='client',
                               client_port=own, **rule)['host-port']
            with socket.socket() as other:
                other.settimeout(5)
                other.connect(('127.0.0.1', port))
                with pytest.raises(ConnectionResetError):
                    other.recv(1)
            assert client.call('query-networks')[0]['tcp-flows'] == 0
            ours.setblocking(False)
            ours.connect_ex(('127.0.0.1', port))
            assert vmm.await_syn(22)


def test_one_whose_network_does_not_come_back(daemon):
    """No netdev that is recorded is on it: neither is the forward."""
    with daemon.qmp() as client:
        daemon.netdev(client, lifetime='export', vm='web')
        client.call('netdev_add', type='vmnet-shared', id='mine', network='lab')
        guest = client.call('query-networks')
        address = [one['pool-end'] for one in guest if one['name'] == 'lab'][0]
        client.call('forward-add', network='lab', guest_address=address,
                    guest_port=22, **LOOPBACK)
        client.call('forward-add', netdev='mine', guest_port=23, **LOOPBACK)
        record = os.path.join(os.path.dirname(daemon.socket), 'record.json')
        wait_written(record, '"n1"')
        kill(daemon, 'engine')
    assert forwards(daemon) == []
    assert 'not made again' not in daemon.stderr()
