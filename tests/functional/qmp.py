"""A QMP client that sees bytes: what was sent, what came back.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import json
import socket


class RawQmp:
    """A connection to a QMP server; nothing is sent that a test did not."""

    def __init__(self, path, timeout=10, negotiate=False):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(timeout)
        self.socket.connect(path)
        self._pending = b''
        self._marks = 0
        self.greeting = self.line()
        if negotiate:
            self.ask(b'{"execute": "qmp_capabilities"}')

    def line(self):
        """The next line with its CRLF; b'' at the end."""
        while b'\r\n' not in self._pending:
            data = self.socket.recv(1 << 16)
            if not data:
                rest, self._pending = self._pending, b''
                return rest
            self._pending += data
        end = self._pending.index(b'\r\n') + 2
        line, self._pending = self._pending[:end], self._pending[end:]
        return line

    def ask(self, text, fds=()):
        """Send one request; its answer as a line, events left out."""
        if fds:
            socket.send_fds(self.socket, [text], fds)
        else:
            self.socket.sendall(text)
        while True:
            line = self.line()
            if b'"event"' not in line[:80]:
                return line

    def converse(self, text):
        """
        Send anything; all that it is answered with.  A byte that is in no
        UTF-8 text makes the parser begin anew, then a request marks the end.
        """
        self._marks += 1
        mark = b'end-%d' % self._marks
        self.socket.sendall(
            text + b'\xff{"execute": "qmp-twin-mark", "id": "%s"}\n' % mark)
        answer = b''
        while True:
            line = self.line()
            if not line:
                return answer + b'<end>'
            if b'"id": "%s"' % mark in line:
                return answer
            answer += line

    def call(self, command, fds=(), **arguments):
        """A command: its return value, or QmpFailure."""
        request = {'execute': command, 'arguments': arguments}
        answer = json.loads(self.ask(json.dumps(request).encode(), fds))
        if 'error' in answer:
            raise QmpFailure(answer['error']['class'], answer['error']['desc'])
        return answer['return']

    def close(self):
        """End the connection."""
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class QmpFailure(Exception):
    """The daemon's answer is an error: class and text."""

    def __init__(self, kind, text):
        super().__init__(text)
        self.kind = kind
        self.text = text
