"""One guest sends garbage at full rate; two others go on.

  victims: ns one -- ns two, iperf3 and ping
  blaster: each set of tests/data/hostile, as fast as the daemon takes it

SPDX-License-Identifier: GPL-2.0-or-later
"""

import glob
import os
import re
import subprocess
import sys

import pytest

from lib import netns
from lib.instance import BUILD, TOP, Instance
from lib.lab import Lab

SETS = sorted(glob.glob(os.path.join(TOP, 'tests/data/hostile/*.frames')))
ASAN = 'asan' in os.path.basename(BUILD)

pytestmark = [pytest.mark.skipif(netns.missing() is not None,
                                 reason=netns.missing() or ''),
              # Under ASan nothing is measured; the guests are shared.
              pytest.mark.xdist_group('hostile') if ASAN else pytest.mark.serial]


@pytest.fixture(scope='module')
def lab():
    """Two victims, an iperf3 server in the second, the rate alone."""
    instance = Instance().start()
    made = Lab(instance)
    try:
        made.one, made.two = made.configured(50), made.configured(51)
        made.server = made.two.popen('iperf3', '-s', stdout=subprocess.DEVNULL)
        made.one.call('ping', '-c', '1', '-w', '5', made.two.ip)
        made.alone = rate(made, 3)
        yield made
    finally:
        made.server.terminate()
        made.server.wait()
        made.close()
        instance.stop()


def rate(lab, seconds):
    """Mbit/s from one to two."""
    text = lab.one.run('iperf3', '-f', 'm', '-c', lab.two.ip, '-t',
                       str(seconds), timeout=seconds + 30).stdout
    match = re.search(r'([\d.]+) Mbits/sec.*receiver', text)
    assert match, text
    return float(match.group(1))


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
    blaster = subprocess.Popen(
        [os.path.join(BUILD, 'tests/tools/blaster'), '--socket', socket,
         '--frames', path, '--seconds', str(seconds + 1), '--gateway',
         lab.network()['mac']], stdout=subprocess.PIPE, text=True)
    # Not from the guest that sends: its own queue is full of its own data.
    ping = lab.two.popen('ping', '-i', '0.02', '-w', str(seconds + 1),
                         lab.network()['gateway'], stdout=subprocess.PIPE)
    try:
        during = rate(lab, seconds)
    finally:
        pings = ping.communicate(timeout=30)[0]
        sent = blaster.communicate(timeout=30)[0]
    sys.stdout.write('%s; alone %.0f Mbit/s, during %.0f; ping p99 %.1f ms\n'
                     % (sent.strip(), lab.alone, during,
                        percentile(pings, 0.99)))
    assert instance.pids() == pids
    assert len(instance.stderr()) - log < 64 * 1024
    lab.client.call('netdev_del', id=_ident)
    if not ASAN:
        # The machine may have become slower since.
        assert during >= lab.alone / 2 or during >= rate(lab, 1) / 2
        assert percentile(pings, 0.99) < 50
        assert instance.rss_kib() < 32 * 1024
