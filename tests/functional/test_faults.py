"""System calls that fail: no abort, no busy loop, a message that says which.

  test -- QMP, frames, connections --> vmnetd -- strace -e inject= --> kernel

Which invocation of a call is the one that is meant is not guessed: a run
without faults is traced first, and the Nth line that matches names it.  How many
reads there are before it depends on what each of them finds, so that those around
it are tried as well.  Calls on files are chosen by path.  Each test then sees that the call did fail, on
that very object, and that whoever has to know was told which call and on what:
in standard error, the log, or the error that a client gets.

memfd_create and execve do not fail here because vmnetd calls neither.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from typing import NamedTuple

import pytest

from lib import services
from lib.instance import BUILD, Instance
from lib.process import Process
from lib.qmp import QmpError
from lib.vhost_front import VhostFront
from lib.vmm import Silence, Vmm

ASAN = 'asan' in os.path.basename(BUILD)
QUERY = (b'\0\1\1\0\0\1\0\0\0\0\0\0\4name\7example\0\0\1\0\1')
ADDRESS = bytes([198, 51, 100, 7])
GUEST_PORT = 22


class Fault(NamedTuple):
    """One call that fails."""

    call: str
    error: str
    where: str      # a path in braces' terms, or what the trace's line has
    times: int      # 0: from then on
    ends: bool      # the daemon does not start; otherwise it serves in the end
    texts: tuple    # of standard error, the log, or a client's error
    nth: int = 1    # of the trace's lines that match

    def __str__(self):
        place = re.sub(r'[^A-Za-z0-9_.]+', '-', self.where).strip('-')
        return '-'.join((self.call, self.error, place,
                         str(self.times or 'always')))


def starts_not(call, error, where, *texts):
    """A fault that vmnetd says and does not start with."""
    return Fault(call, error, where, 0, True, texts)


def for_a_while(call, error, where, *texts, times=1, nth=1):
    """A fault that passes, and after which everything works."""
    return Fault(call, error, where, times, False, texts, nth)


def works_without(call, error, where, *texts):
    """A fault that stays, and leaves service as it is."""
    return Fault(call, error, where, 0, False, texts)


QMP_LISTEN = r'UNIX-STREAM:\[\d+,"[^"]*vmnetd\.sock"'
QMP_CLIENT = r'UNIX-STREAM:\[\d+->\d+,"[^"]*vmnetd\.sock"'
VMM_LISTEN = r'UNIX-STREAM:\[\d+,"[^"]*-n1\.sock"'
VMM_LINK = r'UNIX-STREAM:\[\d+->\d+,"[^"]*-n1\.sock"'
# Sockets for TCP before that of a guest's flow: DNS for guests, and a forward.
NTH_FLOW = 3
# Sockets for UDP before the resolver's: that of a guest's flow.
NTH_ASK = 2
SHARED = '{state}/vmnet/networks/shared'
KEPT = 'leases and addresses are kept in memory only'

FAULTS = [
    # Starting
    starts_not('openat', 'ENOSPC', '{folder}/log', "log file '{folder}/log'",
               'No space left on device'),
    starts_not('openat', 'EMFILE', '{folder}/pid', "--pidfile '{folder}/pid'",
               'Too many open files'),
    starts_not('mkdir', 'ENOSPC', '{run}/vmnet',
               "runtime directory '{run}/vmnet'", 'No space left on device'),
    starts_not('socket', 'EMFILE', r'AF_UNIX',
               "cannot listen on '{socket}': socket: Too many open files"),
    starts_not('bind', 'EPERM', r'AF_UNIX.*vmnetd\.sock',
               "cannot listen on '{socket}': bind: Operation not permitted"),
    starts_not('listen', 'ENOMEM', QMP_LISTEN,
               "cannot listen on '{socket}': listen: Cannot allocate memory"),
    starts_not('signalfd4', 'EMFILE', '', 'signalfd: Too many open files'),
    starts_not('epoll_create1', 'EMFILE', '',
               'event loop: epoll_create1: Too many open files'),
    starts_not('timerfd_create', 'ENOMEM', '',
               'event loop: timerfd_create: Cannot allocate memory'),
    starts_not('epoll_ctl', 'ENOSPC', r'EPOLL_CTL_ADD, \d+<anon_inode:\[timerfd',
               'event loop: epoll_ctl: No space left on device'),
    starts_not('epoll_ctl', 'ENOSPC', 'EPOLL_CTL_ADD.*' + QMP_LISTEN,
               "QMP socket '{socket}': ", 'epoll_ctl: No space left on device'),
    # Starting with less
    works_without('openat', 'EMFILE', '{folder}/log.1',
                  "log file '{folder}/log' will not be kept short",
                  'Too many open files'),
    works_without('openat', 'EPERM', '{run}/vmnet/vmnetd.lock',
                  "lock file '{run}/vmnet/vmnetd.lock': Operation not permitted"),
    works_without('mkdir', 'ENOSPC', '{state}/vmnet',
                  "state directory '{state}/vmnet': No space left on device",
                  'leases are kept in memory only'),
    works_without('openat', 'EMFILE', '{state}/vmnet/lock',
                  "lock file '{state}/vmnet/lock': Too many open files",
                  'leases are kept in memory only'),
    works_without('pwrite64', 'ENOSPC', '{state}/vmnet/lock',
                  "lock file '{state}/vmnet/lock': No space left on device",
                  'leases are kept in memory only'),
    for_a_while('socket', 'EPERM', 'AF_NETLINK',
                'routes of the host are not known', 'Operation not permitted',
                times=2),
    for_a_while('bind', 'EPERM', 'AF_NETLINK',
                'routes of the host are not known', 'Operation not permitted'),
    for_a_while('sendto', 'ENOMEM', 'NETLINK',
                'cannot ask the kernel for routes: Cannot allocate memory'),
    for_a_while('recvfrom', 'ENOMEM', 'NETLINK',
                'cannot ask the kernel for routes: Cannot allocate memory'),
    works_without('clone3', 'EAGAIN', '', 'vmnetd-state', KEPT),
    # Files
    works_without('mkdir', 'ENOSPC', '{state}/vmnet/networks',
                  SHARED, 'No space left on device', KEPT),
    works_without('openat', 'EMFILE', SHARED + '/network.new',
                  SHARED + '/network', 'Too many open files', KEPT),
    works_without('write', 'ENOSPC', SHARED + '/leases.new',
                  SHARED + '/leases', 'No space left on device', KEPT),
    works_without('fsync', 'EIO', SHARED + '/leases.new',
                  SHARED + '/leases', 'Input/output error', KEPT),
    works_without('rename', 'ENOSPC', SHARED + '/leases.new',
                  SHARED + '/leases', 'No space left on device', KEPT),
    works_without('openat', 'EMFILE', '{run}/vmnet/record.json.new',
                  "'{run}/vmnet/record.json'", 'Too many open files'),
    works_without('write', 'ENOSPC', '{run}/vmnet/record.json.new',
                  "'{run}/vmnet/record.json'", 'No space left on device'),
    works_without('rename', 'ENOSPC', '{run}/vmnet/record.json.new',
                  "'{run}/vmnet/record.json'", 'No space left on device'),
    for_a_while('openat', 'EMFILE', '{folder}/resolv.conf',
                "resolver file '{folder}/resolv.conf': Too many open files"),
    # Clients
    for_a_while('accept4', 'EMFILE', QMP_LISTEN,
                'accept on the QMP socket: Too many open files', times=3),
    for_a_while('accept4', 'ENOMEM', QMP_LISTEN,
                'accept on the QMP socket: Cannot allocate memory'),
    for_a_while('epoll_ctl', 'ENOSPC', 'EPOLL_CTL_ADD.*' + QMP_CLIENT,
                'client {self}: ', 'epoll_ctl: No space left on device'),
    for_a_while('getsockopt', 'ENOMEM', QMP_CLIENT + '.*SO_PEERCRED',
                'SO_PEERCRED of a client: Cannot allocate memory'),
    for_a_while('recvmsg', 'ENOMEM', QMP_CLIENT,
                'client {self}: recvmsg: Cannot allocate memory'),
    for_a_while('sendto', 'ENOMEM', QMP_CLIENT,
                'client {self}: send: Cannot allocate memory'),
    # VMMs
    for_a_while('socket', 'EMFILE', 'AF_UNIX, SOCK_STREAM',
                "cannot listen on '{run}/vmnet/fault-n1.sock': socket: "
                'Too many open files', nth=2),
    for_a_while('accept4', 'EMFILE', VMM_LISTEN,
                'export en1: accept: Too many open files', times=2),
    for_a_while('epoll_ctl', 'ENOSPC', 'EPOLL_CTL_ADD.*' + VMM_LISTEN,
                'export en1: ', 'epoll_ctl: No space left on device'),
    for_a_while('epoll_ctl', 'ENOMEM', 'EPOLL_CTL_ADD.*' + VMM_LINK,
                'export en1 of netdev fault/n1: ',
                'epoll_ctl: Cannot allocate memory'),
    for_a_while('recvfrom', 'ENOMEM', VMM_LINK,
                'export fault/en1: the VMM went: cannot read from the VMM: recv: '
                'Cannot allocate memory'),
    # Nobody is told: what was to be sent waits for some milliseconds.
    for_a_while('sendmsg', 'ENOMEM', VMM_LINK, times=3),
    for_a_while('sendmsg', 'EPERM', VMM_LINK,
                'export fault/en1: the VMM went: cannot write to the VMM: '
                'sendmsg: Operation not permitted'),
    # Guests' connections
    for_a_while('socket', 'EMFILE', r'AF_INET, SOCK_DGRAM.*IPPROTO_IP\)',
                'guest {guest} port 1000: socket: Too many open files', times=2),
    for_a_while('socket', 'ENOMEM', 'AF_INET, SOCK_STREAM.*NONBLOCK',
                'guest {guest} port 1001: socket: Cannot allocate memory',
                nth=NTH_FLOW),
    for_a_while('epoll_ctl', 'ENOSPC', r'EPOLL_CTL_ADD.*<UDP',
                'guest {guest} port 1000: epoll_ctl: No space left on device',
                times=2),
    for_a_while('sendmmsg', 'ENOMEM', '<UDP',
                'guest {guest} port 1000: sendmmsg: Cannot allocate memory'),
    for_a_while('recvmmsg', 'ENOMEM', '<UDP',
                'guest {guest} port 1000: recvmmsg: Cannot allocate memory'),
    for_a_while('recvmsg', 'ENOMEM', '<TCP',
                'guest {guest} port 1001: recvmsg: Cannot allocate memory'),
    for_a_while('connect', 'EPERM', 'AF_INET',
                'guest {guest} port 1001: connect: Operation not permitted'),
    # Names
    for_a_while('bind', 'EPERM', r'AF_INET,.*127\.0\.0\.1',
                'DNS over TCP for guests, on 127.0.0.1: bind: '
                'Operation not permitted'),
    for_a_while('socket', 'EMFILE', r'AF_INET, SOCK_DGRAM.*IPPROTO_IP\)',
                'DNS server 127.0.0.1 port {dns}: socket: Too many open files',
                nth=NTH_ASK),
    for_a_while('sendto', 'EPERM', '<UDP', 'DNS server 127.0.0.1 port {dns}: '
                'send: Operation not permitted'),
    for_a_while('recvfrom', 'ENOMEM', '<UDP',
                'DNS server 127.0.0.1 port {dns}: recv: Cannot allocate memory'),
    # Forwards
    for_a_while('bind', 'EPERM', r'AF_INET,.*127\.0\.0\.1',
                'cannot listen on 127.0.0.1:0/tcp: ', 'Operation not permitted',
                nth=2),
    for_a_while('accept4', 'EMFILE', '<TCP', 'forward on 127.0.0.1 port ',
                'accept: Too many open files', times=2),
]
if not ASAN:
    # ASan's own allocator ends the process when mmap fails.
    FAULTS += [
        works_without('mmap', 'ENOMEM', 'MAP_STACK', 'vmnetd-state', KEPT),
    ]


class OtherCall(Exception):
    """The one that is meant did not fail."""


# Runs until the call that is meant has failed: invocations beside the traced one.
TRIES = (0, 0, -1, 1, -2, 2)

UNFINISHED = ' <unfinished ...>\n'
RESUMED = re.compile(r'\d+\s+<\.\.\. \w+ resumed>')

# Faults that stay, and for which guests or clients have to do without.
LASTING = [
    ('sendmsg', 'ENOMEM', VMM_LINK), ('recvfrom', 'ENOMEM', VMM_LINK), ('accept4', 'EMFILE', VMM_LISTEN),
    ('accept4', 'EMFILE', '<TCP'), ('accept4', 'EPERM', '<TCP'),
    ('recvmmsg', 'ENOMEM', '<UDP'),
    ('socket', 'EMFILE', 'AF_INET, SOCK_DGRAM'), ('timerfd_settime', 'EINVAL', ''),
]


class Greeter(threading.Thread):
    """A TCP service that speaks first."""

    def __init__(self):
        super().__init__(daemon=True)
        self._listener = socket.create_server(('127.0.0.1', 0))
        self.port = self._listener.getsockname()[1]
        self.start()

    def run(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                connection.sendall(b'greeting')
                connection.recv(1)      # a reset: the guest has it

    def close(self):
        """No more connections."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


def whole_lines(trace):
    """strace's lines, with calls joined that it told of in two."""
    lines, begun = [], {}
    for line in trace:
        pid = line.split(None, 1)[0]
        resumed = RESUMED.match(line)
        if line.endswith(UNFINISHED):
            begun[pid] = len(lines)
            lines.append(line)
        elif resumed and pid in begun:
            at = begun.pop(pid)
            lines[at] = lines[at][:-len(UNFINISHED)] + line[resumed.end():]
        else:
            lines.append(line)
    return lines


class Traced:
    """A daemon under strace, and the servers that its guest speaks with."""

    def __init__(self, *strace):
        self.strace = strace
        self.options = ['--no-supervisor']
        self.instance = Instance()
        self.trace = os.path.join(self.instance.folder, 'trace')
        self.echo = services.UdpEcho('127.0.0.1')
        self.dns = services.DnsServer({'name.example': ['198.51.100.7']})
        self.listener = Greeter()
        with open(self.instance.resolv_conf, 'w', encoding='ascii') as out:
            out.write('nameserver 127.0.0.1#%d\n' % self.dns.port)
        self.process = None
        self.errors = []        # that clients got
        self.guest = ''

    def names(self):
        """What braces in the table stand for."""
        made = self.instance
        return {'folder': made.folder, 'run': made.runtime, 'state': made.state,
                'socket': made.socket, 'self': os.getpid(),
                'guest': self.guest, 'dns': self.dns.port}

    def start(self):
        """Returns when the socket is there, or vmnetd has ended."""
        made = self.instance
        env = dict(made.env)
        # LeakSanitizer wants to trace the process itself.
        env['ASAN_OPTIONS'] = 'detect_leaks=0'
        with open(os.path.join(made.folder, 'vmnetd.err'), 'wb') as stderr:
            self.process = Process(
                ['strace', '-f', '-yy', '-s', '0', '-o', self.trace,
                 *self.strace, os.path.join(BUILD, 'vmnetd', 'vmnetd'),
                 *self.options, '--socket', made.socket,
                 '--log-file', made.folder + '/log',
                 '--pidfile', made.folder + '/pid'],
                env=env, stdin=subprocess.DEVNULL, stderr=stderr)
        end = time.monotonic() + 15
        while not self.is_serving() and self.process.poll() is None:
            assert time.monotonic() < end, self.text()
            time.sleep(0.005)
        return self

    def is_serving(self):
        """Without a connection that the daemon would see."""
        try:
            return os.path.getsize(self.instance.folder + '/pid') > 0
        except OSError:
            return False

    def text(self):
        """Standard error and the log."""
        text = self.instance.stderr()
        if os.path.exists(self.instance.folder + '/log'):
            with open(self.instance.folder + '/log', encoding='utf-8',
                      errors='replace') as log:
                text += log.read()
        return text + '\n'.join(self.errors)

    def lines(self):
        """The trace; a call that another thread's came into is whole again."""
        with open(self.trace, encoding='utf-8', errors='replace') as text:
            return whole_lines(text)

    def injected(self):
        """Its lines about calls that were made to fail."""
        return [line for line in self.lines() if '(INJECTED)' in line]

    def pid(self):
        """The daemon's, which is strace's only child."""
        with open('/proc/%d/task/%d/children' % (self.process.pid,
                                                 self.process.pid),
                  encoding='ascii') as text:
            return int(text.read().split()[0])

    def use(self, then=lambda client: None):
        """All that a VMM, its guest and a client do."""
        with self.instance.qmp() as client:
            _ident, path = self.instance.netdev(
                client, host_loopback=True, lifetime='export',
                vm='fault', hostfwd=['tcp:127.0.0.1:0-:%d' % GUEST_PORT])
            try:
                with Vmm(path, timeout=1.5) as vmm:
                    try:
                        self.speak(client, vmm)
                    finally:
                        then(client)
            finally:
                for netdev in client.call('query-netdevs'):
                    client.call('netdev_del', id=netdev['id'])

    def speak(self, client, vmm):
        """The guest's part."""
        self.guest = vmm.lease()
        if vmm.ask(1000, self.echo.port, b'word') != b'word':
            raise Silence('another word came back')
        if vmm.fetch(1001, self.listener.port) != b'greeting':
            raise Silence('something else was sent')
        if ADDRESS not in vmm.ask(1002, 53, QUERY):
            raise Silence('the name was not resolved')
        port = client.call('query-forwards')[0]['host-port']
        with socket.create_connection(('127.0.0.1', port), timeout=2):
            vmm.await_syn(GUEST_PORT)

    def end(self):
        """SIGTERM; returns the exit status."""
        if self.process.poll() is None:
            os.kill(self.pid(), signal.SIGTERM)
        return self.process.wait(20)

    def close(self):
        """Whatever is left."""
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for server in (self.echo, self.dns, self.listener):
            server.close()
        self.instance.stop()


@pytest.fixture(scope='module')
def calls():
    """The trace of a run without faults: [(call, whole line)], first thread."""
    if not shutil.which('strace'):
        pytest.skip('needs strace')
    names = sorted({fault[0] for fault in [*FAULTS, *LASTING]})
    run = Traced('-e', 'trace=' + ','.join(names))
    try:
        run.start()
        run.use()
        assert run.end() == 0, run.text()
        lines = [line.split(None, 1) for line in run.lines()]
        first = lines[0][0]
        return [(text.split('(', 1)[0], text) for pid, text in lines
                if pid == first and '(' in text]
    finally:
        run.close()


def ordinal(calls, fault):
    """Which invocation of the call it is, from 1."""
    count = nth = 0
    for name, text in calls:
        if name == fault.call:
            count += 1
            nth += bool(re.search(fault.where, text))
            if nth == fault.nth:
                return count
    raise AssertionError('%s: no such call was made' % str(fault))


def options(calls, fault, names, beside=0):
    """strace's, for one fault; @beside: so many invocations later."""
    if fault.where.startswith('{'):
        first, by_path = 1, ['-P', fault.where.format(**names)]
    else:
        first, by_path = max(1, ordinal(calls, fault) + beside), []
    when = '%d..%d' % (first, first + fault.times - 1) if fault.times \
        else '%d+' % first
    return [*by_path, '-e', 'trace=' + fault.call, '-e', 'inject=%s:error=%s:'
            'when=%s' % (fault.call, fault.error, when)]


def cpu_ticks(pid):
    """Of a process, in user and kernel mode."""
    with open('/proc/%d/stat' % pid, encoding='ascii') as text:
        fields = text.read().rsplit(')', 1)[1].split()
    return int(fields[11]) + int(fields[12])


def assert_idle(run):
    """Nobody asks for anything, so little is done: no call over and over."""
    pid = run.pid()
    calls, used = len(run.lines()), cpu_ticks(pid)
    time.sleep(0.2)     # a window to count in
    assert len(run.lines()) - calls < 40, 'busy loop: ' + run.lines()[-1]
    assert cpu_ticks(pid) - used < 15, 'busy loop'


def missing_texts(calls, fault, beside):
    """
    One run with that fault.  Returns: what was not told of it.  How many reads
    there are before the one that is meant depends on how many frames each of them
    finds, and the host's routes change: another invocation may be the one.
    """
    run = Traced()
    run.strace = options(calls, fault, run.names(), beside)
    if fault.where != '{run}/vmnet':        # which vmnetd is to make
        os.makedirs(os.path.dirname(run.instance.socket), mode=0o700)
    try:
        run.start()
        if not fault.ends:
            assert run.process.poll() is None, run.text()
            served(run)
        status = run.end()
        text = run.text()
        assert status == (1 if fault.ends else 0), text
        if not run.injected():
            raise OtherCall('the call that is to fail was not made')
        if not fault.where.startswith('{') and not any(
                re.search(fault.where, line) for line in run.injected()):
            raise OtherCall('another call failed: ' + run.injected()[0])
        wanted = [part.format(**run.names()) for part in fault.texts]
        return [part for part in wanted if part not in text]
    finally:
        run.close()


def test_lines_of_two_threads():
    assert whole_lines([
        '7  socket(AF_INET, SOCK_DGRAM, IPPROTO_IP <unfinished ...>\n',
        '8  fsync(9</leases>) = 0\n',
        '7  <... socket resumed>) = 5<UDP:[1]>\n', '8  <... poll resumed>) = 1\n',
    ]) == ['7  socket(AF_INET, SOCK_DGRAM, IPPROTO_IP) = 5<UDP:[1]>\n',
           '8  fsync(9</leases>) = 0\n', '8  <... poll resumed>) = 1\n']


@pytest.mark.parametrize('fault', FAULTS, ids=str)
def test_failing_call(calls, fault):
    for beside in TRIES:
        try:
            assert not missing_texts(calls, fault, beside)
            return
        except OtherCall as error:
            told = str(error)
    pytest.fail(told)


def served(run):
    """Faults pass, or leave service as it is: in the end everything works."""
    end = time.monotonic() + 12
    while True:
        try:
            run.use(lambda _: assert_idle(run))
            return
        except (OSError, EOFError, QmpError, Silence) as error:
            run.errors.append(str(error))
            assert run.process.poll() is None, run.text()
            assert time.monotonic() < end, (error, run.text())
            time.sleep(0.02)


@pytest.mark.parametrize('call,error,where', LASTING)
def test_failing_for_good(calls, call, error, where):
    """Guests go without; clients do not, and the daemon rests."""
    fault = works_without(call, error, where)
    run = Traced()
    run.strace = options(calls, fault, run.names())
    idle = []

    def rests(client):
        assert_idle(run)
        client.call('query-networks')
        idle.append(True)

    os.makedirs(os.path.dirname(run.instance.socket), mode=0o700)
    try:
        run.start()
        try:
            run.use(rests)
        except (OSError, EOFError, QmpError, Silence):
            pass
        assert any(re.search(where, line) for line in run.injected())
        assert idle
        assert run.end() == 0, run.text()
        assert len(run.text()) < 8192
    finally:
        run.close()


def mapping(run):
    """A front end whose guest's memory cannot be mapped, and then can."""
    ram = run.instance.folder + '/ram'
    with run.instance.qmp() as client:
        client.call('netdev_add', type='vmnet-shared', id='m')
        export = client.call('export-add', type='vhost-user', id='em', netdev='m',
                             addr={'type': 'unix'})
        with VhostFront(export['path'], ram) as front:
            with pytest.raises((OSError, EOFError)):
                front.share()
        with VhostFront(export['path'], ram) as front:
            front.share()
            assert_idle(run)


@pytest.mark.skipif(not shutil.which('strace'), reason='needs strace')
def test_memory_of_a_guest_that_cannot_be_mapped():
    run = Traced()
    run.strace = ['-P', run.instance.folder + '/ram', '-e', 'trace=mmap',
                  '-e', 'inject=mmap:error=ENOMEM:when=1']
    os.makedirs(os.path.dirname(run.instance.socket), mode=0o700)
    try:
        run.start()
        mapping(run)
        assert len(run.injected()) == 1
        assert run.end() == 0, run.text()
        assert re.search(r'export \d+/em: the VMM went: .*memory region at 0x0: '
                         'mmap: Cannot allocate memory', run.text())
    finally:
        run.close()


# Of the supervisor: its calls come before the engine's.
SUPERVISOR = [
    ('signalfd4', 'EMFILE', 'signalfd: Too many open files; '
     'vmnetd runs without a supervisor'),
    ('clone', 'EAGAIN', 'fork: Resource temporarily unavailable; '
     'vmnetd runs without a supervisor'),
    ('socketpair', 'EMFILE', 'socketpair: Too many open files; sockets of '
     'exports outside the runtime directory will be left behind'),
    ('poll', 'ENOMEM', 'supervisor of engine {engine}: poll: '
     'Cannot allocate memory'),
]


@pytest.mark.skipif(not shutil.which('strace'), reason='needs strace')
@pytest.mark.parametrize('call,error,text', SUPERVISOR)
def test_supervisor(call, error, text):
    run = Traced('-e', 'trace=' + call,
                 '-e', 'inject=%s:error=%s:when=1' % (call, error))
    run.options = []
    os.makedirs(os.path.dirname(run.instance.socket), mode=0o700)
    try:
        run.start()
        with run.instance.qmp() as client:
            engine = client.call('query-daemon')['pid']
        run.use()
        assert run.injected()[0].split()[0] == str(run.pid())
        assert run.end() == 0, run.text()
        assert text.format(engine=engine) in run.text()
    finally:
        run.close()


@pytest.mark.skipif(not shutil.which('strace'), reason='needs strace')
def test_calls_that_are_not_made():
    run = Traced('-e', 'trace=memfd_create,execve,execveat')
    os.makedirs(os.path.dirname(run.instance.socket), mode=0o700)
    try:
        run.start()
        run.use()
        assert run.end() == 0, run.text()
        # strace's own, of vmnetd.
        calls = [line for line in run.lines() if '(' in line]
        assert len(calls) == 1 and 'execve(' in calls[0]
    finally:
        run.close()
