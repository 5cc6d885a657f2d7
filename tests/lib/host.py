"""A host made of a network namespace: its addresses are known, others' are not.

  namespace host [ eth0: 198.51.100.7, 2001:db8:7::7 ] -- veth --
  namespace outside [ eth0: 198.51.100.9, 2001:db8:7::9 ]

A daemon that is started in it (prefix()) has these addresses and a default route
of either family; sockets made inside() belong to it.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import contextlib
import ctypes
import os
import subprocess
import threading

from lib import netns

CLONE_NEWNET = 0x40000000
OWN = {4: '198.51.100.7', 6: '2001:db8:7::7'}
OUTSIDE = {4: '198.51.100.9', 6: '2001:db8:7::9'}

_libc = ctypes.CDLL(None, use_errno=True)


def _enter(path):
    with open(path, 'rb') as file:
        if _libc.setns(file.fileno(), CLONE_NEWNET) < 0:
            raise OSError(ctypes.get_errno(), 'setns')


class Host:
    """Two namespaces, joined; gone after close()."""

    def __init__(self):
        self.name, self.outside = netns.unique_name(), netns.unique_name()
        try:
            for name in (self.name, self.outside):
                self._ip('netns', 'add', name)
                self._ip('-n', name, 'link', 'set', 'lo', 'up')
            self._ip('-n', self.name, 'link', 'add', 'eth0', 'type', 'veth',
                     'peer', 'name', 'eth0', 'netns', self.outside)
            self._configure(self.name, OWN, OUTSIDE)
            self._configure(self.outside, OUTSIDE, OWN)
        except BaseException:
            self.close()
            raise

    @staticmethod
    def _ip(*argv):
        subprocess.run(['ip', *argv], check=True)

    def _configure(self, name, own, router):
        for family, length in ((4, 24), (6, 64)):
            self._ip('-n', name, 'addr', 'add', '%s/%d' % (own[family], length),
                     'dev', 'eth0', *(['nodad'] if family == 6 else []))
        self._ip('-n', name, 'link', 'set', 'eth0', 'up')
        for family in (4, 6):
            self._ip('-n', name, '-%d' % family, 'route', 'add', 'default',
                     'via', router[family])

    def prefix(self):
        """In front of a command that runs on this host."""
        return ('ip', 'netns', 'exec', self.name)

    @contextlib.contextmanager
    def inside(self, name=None):
        """Sockets that this thread makes are the host's, or @name's."""
        own = '/proc/self/task/%d/ns/net' % threading.get_native_id()
        with open(own, 'rb') as before:
            _enter('/run/netns/' + (name or self.name))
            try:
                yield
            finally:
                if _libc.setns(before.fileno(), CLONE_NEWNET) < 0:
                    os.abort()      # this thread is of no use any more

    def close(self):
        """Both namespaces."""
        for name in (self.name, self.outside):
            subprocess.run(['ip', 'netns', 'del', name], check=False,
                           stderr=subprocess.DEVNULL, timeout=20)
