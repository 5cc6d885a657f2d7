"""docs/performance/: the figures of a run as tables, with their pictures.

figures.rst is made of the JSON that a run has written and included by
performance.rst, which lies one folder above: hence the pictures' paths.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import os

from benchlib import plot

HEAD = '.. Made by scripts/bench --report; not edited.\n'


def table(header, rows):
    """A simple table, as wide as need be; nothing for no rows."""
    if not rows:
        return []
    rows = [[str(cell) or '\\' for cell in row] for row in [header, *rows]]
    widths = [max(map(len, column)) for column in zip(*rows)]
    rule = '  '.join('=' * width for width in widths)
    lines = ['  '.join(cell.ljust(width) for cell, width in zip(row, widths)
                       ).rstrip() for row in rows]
    return [rule, lines[0], rule, *lines[1:], rule, '']


def number(value):
    """Four digits, and no exponent."""
    return '%.0f' % value if abs(value) >= 1000 else '%.4g' % value


def title(text, under):
    """A heading."""
    return [text, under * len(text), '']


def promises(cases):
    """All that --check compares."""
    rows = [['``%s``' % name, row['check'], number(row['value']),
             '%s %g' % ('at least' if row['at-least'] else 'at most',
                        row['limit']),
             'yes' if row['ok'] else '**no**']
            for name, said in cases.items() for row in said['rows']
            if 'check' in row]
    return table(['case', 'promise', 'measured', 'wanted', 'kept'], rows)


def figures(said):
    """One case's medians."""
    rows = [row for row in said['rows'] if 'case' in row]
    lines = table(
        ['of', 'figure', 'median', 'range', 'unit', 'CPU'],
        [[row['case'], row['figure'], number(row['median']),
          '%s to %s' % (number(row['low']), number(row['high'])), row['unit'],
          '%.0f ms/Gbit' % row['cpu-ms-per-gbit']
          if 'cpu-ms-per-gbit' in row else ''] for row in rows])
    for name in plot.files(rows):
        lines += ['.. image:: performance/%s' % name, '']
    return lines


def write(folder, record):
    """figures.rst and the pictures of @record, what a run's JSON says."""
    cases = record['cases']
    lines = [HEAD]
    lines += table(['what', 'version'], list(record['versions'].items()))
    lines += promises(cases)
    for name, said in cases.items():
        lines += title('``%s``' % name, '~')
        lines += ['%d runs of %d s on %s, load %s at the start.' % (
            said['runs'], said['seconds'], said['when'], said['load']), '']
        lines += figures(said)
        lines += ['* ' + line for line in said['notes'] + said['missed']]
        lines += ['']
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, 'figures.rst'), 'w', encoding='utf-8') as out:
        out.write('\n'.join(lines).rstrip() + '\n')
    plot.write(folder, [row for said in cases.values() for row in said['rows']])
