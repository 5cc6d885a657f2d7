"""Much data by TCP, from one network namespace to another.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import subprocess
import sys

RECEIVE = '''
import hashlib, socket
with socket.create_server(('', 7000)) as server:
    print('ready', flush=True)
    peer, _ = server.accept()
    sums = hashlib.md5()
    while data := peer.recv(1 << 20):
        sums.update(data)
    print(sums.hexdigest())
'''
SEND = '''
import hashlib, os, socket, sys
data, sums = os.urandom(1 << 20), hashlib.md5()
with socket.create_connection((sys.argv[1], 7000), 10) as peer:
    for _ in range(int(sys.argv[2])):
        peer.sendall(data)
        sums.update(data)
print(sums.hexdigest())
'''


def transfer(source, target, address, mib):
    """@mib MiB arrive as they were sent at @target's @address."""
    receiver = target.popen(sys.executable, '-c', RECEIVE,
                            stdout=subprocess.PIPE)
    assert receiver.line() == 'ready\n'
    sent = source.call(sys.executable, '-c', SEND, address, str(mib))
    assert receiver.communicate(timeout=30)[0] == sent
