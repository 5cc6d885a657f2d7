/*
 * Buffers that a port has only while it needs them
 *
 * A port reads into one and queues into another.  An idle one has neither:
 * hundreds of idle guests cost no memory.  The last one given back is kept by
 * the thread for the next who asks, so that a busy port does not make the
 * allocator fetch and return pages for every batch.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_PORT_BUFFER_H
#define VMNETD_PORT_BUFFER_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "limits.h"
#include "proto/frame.h"

/** Bytes of every buffer. */
#define PORT_BUFFER_LEN LIMIT_PORT_READ_BYTES

/** port_buffer_get: PORT_BUFFER_LEN bytes, not cleared. */
uint8_t *port_buffer_get(void);
/** port_buffer_put: @buf may be NULL. */
void port_buffer_put(uint8_t *buf);

/**
 * Bytes of a batch buffer, in which a link receives frames of any length at a
 * time; what is not written to takes no memory.
 */
#define PORT_BATCH_LEN LIMIT_PORT_BATCH_BYTES

/** port_batch_get: PORT_BATCH_LEN bytes, not cleared. */
uint8_t *port_batch_get(void);
/** port_batch_put: @buf may be NULL. */
void port_batch_put(uint8_t *buf);

/**
 * PortQueue: bytes on their way out, a ring in a buffer; an empty one has no
 * buffer and is all zero.
 */
typedef struct PortQueue {
    uint8_t *buf;
    size_t start, len;
} PortQueue;

static inline size_t port_queue_room(const PortQueue *queue)
{
    return PORT_BUFFER_LEN - queue->len;
}

/**
 * port_queue_frame_room: bytes of frames for which there is room, each with
 * @overhead bytes more, in the worst case, that all are of the shortest.
 */
static inline size_t port_queue_frame_room(const PortQueue *queue,
                                           size_t overhead)
{
    return port_queue_room(queue) / (FRAME_LEN_MIN + overhead) * FRAME_LEN_MIN;
}

/** port_queue_append: @len must not be above port_queue_room(). */
void port_queue_append(PortQueue *queue, const void *data, size_t len);
/** port_queue_append_iov: the bytes from @offset on of @iov. */
void port_queue_append_iov(PortQueue *queue, const struct iovec *iov,
                           unsigned n_iov, size_t offset);
/**
 * port_queue_peek: describe @len bytes from @offset on, which must be queued.
 *
 * Returns: elements of @ret_iov, 0 to 2.
 */
unsigned port_queue_peek(const PortQueue *queue, size_t offset, size_t len,
                         struct iovec ret_iov[2]);
/** port_queue_u32: the four queued bytes at @offset, in host order. */
uint32_t port_queue_u32(const PortQueue *queue, size_t offset);
/** port_queue_consume: forget the first @len bytes. */
void port_queue_consume(PortQueue *queue, size_t len);
void port_queue_clear(PortQueue *queue);

#endif
