"""Puts the vmnet netdevs into a QEMU source tree, or writes them as patches.

    overlay.py apply SOURCE
    overlay.py series SOURCE FOLDER

Run by scripts/build-qemu. Files that are edited are kept as they were under
.vmnet/ in SOURCE, from where they are edited when this is run again: by other
hooks than the last time, say. Applying twice changes nothing, and a file that has
not changed keeps its time.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import os
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


def original(source, name):
    """The text of a file without our edits, unless it was edited since."""
    text = read(os.path.join(source, name))
    kept = os.path.join(source, '.vmnet', name)
    if os.path.exists(kept) and read(kept + '.edited') == text:
        return read(kept)
    return text


def keep(source, name, before, after):
    """For original(), the next time."""
    kept = os.path.join(source, '.vmnet', name)
    write_changed(kept, before)
    write_changed(kept + '.edited', after)


def apply_patches(source, patches):
    """Copy and edit; nothing is written when a hook does not fit. Returns what
    edited files were and are."""
    known = variables(source)
    edits = {}
    for hook in (hook for patch in patches for hook in patch.hooks):
        before, after = edits.get(hook.path) or [original(source, hook.path)] * 2
        edits[hook.path] = before, hook.apply(after, known)
    for name in (name for patch in patches for name in patch.files):
        write_changed(os.path.join(source, name), read(os.path.join(TOP, name)))
    for name, (_, after) in edits.items():
        write_changed(os.path.join(source, name), after)
    return edits


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
    for name, (before, after) in apply_patches(source, PATCHES).items():
        keep(source, name, before, after)


def git(tree, *arguments):
    """Run git in @tree."""
    return subprocess.run(('git', '-C', tree) + arguments, check=True,
                          stdout=subprocess.PIPE, encoding='utf-8').stdout


def series(source, folder):
    """Commit each patch to a copy of what it touches; format-patch those."""
    check_source(source)
    with tempfile.TemporaryDirectory(prefix='qemu-series-') as tree:
        for path in ['VERSION', 'meson.build'] + [
                hook.path for patch in PATCHES for hook in patch.hooks]:
            write_changed(os.path.join(tree, path), original(source, path))
        git(tree, 'init', '-q')
        git(tree, 'add', '-A')
        git(tree, 'commit', '-q', '-m', 'QEMU ' + read(
            os.path.join(source, 'VERSION')).strip())
        for patch in PATCHES:
            apply_patches(tree, [patch])
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
