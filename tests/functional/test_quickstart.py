"""scripts/quickstart: it works, its exit status follows each step.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import os
import re
import shutil
import subprocess
import sys

import pytest

from lib.instance import BUILD, IMAGE, TOP

pytestmark = pytest.mark.guest

STEPS = ['boot', 'lease', 'advertisement', 'name', 'tcp', 'udp', 'tcp6',
         'udp6', 'ping', 'neighbours', 'forward']
WARM_S = 30         # promised on a machine that does nothing else
SCRIPT = os.path.join(TOP, 'scripts/quickstart')
# Without the installing and the building part.
INNER = [sys.executable, SCRIPT + '.py', '--build', BUILD, '--image', IMAGE]


@pytest.fixture(autouse=True)
def qemu():
    """What all of these boot."""
    if not shutil.which('qemu-system-x86_64'):
        pytest.skip('needs qemu-system-x86_64')


def quickstart(*options, prefix=(), **extra):
    """It, under software emulation unless @options say otherwise, to its end."""
    return subprocess.run(
        [*prefix, *INNER, '--accel', 'tcg', *options], text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=150,
        check=False, **extra)


def test_quickstart_works():
    done = quickstart()
    assert done.returncode == 0, done.stdout
    for step in STEPS:
        assert '\n' + step in '\n' + done.stdout
    assert 'FAILED' not in done.stdout
    took_s = float(re.search(r'([\d.]+) s\n$', done.stdout).group(1))
    print('warm: %.1f s' % took_s)
    assert took_s < 4 * WARM_S      # other tests run beside this


@pytest.mark.parametrize('step', STEPS)
def test_exit_status_follows(step):
    done = quickstart('--break', step, '--only', step)
    if '%-14s skipped' % step in done.stdout:
        pytest.skip('this host skips the step: ' + step)
    assert done.returncode == 1, done.stdout
    assert '%-14s FAILED' % step in done.stdout


def test_sum_counts_what_was_tried():
    done = quickstart('--break', 'boot', '--only', 'tcp')
    assert re.search(r'it does not work: 3 steps, 1 failed, 0 skipped, '
                     r'2 not tried, [\d.]+ s\n$', done.stdout), done.stdout


# Hosts that have less: a network namespace that is made so, as root.

@pytest.fixture
def namespace():
    """Prefix of a command that a namespace made by @setup's commands shall run."""
    if os.geteuid() != 0:
        pytest.skip('needs root to make a network namespace')
    return lambda setup: ['unshare', '--net', 'sh', '-ec', setup + '\nexec "$@"', 'sh']


def test_host_with_loopback_only(namespace):
    done = quickstart('--only', 'tcp6', prefix=namespace('ip link set lo up'))
    assert done.returncode == 0, done.stdout
    assert 'host-loopback=on since the host has only loopback' in done.stdout
    assert '%-14s ok' % 'tcp6' in done.stdout


def test_host_without_ipv6(namespace):
    done = quickstart('--only', 'udp6', prefix=namespace('''
        ip link set lo up
        echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6
        ip link add eth0 type veth peer name other
        ip link set eth0 up
        ip address add 203.0.113.5/24 dev eth0'''))
    assert done.returncode == 0, done.stdout
    assert re.search(r'udp6 +skipped .* the host has no IPv6 address', done.stdout)
    assert 'it works: 4 steps, 0 failed, 1 skipped' in done.stdout


def test_kvm_that_hangs(tmp_path):
    """A QEMU that hangs under KVM, as on some hosts; else the real one."""
    fake = tmp_path / 'qemu-system-x86_64'
    fake.write_text('''#!/bin/sh
case " $* " in
*" -accel kvm "*) touch "$0.kvm"; trap "" TERM; exec sleep 3600;;
*" -accel tcg "*) touch "$0.tcg";;
esac
exec %s "$@"
''' % shutil.which('qemu-system-x86_64'))
    fake.chmod(0o755)
    device = tmp_path / 'kvm'
    device.touch()
    done = subprocess.run(
        [*INNER, '--only', 'boot', '--kvm', str(device)], text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=150, check=False,
        env=dict(os.environ, PATH='%s:%s' % (tmp_path, os.environ['PATH'])))
    assert done.returncode == 0, done.stdout
    assert 'accelerator tcg (a guest under KVM printed nothing for 3 s)' in done.stdout
    probed_s = os.stat(str(fake) + '.tcg').st_mtime - os.stat(str(fake) + '.kvm').st_mtime
    assert 2.5 < probed_s < 6
