#!/usr/bin/python3
"""What include/vmnet declares is what libvmnet.sym exports, and each public
function has words of its own or stands below some.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import glob
import os
import re
import sys

TOP = sys.argv[1]
DECLARATION = re.compile(r'^(?!typedef|G_DEFINE)[A-Za-z][\w \n*]*?'
                         r'\b(vmnet_\w+)\(', re.M)


def without_comments(text):
    """The code of a header."""
    return re.sub(r'/\*.*?\*/', '', text, flags=re.S)


def main():
    """Compare; print what differs."""
    declared, undocumented = set(), []
    for path in glob.glob(os.path.join(TOP, 'include/vmnet/*.h')):
        with open(path, encoding='utf-8') as source:
            text = source.read()
        names = DECLARATION.findall(without_comments(text))
        declared.update(names)
        comments = ' '.join(re.findall(r'/\*\*.*?\*/', text, flags=re.S))
        undocumented += [name for name in names if not re.search(
            r'\b%s\b' % re.sub('_async$|_ref$', '(_async|_ref|_unref)?', name),
            comments)]
    with open(os.path.join(TOP, 'libvmnet/libvmnet.sym'),
              encoding='ascii') as text:
        exported = set(re.findall(r'^    (vmnet_\w+);$', text.read(), re.M))
    for what, names in (('not exported', declared - exported),
                        ('not declared', exported - declared),
                        ('not documented', set(undocumented))):
        for name in sorted(names):
            print('%s: %s' % (name, what))
    return 0 if declared == exported and declared and not undocumented else 1


if __name__ == '__main__':
    sys.exit(main())
