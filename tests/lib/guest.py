"""A real Linux guest under QEMU that runs commands from its serial console.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import os
import re
import select
import subprocess
import sys
import termios
import time
import tty
import warnings

from lib.process import Process

READY = rb'@@ready\r?\n'
# What a kernel begins with that cannot go on.
DEATH = re.compile(rb'BUG: |kernel BUG|Oops|general protection|Kernel panic')
# How often a guest boots until its clock is right.
BOOTS = 4


class GuestError(Exception):
    """The guest did not boot, went away, or a command took too long."""


class Result:
    """What a command printed in the guest, and its exit status."""

    def __init__(self, status, text):
        self.status = status
        self.text = text

    @property
    def ok(self):
        return self.status == 0

    def __repr__(self):
        return 'Result(%d, %r)' % (self.status, self.text)


def kvm_trouble(qemu, image, timeout=3.0, device='/dev/kvm'):
    """Why guests cannot have KVM, or ''.

    Some hosts open /dev/kvm and even run firmware, and then hang: only a guest
    that has printed within @timeout seconds counts.
    """
    if not os.path.exists(device):
        return 'no ' + device
    if not os.access(device, os.R_OK | os.W_OK):
        return 'no right to open ' + device
    probe = Guest('probe', image, [qemu], [], accel='kvm', log=os.devnull)
    try:
        probe.wait_ready(timeout)
        return ''
    except GuestError:
        if probe.process.poll() is not None:
            return 'QEMU ends under KVM'
        return 'a guest under KVM printed nothing for %g s' % timeout
    finally:
        probe.process.kill()    # what hangs does not follow SIGTERM
        probe.stop()


class Guest:
    """One QEMU process.

    @image: (kernel, initramfs); @argv: the command in front of QEMU's options,
    e.g. ['vmnet-run', 'qemu-system-x86_64']; @options: its network options;
    @boots: how often it may boot until its clock is right, see wait_ready().
    """

    def __init__(self, name, image, argv, options, *, env=None, accel='tcg',
                 memory=192, log=None, pass_fds=(), append='', boots=1):
        self.name = name
        self._boots = boots
        self._buffer = b''
        self._serial = 0
        self.console = bytearray()
        command = list(argv) + [
            '-name', name, '-accel', accel, '-m', str(memory),
            '-nodefaults', '-no-user-config', '-display', 'none',
            '-no-reboot', '-serial', 'stdio', '-kernel', image[0],
            '-initrd', image[1], '-append',
            'console=ttyS0 quiet panic=-1 tsc=reliable no_timer_check '
            'guest.name=%s %s' % (name, append)] + list(options)
        self.argv = command
        self._log = open(log or os.devnull, 'ab')
        self._how = {'stderr': self._log if log else None, 'env': env,
                     'pass_fds': pass_fds}
        self._boot()

    def _boot(self):
        self._began = time.monotonic()
        self.process = Process(
            self.argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0,
            start_new_session=True, **self._how)
        self.pid = self.process.pid

    def _last_words(self):
        """The end of the console; with what a kernel says when it dies."""
        fault = DEATH.search(self.console)
        begin = fault.start() if fault else len(self.console)
        return bytes(self.console[min(begin, max(0, len(self.console) - 400)):])

    def _fill(self, deadline):
        wait = deadline - time.monotonic()
        if wait <= 0:
            raise GuestError('%s: no answer in time; console: %r'
                             % (self.name, self._last_words()))
        ready, _, _ = select.select([self.process.stdout], [], [], wait)
        if not ready:
            return
        data = os.read(self.process.stdout.fileno(), 65536)
        if not data:
            raise GuestError('%s: QEMU ended with status %s; console: %r'
                             % (self.name, self.process.wait(),
                                self._last_words()))
        self._buffer += data
        self.console += data

    def _read_until(self, marker, timeout):
        deadline = time.monotonic() + timeout
        pattern = re.compile(marker)
        while True:
            match = pattern.search(self._buffer)
            if match:
                before = self._buffer[:match.start()]
                self._buffer = self._buffer[match.end():]
                return before, match
            self._fill(deadline)

    def wait_ready(self, timeout=60):
        """Wait until the guest takes commands.

        On a busy machine a guest may find its TSC to be 3 to 18 times slower than
        it is, and counts as many seconds for one of ours from then on: each of its
        timeouts is too short. Such a guest boots again, if it may.
        """
        self._read_until(READY, timeout)
        while self._boots > 1 and (problem := self._find_wrong_clock()):
            warnings.warn('%s %s: boots again' % (self.name, problem),
                          stacklevel=2)
            self._boots -= 1
            self._end()
            self._buffer = b''
            self._boot()
            self._read_until(READY, timeout)

    def _find_wrong_clock(self):
        """It cannot have been up for longer than its QEMU.

        With a right clock it has been up for half of that time.
        """
        up = float(self.run('cat /proc/uptime').text.split()[0])
        limit = time.monotonic() - self._began
        return 'has counted %.1f s in %.1f' % (up, limit) if up > limit else ''

    def start(self, command):
        """Begin a command; finish() waits for it."""
        if '\n' in command:
            raise ValueError('one line only')
        self._serial += 1
        self.process.stdin.write(b'%d %s\n' % (self._serial,
                                               command.encode()))
        return self._serial

    def finish(self, serial, timeout=30):
        before, match = self._read_until(rb'@@%d (\d+)\r?\n' % serial, timeout)
        return Result(int(match.group(1)),
                      before.decode(errors='replace').replace('\r', ''))

    def run(self, command, timeout=30):
        """Run @command in the guest's shell; returns a Result."""
        return self.finish(self.start(command), timeout)

    def dhcp(self, interface='eth0', timeout=20):
        """A lease by udhcpc: a dict of what the server said, or None."""
        result = self.run(
            'ip link set %s up; udhcpc -i %s -n -q -t 5 -T 1 -O mtu '
            '-O search -x hostname:$(hostname) -s /etc/udhcpc.script '
            '2>&1 && cat /run/lease' % (interface, interface), timeout)
        if not result.ok:
            return None
        pairs = re.findall(r'^(\w+)=(.*)$', result.text, re.M)
        return dict(pairs)

    def shell(self):
        """Join this terminal to a shell in the guest.

        Returns when the shell exits, the guest ends, or somebody types Ctrl-].
        """
        keys = sys.stdin.fileno()
        saved = termios.tcgetattr(keys) if os.isatty(keys) else None
        self._serial += 1
        self.process.stdin.write(b'@shell %d\n' % self._serial)
        try:
            if saved:
                tty.setraw(keys)
            self._relay(keys, b'@@%d ' % self._serial)
        except BrokenPipeError:
            pass                # the guest was faster
        finally:
            if saved:
                termios.tcsetattr(keys, termios.TCSADRAIN, saved)

    def _relay(self, keys, marker):
        """Keys to the guest and its output to us, until @marker."""
        console = self.process.stdout.fileno()
        held = b''
        while True:
            ready, _, _ = select.select([console, keys], [], [])
            if console in ready:
                data = os.read(console, 4096)
                text, found, _ = (held + data).partition(marker)
                # The beginning of a marker is shown when it is none.
                size = max(n for n in range(len(marker))
                           if text.endswith(marker[:n]))
                held = text[len(text) - size:]
                if found or not data:
                    os.write(1, text)
                    return
                os.write(1, text[:len(text) - size])
            if keys in ready:
                data, found, _ = os.read(keys, 4096).partition(b'\x1d')
                self.process.stdin.write(data)
                if found or not data:
                    return

    def _end(self):
        self.process.end()
        self.process.stdin.close()
        self.process.stdout.close()

    def stop(self):
        """End QEMU (and nothing else)."""
        self._end()
        self._log.close()
