/*
 * A packet that was built, and parsed, with its memory; for tests
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_UNIT_PROTO_PACKET_H
#define TESTS_UNIT_PROTO_PACKET_H

#include <glib.h>

#include "proto/ip.h"

typedef struct Packet {
    uint8_t bytes[4096];
    size_t len;
    struct iovec iov;
    Frame frame;
    IpPacket ip;
} Packet;

static const MacAddr guest_mac = { { 0x52, 0x54, 0, 0x12, 0x34, 0x56 } };
static const MacAddr gateway_mac = { { 0x52, 0x54, 0, 0, 0, 1 } };

static inline IpAddr addr(const char *text)
{
    IpAddr ret = { 0 };

    g_assert_true(ip_addr_parse(text, &ret));
    return ret;
}

static inline IpHeaders headers(const char *src, const char *dst)
{
    return (IpHeaders){
        .eth_src = guest_mac,
        .eth_dst = gateway_mac,
        .src = addr(src),
        .dst = addr(dst),
        .ttl = 64,
    };
}

static inline IpHeaders headers_v4(void)
{
    return headers("192.168.107.2", "192.168.107.1");
}

static inline IpHeaders headers_v6(void)
{
    return headers("fd00::2", "fd00::1");
}

static inline void packet_parse(Packet *p)
{
    p->iov = (struct iovec){ p->bytes, p->len };
    frame_init(&p->frame, &p->iov, 1);
    g_assert_cmpint(ip_packet_parse(&p->frame, &p->ip), ==, IP_PARSE_OK);
}

#endif
