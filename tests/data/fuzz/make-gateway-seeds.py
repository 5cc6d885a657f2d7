#!/usr/bin/env python3
# Makes the seeds of fuzz-gateway and fuzz-leases.
#
# Frames come from scapy, that is, from somebody else's reading of the RFCs; a
# file's name says what happens in it. Run it after adding one:
#
#   tests/data/fuzz/make-gateway-seeds.py
#
# SPDX-License-Identifier: GPL-2.0-or-later

import pathlib
import struct

from scapy.all import (
    ARP, BOOTP, DHCP, DNS, DNSQR, DNSRR, DNSRROPT, Ether, ICMP,
    ICMPv6EchoRequest, ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6ND_RS,
    ICMPv6NDOptDstLLAddr, ICMPv6NDOptSrcLLAddr, IP, IPv6, TCP, UDP)

HERE = pathlib.Path(__file__).parent
GUEST, GATEWAY = "52:54:00:12:34:56", "52:54:00:00:00:01"
ALL = "ff:ff:ff:ff:ff:ff"
IP4 = dict(src="192.168.107.3", dst="192.168.107.1")
IP6 = dict(src="fd00::2", dst="fd00::1")
TIME, REPLY, GONE, NEIGHBOUR, TCP_QUERY = 4, 5, 6, 7, 8


def step(op, data):
    data = bytes(data)
    return struct.pack(">BH", op, len(data)) + data


def gateway(name, *steps):
    folder = HERE / "gateway"
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(b"".join(steps))


def leases(name, text):
    folder = HERE / "leases"
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)


def ether(dst=GATEWAY):
    return Ether(src=GUEST, dst=dst)


def dhcp(options, port=0, src="0.0.0.0", dst="255.255.255.255", **fields):
    return step(port, ether(ALL) / IP(src=src, dst=dst) /
                UDP(sport=68, dport=67) /
                BOOTP(chaddr=bytes.fromhex(GUEST.replace(":", "")), xid=7,
                      **fields) / DHCP(options=options + ["end"]))


def query(name, qtype="A", **fields):
    return DNS(id=0x1234, rd=1, qd=DNSQR(qname=name, qtype=qtype), **fields)


def dns(message, network=IP(**IP4)):
    return step(0, ether() / network / UDP(sport=5353, dport=53) / message)


OURS = ("server_id", "192.168.107.1")
DISCOVER = dhcp([("message-type", "discover"), ("client_id", b"\1guest"),
                 ("hostname", "web"),
                 ("param_req_list", [1, 3, 6, 26, 119, 121])])
REQUEST = dhcp([("message-type", "request"), OURS, ("hostname", "web"),
                ("requested_addr", "192.168.107.3")])

gateway("arp", step(0, ether(ALL) / ARP(op=1, hwsrc=GUEST,
                                       psrc="192.168.107.3",
                                       pdst="192.168.107.1")),
        step(NEIGHBOUR, b"\3"), step(NEIGHBOUR, b"\4"), step(TIME, b"\1"))
gateway("dhcp", DISCOVER, REQUEST, step(TIME, b"\x20"),
        dhcp([("message-type", "request")], src="192.168.107.3",
             dst="192.168.107.1", ciaddr="192.168.107.3"),
        step(TIME, b"\x40"), DISCOVER,
        dhcp([("message-type", "decline"), OURS,
              ("requested_addr", "192.168.107.3")]),
        dhcp([("message-type", "release"), OURS], ciaddr="192.168.107.3"),
        dhcp([("message-type", "inform")], ciaddr="192.168.107.3"),
        dhcp([("message-type", "request"), ("requested_addr", "10.0.0.1")],
             giaddr="192.168.107.9"), step(GONE, b"\0"))
gateway("names", REQUEST, *[dns(query(name, qtype)) for name, qtype in [
    ("web.vmnet.internal", "A"), ("host.vmnet.internal", "AAAA"),
    ("3.107.168.192.in-addr.arpa", "PTR"), ("vmnet.internal", "SOA"),
    ("localhost", "A")]])
gateway("resolver",
        dns(query("example.org", ar=DNSRROPT(rclass=1232))),
        step(REPLY, query("example.org", qr=1, an=DNSRR(
            rrname="example.org", rdata="198.51.100.1"))),
        step(TCP_QUERY, query("example.org")),
        step(REPLY, b""), dns(query("host.vmnet.internal"), IPv6(**IP6)))
gateway("ping", step(0, ether() / IP(**IP4) / ICMP() / b"payload"),
        step(1, ether() / IPv6(**IP6) / ICMPv6EchoRequest(data=b"payload")))
gateway("nd",
        step(0, ether("33:33:00:00:00:02") /
             IPv6(src="fe80::2", dst="ff02::2", hlim=255) / ICMPv6ND_RS() /
             ICMPv6NDOptSrcLLAddr(lladdr=GUEST)),
        step(0, ether("33:33:ff:00:00:01") /
             IPv6(src="fd00::2", dst="ff02::1:ff00:1", hlim=255) /
             ICMPv6ND_NS(tgt="fd00::1") / ICMPv6NDOptSrcLLAddr(lladdr=GUEST)),
        step(0, ether("33:33:ff:00:00:01") /
             IPv6(src="::", dst="ff02::1:ff00:1", hlim=255) /
             ICMPv6ND_NS(tgt="fe80::1")),
        step(0, ether() / IPv6(hlim=255, **IP6) /
             ICMPv6ND_NA(tgt="fd00::2", S=1, O=1) /
             ICMPv6NDOptDstLLAddr(lladdr=GUEST)),
        step(TIME, b"\1"))
gateway("routed", *[step(0, ether() / packet) for packet in [
    IP(src="192.168.107.3", dst="198.51.100.%d" % n) / UDP(dport=9)
    for n in range(4)] + [
    IP(src="192.168.107.3", dst="198.51.100.1", ttl=1) / TCP(),
    IPv6(src="fd00::2", dst="2001:db8::1") / TCP(),
    IP(src="10.0.0.1", dst="198.51.100.1") / UDP()]])

LEASE = "lease 192.168.107.{0} 52:54:00:12:34:{0:02x} {1}\n"
NOBODY = "lease 192.168.107.9 00:00:00:00:00:00 declined 1700000500 - -\n"
BOUND = LEASE.format(5, "bound 1700000100 0152540012 web")
leases("empty", "vmnet-leases 1\nend 0\n")
leases("states", "vmnet-leases 1\n" + BOUND +
       LEASE.format(6, "expired 1690000000 - -") +
       LEASE.format(7, "released 1690000000 ff db") + NOBODY + "end 4\n")
leases("incomplete", "vmnet-leases 1\n" + BOUND + "end 2\n")
leases("version", "vmnet-leases 2\nend 0\n")
