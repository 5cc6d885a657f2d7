/*
 * SipHash-2-4 (Aumasson, Bernstein: SipHash, a fast short-input PRF)
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "proto/siphash.h"

#include <endian.h>
#include <string.h>

typedef struct SipState {
    uint64_t v0, v1, v2, v3;
} SipState;

static inline uint64_t rotl(uint64_t x, unsigned bits)
{
    return x << bits | x >> (64 - bits);
}

static inline uint64_t load_le64(const uint8_t *p)
{
    uint64_t word;

    memcpy(&word, p, sizeof(word));
    return le64toh(word);
}

static inline void sip_round(SipState *s)
{
    s->v0 += s->v1;
    s->v2 += s->v3;
    s->v1 = rotl(s->v1, 13) ^ s->v0;
    s->v3 = rotl(s->v3, 16) ^ s->v2;
    s->v0 = rotl(s->v0, 32) + s->v3;
    s->v2 += s->v1;
    s->v3 = rotl(s->v3, 21) ^ s->v0;
    s->v1 = rotl(s->v1, 17) ^ s->v2;
    s->v2 = rotl(s->v2, 32);
}

static inline void sip_word(SipState *s, uint64_t word)
{
    s->v3 ^= word;
    sip_round(s);
    sip_round(s);
    s->v0 ^= word;
}

uint64_t siphash24(const uint8_t key[16], const void *data, size_t len)
{
    const uint8_t *p = data;
    uint64_t k0 = load_le64(key);
    uint64_t k1 = load_le64(key + 8);
    uint64_t last = (uint64_t)(len & 0xff) << 56;
    SipState s = {
        .v0 = k0 ^ 0x736f6d6570736575,
        .v1 = k1 ^ 0x646f72616e646f6d,
        .v2 = k0 ^ 0x6c7967656e657261,
        .v3 = k1 ^ 0x7465646279746573,
    };
    size_t left = len;

    for (; left >= 8; left -= 8, p += 8) {
        sip_word(&s, load_le64(p));
    }
    while (left > 0) {
        left--;
        last |= (uint64_t)p[left] << (8 * left);
    }
    sip_word(&s, last);

    s.v2 ^= 0xff;
    sip_round(&s);
    sip_round(&s);
    sip_round(&s);
    sip_round(&s);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}
