"""Guests on a host interface, by vmnet-bridged.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import itertools
import subprocess

from lib.tap_guest import TapGuest


def has_macvtap():
    """Whether this kernel makes them, and devices of theirs."""
    made = subprocess.run(
        ['unshare', '-n', 'sh', '-c',
         'ip link add v0 type veth peer name v1 && '
         'ip link add link v0 name v2 index 7654321 type macvtap && '
         'test -c /dev/tap7654321'], check=False, stderr=subprocess.DEVNULL)
    return made.returncode == 0


class Guests:
    """Namespaces on the host interface."""

    def __init__(self, system):
        self.system = system
        self.client = system.qmp()
        self.made = []
        self.numbers = itertools.count(1)

    def add(self, **options):
        """One more."""
        options.setdefault('ifname', self.system.lan.ifname)
        options = {**self.system.lan.options, **options}
        guest = TapGuest(self.client, kind='vmnet-bridged',
                         mac='52:54:00:55:00:%02x' % next(self.numbers),
                         **options)
        self.made.append(guest)
        return guest

    def addressed(self, **options):
        """One with a fixed address."""
        guest = self.add(**options)
        guest.ip = '10.55.0.%d' % (10 + len(self.made))
        guest.call('ip', 'addr', 'add', guest.ip + '/24', 'dev', 'eth0')
        return guest

    def close(self):
        """All go."""
        for guest in self.made:
            guest.close()
        self.client.close()
