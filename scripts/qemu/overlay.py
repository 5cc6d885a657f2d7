"""Puts the vmnet netdevs into a QEMU source tree, or writes them as patches.

    overlay.py apply SOURCE
    overlay.py series SOURCE FOLDER

Run by scripts/build-qemu. Applying twice changes nothing, and a file that has
not changed keeps its time.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import os
import shutil
import subprocess
import sys
import tempfile

from hooks import HookError, PATCHES

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def read(path):
    """The text of a file."""
    with open(path, encoding='utf-8') as stream:
        return stream.read()


def write_changed(path, text):
    """Write @text, unless it is there already."""
    if os.path.exists(path) and read(path) == text:
        return
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, 'w', encoding='utf-8') as stream:
        stream.write(text)


def variables(source):
    """What hooks name differently from one version of QEMU to the next."""
    text = read(os.path.join(source, 'meson.build'))
    return {'os': 'host_os' if '\nhost_os = ' in text else 'targetos'}


def apply_patch(source, patch):
    """Copy and edit; nothing is written when a hook does not fit."""
    known = variables(source)
    edited = {}
    for hook in patch.hooks:
        path = os.path.join(source, hook.path)
        if path not in edited:
            edited[path] = read(path)
        edited[path] = hook.apply(edited[path], known)
    for name in patch.files:
        edited[os.path.join(source, name)] = read(os.path.join(TOP, name))
    for path, text in edited.items():
        write_changed(path, text)


def check_source(source):
    """Refuse what is no QEMU tree, and what is older than 7.2."""
    try:
        version = read(os.path.join(source, 'VERSION')).strip()
        numbers = tuple(int(part) for part in version.split('.')[:2])
        os.stat(os.path.join(source, 'qemu-options.hx'))
    except (OSError, ValueError) as error:
        raise HookError("'%s' is not a QEMU source tree: %s"
                        % (source, error)) from error
    if numbers < (7, 2):
        raise HookError('QEMU %s is older than 7.2' % version)


def apply(source):
    """The whole overlay."""
    check_source(source)
    for patch in PATCHES:
        apply_patch(source, patch)


def git(tree, *arguments):
    """Run git in @tree."""
    return subprocess.run(('git', '-C', tree) + arguments, check=True,
                          stdout=subprocess.PIPE, encoding='utf-8').stdout


def touched(patch):
    """Paths of a patch."""
    return sorted(set(patch.files) | {hook.path for hook in patch.hooks})


def series(source, folder):
    """Commit each patch to a copy of what it touches; format-patch those."""
    check_source(source)
    with tempfile.TemporaryDirectory(prefix='qemu-series-') as tree:
        for path in ['VERSION', 'meson.build'] + [
                path for patch in PATCHES for path in touched(patch)]:
            if os.path.exists(os.path.join(source, path)):
                os.makedirs(os.path.join(tree, os.path.dirname(path)),
                            exist_ok=True)
                shutil.copy(os.path.join(source, path), os.path.join(tree, path))
        git(tree, 'init', '-q')
        git(tree, 'add', '-A')
        git(tree, 'commit', '-q', '-m', 'QEMU ' + read(
            os.path.join(source, 'VERSION')).strip())
        for patch in PATCHES:
            apply_patch(tree, patch)
            git(tree, 'add', '-A')
            git(tree, 'commit', '-q', '-s', '-m', patch.subject, '-m', patch.body)
        print(git(tree, 'format-patch', '-o', os.path.abspath(folder),
                  '--full-index', '-%d' % len(PATCHES)), end='')


def main():
    """Entry point."""
    actions = {'apply': (apply, 1), 'series': (series, 2)}
    action, count = actions.get(sys.argv[1] if len(sys.argv) > 1 else '',
                                (None, 0))
    if not action or len(sys.argv) != 2 + count:
        sys.exit(__doc__)
    try:
        action(*sys.argv[2:])
    except HookError as error:
        sys.exit('overlay: %s' % error)


if __name__ == '__main__':
    main()
