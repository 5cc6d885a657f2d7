"""The kernel uplink: the host has an interface on the network.

  router -- wire -- host [ eth0, vmnet-NAME: the gateway's address ] -- guests

Guests are network namespaces; vmnetd --system runs on the host.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import os
import shutil
import signal
import subprocess
import sys

import pytest

from lib import netns
from lib.boot import Boot
from lib.lab import global6, pings, udhcpc, until
from lib.lan import HOST, ROUTER, Lan, SystemInstance
from lib.qmp import QmpError
from lib.routed import without_libnftables
from lib.tap_guest import TapGuest
from lib.transfer import transfer

pytestmark = [
    pytest.mark.skipif(bool(netns.missing()), reason=str(netns.missing())),
    pytest.mark.skipif(not shutil.which('nft'), reason='needs nft'),
    pytest.mark.xdist_group('kernel_uplink'),
]


@pytest.fixture
def lan(tmp_path):
    """The network that the host is on anyway."""
    if without_libnftables():
        pytest.skip('built without libnftables')
    made = Lan(str(tmp_path), bridge=False)
    yield made
    made.close()


@pytest.fixture
def system(lan):
    """A system instance on the host, not started."""
    made = SystemInstance(lan)
    try:
        yield made
    finally:
        made.stop()


class Guests:
    """Namespaces on networks of @system, which is started."""

    def __init__(self, system, folder):
        self.client = system.qmp()
        self.folder = folder
        self.made = []

    def add(self, kind='vmnet-shared', **options):
        """One with an address by DHCP, and what DHCP said."""
        guest = TapGuest(self.client, kind=kind, **options)
        self.made.append(guest)
        lease = udhcpc(guest, self.folder)
        guest.ip, guest.gateway = lease['ip'], lease['serverid']
        return guest

    def network(self):
        """The one that there is."""
        found, = self.client.call('query-networks')
        return found

    def close(self):
        """All go."""
        for guest in self.made:
            guest.close()
        self.client.close()


@pytest.fixture
def guests(system, tmp_path):
    """Guests of @system, which is started."""
    system.start()
    made = Guests(system, tmp_path)
    yield made
    made.close()


def everything(lan):
    """All of the host that a network could have changed."""
    found = lan.state()
    found['ruleset'] = lan.host.call('nft', '-s', 'list', 'ruleset')
    found['settings'] = sorted(lan.host.call(
        'sh', '-c', 'grep -rs . /proc/sys/net/ipv4/ip_forward '
        '/proc/sys/net/ipv4/conf /proc/sys/net/ipv6/conf || true').splitlines())
    return found


ANSWER = '''
import socket, sys
with socket.create_server(('::', int(sys.argv[1])), family=socket.AF_INET6,
                          dualstack_ipv6=True) as server:
    print('ready', flush=True)
    while True:
        peer, address = server.accept()
        with peer:
            peer.sendall(address[0].replace('::ffff:', '').encode())
'''
ASK = '''
import socket, sys
with socket.create_connection((sys.argv[1], int(sys.argv[2])), 3) as peer:
    print(peer.recv(100).decode(), end='')
'''


def serve(namespace, port):
    """A service that tells clients their address."""
    server = namespace.popen(sys.executable, '-c', ANSWER, str(port),
                             stdout=subprocess.PIPE)
    assert server.line() == 'ready\n'
    return server


def seen_as(namespace, address, port):
    """Which client that service sees; None: none."""
    done = namespace.run(sys.executable, '-c', ASK, address, str(port))
    return done.stdout if done.returncode == 0 else None


def test_host_is_on_the_network(lan, guests):
    guest, other = guests.add(), guests.add()
    network = guests.network()
    assert (network['uplink'], network['ifname']) == ('kernel', 'vmnet-shared')
    assert lan.host.call('cat', '/sys/class/net/vmnet-shared/address').strip() \
        == network['mac']
    # First by the host, which has to ask for the guest's address.
    assert pings(lan.host, guest.ip)
    assert pings(guest, guest.gateway) and pings(guest, other.ip)
    # A service at the gateway's address, both ways, uncut.
    transfer(guest, lan.host, guest.gateway, 20)
    transfer(lan.host, guest, guest.ip, 20)
    info = guests.client.call('query-netdevs')
    assert max(one['rx-bytes'] / one['rx-frames'] for one in info) > 2000
    assert max(one['tx-bytes'] / one['tx-frames'] for one in info) > 2000


def test_ipv6(lan, guests):
    guest = guests.add()
    prefix = guests.network()['ipv6-prefix'].split('::')[0] + ':'
    until(lambda: global6(guest, prefix))
    assert pings(lan.host, global6(guest, prefix), '-6')
    assert pings(guest, prefix + ':1', '-6')


def test_isolated_guests_reach_the_host(lan, guests):
    one, two = (guests.add(isolated=True) for _ in range(2))
    assert pings(one, one.gateway) and pings(lan.host, two.ip)
    assert not pings(one, two.ip)


def test_nobody_speaks_for_another(lan, guests):
    guest, liar = guests.add(), guests.add()
    assert pings(lan.host, guest.ip)
    liar.call('ip', 'addr', 'add', guest.ip + '/24', 'dev', 'eth0')
    assert not pings(liar, guest.gateway, '-I', guest.ip)
    assert pings(lan.host, guest.ip)


def test_loopback_addresses_are_the_hosts(lan, guests):
    """The kernel is not shown what guests send there, although it would take it:
    the tap lets such addresses pass for a forward, and our rules are gone."""
    guest = guests.add(hostfwd=['tcp:127.0.0.1:8080-:8000'])
    assert lan.host.call('sysctl', '-n', 'net.ipv4.conf.vmnet-shared.'
                         'route_localnet').strip() == '1'
    lan.host.call('nft', 'flush', 'chain', 'inet', 'vmnet-shared', 'source')
    serve(lan.host, 8001)
    assert seen_as(guest, guest.gateway, 8001) == guest.ip
    guest.call('ip', 'route', 'add', '127.0.0.2/32', 'via', guest.gateway, 'dev',
               'eth0', 'table', 'local')
    guest.call('sysctl', '-qw', 'net.ipv4.conf.eth0.route_localnet=1')
    assert seen_as(guest, '127.0.0.2', 8001) is None


def test_host_mode(lan, guests):
    guest = guests.add('vmnet-host')
    assert guests.network()['ifname'] == 'vmnet-host'
    assert pings(lan.host, guest.ip) and pings(guest, guest.gateway)
    guest.call('ip', 'route', 'add', 'default', 'via', guest.gateway)
    lan.router.call('ip', 'route', 'add', guest.ip, 'via', HOST)
    lan.host.call('sysctl', '-qw', 'net.ipv4.ip_forward=1')
    assert not pings(guest, ROUTER) and not pings(guest, HOST)


def test_guests_leave_by_the_host(lan, guests):
    guest = guests.add()
    # The router has no way back to the guest's own address.
    assert pings(guest, ROUTER)
    serve(lan.router, 8000)
    assert seen_as(guest, ROUTER, 8000) == HOST
    transfer(guest, lan.router, ROUTER, 20)
    # Nobody comes in without a forward, nor from network to network.
    lan.router.call('ip', 'route', 'add', guest.ip, 'via', HOST)
    assert not pings(lan.router, guest.ip)
    other = guests.add(network='other')
    assert other.ip.rsplit('.', 1)[0] != guest.ip.rsplit('.', 1)[0]
    assert not pings(guest, other.ip) and not pings(guest, other.gateway)
    assert pings(other, ROUTER)


def test_without_nat(lan, guests):
    guests.client.call('network-add', name='plain', mode='shared', nat44=False,
                       lifetime='client', **{'external-interface': 'eth0'})
    guest = guests.add(network='plain')
    assert not pings(guest, ROUTER)
    lan.router.call('ip', 'route', 'add', guest.ip, 'via', HOST)
    assert pings(guest, ROUTER) and pings(lan.router, guest.ip)


def test_forwards(lan, guests):
    guest = guests.add(hostfwd=['tcp::8080-:8000'])
    other = guests.add()
    serve(guest, 8000)
    assert seen_as(lan.router, HOST, 8080) == ROUTER
    assert seen_as(lan.host, '127.0.0.1', 8080) == guest.gateway
    assert seen_as(lan.host, HOST, 8080) == guest.gateway
    # By IPv6, for a guest's IPv4 address: by the forward's socket.
    assert seen_as(lan.host, '::1', 8080) == guest.gateway
    for address in (HOST, guest.gateway):
        assert seen_as(other, address, 8080) == guest.gateway
        assert seen_as(guest, address, 8080) == guest.gateway
    with pytest.raises(QmpError, match='cannot listen on 0.0.0.0:8080/tcp: '
                       'Address already in use'):
        guests.client.call('forward-add', netdev=other.netdev, host_port=8080,
                           guest_port=1)
    guests.client.call('forward-remove', host_port=8080)
    until(lambda: seen_as(lan.router, HOST, 8080) is None)
    assert seen_as(lan.host, '127.0.0.1', 8080) is None


def test_forwards_in_host_mode(lan, guests):
    guest = guests.add('vmnet-host', hostfwd=['tcp::8080-:8000'])
    serve(guest, 8000)
    assert seen_as(lan.host, '127.0.0.1', 8080) == guest.gateway
    assert seen_as(lan.router, HOST, 8080) == guest.gateway


def test_leaves_nothing(lan, system, tmp_path):
    before = everything(lan)
    system.start()
    guests = Guests(system, tmp_path)
    guests.add()
    guests.add('vmnet-host')
    guests.add(network='a-name-that-is-long')
    names = [link['ifname'] for link in lan.state()['link']]
    assert {'vmnet-shared', 'vmnet-host'} < set(names)
    assert any(len(name) == 15 and name.startswith('vmnet-a-na')
               for name in names)
    guests.close()
    with system.qmp() as client:
        client.call('quit')
    system.daemon.wait(10)
    until(lambda: everything(lan) == before)


def test_next_start_removes_what_a_killed_one_left(lan, system, tmp_path):
    before = everything(lan)
    system.start()
    guests = Guests(system, tmp_path)
    guests.add(hostfwd=['tcp:127.0.0.1:8080-:8000'])
    system.kill_all()
    guests.close()
    assert 'table inet vmnet-shared' in everything(lan)['ruleset']
    system.start()
    assert everything(lan) == before


def test_engine_that_dies(lan, guests, system, tmp_path):
    guests.add()
    pids = system.pids()
    os.kill(pids[0], signal.SIGKILL)
    again = Guests(system, tmp_path)
    try:
        guest = again.add()
        assert pings(lan.host, guest.ip)
    finally:
        again.close()


def test_interface_that_is_removed_comes_back(lan, guests):
    guest = guests.add()
    lan.host.call('ip', 'link', 'del', 'vmnet-shared')
    until(lambda: lan.host.run('ip', 'addr', 'show', 'vmnet-shared',
                               'up').returncode == 0)
    until(lambda: pings(lan.host, guest.ip))


def test_name_that_is_taken(lan, guests):
    lan.host.call('ip', 'link', 'add', 'vmnet-shared', 'type', 'bridge')
    with pytest.raises(QmpError, match="interface 'vmnet-shared': exists "
                       "already"):
        guests.client.call('netdev_add', type='vmnet-shared', id='n',
                           uplink='kernel')
    assert guests.client.call('query-networks') == []


def test_options_that_contradict(guests):
    for options, text in (
            ({'uplink': 'kernel', 'host-loopback': True},
             "'host-loopback' cannot be had with uplink=kernel"),
    ):
        with pytest.raises(QmpError, match=text):
            guests.client.call('netdev_add', type='vmnet-shared', id='n',
                               **options)
    guests.add(uplink='sockets')
    assert guests.network()['uplink'] == 'sockets'
    with pytest.raises(QmpError, match='uplink kernel is wanted, sockets is in '
                       'force'):
        guests.client.call('netdev_add', type='vmnet-shared', id='n',
                           uplink='kernel')


@pytest.mark.guest
def test_real_guest(lan, system):
    system.start()
    with Boot(system) as boot:
        guest = boot.run('one', 'vmnet-shared,id=net0')
        guest.wait_ready()
        address = guest.dhcp()['address']
        assert guest.run('ping -c 1 -W 2 ' + ROUTER).status == 0
        assert pings(lan.host, address)
