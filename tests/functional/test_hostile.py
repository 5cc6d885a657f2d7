"""One guest sends garbage at full rate; two others go on.

  victims: ns one -- ns two, iperf3 and ping
  blaster: each set of tests/data/hostile, as fast as the daemon takes it

SPDX-License-Identifier: GPL-2.0-or-later
"""

import contextlib
import glob
import os
import re
import subprocess
import sys
import time

import pytest

from lib import netns
from lib.instance import BUILD, TOP, Instance
from lib.lab import Lab
from lib.process import Process

SETS = sorted(glob.glob(os.path.join(TOP, 'tests/data/hostile/*.frames')))
ASAN = 'asan' in os.path.basename(BUILD)

pytestmark = [pytest.mark.skipif(netns.missing() is not None,
                                 reason=netns.missing() or ''),
              # Under ASan nothing is measured; the guests are shared.
              pytest.mark.xdist_group('hostile') if ASAN else pytest.mark.serial]


@pytest.fixture(scope='module')
def lab():
    """Two victims, an iperf3 server in the second, the rate alone."""
    with contextlib.ExitStack() as stack:
        instance = Instance()
        stack.callback(instance.stop)
        made = Lab(instance.start())
        stack.callback(made.close)
        made.one, made.two = made.configured(50), made.configured(51)
        stack.enter_context(iperf_server(made.two, instance.folder))
        made.one.call('ping', '-c', '1', '-w', '5', made.two.ip)
        made.alone = rate(made, 3)
        yield made


@contextlib.contextmanager
def iperf_server(guest, folder):
    """One that listens, until it is killed: when SIGTERM finds iperf3 at work it
    may wait for itself."""
    with open(os.path.join(folder, 'iperf3'), 'a+', encoding='ascii') as log, \
            guest.popen('iperf3', '-s', '--forceflush', stdout=log,
                        stderr=subprocess.STDOUT) as server:
        end = time.monotonic() + 20
        while not log.seek(0) and 'listening' not in log.read():
            assert server.poll() is None and time.monotonic() < end
            time.sleep(0.01)
        yield


def rate(lab, seconds):
    """Mbit/s from one to two."""
    text = lab.one.run('iperf3', '-f', 'm', '-c', lab.two.ip, '-t',
                       str(seconds), timeout=seconds + 30).stdout
    match = re.search(r'([\d.]+) Mbits/sec.*receiver', text)
    assert match, text
    return float(match.group(1))


def pinging(lab, seconds):
    """Not from the guest that sends: its own queue is full of its own data."""
    return lab.two.popen('ping', '-i', '0.02', '-w', str(seconds),
                         lab.network()['gateway'], stdout=subprocess.PIPE)


def quiet_p99(lab):
    """Of pings beside iperf3, in ms, when nobody is hostile."""
    with pinging(lab, 2) as ping:
        rate(lab, 1)
        return percentile(ping.communicate()[0], 0.99)


def percentile(text, share):
    """Of ping's times, in ms."""
    times = sorted(float(t) for t in re.findall(r'time=([\d.]+) ms', text))
    assert times, text
    return times[min(len(times) - 1, int(len(times) * share))]


@pytest.mark.parametrize('path', SETS, ids=[
    os.path.basename(path)[:-len('.frames')] for path in SETS])
@pytest.mark.parametrize('seconds', [
    2, pytest.param(60, marks=pytest.mark.slow)])
def test_others_keep_half_of_their_throughput(lab, path, seconds):
    instance = lab.instance
    pids = instance.pids()
    log = len(instance.stderr())
    _ident, socket = instance.netdev(lab.client)
    with Process(
            [os.path.join(BUILD, 'tests/tools/blaster'), '--socket', socket,
             '--frames', path, '--seconds', str(seconds + 1), '--gateway',
             lab.network()['mac']], stdout=subprocess.PIPE, text=True) as blaster, \
            pinging(lab, seconds + 1) as ping:
        during = rate(lab, seconds)
        p99 = percentile(ping.communicate(timeout=seconds + 30)[0], 0.99)
        sent = blaster.communicate(timeout=30)[0]
    sys.stdout.write('%s; alone %.0f Mbit/s, during %.0f; ping p99 %.1f ms\n'
                     % (sent.strip(), lab.alone, during, p99))
    assert instance.pids() == pids
    assert len(instance.stderr()) - log < 64 * 1024
    lab.client.call('netdev_del', id=_ident)
    if not ASAN:
        # The machine may have become slower since.
        assert during >= lab.alone / 2 or during >= rate(lab, 1) / 2
        assert p99 < 50 or p99 < 2 * quiet_p99(lab)
        assert instance.rss_kib() < 32 * 1024
