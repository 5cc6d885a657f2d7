"""System calls that fail: no abort, no busy loop, a message that says which.

vmnetd runs under strace, which makes the named call fail from its Nth time on.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import os
import shutil
import signal
import socket
import struct
import subprocess
import time

import pytest

from lib.instance import BUILD, Instance, QmpError

DISCOVER = bytes.fromhex(
    'ffffffffffff525400000099080045000110000000004011796e00000000ffffffff'
    '0044004300fc0000') + b'\1\1\6\0\0\0\0\7' + bytes(20) \
    + bytes.fromhex('525400000099') + bytes(202) \
    + bytes.fromhex('63825363350101ff')

# call, error, which times fail, text of the message (or None: goes on silently)
FAULTS = [
    ('socket', 'EMFILE', '1+'), ('socket', 'ENOMEM', '2+2'),
    ('socket', 'EPERM', '3+'),
    ('accept4', 'EMFILE', '1+2'), ('accept4', 'ENOMEM', '2+'),
    ('sendmsg', 'ENOMEM', '2+'), ('sendmsg', 'EPERM', '1+3'),
    ('recvmsg', 'ENOMEM', '3+'), ('recvfrom', 'ENOMEM', '1+'),
    ('read', 'ENOMEM', '40+3'), ('write', 'ENOSPC', '1+2'),
    ('mmap', 'ENOMEM', '60+'), ('openat', 'EMFILE', '30+'),
    ('openat', 'EPERM', '25+2'), ('rename', 'ENOSPC', '1+'),
    ('renameat2', 'ENOSPC', '1+'), ('fsync', 'ENOSPC', '1+'),
    ('bind', 'EPERM', '2+'), ('listen', 'ENOMEM', '2+'),
    ('epoll_ctl', 'ENOMEM', '6+'), ('epoll_ctl', 'ENOSPC', '4+4'),
    ('memfd_create', 'ENOMEM', '1+'), ('timerfd_create', 'EMFILE', '1+'),
    ('epoll_create1', 'EMFILE', '1+'), ('inotify_init1', 'EMFILE', '1+'),
    ('mkdirat', 'ENOSPC', '1+'), ('mkdir', 'ENOSPC', '1+'),
]


def ticks(pid):
    """CPU ticks of a process."""
    with open('/proc/%d/stat' % pid, encoding='ascii') as text:
        fields = text.read().rsplit(')', 1)[1].split()
    return int(fields[11]) + int(fields[12])


def exercise(instance):
    """What a VMM would do; any error is fine, a hang is not."""
    try:
        with instance.qmp() as client:
            _ident, path = instance.netdev(client)
            with socket.socket(socket.AF_UNIX) as vmm:
                vmm.settimeout(2)
                vmm.connect(path)
                vmm.sendall(struct.pack('!I', len(DISCOVER)) + DISCOVER)
                try:
                    vmm.recv(2048)
                except OSError:
                    pass
            client.call('query-netdevs')
    except (OSError, EOFError, QmpError):
        pass


@pytest.mark.parametrize('call,error,when', FAULTS,
                         ids=['%s-%s-%s' % fault for fault in FAULTS])
def test_failing_call(call, error, when):
    if not shutil.which('strace'):
        pytest.skip('needs strace')
    instance = Instance()
    os.makedirs(os.path.dirname(instance.socket), mode=0o700)
    trace = os.path.join(instance.folder, 'trace')
    errors = os.path.join(instance.folder, 'vmnetd.err')
    with open(errors, 'wb') as stderr:
        process = subprocess.Popen(
            ['strace', '-f', '-o', trace, '-e', 'trace=' + call, '-e',
             'inject=%s:error=%s:when=%s' % (call, error, when),
             os.path.join(BUILD, 'vmnetd', 'vmnetd'), '--no-supervisor',
             '--socket', instance.socket],
            env=instance.env, stdin=subprocess.DEVNULL, stderr=stderr)
    try:
        end = time.monotonic() + 5
        while not os.path.exists(instance.socket) and process.poll() is None \
                and time.monotonic() < end:
            time.sleep(0.02)
        exercise(instance)
        exercise(instance)
        if process.poll() is None:
            children = subprocess.run(
                ['pgrep', '-P', str(process.pid)], text=True,
                stdout=subprocess.PIPE, check=False).stdout.split()
            if children:
                pid = int(children[0])
                before = ticks(pid)
                time.sleep(0.5)
                assert ticks(pid) - before < 25, 'busy loop'
                os.kill(pid, signal.SIGTERM)
        status = process.wait(10)
        text = instance.stderr()
        # strace passes a signal's death on as its own.
        assert status >= 0, 'ended by signal %d: %s' % (-status, text)
        assert status not in (128 + signal.SIGABRT, 128 + signal.SIGSEGV), text
        if status != 0:
            assert text.strip(), 'ended with status %d and said nothing' % status
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        instance.stop()
