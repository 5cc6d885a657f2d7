#!/usr/bin/env python3
# Makes the seeds of fuzz-run-args, -run-version, -forward-spec, -netdev-config,
# -dhcp-client, -steering and -guard.
#
# Text is written here; frames come from scapy.  A file's name says what is in it.
# Run it after adding one:
#
#   tests/data/fuzz/make-tool-seeds.py
#
# SPDX-License-Identifier: GPL-2.0-or-later

import pathlib
import struct

from scapy.all import (
    ARP, BOOTP, DHCP, Dot1AD, Dot1Q, Dot3, Ether, ICMP, ICMPv6ND_NA, ICMPv6ND_NS,
    ICMPv6ND_RA, ICMPv6NDOptDstLLAddr, ICMPv6NDOptSrcLLAddr, IP, IPv6, IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment, IPv6ExtHdrHopByHop, IPv6ExtHdrRouting, LLC, SNAP, TCP, UDP)

HERE = pathlib.Path(__file__).parent
MAC, GATEWAY = "52:54:00:12:34:56", "02:00:00:00:00:01"
STEP, HOUR, REPLY = 1, 2, 4
XID = 0x12345678
STREAM_72, AUTO_100, DGRAM_80, VHOST_92 = 4, 3, 9, 14


def write(target, name, data):
    folder = HERE / target
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(data)


def run_args(name, how, *args):
    write("run-args", name, bytes([how]) + "\n".join(args).encode())


def version(name, text):
    write("run-version", name, text)


def forward(name, text):
    write("forward-spec", name, text.encode())


def netdev(name, text):
    write("netdev-config", name, text.encode())


def dhcp(kind, *options, **fields):
    fields = dict(dict(op=2, xid=XID, yiaddr="192.168.107.2",
                       chaddr=bytes.fromhex(MAC.replace(":", ""))), **fields)
    return bytes(BOOTP(**fields) / DHCP(options=[
        ("message-type", kind), ("server_id", "192.168.107.1"),
        ("lease_time", 3600), *options, "end"]))


def client(name, *steps):
    write("dhcp-client", name, b"".join(
        struct.pack("<BH", how, len(data)) + data for how, data in steps))


def guard(name, piece, packet):
    write("guard", name, bytes([piece]) + bytes(packet))


def steering(name, piece, packet):
    write("steering", name, bytes([piece, 0xff]) + bytes(packet))


QEMU, KVM = "qemu-system-x86_64", "/usr/bin/kvm"
NET = "vmnet-shared,id=net0"
NIC = "virtio-net-pci,netdev=net0"
run_args("no-arguments", STREAM_72, QEMU)
run_args("no-netdev", AUTO_100, QEMU, "-m", "512", "-append",
         "-netdev vmnet-shared", "disk.img")
run_args("stream", STREAM_72, QEMU, "-netdev", NET, "-device", NIC)
run_args("two-dashes", STREAM_72, QEMU, "--netdev", "id=net0,type=vmnet-host",
         "--device", NIC + ",mac=52:54:00:00:00:01")
run_args("json", STREAM_72, QEMU, "-netdev",
         '{"type": "vmnet-shared", "id": "net0", "isolated": true}', "-device",
         '{"driver": "virtio-net-pci", "netdev": "net0"}')
run_args("nic", STREAM_72, "qemu", "-nic",
         "vmnet-shared,model=e1000,mac=52:54:00:00:00:01,id=n", "-nic",
         "vmnet-host,model=virtio-net-pci,isolated=on,addr=5")
run_args("net-nic", STREAM_72, QEMU, "-netdev", NET, "-net",
         "nic,netdev=net0,model=e1000")
run_args("dgram", DGRAM_80, QEMU, "-netdev", NET, "-device", NIC)
run_args("vhost-user", VHOST_92, KVM, "-m", "size=1G,maxmem=2G", "-machine",
         "q35,accel=kvm:tcg", "-netdev", NET, "-device", NIC)
run_args("auto", AUTO_100, QEMU, "-enable-kvm", "-M", "pc-q35-7.2", "-object",
         "memory-backend-memfd,id=m,size=1G,share=on", "-machine",
         "memory-backend=m", "-netdev", NET, "-device", NIC)
run_args("names", STREAM_72, QEMU, "-name", "guest=web,,1,process=x", "-uuid",
         "12345678-1234-1234-1234-123456789ABC", "-drive",
         "file=/x,,y,if=virtio", "-blockdev",
         '{"driver":"file","node-name":"d","filename":"/d"}', "-hda", "d.img",
         "-netdev", NET + ",hostfwd=tcp::8080-:80,hostfwd=udp::53-:53")
run_args("trailing-comma", STREAM_72, QEMU, "-netdev", NET, "-device",
         NIC + ",")
run_args("comma-in-id", STREAM_72, QEMU, "-netdev", "vmnet-shared,id=a,,fd=5")
run_args("comma-in-id-vhost-user", VHOST_92, KVM, "-netdev",
         "vmnet-shared,id=a,,b", "-device", "virtio-net-pci,netdev=a,,b")
run_args("duplicate", STREAM_72, QEMU, "-netdev", NET, "-netdev", NET)
run_args("value-missing", STREAM_72, QEMU, "-netdev")
run_args("unknown-option", STREAM_72, QEMU, "-frobnicate", "x", "-netdev", NET)

version("7.2", b"QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7)\nCopyright\n")
version("10.0", b"QEMU emulator version 10.0.13\n")
version("none", b"kvm: unknown\n")
version("negative", b"version -1.-2")
version("cache", b"1:1:1.000000000 7.2\n10:2:3.000000004 10.0\n")
version("cache-negative", b"10:2:3.000000004 -7.2\n10:2:3.000000004 8.1\n")
version("cache-cut", b"10:2:3.000000004 ")

forward("tcp", "8080-web:80")
forward("udp", "udp:127.0.0.1:53-192.168.107.2:53")
forward("ipv6", "tcp:[::1]:8080-[fd00::2]:80")
forward("any-port", "0-VM/net0:22")
forward("no-guest", "8080-:80")
forward("no-bracket", "tcp:[::1:8080-web:80")
forward("only-bracket", "[:1-a:1")
forward("host-only", "udp:5353")
forward("dashes", "1-a-b:2-3")

RANGE = "start-address=%s,end-address=%s,subnet-mask=%s"
netdev("plain", "vmnet-shared,id=n")
netdev("range", "vmnet-shared,id=n," + RANGE % ("10.1.0.1", "10.1.0.99",
                                                "255.255.255.0"))
netdev("range-of-two", "vmnet-host,id=n," + RANGE % (
    "10.1.0.1", "10.1.0.2", "255.255.255.252"))
netdev("mask-with-hole", "vmnet-shared,id=n," + RANGE % (
    "10.1.0.1", "10.1.0.9", "255.255.0.255"))
netdev("whole", "vmnet-host,id=n," + RANGE % ("0.0.0.0", "255.255.255.255",
                                              "0.0.0.0"))
netdev("prefix", "vmnet-shared,id=n,nat66-prefix=fd12:3456::,mtu=9000")
netdev("host-prefix", "vmnet-host,id=n,ipv6-prefix=fd00::,dhcp=off,dns=off")
netdev("uuid", "vmnet-host,id=n,net-uuid=2f0c1a10-7d0e-4b4c-9c9d-0123456789ab")
netdev("forwards", "vmnet-shared,id=n,hostfwd=tcp::8080-:80,"
       "hostfwd=udp:[::1]:53-[fd00::2]:53,mac=52:54:00:00:00:01")
netdev("bridged", "vmnet-bridged,id=n,ifname=br0,isolated=on")
netdev("json", '{"type": "vmnet-shared", "id": "n", "lease-time": 60, '
       '"match": "strict", "network": "web"}')

OFFER = dhcp("offer")
ACK = dhcp("ack", ("subnet_mask", "255.255.255.0"), ("router", "192.168.107.1"),
           ("name_server", "192.168.107.1", "8.8.8.8"),
           ("domain", b"vmnet.internal"))
FRAME = bytes(Ether(src=GATEWAY, dst=MAC) /
              IP(src="192.168.107.1", dst="192.168.107.2") /
              UDP(sport=67, dport=68)) + b""
client("lease", (REPLY, OFFER), (STEP | REPLY, ACK))
client("renewed", (REPLY, OFFER), (STEP | REPLY, ACK), (STEP | HOUR | REPLY, ACK))
client("nak", (REPLY, OFFER), (STEP | REPLY, dhcp("nak")), (STEP | REPLY, OFFER))
client("expired", (REPLY, OFFER), (STEP | REPLY, ACK), (STEP | HOUR, b""),
       (STEP | HOUR, b""), (STEP | HOUR, b""))
client("lease-of-one-second", (REPLY, OFFER),
       (STEP | REPLY, dhcp("ack", ("lease_time", 1))), (STEP | HOUR, b""))
client("lease-without-end", (REPLY, OFFER),
       (STEP | REPLY, dhcp("ack", ("lease_time", 0xffffffff))),
       (STEP | HOUR, b""))
client("bad-domain", (REPLY, OFFER),
       (STEP | REPLY, dhcp("ack", ("domain", b"a\nnameserver 6.6.6.6"))))
client("frame", (0, bytes(Ether(src=GATEWAY, dst=MAC) /
                          IP(src="192.168.107.1", dst="192.168.107.2") /
                          UDP(sport=67, dport=68) / OFFER)),
       (0, FRAME), (0, bytes(Ether(src=GATEWAY, dst=MAC) / ARP())))

ETHER = Ether(src=MAC, dst=GATEWAY)
IP4 = IP(src="192.168.107.2", dst="192.168.107.1")
steering("tcp", 0, ETHER / IP4 / TCP(sport=1000, dport=80))
steering("udp-tagged", 14, ETHER / Dot1Q(vlan=5) / IP4 / UDP(sport=1, dport=2))
steering("options", 7, ETHER / IP(src="10.0.0.1", dst="10.0.0.2",
                                  options=b"\x01" * 40) / TCP())
steering("fragment", 33, ETHER / IP(src="10.0.0.1", dst="10.0.0.2", frag=1,
                                    proto=17) / b"12345678")
steering("ipv6", 1, ETHER / IPv6(src="fd00::2", dst="fd00::1") / UDP())
steering("icmp", 0, ETHER / IP4 / ICMP())
steering("arp", 0, ETHER / ARP())
steering("header-cut", 0, bytes(ETHER / IP4)[:30])
steering("length-beyond", 0, bytes(ETHER)[:12] + b"\x08\0" + b"\x4f" + bytes(22))

ROUTER, LINK_LOCAL = "192.168.107.1", "fe80::1"
FROM = IPv6(src="fe80::2", dst="ff02::1", hlim=255)
LLADDR = ICMPv6NDOptDstLLAddr(lladdr=MAC)
ADVERT = ICMPv6ND_NA(tgt=LINK_LOCAL, O=1, S=0) / LLADDR
guard("arp-reply", 0, ETHER / ARP(op=2, psrc=ROUTER, hwsrc=MAC))
guard("arp-of-its-own", 9, ETHER / ARP(psrc="192.168.107.2", hwsrc=MAC))
guard("arp-probe", 0, ETHER / ARP(psrc="0.0.0.0", pdst=ROUTER, hwsrc=MAC))
guard("arp-cut", 0, bytes(ETHER / ARP(psrc=ROUTER))[:40])
guard("na", 20, ETHER / FROM / ADVERT)
guard("na-behind-options", 1, ETHER / FROM / IPv6ExtHdrHopByHop() /
      IPv6ExtHdrDestOpt() / ADVERT)
guard("na-of-its-own", 0, ETHER / FROM / ICMPv6ND_NA(tgt="fe80::2") / LLADDR)
guard("ns", 0, ETHER / IPv6(src=LINK_LOCAL, dst="ff02::1:ff00:9", hlim=255) /
      ICMPv6ND_NS(tgt="fe80::9") / ICMPv6NDOptSrcLLAddr(lladdr=MAC))
guard("ra", 30, ETHER / IPv6(src=LINK_LOCAL, dst="ff02::1", hlim=255) /
      ICMPv6ND_RA() / ICMPv6NDOptSrcLLAddr(lladdr=MAC))
guard("udp", 0, ETHER / FROM / UDP())
PRIORITY, SERVICE = Dot1Q(vlan=0, prio=3), Dot1AD(vlan=0)
guard("arp-priority", 0, ETHER / PRIORITY / ARP(op=2, psrc=ROUTER, hwsrc=MAC))
guard("arp-two-tags", 5, ETHER / SERVICE / PRIORITY /
      ARP(op=2, psrc=ROUTER, hwsrc=MAC))
guard("arp-three-tags", 0, ETHER / PRIORITY / PRIORITY / PRIORITY /
      ARP(op=2, psrc=ROUTER, hwsrc=MAC))
guard("arp-vlan", 0, ETHER / Dot1Q(vlan=5) / ARP(op=2, psrc=ROUTER, hwsrc=MAC))
BEHIND_SNAP = LLC(dsap=0xaa, ssap=0xaa, ctrl=3) / SNAP()
ETHER3 = Dot3(src=ETHER.src, dst=ETHER.dst)
REDIRECT = ICMP(type=5, code=1, gw="192.168.107.9") / IP(dst="198.51.100.1") / UDP()
guard("arp-snap", 0, ETHER3 / BEHIND_SNAP / ARP(op=2, psrc=ROUTER, hwsrc=MAC))
guard("na-snap", 7, ETHER3 / BEHIND_SNAP / FROM / ADVERT)
guard("redirect", 0, ETHER / IP(src=ROUTER, dst="192.168.107.3") / REDIRECT)
guard("redirect-of-its-own", 3, ETHER / IP(src="192.168.107.2",
                                           dst="192.168.107.3") / REDIRECT)
guard("redirect-first-fragment", 0, ETHER / PRIORITY /
      IP(src=ROUTER, dst="192.168.107.3", flags="MF") / REDIRECT)
guard("na-priority", 0, ETHER / PRIORITY / FROM / ADVERT)
guard("na-nine-headers", 0, ETHER / FROM / IPv6ExtHdrDestOpt() /
      IPv6ExtHdrDestOpt() / IPv6ExtHdrDestOpt() / IPv6ExtHdrDestOpt() /
      IPv6ExtHdrDestOpt() / IPv6ExtHdrDestOpt() / IPv6ExtHdrDestOpt() /
      IPv6ExtHdrDestOpt() / IPv6ExtHdrDestOpt() / ADVERT)
guard("na-routing-0", 0, ETHER / FROM /
      IPv6ExtHdrRouting(type=0, segleft=0) / ADVERT)
guard("na-atomic-fragment", 3, ETHER / FROM / IPv6ExtHdrFragment() / ADVERT)
guard("na-first-fragment", 0, ETHER / FROM / IPv6ExtHdrFragment(m=1) / ADVERT)
guard("na-first-fragment-options", 0, ETHER / FROM / IPv6ExtHdrFragment(m=1) /
      IPv6ExtHdrDestOpt() / ADVERT)
