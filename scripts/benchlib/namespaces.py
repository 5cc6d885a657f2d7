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
from benchlib.daemon import daemon_processes, ticks

from lib.process import Process

LIMIT_S = 15


class Namespace:
    """Of the process that holds it. @host is where the host is from inside,
    @carriers the processes that move its packets."""

    def __init__(self, pid, host):
        self.pid = pid
        self.host = host
        self.carriers = []

    def cpu_ms(self):
        """CPU time that its carriers have used."""
        return sum(map(ticks, self.carriers)) * 1000 / os.sysconf('SC_CLK_TCK')

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
    holder = Process(['unshare', '--net', 'sh', '-c',
                      'echo ready; exec sleep infinity'],
                     stdout=subprocess.PIPE)
    bench.started.append(holder)
    if not holder.line():
        raise ValueError('no network namespace could be made')
    return holder.pid


def vmnet(bench, mtu):
    """By vmnet-run."""
    runner = Process(
        [bench.tool('vmnet-run'), '-q', '--network',
         'shared,mtu=%d%s' % (mtu, bench.options.netdev), '--netns', '--',
         'sh', '-c', 'echo $$; exec sleep infinity'],
        env=bench.env, stdout=subprocess.PIPE)
    bench.started.append(runner)
    if not runner.line():
        raise ValueError('vmnet-run --netns failed')
    with open('/proc/%d/task/%d/children' % (runner.pid, runner.pid),
              encoding='ascii') as text:
        child = int(text.read().split()[0])
    space = Namespace(child, '')
    space.host = re.search(r'default via (\S+)', wait_for(
        'vmnet', lambda: has_route(space) and space.run('ip', 'route'))
                           ).group(1)
    space.carriers = daemon_processes(bench)
    return space


def slirp4netns(bench, mtu):
    """By slirp4netns, which joins a namespace."""
    space = Namespace(empty(bench), '10.0.2.2')
    space.carriers = [bench.start(
        ['slirp4netns', '--configure', '--mtu=%d' % mtu, str(space.pid),
         'tap0']).pid]
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

    def end(self):
        """Forget the name."""
        subprocess.run(['ip', 'netns', 'del', self.name], check=False)


def pasta(bench, mtu):
    """By pasta, likewise; its router stands for the host.

    Without forwards, as the others are: to find the ports of its own it reads
    /proc/net/tcp once a second, which is long after a run of connections.
    """
    space = Namespace(empty(bench), '')
    name = Name(space.pid)
    bench.started.append(name)
    space.carriers = [bench.start(
        [*bench.pasta_argv(), '-f', '-q', '--config-net', '--runas', '0:0',
         '--netns-only', '--netns', name.path, '-t', 'none', '-u', 'none',
         '-T', 'none', '-U', 'none', '-m', str(mtu)]).pid]
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
        # The server may still be starting, or at the end of the test before.
        if (not re.search('server is busy|Connection refused', text)
                or time.monotonic() > end):
            break
        time.sleep(0.1)
    # Of several streams, the last line is their sum.
    found = re.findall(r'([\d.]+) Mbits/sec.*receiver', text)
    if not found:
        print('  iperf3: ' + text.strip().rsplit('\n', 1)[-1])
    return float(found[-1]) / 1000 if found else 0.0


def iperf_cost(space, port, seconds, *options):
    """The same, and the carriers' CPU time in ms a Gbit."""
    begin = space.cpu_ms()
    rate = iperf(space, port, seconds, *options)
    return rate, ratio(space.cpu_ms() - begin, rate * seconds)


def take_turns(bench, case, spaces, port, streams):
    """Both directions, everyone in turns: ({name: Gbit/s}, the same back)."""
    rates = {name: ([], []) for name in spaces}
    costs = {name: ([], []) for name in spaces}
    for _ in range(bench.options.runs):
        for back in (0, 1):
            for name, space in spaces.items():
                rate, cost = iperf_cost(
                    space, port, bench.options.seconds, '-P', str(streams),
                    *(['-R'] if back else []))
                rates[name][back].append(rate)
                costs[name][back].append(cost)
    for name, space in spaces.items():
        for back, way in enumerate(('to host', 'back')):
            bench.row(case, '%s, %s' % (name, way), rates[name][back],
                      'Gbit/s', costs[name][back] if space.carriers else None)
    return [{name: median(values[back]) for name, values in rates.items()}
            for back in (0, 1)]


def throughput(bench, mtu, streams=1):
    """To the host and back of everyone."""
    case = 'namespace, MTU %d' % mtu
    if streams > 1:
        case += ', %d streams' % streams
    port = bench.iperf_server()
    rates = take_turns(bench, case, everyone(bench, mtu), port, streams)
    bench.close()
    return rates


def case_netns(bench):
    """A namespace guest through NAT, MTU 1500 and 65520."""
    small, large = throughput(bench, 1500), throughput(bench, 65520)
    for what, rates, jumbo, limits in zip(
            ('namespace to host', 'host to namespace'), small, large,
            ((0.45, 3, 1.05), (0.5, 2, 1.05))):
        bench.want(what + ', of loopback',
                   ratio(rates['vmnet'], rates['loopback']), limits[0])
        for name, limit in zip(('slirp4netns', 'pasta'), limits[1:]):
            bench.compare(what, rates['vmnet'], name, rates[name], limit,
                          jumbo[name])
        for name in ('slirp4netns', 'pasta'):
            bench.compare('MTU 65520, ' + what, jumbo['vmnet'], name,
                          jumbo[name], 0.95)


def case_streams(bench):
    """The same with four streams, MTU 1500."""
    throughput(bench, 1500, 4)


def server(bench, program='bench-rr'):
    """A service of the host's for a program; returns its port."""
    process = Process([bench.built(program), 'serve'], stdout=subprocess.PIPE)
    bench.started.append(process)
    return process.line().decode().strip()


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


def case_udp(bench):
    """Datagrams of 1400 bytes: one by one, and in runs (UDP_SEGMENT)."""
    port = server(bench, 'bench-udp')
    spaces = everyone(bench, 1500)
    for how in ('plain', 'runs'):
        for way in ('send', 'receive'):
            results = {name: [] for name in spaces}
            for _ in range(bench.options.runs):
                for name, space in spaces.items():
                    text = space.run(
                        bench.built('bench-udp'), way, space.host, port,
                        str(bench.options.seconds), how,
                        timeout=bench.options.seconds + 30)
                    results[name].append(json.loads(text)['rate'] / 1000)
            for name, values in results.items():
                bench.row('UDP %s, %s' % (way, how), name, values, 'kpps')
