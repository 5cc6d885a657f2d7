/*
 * A byte ring: what a socket gave us and a guest has not acknowledged yet
 *
 * For kernels whose TCP has no SO_PEEK_OFF.  Made with the first byte, freed
 * when it is empty; the caller charges its size to the guest's port.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_NAT_RING_H
#define VMNETD_NAT_RING_H

#include <glib.h>
#include <stdint.h>
#include <sys/uio.h>

typedef struct Ring {
    size_t size;    /* a power of two */
    size_t head;    /* counts up; the oldest byte */
    size_t len;
    uint8_t data[];
} Ring;

/** @size: a power of two, in bytes. Returns: NULL without memory */
Ring *ring_new(size_t size);
void ring_free(Ring *ring);

static inline size_t ring_space(const Ring *ring)
{
    return ring->size - ring->len;
}

/** ring_tail: describe the free space; elements in @ret_iov: 0 to 2. */
unsigned ring_tail(Ring *ring, struct iovec ret_iov[2]);
/** ring_push: @n bytes have been written to what ring_tail() described. */
void ring_push(Ring *ring, size_t n);
/** ring_slice: describe @n bytes from @offset on, which are there; 1 or 2. */
unsigned ring_slice(Ring *ring, size_t offset, size_t n,
                    struct iovec ret_iov[2]);
/** ring_drop: forget the oldest @n bytes, which are there. */
void ring_drop(Ring *ring, size_t n);

#endif
