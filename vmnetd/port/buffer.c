/*
 * Buffers that a port has only while it needs them
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "port/buffer.h"

G_STATIC_ASSERT(LIMIT_PORT_QUEUE_BYTES == PORT_BUFFER_LEN);

/* Never freed: one of each per thread that ever had a busy port. */
static __thread uint8_t *spare, *spare_batch;

uint8_t *port_buffer_get(void)
{
    return spare ? g_steal_pointer(&spare) : g_malloc(PORT_BUFFER_LEN);
}

void port_buffer_put(uint8_t *buf)
{
    if (buf && !spare) {
        spare = buf;
    } else {
        g_free(buf);
    }
}

uint8_t *port_batch_get(void)
{
    return spare_batch ? g_steal_pointer(&spare_batch)
                       : g_malloc(PORT_BATCH_LEN);
}

void port_batch_put(uint8_t *buf)
{
    if (buf && !spare_batch) {
        spare_batch = buf;
    } else {
        g_free(buf);
    }
}

void port_queue_append(PortQueue *queue, const void *data, size_t len)
{
    size_t end, piece;

    g_assert(len <= port_queue_room(queue));
    if (!queue->buf) {
        queue->buf = port_buffer_get();
        queue->start = 0;
    }
    end = (queue->start + queue->len) % PORT_BUFFER_LEN;
    piece = MIN(len, PORT_BUFFER_LEN - end);
    memcpy(queue->buf + end, data, piece);
    memcpy(queue->buf, (const uint8_t *)data + piece, len - piece);
    queue->len += len;
}

void port_queue_append_iov(PortQueue *queue, const struct iovec *iov,
                           unsigned n_iov, size_t offset)
{
    unsigned i;

    for (i = 0; i < n_iov; i++) {
        if (offset >= iov[i].iov_len) {
            offset -= iov[i].iov_len;
            continue;
        }
        port_queue_append(queue, (const uint8_t *)iov[i].iov_base + offset,
                          iov[i].iov_len - offset);
        offset = 0;
    }
}

unsigned port_queue_peek(const PortQueue *queue, size_t offset, size_t len,
                         struct iovec ret_iov[2])
{
    size_t start = (queue->start + offset) % PORT_BUFFER_LEN;
    size_t piece = MIN(len, PORT_BUFFER_LEN - start);
    unsigned n = 0;

    g_assert(offset + len <= queue->len);
    if (piece) {
        ret_iov[n++] = (struct iovec) { queue->buf + start, piece };
    }
    if (len > piece) {
        ret_iov[n++] = (struct iovec) { queue->buf, len - piece };
    }
    return n;
}

uint32_t port_queue_u32(const PortQueue *queue, size_t offset)
{
    struct iovec iov[2] = { 0 };
    uint32_t value = 0;

    port_queue_peek(queue, offset, sizeof(value), iov);
    memcpy(&value, iov[0].iov_base, iov[0].iov_len);
    if (iov[1].iov_len) {
        memcpy((uint8_t *)&value + iov[0].iov_len, iov[1].iov_base,
               iov[1].iov_len);
    }
    return value;
}

void port_queue_consume(PortQueue *queue, size_t len)
{
    g_assert(len <= queue->len);
    queue->start = (queue->start + len) % PORT_BUFFER_LEN;
    queue->len -= len;
    if (queue->len == 0) {
        port_queue_clear(queue);
    }
}

void port_queue_clear(PortQueue *queue)
{
    port_buffer_put(queue->buf);
    *queue = (PortQueue) { 0 };
}
