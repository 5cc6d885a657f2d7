"""A picture (SVG) of each case: a bar for each median, a line for the range.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import os
import re
from xml.sax.saxutils import escape

LABEL, BAR, ROW, TOP, FIGURE = 230, 380, 26, 46, 190
STYLE = ('text { font: 13px sans-serif; fill: #222 } '
         'rect.bar { fill: #4878a8 } rect.ours { fill: #c0622d } '
         'line { stroke: #222; stroke-width: 1.5 }')


def bar(index, row, scale):
    """One row of the picture."""
    y = TOP + index * ROW
    middle = y + ROW / 2
    ours = 'ours' if row['figure'].startswith('vmnet') else 'bar'
    return '\n'.join([
        '<text x="%d" y="%g" text-anchor="end">%s</text>' % (
            LABEL - 8, middle + 4, escape(row['figure'])),
        '<rect class="%s" x="%d" y="%g" width="%.1f" height="%d"/>' % (
            ours, LABEL, y + 4, row['median'] * scale, ROW - 8),
        '<line x1="%.1f" x2="%.1f" y1="%g" y2="%g"/>' % (
            LABEL + row['low'] * scale, LABEL + row['high'] * scale, middle,
            middle),
        '<text x="%.1f" y="%g">%.4g %s</text>' % (
            LABEL + row['high'] * scale + 6, middle + 4, row['median'],
            escape(row['unit']))])


def draw(case, rows):
    """The text of a picture."""
    highest = max(row['high'] for row in rows)
    scale = BAR / highest if highest else 0
    width, height = LABEL + BAR + FIGURE, TOP + len(rows) * ROW + 12
    return '\n'.join([
        '<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" '
        'viewBox="0 0 %d %d">' % (width, height, width, height),
        '<style>%s</style>' % STYLE,
        '<rect width="100%" height="100%" fill="#fff"/>',
        '<text x="12" y="26" font-weight="bold">%s (median and range of %d '
        'runs)</text>' % (escape(case), rows[0]['runs']),
        *(bar(index, row, scale) for index, row in enumerate(rows)),
        '</svg>', ''])


def files(rows):
    """{file: its rows}: one for each case and unit that bench.row() has made."""
    cases = {}
    for row in rows:
        if 'case' in row:
            cases.setdefault((row['case'], row['unit']), []).append(row)
    several = [case for case, _ in cases]
    found = {}
    for (case, unit), its in cases.items():
        name = case if several.count(case) == 1 else '%s %s' % (
            case, unit or 'count')
        name = re.sub('[^a-z0-9]+', '-', name.lower()).strip('-') + '.svg'
        found[name] = its
    return found


def write(folder, rows):
    """The pictures of @rows."""
    os.makedirs(folder, exist_ok=True)
    for name, its in files(rows).items():
        with open(os.path.join(folder, name), 'w', encoding='utf-8') as out:
            out.write(draw(its[0]['case'], its))
