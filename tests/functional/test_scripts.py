"""What scripts/quickstart and scripts/test do before and after their work.

Packages, lists and builds are played by a folder of small programs in front of
PATH: what this machine has installed stays as it is.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from lib.instance import TOP, is_running
from lib.process import Process

QUICKSTART = os.path.join(TOP, 'scripts/quickstart')


class Machine:
    """A folder in front of PATH, and a build directory that is configured."""

    def __init__(self, folder):
        self.folder = str(folder)
        self.build = os.path.join(self.folder, 'build')
        self.calls = os.path.join(self.folder, 'calls')
        os.makedirs(os.path.join(self.folder, 'bin'))
        os.makedirs(self.build)
        with open(os.path.join(self.build, 'build.ninja'), 'w', encoding='ascii'):
            pass
        self.env = dict(
            os.environ, VMNET_BUILD=self.build, VMNET_GUEST=self.build + '/guest',
            PATH='%s/bin:%s' % (self.folder, os.environ['PATH']))
        self.env.pop('CI', None)
        self.program('dpkg-query', 'echo installed')
        self.program('sudo', 'exit 1')
        self.program('apt-get', 'echo "$*" >>%s' % self.calls)
        self.program('ninja', 'exit 0')
        self.program('meson', 'exit 0')

    def program(self, name, text):
        """One that PATH finds first."""
        path = os.path.join(self.folder, 'bin', name)
        with open(path, 'w', encoding='ascii') as out:
            out.write('#!/bin/sh\n%s\n' % text)
        os.chmod(path, 0o755)

    def user(self, uid):
        """Who runs it."""
        self.program('id', 'echo %d' % uid)

    def lacks(self, package):
        """One package is not installed."""
        self.program('dpkg-query', 'case "$*" in *%s*) exit 1;; esac\n'
                     'echo installed' % package)

    def has_kernel(self):
        """The guest's, which needs no lists then."""
        os.makedirs(os.path.join(self.env['VMNET_GUEST'], 'kernel', 'boot'))

    def has_no_lists(self):
        """apt's own programs look into an empty folder."""
        lists = os.path.join(self.folder, 'lists')
        os.mkdir(lists)
        self.env['APT_CONFIG'] = os.path.join(self.folder, 'apt.conf')
        with open(self.env['APT_CONFIG'], 'w', encoding='ascii') as out:
            out.write('Dir::State::lists "%s";\n' % lists)
            out.write('Dir::State::status "/dev/null";\n')
            out.write('Dir::Cache "%s";\n' % lists)

    def run(self, script=QUICKSTART, *options):
        """To its end; nobody types."""
        return subprocess.run(
            [script, *options], env=self.env, text=True, timeout=60, check=False,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def apt_calls(self):
        """Arguments of each call of apt-get."""
        if not os.path.exists(self.calls):
            return []
        with open(self.calls, encoding='ascii') as text:
            return text.read().splitlines()


@pytest.fixture
def machine(tmp_path):
    """Everything installed, apt's lists as they are."""
    if not shutil.which('apt-cache'):
        pytest.skip('needs apt-cache')
    return Machine(tmp_path)


INSTALL = 'apt-get install --no-install-recommends -y busybox-static'


@pytest.mark.parametrize('packages, lists, line', [
    (False, True, 'sudo ' + INSTALL),
    (True, False, 'sudo apt-get update'),
    (False, False, "sudo sh -c 'apt-get update && %s'" % INSTALL)])
def test_user_is_told_one_line(machine, packages, lists, line):
    machine.user(1000)
    if not packages:
        machine.lacks('busybox-static')
    if lists:
        machine.has_kernel()
    else:
        machine.has_no_lists()
    done = machine.run()
    assert done.returncode == 77
    assert done.stderr == \
        'quickstart: packages are missing; run this once: %s\n' % line
    assert done.stdout == ''
    assert machine.apt_calls() == []


def test_root_fetches_lists_and_packages(machine):
    machine.user(0)
    machine.lacks('busybox-static')
    machine.has_no_lists()
    machine.program('ninja', 'exit 3')
    assert machine.run().returncode == 1
    assert machine.apt_calls() == ['update -qq', INSTALL.partition(' ')[2]]


def test_root_updates_lists_that_are_too_old(machine):
    machine.user(0)
    machine.lacks('busybox-static')
    machine.has_kernel()
    machine.program('apt-get', 'echo "$*" >>%s; test -e %s || ! touch %s' % (
        machine.calls, *[machine.folder + '/second'] * 2))
    machine.program('ninja', 'exit 3')
    assert machine.run().returncode == 1
    assert machine.apt_calls() == [
        INSTALL.partition(' ')[2], 'update -qq', INSTALL.partition(' ')[2]]


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGHUP])
def test_signal_ends_the_build(machine, number):
    machine.has_kernel()
    machine.program('ninja', 'echo $$ >{0}.new; mv {0}.new {0}; exec sleep 3600'
                    .format(machine.folder + '/pid'))
    with Process([QUICKSTART], env=machine.env, stdout=subprocess.DEVNULL) as script:
        end = time.monotonic() + 20
        while not os.path.exists(machine.folder + '/pid'):
            assert time.monotonic() < end
            time.sleep(0.01)
        script.send_signal(number)
        assert script.wait(20) == -number
    with open(machine.folder + '/pid', encoding='ascii') as text:
        assert not is_running(int(text.read()))


MESON = '''<testsuites><testsuite name="vmnet">
<testcase name="uses-tap" classname="vmnet"><skipped/>
<system-out>no /dev/net/tun
here</system-out></testcase>
<testcase name="works" classname="vmnet"/></testsuite></testsuites>'''


@pytest.mark.parametrize('allowed, sums', [
    ('user *uses-tap *tun here', '1 skipped\n1 passed, 0 failed\n'),
    ('user *uses-tap *sockets*', '0 skipped\n1 passed, 1 failed\n'),
    ('root *uses-tap *tun here', '0 skipped\n1 passed, 1 failed\n')])
def test_reason_of_a_skip_is_mesons(tmp_path, allowed, sums):
    (tmp_path / 'user-unit.xml').write_text(MESON)
    (tmp_path / 'expected').write_text(allowed + '\n')
    done = subprocess.run(
        [sys.executable, TOP + '/tests/summary.py', tmp_path / 'expected', tmp_path],
        text=True, stdout=subprocess.PIPE, check=False, timeout=60)
    assert done.stdout.endswith(sums)
    assert done.returncode == (1 if ' 1 failed' in sums else 0)


@pytest.fixture
def tree(machine):
    """A tree with scripts/test and little else; its tests break off."""
    for name in ('scripts/test', 'scripts/common.sh', 'tests/summary.py'):
        path = os.path.join(machine.folder, 'tree', name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        shutil.copy(os.path.join(TOP, name), path)
    folder = os.path.join(machine.folder, 'tree')
    os.makedirs(folder + '/tests/functional')
    with open(folder + '/tests/functional/conftest.py', 'w', encoding='ascii') as out:
        out.write('import os\nos._exit(3)\n')
    with open(folder + '/tests/skips.expected', 'w', encoding='ascii'):
        pass
    for name in ('build-qemu', 'soak', 'fetch-qemu-source'):
        path = os.path.join(folder, 'scripts', name)
        with open(path, 'w', encoding='ascii') as out:
            out.write('#!/bin/sh\nexit ${SOAK:-1}\n')
        os.chmod(path, 0o755)
    machine.has_kernel()
    return folder


def last_line(done):
    """The one that counts."""
    return done.stdout.splitlines()[-1]


@pytest.mark.parametrize('parts, failures', [
    (['qemu'], ['qemu: cannot be built']),
    (['soak'], ['soak']),
    (['functional'], ['root-%s: broke off twice' % name
                      for name in ('functional', 'serial', 'again')]),
    (['qemu', 'soak'], ['qemu: cannot be built', 'soak'])])
def test_parts_that_fail_are_counted(machine, tree, parts, failures):
    machine.user(0)
    options = [word for part in parts for word in ('--only', part)]
    done = machine.run(tree + '/scripts/test', *options)
    assert last_line(done) == '0 passed, %d failed' % len(failures), done.stdout
    for title in failures:
        assert '\nFAILED %s\n' % title in done.stdout
    assert done.returncode == 1


def test_part_that_works_is_counted(machine, tree):
    machine.env['SOAK'] = '0'
    done = machine.run(tree + '/scripts/test', '--only', 'soak')
    assert last_line(done) == '1 passed, 0 failed', done.stdout
    assert done.returncode == 0


@pytest.mark.parametrize('ci, last', [('true', ' -Dwerror=true'), ('', '')])
def test_all_is_built_and_warnings_are_errors_in_ci(machine, tree, ci, last):
    """Also where the tree was configured by a script that wants no such thing."""
    machine.env.update(CI=ci, SOAK='0')
    machine.program('meson', 'echo "$*" >>%s/meson' % machine.folder)
    with open(machine.folder + '/meson', 'w+', encoding='utf-8') as text:
        done = machine.run(tree + '/scripts/test', '--only', 'soak')
        assert done.returncode == 0, done.stderr
        assert text.read() == 'configure %s -Dnftables=enabled -Dyaml=enabled%s\n' % (
            machine.build, last)


def test_sanitizers_that_cannot_be_built(machine, tree):
    """Its build directory is not there yet, and Meson fails."""
    machine.program('meson', '[ "$1" != setup ] || { echo no compiler; exit 1; }')
    done = machine.run(tree + '/scripts/test', '--only', 'asan')
    assert last_line(done) == '0 passed, 1 failed', done.stdout
    assert '\nFAILED asan: cannot be built\n' in done.stdout
    assert 'no compiler' in done.stderr
