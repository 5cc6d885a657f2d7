"""The real daemon and its first client, who starts it and goes.

  terminal, $(...) or cron -- vmnet-run -- starts --> vmnetd
                                  `--- executes --> true

SPDX-License-Identifier: GPL-2.0-or-later
"""

import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import time

import pytest

from lib.instance import BUILD, Instance, is_running
from lib.process import Process

VMNETD = os.path.join(BUILD, 'vmnetd', 'vmnetd')
RUN = ['--network', 'shared', '--', 'true']


@pytest.fixture
def instance():
    """Directories; whatever was started in them ends."""
    made = Instance()
    yield made
    made.stop()


def descriptors(pid):
    """{number: what it is} of a process."""
    folder = '/proc/%d/fd' % pid
    return {int(fd): os.readlink(os.path.join(folder, fd))
            for fd in os.listdir(folder)}


def wait_ended(pid, timeout=10):
    """Poll, at most @timeout seconds."""
    end = time.monotonic() + timeout
    while is_running(pid):
        assert time.monotonic() < end, 'did not end in time'
        time.sleep(0.01)


# Errors before the greeting

def fails(instance, *texts):
    """vmnet-run says all @texts, and ends with its own failures' status."""
    done = instance.run('vmnet-run', *RUN)
    assert done.returncode == 125, done.stderr
    for text in texts:
        assert text in done.stderr
    assert done.stdout == ''
    return done


def wrap(instance, *lines):
    """What is started for vmnetd: a shell's @lines."""
    program = os.path.join(instance.folder, 'vmnetd')
    with open(program, 'w', encoding='ascii') as text:
        text.write('\n'.join(['#!/bin/sh', *lines]))
    os.chmod(program, 0o755)
    instance.env['VMNETD'] = program


@pytest.mark.parametrize('logs', [True, False], ids=['log', 'no-log'])
def test_daemon_that_cannot_start(instance, logs):
    """It has no descriptors left before it can greet."""
    state = os.path.join(instance.state, 'vmnet')
    wrap(instance, 'ulimit -n 8', 'export ASAN_OPTIONS=detect_leaks=0',   # opens files
         'exec %s "$@"' % VMNETD)
    if not logs:
        with open(state, 'w', encoding='ascii'):
            pass
    done = fails(instance, 'vmnetd did not start: ', 'Too many open files')
    assert ("(see '%s/vmnetd.log')" % state in done.stderr) == logs
    assert not os.path.exists(instance.socket)


def test_runtime_directory_that_others_may_write_to(instance):
    folder = os.path.dirname(instance.socket)
    os.mkdir(folder)
    os.chmod(folder, 0o777)
    fails(instance, "runtime directory '%s'" % folder, 'others may write to it')


def test_directories_of_another_user(instance):
    """His runtime directory is refused; without a state directory it works."""
    if os.getuid() != 0:
        pytest.skip('needs root to give a directory away')
    runtime = os.path.dirname(instance.socket)
    os.mkdir(runtime, mode=0o700)
    os.chown(runtime, 65534, 65534)
    fails(instance, "runtime directory '%s'" % runtime, 'uid 65534')
    os.rmdir(runtime)
    state = os.path.join(instance.state, 'vmnet')
    os.mkdir(state, mode=0o700)
    os.chown(state, 65534, 65534)
    done = instance.run('vmnet-run', *RUN)
    assert done.returncode == 0, done.stderr
    with instance.qmp() as client:
        assert 'state-dir' not in client.call('query-daemon')
    assert os.listdir(state) == []


def test_daemon_that_cannot_be_loaded(instance):
    """Not vmnetd, but the program loader has something to say."""
    wrap(instance, 'echo "vmnetd: cannot open shared object" >&2', 'exit 127')
    fails(instance, 'vmnetd did not start: cannot open shared object')


# What the first client leaves

def test_command_substitution_returns(instance):
    """Its pipe has no writer but `true`: the daemon is not waited for."""
    reader, writer = os.pipe()
    began = time.monotonic()
    done = subprocess.run(
        ['bash', '-c', 'time x=$("$0" "$@"); echo "done $x"',
         instance.tool('vmnet-run'), *RUN],
        env=instance.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        pass_fds=[writer], timeout=30, check=True, text=True)
    assert time.monotonic() - began < 10
    assert done.stdout == 'done \n'
    assert 'real' in done.stderr
    pipe = os.readlink('/proc/self/fd/%d' % writer)
    os.close(reader)
    os.close(writer)
    pids = instance.pids()
    assert len(pids) == 2
    log = os.path.join(instance.state, 'vmnet', 'vmnetd.log')
    for pid in pids:
        seen = descriptors(pid)
        assert (seen[0], seen[1], seen[2]) == ('/dev/null', '/dev/null', log)
        assert seen[3].startswith('socket:')
        assert pipe not in seen.values()
        assert not any(name.startswith('pipe:') for name in seen.values())


def test_terminal_of_the_first_client_goes(instance):
    """Its session gets SIGHUP; the daemon is in another."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve('/bin/sh', ['sh', '-c', '"$0" "$@"; echo made; read word',
                              instance.tool('vmnet-run'), *RUN], instance.env)
    text = b''
    while b'made' not in text:
        text += os.read(terminal, 4096)
    pids = instance.pids()
    for one in pids:
        assert os.getsid(one) != os.getsid(pid)
    os.close(terminal)
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGHUP
    assert instance.pids() == pids
    done = instance.run('vmnet-run', *RUN)
    assert done.returncode == 0, done.stderr
    assert instance.pids() == pids


def test_process_group_of_the_first_client_is_killed(instance):
    """As by a shell's `kill %1` and a service manager without cgroups."""
    with Process([instance.tool('vmnet-run'), '--network', 'shared', '--',
                  'sh', '-c', 'echo made; read word'], env=instance.env,
                 stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                 start_new_session=True) as first:
        assert first.line() == b'made\n'
        pids = instance.pids()
        os.killpg(first.pid, signal.SIGKILL)
        assert first.wait() == -signal.SIGKILL
    assert instance.pids() == pids
    assert all(map(is_running, pids))


# Environments

# Homes are as in this file, and nobody's own daemon is in reach.
PASSWD = 'me:x:%d:%d::%s:/bin/sh\n'
ASK = '''
import json, subprocess, sys
for words in json.loads(sys.argv[1]):
    subprocess.run([sys.argv[2], '-q', '--network', 'shared', '--', 'true'],
                   env=words, check=True)
    shown = subprocess.run([sys.argv[3], '--json'], env=words,
                           stdout=subprocess.PIPE, check=True)
    daemon = json.loads(shown.stdout)['daemon']
    print(json.dumps([daemon['pid'], daemon['socket'], daemon['state-dir']]))
'''


def found_from(instance, *environments):
    """
    [pid, socket, state directory] of the daemon that each of @environments
    starts or finds, where /tmp is empty and $HOME as PASSWD says.
    """
    if not shutil.which('bwrap') or os.getuid() != 0:
        pytest.skip('needs root and bubblewrap')
    passwd = os.path.join(instance.folder, 'passwd')
    with open(passwd, 'w', encoding='ascii') as text:
        text.write(PASSWD % (os.getuid(), os.getgid(), instance.folder + '/home'))
    hidden = [word for folder in ('/tmp', '/run/user') if os.path.isdir(folder)
              for word in ('--tmpfs', folder)]
    done = subprocess.run(
        ['bwrap', '--dev-bind', '/', '/', *hidden,
         '--bind', instance.folder, instance.folder,
         '--ro-bind', BUILD, BUILD, '--ro-bind', passwd, '/etc/passwd',
         sys.executable, '-c', ASK, json.dumps(environments),
         instance.tool('vmnet-run'), instance.tool('vmnetctl')],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, timeout=60,
        text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_one_daemon_from_every_environment(instance):
    """A desktop's, cron's, su's, `sudo -E`'s, and none at all."""
    home = os.path.join(instance.folder, 'home')
    other = os.path.join(instance.folder, 'other')
    for folder in (home, other):
        os.mkdir(folder, mode=0o700)
    if os.getuid() == 0:
        os.chown(other, 65534, 65534)
    mark = {'VMNET_TEST': instance.folder}
    found = found_from(
        # The first one's daemon tells its state directory.
        instance, {**mark, 'HOME': home, 'XDG_STATE_HOME': other + '/a/state'},
        {**mark, 'HOME': home},
        {**mark, 'HOME': home, 'XDG_RUNTIME_DIR': instance.runtime},
        {**mark, 'HOME': home, 'XDG_RUNTIME_DIR': '/nowhere'},
        {**mark, 'HOME': other}, {**mark, 'HOME': home, 'TMPDIR': home},
        mark)
    pid, path, state = found[0]
    try:
        assert state == os.path.join(home, '.local', 'state', 'vmnet')
        assert path == '/tmp/vmnet-%d/vmnetd.sock' % os.getuid()
        assert found == [found[0]] * len(found)
        assert os.listdir(other) == []
    finally:
        os.kill(pid, signal.SIGTERM)
        wait_ended(pid)
