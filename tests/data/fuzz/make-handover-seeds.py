#!/usr/bin/env python3
"""Write the seeds of the fuzz targets switch-load and nat-load.

The format is that of vmnetd/proto/handover.h and of the files save.c.

SPDX-License-Identifier: GPL-2.0-or-later
"""
import pathlib
import struct

HERE = pathlib.Path(__file__).parent
SWITCH, SWITCH_ENTRY = 1, 2
NAT, TCP, UDP, PEER, ICMP, FORWARD = range(16, 22)
NO_FD = 0xffffffff
STATES = ('connecting syn-sent syn-rcvd established close-wait fin-wait-1 '
          'fin-wait-2 closing last-ack time-wait').split()
PEEK, EOF, SACK = 1, 2, 4


def item(tag, body):
    return struct.pack('>HI', tag, len(body)) + body


def address(v6, last):
    if v6:
        return b'\x06' + bytes.fromhex('fd000107') + bytes(11) + bytes([last])
    return b'\x04' + bytes([192, 168, 107, last])


def endpoint(v6, last, port):
    return address(v6, last) + struct.pack('>H', port)


def flow(v6, sport, dport):
    return (endpoint(v6, 2, sport) + endpoint(v6, 9, dport) +
            bytes([2, 0, 0, 0, 0, 2]) + struct.pack('>IQ', 7, 1000))


def tcp(v6, sport, state, fd, flags, ring=b''):
    """What stands in tcp-save.c, with a byte or two in flight."""
    iss, irs = 5000, 9000
    opening = state in STATES[:3]
    sent = 0 if state == 'connecting' else 1
    una = iss if opening else iss + 1
    top = iss + sent if opening else iss + 1 + (len(ring) or 4)
    fin = top
    if state in STATES[5:9]:
        top += 1
    numbers = [iss, una, top, top, 65535, 65535, irs, iss, iss + 1, fin, iss,
               irs, irs + 1, irs + 60000, 0, 1460, 0, 0, 200]
    return item(TCP, flow(v6, sport, 80) + struct.pack(
        '>BIB', STATES.index(state), fd, flags) + struct.pack(
            f'>{len(numbers)}I', *numbers) + struct.pack(
                '>HBBI', 1460, 7, 8, len(ring)) + ring)


def nat(*flows):
    return item(NAT, struct.pack('>HHI', 1, 5, 6) + b''.join(flows))


def nat_seeds():
    for v6 in (False, True):
        first, name = bytes([v6]), 'v6' if v6 else 'v4'
        for state in STATES:
            fd = NO_FD if state == 'time-wait' else 0
            flags = EOF if state in STATES[5:] else 0
            yield f'{name}-{state}', first + nat(
                tcp(v6, 4000, state, fd, flags | PEEK | SACK))
        yield f'{name}-ring', first + nat(
            tcp(v6, 4000, 'established', 0, SACK, b'data'),
            tcp(v6, 4001, 'fin-wait-1', 1, EOF, b'data'))
        peer = item(PEER, endpoint(v6, 9, 53) + endpoint(v6, 9, 53) +
                    b'\0' + struct.pack('>Q', 5))
        yield f'{name}-datagrams', first + nat(
            item(UDP, flow(v6, 5000, 0) + struct.pack('>I', 4) + peer * 2),
            item(ICMP, flow(v6, 77, 0) + struct.pack('>IHI', 5, 3, 64)))
        came = item(PEER, flow(v6, 5000, 6000) + endpoint(v6, 9, 6000) +
                    address(v6, 1))
        yield f'{name}-forward', first + item(
            FORWARD, struct.pack('>I', 4) + endpoint(v6, 2, 5000) +
            struct.pack('>I', 7) + came * 2)


def switch_seeds():
    def entry(last, port, age):
        return item(SWITCH_ENTRY, bytes([2, 0, 0, 0, 0, last]) +
                    struct.pack('>IQ', port, age))
    entries = b''.join(entry(i, i % 4, i * 60000) for i in range(10))
    yield 'entries', item(SWITCH, struct.pack('>HI', 1, 9) + entries)
    yield 'unknown-item', item(SWITCH, struct.pack('>HI', 1, 9) +
                               item(99, b'later') + entries)
    yield 'version', item(SWITCH, struct.pack('>HI', 2, 9))


def main():
    for target, seeds in (('nat-load', nat_seeds()),
                          ('switch-load', switch_seeds())):
        (HERE / target).mkdir(exist_ok=True)
        for name, data in seeds:
            (HERE / target / name).write_bytes(data)


if __name__ == '__main__':
    main()
