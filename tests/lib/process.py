"""Processes for which no test waits in vain, and their sockets.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import os
import subprocess
import threading

WAIT_S = 60
ACCEPTING = 0x10000     # __SO_ACCEPTCON of <linux/net.h>


def listens(path):
    """
    Does a Unix socket at @path take connections?  It has its name before it does.
    Nobody is connected to.
    """
    with open('/proc/net/unix', encoding='utf-8', errors='replace') as table:
        for line in table:
            words = line.rstrip('\n').split(None, 7)
            if words[-1] == path and int(words[3], 16) & ACCEPTING:
                return True
    return False


def descendants(root):
    """Pids of the children of @root, and of theirs."""
    found, families = [], {}
    for name in filter(str.isdigit, os.listdir('/proc')):
        try:
            with open('/proc/%s/stat' % name, encoding='utf-8',
                      errors='replace') as text:
                parent = int(text.read().rpartition(')')[2].split()[1])
        except OSError:
            continue
        families.setdefault(parent, []).append(int(name))
    left = [root]
    while left:
        children = families.get(left.pop(), [])
        found += children
        left += children
    return found


class Process(subprocess.Popen):
    """
    Whoever waits for its end without a limit has this one; whoever reads a line
    that does not come gets '', because it is killed.  The end of a `with` block
    is its end, too, where a Popen would be waited for.
    """

    def line(self, stream=None, timeout=20):
        """The next line of its standard output, or of @stream."""
        watchdog = threading.Timer(timeout, self.kill)
        watchdog.daemon = True
        watchdog.start()
        try:
            return (stream or self.stdout).readline()
        finally:
            watchdog.cancel()

    def wait(self, timeout=WAIT_S):
        return super().wait(timeout)

    def communicate(self, input=None, timeout=WAIT_S):
        # pylint: disable=redefined-builtin
        return super().communicate(input, timeout)

    def end(self, timeout=5):
        """SIGTERM, and SIGKILL to what does not follow; its exit status."""
        self.terminate()
        try:
            return self.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            return self.wait()

    def __exit__(self, *args):
        self.kill()
        super().__exit__(*args)
