/*
 * The frames that benches send, with a virtio header of 12 bytes in front
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_BENCH_BENCH_FRAME_H
#define TESTS_BENCH_BENCH_FRAME_H

#include <linux/virtio_net.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define BENCH_HEADER_LEN 12
#define BENCH_MSS 1460
/* Ethernet, IPv4 and TCP headers, and as much data as IP can have. */
#define BENCH_LARGE_LEN (14 + 65160)
#define BENCH_SMALL_LEN 64

/** bench_frame_introduce: addresses of a broadcast from receiver @pair. */
static inline void bench_frame_introduce(uint8_t *p, uint8_t pair)
{
    const uint8_t addresses[12] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                    2, 0, 0, 0, pair, 2 };

    memcpy(p, addresses, sizeof(addresses));
}

/**
 * bench_frame_fill: header and a TCP frame of @len bytes of pair @pair
 * @gso: a segment of more than an MSS, its checksum left to the receiver
 */
static inline void bench_frame_fill(uint8_t *p, size_t len, bool gso,
                                    uint8_t pair)
{
    const uint8_t ethernet[14] = { 2, 0, 0, 0, pair, 2, 2, 0, 0, 0, pair, 1,
                                   8, 0 };
    static const uint8_t ip_tcp[40] = {
        0x45, 0, 0, 0, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,
        0, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0x10,
    };
    uint32_t sum = 0;
    size_t i;

    memset(p, 0, BENCH_HEADER_LEN);
    memset(p + BENCH_HEADER_LEN, 0x5a, len);
    if (gso) {
        p[0] = VIRTIO_NET_HDR_F_NEEDS_CSUM;
        p[1] = VIRTIO_NET_HDR_GSO_TCPV4;
        p[2] = 54;
        p[4] = BENCH_MSS & 0xff;
        p[5] = BENCH_MSS >> 8;
        p[6] = 34;
        p[8] = 16;
    }
    p += BENCH_HEADER_LEN;
    memcpy(p, ethernet, sizeof(ethernet));
    memcpy(p + 14, ip_tcp, sizeof(ip_tcp));
    p[16] = (len - 14) >> 8;
    p[17] = len - 14;
    for (i = 14; i < 34; i += 2) {
        sum += p[i] << 8 | p[i + 1];
    }
    sum = ~(sum % 0xffff);
    p[24] = sum >> 8;
    p[25] = sum;
}

#endif
