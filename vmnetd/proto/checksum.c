/*
 * Internet checksum (RFC 1071), in bulk and incrementally (RFC 1624)
 *
 * Theory of operation
 *
 * A ones' complement sum does not care how wide the words are that it is made
 * of, since 2^16, 2^32 and 2^48 are all 1 modulo 65535.  So memory is read as
 * lanes of 64 bits, each lane is split into its two halves of 32 bits, and
 * those are added into 64 bit accumulators, which cannot overflow before
 * 2^32 additions.  Nothing is swapped: the sum is in the order of memory, on
 * every host, and so is the checksum that comes out.
 *
 * The lanes are GCC's vector type, which any machine has in some width; on
 * x86-64 with glibc the function exists twice, and the loader picks AVX2.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "proto/checksum.h"

#include <stdbool.h>
#include <string.h>

typedef uint64_t Lanes __attribute__((vector_size(32)));

/* A sanitizer's runtime is not up yet when an ifunc is resolved. */
#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && \
    !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__)
#define CSUM_CLONES __attribute__((target_clones("avx2", "default")))
#else
#define CSUM_CLONES
#endif

static inline uint32_t fold64(uint64_t sum)
{
    sum = (sum & 0xffffffff) + (sum >> 32);
    return (sum & 0xffffffff) + (sum >> 32);
}

static inline uint32_t fold16(uint32_t sum)
{
    sum = (sum & 0xffff) + (sum >> 16);
    return (sum & 0xffff) + (sum >> 16);
}

/* The part of sum_copy() that is done in lanes. */
static inline __attribute__((always_inline)) uint64_t
sum_copy_lanes(uint8_t *dst, const uint8_t *src, size_t len)
{
    Lanes low = { 0 }, high = { 0 }, lanes;
    size_t i;

    for (i = 0; i + sizeof(lanes) <= len; i += sizeof(lanes)) {
        memcpy(&lanes, src + i, sizeof(lanes));
        if (dst) {
            memcpy(dst + i, &lanes, sizeof(lanes));
        }
        low += lanes & 0xffffffff;
        high += lanes >> 32;
    }
    low += high;
    return low[0] + low[1] + low[2] + low[3];
}

/*
 * The one loop: adds @len bytes of @src and, if @dst is not NULL, stores what
 * it has read there.  Each byte is loaded once, so that a guest that writes
 * meanwhile cannot make the copy differ from its sum.
 */
static inline __attribute__((always_inline)) uint64_t
sum_copy(uint64_t sum, uint8_t *dst, const uint8_t *src, size_t len)
{
    size_t in_lanes = len & ~(sizeof(Lanes) - 1);
    uint64_t word;
    uint16_t half;

    /* A header is added faster without them. */
    if (in_lanes > sizeof(Lanes)) {
        sum += sum_copy_lanes(dst, src, in_lanes);
        dst = dst ? dst + in_lanes : NULL;
        src += in_lanes;
        len -= in_lanes;
    }
    for (; len >= sizeof(word); len -= sizeof(word)) {
        memcpy(&word, src, sizeof(word));
        if (dst) {
            memcpy(dst, &word, sizeof(word));
            dst += sizeof(word);
        }
        src += sizeof(word);
        sum += (word & 0xffffffff) + (word >> 32);
    }
    for (; len >= sizeof(half); len -= sizeof(half)) {
        memcpy(&half, src, sizeof(half));
        if (dst) {
            memcpy(dst, &half, sizeof(half));
            dst += sizeof(half);
        }
        src += sizeof(half);
        sum += half;
    }
    if (len == 1) {
        half = 0;
        memcpy(&half, src, 1);
        if (dst) {
            *dst = *(const uint8_t *)&half;
        }
        sum += half;
    }
    return sum;
}

CSUM_CLONES
uint32_t csum_add(uint32_t sum, const void *buf, size_t len)
{
    return fold64(sum_copy(sum, NULL, buf, len));
}

CSUM_CLONES
uint32_t csum_copy_add(uint32_t sum, void *dst, const void *src, size_t len)
{
    return fold64(sum_copy(sum, dst, src, len));
}

uint32_t csum_add_iov(uint32_t sum, const struct iovec *iov, unsigned n_iov,
                      size_t offset, size_t len)
{
    uint64_t total = sum;
    bool odd = false;
    unsigned i;

    for (i = 0; i < n_iov && len > 0; i++) {
        size_t piece = iov[i].iov_len;
        uint32_t part;

        if (offset >= piece) {
            offset -= piece;
            continue;
        }
        piece -= offset;
        if (piece > len) {
            piece = len;
        }
        part = csum_add(0, (const uint8_t *)iov[i].iov_base + offset, piece);
        if (odd) {
            /* RFC 1071 2(B): a sum that starts at an odd byte is swapped. */
            part = __builtin_bswap16(fold16(part));
        }
        total += part;
        odd ^= piece & 1;
        len -= piece;
        offset = 0;
    }
    return fold64(total);
}

uint16_t csum_fold(uint32_t sum)
{
    return ~fold16(sum);
}

uint16_t csum_update16(uint16_t check, uint16_t from, uint16_t to)
{
    /* RFC 1624, equation 3; equation 4 would go wrong where the sum is 0. */
    return csum_fold((uint32_t)(uint16_t)~check + (uint16_t)~from + to);
}
