"""A daemon that is killed, and the machines that come back to the next one.

  Vmm (a test's, or QEMU) -- reconnects --> vmnetd: engine [, supervisor]
                                              ^ kill -9

The engine alone is started again by its supervisor.  When both are killed, the
next client starts a daemon that finds the record; here that is vmnetctl.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import glob
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time

import pytest

from lib import services
from lib.boot import Boot
from lib.instance import Instance
from lib.vmm import ACK, RST, SYN, Vmm

DEATHS = ['engine', 'both']
# vmnet-run's --port; auto is vhost-user from QEMU 10.0 on.
PORTS = ['stream', 'auto']
SOON = 1.0          # seconds from a VMM's attempt to connect again
MAC = '52:54:00:12:34:56'
LOOPBACK = not services.host_addresses()[0]


def kill(instance, who):
    """kill -9 of the engine, or of the supervisor and it; a client comes."""
    engine, *supervisor = instance.pids()
    if who == 'both':
        os.kill(supervisor[0], signal.SIGKILL)
    os.kill(engine, signal.SIGKILL)
    if who == 'both':
        if instance.daemon:
            instance.daemon.wait()
            instance.daemon = None
        assert instance.ctl()['running']
    wait_until(lambda: engine not in (pids(instance) or [engine]))


def pids(instance):
    """Those of the daemon, None while there is none."""
    try:
        return instance.pids()
    except (OSError, EOFError):
        return None


def wait_until(condition, timeout=10):
    """Poll, at most @timeout seconds."""
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, 'did not happen in time'
        time.sleep(0.01)


def wait_kept(instance, address):
    """A lease is on disk, which is within a second."""
    files = os.path.join(instance.state, 'vmnet', 'networks', '*', 'leases')

    def is_kept():
        for path in glob.glob(files):
            with open(path, encoding='utf-8') as text:
                if address in text.read():
                    return True
        return False
    wait_until(is_kept)


class Reconnecting(Vmm):
    """Connects again when the connection ends, as QEMU does."""

    def __init__(self, path, mac=MAC):
        super().__init__(path, mac)
        self.path = path

    def reconnect(self, timeout=10):
        """After the end of this connection; returns the attempt's time."""
        self.socket.settimeout(timeout)
        try:
            while self.socket.recv(1 << 16):
                pass
        except ConnectionError:
            pass
        self.socket.close()
        self._pending = b''
        end = time.monotonic() + timeout
        while True:
            began = time.monotonic()
            self.socket = socket.socket(socket.AF_UNIX)
            try:
                self.socket.connect(self.path)
                return began
            except OSError:
                self.socket.close()
                assert time.monotonic() < end, 'nobody listens again'
                time.sleep(0.01)


def make(instance, ident='net0', vm='web', kind='vmnet-shared', **options):
    """Netdev and export as vmnet-run makes them; returns the export's path."""
    with instance.qmp() as client:
        client.call('netdev_add', type=kind, id=ident, vm=vm,
                    lifetime='export', **options)
        return client.call('export-add', type='stream', id=ident, netdev=ident,
                           addr={'type': 'unix'})['path']


def state(instance):
    """What a machine must find again."""
    with instance.qmp() as client:
        netdevs = [{key: one[key] for key in ('id', 'mac', 'network', 'subnet',
                                              'gateway', 'vm') if key in one}
                   for one in client.call('query-netdevs')]
        exports = [(one['id'], one['path'])
                   for one in client.call('query-exports')]
        forwards = [(one['host-port'], one['guest-port'])
                    for one in client.call('query-forwards')]
    return sorted(netdevs, key=str), sorted(exports), sorted(forwards)


def exchange(vmm, echo):
    """A datagram to a service of the host, and its answer."""
    assert vmm.ask(4000, echo.port, b'are you there?')


def shared():
    """Options that let a guest reach services on this host."""
    return {'host_loopback': True} if LOOPBACK else {}


# Machines that a test plays

@pytest.mark.parametrize('who', DEATHS)
def test_machine_is_back_without_a_new_lease(daemon, who):
    echo = services.UdpEcho()
    path = make(daemon, mac=MAC, hostfwd=['tcp:127.0.0.1:0-:22'], **shared())
    with Reconnecting(path) as vmm:
        address = vmm.lease()
        exchange(vmm, echo)
        wait_kept(daemon, address)
        before = state(daemon)
        router = vmm.gateway_mac
        kill(daemon, who)
        began = vmm.reconnect()
        exchange(vmm, echo)
        assert time.monotonic() - began < SOON
        assert state(daemon) == before
        # From outside, to the address of a lease that nobody renewed.
        with socket.socket() as outside:
            outside.setblocking(False)
            outside.connect_ex(('127.0.0.1', before[2][0][0]))
            vmm.await_syn(22)
        assert vmm.lease() == address
        assert vmm.gateway_mac == router
    echo.close()


@pytest.mark.parametrize('who', DEATHS)
def test_every_network_is_as_it_was(daemon, who):
    paths = [make(daemon, vm='one'),
             make(daemon, vm='two'),
             make(daemon, vm='two', ident='net1', kind='vmnet-host'),
             make(daemon, vm='three', network='lab'),
             make(daemon, vm='four', start_address='192.168.211.1',
                  end_address='192.168.211.99', subnet_mask='255.255.255.0',
                  isolated=True)]
    machines = [Reconnecting(path, '52:54:00:00:00:%02x' % number)
                for number, path in enumerate(paths)]
    addresses = [machine.lease() for machine in machines]
    for address in addresses:
        wait_kept(daemon, address)
    before = state(daemon)
    kill(daemon, who)
    for machine in machines:
        machine.reconnect()
    assert state(daemon) == before
    assert [machine.lease() for machine in machines] == addresses
    for machine in machines:
        machine.close()


@pytest.mark.parametrize('who', DEATHS)
def test_socket_outside_the_daemons_directories(daemon, tmp_path,
                                                monkeypatch, who):
    """The engine may make it, not remove it: its parent does."""
    path = str(tmp_path / ('a' * 60) / 'vm.sock')
    os.mkdir(os.path.dirname(path))
    with daemon.qmp() as client:
        client.call('netdev_add', type='vmnet-shared', id='n', vm='one',
                    lifetime='export')
        client.call('export-add', type='stream', id='e', netdev='n',
                    addr={'type': 'unix', 'path': path})
    kill(daemon, who)
    monkeypatch.chdir(os.path.dirname(path))
    with socket.socket(socket.AF_UNIX) as vmm:
        vmm.connect('vm.sock')
    with daemon.qmp() as client:
        client.call('netdev_del', id='one/n')
    assert not os.path.exists(path)


def test_under_load_and_again(daemon):
    """Each time within a second, though the guest never stops sending."""
    echo = services.UdpEcho()
    path = make(daemon, mac=MAC, **shared())
    with Reconnecting(path) as vmm:
        wait_kept(daemon, vmm.lease())
        for _ in range(3):
            stop = threading.Event()

            def load():
                while not stop.is_set():
                    try:
                        vmm.udp(4001, vmm.gateway, echo.port, bytes(1400))
                    except OSError:
                        return

            vmm.socket.settimeout(5)
            sender = threading.Thread(target=load)
            sender.start()
            vmm.receive(lambda frame: True if len(frame) > 1400 else None)
            # Until it has ended, its sockets would take our new connection.
            kill(daemon, 'engine')
            sender.join(10)
            stop.set()
            assert not sender.is_alive()
            began = vmm.reconnect()
            exchange(vmm, echo)
            assert time.monotonic() - began < SOON
    echo.close()


def test_connection_of_the_dead_engine_is_reset(daemon):
    """The guest learns it at once, not after its own minutes of trying."""
    path = make(daemon, mac=MAC, **shared())
    with socket.socket() as server, Reconnecting(path) as vmm:
        server.bind(('0.0.0.0', 0))
        server.listen()
        port = server.getsockname()[1]
        wait_kept(daemon, vmm.lease())
        vmm.tcp(4002, vmm.gateway, port, SYN)
        flags, number, _ = vmm.segment(4002, port)
        assert flags == SYN | ACK
        kill(daemon, 'engine')
        vmm.reconnect()
        vmm.tcp(4002, vmm.gateway, port, ACK, 2, number + 1)
        assert vmm.segment(4002, port)[0] & RST


def test_machine_that_stays_away_has_time(daemon):
    """Longer than the two seconds that it has while the daemon lives."""
    path = make(daemon)
    Reconnecting(path).close()
    with Reconnecting(path):
        kill(daemon, 'engine')
    time.sleep(3)
    with daemon.qmp() as client:
        assert len(client.call('query-netdevs')) == 1
    Reconnecting(path).close()


@pytest.mark.slow
def test_machine_that_does_not_come_back_is_dropped(daemon):
    path = make(daemon)
    with Reconnecting(path):
        kill(daemon, 'engine')
        began = time.monotonic()
    with daemon.qmp() as client:
        wait_until(lambda: client.call('query-netdevs') == [], 40)
    assert 29 < time.monotonic() - began < 32
    assert not os.path.exists(path)


def test_namesake_does_not_take_a_living_machines_place(daemon):
    """Who starts the next daemon may be a machine of the same name."""
    path = make(daemon, mac_seed='name:web/net0')
    with Reconnecting(path) as vmm:
        before = state(daemon)
        kill(daemon, 'both')
        other = make(daemon, mac_seed='name:web/net0')
        assert other != path
        vmm.reconnect()
        after = state(daemon)
    assert [one for one in after[0] if one['vm'] == 'web'] == before[0]
    assert sorted(one['vm'] for one in after[0]) == ['web', 'web-2']


def test_export_that_connects(daemon):
    """The VMM listens: it is found again, also if it needs a moment."""
    path = os.path.join(daemon.folder, 'vmm.sock')
    with socket.socket(socket.AF_UNIX) as listener:
        listener.settimeout(5)
        listener.bind(path)
        listener.listen()
        with daemon.qmp() as client:
            client.call('netdev_add', type='vmnet-shared', id='net0', vm='web',
                        lifetime='export')
            client.call('export-add', type='stream', id='net0', netdev='net0',
                        server=False, addr={'type': 'unix', 'path': path})
        listener.accept()[0].close()
        kill(daemon, 'engine')
        listener.accept()[0].close()
        listener.close()
        os.unlink(path)
        kill(daemon, 'engine')
        with daemon.qmp() as client:
            assert not client.call('query-exports')[0]['connected']
        with socket.socket(socket.AF_UNIX) as again:
            again.settimeout(5)
            again.bind(path)
            again.listen()
            again.accept()[0].close()


def test_datagram_socket(daemon):
    """It has no connection to lose: the next frame finds the new socket."""
    ours = os.path.join(daemon.folder, 'vmm.sock')
    with daemon.qmp() as client:
        client.call('netdev_add', type='vmnet-shared', id='net0', vm='web',
                    lifetime='export')
        path = client.call('export-add', type='dgram', id='net0', netdev='net0',
                           addr={'type': 'unix'})['path']
        gateway = client.call('query-netdevs')[0]['gateway']
    mac = bytes.fromhex(MAC.replace(':', ''))
    question = (b'\xff' * 6 + mac + b'\x08\x06\0\1\x08\0\6\4\0\1' + mac + bytes(10)
                + socket.inet_aton(gateway))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as vmm:
        vmm.settimeout(5)
        vmm.bind(ours)
        vmm.sendto(question, path)
        answer = vmm.recv(2048)
        kept = os.path.join(daemon.state, 'vmnet/networks/shared/network')
        wait_until(lambda: os.path.exists(kept))
        kill(daemon, 'engine')
        vmm.sendto(question, path)
        while vmm.recv(2048)[:32] != answer[:32]:
            pass


def test_killed_at_any_moment(daemon):
    """What a client was told that it has, the next engine has."""
    made = []

    def add(count):
        try:
            with daemon.qmp() as client:
                for _ in range(count):
                    ident = 'n%d' % len(made)
                    client.call('netdev_add', type='vmnet-shared', id=ident,
                                vm='vm', lifetime='export')
                    path = client.call(
                        'export-add', type='stream', id=ident, netdev=ident,
                        addr={'type': 'unix'})['path']
                    made.append((ident, path))
        except (OSError, EOFError):
            made.append(None)       # the one that was being made

    for delay_ms in (5, 11, 23, 47):
        engine = daemon.pids()[0]
        client = threading.Thread(target=add, args=(20,))
        client.start()
        time.sleep(delay_ms / 1000)
        os.kill(engine, signal.SIGKILL)
        client.join(10)
        wait_until(lambda: engine not in (pids(daemon) or [engine]))
        found = state(daemon)[1]
        # The last of them may have been answered before it was recorded.
        known = [one for one in made if one]
        assert set('vm/' + ident for ident, _ in known[:-1]) \
            <= set(ident for ident, _ in found)
        for _, path in found:
            with socket.socket(socket.AF_UNIX) as vmm:
                vmm.connect(path)
        with daemon.qmp() as control:
            for netdev in control.call('query-netdevs'):
                control.call('netdev_del', id=netdev['id'])
        del made[:]
    assert 'damaged' not in daemon.stderr()


# Who starts the next daemon

def test_vmnetctl_starts_none_without_need(idle_daemon):
    done = idle_daemon.run('vmnetctl')
    assert done.returncode == 1 and 'no vmnetd runs' in done.stdout
    idle_daemon.start()
    for number in reversed(idle_daemon.pids()):     # the supervisor first
        os.kill(number, signal.SIGKILL)
    idle_daemon.daemon.wait()
    idle_daemon.daemon = None
    done = idle_daemon.run('vmnetctl')
    assert done.returncode == 1 and 'no vmnetd runs' in done.stdout


def test_record_of_another_boot(idle_daemon):
    os.makedirs(os.path.dirname(idle_daemon.socket), mode=0o700)
    record = os.path.join(os.path.dirname(idle_daemon.socket), 'record.json')
    with open(record, 'w', encoding='ascii') as text:
        json.dump({'version': 1, 'boot': 'another', 'netdevs': [{}]}, text)
    assert idle_daemon.ctl()['netdevs'] == []
    assert not os.path.exists(record)


@pytest.mark.parametrize('record', [
    '', '{', '[]', '{"version": 1}', '{"version": "1", "boot": "BOOT"}',
    '{"version": 1, "boot": "BOOT", "netdevs": [1, null, {}, []]}',
    '{"version": 1, "boot": "BOOT", "netdevs": [{"netdev": {"type": '
    '"vmnet-shared", "id": "n", "lifetime": "export"}, "export": {"type": '
    '"stream", "id": "n", "netdev": "n", "addr": {"type": "fd", "str": "3"}}, '
    '"path": 1, "vmm": "x", "connected": 3}], "forwards": [{}, 7]}',
    '{"version": 1, "boot": "BOOT", "netdevs": [{"netdev": {"type": '
    '"vmnet-shared", "id": "n", "lifetime": "export"}, "export": {"type": '
    '"stream", "id": "n", "netdev": "n", "addr": {"type": "unix"}}, '
    '"path": "relative", "vmm": -99999999999}]}',
])
def test_record_that_lies(idle_daemon, record):
    """It is ours, but a half written or edited one must not stop a start."""
    with open('/proc/sys/kernel/random/boot_id', encoding='ascii') as text:
        boot = text.read().strip()
    os.makedirs(os.path.dirname(idle_daemon.socket), mode=0o700)
    with open(os.path.join(os.path.dirname(idle_daemon.socket), 'record.json'),
              'w', encoding='ascii') as text:
        text.write(record.replace('BOOT', boot))
    idle_daemon.start()
    with idle_daemon.qmp() as client:
        assert client.call('query-netdevs') == []
    assert len(idle_daemon.pids()) == 2


# Real guests

def reconnecting_qemu():
    """VMNET_QEMU, else the distribution's, and its major version."""
    program = os.environ.get('VMNET_QEMU') or shutil.which('qemu-system-x86_64')
    if not program:
        pytest.skip('needs qemu-system-x86_64')
    text = subprocess.run([program, '--version'], stdout=subprocess.PIPE,
                          text=True, check=True, timeout=30).stdout
    major = re.search(r'version (\d+)\.', text)
    if not major or int(major.group(1)) < 8:
        pytest.skip('needs QEMU 8.0 or later to reconnect')
    return program, int(major.group(1))


@pytest.fixture(params=PORTS)
def boot(request):
    """boot(name) -> (instance, guest) with a lease; ended after the test."""
    program, major = reconnecting_qemu()
    kind = 'vhost-user' if request.param == 'auto' and major >= 10 else 'stream'
    instance = Instance()

    def start(name):
        guest = guests.run(name, 'vmnet-shared,id=net0'
                           + (',host-loopback=on' if LOOPBACK else ''),
                           arguments=['--port', request.param])
        guest.wait_ready()
        guest.lease = guest.dhcp()
        assert guest.lease
        with instance.qmp() as client:
            assert {one['type'] for one in client.call('query-exports')} == {kind}
        return guest

    try:
        with Boot(instance, program) as guests:
            yield instance, start
    finally:
        instance.stop()


def wait_connected(instance):
    """All exports have their VMM; returns how long that took."""
    began = time.monotonic()
    with instance.qmp() as client:
        wait_until(lambda: all(one['connected']
                               for one in client.call('query-exports')))
    return time.monotonic() - began


class Endless:
    """A TCP service that sends and takes without end."""

    def __init__(self):
        self.listener = socket.socket()
        self.listener.bind(('0.0.0.0', 0))
        self.listener.listen()
        self.port = self.listener.getsockname()[1]
        self.taken = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection = self.listener.accept()[0]
            except OSError:
                return
            for job in (self._send, self._take):
                threading.Thread(target=job, args=(connection,),
                                 daemon=True).start()

    @staticmethod
    def _send(connection):
        try:
            while True:
                connection.sendall(bytes(65536))
        except OSError:
            pass

    def _take(self, connection):
        try:
            while True:
                data = connection.recv(65536)
                if not data:
                    return
                self.taken += len(data)
        except OSError:
            pass

    def close(self):
        """No new connections."""
        self.listener.close()


@pytest.mark.guest
@pytest.mark.parametrize('who', DEATHS)
def test_guests_at_rest(boot, who):
    instance, start = boot
    server = services.HttpServer({'/x': b'found'})
    guests = [start('one'), start('two')]
    before = state(instance)
    kill(instance, who)
    assert wait_connected(instance) < SOON
    assert state(instance) == before
    for guest in guests:
        seen = guest.run('ping -c 1 -w 1 ' + guest.lease['router'])
        assert seen.ok, seen.text
        assert guest.run('timeout 5 wget -q -O - http://%s:%d/x' % (
            guest.lease['router'], server.port)).text == 'found'
    assert guests[0].run('ping -c 1 -w 2 ' + guests[1].lease['address']).ok
    assert guests[0].run('ping -c 1 -w 2 two').ok
    assert guests[0].dhcp()['address'] == guests[0].lease['address']
    server.close()


@pytest.mark.guest
@pytest.mark.parametrize('who', DEATHS)
def test_guest_under_load(boot, who):
    """Both directions at full rate; the guest's connection ends at once."""
    instance, start = boot
    guest = start('busy')
    endless = Endless()
    load = guest.start('nc %s %d < /dev/zero > /dev/null'
                       % (guest.lease['router'], endless.port))
    wait_until(lambda: endless.taken > 1 << 20, 30)
    kill(instance, who)
    assert wait_connected(instance) < SOON
    guest.finish(load, 5)
    seen = guest.run('ping -c 1 -w 1 ' + guest.lease['router'])
    assert seen.ok, seen.text
    taken = endless.taken
    load = guest.start('timeout 5 nc %s %d < /dev/zero > /dev/null'
                       % (guest.lease['router'], endless.port))
    wait_until(lambda: endless.taken > taken + (1 << 20), 20)
    guest.finish(load, 20)
    endless.close()
