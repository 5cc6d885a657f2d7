"""Real clients in network namespaces, each a guest of its own.

  ns one [ eth0 ] -- tap-relay -+
                                +-- vmnetd -- sockets of the host
  ns two [ eth0 ] -- tap-relay -+

SPDX-License-Identifier: GPL-2.0-or-later
"""

import ipaddress
import os
import re
import shutil
import socket
import subprocess
import threading
import time

import pytest

from lib import netns, services
from lib.instance import BUILD, Instance

pytestmark = pytest.mark.skipif(netns.missing() is not None,
                                reason=netns.missing() or '')

LOOPBACK = not services.host_addresses()[0]


@pytest.fixture(params=['peek-off', 'ring'])
def instance(request):
    """A daemon; everything runs with SO_PEEK_OFF and without."""
    made = Instance()
    try:
        yield made.start(
            env={'VMNET_NO_PEEK_OFF': '1'} if request.param == 'ring' else {})
    finally:
        made.stop()


@pytest.fixture
def plain():
    """A daemon, for tests that have nothing to do with NAT."""
    made = Instance()
    try:
        yield made.start()
    finally:
        made.stop()


class Lab:
    """Namespaces on networks of one daemon."""

    def __init__(self, instance):
        self.instance = instance
        self.client = instance.qmp()
        self.guests = []

    def guest(self, kind='vmnet-shared', link=None, **options):
        """A namespace on a netdev of its own."""
        if LOOPBACK and kind == 'vmnet-shared':
            options.setdefault('host_loopback', True)
        ident, path = self.instance.netdev(self.client, kind, **options)
        made = netns.Namespace(BUILD, path, mtu=options.get('mtu', 1500),
                               **(link or {}))
        made.netdev = ident
        self.guests.append(made)
        return made

    def network(self, name='shared'):
        """What query-networks says."""
        for info in self.client.call('query-networks'):
            if info['name'] == name:
                return info
        raise KeyError(name)

    def configured(self, number=50, **options):
        """A guest with a fixed address and a default route."""
        guest = self.guest(**options)
        kind = options.get('kind', 'vmnet-shared')
        info = self.network(options.get('network', kind[len('vmnet-'):]))
        subnet = ipaddress.ip_network(info['subnet'])
        guest.ip = str(subnet[number])
        guest.router = info['gateway']
        guest.address('%s/%d' % (guest.ip, subnet.prefixlen), guest.router)
        return guest

    def close(self):
        """All namespaces."""
        for guest in self.guests:
            guest.close()
        self.client.close()


@pytest.fixture
def lab(instance):
    """Namespaces, on both of NAT's paths."""
    made = Lab(instance)
    yield made
    made.close()


@pytest.fixture
def bare(plain):
    """Namespaces, on one daemon."""
    made = Lab(plain)
    yield made
    made.close()


def udhcpc(guest, tmp_path, *options):
    """A lease by busybox's client: what its script is given, as a dict."""
    script = tmp_path / 'script'
    script.write_text(
        '#!/bin/sh\n[ "$1" = bound ] || [ "$1" = renew ] || exit 0\n'
        'ip addr replace $ip/$mask dev $interface\n'
        '[ -z "$router" ] || ip route replace default via ${router%% *}\n'
        'env > %s/lease\n' % tmp_path)
    script.chmod(0o755)
    done = guest.run('udhcpc', '-i', 'eth0', '-n', '-q', '-f', '-t', '5', '-T', '1',
                     '-s', str(script), *options)
    if done.returncode != 0:
        return None
    text = (tmp_path / 'lease').read_text()
    return dict(re.findall(r'^(\w+)=(.*)$', text, re.M))


def test_udhcpc_gets_a_lease_with_all_options(bare, tmp_path):
    guest = bare.guest()
    lease = udhcpc(guest, tmp_path, '-O', 'mtu', '-O', 'search', '-x',
                   'hostname:nsguest')
    info = bare.network()
    assert ipaddress.ip_address(lease['ip']) in ipaddress.ip_network(info['subnet'])
    assert lease['router'] == lease['dns'] == lease['serverid'] == info['gateway']
    assert lease['mtu'] == '1500'
    assert lease['lease'] == '3600'
    assert lease['domain'] == 'vmnet.internal'
    leases = bare.client.call('query-leases')
    assert [(l['address'], l['hostname'], l['state']) for l in leases] == [
        (lease['ip'], 'nsguest', 'bound')]
    assert bare.client.wait_event('LEASE_ADDED')['data']['address'] == lease['ip']


def test_dhclient_gets_the_same_lease_again_and_releases_it(bare, tmp_path):
    guest = bare.guest()
    config, leases = tmp_path / 'conf', tmp_path / 'leases'
    config.write_text('send host-name "isc";\n')
    argv = ['dhclient', '-1', '-cf', str(config), '-lf', str(leases), '-pf',
            str(tmp_path / 'pid'), '-sf', '/bin/true', 'eth0']
    guest.call(*argv[:1], '-v', *argv[1:], timeout=60)
    first = bare.client.call('query-leases')
    assert first[0]['state'] == 'bound' and first[0]['hostname'] == 'isc'
    assert first[0]['address'] in leases.read_text()
    guest.run('dhclient', '-r', '-v', *argv[2:], timeout=60)
    end = time.monotonic() + 5
    while bare.client.call('query-leases')[0]['state'] == 'bound' \
            and time.monotonic() < end:
        time.sleep(0.05)
    assert bare.client.call('query-leases')[0]['state'] != 'bound'


def test_dhcp_off_means_no_answer(bare, tmp_path):
    guest = bare.guest(dhcp=False, network='quiet')
    assert udhcpc(guest, tmp_path, '-t', '2') is None


def test_dns_proxy_resolves_by_udp_and_tcp(lab):
    answer = '198.51.100.9'
    server = services.DnsServer({'name.example': [answer, '2001:db8::9']})
    with open(lab.instance.resolv_conf, 'w', encoding='ascii') as out:
        out.write('nameserver 127.0.0.1#%d\n' % server.port)
    guest = lab.configured()
    router = lab.network()['gateway']

    def dig(*query):
        return guest.run('dig', '+time=5', '+tries=2', '@' + router, *query).stdout

    assert answer in dig('name.example', 'A')
    assert '2001:db8::9' in dig('name.example', 'AAAA')
    assert 'NXDOMAIN' in dig('nothing.example', 'A')
    assert router in dig('+short', 'gateway.vmnet.internal', 'A')
    assert 'gateway.vmnet.internal.' in dig('+short', '-x', router) or \
        'host.vmnet.internal.' in dig('+short', '-x', router)
    assert router in dig('+tcp', '+short', 'gateway.vmnet.internal', 'A')


def test_dns_without_an_answer_is_servfail_in_time(bare):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(('127.0.0.1', 0))
        with open(bare.instance.resolv_conf, 'w', encoding='ascii') as out:
            out.write('nameserver 127.0.0.1#%d\n' % silent.getsockname()[1])
        guest = bare.configured()
        begin = time.monotonic()
        text = guest.run('dig', '+time=8', '+tries=1', '@' + guest.router,
                         'slow.example').stdout
        assert 'SERVFAIL' in text
        assert time.monotonic() - begin < 6


@pytest.mark.parametrize('mtu', [1500, 9000])
def test_iperf3_through_nat_both_ways(lab, mtu):
    guest = lab.configured(mtu=mtu, network='mtu%d' % mtu)
    with socket.socket() as probe:
        probe.bind(('', 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(['iperf3', '-s', '-1', '-p', str(port)],
                              stdout=subprocess.DEVNULL)
    try:
        text = guest.run('iperf3', '-c', guest.router, '-p', str(port), '-t',
                         '2', '--connect-timeout', '5000').stdout
        assert 'receiver' in text, text
    finally:
        server.terminate()
        server.wait()
    server = subprocess.Popen(['iperf3', '-s', '-1', '-p', str(port)],
                              stdout=subprocess.DEVNULL)
    try:
        text = guest.run('iperf3', '-c', guest.router, '-p', str(port), '-t',
                         '2', '-R', '--connect-timeout', '5000').stdout
        assert 'receiver' in text, text
    finally:
        server.terminate()
        server.wait()


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


def test_service_on_loopback_is_out_of_reach_unless_asked_for(bare):
    server = services.HttpServer({'/x': b'private'}, '127.0.0.1')
    closed = bare.configured(network='closed', host_loopback=False)
    opened = bare.configured(network='opened', host_loopback=True)
    for guest, good in ((closed, False), (opened, True)):
        text = guest.run('curl' if shutil.which('curl') else 'busybox',
                         *(['-s', '-m', '5'] if shutil.which('curl')
                           else ['wget', '-q', '-O', '-']),
                         'http://%s:%d/x' % (guest.router, server.port)).stdout
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
    with socket.socket() as probe:
        probe.bind(('0.0.0.0', 0))
        port = probe.getsockname()[1]
    guest = lab.configured()
    begin = time.monotonic()
    done = guest.run('nc', '-v', '-w', '10', guest.router, str(port))
    assert 'refused' in done.stdout
    assert time.monotonic() - begin < 5


def test_forward_follows_and_goes_with_its_netdev(bare, tmp_path):
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = probe.getsockname()[1]
    guest = bare.guest(hostfwd=['tcp:127.0.0.1:%d-:7777' % port])
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
        server.terminate()
        server.wait()
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
