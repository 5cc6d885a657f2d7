"""UDP datagrams that kernels take and give in runs, through NAT and back.

  [ namespace: tap, cuts and merges ] ---+
                                         +-- vmnetd -- [ host: UDP_SEGMENT, UDP_GRO ]
  [ namespace: stream, one by one ] -----+

SPDX-License-Identifier: GPL-2.0-or-later
"""

import hashlib
import platform
import re
import socket
import struct
import sys
import threading

import pytest

from lib import netns, services, tap_guest
from lib.lab import Lab

pytestmark = pytest.mark.skipif(bool(netns.missing()),
                                reason=str(netns.missing()))

SOL_UDP, UDP_SEGMENT, UDP_GRO = 17, 103, 104
TURNS, RUN_LEN, SIZE = 40, 40 * 1400 + 77, 1400

# Sends a run and takes as many bytes that come back, each turn; prints a hash
# of either, and how many messages came.
GUEST = '''
import hashlib, os, socket, struct, sys
host, port, turns, length, size = sys.argv[1], *map(int, sys.argv[2:])
sent, got, messages = hashlib.md5(), hashlib.md5(), 0
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
    sock.setsockopt(17, 104, 1)
    sock.settimeout(10)
    sock.connect((host, port))
    for _ in range(turns):
        data = os.urandom(length)
        sent.update(data)
        sock.sendmsg([data], [(17, 103, struct.pack('=H', size))])
        left = length
        while left > 0:
            data = sock.recv(65536)
            got.update(data)
            left -= len(data)
            messages += 1
print(sent.hexdigest(), got.hexdigest(), messages)
'''


class Echo(threading.Thread):
    """Sends back what comes, once it is a whole run, as a run."""

    def __init__(self):
        super().__init__(daemon=True)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(SOL_UDP, UDP_GRO, 1)
        self.socket.settimeout(10)
        self.socket.bind(('', 0))
        self.port = self.socket.getsockname()[1]
        self.came, self.messages = hashlib.md5(), 0
        self.start()

    def run(self):
        for _ in range(TURNS):
            data = b''
            while len(data) < RUN_LEN:
                more, peer = self.socket.recvfrom(65536)
                data += more
                self.messages += 1
            self.came.update(data)
            self.socket.sendmsg([data], [(SOL_UDP, UDP_SEGMENT,
                                          struct.pack('=H', SIZE))], 0, peer)


def talk(guest):
    """Both ways, everything arrives: (messages of the host's, the guest's)."""
    echo = Echo()
    sent, got, messages = guest.call(
        sys.executable, '-c', GUEST, '192.168.107.1', str(echo.port),
        str(TURNS), str(RUN_LEN), str(SIZE)).split()
    echo.join(10)
    echo.socket.close()
    assert sent == got == echo.came.hexdigest()
    return echo.messages, int(messages)


def options():
    """Of a netdev whose guest reaches the host by the gateway's address."""
    return {} if services.host_addresses()[0] else {'host_loopback': True}


def kernel():
    """Its version, as two numbers."""
    return tuple(map(int, re.findall(r'\d+', platform.release())[:2]))


@pytest.mark.skipif(kernel() < (6, 2), reason='taps with USO need Linux 6.2')
def test_a_tap_guest_sends_and_gets_runs(daemon):
    with daemon.qmp() as client:
        guest = tap_guest.TapGuest(client, **{
            name.replace('_', '-'): value
            for name, value in options().items()})
        try:
            guest.address('192.168.107.101/24', '192.168.107.1')
            assert talk(guest) == (TURNS, TURNS)
        finally:
            guest.close()


def test_a_plain_guest_sends_and_gets_datagrams(daemon):
    lab = Lab(daemon)
    try:
        _, messages = talk(lab.configured(**options()))
        # Its own kernel may merge what comes in one turn.
        assert messages >= TURNS
        info = lab.client.call('query-netdevs')[0]
        assert info['rx-frames'] > TURNS * 40
        assert info['rx-bytes'] / info['rx-frames'] < 1515
    finally:
        lab.close()
