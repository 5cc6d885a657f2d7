"""libvmnet's examples, run: a packet printer, a network shared by two
processes, a VMM with a main loop of its own.

  test [ scapy frame ] -- SEQPACKET -- example -- libvmnet -- vmnetd

SPDX-License-Identifier: GPL-2.0-or-later
"""

import os
import signal
import socket
import struct
import subprocess
import time

import pytest
from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import ARP, Ether

from lib import libvmnet
from lib.instance import BUILD
from lib.process import Process
from lib.raw_guest import RawGuest

MAC = '52:54:00:00:00:77'
OTHER = '52:54:00:00:00:78'
BROADCAST = 'ff:ff:ff:ff:ff:ff'


def example(name):
    """Path of the program."""
    return os.path.join(BUILD, 'examples', name)


def test_packet_printer_prints(daemon):
    with Process(
            [example('packet-printer'), 'vmnet-host,id=p', '1'],
            env=daemon.env, stdout=subprocess.PIPE, text=True) as printer:
        assert printer.line() == 'on host, MTU 1500\n'
        with daemon.qmp() as client, \
                RawGuest(daemon.netdev(client, 'vmnet-host')[1], MAC) as guest:
            guest.send(Ether(src=MAC, dst=BROADCAST, type=0x88b5) / (b'x' * 46))
            assert printer.line() == \
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
        self.process = Process(
            [example('vmm'), options, str(theirs.fileno())], env=daemon.env,
            pass_fds=[theirs.fileno()], stderr=subprocess.PIPE, text=True)
        theirs.close()
        self.line = self.process.line(self.process.stderr)

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
            "netdev 'net0': mtu 1 is not in 576 to 65520\n"
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
    # Without -R older versions of it do not start where the kernel places
    # mappings very randomly.
    done = subprocess.run(
        ['setarch', os.uname().machine, '-R', program],
        env=dict(idle_daemon.env, VMNETD=os.path.join(
            BUILD, 'vmnetd', 'vmnetd')), timeout=60, check=False, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert (done.returncode, done.stdout) == (0, '')


def tso_frame(payload):
    """A TCP segment of @payload bytes for the other one, its checksum to be
    completed, its header's offload fields, as virtio has them."""
    frame = bytes(Ether(src=MAC, dst=OTHER) /
                  IP(src='192.168.108.77', dst='192.168.108.78') /
                  TCP(sport=1, dport=2, flags='A', chksum=0) / bytes(payload))
    partial = pseudo_header_checksum(len(frame) - 34)
    frame = frame[:50] + struct.pack('!H', partial) + frame[52:]
    return struct.pack('<BBHHHHH', 1, 1, 54, 1448, 34, 16, 0) + frame


def pseudo_header_checksum(length):
    """What virtio wants in the field of a partial checksum."""
    words = struct.unpack('!6H', socket.inet_aton('192.168.108.77') +
                          socket.inet_aton('192.168.108.78') +
                          struct.pack('!HH', 6, length))
    total = sum(words)
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return total


def is_tcp(packet):
    """A TCP segment behind the virtio header?"""
    return packet[24:26] == b'\x08\x00' and packet[35] == 6


@libvmnet.loads_libvmnet
def test_offloads_can_be_changed(daemon):
    with libvmnet.Client(daemon) as client:
        sender = client.start('vmnet-host,id=a', flags=libvmnet.VIRTIO_HEADER)
        receiver = client.start('vmnet-host,id=b',
                                flags=libvmnet.VIRTIO_HEADER)
        receiver.write(bytes(12) + bytes(Ether(src=OTHER, dst=BROADCAST,
                                               type=0x88b5)) + bytes(46))
        sender.read(lambda p: p[24:26] == b'\x88\xb5')
        sender.write(tso_frame(60000))
        packet = receiver.read(is_tcp)
        assert packet[:2] == b'\0\0' and len(packet) == 12 + 54 + 1448
        assert TCP(packet[12 + 34:]).dport == 2

        receiver.set_offloads(libvmnet.CSUM | libvmnet.TSO4)
        sender.write(tso_frame(60001))
        packet = receiver.read(lambda p: is_tcp(p) and len(p) > 1514 + 12)
        assert packet == tso_frame(60001)


@libvmnet.loads_libvmnet
def test_headers_that_lie_are_dropped(daemon):
    with libvmnet.Client(daemon) as client:
        sender = client.start('vmnet-host,id=a', flags=libvmnet.VIRTIO_HEADER)
        sender.write(b'\xff' * 12 + tso_frame(100)[12:])
        with daemon.qmp() as other:
            end = time.monotonic() + 5
            while {'reason': 'bad-offload', 'frames': 1} not in \
                    other.call('query-netdevs')[0]['drops']:
                assert time.monotonic() < end
        with pytest.raises(libvmnet.Failure, match='Ethernet frame'):
            sender.write(bytes(12 + 13))
        with pytest.raises(libvmnet.Failure, match='too big'):
            sender.write(bytes(12 + 65535 + 19))


@libvmnet.loads_libvmnet
def test_vhost_user_socket_is_handed_out(daemon):
    with libvmnet.Client(daemon) as client:
        interface = client.start('vmnet-host,id=a', libvmnet.PORT_VHOST_USER,
                                 libvmnet.BY_PATH)
        path = interface.get('path')
        assert path.startswith('/') and os.path.exists(path)
        with socket.socket(socket.AF_UNIX) as vmm:
            vmm.settimeout(5)
            vmm.connect(path)
            vmm.sendall(struct.pack('<III', 1, 1, 0))   # GET_FEATURES
            assert vmm.recv(12) == struct.pack('<III', 1, 5, 8)
        with pytest.raises(libvmnet.Failure, match='is a path'):
            client.start('vmnet-host,id=b', libvmnet.PORT_VHOST_USER)
