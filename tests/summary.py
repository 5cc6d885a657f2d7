"""Adds up the JUnit files of a test run and checks the skips.

usage: summary.py SKIPS-EXPECTED FOLDER
       summary.py --failed TESTLOG.json

Each line of SKIPS-EXPECTED is "PART TEST-PATTERN REASON-PATTERN", shell
patterns, in which PART is the run (root, user, asan). A skip that no line
allows counts as a failure. A test that failed and passed in the second try
(PART-again.xml) counts as passed, and is named. A program of unit tests that
died, of which Meson's JUnit files say nothing (PART-unit.json, its log, does),
counts as failed, unless its second try did well. Each line of the files "worked"
and "broken" counts, too: parts of scripts/test that have no results but these.
Prints "N skipped" and "N passed, N failed"; with --failed, the names of Meson's
tests that failed.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import fnmatch
import json
import os
import re
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


def cases(folder, again):
    """(part, testcase) of all files, or of those of second tries.

    Tests of a group that ran side by side are called NAME@GROUP.
    """
    for name in sorted(os.listdir(folder)):
        if name.endswith('.xml') and name.endswith('-again.xml') == again:
            for case in tree.parse(os.path.join(folder, name)).iter('testcase'):
                case.set('name', re.sub(r'@[a-z_-]+$', '',
                                        case.get('name', '')))
                yield name.split('-')[0], case


def reason_of(case):
    """Why a testcase was skipped, on one line; Meson has it in the output."""
    skip = case.find('skipped')
    return ' '.join((skip.get('message') or skip.text or
                     case.findtext('system-out') or '').split())


def has_failed(case):
    """Whether a testcase says so."""
    return case.find('failure') is not None or case.find('error') is not None


def results(path):
    """(name, result) of Meson's tests: 'vmnet:unit / dhcp', 'OK'."""
    with open(path, encoding='utf-8') as log:
        for test in map(json.loads, log):
            yield test['name'], test['result']


def is_bad(result):
    """Whether Meson's word for it counts as failed."""
    return result not in ('OK', 'SKIP', 'EXPECTEDFAIL')


def programs(folder, again):
    """(part, name, result) of all logs, or of those of second tries."""
    for file in sorted(os.listdir(folder)):
        if file.endswith('.json') and file.endswith('-again.json') == again:
            for name, result in results(os.path.join(folder, file)):
                yield file.split('-')[0], name, result


def dead(folder):
    """Titles of programs that failed without a testcase that says so."""
    told = set()
    for part, case in cases(folder, False):
        if has_failed(case):        # one of several, after "PROJECT.", or all
            told.add((part, case.get('classname').partition('.')[2]))
            told.add((part, case.get('name')))
    well = {(part, name) for part, name, result in programs(folder, True)
            if not is_bad(result)}
    for part, name, result in programs(folder, False):
        title = '%s: %s: %s' % (part, name, result)
        if is_bad(result) and (part, name) in well:
            print('FLAKY ' + title)
        elif is_bad(result) and (part, name) not in told:
            yield title


def parts(folder, verdict):
    """Those that scripts/test says "worked", or "broken"."""
    path = os.path.join(folder, verdict)
    if os.path.exists(path):
        with open(path, encoding='utf-8') as text:
            yield from text.read().splitlines()


def main():
    """See the file's head."""
    if sys.argv[1] == '--failed':
        print(*(name.split(' / ')[-1] for name, result in results(sys.argv[2])
                if is_bad(result)))
        return 0
    expected = read_expected(sys.argv[1])
    passed, failed, skipped = [], [], []
    mended = {(part, case.get('classname'), case.get('name'))
              for part, case in cases(sys.argv[2], True)
              if not has_failed(case) and case.find('skipped') is None}
    for part, case in cases(sys.argv[2], False):
        title = '%s: %s.%s' % (part, case.get('classname'), case.get('name'))
        if has_failed(case):
            if (part, case.get('classname'), case.get('name')) in mended:
                print('FLAKY ' + title)
                passed.append(title)
            else:
                failed.append(title)
        elif case.find('skipped') is not None:
            reason = reason_of(case)
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
    failed += [*dead(sys.argv[2]), *parts(sys.argv[2], 'broken')]
    passed += parts(sys.argv[2], 'worked')
    for title in failed:
        print('FAILED ' + title)
    print('%d skipped' % len(skipped))
    print('%d passed, %d failed' % (len(passed), len(failed)))
    return 1 if failed or not passed else 0


if __name__ == '__main__':
    sys.exit(main())
