"""An instance whose daemon is fake_vmnetd.py: it is told what to answer, and
tells what it was asked.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import json
import os
import shutil
import signal
import sys

from lib.instance import TOP, Instance

FAKE = os.path.join(TOP, 'tests', 'lib', 'fake_vmnetd.py')
# Prints what it was given, as JSON.
SHOW = '''#!%s
import json, os, sys
fds = {}
for fd in os.listdir('/proc/self/fd'):
    try:
        fds[fd] = os.readlink('/proc/self/fd/' + fd)
    except OSError:
        pass
with open('/proc/self/task/%%d/children' %% os.getpid()) as text:
    children = text.read().split()
print(json.dumps({'argv': sys.argv[1:], 'fds': fds, 'pid': os.getpid(),
                  'children': children}))
''' % sys.executable


class Fake(Instance):
    """An instance whose daemon is the fake."""

    def __init__(self):
        super().__init__()
        self.notes = os.path.join(self.folder, 'fake')
        self.bin = os.path.join(self.folder, 'bin')
        os.makedirs(self.notes)
        os.makedirs(self.bin)
        self.env.update(VMNETD=FAKE, VMNET_FAKE=self.notes,
                        PATH=self.bin + ':' + os.environ['PATH'])
        self.configure()

    def configure(self, **config):
        """What the fake does from now on."""
        path = os.path.join(self.notes, 'config.json')
        with open(path + '.new', 'w', encoding='utf-8') as text:
            json.dump(config, text)
        os.rename(path + '.new', path)

    def _lines(self, name):
        path = os.path.join(self.notes, name)
        if not os.path.exists(path):
            return []
        with open(path, encoding='utf-8') as text:
            return [json.loads(line) for line in text]

    def started(self):
        """What each daemon inherited."""
        return self._lines('started')

    def requests(self, command=None):
        """Requests so far; @command: the arguments of these."""
        lines = self._lines('requests')
        if command is None:
            return lines
        return [one['arguments'] for one in lines
                if one['execute'] == command]

    def program(self, name, text):
        """An executable in $PATH."""
        path = os.path.join(self.bin, name)
        with open(path, 'w', encoding='utf-8') as script:
            script.write(text)
        os.chmod(path, 0o755)
        return path

    def qemu(self, version, name='qemu-system-x86_64'):
        """A QEMU of that version, which shows its arguments."""
        return self.program(name, SHOW.replace(
            'import json', 'import sys\nif sys.argv[1:] == ["--version"]:\n'
            '    open(%r, "a").write("x")\n'
            '    print("QEMU emulator version %s (test)"); sys.exit()\n'
            'import json' % (os.path.join(self.folder, 'asked'), version), 1))

    def asked(self):
        """How often a QEMU was asked its version."""
        path = os.path.join(self.folder, 'asked')
        return os.path.getsize(path) if os.path.exists(path) else 0

    def stop(self):
        for one in self.started():
            try:
                with open('/proc/%d/cmdline' % one['pid'], 'rb') as text:
                    if FAKE.encode() in text.read():
                        os.kill(one['pid'], signal.SIGKILL)
            except OSError:
                pass
        self.end_leftovers()
        shutil.rmtree(self.folder, ignore_errors=True)
