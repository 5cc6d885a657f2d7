"""Namespaces to each other, on one network.

  [ iperf3 ] -- vmnet-run --netns -- vmnetd -- vmnet-run --netns -- [ iperf3 ]
  [ iperf3 ] -- veth ------- bridge ------- veth ------------------ [ iperf3 ]
  [ iperf3 ] -- tap -- vde_switch -- tap -------------------------- [ iperf3 ]

SPDX-License-Identifier: GPL-2.0-or-later
"""

import os
import re
import subprocess

from benchlib.namespaces import Namespace, empty, iperf_cost, vmnet, wait_for

PORT = 5201


def number(space, n):
    """Give @space its address; @n is 1 or 2."""
    said = space.run('sh', '-c', 'ip addr add 10.6.0.%d/24 dev eth0 && '
                     'ip link set eth0 mtu 1500 up' % n)
    if said:
        raise ValueError(said)


def bridged(bench):
    """Two on the kernel's bridge, which lies in a third."""
    middle = Namespace(empty(bench), '')
    pair = [Namespace(empty(bench), '') for _ in range(2)]
    said = middle.run('sh', '-c', 'ip link add name bridge0 type bridge && '
                      'ip link set bridge0 up')
    for n, space in enumerate(pair, 1):
        said += middle.run('sh', '-c', 'ip link add port%d type veth peer '
                           'name eth0 netns %d && ip link set port%d master '
                           'bridge0 up' % (n, space.pid, n))
        number(space, n)
    if said:
        raise ValueError(said)
    pair[0].host = '10.6.0.2'
    return pair


def vde(bench):
    """Two taps on a vde_switch; None: there is none."""
    path = '/run/vde-%d' % os.getpid()
    switch = bench.inside('/usr/bin/vde_switch', '-sock', path)
    if not switch:
        return None
    # It ends with its input.
    carriers = [bench.start(switch, stdin=subprocess.PIPE).pid]
    wait_for('vde_switch', lambda: os.path.exists(
        bench.options.peers_root + path + '/ctl'))
    pair = [Namespace(empty(bench), '') for _ in range(2)]
    for n, space in enumerate(pair, 1):
        said = space.run('ip', 'tuntap', 'add', 'eth0', 'mode', 'tap')
        if said:
            raise ValueError(said)
        number(space, n)
        carriers.append(bench.start(
            ['nsenter', '--net=/proc/%d/ns/net' % space.pid,
             *bench.inside('/usr/bin/vde_plug2tap', '-s', path, 'eth0')]).pid)
    wait_for('vde_plug2tap', lambda: '1 received' in pair[0].run(
        'ping', '-c', '1', '-W', '1', '10.6.0.2'))
    pair[0].host, pair[0].carriers = '10.6.0.2', carriers
    return pair


def vmnets(bench):
    """Two on a network of ours."""
    pair = [vmnet(bench, 1500) for _ in range(2)]
    pair[0].host = re.search(r'inet ([\d.]+)', pair[1].run(
        'ip', '-4', 'addr', 'show', 'eth0')).group(1)
    return pair


def everyone(bench):
    """{name: (sender, receiver)}."""
    if os.geteuid() != 0:
        raise ValueError('needs root to enter namespaces')
    pairs = {'vmnet': vmnets(bench), 'bridge': bridged(bench)}
    switched = vde(bench)
    if switched:
        pairs['vde_switch'] = switched
    else:
        bench.note('vde_switch is not measured: it could not be fetched')
    for _, receiver in pairs.values():
        server = ['iperf3', '-s', '-p', str(PORT)]
        bench.start(['nsenter', '--net=/proc/%d/ns/net' % receiver.pid]
                    + server)
    return pairs


def case_between(bench):
    """TCP from one namespace guest to another, MTU 1500, 1 and 4 streams."""
    pairs = everyone(bench)
    for streams in (1, 4):
        case = 'namespaces, %d stream%s' % (streams, 's' * (streams > 1))
        results = {name: [] for name in pairs}
        for _ in range(bench.options.runs):
            for name, (sender, _) in pairs.items():
                results[name].append(iperf_cost(
                    sender, PORT, bench.options.seconds, '-P', str(streams)))
        for name, values in results.items():
            bench.row(case, name, [rate for rate, _ in values], 'Gbit/s',
                      [cost for _, cost in values]
                      if pairs[name][0].carriers else None)
