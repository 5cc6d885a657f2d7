"""One guest sends garbage at full rate; two others go on.

tests/lib/hostile.py measures, scripts/hostile prints the same as a table.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import contextlib
import os
import sys

import pytest

from lib import netns
from lib.hostile import SETS, Victims, set_name
from lib.instance import BUILD

ASAN = 'asan' in os.path.basename(BUILD)
# What a busy machine does is in one short run, what the daemon does is in all.
TRIES_OF_SHORT = 3

pytestmark = [pytest.mark.skipif(netns.missing() is not None,
                                 reason=netns.missing() or ''),
              # Under ASan nothing is measured; the guests are shared.
              pytest.mark.xdist_group('hostile') if ASAN else pytest.mark.serial]


@pytest.fixture(scope='module')
def victims():
    """Two guests, for all sets."""
    with contextlib.closing(Victims()) as made:
        yield made


def suffer(victims, path, seconds, alone_seconds):
    """Outcome, printed."""
    outcome = victims.suffer(path, seconds, alone_seconds)
    sys.stdout.write('%s\n' % (outcome,))
    assert not outcome.wrongs()
    return outcome


@pytest.mark.parametrize('path', SETS, ids=set_name)
def test_others_keep_half_of_their_throughput(victims, path):
    for _ in range(TRIES_OF_SHORT):
        misses = suffer(victims, path, 2, 1).misses()
        if ASAN or not misses:
            return
    assert not misses


@pytest.mark.slow
@pytest.mark.parametrize('path', SETS, ids=set_name)
def test_others_keep_it_for_a_minute(victims, path):
    misses = suffer(victims, path, 60, 5).misses()
    assert ASAN or not misses
