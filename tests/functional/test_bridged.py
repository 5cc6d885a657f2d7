"""vmnet-bridged: guests on the network of a host interface.

  router [ DHCP ] -- wire -- host [ eth0 (macvtap or packet socket)
                                    or br0 (tap) ] -- guests

SPDX-License-Identifier: GPL-2.0-or-later
"""

import os
import signal

import pytest
from scapy.layers.l2 import ARP, Ether

from lib import libvmnet, netns
from lib.boot import Boot
from lib.bridged import Guests, has_macvtap
from lib.lab import link_local, pings, udhcpc, until
from lib.lan import HOST, ROUTER, Lan, SystemInstance
from lib.qmp import QmpError
from lib.transfer import transfer

pytestmark = [
    pytest.mark.skipif(bool(netns.missing()), reason=str(netns.missing())),
    pytest.mark.xdist_group('bridged'),
]


@pytest.fixture(params=['bridge', 'macvtap', 'packet'])
def lan(request, tmp_path):
    """The network, for each way to a host interface."""
    if request.param == 'macvtap' and not has_macvtap():
        pytest.skip('needs macvtap in the kernel, and devtmpfs')
    made = Lan(str(tmp_path), bridge=request.param == 'bridge')
    if request.param == 'packet':
        made.options['bridge-mode'] = 'packet'
    made.kind = request.param
    yield made
    made.close()


@pytest.fixture
def bridge_lan(tmp_path):
    """The same with a bridge alone."""
    made = Lan(str(tmp_path), bridge=True)
    yield made
    made.close()


def instance_of(lan):
    """A system instance, started by the test."""
    made = SystemInstance(lan)
    try:
        yield made
    finally:
        made.stop()


@pytest.fixture
def system(lan):
    """An instance on that network's host, not started."""
    yield from instance_of(lan)


@pytest.fixture
def bridge_system(bridge_lan):
    """The same on the one with a bridge."""
    yield from instance_of(bridge_lan)


@pytest.fixture
def guests(system):
    """Guests of @system, which is started."""
    system.start()
    made = Guests(system)
    yield made
    made.close()


def test_guests_are_on_the_network(lan, guests, tmp_path):
    one, two = guests.add(), guests.addressed()
    lease = udhcpc(one, tmp_path)
    assert lease['serverid'] == ROUTER
    one.ip = lease['ip']
    assert pings(one, ROUTER) and pings(lan.router, one.ip)
    assert pings(one, two.ip)
    # Neighbour discovery, which goes to groups, both ways.
    assert pings(one, link_local(lan.router), '-6', '-I', 'eth0')
    assert pings(lan.router, link_local(two), '-6', '-I', 'eth0')
    # The host itself is there on a bridge only.
    assert pings(one, HOST) == (lan.ifname == 'br0')
    network, = guests.client.call('query-networks')
    assert (network['name'], network['mode'], network['ifname'],
            network['netdevs']) == \
        ('bridged-' + lan.ifname, 'bridged', lan.ifname, 2)
    assert 'subnet' not in network


def test_offloads_reach_the_host_interface(lan, guests):
    guest = guests.addressed()
    for source, target, address in ((guest, lan.router, ROUTER),
                                    (lan.router, guest, guest.ip)):
        transfer(source, target, address, 20)
    info, = guests.client.call('query-netdevs')
    assert info['tx-bytes'] / info['tx-frames'] > 2000


def test_isolated_guests(lan, guests):
    one, two = (guests.addressed(isolated=True) for _ in range(2))
    assert pings(one, ROUTER) and pings(two, ROUTER)
    assert not pings(one, two.ip)


def test_jumbo_frames(lan, guests):
    for namespace, name in ((lan.wire, 'router'), (lan.wire, 'host'),
                            (lan.wire, 'lan'), (lan.router, 'eth0'),
                            (lan.host, 'eth0'), (lan.host, lan.ifname)):
        namespace.call('ip', 'link', 'set', name, 'mtu', '9000')
    guest = guests.addressed(mtu=9000)
    assert pings(guest, ROUTER, '-s', '8900', '-M', 'do')
    assert guests.client.call('query-networks')[0]['mtu'] == 9000
    with pytest.raises(QmpError, match="Parameter 'mtu' is unexpected"):
        guests.client.call('netdev_add', type='vmnet-bridged', id='n', mtu=1500)


def test_leaves_nothing(lan, system):
    before = lan.state()
    system.start()
    guests = Guests(system)
    for _ in range(3):
        guests.add()
    assert bool(lan.ours()) == (lan.kind != 'packet')
    guests.close()          # netdevs go with their client
    with system.qmp() as client:
        client.call('quit')
    system.daemon.wait(10)
    until(lambda: not lan.ours())
    assert lan.state() == before


def test_next_start_removes_what_a_killed_one_left(lan, system):
    before = lan.state()
    system.start()
    guests = Guests(system)
    guests.add()
    system.kill_all()
    guests.close()
    assert bool(lan.ours()) == (lan.kind == 'macvtap')
    system.start()
    assert lan.state() == before


def test_engine_that_dies(lan, guests):
    """The next one has vmnetd-priv, too, which has removed what was left."""
    guests.add()
    pids = guests.system.pids()
    os.kill(pids[0], signal.SIGKILL)
    until(lambda: not lan.ours())
    again = Guests(guests.system)
    assert again.client.call('query-daemon')['pid'] != pids[0]
    try:
        assert pings(again.addressed(), ROUTER)
        assert len(lan.ours()) == (lan.kind != 'packet')
    finally:
        again.close()


def test_interface_that_goes_and_comes_back(lan, guests):
    guest = guests.addressed()
    assert pings(guest, ROUTER)
    if lan.ifname == 'br0':
        lan.host.call('ip', 'link', 'del', 'br0')
        lan.make_bridge()
    else:
        lan.host.call('ip', 'link', 'del', 'eth0')
        lan.plug(lan.host, 'host2')
    until(lambda: pings(guest, ROUTER))


def test_interfaces(lan, guests):
    lan.host.call('ip', 'link', 'add', 'down0', 'type', 'bridge')
    listed = {one.pop('name'): one for one in
              guests.client.call('query-shared-interfaces')}
    assert listed[lan.ifname] == {
        'kind': 'bridge' if lan.ifname == 'br0' else 'interface',
        'default': True}
    assert listed['down0']['why-not'] == 'it is down'
    assert 'lo' not in listed
    for delay, is_slow in (('1500', True), ('200', False)):
        lan.host.call('ip', 'link', 'add', 'stp' + delay, 'up', 'type',
                      'bridge', 'forward_delay', delay, 'stp_state', '1')
        assert is_slow == ('why-not' in next(
            one for one in guests.client.call('query-shared-interfaces')
            if one['name'] == 'stp' + delay))

    def fails(text, **options):
        with pytest.raises(QmpError) as failure:
            guests.client.call('netdev_add', type='vmnet-bridged', id='n0',
                               **options)
        assert text in failure.value.text

    fails("unsupported ifname 'none0', expected one of [ %s stp200 ]" % lan.ifname,
          ifname='none0')
    fails("unsupported ifname 'lo', expected one of [ %s stp200 ]" % lan.ifname,
          ifname='lo')
    fails("interface 'down0' cannot be joined: it is down", ifname='down0')
    fails("interface 'stp1500' cannot be joined: it runs STP", ifname='stp1500')
    if lan.ifname == 'br0':
        fails("interface 'eth0' cannot be joined: it is a port of a bridge or "
              'bond', ifname='eth0')
        fails("'bridge-mode' is for other interfaces: 'br0' is a bridge",
              ifname='br0', **{'bridge-mode': 'packet'})
        fails("'mac-translation' is for other interfaces: 'br0' is a bridge",
              ifname='br0', **{'mac-translation': True})
    else:
        fails("Parameter 'mac' is missing: interface 'eth0' is no bridge",
              ifname='eth0')
        fails("'mac-translation' needs bridge-mode=packet", ifname='eth0',
              **{'bridge-mode': 'macvtap', 'mac-translation': True})
    assert guests.client.call('query-netdevs') == []
    assert not lan.ours()


def test_default_interface_and_name(lan, guests):
    guests.client.call('netdev_add', type='vmnet-bridged', id='n0',
                       mac='52:54:00:55:01:00')
    guests.client.call('network-add', name='office', mode='bridged',
                       ifname=lan.ifname)
    guests.client.call('netdev_add', type='vmnet-bridged', id='n1',
                       network='office', mac='52:54:00:55:01:01')
    assert {info['id']: info['network'] for info in
            guests.client.call('query-netdevs')} == \
        {'n0': 'bridged-' + lan.ifname, 'n1': 'office'}
    with pytest.raises(QmpError, match="ifname 'lo' is wanted, '%s' is in "
                       'force' % lan.ifname):
        guests.client.call('netdev_add', type='vmnet-bridged', id='n2',
                           network='office', ifname='lo')


def test_interfaces_that_are_not_allowed(bridge_lan, bridge_system):
    bridge_lan.host.call('ip', 'link', 'add', 'br1', 'type', 'bridge')
    bridge_lan.host.call('ip', 'link', 'set', 'br1', 'up')
    bridge_system.start('--bridged', 'br1')
    with bridge_system.qmp() as client:
        client.call('netdev_add', type='vmnet-bridged', id='n1', ifname='br1')
        with pytest.raises(QmpError, match='does not let guests join it'):
            client.call('netdev_add', type='vmnet-bridged', id='n0',
                        ifname='br0')


@libvmnet.loads_libvmnet
def test_libvmnet_makes_a_network(lan, system):
    """Of a configuration; its interface asks for the router, and is answered."""
    system.start()
    mac = '52:54:00:55:02:00'
    ask = Ether(src=mac, dst='ff:ff:ff:ff:ff:ff') / ARP(
        hwsrc=mac, psrc='10.55.0.77', pdst=ROUTER)
    with libvmnet.Client(system, libvmnet.CONNECT_SYSTEM) as client:
        with pytest.raises(libvmnet.Failure, match="unsupported ifname 'no0'"):
            client.bridged_network('no0')
        network = client.bridged_network(lan.ifname)
        assert (network.name(), network.mode()) == \
            ('bridged-' + lan.ifname, libvmnet.BRIDGED_MODE)
        interface = network.start('id=a,mac=' + mac)
        interface.write(bytes(ask).ljust(60, b'\0'))
        answer = Ether(interface.read(lambda data: data[12:14] == b'\x08\x06'
                                      and Ether(data)[ARP].op == 2))
        assert (answer.dst, answer[ARP].psrc) == (mac, ROUTER)
        network.unref()


@pytest.mark.guest
def test_real_guest(bridge_lan, bridge_system):
    bridge_system.start()
    with Boot(bridge_system) as boot:
        guest = boot.run('one', 'vmnet-bridged,id=net0,ifname=br0')
        guest.wait_ready()
        address = guest.dhcp()['address']
        assert address.startswith('10.55.0.1')
        assert guest.run('ping -c 1 -W 2 ' + ROUTER).status == 0
        assert pings(bridge_lan.host, address)


def test_vmnetd_priv_that_dies(lan, guests):
    """Guests do not notice; the next one makes and removes as it did."""
    first = guests.addressed()
    keeper, pid = guests.system.priv_pids()
    os.kill(pid, signal.SIGKILL)
    until(lambda: guests.system.priv_pids()[1:] not in ([], [pid]))
    assert guests.system.priv_pids()[0] == keeper
    second = guests.addressed()
    assert pings(first, ROUTER) and pings(second, ROUTER)
    assert len(lan.ours()) == {'bridge': 1, 'macvtap': 2, 'packet': 0}[lan.kind]
