"""Real guests: NAT to the host, and guest to guest.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import os
import re
import time

from lib.guest import GuestError

from benchlib.core import NIC, QEMU, median

BOOTS_MAX = 5


def iperf(guest, host, port, seconds, reverse):
    """Gbit/s that the receiver counted, or 0."""
    text = guest.run('iperf3 -f m -c %s -p %d -t %d %s 2>&1' % (
        host, port, seconds, '-R' if reverse else ''), seconds + 30).text
    match = re.search(r'([\d.]+) Mbits/sec.*receiver', text)
    return float(match.group(1)) / 1000 if match else 0.0


class ClockError(GuestError):
    """A guest's seconds are not ours."""


def boot_well(bench, boot):
    """A server's port and what @boot gives for it, once all clocks are right."""
    for attempt in range(1, BOOTS_MAX + 1):
        port = bench.iperf_server()
        try:
            return port, boot(port)
        except GuestError as error:
            if attempt == BOOTS_MAX:
                raise
            print('  %s: all boot again' % error, flush=True)
            bench.close()


def take_turns(bench, case, boot):
    """Both directions of the guests that @boot gives: {name: (out, back)}.

    Each run has guests of its own: of two alike, one may need 5% more CPU time
    for a byte than the other for as long as it lives.
    """
    results = {}
    for _ in range(bench.options.runs):
        port, guests = boot_well(bench, boot)
        for reverse in (False, True):
            for name, (guest, host) in guests.items():
                rates = results.setdefault(name, ([], []))[reverse]
                rates.append(iperf(guest, host, port, bench.options.seconds,
                                   reverse))
        bench.close()
    for name, (out, back) in results.items():
        bench.row(case, name + ', guest to host', out, 'Gbit/s')
        bench.row(case, name + ', host to guest', back, 'Gbit/s')
    return results


def uptime(guest):
    """Seconds by the guest's clock, and before and after it ours."""
    begin = time.monotonic()
    found = float(guest.run('cat /proc/uptime').text.split()[0])
    return found, begin, time.monotonic()


def ready(guest, name):
    """Up, and with a clock that is right, or the end of the case.

    A guest counts its own seconds. On a busy machine it may find its TSC many
    times slower than it is when it boots, and counts too many from then on.
    """
    guest.wait_ready(90)
    first, begin, later = uptime(guest)
    time.sleep(1)
    last, sooner, end = uptime(guest)
    if not 0.9 * (sooner - later) < last - first < 1.1 * (end - begin):
        raise ClockError('%s counts %.2f s in %.2f: is this machine busy?' % (
            name, last - first, end - begin))


def lease(guest, name):
    """DHCP or the end of the case."""
    ready(guest, name)
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


def leases(bench, guests, mtu):
    """Each of @guests with its host: {name: (guest, host)}."""
    hosts = {}
    for name, guest in guests.items():
        hosts[name] = (guest, own_host(bench, lease(guest, name)))
        if mtu:
            check_mtu(guest, name, mtu)
    return hosts


def case_nat(bench):
    """A real guest to the host and back, MTU 1500."""
    def boot(_port):
        return leases(bench, {
            'vmnet': bench.vmnet('vmnet', bench.options.netdev),
            'user': bench.guest('user', [QEMU],
                                ['-netdev', 'user,id=net0'] + NIC),
            'passt -m 1500': bench.passt('passt', '-m', '1500'),
        }, None)

    got = take_turns(bench, 'NAT, MTU 1500', boot)
    out = {name: median(values[0]) for name, values in got.items()}
    back = {name: median(values[1]) for name, values in got.items()}
    for name, figures, limit in (('guest to host', out, 1.5),
                                 ('host to guest', back, 1.15)):
        bench.compare(name, figures['vmnet'], '-netdev user', figures['user'],
                      limit)
        bench.compare(name, figures['vmnet'], 'passt -m 1500',
                      figures['passt -m 1500'], 0.95)


def case_jumbo(bench):
    """The same with MTU 65520."""
    def boot(_port):
        return leases(bench, {
            'vmnet': bench.vmnet('vmnet', ',mtu=65520' + bench.options.netdev),
            'passt': bench.passt('passt'),
        }, 65520)

    got = take_turns(bench, 'NAT, MTU 65520', boot)
    for index, name in enumerate(('guest to host', 'host to guest')):
        bench.compare('MTU 65520, ' + name, median(got['vmnet'][index]),
                      'passt', median(got['passt'][index]), 0.95)


def joined(bench):
    """Two guests on a stream socket from one QEMU to the other."""
    path = os.path.join(bench.folder, 'direct.sock')
    stream = 'stream,id=net0,addr.type=unix,addr.path=' + path
    nic = NIC[1] + ',mac=52:54:00:00:00:0%d'
    first = bench.guest('first', [QEMU], ['-netdev', stream + ',server=on',
                                          '-device', nic % 1])
    deadline = time.monotonic() + 5
    while not os.path.exists(path) and time.monotonic() < deadline:
        time.sleep(0.01)
    return first, bench.guest('second', [QEMU], [
        '-netdev', stream + ',server=off', '-device', nic % 2])


def boot_pairs(bench):
    """Two guests of ours, and two joined: {name: (one, the other's address)}."""
    pairs = {'vmnet': (bench.vmnet('one', bench.options.netdev),
                       bench.vmnet('two', bench.options.netdev)),
             'direct': joined(bench)}
    found = {}
    for name, pair in pairs.items():
        for number, guest in enumerate(pair, 1):
            if name == 'vmnet':
                address = lease(guest, name)['address']
            else:
                ready(guest, name)
                address = '10.9.9.%d' % number
                guest.run('ip addr add %s/24 dev eth0; ip link set eth0 up'
                          % address)
        pair[1].run('iperf3 -s -D -p 5201')
        found[name] = (pair[0], address)
    return found


def case_pair(bench):
    """Two guests to each other, and two joined directly."""
    _, pairs = boot_well(bench, lambda _: boot_pairs(bench))
    results = {name: [] for name in pairs}
    for _ in range(bench.options.runs):
        for name, (one, address) in pairs.items():
            results[name].append(iperf(one, address, 5201,
                                       bench.options.seconds, False))
    for name, values in results.items():
        bench.row('guest to guest', name, values, 'Gbit/s')
    bench.compare('guest to guest', median(results['vmnet']),
                  'two guests joined directly', median(results['direct']), 0.8)
