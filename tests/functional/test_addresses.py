"""Who sees whom: addresses on both sides of NAT and of forwards, and loopback.

  ns guest [ eth0 ] -- tap-relay -- vmnetd in ns host [ eth0 ] -- veth -- ns outside

SPDX-License-Identifier: GPL-2.0-or-later
"""

import contextlib
import ipaddress
import json
import socket
import subprocess
import sys

import pytest

from lib import netns, services
from lib.host import OUTSIDE, OWN, Host
from lib.instance import Instance
from lib.lab import Lab

pytestmark = [
    pytest.mark.skipif(netns.missing() is not None,
                       reason=netns.missing() or ''),
    pytest.mark.xdist_group('addresses')]

LOOPBACK = {4: '127.0.0.1', 6: '::1'}
ANY = {4: '0.0.0.0', 6: '::'}

# Asks each [protocol, host, port] who it is; prints the answers, None: refused.
ASK = '''
import json, socket, sys
answers = []
for protocol, host, port in json.loads(sys.argv[1]):
    kind = {'tcp': socket.SOCK_STREAM, 'udp': socket.SOCK_DGRAM}[protocol]
    with socket.socket(socket.AF_INET6 if ':' in host else socket.AF_INET,
                       kind) as sock:
        sock.settimeout(5)
        try:
            sock.connect((host, port))
            if protocol == 'udp':
                sock.send(b'?')
            answers.append(sock.recv(100).decode())
        except ConnectionRefusedError:
            answers.append(None)
print(json.dumps(answers))
'''

# Tells whoever comes who they are; prints its ports: TCP and UDP, IPv4 and IPv6.
TELL = '''
import json, sys, time
sys.path.insert(0, sys.argv[1])
from lib.services import TcpTell, UdpTell
tellers = [kind(host) for kind in (TcpTell, UdpTell) for host in ('0.0.0.0', sys.argv[2])]
print(json.dumps([teller.port for teller in tellers]), flush=True)
sys.stdin.read()
'''

# Frames that the guest's own kernel would not send: TCP and UDP to each address.
FRAMES = '''
import json, sys
from scapy.all import IP, TCP, UDP, Ether, IPv6, get_if_hwaddr, sendp
router, ip4, ip6, targets, ports = json.loads(sys.argv[1])
frames = []
for target in targets:
    ip = IPv6(src=ip6, dst=target) if ':' in target else IP(src=ip4, dst=target)
    for port in ports:
        for l4 in (UDP(sport=9, dport=port)/b'x', TCP(sport=9, dport=port)):
            frames.append(Ether(src=get_if_hwaddr('eth0'), dst=router)/ip/l4)
sendp(frames, iface='eth0', verbose=0)
'''

LOOPBACK_FORMS = [
    '127.0.0.1', '127.1.2.3', '127.255.255.255', '0.0.0.0', '0.0.0.1',
    '0.255.255.255', '::', '::1', '::ffff:127.0.0.1', '::ffff:127.1.2.3',
    '::ffff:0.0.0.0', '::ffff:' + OWN[4]]


@pytest.fixture(scope='module', name='host')
def make_host():
    host = Host()
    yield host
    host.close()


@pytest.fixture(scope='module', name='hosted')
def make_lab(host):
    instance = Instance()
    try:
        made = Lab(instance.start(prefix=host.prefix()))
        yield made
        made.close()
    finally:
        instance.stop()


def make_guest(lab, loopback):
    """With addresses of both families: ip, ip6, router, router6."""
    name = 'open' if loopback else 'closed'
    guest = lab.configured(network=name, host_loopback=loopback)
    guest.network = name
    prefix = ipaddress.ip_network(lab.network(name)['ipv6-prefix'])
    guest.ip6, guest.router6 = str(prefix[0x50]), str(prefix[1])
    guest.call('ip', 'addr', 'add', guest.ip6 + '/64', 'dev', 'eth0', 'nodad')
    guest.call('ip', '-6', 'route', 'replace', 'default', 'via', guest.router6)
    return guest


@pytest.fixture(scope='module', name='closed')
def make_closed(hosted):
    return make_guest(hosted, False)


@pytest.fixture(scope='module', name='opened')
def make_opened(hosted):
    return make_guest(hosted, True)


@contextlib.contextmanager
def tellers(host, namespace, addresses):
    """One of each protocol and family: {(protocol, family): port}."""
    with host.inside(namespace):
        made = {(name, family): kind(addresses[family])
                for name, kind in (('tcp', services.TcpTell),
                                   ('udp', services.UdpTell))
                for family in (4, 6)}
    try:
        yield made
    finally:
        for teller in made.values():
            teller.close()


def ask(guest, made, targets):
    """What the guest hears from each of them: {(protocol, family): text}."""
    questions = [(protocol, targets[family], teller.port)
                 for (protocol, family), teller in made.items()]
    answers = json.loads(guest.call(sys.executable, '-c', ASK,
                                    json.dumps(questions)))
    return dict(zip(made, answers))


def by_family(addresses):
    """What ask() returns where only the family makes a difference."""
    return {(protocol, family): addresses and addresses[family]
            for protocol in ('tcp', 'udp') for family in (4, 6)}


def routers(guest):
    """The gateway's addresses."""
    return {4: guest.router, 6: guest.router6}


# What the outside sees

def test_service_of_the_host_sees_the_hosts_address(host, closed):
    with tellers(host, host.name, ANY) as made:
        assert ask(closed, made, routers(closed)) == by_family(OWN)
        assert ask(closed, made, OWN) == by_family(OWN)


def test_service_of_the_host_sees_loopback_if_that_is_open(host, opened):
    with tellers(host, host.name, ANY) as made:
        assert ask(opened, made, routers(opened)) == by_family(LOOPBACK)


def test_service_outside_sees_the_hosts_address(host, closed):
    with tellers(host, host.outside, ANY) as made:
        assert ask(closed, made, OUTSIDE) == by_family(OWN)


# Loopback

def test_service_on_loopback_is_reached_only_if_that_is_open(host, closed,
                                                             opened):
    with tellers(host, host.name, LOOPBACK) as made:
        assert ask(closed, made, routers(closed)) == by_family(None)
        assert ask(opened, made, routers(opened)) == by_family(LOOPBACK)
        # The host by its own name is not loopback, open or not.
        assert ask(opened, made, OWN) == by_family(None)


@pytest.mark.parametrize('loopback', [False, True])
def test_no_form_of_loopback_is_reached(host, hosted, closed, opened, loopback):
    guest = opened if loopback else closed
    before = hosted.network(guest.network)
    with contextlib.ExitStack() as stack:
        made = [teller for addresses in (ANY, LOOPBACK)
                for teller in stack.enter_context(
                    tellers(host, host.name, addresses)).values()]
        assert guest.run('ping', '-c', '1', '-W', '3',
                         guest.router).returncode == 0
        router = guest.call('ip', 'neigh', 'show', guest.router).split()
        guest.call(sys.executable, '-c', FRAMES, json.dumps(
            [router[router.index('lladdr') + 1], guest.ip, guest.ip6,
             LOOPBACK_FORMS, [teller.port for teller in made]]))
        # The answer comes after all that was sent before has been seen.
        assert guest.run('ping', '-c', '1', '-W', '3',
                         guest.router).returncode == 0
        assert [teller.requests for teller in made] == [0] * len(made)
        after = hosted.network(guest.network)
        assert after['tcp-flows'] <= before['tcp-flows']
        assert after['udp-flows'] <= before['udp-flows']


# Forwards

def knock(protocol, address, port):
    """What the guest's service says of who this is."""
    kind = {'tcp': socket.SOCK_STREAM, 'udp': socket.SOCK_DGRAM}[protocol]
    family = socket.AF_INET6 if ':' in address else socket.AF_INET
    with socket.socket(family, kind) as sock:
        sock.settimeout(5)
        sock.connect((address, port))
        if protocol == 'udp':
            sock.send(b'?')
        return sock.recv(100).decode()


@pytest.fixture(scope='module', name='forwards')
def make_forwards(hosted, closed):
    """
    A service in the guest, a forward to each of its ports.  The guest has two IPv6
    addresses: by UDP only one that is bound answers from where it was asked.
    """
    with closed.popen(sys.executable, '-c', TELL,
                      services.__file__.rsplit('/', 2)[0], closed.ip6,
                      stdin=subprocess.PIPE, stdout=subprocess.PIPE) as service:
        ports = iter(json.loads(service.line()))
        made = {}
        for protocol in ('tcp', 'udp'):
            for family in (4, 6):
                info = hosted.client.call('forward-add', **{
                    'network': closed.network, 'protocol': protocol,
                    'host-address': ANY[family], 'host-port': 0,
                    'guest-address': closed.ip6 if family == 6 else closed.ip,
                    'guest-port': next(ports)})
                made[protocol, family] = info['host-port']
        yield made


@pytest.mark.parametrize('family', [4, 6])
@pytest.mark.parametrize('protocol', ['tcp', 'udp'])
def test_forward(host, closed, forwards, protocol, family):
    port = forwards[protocol, family]
    with host.inside():
        # Loopback, and the host by its own name: the gateway, to the guest.
        assert knock(protocol, LOOPBACK[family], port) == routers(closed)[family]
        assert knock(protocol, OWN[family], port) == routers(closed)[family]
    with host.inside(host.outside):
        assert knock(protocol, OWN[family], port) == OUTSIDE[family]
