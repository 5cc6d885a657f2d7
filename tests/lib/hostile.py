"""One guest sends garbage at full rate; what two others keep is measured.

  victims: ns one -- ns two, iperf3 and ping
  blaster: a set of tests/data/hostile, as fast as the daemon takes it
  host:    a name server and a TCP service, so that what it sends gets somewhere

SPDX-License-Identifier: GPL-2.0-or-later
"""

import contextlib
import glob
import os
import re
import selectors
import socket
import subprocess
import threading
import time
from typing import NamedTuple

from lib import services
from lib.instance import BUILD, TOP, Instance
from lib.lab import Lab
from lib.process import Process

SETS = sorted(glob.glob(os.path.join(TOP, 'tests/data/hostile/*.frames')))

# What has to be kept.
SHARE_KEPT = 0.5
P99_MS = 50
LOG_BYTES = 64 * 1024
# What a set has to reach, or it is no test of that: a field of Reached.
AIMS = {'dhcp': 'leases', 'dns': 'queries', 'tcp': 'bytes'}
# Once the guest has gone: what it made the daemon allocate is freed, but the
# allocator keeps pages of it, and code that had not run before is mapped now.
GROWTH_KIB = 2048


def set_name(path):
    """Of a file of frames."""
    return os.path.basename(path)[:-len('.frames')]


class NameServer(services.DnsServer):
    """Knows no name, and says so at once."""

    def __init__(self):
        super().__init__({})

    def serve(self):
        query, peer = self.socket.recvfrom(4096)
        if len(query) >= 12:
            self.requests += 1
            self.socket.sendto(query[:2] + b'\x81\x83' + query[4:], peer)


class Sink(threading.Thread):
    """A TCP service that greets, reads what comes and throws it away."""

    def __init__(self):
        super().__init__(daemon=True)
        self._listener = socket.create_server(('0.0.0.0', 0), backlog=128)
        self._listener.setblocking(False)
        self.port = self._listener.getsockname()[1]
        self.connections = self.bytes = 0
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._buffer = bytearray(256 * 1024)
        self.start()

    def run(self):
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is not self._listener:
                    self._read(key.fileobj)
                elif not self._accept():
                    return

    def _accept(self):
        try:
            connection, _ = self._listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return True
        except OSError:
            return False        # it was closed
        self.connections += 1
        connection.setblocking(False)
        self._selector.register(connection, selectors.EVENT_READ)
        with contextlib.suppress(OSError):
            connection.send(b'greeting' * 100)
        return True

    def _read(self, connection):
        try:
            count = connection.recv_into(self._buffer)
        except BlockingIOError:
            return
        except OSError:
            count = 0
        self.bytes += count
        if count == 0:
            self._selector.unregister(connection)
            connection.close()

    def close(self):
        """It and its connections."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self.join(20)
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()
        self._selector.close()


class Reached(NamedTuple):
    """Beyond the first check of what a guest sends."""

    leases: int         # that there are
    queries: int        # at the name server
    connections: int    # at the TCP service
    bytes: int          # there

    def since(self, before):
        """What came after @before; leases stay."""
        return Reached(self.leases, *(
            now - then for now, then in zip(self[1:], before[1:])))


class Outcome(NamedTuple):
    """Of one set."""

    name: str
    sent: str           # what the blaster says
    alone: float        # Mbit/s
    during: float
    p99: float          # ms
    before_kib: int
    after_kib: int
    log_bytes: int
    same_daemon: bool
    reached: Reached

    @property
    def kept(self):
        """Share of the throughput."""
        return self.during / self.alone

    def misses(self):
        """What was not kept, in words; without speed: see wrongs()."""
        found = self.wrongs()
        if self.kept < SHARE_KEPT:
            found.append('kept %.2f of the throughput' % self.kept)
        if self.p99 >= P99_MS:
            found.append('p99 %.1f ms' % self.p99)
        if self.after_kib - self.before_kib > GROWTH_KIB:
            found.append('memory grew by %d KiB'
                         % (self.after_kib - self.before_kib))
        return found

    def wrongs(self):
        """What must not be on any machine, nor under sanitizers."""
        found = []
        if not self.same_daemon:
            found.append('another daemon runs')
        if self.log_bytes >= LOG_BYTES:
            found.append('log grew by %d bytes' % self.log_bytes)
        aim = AIMS.get(self.name)
        if aim and getattr(self.reached, aim) == 0:
            found.append('no %s: nothing was reached' % aim)
        return found


def percentile(text, share):
    """Of ping's times, in ms."""
    times = sorted(float(t) for t in re.findall(r'time=([\d.]+) ms', text))
    if not times:
        raise RuntimeError('no ping was answered: ' + text)
    return times[min(len(times) - 1, int(len(times) * share))]


class Victims:
    """Two guests of a daemon, an iperf3 server in the second, and the host."""

    def __init__(self):
        with contextlib.ExitStack() as stack:
            self.instance = Instance()
            stack.callback(self.instance.stop)
            self.names = stack.enter_context(contextlib.closing(NameServer()))
            self.sink = stack.enter_context(contextlib.closing(Sink()))
            with open(self.instance.resolv_conf, 'w', encoding='ascii') as out:
                out.write('nameserver 127.0.0.1#%d\n' % self.names.port)
            self.lab = Lab(self.instance.start())
            stack.callback(self.lab.close)
            self.one = self.lab.configured(50)
            self.two = self.lab.configured(51)
            stack.enter_context(self._iperf_server())
            self.one.call('ping', '-c', '1', '-w', '5', self.two.ip)
            self._stack = stack.pop_all()

    @contextlib.contextmanager
    def _iperf_server(self):
        """One that listens, until it is killed: when SIGTERM finds iperf3 at work
        it may wait for itself."""
        path = os.path.join(self.instance.folder, 'iperf3')
        with open(path, 'a+', encoding='ascii') as log, self.two.popen(
                'iperf3', '-s', '--forceflush', stdout=log,
                stderr=subprocess.STDOUT) as server:
            end = time.monotonic() + 20
            while not log.seek(0) and 'listening' not in log.read():
                if server.poll() is not None or time.monotonic() > end:
                    raise RuntimeError('iperf3 does not listen')
                time.sleep(0.01)
            yield

    def rate(self, seconds):
        """Mbit/s from one to two."""
        text = self.one.run('iperf3', '-f', 'm', '-c', self.two.ip, '-t',
                            str(seconds), timeout=seconds + 30).stdout
        match = re.search(r'([\d.]+) Mbits/sec.*receiver', text)
        if not match:
            raise RuntimeError('iperf3: ' + text)
        return float(match.group(1))

    def _pinging(self, seconds):
        """Not from the guest that sends: its own queue is full of its own data."""
        return self.two.popen('ping', '-i', '0.02', '-w', str(seconds),
                              self.lab.network()['gateway'],
                              stdout=subprocess.PIPE)

    def _blaster(self, socket, path, seconds):
        return Process(
            [os.path.join(BUILD, 'tests/tools/blaster'), '--socket', socket,
             '--frames', path, '--seconds', str(seconds), '--gateway',
             self.lab.network()['mac'], '--service', str(self.sink.port)],
            stdout=subprocess.PIPE, text=True)

    def _reached(self):
        return Reached(len(self.lab.client.call('query-leases')),
                       self.names.requests, self.sink.connections, self.sink.bytes)

    def suffer(self, path, seconds, alone_seconds):
        """The set @path for so long, after a time without it: Outcome."""
        instance = self.instance
        alone = self.rate(alone_seconds)
        pids, log = instance.pids(), len(instance.stderr())
        before_kib, reached = instance.rss_kib(), self._reached()
        ident, socket = instance.netdev(self.lab.client)
        with self._blaster(socket, path, seconds + 1) as blaster, \
                self._pinging(seconds + 1) as ping:
            during = self.rate(seconds)
            p99 = percentile(ping.communicate(timeout=seconds + 30)[0], 0.99)
            sent = blaster.communicate(timeout=30)[0].strip()
        reached = self._reached().since(reached)
        self.lab.client.call('netdev_del', id=ident)
        return Outcome(set_name(path), sent, alone, during, p99, before_kib,
                       instance.rss_kib(), len(instance.stderr()) - log,
                       instance.pids() == pids, reached)

    def close(self):
        """All of it goes."""
        self._stack.close()
