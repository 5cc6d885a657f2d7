"""Ports of type vhost-user, with drivers of our own (tests/bench/vu-bench).

SPDX-License-Identifier: GPL-2.0-or-later
"""

import os

from benchlib.core import median, ratio


def rounds(bench, contestants):
    """Each of {name: (program, arguments)} in turns: {name: [result]}."""
    results = {name: [] for name in contestants}
    for _ in range(bench.options.runs):
        for name, (program, *arguments) in contestants.items():
            results[name].append(bench.program(
                program, '--seconds', str(bench.options.seconds), *arguments))
    return results


def middle(results, name, key):
    """Median of a figure."""
    return median([result[key] for result in results[name]])


def case_vhost(bench):
    """Guest to guest, beside memcpy and the kernel's tap-bridge-tap."""
    formats = {'split': (), 'packed': ('--packed',)}
    contestants = {}
    for name, options in formats.items():
        contestants['64 KiB ' + name] = ('vu-bench', *options)
        contestants['64 bytes ' + name] = ('vu-bench', '--small', *options)
    if os.geteuid() == 0:
        contestants['64 KiB kernel'] = ('tap-bench',)
        contestants['64 bytes kernel'] = ('tap-bench', '--small')
    results = rounds(bench, contestants)
    for name, values in results.items():
        bench.row('vhost-user, rate', name, [v['gbps'] for v in values],
                  'Gbit/s')
        bench.row('vhost-user, CPU a frame', name,
                  [v['frame-cpu-ns'] for v in values], 'ns')
        if 'memcpy-gbps' in values[0] and name.startswith('64 KiB'):
            bench.row('vhost-user, rate', 'memcpy beside ' + name,
                      [v['memcpy-gbps'] for v in values], 'Gbit/s')
    for name in formats:
        large, small = '64 KiB ' + name, '64 bytes ' + name
        rate = middle(results, large, 'gbps')
        bench.want('%s, of one memcpy' % large,
                   ratio(rate, middle(results, large, 'memcpy-gbps')), 0.6)
        if '64 KiB kernel' in results:
            bench.want('%s, of tap-bridge-tap' % large,
                       ratio(rate, middle(results, '64 KiB kernel', 'gbps')),
                       2)
        bench.want('%s, ns of CPU a frame' % small,
                   middle(results, small, 'frame-cpu-ns'), 250,
                   at_least=False)
    if '64 KiB kernel' not in results:
        bench.missed.append('vhost: tap-bridge-tap needs root')


def case_many(bench):
    """2 busy ports, with 30 idle ones beside, and 32 busy ones."""
    results = rounds(bench, {
        '2 busy': ('vu-bench', '--small'),
        '2 busy, 30 idle': ('vu-bench', '--small', '--idle', '30'),
        '32 busy': ('vu-bench', '--small', '--pairs', '16'),
    })
    for name, values in results.items():
        bench.row('2 to 32 ports, CPU a frame', name,
                  [v['frame-cpu-ns'] for v in values], 'ns')
        bench.row('2 to 32 ports, memory', name,
                  [v['daemon-kib'] for v in values], 'KiB')
    base = middle(results, '2 busy', 'frame-cpu-ns')
    for name, limit in (('2 busy, 30 idle', 1.05), ('32 busy', 1.2)):
        bench.want('CPU a frame of %s, of 2 busy' % name,
                   ratio(middle(results, name, 'frame-cpu-ns'), base), limit,
                   at_least=False)
    bench.want('KiB a port', (middle(results, '32 busy', 'daemon-kib') -
                              middle(results, '2 busy', 'daemon-kib')) / 30,
               256, at_least=False)


def case_mixed(bench):
    """An offload pair while a plain stream guest is busy on its network.

    vu-bench ends with an error if one of the pair's frames was segmented. What
    the pair loses is the daemon's CPU time beyond that which as many frames of
    the stream guest's cost alone.
    """
    results = rounds(bench, {
        'pair': ('vu-bench',),
        'stream': ('vu-bench', '--pairs', '0', '--plain'),
        'both': ('vu-bench', '--plain'),
    })
    for name, values in results.items():
        for key in ('frames', 'plain-frames'):
            bench.row('mixed, frames', '%s: %s' % (name, key),
                      [v[key] for v in values], '/s')
    alone = ratio(middle(results, 'stream', 'cpu'),
                  middle(results, 'stream', 'plain-frames'))
    costs = [ratio(v['cpu'] - v['plain-frames'] * alone, v['frames']) * 1e9
             for v in results['both']]
    bench.row('mixed, CPU a frame of the pair', 'alone',
              [v['frame-cpu-ns'] for v in results['pair']], 'ns')
    bench.row('mixed, CPU a frame of the pair', 'beside a stream guest',
              costs, 'ns')
    bench.want('the stream guest sends beside the pair, frames/s',
               middle(results, 'both', 'plain-frames'), 1)
    bench.want('CPU a frame beside a stream guest, of alone',
               ratio(median(costs), middle(results, 'pair', 'frame-cpu-ns'))
               if median(costs) > 0 else 1e9, 1.05, at_least=False)
