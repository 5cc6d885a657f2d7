"""Fixtures of all functional tests.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import os
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
for folder in (HERE, os.path.dirname(HERE)):
    if folder not in sys.path:
        sys.path.insert(0, folder)

from lib.instance import BUILD, Instance  # noqa: E402
from lib.lab import Lab  # noqa: E402


def pytest_collection_modifyitems(items):
    """Guests first: side by side with others, the longest must not be last."""
    items.sort(key=lambda item: item.get_closest_marker('guest') is None)


@pytest.fixture
def daemon():
    """A daemon of this test's own, started, with its directories."""
    made = Instance()
    try:
        yield made.start()
    finally:
        made.stop()


@pytest.fixture
def idle_daemon():
    """Directories and environment of a daemon that the test starts itself."""
    made = Instance()
    try:
        yield made
    finally:
        made.stop()


@pytest.fixture
def bare(daemon):
    """Guests of one daemon, for tests that have nothing to do with NAT."""
    made = Lab(daemon)
    yield made
    made.close()


@pytest.fixture(params=['peek-off', 'ring'])
def lab(request, idle_daemon):
    """Guests of one daemon; all runs with SO_PEEK_OFF and without."""
    made = Lab(idle_daemon.start(
        env={'VMNET_NO_PEEK_OFF': '1'} if request.param == 'ring' else {}))
    yield made
    made.close()


@pytest.fixture
def vmnetd():
    """Path of the program."""
    path = os.path.join(BUILD, 'vmnetd', 'vmnetd')
    if not os.access(path, os.X_OK):
        pytest.skip('%s is not built' % path)
    return path
