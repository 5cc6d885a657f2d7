"""What the kernel does for networks: see lib/routed.py for who is where.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import os
import shutil

import pytest

from lib import netns
from lib.lan import lone_instance
from lib.routed import Routed, ask, who, without_libnftables

pytestmark = [
    pytest.mark.skipif(bool(netns.missing()), reason=str(netns.missing())),
    pytest.mark.skipif(not shutil.which('nft'), reason='needs nft'),
    pytest.mark.xdist_group('rules'),
]

DOCKER, UFW, LIBVIRT, FIREWALLD, OTHER = (1 << bit for bit in range(5))
OUTSIDE, OUTSIDE6 = '10.55.0.1', 'fd00:55::1'
UPLINK, UPLINK6 = '10.55.0.2', 'fd00:55::2'
GUEST, GUEST6 = '192.168.107.2', 'fd00:107::2'
GATEWAY, GATEWAY6 = '192.168.107.1', 'fd00:107::1'
FORWARDS = ['forward=%s,any,8080,%s,80' % (kind, address)
            for kind in ('tcp', 'udp') for address in (GUEST, GUEST6)]


@pytest.fixture(scope='module')
def everybody(tmp_path_factory):
    """Who is there, without rules."""
    if without_libnftables():
        pytest.skip('built without libnftables')
    folder = str(tmp_path_factory.mktemp('routed'))
    os.mkdir(os.path.join(folder, 'rules'), 0o700)
    made = Routed(folder)
    yield made
    made.close()


@pytest.fixture
def net(everybody):
    """The same; after the test nothing on the host has changed."""
    before = everybody.state()
    yield everybody
    assert everybody.rules('sweep').returncode == 0
    assert everybody.state() == before


@pytest.fixture(params=['force', 'all'])
def both(request, net):
    """Environment: kernels with IPv6's force_forwarding, and before."""
    return {'VMNET_NO_FORCE_FORWARDING': '1'} if request.param == 'all' else {}


def test_guests_appear_as_the_host(net, both):
    net.install('vmnet-a', env=both)
    assert who(net.a, ('tcp', OUTSIDE, 80), ('udp', OUTSIDE, 80),
               ('tcp', OUTSIDE6, 80), ('udp', OUTSIDE6, 80)) == \
        [UPLINK, UPLINK, UPLINK6, UPLINK6]
    # By whatever interface the routes lead to.
    assert who(net.a, ('tcp', '10.56.0.1', 80), ('udp', 'fd00:56::1', 80)) == \
        ['10.56.0.2', 'fd00:56::2']


def test_guests_are_routed_as_they_are(net, both):
    net.install('vmnet-a', 'nat44=off', 'nat66=off', env=both)
    requests = ('tcp', OUTSIDE, 80), ('udp', OUTSIDE6, 80)
    assert who(net.a, *requests) == [GUEST, GUEST6]
    assert who(net.outside, ('tcp', GUEST, 80), ('udp', GUEST6, 80)) == \
        [OUTSIDE, OUTSIDE6]


def test_nobody_outside_reaches_a_guest(net, both):
    """Although it has a route there."""
    net.install('vmnet-a', env=both)
    assert ask(net.outside, ('tcp', GUEST, 80), ('tcp', GUEST6, 80),
               timeout=0.5) == ['nothing'] * 2


def test_host_and_guest(net):
    net.install('vmnet-a')
    assert who(net.host, ('tcp', GUEST, 80), ('udp', GUEST6, 80)) == \
        [GATEWAY, GATEWAY6]
    assert who(net.a, ('tcp', GATEWAY, 80), ('udp', GATEWAY6, 80),
               ('tcp', UPLINK, 80)) == [GUEST, GUEST6, GUEST]


def test_host_mode(net):
    net.install('vmnet-a', 'mode=host')
    # Also where somebody else has made the host a router.
    for value in '01':
        net.host.call('sysctl', '-qw', 'net.ipv4.ip_forward=' + value,
                      'net.ipv6.conf.all.forwarding=' + value)
        assert ask(net.a, ('tcp', OUTSIDE, 80), ('tcp', OUTSIDE6, 80),
                   ('tcp', UPLINK, 80)) == \
            ['EHOSTUNREACH', 'EACCES', 'EHOSTUNREACH']
        assert who(net.a, ('tcp', GATEWAY, 80), ('udp', GATEWAY6, 80)) == \
            [GUEST, GUEST6]
        assert who(net.host, ('tcp', GUEST, 80)) == [GATEWAY]
    net.host.call('sysctl', '-qw', 'net.ipv4.ip_forward=0',
                  'net.ipv6.conf.all.forwarding=0')


def test_networks_are_apart(net, both):
    net.install('vmnet-a', env=both)
    net.install('vmnet-b', env=both)
    assert ask(net.a, ('tcp', '192.168.108.2', 80), ('tcp', 'fd00:108::2', 80),
               ('tcp', '192.168.108.1', 80), ('tcp', 'fd00:108::1', 80)) == \
        ['EHOSTUNREACH', 'EACCES'] * 2
    assert who(net.b, ('tcp', OUTSIDE, 80)) == [UPLINK]
    # One goes, the other stays.
    assert net.rules('name=vmnet-b', 'remove').returncode == 0
    assert who(net.a, ('tcp', OUTSIDE, 80), ('udp', OUTSIDE6, 80)) == \
        [UPLINK, UPLINK6]


def test_false_sources(net):
    """A source of nobody's; the host's route to it shows that it is dropped."""
    net.install('vmnet-a')
    for namespace, text in ((net.a, 'addr add 10.99.0.9/32 dev eth0'),
                            (net.host, 'route add 10.99.0.9 dev vmnet-a')):
        namespace.call('ip', *text.split())
    try:
        assert ask(net.a, ('tcp', OUTSIDE, 80, '10.99.0.9'),
                   ('tcp', GATEWAY, 80, '10.99.0.9'), timeout=0.5) == \
            ['nothing'] * 2
        net.host.call('nft', 'flush chain inet vmnet-a source')
        assert who(net.a, ('tcp', OUTSIDE, 80, '10.99.0.9')) == [UPLINK]
    finally:
        net.host.call('ip', 'route', 'del', '10.99.0.9', 'dev', 'vmnet-a')
        net.a.call('ip', 'addr', 'del', '10.99.0.9/32', 'dev', 'eth0')


def test_loopback_of_the_host_is_out_of_reach(net):
    """Where forwards let packets of 127.0.0.1 pass the tap, guests' are none."""
    net.install('vmnet-a', *FORWARDS)
    net.serve(net.host, 7001, '127.0.0.1')
    net.b.call('sh', '-ec', 'sysctl -qw net.ipv4.conf.eth0.route_localnet=1; '
               'ip addr del 127.0.0.1/8 dev lo; '
               'ip route add 127.0.0.0/8 via 192.168.108.1')
    net.install('vmnet-b', 'forward=tcp,any,8081,192.168.108.2,80')
    assert net.host.call('sysctl', '-n',
                         'net.ipv4.conf.vmnet-b.route_localnet') == '1\n'
    request = 'tcp', '127.0.0.1', 7001, '192.168.108.2'
    assert ask(net.b, request, timeout=0.5) == ['nothing']
    net.host.call('nft', 'flush chain inet vmnet-b source')
    assert who(net.b, request) == ['192.168.108.2']


def test_forwards(net, both):
    net.install('vmnet-a', *FORWARDS, env=both)
    net.install('vmnet-b', env=both)
    requests = [(kind, address, 8080) for kind in ('tcp', 'udp')
                for address in (UPLINK, UPLINK6)]
    assert who(net.outside, *requests) == [OUTSIDE, OUTSIDE6] * 2
    # The host itself, and guests by its address, are the gateway.
    assert who(net.host, *requests, ('tcp', '127.0.0.1', 8080),
               ('udp', '127.0.0.1', 8080), ('tcp', GATEWAY, 8080),
               ('tcp', '::1', 8080)) == \
        [GATEWAY, GATEWAY6] * 2 + [GATEWAY] * 3 + ['ECONNREFUSED']
    assert who(net.a, *requests, ('tcp', GATEWAY, 8080)) == \
        [GATEWAY, GATEWAY6] * 2 + [GATEWAY]
    assert who(net.b, *requests) == [GATEWAY, GATEWAY6] * 2


def test_forward_of_one_address(net):
    net.install('vmnet-a', 'forward=tcp,10.56.0.2,8080,%s,80' % GUEST,
                'forward=tcp,127.0.0.1,8081,%s,80' % GUEST)
    assert who(net.beside, ('tcp', '10.56.0.2', 8080)) == ['10.56.0.1']
    assert who(net.host, ('tcp', '127.0.0.1', 8081)) == [GATEWAY]
    assert ask(net.outside, ('tcp', UPLINK, 8080), ('tcp', UPLINK, 8081)) == \
        ['ECONNREFUSED'] * 2
    # A forward less: rules are replaced.
    net.install('vmnet-a')
    assert ask(net.beside, ('tcp', '10.56.0.2', 8080)) == ['ECONNREFUSED']


def test_external_interface(net):
    net.install('vmnet-a', 'external=up1')
    assert ask(net.a, ('tcp', OUTSIDE, 80)) == ['EHOSTUNREACH']
    assert who(net.a, ('tcp', '10.56.0.1', 80)) == ['10.56.0.2']
    assert net.host.call('sysctl', '-n',
                         'net.ipv4.conf.up0.forwarding') == '0\n'


def test_segments_fit_the_path(net):
    """The uplink's MTU in what the other end was told."""
    net.install('vmnet-a', 'nat44=off')
    net.host.call('ip', 'link', 'set', 'up0', 'mtu', '1300')
    try:
        for client, address in ((net.a, OUTSIDE), (net.outside, GUEST)):
            size = ask(client, ('tcp', address, 80))[0].split()[1]
            assert 1200 < int(size) <= 1260
    finally:
        net.host.call('ip', 'link', 'set', 'up0', 'mtu', '1500')


def test_the_host_is_no_router_for_others(net, both):
    """Its neighbours reach networks' forwards through it, not each other."""
    requests = ('tcp', '10.56.0.1', 80), ('tcp', 'fd00:56::1', 80)
    net.install('vmnet-a', env=both)
    assert ask(net.outside, *requests, timeout=0.5) == ['nothing'] * 2
    assert net.rules('sweep').returncode == 0
    # Unless it was one before.
    net.host.call('sysctl', '-qw', 'net.ipv4.ip_forward=1',
                  'net.ipv6.conf.all.forwarding=1')
    net.install('vmnet-a', env=both)
    assert who(net.outside, *requests) == [OUTSIDE, OUTSIDE6]
    assert net.rules('sweep').returncode == 0
    net.host.call('sysctl', '-qw', 'net.ipv4.ip_forward=0',
                  'net.ipv6.conf.all.forwarding=0')


def test_what_others_have_changed_since_stays(net):
    """Another makes the host a router: uplinks are not closed behind it."""
    net.install('vmnet-a')
    net.host.call('sysctl', '-qw', 'net.ipv4.ip_forward=1')
    assert net.rules('sweep').returncode == 0
    assert net.host.call('sysctl', '-n',
                         'net.ipv4.conf.up0.forwarding') == '1\n'
    net.host.call('sysctl', '-qw', 'net.ipv4.ip_forward=0')


def test_router_advertisements_are_accepted_as_before(net):
    """Where all of IPv6 forwards, hosts' interfaces stay hosts'."""
    net.install('vmnet-a', env={'VMNET_NO_FORCE_FORWARDING': '1'})
    assert net.host.call('sysctl', '-n', 'net.ipv6.conf.all.forwarding',
                         'net.ipv6.conf.up0.accept_ra',
                         'net.ipv6.conf.vmnet-a.accept_ra') == '1\n2\n0\n'


def test_table_of_somebody_else(net):
    net.host.call('nft', 'add table inet vmnet-a { chain theirs { accept; }; }')
    before = net.state()
    done = net.rules('name=vmnet-a', 'prefix=192.168.107.0/24',
                     'gateway=192.168.107.1', 'install')
    assert done.returncode == 1
    assert "table 'inet vmnet-a' is there and not ours" in done.stdout
    assert net.rules('name=vmnet-a', 'remove').returncode == 1
    assert net.rules('sweep').returncode == 0
    assert net.state() == before
    net.host.call('nft', 'delete table inet vmnet-a')


def test_tap_that_is_missing(net):
    done = net.rules('name=vmnet-c', 'prefix=192.168.109.0/24',
                     'gateway=192.168.109.1', 'install')
    assert done.returncode == 1 and 'vmnet-c' in done.stdout


# LeakSanitizer cannot work in a process that is traced.
TRACED = {'ASAN_OPTIONS': 'detect_leaks=0'}


def test_killed_at_any_time(net):
    before = net.state()
    status, at = 137, 0
    while status == 137:
        status = net.rules('--kill-at', str(at), 'name=vmnet-a',
                           'prefix=192.168.107.0/24', 'gateway=192.168.107.1',
                           'prefix6=fd00:107::/64', *FORWARDS, 'install',
                           'remove', env=TRACED).returncode
        assert net.rules('sweep').returncode == 0
        assert net.state() == before, at
        at += 9
    assert status == 0 and at > 50


# Firewalls as they are found on hosts, as far as this is about.
DOCKER_RULES = '''
table ip filter {
    chain FORWARD {
        type filter hook forward priority filter; policy drop;
        jump DOCKER-USER
    }
    chain DOCKER-USER { return; }
}
'''
UFW_RULES = '''
table ip filter {
    chain FORWARD {
        type filter hook forward priority filter; policy drop;
        jump ufw-user-forward
    }
    chain ufw-user-forward { }
}
table ip6 filter {
    chain FORWARD {
        type filter hook forward priority filter; policy drop;
        jump ufw6-user-forward
    }
    chain ufw6-user-forward { }
}
'''
FIREWALLD_RULES = '''
table inet firewalld {
    chain filter_FORWARD {
        type filter hook forward priority filter + 10; policy accept;
        reject with icmpx admin-prohibited
    }
}
'''
LIBVIRT_RULES = '''
table ip libvirt_network {
    chain forward {
        type filter hook forward priority filter; policy accept;
        oifname "virbr0" reject
    }
}
'''
OTHER_RULES = '''
table inet theirs {
    chain pass { type filter hook forward priority filter; policy drop; }
}
'''


@pytest.mark.parametrize('rules, found, passes', [
    (DOCKER_RULES, DOCKER, True), (UFW_RULES, UFW, True),
    (LIBVIRT_RULES, LIBVIRT, True), (FIREWALLD_RULES, FIREWALLD, False),
    (OTHER_RULES, OTHER, False),
], ids=['docker', 'ufw', 'libvirt', 'firewalld', 'other'])
def test_other_firewalls(net, rules, found, passes):
    net.host.call('nft', rules)
    before = net.state()
    assert net.install('vmnet-a') == found
    answers = ask(net.a, ('tcp', OUTSIDE, 80), ('tcp', OUTSIDE6, 80),
                  timeout=5 if passes else 0.5)
    if passes:
        assert [text.split()[0] for text in answers] == [UPLINK, UPLINK6]
    else:
        assert set(answers) <= {'nothing', 'EHOSTUNREACH', 'EACCES'}
    with_one = net.state()['nft']
    net.install('vmnet-a')
    assert net.state()['nft'] == with_one
    net.install('vmnet-b')
    assert net.rules('name=vmnet-b', 'remove').returncode == 0
    assert net.state()['nft'] == with_one
    assert net.rules('name=vmnet-a', 'remove').returncode == 0
    assert net.state() == before
    net.host.call('nft', 'flush ruleset')


@pytest.mark.skipif(not shutil.which('iptables-nft'), reason='needs iptables')
def test_docker_can_read_our_rules(net):
    """iptables lists them, and can remove its own beside them."""
    for text in ('-P FORWARD DROP', '-N DOCKER-USER', '-A DOCKER-USER -j RETURN',
                 '-A FORWARD -j DOCKER-USER'):
        net.host.call('iptables-nft', *text.split())
    assert net.install('vmnet-a') == DOCKER
    comment = ' -m comment --comment "vmnetd 80000001 vmnet-a" -j ACCEPT'
    assert net.host.call('iptables-nft', '-S', 'DOCKER-USER').splitlines() == [
        '-N DOCKER-USER',
        '-A DOCKER-USER -o vmnet-a' + comment,
        '-A DOCKER-USER -i vmnet-a' + comment,
        '-A DOCKER-USER -j RETURN']
    assert who(net.a, ('tcp', OUTSIDE, 80)) == [UPLINK]
    assert net.rules('sweep').returncode == 0
    assert net.host.call('iptables-nft', '-S', 'DOCKER-USER') == \
        '-N DOCKER-USER\n-A DOCKER-USER -j RETURN\n'
    net.host.call('nft', 'flush ruleset')


def mark_of(state_dir):
    """As vmnetd has it in the comments of its tables."""
    value = 5381
    for byte in state_dir.encode():
        value = (value * 33 + byte) & 0xffffffff
    return 'vmnetd %08x' % (value | 1 << 31)


@pytest.fixture
def system():
    """An instance, not started, in a namespace with nothing in it."""
    yield from lone_instance()


def test_next_start_removes_what_a_killed_one_left(system):
    """By vmnetd-priv as it is confined, which dies if it is confined too much."""
    if without_libnftables():
        pytest.skip('built without libnftables')
    host, mark = system.lan.host, mark_of(os.path.join(system.system, 'state'))
    record = os.path.join(os.path.dirname(system.socket), 'rules', 'settings')
    os.makedirs(os.path.dirname(record), 0o700)
    before = host.call('nft', 'list', 'ruleset')
    host.call('nft', 'add table inet vmnet-theirs; '
              'add table inet vmnet-ours { comment "%s"; }' % mark)
    host.call('nft', DOCKER_RULES)
    host.call('nft', 'insert rule ip filter DOCKER-USER accept comment "%s '
              'vmnet-ours"' % mark)
    host.call('sysctl', '-qw', 'net.ipv4.conf.lo.forwarding=1')
    with open(record, 'w', encoding='ascii') as text:
        text.write('ipv4/conf/lo/forwarding 0 1 -\n')
    system.start(env={'VMNET_SECCOMP': 'kill'})
    assert host.call('sysctl', '-n', 'net.ipv4.conf.lo.forwarding') == '0\n'
    assert not os.path.exists(record)
    left = host.call('nft', 'list', 'ruleset')
    assert 'vmnet-ours' not in left and 'table inet vmnet-theirs' in left
    assert 'died' not in system.stderr()
    host.call('nft', 'flush ruleset')
    assert host.call('nft', 'list', 'ruleset') == before


def test_record_in_a_directory_of_the_users(system):
    """Whoever could write it would have root write settings of his choice."""
    folder = os.path.join(os.path.dirname(system.socket), 'rules')
    os.makedirs(folder, 0o700)
    os.chown(folder, 65534, -1)
    with open(os.path.join(folder, 'settings'), 'w', encoding='ascii') as text:
        text.write('ipv4/conf/lo/forwarding 1 0 -\n')
    system.start()
    assert system.lan.host.call('sysctl', '-n',
                                'net.ipv4.conf.lo.forwarding') == '0\n'
