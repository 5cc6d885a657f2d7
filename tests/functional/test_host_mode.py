"""vmnet-host: guests and the gateway's address, and nothing else.

  ns one --+
           +-- vmnetd -- services of the host, by the gateway's address only
  ns two --+

SPDX-License-Identifier: GPL-2.0-or-later
"""

import ipaddress
import time

import pytest

from lib import netns, services
from lib.lab import LOOPBACK, fetch, udhcpc

pytestmark = pytest.mark.skipif(netns.missing() is not None,
                                reason=netns.missing() or '')
OUTSIDE = '198.51.100.7'        # RFC 5737: nobody's


def configured(lab, number=50, **options):
    """A guest with a default route, as one that wants out would make it."""
    return lab.configured(number, kind='vmnet-host', host_loopback=LOOPBACK,
                          **options)


def test_guests_and_gateway_are_reached(bare):
    server = services.HttpServer({'/x': b'served'})
    one, two = configured(bare), configured(bare, 51)
    assert one.run('ping', '-c', '1', '-W', '3', two.ip).returncode == 0
    assert one.run('ping', '-c', '1', '-W', '3', one.router).returncode == 0
    assert 'served' in fetch(one, one.router, server.port)
    server.close()


def test_all_else_is_administratively_prohibited(bare):
    listener = services.HttpServer({'/x': b'served'})
    echo = services.UdpEcho()
    guest = configured(bare)
    shared = bare.configured(network='other')
    for target in [OUTSIDE, shared.router, *services.host_addresses()[0]]:
        assert 'Packet filtered' in guest.run('ping', '-c', '1', '-W', '3',
                                              target).stdout
        begin = time.monotonic()
        text = fetch(guest, target, listener.port)
        assert 'served' not in text and 'failed' in text
        assert time.monotonic() - begin < 4
        guest.run('sh', '-c', 'echo hello | nc -u -w 1 %s %d' %
                  (target, echo.port))
    assert echo.requests == 0 and listener.peers == []
    info = bare.network('host')
    assert info['tcp-flows'] == info['udp-flows'] == 0
    echo.close()
    listener.close()


def test_nothing_of_ipv6_leaves(bare):
    guest = configured(bare)
    prefix = ipaddress.ip_network(bare.network('host')['ipv6-prefix'])
    guest.call('ip', '-6', 'addr', 'replace', '%s/64' % prefix[0x50], 'dev',
               'eth0')
    guest.call('ip', '-6', 'route', 'replace', 'default', 'via', str(prefix[1]))
    done = guest.run('ping', '-6', '-c', '1', '-W', '3', str(prefix[1]))
    assert done.returncode == 0, done.stdout + guest.call(
        'ip', '-6', 'neigh') + str(bare.client.call('query-netdevs'))
    for target in ['2001:db8::7', *services.host_addresses()[1]]:
        assert 'Administratively prohibited' in guest.run(
            'ping', '-6', '-c', '1', '-W', '3', target).stdout


def test_dhcp_names_no_router_and_dns_only_its_zone(bare, tmp_path):
    guest = bare.guest('vmnet-host')
    lease = udhcpc(guest, tmp_path, '-x', 'hostname:inside')
    assert lease['dns'] == lease['serverid'] and 'router' not in lease

    def dig(*query):
        return guest.run('dig', '+time=5', '+tries=1', '@' + lease['dns'],
                         *query).stdout

    assert dig('+short', 'inside.vmnet.internal').split() == [lease['ip']]
    assert 'status: REFUSED' in dig('www.example')
    assert 'status: REFUSED' in dig('+tcp', 'www.example')


def test_net_uuid_has_no_gateway(bare, tmp_path):
    uuid = '0b6e1a8e-6a5c-4ad1-8c83-3a39f21ab7a1'
    one, two = [bare.guest('vmnet-host', net_uuid=uuid) for _ in range(2)]
    assert udhcpc(one, tmp_path, '-t', '2') is None
    for number, guest in enumerate((one, two), 1):
        guest.call('ip', 'addr', 'replace', '10.9.8.%d/24' % number, 'dev',
                   'eth0')
    assert one.run('ping', '-c', '1', '-W', '3', '10.9.8.2').returncode == 0
    with pytest.raises(Exception, match='net-uuid'):
        bare.guest('vmnet-host', net_uuid=uuid, network='named')
