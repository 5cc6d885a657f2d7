/*
 * A byte ring
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "nat/ring.h"

Ring *ring_new(size_t size)
{
    Ring *ring = g_try_malloc(sizeof(Ring) + size);

    g_assert((size & (size - 1)) == 0);
    if (ring) {
        ring->size = size;
        ring->head = ring->len = 0;
    }
    return ring;
}

void ring_free(Ring *ring)
{
    g_free(ring);
}

static unsigned describe(Ring *ring, size_t pos, size_t n, struct iovec iov[2])
{
    size_t first;

    if (n == 0) {
        return 0;
    }
    pos &= ring->size - 1;
    first = MIN(n, ring->size - pos);
    iov[0] = (struct iovec){ ring->data + pos, first };
    if (first == n) {
        return 1;
    }
    iov[1] = (struct iovec){ ring->data, n - first };
    return 2;
}

unsigned ring_tail(Ring *ring, struct iovec ret_iov[2])
{
    return describe(ring, ring->head + ring->len, ring_space(ring), ret_iov);
}

void ring_push(Ring *ring, size_t n)
{
    g_assert(n <= ring_space(ring));
    ring->len += n;
}

unsigned ring_slice(Ring *ring, size_t offset, size_t n, struct iovec ret_iov[2])
{
    g_assert(offset <= ring->len && n <= ring->len - offset);
    return describe(ring, ring->head + offset, n, ret_iov);
}

void ring_drop(Ring *ring, size_t n)
{
    g_assert(n <= ring->len);
    ring->head += n;
    ring->len -= n;
}
