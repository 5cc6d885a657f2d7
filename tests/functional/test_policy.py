"""The system instance's policy: two users, and what each of them may.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import os
import re
import shutil
import signal
import subprocess
import time
from types import SimpleNamespace

import pytest

from lib import netns
from lib.instance import BUILD
from lib.lan import Plain, SystemInstance
from lib.users import qmp

pytestmark = pytest.mark.skipif(bool(netns.missing()),
                                reason=str(netns.missing()))

ALICE, BOB, STAFF = 12345, 12346, 12399
RULES = '''rules:
- user: %d
  networks: [lab, bridged-*]
  create: yes
  bridge: [br0]
  netdevs: 2
  ports-below-1024: yes
- group: %d
  networks: lab
  use: yes
''' % (ALICE, STAFF)


def has_yaml():
    """Whether the daemon can read a policy at all."""
    with open(os.path.join(BUILD, 'vmnetd', 'vmnetd'), 'rb') as program:
        return b'without libyaml' not in program.read()


needs_yaml = pytest.mark.skipif(not has_yaml(),
                                reason='vmnetd was built without libyaml')


class Policed(SystemInstance):
    """An instance with a policy, in a namespace with two bridges."""

    def __init__(self, host):
        super().__init__(SimpleNamespace(host=host))
        self.path = os.path.join(self.system, 'policy.yaml')
        self.clients = []

    def own_etc(self):
        """It has an /etc of its own, with the file at its default place."""
        etc = os.path.join(self.system, 'etc')
        os.makedirs(os.path.join(etc, 'vmnet'), mode=0o755)
        for name in ('passwd', 'group'):
            shutil.copy(os.path.join('/etc', name), etc)
        self.path = os.path.join(etc, 'vmnet', 'policy.yaml')
        # ip-netns gives what it runs a mount namespace.
        self.prefix += ['sh', '-c', 'mount --bind %s /etc && exec "$@"' % etc,
                        'sh']

    def write(self, text, mode=0o644):
        """The file, replaced as an editor does."""
        with open(self.path + '.new', 'w', encoding='ascii') as new:
            new.write(text)
        os.chmod(self.path + '.new', mode)
        os.rename(self.path + '.new', self.path)

    def call(self, uid, *commands, **more):
        """The last answer: an error's text, or None; the client stays."""
        process, reply = qmp(self, uid, *commands, **more)
        self.clients.append(process)
        return reply.get('error', {}).get('desc')

    def reload(self, text):
        """Tell it to read; wait until the log has @text."""
        before = len(self.stderr())
        os.kill(self.daemon.pid, signal.SIGHUP)
        end = time.monotonic() + 20
        while text not in self.stderr()[before:]:
            assert time.monotonic() < end, self.stderr()[before:]
            time.sleep(0.01)

    def stop(self):
        for client in self.clients:
            client.end()
        super().stop()


@pytest.fixture
def system():
    """Not started."""
    host = Plain()
    host.call('sysctl', '-qw', 'net.ipv4.ip_unprivileged_port_start=1')
    for name in ('br0', 'br1'):
        host.call('ip', 'link', 'add', name, 'type', 'bridge')
        host.call('ip', 'link', 'set', name, 'up')
    made = Policed(host)
    yield made
    made.stop()
    host.close()


@pytest.fixture
def policed(system):
    """Started with RULES."""
    system.write(RULES)
    system.start('--policy', system.path)
    return system


def netdev(ident='n0', kind='vmnet-shared', **more):
    """A command."""
    return {'execute': 'netdev_add',
            'arguments': {'type': kind, 'id': ident, **more}}


@needs_yaml
def test_use_and_create(policed):
    refused = policed.call(BOB, netdev(network='lab'), groups=[STAFF])
    assert re.match(r"network 'lab': user 12346 may not create it: \S+:8 "
                    r"\(group 12399\); root can write 'create: yes' there "
                    r"and 'kill -HUP' vmnetd", refused)
    assert policed.call(ALICE, netdev(network='lab')) is None
    assert policed.call(BOB, netdev(network='lab'), groups=[STAFF]) is None
    assert 'no rule of ' + policed.path in \
        policed.call(BOB, netdev(network='lab'))
    assert 'no rule of ' in policed.call(ALICE, netdev())
    assert 'no rule of ' in policed.call(
        ALICE, {'execute': 'network-add', 'arguments': {'name': 'shared'}})
    log = policed.stderr()
    assert re.search(r"policy: refused: uid 12346 \(pid \d+\): network 'lab': "
                     r"create it: \S+:8 \(group 12399\)", log)
    assert re.search(r"policy: granted: uid 12345 \(pid \d+\): network 'lab': "
                     r"create it: \S+:2 \(user 12345\)", log)
    assert re.search(r"policy: granted: uid 12346 \(pid \d+\): network 'lab': "
                     r"use it: \S+:8 ", log)


@needs_yaml
def test_number_of_netdevs(policed):
    """One's own, in several connections; another's do not count."""
    assert policed.call(ALICE, netdev('n0', network='lab'),
                        netdev('n1', network='lab')) is None
    assert 'may not have more than 2 netdevs' in \
        policed.call(ALICE, netdev(network='lab'))
    assert policed.call(BOB, netdev(network='lab'), groups=[STAFF]) is None
    policed.clients.pop(0).communicate(timeout=20)
    assert policed.call(ALICE, netdev(network='lab')) is None


@needs_yaml
def test_low_ports(policed):
    assert policed.call(ALICE, netdev(
        network='lab', hostfwd=['tcp:127.0.0.1:80-:80'])) is None
    forward = {'guest-address': '192.168.109.7', 'guest-port': 80,
               'host-address': '127.0.0.1', 'network': 'lab'}
    for port, refused in ((81, True), (1023, True), (1024, False), (0, False)):
        text = policed.call(BOB, netdev(network='lab'), {
            'execute': 'forward-add', 'arguments': {
                **forward, 'host-port': port, 'lifetime': 'client'}},
            groups=[STAFF])
        assert ("may not forward from host port %d" % port in (text or '')) \
            == refused, text
    assert 'may not forward from host port 82' in policed.call(
        BOB, netdev(network='lab', hostfwd=['udp::82-:82']), groups=[STAFF])


@needs_yaml
def test_interfaces(policed):
    """Alice's is br0; what nobody has the privileged process refuses, too."""
    bridged = {'kind': 'vmnet-bridged', 'mac': '52:54:00:55:00:01'}
    assert policed.call(ALICE, netdev(ifname='br0', **bridged)) is None
    refused = policed.call(ALICE, netdev(ifname='br1', **bridged))
    assert "may not join interface 'br1'" in refused
    assert "'bridge: br1'" in refused
    # by another name, and by a network that runs
    assert 'no rule of' in policed.call(
        BOB, netdev(ifname='br0', network='bridged-br0', **bridged))
    assert policed.call(0, netdev(ifname='br1', **bridged)) == \
        "interface 'br1': the system instance does not let guests join it " \
        "(--bridged, vmnet-policy(5))"
    assert "priv: refused: tap on bridge 'br1': not allowed" in \
        policed.stderr()
    process, answer = qmp(policed, ALICE,
                          {'execute': 'query-shared-interfaces'})
    policed.clients.append(process)
    why = {one['name']: one.get('why-not') for one in answer['return']}
    assert why['br0'] is None and 'policy' in why['br1']


@needs_yaml
def test_mistakes_of_a_reload(policed):
    """What is wrong changes nothing; what was mended does."""
    lab = netdev(network='lab')
    for text, mode, why in (
            (RULES + '  brigde: eth0\n', 0o644, ":11: there is no key 'brigde'"),
            (RULES, 0o664, 'can be written by others than root'),
            ('rules: [', 0o644, ':2: did not find expected')):
        policed.write(text, mode)
        policed.reload(why)
        assert 'the former one stays in force' in policed.stderr()
        assert policed.call(ALICE, lab) is None
        assert 'no rule of' in policed.call(BOB, lab)
        policed.clients.pop(-2).communicate(timeout=20)
    os.remove(policed.path)
    policed.reload('the former one stays in force')
    assert 'no rule of' in policed.call(BOB, lab)
    policed.write('rules: [{user: %d, create: yes, bridge: br1}]' % BOB)
    policed.reload('policy: 1 rules of')
    assert policed.call(BOB, netdev()) is None
    assert 'no rule of' in policed.call(ALICE, lab)
    bridged = {'kind': 'vmnet-bridged', 'mac': '52:54:00:55:00:01'}
    assert policed.call(BOB, netdev('n1', ifname='br1', **bridged)) is None


@needs_yaml
def test_policy_of_the_next_engine(policed):
    """It is the file's of that moment; if that is wrong, root alone is served."""
    policed.write('rules: [{user: %d, create: yes}]' % BOB)
    os.kill(policed.pids()[0], signal.SIGKILL)
    assert policed.call(BOB, netdev()) is None
    policed.write('rules: nonsense')
    os.kill(policed.pids()[0], signal.SIGKILL)
    assert 'no rule of' in policed.call(BOB, netdev())
    assert policed.call(0, netdev()) is None
    assert 'only root is served until it has been mended' in policed.stderr()


@needs_yaml
def test_file_that_goes(system):
    """Who is started again without it allows no more than with it."""
    system.own_etc()
    system.write(RULES)
    system.start('--bridged', 'br0', '--bridged', 'br1')
    bridged = {'kind': 'vmnet-bridged', 'mac': '52:54:00:55:00:01'}
    os.remove(system.path)
    system.reload('the former one stays in force')
    assert system.call(ALICE, netdev(network='lab')) is None
    engine, pid = system.pids()[0], system.priv_pid()
    for process in (engine, pid):
        os.kill(process, signal.SIGKILL)
    assert 'no rule of' in system.call(ALICE, netdev(network='lab'))
    assert 'no rule of' in system.call(BOB, netdev())
    assert system.call(0, netdev()) is None
    for name in ('br0', 'br1'):
        assert 'does not let guests join it' in \
            system.call(0, netdev(ifname=name, **bridged))
    system.write(RULES)
    system.reload('policy: 2 rules of')
    assert system.call(ALICE, netdev(network='lab')) is None
    assert system.call(0, netdev(ifname='br0', **bridged)) is None


@needs_yaml
def test_wrong_file_at_start(system):
    system.write(RULES, 0o666)
    with pytest.raises(RuntimeError, match='can be written by others'):
        system.start('--policy', system.path)
    system.write('rules: 7')
    with pytest.raises(RuntimeError, match=r'policy.yaml:1: a list of rules'):
        system.start('--policy', system.path)
    with pytest.raises(RuntimeError, match='No such file or directory'):
        system.start('--policy', system.path + '.missing')


@pytest.mark.skipif(os.path.exists('/etc/vmnet/policy.yaml'),
                    reason='this machine has a policy of its own')
def test_default(system):
    """Members of the group run networks; the host's own need root's word."""
    system.start('--bridged', 'br1')
    bridged = {'kind': 'vmnet-bridged', 'mac': '52:54:00:55:00:01'}
    assert system.call(ALICE, netdev()) is None
    assert 'there is no /etc/vmnet/policy.yaml' in system.call(
        ALICE, netdev(ifname='br0', **bridged))
    assert system.call(ALICE, netdev(ifname='br1', **bridged)) is None
    assert 'may not forward from host port 80' in system.call(
        ALICE, netdev(hostfwd=['tcp::80-:80']))
    assert system.call(ALICE, {'execute': 'quit'}) == \
        'only root can end the system instance'
    # A group that a process has beside its first one.
    assert system.call(BOB, netdev(), group=BOB, groups=[65534]) is None


def test_only_for_the_system_instance(vmnetd):
    done = subprocess.run([vmnetd, '--policy', '/etc/vmnet/policy.yaml'],
                          check=False, stderr=subprocess.PIPE, text=True,
                          timeout=20)
    assert '--policy is for the system instance (--system)' in done.stderr
