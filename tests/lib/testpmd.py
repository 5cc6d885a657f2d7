"""dpdk-testpmd as a guest: a vhost-user driver that is not ours.

  test --stdin--> testpmd [ net_virtio_user ] -- rings in a memfd -- vmnetd

SPDX-License-Identifier: GPL-2.0-or-later
"""

import collections
import os
import re
import subprocess

from lib.process import Process

PROGRAM = 'dpdk-testpmd'
MEMORY_MIB = 128


class Testpmd:
    """
    Port 0 of a testpmd of its own is at the socket @path; @device and @options
    are further arguments of the device, and of testpmd.  @received and @sent
    are packets, until the last stop(), and @queues those of them that each
    receive queue got, where there are several.
    """
    __test__ = False

    def __init__(self, folder, name, path, mac, device='', options=()):
        self.received = self.sent = 0
        self.queues = collections.Counter()
        self.is_started = False
        cpus = ','.join(map(str, sorted(os.sched_getaffinity(0))))
        self._log = open(os.path.join(folder, name + '.log'), 'w',
                         encoding='utf-8')
        # Line by line, though standard output is no terminal.
        self.process = Process(
            ['stdbuf', '-oL', PROGRAM, '--no-huge', '--no-pci', '--no-telemetry',
             '-m', str(MEMORY_MIB), '--lcores', '(0-1)@(%s)' % cpus,
             '--file-prefix', name, '--vdev',
             'net_virtio_user0,path=%s,mac=%s%s' % (path, mac, device),
             '--', '-i', '--no-flush-rx', '--nb-cores=1',
             '--total-num-mbufs=8192', *options],
            env=dict(os.environ, RUNTIME_DIRECTORY=folder),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log,
            text=True, errors='replace')

    def order(self, line):
        """A line of testpmd's own language, without waiting for its effect."""
        self.process.stdin.write(line + '\n')
        self.process.stdin.flush()

    def start(self, mode, bursts=0):
        """Forward in @mode, after so many bursts of packets of its own."""
        self.order('set fwd ' + mode)
        self.order('start' + (' tx_first %d' % bursts if bursts else ''))
        self.is_started = True

    def await_up(self):
        """
        Its port is started.  Only what is sent after that is sure to be counted:
        virtio_dev_start() of DPDK 22.11 makes receive buffers available, then
        throws away whatever is in them, and it is in none of its statistics.
        """
        self.start('rxonly')
        self.stop()

    def stop(self):
        """Forward no more, and count what was received and sent meanwhile."""
        if not self.is_started:
            return
        self.is_started = False
        self.order('stop')
        numbers, queue = {}, None
        while line := self.process.line(timeout=60):
            self._log.write(line)
            match = re.match(r'\s*([RT]X)-packets: (\d+)', line)
            if match:
                numbers[match.group(1)] = int(match.group(2))
                if queue is not None and match.group(1) == 'RX':
                    self.queues[queue] += int(match.group(2))
                    queue = None
            match = re.search(r'Stats for RX Port= *0/Queue= *(\d+)', line)
            if match:
                queue = int(match.group(1))
            if line.startswith('Done.'):
                break
        self.received += numbers['RX']
        self.sent += numbers['TX']

    def kill(self):
        """It has no time to say anything to anybody."""
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()
        self._log.close()
