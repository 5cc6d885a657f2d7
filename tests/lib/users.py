"""Clients of the system instance that are not root.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import json
import subprocess
import sys

from lib.process import Process

NOBODY = 65534      # user, and group, of the instance

# QMP by a process of another user: commands as JSON in, answers out.
QMP = r'''
import json, socket, sys
sock = socket.socket(socket.AF_UNIX)
sock.connect(sys.argv[1])
lines = sock.makefile('rw')
lines.readline()
for command in [{'execute': 'qmp_capabilities'}] + json.loads(sys.argv[2]):
    lines.write(json.dumps(command))
    lines.flush()
    while 'event' in (answer := json.loads(lines.readline())):
        pass
print(json.dumps(answer), flush=True)
sys.stdin.read()
'''


def as_user(uid, *argv, group=NOBODY, groups=(), **options):
    """Start a program as another user."""
    return Process([sys.executable, *argv], user=uid, group=group,
                   extra_groups=list(groups), stdin=subprocess.PIPE,
                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                   **options)


def qmp(system, uid, *commands, group=NOBODY, groups=()):
    """What @uid is answered to the last command; connected until closed."""
    process = as_user(uid, '-c', QMP, system.socket, json.dumps(commands),
                      group=group, groups=groups)
    line = process.stdout.readline()
    return process, json.loads(line) if line else process.stderr.read()
