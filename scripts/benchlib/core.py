"""What every case needs: processes, rows, promises.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import functools
import json
import os
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, 'tests'))

from lib import image                           # noqa: E402
from lib.guest import Guest                     # noqa: E402
from lib.process import Process                 # noqa: E402

QEMU = 'qemu-system-x86_64'
# Gbit/s: a peer that is slower does not work here, and is not beaten.
STALLED = 0.1
# What a program of another root needs of this system: its devices.
ENTER = ('mount --rbind /sys "$0/sys" && mount -t proc proc "$0/proc" && '
         'mount --rbind /dev "$0/dev" && exec chroot "$0" "$@"')
NIC = ['-device', 'virtio-net-pci,netdev=net0,romfile=']


def cpu_model():
    """As the kernel names it."""
    with open('/proc/cpuinfo', encoding='utf-8') as text:
        for line in text:
            if line.startswith('model name'):
                return line.split(':', 1)[1].strip()
    return platform.machine()


def median(values):
    """Median, or 0 for none."""
    return statistics.median(values) if values else 0.0


def ratio(value, of):
    """Of medians; 0 where there is nothing to compare with."""
    return value / of if of else 0.0


@functools.lru_cache
def built(build, name):
    """Path of a program of tests/bench, which is built first."""
    target = 'tests/bench/' + name
    subprocess.run(['ninja', '-C', build, target], check=True,
                   stdout=subprocess.DEVNULL)
    return os.path.join(build, target)


class Bench:
    """Options, folders, and what has been measured."""

    def __init__(self, options):
        self.options = options
        self.folder = tempfile.mkdtemp(prefix='vmnet-bench-')
        self.env = dict(os.environ,
                        XDG_RUNTIME_DIR=os.path.join(self.folder, 'run'),
                        XDG_STATE_HOME=os.path.join(self.folder, 'state'),
                        VMNETD=os.path.join(options.build, 'vmnetd/vmnetd'))
        self.env.pop('VMNET_SOCKET', None)
        for name in ('XDG_RUNTIME_DIR', 'XDG_STATE_HOME'):
            os.mkdir(self.env[name], 0o700)
        # passt as root becomes nobody before it makes its socket.
        os.chmod(self.folder, 0o711)
        os.mkdir(os.path.join(self.folder, 'passt'))
        os.chmod(os.path.join(self.folder, 'passt'), 0o777)
        os.environ['PATH'] += ':' + os.path.dirname(self.built('bench-rr'))
        self.image = image.ensure(os.path.join(options.build, 'guest'),
                                  ('iperf3', 'bench-rr'))
        self.started = []
        self.rows = []
        self.missed = []
        self.notes = []

    def built(self, name):
        """Path of a program of tests/bench."""
        return built(self.options.build, name)

    def program(self, name, *arguments):
        """The JSON that a program of tests/bench prints."""
        done = subprocess.run(
            [self.built(name), *arguments], env=self.env, check=True,
            stdout=subprocess.PIPE, timeout=600)
        return json.loads(done.stdout)

    def tool(self, name):
        """Path of one of our programs."""
        return os.path.join(self.options.build, 'tools', name)

    def start(self, argv, **kwargs):
        """A helper process that close() ends.

        In a session of its own, as vmnetd is: on a busy machine the scheduler
        shares CPU time between sessions.
        """
        process = Process(argv, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL, start_new_session=True,
                          **kwargs)
        self.started.append(process)
        return process

    def iperf_server(self):
        """An iperf3 server on all addresses; returns its port."""
        with socket.socket() as probe:
            probe.bind(('', 0))
            port = probe.getsockname()[1]
        self.start(['iperf3', '-s', '-p', str(port)])
        return port

    def guest(self, name, argv, options, **kwargs):
        """A booted guest with an address; its gateway is in .lease."""
        made = Guest(name, self.image, argv, options, env=self.env,
                     log=os.path.join(self.folder, name + '.log'), **kwargs)
        self.started.append(made)
        return made

    def vmnet(self, name, netdev):
        """A guest on a network of ours."""
        return self.guest(name, [self.tool('vmnet-run'), '-q', QEMU],
                          ['-netdev', 'vmnet-shared,id=net0' + netdev] + NIC)

    def passt_argv(self):
        """passt of this system, or that of another release in --peers-root."""
        root = self.options.peers_root
        if not root:
            return ['passt']
        # pivot_root, since passt makes a user namespace, which a chroot forbids.
        return ['unshare', '--mount', 'sh', '-c',
                'mount --bind "$0" "$0" && mount -t proc proc "$0/proc" && '
                'mount --bind "$1" "$0/mnt" && shift && cd "$0" && '
                'mkdir -p old && pivot_root . old && umount -l /old && '
                'exec passt "$@"', root, os.path.join(self.folder, 'passt')]

    def passt_path(self, path):
        """@path as passt sees it."""
        if not self.options.peers_root:
            return path
        return os.path.join('/mnt', os.path.basename(path))

    def passt_version(self):
        """Its package's version: --version of Debian's prints none."""
        argv = ['dpkg-query', '-W', 'passt']
        if self.options.peers_root:
            argv = ['chroot', self.options.peers_root] + argv
        text = subprocess.run(argv, text=True, stdout=subprocess.PIPE,
                              check=False).stdout
        return text.strip().replace('\t', ' ') or 'passt: none'

    def inside(self, *argv):
        """@argv as a program of --peers-root; None: there is no such root."""
        root = self.options.peers_root
        if not root or not os.path.exists(os.path.join(root, argv[0][1:])):
            return None
        return ['unshare', '--mount', 'sh', '-c', ENTER, root, *argv]

    def passt(self, name, *options):
        """A guest with passt of its own on a stream socket."""
        path = os.path.join(self.folder, 'passt', name + '.sock')
        if os.path.exists(path):
            os.unlink(path)     # of the run before
        self.start([*self.passt_argv(), '-f', '-q', '-s',
                    self.passt_path(path), *options])
        deadline = time.monotonic() + 5
        while not os.path.exists(path) and time.monotonic() < deadline:
            time.sleep(0.01)
        return self.guest(name, [QEMU], [
            '-netdev', 'stream,id=net0,server=off,addr.type=unix,addr.path='
            + path] + NIC)

    def pasta_argv(self):
        """pasta likewise, but it sees this system's files and namespaces."""
        root = self.options.peers_root
        if not root:
            return ['pasta']
        # It looks for its other build beside the loader: choose it here.
        with open('/proc/cpuinfo', encoding='utf-8') as text:
            build = 'pasta.avx2' if ' avx2 ' in text.read() else 'pasta'
        return [os.path.join(root, 'usr/lib64/ld-linux-x86-64.so.2'),
                '--argv0', 'pasta', '--library-path',
                os.path.join(root, 'usr/lib/x86_64-linux-gnu'),
                os.path.join(root, 'usr/bin', build)]

    def versions(self):
        """What is measured, and on what."""
        commit = subprocess.run(
            ['git', '-C', TOP, 'describe', '--always', '--dirty'], text=True,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
        found = {'commit': commit.stdout.strip() or 'unknown',
                 'machine': '%d x %s' % (os.cpu_count(), cpu_model()),
                 'kernel': platform.release(),
                 'load': '%.2f' % os.getloadavg()[0],
                 'passt': self.passt_version()}
        for argv in ([self.tool('vmnet-run'), '--version'], [QEMU, '--version'],
                     ['iperf3', '--version'], ['slirp4netns', '--version']):
            name = os.path.basename(argv[0])
            try:
                done = subprocess.run(argv, text=True, check=False,
                                      stdout=subprocess.PIPE)
                found[name] = done.stdout.splitlines()[0]
            except (OSError, IndexError):
                found[name] = 'none'
        return found

    def row(self, case, figure, values, unit, costs=None):
        """Keep and print one measurement; @costs: CPU ms a Gbit, of each."""
        low, high = (min(values), max(values)) if values else (0, 0)
        row = dict(case=case, figure=figure, unit=unit, median=median(values),
                   low=low, high=high, runs=len(values))
        text = '%-26s %-24s %9.3f %-7s (%.3f to %.3f)' % (
            case, figure, median(values), unit, low, high)
        if costs:
            row['cpu-ms-per-gbit'] = median(costs)
            text += '  %.0f ms CPU/Gbit' % median(costs)
        if unit == 'Gbit/s' and row['median'] < STALLED:
            row['stalled'] = True
            text += '  stalled'
        self.rows.append(row)
        print(text, flush=True)

    def note(self, text):
        """What could not be measured or compared, and why."""
        self.notes.append(text)
        print('  ' + text, flush=True)

    def compare(self, what, ours, name, theirs, limit, jumbo=None):
        """What we move, of what peer @name moves, in Gbit/s.

        A peer that has stalled is not beaten: what it moves at MTU 65520,
        @jumbo, is the bar, unless that has stalled too or was not measured.
        """
        if ours < STALLED:
            self.missed.append('%s: %.3f Gbit/s' % (what, ours))
        if theirs < STALLED:
            self.note('%s: %s has stalled (%.3f Gbit/s)' % (what, name, theirs))
            if (jumbo or 0) < STALLED:
                self.note('%s: there is nothing to compare %s with'
                          % (what, name))
                return
            theirs = jumbo
            what += ' at MTU 65520'
        self.want('%s, of %s' % (what, name), ratio(ours, theirs), limit)

    def want(self, name, value, limit, at_least=True):
        """Compare with a figure that the project promises."""
        good = value >= limit if at_least else value <= limit
        print('  %-60s %8.3f  %s %g  %s' % (
            name, value, 'at least' if at_least else 'at most', limit,
            'ok' if good else 'MISSED'), flush=True)
        self.rows.append({'check': name, 'value': value, 'limit': limit,
                          'at-least': at_least, 'ok': good})
        if not good:
            self.missed.append('%s: %.3f, wanted %s %g' % (
                name, value, 'at least' if at_least else 'at most', limit))

    def close(self):
        """End all that was started."""
        for thing in reversed(self.started):
            if isinstance(thing, Guest):
                thing.stop()
            else:
                thing.end()
        self.started = []
        subprocess.run([self.tool('vmnetctl'), 'stop'], env=self.env,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                       check=False)

    def discard(self):
        """Remove the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)
