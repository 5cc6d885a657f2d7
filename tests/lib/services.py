"""Small servers on the host for guests to talk to: DNS, HTTP, TFTP, TCP echo.

All listen on ports that the kernel chooses, on all addresses unless told
otherwise, in threads that end with the process.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import hashlib
import http.server
import ipaddress
import socket
import socketserver
import struct
import threading


def host_addresses():
    """The host's own non-loopback addresses: ([IPv4], [IPv6]), as text."""
    four, six = [], []
    last = None
    try:
        with open('/proc/net/fib_trie', encoding='ascii') as table:
            for line in table:
                word = line.split()
                if len(word) == 2 and word[0] == '|--':
                    last = word[1]
                elif line.strip() == '/32 host LOCAL' and last not in four:
                    if not ipaddress.ip_address(last).is_loopback:
                        four.append(last)
    except OSError:
        pass
    try:
        with open('/proc/net/if_inet6', encoding='ascii') as table:
            for line in table:
                word = line.split()
                address = ipaddress.IPv6Address(bytes.fromhex(word[0]))
                if not address.is_loopback and not address.is_link_local:
                    six.append(str(address))
    except OSError:
        pass
    return four, six


def has_loopback6():
    """Whether ::1 is there."""
    try:
        with open('/proc/net/if_inet6', encoding='ascii') as table:
            return any(line.split()[0] == '0' * 31 + '1' for line in table)
    except OSError:
        return False


def _socket(kind, host, port=0):
    family = socket.AF_INET6 if ':' in host else socket.AF_INET
    made = socket.socket(family, kind)
    if family == socket.AF_INET6:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    if kind == socket.SOCK_STREAM:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind((host, port))
    return made


class _Thread:
    def __init__(self, sock):
        self.socket = sock
        self.port = sock.getsockname()[1]
        self.requests = 0
        self._closing = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while not self._closing:
            try:
                self.serve()
            except OSError:
                if self._closing:
                    return

    def serve(self):
        raise NotImplementedError

    def close(self):
        self._closing = True
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.socket.close()


class DnsServer(_Thread):
    """Answers A and AAAA from @names: {name: [address]}; NXDOMAIN otherwise."""

    def __init__(self, names, host='127.0.0.1', port=0):
        self.names = {k.lower(): v for k, v in names.items()}
        self.queries = []
        super().__init__(_socket(socket.SOCK_DGRAM, host, port))

    def answer(self, query):
        ident, flags, questions = struct.unpack('!HHH', query[:6])
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode())
            at += 1 + query[at]
        kind = struct.unpack('!H', query[at + 1:at + 3])[0]
        question = query[12:at + 5]
        name = '.'.join(labels).lower()
        self.queries.append((name, kind))
        records = b''
        count = 0
        for text in self.names.get(name, []):
            packed = ipaddress.ip_address(text).packed
            if kind == {4: 1, 16: 28}[len(packed)]:
                records += struct.pack('!HHHIH', 0xc00c, kind, 1, 60,
                                       len(packed)) + packed
                count += 1
        code = 0 if name in self.names else 3
        head = struct.pack('!HHHHHH', ident, 0x8180 | code | (flags & 0x100),
                           questions and 1, count, 0, 0)
        return head + question + records

    def serve(self):
        query, peer = self.socket.recvfrom(4096)
        self.requests += 1
        try:
            reply = self.answer(query)
        except (IndexError, struct.error, UnicodeDecodeError):
            return
        self.socket.sendto(reply, peer)


class TftpServer(_Thread):
    """Read requests for any name get @content (under 512 bytes)."""

    def __init__(self, content, host='0.0.0.0', port=0):
        self.content = content
        self.peers = []
        super().__init__(_socket(socket.SOCK_DGRAM, host, port))

    def serve(self):
        request, peer = self.socket.recvfrom(1024)
        self.peers.append(peer)
        if request[:2] == b'\0\1':
            self.requests += 1
            self.socket.sendto(b'\0\3\0\1' + self.content, peer)


class UdpEcho(_Thread):
    """Sends each datagram back; remembers the senders."""

    def __init__(self, host='0.0.0.0', port=0):
        self.peers = []
        super().__init__(_socket(socket.SOCK_DGRAM, host, port))

    def serve(self):
        data, peer = self.socket.recvfrom(65536)
        if not peer:
            return      # it was closed
        self.requests += 1
        self.peers.append(peer)
        self.socket.sendto(data, peer)


class UdpTell(_Thread):
    """Answers each datagram with the address that it came from."""

    def __init__(self, host='0.0.0.0', port=0):
        super().__init__(_socket(socket.SOCK_DGRAM, host, port))

    def serve(self):
        _, peer = self.socket.recvfrom(65536)
        if peer:
            self.requests += 1
            self.socket.sendto(peer[0].encode(), peer)


class TcpTell(_Thread):
    """Tells each connection the address that it comes from, and ends it."""

    def __init__(self, host='0.0.0.0', port=0):
        sock = _socket(socket.SOCK_STREAM, host, port)
        sock.listen(16)
        super().__init__(sock)

    def serve(self):
        connection, peer = self.socket.accept()
        with connection:
            self.requests += 1
            connection.sendall(peer[0].encode())


class HttpServer:
    """Serves @files: {path: bytes}; remembers peers and PUT bodies."""

    def __init__(self, files, host='0.0.0.0', port=0):
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            """One request."""

            def do_GET(self):
                outer.peers.append(self.client_address)
                body = outer.files.get(self.path)
                if body is None:
                    self.send_error(404)
                    return
                self.send_response(200)
                self.send_header('Content-Length', str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
            """Takes a socket that is bound already."""
            daemon_threads = True

        self.files = files
        self.peers = []
        sock = _socket(socket.SOCK_STREAM, host, port)
        sock.listen(128)
        self.port = sock.getsockname()[1]
        self._server = Server(sock.getsockname()[:2], Handler,
                              bind_and_activate=False)
        self._server.socket.close()
        self._server.socket = sock
        threading.Thread(target=self._server.serve_forever,
                         kwargs={'poll_interval': 0.1}, daemon=True).start()

    def close(self):
        # In this order: a thread that polls a closed socket never sleeps.
        self._server.shutdown()
        self._server.server_close()


def sha256(data):
    """Hexadecimal digest, as sha256sum prints it."""
    return hashlib.sha256(data).hexdigest()
