"""A network namespace whose eth0 is a tap that vmnetd itself reads and writes.

  namespace [ eth0: tap ] -- tap export -- vmnetd

SPDX-License-Identifier: GPL-2.0-or-later
"""

import os
import socket
import subprocess
import sys

from lib import netns

# Runs inside: makes the interface, sends a descriptor for each queue.
MAKE_TAP = r'''
import fcntl, os, socket, struct, sys
queues, flags = int(sys.argv[1]), int(sys.argv[2], 16)
fds = []
for _ in range(queues):
    fds.append(os.open('/dev/net/tun', os.O_RDWR))
    fcntl.ioctl(fds[-1], 0x400454ca, struct.pack('16sH22x', b'eth0', flags))
socket.send_fds(socket.socket(fileno=0), [b'x'], fds)
'''
IFF_TAP, IFF_NO_PI, IFF_VNET_HDR, IFF_MULTI_QUEUE = 2, 0x1000, 0x4000, 0x100


def tap_fds(namespace, queues=1, flags=IFF_TAP | IFF_NO_PI | IFF_VNET_HDR):
    """Descriptors of an eth0 made in @namespace."""
    if queues > 1:
        flags |= IFF_MULTI_QUEUE
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs:
        subprocess.run(namespace.argv(sys.executable, '-c', MAKE_TAP,
                                      str(queues), hex(flags)),
                       stdin=theirs, check=True, timeout=20)
        return socket.recv_fds(ours, 1, queues)[1]


class TapGuest(netns.Namespace):
    """Made on construction on a netdev of @client's, gone after close()."""

    def __init__(self, client, queues=1, mtu=1500, kind='vmnet-shared',
                 **options):
        # pylint: disable=super-init-not-called
        self.name = netns.unique_name()
        self.relay = None
        self.netdev = self.name
        subprocess.run(['ip', 'netns', 'add', self.name], check=True)
        try:
            self.call('ip', 'link', 'set', 'lo', 'up')
            fds = tap_fds(self, queues)
            names = ['q%d' % number for number in range(queues)]
            for name, fd in zip(names, fds):
                client.call('getfd', [fd], fdname=name)
                os.close(fd)
            client.call('netdev_add', type=kind, id=self.netdev, **options)
            client.call('export-add', type='tap', id=self.netdev,
                        netdev=self.netdev,
                        addr={'type': 'fd', 'str': names[0]},
                        **({'queue-fds': names[1:]} if queues > 1 else {}))
            if 'mac' in options:
                self.call('ip', 'link', 'set', 'eth0', 'address',
                          options['mac'])
            self.call('ip', 'link', 'set', 'eth0', 'mtu', str(mtu), 'up')
        except BaseException:
            self.close()
            raise
