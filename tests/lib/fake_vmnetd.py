#!/usr/bin/python3
"""A vmnetd that does what a test tells it to, and writes down what it saw.

Started on demand in place of the real one (VMNETD).  $VMNET_FAKE names a
directory:

  config.json   {"mode": ..., "answers": {command: value or {"error": text}}}
  started       a line of JSON per start: what was inherited
  requests      a line of JSON per request, with the kinds of descriptors

Modes: "serve"; "die" (an error on standard error, exit 1); "mute" (no
greeting, no exit); "garbage" (no QMP).

SPDX-License-Identifier: GPL-2.0-or-later
"""

import array
import contextlib
import json
import os
import select
import signal
import socket
import stat
import sys
import time

FOLDER = os.environ['VMNET_FAKE']
# One that is left behind by a test that failed ends by itself.
LIFE_S = 120


def append(name, value):
    """One line, written at once."""
    line = json.dumps(value).encode() + b'\n'
    fd = os.open(os.path.join(FOLDER, name),
                 os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.write(fd, line)
    os.close(fd)


def config():
    """What the test wants now."""
    with open(os.path.join(FOLDER, 'config.json'), encoding='utf-8') as text:
        return json.load(text)


def kind(fd):
    """"socket:stream", "file", ... or None if it is not open."""
    try:
        mode = os.fstat(fd).st_mode
    except OSError:
        return None
    if stat.S_ISSOCK(mode):
        with socket.socket(fileno=os.dup(fd)) as sock:
            return 'socket:' + {socket.SOCK_STREAM: 'stream',
                                socket.SOCK_DGRAM: 'dgram'}[sock.type]
    return os.readlink('/proc/self/fd/%d' % fd)


def inherited():
    """Everything that a process gets from the one that starts it."""
    with open('/proc/self/status', encoding='ascii') as text:
        status = dict(line.rstrip('\n').split(':\t', 1) for line in text)
    return {
        'pid': os.getpid(), 'ppid': os.getppid(), 'sid': os.getsid(0),
        'cwd': os.getcwd(), 'argv': sys.argv[1:], 'env': dict(os.environ),
        'fds': {fd: kind(int(fd)) for fd in os.listdir('/proc/self/fd')
                if kind(int(fd)) and int(fd) != fd_of_listing()},
        'ignored': status['SigIgn'], 'blocked': status['SigBlk'],
        'umask': status['Umask'],
    }


def fd_of_listing():
    """The descriptor that listing /proc/self/fd takes: the lowest free one."""
    fd = os.open('/', os.O_RDONLY)
    os.close(fd)
    return fd


class Client:
    """One connection."""

    def __init__(self, sock):
        self.sock = sock
        self.buffer = b''
        self.fds = []
        self.named = {}
        self.exports = []
        version = {'qemu': {'major': 0, 'minor': 1, 'micro': 0},
                   'package': 'fake'}
        self.send({'QMP': {'version': version, 'capabilities': []}})

    def send(self, value):
        """One message, to whoever is still there."""
        with contextlib.suppress(OSError):
            self.sock.sendall(json.dumps(value).encode() + b'\r\n')

    def read(self):
        """Returns whether the connection goes on."""
        size = array.array('i').itemsize
        try:
            data, control, _, _ = self.sock.recvmsg(
                65536, socket.CMSG_SPACE(4 * size))
        except ConnectionError:
            return False
        for level, what, raw in control:
            if level == socket.SOL_SOCKET and what == socket.SCM_RIGHTS:
                got = array.array('i')
                got.frombytes(raw[:len(raw) - len(raw) % size])
                self.fds += got
        self.buffer += data
        while b'\n' in self.buffer:
            line, self.buffer = self.buffer.split(b'\n', 1)
            if not self.request(json.loads(line)):
                return False
        return bool(data)

    def request(self, request):
        """Returns whether the daemon goes on."""
        name, args = request['execute'], request.get('arguments')
        seen = {'execute': name, 'arguments': args,
                'fds': [kind(fd) for fd in self.fds]}
        append('requests', seen)
        if name == 'getfd':
            self.named[args['fdname']] = self.fds.pop(0)
        answer = self.answer(name, args or {})
        if isinstance(answer, dict) and set(answer) == {'error'}:
            reply = {'error': {'class': 'GenericError',
                               'desc': answer['error']}}
        else:
            reply = {'return': answer}
        self.send({**reply, 'id': request.get('id')})
        if name == 'quit':
            sys.exit(0)
        return True

    def answer(self, name, args):
        """What the test wants, else something plausible."""
        answers = config().get('answers', {})
        if name == 'netdev_add' and isinstance(answers.get(name), list):
            remaining = answers[name]
            for row in remaining:
                if row['id'] == args['id']:
                    return row['answer']
        elif name in answers:
            return answers[name]
        default = getattr(self, 'do_' + name.replace('-', '_'), None)
        return default(args) if default else {}

    def do_query_version(self, _):
        """The client's own build, as far as a fake can know it."""
        return {'qemu': {'major': 0, 'minor': 1, 'micro': 0},
                'package': 'fake', 'protocol': 1}

    def do_export_add(self, args):
        """A path in the runtime directory, or a frame on the descriptor."""
        if args['addr']['type'] == 'fd':
            fd = self.named.pop(args['addr']['str'])
            os.write(fd, b'hello')
            self.exports.append(fd)
            return {'id': args['id'], 'connected': True}
        return {'id': args['id'], 'connected': False,
                'path': os.path.join(os.path.dirname(os.environ['VMNET_SOCKET']),
                                     args['id'] + '.sock')}

    def do_query_netdevs(self, _):
        """Those of the requests so far."""
        with open(os.path.join(FOLDER, 'requests'), encoding='utf-8') as text:
            seen = [json.loads(line) for line in text]
        return [{'id': one['arguments']['id'], 'network': 'shared',
                 'subnet': '192.168.107.0/24', 'mtu': 1500,
                 'mac': one['arguments'].get('mac', '52:54:00:fa:ce:01')}
                for one in seen if one['execute'] == 'netdev_add']


def serve(listener):
    """Until quit."""
    clients = {}
    while True:
        ready, _, _ = select.select([listener, *clients], [], [])
        for sock in ready:
            if sock is listener:
                sock = listener.accept()[0]
                clients[sock] = Client(sock)
            elif not clients[sock].read():
                del clients[sock]
                sock.close()


def main():
    """See above."""
    signal.alarm(LIFE_S)
    append('started', inherited())
    mode = config().get('mode', 'serve')
    if mode == 'die':
        print('fake: error: the moon is not full', file=sys.stderr)
        sys.exit(1)
    listener = socket.socket(fileno=3)
    listener.setblocking(True)
    if mode == 'serve':
        serve(listener)
    sock = listener.accept()[0]
    if mode == 'garbage':
        sock.sendall(b'HTTP/1.1 400 Bad Request\r\n\r\n')
    time.sleep(LIFE_S)


main()
