"""The DNS proxy, asked by dig; its name servers are of these tests.

  ns [ dig ] -- tap-relay -- vmnetd -- UDP, TCP -- NameServer

SPDX-License-Identifier: GPL-2.0-or-later
"""

import os
import shutil
import socket
import struct
import threading
import time

import pytest

from lib import netns, services
from lib.lab import Lab

pytestmark = [
    pytest.mark.skipif(netns.missing() is not None,
                       reason=netns.missing() or ''),
    pytest.mark.skipif(not shutil.which('dig'), reason='needs dig')]


class NameServer(services.DnsServer):
    """As its parent, by TCP as well, and with a text of any length: the name
    tN.example has N strings of 200 bytes.  Truncates over UDP what is more
    than the query's EDNS0 allows."""

    def __init__(self, names=None, rcode=0):
        self.raw = []
        self.rcode = rcode
        self._listener = None
        while not self._listener:
            super().__init__(names or {})
            try:
                self._listener = socket.create_server(('127.0.0.1', self.port))
            except OSError:
                self.close()    # TCP's port is taken: another one
        threading.Thread(target=self._accept, daemon=True).start()

    def answer(self, query, limit=65535):
        reply = super().answer(query)
        name = self.queries[-1][0]
        if self.rcode:
            return reply[:3] + bytes([reply[3] & 0xf0 | self.rcode]) + reply[4:]
        if not (name.startswith('t') and name[1:2].isdigit()):
            return reply
        count = int(name[1:name.index('.')])
        text = struct.pack('!HHHIH', 0xc00c, 16, 1, 60, 201) + \
            b'\xc8' + b'x' * 200
        if len(reply) + len(text) * count > limit:
            return reply[:2] + struct.pack(
                '!H', struct.unpack('!H', reply[2:4])[0] & ~15 | 0x200) + reply[4:]
        return reply[:2] + b'\x81\x80' + reply[4:6] + struct.pack('!H', count) + \
            reply[8:] + text * count

    def serve(self):
        query, peer = self.socket.recvfrom(4096)
        self.requests += 1
        self.raw.append((query, peer))
        limit = 512
        if query[10:12] == b'\0\1':     # an OPT record, the last one
            at = query.rindex(b'\0\0\x29')
            limit = struct.unpack('!H', query[at + 3:at + 5])[0]
        self.socket.sendto(self.answer(query, limit), peer)

    def _accept(self):
        while True:
            try:
                peer = self._listener.accept()[0]
            except OSError:
                return
            with peer, peer.makefile('rb') as stream:
                head = stream.read(2)
                reply = self.answer(stream.read(struct.unpack('!H', head)[0]))
                peer.sendall(struct.pack('!H', len(reply)) + reply)

    def line(self):
        """Of resolv.conf."""
        return 'nameserver 127.0.0.1#%d\n' % self.port


def write(path, text):
    """Replace a file as a whole, as those who own resolv.conf do."""
    with open(path + '.new', 'w', encoding='ascii') as out:
        out.write(text)
    os.rename(path + '.new', path)


class Asker:
    """A guest with dig."""

    def __init__(self, lab, **options):
        self.guest = lab.configured(**options)

    def __call__(self, *query, tries=1):
        return self.guest.run('dig', '+time=8', '+tries=%d' % tries,
                              '@' + self.guest.router, *query).stdout


def test_names_are_resolved_by_udp_and_tcp(lab):
    server = NameServer({'name.example': ['198.51.100.9', '2001:db8::9']})
    write(lab.instance.resolv_conf, server.line())
    dig = Asker(lab)
    assert '198.51.100.9' in dig('name.example', 'A')
    assert '2001:db8::9' in dig('name.example', 'AAAA')
    assert '198.51.100.9' in dig('+tcp', 'name.example', 'A')
    assert 'NXDOMAIN' in dig('nothing.example', 'A')


def test_queries_pass_as_they_are(bare):
    server = NameServer({'name.example': ['198.51.100.9']})
    write(bare.instance.resolv_conf, server.line())
    dig = Asker(bare)
    for _ in range(3):
        dig('+noedns', '+qid=4711', 'NAME.example')
    sent = [raw for raw, _peer in server.raw]
    assert all(b'\4NAME\7example' in raw for raw in sent)
    # RFC 5452: neither the client's id nor one port for all.
    assert len({raw[:2] for raw in sent} | {struct.pack('!H', 4711)}) > 2
    assert len({peer for _raw, peer in server.raw}) > 1
    dig('+dnssec', '+cdflag', '+bufsize=4000', '+nocookie', 'name.example')
    raw = server.raw[-1][0]
    assert raw[3] & 0x10            # CD
    at = raw.rindex(b'\0\0\x29')    # EDNS0: size, DO
    assert raw[at + 3:at + 5] == struct.pack('!H', 4000)
    assert raw[at + 7] & 0x80


def test_long_answers_come_whole_or_truncated(lab):
    server = NameServer()
    write(lab.instance.resolv_conf, server.line())
    dig = Asker(lab)
    # The name server's own TC, and dig comes again by TCP.
    text = dig('t9.example', 'TXT', '+noedns')
    assert 'Truncated, retrying in TCP' in text and 'ANSWER: 9,' in text
    assert text.count('x' * 200) == 9
    # More than the MTU carries, although the client would take it.
    text = dig('t12.example', 'TXT', '+bufsize=4096', '+ignore')
    assert ' tc ' in text and 'ANSWER: 12,' not in text
    # As much as fits.
    text = dig('t5.example', 'TXT', '+bufsize=1400', '+ignore')
    assert ' tc ' not in text and 'ANSWER: 5,' in text
    # As long as messages get.
    assert dig('t300.example', 'TXT', '+tcp').count('x' * 200) == 300


def test_resolv_conf_is_followed(bare):
    first = NameServer({'name.example': ['198.51.100.1']})
    second = NameServer({'name.example': ['198.51.100.2']})
    third = NameServer({'name.example': ['198.51.100.3']})
    write(bare.instance.resolv_conf, first.line())
    dig = Asker(bare)
    assert '198.51.100.1' in dig('+short', 'name.example')
    write(bare.instance.resolv_conf, second.line())
    assert '198.51.100.2' in dig('+short', 'name.example')
    with open(bare.instance.resolv_conf, 'w', encoding='ascii') as out:
        out.write('# in place\n' + third.line())
    assert '198.51.100.3' in dig('+short', 'name.example')


def test_resolv_conf_is_followed_through_a_link(idle_daemon, tmp_path):
    """As systemd-resolved has it, into a folder that is read for nothing else."""
    servers = [NameServer({'name.example': ['198.51.100.%d' % n]})
               for n in range(2)]
    target = str(tmp_path / 'resolv.conf')
    write(target, servers[0].line())
    os.remove(idle_daemon.resolv_conf)
    os.symlink(target, idle_daemon.resolv_conf)
    lab = Lab(idle_daemon.start())
    try:
        dig = Asker(lab)
        for number, server in enumerate(servers):
            write(target, server.line())
            assert '198.51.100.%d' % number in dig('+short', 'name.example')
    finally:
        lab.close()


def test_servers_that_do_not_help_are_passed_over(bare):
    refusing = NameServer(rcode=5)
    good = NameServer({'name.example': ['198.51.100.9']})
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent, \
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as gone:
        silent.bind(('127.0.0.1', 0))
        # Connected elsewhere: whoever else sends there is refused.
        gone.bind(('127.0.0.1', 0))
        gone.connect(silent.getsockname())
        closed = gone.getsockname()[1]
        write(bare.instance.resolv_conf,
              'nameserver 127.0.0.1#%d\n' % closed + refusing.line() +
              'nameserver 127.0.0.1#%d\n' % silent.getsockname()[1])
        dig = Asker(bare)
        # Nobody knows: what was said last, once the silent one has had its 4 s.
        begin = time.monotonic()
        assert 'REFUSED' in dig('name.example')
        assert time.monotonic() - begin < 6
        write(bare.instance.resolv_conf,
              'nameserver 127.0.0.1#%d\n' % closed + refusing.line() +
              good.line())
        begin = time.monotonic()
        assert '198.51.100.9' in dig('+short', 'name.example')
        assert time.monotonic() - begin < 1


def test_slow_server_is_waited_for(bare):
    """An answer after more than a second counts, and the query is repeated."""
    class Slow(NameServer):
        """Answers what came first once it was asked twice."""

        def serve(self):
            query, peer = self.socket.recvfrom(4096)
            self.raw.append((query, peer))
            if len(self.raw) == 2:
                self.socket.sendto(self.answer(self.raw[0][0]), self.raw[0][1])

    server = Slow({'name.example': ['198.51.100.9']})
    write(bare.instance.resolv_conf, server.line())
    assert '198.51.100.9' in Asker(bare)('+short', 'name.example')
