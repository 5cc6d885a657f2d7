"""MAINTAINERS names who and where, and matches every file; what it names is there.

usage: check-maintainers.py SOURCE-ROOT

SPDX-License-Identifier: GPL-2.0-or-later
"""

import fnmatch
import os
import subprocess
import sys

# What is in a tree and not in its repository.
NOT_OURS = ('.git', '__pycache__', '.pytest_cache', 'build')


def files(root):
    """Paths of the tree's files, from its root: git's, or a copy's."""
    try:
        listed = subprocess.run(
            ['git', '-C', root, 'ls-files', '-z'], stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True, check=True)
        yield from filter(None, listed.stdout.split('\0'))
        return
    except (OSError, subprocess.CalledProcessError):
        pass
    for path, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(NOT_OURS)]
        for name in names:
            yield os.path.relpath(os.path.join(path, name), root)


def matches(path, pattern):
    """As in the kernel's file: NAME/ is a folder, * goes no deeper."""
    if pattern.endswith('/'):
        return path.startswith(pattern)
    return path.count('/') == pattern.count('/') and fnmatch.fnmatch(path, pattern)


def main():
    """Prints what is wrong."""
    root = sys.argv[1]
    with open(os.path.join(root, 'MAINTAINERS'), encoding='utf-8') as text:
        paragraphs = [part.splitlines() for part in text.read().split('\n\n')[1:]]
    patterns, wrong = [], []
    for lines in paragraphs:
        tags = [line.split(': ', 1) for line in lines[1:]]
        patterns += [value for tag, value in tags if tag == 'F']
        wrong += ['%s: no %s:' % (lines[0], tag) for tag in 'MSF'
                  if tag not in dict(tags)]
        wrong += ['%s: no such test: %s' % (lines[0], name)
                  for tag, value in tags if tag == 'T' for name in value.split()
                  if not os.path.exists(os.path.join(root, name))]
    paths = list(files(root))
    wrong += ['%s: nobody maintains it' % path for path in paths
              if not any(matches(path, pattern) for pattern in patterns)]
    wrong += ['F: %s matches nothing' % pattern for pattern in patterns
              if not any(matches(path, pattern) for path in paths)]
    print('\n'.join(wrong) or '%d files' % len(paths))
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main())
