"""Machines that are started again: each finds what it had before.

  vmnet-run -- becomes --> a VMM of the test's -- stream --> vmnetd

SPDX-License-Identifier: GPL-2.0-or-later
"""

import os
import socket
import subprocess
import sys

import pytest

from lib.instance import Instance
from lib.process import Process
from lib.qmp import QmpError

MAC = '52:54:00:12:34:56'
# Tells its NIC; "leave" and "come" end and begin its connection.
VMM = '''#!%s
import re, socket, sys
path = re.search('addr.path=([^, ]+)', ' '.join(sys.argv)).group(1)
print(sys.argv[-1], flush=True)
if 'broken' in sys.argv:
    sys.exit(1)
vmm = socket.socket(socket.AF_UNIX)
vmm.connect(path)
for line in sys.stdin:
    vmm.close()
    if line == 'come\\n':
        vmm = socket.socket(socket.AF_UNIX)
        vmm.connect(path)
''' % sys.executable
IDENTITIES = {'nothing': ([], ''), 'name': (['-name', 'web'], ''),
              'mac': ([], ',mac=' + MAC)}


@pytest.fixture
def instance():
    """A daemon, and the VMM as a program."""
    made = Instance()
    made.vmm = os.path.join(made.folder, 'vmm')
    with open(made.vmm, 'w', encoding='utf-8') as script:
        script.write(VMM)
    os.chmod(made.vmm, 0o755)
    try:
        yield made.start()
    finally:
        made.stop()


class Machine(Process):
    """vmnet-run with the VMM; its end is that of its standard input."""

    def __init__(self, instance, identity='nothing', *more, options=''):
        arguments, nic = IDENTITIES[identity]
        super().__init__(
            [instance.tool('vmnet-run'), '-q', instance.vmm, *arguments, *more,
             '-netdev', 'vmnet-shared,id=net0' + options,
             '-device', 'e1000,netdev=net0' + nic],
            env=instance.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True)

    def mac(self):
        """That of its NIC."""
        line = self.line()
        assert 'mac=' in line, self.communicate()[1]
        return line.rstrip('\n').split('mac=')[1]

    def tell(self, word):
        """A line for it."""
        self.stdin.write(word + '\n')
        self.stdin.flush()

    def stop(self):
        """As its user would."""
        self.communicate()


def forward(client):
    """The only one: hostfwd that has its port."""
    found, = client.call('query-forwards')
    return ',hostfwd=tcp:127.0.0.1:%d-:22' % found['host-port']


def about(client):
    """What must be as it was; a forward's order says nothing."""
    netdevs = [[one.get(key) for key in ('id', 'vm', 'mac', 'export')]
               for one in client.call('query-netdevs')]
    exports = [(one['id'], one['path']) for one in client.call('query-exports')]
    return netdevs, exports, sorted(client.call('query-forwards'), key=str)


@pytest.mark.parametrize('how', ['connected', 'broken'])
@pytest.mark.parametrize('identity', IDENTITIES)
def test_at_once(instance, identity, how):
    """Also after one that ended before it had a network."""
    more = ['broken'] * (how == 'broken')
    with instance.qmp() as client:
        with Machine(instance, identity, *more,
                     options=',hostfwd=tcp:127.0.0.1:0-:22') as machine:
            mac = machine.mac()
            if not more:
                client.wait_event('EXPORT_CONNECTED')
            hostfwd = forward(client)
            machine.stop()
        with Machine(instance, identity, options=hostfwd) as machine:
            assert machine.mac() == mac
            client.wait_event('EXPORT_CONNECTED')
            assert forward(client) == hostfwd
            netdev, = client.call('query-netdevs')
            assert netdev['vm'] == ('web' if identity == 'name'
                                    else str(machine.pid))
            machine.stop()


def test_same_line_twice(instance):
    """At the same time they differ, and each is itself again."""
    identities = ['nothing', 'nothing', 'name', 'name']

    def run():
        machines = []
        with instance.qmp() as client:
            for identity in identities:
                machines.append(Machine(instance, identity))
                client.wait_event('EXPORT_CONNECTED')
        return machines

    machines = run()
    macs = [machine.mac() for machine in machines]
    assert len(set(macs)) == 4
    with instance.qmp() as client:
        machines[0].stop()
        machines[0] = Machine(instance)
        assert machines[0].mac() == macs[0]
        client.wait_event('EXPORT_CONNECTED')
        assert len(client.call('query-netdevs')) == 4
    for machine in machines:
        machine.stop()
    assert instance.run('vmnetctl', 'stop').returncode == 0
    instance.start()
    machines = run()
    assert [machine.mac() for machine in machines] == macs
    for machine in machines:
        machine.stop()


def test_machine_that_connects_again(instance):
    """Its process runs: nobody gets what it has."""
    with instance.qmp() as client, \
            Machine(instance, 'name',
                    options=',hostfwd=tcp:127.0.0.1:0-:22') as machine:
        mac = machine.mac()
        client.wait_event('EXPORT_CONNECTED')
        hostfwd = forward(client).split('=')[1]
        machine.tell('leave')
        client.wait_event('EXPORT_DISCONNECTED')
        for taken in ({'hostfwd': [hostfwd]}, {'mac': mac}):
            with pytest.raises(QmpError):
                client.call('netdev_add', type='vmnet-shared', id='net0',
                            vm='web', **taken)
        client.call('netdev_add', type='vmnet-shared', id='net0', vm='web',
                    mac_seed='name:web/net0')
        assert sorted(one['vm'] for one in client.call('query-netdevs')) == \
            ['web', 'web-2']
        machine.tell('come')
        client.wait_event('EXPORT_CONNECTED')


def test_another_that_cannot_be_made(instance):
    """Then the former one is as it was."""
    with instance.qmp() as client, socket.socket() as taken:
        taken.bind(('127.0.0.1', 0))
        taken.listen()
        with Machine(instance, 'name', 'broken',
                     options=',hostfwd=tcp:127.0.0.1:0-:22') as machine:
            machine.stop()
        client.call('forward-add', netdev='web/net0', host_address='127.0.0.1',
                    host_port=0, guest_port=80)
        client.call('netdev_add', type='vmnet-shared', id='net0', vm='other')
        before = about(client)
        rules = ['tcp:127.0.0.1:%d-:22' % port for port in
                 [one['host-port'] for one in before[2]
                  if one['guest-port'] == 22] + [taken.getsockname()[1]]]
        for bad, text in (({'hostfwd': rules}, 'in use'), ({'mtu': 9000}, 'mtu')):
            with instance.qmp() as other, pytest.raises(QmpError, match=text):
                other.call('netdev_add', type='vmnet-shared', id='net0',
                           vm='web', lifetime='export', **bad)
            after = about(client)
            assert sorted(after[0]) == sorted(before[0])
            assert after[1:] == before[1:]
        with Machine(instance, 'name') as machine:
            machine.mac()
            client.wait_event('EXPORT_CONNECTED')
            assert sorted(one['vm'] for one in client.call('query-netdevs')) \
                == ['other', 'web']
            machine.stop()
