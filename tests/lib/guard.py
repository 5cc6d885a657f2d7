"""Work of which nothing stays: no process, no folder, no terminal in raw mode.

  guard (this process) -- worker -- guests, daemons, what they start

The guard is the subreaper of all of them: whoever loses its parent, as a daemon
does, becomes the guard's child.  So when the worker has ended, or a signal tells
the guard to, children are ended until there are none; nobody has to remember
what was started.  The guard's signals are blocked and taken where it waits: none
comes between making something and knowing about it.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import ctypes
import os
import shutil
import signal
import sys
import tempfile
import termios
import time
import traceback

from lib.process import descendants

PR_SET_CHILD_SUBREAPER = 36     # <linux/prctl.h>
PATIENCE_S = 5                  # from SIGTERM to SIGKILL


def run(work, prefix, keep=False):
    """
    Calls work(folder) in a child, with a new folder of that @prefix; returns the
    exit status that it returns.  The folder is removed unless @keep.  A signal
    that would end this process does so, after all else has ended.
    """
    ending = {number for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
              if signal.getsignal(number) != signal.SIG_IGN}
    blocked = ending | {signal.SIGCHLD}
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    signal.pthread_sigmask(signal.SIG_BLOCK, blocked)
    terminal = termios.tcgetattr(0) if os.isatty(0) else None
    folder = tempfile.mkdtemp(prefix=prefix)
    try:
        sys.stdout.flush()
        worker = os.fork()
        if worker == 0:
            _work(work, folder, ending, blocked)
        code = _wait(worker, blocked)
        if code < 0:
            os.kill(worker, signal.SIGKILL)
        end_children()
    finally:
        _restore(terminal)
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)
    if -code in ending:
        signal.signal(-code, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {-code})
        os.kill(os.getpid(), -code)
    return code if code >= 0 else 128 - code


def _work(work, folder, ending, blocked):
    """The worker's life: signals end it as they end any process."""
    status = 1
    try:
        for number in ending:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, blocked)
        status = work(folder)
    except BaseException:       # pylint: disable=broad-except
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(status)


def _wait(worker, blocked):
    """The worker's exit status, or minus the signal that it or we got."""
    while True:
        number = signal.sigwait(blocked)
        if number != signal.SIGCHLD:
            return -number
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == worker:
                return os.waitstatus_to_exitcode(status)
            if pid == 0:
                break


def end_children():
    """SIGTERM for every descendant, SIGKILL for those that do not follow."""
    told = set()
    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        late = time.monotonic() > end
        for pid in descendants(os.getpid()):
            if late or pid not in told:
                told.add(pid)
                try:
                    os.kill(pid, signal.SIGKILL if late else signal.SIGTERM)
                except ProcessLookupError:
                    pass
        signal.sigtimedwait({signal.SIGCHLD}, 0.05)


def _restore(terminal):
    """As it was found; one that has hung up needs it no more."""
    if not terminal:
        return
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    try:
        termios.tcsetattr(0, termios.TCSANOW, terminal)
    except termios.error:
        pass
