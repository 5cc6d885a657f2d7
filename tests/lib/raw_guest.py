"""A guest made of frames, at the end of a stream export: scapy, no privileges.

  test [ scapy frame ] -- 4 bytes of length, frame -- vmnetd

What real clients do only after hours or by mistake (REBINDING, DECLINE,
clones) is one line here.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import socket
import struct
import time

from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import ARP, Ether

BROADCAST = 'ff:ff:ff:ff:ff:ff'
TIMEOUT_S = 5


class RawGuest:
    """Connected on construction; context manager."""

    def __init__(self, path, mac):
        self.mac = mac
        self.address = None
        self._xid = 1
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(TIMEOUT_S)
        self._socket.connect(path)
        self._file = self._socket.makefile('rb')

    def send(self, packet):
        """One frame; scapy fills in what is missing."""
        data = bytes(packet)
        self._socket.settimeout(TIMEOUT_S)
        self._socket.sendall(struct.pack('!I', len(data)) + data)

    def receive(self, accept, timeout=TIMEOUT_S):
        """The next frame that @accept wants, or None; ARP for us is answered."""
        end = time.monotonic() + timeout
        while True:
            self._socket.settimeout(max(0.01, end - time.monotonic()))
            try:
                head = self._file.read(4)
            except TimeoutError:
                # The object is of no use after a timeout: nothing was there.
                self._file = self._socket.makefile('rb')
                return None
            self._socket.settimeout(TIMEOUT_S)      # of a frame that has begun
            frame = Ether(self._file.read(struct.unpack('!I', head)[0]))
            if ARP in frame and frame[ARP].op == 1 and self.address and \
                    frame[ARP].pdst == self.address:
                self.arp(frame[ARP].psrc, op=2, to=frame.src)
            if accept(frame):
                return frame
            if time.monotonic() >= end:
                return None

    def arp(self, target, op=1, to=BROADCAST):
        """Ask for @target, or answer it."""
        self.send(Ether(src=self.mac, dst=to) /
                  ARP(op=op, hwsrc=self.mac, psrc=self.address or '0.0.0.0',
                      hwdst=to if op == 2 else '00:00:00:00:00:00',
                      pdst=target))

    def dhcp_send(self, kind, *options, ciaddr='0.0.0.0', dst=None, **bootp):
        """A DHCP message: unicast if @dst is (address, MAC)."""
        self._xid += 1
        chaddr = bytes.fromhex(self.mac.replace(':', ''))
        address, mac = dst or ('255.255.255.255', BROADCAST)
        self.send(Ether(src=self.mac, dst=mac) / IP(src=ciaddr, dst=address) /
                  UDP(sport=68, dport=67) /
                  BOOTP(chaddr=chaddr, xid=self._xid, ciaddr=ciaddr, **bootp) /
                  DHCP(options=[('message-type', kind), *options, 'end']))

    def dhcp(self, kind, *options, timeout=TIMEOUT_S, **fields):
        """Ask by DHCP: the answer, see Answer; None without one."""
        self.dhcp_send(kind, *options, **fields)
        frame = self.receive(lambda f: DHCP in f and f[BOOTP].op == 2 and
                             f[BOOTP].xid == self._xid, timeout)
        return frame and Answer(frame)

    def lease(self, *options):
        """The four messages: the ACK. Sets the address."""
        offer = self.dhcp('discover', *options)
        assert offer and offer.kind == 'offer'
        ack = self.dhcp('request', ('requested_addr', offer.address),
                        ('server_id', offer['server_id']), *options)
        assert ack and ack.kind == 'ack', ack
        self.address = ack.address
        return ack

    def close(self):
        """Unplug."""
        self._file.close()
        self._socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Answer:
    """A DHCP answer: its kind, the address that it gives, its options."""

    KINDS = {2: 'offer', 5: 'ack', 6: 'nak'}

    def __init__(self, frame):
        self.frame = frame
        self.options = {o[0]: o[1] if len(o) == 2 else o[1:]
                        for o in frame[DHCP].options if isinstance(o, tuple)}
        self.kind = self.KINDS[self.options['message-type']]
        self.address = frame[BOOTP].yiaddr

    def __getitem__(self, name):
        return self.options[name]

    def __contains__(self, name):
        return name in self.options
