"""Guests whose frames go through shared memory: stock QEMU's vhost-user.

  guest [ eth0 ] -- rings in a memfd -- vmnetd -- host's sockets

SPDX-License-Identifier: GPL-2.0-or-later
"""

import functools
import hashlib
import os
import random
import signal
import time

import pytest

from lib import services
from lib.boot import Boot
from lib.instance import Qmp
from lib.process import listens

MIB = 192

pytestmark = pytest.mark.guest


def export(client, ident='n0', **options):
    """A netdev with a vhost-user export; returns the path of its socket."""
    client.call('netdev_add', type='vmnet-shared', id=ident, **{
        'host-loopback': not services.host_addresses()[0]})
    return client.call('export-add', type='vhost-user', id='e' + ident,
                       netdev=ident, addr={'type': 'unix'}, **options)['path']


def vhost_options(path, nic='', netdev='', chardev=''):
    """QEMU's options for a NIC at the export @path.

    Without MSI-X: QEMU 7.2 under software emulation crashes when it gives a
    vhost-user device its vectors; 10.0 does not.
    """
    return ['-object', 'memory-backend-memfd,id=pc.ram,size=%dM,share=on' % MIB,
            '-machine', 'memory-backend=pc.ram',
            '-chardev', 'socket,id=c0,path=%s%s' % (path, chardev),
            '-netdev', 'vhost-user,id=net0,chardev=c0' + netdev,
            '-device', 'virtio-net-pci,netdev=net0,vectors=0,romfile=' + nic]


def wait_for(condition, timeout=20):
    """Until @condition() is true."""
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.fixture
def boot(daemon):
    """boot(name, options) -> a guest; all are ended after the test."""
    with Boot(daemon) as guests:
        yield functools.partial(guests.start, memory=MIB)


@pytest.mark.parametrize('nic, queues', [
    ('', ''), (',packed=on,mq=on', ',queues=2'), (',mrg_rxbuf=off', ''),
    (',event_idx=off,indirect_desc=off', '')])
def test_guest_gets_a_lease_pings_and_downloads(daemon, boot, nic, queues):
    body = random.Random(1).randbytes(1 << 20)
    server = services.HttpServer({'/x': body})
    with daemon.qmp() as client:
        guest = boot('vu', vhost_options(export(client), nic, queues))
        guest.wait_ready()
        lease = guest.dhcp()
        assert lease
        assert guest.run('ping -c 3 -i 0.2 -w 5 ' + lease['router']).ok
        assert guest.run('timeout 30 wget -q -O - http://%s:%d/x | sha256sum' % (
            lease['router'], server.port), 60).text.split()[0] == hashlib.sha256(
                body).hexdigest()
        info = client.call('query-netdevs')[0]
        assert info['port'] == 'vhost-user' and info['connected']
        assert info['rx-frames'] >= 5 and info['tx-frames'] >= 5


def test_guest_keeps_its_network_when_the_daemon_end_is_renewed(daemon, boot):
    """QEMU listens; the daemon connects, goes, and connects again."""
    path = os.path.join(daemon.folder, 'qemu.sock')
    with daemon.qmp() as client:
        client.call('netdev_add', type='vmnet-shared', id='n0')
        # The daemon would not connect to it once more.
        guest = boot('server', vhost_options(path, chardev=',server=on'), boots=1)
        wait_for(lambda: listens(path))
        address = {'type': 'unix', 'path': path}
        client.call('export-add', type='vhost-user', id='e0', netdev='n0',
                    addr=address, server=False)
        guest.wait_ready()
        lease = guest.dhcp()
        assert lease
        for _ in range(3):
            client.call('export-del', id='e0')
            client.call('export-add', type='vhost-user', id='e0', netdev='n0',
                        addr=address, server=False)
            assert guest.run('ping -c 2 -i 0.2 -w 10 ' + lease['router']).ok


def test_two_guests_with_queues_and_offloads_exchange_data(daemon, boot):
    """8 MiB, in segments that stay whole."""
    with daemon.qmp() as client:
        guests = [boot('q%d' % i, vhost_options(export(client, 'n%d' % i),
                                                ',mq=on,mac=52:54:00:00:00:0%d' % i,
                                                ',queues=2'))
                  for i in range(2)]
        leases = []
        for guest in guests:
            guest.wait_ready()
            leases.append(guest.dhcp())
        assert all(leases)
        served = guests[0].start('timeout 60 iperf3 -s -1')
        # Until the other one listens.
        done = guests[1].run('for i in $(seq 50); do timeout 40 iperf3 -n 8M '
                             '-c %s && break; sleep 0.2; done'
                             % leases[0]['address'], 60)
        assert done.ok, done.text
        assert guests[0].finish(served, 60).ok
        sender = client.call('query-netdevs')[1]
        assert sender['tx-bytes'] > 6 << 20
        assert sender['tx-bytes'] / sender['tx-frames'] > 3 * 1500


def test_migration_between_two_stock_qemus(daemon, boot):
    """The dirty log keeps what was written meanwhile; pings go on."""
    with daemon.qmp() as client:
        paths = [export(client, ident) for ident in ('n0', 'n1')]
        monitors = [os.path.join(daemon.folder, 'm%d.sock' % i)
                    for i in range(2)]
        stream = os.path.join(daemon.folder, 'migration.sock')
        mac = ',mac=52:54:00:00:00:55'
        source, target = [
            boot(name, vhost_options(path, mac) + [
                '-qmp', 'unix:%s,server=on,wait=off' % monitor, *extra])
            for name, path, monitor, extra in (
                ('source', paths[0], monitors[0], []),
                ('target', paths[1], monitors[1],
                 ['-incoming', 'unix:' + stream]))]
        source.wait_ready()
        lease = source.dhcp()
        assert lease
        source.run('ping -i 0.1 %s > /tmp/pings 2>&1 &' % lease['router'])
        wait_for(lambda: listens(stream))
        qmp = Qmp(monitors[0])
        qmp.call('migrate', uri='unix:' + stream)
        wait_for(lambda: qmp.call('query-migrate').get('status') == 'completed',
                 60)
        qmp.close()
        target.process.stdin.flush()
        assert target.run('ping -c 3 -i 0.2 -w 10 ' + lease['router'], 60).ok
        assert target.run('grep -c "bytes from" /tmp/pings').ok
        assert client.call('query-netdevs')[1]['rx-frames'] >= 3


def test_vmnet_run_shares_memory_and_qemu_comes_back(idle_daemon):
    """The daemon is killed; QEMU connects again, with all that it shares."""
    with Boot(idle_daemon) as boot_here:
        guest = boot_here.run(
            'run', arguments=['-v', '--port', 'vhost-user'], options=[
                '-netdev', 'vmnet-shared,id=net0', '-device',
                'virtio-net-pci,netdev=net0,vectors=0,romfile='])
        guest.wait_ready()
        lease = guest.dhcp()
        assert lease
        with open(boot_here.log('run'), encoding='utf-8') as text:
            assert 'vhost-user; see vmnetctl' in text.read()
        engine = idle_daemon.pids()[0]
        os.kill(engine, signal.SIGKILL)
        assert guest.run('for i in $(seq 30); do ping -c 1 -W 1 %s && break; '
                         'done' % lease['router'], 60).ok
        assert idle_daemon.pids()[0] != engine
        assert idle_daemon.ctl()['netdevs'][0]['port'] == 'vhost-user'
