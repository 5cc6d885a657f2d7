"""A vhost-user driver that is not ours: DPDK's, in testpmd.

  testpmd [ virtio_user ] -- rings -- vmnetd -- rings -- [ virtio_user ] testpmd

Each network has a net-uuid and so no gateway: there are no frames but the tests'.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import contextlib
import itertools
import os
import shutil
import threading
import time

import pytest

from lib import process
from lib.testpmd import PROGRAM, Testpmd
from lib.vmm import BROADCAST, Vmm

pytestmark = pytest.mark.skipif(not shutil.which(PROGRAM),
                                reason='needs ' + PROGRAM)

MACS = '52:54:00:00:01:01', '52:54:00:00:01:02'
NETWORK = '3f1c2a52-6d0e-4c8b-9f57-0d1b6f6f1c01'

# packed ring, mergeable receive buffers, pairs of queues, testpmd listens
QUICK = [(0, 1, 1, False), (1, 1, 2, True), (1, 0, 4, False)]
ALL = [pytest.param(*case, marks=() if case in QUICK else pytest.mark.slow)
       for case in itertools.product((0, 1), (0, 1), (1, 2, 4), (False, True))]


# Each testpmd has a processor's time in full, if it gets it: beside others that
# do, all takes longer.
PATIENCE_S = 60


def wait_for(condition, timeout=PATIENCE_S):
    """Until @condition() is true; what it last was."""
    end = time.monotonic() + timeout
    while True:
        found = condition()
        if found or time.monotonic() > end:
            return found
        time.sleep(0.01)


class Pair:
    """Two netdevs and the testpmds that drive them."""

    def __init__(self, daemon, client, device='', options=(), listens=False):
        self.daemon, self.client = daemon, client
        self.device, self.options, self.listens = device, options, listens
        self.paths, self.guests = [], [None, None]
        for i in range(2):
            client.call('netdev_add', type='vmnet-host', id='v%d' % i, **{
                'net-uuid': NETWORK})
            self.paths.append(os.path.join(daemon.folder, 'v%d.sock' % i))

    def export(self, i):
        """The daemon's end of the socket of guest @i."""
        self.client.call('export-add', type='vhost-user', id='e%d' % i,
                         netdev='v%d' % i, server=not self.listens,
                         addr={'type': 'unix', 'path': self.paths[i]})

    def start(self, i):
        """The testpmd of guest @i."""
        device = self.device + (',server=1' if self.listens else '')
        self.guests[i] = Testpmd(
            self.daemon.folder, 'g%d' % i, self.paths[i], MACS[i], device,
            ['--eth-peer=0,' + MACS[1 - i], *self.options])

    def counters(self, i):
        """(frames from guest @i, frames to it, drops) as the daemon counts."""
        info = next(info for info in self.client.call('query-netdevs')
                    if info['id'] == 'v%d' % i)
        return (info['tx-frames'], info['rx-frames'],
                sum(drop['frames'] for drop in info['drops']))

    def greet(self, i):
        """The first burst of guest @i says where it is."""
        before = self.counters(i)[0]
        self.guests[i].start('rxonly', 1)
        assert wait_for(lambda: self.counters(i)[0] >= before + 32)
        self.guests[i].stop()

    def connect(self):
        """Both, so that each is known to the switch."""
        for i in range(2):
            if not self.listens:
                self.export(i)
            self.start(i)
        for i in range(2):
            if self.listens:
                assert wait_for(lambda: process.listens(self.paths[i]))
                self.export(i)
        # The first that greets is heard by all: nobody may miss it.
        for guest in self.guests:
            guest.await_up()
        assert self.totals() == [0, 0, 0]
        for i in range(2):
            self.greet(i)

    def totals(self):
        """Frames in, frames out, drops, of both."""
        return [sum(both) for both in zip(*map(self.counters, range(2)))]

    def settle(self):
        """All that was sent has come in, all that went out has been read."""
        for guest in self.guests:
            guest.stop()
        for i, guest in enumerate(self.guests):
            assert wait_for(lambda: self.counters(i)[0] == guest.sent), (
                self.counters(i), guest.sent)

        def all_read(i, guest):
            if guest.received == self.counters(i)[1]:
                return True
            guest.start('rxonly')
            guest.stop()
            return False

        for i, guest in enumerate(self.guests):
            assert wait_for(lambda: all_read(i, guest)), (
                self.counters(i), guest.received)

    def close(self):
        """Both testpmds are killed."""
        for guest in filter(None, self.guests):
            guest.kill()


@pytest.fixture
def pair(daemon):
    """pair(...) -> a Pair, ended after the test."""
    with contextlib.ExitStack() as stack:
        client = stack.enter_context(daemon.qmp())

        def make(*args, **options):
            made = Pair(daemon, client, *args, **options)
            stack.callback(made.close)
            return made

        yield make


def moved(pair, before):
    """What totals() has grown by."""
    return [after - past for past, after in zip(before, pair.totals())]


@pytest.mark.parametrize('packed, mergeable, queues, listens', ALL)
def test_every_packet_is_counted(pair, packed, mergeable, queues, listens):
    """First in circles, where none may be lost, then more than the receiver
    can take; of three segments each.  In a packed ring DPDK 22.11 says that the
    first of several were for the device to write to.  Every queue gets some."""
    made = pair(',packed_vq=%d,mrg_rxbuf=%d,queues=%d'
                % (packed, mergeable, queues),
                ['--rxq=%d' % queues, '--txq=%d' % queues,
                 '--txpkts=700,400,300', '--txonly-multi-flow'], listens)
    made.connect()
    made.settle()

    before = made.totals()
    made.guests[1].start('macswap')
    made.guests[0].start('macswap', 4 // queues)
    assert wait_for(lambda: moved(made, before)[0] >= 20000)
    made.settle()
    frames_in, frames_out, drops = moved(made, before)
    assert frames_in == frames_out and drops == 0

    before = made.totals()
    made.guests[1].start('rxonly')
    made.guests[0].start('txonly')
    assert wait_for(lambda: moved(made, before)[0] >= 50000)
    made.settle()
    frames_in, frames_out, drops = moved(made, before)
    assert frames_in == frames_out + drops
    assert frames_out > 0
    if queues > 1:
        assert min(made.guests[1].queues[i] for i in range(queues)) > 0


class Others(threading.Thread):
    """Two guests with stream ports that send frames back and forth, in windows
    of 32, and count those that are not there in time and in order."""

    def __init__(self, daemon, client):
        super().__init__(daemon=True)
        self.guests = []
        for i in range(2):
            ident = 'o%d' % i
            client.call('netdev_add', type='vmnet-host', id=ident, **{
                'net-uuid': NETWORK})
            path = client.call('export-add', type='stream', id='e' + ident,
                               netdev=ident, addr={'type': 'unix'})['path']
            self.guests.append(Vmm(path, '52:54:00:00:02:0%d' % i,
                                   timeout=PATIENCE_S))
        self.is_over = threading.Event()
        self.rounds = 0
        self.problem = None

    def _round(self, sender, receiver, first):
        head = receiver.mac + sender.mac + b'\x88\xb5'
        for number in range(first, first + 32):
            sender.send(head + number.to_bytes(8, 'big') + bytes(40))
        for number in range(first, first + 32):
            found = receiver.receive(lambda frame: frame[14:22]
                                     if frame[:14] == head else None)
            if int.from_bytes(found, 'big') != number:
                raise ValueError('frame %d came late or not at all' % number)

    def run(self):
        try:
            one, other = self.guests
            while not self.is_over.is_set():
                self._round(one, other, 64 * self.rounds)
                self._round(other, one, 64 * self.rounds + 32)
                self.rounds += 1
        except Exception as error:      # pylint: disable=broad-except
            self.problem = error

    def end(self):
        """Returns: rounds that were complete."""
        self.is_over.set()
        self.join(2 * PATIENCE_S)
        for guest in self.guests:
            guest.close()
        assert self.problem is None, repr(self.problem)
        return self.rounds


@pytest.mark.parametrize('times, packed, listens', [
    (3, 1, False), (3, 0, True), pytest.param(20, 0, False, marks=pytest.mark.slow),
    pytest.param(20, 1, True, marks=pytest.mark.slow)])
def test_others_lose_nothing_when_one_is_killed(daemon, pair, times, packed,
                                                listens):
    """In mid-burst, waiting for a receiver that is always full; every time it
    comes back."""
    made = pair(',packed_vq=%d' % packed, listens=listens)
    path = made.client.call('export-add', type='stream', id='e1', netdev='v1',
                            addr={'type': 'unix'})['path']
    full = Vmm(path, MACS[1])
    full.send(BROADCAST + full.mac + b'\x88\xb5' + bytes(46))
    assert wait_for(lambda: made.counters(1)[0] == 1)
    others = Others(daemon, made.client)
    others.start()
    try:
        if not listens:
            made.export(0)
        for _ in range(times):
            made.start(0)
            if listens:
                assert wait_for(lambda: process.listens(made.paths[0]))
                made.export(0)
            before, rounds = made.counters(0)[0], others.rounds
            made.guests[0].start('txonly')
            assert wait_for(lambda: made.counters(0)[0] > before + 1000
                            and others.rounds > rounds or others.problem)
            made.guests[0].kill()
            if listens:
                made.client.call('export-del', id='e0')
                os.unlink(made.paths[0])
    finally:
        full.close()
        assert others.end() >= times
    drops = [info['drops'] for info in made.client.call('query-netdevs')
             if info['id'] in ('o0', 'o1')]
    assert drops == [[], []]
