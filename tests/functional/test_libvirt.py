r"""libvirt's qemu:///session: by a vhostuser interface, and by vmnet-run.

  virsh -- libvirtd (an ordinary user's) -- QEMU [ guest ] -- rings -- vmnetd
                                       \-- vmnet-run, as its <emulator>

SPDX-License-Identifier: GPL-2.0-or-later
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from types import SimpleNamespace

import pytest

from lib import image
from lib.guest import Guest, GuestError
from lib.instance import BUILD, IMAGE

USER = 65534
QEMU = shutil.which('qemu-system-x86_64')
# Without MSI-X: QEMU 7.2 under software emulation crashes when it gives a
# vhost-user device its vectors.
DOMAIN = '''
<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
  <name>vm</name>
  <memory unit='MiB'>192</memory>
  <memoryBacking>
    <source type='memfd'/><access mode='shared'/>
  </memoryBacking>
  <os>
    <type arch='x86_64' machine='pc'>hvm</type>
    <kernel>{kernel}</kernel>
    <initrd>{initrd}</initrd>
    <cmdline>console=ttyS0 quiet panic=-1 tsc=reliable guest.name=vm</cmdline>
  </os>
  <devices>
    <emulator>{qemu}</emulator>
    <serial type='unix'><source mode='bind' path='{folder}/serial'/></serial>
    {interface}
    <memballoon model='none'/>
  </devices>
  <qemu:commandline>
    <qemu:arg value='-global'/><qemu:arg value='virtio-net-pci.vectors=0'/>
    {arguments}
  </qemu:commandline>
</domain>
'''
VHOST_USER = '''
    <interface type='vhostuser'>
      <mac address='52:54:00:00:03:01'/>
      <source type='unix' path='{path}' mode='client'/>
      <model type='virtio'/>
      <rom enabled='no'/>
    </interface>'''
# As docs/guide.rst has it; the environment is the test's.
VMNET_RUN = '''
    <qemu:arg value='-netdev'/><qemu:arg value='vmnet-shared,id=net0'/>
    <qemu:arg value='-device'/>
    <qemu:arg value='virtio-net-pci,netdev=net0,bus=pci.0,addr=0x10'/>
    <qemu:env name='XDG_RUNTIME_DIR' value='{folder}/run'/>
    <qemu:env name='XDG_STATE_HOME' value='{folder}/state'/>'''

pytestmark = [
    pytest.mark.slow, pytest.mark.guest,
    pytest.mark.skipif(not (shutil.which('virsh') and shutil.which('libvirtd')),
                       reason='needs libvirt-daemon and libvirt-clients'),
    pytest.mark.skipif(os.geteuid() != 0, reason='needs root to become another'),
]


class Console(Guest):
    """The serial console of a guest that somebody else has started."""

    def __init__(self, path):       # pylint: disable=super-init-not-called
        self.name, self._buffer, self._serial = 'vm', b'', 0
        self.console = bytearray()
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.process = SimpleNamespace(
            stdin=self.socket.makefile('wb', 0),
            stdout=self.socket.makefile('rb', 0), wait=lambda: None)

    def wait_ready(self, timeout=60):
        """It may have said so before anybody listened: until it answers."""
        end = time.monotonic() + timeout
        while True:
            try:
                self.run('true', 2)
                return
            except GuestError:
                if time.monotonic() > end:
                    raise

    def stop(self):
        """Leave it alone."""
        self.process.stdin.close()
        self.process.stdout.close()
        self.socket.close()


@pytest.fixture
def session():
    """virsh(...) of an ordinary user's session, and that user's directory."""
    folder = tempfile.mkdtemp(prefix='vmnet-virt-')
    os.chown(folder, USER, USER)
    ids = ['--reuid', str(USER), '--regid', str(USER), '--clear-groups']

    def virsh(*argv, check=True):
        done = subprocess.run(
            ['setpriv', *ids, 'env', '-i', 'PATH=' + os.environ['PATH'],
             'HOME=' + folder, 'XDG_RUNTIME_DIR=' + folder,
             'virsh', '-c', 'qemu:///session', *argv], text=True, timeout=60,
            cwd='/', stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            check=False)
        assert done.returncode == 0 or not check, done.stdout

    yield virsh, folder
    virsh('destroy', 'vm', check=False)
    # They would stay for two minutes more.
    for name in ('libvirtd.pid', 'virtlogd.pid'):
        pid_file = os.path.join(folder, 'libvirt', name)
        if os.path.exists(pid_file):
            with open(pid_file, encoding='ascii') as text:
                os.kill(int(text.read()), signal.SIGTERM)
    shutil.rmtree(folder, ignore_errors=True)


def start(session):
    """The domain that is defined, or saved; its console, ready."""
    virsh, folder = session
    virsh('start', 'vm')
    guest = Console(os.path.join(folder, 'serial'))
    guest.wait_ready()
    return guest


def start_new(session, **values):
    """DOMAIN with @values."""
    virsh, folder = session
    xml = os.path.join(folder, 'vm.xml')
    with open(xml, 'w', encoding='utf-8') as text:
        text.write(DOMAIN.format(folder=folder, **values))
    virsh('define', xml)
    return start(session)


def test_lease_managed_save_and_restore(daemon, session):
    """A guest keeps its address and its network through both."""
    try:
        kernel, initrd = image.ensure(IMAGE)
    except image.ImageError as error:
        pytest.skip('needs the guest kernel: %s' % error)
    virsh, folder = session
    path = os.path.join(folder, 'vhost-user.sock')
    with daemon.qmp() as client:
        client.call('netdev_add', type='vmnet-shared', id='n0')
        client.call('export-add', type='vhost-user', id='e0', netdev='n0',
                    addr={'type': 'unix', 'path': path})
        os.chown(path, USER, USER)
        guest = start_new(session, kernel=kernel, initrd=initrd, qemu=QEMU,
                          arguments='', interface=VHOST_USER.format(path=path))
        lease = guest.dhcp()
        assert lease
        ping = 'ping -c 2 -i 0.2 -w 10 ' + lease['router']
        assert guest.run(ping).ok
        guest.stop()

        virsh('managedsave', 'vm')
        assert not client.call('query-netdevs')[0]['connected']
        guest = start(session)
        assert guest.run(ping).ok
        info, = client.call('query-netdevs')
        assert info['connected'] and info['port'] == 'vhost-user'
        assert info['address'] == lease['address']
        guest.stop()


def test_emulator_is_vmnet_run(session):
    """libvirt asks it what QEMU can, and starts it with its own options."""
    try:
        kernel, initrd = image.ensure(IMAGE)
    except image.ImageError as error:
        pytest.skip('needs the guest kernel: %s' % error)
    virsh, folder = session
    for name in ('run', 'state'):
        os.mkdir(os.path.join(folder, name), 0o700)
        os.chown(os.path.join(folder, name), USER, USER)
    emulator = os.path.join(folder, 'qemu-vmnet')
    with open(emulator, 'w', encoding='ascii') as text:
        text.write('#!/bin/sh\nexec %s/tools/vmnet-run %s "$@"\n' % (BUILD, QEMU))
    os.chmod(emulator, 0o755)
    guest = start_new(session, kernel=kernel, initrd=initrd, qemu=emulator,
                      interface='', arguments=VMNET_RUN.format(folder=folder))
    lease = guest.dhcp()
    assert lease
    assert guest.run('ping -c 2 -i 0.2 -w 10 ' + lease['router']).ok
    guest.stop()
    ctl = ['setpriv', '--reuid', str(USER), '--regid', str(USER), '--clear-groups',
           'env', 'XDG_RUNTIME_DIR=' + folder + '/run', BUILD + '/tools/vmnetctl']
    info, = json.loads(subprocess.run(
        [*ctl, '--json', 'qmp', 'query-netdevs'], text=True, timeout=60, check=True,
        stdout=subprocess.PIPE).stdout)
    assert info['connected'] and info['address'] == lease['address']
    virsh('destroy', 'vm')
    # What libvirt has ended is QEMU, not the daemon.
    subprocess.run([*ctl, 'stop'], timeout=60, check=True, stdout=subprocess.DEVNULL)
