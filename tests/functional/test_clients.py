"""What guests reach, and what not: network namespaces as guests.

  ns one [ eth0 ] -- tap-relay -+
                                +-- vmnetd -- sockets of the host
  ns two [ eth0 ] -- tap-relay -+

SPDX-License-Identifier: GPL-2.0-or-later
"""

import contextlib
import ipaddress
import os
import re
import socket
import subprocess
import threading
import time

import pytest

from lib import netns, services
from lib.lab import fetch, udhcpc
from lib.process import Process

pytestmark = pytest.mark.skipif(netns.missing() is not None,
                                reason=netns.missing() or '')


@contextlib.contextmanager
def iperf_server():
    """iperf3 on the host, for one connection; its port, once it listens."""
    for _ in range(5):
        with socket.socket() as probe:
            probe.bind(('', 0))
            port = probe.getsockname()[1]
        with Process(['iperf3', '-s', '-1', '--forceflush', '-p', str(port)],
                     stdout=subprocess.PIPE, text=True) as server:
            # It ends at once if somebody was faster to take the port.
            if any('listening' in line for line in iter(server.line, '')):
                yield port
                return
    pytest.fail('iperf3 does not listen')


@pytest.mark.parametrize('mtu', [1500, 9000])
def test_iperf3_through_nat_both_ways(lab, mtu):
    guest = lab.configured(mtu=mtu, network='mtu%d' % mtu)
    for direction in ([], ['-R']):
        with iperf_server() as port:
            text = guest.run('iperf3', '-c', guest.router, '-p', str(port), '-t',
                             '2', '--connect-timeout', '5000', *direction).stdout
            assert 'receiver' in text, text


class Transfer:
    """A TCP server on the host that sends and receives a known stream."""

    def __init__(self, data):
        self.data = data
        self.received = b''
        self.peer = None
        self._listener = socket.create_server(('0.0.0.0', 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self):
        connection, self.peer = self._listener.accept()
        chunks = []
        with connection:
            connection.settimeout(60)
            sender = threading.Thread(target=self._send, args=(connection,))
            sender.start()
            while True:
                chunk = connection.recv(1 << 16)
                if not chunk:
                    break
                chunks.append(chunk)
            sender.join()
        self.received = b''.join(chunks)

    def _send(self, connection):
        connection.sendall(self.data)
        connection.shutdown(socket.SHUT_WR)

    def join(self):
        """Wait for the end of both directions."""
        self._thread.join(60)
        self._listener.close()


@pytest.mark.parametrize('percent', [0.1, 1, 5])
def test_data_survives_a_bad_link(lab, percent, tmp_path):
    """Loss, duplicates and reordering on the guest's link, both ways at once."""
    size = (4 << 20) if percent < 5 else (1 << 20)
    data = os.urandom(size)
    source = tmp_path / 'source'
    source.write_bytes(data)
    guest = lab.configured(link=dict(loss=percent, duplicate=percent,
                                     reorder=percent, seed=7))
    server = Transfer(data[::-1])
    with open(source, 'rb') as stdin, open(tmp_path / 'sink', 'wb') as sink:
        done = subprocess.run(
            guest.argv('nc', '-N', guest.router, str(server.port)),
            stdin=stdin, stdout=sink, timeout=90, check=False)
    server.join()
    assert done.returncode == 0
    assert server.received == data
    assert (tmp_path / 'sink').read_bytes() == data[::-1]


def test_bad_link_is_no_slow_link(lab, tmp_path):
    """What the guest says it lacks is repeated at once, not by timeouts."""
    guest = lab.configured(link=dict(loss=5, seed=7))
    server = Transfer(os.urandom(4 << 20))
    begin = time.monotonic()
    with open(tmp_path / 'sink', 'wb') as sink:
        subprocess.run(guest.argv('nc', '-N', guest.router, str(server.port)),
                       stdin=subprocess.DEVNULL, stdout=sink, timeout=90,
                       check=True)
    took = time.monotonic() - begin
    server.join()
    assert (tmp_path / 'sink').read_bytes() == server.data
    assert took < 4


def test_service_on_loopback_is_out_of_reach_unless_asked_for(bare):
    server = services.HttpServer({'/x': b'private'}, '127.0.0.1')
    closed = bare.configured(network='closed', host_loopback=False)
    opened = bare.configured(network='opened', host_loopback=True)
    for guest, good in ((closed, False), (opened, True)):
        text = fetch(guest, guest.router, server.port)
        assert ('private' in text) == good


@pytest.mark.parametrize('target', ['127.0.0.1', '127.1.2.3', '0.0.0.0',
                                    '0.1.2.3', '240.0.0.1', '255.255.255.255',
                                    '224.0.0.1'])
def test_forbidden_destinations_are_out_of_reach(bare, target):
    """Sent as raw frames: the guest's own kernel would not send them."""
    server = services.UdpEcho('0.0.0.0')
    guest = bare.configured(host_loopback=True)
    script = (
        'from scapy.all import *\n'
        'mac = getmacbyip("%s")\n'
        'sendp([Ether(dst=mac)/IP(src="%s", dst="%s")/UDP(sport=9, dport=%d)'
        '/b"x"], iface="eth0", verbose=0)\n'
        'sendp([Ether(dst=mac)/IP(src="%s", dst="%s")/TCP(sport=9, dport=%d)],'
        ' iface="eth0", verbose=0)\n'
        % (guest.router, guest.ip, target, server.port, guest.ip, target,
           server.port))
    guest.call('/usr/bin/python3', '-c', script)
    assert guest.run('ping', '-c', '1', '-W', '3', guest.router).returncode == 0
    assert server.requests == 0
    assert bare.network()['udp-flows'] == 0
    assert bare.network()['tcp-flows'] == 0


def test_networks_do_not_reach_each_other(bare):
    one = bare.configured(network='one')
    two = bare.configured(network='two')
    assert one.ip.rsplit('.', 1)[0] != two.ip.rsplit('.', 1)[0]
    assert one.run('ping', '-c', '1', '-W', '2', two.ip).returncode != 0
    assert one.run('ping', '-c', '1', '-W', '2', two.router).returncode != 0


def test_refused_connection_is_refused_in_the_guest(lab):
    guest = lab.configured()
    with socket.socket() as silent:     # bound, so that nobody else listens there
        silent.bind(('0.0.0.0', 0))
        begin = time.monotonic()
        done = guest.run('nc', '-v', '-w', '10', guest.router,
                         str(silent.getsockname()[1]))
    assert 'refused' in done.stdout
    assert time.monotonic() - begin < 5


def test_forward_follows_and_goes_with_its_netdev(bare, tmp_path):
    guest = bare.guest(hostfwd=['tcp:127.0.0.1:0-:7777'])
    port = bare.client.call('query-forwards')[0]['host-port']
    lease = udhcpc(guest, tmp_path)
    assert lease
    (tmp_path / 'word').write_text('from the guest')
    with open(tmp_path / 'word', encoding='ascii') as stdin:
        server = guest.popen('nc', '-l', '-N', '7777', stdin=stdin,
                             stdout=subprocess.PIPE)
        end = time.monotonic() + 10
        text = b''
        while not text and time.monotonic() < end:
            try:
                with socket.create_connection(('127.0.0.1', port), 5) as client:
                    client.settimeout(5)
                    client.sendall(b'hello\n')
                    client.shutdown(socket.SHUT_WR)
                    text = client.recv(100)
            except OSError:
                time.sleep(0.1)
        server.end()
    assert text == b'from the guest'
    forwards = bare.client.call('query-forwards')
    assert forwards[0]['guest-address'] == lease['ip']
    bare.client.call('netdev_del', id=guest.netdev)
    assert bare.client.call('query-forwards') == []
    with pytest.raises(OSError):
        socket.create_connection(('127.0.0.1', port), 2)


def test_ipv6_address_and_gateway(bare):
    guest = bare.guest()
    end = time.monotonic() + 15
    found = None
    while not found and time.monotonic() < end:
        found = re.search(r'inet6 (\S+)/64 scope global(?! tentative)',
                          guest.call('ip', '-6', 'addr', 'show', 'dev', 'eth0'))
        time.sleep(0.1)
    assert found
    info = bare.network()
    prefix = ipaddress.ip_network(info['ipv6-prefix'])
    assert ipaddress.ip_address(found.group(1)) in prefix
    assert guest.run('ping', '-6', '-c', '2', '-W', '3',
                     str(prefix[1])).returncode == 0


def test_two_guests_exchange_broadcast_and_multicast(bare):
    one, two = bare.configured(50), bare.configured(51)
    assert one.run('ping', '-c', '2', '-W', '3', two.ip).returncode == 0
    text = one.run('ping', '-6', '-c', '2', '-W', '3', 'ff02::1%eth0').stdout
    assert 'bytes from' in text
