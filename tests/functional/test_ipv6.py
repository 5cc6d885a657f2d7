"""Router advertisements and neighbour discovery, as ndisc6's tools see them.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import ipaddress
import re
import shutil
import time

import pytest
from scapy.layers.inet6 import ICMPv6ND_RA, ICMPv6ND_RS, IPv6
from scapy.layers.l2 import Ether

from lib import netns
from lib.raw_guest import RawGuest

pytestmark = [
    pytest.mark.skipif(netns.missing() is not None,
                       reason=netns.missing() or ''),
    pytest.mark.skipif(not shutil.which('rdisc6'), reason='needs ndisc6')]


def has_default_route():
    """Whether the host has an IPv6 default route: the gateway is a router."""
    with open('/proc/net/ipv6_route', encoding='ascii') as table:
        for line in table:
            word = line.split()
            if word[0] == '0' * 32 and word[1] == '00' and word[9] != 'lo':
                return True
    return False


def solicited(guest):
    """The advertisement that answers, as {name: value}; how long it took."""
    guest.call('sh', '-c', 'until ip -6 addr show dev eth0 scope link'
               ' -tentative | grep -q inet6; do sleep 0.05; done')
    begin = time.monotonic()
    text = guest.call('rdisc6', '-1', '-r', '1', '-w', '4000', 'eth0')
    took = time.monotonic() - begin
    return {key.strip(): value.strip() for key, value in
            re.findall(r'^ *([\w .-]+?) *: +(.*)$', text, re.M)}, took


@pytest.mark.parametrize('kind', ['vmnet-shared', 'vmnet-host'])
def test_solicitation_is_answered_within_half_a_second(bare, kind):
    guest = bare.guest(kind, mtu=1400)
    info = bare.network(kind[len('vmnet-'):])
    advert, took = solicited(guest)
    assert took < 1         # 0.5 s, and the start of a process
    assert advert['Prefix'] == info['ipv6-prefix']
    assert advert['MTU'].startswith('1400')
    assert advert['Source link-layer address'].lower() == info['mac']
    prefix = ipaddress.ip_network(info['ipv6-prefix'])
    assert advert['Recursive DNS server'] == str(prefix[1])
    assert advert['DNS search list'].startswith('vmnet.internal')
    assert advert['Stateful address conf.'] == 'No'
    lifetime = int(advert['Router lifetime'].split()[0])
    if kind == 'vmnet-host' or not has_default_route():
        assert lifetime == 0
    else:
        assert 0 < lifetime <= 9000


def test_only_the_gateways_own_addresses_are_answered(bare):
    one, two = bare.guest(), bare.guest()
    info = bare.network()
    prefix = ipaddress.ip_network(info['ipv6-prefix'])
    assert info['mac'] in one.call('ndisc6', '-q', '-1', '-r', '3',
                                   str(prefix[1]), 'eth0').lower()
    # Another guest's answer comes from there; nobody's, from nowhere.
    two.call('ip', '-6', 'addr', 'replace', '%s/64' % prefix[0x51], 'dev',
             'eth0')
    assert two.mac() in one.call('ndisc6', '-q', '-1', '-r', '3',
                                 str(prefix[0x51]), 'eth0').lower()
    assert one.run('ndisc6', '-q', '-1', '-r', '1', '-w', '300',
                   str(prefix[0x52]), 'eth0').returncode != 0


def test_links_too_small_for_ipv6_have_none(daemon):
    """RFC 8200 5: 1280 bytes at least; less would be promises only."""
    with daemon.qmp() as client:
        ident, path = daemon.netdev(client, mtu=1279)
        with RawGuest(path, '52:54:00:dd:00:01') as guest:
            guest.send(Ether(src=guest.mac, dst='33:33:00:00:00:02') /
                       IPv6(src='fe80::50', dst='ff02::2') / ICMPv6ND_RS())
            assert guest.lease()    # what was asked first would be here
            assert not guest.receive(lambda f: ICMPv6ND_RA in f, 0.2)
        client.call('netdev_del', id=ident)
