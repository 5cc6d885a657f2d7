"""Processes for which no test waits in vain.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import subprocess
import threading

WAIT_S = 60


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
