"""Exports whose datagrams begin with a virtio_net_hdr.

  test --SEQPACKET, vnet-hdr--+
                              +-- vmnetd
  test --SEQPACKET------------+

SPDX-License-Identifier: GPL-2.0-or-later
"""

import os
import select
import socket
import struct

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from lib.qmp import QmpError

MAC_A, MAC_B = '52:54:00:0f:00:01', '52:54:00:0f:00:02'
HEADER = struct.Struct('<BBHHHHH')
NEEDS_CSUM, TCPV4 = 1, 1
MSS = 1460


def plug(client, ident, **options):
    """A netdev, and the VMM's end of a socket to it."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    client.call('netdev_add', type='vmnet-shared', id=ident)
    client.call('getfd', [theirs.fileno()], fdname=ident)
    theirs.close()
    client.call('export-add', type='dgram', id=ident, netdev=ident,
                addr={'type': 'fd', 'str': ident}, **options)
    ours.settimeout(5)
    return ours


def offloads(client, ident):
    """What an export is said to take."""
    return [export.get('offloads') for export in client.call('query-exports')
            if export['id'] == ident][0]


def tso_frame(length):
    """A header and a frame to be cut, its checksum the pseudo header's."""
    packet = Ether(src=MAC_A, dst=MAC_B) / IP(
        src='192.0.2.1', dst='192.0.2.2', id=7) / TCP(
            sport=1, dport=2, flags='A', seq=1000)
    frame = bytearray(bytes(packet / Raw(bytes(i % 251 for i in range(length)))))
    total = (sum(struct.unpack('>4H', bytes(frame[26:34]))) + 6
             + len(frame) - 34)
    total = (total & 0xffff) + (total >> 16)
    frame[50:52] = struct.pack('>H', (total & 0xffff) + (total >> 16))
    return HEADER.pack(NEEDS_CSUM, TCPV4, 54, MSS, 34, 16, 0) + bytes(frame)


def receive(vmm, skip):
    """The next TCP frame: its header and the frame."""
    while True:
        data = vmm.recv(70000)
        frame = Ether(data[skip:])
        if TCP in frame:
            return data[:skip], frame


def assert_no_more(vmm, skip):
    """Nothing of TCP is there."""
    while select.select([vmm], [], [], 0.05)[0]:
        assert TCP not in Ether(vmm.recv(70000)[skip:])


def cut_correctly(vmm, skip, length):
    """Segments in order, whose checksums scapy would have made."""
    for number, done in enumerate(range(0, length, MSS)):
        header, frame = receive(vmm, skip)
        assert header in (b'', bytes(12))
        assert (frame[IP].id, frame[TCP].seq) == (7 + number, 1000 + done)
        want = frame.copy()
        del want[IP].chksum, want[IP].len, want[TCP].chksum
        assert bytes(want.__class__(bytes(want))) == bytes(frame)


@pytest.fixture
def client(daemon):
    """One that netdevs belong to."""
    with daemon.qmp() as made:
        yield made


def test_what_a_vmm_takes_may_change(client):
    with plug(client, 'a', **{'vnet-hdr': True}) as a, \
            plug(client, 'b', **{'vnet-hdr': True}) as b:
        hello = Ether(src=MAC_B, dst=MAC_A, type=0x88b5) / Raw(bytes(46))
        sent = tso_frame(5000)
        b.send(bytes(12) + bytes(hello))
        a.send(sent)
        cut_correctly(b, 12, 5000)
        client.call('export-set-offloads', id='b', offloads=['tso4', 'csum'])
        assert offloads(client, 'b') == ['csum', 'tso4']
        a.send(sent)
        header, frame = receive(b, 12)
        assert header + bytes(frame) == sent
        client.call('export-set-offloads', id='b', offloads=['csum'])
        a.send(sent)
        for done in range(0, 5000, MSS):
            header, frame = receive(b, 12)
            assert header == HEADER.pack(NEEDS_CSUM, 0, 0, 0, 34, 16, 0)
            assert frame[TCP].seq == 1000 + done
        client.call('export-set-offloads', id='b', offloads=[])
        assert offloads(client, 'b') is None
        a.send(sent)
        cut_correctly(b, 12, 5000)
        assert_no_more(b, 12)


def test_mixed_network(client):
    """A guest that knows of nothing gets what any wire would carry."""
    with plug(client, 'a', **{'vnet-hdr': True}) as a, plug(client, 'b') as b:
        b.send(bytes(Ether(src=MAC_B, dst=MAC_A, type=0x88b5) / Raw(bytes(46))))
        for length in (60000, 1460, 1, 2921):
            a.send(tso_frame(length))
            cut_correctly(b, 0, length)
        assert_no_more(b, 0)


def test_refused(client):
    client.call('netdev_add', type='vmnet-shared', id='n0')

    def fails(text, **options):
        with pytest.raises(QmpError) as failure:
            client.call('export-add', id='e0', netdev='n0',
                        addr={'type': 'unix'}, **options)
        assert failure.value.text == text

    fails("export 'e0': vnet-hdr=on is for type=dgram", type='stream',
          **{'vnet-hdr': True})
    fails("export 'e0': offloads need vnet-hdr=on", type='dgram',
          offloads=['csum'])
    fails("export 'e0': offloads need 'csum' among them", type='dgram',
          offloads=['tso4'], **{'vnet-hdr': True})
    client.call('export-add', type='dgram', id='e0', netdev='n0',
                addr={'type': 'unix'})
    for ident, what, text in (
            ('e0', ['csum'], "export 'e0': its frames carry no virtio_net_hdr"),
            ('e0', ['uso'], "export 'e0': offloads need 'csum' among them"),
            ('e1', [], "Export 'e1' is not found")):
        with pytest.raises(QmpError) as failure:
            client.call('export-set-offloads', id=ident, offloads=what)
        assert failure.value.text == text
    assert offloads(client, 'e0') is None
    assert os.path.exists(client.call('query-exports')[0]['path'])
