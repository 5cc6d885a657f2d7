"""Which addresses a network gets, on hosts that use some themselves.

  namespace [ uplink0: tap without a reader; vmnetd ] -- frames by scapy

SPDX-License-Identifier: GPL-2.0-or-later
"""

import ipaddress
import os
import subprocess

import pytest
from scapy.layers.inet6 import ICMPv6ND_RA, ICMPv6ND_RS, IPv6
from scapy.layers.l2 import Ether

from lib import netns
from lib.qmp import QmpError
from lib.raw_guest import RawGuest

pytestmark = pytest.mark.skipif(netns.missing() is not None,
                                reason=netns.missing() or '')


class Host:
    """A namespace in which the daemon runs."""

    def __init__(self, instance):
        self.instance = instance
        self.name = netns.unique_name()
        subprocess.run(['ip', 'netns', 'add', self.name], check=True)
        self.ip('link', 'set', 'lo', 'up')
        self.ip('tuntap', 'add', 'uplink0', 'mode', 'tap')
        self.ip('addr', 'add', '203.0.113.5/24', 'dev', 'uplink0')
        self.ip('link', 'set', 'uplink0', 'up')

    def ip(self, *words):
        """ip(8) on this host."""
        subprocess.run(['ip', '-n', self.name, *words], check=True)

    def start(self):
        """The daemon, and a client of it."""
        self.instance.start(prefix=['ip', 'netns', 'exec', self.name])
        return self.instance.qmp()

    def stop(self):
        """The daemon ends."""
        self.instance.daemon.terminate()
        self.instance.daemon.wait(10)

    def close(self):
        """The namespace, too."""
        self.instance.stop()
        subprocess.run(['ip', 'netns', 'del', self.name], check=False,
                       timeout=20)


@pytest.fixture
def host(idle_daemon):
    """A host of its own for the daemon."""
    made = Host(idle_daemon)
    yield made
    made.close()


def subnet_of(client, name='shared'):
    """As query-networks has it."""
    return {info['name']: info for info in
            client.call('query-networks')}[name]['subnet']


def test_predefined_subnet_that_is_taken_moves_once(host):
    host.ip('addr', 'add', '192.168.107.9/24', 'dev', 'uplink0')
    with host.start() as client:
        host.instance.netdev(client)
        moved = subnet_of(client)
    assert moved != '192.168.107.0/24'
    assert ipaddress.ip_network(moved).is_private
    assert host.instance.stderr().count('192.168.107.0/24 is taken') == 1
    host.stop()
    # It stays there, also when the host has left: guests know it by now.
    host.ip('addr', 'del', '192.168.107.9/24', 'dev', 'uplink0')
    with host.start() as client:
        host.instance.netdev(client)
        assert subnet_of(client) == moved
    assert host.instance.stderr().count('is taken') == 1


@pytest.mark.parametrize('route,taken', [
    ('192.168.107.128/25', True), ('192.168.0.0/17', True),
    ('192.168.0.0/16', False), ('128.0.0.0/1', False)])
def test_short_routes_take_nothing(host, route, taken):
    host.ip('route', 'add', route, 'via', '203.0.113.1')
    with host.start() as client:
        host.instance.netdev(client)
        assert (subnet_of(client) != '192.168.107.0/24') == taken


def test_written_subnet_is_taken_or_refused(host):
    host.ip('addr', 'add', '10.77.1.1/24', 'dev', 'uplink0')
    with host.start() as client:
        with pytest.raises(QmpError, match='10.77.1.0/24 is taken: the host '
                           'routes 10.77.1.0/24'):
            client.call('netdev_add', type='vmnet-shared', id='n', network='mine',
                        start_address='10.77.1.1', end_address='10.77.1.9',
                        subnet_mask='255.255.255.0')
        assert client.call('query-networks') == []
        client.call('netdev_add', type='vmnet-shared', id='n', network='mine',
                    start_address='10.77.2.1', end_address='10.77.2.9',
                    subnet_mask='255.255.255.0')
        assert subnet_of(client, 'mine') == '10.77.2.0/24'


def test_route_that_comes_later_is_an_event(host):
    with host.start() as client:
        host.instance.netdev(client)
        host.ip('addr', 'add', '192.168.107.9/24', 'dev', 'uplink0')
        event = client.wait_event('HOST_ROUTE_OVERLAP')['data']
        assert event['network'] == 'shared'
        assert '192.168.107.0/24' in event.values()


def test_router_lifetime_follows_the_hosts_route(host):
    def lifetime(solicit):
        if solicit:
            guest.send(Ether(src=guest.mac, dst='33:33:00:00:00:02') /
                       IPv6(src='fe80::50', dst='ff02::2') / ICMPv6ND_RS())
        frame = guest.receive(lambda f: ICMPv6ND_RA in f, 20)
        return frame and frame[ICMPv6ND_RA].routerlifetime

    host.ip('-6', 'addr', 'add', '2001:db8::5/64', 'dev', 'uplink0', 'nodad')
    with host.start() as client:
        with RawGuest(host.instance.netdev(client)[1],
                      '52:54:00:dd:00:01') as guest:
            assert lifetime(True) == 0
            host.ip('-6', 'route', 'add', 'default', 'via', '2001:db8::1')
            # Told to all without being asked, 3 s after the one before.
            assert lifetime(False) == 9000
            host.ip('-6', 'route', 'del', 'default')
            assert lifetime(False) == 0
