"""A VMM and its guest, played by a test: frames by hand on a stream export.

  test -- 4-byte length, Ethernet frame --> vmnetd

SPDX-License-Identifier: GPL-2.0-or-later
"""

import ipaddress
import os
import socket
import struct
import time

BROADCAST = b'\xff' * 6
MAGIC = bytes.fromhex('63825363')
ARP, IPV4 = 0x0806, 0x0800
TCP, UDP = 6, 17
SYN, RST, ACK = 2, 4, 16


def checksum(data):
    """RFC 1071, of whole 16-bit words or one byte more."""
    data += bytes(len(data) % 2)
    total = sum(struct.unpack('!%dH' % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def packed(address):
    """Four bytes of a dotted quad."""
    return ipaddress.IPv4Address(address).packed


class Silence(Exception):
    """What was waited for did not come."""


class Vmm:
    """Connected to the export at @path; the guest's address is @mac."""

    def __init__(self, path, mac='52:54:00:00:00:99', timeout=3):
        self.mac = bytes.fromhex(mac.replace(':', ''))
        self.timeout = timeout
        self.address = self.gateway = '0.0.0.0'
        self.gateway_mac = BROADCAST
        self._pending = b''
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(timeout)
        self.socket.connect(path)

    def send(self, frame):
        """One frame."""
        self.socket.settimeout(self.timeout)
        self.socket.sendall(struct.pack('!I', len(frame)) + frame)

    def receive(self, wanted):
        """
        The first frame for which @wanted(frame) gives anything but None, as
        what it gave.  Questions for our address are answered meanwhile.
        """
        end = time.monotonic() + self.timeout
        while True:
            while len(self._pending) >= 4:
                size = struct.unpack('!I', self._pending[:4])[0] + 4
                if len(self._pending) < size:
                    break
                frame = self._pending[4:size]
                self._pending = self._pending[size:]
                self._answer_arp(frame)
                found = wanted(frame)
                if found is not None:
                    return found
            self.socket.settimeout(max(0.001, end - time.monotonic()))
            try:
                data = self.socket.recv(1 << 16)
            except socket.timeout:
                raise Silence('no such frame came') from None
            if not data:
                raise Silence('vmnetd closed the connection')
            self._pending += data

    def _answer_arp(self, frame):
        if frame[12:14] == b'\x08\x06' and frame[20:22] == b'\0\1' \
                and frame[38:42] == packed(self.address):
            self.send(frame[6:12] + self.mac + frame[12:20] + b'\0\2' + self.mac
                      + frame[38:42] + frame[22:32])

    def ip(self, proto, target, payload):
        """An IPv4 packet from our address, to the gateway."""
        head = struct.pack('!BBHHHBBH', 0x45, 0, 20 + len(payload), 0, 0, 64,
                           proto, 0) + packed(self.address) + packed(target)
        head = head[:10] + struct.pack('!H', checksum(head)) + head[12:]
        self.send(self.gateway_mac + self.mac + struct.pack('!H', IPV4) + head
                  + payload)

    def udp(self, source, target, port, data):
        """A datagram; without a checksum, which IPv4 allows."""
        self.ip(UDP, target,
                struct.pack('!HHHH', source, port, 8 + len(data), 0) + data)

    def tcp(self, source, target, port, flags, seq=1, ack=0):
        """A segment without data."""
        segment = struct.pack('!HHIIBBHHH', source, port, seq, ack, 0x50, flags,
                              65535, 0, 0)
        pseudo = packed(self.address) + packed(target) \
            + struct.pack('!HH', TCP, len(segment))
        total = struct.pack('!H', checksum(pseudo + segment))
        self.ip(TCP, target, segment[:16] + total + segment[18:])

    def _dhcp(self, xid, kind, options):
        self.udp(68, '255.255.255.255', 67,
                 b'\1\1\6\0' + xid + bytes(20) + self.mac + bytes(202) + MAGIC
                 + b'\x35\1' + bytes([kind]) + options + b'\xff')

        def reply(frame):
            body = ip_payload(frame, UDP)
            if body and body[:4] == b'\0\x43\0\x44' and body[12:16] == xid:
                return frame[6:12], body[8:]
            return None
        return self.receive(reply)

    def lease(self):
        """Four messages: DISCOVER, OFFER, REQUEST, ACK; returns the address."""
        xid = os.urandom(4)
        self.address = '0.0.0.0'
        self.gateway_mac = BROADCAST
        _, offer = self._dhcp(xid, 1, b'')
        server = option(offer, 54)
        mac, ack = self._dhcp(xid, 3, b'\x32\4' + offer[16:20] + b'\x36\4' + server)
        if option(ack, 53) != b'\5':
            raise Silence('DHCPNAK')
        self.gateway_mac = mac
        self.gateway = str(ipaddress.IPv4Address(server))
        self.address = str(ipaddress.IPv4Address(ack[16:20]))
        return self.address

    def ask(self, source, port, data):
        """A datagram to the gateway's address, and the answer to it."""
        self.udp(source, self.gateway, port, data)

        def reply(frame):
            body = ip_payload(frame, UDP)
            if body and body[:4] == struct.pack('!HH', port, source):
                return body[8:]
            return None
        return self.receive(reply)

    def segment(self, source, port):
        """The next one of a connection: (flags, number, data)."""
        def reply(frame):
            body = ip_payload(frame, TCP)
            if body and body[:4] == struct.pack('!HH', port, source):
                number = struct.unpack('!I', body[4:8])[0]
                return body[13], number, body[(body[12] >> 4) * 4:]
            return None
        return self.receive(reply)

    def fetch(self, source, port):
        """The first data of a service at the gateway's address."""
        self.tcp(source, self.gateway, port, SYN, 1)
        flags, number, _ = self.segment(source, port)
        if flags != SYN | ACK:
            raise Silence('the connection was refused')
        self.tcp(source, self.gateway, port, ACK, 2, number + 1)
        data = b''
        while not data:
            data = self.segment(source, port)[2]
        self.tcp(source, self.gateway, port, RST, 2)
        return data

    def await_syn(self, port):
        """Somebody connects to our @port."""
        def syn(frame):
            body = ip_payload(frame, TCP)
            if body and body[2:4] == struct.pack('!H', port) and body[13] == SYN:
                return True
            return None
        return self.receive(syn)

    def await_datagram(self, port):
        """Somebody sends to our @port."""
        def datagram(frame):
            body = ip_payload(frame, UDP)
            if body and body[2:4] == struct.pack('!H', port):
                return True
            return None
        return self.receive(datagram)

    def close(self):
        """The VMM goes."""
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def ip_payload(frame, proto):
    """What an IPv4 packet carries, if it is of @proto."""
    if frame[12:14] != b'\x08\0' or frame[23] != proto:
        return None
    total = struct.unpack('!H', frame[16:18])[0]
    return frame[14 + (frame[14] & 15) * 4:14 + total]


def option(message, code):
    """An option's bytes of a DHCP message; b'' if it is not there."""
    at = 240
    while at + 1 < len(message) and message[at] != 255:
        if message[at] == 0:
            at += 1
            continue
        if message[at] == code:
            return message[at + 2:at + 2 + message[at + 1]]
        at += 2 + message[at + 1]
    return b''
