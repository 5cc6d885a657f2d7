#!/usr/bin/env python3
"""Makes the frame files beside it: what a hostile guest sends.

Each file holds frames with a 32 bit big-endian length in front, as the stream
port takes them. Seeds are fixed: the same files come out each time.

A mutated frame with a wrong checksum tests the checksum. So in three of four
mutated frames it is the message that is changed, and lengths and checksums
around it are right; in the fourth any byte of the frame may be wrong.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import os
import random
import struct
import sys

from scapy.all import (ARP, BOOTP, DHCP, DNS, DNSQR, DNSRROPT, ICMPv6EchoRequest,
                       ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6ND_RA, ICMPv6ND_RS,
                       ICMPv6NDOptMTU, ICMPv6NDOptPrefixInfo,
                       ICMPv6NDOptSrcLLAddr, IP, IPv6, Ether, Raw, TCP, UDP,
                       in4_chksum, in6_chksum)

HERE = os.path.dirname(os.path.abspath(__file__))
MAC = '52:54:00:66:66:66'
GUEST, GATEWAY = '192.168.107.66', '192.168.107.1'
# Stands for the gateway's MAC address: blaster puts the real one there.
ROUTER = '02:00:00:00:00:01'
# Stands for the port of a service: blaster puts the real one there.
SERVICE = 9
BROADCAST = 'ff:ff:ff:ff:ff:ff'
# Of TCP: connections, and what the first byte of a guest's is numbered.
FLOWS = 64
ISN = 1000
# Where TCP's header begins to be changed: at the data offset, so that a segment
# stays one of its connection.
TCP_OFFSET = 12


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


def mutate(rng, data, times, start=0):
    """@data with a few bytes from @start on changed, cut or doubled."""
    data = bytearray(data)
    for _ in range(times):
        if len(data) <= start:
            data += bytes(start + 8 - len(data))
        kind = rng.randrange(4)
        at = rng.randrange(start, len(data))
        if kind == 0:
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            data[at] = rng.choice((0, 1, 0x7f, 0x80, 0xff))
        elif kind == 2:
            del data[at:at + rng.randrange(1, 8)]
        else:
            data[at:at] = data[at:at + rng.randrange(1, 8)]
    return bytes(data)


def sealed(eth, ip, segment, at):
    """A frame whose @segment has its right checksum, which is at @at in it."""
    segment = bytearray(segment)
    segment[at:at + 2] = bytes(2)
    if isinstance(ip, IP):
        proto, total = ip.proto, in4_chksum(ip.proto, ip, bytes(segment))
    else:
        proto, total = ip.nh, in6_chksum(ip.nh, ip, bytes(segment))
    # RFC 768: no checksum is told by 0, and 0 by its other form.
    segment[at:at + 2] = struct.pack('!H', total or (0xffff if proto == 17 else 0))
    return eth / ip / Raw(bytes(segment))


def mutated(rng, count, make):
    """@count frames; make(n, changes) makes one, whose message changes() changes."""
    for n in range(count):
        if n % 4 == 3:
            frame = bytes(make(n, lambda data, start=0: data))
            yield mutate(rng, frame, rng.randrange(1, 6), 12)[:1514].ljust(20, b'\0')
        else:
            yield make(n, lambda data, start=0: mutate(
                rng, data, rng.randrange(4), start))


def dhcp(rng):
    """Clients that find, keep, give back and refuse addresses."""
    kinds = ('discover', 'request', 'request', 'inform', 'request', 'release',
             'discover', 'decline')

    def make(n, changes):
        client = n // len(kinds)
        kind = kinds[n % len(kinds)]
        chaddr = bytes([0x52, 0x54, 1, 0, client >> 8, client & 0xff])
        address = '192.168.107.%d' % (100 + client % 100)
        options = [('message-type', kind),
                   ('client_id', b'\1' + chaddr),
                   ('hostname', b'evil-%d' % rng.randrange(1000)),
                   ('param_req_list', rng.sample(range(1, 255),
                                                 rng.randrange(1, 40)))]
        if kind in ('discover', 'request', 'decline'):
            options.append(('requested_addr', address))
        if kind in ('request', 'decline', 'release'):
            options.append(('server_id', GATEWAY))
        rng.shuffle(options)
        ciaddr = address if kind in ('release', 'inform') else '0.0.0.0'
        bootp = BOOTP(chaddr=chaddr, xid=rng.randrange(2 ** 32), ciaddr=ciaddr)
        data = bytes(bootp / DHCP(options=options + ['end']))
        # Options begin at 240: what is before them is mostly zero.
        return (Ether(src=chaddr_text(chaddr), dst=BROADCAST)
                / IP(src='0.0.0.0', dst='255.255.255.255') / UDP(sport=68, dport=67)
                / Raw(changes(data, rng.choice((0, 240, 240)))))
    return mutated(rng, 512, make)


def chaddr_text(chaddr):
    """A hardware address as scapy takes it."""
    return ':'.join('%02x' % byte for byte in chaddr)


def dns(rng):
    """Questions for the name servers beyond, and some for the proxy itself."""
    def name(n):
        label = ''.join(rng.choice('abcdefghijklmnopqrstuvwxyz0123456789-_')
                        for _ in range(rng.randrange(1, 63)))
        return rng.choice((
            '%s.example.org' % label, 'n%d.%s' % (n, label),
            'a.' * rng.randrange(1, 100) + 'n%d' % n,
            '%s.vmnet.internal' % label, 'n%d.host.vmnet.internal' % n,
            '%d.%d.168.192.in-addr.arpa' % (n % 256, n % 200)))

    def make(n, changes):
        query = DNS(id=rng.randrange(65536), rd=rng.randrange(2),
                    cd=rng.randrange(2), opcode=rng.choice((0, 0, 0, 0, 2, 5)),
                    qd=DNSQR(qname=name(n), qtype=rng.choice(
                        (1, 28, 12, 15, 16, 33, 65, 252, 255, n))))
        if rng.randrange(2):
            query.ar = [DNSRROPT(rclass=rng.choice((0, 512, 1232, 65535)))]
        return (Ether(src=MAC, dst=ROUTER) / IP(src=GUEST, dst=GATEWAY)
                / UDP(sport=1024 + n, dport=53)
                / Raw(changes(bytes(query), rng.choice((0, 12)))))
    return mutated(rng, 1024, make)


def tcp(rng):
    """Connections to the service, and segments on them.

    Numbers are relative but for those of a SYN: blaster adds what the gateway
    expects to the sequence number, and what it has sent to the other. In three
    flows of four nothing but a change ends the connection, so that the rest
    meets an established one.
    """
    def segment(port, flags, seq, ack, data=b''):
        return TCP(sport=port, dport=SERVICE, flags=flags, seq=seq % 2 ** 32,
                   ack=ack % 2 ** 32, window=rng.choice((0, 1, 64, 1024, 65535)),
                   options=[('MSS', 1460), ('WScale', 7)] if flags == 'S' else
                   [('NOP', None), ('NOP', None), ('Timestamp', (1, 2))]) / Raw(data)

    def frame(data):
        return sealed(Ether(src=MAC, dst=ROUTER),
                      IP(src=GUEST, dst=GATEWAY, proto=6), data, 16)

    def make(n, changes):
        port = 2000 + n % FLOWS
        ends = ('FA', 'R', 'RA', 'SFPU') if n % 4 == 2 else ()
        data = bytes(segment(
            port, rng.choice(('A', 'A', 'PA', 'PA', 'PAU', '') + ends),
            rng.choice((0, 0, 0, 1, 64, 20000, 2 ** 20, 2 ** 31, -1, -64, -100000)),
            rng.choice((0, 0, 0, 0, -1, -500, 1, 100000)),
            b'x' * rng.choice((0, 0, 1, 16, 64, 1400))))
        return frame(changes(data, TCP_OFFSET))

    yield from (frame(bytes(segment(2000 + n, 'S', ISN, 0))) for n in range(FLOWS))
    yield from (frame(bytes(segment(2000 + n, 'A', 0, 0))) for n in range(FLOWS))
    yield from mutated(rng, 512, make)


def neighbours(rng):
    """Who has which address: of IPv6, and ARP."""
    def ndp(n):
        target = rng.choice(('fe80::1', 'fe80::%x' % n, 'fd00::%x' % n))
        return rng.choice((
            ICMPv6ND_RS(), ICMPv6ND_NS(tgt=target), ICMPv6ND_NS(tgt=target),
            ICMPv6ND_NA(tgt='fe80::%x' % (n + 2), S=rng.randrange(2),
                        O=rng.randrange(2)),
            ICMPv6ND_RA(routerlifetime=rng.randrange(65536))
            / ICMPv6NDOptPrefixInfo(prefix='fd00:%x::' % n) / ICMPv6NDOptMTU(mtu=n),
            ICMPv6EchoRequest(data=b'x' * rng.randrange(64))))

    def make(n, changes):
        mac = '52:54:02:00:%02x:%02x' % (n >> 8, n & 0xff)
        if n % 8 == 1:
            # No other guest's address: between guests it is as on a wire.
            arp = ARP(op=rng.choice((1, 2)), hwsrc=mac, pdst=GATEWAY,
                      psrc='192.168.107.%d' % (60 + n // 8 % 40))
            return (Ether(src=mac, dst=BROADCAST, type=0x806)
                    / Raw(changes(bytes(arp), 8)))
        message = ndp(n)
        message.cksum = 0
        if not isinstance(message, ICMPv6EchoRequest):
            message = message / ICMPv6NDOptSrcLLAddr(lladdr=mac)
        dst, dst_mac = rng.choice((('ff02::1', '33:33:00:00:00:01'),
                                   ('ff02::2', '33:33:00:00:00:02'),
                                   ('ff02::1:ff00:1', '33:33:ff:00:00:01'),
                                   ('fe80::1', ROUTER)))
        ip = IPv6(src=rng.choice(('fe80::%x' % (n + 2), '::')), dst=dst, nh=58,
                  hlim=255)
        return sealed(Ether(src=mac, dst=dst_mac), ip,
                      changes(bytes(message), 4), 2)
    return mutated(rng, 512, make)


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
    for name, frames in (('dhcp', dhcp), ('dns', dns), ('tcp', tcp),
                         ('nd', neighbours)):
        write(name, frames(random.Random(name)))


if __name__ == '__main__':
    sys.exit(main())
