"""Requests and connections over TCP: rr.py serve | request | connect.

  rr.py serve                       prints its port; answers each 14 bytes
  rr.py request HOST PORT SECONDS   prints JSON: p50 and p99 in us
  rr.py connect HOST PORT SECONDS   prints JSON: connections a second

SPDX-License-Identifier: GPL-2.0-or-later
"""

import json
import socket
import sys
import threading
import time

MESSAGE = b'fourteen bytes'


def answer(client):
    """Send back what comes, until the end."""
    with client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            while True:
                data = client.recv(len(MESSAGE))
                if not data:
                    return
                client.sendall(data)
        except OSError:
            return


def serve():
    """For ever. A thread for each: none waits for another."""
    with socket.create_server(('', 0), backlog=1024) as listener:
        print(listener.getsockname()[1], flush=True)
        while True:
            client, _ = listener.accept()
            threading.Thread(target=answer, args=(client,),
                             daemon=True).start()


def receive(server):
    """A whole answer."""
    left = len(MESSAGE)
    while left:
        data = server.recv(left)
        if not data:
            raise OSError('the server has closed')
        left -= len(data)


def request(host, port, seconds):
    """Time requests on one connection."""
    times = []
    with socket.create_connection((host, port), 10) as server:
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        end = time.perf_counter() + seconds
        now = time.perf_counter()
        while now < end:
            begin = now
            server.sendall(MESSAGE)
            receive(server)
            now = time.perf_counter()
            times.append((now - begin) * 1e6)
    times.sort()
    return {'p50': times[len(times) // 2],
            'p99': times[len(times) * 99 // 100], 'n': len(times)}


def connect(host, port, seconds):
    """Connect, ask once, close; again. Only whole ones count."""
    begin = time.perf_counter()
    count = 0
    while time.perf_counter() - begin < seconds:
        with socket.create_connection((host, port), 10) as server:
            server.sendall(MESSAGE)
            receive(server)
        count += 1
    return {'rate': count / (time.perf_counter() - begin)}


def main():
    """By the first argument."""
    if sys.argv[1] == 'serve':
        serve()
    else:
        what = {'request': request, 'connect': connect}[sys.argv[1]]
        print(json.dumps(what(sys.argv[2], int(sys.argv[3]),
                              float(sys.argv[4]))))


if __name__ == '__main__':
    main()
