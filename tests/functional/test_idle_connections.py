"""Connections that are idle cost the daemon nothing when another one is not.

  vmnet-run --netns -- [ client: many idle, one busy ] -- vmnetd -- [ server ]

Client, daemon and server are processes of their own, each with a descriptor for
each connection.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import os
import resource
import subprocess
import sys

import pytest

from lib.process import Process
from test_netns import RUN, WHY_NOT

pytestmark = pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))

MANY = 10000
# Descriptors that the daemon keeps for other things than flows, and more.
NEEDED = MANY + 5000
REQUESTS, ROUNDS = 400, 3
# Where the scheduler puts the three makes twice the cost; one look at each flow
# whenever the daemon wakes makes it 16 times as much.
LIMIT = 4

# Answers what comes; keeps what is silent.
SERVER = '''
import resource, select, socket
_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
server, peers, poll = socket.socket(), {}, select.epoll()
server.bind(('127.0.0.1', 0))
server.listen(1024)
poll.register(server, select.EPOLLIN)
print(server.getsockname()[1], flush=True)
while True:
    for fd, _ in poll.poll():
        if fd == server.fileno():
            peer, _ = server.accept()
            peers[peer.fileno()] = peer
            poll.register(peer, select.EPOLLIN)
        else:
            data = peers[fd].recv(64)
            if data:
                peers[fd].send(data)
            else:
                poll.unregister(fd)
                peers.pop(fd).close()
'''

# "open N": so many connections more, each answered once; "ask N": so many
# requests by the first one.
CLIENT = '''
import resource, socket, sys
_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
target, peers = ('192.168.107.1', int(sys.argv[1])), []
def ask(peer):
    peer.sendall(b'fourteen bytes')
    assert peer.recv(64) == b'fourteen bytes'
print('ready', flush=True)
for line in sys.stdin:
    what, count = line.split()
    for _ in range(int(count)):
        if what == 'open':
            peers.append(socket.create_connection(target, 20))
            peers[-1].setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        ask(peers[-1] if what == 'open' else peers[0])
    print('done', flush=True)
'''


def cpu_ns(pid):
    """CPU time that a process has had."""
    total = 0
    for task in os.listdir('/proc/%d/task' % pid):
        with open('/proc/%d/task/%s/schedstat' % (pid, task),
                  encoding='ascii') as text:
            total += int(text.read().split()[0])
    return total


def tell(client, what, count):
    """One line to the client, and until it is done."""
    client.stdin.write('%s %d\n' % (what, count))
    client.stdin.flush()
    assert client.line(timeout=90) == 'done\n'


def cost(client, pid):
    """The daemon's CPU time for a request, in ns: of a quiet round."""
    rounds = []
    for _ in range(ROUNDS):
        begin = cpu_ns(pid)
        tell(client, 'ask', REQUESTS)
        rounds.append((cpu_ns(pid) - begin) / REQUESTS)
    return min(rounds)


@pytest.mark.timeout(240)
def test_idle_connections_cost_nothing(daemon):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard != resource.RLIM_INFINITY and hard < NEEDED:
        pytest.skip('RLIMIT_NOFILE: %d descriptors are needed' % NEEDED)
    with Process([sys.executable, '-c', SERVER], text=True,
                 stdout=subprocess.PIPE) as server:
        port = server.line().strip()
        with Process([RUN, '-q', '--network', 'shared,host-loopback=on',
                      '--netns', '--', sys.executable, '-c', CLIENT, port],
                     env=daemon.env, text=True, stdin=subprocess.PIPE,
                     stdout=subprocess.PIPE) as client:
            assert client.line() == 'ready\n'
            pid = daemon.pids()[0]
            tell(client, 'open', 1)
            alone = cost(client, pid)
            tell(client, 'open', MANY)
            assert len(os.listdir('/proc/%d/fd' % pid)) > MANY
            assert cost(client, pid) < LIMIT * alone
