"""A network namespace as a guest: its eth0 is a netdev of a network.

  namespace [ eth0: tap ] -- tap-relay -- stream export -- vmnetd

SPDX-License-Identifier: GPL-2.0-or-later
"""

import itertools
import os
import shutil
import subprocess

from lib.process import Process

_count = itertools.count(1)
_run = os.urandom(4).hex()      # a pid may be that of a run that left some


def unique_name():
    """For a namespace, on this machine."""
    return 'vmnet-%s-%d' % (_run, next(_count))


def missing():
    """Why namespaces cannot be used here, or None."""
    if os.geteuid() != 0:
        return 'needs root for network namespaces'
    if not os.path.exists('/dev/net/tun'):
        return 'needs /dev/net/tun'
    if not shutil.which('ip'):
        return 'needs iproute2'
    probe = subprocess.run(['ip', 'netns', 'list'], check=False,
                           stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL)
    if probe.returncode != 0 or not os.access('/dev/net/tun', os.R_OK | os.W_OK):
        return 'needs root for network namespaces'
    return None


class Namespace:
    """Made on construction, gone after close()."""

    def __init__(self, build, socket_path, *, mac=None, loss=0, duplicate=0,
                 reorder=0, seed=1, mtu=1500):
        self.name = unique_name()
        self.relay = None
        subprocess.run(['ip', 'netns', 'add', self.name], check=True)
        try:
            self.call('ip', 'link', 'set', 'lo', 'up')
            # No router of its own, no DAD delay: addresses at once.
            self.call('sysctl', '-qw', 'net.ipv6.conf.default.dad_transmits=0',
                      'net.ipv6.conf.default.router_solicitation_delay=0')
            self.relay = Process(
                ['ip', 'netns', 'exec', self.name,
                 os.path.join(build, 'tests/tools/tap-relay'),
                 '--tap', 'eth0', '--socket', socket_path,
                 '--loss', str(loss), '--duplicate', str(duplicate),
                 '--reorder', str(reorder), '--seed', str(seed)],
                stdout=subprocess.PIPE, text=True)
            if self.relay.line() != 'ready\n':
                raise RuntimeError('tap-relay did not start')
            if mac:
                self.call('ip', 'link', 'set', 'eth0', 'address', mac)
            self.call('ip', 'link', 'set', 'eth0', 'mtu', str(mtu),
                      'txqueuelen', '1000', 'up')
        except BaseException:
            self.close()
            raise

    def argv(self, *command):
        """@command as run inside."""
        return ['ip', 'netns', 'exec', self.name, *command]

    def run(self, *command, timeout=30, **options):
        """Run to its end; returns CompletedProcess with text output."""
        return subprocess.run(self.argv(*command), check=False, text=True,
                              stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=timeout,
                              **options)

    def call(self, *command, timeout=30):
        """Run; an exit status other than 0 is an error. Returns the output."""
        done = self.run(*command, timeout=timeout)
        if done.returncode != 0:
            raise RuntimeError('%s: %s' % (' '.join(command), done.stdout))
        return done.stdout

    def popen(self, *command, **options):
        """Start inside; the caller ends it."""
        return Process(self.argv(*command), text=True, **options)

    def address(self, text, gateway):
        """Configure a fixed address, e.g. '192.168.107.50/24'."""
        self.call('ip', 'addr', 'replace', text, 'dev', 'eth0')
        self.call('ip', 'route', 'replace', 'default', 'via', gateway)

    def mac(self):
        """The MAC address of eth0."""
        with open_in(self, '/sys/class/net/eth0/address') as text:
            return text.strip()

    def close(self):
        """End the relay, remove the namespace."""
        if self.relay:
            self.relay.end()
            self.relay.stdout.close()
        subprocess.run(['ip', 'netns', 'del', self.name], check=False,
                       stderr=subprocess.DEVNULL, timeout=20)


class open_in:
    """A file's text as seen inside a namespace."""

    def __init__(self, namespace, path):
        self._text = namespace.call('cat', path)

    def __enter__(self):
        return self._text

    def __exit__(self, *_):
        return False
