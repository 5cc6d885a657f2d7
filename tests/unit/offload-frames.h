/*
 * Frames with offloads, and what becomes of them, by slow and independent code:
 * a byte at a time, on flat memory, without a line of vmnetd's
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_OFFLOAD_FRAMES_H
#define TESTS_OFFLOAD_FRAMES_H

#include <glib.h>
#include <stdbool.h>
#include <string.h>

#include "proto/frame.h"

#define FLAT_LEN_MAX (65535 + 18)

/* A frame in one piece. */
typedef struct FlatFrame {
    struct virtio_net_hdr_v1 vnet;
    size_t len;
    uint8_t bytes[FLAT_LEN_MAX];
} FlatFrame;

/**
 * FrameShape: what flat_frame_make() makes
 * @l3_extra: bytes of IPv4 options or of an IPv6 hop-by-hop header
 * @l4_extra: bytes of TCP options
 * @gso_size: 0: only the checksum is left to the receiver
 */
typedef struct FrameShape {
    const char *name;
    bool is_ipv6, is_udp, has_vlan;
    unsigned l3_extra, l4_extra;
    uint8_t tcp_flags;
    size_t payload_len;
    uint16_t gso_size;
} FrameShape;

static inline void put16(uint8_t *at, unsigned value)
{
    at[0] = value >> 8;
    at[1] = value;
}

static inline unsigned get16(const uint8_t *at)
{
    return at[0] << 8 | at[1];
}

/* RFC 1071 1 */
static inline unsigned slow_sum(unsigned sum, const uint8_t *bytes, size_t len)
{
    size_t i;

    for (i = 0; i < len; i++) {
        sum += i % 2 ? bytes[i] : bytes[i] << 8;
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return sum;
}

/* Offsets in a frame of one of the shapes, found in its bytes. */
typedef struct SlowHeaders {
    size_t l3, l4, data, csum;
    bool is_ipv6, is_udp;
} SlowHeaders;

static inline SlowHeaders slow_headers(const uint8_t *bytes)
{
    SlowHeaders h = { .l3 = get16(bytes + 12) == 0x8100 ? 18 : 14 };
    uint8_t proto;

    h.is_ipv6 = bytes[h.l3] >> 4 == 6;
    if (h.is_ipv6) {
        h.l4 = h.l3 + 40;
        proto = bytes[h.l3 + 6];
        if (proto == 0) {
            proto = bytes[h.l4];
            h.l4 += 8 + bytes[h.l4 + 1] * 8;
        }
    } else {
        h.l4 = h.l3 + (bytes[h.l3] & 15) * 4;
        proto = bytes[h.l3 + 9];
    }
    h.is_udp = proto == 17;
    h.data = h.l4 + (h.is_udp ? 8 : (bytes[h.l4 + 12] >> 4) * 4);
    h.csum = h.l4 + (h.is_udp ? 6 : 16);
    return h;
}

/* The sum of the pseudo header for @len bytes. */
static inline unsigned slow_pseudo(const uint8_t *bytes, const SlowHeaders *h,
                                   size_t len)
{
    unsigned sum = (h->is_udp ? 17 : 6) + len;

    sum = (sum & 0xffff) + (sum >> 16);
    return h->is_ipv6 ? slow_sum(sum, bytes + h->l3 + 8, 32)
                      : slow_sum(sum, bytes + h->l3 + 12, 8);
}

static inline void slow_complete(uint8_t *bytes, size_t len)
{
    SlowHeaders h = slow_headers(bytes);
    unsigned sum = slow_pseudo(bytes, &h, len - h.l4);

    put16(bytes + h.csum, 0);
    sum = ~slow_sum(sum, bytes + h.l4, len - h.l4) & 0xffff;
    put16(bytes + h.csum, sum == 0 && h.is_udp ? 0xffff : sum);
}

static inline void slow_set_lengths(uint8_t *bytes, size_t len)
{
    SlowHeaders h = slow_headers(bytes);

    if (h.is_ipv6) {
        put16(bytes + h.l3 + 4, len - h.l3 - 40);
    } else {
        put16(bytes + h.l3 + 2, len - h.l3);
        put16(bytes + h.l3 + 10, 0);
        put16(bytes + h.l3 + 10,
              ~slow_sum(0, bytes + h.l3, h.l4 - h.l3) & 0xffff);
    }
    if (h.is_udp) {
        put16(bytes + h.l4 + 4, len - h.l4);
    }
}

/**
 * slow_segment: segment @index of @frame, checksum completed.
 *
 * Returns: false if there are fewer.
 */
static inline bool slow_segment(const FlatFrame *frame, unsigned index,
                                FlatFrame *ret)
{
    SlowHeaders h = slow_headers(frame->bytes);
    unsigned gso_size = GUINT16_FROM_LE(frame->vnet.gso_size);
    size_t data = frame->len - h.data, from = (size_t)index * gso_size;
    size_t size = gso_size ? MIN(gso_size, data - MIN(from, data)) : data;
    uint8_t *tcp = ret->bytes + h.l4;

    if (index > 0 && (gso_size == 0 || from >= data)) {
        return false;
    }
    memset(&ret->vnet, 0, sizeof(ret->vnet));
    ret->len = h.data + size;
    memcpy(ret->bytes, frame->bytes, h.data);
    memcpy(ret->bytes + h.data, frame->bytes + h.data + from, size);
    if (!h.is_ipv6) {
        put16(ret->bytes + h.l3 + 4, get16(ret->bytes + h.l3 + 4) + index);
    }
    if (!h.is_udp) {
        uint32_t seq = (get16(tcp + 4) << 16 | get16(tcp + 6)) + from;

        put16(tcp + 4, seq >> 16);
        put16(tcp + 6, seq);
        tcp[13] &= from + size < data ? ~0x09 : ~0; /* FIN, PSH */
        tcp[13] &= index > 0 ? ~0x80 : ~0;          /* CWR */
    }
    slow_set_lengths(ret->bytes, ret->len);
    slow_complete(ret->bytes, ret->len);
    return true;
}

static inline size_t shape_l3(const FrameShape *shape, uint8_t *l3)
{
    static const uint8_t options[] = { 0x94, 4, 0, 0 }; /* router alert */
    uint8_t proto = shape->is_udp ? 17 : 6;
    unsigned i;

    if (shape->is_ipv6) {
        l3[0] = 0x60;
        l3[6] = proto;
        l3[7] = 64;
        l3[8] = l3[24] = 0xfd;
        l3[23] = 1;
        l3[39] = 2;
        if (shape->l3_extra) {
            l3[6] = 0;
            l3[40] = proto;
            l3[41] = shape->l3_extra / 8 - 1;
            l3[42] = 1; /* PadN */
            l3[43] = shape->l3_extra - 4;
        }
        return 40 + shape->l3_extra;
    }
    l3[0] = 0x45 + shape->l3_extra / 4;
    put16(l3 + 4, 0xfffe); /* runs over */
    l3[6] = 0x40;
    l3[8] = 64;
    l3[9] = proto;
    memcpy(l3 + 12, "\x0a\0\0\1\x0a\0\0\2", 8);
    for (i = 0; i < shape->l3_extra; i += 4) {
        memcpy(l3 + 20 + i, options, 4);
    }
    return 20 + shape->l3_extra;
}

/** flat_frame_make: as a guest would, with data that differs everywhere. */
static inline void flat_frame_make(const FrameShape *shape, const uint8_t dst[6],
                                   const uint8_t src[6], FlatFrame *ret)
{
    uint8_t *l3 = ret->bytes + (shape->has_vlan ? 18 : 14), *l4;
    SlowHeaders h;
    size_t i;

    memset(ret->bytes, 0, 256);
    memcpy(ret->bytes, dst, 6);
    memcpy(ret->bytes + 6, src, 6);
    if (shape->has_vlan) {
        put16(ret->bytes + 12, 0x8100);
        put16(ret->bytes + 14, 7);
    }
    put16(l3 - 2, shape->is_ipv6 ? 0x86dd : 0x0800);
    l4 = l3 + shape_l3(shape, l3);
    put16(l4, 1000);
    put16(l4 + 2, 2000);
    if (!shape->is_udp) {
        memcpy(l4 + 4, "\xff\xff\xfe\0\1\2\3\4", 8); /* wraps around */
        l4[12] = (20 + shape->l4_extra) / 4 << 4;
        l4[13] = shape->tcp_flags;
        put16(l4 + 14, 500);
        memset(l4 + 20, 1, shape->l4_extra); /* NOP */
    }
    h = slow_headers(ret->bytes);
    ret->len = h.data + shape->payload_len;
    for (i = 0; i < shape->payload_len; i++) {
        ret->bytes[h.data + i] = i * 7 + i / 251;
    }
    slow_set_lengths(ret->bytes, ret->len);
    put16(ret->bytes + h.csum, slow_pseudo(ret->bytes, &h, ret->len - h.l4));
    ret->vnet = (struct virtio_net_hdr_v1) {
        .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
        .hdr_len = GUINT16_TO_LE(h.data),
        .csum_start = GUINT16_TO_LE(h.l4),
        .csum_offset = GUINT16_TO_LE(h.csum - h.l4),
    };
    if (shape->gso_size) {
        ret->vnet.gso_size = GUINT16_TO_LE(shape->gso_size);
        ret->vnet.gso_type = shape->is_udp ? VIRTIO_NET_HDR_GSO_UDP_L4
                             : shape->is_ipv6 ? VIRTIO_NET_HDR_GSO_TCPV6
                             : VIRTIO_NET_HDR_GSO_TCPV4;
        if (shape->tcp_flags & 0x80) {
            ret->vnet.gso_type |= VIRTIO_NET_HDR_GSO_ECN;
        }
    }
}

/* Every shape that a kernel makes, and some that it does not. */
static const FrameShape frame_shapes[] = {
    { "tso4", false, false, false, 0, 12, 0x10, 65000, 1448 },
    { "tso4-fin-psh", false, false, false, 0, 12, 0x19, 4000, 1448 },
    { "tso4-cwr", false, false, false, 0, 12, 0xd8, 14480, 1448 },
    { "tso4-exact", false, false, false, 0, 0, 0x18, 1460 * 4, 1460 },
    { "tso4-one", false, false, false, 0, 0, 0x19, 300, 1460 },
    { "tso4-empty", false, false, false, 0, 0, 0x11, 0, 1460 },
    { "tso4-odd", false, false, false, 0, 40, 0x18, 30001, 1001 },
    { "tso4-small", false, false, false, 0, 12, 0x18, 65000, 36 },
    { "tso4-options", false, false, false, 24, 12, 0x18, 20000, 1400 },
    { "tso4-vlan", false, false, true, 0, 12, 0x18, 20000, 1448 },
    { "tso6", true, false, false, 0, 12, 0x18, 65000, 1428 },
    { "tso6-cwr", true, false, false, 0, 12, 0x99, 5000, 1428 },
    { "tso6-ext", true, false, false, 24, 12, 0x18, 20000, 1400 },
    { "tso6-vlan", true, false, true, 0, 32, 0x18, 20000, 1400 },
    { "uso4", false, true, false, 0, 0, 0, 20001, 1472 },
    { "uso4-options", false, true, false, 40, 0, 0, 5000, 1400 },
    { "uso6", true, true, false, 0, 0, 0, 60000, 1452 },
    { "uso6-vlan-ext", true, true, true, 8, 0, 0, 5001, 999 },
    { "csum-tcp4", false, false, false, 0, 12, 0x18, 1000, 0 },
    { "csum-tcp4-empty", false, false, true, 4, 0, 0x10, 0, 0 },
    { "csum-tcp6", true, false, false, 0, 0, 0x02, 1401, 0 },
    { "csum-udp4", false, true, false, 0, 0, 0, 512, 0 },
    { "csum-udp6", true, true, true, 16, 0, 0, 1, 0 },
};

#endif
