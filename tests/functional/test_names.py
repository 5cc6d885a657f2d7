"""vmnet.internal: guests by the names of their leases.

  ns [ udhcpc, dig ] -- tap-relay --+-- vmnetd
  test [ frames by scapy ] ---------+

SPDX-License-Identifier: GPL-2.0-or-later
"""

import ipaddress
import shutil

import pytest

from lib import netns
from lib.lab import udhcpc
from lib.raw_guest import RawGuest

pytestmark = [
    pytest.mark.skipif(netns.missing() is not None,
                       reason=netns.missing() or ''),
    pytest.mark.skipif(not shutil.which('dig'), reason='needs dig')]


@pytest.fixture
def asker(bare):
    """A guest with dig; and the means to add others."""
    guest = bare.configured(200)
    # The gateway knows it then, and gives its address to nobody.
    guest.call('ping', '-c', '1', '-W', '3', guest.router)

    def dig(*query):
        return guest.run('dig', '+time=5', '+tries=1', '@' + guest.router,
                         *query).stdout

    dig.lab, dig.guest, dig.made = bare, guest, []
    yield dig
    for other in dig.made:
        other.close()


def named(asker, number, name):
    """Another guest that says its name: its lease."""
    _ident, path = asker.lab.instance.netdev(asker.lab.client)
    made = RawGuest(path, '52:54:00:cc:00:%02x' % number)
    made.netdev = _ident
    asker.made.append(made)
    made.lease(('hostname', name.encode()))
    return made


def test_guests_are_found_by_name_and_address(asker, tmp_path):
    guest = asker.lab.guest()
    address = udhcpc(guest, tmp_path, '-x', 'hostname:Web')['ip']
    prefix = ipaddress.ip_network(asker.lab.network()['ipv6-prefix'])
    six = str(prefix[0x77])
    guest.call('ip', '-6', 'addr', 'replace', six + '/64', 'dev', 'eth0')
    guest.call('ping', '-6', '-c', '1', '-W', '3', '-I', six, str(prefix[1]))
    assert asker('+short', 'web.vmnet.internal').split() == [address]
    assert asker('+short', 'WEB.Vmnet.Internal').split() == [address]
    assert six in asker('+short', 'web.vmnet.internal', 'AAAA').split()
    assert asker('+short', '-x', address).split() == ['web.vmnet.internal.']
    assert asker('+short', '-x', six).split() == ['web.vmnet.internal.']
    assert asker('+tcp', '+short', 'web.vmnet.internal').split() == [address]
    # With authority, and what is not there with the zone's SOA (RFC 2308).
    assert ' aa ' in asker('web.vmnet.internal')
    text = asker('nobody.vmnet.internal')
    assert 'NXDOMAIN' in text and 'SOA' in text
    text = asker('web.vmnet.internal', 'MX')
    assert 'NOERROR' in text and 'SOA' in text and 'ANSWER: 0' in text


def test_first_live_holder_keeps_a_name(asker):
    one = named(asker, 1, 'twin')
    two = named(asker, 2, 'twin')
    event = asker.lab.client.wait_event('LEASE_CONFLICT')['data']
    assert event['address'] == two.address
    assert asker('+short', 'twin.vmnet.internal').split() == [one.address]
    one.dhcp_send('release', ('server_id', asker.guest.router),
                  ciaddr=one.address)
    asker.lab.client.wait_event('LEASE_REMOVED')
    assert asker('+short', 'twin.vmnet.internal').split() == [two.address]


def test_reserved_names_are_the_hosts(asker):
    router = asker.guest.router
    for number, name in enumerate(('host', 'gateway', 'localhost')):
        named(asker, number, name)
    assert asker('+short', 'host.vmnet.internal').split() == [router]
    assert asker('+short', 'gateway.vmnet.internal').split() == [router]
    assert asker('+short', '-x', router).split() == ['gateway.vmnet.internal.']
    assert asker('+short', 'localhost').split() == ['127.0.0.1']
    assert 'NXDOMAIN' in asker('localhost.vmnet.internal')


def test_names_are_made_valid_labels(asker):
    made = named(asker, 1, 'My_Laptop.lan')
    assert asker('+short', 'my-laptop.vmnet.internal').split() == [made.address]
