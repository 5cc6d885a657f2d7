"""Adds up the JUnit files of a test run and checks the skips.

usage: summary.py SKIPS-EXPECTED FOLDER

Each line of SKIPS-EXPECTED is "PART TEST-PATTERN REASON-PATTERN", shell
patterns, in which PART is the run (root, user, asan). A skip that no line
allows counts as a failure. Prints "N skipped" and "N passed, N failed".

SPDX-License-Identifier: GPL-2.0-or-later
"""

import fnmatch
import os
import sys
import xml.etree.ElementTree as tree


def read_expected(path):
    """The allowed skips as (part, test, reason) patterns."""
    lines = []
    with open(path, encoding='utf-8') as source:
        for line in source:
            line = line.split('#')[0].strip()
            if line:
                lines.append(tuple(line.split(None, 2)))
    return lines


def main():
    """See the file's head."""
    expected = read_expected(sys.argv[1])
    passed, failed, skipped = [], [], []
    for name in sorted(os.listdir(sys.argv[2])):
        if not name.endswith('.xml'):
            continue
        part = name.split('-')[0]
        for case in tree.parse(os.path.join(sys.argv[2], name)).iter('testcase'):
            title = '%s: %s.%s' % (part, case.get('classname'), case.get('name'))
            skip = case.find('skipped')
            if case.find('failure') is not None or case.find('error') is not None:
                failed.append(title)
            elif skip is not None:
                reason = skip.get('message') or skip.text or ''
                test = '%s.%s' % (case.get('classname'), case.get('name'))
                if any(fnmatch.fnmatch(part, line[0])
                       and fnmatch.fnmatch(test, line[1])
                       and fnmatch.fnmatch(reason, line[2])
                       for line in expected):
                    skipped.append(title)
                else:
                    failed.append('%s: skipped, which skips.expected does not '
                                  'allow: %s' % (title, reason))
            else:
                passed.append(title)
    for title in failed:
        print('FAILED ' + title)
    print('%d skipped' % len(skipped))
    print('%d passed, %d failed' % (len(passed), len(failed)))
    return 1 if failed or not passed else 0


if __name__ == '__main__':
    sys.exit(main())
