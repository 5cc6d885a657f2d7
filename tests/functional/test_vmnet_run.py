"""vmnet-run: command lines, descriptors, exit statuses, starting a daemon.

  vmnet-run --- starts ---> fake_vmnetd.py, which writes down what it saw
      `-------- executes -> a program of the test's

Where it makes a difference, the same is done with the real vmnetd.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time

import pytest

from lib.fake import SHOW, Fake
from lib.instance import BUILD, TOP, Instance
from lib.process import Process
from lib.services import has_loopback6

DATA = os.path.join(TOP, 'tests', 'data', 'vmnet-run')
NETDEV = ['-netdev', 'vmnet-shared,id=net0']


@pytest.fixture
def fake():
    """An instance with the fake daemon and a program `show`."""
    made = Fake()
    made.program('show', SHOW)
    yield made
    made.stop()


@pytest.fixture
def real():
    """An instance with the real daemon."""
    made = Instance()
    yield made
    made.stop()


def wait_until(condition, timeout=20):
    """Poll, at most @timeout seconds."""
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, 'did not happen in time'
        time.sleep(0.02)


def show(instance, *argv, **options):
    """Run vmnet-run to its end; what `show` printed."""
    done = instance.run('vmnet-run', *argv, **options)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


# Command lines

def golden_lines():
    """The command lines of the golden files."""
    with open(os.path.join(DATA, 'commands.txt'), encoding='utf-8') as text:
        return [line.rstrip('\n') for line in text if line[0] != '#']


@pytest.mark.parametrize('version', ['7.2.22', '10.0.2'])
def test_dry_run_prints_the_golden_command_lines(fake, version):
    fake.qemu(version)
    fake.env['VMNET_SOCKET'] = '/run/user/1000/vmnet/vmnetd.sock'
    path = os.path.join(DATA, 'qemu-%s.txt' % version.rsplit('.', 1)[0])
    lines = []
    for line in golden_lines():
        done = fake.run('vmnet-run', '--dry-run', 'qemu-system-x86_64',
                        *shlex.split(line))
        assert done.returncode == 0, (line, done.stderr)
        assert done.stderr == ''
        lines.append(done.stdout)
    if os.environ.get('VMNET_UPDATE_GOLDEN'):
        with open(path, 'w', encoding='utf-8') as text:
            text.writelines(lines)
    with open(path, encoding='utf-8') as text:
        assert lines == text.readlines()
    assert len(lines) == 30
    assert not fake.started()


def test_without_a_vmnet_netdev_nothing_changes(fake):
    argv = ['-netdev', 'user,id=n', '-append', '-netdev vmnet-shared', '']
    shown = show(fake, 'show', *argv)
    assert shown['argv'] == argv
    assert not fake.started()
    assert not os.path.exists(os.path.dirname(fake.socket))


def test_system_is_not_the_commands_matter(fake):
    """What it starts in turn does not use the system instance for that."""
    done = fake.run('vmnet-run', '--system', 'env')
    assert done.returncode == 0, done.stderr
    assert 'VMNET_SOCKET' not in done.stdout
    fake.qemu('10.0.2')
    shown = fake.run('vmnet-run', '--system', '--dry-run',
                     'qemu-system-x86_64', *NETDEV)
    assert '=/run/vmnet/net0.sock' in shown.stdout, shown


def test_netdev_is_made_and_its_argument_replaced(fake):
    shown = show(fake, 'show', '-name', 'web', *NETDEV, '-device',
                 'e1000,netdev=net0')
    path = os.path.join(fake.runtime, 'vmnet', 'net0.sock')
    assert shown['argv'] == [
        '-name', 'web', '-netdev',
        'stream,id=net0,server=off,addr.type=unix,addr.path=' + path,
        '-device', 'e1000,netdev=net0,mac=52:54:00:fa:ce:01']
    assert fake.requests('netdev_add') == [
        {'type': 'vmnet-shared', 'id': 'net0', 'lifetime': 'export',
         'vm': 'web', 'mac-seed': 'name:web/net0'}]
    assert fake.requests('export-add') == [
        {'type': 'stream', 'id': 'net0', 'netdev': 'net0',
         'addr': {'type': 'unix'}}]


def test_options_arrive_with_their_types(fake):
    show(fake, 'show', '-netdev', 'vmnet-shared,id=net0,isolated=on,mtu=9000,'
         'hostfwd=tcp::1-:2,hostfwd=udp::3-:4')
    netdev = fake.requests('netdev_add')[0]
    assert netdev['isolated'] is True
    assert netdev['mtu'] == 9000
    assert netdev['hostfwd'] == ['tcp::1-:2', 'udp::3-:4']


def daemon_in(fake, name):
    """A daemon whose socket is in a folder @name; what vmnet-run executes."""
    folder = os.path.join(fake.folder, name)
    os.mkdir(folder, mode=0o700)
    fake.env['VMNET_SOCKET'] = folder + '/s,=.sock'
    return folder, show(fake, 'show', *NETDEV)['argv'][1]


def test_path_with_commas_is_escaped(fake):
    folder, argument = daemon_in(fake, 'a, b=c,')
    assert argument.endswith(
        'addr.path=' + folder.replace(',', ',,') + '/net0.sock')


def test_path_over_107_bytes_is_reached_by_its_folder(fake):
    _folder, argument = daemon_in(fake, 'a, b=c,' + 90 * 'x')
    assert re.search(r'addr\.path=/proc/self/fd/\d+/net0\.sock$', argument)


def test_one_line_says_which_network(fake):
    done = fake.run('vmnet-run', 'true', *NETDEV)
    assert done.stderr == ('vmnet: net0 on shared 192.168.107.0/24, stream; '
                           'see vmnetctl\n')
    done = fake.run('vmnet-run', '-q', 'true', *NETDEV)
    assert done.stderr == ''
    done = fake.run('vmnet-run', '-v', 'true', *NETDEV)
    assert 'cannot connect again' in done.stderr
    assert '52:54:00:fa:ce:01' in done.stderr


@pytest.mark.parametrize('argv', [
    ['true', '-netdev', 'vmnet-shared,id=net0,hostfwd=tcp::0-:22,hostfwd='
     'tcp:127.0.0.1:0-:23,' + 'hostfwd=:[::1]:0-:24,' * has_loopback6() +
     'hostfwd=:[::]:0-:25,hostfwd=udp::0-:26'],
    ['--network', 'shared,hostfwd=tcp::0-:22,hostfwd=udp::0-:26', '--', 'true'],
])
def test_forward_that_is_open_to_all_is_said_once(real, argv):
    """To whoever wrote it; for others the daemon's log has one line, ever."""
    for options, said in (([], 1), ([], 1), (['-q'], 0)):
        done = real.run('vmnet-run', *options, *argv)
        assert done.returncode == 0, done.stderr
        assert done.stderr.count('all addresses') == said
        assert ('vmnet: net0: hostfwd tcp::0-:22, udp::0-:26: on all addresses '
                'of this host; ' in done.stderr) == bool(said)
    with open(real.ctl()['daemon']['log-file'], encoding='utf-8') as log:
        assert log.read().count('all addresses') == 1


# The version

def test_version_is_asked_once_and_again_when_the_file_changes(fake):
    path = fake.qemu('8.1.0')
    for _ in range(2):
        shown = show(fake, 'qemu-system-x86_64', *NETDEV)
        assert shown['argv'][1].endswith(',reconnect=1')
    assert fake.asked() == 1
    fake.qemu('9.2.0')
    os.utime(path, ns=(1, 1))
    shown = show(fake, 'qemu-system-x86_64', *NETDEV)
    assert shown['argv'][1].endswith(',reconnect-ms=100')
    assert fake.asked() == 2


def test_version_is_not_asked_of_others(fake):
    fake.qemu('10.0.0', name='my-vmm')
    shown = show(fake, 'my-vmm', *NETDEV)
    assert 'reconnect' not in shown['argv'][1]
    assert fake.asked() == 0
    fake.qemu('10.0.0', name='qemu-kvm')
    assert 'reconnect-ms' in show(fake, 'qemu-kvm', *NETDEV)['argv'][1]


def test_version_is_learnt_without_a_state_directory(fake):
    fake.env['XDG_STATE_HOME'] = '/proc/nonexistent'
    fake.qemu('9.0.0')
    shown = show(fake, 'qemu-system-x86_64', *NETDEV)
    assert shown['argv'][1].endswith(',reconnect=1')


# Exit status

@pytest.mark.parametrize('argv, status, text', [
    (['nonexistent-command', *NETDEV], 127, 'command not found'),
    (['/nonexistent/command', *NETDEV], 127, 'command not found'),
    (['', *NETDEV], 127, 'command not found'),
    (['/etc/passwd', *NETDEV], 126, 'not executable'),
    (['/', *NETDEV], 126, 'not executable'),
    (['true', '-netdev', 'vmnet-shared'], 125, "'id' is missing"),
    (['true', '-netdev', 'vmnet-shared,id=a,foo=1'], 125, "'foo'"),
    (['true', *NETDEV, *NETDEV], 125, "Duplicate ID 'net0'"),
    ([], 125, 'no COMMAND'),
    (['--fd', '3', 'true'], 125, '--network'),
    (['--network', 'shared', '--fd', '-1', 'true'], 125, "--fd '-1'"),
    (['--network', 'shared', '--port', 'tap', 'true'], 125, "--port 'tap'"),
    (['--network', 'shared,foo=1', 'true'], 125, "'foo'"),
    (['--nonexistent', 'true'], 125, 'nonexistent'),
])
def test_mistakes_are_found_before_a_daemon_is_started(fake, argv, status,
                                                       text):
    done = fake.run('vmnet-run', *argv)
    assert done.returncode == status
    assert text in done.stderr
    assert done.stdout == ''
    assert not fake.started()


def test_exit_status_is_the_commands(fake):
    assert fake.run('vmnet-run', 'sh', '-c', 'exit 7').returncode == 7
    done = fake.run('vmnet-run', '--network', 'shared', '--', 'sh', '-c',
                    'exit 9')
    assert done.returncode == 9
    done = fake.run('vmnet-run', 'sh', '-c', 'kill -9 $$', *NETDEV)
    assert done.returncode == -9


def test_what_cannot_be_executed_leaves_no_netdev(fake):
    fake.program('bad', '#!/nonexistent/interpreter\n')
    done = fake.run('vmnet-run', 'bad', *NETDEV)
    assert done.returncode == 127
    assert fake.requests('netdev_del') == [{'id': 'net0'}]


def test_a_refused_netdev_takes_the_others_with_it(fake):
    fake.configure(answers={'netdev_add': [
        {'id': 'b', 'answer': {'error': 'no room for b'}}]})
    done = fake.run('vmnet-run', 'show', '-netdev', 'vmnet-shared,id=a',
                    '-netdev', 'vmnet-host,id=b')
    assert done.returncode == 125
    assert done.stdout == ''
    assert "netdev 'b': no room for b" in done.stderr
    assert fake.requests('netdev_del') == [{'id': 'a'}]


# Descriptors

def test_nothing_of_ours_is_inherited(fake):
    shown = show(fake, 'show', *NETDEV)
    assert set(shown['fds']) == {'0', '1', '2'}
    assert shown['children'] == []


def test_nic_gets_a_socket(fake):
    shown = show(fake, 'show', '-nic', 'vmnet-shared,model=e1000')
    text = shown['argv'][1]
    assert text.startswith('socket,fd=')
    assert text.endswith(',model=e1000,mac=52:54:00:fa:ce:01')
    fd = text.split(',')[1][len('fd='):]
    assert set(shown['fds']) == {'0', '1', '2', fd}
    assert shown['fds'][fd].startswith('socket:')
    assert fake.requests('export-add')[0]['addr']['type'] == 'fd'


def test_what_the_caller_passes_is_passed_on(fake):
    with open(os.path.join(fake.folder, 'config'), 'w+b') as mine:
        shown = show(fake, 'show', *NETDEV, pass_fds=[mine.fileno()])
        assert str(mine.fileno()) in shown['fds']
    assert set(fake.started()[0]['fds']) == {'0', '1', '2', '3'}


@pytest.mark.parametrize('port', ['stream', 'dgram'])
@pytest.mark.parametrize('fd', [3, 4, 5, 77])
def test_network_option_gives_a_connected_socket(fake, port, fd):
    code = ('import socket; s = socket.socket(fileno=%d); '
            'print(s.type, s.recv(9))' % fd)
    done = fake.run('vmnet-run', '--network', 'shared', '--fd', str(fd),
                    '--port', port, '--', sys.executable, '-c', code)
    assert done.returncode == 0, done.stderr
    number = {'stream': 1, 'dgram': 2}[port]
    assert done.stdout == "%d b'hello'\n" % number
    assert fake.requests('export-add')[0]['type'] == port
    assert fake.requests()[-3]['fds'] == ['socket:' + port] or \
        any(one['fds'] == ['socket:' + port] for one in fake.requests())


def test_datagrams_have_a_send_buffer(fake):
    """As much of 4 MiB as the kernel grants; without asking it is less."""
    code = ('import socket; own = socket.socket(fileno=3); '
            'new = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); '
            'new.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20); '
            'print(*[one.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) '
            'for one in (own, new)])')
    done = fake.run('vmnet-run', '--network', 'shared', '--port', 'dgram', '--',
                    sys.executable, '-c', code)
    granted, wanted = done.stdout.split()
    assert granted == wanted


# A child that speaks when its parent has gone; which says who the child is.
STAYS = '''
import os, socket, struct, sys
kind, fd = sys.argv[1], int(sys.argv[2])
gone, alive = os.pipe()
child = os.fork()
if child:
    print(child, flush=True)
    os._exit(0)
os.close(alive)
for number in 1, 2:
    os.dup2(os.open(os.devnull, os.O_WRONLY), number)
os.read(gone, 1)
frame = b'\\xff' * 6 + b'\\x52\\x54\\0\\0\\0\\1\\x88\\xb5' + bytes(46)
if kind == 'stream':
    frame = struct.pack('!I', len(frame)) + frame
sock = socket.socket(fileno=fd)
sock.send(frame)
while sock.recv(65536):
    pass
'''


@pytest.mark.parametrize('port', ['stream', 'dgram'])
def test_socket_is_used_by_a_child_that_stays_behind(real, port):
    done = real.run('vmnet-run', '--network', 'shared', '--fd', '3', '--port', port,
                    '--', sys.executable, '-c', STAYS, port, '3')
    assert done.returncode == 0, done.stderr
    child = int(done.stdout)
    try:
        with real.qmp() as client:
            wait_until(lambda: client.call('query-netdevs')[0]['tx-frames'] > 0)
            # Longer than a netdev stays that nobody is connected to.
            kept = time.monotonic() + 2.5
            while time.monotonic() < kept:
                assert client.call('query-netdevs')[0]['connected']
                time.sleep(0.1)
    finally:
        os.kill(child, signal.SIGKILL)
    with real.qmp() as client:
        wait_until(lambda: client.call('query-netdevs') == [])


def test_nothing_is_said_into_the_socket(fake):
    """Which may be the command's standard error."""
    code = 'import socket; print(socket.socket(fileno=2).recv(99))'
    done = fake.run('vmnet-run', '-v', '--network', 'shared', '--fd', '2', '--',
                    sys.executable, '-c', code)
    assert done.stdout == "b'hello'\n"
    assert 'vmnet: descriptor 2: 4-byte' in done.stderr


def test_what_cannot_be_executed_is_said_to_the_user(fake):
    """Whose standard error the socket has replaced."""
    fake.program('bad', '#!/nonexistent/interpreter\n')
    done = fake.run('vmnet-run', '--network', 'shared', '--fd', '2', '--', 'bad')
    assert done.returncode == 127
    assert 'cannot execute' in done.stderr


@pytest.mark.parametrize('network, expected', [
    ('shared', {'type': 'vmnet-shared'}),
    ('host', {'type': 'vmnet-host'}),
    ('lab', {'type': 'vmnet-shared', 'network': 'lab'}),
    ('vmnet-host,network=lab,isolated=on',
     {'type': 'vmnet-host', 'network': 'lab', 'isolated': True}),
    ('shared,id=mine', {'type': 'vmnet-shared', 'id': 'mine'}),
    ('{"type": "vmnet-host", "id": "x", "mtu": 9000}',
     {'type': 'vmnet-host', 'id': 'x', 'mtu': 9000}),
])
def test_network_option_names_a_network(fake, network, expected):
    done = fake.run('vmnet-run', '--network', network, '--', 'true')
    assert done.returncode == 0, done.stderr
    netdev = fake.requests('netdev_add')[0]
    assert netdev == {'id': 'net0', 'lifetime': 'export', **expected}


# Starting a daemon

def test_daemon_inherits_nothing_from_its_first_client(fake):
    fake.env.update(SECRET='1', LC_ALL='C')
    done = subprocess.run(
        ['env', '--ignore-signal=TERM', '--block-signal=USR1',
         fake.tool('vmnet-run'), 'true', *NETDEV], env=fake.env,
        cwd=fake.folder, check=False, stderr=subprocess.PIPE, timeout=30, umask=0)
    assert done.returncode == 0, done.stderr
    seen = fake.started()[0]
    log = os.path.join(fake.state, 'vmnet', 'vmnetd.log')
    assert seen['fds'] == {'0': '/dev/null', '1': '/dev/null', '2': log,
                           '3': 'socket:stream'}
    assert seen['cwd'] == '/'
    assert seen['sid'] not in (os.getsid(0), seen['pid'])
    assert seen['env']['LISTEN_FDS'] == '1'
    assert seen['env']['LISTEN_PID'] == str(seen['pid'])
    assert seen['env']['VMNET_SOCKET'] == fake.socket
    assert seen['env']['LC_ALL'] == 'C'
    assert 'SECRET' not in seen['env']
    # Python itself ignores SIGPIPE (13) and SIGXFSZ (25).
    assert int(seen['ignored'], 16) & ~(1 << 12 | 1 << 24) == 0
    assert int(seen['blocked'], 16) == 0
    assert seen['umask'] == '0077'
    assert seen['argv'] == ['--log-file', log]


def test_daemon_survives_its_first_client(fake):
    assert fake.run('vmnet-run', 'true', *NETDEV).returncode == 0
    assert fake.run('vmnet-run', 'true', *NETDEV).returncode == 0
    assert len(fake.started()) == 1


@pytest.mark.parametrize('mode', ['file', 'socket'])
def test_what_lies_at_the_sockets_path(fake, mode):
    os.makedirs(os.path.dirname(fake.socket), mode=0o700)
    if mode == 'file':
        with open(fake.socket, 'w', encoding='ascii'):
            pass
    else:
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(fake.socket)
    done = fake.run('vmnet-run', 'true', *NETDEV)
    if mode == 'file':
        assert done.returncode == 125
        assert 'is not a socket' in done.stderr
        assert os.path.isfile(fake.socket)
    else:
        assert done.returncode == 0, done.stderr


def test_a_daemon_that_dies_says_why(fake):
    fake.configure(mode='die')
    done = fake.run('vmnet-run', 'true', *NETDEV)
    assert done.returncode == 125
    assert 'vmnetd did not start: the moon is not full' \
        in done.stderr
    assert len(fake.started()) == 3


def test_a_daemon_that_is_none(fake):
    fake.configure(mode='garbage')
    done = fake.run('vmnet-run', 'true', *NETDEV)
    assert done.returncode == 125
    assert 'does not speak QMP' in done.stderr


def test_a_daemon_that_cannot_be_executed(fake):
    fake.env['VMNETD'] = '/nonexistent/vmnetd'
    done = fake.run('vmnet-run', 'true', *NETDEV)
    assert done.returncode == 125
    assert "'/nonexistent/vmnetd'" in done.stderr
    assert not os.path.exists(fake.socket)


def test_another_protocol_is_refused_with_the_mend(fake):
    fake.configure(answers={'query-version': {
        'qemu': {'major': 9, 'minor': 8, 'micro': 7}, 'package': 'x',
        'protocol': 4711, 'build': 'x'}})
    done = fake.run('vmnet-run', 'true', *NETDEV)
    assert done.returncode == 125
    for text in ('9.8.7', 'protocol 4711', 'protocol 1', 'vmnetctl stop'):
        assert text in done.stderr


def test_another_build_is_said_and_goes_on(fake):
    fake.configure(answers={'query-version': {
        'qemu': {'major': 0, 'minor': 1, 'micro': 0}, 'package': 'x',
        'protocol': 1, 'build': 'from-elsewhere'}})
    done = fake.run('vmnet-run', 'true', *NETDEV)
    assert done.returncode == 0
    assert 'from-elsewhere' in done.stderr


def test_planted_runtime_directory_is_refused(fake):
    os.symlink('/tmp', os.path.join(fake.runtime, 'vmnet'))
    done = fake.run('vmnet-run', 'true', *NETDEV)
    assert done.returncode == 125
    assert 'symbolic link' in done.stderr
    assert not fake.started()


# The same, with the real one

def start_two(instance):
    """Two first clients at once; their results."""
    clients = [Process(
        [instance.tool('vmnet-run'), '--network', 'shared', '--', 'true'],
        env=instance.env, stderr=subprocess.PIPE, text=True)
        for _ in range(2)]
    results = []
    for client in clients:
        _, text = client.communicate(timeout=30)
        results.append((client.returncode, text))
    return results


def count_daemons(instance):
    """Processes that name this instance's socket."""
    wanted = ('VMNET_SOCKET=' + instance.socket).encode()
    pids = set()
    for pid in filter(str.isdigit, os.listdir('/proc')):
        try:
            with open('/proc/%s/environ' % pid, 'rb') as text:
                if wanted in text.read().split(b'\0'):
                    pids.add(int(pid))
        except OSError:
            pass
    return pids


def test_two_first_clients_start_one_daemon_fifty_times(real):
    for _ in range(50):
        results = start_two(real)
        assert [status for status, _ in results] == [0, 0], results
        assert count_daemons(real) == set(real.pids())
        done = real.run('vmnetctl', 'stop')
        assert done.returncode == 0, done.stderr


def test_real_daemon_is_found_and_reports_early_errors(real):
    real.env['VMNET_FAKE'] = 'x'
    done = real.run('vmnet-run', '-v', 'true', *NETDEV)
    assert done.returncode == 0, done.stderr
    assert 'net0 on shared 192.168.' in done.stderr
    pids = real.pids()
    for pid in pids:
        assert os.readlink('/proc/%d/exe' % pid) == \
            os.path.realpath(os.path.join(BUILD, 'vmnetd', 'vmnetd'))
        assert os.readlink('/proc/%d/cwd' % pid) == '/'
    assert real.run('vmnetctl', 'stop').returncode == 0


def test_one_daemon_per_state_directory(real):
    assert real.run('vmnet-run', 'true', *NETDEV).returncode == 0
    elsewhere = os.path.join(real.folder, 'elsewhere')
    os.mkdir(elsewhere, mode=0o700)
    env = dict(real.env, XDG_RUNTIME_DIR=elsewhere)
    done = subprocess.run([real.tool('vmnet-run'), 'true', '-name', 'other',
                           *NETDEV], env=env,
                          stderr=subprocess.PIPE, text=True, check=False,
                          timeout=30)
    assert done.returncode == 0, done.stderr
    assert not os.path.exists(os.path.join(elsewhere, 'vmnet', 'vmnetd.sock'))
    assert len(real.ctl()['netdevs']) == 2
