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
    b'{"execute": "query-qmp-schema", "arguments": {"x": 1}}',
    b'{"execute": "qmp_capabilities", "arguments": {"enable": ["oob"]}}',
    b'{"execute": "qmp_capabilities", "arguments": {"enable": ["oob", 1]}}',
]

# Not to be damaged: what is left might be obeyed.
ENDINGS = [b'{"execute": "quit", "arguments": {"x": 1}}', b'{"exec-oob": "quit"}']

# Larger than a read and a line are; QEMU reads a byte a call, hence no more.
LARGE = [
    b'{"execute": "query-version", "id": "%s"}' % (b'x' * 20000),
    b'{"execute": "query-version", "id": [%s1]}' % (b'1, ' * 2000),
    b'{"execute": "%s"}' % (b'\\u00e9' * 1000),
    b'{"execute": "query-version", "%s": 1}' % (b'y' * 5000),
]
TOO_MANY_TOKENS = b'{"execute": "query-version", "id": [%s1]}' % (b'1,' * 32768)

# Of a machine, that a storage daemon has not.
DEVICES = [
    b'{"execute": "netdev_del", "arguments": {"id": "none"}}',
    b'{"execute": "netdev_del", "arguments": {"id": "none/n0"}, "id": [1]}',
    b'{"execute": "netdev_del", "arguments": {"id": ""}}',
    b'{"execute": "netdev_del", "arguments": {"id": 1}}',
    b'{"execute": "netdev_del", "arguments": {"id": "none", "x": 1}}',
    b'{"execute": "netdev_del"}',
    b'{"execute": "netdev_add"}',
    b'{"execute": "netdev_add", "arguments": {"id": "n0"}}',
    b'{"execute": "netdev_add", "arguments": {"type": "vmnet-shared"}}',
    b'{"execute": "netdev_add", "arguments": {"type": "nosuch", "id": "n0"}}',
    b'{"execute": "netdev_add", "arguments": {"type": 1, "id": "n0"}}',
    b'{"execute": "netdev_add", "arguments": {"type": "nosuch", "id": null}}',
    b'{"execute": "getfd", "arguments": {"fdname": "vmm"}}',
    b'{"execute": "getfd", "arguments": {"fdname": "1"}}',
    b'{"execute": "getfd", "arguments": {"fdname": []}}',
    b'{"execute": "getfd"}',
    b'{"execute": "closefd", "arguments": {"fdname": "none"}}',
    b'{"execute": "closefd", "arguments": {}}',
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
    Difference(
        'no-oob',
        'Out-of-band execution is not offered, as QEMU does not where its monitor '
        'has no thread of its own: no command here waits for anything.',
        lambda theirs, ours: theirs == b'{"return": {}}'
        and error_text(ours) == 'Capability oob not available'),
    Difference(
        'limits',
        'A request has at most 1 MiB and 65,536 tokens; for QEMU, whose clients '
        'are as trusted as it is itself, it is 64 MiB and 2 Mi.  The error is '
        'the same.',
        lambda theirs, ours: b'"VERSION"' in theirs
        and re.fullmatch(r'JSON token (size|count) limit exceeded',
                         error_text(ours)) is not None),
]


class Twins:
    """One of QEMU's programs and vmnetd."""

    def __init__(self, *program):
        self.folder = tempfile.mkdtemp(prefix='vmnet-twin-')
        path = os.path.join(self.folder, 'qemu.sock')
        chardev = 'socket,id=c,path=%s,server=on,wait=off' % path
        self.qemu = Process([word.replace('CHARDEV', chardev)
                             for word in program], stdin=subprocess.DEVNULL)
        self.ours = Instance()
        self.ours.start('--no-supervisor')
        end = time.monotonic() + 10
        while not listens(path) and time.monotonic() < end:
            time.sleep(0.01)
        self.paths = path, self.ours.socket

    def close(self):
        """Both end."""
        self.qemu.end()
        self.ours.stop()
        shutil.rmtree(self.folder)


def storage_daemons():
    """qemu-storage-daemon and vmnetd."""
    return Twins('qemu-storage-daemon', '--chardev', 'CHARDEV', '--monitor',
                 'chardev=c')


@pytest.fixture(scope='module')
def twins():
    """Sockets of both daemons."""
    made = storage_daemons()
    yield made.paths
    made.close()


@pytest.fixture(scope='module')
def machine():
    """Sockets of a machine without anything, and of vmnetd."""
    program = shutil.which('qemu-system-x86_64')
    if not program:
        pytest.skip('needs qemu-system-x86_64')
    made = Twins(program, '-M', 'none', '-nodefaults', '-display', 'none',
                 '-chardev', 'CHARDEV', '-mon', 'chardev=c,mode=control')
    yield made.paths
    made.close()


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


def converse(paths, texts, negotiated=True):
    """Each of @texts on a connection of its own; the differences met."""
    used = collections.Counter()
    for text in texts:
        answers = []
        for path in paths:
            with Qmp(path, negotiate=negotiated) as client:
                answers.append(client.converse(text))
        compare(text, *answers, used)
    return used


@pytest.mark.parametrize('negotiated', [False, True],
                         ids=['before', 'after'])
def test_conversations(twins, negotiated):
    """Each on a connection of its own, before and after negotiation."""
    used = converse(twins, CONVERSATIONS + ENDINGS, negotiated)
    assert bool(used['no-oob']) != negotiated
    assert len(DIFFERENCES) <= 10


def test_large(twins):
    """One request, many reads."""
    assert not converse(twins, LARGE)


def test_limit(twins):
    """A request of which vmnetd takes no more tokens, and QEMU does."""
    first = []
    for path in twins:
        with Qmp(path) as client:
            first.append(masked(client.converse(TOO_MANY_TOKENS))
                         .split(b'\r\n')[0])
    assert first[0].startswith(b'{"return": "VERSION", "id": [1, 1, ')
    rule = [one.rule for one in DIFFERENCES if one.name == 'limits'][0]
    assert rule(*first)


def test_devices(machine):
    """Netdevs and descriptors that are not there."""
    converse(machine, DEVICES)


def test_quit():
    """The answer, and the end.  QEMU has an event of its own before it."""
    made = storage_daemons()
    try:
        answers = []
        for path in made.paths:
            with Qmp(path) as client:
                answers.append([client.ask(b'{"execute": "quit", "id": "q"}'),
                                client.line()])
        assert answers[0] == answers[1] == [b'{"return": {}, "id": "q"}\r\n', b'']
        assert made.qemu.wait() == made.ours.daemon.wait() == 0
    finally:
        made.close()


# The schema

def shapes(schema):
    """{meta-type: (members that all of it have, members that some have)}"""
    found = {}
    for entry in schema:
        keys = set(entry)
        every, some = found.get(entry['meta-type'], (keys, keys))
        found[entry['meta-type']] = every & keys, some | keys
    return found


def resolved(schema, name):
    """A type in full, without the names that QEMU hides."""
    entry = dict({one['name']: one for one in schema}[name])
    kind = entry['meta-type']
    if kind == 'array':
        return [resolved(schema, entry['element-type'])]
    if kind == 'object':
        return {member['name']: resolved(schema, member['type'])
                for member in entry['members']}
    if kind == 'enum':
        return sorted(member['name'] for member in entry['members'])
    return entry.get('json-type', kind)


def test_schema(twins):
    """Entries of the same form, and commands of both that mean the same."""
    theirs, ours = [Qmp(path).call('query-qmp-schema') for path in twins]
    known = shapes(theirs)
    for kind, (every, some) in shapes(ours).items():
        assert every >= known[kind][0] and some <= known[kind][1], kind
    for name in ('qmp_capabilities', 'quit', 'query-commands', 'query-version'):
        commands = [{one['name']: one for one in schema}[name]
                    for schema in (theirs, ours)]
        for key in ('arg-type', 'ret-type'):
            before, after = [resolved(schema, command[key]) for schema, command
                             in zip((theirs, ours), commands)]
            if isinstance(before, dict):
                after = {member: after[member] for member in before}
            assert before == after, (name, key)
    names = {one['name'] for one in ours if one['meta-type'] not in
             ('command', 'event', 'builtin', 'array')}
    assert all(name.isdigit() for name in names), 'names of types are no interface'


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
