"""The figures that the project promises, measured beside its peers.

Run by scripts/bench. Contestants of a case are booted together and take turns,
so that a noisy machine is noisy for all of them; medians are compared, and a
ratio is one of medians of the same run. benchlib/ has the cases.

Whatever goes wrong in a case is that case's: it counts as missed, with what it
had measured until then, and the next one begins.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import argparse
import json
import os
import signal
import sys
import time
import traceback

from benchlib import (between, daemon, guests, inprocess, latency, namespaces,
                      ovs, plot, real, report, vhost)
from benchlib.core import TOP, Bench

from lib import services

# The seconds of one measurement: 10 where the promise says so; with five runs of
# everything the whole takes 45 minutes.
CASES = {
    'nat': (guests.case_nat, 10),
    'jumbo': (guests.case_jumbo, 10),
    'pair': (guests.case_pair, 10),
    'start': (daemon.case_start, 1),
    'transport': (daemon.case_transport, 5),
    'idle': (daemon.case_idle, 1),
    'vhost': (vhost.case_vhost, 3),
    'ovs': (ovs.case_ovs, 3),
    'many': (vhost.case_many, 3),
    'mixed': (vhost.case_mixed, 3),
    'netns': (namespaces.case_netns, 3),
    'streams': (namespaces.case_streams, 2),
    'between': (between.case_between, 2),
    'udp': (namespaces.case_udp, 1),
    'connect': (namespaces.case_connect, 3),
    'real': (real.case_real, 5),
    'inprocess': (inprocess.case_inprocess, 5),
    'latency': (latency.case_latency, 3),
}


def names(text):
    """CASE or CASE,CASE,... of --only."""
    found = text.split(',')
    for name in found:
        if name not in CASES:
            raise argparse.ArgumentTypeError(
                '%r is none of %s' % (name, ', '.join(CASES)))
    return found


def parse():
    """The command line."""
    parser = argparse.ArgumentParser(prog='bench')
    parser.add_argument('--check', action='store_true',
                        help='exit with 1 if a figure is missed')
    parser.add_argument('--json', metavar='FILE',
                        help='write all figures there after each case; '
                        'BUILD/bench/results.json')
    parser.add_argument('--plots', metavar='DIR',
                        help='write an SVG picture for each case there; '
                        'BUILD/bench/plots')
    parser.add_argument('--report', metavar='DIR',
                        help='measure nothing: write figures.rst and the pictures '
                        'of --json there')
    parser.add_argument('--runs', type=int, default=5)
    parser.add_argument('--seconds', type=int, metavar='N',
                        help='of every measurement, instead of 1 to 10')
    parser.add_argument('--idle', type=int, default=60)
    parser.add_argument('--only', action='extend', type=names, metavar='CASE,...',
                        help='of %s; figures of other cases stay as they are in '
                        '--json' % ', '.join(CASES))
    parser.add_argument('--build', default=os.path.join(TOP, 'build'))
    parser.add_argument('--peers-root', metavar='DIR',
                        help='root file system whose peers are measured')
    options = parser.parse_args()
    options.build = os.path.abspath(options.build)
    folder = os.path.join(options.build, 'bench')
    os.makedirs(folder, exist_ok=True)
    options.json = options.json or os.path.join(folder, 'results.json')
    options.plots = options.plots or os.path.join(folder, 'plots')
    four, _ = services.host_addresses()
    options.netdev = '' if four else ',host-loopback=on'
    return options


def read(options):
    """{case: what the file says}; {} if there is none."""
    if not os.path.exists(options.json):
        return {}
    with open(options.json, encoding='utf-8') as text:
        return json.load(text)['cases']


def measure(bench, name, seconds, said):
    """One case; @said gets rows, missed, notes, ... however it ends."""
    bench.rows, bench.missed, bench.notes = [], [], []
    bench.options.seconds = seconds
    said.update(rows=bench.rows, missed=bench.missed, notes=bench.notes,
                seconds=seconds, runs=bench.options.runs,
                when=time.strftime('%Y-%m-%d %H:%M', time.gmtime()),
                load=round(os.getloadavg()[0], 2))
    begin = time.monotonic()
    try:
        CASES[name][0](bench)
    except KeyboardInterrupt:
        bench.missed.append('%s was broken off' % name)
        raise
    except Exception as error:      # pylint: disable=broad-except
        traceback.print_exc()
        bench.missed.append('%s ended early: %s: %s' % (
            name, type(error).__name__, error))
    finally:
        bench.close()
        said['took'] = round(time.monotonic() - begin)


def write(options, versions, cases):
    """JSON and pictures of all that is known, each file whole at any time."""
    cases = {name: cases[name] for name in CASES if name in cases}
    with open(options.json + '.new', 'w', encoding='utf-8') as out:
        json.dump({'versions': versions, 'cases': cases}, out, indent=4)
    os.replace(options.json + '.new', options.json)
    plot.write(options.plots,
               [row for said in cases.values() for row in said['rows']])


def summary(cases):
    """Notes and what was missed. Returns: whether anything was."""
    for what in ('notes', 'missed'):
        for name, said in cases.items():
            for line in said[what]:
                print('%s: %s: %s' % (what.rstrip('s'), name, line))
    return any(said['missed'] for said in cases.values())


def main():
    """Run the cases, write the results after each."""
    options = parse()
    if options.report:
        with open(options.json, encoding='utf-8') as text:
            report.write(options.report, json.load(text))
        return 0
    bench = Bench(options)
    versions, cases = bench.versions(), read(options) if options.only else {}
    wanted, begin = options.only or list(CASES), time.monotonic()
    asked = options.seconds
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    for name, text in versions.items():
        print('%s: %s' % (name, text))
    try:
        for number, name in enumerate(wanted, 1):
            seconds = asked or CASES[name][1]
            print('[%d of %d, after %d s] %s: %d runs of %d s' % (
                number, len(wanted), time.monotonic() - begin, name,
                options.runs, seconds), flush=True)
            cases[name] = {}
            try:
                measure(bench, name, seconds, cases[name])
            finally:
                write(options, versions, cases)
    finally:
        bench.discard()
    missed = summary(cases)
    print('figures: %s, pictures: %s' % (options.json, options.plots))
    return 1 if options.check and missed else 0


if __name__ == '__main__':
    sys.exit(main())
