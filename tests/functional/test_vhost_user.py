"""Guests whose frames go through shared memory: stock QEMU's vhost-user.

  guest [ eth0 ] -- rings in a memfd -- vmnetd -- host's sockets

SPDX-License-Identifier: GPL-2.0-or-later
"""

import os
import shutil

import pytest

from lib import image
from lib.guest import Guest
from lib.instance import IMAGE

QEMU = 'qemu-system-x86_64'
MIB = 192

pytestmark = pytest.mark.guest


@pytest.fixture(scope='module')
def kernel():
    """Kernel and initramfs."""
    if not shutil.which(QEMU):
        pytest.skip('needs ' + QEMU)
    try:
        return image.ensure(IMAGE)
    except image.ImageError as error:
        pytest.skip('needs the guest kernel: %s' % error)


def export(client, ident='n0', **options):
    """A netdev with a vhost-user export; returns the path of its socket."""
    client.call('netdev_add', type='vmnet-shared', id=ident)
    return client.call('export-add', type='vhost-user', id='e' + ident,
                       netdev=ident, addr={'type': 'unix'}, **options)['path']


def vhost_options(path, nic='', netdev='', chardev=''):
    """QEMU's options for a NIC at the export @path."""
    return ['-object', 'memory-backend-memfd,id=pc.ram,size=%dM,share=on' % MIB,
            '-machine', 'memory-backend=pc.ram',
            '-chardev', 'socket,id=c0,path=%s%s' % (path, chardev),
            '-netdev', 'vhost-user,id=net0,chardev=c0' + netdev,
            '-device', 'virtio-net-pci,netdev=net0,vectors=0,romfile=' + nic]


@pytest.fixture
def boot(daemon, kernel):
    """boot(name, options) -> a guest; all are ended after the test."""
    guests = []

    def start(name, options):
        guest = Guest(name, kernel, [QEMU], options, memory=MIB,
                      log=os.path.join(daemon.folder, name + '.log'))
        guests.append(guest)
        return guest

    yield start
    for guest in guests:
        guest.stop()


@pytest.mark.parametrize('nic', ['', ',packed=on', ',mrg_rxbuf=off',
                                 ',event_idx=off,indirect_desc=off'])
def test_guest_gets_a_lease_and_pings(daemon, boot, nic):
    with daemon.qmp() as client:
        guest = boot('vu', vhost_options(export(client), nic))
        guest.wait_ready()
        lease = guest.dhcp()
        assert lease
        assert guest.run('ping -c 3 -i 0.2 -w 5 ' + lease['router']).ok
        info = client.call('query-netdevs')[0]
        assert info['port'] == 'vhost-user' and info['connected']
        assert info['rx-frames'] >= 5 and info['tx-frames'] >= 5
