"""vmnet-bridged on a network with several hosts, and on one like Wi-Fi.

  router [ DHCP, RA ] --+-- host  [ br0: tap ]            -- guest
                        +-- host3 [ eth0: macvtap ]       -- guest
                        +-- host4 [ eth0: packet socket ] -- guest

SPDX-License-Identifier: GPL-2.0-or-later
"""

import itertools
import json

import pytest

from lib import netns
from lib.bridged import Guests, has_macvtap
from lib.lab import global6, link_local, pings, udhcpc, until
from lib.lan import HOST, PREFIX6, ROUTER, ROUTER6, Lan, SystemInstance
from lib.qmp import QmpError
from lib.transfer import transfer

pytestmark = [
    pytest.mark.skipif(bool(netns.missing()), reason=str(netns.missing())),
    pytest.mark.xdist_group('bridged'),
]


def addressed(guest, tmp_path):
    """@guest gets what the upstream router gives, by DHCP and by RA."""
    lease = udhcpc(guest, tmp_path)
    assert lease['serverid'] == ROUTER
    guest.ip = lease['ip']
    until(lambda: global6(guest, PREFIX6))
    guest.ip6 = global6(guest, PREFIX6)


def pings_by_both(one, other):
    """IPv4 and IPv6."""
    return pings(one, other.ip) and pings(one, other.ip6, '-6')


def host_addresses(lan):
    """Addresses and routes of what is the host's own."""
    state = lan.state()
    return ([link['addr_info'] for link in state['addr']
             if not link['ifname'].startswith('vmnetd')], state['route'])


def test_three_hosts(tmp_path):
    if not has_macvtap():
        pytest.skip('needs macvtap in the kernel, and devtmpfs')
    first = Lan(str(tmp_path), bridge=True)
    systems = []
    try:
        hosts = [first, first.add_host(3), first.add_host(4)]
        hosts[2].options['bridge-mode'] = 'packet'
        for lan in hosts:
            # The router's advertisements come whenever a guest asks.
            lan.host.call('sysctl', '-qw',
                          'net.ipv6.conf.%s.accept_ra=0' % lan.ifname)
        first.advertise()
        before = [(lan.state(), host_addresses(lan)) for lan in hosts]
        guests = []
        for number, lan in enumerate(hosts):
            systems.append(SystemInstance(lan).start())
            guests.append(Guests(systems[-1]))
            # One number for each guest of all: so are their addresses.
            guests[-1].numbers = itertools.count(16 * (number + 1))
        ends = [one.add() for one in guests]
        for guest in ends:
            addressed(guest, tmp_path)
        for one, other in itertools.permutations(ends, 2):
            assert pings_by_both(one, other)
        assert all(pings(guest, ROUTER6, '-6') for guest in ends)
        for lan, (_, addresses) in zip(hosts, before):
            assert host_addresses(lan) == addresses
        for one in guests:
            info, = one.client.call('query-netdevs')
            assert info['tx-frames'] > 10 and info['rx-frames'] > 10
            one.close()
        while systems:
            systems.pop().stop()
        until(lambda: not any(lan.ours() for lan in hosts))
        assert [lan.state() for lan in hosts] == [one for one, _ in before]
    finally:
        for system in systems:
            system.stop()
        first.close()


@pytest.fixture
def wifi(tmp_path):
    """A started instance on a host whose cable is like Wi-Fi."""
    lan = Lan(str(tmp_path), bridge=False)
    system = SystemInstance(lan)
    try:
        lan.advertise()
        lan.only_own_address()
        yield system.start()
    finally:
        system.stop()
        lan.close()


def test_translation(wifi, tmp_path):
    """Guests of their own MAC addresses are on a network that drops those."""
    lan = wifi.lan
    guests = Guests(wifi)
    try:
        lan.options['mac-translation'] = True
        one, two = guests.add(), guests.add()
        for guest in (one, two):
            addressed(guest, tmp_path)
        assert one.ip != two.ip
        assert pings(one, two.ip) and pings(one, two.ip6, '-6')
        for guest in (one, two):
            assert pings(guest, ROUTER) and pings(lan.router, guest.ip)
            assert pings(guest, ROUTER6, '-6')
            assert pings(lan.router, guest.ip6, '-6')
            assert pings(lan.router, link_local(guest), '-6', '-I', 'eth0')
        transfer(one, lan.router, ROUTER, 10)
        transfer(lan.router, two, two.ip, 10)
        # The host goes on as before, and nobody takes its address.
        assert pings(lan.host, ROUTER)
        one.call('ip', 'addr', 'add', HOST + '/24', 'dev', 'eth0')
        one.call('busybox', 'arping', '-U', '-c', '1', '-I', 'eth0', HOST)
        assert pings(lan.host, ROUTER)
        network, = guests.client.call('query-networks')
        assert (network['bridge-mode'], network['mac-translation']) == \
            ('packet', True)
        neighbours = json.loads(lan.router.call('ip', '-j', 'neigh'))
        link, = json.loads(lan.host.call('ip', '-j', 'link', 'show', 'eth0'))
        assert {neighbour['lladdr'] for neighbour in neighbours
                if neighbour.get('dst') in (one.ip, two.ip, one.ip6)} == \
            {link['address']}
    finally:
        guests.close()


def test_without_translation_such_a_network_carries_nothing(wifi, tmp_path):
    """What the test above shows is due to it."""
    wifi.lan.options['bridge-mode'] = 'packet'
    guests = Guests(wifi)
    try:
        assert not pings(guests.addressed(), ROUTER)
        with pytest.raises(QmpError, match='mac-translation on is wanted, off '
                           'is in force'):
            guests.add(**{'mac-translation': True})
    finally:
        guests.close()
