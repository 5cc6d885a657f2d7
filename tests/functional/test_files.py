"""What the software writes: where, and by which thread.

  vmnet-run, vmnetctl, vmnetd under strace -- files --> the paths of vmnet(7)

SPDX-License-Identifier: GPL-2.0-or-later
"""

import glob
import os
import re
import shutil
import signal
import time

import pytest

from lib.instance import BUILD, TOP, Instance
from lib.process import Process
from lib.vmm import Vmm

pytestmark = pytest.mark.skipif(not shutil.which('strace'),
                                reason='needs strace')

VMNETD = os.path.join(BUILD, 'vmnetd', 'vmnetd')
MANUAL = os.path.join(TOP, 'docs', 'man', 'vmnet.7.rst')
DISK_S = 0.5        # what the slow disk of a test takes
CHANGES = ('openat,open,creat,mkdir,mkdirat,bind,rename,renameat,renameat2,'
           'link,linkat,symlink,symlinkat,mknod,mknodat')


@pytest.fixture
def instance():
    """Directories; whatever was started in them ends."""
    made = Instance()
    # LeakSanitizer wants to trace the process itself.
    made.env['ASAN_OPTIONS'] = 'detect_leaks=0'
    yield made
    made.stop()


def wait_until(condition, timeout=10):
    """Poll, at most @timeout seconds."""
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, 'did not happen in time'
        time.sleep(0.01)


# A slow disk

def test_disk_is_not_waited_for(instance):
    """
    Leases are written while each fsync() takes half a second: by a thread that
    carries no frames, and no guest waits for it.
    """
    trace = os.path.join(instance.folder, 'trace')
    instance.start('--no-supervisor', prefix=[
        'strace', '-f', '-o', trace, '-e', 'trace=fsync,fdatasync,sync_file_range',
        '-e', 'inject=fsync:delay_enter=%d' % (DISK_S * 1e6)])
    longest, n_leases, began = 0, 0, time.monotonic()
    with instance.qmp() as client, Vmm(instance.netdev(client)[1]) as vmm:
        engine = client.call('query-daemon')['pid']
        while time.monotonic() - began < 4 * DISK_S:
            asked = time.monotonic()
            n_leases += 1
            vmm.mac = b'\x52\x54\0\0\0' + bytes([n_leases])
            vmm.lease()
            assert len(client.call('query-leases')) == n_leases
            longest = max(longest, time.monotonic() - asked)
            time.sleep(0.1)     # for the disk to be slow in
    os.kill(engine, signal.SIGTERM)
    instance.daemon.wait()
    with open(trace, encoding='utf-8') as text:
        lines = [line.split(None, 1) for line in text if 'sync' in line]
    writers = {int(pid) for pid, _ in lines}
    assert len([1 for _, call in lines if '(DELAYED)' in call]) >= 4
    assert engine not in writers
    assert longest < DISK_S / 2


# Paths

def manual_paths(instance):
    """The manual's list, as a pattern of this instance's paths."""
    with open(MANUAL, encoding='utf-8') as text:
        section = re.search(r'\nFILES\n=+\n(.*?)\npaths that a user names\n',
                            text.read(), re.S).group(1)
    folder, paths = '', []
    for line in section.splitlines():
        names = re.findall(r'``([^`]+)``', line)
        if line.startswith('``$'):
            folder = names[0].replace('$XDG_RUNTIME_DIR', instance.runtime) \
                             .replace('$XDG_STATE_HOME', instance.state)
            paths.append(folder.rstrip('/'))
        elif line.startswith('    ``'):
            paths += [folder + name for name in names]
    paths += [os.path.dirname(path) for path in paths]
    patterns = [re.sub('NAME|VM|ID|HASH|XXXXXX', '[^/]+', re.escape(path))
                for path in paths]
    return re.compile('(%s)(\\.new|\\.damaged)?' % '|'.join(patterns))


def written(line):
    """The path that a line of the trace has made or changed, or None."""
    if not re.search(r' = \d', line):
        return None
    call, strings = line.split('(')[0], re.findall(r'"((?:[^"\\]|\\.)*)"', line)
    if call.startswith('open') and not re.search(r'O_(CREAT|WRONLY|RDWR)', line):
        return None
    if call == 'bind' and 'AF_UNIX' not in line:
        return None
    path = strings[-1]
    within = re.match(r'\w+\(\d+<([^>]+)>', line)
    if within and call.startswith('openat'):
        path = os.path.join(within.group(1), path)
    return None if path.startswith(('/dev/', '/proc/')) else path


def use_everything(instance):
    """All that makes files: guests, leases, forwards, and vmnetctl."""
    with instance.qmp() as client:
        path = instance.netdev(client, lifetime='export', vm='web')[1]
        with Vmm(path) as vmm:
            vmm.lease()
            client.call('forward-add', lifetime='persistent', host_port=0,
                        guest_address=vmm.address, guest_port=22,
                        host_address='127.0.0.1')
        client.call('network-add', name='lab', mode='host')
        client.call('network-del', name='lab')
        for netdev in client.call('query-netdevs'):
            client.call('netdev_del', id=netdev['id'])
    assert instance.run('vmnetctl', 'log').returncode == 0


def test_every_path_is_in_the_manual(instance):
    damaged = os.path.join(instance.state, 'vmnet', 'networks', 'shared')
    os.makedirs(damaged, mode=0o700)
    with open(os.path.join(damaged, 'leases'), 'w', encoding='ascii') as text:
        text.write('no list of leases')
    qemu = os.path.join(instance.folder, 'qemu-system-x86_64')
    with open(qemu, 'w', encoding='ascii') as text:
        text.write('#!/bin/sh\necho QEMU emulator version 10.0.0\n')
    os.chmod(qemu, 0o755)
    impatient = os.path.join(instance.folder, 'vmnetd')
    with open(impatient, 'w', encoding='ascii') as text:
        text.write('#!/bin/sh\nexec %s "$@" --idle-timeout 1\n' % VMNETD)
    os.chmod(impatient, 0o755)
    instance.env['VMNETD'] = impatient
    with Process(['strace', '-ff', '-y', '-o', instance.folder + '/trace', '-e',
                  'trace=' + CHANGES, instance.tool('vmnet-run'), qemu,
                  '-netdev', 'vmnet-shared,id=net0'], env=instance.env) as first:
        wait_until(lambda: os.path.exists(instance.socket))
        use_everything(instance)
        assert first.wait() == 0    # the daemon's end, too
    made = set()
    for name in glob.glob(instance.folder + '/trace.*'):
        with open(name, encoding='utf-8', errors='replace') as text:
            made |= {written(line) for line in text}
    made.discard(None)
    known = manual_paths(instance)
    for name in ('vmnetd.sock', 'vmnetd.sock.leaving', 'vmnetd.lock',
                 'record.json.new', 'web-n1.sock'):
        assert os.path.join(instance.runtime, 'vmnet', name) in made
    for name in ('lock', 'vmnetd.log', 'networks/shared/leases.new',
                 'networks/shared/network.new', 'networks/shared/leases.damaged'):
        assert os.path.join(instance.state, 'vmnet', name) in made
    assert any('/versions.' in path for path in made)
    assert not [path for path in made if not known.fullmatch(path)]
