"""Namespaces as guests: through NAT to the host.

  [ namespace: iperf3 ] -- vmnet-run --netns | slirp4netns | pasta -- host

SPDX-License-Identifier: GPL-2.0-or-later
"""

import json
import os
import re
import subprocess
import time

from benchlib.core import median, ratio

LIMIT_S = 15
# A peer that is slower does not work here, and is not beaten.
STALLED_GBPS = 0.1


class Namespace:
    """Of the process that holds it. @host is where the host is from inside."""

    def __init__(self, pid, host):
        self.pid = pid
        self.host = host

    def run(self, *argv, timeout=60):
        """Run @argv inside; returns what it prints."""
        command = list(argv)
        if self.pid:
            command = ['nsenter', '--net=/proc/%d/ns/net' % self.pid] + command
        return subprocess.run(command, text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, check=False,
                              timeout=timeout).stdout


def wait_for(what, condition):
    """Poll @condition, at most LIMIT_S; returns what it returned."""
    end = time.monotonic() + LIMIT_S
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > end:
            raise ValueError(what + ' did not come up')
        time.sleep(0.01)


def has_route(space):
    """Whether there is a way out."""
    return 'default via' in space.run('ip', 'route')


def empty(bench):
    """A namespace with nothing in it: its holder's pid."""
    holder = subprocess.Popen(['unshare', '--net', 'sh', '-c',
                               'echo ready; exec sleep infinity'],
                              stdout=subprocess.PIPE)
    bench.started.append(holder)
    holder.stdout.readline()
    return holder.pid


def vmnet(bench, mtu):
    """By vmnet-run."""
    runner = subprocess.Popen(
        [bench.tool('vmnet-run'), '-q', '--network',
         'shared,mtu=%d%s' % (mtu, bench.options.netdev), '--netns', '--',
         'sh', '-c', 'echo $$; exec sleep infinity'],
        env=bench.env, stdout=subprocess.PIPE)
    bench.started.append(runner)
    if not runner.stdout.readline():
        raise ValueError('vmnet-run --netns failed')
    with open('/proc/%d/task/%d/children' % (runner.pid, runner.pid),
              encoding='ascii') as text:
        child = int(text.read().split()[0])
    space = Namespace(child, '')
    space.host = re.search(r'default via (\S+)', wait_for(
        'vmnet', lambda: has_route(space) and space.run('ip', 'route'))
                           ).group(1)
    return space


def slirp4netns(bench, mtu):
    """By slirp4netns, which joins a namespace."""
    space = Namespace(empty(bench), '10.0.2.2')
    bench.start(['slirp4netns', '--configure', '--mtu=%d' % mtu,
                 str(space.pid), 'tap0'])
    wait_for('slirp4netns', lambda: has_route(space))
    return space


class Name:
    """A name of a namespace's, which pasta needs: it gives up the right to
    look into /proc/PID/ns before it does. Ends as a process does."""

    def __init__(self, pid):
        self.name = 'vmnet-bench-%d' % pid
        self.path = '/run/netns/' + self.name
        subprocess.run(['ip', 'netns', 'attach', self.name, str(pid)],
                       check=True)

    def terminate(self):
        """Forget the name."""
        subprocess.run(['ip', 'netns', 'del', self.name], check=False)

    def wait(self):
        """Nothing to wait for."""


def pasta(bench, mtu):
    """By pasta, likewise; its router stands for the host.

    Without forwards, as the others are: to find the ports of its own it reads
    /proc/net/tcp once a second, which is long after a run of connections.
    """
    space = Namespace(empty(bench), '')
    name = Name(space.pid)
    bench.started.append(name)
    bench.start([*bench.pasta_argv(), '-f', '-q', '--config-net',
                 '--runas', '0:0', '--netns-only', '--netns', name.path,
                 '-t', 'none', '-u', 'none', '-T', 'none', '-U', 'none',
                 '-m', str(mtu)])
    space.host = re.search(r'default via (\S+)', wait_for(
        'pasta', lambda: has_route(space) and space.run('ip', 'route'))
                           ).group(1)
    return space


def everyone(bench, mtu):
    """All contestants, loopback first."""
    if os.geteuid() != 0:
        raise ValueError('needs root to enter namespaces')
    return {'loopback': Namespace(0, '127.0.0.1'),
            'vmnet': vmnet(bench, mtu),
            'slirp4netns': slirp4netns(bench, mtu),
            'pasta': pasta(bench, mtu)}


def iperf(space, port, seconds, *options):
    """Gbit/s that the receiver counted; 0 if the two lost each other."""
    end = time.monotonic() + LIMIT_S
    while True:
        text = space.run('iperf3', '-f', 'm', '-c', space.host, '-p',
                         str(port), '-t', str(seconds), *options,
                         timeout=seconds + 30)
        # The server may still be at the end of the test before.
        if 'server is busy' not in text or time.monotonic() > end:
            break
        time.sleep(0.1)
    match = re.search(r'([\d.]+) Mbits/sec.*receiver', text)
    if not match:
        print('  iperf3: ' + text.strip().rsplit('\n', 1)[-1])
    return float(match.group(1)) / 1000 if match else 0.0


def throughput(bench, mtu):
    """Both directions, everyone in turns: ({name: Gbit/s}, the same back)."""
    case = 'namespace, MTU %d' % mtu
    port = bench.iperf_server()
    spaces = everyone(bench, mtu)
    results = {name: ([], []) for name in spaces}
    for _ in range(bench.options.runs):
        for back in (0, 1):
            for name, space in spaces.items():
                results[name][back].append(
                    iperf(space, port, bench.options.seconds,
                          *(['-R'] if back else [])))
    for name, (out, back) in results.items():
        bench.row(case, name + ', to host', out, 'Gbit/s')
        bench.row(case, name + ', back', back, 'Gbit/s')
    bench.close()
    return [{name: median(values[back]) for name, values in results.items()}
            for back in (0, 1)]


def compare(bench, what, rates, name, limit, jumbo=None):
    """What vmnet moves, of what @name moves.

    A peer that has stalled is not beaten: its rate of @jumbo is the bar.
    """
    bar = rates[name]
    if bar < STALLED_GBPS:
        what += ' (stalled)'
        bar = jumbo[name] if jumbo else 0
    bench.want('%s, of %s' % (what, name), ratio(rates['vmnet'], bar), limit)


def case_netns(bench):
    """A namespace guest through NAT, MTU 1500 and 65520."""
    small, large = throughput(bench, 1500), throughput(bench, 65520)
    for what, rates, jumbo, limits in zip(
            ('namespace to host', 'host to namespace'), small, large,
            ((0.45, 3, 1.05), (0.5, 2, 1.05))):
        for name, limit in zip(('loopback', 'slirp4netns', 'pasta'), limits):
            compare(bench, what, rates, name, limit, jumbo)
        for name in ('slirp4netns', 'pasta'):
            compare(bench, 'MTU 65520, ' + what, jumbo, name, 0.95)


def server(bench):
    """A service of the host's for bench-rr; returns its port."""
    process = subprocess.Popen([bench.built('bench-rr'), 'serve'],
                               stdout=subprocess.PIPE)
    bench.started.append(process)
    return process.stdout.readline().decode().strip()


def case_connect(bench):
    """TCP connections a second through NAT, one after another."""
    port = server(bench)
    spaces = everyone(bench, 1500)
    results = {name: [] for name in spaces}
    for _ in range(bench.options.runs):
        for name, space in spaces.items():
            text = space.run(bench.built('bench-rr'), 'connect', space.host, port,
                             str(bench.options.seconds),
                             timeout=bench.options.seconds + 30)
            results[name].append(json.loads(text)['rate'])
    for name, values in results.items():
        bench.row('connect rate', name, values, '/s')
    for name in ('slirp4netns', 'pasta'):
        bench.want('connections a second, of ' + name,
                   ratio(median(results['vmnet']), median(results[name])),
                   1.05)
