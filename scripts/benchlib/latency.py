"""Requests and answers of 14 bytes over TCP, from real guest to real guest.

  guest -- vhost-user -- vmnetd -- vhost-user -- guest
  guest -- tap -------- bridge ---------- tap -- guest   (in a namespace)

SPDX-License-Identifier: GPL-2.0-or-later
"""

import json
import os

from benchlib.core import NIC, QEMU, median, ratio
from benchlib.guests import boot_well, lease, ready
from benchlib.namespaces import Namespace, empty
from benchlib.real import vmnet

from lib.guest import GuestError

BRIDGE = """set -e
ip link add bridge type bridge
ip link set bridge up
for n in 1 2; do
    ip tuntap add tap$n mode tap vnet_hdr
    ip link set tap$n master bridge
    ip link set tap$n up
done
"""


def bridged(bench):
    """Two guests on the kernel's bridge."""
    space = Namespace(empty(bench), '')
    said = space.run('sh', '-c', BRIDGE)
    if said:
        raise ValueError(said)
    return [bench.guest(
        'tap%d' % n, ['nsenter', '--net=/proc/%d/ns/net' % space.pid, QEMU],
        ['-netdev', 'tap,id=net0,ifname=tap%d,script=no,downscript=no,'
         'vnet_hdr=on' % n, '-device', NIC[1] + ',mac=52:54:00:00:00:0%d' % n])
            for n in (1, 2)]


def boot(bench):
    """Both pairs: {name: (its client, the server's address, port)}."""
    pairs = {'vmnet': [vmnet(bench, 'one'), vmnet(bench, 'two')],
             'tap-bridge-tap': bridged(bench)}
    targets = {}
    for name, pair in pairs.items():
        for number, guest in enumerate(pair, 1):
            if name == 'vmnet':
                address = lease(guest, name)['address']
            else:
                ready(guest, name)
                address = '10.8.0.%d' % number
                guest.run('ip addr add %s/24 dev eth0; ip link set eth0 up'
                          % address)
        pair[1].run('bench-rr serve >/tmp/port 2>&1 &')
        port = pair[1].run('for i in 1 2 3 4 5; do test -s /tmp/port && break; '
                           'sleep 1; done; cat /tmp/port').text.strip()
        targets[name] = (pair[0], address.split('/')[0], port)
    return targets


def case_latency(bench):
    """Median and 99th percentile of the time for an answer."""
    if os.geteuid() != 0:
        raise ValueError('needs root for taps and a bridge')
    _, pairs = boot_well(bench, lambda _: boot(bench))
    results = {name: [] for name in pairs}
    for _ in range(bench.options.runs):
        for name, (one, address, port) in pairs.items():
            done = one.run('bench-rr request %s %s %d' % (
                address, port, bench.options.seconds),
                           bench.options.seconds + 30)
            if not done.ok:
                raise GuestError(name + ': ' + done.text)
            results[name].append(json.loads(done.text))
    for key in ('p50', 'p99'):
        for name, values in results.items():
            bench.row('latency ' + key, name, [v[key] for v in values], 'us')
        ours, kernel = (median([v[key] for v in results[name]])
                        for name in pairs)
        bench.want('latency %s, of tap-bridge-tap' % key, ratio(ours, kernel)
                   or 1e9, 1.3, at_least=False)
