"""Network namespaces as guests of one daemon, and the clients that run in them.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import ipaddress
import re
import time

from lib import netns, services
from lib.instance import BUILD

LOOPBACK = not services.host_addresses()[0]


class Lab:
    """Namespaces on networks of one daemon."""

    def __init__(self, instance):
        self.instance = instance
        self.client = instance.qmp()
        self.guests = []

    def guest(self, kind='vmnet-shared', link=None, **options):
        """A namespace on a netdev of its own."""
        if LOOPBACK and kind == 'vmnet-shared':
            options.setdefault('host_loopback', True)
        ident, path = self.instance.netdev(self.client, kind, **options)
        made = netns.Namespace(BUILD, path, mtu=options.get('mtu', 1500),
                               **(link or {}))
        made.netdev = ident
        self.guests.append(made)
        return made

    def network(self, name='shared'):
        """What query-networks says."""
        for info in self.client.call('query-networks'):
            if info['name'] == name:
                return info
        raise KeyError(name)

    def configured(self, number=50, **options):
        """A guest with a fixed address and a default route."""
        guest = self.guest(**options)
        kind = options.get('kind', 'vmnet-shared')
        info = self.network(options.get('network', kind[len('vmnet-'):]))
        subnet = ipaddress.ip_network(info['subnet'])
        guest.ip = str(subnet[number])
        guest.router = info['gateway']
        guest.address('%s/%d' % (guest.ip, subnet.prefixlen), guest.router)
        return guest

    def close(self):
        """All namespaces."""
        for guest in self.guests:
            guest.close()
        self.client.close()


def udhcpc(guest, tmp_path, *options):
    """A lease by busybox's client: what its script is given, as a dict."""
    script = tmp_path / 'script'
    script.write_text(
        '#!/bin/sh\n[ "$1" = bound ] || [ "$1" = renew ] || exit 0\n'
        'ip addr replace $ip/$mask dev $interface\n'
        '[ -z "$router" ] || ip route replace default via ${router%% *}\n'
        'env > %s/lease\n' % tmp_path)
    script.chmod(0o755)
    done = guest.run('udhcpc', '-i', 'eth0', '-n', '-q', '-f', '-t', '5', '-T', '1',
                     '-s', str(script), *options)
    if done.returncode != 0:
        return None
    text = (tmp_path / 'lease').read_text()
    return dict(re.findall(r'^(\w+)=(.*)$', text, re.M))


def fetch(guest, host, port, path='/x', timeout=8):
    """An HTTP answer, or what kept nc from having one."""
    return guest.run('sh', '-c',
                     "printf 'GET %s HTTP/1.0\\r\\n\\r\\n' | nc -v -w %d %s %d" %
                     (path, timeout, host, port)).stdout


def until(condition):
    """Wait for what happens soon."""
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def pings(namespace, address, *options):
    """Whether there is an answer within a second or two."""
    return namespace.run('ping', '-c', '2', '-i', '0.3', '-W', '1', *options,
                         address).returncode == 0


def link_local(namespace):
    """The IPv6 address that eth0 has of itself."""
    for word in namespace.call('ip', '-6', '-o', 'addr', 'show', 'dev', 'eth0',
                               'scope', 'link').split():
        if word.startswith('fe80'):
            return word.split('/')[0]
    raise LookupError('fe80')


def global6(namespace, prefix):
    """The address that eth0 made of an advertised @prefix; None: not yet."""
    for word in namespace.call('ip', '-6', '-o', 'addr', 'show', 'dev', 'eth0',
                               'scope', 'global', '-tentative').split():
        if word.startswith(prefix):
            return word.split('/')[0]
    return None
