"""Prints what guests keep while another sends garbage; see scripts/hostile.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import argparse
import contextlib
import os
import sys

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(TOP, 'tests'))

# pylint: disable=wrong-import-position
from lib import netns                                       # noqa: E402
from lib.hostile import SETS, Victims, set_name             # noqa: E402

ALONE_S = 5
HEAD = '%-10s %9s %9s %6s %8s %9s %9s %7s' % (
    'set', 'alone', 'during', 'kept', 'p99', 'before', 'after', 'log')
UNITS = '%-10s %9s %9s %6s %8s %9s %9s %7s' % (
    '', 'Mbit/s', 'Mbit/s', '', 'ms', 'KiB', 'KiB', 'bytes')


def row(outcome):
    """One line of the table."""
    misses = outcome.misses()
    return '%-10s %9.0f %9.0f %6.2f %8.1f %9d %9d %7d  %s' % (
        outcome.name, outcome.alone, outcome.during, outcome.kept, outcome.p99,
        outcome.before_kib, outcome.after_kib, outcome.log_bytes,
        'MISSED: ' + ', '.join(misses) if misses else 'ok')


def main():
    """Exit status: 1 if anything was missed, 77 if it cannot be tried here."""
    names = [set_name(path) for path in SETS]
    parser = argparse.ArgumentParser()
    parser.add_argument('--seconds', type=int, default=60)
    parser.add_argument('sets', nargs='*', metavar='SET', help=', '.join(names))
    args = parser.parse_args()
    for name in set(args.sets) - set(names):
        parser.error('no such set: ' + name)
    if netns.missing():
        print('cannot be tried: ' + netns.missing())
        return 77
    missed = 0
    with contextlib.closing(Victims()) as victims:
        print(HEAD + '\n' + UNITS, flush=True)
        for path in SETS:
            if not args.sets or set_name(path) in args.sets:
                outcome = victims.suffer(path, args.seconds, ALONE_S)
                missed += bool(outcome.misses())
                print(row(outcome), flush=True)
    print('%d sets missed' % missed if missed else 'all kept')
    return 1 if missed else 0


if __name__ == '__main__':
    sys.exit(main())
