"""A local network with a router on it, and a host that runs the system instance.

  router [ eth0: 10.55.0.1, 2001:db8:55::1, DHCP, RA ] --+
                                                         +-- wire [ lan: a bridge ]
  host [ eth0 or br0: 10.55.0.2 ] -----------------------+
  further hosts ... -------------------------------------+

Each is a network namespace; vmnetd --system runs in the host's.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import json
import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

from lib import netns
from lib.instance import Instance, is_running
from lib.lab import until
from lib.process import Process

ROUTER, HOST = '10.55.0.1', '10.55.0.2'
ROUTER6, PREFIX6 = '2001:db8:55::1', '2001:db8:55:'
UDHCPD = '''
interface eth0
start 10.55.0.100
end 10.55.0.150
lease_file /dev/null
pidfile %s
opt subnet 255.255.255.0
opt router 10.55.0.1
opt lease 600
'''
# Runs on the router: advertises PREFIX6 to whoever asks, and once at first.
ADVERTISE = r'''
import select, socket, struct
prefix = socket.inet_pton(socket.AF_INET6, '2001:db8:55::')
ra = struct.pack('!BBHBBHII', 134, 0, 0, 64, 0, 1800, 0, 0) + \
    struct.pack('!BBBBIII', 3, 4, 64, 0xc0, 3600, 1800, 0) + prefix
with socket.socket(socket.AF_INET6, socket.SOCK_RAW, 58) as sock:
    index = socket.if_nametoindex('eth0')
    sock.setsockopt(41, socket.IPV6_MULTICAST_HOPS, 255)
    sock.setsockopt(41, socket.IPV6_MULTICAST_IF, index)
    sock.setsockopt(41, socket.IPV6_JOIN_GROUP, socket.inet_pton(
        socket.AF_INET6, 'ff02::2') + struct.pack('I', index))
    print('ready', flush=True)
    while True:
        sock.sendto(ra, ('ff02::1', 0))
        while sock.recv(2048)[0] != 133:
            pass
'''
# What differs from one look to the next although nothing has changed.
RESTLESS = ('_timer', 'valid_life_time', 'preferred_life_time')


class Plain(netns.Namespace):
    """A namespace with nothing in it."""

    def __init__(self):
        # pylint: disable=super-init-not-called
        self.name = netns.unique_name()
        self.relay = None
        subprocess.run(['ip', 'netns', 'add', self.name], check=True)
        self.call('ip', 'link', 'set', 'lo', 'up')
        self.call('sysctl', '-qw', 'net.ipv6.conf.default.dad_transmits=0')


def _without_restless(value):
    if isinstance(value, list):
        return [_without_restless(item) for item in value]
    if isinstance(value, dict):
        return {key: _without_restless(item) for key, item in value.items()
                if not key.endswith(RESTLESS)}
    return value


class Lan:
    """Made on construction, gone after close().

    @bridge: the host has its address on br0, of which eth0 is a port
    """

    def __init__(self, folder, bridge):
        self.made = []
        self.dhcp = self.advertiser = None
        self.options = {}
        try:
            self.wire, self.router, self.host = (self._namespace()
                                                 for _ in range(3))
            self.wire.call('ip', 'link', 'add', 'lan', 'type', 'bridge')
            self.wire.call('ip', 'link', 'set', 'lan', 'up')
            self.plug(self.router, 'router')
            self.plug(self.host, 'host')
            self.router.call('ip', 'addr', 'add', ROUTER + '/24', 'dev', 'eth0')
            self.router.call('ip', 'addr', 'add', ROUTER6 + '/64', 'dev', 'eth0',
                             'nodad')
            self.ifname = 'eth0'
            if bridge:
                self.make_bridge()
            self.host.call('ip', 'addr', 'add', HOST + '/24', 'dev',
                           self.ifname)
            self.host.call('ip', 'route', 'add', 'default', 'via', ROUTER)
            self.settle()
            self._serve(folder)
        except BaseException:
            self.close()
            raise

    def _namespace(self):
        self.made.append(Plain())
        return self.made[-1]

    def plug(self, namespace, name):
        """A cable from eth0 inside to the bridge between all."""
        self.wire.call('ip', 'link', 'add', name, 'type', 'veth', 'peer',
                       'name', 'eth0', 'netns', namespace.name)
        self.wire.call('ip', 'link', 'set', name, 'master', 'lan', 'up')
        namespace.call('ip', 'link', 'set', 'eth0', 'up')

    def add_host(self, number, bridge=False):
        """One more, like host, at 10.55.0.NUMBER; as Lan is where one is used."""
        other = Further(self, self._namespace())
        self.plug(other.host, 'host%d' % number)
        if bridge:
            other.make_bridge()
        other.host.call('ip', 'addr', 'add', '10.55.0.%d/24' % number, 'dev',
                        other.ifname)
        other.host.call('ip', 'route', 'add', 'default', 'via', ROUTER)
        other.settle()
        return other

    def advertise(self):
        """The router advertises itself and a prefix, from now on."""
        self.advertiser = self.router.popen(sys.executable, '-c', ADVERTISE,
                                            stdout=subprocess.PIPE)
        assert self.advertiser.line() == 'ready\n'

    def only_own_address(self):
        """The host's cable carries frames of eth0's own address, like Wi-Fi."""
        link, = json.loads(self.host.call('ip', '-j', 'link', 'show', 'eth0'))
        for line in ('add table bridge wifi',
                     'add chain bridge wifi in '
                     '{ type filter hook prerouting priority 0 ; }',
                     'add rule bridge wifi in iifname host '
                     'ether saddr != %s counter drop' % link['address'],
                     'add chain bridge wifi out '
                     '{ type filter hook postrouting priority 0 ; }',
                     'add rule bridge wifi out oifname host meta pkttype host '
                     'ether daddr != %s counter drop' % link['address']):
            self.wire.call('nft', line)

    def make_bridge(self):
        """br0 on the host, with eth0."""
        self.ifname = 'br0'
        self.host.call('ip', 'link', 'add', 'br0', 'type', 'bridge')
        self.host.call('ip', 'link', 'set', 'eth0', 'master', 'br0')
        self.host.call('ip', 'link', 'set', 'br0', 'up')

    def settle(self):
        """Link-local addresses come when the cables are noticed."""
        end = time.monotonic() + 10
        while True:
            text = self.host.call('ip', '-6', '-o', 'addr', 'show', 'scope',
                                  'link')
            if self.ifname in text and 'tentative' not in text:
                return
            if time.monotonic() > end:
                raise RuntimeError('no link-local address: ' + text)
            time.sleep(0.01)

    def _serve(self, folder):
        conf = os.path.join(folder, 'udhcpd.conf')
        with open(conf, 'w', encoding='ascii') as text:
            text.write(UDHCPD % os.path.join(folder, 'udhcpd.pid'))
        self.dhcp = Process(self.router.argv('busybox', 'udhcpd', '-f', conf),
                            stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL)

    def state(self):
        """All that one could have changed on the host."""
        return {what: _without_restless(json.loads(self.host.call(
            'ip', '-d', '-j', what, 'show') or '[]'))
            for what in ('link', 'addr', 'route', 'rule')}

    def ours(self):
        """Names of interfaces that vmnetd has made."""
        return [link['ifname'] for link in self.state()['link']
                if link['ifname'].startswith('vmnetd')]

    def close(self):
        """Everything goes."""
        for process in (self.dhcp, self.advertiser):
            if process:
                process.end()
        for namespace in self.made:
            namespace.close()


def children(pid):
    """Process ids."""
    try:
        with open('/proc/%d/task/%d/children' % (pid, pid),
                  encoding='ascii') as text:
            return [int(word) for word in text.read().split()]
    except OSError:
        return []


def name(pid):
    """As ps shows it, with a newline."""
    try:
        with open('/proc/%d/comm' % pid, encoding='ascii') as text:
            return text.read()
    except OSError:
        return ''


class Further(Lan):
    """Another host on a network that is there."""

    def __init__(self, lan, host):
        # pylint: disable=super-init-not-called
        self.wire, self.router, self.host = lan.wire, lan.router, host
        self.ifname = 'eth0'
        self.options = {}


class SystemInstance(Instance):
    """vmnetd --system on @lan's host."""

    def __init__(self, lan):
        super().__init__()
        self.lan = lan
        self.system = os.path.join(self.folder, 'system')
        self.socket = os.path.join(self.system, 'run', 'vmnetd.sock')
        self.env['VMNET_SOCKET'] = self.socket
        self.prefix = ['ip', 'netns', 'exec', lan.host.name]
        os.makedirs(self.system)
        for path in (self.folder, self.system):
            os.chmod(path, 0o755)

    def start(self, *options, **more):
        """As its parent's; engine and supervisor are nobody."""
        return super().start(
            '--system', '--user', 'nobody', '--group', 'nogroup',
            '--runtime-dir', os.path.dirname(self.socket),
            '--state-dir', os.path.join(self.system, 'state'), *options,
            prefix=self.prefix, **more)

    def priv_pids(self):
        """Of what keeps rights: the keeper, and vmnetd-priv if it is there."""
        pids = [self.daemon.pid]
        for expected in ('vmnetd-keeper\n', 'vmnetd-priv\n'):
            pids += [pid for pid in children(pids[-1]) if name(pid) == expected]
        return pids[1:]

    def priv_pid(self):
        """Process id of vmnetd-priv."""
        return self.priv_pids()[1]

    def kill_all(self):
        """Supervisor, engine, vmnetd-priv and its keeper at once."""
        pids = [*self.pids(), *self.priv_pids()]
        for signum in (signal.SIGSTOP, signal.SIGKILL):
            for pid in pids:
                os.kill(pid, signum)
        self.daemon.wait(10)
        until(lambda: not any(map(is_running, pids)))


def lone_instance():
    """For a fixture: one in a namespace with nothing in it, not started."""
    host = Plain()
    made = SystemInstance(SimpleNamespace(host=host))
    yield made
    made.stop()
    host.close()
