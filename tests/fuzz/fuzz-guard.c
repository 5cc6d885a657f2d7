/*
 * Fuzz target: frames of guests, some of which say that they are the gateway
 *
 * Byte 0 says in pieces of which size the frame that follows lies.  What the
 * most credulous of receivers takes for a claim to the gateway's addresses is
 * refused: one that takes off any number of priority tags and SNAP, and steps
 * over any number of extension headers, whatever is in them.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <glib.h>
#include <netinet/icmp6.h>

#include "switch/guard.h"
#include "pieces.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define GATEWAY4 0xc0a86b01     /* 192.168.107.1 */

static uint16_t u16_at(const uint8_t *data)
{
    return data[0] << 8 | data[1];
}

/* Where the type is, of what is behind tags without a VLAN, and behind SNAP. */
static size_t skip_to_type(const uint8_t *data, size_t size)
{
    size_t at = 2 * sizeof(MacAddr);

    while (size - at >= 6 && eth_type_is_tag(u16_at(data + at)) &&
           (u16_at(data + at + 2) & 0xfff) == 0) {
        at += 4;
    }
    if (size - at >= 10 && u16_at(data + at) < 0x600 &&
        memcmp(data + at + 2, "\xaa\xaa\3\0\0", 5) == 0 &&
        (data[at + 7] == 0 || data[at + 7] == 0xf8)) {
        at += 8;
    }
    return at;
}

static bool is_ext(uint8_t next)
{
    return next == IPPROTO_HOPOPTS || next == IPPROTO_ROUTING ||
           next == IPPROTO_DSTOPTS || next == IPPROTO_FRAGMENT;
}

/* Bytes of the extension header at @data; 0: used on its way, or in fragments. */
static size_t ext_len(uint8_t next, const uint8_t *data)
{
    if (next == IPPROTO_FRAGMENT) {
        return (u16_at(data + 2) & 0xfff9) == 0 ? 8 : 0;
    }
    if (next == IPPROTO_ROUTING && data[3] != 0) {
        return 0;
    }
    return (data[1] + 1) * 8;
}

/* @data: an IPv6 packet, and perhaps padding. */
static bool is_claim6(const uint8_t gateway[16], const uint8_t *data,
                      size_t size)
{
    size_t at = 40;
    uint8_t next;

    if (size < at || data[0] >> 4 != 6 || size - at < u16_at(data + 4)) {
        return false;
    }
    size = at + u16_at(data + 4);
    if (memcmp(data + 8, gateway, 16) == 0) {
        return true;
    }
    for (next = data[6]; is_ext(next);) {
        size_t len = size - at < 8 ? 0 : ext_len(next, data + at);

        if (len == 0 || len > size - at) {
            return false;
        }
        next = data[at];
        at += len;
    }
    if (next != IPPROTO_ICMPV6 || size - at < 24) {
        return false;
    }
    return data[at] == ND_NEIGHBOR_ADVERT &&
           memcmp(data + at + 8, gateway, 16) == 0;
}

static bool is_claim(const IpAddr *addrs, const uint8_t *data, size_t size)
{
    static const uint8_t gateway4[] = { 192, 168, 107, 1 };
    size_t at = skip_to_type(data, size) + 2;

    switch (u16_at(data + at - 2)) {
    case ETH_TYPE_ARP:
        return size - at >= 28 && memcmp(data + at + 14, gateway4, 4) == 0;
    case ETH_TYPE_IPV4:
        return size - at >= 20 && memcmp(data + at + 12, gateway4, 4) == 0;
    case ETH_TYPE_IPV6:
        return is_claim6(addrs[1].v6.s6_addr, data + at, size - at);
    default:
        return false;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    IpAddr addrs[SWITCH_GATEWAY_ADDRS_MAX] = { ip_addr_v4(GATEWAY4) };
    struct iovec iov[PIECES_MAX], whole_iov;
    Frame frame, whole;
    bool refuses;

    if (size < 1 + ETH_HEADER_LEN) {
        return 0;
    }
    ip_addr_parse("fe80::1", &addrs[1]);
    pieces_describe(&frame, iov, data + 1, size - 1, data[0]);
    pieces_describe(&whole, &whole_iov, data + 1, size - 1, 0);
    refuses = guard_refuses(addrs, &frame, data + 1);
    g_assert_true(refuses == guard_refuses(addrs, &whole, data + 1));
    g_assert_true(refuses || !is_claim(addrs, data + 1, size - 1));
    return 0;
}
