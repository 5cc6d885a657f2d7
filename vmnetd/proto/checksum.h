/*
 * Internet checksum (RFC 1071), in bulk and incrementally (RFC 1624)
 *
 * Sums are kept unfolded in 32 bits, in network byte order, so that pieces can
 * be added in any order as long as each starts at an even offset.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_PROTO_CHECKSUM_H
#define VMNETD_PROTO_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/** csum_add: @sum plus the 16 bit words of @buf; an odd last byte is padded. */
uint32_t csum_add(uint32_t sum, const void *buf, size_t len);
/** csum_add_iov: the bytes of @iov from @offset on, odd pieces handled. */
uint32_t csum_add_iov(uint32_t sum, const struct iovec *iov, unsigned n_iov,
                      size_t offset, size_t len);
/** csum_copy_add: memcpy() and csum_add() in one pass over the data. */
uint32_t csum_copy_add(uint32_t sum, void *dst, const void *src, size_t len);
/** csum_combine: the sum of two sums. */
static inline uint32_t csum_combine(uint32_t a, uint32_t b)
{
    uint64_t sum = (uint64_t)a + b;

    return (sum & 0xffffffff) + (sum >> 32);
}

/** csum_fold: the complement, as stored on the wire (no byte swap needed). */
uint16_t csum_fold(uint32_t sum);
/** csum_update16: checksum @check after a word changed from @from to @to. */
uint16_t csum_update16(uint16_t check, uint16_t from, uint16_t to);

#endif
