"""The guests of a test: each booted by a line, all ended together.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import functools
import os
import shutil

import pytest

from lib import image
from lib.guest import BOOTS, Guest
from lib.instance import IMAGE

QEMU = 'qemu-system-x86_64'
NIC = ['-device', 'virtio-net-pci,netdev=net0,romfile=']


@functools.lru_cache
def kernel(flavour=image.CLOUD):
    """Kernel and initramfs; without them the test is skipped."""
    try:
        if flavour == image.CLOUD:
            return image.ensure(IMAGE)
        return image.ensure(IMAGE + '-full', flavour=flavour)
    except image.ImageError as error:
        return pytest.skip('needs the guest kernel: %s' % error)


class Boot:
    """What runs guests for @instance; their logs are in its folder.

    @qemu: the program; without it the test is skipped
    """

    def __init__(self, instance, qemu=QEMU):
        if not shutil.which(qemu):
            pytest.skip('needs ' + qemu)
        kernel()
        self.instance = instance
        self.qemu = qemu
        self.guests = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for guest in self.guests:
            guest.stop()

    def log(self, name):
        """Where the guest @name's QEMU, and vmnet-run, write their errors."""
        return os.path.join(self.instance.folder, name + '.log')

    def start(self, name, options, *, under=(), flavour=image.CLOUD, **more):
        """A guest; @under: what executes QEMU."""
        guest = Guest(name, kernel(flavour), [*under, self.qemu], options,
                      env=self.instance.env, log=self.log(name),
                      **{'boots': BOOTS, **more})
        self.guests.append(guest)
        return guest

    def run(self, name, netdev='vmnet-shared,id=net0', *, options=None,
            arguments=(), **more):
        """A guest whose QEMU vmnet-run executes, with a NIC on @netdev, or
        with @options instead; @arguments are vmnet-run's."""
        return self.start(name, options or ['-netdev', netdev, *NIC],
                          under=[self.instance.tool('vmnet-run'), *arguments],
                          **more)
