#!/usr/bin/env python3
"""Makes the frame files beside it: what a hostile guest sends.

Each file holds frames with a 32 bit big-endian length in front, as the stream
port takes them. Seeds are fixed: the same files come out each time.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import os
import random
import struct
import sys

from scapy.all import (ARP, BOOTP, DHCP, DNS, DNSQR, ICMPv6EchoRequest,
                       ICMPv6ND_NS, ICMPv6ND_RS, ICMPv6NDOptSrcLLAddr, IP,
                       IPv6, Ether, Raw, TCP, UDP)

HERE = os.path.dirname(os.path.abspath(__file__))
MAC = '52:54:00:66:66:66'
GUEST, GATEWAY = '192.168.107.66', '192.168.107.1'
# Stands for the gateway's MAC address: blaster puts the real one there.
ROUTER = '02:00:00:00:00:01'


def write(name, frames):
    """One file; a frame may be bytes or (claimed length, bytes)."""
    with open(os.path.join(HERE, name + '.frames'), 'wb') as out:
        for frame in frames:
            if isinstance(frame, tuple):
                length, data = frame
            else:
                data = bytes(frame)
                length = len(data)
            out.write(struct.pack('!I', length) + data)


def mutate(rng, data, times):
    """@data with a few bytes changed, cut or doubled."""
    data = bytearray(data)
    for _ in range(times):
        kind = rng.randrange(4)
        at = rng.randrange(12, len(data))
        if kind == 0:
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            data[at] = rng.choice((0, 1, 0x7f, 0x80, 0xff))
        elif kind == 2:
            del data[at:at + rng.randrange(1, 8)]
        else:
            data[at:at] = data[at:at + rng.randrange(1, 8)]
        if len(data) < 20:
            data += bytes(20)
    return bytes(data)


def templates():
    """Good frames of each protocol, to be mutated."""
    eth = Ether(src=MAC, dst='ff:ff:ff:ff:ff:ff')
    routed = Ether(src=MAC, dst=ROUTER)
    chaddr = bytes.fromhex(MAC.replace(':', ''))
    ip = IP(src=GUEST, dst=GATEWAY)
    ll = IPv6(src='fe80::6666', dst='ff02::2', hlim=255)
    return {
        'dhcp': [
            eth / IP(src='0.0.0.0', dst='255.255.255.255')
            / UDP(sport=68, dport=67) / BOOTP(chaddr=chaddr, xid=7)
            / DHCP(options=[('message-type', kind), ('hostname', b'evil'),
                            ('client_id', b'\1' + chaddr),
                            ('param_req_list', [1, 3, 6, 26, 119, 121]),
                            'end'])
            for kind in ('discover', 'request', 'decline', 'inform')],
        'dns': [
            routed / ip / UDP(sport=1053, dport=53)
            / DNS(id=1, rd=1, qd=DNSQR(qname=name, qtype=kind))
            for name in ('example.org', 'a.' * 60, 'host.vmnet.internal')
            for kind in ('A', 'AAAA', 'PTR')],
        'tcp': [
            routed / ip / TCP(sport=2000, dport=9, flags=flags, seq=1,
                           options=[('MSS', 1460), ('WScale', 7)])
            / Raw(b'x' * 64) for flags in ('S', 'A', 'PA', 'FA', 'R', 'SFPU')],
        'nd': [
            eth / ll / ICMPv6ND_RS() / ICMPv6NDOptSrcLLAddr(lladdr=MAC),
            eth / ll / ICMPv6ND_NS(tgt='fe80::1')
            / ICMPv6NDOptSrcLLAddr(lladdr=MAC),
            eth / ll / ICMPv6EchoRequest(data=b'x' * 32),
            eth / ARP(op=1, hwsrc=MAC, psrc=GUEST, pdst=GATEWAY)],
    }


def main():
    """All files."""
    rng = random.Random(20)
    routed = Ether(src=MAC, dst=ROUTER)
    write('runts', [bytes(rng.randrange(256) for _ in range(n))
                    for n in range(1, 60) for _ in range(4)])
    write('giants', [bytes(Ether(src=MAC, dst='52:54:00:00:00:01'))
                     + bytes(n) for n in (1505, 2000, 9000, 60000, 65535)]
          + [(70000, bytes(70000))])
    write('random', [bytes(rng.randrange(256)
                           for _ in range(rng.randrange(14, 1515)))
                     for _ in range(64)])
    write('truncated', [(2 ** 31, b'x' * 64)])
    for name, frames in templates().items():
        good = [bytes(frame) for frame in frames]
        write(name, [mutate(rng, rng.choice(good), rng.randrange(1, 6))
                     for _ in range(256)])
    write('syn-flood', [
        Ether(src=MAC, dst=ROUTER)
        / IP(src=GUEST, dst='198.51.100.%d' % (n % 250 + 1))
        / TCP(sport=1024 + n, dport=n % 7 + 1, flags='S') for n in range(1024)])
    write('mac-flood', [
        Ether(src='52:54:%02x:%02x:%02x:%02x' % tuple(
            rng.randrange(256) for _ in range(4)), dst='ff:ff:ff:ff:ff:ff')
        / Raw(bytes(46)) for _ in range(4096)])
    write('foreign', [
        routed / IP(src='203.0.113.%d' % (n % 250), dst=GATEWAY)
        / UDP(sport=n + 1, dport=53) / Raw(b'spoof') for n in range(256)])
    write('fragments', [
        routed / IP(src=GUEST, dst=GATEWAY, id=rng.randrange(65536),
                 flags='MF' if rng.random() < 0.7 else 0,
                 frag=rng.choice((0, 1, 2, 185, 8000, 8191)), proto=17)
        / Raw(bytes(rng.choice((8, 24, 1480)))) for _ in range(256)])


if __name__ == '__main__':
    sys.exit(main())
