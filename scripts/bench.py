"""The figures that the project promises, measured beside its peers.

Run by scripts/bench. Contestants of a case are booted together and take turns,
so that a noisy machine is noisy for all of them; medians are compared, and a
ratio is one of medians of the same run.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import argparse
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(TOP, 'tests'))

from lib import image, services                 # noqa: E402
from lib.guest import Guest, GuestError         # noqa: E402

QEMU = 'qemu-system-x86_64'
NIC = ['-device', 'virtio-net-pci,netdev=net0,romfile=']


def median(values):
    """Median, or 0 for none."""
    return statistics.median(values) if values else 0.0


class Bench:
    """Options, folders, and what has been measured."""

    def __init__(self, options):
        self.options = options
        self.folder = tempfile.mkdtemp(prefix='vmnet-bench-')
        self.env = dict(os.environ,
                        XDG_RUNTIME_DIR=os.path.join(self.folder, 'run'),
                        XDG_STATE_HOME=os.path.join(self.folder, 'state'))
        self.env.pop('VMNET_SOCKET', None)
        for name in ('XDG_RUNTIME_DIR', 'XDG_STATE_HOME'):
            os.mkdir(self.env[name], 0o700)
        # passt as root becomes nobody before it makes its socket.
        os.chmod(self.folder, 0o711)
        os.mkdir(os.path.join(self.folder, 'passt'))
        os.chmod(os.path.join(self.folder, 'passt'), 0o777)
        self.image = image.ensure(os.path.join(options.build, 'guest'))
        self.started = []
        self.rows = []
        self.missed = []

    def tool(self, name):
        """Path of one of our programs."""
        return os.path.join(self.options.build, 'tools', name)

    def start(self, argv, **kwargs):
        """A helper process that close() ends."""
        process = subprocess.Popen(argv, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL, **kwargs)
        self.started.append(process)
        return process

    def iperf_server(self):
        """An iperf3 server on all addresses; returns its port."""
        with socket.socket() as probe:
            probe.bind(('', 0))
            port = probe.getsockname()[1]
        self.start(['iperf3', '-s', '-p', str(port)])
        return port

    def guest(self, name, argv, options, **kwargs):
        """A booted guest with an address; its gateway is in .lease."""
        made = Guest(name, self.image, argv, options, env=self.env,
                     log=os.path.join(self.folder, name + '.log'), **kwargs)
        self.started.append(made)
        return made

    def vmnet(self, name, netdev):
        """A guest on a network of ours."""
        return self.guest(name, [self.tool('vmnet-run'), '-q', QEMU],
                          ['-netdev', 'vmnet-shared,id=net0' + netdev] + NIC)

    def passt_argv(self):
        """passt of this system, or that of another release in --passt-root."""
        root = self.options.passt_root
        if not root:
            return ['passt']
        # pivot_root, since passt makes a user namespace, which a chroot forbids.
        return ['unshare', '--mount', 'sh', '-c',
                'mount --bind "$0" "$0" && mount -t proc proc "$0/proc" && '
                'mount --bind "$1" "$0/mnt" && shift && cd "$0" && '
                'mkdir -p old && pivot_root . old && umount -l /old && '
                'exec passt "$@"', root, os.path.join(self.folder, 'passt')]

    def passt_path(self, path):
        """@path as passt sees it."""
        if not self.options.passt_root:
            return path
        return os.path.join('/mnt', os.path.basename(path))

    def passt_version(self):
        """Its package's version: --version of Debian's prints none."""
        argv = ['dpkg-query', '-W', 'passt']
        if self.options.passt_root:
            argv = ['chroot', self.options.passt_root] + argv
        text = subprocess.run(argv, text=True, stdout=subprocess.PIPE,
                              check=False).stdout
        return text.strip().replace('\t', ' ') or 'passt: none'

    def passt(self, name, *options):
        """A guest with passt of its own on a stream socket."""
        path = os.path.join(self.folder, 'passt', name + '.sock')
        self.start([*self.passt_argv(), '-f', '-q', '-s',
                    self.passt_path(path), *options])
        deadline = time.monotonic() + 5
        while not os.path.exists(path) and time.monotonic() < deadline:
            time.sleep(0.01)
        return self.guest(name, [QEMU], [
            '-netdev', 'stream,id=net0,server=off,addr.type=unix,addr.path='
            + path] + NIC)

    def row(self, case, figure, values, unit, **more):
        """Keep and print one measurement."""
        low, high = (min(values), max(values)) if values else (0, 0)
        self.rows.append(dict(case=case, figure=figure, unit=unit,
                              median=median(values), low=low, high=high,
                              runs=len(values), **more))
        print('%-26s %-24s %9.3f %-7s (%.3f to %.3f)' % (
            case, figure, median(values), unit, low, high), flush=True)

    def want(self, name, value, limit, at_least=True):
        """Compare with a figure that the project promises."""
        good = value >= limit if at_least else value <= limit
        print('  %-60s %8.3f  %s %g  %s' % (
            name, value, 'at least' if at_least else 'at most', limit,
            'ok' if good else 'MISSED'), flush=True)
        self.rows.append(dict(check=name, value=value, limit=limit, ok=good))
        if not good:
            self.missed.append('%s: %.3f, wanted %s %g' % (
                name, value, 'at least' if at_least else 'at most', limit))

    def close(self):
        """End all that was started."""
        for thing in reversed(self.started):
            if isinstance(thing, Guest):
                thing.stop()
            else:
                thing.terminate()
                thing.wait()
        self.started = []
        subprocess.run([self.tool('vmnetctl'), 'stop'], env=self.env,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                       check=False)

    def discard(self):
        """Remove the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)


def iperf(guest, host, port, seconds, reverse):
    """Gbit/s that the receiver counted, or 0."""
    text = guest.run('iperf3 -f m -c %s -p %d -t %d %s 2>&1' % (
        host, port, seconds, '-R' if reverse else ''), seconds + 30).text
    match = re.search(r'([\d.]+) Mbits/sec.*receiver', text)
    return float(match.group(1)) / 1000 if match else 0.0


def take_turns(bench, case, guests, port, seconds):
    """Both directions of all @guests: {name: (out, back)} of lists."""
    results = {name: ([], []) for name in guests}
    for _ in range(bench.options.runs):
        for reverse in (False, True):
            for name, (guest, host) in guests.items():
                results[name][reverse].append(
                    iperf(guest, host, port, seconds, reverse))
    for name, (out, back) in results.items():
        bench.row(case, name + ', guest to host', out, 'Gbit/s')
        bench.row(case, name + ', host to guest', back, 'Gbit/s')
    return results


def lease(guest, name):
    """DHCP or the end of the case."""
    guest.wait_ready(90)
    found = guest.dhcp()
    if not found:
        raise GuestError('%s got no lease' % name)
    return found


def check_mtu(guest, name, mtu):
    """The guest has taken the MTU that DHCP told, or the end of the case."""
    found = guest.run('cat /sys/class/net/eth0/mtu').text.strip()
    if found != str(mtu):
        raise GuestError('%s has an MTU of %s, not %d' % (name, found, mtu))


def own_host(bench, found):
    """The host as the guest of ours reaches it."""
    return found['router'].split()[0]


def case_nat(bench):
    """A real guest to the host and back, MTU 1500."""
    port = bench.iperf_server()
    guests = {
        'vmnet': bench.vmnet('vmnet', bench.options.netdev),
        'user': bench.guest('user', [QEMU],
                            ['-netdev', 'user,id=net0'] + NIC),
        'passt -m 1500': bench.passt('passt', '-m', '1500'),
    }
    hosts = {name: (guest, own_host(bench, lease(guest, name)))
             for name, guest in guests.items()}
    got = take_turns(bench, 'NAT, MTU 1500', hosts, port,
                     bench.options.seconds)
    out = {name: median(values[0]) for name, values in got.items()}
    back = {name: median(values[1]) for name, values in got.items()}
    bench.want('guest to host, of -netdev user', out['vmnet'] / out['user'], 1.5)
    bench.want('host to guest, of -netdev user', back['vmnet'] / back['user'], 1.15)
    for name, figures in (('guest to host', out), ('host to guest', back)):
        if figures['passt -m 1500']:
            bench.want(name + ', of passt -m 1500',
                       figures['vmnet'] / figures['passt -m 1500'], 0.95)


def case_jumbo(bench):
    """The same with MTU 65520."""
    port = bench.iperf_server()
    guests = {
        'vmnet': bench.vmnet('vmnet', ',mtu=65520' + bench.options.netdev),
        'passt': bench.passt('passt'),
    }
    hosts = {name: (guest, own_host(bench, lease(guest, name)))
             for name, guest in guests.items()}
    for name, guest in guests.items():
        check_mtu(guest, name, 65520)
    got = take_turns(bench, 'NAT, MTU 65520', hosts, port,
                     bench.options.seconds)
    for index, name in enumerate(('guest to host', 'host to guest')):
        other = median(got['passt'][index])
        bench.want('MTU 65520, %s, of passt' % name,
                   median(got['vmnet'][index]) / other if other else 0, 0.95)


def case_pair(bench):
    """Two guests to each other, and two joined directly."""
    path = os.path.join(bench.folder, 'direct.sock')
    stream = 'stream,id=net0,addr.type=unix,addr.path=' + path
    pairs = {
        'vmnet': [bench.vmnet('one', bench.options.netdev),
                  bench.vmnet('two', bench.options.netdev)],
        'direct': [
            bench.guest('first', [QEMU], ['-netdev', stream + ',server=on',
                                          '-device', NIC[1] + ',mac=52:54:00:00:00:01']),
        ],
    }
    deadline = time.monotonic() + 5
    while not os.path.exists(path) and time.monotonic() < deadline:
        time.sleep(0.01)
    pairs['direct'].append(
        bench.guest('second', [QEMU], ['-netdev', stream + ',server=off',
                                       '-device', NIC[1] + ',mac=52:54:00:00:00:02']))
    targets = {}
    for name, (one, two) in pairs.items():
        for number, guest in enumerate((one, two)):
            if name == 'vmnet':
                found = lease(guest, name)['address']
            else:
                guest.wait_ready(90)
                found = '10.9.9.%d' % (number + 1)
                guest.run('ip addr add %s/24 dev eth0; ip link set eth0 up'
                          % found)
            targets[name] = found
        two.run('iperf3 -s -D -p 5201')
    results = {name: [] for name in pairs}
    for _ in range(bench.options.runs):
        for name, (one, _two) in pairs.items():
            results[name].append(iperf(one, targets[name], 5201,
                                       bench.options.seconds, False))
    for name, values in results.items():
        bench.row('guest to guest', name, values, 'Gbit/s')
    bench.want('guest to guest, of two guests joined directly',
               median(results['vmnet']) / (median(results['direct']) or 1e9),
               0.8)


def case_start(bench):
    """From exec to the first byte of the greeting."""
    times = []
    for number in range(20):
        path = os.path.join(bench.folder, 'start%d.sock' % number)
        begin = time.perf_counter()
        process = subprocess.Popen(
            [os.path.join(bench.options.build, 'vmnetd/vmnetd'), '--socket',
             path, '--state-dir', os.path.join(bench.folder, 's%d' % number)],
            env=bench.env, stderr=subprocess.DEVNULL)
        while True:
            try:
                client = socket.socket(socket.AF_UNIX)
                client.connect(path)
                break
            except OSError:
                client.close()
                if time.perf_counter() - begin > 5:
                    raise
        client.recv(1)
        times.append((time.perf_counter() - begin) * 1000)
        client.close()
        process.terminate()
        process.wait()
    bench.row('start', 'exec to greeting', times, 'ms')
    bench.want('vmnetd from exec to its greeting, ms', median(times), 30,
               at_least=False)


def case_transport(bench):
    """libvmnet's packets: to a port that counts, and to another interface;
    beside a socketpair, in turns."""
    program = os.path.join(bench.options.build, 'tests/bench/bench-transport')
    subprocess.run(['ninja', '-C', bench.options.build,
                    'tests/bench/bench-transport'], check=True,
                   stdout=subprocess.DEVNULL)
    for size in (1514, 65534):
        rounds = []
        for _ in range(bench.options.runs):
            done = subprocess.run(
                [program, str(size), str(bench.options.seconds / 5)],
                env=bench.env, check=True, stdout=subprocess.PIPE)
            rounds.append(json.loads(done.stdout))
        for key in ('socketpair', 'hop', 'pair'):
            bench.row('transport %d' % size, key,
                      [r[key] / 1000 for r in rounds], 'kpps')
        for key, limit in (('hop', 0.8), ('pair', 0.4)):
            bench.want('%s of %d bytes, of a socketpair' % (key, size),
                       median([r[key] / r['socketpair'] for r in rounds]),
                       limit)


def daemon_processes(bench):
    """Pids of engine and supervisor."""
    text = subprocess.run([bench.tool('vmnetctl'), 'qmp', 'query-daemon'],
                          env=bench.env, text=True, stdout=subprocess.PIPE,
                          check=True).stdout
    info = json.loads(text)
    info = info.get('return', info)
    return [pid for pid in (info['pid'], info['supervisor-pid']) if pid]


def status(pid, *names):
    """Sum of fields of /proc/PID/status."""
    with open('/proc/%d/status' % pid, encoding='ascii') as text:
        fields = dict(line.split(':', 1) for line in text)
    return sum(int(fields[name].split()[0]) for name in names)


def ticks(pid):
    """CPU ticks that a process has used."""
    with open('/proc/%d/stat' % pid, encoding='ascii') as text:
        fields = text.read().rsplit(')', 1)[1].split()
    return int(fields[11]) + int(fields[12])


def case_idle(bench):
    """Two silent guests: CPU, wakeups, memory."""
    guests = [bench.vmnet(name, bench.options.netdev) for name in ('one', 'two')]
    for guest in guests:
        lease(guest, guest.name)
    time.sleep(15)      # the guests' own router solicitations and DAD end
    pids = daemon_processes(bench)
    switches = ('voluntary_ctxt_switches', 'nonvoluntary_ctxt_switches')
    before = [(ticks(pid), status(pid, *switches)) for pid in pids]
    time.sleep(bench.options.idle)
    after = [(ticks(pid), status(pid, *switches)) for pid in pids]
    used = sum(b[0] - a[0] for a, b in zip(before, after))
    woken = sum(b[1] - a[1] for a, b in zip(before, after))
    memory = sum(status(pid, 'RssAnon', 'RssFile') for pid in pids) / 1024
    bench.row('idle', 'CPU ticks', [used], 'ticks')
    bench.row('idle', 'context switches', [woken], '')
    bench.row('idle', 'RssAnon + RssFile', [memory], 'MiB')
    bench.want('CPU ticks of two guests silent for %d s' % bench.options.idle,
               used, 0, at_least=False)
    bench.want('context switches in that time', woken, 4, at_least=False)
    bench.want('RssAnon + RssFile, MiB', memory, 10, at_least=False)


CASES = {'nat': case_nat, 'jumbo': case_jumbo, 'pair': case_pair,
         'start': case_start, 'transport': case_transport,
         'idle': case_idle}


def main():
    """Parse options, run the cases, write the JSON."""
    parser = argparse.ArgumentParser(prog='bench')
    parser.add_argument('--check', action='store_true')
    parser.add_argument('--json', metavar='FILE')
    parser.add_argument('--runs', type=int, default=5)
    parser.add_argument('--seconds', type=int, default=10)
    parser.add_argument('--idle', type=int, default=60)
    parser.add_argument('--only', action='append', choices=list(CASES))
    parser.add_argument('--build', default=os.path.join(TOP, 'build'))
    parser.add_argument('--passt-root', metavar='DIR',
                        help='root file system whose passt is measured')
    options = parser.parse_args()
    four, _ = services.host_addresses()
    options.netdev = '' if four else ',host-loopback=on'
    bench = Bench(options)
    for argv in ([QEMU, '--version'], ['iperf3', '--version']):
        text = subprocess.run(argv, text=True, stdout=subprocess.PIPE,
                              check=False).stdout
        print(text.splitlines()[0])
    print(bench.passt_version())
    try:
        for name in options.only or CASES:
            try:
                CASES[name](bench)
            except (GuestError, OSError, subprocess.SubprocessError,
                    ZeroDivisionError) as error:
                bench.missed.append('%s: %s' % (name, error))
            finally:
                bench.close()
    finally:
        bench.discard()
    if options.json:
        with open(options.json, 'w', encoding='utf-8') as out:
            json.dump({'rows': bench.rows, 'missed': bench.missed}, out,
                      indent=4)
    for line in bench.missed:
        print('missed: ' + line)
    return 1 if options.check and bench.missed else 0


if __name__ == '__main__':
    sys.exit(main())
