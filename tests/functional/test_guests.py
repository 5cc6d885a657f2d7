"""Real Linux guests in the distribution's QEMU, started by vmnet-run.

  guest [ eth0 ] -- QEMU -netdev stream -- vmnetd -- host's sockets

SPDX-License-Identifier: GPL-2.0-or-later
"""

import os
import re
import signal
import subprocess
import time

import pytest

from lib import services
from lib.boot import NIC, Boot
from lib.instance import BUILD, Instance, is_running

ASAN = 'asan' in os.path.basename(BUILD)

pytestmark = pytest.mark.guest


@pytest.fixture(scope='module')
def pair():
    """Guests alpha and beta of one daemon, for tests that change neither."""
    instance = Instance()
    try:
        with Boot(instance) as boot:
            guests = [boot.run(name, 'vmnet-shared,id=net0'
                               + loopback_option())
                      for name in ('alpha', 'beta')]
            for guest in guests:
                guest.wait_ready()
            yield instance, *guests
    finally:
        instance.stop()


@pytest.fixture
def instance():
    """Directories of a test's own; the daemon starts on demand."""
    made = Instance()
    yield made
    made.stop()


@pytest.fixture
def boot(instance):
    """boot(name, netdev) -> a guest; all are ended after the test."""
    with Boot(instance) as guests:
        yield guests.run


def loopback_option():
    """For a host that has nothing but loopback."""
    return '' if services.host_addresses()[0] else ',host-loopback=on'


def log_of(instance, guest):
    """What vmnet-run and QEMU wrote to standard error."""
    with open(os.path.join(instance.folder, guest.name + '.log'),
              encoding='utf-8', errors='replace') as text:
        return text.read()


# Guests that tests share: the figure first, before they have worked.

@pytest.mark.xdist_group('pair')
def test_memory_with_two_guests_is_small(pair):
    instance, alpha, beta = pair
    assert alpha.dhcp() and beta.dhcp()
    if not ASAN:        # with its shadow and quarantine it is another figure
        assert instance.rss_kib() < 10 * 1024


@pytest.mark.xdist_group('pair')
def test_guest_fetches_a_file_through_nat(pair):
    instance, guest, _ = pair
    data = os.urandom(4 << 20)
    server = services.HttpServer({'/file': data})
    lease = guest.dhcp()
    assert lease
    text = guest.run('timeout 30 wget -q -O - http://%s:%d/file | sha256sum'
                     % (lease['router'], server.port), 60).text
    assert services.sha256(data) in text
    assert re.search(r'vmnet: net0 on shared 192\.168\.\d+\.0/24, '
                     r'(stream|vhost-user);', log_of(instance, guest))


@pytest.mark.xdist_group('pair')
def test_dhcp_leaves_an_ipv6_address_alone(pair):
    """Advertised before the client began: no other advertisement is asked for."""
    guest = pair[1]
    assert guest.run('ip link set eth0 up; for i in $(seq 100); do '
                     'ip -6 addr show dev eth0 scope global | grep -q inet6 && exit; '
                     'usleep 200000; done; false').ok
    assert guest.dhcp()
    text = guest.run('ip -6 addr show dev eth0 scope global').text
    assert 'inet6 fd' in text


@pytest.mark.xdist_group('pair')
def test_names_of_guests_resolve(pair):
    _, one, two = pair
    leases = [guest.dhcp() for guest in (one, two)]
    text = one.run('nslookup beta.vmnet.internal').text
    assert leases[1]['address'] in text
    assert two.run('ping -c 1 -w 5 alpha').ok


@pytest.mark.xdist_group('pair')
def test_vmnetctl_connect_reaches_a_guest_by_name(pair):
    instance, guest, _ = pair
    assert guest.dhcp()
    guest.run('mkdir -p /www; echo hello > /www/x; httpd -p 8080 -h /www')
    done = subprocess.run(
        [instance.tool('vmnetctl'), 'connect', 'alpha', '8080'],
        input=b'GET /x HTTP/1.0\r\n\r\n', stdout=subprocess.PIPE,
        env=instance.env, timeout=20, check=True)
    assert done.stdout.endswith(b'hello\n')


# Guests of a test's own

def test_each_form_of_the_option(boot):
    """One machine with a netdev of each; -nic's device comes first."""
    guest = boot('forms', options=[
        '-netdev', 'id=net0,mtu=1400,network=small,type=vmnet-shared', *NIC,
        '--netdev', '{"type": "vmnet-shared", "id": "net1"}',
        '-device', 'virtio-net-pci,netdev=net1,romfile=',
        '-nic', 'vmnet-shared,model=virtio-net-pci'])
    guest.wait_ready()
    leases = [guest.dhcp('eth%d' % number) for number in range(3)]
    assert [lease['mtu'] for lease in leases] == ['1500', '1400', '1500']
    for number, lease in enumerate(leases):
        assert guest.run('ping -c 1 -w 5 -I eth%d %s'
                         % (number, lease['router'])).ok


def test_two_netdevs_of_one_machine(instance, boot):
    guest = boot('multi', options=[
        '-netdev', 'vmnet-shared,id=net0', *NIC,
        '-netdev', 'vmnet-host,id=net1',
        '-device', 'virtio-net-pci,netdev=net1,romfile='])
    guest.wait_ready()
    assert guest.dhcp()['address'].startswith('192.168.107.')
    text = guest.run('ip link set eth1 up; udhcpc -i eth1 -n -q -t 5 -T 1 '
                     '-s /etc/udhcpc.script; ip addr show dev eth1').text
    assert '192.168.108.' in text
    names = {netdev['id'] for netdev in instance.ctl()['netdevs']}
    assert names == {'multi/net0', 'multi/net1'}


def test_two_guests_of_one_command_line_do_not_collide(instance, boot):
    guests = [boot('same'), boot('same')]
    leases = []
    for guest in guests:
        guest.wait_ready()
        leases.append(guest.dhcp())
    assert leases[0] and leases[1]
    assert leases[0]['address'] != leases[1]['address']
    macs = [guest.run('cat /sys/class/net/eth0/address').text.strip()
            for guest in guests]
    assert macs[0] != macs[1]
    assert guests[0].run('ping -c 2 -w 5 ' + leases[1]['address']).ok


def test_a_guest_finds_its_address_again(instance, boot):
    first = boot('sticky')
    first.wait_ready()
    before = first.dhcp()
    first.stop()
    again = boot('sticky')
    again.wait_ready()
    after = again.dhcp()
    assert before['address'] == after['address']


def test_isolated_guests_reach_the_gateway_only(instance, boot):
    one = boot('one', 'vmnet-shared,id=net0,isolated=on')
    two = boot('two', 'vmnet-shared,id=net0,isolated=on')
    leases = []
    for guest in (one, two):
        guest.wait_ready()
        leases.append(guest.dhcp())
    assert one.run('ping -c 1 -w 3 ' + leases[0]['router']).ok
    assert not one.run('ping -c 2 -W 3 ' + leases[1]['address']).ok


def test_host_mode_has_no_way_out(instance, boot):
    server = services.HttpServer({'/x': b'x'})
    netdev = 'vmnet-host,id=net0' + loopback_option()
    one, two = boot('one', netdev), boot('two', netdev)
    leases = []
    for guest in (one, two):
        guest.wait_ready()
        leases.append(guest.dhcp())
    assert leases[0]['address'].startswith('192.168.')
    assert leases[0]['router'] == ''       # no way out: no default route
    assert one.run('ping -c 1 -w 3 ' + leases[0]['server']).ok
    assert one.run('ping -c 1 -w 3 ' + leases[1]['address']).ok
    # The gateway's address is the host, as with vmnet; beyond is nothing.
    assert one.run('timeout 5 wget -q -O - http://%s:%d/x' % (
        leases[0]['server'], server.port)).text == 'x'
    one.run('ip route add default via ' + leases[0]['server'])
    for target in ['198.51.100.1'] + services.host_addresses()[0]:
        assert not one.run('ping -c 1 -W 3 ' + target).ok
        assert not one.run('timeout 3 wget -q -O - http://%s:%d/x' % (
            target, server.port)).ok


def test_a_daemon_that_is_killed_comes_back(instance, boot):
    """7.2's QEMU does not reconnect: what is tested is that vmnetd makes
    netdev and export again at the same path, and that a new VM works."""
    guest = boot('first')
    guest.wait_ready()
    assert guest.dhcp()
    engine = instance.pids()[0]
    os.kill(engine, signal.SIGKILL)
    end = time.monotonic() + 5
    while time.monotonic() < end:
        try:
            if instance.pids()[0] != engine:
                break
        except (OSError, EOFError):
            pass
        time.sleep(0.05)
    assert instance.pids()[0] != engine
    with instance.qmp() as client:
        assert len(client.call('query-exports')) == 1
    again = boot('second')
    again.wait_ready()
    assert again.dhcp()


def test_no_process_or_socket_is_left_behind(instance, boot):
    guest = boot('brief')
    guest.wait_ready()
    pids = instance.pids()
    guest.stop()
    end = time.monotonic() + 10
    while instance.ctl()['netdevs'] and time.monotonic() < end:
        time.sleep(0.1)
    assert not instance.ctl()['netdevs']
    assert instance.run('vmnetctl', 'stop').returncode == 0
    end = time.monotonic() + 10
    while any(map(is_running, pids)) and time.monotonic() < end:
        time.sleep(0.05)
    assert not any(map(is_running, pids))
    left = [os.path.join(folder, name)
            for folder, _, names in os.walk(instance.runtime)
            for name in names if not name.endswith('.lock')]
    assert left == []
