#!/usr/bin/env python3
# Makes the seeds of the fuzz targets of proto/: ip, tcp, ndp, dhcp4, dns,
# dns-stream; and of offload and translate.
#
# They come from scapy, that is, from somebody else's reading of the RFCs.  A
# file's name says what the packet is.  Run it after adding one:
#
#   tests/data/fuzz/make-seeds.py
#
# SPDX-License-Identifier: GPL-2.0-or-later

import pathlib
import struct

from scapy.all import (
    ARP, BOOTP, DHCP, DNS, DNSQR, DNSRR, DNSRROPT, DNSRRSOA, Dot1Q, Ether,
    ICMP, ICMPv6DestUnreach, ICMPv6EchoRequest, ICMPv6ND_NA, ICMPv6ND_NS,
    ICMPv6ND_RA, ICMPv6ND_RS, ICMPv6NDOptDNSSL, ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptMTU, ICMPv6NDOptPrefixInfo, ICMPv6NDOptRDNSS,
    ICMPv6NDOptRouteInfo, ICMPv6NDOptSrcLLAddr, IP, IPOption, IPv6,
    IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop, PadN, Raw,
    TCP, UDP)

HERE = pathlib.Path(__file__).parent
GUEST, GATEWAY = "52:54:00:12:34:56", "52:54:00:00:00:01"
ETHER = Ether(src=GUEST, dst=GATEWAY)
IP4 = IP(src="192.168.107.2", dst="192.168.107.1", id=7)
IP6 = IPv6(src="fd00::2", dst="fd00::1")
LOCAL, ALL_NODES, ALL_ROUTERS = "fe80::5054:ff:fe12:3456", "ff02::1", "ff02::2"


def write(target, name, data):
    folder = HERE / target
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(data)


def ip(name, packet, cut=34):
    write("ip", name, bytes([cut]) + bytes(packet))


def tcp(name, segment):
    write("tcp", name, bytes(IP4 / segment)[20:])


def ndp(name, message, src=LOCAL, dst=ALL_NODES):
    packet = bytes(IPv6(src=src, dst=dst, hlim=255) / message)
    write("ndp", name, packet[8:])


def dhcp4(name, options, tail=b"", **fields):
    bootp = BOOTP(chaddr=bytes.fromhex(GUEST.replace(":", "")), xid=0x1234,
                  **fields)
    write("dhcp4", name, bytes(bootp / DHCP(options=options)) + tail)


def dns(name, **fields):
    write("dns", name, bytes(DNS(id=0x1234, **fields)))


def dns_stream(name, step, *messages, tail=b""):
    framed = b"".join(struct.pack("!H", len(m)) + m for m in messages)
    write("dns-stream", name, bytes([step - 1]) + framed + tail)


def offload(name, packet, gso_type, gso_size, start, offset, takes=0):
    header = struct.pack("<BBHHHHH", 1, gso_type, start, gso_size, start,
                         offset, 0)
    write("offload", name, bytes([takes, 99]) + header + bytes(packet))


ip("arp-request", ETHER / ARP(hwsrc=GUEST, psrc="192.168.107.2",
                              pdst="192.168.107.1"), 14)
ip("arp-probe", ETHER / ARP(hwsrc=GUEST, psrc="0.0.0.0", pdst="192.168.107.2"))
ip("udp4", ETHER / IP4 / UDP(sport=1234, dport=53) / b"hello")
ip("udp4-vlan", ETHER / Dot1Q(vlan=5) / IP4 / UDP(sport=1, dport=2) / b"x", 3)
ip("udp6", ETHER / IP6 / UDP(sport=1234, dport=53) / b"hello")
ip("udp4-options", ETHER / IP(src="10.0.0.2", dst="10.0.0.1", options=[
    IPOption(b"\x44\x04\x05\x00")]) / UDP(sport=1, dport=2))
ip("source-route", ETHER / IP(src="10.0.0.2", dst="10.0.0.1", options=[
    IPOption(b"\x83\x07\x04\x01\x02\x03\x04\x00")]) / UDP(sport=1, dport=2))
ip("fragment4", ETHER / IP(src="10.0.0.2", dst="10.0.0.1", flags="MF",
                           frag=3, proto=17) / Raw(b"a" * 64))
ip("fragment6", ETHER / IP6 / IPv6ExtHdrFragment(offset=3, m=1, id=9, nh=17) /
   Raw(b"a" * 64))
ip("atomic-fragment6", ETHER / IP6 / IPv6ExtHdrFragment(id=9) /
   UDP(sport=1, dport=2) / b"abc")
ip("extensions6", ETHER / IP6 / IPv6ExtHdrHopByHop(options=[PadN(optdata=b"\0" * 4)]) /
   IPv6ExtHdrDestOpt(options=[PadN(optdata=b"\0" * 4)]) / UDP(sport=1, dport=2))
ip("echo4", ETHER / IP4 / ICMP(id=1, seq=2) / b"ping")
ip("echo6", ETHER / IP6 / ICMPv6EchoRequest(id=1, seq=2, data=b"ping"))
ip("unreachable4", ETHER / IP4 / ICMP(type=3, code=4, nexthopmtu=1400) / IP4 /
   UDP(sport=1, dport=2))
ip("unreachable6", ETHER / IP6 / ICMPv6DestUnreach() / IP6 /
   TCP(sport=1, dport=2))

tcp("syn", TCP(sport=40000, dport=80, flags="S", seq=1, options=[
    ("MSS", 1460), ("SAckOK", b""), ("Timestamp", (1, 0)), ("NOP", None),
    ("WScale", 7)]))
tcp("data", TCP(sport=40000, dport=80, flags="PA", seq=2, ack=3, options=[
    ("NOP", None), ("NOP", None), ("Timestamp", (5, 6))]) / b"GET /")
tcp("reset", TCP(sport=40000, dport=80, flags="R", seq=2))
tcp("sack", TCP(sport=40000, dport=80, flags="A", seq=2, ack=3, options=[
    ("NOP", None), ("NOP", None), ("SAck", (100, 200))]))

ndp("ns", ICMPv6ND_NS(tgt="fe80::1") / ICMPv6NDOptSrcLLAddr(lladdr=GUEST),
    dst="ff02::1:ff00:1")
ndp("ns-dad", ICMPv6ND_NS(tgt=LOCAL), src="::", dst="ff02::1:ff12:3456")
ndp("na", ICMPv6ND_NA(tgt=LOCAL, R=0, S=0, O=1) /
    ICMPv6NDOptDstLLAddr(lladdr=GUEST))
ndp("rs", ICMPv6ND_RS() / ICMPv6NDOptSrcLLAddr(lladdr=GUEST), dst=ALL_ROUTERS)
ndp("rs-any", ICMPv6ND_RS(), src="::", dst=ALL_ROUTERS)
ndp("ra", ICMPv6ND_RA(routerlifetime=1800) / ICMPv6NDOptSrcLLAddr(lladdr=GUEST) /
    ICMPv6NDOptMTU(mtu=1500) /
    ICMPv6NDOptPrefixInfo(prefix="fd00:1::", prefixlen=64) /
    ICMPv6NDOptRouteInfo(prefix="fd00:2::", plen=48) /
    ICMPv6NDOptRDNSS(dns=["fd00:1::1", "fd00:1::2"], lifetime=600) /
    ICMPv6NDOptDNSSL(searchlist=["vmnet.internal"], lifetime=600))

LIST = ("param_req_list", [1, 3, 6, 26, 119, 121, 108])
dhcp4("discover", [("message-type", "discover"), ("client_id", b"\1RT\0\x124V"),
                   ("hostname", b"web"), LIST, "end"])
dhcp4("discover-unicast", [("message-type", "discover"),
                           ("max_dhcp_size", 1500), LIST, "end"])
dhcp4("discover-padded", [("message-type", "discover"), "pad", "pad", "end"],
      b"\0" * 60)
dhcp4("discover-rapid", [("message-type", "discover"), (80, b""), "end"])
dhcp4("discover-relayed", [("message-type", "discover"),
                           (82, b"\1\4eth0\2\4port"), "end"],
      giaddr="10.1.0.1", hops=1)
dhcp4("request-selecting", [("message-type", "request"),
                            ("requested_addr", "192.168.107.2"),
                            ("server_id", "192.168.107.1"), LIST, "end"])
dhcp4("request-renewing", [("message-type", "request"), "end"],
      ciaddr="192.168.107.2")
dhcp4("request-fqdn", [("message-type", "request"),
                       (81, b"\5\0\0\3web\5vmnet\0"), "end"])
dhcp4("request-fqdn-ascii", [("message-type", "request"),
                             (81, b"\1\0\0web.vmnet"), "end"])
dhcp4("decline", [("message-type", "decline"),
                  ("requested_addr", "192.168.107.2"),
                  ("server_id", "192.168.107.1"), "end"])
dhcp4("release", [("message-type", "release"),
                  ("server_id", "192.168.107.1"), "end"],
      ciaddr="192.168.107.2")
dhcp4("inform", [("message-type", "inform"), LIST, "end"],
      ciaddr="192.168.107.9")
dhcp4("overload", [("message-type", "discover"), ("dhcp-option-overload", 3),
                   "end"],
      file=b"\x0c\3web\xff", sname=b"\x3d\7\1RT\0\x124V\xff")
dhcp4("long-option", [("message-type", "discover"), (77, b"a" * 255),
                      (77, b"b" * 40), "end"])
dhcp4("offer", [("message-type", "offer"), ("server_id", "192.168.107.1"),
                ("lease_time", 3600), ("subnet_mask", "255.255.255.0"),
                ("router", "192.168.107.1"), "end"],
      op=2, yiaddr="192.168.107.2")

WEB = "web.vmnet.internal."
dns("query-a", rd=1, qd=DNSQR(qname=WEB))
dns("query-edns", rd=1, qd=DNSQR(qname=WEB, qtype="AAAA"),
    ar=DNSRROPT(rclass=1232))
dns("query-ptr", rd=1, qd=DNSQR(qname="2.107.168.192.in-addr.arpa", qtype="PTR"))
dns("query-ptr6", rd=1, qd=DNSQR(qname="2." + "0." * 30 + "f.ip6.arpa",
                                 qtype="PTR"))
dns("answer-cname", qr=1, ra=1, qd=DNSQR(qname="www.example.com"),
    an=DNSRR(rrname="www.example.com", type="CNAME", ttl=300,
             rdata="example.com") /
    DNSRR(rrname="example.com", type="A", ttl=60, rdata="192.0.2.1"),
    ar=DNSRROPT(rclass=4096))
dns("answer-nxdomain", qr=1, rcode=3, qd=DNSQR(qname="no.example.com"),
    ns=DNSRRSOA(rrname="example.com", mname="ns.example.com",
                rname="root.example.com", ttl=900, minimum=300))
write("dns", "compressed",
      bytes.fromhex("123481800001000200000000"
                    "03777777076578616d706c6503636f6d0000010001"
                    "c00c000500010000012c0002c010"
                    "c010000100010000003c0004c0000201"))
write("dns", "pointer-loop",
      bytes.fromhex("123401000001000000000000c00c00010001"))

ASKED = bytes(DNS(id=1, rd=1, qd=DNSQR(qname=WEB)))
dns_stream("one-query", 256, ASKED)
dns_stream("three-queries-in-one-read", 256, ASKED, ASKED, ASKED)
dns_stream("byte-by-byte", 1, ASKED, ASKED)
dns_stream("split-length", len(ASKED) + 3, ASKED, ASKED)
dns_stream("header-only", 256, ASKED[:12], ASKED)
dns_stream("length-0", 256, ASKED, b"")
dns_stream("length-below-header", 7, ASKED, ASKED[:11], ASKED)
dns_stream("length-of-64-kib", 200, ASKED, tail=b"\xff\xff" + bytes(300))
dns_stream("ends-within-length", 256, ASKED, tail=b"\0")
dns_stream("ends-within-message", 256, ASKED, tail=b"\0\x20" + bytes(31))

BULK = TCP(sport=1, dport=2, flags="FPA", seq=2**32 - 9) / Raw(bytes(4000))
BURST = UDP(sport=1, dport=2) / Raw(bytes(3000))
offload("tso4", ETHER / IP4 / BULK, 1, 1448, 34, 16)
offload("tso4-ecn-vlan", ETHER / Dot1Q(vlan=7) / IP4 / BULK, 0x81, 500, 38, 16)
offload("tso4-partial", ETHER / IP4 / BULK, 1, 1448, 34, 16, takes=1)
offload("tso6-hop-by-hop",
        ETHER / IP6 / IPv6ExtHdrHopByHop(options=[PadN(optdata=b"\0" * 4)]) /
        BULK, 4, 1000, 62, 16)
offload("uso6", ETHER / IP6 / BURST, 5, 1400, 54, 6)
offload("checksum", ETHER / IP4 / UDP(sport=1, dport=2) / Raw(b"data"), 0, 0,
        34, 6)
offload("checksum-in-vxlan",
        ETHER / IP4 / UDP(sport=1, dport=4789) / Raw(bytes(8)) / ETHER / IP4 /
        TCP(sport=1, dport=2), 0, 0, 84, 16)

OWN, ROUTER, INPUT = "02:00:00:00:00:ee", "02:00:00:00:00:01", 0x80
SENT, CAME = Ether(src=GUEST, dst="ff:ff:ff:ff:ff:ff"), Ether(src=ROUTER, dst=OWN)


def translate(name, *records):
    write("translate", name, b"".join(
        struct.pack("!BH", what, len(bytes(frame))) + bytes(frame)
        for what, frame in records))


CLAIM = 1, SENT / ARP(hwsrc=GUEST, psrc="10.55.0.9", pdst="10.55.0.1")
translate("arp", CLAIM, (INPUT, CAME / ARP(
    op=2, hwsrc=ROUTER, psrc="10.55.0.1", hwdst=OWN, pdst="10.55.0.9")))
translate("arp-announcement", (1, SENT / ARP(
    op=2, hwsrc=GUEST, psrc="10.55.0.9", hwdst=GUEST, pdst="10.55.0.9")))
translate("arp-probe", (1, SENT / ARP(hwsrc=GUEST, psrc="0.0.0.0",
                                      pdst="10.55.0.9")),
          (INPUT, CAME / ARP(op=2, hwsrc=ROUTER, psrc="10.55.0.9", hwdst=OWN,
                             pdst="0.0.0.0")))
translate("arp-of-the-host", (1, SENT / ARP(hwsrc=GUEST, psrc="10.55.0.2")),
          (INPUT, CAME / IP(dst="10.55.0.2") / UDP()))
translate("data", CLAIM, (INPUT, CAME / IP(dst="10.55.0.9") / UDP()),
          (1, ETHER / IP(src="10.55.0.9") / UDP() / Raw(bytes(1400))))
translate("dhcp", (1, SENT / IP(src="0.0.0.0", dst="255.255.255.255") /
                   UDP(sport=68, dport=67) /
                   BOOTP(chaddr=bytes.fromhex(GUEST.replace(":", ""))) /
                   DHCP(options=[("message-type", "request"),
                                 ("requested_addr", "10.55.0.9"), "end"])))
translate("nd", (1, SENT / IPv6(src=LOCAL, dst="ff02::1:ff00:1") /
                 ICMPv6ND_NS(tgt="fe80::1") / ICMPv6NDOptSrcLLAddr(lladdr=GUEST)),
          (INPUT, CAME / IPv6(src="fe80::1", dst=LOCAL) /
           ICMPv6ND_NA(tgt="fe80::1") / ICMPv6NDOptDstLLAddr(lladdr=ROUTER)))
translate("dad", (2, SENT / IPv6(src="::", dst="ff02::1:ff12:3456") /
                  ICMPv6ND_NS(tgt=LOCAL)),
          (INPUT, CAME / IPv6(dst=LOCAL) / UDP()))
translate("vlan", (1, SENT / Dot1Q(vlan=7) / IP() / UDP()),
          (INPUT, CAME / Dot1Q(vlan=7) / IP() / UDP()))
