"""Namespaces whose interface is a port of the daemon, with all offloads.

  [ namespace ] -- tap ----+
                           +-- vmnetd
  [ namespace ] -- tap ----+
  [ namespace ] -- stream -+

SPDX-License-Identifier: GPL-2.0-or-later
"""

import os

import pytest

from lib import netns, tap_guest
from lib.lab import Lab
from lib.qmp import QmpError
from lib.transfer import transfer

pytestmark = pytest.mark.skipif(bool(netns.missing()),
                                reason=str(netns.missing()))

@pytest.fixture
def client(daemon):
    """One that netdevs belong to."""
    with daemon.qmp() as made:
        yield made


@pytest.fixture
def make_guest(client):
    """Makes guests by tap, with addresses; ends them."""
    made = []

    def make(**options):
        guest = tap_guest.TapGuest(client, **options)
        made.append(guest)
        guest.ip = '192.168.107.%d' % (100 + len(made))
        guest.address(guest.ip + '/24', '192.168.107.1')
        return guest

    yield make
    for guest in made:
        guest.close()


def counters(client, guest):
    """query-netdevs of a guest."""
    return [info for info in client.call('query-netdevs')
            if info['id'] == guest.netdev][0]


def test_two_taps_exchange_frames_uncut(client, make_guest):
    one, two = make_guest(), make_guest()
    assert counters(client, one)['port'] == 'tap'
    transfer(one, two, two.ip, 20)
    info = counters(client, one)
    assert info['tx-bytes'] / info['tx-frames'] > 5000
    assert one.run('ping', '-c', '1', '192.168.107.1').returncode == 0


def test_queues(client, make_guest):
    one, two = make_guest(queues=4), make_guest(queues=8)
    transfer(one, two, two.ip, 10)
    transfer(two, one, one.ip, 10)


def test_a_guest_without_offloads_gets_segments(daemon, client, make_guest):
    lab = Lab(daemon)
    try:
        plain, tap = lab.configured(), make_guest()
        transfer(tap, plain, plain.ip, 5)
        transfer(plain, tap, tap.ip, 5)
        info = counters(lab.client, plain)
        assert info['rx-bytes'] / info['rx-frames'] < 1515
    finally:
        lab.close()


def test_end_of_the_interface(client, make_guest):
    guest = make_guest()
    guest.call('ip', 'link', 'set', 'eth0', 'down')
    guest.call('ip', 'link', 'del', 'eth0')
    guest.call('true')
    for _ in range(200):
        if not counters(client, guest)['connected']:
            return
        guest.call('sleep', '0.01')
    pytest.fail('the end of the tap went unnoticed')


def test_refused(client, make_guest):
    """Taps of other kinds, and names that are none: descriptors stay."""
    guest = make_guest()
    guest.call('ip', 'link', 'del', 'eth0')
    client.call('netdev_add', type='vmnet-shared', id='n0')

    def fails(text, **options):
        with pytest.raises(QmpError) as failure:
            client.call('export-add', id='e0', netdev='n0',
                        **{'type': 'tap', 'addr': {'type': 'fd', 'str': 'tap'},
                           **options})
        assert text in failure.value.text

    for flags, text in (
            (tap_guest.IFF_TAP | tap_guest.IFF_NO_PI, 'without IFF_VNET_HDR'),
            (1 | tap_guest.IFF_NO_PI, 'is no tap interface')):
        fd, = tap_guest.tap_fds(guest, flags=flags)
        client.call('getfd', [fd], fdname='tap')
        os.close(fd)
        fails(text)
        client.call('closefd', fdname='tap')
    null = os.open('/dev/null', os.O_RDWR)
    client.call('getfd', [null], fdname='tap')
    os.close(null)
    fails('is no tap interface')
    fails("File descriptor named 'q1' not found", queue_fds=['q1'])
    fails('at most 8 queues', queue_fds=['q'] * 8)
    fails('type=tap needs addr.type=fd', addr={'type': 'unix'})
    fails('type=tap needs addr.type=fd', server=True)
    fails('fds are for type=tap', type='dgram', queue_fds=['q'])
    client.call('closefd', fdname='tap')
    assert not counters(client, guest)['connected']
