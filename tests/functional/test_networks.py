"""Networks that are added: network-add, network-del, what they promise.

  test --- QMP ---> vmnetd --- stream --- a guest of scapy frames

SPDX-License-Identifier: GPL-2.0-or-later
"""

import os
import signal
import socket
import subprocess
import time

import pytest
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.inet6 import ICMPv6ND_RA
from scapy.layers.l2 import Ether

from lib.qmp import Qmp, QmpError
from lib.raw_guest import RawGuest

MAC = '52:54:00:00:00:71'


def wait_until(condition, timeout=10):
    """Poll, at most @timeout seconds."""
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, 'did not happen in time'
        time.sleep(0.01)


def names(client):
    """Of the networks that run."""
    return [n['name'] for n in client.call('query-networks')]


def fails(client, text, **arguments):
    """network-add is refused in these words, and nothing was made."""
    before = names(client)
    with pytest.raises(QmpError) as failure:
        client.call('network-add', **arguments)
    assert str(failure.value) == text
    wait_until(lambda: names(client) == before)


@pytest.fixture
def client(daemon):
    """A client of QMP."""
    with daemon.qmp() as made:
        yield made


def guest_of(daemon, client, **options):
    """A guest on that network."""
    return RawGuest(daemon.netdev(client, **options)[1], MAC)


def test_every_client_is_told(idle_daemon):
    """Of a network's start and end, once each, in their order."""
    idle_daemon.start('--idle-timeout', '1')
    with idle_daemon.qmp() as one, idle_daemon.qmp() as other, \
            Qmp(idle_daemon.socket, negotiate=False) as deaf:
        for _ in range(2):
            one.call('netdev_add', type='vmnet-host', id='n0', network='lab')
            one.call('netdev_add', type='vmnet-host', id='n1', network='lab')
            for client in (one, other):
                event = client.wait_event('NETWORK_STARTED')
                assert event['data'] == {'name': 'lab', 'mode': 'host'}
            assert names(other) == ['lab']
            one.call('netdev_del', id='n0')
            one.call('query-version')
            other.call('query-version')
            assert not one.events and not other.events
            one.call('netdev_del', id='n1')
            for client in (one, other):
                event = client.wait_event('NETWORK_STOPPED')
                assert event['data'] == {'name': 'lab'}
                assert {'seconds', 'microseconds'} == set(event['timestamp'])
                assert not client.events
            assert not names(other)
        assert deaf.ask(b'{"execute": "qmp_capabilities"}') == \
            b'{"return": {}}\r\n'
        assert not deaf.events


def test_one_added_to_stay_stays(daemon, client):
    with daemon.qmp() as other:
        added = other.call('network-add', name='lab', mode='host', mtu=9000)
        assert (added['name'], added['mtu'], added['stays']) == \
            ('lab', 9000, True)
    assert names(client) == ['lab']
    client.call('network-del', name='lab')
    wait_until(lambda: not names(client))


def test_the_daemon_stays_with_it(idle_daemon):
    """Nobody is there but a network that was added to stay."""
    idle_daemon.start('--idle-timeout', '1')
    with idle_daemon.qmp() as client:
        client.call('network-add', name='lab', mode='host')
    with pytest.raises(subprocess.TimeoutExpired):
        idle_daemon.daemon.wait(1.5)
    with idle_daemon.qmp() as client:
        assert names(client) == ['lab']
        client.call('network-del', name='lab')
    assert idle_daemon.daemon.wait(10) == 0


def test_one_of_a_client_goes_with_it(daemon, client):
    with daemon.qmp() as other:
        other.call('network-add', name='lab', mode='host', lifetime='client')
        client.call('network-add', name='lab', lifetime='client')
    assert names(client) == ['lab']     # we hold it, too
    client.call('network-del', name='lab')
    wait_until(lambda: not names(client))
    with pytest.raises(QmpError, match="network 'lab' is not held"):
        client.call('network-del', name='lab')


def test_it_is_there_after_a_crash(idle_daemon):
    idle_daemon.start()
    with idle_daemon.qmp() as client:
        before = client.call('network-add', name='lab', mode='shared',
                             start_address='10.9.8.1', end_address='10.9.8.99',
                             subnet_mask='255.255.255.0', reservations=[
                                 {'mac': MAC, 'address': '10.9.8.50'}])
        pid = client.call('query-daemon')['pid']
        # It may have been answered before it was recorded.
        wait_until(lambda: os.path.exists(os.path.join(
            os.path.dirname(idle_daemon.socket), 'record.json')))
        os.kill(pid, signal.SIGKILL)
        with pytest.raises((EOFError, ConnectionError)):
            client.call('query-daemon')
    with idle_daemon.qmp() as client:
        assert client.call('query-daemon')['pid'] != pid
        after = client.call('query-networks')[0]
        for key in ('name', 'subnet', 'pool-end', 'stays'):
            assert after[key] == before[key]
        with guest_of(idle_daemon, client, network='lab') as guest:
            assert guest.lease().address == '10.9.8.50'


def test_reservation_is_for_one(daemon, client):
    client.call('network-add', name='lab', mode='host',
                start_address='10.9.8.1', end_address='10.9.8.3',
                subnet_mask='255.255.255.0', reservations=[
                    {'mac': MAC, 'address': '10.9.8.200'},
                    {'mac': '52:54:00:00:00:72', 'address': '10.9.8.2'}])
    with guest_of(daemon, client, kind='vmnet-host', network='lab') as guest:
        assert guest.lease().address == '10.9.8.200'
    ident, path = daemon.netdev(client, 'vmnet-host', network='lab')
    with RawGuest(path, '52:54:00:00:00:73') as other:
        assert other.lease().address == '10.9.8.3'
    client.call('netdev_del', id=ident)


def test_forwards_come_with_it(daemon, client):
    client.call('network-add', name='lab', mode='host',
                start_address='10.9.8.1', end_address='10.9.8.9',
                subnet_mask='255.255.255.0',
                hostfwd=['udp:127.0.0.1:0-10.9.8.5:7'])
    forward = client.call('query-forwards')[0]
    assert (forward['lifetime'], forward['guest-address']) == \
        ('network', '10.9.8.5')
    with guest_of(daemon, client, kind='vmnet-host', network='lab') as guest, \
            socket.socket(type=socket.SOCK_DGRAM) as sock:
        guest.address = '10.9.8.5'
        guest.arp('10.9.8.1')
        sock.sendto(b'hello', ('127.0.0.1', forward['host-port']))
        assert guest.receive(lambda f: UDP in f and f[UDP].dport == 7)


@pytest.mark.parametrize('arguments, text', [
    ({'name': 'lab'}, "network 'lab': it does not run, and 'mode' is missing"),
    ({'name': 'lab', 'mode': 'bridged', 'mtu': 9000},
     "network 'lab': 'mtu' cannot be had in mode bridged: it is as on the "
     "interface's network"),
    ({'name': 'lab', 'mode': 'host', 'ifname': 'lo'},
     "network 'lab': 'ifname' is for networks of mode bridged"),
    ({'name': 'lab', 'mode': 'host', 'nat44': True},
     "network 'lab': 'nat44' is for networks of mode shared"),
    ({'name': 'lab', 'mode': 'host', 'external_interface': 'lo'},
     "network 'lab': 'external-interface' is for networks of mode shared"),
    ({'name': 'lab', 'mode': 'shared', 'external_interface': 'nosuch0'},
     "network 'lab': external-interface 'nosuch0' is no interface of this "
     "host"),
    ({'name': 'lab', 'mode': 'shared', 'hostfwd': ['tcp::8080-:80']},
     "network 'lab': hostfwd 'tcp::8080-:80' lacks the guest's address"),
    ({'name': 'lab', 'mode': 'shared', 'dhcp': False,
      'reservations': [{'mac': MAC, 'address': '10.9.8.5'}]},
     "network 'lab': 'reservations' cannot be had with dhcp=off"),
    ({'name': 'lab', 'mode': 'shared',
      'reservations': [{'mac': 'x', 'address': '10.9.8.5'}]},
     "network 'lab': mac 'x' is not that of one interface"),
    ({'name': 'lab', 'mode': 'shared',
      'reservations': [{'mac': MAC, 'address': '8.8.8.8'}]},
     "network 'lab': 8.8.8.8 cannot be kept for %s: it is no address of a "
     "guest, or kept for another" % MAC),
    ({'mode': 'host', 'mtu': 1},
     'network-add: mtu 1 is not in 576 to 65520'),
])
def test_mistakes_make_nothing(client, arguments, text):
    fails(client, text, **arguments)


def test_running_network_must_agree(client):
    client.call('network-add', name='lab', mode='shared', nat66=False)
    fails(client, "network 'lab' runs with another configuration: nat66 on is "
          "wanted, off is in force", name='lab', nat66=True)
    fails(client, "network 'lab' runs with another configuration: nat66 on is "
          "wanted, off is in force", name='lab', mode='shared',
          match='strict')
    assert not client.call('network-add', name='lab')['nat66']


def test_disabled_nat_prohibits(daemon, client):
    client.call('network-add', name='lab', mode='shared', nat44=False,
                router_advertisement=False)
    with guest_of(daemon, client, network='lab') as guest:
        guest.lease()
        gateway = client.call('query-networks')[0]
        guest.send(Ether(src=MAC, dst=gateway['mac']) /
                   IP(src=guest.address, dst='203.0.113.9') /
                   UDP(sport=1000, dport=1000) / b'x')
        answer = guest.receive(lambda f: ICMP in f)
        assert (answer[ICMP].type, answer[ICMP].code) == (3, 13)
        assert not guest.receive(lambda f: ICMPv6ND_RA in f, timeout=0.5)


def test_mistake_leaves_a_running_network_as_it_was(client):
    good = {'mac': MAC, 'address': '192.168.108.200'}
    client.call('network-add', name='host', reservations=[good])
    fails(client, "network 'host': 192.168.108.201 cannot be kept for %s: it "
          "is no address of a guest, or kept for another" % MAC, name='host',
          hostfwd=['tcp:127.0.0.1:0-192.168.108.200:22'], reservations=[
              good, {'mac': '52:54:00:00:00:72', 'address': '192.168.108.9'},
              {'mac': MAC, 'address': '192.168.108.201'}])
    assert [lease['address'] for lease in client.call('query-leases')] == \
        ['192.168.108.200']
    assert not client.call('query-forwards')
