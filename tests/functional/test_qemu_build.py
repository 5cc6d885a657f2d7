"""scripts/build-qemu: what it changes in QEMU's source, and how its tests end.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import os
import shutil
import subprocess
import sys

import pytest

from lib.instance import BUILD, TOP

sys.path.insert(0, os.path.join(TOP, 'scripts', 'qemu'))
# pylint: disable=wrong-import-position
import hooks        # noqa: E402
import overlay      # noqa: E402

SOURCE = os.path.join(BUILD, 'qemu-src')

pytestmark = pytest.mark.guest


@pytest.fixture
def tree(tmp_path):
    """What hooks touch of QEMU's source, as it was before."""
    if not os.path.exists(os.path.join(SOURCE, 'VERSION')):
        pytest.skip('needs a QEMU that scripts/build-qemu has built')
    for name in {'VERSION', 'meson.build', 'qemu-options.hx'}.union(
            hook.path for patch in hooks.PATCHES for hook in patch.hooks):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(overlay.original(SOURCE, name), encoding='utf-8')
    return tmp_path


def apply(tree):
    """Run it; what it says when it refuses, or ''."""
    done = subprocess.run(
        [sys.executable, os.path.join(TOP, 'scripts/qemu/overlay.py'), 'apply',
         str(tree)], check=False, text=True, stderr=subprocess.PIPE)
    assert bool(done.returncode) == bool(done.stderr)
    return done.stderr


def files(tree):
    """{path: (content, time)}"""
    return {path: (path.read_bytes(), path.stat().st_mtime_ns)
            for path in tree.rglob('*') if path.is_file()}


def test_twice(tree):
    """The second time changes nothing, not even a time."""
    before = files(tree)
    assert apply(tree) == ''
    once = files(tree)
    assert {name for name in before if before[name] != once[name]}
    assert apply(tree) == ''
    assert files(tree) == once


def test_no_anchor(tree):
    """It names what it has no place for, and leaves everything alone."""
    path = tree / 'net' / 'hub.c'
    path.write_text(path.read_text().replace('NET_CLIENT_DRIVER_VHOST_USER', 'X'))
    before = files(tree)
    assert apply(tree) == (
        "overlay: net/hub.c: no place for 'hubs that know the netdevs': its "
        "anchor is not there\n")
    assert files(tree) == before


@pytest.mark.parametrize('version, text', [
    ('7.1.0', 'QEMU 7.1.0 is older than 7.2'),
    ('main', 'is not a QEMU source tree')])
def test_no_version(tree, version, text):
    """Nor is it done to a tree that is too old, or none."""
    (tree / 'VERSION').write_text(version)
    assert text in apply(tree)
    assert not (tree / '.vmnet').exists()


def test_series(tree, tmp_path_factory):
    """`git am` makes of the patches what the overlay makes."""
    folder = tmp_path_factory.mktemp('series')
    who = {'GIT_%s_%s' % (role, what): 'tests@localhost'
           for role in ('AUTHOR', 'COMMITTER') for what in ('NAME', 'EMAIL')}
    environ = dict(os.environ, **who)

    def git(*arguments):
        subprocess.run(('git', '-C', str(copy)) + arguments, check=True,
                       env=environ, stdout=subprocess.DEVNULL)

    subprocess.run([sys.executable, os.path.join(TOP, 'scripts/qemu/overlay.py'),
                    'series', str(tree), str(folder)], check=True, env=environ,
                   stdout=subprocess.DEVNULL)
    copy = tmp_path_factory.mktemp('git') / 'tree'
    shutil.copytree(tree, copy)
    git('init', '-q')
    git('add', '-A')
    git('commit', '-q', '-m', 'QEMU')
    git('am', '-q', *map(str, sorted(folder.iterdir())))
    shutil.rmtree(copy / '.git')
    assert apply(tree) == ''
    shutil.rmtree(tree / '.vmnet')
    assert {path.relative_to(tree): content
            for path, (content, _) in files(tree).items()} == {
                path.relative_to(copy): content
                for path, (content, _) in files(copy).items()}


def test_qtest_that_is_killed(tmp_path):
    """What it has made goes all the same, and it has failed."""
    programs = {'qemu': '', 'tests/qtest/some-test':
                'mktemp -d > %s; kill -9 $$' % (tmp_path / 'made')}
    for name, text in programs.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('#!/bin/sh\n' + text)
        path.chmod(0o755)
    done = subprocess.run([sys.executable, os.path.join(TOP, 'tests/qtest/run.py'),
                           str(tmp_path / 'qemu'), 'some-test'], check=False)
    assert done.returncode == 1
    assert not os.path.exists((tmp_path / 'made').read_text().strip())
