"""The daemon itself: its start, its rest, libvmnet's transport.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import json
import os
import socket
import subprocess
import time

from benchlib.core import median
from benchlib.guests import boot_well, lease

from lib.process import Process


def case_start(bench):
    """From exec to the first byte of the greeting."""
    times = []
    for number in range(20):
        path = os.path.join(bench.folder, 'start%d.sock' % number)
        begin = time.perf_counter()
        process = Process(
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
        process.end()
    bench.row('start', 'exec to greeting', times, 'ms')
    bench.want('vmnetd from exec to its greeting, ms', median(times), 30,
               at_least=False)


def case_transport(bench):
    """libvmnet's packets: to a port that counts, and to another interface;
    beside a socketpair, in turns."""
    for size in (1514, 65534):
        rounds = []
        for _ in range(bench.options.runs):
            rounds.append(bench.program('bench-transport', str(size),
                                        str(bench.options.seconds / 5)))
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
    def boot(_port):
        guests = [bench.vmnet(name, bench.options.netdev)
                  for name in ('one', 'two')]
        return [lease(guest, guest.name) for guest in guests]

    boot_well(bench, boot)
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
