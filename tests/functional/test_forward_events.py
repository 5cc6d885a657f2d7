"""Who asks once which forwards there are, and then listens, knows them all.

  test --- QMP ---> vmnetd          a listener, and whoever changes something

SPDX-License-Identifier: GPL-2.0-or-later
"""

import time

import pytest

from lib.qmp import QmpError
from lib.raw_guest import RawGuest

LOOPBACK = {'host-address': '127.0.0.1', 'host-port': 0}
MAC = '52:54:00:00:00:81'


class Listener:
    """The forwards that its events tell of, by host port."""

    def __init__(self, client):
        self.client = client
        self.known = {}

    def wait(self, name):
        """The next such event's data, once all up to it are taken in."""
        data = self.client.wait_event(name)['data']
        if name == 'FORWARD_ADDED':
            self.known[data['host-port']] = data
        else:
            assert self.known.pop(data['host-port'])
        return data

    def is_right(self):
        """Nothing is left to be taken in, and what was told is so."""
        now = {one['host-port']: one
               for one in self.client.call('query-forwards')}
        return self.known == now and not any(
            event['event'].startswith('FORWARD')
            for event in self.client.events)


@pytest.fixture
def listener(daemon):
    with daemon.qmp() as client:
        yield Listener(client)


@pytest.mark.parametrize('lifetime', ['client', 'netdev', 'network'])
def test_one_that_goes_with_what_it_lives_by(daemon, listener, lifetime):
    with daemon.qmp() as other:
        other.call('netdev_add', type='vmnet-host', id='n0', vm='web')
        made = other.call('forward-add', netdev='n0', lifetime=lifetime,
                          guest_port=22, **LOOPBACK)
        made['netdev'] = 'web/n0'
        assert listener.wait('FORWARD_ADDED') == made
        assert listener.is_right()
    assert listener.wait('FORWARD_REMOVED') == made
    assert listener.is_right()


def test_one_that_is_removed(daemon, listener):
    with daemon.qmp() as other:
        other.call('netdev_add', type='vmnet-host', id='n0')
        port = other.call('forward-add', netdev='n0', guest_port=22,
                          protocol='udp', **LOOPBACK)['host-port']
        listener.wait('FORWARD_ADDED')
        other.call('forward-remove', protocol='udp', host_address='127.0.0.1',
                   host_port=port)
        assert listener.wait('FORWARD_REMOVED')['protocol'] == 'udp'
        assert listener.is_right()


def test_those_of_a_netdevs_options(daemon, listener):
    with daemon.qmp() as other:
        other.call('netdev_add', type='vmnet-host', id='n0',
                   hostfwd=['tcp:127.0.0.1:0-:1', 'udp:127.0.0.1:0-:2'])
        assert [listener.wait('FORWARD_ADDED')['guest-port']
                for _ in range(2)] == [1, 2]
        assert listener.is_right()
        # One that is refused has told nothing of those before.
        taken = min(one['host-port'] for one in listener.known.values()
                    if one['protocol'] == 'tcp')
        with pytest.raises(QmpError, match='in use'):
            other.call('netdev_add', type='vmnet-host', id='n1',
                       hostfwd=['tcp:127.0.0.1:0-:1',
                                'tcp:127.0.0.1:%d-:1' % taken])
        assert listener.is_right()
        other.call('netdev_del', id='n0')
        listener.wait('FORWARD_REMOVED')
        listener.wait('FORWARD_REMOVED')
        assert listener.is_right() and not listener.known


def test_one_that_is_kept(idle_daemon):
    """It goes and comes with its network, which goes at once."""
    idle_daemon.start('--idle-timeout', '1')
    network = {'name': 'lab', 'mode': 'host', 'start_address': '10.9.8.1',
               'end_address': '10.9.8.9', 'subnet_mask': '255.255.255.0'}
    with idle_daemon.qmp() as client, idle_daemon.qmp() as other:
        listener = Listener(client)
        other.call('network-add', **network)
        made = other.call('forward-add', network='lab', lifetime='persistent',
                          guest_address='10.9.8.5', guest_port=22, **LOOPBACK)
        assert listener.wait('FORWARD_ADDED') == made and listener.is_right()
        other.call('network-del', name='lab')
        assert listener.wait('FORWARD_REMOVED') == made and listener.is_right()
        other.call('network-add', **network)
        assert listener.wait('FORWARD_ADDED') == made and listener.is_right()
        other.call('forward-remove', host_address='127.0.0.1',
                   host_port=made['host-port'])
        assert listener.wait('FORWARD_REMOVED') == made and listener.is_right()


def test_those_of_a_network(daemon, listener):
    with daemon.qmp() as other:
        other.call('network-add', name='lab', mode='host', lifetime='client',
                   start_address='10.9.8.1', end_address='10.9.8.9',
                   subnet_mask='255.255.255.0',
                   hostfwd=['udp:127.0.0.1:0-10.9.8.5:7'])
        listener.wait('FORWARD_ADDED')
        assert listener.is_right()
    listener.wait('FORWARD_REMOVED')
    assert listener.is_right()


def release(daemon, guest, ack):
    """Give the address back; returns when the daemon has taken it."""
    guest.dhcp_send('release', ('server_id', ack['server_id']),
                    ciaddr=guest.address)
    guest.address = None
    end = time.monotonic() + 10
    with daemon.qmp() as client:
        while 'guest-address' in client.call('query-forwards')[0]:
            assert time.monotonic() < end


def test_one_follows_its_guest(daemon, listener):
    with daemon.qmp() as other:
        ident, path = daemon.netdev(other, 'vmnet-host',
                                    hostfwd=['tcp:127.0.0.1:0-:22'])
        assert 'guest-address' not in listener.wait('FORWARD_ADDED')
        with RawGuest(path, MAC) as guest:
            ack = guest.lease()
            moved = listener.wait('FORWARD_ADDED')
            assert moved['guest-address'] == ack.address
            assert listener.is_right()
            release(daemon, guest, ack)
            assert 'guest-address' not in listener.wait('FORWARD_ADDED')
            assert listener.is_right()
        other.call('netdev_del', id=ident)
        listener.wait('FORWARD_REMOVED')


def test_one_whose_guest_moves_too_often(daemon, listener):
    """What is over the rate of events is told late, not never."""
    with daemon.qmp() as other:
        _, path = daemon.netdev(other, 'vmnet-host',
                                hostfwd=['tcp:127.0.0.1:0-:22'])
        with RawGuest(path, MAC) as guest:
            for _ in range(150):
                ack = guest.lease()
                listener.client.call('query-version')
                if not any(event['event'] == 'FORWARD_ADDED'
                           for event in listener.client.events):
                    break
                release(daemon, guest, ack)
                while not listener.is_right():
                    listener.wait('FORWARD_ADDED')
            else:
                pytest.fail('each of 150 moves was told at once')
            assert not listener.is_right()
            while not listener.is_right():
                listener.wait('FORWARD_ADDED')


def test_one_who_does_not_read(daemon, listener):
    """It is told that there was more, behind all that was kept for it."""
    with daemon.qmp() as other:
        other.call('netdev_add', type='vmnet-host', id='n0', vm='v' * 100)
        for _ in range(2000):
            port = other.call('forward-add', netdev='n0', guest_port=22,
                              protocol='udp', **LOOPBACK)['host-port']
            other.call('forward-remove', protocol='udp',
                       host_address='127.0.0.1', host_port=port)
        lost = listener.client.wait_event('EVENTS_LOST')['data']['count']
        told = [event for event in listener.client.events
                if event['event'].startswith('FORWARD')]
        assert lost > 0 and len(told) + lost == 4000
        listener.client.events.clear()
        listener.known.clear()
        other.call('forward-add', netdev='n0', guest_port=22, **LOOPBACK)
        listener.wait('FORWARD_ADDED')
        assert listener.is_right()
