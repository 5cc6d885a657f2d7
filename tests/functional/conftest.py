"""Fixtures of all functional tests.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import os
import signal
import sys
import threading

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
for folder in (HERE, os.path.dirname(HERE)):
    if folder not in sys.path:
        sys.path.insert(0, folder)

from lib.instance import BUILD, Instance  # noqa: E402
from lib.lab import Lab  # noqa: E402
from lib.process import descendants  # noqa: E402


SLOW_TIMEOUT = 1800     # s, of what is marked slow; of others, see pytest.ini
GRACE = 15              # s, for what a test cleans up when its time is over


def pytest_collection_modifyitems(items):
    """Guests first: side by side with others, the longest must not be last."""
    items.sort(key=lambda item: item.get_closest_marker('guest') is None)
    for item in items:
        if item.get_closest_marker('slow'):
            item.add_marker(pytest.mark.timeout(SLOW_TIMEOUT))


def end_descendants():
    """What a test that hangs waits for ends, and so does the wait."""
    for pid in descendants(os.getpid()):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node, error):
    """A worker that died left tests that nobody runs: the run is none."""
    if error:
        node.config.worker_died = True


def pytest_sessionfinish(session):
    """What pytest-xdist does not say by its exit status."""
    if getattr(session.config, 'worker_died', False):
        session.exitstatus = pytest.ExitCode.INTERNAL_ERROR


@pytest.fixture(autouse=True)
def bounded(request):
    """
    pytest-timeout fails a test whose time is over; after that nothing bounds
    how long it waits for the processes that it started.
    """
    marker = request.node.get_closest_marker('timeout')
    limit = marker.args[0] if marker else float(request.config.getini('timeout'))
    timer = threading.Timer(limit + GRACE, end_descendants)
    timer.daemon = True
    timer.start()
    yield
    timer.cancel()


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
