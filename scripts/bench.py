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

from benchlib import (daemon, guests, inprocess, latency, namespaces, plot,
                      real, vhost)
from benchlib.core import TOP, Bench

from lib import services
from lib.guest import GuestError

CASES = {
    'nat': guests.case_nat,
    'jumbo': guests.case_jumbo,
    'pair': guests.case_pair,
    'start': daemon.case_start,
    'transport': daemon.case_transport,
    'idle': daemon.case_idle,
    'vhost': vhost.case_vhost,
    'many': vhost.case_many,
    'mixed': vhost.case_mixed,
    'netns': namespaces.case_netns,
    'connect': namespaces.case_connect,
    'real': real.case_real,
    'inprocess': inprocess.case_inprocess,
    'latency': latency.case_latency,
}


def parse():
    """The command line."""
    parser = argparse.ArgumentParser(prog='bench')
    parser.add_argument('--check', action='store_true')
    parser.add_argument('--json', metavar='FILE')
    parser.add_argument('--plots', metavar='DIR',
                        help='write an SVG picture for each case there')
    parser.add_argument('--runs', type=int, default=5)
    parser.add_argument('--seconds', type=int, default=10)
    parser.add_argument('--idle', type=int, default=60)
    parser.add_argument('--only', action='append', choices=list(CASES))
    parser.add_argument('--build', default=os.path.join(TOP, 'build'))
    parser.add_argument('--passt-root', metavar='DIR',
                        help='root file system whose passt is measured')
    options = parser.parse_args()
    options.build = os.path.abspath(options.build)
    four, _ = services.host_addresses()
    options.netdev = '' if four else ',host-loopback=on'
    return options


def main():
    """Run the cases, write the results."""
    options = parse()
    bench = Bench(options)
    versions = bench.versions()
    for name, text in versions.items():
        print('%s: %s' % (name, text))
    try:
        for name in options.only or CASES:
            try:
                CASES[name](bench)
            except (GuestError, OSError, subprocess.SubprocessError,
                    ValueError, ZeroDivisionError) as error:
                bench.missed.append('%s: %s' % (name, error))
            finally:
                bench.close()
    finally:
        bench.discard()
    if options.json:
        with open(options.json, 'w', encoding='utf-8') as out:
            json.dump({'versions': versions, 'runs': options.runs,
                       'seconds': options.seconds, 'rows': bench.rows,
                       'missed': bench.missed}, out, indent=4)
    if options.plots:
        plot.write(options.plots, bench.rows)
    for line in bench.missed:
        print('missed: ' + line)
    return 1 if options.check and bench.missed else 0


if __name__ == '__main__':
    sys.exit(main())
