"""DHCP: the distribution's clients, and what they do only by mistake.

  ns [ udhcpc, dhclient ] -- tap-relay --+-- vmnetd
  test [ frames by scapy ] --------------+

SPDX-License-Identifier: GPL-2.0-or-later
"""

import glob
import ipaddress
import os
import shutil
import signal
import time

import pytest

from lib import netns
from lib.instance import is_running
from lib.lab import udhcpc
from lib.raw_guest import BROADCAST, RawGuest

NAMESPACES = pytest.mark.skipif(netns.missing() is not None,
                                reason=netns.missing() or '')
MAC = '52:54:00:aa:00:%02x'


class Frames:
    """Guests made of frames, on one daemon that can be started again."""

    def __init__(self, instance):
        self.instance = instance
        self.client = instance.qmp()
        self.guests = []

    def guest(self, number=1, **options):
        """Another guest, on a netdev of its own."""
        kind = options.pop('kind', 'vmnet-shared')
        ident, path = self.instance.netdev(self.client, kind, **options)
        made = RawGuest(path, MAC % number)
        made.netdev = ident
        self.guests.append(made)
        return made

    def leases(self):
        """{address: what query-leases says}"""
        return {lease['address']: lease
                for lease in self.client.call('query-leases')}

    def close(self):
        """All guests, and the client with its netdevs."""
        for guest in self.guests:
            guest.close()
        self.client.close()
        self.guests = []

    def stop(self):
        """The daemon ends as it does on SIGTERM: the path of its leases."""
        self.close()
        self.instance.daemon.terminate()
        self.instance.daemon.wait(10)
        [path] = glob.glob(os.path.join(self.instance.state, '**/leases'),
                           recursive=True)
        return path

    def kill(self):
        """The daemon ends by SIGKILL, its parent first."""
        engine = self.client.call('query-daemon')['pid']
        self.instance.daemon.kill()
        self.instance.daemon.wait()
        os.kill(engine, signal.SIGKILL)
        with pytest.raises((OSError, EOFError)):
            while True:
                self.client.call('query-version')
        # Its listening socket may be the last to be closed.
        end = time.monotonic() + 10
        while is_running(engine):
            assert time.monotonic() < end
            time.sleep(0.005)
        self.close()

    def is_on_disk(self, address):
        """Is there a lease of that address in a file?"""
        for path in glob.glob(os.path.join(self.instance.state, '**/leases'),
                              recursive=True):
            with open(path, encoding='ascii') as text:
                if address in text.read().split():
                    return True
        return False

    def start(self):
        """The daemon once more."""
        self.instance.start()
        self.client = self.instance.qmp()


@pytest.fixture
def frames(daemon):
    """Guests made of frames."""
    made = Frames(daemon)
    yield made
    made.close()


# The distribution's clients


@NAMESPACES
def test_udhcpc_gets_a_lease_with_all_options(bare, tmp_path):
    guest = bare.guest()
    lease = udhcpc(guest, tmp_path, '-O', 'mtu', '-O', 'search', '-x',
                   'hostname:nsguest')
    info = bare.network()
    assert ipaddress.ip_address(lease['ip']) in ipaddress.ip_network(info['subnet'])
    assert lease['router'] == lease['dns'] == lease['serverid'] == info['gateway']
    assert lease['mtu'] == '1500'
    assert lease['lease'] == '3600'
    assert lease['domain'] == lease['search'] == 'vmnet.internal'
    leases = bare.client.call('query-leases')
    assert [(l['address'], l['hostname'], l['state']) for l in leases] == [
        (lease['ip'], 'nsguest', 'bound')]
    assert bare.client.wait_event('LEASE_ADDED')['data']['address'] == lease['ip']


@NAMESPACES
@pytest.mark.skipif(not shutil.which('dhclient'), reason='needs isc-dhcp-client')
def test_dhclient_gets_the_same_lease_again_and_releases_it(bare, tmp_path):
    guest = bare.guest()
    config, leases, script = [tmp_path / name
                              for name in ('conf', 'leases', 'script')]
    config.write_text('send host-name "isc";\n')
    # RELEASE is sent from the address, and after ARP: it stays there.
    script.write_text(
        '#!/bin/sh\ncase $reason in\n'
        'BOUND|RENEW|REBOOT) ip addr replace'
        ' $new_ip_address/$new_subnet_mask dev $interface;;\nesac\n')
    script.chmod(0o755)
    files = ['-cf', str(config), '-lf', str(leases), '-pf',
             str(tmp_path / 'pid'), '-sf', str(script), 'eth0']

    def bound():
        return [lease['address'] for lease in bare.client.call('query-leases')
                if lease['state'] == 'bound']

    guest.call('dhclient', '-1', '-v', *files, timeout=60)
    first = bare.client.wait_event('LEASE_ADDED')['data']
    assert first['hostname'] == 'isc' and bound() == [first['address']]
    guest.call('dhclient', '-x', *files, timeout=60)
    # It remembers: INIT-REBOOT.
    text = guest.call('dhclient', '-1', '-v', *files, timeout=60)
    assert 'DHCPDISCOVER' not in text
    assert bound() == [first['address']]
    guest.call('dhclient', '-r', '-v', *files, timeout=60)
    gone = bare.client.wait_event('LEASE_REMOVED')['data']
    assert gone['address'] == first['address'] and bound() == []


@NAMESPACES
def test_dhcp_off_means_no_answer(bare, tmp_path):
    guest = bare.guest(dhcp=False, network='quiet')
    assert udhcpc(guest, tmp_path, '-t', '2') is None


# Messages (RFC 2131)


def test_options_are_those_that_were_asked_for(frames):
    guest = frames.guest()
    offer = guest.dhcp('discover', ('param_req_list', [26, 121, 119, 108]),
                       ('max_dhcp_size', 1500))
    router = offer['server_id']
    assert offer['interface-mtu'] == 1500
    assert 'v6-only-preferred' not in offer and 108 not in offer
    assert offer['lease_time'] == 3600
    assert offer['renewal_time'] == 1800 and offer['rebinding_time'] == 3150
    packed = bytes(offer.frame)
    # RFC 3442: the default route; RFC 3397: vmnet.internal
    assert bytes([121, 5, 0]) + ipaddress.ip_address(router).packed in packed
    assert b'\x77\x10\x05vmnet\x08internal\x00' in packed
    # RFC 951: 300 bytes of BOOTP at least; it goes to the client alone.
    assert len(packed) >= 14 + 20 + 8 + 300
    assert offer.frame.dst == guest.mac
    bare = guest.dhcp('discover', ('param_req_list', [1]))
    assert 'interface-mtu' not in bare


def test_broadcast_flag_is_honoured(frames):
    guest = frames.guest()
    assert guest.dhcp('discover', flags=0x8000).frame.dst == BROADCAST
    assert guest.dhcp('discover').frame.dst == guest.mac


def test_init_reboot(frames):
    guest = frames.guest(1)
    other = frames.guest(2)
    ack = guest.lease()
    again = guest.dhcp('request', ('requested_addr', ack.address))
    assert again.kind == 'ack' and again.address == ack.address
    nak = guest.dhcp('request', ('requested_addr', '10.99.1.2'))
    assert nak.kind == 'nak' and nak.frame.dst == BROADCAST
    # Somebody else's, and an address of whose holder nothing is known.
    nak = other.dhcp('request', ('requested_addr', ack.address))
    assert nak.kind == 'nak'
    router = ipaddress.ip_address(ack['server_id'])
    free = next(str(router + n) for n in (77, 78)
                if str(router + n) != ack.address)
    assert other.dhcp('request', ('requested_addr', free), timeout=0.3) is None


def test_renewing_and_rebinding(frames):
    guest = frames.guest()
    ack = guest.lease()
    gateway = (ack['server_id'], ack.frame.src)
    renewed = guest.dhcp('request', ciaddr=ack.address, dst=gateway)
    assert renewed.kind == 'ack' and renewed.frame['IP'].dst == ack.address
    rebound = guest.dhcp('request', ciaddr=ack.address)
    assert rebound.kind == 'ack' and rebound.address == ack.address


def test_declined_address_is_quarantined(frames):
    guest = frames.guest()
    ack = guest.lease()
    guest.dhcp_send('decline', ('requested_addr', ack.address),
                    ('server_id', ack['server_id']))
    event = frames.client.wait_event('LEASE_CONFLICT')['data']
    assert event['address'] == ack.address
    guest.address = None
    assert guest.lease().address != ack.address
    assert frames.leases()[ack.address]['state'] == 'declined'


def test_inform_makes_no_lease(frames):
    guest = frames.guest()
    offer = guest.dhcp('discover')
    router = offer['server_id']
    # Not by chance the one that it is offered.
    mine = next(one for one in (str(ipaddress.ip_address(router) + n)
                                for n in (200, 201)) if one != offer.address)
    ack = guest.dhcp('inform', ciaddr=mine)
    assert ack.kind == 'ack' and ack.address == '0.0.0.0'
    assert ack['router'] == router and 'lease_time' not in ack
    assert mine not in frames.leases()


def test_clones_have_one_client_id_and_two_addresses(frames):
    ident = ('client_id', b'\xff\0\0\0\1machine-id')
    one = frames.guest(1).lease(ident)
    two = frames.guest(2).lease(ident)
    assert one.address != two.address
    event = frames.client.wait_event('LEASE_CONFLICT')['data']
    assert event['address'] == one.address


def test_firmware_initramfs_and_system_have_one_address(frames):
    guest = frames.guest()
    addresses = {guest.lease(*ident).address for ident in (
        [], [('client_id', b'\1' + bytes.fromhex('525400aa0001'))],
        [('client_id', b'\xff\0\0\0\1system')])}
    assert len(addresses) == 1


# Pools and leases


@pytest.fixture
def tiny(frames):
    """A network of three addresses, and how to write it."""
    base = ipaddress.ip_network('10.217.93.0/24')
    return frames, dict(start_address=str(base[1]), end_address=str(base[4]),
                        subnet_mask='255.255.255.0', network='tiny',
                        lease_time=20)


def test_full_pool_gives_what_was_left_longest(tiny):
    frames, options = tiny
    guests = [frames.guest(n, **options) for n in range(4)]
    taken = [guest.lease().address for guest in guests[:3]]
    assert len(set(taken)) == 3
    # Who asks for longer gets what the network gives.
    assert guests[0].dhcp('request', ('lease_time', 9999),
                          ciaddr=taken[0])['lease_time'] == 20
    assert guests[3].dhcp('discover', timeout=0.3) is None
    for guest in (guests[1], guests[0]):
        guest.dhcp_send('release', ('server_id', '10.217.93.1'),
                        ciaddr=guest.address)
        frames.client.wait_event('LEASE_REMOVED')
        guest.close()
        frames.client.call('netdev_del', id=guest.netdev)
    end = time.monotonic() + 10
    offer = None
    while not offer and time.monotonic() < end:
        # The old holder is asked first: the answer is known next time.
        offer = guests[3].dhcp('discover', timeout=0.6)
    assert offer.address == taken[1]


def test_253_leases_and_no_more(frames):
    """As many as a /24 has, of two guests with containers of their own."""
    options = dict(start_address='10.217.94.1', end_address='10.217.94.254',
                   subnet_mask='255.255.255.0', network='full', lease_time=20)
    addresses = set()
    for port in range(3):
        guest = frames.guest(0, **options)
        for number in range(85 if port < 2 else 84):
            guest.mac = '52:54:00:bb:%02x:%02x' % (port, number)
            guest.address = None
            ack = guest.dhcp('discover', (80, b''))
            if ack:
                addresses.add(ack.address)
    assert len(addresses) == 253
    assert frames.client.call('query-networks')[0]['leases'] == 253


@pytest.mark.parametrize('clock', ['right', 'behind', 'ahead'])
def test_leases_outlive_the_daemon(frames, clock):
    guest = frames.guest()
    address = guest.lease(('hostname', b'keeper')).address
    path = frames.stop()
    if clock != 'right':
        # As if the clock had been ten years off when it was written.
        wrong = 10 * 365 * 86400 * (1 if clock == 'ahead' else -1)
        with open(path, encoding='ascii') as text:
            lines = text.read().splitlines()
        for number, line in enumerate(lines):
            words = line.split()
            if words[0] == 'lease':
                words[4] = str(int(words[4]) + wrong)
                lines[number] = ' '.join(words)
        with open(path, 'w', encoding='ascii') as text:
            text.write('\n'.join(lines) + '\n')
    frames.start()
    guest = frames.guest()
    lease = frames.leases()[address]
    assert lease['hostname'] == 'keeper'
    assert lease['state'] == ('expired' if clock == 'behind' else 'bound')
    assert lease['expires'] <= time.time() + 3601
    # Its client finds it, by INIT-REBOOT as after a reboot of its own.
    again = guest.dhcp('request', ('requested_addr', address))
    assert again.kind == 'ack' and again.address == address


def test_leases_in_a_row_are_on_disk_at_once(frames):
    """A daemon that is killed takes none of them with it."""
    started = time.monotonic()
    for number in range(6):
        address = frames.guest(number).lease().address
        while not frames.is_on_disk(address):
            assert time.monotonic() < started + 30
            time.sleep(0.005)
    # Not one a second.
    assert time.monotonic() < started + 4
    frames.kill()
    frames.start()
    frames.guest()
    assert len(frames.leases()) == 6


def test_damaged_lease_file_is_set_aside(frames):
    address = frames.guest().lease().address
    path = frames.stop()
    with open(path, 'r+b') as text:
        text.truncate(os.path.getsize(path) - 4)
    frames.start()
    guest = frames.guest()
    assert frames.leases() == {}
    assert os.path.basename(path) in frames.instance.stderr()
    assert glob.glob(path + '.*')
    # Hashed from the MAC: the same address all the same.
    assert guest.lease().address == address


def test_networks_have_leases_of_their_own(frames):
    one = frames.guest(1, network='one').lease()
    two = frames.guest(1, network='two').lease()
    assert one['server_id'] != two['server_id']
    assert {lease['network']: lease['address']
            for lease in frames.client.call('query-leases')} == {
                'one': one.address, 'two': two.address}
