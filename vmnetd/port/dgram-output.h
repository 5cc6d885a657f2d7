/*
 * Output of datagram links: send in batches, queue what the socket refuses
 *
 * The queue holds records of a length and a datagram.  EPOLLOUT is not enough to
 * go on: the kernel reports it when three quarters of the send buffer are
 * free; with 212,992 bytes and 64 KiB frames that is when the peer has read
 * every one.  Hence each batch tries first, and a timer does while the queue
 * is young; it gives up after some retries without success, so that a VMM that
 * is stopped costs nothing.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_PORT_DGRAM_OUTPUT_H
#define VMNETD_PORT_DGRAM_OUTPUT_H

#include "port/buffer.h"
#include "port/link.h"

/**
 * DgramOutput:
 * @fd: the link's
 * @has_vnet: each datagram begins with the frame's virtio_net_hdr
 * @queue: records of a uint32_t in host order and a datagram of that length; the
 *     link watches for EPOLLOUT while it is not empty
 * @owes_room: something was queued since room was last told of
 * @retry_ns: until the next retry; doubles while nothing can be sent
 */
typedef struct DgramOutput {
    Port *port;
    int fd;
    bool has_vnet;
    PortQueue queue;
    bool owes_room;
    LoopTimer *retry_timer;
    int64_t retry_ns;
} DgramOutput;

/** dgram_output_init: @retry(@opaque) is to call dgram_output_retry(). */
void dgram_output_init(DgramOutput *out, Port *port, int fd, bool has_vnet,
                       LoopTimerFunc retry, void *opaque);
void dgram_output_clear(DgramOutput *out);

/** dgram_output_room: as PortOps.room. */
size_t dgram_output_room(const DgramOutput *out);
/** dgram_output_send: as PortOps.send; fails the link if the peer is gone. */
unsigned dgram_output_send(DgramOutput *out, const Frame *frames, unsigned n);
/** dgram_output_retry: send what is queued; tells of room.  Not from send(). */
void dgram_output_retry(DgramOutput *out, int64_t now_ms);

#endif
