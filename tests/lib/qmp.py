"""A QMP client of tests: commands and events, or bytes as they are.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import json
import socket
import time


class QmpError(Exception):
    """The answer is an error: its class and its text."""

    def __init__(self, kind, text):
        super().__init__(text)
        self.kind = kind
        self.text = text


class Qmp:
    """A connection to a QMP server; nothing is sent that a test did not, but
    for the negotiation that @negotiate asks for."""

    def __init__(self, path, timeout=10, negotiate=True):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(timeout)
        self.socket.connect(path)
        self._pending = b''
        self._marks = 0
        self.events = []
        self.greeting = self.line()
        if negotiate:
            self.call('qmp_capabilities')

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

    def _message(self):
        line = self.line()
        if not line:
            raise EOFError('the daemon closed the connection')
        return line, json.loads(line)

    def ask(self, text, fds=()):
        """Send one request; its answer as a line. Events are kept."""
        if fds:
            socket.send_fds(self.socket, [text], fds)
        else:
            self.socket.sendall(text)
        while True:
            line, message = self._message()
            if 'event' not in message:
                return line
            self.events.append(message)

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
        """A command: its return value, or QmpError. '_' in the arguments'
        names stands for '-'."""
        request = {'execute': command}
        if arguments:
            request['arguments'] = {key.replace('_', '-'): value
                                    for key, value in arguments.items()}
        answer = json.loads(self.ask(json.dumps(request).encode(), fds))
        if 'error' in answer:
            raise QmpError(answer['error']['class'], answer['error']['desc'])
        return answer['return']

    def wait_event(self, name, timeout=10):
        """The next event of that name; those before it are kept."""
        end = time.monotonic() + timeout
        before = self.socket.gettimeout()
        try:
            while True:
                for index, event in enumerate(self.events):
                    if event['event'] == name:
                        return self.events.pop(index)
                self.socket.settimeout(max(0.01, end - time.monotonic()))
                self.events.append(self._message()[1])
        finally:
            self.socket.settimeout(before)

    def close(self):
        """End the connection."""
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
