"""Real guests on the netdevs inside QEMU.

  guest --- virtio-net-pci --- QEMU (-netdev vmnet-shared) --- vmnetd

QEMU is the one that scripts/build-qemu has built.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import os

import pytest

from lib import image
from lib.guest import Guest
from lib.instance import BUILD, IMAGE

QEMU = os.path.join(BUILD, 'qemu', 'qemu-system-x86_64')

pytestmark = pytest.mark.guest


@pytest.fixture
def boot(daemon):
    """Guests with a netdev each; their QEMU finds the test's daemon."""
    if not os.access(QEMU, os.X_OK):
        pytest.skip('needs a QEMU that scripts/build-qemu has built')
    try:
        kernel = image.ensure(IMAGE)
    except image.ImageError as error:
        pytest.skip('needs the guest kernel: %s' % error)
    made = []

    def start(name, netdev, number):
        guest = Guest(name, kernel, [QEMU],
                      ['-netdev', netdev + ',id=net0', '-device',
                       'virtio-net-pci,netdev=net0,romfile=,'
                       'mac=52:54:00:66:00:%02x' % number],
                      env=daemon.env)
        made.append(guest)
        return guest

    yield start
    for guest in made:
        guest.stop()


def test_shared(boot, daemon):
    """An address, the gateway, a second machine by its name, and the daemon
    knows both as what QEMU calls them."""
    first = boot('first', 'vmnet-shared', 1)
    second = boot('second', 'vmnet-shared', 2)
    first.wait_ready()
    second.wait_ready()
    leases = [first.dhcp(), second.dhcp()]
    assert all(leases)
    assert first.run('ping -c 2 -W 5 %s' % leases[0]['router']).ok
    assert first.run('ping -c 2 -W 5 second').ok
    with daemon.qmp() as client:
        known = {one['id']: one for one in client.call('query-netdevs')}
    assert sorted(known) == ['first/net0', 'second/net0']
    assert known['first/net0']['address'] == leases[0]['address']
