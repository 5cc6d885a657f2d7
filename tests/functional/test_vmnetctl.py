"""vmnetctl: what it shows and what it asks for.

  vmnetctl --- QMP ---> fake_vmnetd.py, with answers of the test's

SPDX-License-Identifier: GPL-2.0-or-later
"""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import threading
import time

import pytest

from lib.fake import Fake
from lib.instance import BUILD, Instance, is_running
from lib.process import Process

DAEMON = {'pid': 4711, 'supervisor-pid': 4710, 'started': 0,
          'socket': '/run/x.sock', 'state-dir': '/state',
          'runtime-dir': '/run', 'log-file': '/state/vmnetd.log',
          'sandbox': [], 'clients': 2}
NETWORK = {'name': 'shared', 'mode': 'shared', 'subnet': '192.168.107.0/24',
           'gateway': '192.168.107.1', 'ipv6-prefix': 'fd00:1::/64',
           'mtu': 1500, 'netdevs': 2, 'leases': 1, 'forwards': 1}
HOST = {'name': 'host', 'mode': 'host', 'subnet': '192.168.108.0/24',
        'gateway': '192.168.108.1', 'mtu': 1500, 'netdevs': 0, 'leases': 0,
        'forwards': 0}
NETDEVS = [
    {'id': 'web/net0', 'vm': 'web', 'network': 'shared', 'connected': True,
     'port': 'stream', 'mac': '52:54:00:00:00:01',
     'address': '192.168.107.5', 'hostname': 'web', 'mtu': 1500},
    {'id': 'db/a', 'vm': 'db', 'network': 'shared', 'connected': False,
     'mtu': 1500},
    {'id': 'two/a', 'vm': 'two', 'network': 'shared', 'connected': False},
    {'id': 'two/b', 'vm': 'two', 'network': 'shared', 'connected': False},
]
LEASES = [
    {'network': 'shared', 'address': '192.168.107.5', 'hostname': 'web',
     'mac': '52:54:00:00:00:01', 'state': 'bound', 'expires': 0,
     'netdev': 'web/net0'},
    {'network': 'shared', 'address': '192.168.107.9',
     'hostname': 'evil\x1b[2J\u202e', 'mac': '52:54:00:00:00:02',
     'state': 'bound', 'expires': 99999999999},
    {'network': 'shared', 'address': '192.168.107.7', 'hostname': 'gone',
     'mac': '52:54:00:00:00:03', 'state': 'expired', 'expires': 1},
    {'network': 'shared', 'address': '192.168.107.8', 'hostname': 'twin',
     'mac': '52:54:00:00:00:04', 'state': 'bound', 'expires': 0},
    {'network': 'host', 'address': '192.168.108.8', 'hostname': 'twin',
     'mac': '52:54:00:00:00:05', 'state': 'bound', 'expires': 0},
]
FORWARD = {'network': 'shared', 'protocol': 'tcp',
           'host-address': '127.0.0.1', 'host-port': 8022,
           'guest-address': '192.168.107.5', 'guest-port': 22,
           'lifetime': 'network'}
ANSWERS = {'query-daemon': DAEMON, 'query-networks': [NETWORK, HOST],
           'query-netdevs': NETDEVS, 'query-leases': LEASES,
           'query-forwards': [FORWARD], 'forward-add': FORWARD}


@pytest.fixture
def idle():
    """Directories where no daemon runs."""
    made = Fake()
    yield made
    made.stop()


@pytest.fixture
def fake(idle):
    """A running fake with all of the answers above."""
    idle.configure()
    done = idle.run('vmnet-run', '-q', '--network', 'shared', '--', 'true')
    assert done.returncode == 0, done.stderr
    idle.configure(answers=ANSWERS)
    return idle


def ok(fake, *argv, **options):
    """Run vmnetctl; its output."""
    done = fake.run('vmnetctl', *argv, **options)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ''
    return done.stdout


def fails(fake, *argv):
    """Run vmnetctl; its complaint."""
    done = fake.run('vmnetctl', *argv)
    assert done.returncode == 1
    assert done.stderr.startswith('vmnetctl: ')
    return done.stderr


# Without a daemon

@pytest.mark.parametrize('argv', [
    ['leases'], ['forward', 'list'], ['stop'], ['connect', 'a', '1'],
    ['qmp', 'query-version']])
def test_without_a_daemon_it_says_so_and_starts_none(idle, argv):
    assert 'no vmnetd runs' in fails(idle, *argv)
    assert not idle.started()


def test_overview_without_a_daemon(idle):
    done = idle.run('vmnetctl')
    assert done.returncode == 1
    assert done.stdout.startswith('no vmnetd runs')
    assert done.stderr == ''
    done = idle.run('vmnetctl', '--json')
    assert done.returncode == 1
    assert json.loads(done.stdout) == {'running': False}


def test_log_without_a_daemon(idle):
    assert 'vmnetd.log' in fails(idle, 'log')
    path = os.path.join(idle.state, 'vmnet')
    os.mkdir(path, mode=0o700)
    with open(os.path.join(path, 'vmnetd.log'), 'w', encoding='ascii') as text:
        text.write(''.join('line %d\n' % i for i in range(100)))
    lines = ok(idle, 'log', '-n', '3').splitlines()
    assert lines == ['line 97', 'line 98', 'line 99']
    assert len(ok(idle, 'log').splitlines()) == 50
    shown = json.loads(ok(idle, '--json', 'log', '--lines=1'))
    assert shown['lines'] == ['line 99']


@pytest.mark.parametrize('json_lines', [False, True])
def test_log_is_followed_into_the_next_file(idle, json_lines):
    path = os.path.join(idle.state, 'vmnet', 'vmnetd.log')
    os.mkdir(os.path.dirname(path), mode=0o700)
    with open(path, 'w', encoding='ascii') as text:
        text.write('one\ntwo\n')
    argv = ['--json'] if json_lines else []
    with Process(
            [os.path.join(BUILD, 'tools', 'vmnetctl'), 'log', '-f', '-n', '1',
             *argv], env=idle.env, stdout=subprocess.PIPE, text=True) as follower:
        def line():
            text = follower.line()
            return json.loads(text)['line'] if json_lines else text.rstrip('\n')

        assert line() == 'two'
        with open(path, 'a', encoding='ascii') as text:
            for part in ('th', 'ree\nfo'):
                text.write(part)
                text.flush()
            assert line() == 'three'
            text.write('ur\n')
            text.flush()
            assert line() == 'four'
        os.rename(path, path + '.1')
        with open(path, 'w', encoding='ascii') as text:
            text.write('five\n')
        assert line() == 'five'
        # Nobody reads it any more.
        follower.stdout.close()
        with open(path, 'a', encoding='ascii') as text:
            text.write('six\n')
        follower.wait(10)


def is_watching(pid):
    """Has it an inotify watch?"""
    folder = '/proc/%d/fdinfo' % pid
    for name in os.listdir(folder):
        with contextlib.suppress(OSError), \
                open(os.path.join(folder, name), encoding='ascii') as text:
            if 'inotify wd:' in text.read():
                return True
    return False


@pytest.mark.skipif(not shutil.which('strace'), reason='needs strace')
def test_last_line_before_the_next_file_is_followed(idle):
    """It comes after the old file has been read, and before the new one is seen."""
    path = os.path.join(idle.state, 'vmnet', 'vmnetd.log')
    os.mkdir(os.path.dirname(path), mode=0o700)
    with open(path, 'w', encoding='ascii') as text:
        text.write('one\n')
    with Process(
            ['strace', '-D', '-o', '/dev/null', '-P', path, '-e', 'trace=%%stat',
             '-e', 'inject=%%stat:delay_enter=500000',
             os.path.join(BUILD, 'tools', 'vmnetctl'), 'log', '-f'],
            env=dict(idle.env, ASAN_OPTIONS='detect_leaks=0'),  # wants ptrace
            stdout=subprocess.PIPE, text=True) as follower:
        assert follower.line() == 'one\n'
        end = time.monotonic() + 10
        while not is_watching(follower.pid):
            assert time.monotonic() < end
            time.sleep(0.01)
        time.sleep(0.2)     # it reads to the end, and then asks for the name
        with open(path, 'a', encoding='ascii') as text:
            text.write('two\n')
        os.rename(path, path + '.1')
        with open(path, 'w', encoding='ascii') as text:
            text.write('three\n')
        assert [follower.line(), follower.line()] == ['two\n', 'three\n']


@pytest.mark.parametrize('argv, text', [
    (['nonsense'], "unknown command 'nonsense'"),
    (['forward'], "'add', 'list' or 'remove'"),
    (['forward', 'nonsense'], "unknown command 'forward nonsense'"),
    (['leases', 'too', 'many'], 'usage: vmnetctl leases'),
    (['leases', '--persistent'], "'leases' does not take --persistent"),
    (['forward', 'remove', '1', '--network', 'x'],
     "'forward remove' does not take --network"),
    (['stop', '-n', '1'], "'stop' does not take --lines"),
    (['--lines', '0', 'log'], "--lines '0': is not a number from 1 to"),
    (['connect', 'web'], 'usage: vmnetctl connect GUEST PORT'),
    (['--json', 'connect', 'web', '22'], "'connect' does not take --json"),
])
def test_mistakes(idle, argv, text):
    assert text in fails(idle, *argv)


def test_help_and_version(idle):
    assert 'forward add' in ok(idle, '--help')
    assert ok(idle, '--version').startswith('vmnetctl ')


# What it shows

def test_overview_has_everything_at_a_glance(fake):
    out = ok(fake)
    for text in ('vmnetd 0.1.0, pid 4711 (supervisor 4710)',
                 '1 other client', '/state/vmnetd.log', '/run/x.sock',
                 '192.168.107.0/24', 'fd00:1::/64', 'web/net0', 'stream',
                 'connected', '52:54:00:00:00:01', '192.168.107.5',
                 '127.0.0.1:8022'):
        assert text in out
    lines = out.splitlines()
    head = next(line for line in lines if line.startswith('NETDEV'))
    row = next(line for line in lines if line.startswith('web/net0'))
    assert head.index('ADDRESS') == row.index('192.168.107.5')
    assert head.index('MAC') == row.index('52:54')


def test_overview_as_json(fake):
    shown = json.loads(ok(fake, '--json'))
    assert shown['running'] is True
    assert shown['daemon'] == DAEMON
    assert shown['networks'] == [NETWORK, HOST]
    assert shown['netdevs'] == NETDEVS
    assert shown['forwards'] == [FORWARD]


def test_leases_cannot_write_on_the_terminal(fake):
    out = ok(fake, 'leases')
    assert '\x1b' not in out and '\u202e' not in out
    assert 'evil\\x1b[2J\\u{202e}' in out
    assert 'ago' in out
    assert json.loads(ok(fake, 'leases', '--json')) == LEASES
    ok(fake, 'leases', '--network', 'shared')
    assert fake.requests('query-leases')[-1] == {'network': 'shared'}


def test_nothing_to_show(fake):
    fake.configure(answers={**ANSWERS, 'query-networks': [],
                            'query-netdevs': [], 'query-leases': [],
                            'query-forwards': []})
    assert 'no networks' in ok(fake)
    assert ok(fake, 'leases') == 'no leases\n'
    assert ok(fake, 'forward', 'list') == 'no forwards\n'


def test_errors_of_the_daemon_are_shown(fake):
    fake.configure(answers={'query-leases': {'error': 'not\x1btoday'}})
    assert fails(fake, 'leases') == 'vmnetctl: not\\x1btoday\n'


# Forwards

@pytest.mark.parametrize('spec, expected', [
    ('tcp:127.0.0.1:8022-web:22',
     {'protocol': 'tcp', 'host-address': '127.0.0.1', 'host-port': 8022,
      'guest': 'web', 'network': 'shared', 'guest-port': 22}),
    ('8022-WEB.vmnet.internal:22',
     {'host-port': 8022, 'guest': 'WEB', 'network': 'shared',
      'guest-port': 22}),
    ('udp::53-192.168.107.5:53',
     {'protocol': 'udp', 'host-port': 53, 'guest': '192.168.107.5',
      'network': 'shared', 'guest-port': 53}),
    ('udp:[::1]:53-[fd00:1::5]:53',
     {'protocol': 'udp', 'host-address': '::1', 'host-port': 53,
      'guest-address': 'fd00:1::5', 'network': 'shared', 'guest-port': 53}),
    ('0-192.168.108.77:80',
     {'host-port': 0, 'guest-address': '192.168.108.77', 'network': 'host',
      'guest-port': 80}),
    ('80-db:80', {'host-port': 80, 'netdev': 'db/a', 'guest-port': 80}),
    ('80-web/net0:80',
     {'host-port': 80, 'netdev': 'web/net0', 'guest-port': 80}),
])
def test_forward_add(fake, spec, expected):
    out = ok(fake, 'forward', 'add', spec)
    assert fake.requests('forward-add')[-1] == expected
    assert out == 'tcp 127.0.0.1:8022 -> 192.168.107.5:22 on shared\n'


def test_forward_add_options(fake):
    shown = json.loads(ok(fake, '--json', 'forward', 'add', '--persistent',
                          '--network', 'host', '80-twin:80'))
    assert shown == FORWARD
    assert fake.requests('forward-add')[-1] == {
        'host-port': 80, 'guest': 'twin', 'guest-port': 80,
        'network': 'host', 'lifetime': 'persistent'}


@pytest.mark.parametrize('spec, text', [
    ('8022', 'is not'),
    ('x-web:22', "port 'x'"),
    ('65536-web:22', "port '65536'"),
    ('80-web:0', "port '0'"),
    ('80-web', "port 'web'"),
    ('80-:22', 'names no guest'),
    ('[::1:80-web:22', "']'"),
    ('80-nobody:22', "no guest 'nobody'"),
    ('80-gone:22', "no guest 'gone'"),
    ('80-two:22', "'two/a' and 'two/b'"),
    ('80-twin:22', '--network'),
])
def test_forward_add_mistakes(fake, spec, text):
    assert text in fails(fake, 'forward', 'add', spec)
    assert not fake.requests('forward-add')


def test_forward_list_and_remove(fake):
    assert '127.0.0.1:8022' in ok(fake, 'forward', 'list')
    assert json.loads(ok(fake, 'forward', 'list', '--json')) == [FORWARD]
    for spec in ('tcp:127.0.0.1:8022', 'tcp:127.0.0.1:8022-web:22'):
        assert ok(fake, 'forward', 'remove', spec) == ''
        assert fake.requests('forward-remove')[-1] == {
            'protocol': 'tcp', 'host-address': '127.0.0.1',
            'host-port': 8022}
    assert "port 'x'" in fails(fake, 'forward', 'remove', 'tcp:x')
    assert 'no forwards' in ok(fake, 'forward', 'list', '--network', 'host')


def test_forward_that_is_not_in_force(fake):
    kept = {**FORWARD, 'lifetime': 'persistent', 'error': 'taken\x1b'}
    fake.configure(answers={**ANSWERS, 'query-forwards': [kept]})
    assert 'persistent, not in force: taken\\x1b' in ok(fake, 'forward', 'list')
    assert json.loads(ok(fake, 'forward', 'list', '--json')) == [kept]


def test_help_is_that_of_the_command(idle):
    shown = ok(idle, 'log', '--help')
    assert '--follow' in shown and '--persistent' not in shown
    assert 'forward add' in ok(idle, '-h', 'forward')
    assert 'connect GUEST PORT' in ok(idle, '--help')
    assert ok(idle, '--help').count('--system') == 1
    assert '--json' not in ok(idle, 'connect', '--help')


# connect

class Service:
    """A guest's service, as the fake's forward shows it: one connection."""

    def __init__(self, fake, handler):
        self.listener = socket.create_server(('127.0.0.1', 0))
        port = self.listener.getsockname()[1]
        fake.configure(answers={
            **ANSWERS, 'forward-add': {**FORWARD, 'host-port': port}})
        self.thread = threading.Thread(target=self._run, args=[handler],
                                       daemon=True)
        self.thread.start()

    def _run(self, handler):
        sock, _ = self.listener.accept()
        with sock:
            handler(sock)
        self.listener.close()


def read_all(sock):
    """Until the other side ends."""
    data = b''
    while True:
        more = sock.recv(65536)
        if not more:
            return data
        data += more


def connect(fake, data, **options):
    """vmnetctl connect with @data as stdin."""
    return subprocess.run(
        [fake.tool('vmnetctl'), 'connect', 'web', '22'], env=fake.env,
        input=data, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        timeout=60, check=False, **options)


def test_connect_asks_for_a_forward_of_its_own(fake):
    """Which lets in nobody but itself."""
    peers = []

    def handler(sock):
        peers.append(sock.getpeername())
        sock.sendall(b'SSH-2.0')

    Service(fake, handler)
    done = connect(fake, b'')
    assert done.stdout == b'SSH-2.0'
    assert done.returncode == 0, done.stderr
    assert fake.requests('forward-add')[-1] == {
        'protocol': 'tcp', 'host-address': '127.0.0.1', 'host-port': 0,
        'guest': 'web', 'network': 'shared', 'guest-port': 22,
        'lifetime': 'client', 'client-port': peers[0][1]}


def test_connect_passes_the_end_of_input_and_reads_on(fake):
    def handler(sock):
        data = read_all(sock)           # to the half close
        sock.sendall(b'got %d' % len(data))

    Service(fake, handler)
    done = connect(fake, b'x' * 3000000)
    assert (done.returncode, done.stdout) == (0, b'got 3000000')


def test_connect_moves_much_both_ways_at_once(fake):
    blob = os.urandom(4000000)

    def handler(sock):
        writer = threading.Thread(target=sock.sendall, args=[blob])
        writer.start()
        assert read_all(sock) == blob
        writer.join()

    Service(fake, handler)
    done = connect(fake, blob)
    assert done.returncode == 0, done.stderr
    assert done.stdout == blob


def test_connect_keeps_sending_when_the_guest_has_ended(fake):
    received = []

    def handler(sock):
        sock.shutdown(socket.SHUT_WR)
        received.append(read_all(sock))

    service = Service(fake, handler)
    with Process([fake.tool('vmnetctl'), 'connect', 'web', '22'],
                 env=fake.env, stdin=subprocess.PIPE,
                 stdout=subprocess.PIPE) as client:
        assert client.line() == b''     # the guest's end, passed on
        client.stdin.write(b'late')
        client.stdin.close()
        assert client.wait(20) == 0
    service.thread.join(20)
    assert received == [b'late']


def test_connect_to_a_port_that_is_closed(fake):
    def handler(sock):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                        b'\1\0\0\0\0\0\0\0')

    Service(fake, handler)
    done = connect(fake, b'')
    assert done.returncode == 1
    assert b'reset' in done.stderr


def test_connect_to_nobody(fake):
    assert "no guest 'nobody'" in fails(fake, 'connect', 'nobody', '22')
    assert "port 'ssh'" in fails(fake, 'connect', 'web', 'ssh')
    fake.configure(answers={**ANSWERS, 'forward-add': {'error': 'no port'}})
    assert 'no port' in fails(fake, 'connect', 'web', '22')


# The daemon

def test_stop_waits_for_the_end(fake):
    assert '4711' in ok(fake, 'stop')
    pid = fake.started()[0]['pid']
    end = time.monotonic() + 10
    while is_running(pid) and time.monotonic() < end:
        time.sleep(0.01)
    assert not is_running(pid)


def test_qmp_one_command(fake):
    assert json.loads(ok(fake, 'qmp', 'query-daemon')) == DAEMON
    ok(fake, 'qmp', 'query-leases', '{"network": "x"}')
    assert fake.requests('query-leases')[-1] == {'network': 'x'}
    assert 'JSON' in fails(fake, 'qmp', 'query-leases', '{')


def test_qmp_lines(fake):
    """It ends with the last answer: lines that were not sent have none."""
    done = subprocess.run(
        [fake.tool('vmnetctl'), '--json', 'qmp'], env=fake.env, text=True,
        input='query-daemon\n\n# no command\n{"execute": "query-forwards"}\n'
              'nonsense {\nquery-leases {"network": "x"}',
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=5,
        check=False)
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one['return'] for one in answers] == [DAEMON, [FORWARD], LEASES]
    assert done.stderr.count('\n') == 1


# With the real one

@pytest.fixture
def real():
    """Directories of a real daemon, which starts on demand."""
    made = Instance()
    yield made
    made.stop()


def test_real_daemon_is_shown_and_stopped(real):
    # Netdevs go two seconds after their VMM: this one stays.
    with Process([real.tool('vmnet-run'), '-q', '--network', 'shared', '--',
                  'sh', '-c', 'echo ready; exec sleep 60'],
                 env=real.env, stdout=subprocess.PIPE, text=True) as vmm:
        assert vmm.line() == 'ready\n'
        shown = real.ctl()
        assert shown['networks'][0]['name'] == 'shared'
        assert shown['netdevs'][0]['network'] == 'shared'
        assert shown['daemon']['log-file'].startswith(real.state)
        out = real.run('vmnetctl').stdout
        assert 'shared' in out and 'vmnetd.log' in out
        assert real.ctl('leases') == []
        assert real.ctl('log')['path'] == shown['daemon']['log-file']
        added = real.ctl('forward', 'add', 'tcp:127.0.0.1:0-%s:22'
                         % shown['netdevs'][0]['id'])
        assert added['host-port'] > 0
        listed = real.ctl('forward', 'list')
        assert [one['host-port'] for one in listed] == [added['host-port']]
        real.ctl('forward', 'remove', 'tcp:127.0.0.1:%d' % added['host-port'])
        assert real.ctl('forward', 'list') == []
    assert real.run('vmnetctl', 'stop').returncode == 0
    assert real.run('vmnetctl').returncode == 1
