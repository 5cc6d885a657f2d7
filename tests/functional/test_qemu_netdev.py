"""Real guests on the netdevs inside QEMU.

  guest --- virtio-net-pci --- QEMU (-netdev vmnet-shared) --- vmnetd

QEMU is the one that scripts/build-qemu has built, or $VMNET_QEMU.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import contextlib
import glob
import os
import signal
import socket
import subprocess
import time

import pytest

from lib import image, netns
from lib.boot import Boot
from lib.instance import BUILD
from lib.lan import ROUTER, Lan, SystemInstance
from lib.qmp import Qmp

MIB = 192
QEMU = os.environ.get('VMNET_QEMU') \
    or os.path.join(BUILD, 'qemu', 'qemu-system-x86_64')

pytestmark = pytest.mark.guest


@pytest.fixture
def boot(daemon, tmp_path):
    """Guests with a netdev each; their QEMU finds the test's daemon."""
    if not os.access(QEMU, os.X_OK):
        pytest.skip('needs a QEMU that scripts/build-qemu has built')

    def start(name, netdev, number, nic='virtio-net-pci', options=()):
        return guests.start(
            name, ['-netdev', netdev + ',id=net0', '-device',
                   nic + ',netdev=net0,romfile=,mac=52:54:00:66:00:%02x'
                   % number,
                   '-qmp', 'unix:%s,server=on,wait=off' % (tmp_path / name),
                   *options],
            memory=MIB,
            flavour=image.CLOUD if nic.startswith('virtio') else image.FULL)

    with Boot(daemon, QEMU) as guests:
        yield start


def reaches(guest, target, size=56, wait=5):
    """Whether @target answers two pings of @size bytes."""
    return guest.run('ping -c 2 -s %d -W %d %s' % (size, wait, target)).ok


def test_shared(boot, daemon):
    """An address, the gateway, a second machine by its name, and the daemon
    knows both as what QEMU calls them."""
    first = boot('first', 'vmnet-shared', 1)
    second = boot('second', 'vmnet-shared', 2)
    first.wait_ready()
    second.wait_ready()
    leases = [first.dhcp(), second.dhcp()]
    assert all(leases)
    assert reaches(first, leases[0]['router'])
    assert reaches(first, 'second')
    with daemon.qmp() as client:
        known = {one['id']: one for one in client.call('query-netdevs')}
    assert sorted(known) == ['first/net0', 'second/net0']
    assert known['first/net0']['address'] == leases[0]['address']


@pytest.mark.parametrize('nic', ['e1000', 'rtl8139'])
def test_host_mode_by_real_nics(boot, nic):
    """A guest whose NIC has no offloads beside one that has, and nobody
    beyond the gateway."""
    guest = boot('real', 'vmnet-host', 1, nic)
    other = boot('other', 'vmnet-host', 2)
    guest.wait_ready()
    other.wait_ready()
    lease = guest.dhcp()
    assert lease and other.dhcp()
    assert reaches(guest, lease['server'])
    assert reaches(guest, 'other', 1400)
    assert reaches(other, 'real', 1400)
    assert not reaches(guest, '198.51.100.7', wait=2)


def test_vhost(boot, daemon, tmp_path):
    """Frames go through shared memory, between a guest whose do and one whose
    do not; the netdev goes and comes, by vhost-user again.

    Without MSI-X: QEMU 7.2 under software emulation crashes when it gives a
    vhost-user device its vectors.
    """
    guest = boot('vhost', 'vmnet-shared,vhost=on', 1, 'virtio-net-pci,vectors=0',
                 ['-object', 'memory-backend-memfd,id=mem,size=%dM,share=on' % MIB,
                  '-machine', 'memory-backend=mem'])
    other = boot('other', 'vmnet-shared', 2)
    guest.wait_ready()
    other.wait_ready()
    lease = guest.dhcp()
    assert lease and other.dhcp()
    assert reaches(guest, lease['router'])
    assert reaches(guest, 'other', 1400)
    assert reaches(other, 'vhost', 1400)
    monitor = Qmp(str(tmp_path / 'vhost'))
    shown = monitor.call('query-vmnet')[0]
    assert shown['vhost'] and 'rx-frames' not in shown
    assert shown['leases'][0]['address'] == lease['address']
    with daemon.qmp() as client:
        known = {one['id']: one for one in client.call('query-netdevs')}
    assert known['vhost/net0']['port'] == 'vhost-user'
    assert known['vhost/net0']['rx-frames'] >= 5
    monitor.call('netdev_del', id='net0')
    monitor.call('netdev_add', type='vmnet-shared', id='net0', vhost='auto')
    assert monitor.call('query-vmnet')[0]['vhost']


# Of a device, so that its driver cuts and sums by itself
NO_OFFLOADS = ('virtio-net-pci,csum=off,guest_csum=off,host_tso4=off,'
               'guest_tso4=off,host_tso6=off,guest_tso6=off')
SENT_BYTES = 2 << 20


def totals(guest, direction):
    """Bytes and frames that a driver has sent or got so far."""
    return list(map(int, guest.run(
        'cd /sys/class/net/eth0/statistics; cat %s_bytes %s_packets'
        % (direction, direction)).text.split()))


def bytes_per_frame(guest, direction, before=(0, 0)):
    """Mean size of the frames since totals() was @before."""
    now = totals(guest, direction)
    return (now[0] - before[0]) / (now[1] - before[1])


def send(guest, target, port):
    """
    Start to send zeroes by TCP.  By nc itself they would be written in pieces of
    a few KiB, each of which leaves at once if its ACK comes at once.
    """
    return guest.start('nc %s %d -e dd if=/dev/zero bs=64k count=%d 2>/dev/null'
                       % (target, port, SENT_BYTES >> 16))


@pytest.mark.parametrize('nic', ['virtio-net-pci', NO_OFFLOADS],
                         ids=['offloads', 'none'])
def test_tcp_is_cut_late(boot, nic):
    """From guest to guest, one taking segments whole, and from guest to host:
    frames are longer than the MTU where they may be."""
    sender = boot('sender', 'vmnet-shared,host-loopback=on', 1)
    taker = boot('taker', 'vmnet-shared,host-loopback=on', 2, nic)
    sender.wait_ready()
    taker.wait_ready()
    leases = sender.dhcp(), taker.dhcp()
    assert taker.run('nc -l -p 5001 < /dev/null 2>/dev/null | wc -c > /tmp/count & '
                     'until grep -q ":1389 .* 0A " /proc/net/tcp*; do :; done').ok
    sender.finish(send(sender, leases[1]['address'], 5001))
    counted = taker.run('until [ -s /tmp/count ]; do :; done; cat /tmp/count')
    assert int(counted.text) == SENT_BYTES
    assert bytes_per_frame(sender, 'tx') > 1514
    assert (bytes_per_frame(taker, 'rx') > 1514) == (nic != NO_OFFLOADS)
    acks = totals(taker, 'tx')
    with socket.create_server(('127.0.0.1', 0)) as server:
        server.settimeout(20)
        started = send(taker, leases[1]['router'], server.getsockname()[1])
        with server.accept()[0] as connection:
            connection.settimeout(20)
            got, data = 0, b'first'
            while data and got < SENT_BYTES:
                data = connection.recv(1 << 20)
                got += len(data)
        taker.finish(started)
    assert got == SENT_BYTES
    assert (bytes_per_frame(taker, 'tx', acks) > 1514) == (nic != NO_OFFLOADS)


# Executes QEMU where a folder is what /run/vmnet is elsewhere.
WITH_SYSTEM = ['unshare', '-m', 'sh', '-c', 'mount -t tmpfs none /run && '
               'mkdir /run/vmnet && mount --bind "$0" /run/vmnet && exec "$@"']


@pytest.fixture
def system(tmp_path):
    """A system instance, on the host of a network with a router."""
    if netns.missing():
        pytest.skip(netns.missing())
    lan = Lan(str(tmp_path), bridge=True)
    made = SystemInstance(lan)
    try:
        made.start()
        del made.env['VMNET_SOCKET']
        yield made
    finally:
        made.stop()
        lan.close()


def test_bridged(system):
    """QEMU looks for the system instance by itself; a guest whose frames pass
    through QEMU and one whose do not get addresses of the router."""
    if not os.access(QEMU, os.X_OK):
        pytest.skip('needs a QEMU that scripts/build-qemu has built')
    with Boot(system, QEMU) as boot:
        first, second = (boot.start(
            name, ['-netdev', 'vmnet-bridged,id=net0,ifname=br0' + vhost,
                   '-device', 'virtio-net-pci,netdev=net0,romfile=,vectors=0,'
                   'mac=52:54:00:66:01:0%d' % number,
                   '-object', 'memory-backend-memfd,id=mem,size=%dM,share=on' % MIB,
                   '-machine', 'memory-backend=mem'],
            under=[*WITH_SYSTEM, os.path.dirname(system.socket)], memory=MIB)
                         for number, (name, vhost) in
                         enumerate((('first', ''), ('second', ',vhost=on'))))
        first.wait_ready()
        second.wait_ready()
        leases = [first.dhcp(), second.dhcp()]
        assert [lease['server'] for lease in leases] == [ROUTER] * 2
        assert reaches(first, ROUTER) and reaches(second, ROUTER)
        assert reaches(first, leases[1]['address'], 1400)
        with system.qmp() as client:
            known = {one['id']: one for one in client.call('query-netdevs')}
        assert {name: one['network'] for name, one in known.items()} == \
            {'first/net0': 'bridged-br0', 'second/net0': 'bridged-br0'}
        assert known['second/net0']['port'] == 'vhost-user'


def forwards(monitor, ports):
    """What QEMU knows, once it is these ports of the guest; vmnetd, which is
    not asked, may just be telling it."""
    end = time.monotonic() + 10
    while True:
        known = {one['guest-port']: one
                 for one in monitor.call('query-vmnet')[0]['forwards']}
        if sorted(known) == ports:
            return known
        assert time.monotonic() < end, known


def test_forwards(boot, daemon, tmp_path):
    """Added by QEMU, and by another: QEMU knows both, and the one that follows
    the guest leads to it."""
    guest = boot('web', 'vmnet-shared', 1)
    guest.wait_ready()
    monitor = Qmp(str(tmp_path / 'web'))
    listener = {'host_address': '127.0.0.1', 'host_port': 0}
    listener['host_port'] = monitor.call('vmnet-forward-add', guest_port=80,
                                         **listener)['host-port']
    assert 'guest-address' not in forwards(monitor, [80])[80]
    other = daemon.ctl('forward', 'add', 'tcp:127.0.0.1:0-web/net0:81')
    assert forwards(monitor, [80, 81])[81] == {**other, 'netdev': 'net0'}
    lease = guest.dhcp()
    known = forwards(monitor, [80, 81])
    assert [one['guest-address'] for one in known.values()] \
        == [lease['address']] * 2
    assert guest.run('nc -l -p 80 -e echo page < /dev/null > /dev/null 2>&1 & '
                     'until grep -q ":0050 .* 0A " /proc/net/tcp*; do :; done').ok
    with socket.create_connection(('127.0.0.1', listener['host_port']),
                                  20) as connection:
        assert connection.recv(100) == b'page\n'
    daemon.ctl('forward', 'remove', 'tcp:127.0.0.1:%d' % other['host-port'])
    forwards(monitor, [80])
    monitor.call('vmnet-forward-remove', **listener)
    assert monitor.call('query-vmnet')[0]['forwards'] == []


def test_a_process_that_was_stopped(daemon, tmp_path):
    """It learns of a forward that was made when it had lost events."""
    if not os.access(QEMU, os.X_OK):
        pytest.skip('needs a QEMU that scripts/build-qemu has built')
    path = str(tmp_path / 'monitor')
    listener = {'netdev': 'n0', 'host_address': '127.0.0.1', 'host_port': 0}
    with subprocess.Popen([QEMU, '-machine', 'none', '-nodefaults', '-display',
                           'none', '-netdev', 'vmnet-shared,id=net0', '-qmp',
                           'unix:%s,server=on,wait=off' % path],
                          env=daemon.env) as process:
        try:
            end = time.monotonic() + 20
            while not os.path.exists(path):
                assert time.monotonic() < end and process.poll() is None
                time.sleep(0.01)
            monitor = Qmp(path)
            while 'network' not in monitor.call('query-vmnet')[0]:
                assert time.monotonic() < end
            os.kill(process.pid, signal.SIGSTOP)
            with daemon.qmp() as other:
                other.call('netdev_add', type='vmnet-shared', id='n0',
                           vm='v' * 100)
                for _ in range(2000):
                    made = other.call('forward-add', guest_port=22, **listener)
                    other.call('forward-remove', host_address='127.0.0.1',
                               host_port=made['host-port'])
                made = other.call('forward-add', guest_port=23, **listener)
                os.kill(process.pid, signal.SIGCONT)
                assert forwards(monitor, [23])[23] == made
        finally:
            process.kill()


def waits_for_cpu(*pids):
    """{thread: seconds for which it could have run, but others did}"""
    found = {}
    for pid in pids:
        for path in glob.glob('/proc/%d/task/*/schedstat' % pid):
            with contextlib.suppress(OSError), \
                 open(path, encoding='ascii') as text:
                found[path] = int(text.read().split()[1]) / 1e9
    return found


def time_of_answer(monitor, qemu):
    """
    How long `query-status` takes, the time left out in which this machine ran
    something else instead of us or of QEMU: its main loop, or the processor that
    holds the lock which that waits for.
    """
    before = waits_for_cpu(qemu, os.getpid())
    asked = time.monotonic()
    assert monitor.call('query-status')['running']
    took = time.monotonic() - asked
    after = waits_for_cpu(qemu, os.getpid())
    return took - sum(after[thread] - before[thread]
                      for thread in before.keys() & after.keys())


@pytest.mark.serial
@pytest.mark.parametrize('direction', ['out', 'in'])
def test_monitor_at_full_rate(boot, tmp_path, direction):
    """While a guest sends, or gets, all it can, QEMU answers within 100 ms."""
    guest = boot('busy', 'vmnet-shared,host-loopback=on', 1)
    guest.wait_ready()
    router = guest.dhcp()['router']
    monitor = Qmp(str(tmp_path / 'busy'))
    waits = []
    with socket.create_server(('127.0.0.1', 0)) as server:
        server.settimeout(20)
        guest.start('nc %s %d %s' % (
            router, server.getsockname()[1],
            '< /dev/zero' if direction == 'out' else '> /dev/null'))
        with server.accept()[0] as connection:
            connection.settimeout(20)
            end, moved = time.monotonic() + 2, 0
            while time.monotonic() < end or len(waits) < 10:
                moved += len(connection.recv(1 << 20)) if direction == 'out' \
                    else connection.send(bytes(1 << 18))
                if moved >> 20 >= len(waits):
                    waits.append(time_of_answer(monitor, guest.pid))
    assert max(waits) < 0.1


def test_netdev_help():
    """The three modes are among what QEMU says it has."""
    if not os.access(QEMU, os.X_OK):
        pytest.skip('needs a QEMU that scripts/build-qemu has built')
    said = subprocess.run([QEMU, '-netdev', 'help'], check=True, text=True,
                          stdout=subprocess.PIPE).stdout.split()
    assert {'vmnet-host', 'vmnet-shared', 'vmnet-bridged'} <= set(said)
