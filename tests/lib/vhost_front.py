"""The front end of a vhost-user export, as far as sharing memory goes.

  test -- vhost-user messages, a file as RAM --> vmnetd

SPDX-License-Identifier: GPL-2.0-or-later
"""

import os
import socket
import struct

GET_FEATURES, SET_FEATURES, SET_OWNER, SET_MEM_TABLE = 1, 2, 3, 5
VERSION, REPLY = 1, 4
VIRTIO_F_VERSION_1 = 1 << 32


class VhostFront:
    """Connected to the export at @path; its guest's RAM is the file @ram."""

    def __init__(self, path, ram, size=1 << 20):
        self.size = size
        self.ram = os.open(ram, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.ftruncate(self.ram, size)
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(5)
        self.socket.connect(path)

    def send(self, request, payload=b'', fds=()):
        """One message."""
        socket.send_fds(self.socket,
                        [struct.pack('=III', request, VERSION, len(payload))
                         + payload], fds)

    def features(self):
        """What the daemon offers; EOFError if it has gone."""
        self.send(GET_FEATURES)
        reply = self.socket.recv(20)
        if len(reply) != 20:
            raise EOFError('vmnetd closed the connection')
        request, flags, _, value = struct.unpack('=IIIQ', reply)
        assert request == GET_FEATURES and flags & REPLY
        return value

    def share(self):
        """All of its RAM, at guest address 0; returns when that is done."""
        self.send(SET_OWNER)
        self.send(SET_FEATURES, struct.pack('=Q', VIRTIO_F_VERSION_1))
        self.send(SET_MEM_TABLE, struct.pack('=IIQQQQ', 1, 0, 0, self.size,
                                             0x10000000, 0), [self.ram])
        self.features()

    def close(self):
        """It goes."""
        self.socket.close()
        os.close(self.ram)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
