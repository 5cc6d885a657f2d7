"""Real guests on the netdev inside QEMU, to the host and back.

Beside -netdev user and root's tap of one and the same QEMU, which
scripts/build-qemu has built. The tap's host is a namespace's kernel.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import os

from benchlib.core import NIC, median
from benchlib.guests import take_turns
from benchlib.real import find_hosts, tap

CASE = 'in-process netdev'
LIMITS = {'user': (3.0, 2.1), 'tap': (0.85, 0.85)}


def boot(bench, qemu, port):
    """{name: a guest}; offloads are the NIC's, MTU 1500."""
    guests = {name: bench.guest(name, [qemu], ['-netdev', netdev] + NIC)
              for name, netdev in (
                  ('vmnet', 'vmnet-shared,id=net0' + bench.options.netdev),
                  ('user', 'user,id=net0'))}
    if os.geteuid() == 0:
        guests['tap'] = tap(bench, port, qemu)
    return guests


def case_inprocess(bench):
    """One binary, three netdevs."""
    qemu = os.path.join(bench.options.build, 'qemu', 'qemu-system-x86_64')
    if not os.access(qemu, os.X_OK):
        bench.missed.append('%s: no %s: run scripts/build-qemu' % (CASE, qemu))
        return
    got = take_turns(bench, CASE, lambda port: find_hosts(
        bench, boot(bench, qemu, port)))
    for name, limits in LIMITS.items():
        if name not in got:
            bench.missed.append('%s, of %s: needs root' % (CASE, name))
            continue
        for index, what in enumerate(('guest to host', 'host to guest')):
            bench.compare('%s, %s' % (CASE, what), median(got['vmnet'][index]),
                          name, median(got[name][index]), limits[index])
