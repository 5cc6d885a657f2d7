"""Frames that are no good: each is dropped and counted, and no more happens.

  test [ frames by scapy ] --+
                             +-- vmnetd
  test [ another guest ] ----+

SPDX-License-Identifier: GPL-2.0-or-later
"""

import os
import struct

import pytest
from scapy.layers.dns import DNS, DNSQR
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6ND_NS, ICMPv6ND_RS, IPv6
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.packet import Raw

from lib.raw_guest import BROADCAST, RawGuest

MAC, OTHER = '52:54:00:ee:00:01', '52:54:00:ee:00:02'


class Pair:
    """Two guests with leases."""

    def __init__(self, daemon):
        self.client = daemon.qmp()
        self.ids, self.guests = [], []
        for mac in (MAC, OTHER):
            ident, path = daemon.netdev(self.client)
            self.ids.append(ident)
            self.guests.append(RawGuest(path, mac))
            ack = self.guests[-1].lease()
        self.router, self.gateway = ack['server_id'], ack.frame.src

    def drops(self, index=0):
        """{reason: frames} of a guest's netdev, from when it was plugged in."""
        info = {n['id']: n for n in self.client.call('query-netdevs')}
        return {drop['reason']: drop['frames']
                for drop in info[self.ids[index]]['drops']
                if drop['reason'] != 'not-connected'}

    def is_served(self, index=0):
        """The gateway answers by ARP; what was sent before has been seen."""
        self.guests[index].arp(self.router)
        return self.guests[index].receive(
            lambda f: ARP in f and f[ARP].op == 2 and f[ARP].psrc == self.router)

    def close(self):
        """Both."""
        for guest in self.guests:
            guest.close()
        self.client.close()


@pytest.fixture
def pair(daemon):
    """Two guests."""
    made = Pair(daemon)
    yield made
    made.close()


def udp(pair, port, payload):
    """To the gateway, as bytes behind honest headers."""
    return Ether(src=MAC, dst=pair.gateway) / IP(
        src=pair.guests[0].address, dst=pair.router) / UDP(
            sport=4000, dport=port) / Raw(payload)


def lying_length(packet, layer, **fields):
    """@packet with a field that says more than there is."""
    for name, value in fields.items():
        setattr(packet[layer], name, value)
    return packet


QUERY = bytes(DNS(qd=DNSQR(qname='host.vmnet.internal')))

# name: (frame, reason or None where an answer says what is wrong)
BAD = {
    'runt': (lambda p: b'\x52\x54\0', 'runt'),
    'giant': (lambda p: Ether(src=MAC, dst=p.gateway, type=0x88b5) /
              Raw(bytes(1501)), 'giant'),
    'group-source': (lambda p: Ether(src='01:00:5e:00:00:01', dst=p.gateway) /
                     ARP(), 'bad-source'),
    'zero-source': (lambda p: Ether(src='00:00:00:00:00:00', dst=p.gateway) /
                    ARP(), 'bad-source'),
    'gateway-as-source': (lambda p: Ether(src=p.gateway, dst=BROADCAST) / ARP(),
                          'own-source'),
    'to-itself': (lambda p: Ether(src=MAC, dst=MAC) / ARP(), 'same-port'),
    'bridge-group': (lambda p: Ether(src=MAC, dst='01:80:c2:00:00:00') /
                     Raw(bytes(50)), 'reserved'),
    'foreign-ipv4': (lambda p: Ether(src=MAC, dst=p.gateway) /
                     IP(src='8.8.8.8', dst=p.router) / ICMP(), 'foreign-source'),
    'address-of-another': (lambda p: Ether(src=MAC, dst=p.gateway) /
                           IP(src=p.guests[1].address, dst=p.router) / ICMP(),
                           'foreign-source'),
    'foreign-ipv6': (lambda p: Ether(src=MAC, dst=p.gateway) /
                     IPv6(src='2001:db8::1', dst='2001:db8::2') / UDP(),
                     'foreign-source'),
    'arp-of-another': (lambda p: Ether(src=MAC, dst=BROADCAST) /
                       ARP(op=2, hwsrc=MAC, psrc=p.guests[1].address),
                       'foreign-source'),
    'arp-of-the-gateway': (lambda p: Ether(src=MAC, dst=BROADCAST) /
                           ARP(op=2, hwsrc=MAC, psrc=p.router),
                           'foreign-source'),
    'cut-ipv4': (lambda p: bytes(Ether(src=MAC, dst=p.gateway) /
                                 IP(src=p.guests[0].address, dst=p.router) /
                                 UDP() / Raw(bytes(100)))[:60], 'malformed'),
    'ihl-of-four': (lambda p: Ether(src=MAC, dst=p.gateway) /
                    IP(src=p.guests[0].address, dst=p.router, ihl=4) / ICMP(),
                    'malformed'),
    'tcp-offset-of-four': (lambda p: Ether(src=MAC, dst=p.gateway) /
                           IP(src=p.guests[0].address, dst=p.router) /
                           TCP(dataofs=4), 'malformed'),
    'udp-that-lies': (lambda p: lying_length(udp(p, 53, QUERY), UDP, len=900),
                      'malformed'),
    'dhcp-that-lies': (lambda p: Ether(src=MAC, dst=BROADCAST) /
                       IP(src='0.0.0.0', dst='255.255.255.255') /
                       UDP(sport=68, dport=67) /
                       Raw(b'\1\1\6\0' + bytes(24) + b'\x52\x54\0\xee\0\1' +
                           bytes(202) + b'\x63\x82\x53\x63\x35\x01\x01\x0c\xff'
                           b'name'), 'malformed'),
    'nd-without-its-hop-limit': (lambda p: Ether(
        src=MAC, dst='33:33:00:00:00:02') / IPv6(
            src='fe80::1:2', dst='ff02::2', hlim=64) / ICMPv6ND_RS(),
                                 'malformed'),
    'nd-with-an-option-of-no-length': (lambda p: Ether(
        src=MAC, dst='33:33:ff:00:00:01') / IPv6(
            src='fe80::1:2', dst='ff02::1:ff00:1') /
        ICMPv6ND_NS(tgt='fe80::1') / Raw(b'\1\0\0\0\0\0\0\0'), 'malformed'),
    'link-local-to-the-outside': (lambda p: Ether(src=MAC, dst=p.gateway) /
                                  IPv6(src='fe80::1:2', dst='2001:db8::2') /
                                  UDP(), 'refused'),
    'own-subnet-by-the-gateway': (lambda p: Ether(src=MAC, dst=p.gateway) /
                                  IP(src=p.guests[0].address,
                                     dst=p.guests[1].address) / UDP(),
                                  'refused'),
}


@pytest.mark.parametrize('name', BAD)
def test_bad_frame_is_dropped_and_counted(pair, name):
    frame, reason = BAD[name]
    pair.guests[0].send(frame(pair))
    assert pair.is_served()
    assert pair.drops() == {reason: 1}
    assert pair.is_served(1) and pair.drops(1) == {}


@pytest.mark.parametrize('query', [
    struct.pack('!HHHHHH', 7, 0x100, 1, 0, 0, 0) + b'\x3fshort',
    struct.pack('!HHHHHH', 7, 0x100, 1, 0, 0, 0) + b'\xc0\x0c\0\1\0\1',
    struct.pack('!HHHHHH', 7, 0x100, 9, 9, 9, 9) + QUERY[12:]],
                         ids=['label', 'loop', 'counts'])
def test_dns_that_lies_is_a_format_error(pair, query):
    guest = pair.guests[0]
    guest.send(udp(pair, 53, query))
    answer = guest.receive(lambda f: DNS in f)
    assert answer[DNS].id == 7 and answer[DNS].rcode == 1
    assert pair.is_served()


def test_mac_of_another_is_an_event_naming_both(pair):
    pair.guests[0].send(Ether(src=OTHER, dst=BROADCAST, type=0x88b5) /
                        Raw(bytes(50)))
    # Once is a guest that moved; back again are two.
    assert pair.is_served()
    assert pair.is_served(1)
    event = pair.client.wait_event('LEASE_CONFLICT')['data']
    assert event['mac'] == OTHER
    assert {event['netdev'].split('/')[1],
            event['other-netdev'].split('/')[1]} == set(pair.ids)


def test_vlan_tags_are_kept(pair):
    payload = os.urandom(1500)
    pair.guests[0].send(Ether(src=MAC, dst=OTHER) / Dot1Q(vlan=42, type=0x88b5) /
                        Raw(payload))
    frame = pair.guests[1].receive(lambda f: Dot1Q in f)
    assert frame[Dot1Q].vlan == 42 and bytes(frame[Dot1Q].payload) == payload


def test_frames_are_padded_to_sixty_bytes(pair):
    pair.guests[0].send(Ether(src=MAC, dst=OTHER, type=0x88b5) / Raw(b'short'))
    frame = pair.guests[1].receive(lambda f: f.type == 0x88b5)
    assert len(frame) == 60 and bytes(frame)[14:] == b'short' + bytes(41)
