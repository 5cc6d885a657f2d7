"""What meson install puts into a prefix: it works from there, and goes again.

  build --- meson install --destdir ---> a folder --- ninja uninstall ---> empty

SPDX-License-Identifier: GPL-2.0-or-later
"""

import json
import os
import shutil
import subprocess

import pytest

from lib.instance import BUILD, TOP, Instance

# What was installed is in the build's log, which is one.
pytestmark = pytest.mark.xdist_group('install')

BASH = os.path.join(TOP, 'data/completions/vmnet.bash')
ZSH = os.path.join(TOP, 'data/completions/_vmnet')
# Everything that an installation has, wherever the directories are.
INSTALLED = (
    'bin/vmnetd', 'bin/vmnet-run', 'bin/vmnetctl', 'libvmnet.so.0',
    'libvmnet.so', 'pkgconfig/libvmnet.pc', 'include/vmnet/vmnet.h',
    'man7/vmnet.7', 'man7/vmnet-qmp.7', 'man5/vmnet-policy.5',
    'man8/vmnetd.8', 'man1/vmnet-run.1', 'man1/vmnetctl.1',
    'doc/vmnet/README.md', 'doc/vmnet/policy.yaml',
    'doc/vmnet/LICENSES/GPL-2.0-or-later.txt',
    'doc/vmnet/html/guide.html', 'bash-completion/completions/vmnetctl',
    'bash-completion/completions/vmnet-run',
    'bash-completion/completions/vmnetd', 'zsh/site-functions/_vmnet',
    'sysusers.d/vmnet.conf')


def tree(folder):
    """All paths below @folder, of directories too."""
    return sorted(os.path.join(path, name)
                  for path, dirs, files in os.walk(folder)
                  for name in dirs + files)


def run(*command, **options):
    """Its output; it must succeed."""
    done = subprocess.run(command, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False, **options)
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture(scope='module')
def installed(tmp_path_factory):
    """The folder; what installed it must be able to empty it again."""
    folder = str(tmp_path_factory.mktemp('install') / 'dest')
    os.mkdir(folder)
    # What somebody has installed from this tree can be uninstalled afterwards.
    log = os.path.join(BUILD, 'meson-logs', 'install-log.txt')
    if os.path.exists(log):
        os.rename(log, log + '.kept')
    try:
        run('meson', 'install', '-C', BUILD, '--no-rebuild', '--destdir', folder)
        yield folder
        run('ninja', '-C', BUILD, 'uninstall',
            env=dict(os.environ, DESTDIR=folder))
        assert not tree(folder)
    finally:
        if os.path.exists(log + '.kept'):
            os.replace(log + '.kept', log)


@pytest.fixture
def instance():
    """Directories in which nothing runs yet."""
    made = Instance()
    made.env.pop('VMNETD', None)
    yield made
    made.stop()


def daemons(instance):
    """Processes of vmnetd that have this instance's environment."""
    found = []
    for pid in filter(str.isdigit, os.listdir('/proc')):
        try:
            with open('/proc/%s/environ' % pid, 'rb') as text:
                ours = instance.runtime.encode() in text.read()
            if ours and os.readlink('/proc/%s/exe' % pid).endswith('/vmnetd'):
                found.append(int(pid))
        except OSError:
            pass
    return found


def program(folder, name):
    """Where it was installed."""
    return next(path for path in tree(folder) if path.endswith('/bin/' + name))


def test_everything_is_installed(installed):
    paths = tree(installed)
    for wanted in INSTALLED:
        assert any(path.endswith('/' + wanted) for path in paths), wanted
    for path in paths:
        assert os.path.exists(path), path + ': a link to nothing'


def test_installed_programs_find_each_other(installed, instance):
    text = run(program(installed, 'vmnet-run'), '--network', 'shared', '--',
               'true', env=dict(instance.env, PATH='/usr/bin:/bin'))
    assert '192.168.' in text
    status = run(program(installed, 'vmnetctl'), '--json', 'qmp', 'query-daemon',
                 env=instance.env)
    pid = json.loads(status)['pid']
    assert os.readlink('/proc/%d/exe' % pid) == program(installed, 'vmnetd')
    run(program(installed, 'vmnetctl'), 'stop', env=instance.env)


def test_pkg_config_and_library(installed, tmp_path):
    compiler = shutil.which('cc')
    if not compiler or not shutil.which('pkg-config'):
        pytest.skip('needs cc and pkg-config')
    found = next(path for path in tree(installed) if path.endswith('.pc'))
    library = os.path.dirname(os.path.dirname(found))
    with open(os.path.join(library, 'libvmnet.so.0'), 'rb') as data:
        if b'libasan' in data.read():
            pytest.skip('a program without the library\'s sanitizers')
    with open(found, encoding='ascii') as text:
        (tmp_path / 'libvmnet.pc').write_text(
            text.read().replace('prefix=/', 'prefix=%s/' % installed, 1))
    flags = run('pkg-config', '--cflags', '--libs', 'libvmnet', env=dict(
        os.environ, PKG_CONFIG_PATH=str(tmp_path))).split()
    source = tmp_path / 'user.c'
    source.write_text('#include <vmnet/vmnet.h>\n'
                      'int main(void) { return !vmnet_error_quark(); }\n')
    run(compiler, str(source), '-o', str(tmp_path / 'user'), *flags)
    run(str(tmp_path / 'user'), env=dict(os.environ, LD_LIBRARY_PATH=library))


def test_headers_with_fortify(tmp_path):
    """As distributions build: <limits.h> is the system's, "limits.h" ours."""
    compiler = shutil.which('cc')
    if not compiler:
        pytest.skip('needs cc')
    source = tmp_path / 'both.c'
    source.write_text('#include <stdlib.h>\n#include <limits.h>\n'
                      '#include "limits.h"\n'
                      'char both[LIMIT_NETWORKS + MB_LEN_MAX];\n')
    run(compiler, '-O2', '-D_FORTIFY_SOURCE=2', '-iquote', TOP + '/vmnetd', '-c',
        str(source), '-o', str(tmp_path / 'both.o'))


def complete(function, words, env):
    """What bash offers for the last of @words."""
    script = ('source "$1"; shift; function=$1; shift; COMP_WORDS=("$@"); '
              'COMP_CWORD=$(($# - 1)); "$function" 2>&1; '
              'printf "%s\\n" "${COMPREPLY[@]}"')
    return run('bash', '--norc', '-c', script, 'bash', BASH, function, *words,
               env=env).split()


@pytest.fixture
def shell_env(instance):
    """The tools of the build, where a shell looks for them."""
    return dict(instance.env, PATH='%s/tools:%s/vmnetd:%s' % (
        BUILD, BUILD, os.environ['PATH']))


@pytest.mark.parametrize('function, words, offered', [
    ('_vmnetctl', ['vmnetctl', 'l'], ['leases', 'log']),
    ('_vmnetctl', ['vmnetctl', 'forward', ''], ['add', 'list', 'remove']),
    ('_vmnetctl', ['vmnetctl', '--js'], ['--json']),
    ('_vmnetctl', ['vmnetctl', 'log', '--f'], ['--follow']),
    ('_vmnetctl', ['vmnetctl', 'stop', '--f'], []),
    ('_vmnet_run', ['vmnet-run', '--port', ''],
     ['auto', 'vhost-user', 'stream', 'dgram']),
    ('_vmnet_run', ['vmnet-run', '--netn'], ['--netns']),
    ('_vmnetd', ['vmnetd', '--log-l'], ['--log-level']),
    ('_vmnetd', ['vmnetd', '--log-level', 'e'], ['error']),
    ('_vmnetd', ['vmnetd', '--netdev', 'vmnet-h'], ['vmnet-host,id=']),
])
def test_bash_completion(shell_env, function, words, offered):
    assert complete(function, words, shell_env) == offered


def test_completion_knows_all_options(shell_env):
    """Options of the second kind are in no help of their own for zsh."""
    with open(ZSH, encoding='ascii') as text:
        zsh = text.read()
    for function, name in (('_vmnetctl', 'vmnetctl'),
                           ('_vmnet_run', 'vmnet-run')):
        options = complete(function, [name, '--'], shell_env)
        assert '--help' in options and '--version' in options
        assert [one for one in options if one not in zsh] == []


def test_completion_asks_a_daemon_that_runs(instance, shell_env):
    instance.start('--netdev', 'vmnet-host,id=a,network=lab')
    assert complete('_vmnetctl', ['vmnetctl', '--network', ''],
                    shell_env) == ['lab']
    assert complete('_vmnet_run', ['vmnet-run', '--network', ''],
                    shell_env) == ['shared', 'host', 'lab']
    assert 'query-netdevs' in complete('_vmnetctl', ['vmnetctl', 'qmp', 'query-'],
                                       shell_env)
    assert 'vmnetd' in complete('_vmnetctl', ['vmnetctl', 'connect', ''],
                                shell_env)


def test_completion_starts_no_daemon(instance, shell_env):
    """Not even where the last one was killed, and any command starts one."""
    before = tree(instance.folder)
    assert complete('_vmnetctl', ['vmnetctl', '--network', ''], shell_env) == []
    assert tree(instance.folder) == before
    os.mkdir(os.path.dirname(instance.socket), 0o700)
    with open(os.path.join(os.path.dirname(instance.socket), 'record.json'), 'w',
              encoding='ascii') as record:
        record.write('{}')
    assert complete('_vmnetctl', ['vmnetctl', '--network', ''], shell_env) == []
    assert daemons(instance) == []
    # Any command would have.
    run(instance.tool('vmnetctl'), 'status', env=instance.env)
    assert daemons(instance)
    run(instance.tool('vmnetctl'), 'stop', env=instance.env)


def test_zsh_completion():
    if not shutil.which('zsh'):
        pytest.skip('needs zsh')
    run('zsh', '-f', '-n', ZSH)
