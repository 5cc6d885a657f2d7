"""vmnetd and QEMU's own daemon answer the same bytes with the same bytes.

  conversations, and 10,000 that a seeded generator has damaged
        |--> qemu-storage-daemon --|
        |--> vmnetd ---------------|--> equal, but for DIFFERENCES

SPDX-License-Identifier: GPL-2.0-or-later
"""

import collections
import json
import os
import random
import re
import shutil
import subprocess
import tempfile
import time

import pytest

from lib.instance import Instance
from lib.process import Process, listens
from lib.qmp import Qmp

SEED = 0x766d6e65
MUTATED = 10000
BATCH = 500

pytestmark = pytest.mark.skipif(
    not shutil.which('qemu-storage-daemon'),
    reason='needs qemu-storage-daemon (qemu-utils)')

NEGOTIATE = b'{"execute": "qmp_capabilities"}'

CONVERSATIONS = [
    NEGOTIATE,
    b'{"execute": "query-version"}',
    b'{"execute": "query-version", "id": 1}',
    b'{"execute": "query-version", "id": null}',
    b'{"execute": "query-version", "id": "a"}',
    b'{"execute": "query-version", "id": true}',
    b'{"execute": "query-version", "id": [1, "x", {}, []]}',
    b'{"execute": "query-version", "id": {"a": {"b": [null]}}}',
    b'{"execute": "query-version", "arguments": {}}',
    b'{"execute": "query-version", "arguments": {"x": 1}}',
    b'{"execute": "query-version", "arguments": []}',
    b'{"execute": "query-version", "arguments": null, "id": 1}',
    b'{"execute": "query-version", "foo": 1}',
    b'{"exec-oob": "query-version"}',
    b'{"execute": 1}',
    b'{"execute": null, "id": 1}',
    b'{"execute": ["query-version"]}',
    b'{"execute": "nosuch"}',
    b'{"execute": "nosuch", "id": "\\u00e9\\ud83d\\ude00 \xc3\xa9"}',
    b'{"execute": ""}',
    b'{"execute": "no\\u0000such"}',
    b'{"execute": "a b\\n\\t\\"\\\\/"}',
    b'{}',
    b'{"id": 5}',
    b'{"arguments": {}}',
    b'[]',
    b'[{"execute": "query-version"}]',
    b'1 ',
    b'-1 ',
    b'1.5 ',
    b'true ',
    b'null ',
    b'"text"',
    b"'text'",
    b"{'execute': 'query-version', 'id': '\\''}",
    b'{"a": 1, "a": 2}',
    b'{"id": {"a": 1, "a": 2}, "execute": "query-version"}',
    b'{"execute": "query-version"}{"execute": "query-version"}',
    b'{"execute": "query-version"} junk',
    b'{"execute": "query-version"}junk\n',
    b'junk {"execute": "query-version"}',
    b'nul ', b'tru\n', b'truefalse ', b'\n\r\t ', b'',
    b'{"execute": "query-version",}', b'{"execute" "query-version"}',
    b'{"execute":: "query-version"}', b'{execute: "query-version"}',
    b'{"execute": "query-version"', b'["execute": 1]', b'{1: 2}', b'[1 2]',
    b'[1, ]', b'[,]', b'{,}', b'{"a"}', b'}', b']', b',', b':',
    b'"unterminated', b'"\\x"', b'"\\u12"', b'"\\ud800"', b'"\\udc00"',
    b'"\\ud800\\u0041"', b'"\n"', b'"\x01"', b'"\x7f"', b'"\xc0\x80"',
    b'"\xed\xa0\x80"', b'"\xf4\x90\x80\x80"', b'"\xe2\x82"', b'\x00', b'\xfe',
    b'01 ', b'- ', b'1. ', b'.5 ', b'1e ', b'+1 ', b'1e5 ', b'0x10 ',
    b'[[[[[[[[]]]]]]]]', b'{"execute": "qmp_capabilities", "arguments": {"x": 1}}',
    b'{"execute": "qmp_capabilities", "arguments": {"enable": "oob"}}',
    b'{"execute": "qmp_capabilities", "arguments": {"enable": ["foo"]}}',
    b'{"execute": "qmp_capabilities", "arguments": {"enable": [1]}}',
    b'{"execute": "qmp_capabilities", "arguments": {"enable": null}}',
    b'{"execute": "qmp_capabilities", "arguments": {"enable": []}, "id": 0}',
    b'[' * 1024 + b']' * 1024, b'[' * 1025, b'{"a":' * 1100,
    b'{"execute": "query-commands"}',
    b'{"execute": "query-commands", "id": "c"}',
    b'%d ', b'{"execute": "query-version", "id": %s}',
]

TOKENS = [
    b'{', b'}', b'[', b']', b',', b':', b'"', b"'", b'\\', b'\\"', b'\\u',
    b'\\u00e9', b'\\ud83d\\ude00', b'\\ud800', b'\xc3\xa9', b'\xff', b'\xc0',
    b'\x00', b'\n', b'\r\n', b' ', b'\t', b'0', b'-1', b'1e3', b'true',
    b'null', b'false', b'"id"', b'"execute"', b'"arguments"', b'"exec-oob"',
    b'"id": 7, ', b'{}', b'[]', b'\x7f', b'\x1f', b'18446744073709551616',
    b'%', b'/', b'query-version',
]


class Difference:
    """One way in which vmnetd differs, and why that is meant."""

    def __init__(self, name, why, rule):
        self.name = name
        self.why = why
        self.rule = rule


def parsed(line):
    """A line as JSON, numbers as floats; None if it is not."""
    try:
        return json.loads(line, parse_int=float)
    except ValueError:
        return None


def same_value(theirs, ours):
    """Equal as JSON, but not as text."""
    return parsed(theirs) is not None and parsed(theirs) == parsed(ours)


def error_text(line):
    value = parsed(line)
    if not isinstance(value, dict) or not isinstance(value.get('error'), dict):
        return ''
    return value['error']['desc']


def both_match(pattern):
    return lambda theirs, ours: (
        re.fullmatch(pattern, error_text(theirs), re.S) is not None
        and re.fullmatch(pattern, error_text(ours), re.S) is not None)


DIFFERENCES = [
    Difference(
        'id-as-written',
        'An "id" comes back as it was sent: numbers keep their text, members '
        'their order; QEMU prints numbers anew and members as its hash table '
        'has them.', same_value),
    Difference(
        'first-of-several',
        'Of several wrong members vmnetd names the first that was written, '
        'QEMU the first of its hash table.',
        both_match(r"QMP input member '.*' (is unexpected|must be an? \w+)"
                   r"|Parameter '.*' is unexpected")),
]


@pytest.fixture(scope='module')
def twins():
    """Sockets of both daemons."""
    folder = tempfile.mkdtemp(prefix='vmnet-twin-')
    path = os.path.join(folder, 'qemu.sock')
    qemu = Process(
        ['qemu-storage-daemon', '--chardev',
         'socket,id=c,path=%s,server=on,wait=off' % path,
         '--monitor', 'chardev=c'], stdin=subprocess.DEVNULL)
    ours = Instance()
    try:
        ours.start('--no-supervisor')
        end = time.monotonic() + 10
        while not listens(path) and time.monotonic() < end:
            time.sleep(0.01)
        yield path, ours.socket
    finally:
        qemu.end()
        ours.stop()
        shutil.rmtree(folder)


VERSION = re.compile(rb'\{"qemu": \{[^}]*\}, "package": "[^"]*"'
                     rb'(, "protocol": \d+, "build": "[^"]*")?\}')
COMMANDS = re.compile(rb'\[\{"name": "[^]]*\]')


def masked(answer):
    """Without versions and names of commands."""
    return COMMANDS.sub(b'"COMMANDS"', VERSION.sub(b'"VERSION"', answer))


def compare(text, theirs, ours, used):
    """Assert that answers are equal, or differ as DIFFERENCES allow."""
    if masked(theirs) == masked(ours):
        return
    their_lines = masked(theirs).split(b'\r\n')
    our_lines = masked(ours).split(b'\r\n')
    assert len(their_lines) == len(our_lines), (text, theirs, ours)
    for their_line, our_line in zip(their_lines, our_lines):
        if their_line == our_line:
            continue
        for difference in DIFFERENCES:
            if difference.rule(their_line, our_line):
                used[difference.name] += 1
                break
        else:
            raise AssertionError('to %r\nQEMU:   %r\nvmnetd: %r'
                                 % (text, their_line, our_line))


def test_greeting(twins):
    """But for the version, and "oob": no command of vmnetd's waits."""
    greetings = [masked(Qmp(path, negotiate=False).greeting) for path in twins]
    assert greetings[0].replace(b'"oob"', b'') == greetings[1]


@pytest.mark.parametrize('negotiated', [False, True],
                         ids=['before', 'after'])
def test_conversations(twins, negotiated):
    """Each on a connection of its own, before and after negotiation."""
    used = collections.Counter()
    for text in CONVERSATIONS:
        answers = []
        for path in twins:
            with Qmp(path, negotiate=negotiated) as client:
                answers.append(client.converse(text))
        compare(text, *answers, used)
    assert len(DIFFERENCES) <= 10


def mutate(rand):
    """A conversation, damaged one to four times."""
    text = bytearray(rand.choice(CONVERSATIONS)[:400])
    for _ in range(rand.randint(1, 4)):
        at = rand.randint(0, len(text))
        kind = rand.randrange(7)
        if kind == 0:
            del text[at:at + rand.randint(1, 4)]
        elif kind == 1:
            text[at:at] = bytes([rand.randrange(256)])
        elif kind == 2:
            text[at:at] = rand.choice(TOKENS)
        elif kind == 3 and at < len(text):
            text[at] ^= 1 << rand.randrange(8)
        elif kind == 4:
            end = rand.randint(at, len(text))
            text[at:at] = text[at:end]
        elif kind == 5:
            del text[at:]
        else:
            text += rand.choice(CONVERSATIONS)[:400]
    return bytes(text)


def test_mutated(twins):
    """10,000 damaged conversations, some hundred on a connection."""
    rand = random.Random(SEED)
    used = collections.Counter()
    for _ in range(MUTATED // BATCH):
        clients = [Qmp(path) for path in twins]
        for _ in range(BATCH):
            text = mutate(rand)
            compare(text, *[client.converse(text) for client in clients], used)
        for client in clients:
            client.close()
    print('differences met:', dict(used))
