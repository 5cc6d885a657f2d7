"""libvmnet's examples, run: a packet printer, a network shared by two
processes, a VMM with a main loop of its own.

  test [ scapy frame ] -- SEQPACKET -- example -- libvmnet -- vmnetd

SPDX-License-Identifier: GPL-2.0-or-later
"""

import os
import signal
import socket
import subprocess

import pytest
from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import ARP, Ether

from lib.instance import BUILD
from lib.raw_guest import RawGuest

MAC = '52:54:00:00:00:77'
BROADCAST = 'ff:ff:ff:ff:ff:ff'


def example(name):
    """Path of the program."""
    return os.path.join(BUILD, 'examples', name)


def test_packet_printer_prints(daemon):
    with subprocess.Popen(
            [example('packet-printer'), 'vmnet-host,id=p', '1'],
            env=daemon.env, stdout=subprocess.PIPE, text=True) as printer:
        assert printer.stdout.readline() == 'on host, MTU 1500\n'
        with daemon.qmp() as client, \
                RawGuest(daemon.netdev(client, 'vmnet-host')[1], MAC) as guest:
            guest.send(Ether(src=MAC, dst=BROADCAST, type=0x88b5) / (b'x' * 46))
            assert printer.stdout.readline() == \
                '%s > %s, type 88b5, 60 bytes\n' % (MAC, BROADCAST)
        assert printer.wait(10) == 0


def test_two_processes_share_a_network(daemon):
    done = subprocess.run([example('shared-network')], env=daemon.env,
                          timeout=30, check=False, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert (done.returncode, done.stdout, done.stderr) == \
        (0, 'hello from the second process\n', '')


class Vmm:
    """The example, and the card's other end."""

    def __init__(self, daemon, options='vmnet-shared,id=net0'):
        self.card, theirs = socket.socketpair(socket.AF_UNIX,
                                              socket.SOCK_SEQPACKET)
        self.card.settimeout(10)
        self.process = subprocess.Popen(
            [example('vmm'), options, str(theirs.fileno())], env=daemon.env,
            pass_fds=[theirs.fileno()], stderr=subprocess.PIPE, text=True)
        theirs.close()
        self.line = self.process.stderr.readline()

    def receive(self, accept):
        """The next frame that @accept wants."""
        while True:
            frame = Ether(self.card.recv(65553))
            if accept(frame):
                return frame

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.card.close()
        self.process.kill()
        self.process.wait()
        self.process.stderr.close()


def discover():
    """A DHCPDISCOVER."""
    return bytes(Ether(src=MAC, dst=BROADCAST) /
                 IP(src='0.0.0.0', dst='255.255.255.255') /
                 UDP(sport=68, dport=67) /
                 BOOTP(chaddr=bytes.fromhex(MAC.replace(':', '')), xid=7) /
                 DHCP(options=[('message-type', 'discover'), 'end']))


def test_vmm_starts_the_daemon_and_gets_an_offer(idle_daemon):
    with Vmm(idle_daemon) as vmm:
        assert vmm.line == 'started\n'
        vmm.card.send(discover())
        offer = vmm.receive(lambda f: DHCP in f)
        assert offer[BOOTP].yiaddr.startswith('192.168.107.')


def test_vmm_ends_with_its_daemon(daemon):
    with Vmm(daemon) as vmm:
        assert vmm.line == 'started\n'
        with daemon.qmp() as client:
            client.call('quit')
        assert vmm.process.wait(10) == 1


def test_vmm_says_what_is_wrong(daemon):
    with Vmm(daemon, 'vmnet-shared,id=net0,mtu=1') as vmm:
        assert vmm.line == \
            "netdev 'net0': mtu 1 is not in 68 to 65520\n"
        assert vmm.process.wait(10) == 0


def test_stopped_daemon_does_not_hold_a_vmm(daemon):
    with Vmm(daemon) as vmm:
        assert vmm.line == 'started\n'
        frame = bytes(Ether(src=MAC, dst=BROADCAST, type=0x88b5) / bytes(1400))
        pids = daemon.pids()
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            for _ in range(4096):       # more than any socket holds
                vmm.card.settimeout(0)
                try:
                    vmm.card.send(frame)
                except BlockingIOError:
                    break
            assert vmm.process.poll() is None
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)
        assert answers_arp(vmm)


def answers_arp(vmm):
    """The gateway does, once the flood of before is through; the question
    that finds no room is lost."""
    question = Ether(src=MAC, dst=BROADCAST) / ARP(
        hwsrc=MAC, psrc='192.168.107.77', pdst='192.168.107.1')
    vmm.card.settimeout(0.5)
    for _ in range(20):
        try:
            vmm.card.send(bytes(question))
            vmm.receive(lambda f: ARP in f and f[ARP].op == 2)
            return True
        except OSError:
            continue
    return False


def test_four_threads(idle_daemon):
    program = os.path.join(BUILD, 'tests', 'tools', 'libvmnet-threads')
    if not os.path.exists(program):
        pytest.skip('built without ThreadSanitizer')
    done = subprocess.run(
        [program], env=dict(idle_daemon.env, VMNETD=os.path.join(
            BUILD, 'vmnetd', 'vmnetd')), timeout=60, check=False, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert (done.returncode, done.stdout) == (0, '')
