"""Real guests by vhost-user, to the host and back.

Beside -netdev user, passt by vhost-user, and a tap that root made, whose host
is a namespace's kernel. QEMU 7.2 under software emulation crashes if it gives
a vhost-user device vectors; the others keep theirs.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import os
import time

from benchlib.core import NIC, QEMU, median
from benchlib.guests import boot_well, iperf, lease, own_host, ready
from benchlib.namespaces import Namespace, empty

NO_VECTORS = ['-device', NIC[1] + ',vectors=0']
TAP = """set -e
ip link set lo up
ip tuntap add tap0 mode tap vnet_hdr
ip addr add 10.7.0.1/24 dev tap0
ip link set tap0 up
"""


def vmnet(bench, name='vmnet'):
    """On a network of ours."""
    return bench.guest(
        name, [bench.tool('vmnet-run'), '-q', '--port', 'vhost-user', QEMU],
        ['-netdev', 'vmnet-shared,id=net0' + bench.options.netdev]
        + NO_VECTORS)


def passt(bench):
    """With a passt of its own, at an MTU of 1500 as all others."""
    path = os.path.join(bench.folder, 'passt', 'vu.sock')
    bench.start([*bench.passt_argv(), '-f', '-q', '--vhost-user', '-m', '1500',
                 '-s', bench.passt_path(path)])
    deadline = time.monotonic() + 5
    while not os.path.exists(path) and time.monotonic() < deadline:
        time.sleep(0.01)
    return bench.guest('passt', [QEMU], [
        '-object', 'memory-backend-memfd,id=mem,size=192M,share=on',
        '-machine', 'pc,memory-backend=mem',
        '-chardev', 'socket,id=c0,path=' + path,
        '-netdev', 'vhost-user,id=net0,chardev=c0'] + NO_VECTORS)


def tap(bench, port, qemu=QEMU):
    """In a namespace, with a server there."""
    space = Namespace(empty(bench), '10.7.0.1')
    said = space.run('sh', '-c', TAP)
    if said:
        raise ValueError(said)
    inside = ['nsenter', '--net=/proc/%d/ns/net' % space.pid]
    bench.start(inside + ['iperf3', '-s', '-p', str(port)])
    return bench.guest('tap', inside + [qemu], [
        '-netdev', 'tap,id=net0,ifname=tap0,script=no,downscript=no,'
        'vnet_hdr=on'] + NIC)


def find_hosts(bench, guests):
    """Give everyone an address: {name: (guest, its host)}."""
    hosts = {}
    for name, guest in guests.items():
        if name == 'tap':
            ready(guest, name)
            guest.run('ip addr add 10.7.0.2/24 dev eth0; '
                      'ip link set eth0 up')
            hosts[name] = (guest, '10.7.0.1')
        else:
            hosts[name] = (guest, own_host(bench, lease(guest, name)))
    return hosts


def boot(bench, port):
    """Everyone: {name: (guest, its host)}."""
    guests = {'vmnet': vmnet(bench),
              'user': bench.guest('user', [QEMU],
                                  ['-netdev', 'user,id=net0'] + NIC),
              'passt': passt(bench)}
    if os.geteuid() == 0:
        guests['tap'] = tap(bench, port)
    return find_hosts(bench, guests)


def case_real(bench):
    """A real guest by vhost-user to the host and back."""
    port, hosts = boot_well(bench, lambda port: boot(bench, port))
    results = {name: ([], []) for name in hosts}
    for _ in range(bench.options.runs):
        for back in (0, 1):
            for name, (guest, host) in hosts.items():
                results[name][back].append(
                    iperf(guest, host, port, bench.options.seconds, back))
    for name, (out, back) in results.items():
        bench.row('real guest', name + ', to host', out, 'Gbit/s')
        bench.row('real guest', name + ', back', back, 'Gbit/s')
    limits = {'user': (3.5, 2.2), 'tap': (0.9, 0.9), 'passt': (1.7, 1.2)}
    for name, pair in limits.items():
        for what, back, limit in (('to host', 0, pair[0]),
                                  ('back', 1, pair[1])):
            if name in results:
                bench.compare('real guest ' + what,
                              median(results['vmnet'][back]), name,
                              median(results[name][back]), limit)
            else:
                bench.missed.append('real guest, of %s: needs root' % name)
