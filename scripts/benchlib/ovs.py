"""Open vSwitch with DPDK beside vmnetd, by the same vhost-user driver.

  vu-bench (core 0) -- rings -- vmnetd, or ovs-vswitchd's PMD thread (core 1)

It runs in the root of the peers, and without huge pages, which are the system's:
the memory that it asks for holds the mbuf pool that it makes by default.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import os
import shutil
import subprocess

from benchlib.core import median
from benchlib.namespaces import wait_for

DAEMON = '/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk'
SCHEMA = '/usr/share/openvswitch/vswitch.ovsschema'
# Of 262144 mbufs, the size of the pool for ports of MTU 1500.
MEMORY_MIB = 1536
EAL = '--no-huge --legacy-mem --no-pci -m %d' % MEMORY_MIB


class Switch:
    """ovs-vswitchd with two vhost-user ports, whose sockets vu-bench has. Its
    folder ends as a process does."""

    def __init__(self, bench):
        self.bench = bench
        self.run = '/run/vmnet-bench-%d' % os.getpid()
        self.folder = bench.options.peers_root + self.run
        os.makedirs(self.folder)
        bench.started.append(self)
        os.makedirs(bench.options.peers_root + '/run/openvswitch', exist_ok=True)
        self.database = 'unix:' + self.run + '/db.sock'
        self.call('/usr/bin/ovsdb-tool', 'create', self.run + '/conf.db', SCHEMA)
        bench.start(bench.inside(
            '/usr/sbin/ovsdb-server', self.run + '/conf.db', '--no-chdir',
            '--remote=p' + self.database,
            '--unixctl=' + self.run + '/ovsdb.ctl'))
        wait_for('ovsdb-server',
                 lambda: os.path.exists(self.folder + '/db.sock'))
        self.pid = self.start()

    def end(self):
        """Forget it; what runs in it has been started later, and ended."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def call(self, *argv):
        """A program of the root; ValueError with what it says."""
        done = subprocess.run(self.bench.inside(*argv), text=True, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=30)
        if done.returncode:
            raise ValueError('Open vSwitch: ' + done.stdout.strip())
        return done.stdout

    def vsctl(self, *argv):
        """ovs-vsctl."""
        return self.call('/usr/bin/ovs-vsctl', '--timeout=20',
                         '--db=' + self.database, *argv)

    def start(self):
        """Returns: the pid of ovs-vswitchd, whose ports are there."""
        self.vsctl('--no-wait', 'init')
        self.vsctl('--no-wait', 'set', 'Open_vSwitch', '.',
                   'other_config:dpdk-init=true',
                   'other_config:dpdk-lcore-mask=0x1',
                   'other_config:pmd-cpu-mask=0x2',
                   'other_config:dpdk-extra=' + EAL)
        daemon = self.bench.start(self.bench.inside(
            DAEMON, self.database, '--no-chdir',
            '--unixctl=' + self.run + '/ovs.ctl'))
        self.vsctl('add-br', 'br', '--', 'set', 'bridge', 'br',
                   'datapath_type=netdev')
        for n in range(2):
            self.vsctl('add-port', 'br', 'vu%d' % n, '--', 'set', 'Interface',
                       'vu%d' % n, 'type=dpdkvhostuserclient',
                       'options:vhost-server-path=%s/%d' % (self.run, n))
        if daemon.poll() is not None:
            raise ValueError('Open vSwitch: ovs-vswitchd has ended')
        return daemon.pid

    def version(self):
        """As it says itself."""
        return self.call(DAEMON, '--version').splitlines()[0]


def case_ovs(bench):
    """64 byte frames: CPU time of the switch's core for each delivered one."""
    if os.geteuid() != 0 or not bench.inside(DAEMON):
        bench.note('Open vSwitch with DPDK is not measured: '
                   + ('it could not be fetched' if os.geteuid() == 0
                      else 'needs root'))
        return
    try:
        switch = Switch(bench)
    except (ValueError, subprocess.TimeoutExpired) as error:
        bench.note('Open vSwitch with DPDK is not measured: %s' % error)
        return
    print('  ' + switch.version())
    contestants = {'vmnetd': (), 'OVS-DPDK': ('--listen', switch.folder,
                                              '--pid', str(switch.pid))}
    results = {name: [] for name in contestants}
    for _ in range(bench.options.runs):
        for name, arguments in contestants.items():
            results[name].append(bench.program(
                'vu-bench', '--small', '--seconds',
                str(bench.options.seconds), *arguments))
    for name, values in results.items():
        bench.row('64 byte frames', name, [v['frames'] / 1e6 for v in values],
                  'Mpps')
        bench.row('64 byte frames, a core', name,
                  [1e3 / v['frame-cpu-ns'] for v in values if v['frame-cpu-ns']],
                  'Mpps')
    print('  delivered frames a core-second, of OVS-DPDK: %.2f' % (
        median([v['frame-cpu-ns'] for v in results['OVS-DPDK']])
        / median([v['frame-cpu-ns'] for v in results['vmnetd']])))
