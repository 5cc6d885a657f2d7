"""QEMU's own Python QMP client talks to vmnetd.

It is part of QEMU's source (python/qemu/qmp) and in no package of Debian:
scripts/fetch-qemu-source, which scripts/test runs, unpacks that; $QEMU_PYTHON
names its folder python/.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import asyncio
import os
import sys

import pytest

from lib.instance import BUILD


def qemu_client():
    """The module, if it is there."""
    sys.path.insert(0, os.environ.get(
        'QEMU_PYTHON', os.path.join(BUILD, 'qemu-src', 'python')))
    return pytest.importorskip(
        'qemu.qmp', reason="needs QEMU's python/qemu/qmp: %s" % os.environ.get(
            'VMNET_NO_QEMU_SOURCE', 'run scripts/fetch-qemu-source'))


async def converse(qmp, path):
    """Everything a client does: negotiate, ask, fail, be told."""
    client = qmp.QMPClient('test')
    events = qmp.EventListener()
    client.register_listener(events)
    await client.connect(path)
    version = await client.execute('query-version')
    assert version['protocol'] >= 1
    await client.execute('netdev_add', {'type': 'vmnet-shared', 'id': 'n0'})
    event = await asyncio.wait_for(events.get(), 5)
    assert event['event'] == 'NETWORK_STARTED'
    with pytest.raises(qmp.ExecuteError) as failure:
        await client.execute('netdev_del', {'id': 'zz'})
    assert failure.value.error_class == 'DeviceNotFound'
    assert str(failure.value) == "Device 'zz' not found"
    answers = await asyncio.gather(
        *[client.execute('query-netdevs') for _ in range(50)])
    assert all(answer[0]['id'] == 'n0' for answer in answers)
    await client.execute('quit')
    try:
        await client.disconnect()
    except EOFError:
        pass    # the daemon was faster


def test_qemus_client(daemon):
    asyncio.run(converse(qemu_client(), daemon.socket))
    assert daemon.daemon.wait(10) == 0
