"""What an expert would try against the daemon and his neighbours.

  attacker --+-- vmnetd -- a name server, an echo, on the host
  neighbour -+

What the attacker does is not forbidden by the formats: there is just too much
of it, or it is not his to say.  The neighbour never notices.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import contextlib
import os
import struct

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import (ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6ND_RA,
                                ICMPv6NDOptDstLLAddr, ICMPv6NDOptSrcLLAddr,
                                IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment,
                                IPv6ExtHdrHopByHop, IPv6ExtHdrRouting)
from scapy.layers.l2 import ARP, LLC, SNAP, Dot1AD, Dot1Q, Dot3, Ether

from lib import services
from lib.instance import BUILD
from lib.lab import until
from lib.qmp import Qmp, QmpError
from lib.raw_guest import BROADCAST, RawGuest
from lib.vmm import BROADCAST as TO_ALL, Silence, Vmm

ASAN = 'asan' in os.path.basename(BUILD)
EVIL, GOOD = '52:54:00:66:00:01', '52:54:00:77:00:01'
LINK_LOCAL = 'fe80::1'
CLIENT_FDS = 16         # LIMIT_CLIENT_FDS
FLOWS = 16384           # LIMIT_FLOWS_PER_PORT
LEASES = 128            # LIMIT_LEASES_PER_PORT
DNS_QUERIES = 64        # LIMIT_DNS_PER_PORT
QMP_KIB = 8 * 1024
QUERY = b'\0\1\1\0\0\1\0\0\0\0\0\0\4%s\7example\0\0\1\0\1'


@pytest.fixture
def client(daemon):
    """A negotiated client."""
    with Qmp(daemon.socket) as made:
        yield made


def count_fds(daemon):
    """Descriptors of the engine."""
    return len(os.listdir('/proc/%d/fd' % daemon.pids()[0]))


# Clients

def test_64_mib_without_a_newline(daemon, client):
    before = daemon.rss_kib()
    with Qmp(daemon.socket) as rude:
        rude.socket.setblocking(True)
        with contextlib.suppress(OSError):
            rude.socket.sendall(b'{"execute": "')
            for _ in range(64):
                rude.socket.sendall(b'x' * (1 << 20))
            rude.socket.sendall(b'\xff\n{"execute": "query-version"}\n')
        with contextlib.suppress(OSError):
            assert b'error' in rude.line()
        assert client.call('query-version')
        if not ASAN:
            assert daemon.rss_kib() - before < QMP_KIB


def test_descriptors_that_are_never_used(daemon, client):
    null = os.open('/dev/null', os.O_RDWR)
    before = count_fds(daemon)
    with Qmp(daemon.socket) as hoarder:
        refusals = 0
        for number in range(1000):
            try:
                hoarder.call('getfd', [null], fdname='fd%d' % number)
            except QmpError as error:
                assert 'too many file descriptors' in error.text
                refusals += 1
        assert refusals == 1000 - CLIENT_FDS
        for _ in range(1000):
            hoarder.call('getfd', [null], fdname='fd0')
        assert count_fds(daemon) <= before + CLIENT_FDS + 4     # clients, too
    os.close(null)
    client.call('query-version')


def test_netdev_with_ten_thousand_forwards(daemon, client):
    client.call('netdev_add', type='vmnet-shared', id='warm')
    before = count_fds(daemon)
    with pytest.raises(QmpError) as failure:
        client.call('netdev_add', type='vmnet-shared', id='n', hostfwd=[
            'tcp:127.0.0.1:0-:%d' % (n % 65535 + 1) for n in range(10000)])
    assert 'forwards' in failure.value.text
    assert client.call('query-forwards') == []
    assert [n['id'] for n in client.call('query-netdevs')] == ['warm']
    until(lambda: count_fds(daemon) <= before)  # the worker has some for a file


# Guests: too much

@contextlib.contextmanager
def guests(daemon, client, **options):
    """Attacker and neighbour, who has an address."""
    _, evil = daemon.netdev(client, host_loopback=True, **options)
    _, good = daemon.netdev(client, host_loopback=True, **options)
    with Vmm(evil, EVIL) as attacker, Vmm(good, GOOD) as neighbour:
        attacker.lease()
        neighbour.lease()
        yield attacker, neighbour


def drops(client, index, reason):
    """Frames of a netdev that were dropped for it."""
    for drop in client.call('query-netdevs')[index]['drops']:
        if drop['reason'] == reason:
            return drop['frames']
    return 0


def test_more_flows_than_a_guest_may_have(daemon, client):
    echo = services.UdpEcho('127.0.0.1')
    with guests(daemon, client) as (attacker, neighbour):
        fds = count_fds(daemon)
        for number in range(FLOWS + 200):
            attacker.udp(1024 + number, attacker.gateway, 9, b'flood')
            if number % 2000 == 0:
                assert neighbour.ask(1000 + number // 2000, echo.port,
                                     b'word') == b'word'
        assert neighbour.ask(2000, echo.port, b'word') == b'word'
        assert count_fds(daemon) <= fds + FLOWS + 32
    echo.close()


def test_all_leases_for_one_port(daemon, client):
    _, evil = daemon.netdev(client)
    _, good = daemon.netdev(client)
    taken = set()
    with Vmm(evil, timeout=0.3) as attacker:
        for number in range(300):
            attacker.mac = bytes.fromhex('525400') + struct.pack('!I', number)[1:]
            try:
                taken.add(attacker.lease())
            except Silence:
                break
        assert 0 < len(taken) <= LEASES
        with Vmm(good, GOOD) as neighbour:
            assert neighbour.lease() not in taken


def test_names_nobody_answers_for(daemon, client):
    """A server that is silent for the attacker's names."""
    class Half(services.DnsServer):
        """Answers those of @names only."""
        def answer(self, query):
            if b'\4good' not in query:
                raise IndexError
            return super().answer(query)

    server = Half({'good.example': ['198.51.100.7']})
    with open(daemon.resolv_conf, 'w', encoding='ascii') as out:
        out.write('nameserver 127.0.0.1#%d\n' % server.port)
    with guests(daemon, client) as (attacker, neighbour):
        fds = count_fds(daemon)
        for number in range(2000):
            attacker.udp(1024 + number, attacker.gateway, 53, QUERY % b'evil')
        assert bytes([198, 51, 100, 7]) in neighbour.ask(1000, 53, QUERY % b'good')
        # Each waiting query has a socket per server asked, here one.
        assert count_fds(daemon) <= fds + DNS_QUERIES + 4
        assert drops(client, 0, 'limit') > 0
    server.close()


# Guests: what is not theirs to say

def claims(gateway, gateway6, mac):
    """Frames to @mac by which the attacker says that he is the gateway."""
    ether = Ether(src=EVIL, dst=mac)
    lladdr = ICMPv6NDOptDstLLAddr(lladdr=EVIL)
    advert = ICMPv6ND_NA(tgt=LINK_LOCAL, O=1, R=1, S=0) / lladdr
    packet = IPv6(src='fe80::66', dst='ff02::1')
    options = IPv6ExtHdrDestOpt()
    for _ in range(8):
        options /= IPv6ExtHdrDestOpt()
    reply = ARP(op=2, hwsrc=EVIL, psrc=gateway, hwdst=mac, pdst='192.168.107.9')
    return {
        'arp-reply': ether / reply,
        'arp-request': ether / ARP(hwsrc=EVIL, psrc=gateway, pdst='192.168.107.9'),
        'arp-announcement': Ether(src=EVIL, dst=BROADCAST) /
                            ARP(op=1, hwsrc=EVIL, psrc=gateway, pdst=gateway),
        'na': ether / IPv6(src='fe80::66', dst='ff02::1') /
              ICMPv6ND_NA(tgt=LINK_LOCAL, O=1, R=1, S=0) / lladdr,
        'na-of-the-global': ether / IPv6(src='fe80::66', dst='ff02::1') /
                            ICMPv6ND_NA(tgt=gateway6, O=1, R=1, S=0) / lladdr,
        'na-behind-options': ether / IPv6(src='fe80::66', dst='ff02::1') /
                             IPv6ExtHdrHopByHop() / IPv6ExtHdrDestOpt() /
                             ICMPv6ND_NA(tgt=LINK_LOCAL, O=1, R=1, S=0) / lladdr,
        'arp-priority-tag': ether / Dot1Q(vlan=0, prio=3) / reply,
        'arp-two-tags': ether / Dot1AD(vlan=0) / Dot1Q(vlan=0) / reply,
        'na-priority-tag': ether / Dot1Q(vlan=0) / packet / advert,
        'na-behind-nine': ether / packet / options / advert,
        'na-behind-a-route': ether / packet / IPv6ExtHdrRouting(type=0, segleft=0) /
                             advert,
        'na-in-fragments': ether / packet / IPv6ExtHdrFragment(m=1) / advert,
        'arp-snap': Dot3(src=EVIL, dst=mac) / LLC(dsap=0xaa, ssap=0xaa, ctrl=3) /
                    SNAP(code=0x0806) / reply,
        'redirect': ether / IP(src=gateway, dst='192.168.107.9') /
                    ICMP(type=5, code=1, gw='192.168.107.66') /
                    IP(dst='198.51.100.1') / UDP(),
        'ns': ether / IPv6(src=LINK_LOCAL, dst='ff02::1:ff00:9') /
              ICMPv6ND_NS(tgt='fe80::9') / ICMPv6NDOptSrcLLAddr(lladdr=EVIL),
        'ra': ether / IPv6(src=LINK_LOCAL, dst='ff02::1') /
              ICMPv6ND_RA() / ICMPv6NDOptSrcLLAddr(lladdr=EVIL),
    }


# Of these nobody looks at what they say.
NOT_READ = ['na-behind-nine', 'na-behind-a-route', 'na-in-fragments']
NAMES = list(claims('192.0.2.1', 'fd00::1', GOOD))


@pytest.mark.parametrize('name', NAMES)
def test_another_gateway(daemon, client, name):
    _, evil = daemon.netdev(client)
    _, good = daemon.netdev(client)
    info = client.call('query-networks')[0]
    gateway6 = info['ipv6-prefix'].split('/')[0] + '1'
    with RawGuest(evil, EVIL) as attacker, RawGuest(good, GOOD) as victim:
        victim.lease()
        attacker.lease()
        for to in (GOOD, BROADCAST):
            attacker.send(claims(info['gateway'], gateway6, to)[name])
        # What follows it arrives, and nothing came before that.
        attacker.send(Ether(src=EVIL, dst=GOOD) / IP(dst=victim.address) /
                      TCP(dport=4242))
        seen = []
        assert victim.receive(lambda f: seen.append(f) or
                              (TCP in f and f[TCP].dport == 4242))
        assert not [f for f in seen if f.src == EVIL and
                    (ARP in f or IPv6 in f or ICMP in f)]
        reason = 'refused' if name in NOT_READ else 'foreign-source'
        assert drops(client, 0, reason) == 2
        # Not even for the gateway itself, which still answers.
        victim.arp(info['gateway'])
        answer = victim.receive(lambda f: ARP in f and f[ARP].op == 2)
        assert answer[ARP].hwsrc == info['mac']


def test_the_gateways_frames_stay_its_own(daemon, client):
    """A guest that sends with its address gets nothing of what is for it."""
    echo = services.UdpEcho('127.0.0.1')
    with guests(daemon, client) as (attacker, neighbour):
        forged = neighbour.gateway_mac
        attacker.send(TO_ALL + forged + b'\x88\xb5' + bytes(46))
        assert neighbour.ask(1000, echo.port, b'word') == b'word'
        assert drops(client, 0, 'own-source') == 1
        attacker.timeout = 0.2
        with pytest.raises(Silence):
            attacker.receive(lambda f: True if f[:6] == forged else None)
    echo.close()
