"""A daemon of a test's own: directories, environment, tools, QMP.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time

from lib.process import Process
from lib.qmp import Qmp, QmpError

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.abspath(os.environ.get('VMNET_BUILD', os.path.join(TOP, 'build')))
IMAGE = os.environ.get('VMNET_GUEST', os.path.join(BUILD, 'guest'))


def is_running(pid):
    """A process that has ended is gone, also before its parent looks; its
    descriptors are closed when its last thread has ended."""
    try:
        with open('/proc/%d/stat' % pid, encoding='ascii') as text:
            state = text.read().rsplit(')', 1)[1].split()[0]
        return state != 'Z' or len(os.listdir('/proc/%d/task' % pid)) > 1
    except OSError:
        return False


class Instance:
    """Own runtime and state directories, and what was started in them."""

    def __init__(self, folder=None):
        self.folder = folder or tempfile.mkdtemp(prefix='vmnet-test-')
        self._own = folder is None
        self._ids = itertools.count(1)
        self.runtime = os.path.join(self.folder, 'run')
        self.state = os.path.join(self.folder, 'state')
        for path in (self.runtime, self.state):
            os.makedirs(path, mode=0o700, exist_ok=True)
        self.resolv_conf = os.path.join(self.folder, 'resolv.conf')
        self.env = dict(os.environ, XDG_RUNTIME_DIR=self.runtime,
                        XDG_STATE_HOME=self.state,
                        VMNET_RESOLV_CONF=self.resolv_conf)
        self.env.pop('VMNET_SOCKET', None)
        with open(self.resolv_conf, 'w', encoding='ascii'):
            pass
        self.socket = os.path.join(self.runtime, 'vmnet', 'vmnetd.sock')
        self.daemon = None

    def tool(self, name):
        """Path of vmnet-run or vmnetctl."""
        return os.path.join(BUILD, 'tools', name)

    def start(self, *options, prefix=(), timeout=10, env=None):
        """A daemon in the foreground; returns when it takes connections."""
        os.makedirs(os.path.dirname(self.socket), mode=0o700, exist_ok=True)
        self.daemon = Process(
            [*prefix, os.path.join(BUILD, 'vmnetd', 'vmnetd'),
             '--socket', self.socket, *options],
            env=dict(self.env, **(env or {})), stdin=subprocess.DEVNULL,
            stderr=open(os.path.join(self.folder, 'vmnetd.err'), 'ab'))
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            try:
                self.qmp().close()
                return self
            except (OSError, EOFError):
                if self.daemon.poll() is not None:
                    raise RuntimeError('vmnetd ended: ' + self.stderr()) \
                        from None
                time.sleep(0.01)
        raise RuntimeError('vmnetd takes no connections: ' + self.stderr())

    def stderr(self):
        """What the daemon wrote to standard error."""
        with open(os.path.join(self.folder, 'vmnetd.err'),
                  errors='replace', encoding='utf-8') as text:
            return text.read()

    def sanitizer_reports(self):
        """What ASan, LSan or UBSan found in the daemon; '' if nothing."""
        for path in (os.path.join(self.folder, 'vmnetd.err'),
                     os.path.join(self.state, 'vmnet', 'vmnetd.log')):
            if os.path.exists(path):
                with open(path, errors='replace', encoding='utf-8') as text:
                    found = text.read()
                match = re.search(r'Sanitizer|runtime error:', found)
                if match:
                    return found[max(0, match.start() - 200):][:4000]
        return ''

    def qmp(self):
        """A new client."""
        return Qmp(self.socket)

    def run(self, *argv, timeout=60, **options):
        """A tool to its end: CompletedProcess with separate text outputs."""
        return subprocess.run(
            [self.tool(argv[0]), *argv[1:]], env=self.env, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, timeout=timeout, check=False, **options)

    def ctl(self, *argv):
        """vmnetctl --json: the parsed answer."""
        done = self.run('vmnetctl', '--json', *argv)
        if done.returncode != 0:
            raise RuntimeError('vmnetctl %s: %s' % (' '.join(argv), done.stderr))
        return json.loads(done.stdout)

    def netdev(self, client, kind='vmnet-shared', **options):
        """A netdev with a stream export; returns (id, path of the socket)."""
        ident = 'n%d' % next(self._ids)
        client.call('netdev_add', type=kind, id=ident, **options)
        export = client.call('export-add', type='stream', id='e' + ident,
                             netdev=ident, addr={'type': 'unix'})
        return ident, export['path']

    def pids(self):
        """Engine and supervisor."""
        with self.qmp() as client:
            info = client.call('query-daemon')
        return [pid for pid in (info['pid'], info['supervisor-pid']) if pid]

    def end_leftovers(self):
        """Processes that have our state directory, of a test that failed."""
        ours = ('XDG_STATE_HOME=' + self.state).encode()
        for pid in filter(str.isdigit, os.listdir('/proc')):
            try:
                with open('/proc/%s/environ' % pid, 'rb') as text:
                    if ours in text.read().split(b'\0'):
                        os.kill(int(pid), signal.SIGKILL)
            except OSError:
                pass

    def rss_kib(self):
        """RssAnon + RssFile of all of the daemon's processes."""
        total = 0
        for pid in self.pids():
            with open('/proc/%d/status' % pid, encoding='ascii') as text:
                for line in text:
                    match = re.match(r'Rss(?:Anon|File):\s+(\d+)', line)
                    if match:
                        total += int(match.group(1))
        return total

    def stop(self):
        """End the daemon, remove the directories."""
        pids = []
        if os.path.exists(self.socket):
            try:
                pids = self.pids()
                with self.qmp() as client:
                    client.call('quit')
            except (OSError, EOFError, QmpError):
                pass
        if self.daemon:
            self.daemon.end(10)
            self.daemon = None
        end = time.monotonic() + 10
        while any(map(is_running, pids)) and time.monotonic() < end:
            time.sleep(0.02)
        self.end_leftovers()
        reports = self.sanitizer_reports()
        if self._own:
            shutil.rmtree(self.folder, ignore_errors=True)
        assert not reports, reports
