"""Works a daemon for minutes or hours, and looks at what wears out.

  guest steady ----+           +-- echo of pulses, over NAT
  guest restless --+-- vmnetd -+
  ns one, ns two --+           +-- forwards to steady, made and removed

Run by scripts/soak, which builds.  What is never touched is watched by the
second: pulses that the host sends to steady by TCP and gets back, and pings
between the namespaces.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import argparse
import os
import random
import re
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(TOP, 'tests'))

from lib import image, netns, services              # noqa: E402
from lib.guest import BOOTS, Guest, GuestError      # noqa: E402
from lib.instance import BUILD, IMAGE, Instance      # noqa: E402
from lib.qmp import QmpError                        # noqa: E402

QEMU = 'qemu-system-x86_64'
ASAN = 'asan' in os.path.basename(BUILD)
LEASE_S = 20
GAP_MAX_S = 1.0
FDS_SPARE = 6
RSS_SPARE_KIB = 1024
LOG_BYTES, LOG_BYTES_PER_MINUTE = 16384, 16384
FILES = {'/data': os.urandom(1 << 20)}
# ASan keeps freed memory for a while; not for as long as we run.
SANITIZERS = 'quarantine_size_mb=4:detect_leaks=1:malloc_context_size=5'


class Pulse:
    """A TCP service: sends numbers to whoever connects, who sends them back."""

    PERIOD_S = 0.05

    def __init__(self):
        self._listener = socket.create_server(('0.0.0.0', 0))
        self.port = self._listener.getsockname()[1]
        self.gap = 0.0
        self.count = 0
        self.ended = None
        self._over = False
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        connection, _ = self._listener.accept()
        connection.settimeout(30)
        threading.Thread(target=self._send, args=(connection,),
                         daemon=True).start()
        last = time.monotonic()
        try:
            while not self._over:
                if not connection.recv(4096):
                    raise OSError('end of stream')
                now = time.monotonic()
                self.gap = max(self.gap, now - last)
                last = now
                self.count += 1
        except OSError as error:
            if not self._over:
                self.ended = str(error)

    def _send(self, connection):
        number = 0
        try:
            while not self._over:
                number += 1
                connection.sendall(b'%063d\n' % number)
                time.sleep(self.PERIOD_S)
        except OSError:
            pass

    def stop(self):
        """The end is not a failure from now on."""
        self._over = True


def ping_gap(text):
    """The longest time between two answers, from ping -D."""
    times = [float(stamp) for stamp in
             re.findall(r'^\[([\d.]+)\] \d+ bytes from', text, re.M)]
    if len(times) < 2:
        return float('inf'), len(times)
    return max(b - a for a, b in zip(times, times[1:])), len(times)


class Soak:
    """Guests, namespaces, samples, and what went wrong."""

    def __init__(self, options):
        self.options = options
        self.dice = random.Random(options.seed)
        self.errors = []
        self.samples = []           # (descriptors, KiB)
        self.restarts = self.forwards = self.fetches = 0
        self.namespaces = []
        self.running = []           # processes in namespaces
        self.guests = {}
        self.kernel = image.ensure(IMAGE)
        self.http = services.HttpServer(FILES)
        self.pulse = Pulse()
        self.instance = Instance()
        self.pings = None
        self.ping_file = os.path.join(self.instance.folder, 'pings')
        self.netdev = 'vmnet-shared,id=net0,lease-time=%d' % LEASE_S
        if not services.host_addresses()[0]:
            self.netdev += ',host-loopback=on'

    def error(self, text):
        """Something that is not to be; said at once, counted at the end."""
        self.errors.append(text)
        sys.stdout.write('%6.1f s  %s\n' % (time.monotonic() - self.begin, text))
        sys.stdout.flush()

    # What runs

    def boot(self, name):
        """A guest with a DHCP client that stays; its lease."""
        guest = Guest(name, self.kernel,
                      [self.instance.tool('vmnet-run'), '-q', QEMU],
                      ['-netdev', self.netdev, '-device',
                       'virtio-net-pci,netdev=net0,romfile='],
                      env=self.instance.env, boots=BOOTS,
                      log=os.path.join(self.instance.folder, name + '.log'))
        self.guests[name] = guest
        guest.wait_ready(120)
        # One client, which stays: a second one would take the address away.
        text = guest.run(
            'ip link set eth0 up; udhcpc -i eth0 -b -t 60 -T 1 -x hostname:%s '
            '-s /etc/udhcpc.script >/dev/null 2>&1 & '
            'for i in $(seq 300); do ip route | grep -q default && break; '
            'sleep 0.1; done; cat /run/lease' % name, 60).text
        guest.lease = dict(re.findall(r'^(\w+)=(.*)$', text, re.M))
        if 'address' not in guest.lease:
            raise GuestError(name + ': no lease')
        return guest

    def namespace(self):
        """A namespace on a netdev of its own, with a DHCP client."""
        options = {'lease_time': LEASE_S}
        if 'host-loopback' in self.netdev:
            options['host_loopback'] = True
        _, path = self.instance.netdev(self.client, **options)
        made = netns.Namespace(BUILD, path)
        self.namespaces.append(made)
        script = os.path.join(self.instance.folder, 'udhcpc')
        with open(script, 'w', encoding='ascii') as out:
            out.write('#!/bin/sh\n[ -n "$ip" ] && [ "$1" != deconfig ] || exit 0\n'
                      'ip addr replace $ip/$mask dev $interface\n'
                      'ip route replace default via $router\n')
        os.chmod(script, 0o755)
        self.running.append(made.popen(
            'udhcpc', '-f', '-i', 'eth0', '-t', '5', '-T', '1', '-s', script,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        end = time.monotonic() + 20
        while time.monotonic() < end:
            found = re.search(r'inet ([\d.]+)/',
                              made.call('ip', '-4', 'addr', 'show', 'eth0'))
            if found:
                made.ip = found.group(1)
                return made
            time.sleep(0.1)
        raise GuestError('no lease in a namespace')

    def start(self):
        """All of it."""
        self.begin = time.monotonic()
        self.instance.start(env={'ASAN_OPTIONS': SANITIZERS})
        self.client = self.instance.qmp()
        self.pid = self.instance.pids()[0]
        steady = self.boot('steady')
        self.boot('restless')
        steady.run('mkdir -p /www; echo word > /www/x; httpd -p 8080 -h /www')
        steady.run('nc %s %d -e cat >/dev/null 2>&1 &'
                   % (steady.lease['router'], self.pulse.port))
        reason = netns.missing()
        if reason:
            sys.stdout.write('without namespaces: %s\n' % reason)
        else:
            one, two = self.namespace(), self.namespace()
            # To a file: a pipe that nobody reads would stop it.
            with open(self.ping_file, 'wb') as out:
                self.pings = one.popen('ping', '-D', '-i', '0.1', two.ip,
                                       stdout=out)
            self.running.append(two.popen(
                'ping', '-q', '-i', '0.05', '-s', '1400', steady.lease['address'],
                stdout=subprocess.DEVNULL))

    # What is done, by the dice

    def restart(self):
        """A VMM dies or is ended, and is back with the same address."""
        guest = self.guests['restless']
        before = guest.lease['address']
        guest.process.send_signal(self.dice.choice([signal.SIGKILL,
                                                    signal.SIGTERM]))
        guest.process.wait(10)
        guest.stop()
        self.restarts += 1
        if self.dice.random() < 0.5:
            time.sleep(3)       # longer than its netdev waits for it
        address = self.boot('restless').lease['address']
        if address != before:
            self.error('restless had %s and has %s' % (before, address))

    def forward(self):
        """A forward is made, used and removed."""
        proto = self.dice.choice(['tcp', 'tcp', 'udp'])
        made = self.client.call(
            'forward-add', guest='steady', guest_port=8080, host_port=0,
            host_address='127.0.0.1', protocol=proto)
        if proto == 'tcp':
            with socket.create_connection(('127.0.0.1', made['host-port']),
                                          10) as web:
                web.sendall(b'GET /x HTTP/1.0\r\n\r\n')
                web.settimeout(10)
                text = b''
                while True:
                    data = web.recv(4096)
                    if not data:
                        break
                    text += data
            if not text.endswith(b'word\n'):
                self.error('a forward gave %r' % text[-40:])
        self.client.call('forward-remove', host_address='127.0.0.1',
                         host_port=made['host-port'], protocol=proto)
        self.forwards += 1

    def fetch(self):
        """A file through NAT."""
        guest = self.guests['restless']
        text = guest.run('timeout 30 wget -q -O - http://%s:%d/data | sha256sum'
                         % (guest.lease['router'], self.http.port), 60).text
        if services.sha256(FILES['/data']) not in text:
            self.error('a file came wrong: %r' % text[-80:])
        self.fetches += 1

    def neighbours(self):
        """The guests reach each other."""
        guest = self.guests['restless']
        if not guest.run('ping -c 1 -W 5 '
                         + self.guests['steady'].lease['address']).ok:
            self.error('restless does not reach steady')

    def sample(self):
        """What the daemon's engine holds."""
        if self.instance.daemon.poll() is not None or \
                not os.path.exists('/proc/%d' % self.pid):
            raise GuestError('the daemon died')
        with open('/proc/%d/status' % self.pid, encoding='ascii') as text:
            rss = int(re.search(r'RssAnon:\s+(\d+)', text.read()).group(1))
        self.samples.append((len(os.listdir('/proc/%d/fd' % self.pid)), rss))

    def run(self):
        """Until the time is over."""
        end = time.monotonic() + self.options.minutes * 60
        actions = [self.forward] * 8 + [self.fetch] * 4 + [self.neighbours] * 2 \
            + [self.restart]
        while time.monotonic() < end:
            action = self.dice.choice(actions)
            try:
                action()
            except (OSError, QmpError) as error:
                self.error('%s: %s' % (action.__name__, error))
            self.sample()
            self.client.events.clear()
            time.sleep(self.dice.random() / 2)
        if not self.restarts:
            self.restart()

    # What is looked at in the end

    def check_leases(self):
        """Renewed all the while: bound, and the same."""
        leases = {lease.get('hostname'): lease for lease in
                  self.client.call('query-leases')}
        steady = leases.get('steady')
        if not steady or steady['state'] != 'bound' or \
                steady['address'] != self.guests['steady'].lease['address']:
            self.error('the lease of steady is %r' % (steady,))

    def quarters(self, index):
        """Medians of the first and the last quarter of samples."""
        size = max(1, len(self.samples) // 4)
        return (statistics.median(s[index] for s in self.samples[:size]),
                statistics.median(s[index] for s in self.samples[-size:]))

    def check_growth(self):
        """Descriptors, memory, log."""
        fds, rss = self.quarters(0), self.quarters(1)
        if fds[1] > fds[0] + FDS_SPARE:
            self.error('descriptors grew from %d to %d' % fds)
        if rss[1] > rss[0] * (1.3 if ASAN else 1.1) + RSS_SPARE_KIB * \
                (16 if ASAN else 1):
            self.error('memory grew from %d to %d KiB' % rss)
        log = len(self.instance.stderr())
        if log > LOG_BYTES + LOG_BYTES_PER_MINUTE * self.options.minutes:
            self.error('the log has %d bytes' % log)
        return fds, rss, log

    def check_data(self):
        """No second without any."""
        self.pulse.stop()
        gaps = ['steady and host %.2f s of %d' % (self.pulse.gap,
                                                  self.pulse.count)]
        if self.pulse.ended or self.pulse.count < 10 \
                or self.pulse.gap > GAP_MAX_S:
            self.error('steady and host: %s, longest gap %.2f s'
                       % (self.pulse.ended or 'connected', self.pulse.gap))
        if self.pings:
            self.pings.send_signal(signal.SIGINT)
            self.pings.wait(10)
            with open(self.ping_file, encoding='ascii') as text:
                gap, count = ping_gap(text.read())
            gaps.append('namespaces %.2f s of %d' % (gap, count))
            if gap > GAP_MAX_S:
                self.error('namespaces: longest gap %.2f s' % gap)
        return gaps

    def summary(self):
        """Checks and prints; whether all is well."""
        self.check_leases()
        gaps = self.check_data()
        fds, rss, log = self.check_growth()
        self.close()
        reports = self.instance.sanitizer_reports()
        if reports:
            self.error(reports)
        sys.stdout.write(
            'restarts %d, forwards %d, files %d, samples %d\n'
            'longest gap: %s\n'
            'descriptors %d -> %d, memory %d -> %d KiB, log %d bytes\n'
            '%d errors in %.1f minutes, seed %d\n'
            % (self.restarts, self.forwards, self.fetches, len(self.samples),
               ', '.join(gaps), *fds, *rss, log, len(self.errors),
               (time.monotonic() - self.begin) / 60, self.options.seed))
        return not self.errors

    def close(self):
        """Everything that was started, by its own handle; the daemon last."""
        for process in self.running:
            process.terminate()
            process.wait()
        self.running = []
        if self.pings and self.pings.poll() is None:
            self.pings.terminate()
            self.pings.wait()
        for made in self.namespaces:
            made.close()
        self.namespaces = []
        for guest in self.guests.values():
            guest.stop()
        self.guests = {}
        daemon = self.instance.daemon
        if daemon and daemon.poll() is None:
            daemon.terminate()
            if daemon.wait(30) != 0:
                self.error('the daemon ended with status %d' % daemon.returncode)


def main():
    """The exit status."""
    parser = argparse.ArgumentParser(prog='soak', description=__doc__.split('\n')[0])
    parser.add_argument('--minutes', type=float, default=10)
    parser.add_argument('--asan', action='store_true',
                        help='the daemon under sanitizers (done by the wrapper)')
    parser.add_argument('--seed', type=int, default=random.randrange(1 << 30))
    parser.add_argument('--keep', action='store_true', help='keep the logs')
    options = parser.parse_args()
    soak = Soak(options)
    good = False
    try:
        soak.start()
        soak.run()
        good = soak.summary()
    except GuestError as error:
        soak.error(str(error))
        sys.stdout.write(soak.instance.stderr()[-4000:])
    finally:
        soak.close()
        if options.keep:
            sys.stdout.write('logs: %s\n' % soak.instance.folder)
        else:
            soak.instance.stop()
    return 0 if good else 1


if __name__ == '__main__':
    sys.exit(main())
