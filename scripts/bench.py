"""The figures that the project promises, measured beside its peers.

Run by scripts/bench. Contestants of a case are booted together and take turns,
so that a noisy machine is noisy for all of them; medians are compared, and a
ratio is one of medians of the same run. benchlib/ has the cases.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import argparse
import json
import os
import subprocess
import sys
import time

from benchlib import (between, daemon, guests, inprocess, latency, namespaces,
                      ovs, plot, real, vhost)
from benchlib.core import TOP, Bench

from lib import services
from lib.guest import GuestError

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


def parse():
    """The command line."""
    parser = argparse.ArgumentParser(prog='bench')
    parser.add_argument('--check', action='store_true')
    parser.add_argument('--json', metavar='FILE',
                        help='write all figures there; with --only, those of '
                        'other cases stay')
    parser.add_argument('--plots', metavar='DIR',
                        help='write an SVG picture for each case there')
    parser.add_argument('--runs', type=int, default=5)
    parser.add_argument('--seconds', type=int, metavar='N',
                        help='of every measurement, instead of 1 to 10')
    parser.add_argument('--idle', type=int, default=60)
    parser.add_argument('--only', action='append', choices=list(CASES))
    parser.add_argument('--build', default=os.path.join(TOP, 'build'))
    parser.add_argument('--peers-root', metavar='DIR',
                        help='root file system whose peers are measured')
    options = parser.parse_args()
    options.build = os.path.abspath(options.build)
    four, _ = services.host_addresses()
    options.netdev = '' if four else ',host-loopback=on'
    return options


def before(options):
    """The cases that are not measured again: {case: what the file says}."""
    if not options.only or not options.json or not os.path.exists(options.json):
        return {}
    with open(options.json, encoding='utf-8') as text:
        cases = json.load(text)['cases']
    return {name: said for name, said in cases.items()
            if name not in options.only}


def measure(bench, name, seconds):
    """One case: {rows, missed, notes, seconds, runs}."""
    bench.rows, bench.missed, bench.notes = [], [], []
    bench.options.seconds = seconds
    try:
        CASES[name][0](bench)
    except (GuestError, OSError, subprocess.SubprocessError, ValueError,
            ZeroDivisionError) as error:
        bench.missed.append('%s: %s' % (name, error))
    finally:
        bench.close()
    return {'rows': bench.rows, 'missed': bench.missed, 'notes': bench.notes,
            'seconds': seconds, 'runs': bench.options.runs}


def write(options, versions, cases):
    """JSON and pictures of all that is known."""
    if options.json:
        with open(options.json, 'w', encoding='utf-8') as out:
            json.dump({'versions': versions, 'cases': cases}, out, indent=4)
    if options.plots:
        plot.write(options.plots,
                   [row for said in cases.values() for row in said['rows']])


def main():
    """Run the cases, write the results after each."""
    options = parse()
    bench = Bench(options)
    versions, cases = bench.versions(), before(options)
    names, begin = options.only or list(CASES), time.monotonic()
    asked = options.seconds
    for name, text in versions.items():
        print('%s: %s' % (name, text))
    try:
        for number, name in enumerate(names, 1):
            seconds = asked or CASES[name][1]
            print('[%d of %d, after %d s] %s: %d runs of %d s' % (
                number, len(names), time.monotonic() - begin, name,
                options.runs, seconds), flush=True)
            cases[name] = measure(bench, name, seconds)
            write(options, versions, cases)
    finally:
        bench.discard()
    for what in ('notes', 'missed'):
        for name, said in cases.items():
            for line in said[what]:
                print('%s: %s: %s' % (what.rstrip('s'), name, line))
    missed = any(said['missed'] for said in cases.values())
    return 1 if options.check and missed else 0


if __name__ == '__main__':
    sys.exit(main())
