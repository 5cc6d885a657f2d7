"""Networks of the kernel's without a daemon: rules, and traffic through them.

  a [ eth0: .2 ] -- [ vmnet-a: 192.168.107.1 ]      [ up0: 10.55.0.2 ] -- outside
                                                host
  b [ eth0: .2 ] -- [ vmnet-b: 192.168.108.1 ]      [ up1: 10.56.0.2 ] -- beside

Each is a network namespace; cables are veth, those to a and b in the place of taps.
IPv6: fd00:107::/64, fd00:108::/64, fd00:55::/64, fd00:56::/64.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import json
import os
import subprocess
import sys

from lib.instance import BUILD
from lib.lan import Plain

TOOL = os.path.join(BUILD, 'tests', 'tools', 'priv-rules')
SETTINGS = r'^net\.ipv[46]\.(conf\..*|ip_forward)$'

# Answers on TCP and UDP, both families, with who it was that asked.
SERVER = r'''
import select, socket, sys
from socket import *
port, waiting = int(sys.argv[1]), {}
for family in (AF_INET, AF_INET6):
    for kind in (SOCK_STREAM, SOCK_DGRAM):
        made = socket(family, kind)
        made.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
        if family == AF_INET6:
            made.setsockopt(IPPROTO_IPV6, IPV6_V6ONLY, 1)
        made.bind((sys.argv[2] if family == AF_INET else '::', port))
        if kind == SOCK_STREAM:
            made.listen()
        waiting[made] = kind
print('ready', flush=True)
while True:
    for made in select.select(list(waiting), [], [])[0]:
        if waiting[made] == SOCK_STREAM:
            peer, address = made.accept()
            size = peer.getsockopt(IPPROTO_TCP, TCP_MAXSEG)
            peer.sendall(('%s %d' % (address[0], size)).encode())
            peer.close()
        else:
            address = made.recvfrom(100)[1]
            made.sendto(address[0].encode(), address)
'''
# Asks, one after the other: [kind, address, port, source or None]
CLIENT = r'''
import errno, json, sys
from socket import *
def ask(kind, address, port, source):
    family = AF_INET6 if ':' in address else AF_INET
    with socket(family, SOCK_STREAM if kind == 'tcp' else SOCK_DGRAM) as made:
        made.settimeout(float(sys.argv[2]))
        if source:
            made.bind((source, 0))
        made.connect((address, port))
        if kind == 'udp':
            made.send(b'?')
        return made.recv(100).decode()
def result(*request):
    try:
        return ask(*request)
    except TimeoutError:
        return 'nothing'
    except OSError as error:
        return errno.errorcode[error.errno]
print(json.dumps([result(*one) for one in json.loads(sys.argv[1])]))
'''


def ask(namespace, *requests, timeout=5):
    """Answers to (kind, address, port, source) in @namespace, each as text."""
    full = [(list(one) + [None])[:4] for one in requests]
    return json.loads(namespace.call(sys.executable, '-c', CLIENT,
                                     json.dumps(full), str(timeout)))


def who(namespace, *requests):
    """As above: the addresses alone."""
    return [answer.split()[0] for answer in ask(namespace, *requests)]


def without_libnftables():
    """Whether vmnetd was built so."""
    done = subprocess.run([TOOL, '--state', '/'], check=False, text=True,
                          stderr=subprocess.PIPE)
    return 'without libnftables' in done.stderr


class Routed:
    """Made on construction, gone after close()."""

    def __init__(self, folder):
        self.folder = folder
        self.made, self.servers = [], []
        try:
            self.host, self.a, self.b, self.outside, self.beside = (
                self._namespace() for _ in range(5))
            self.cable('vmnet-a', 107, self.a, guest=True)
            self.cable('vmnet-b', 108, self.b, guest=True)
            self.cable('up0', 55, self.outside)
            self.cable('up1', 56, self.beside)
            self.host.call('sh', '-c',
                           'ip route add default via 10.55.0.1; '
                           'ip route add default via fd00:55::1')
            for namespace in self.made:
                self.serve(namespace, 80)
        except BaseException:
            self.close()
            raise

    def _namespace(self):
        self.made.append(Plain())
        return self.made[-1]

    def cable(self, name, number, peer, guest=False):
        """From the host's interface to eth0 of @peer, with addresses."""
        host_v4 = '192.168.%d.1' if guest else '10.%d.0.2'
        peer_v4 = '192.168.%d.2' if guest else '10.%d.0.1'
        host_v6, peer_v6 = ('fd00:%d::1', 'fd00:%d::2')[::1 if guest else -1]
        self.host.call(
            'sh', '-ec', 'ip link add $1 type veth peer eth0 netns $2; '
            'ip link set $1 up; ip addr add $3/24 dev $1; '
            'ip addr add $4/64 dev $1 nodad', 'sh', name, peer.name,
            host_v4 % number, host_v6 % number)
        peer.call(
            'sh', '-ec', 'ip link set eth0 up; ip addr add $1/24 dev eth0; '
            'ip addr add $2/64 dev eth0 nodad; ip route add default via $3; '
            'ip route add default via $4', 'sh', peer_v4 % number,
            peer_v6 % number, host_v4 % number, host_v6 % number)

    def serve(self, namespace, port, address=''):
        """Answer there with the address of who asks."""
        server = namespace.popen(sys.executable, '-c', SERVER, str(port),
                                 address, stdout=subprocess.PIPE)
        self.servers.append(server)
        assert server.line() == 'ready\n'

    def rules(self, *args, env=None):
        """Run priv-rules; returns CompletedProcess."""
        state = os.path.join(self.folder, 'rules')
        return self.host.run(TOOL, '--state', state, *args,
                             env=dict(os.environ, **(env or {})))

    def install(self, name, *more, env=None):
        """The rules of vmnet-a or vmnet-b. Returns the firewalls found."""
        number = {'vmnet-a': 107, 'vmnet-b': 108}[name]
        done = self.rules(
            'name=' + name, 'prefix=192.168.%d.0/24' % number,
            'gateway=192.168.%d.1' % number, 'prefix6=fd00:%d::/64' % number,
            'gateway6=fd00:%d::1' % number, *more, 'install', env=env)
        assert done.returncode == 0, done.stdout
        return int(done.stdout.split()[-1])

    def state(self):
        """All that rules could have changed on the host."""
        return {
            'nft': self.host.call('nft', '-s', 'list', 'ruleset'),
            'settings': sorted(self.host.call(
                'sysctl', '-a', '-e', '--pattern', SETTINGS).split('\n')),
            'record': os.listdir(os.path.join(self.folder, 'rules')),
        }

    def close(self):
        """Everything goes."""
        for server in self.servers:
            server.end()
        for namespace in self.made:
            namespace.close()
