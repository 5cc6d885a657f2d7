/*
 * Guests that say they are the gateway: what is refused, and what is not
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <glib.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>

#include "proto/arp.h"
#include "proto/eth.h"
#include "switch/guard.h"
#include "proto-packet.h"

#define GATEWAY4 0xc0a86b01     /* 192.168.107.1 */
#define GUEST4 0xc0a86b02
#define OTHER4 0xc0a86b03
#define GATEWAY6 "fd00::1"
#define GATEWAY_LOCAL6 "fe80::1"
#define GUEST6 "fe80::66"
#define ALL_NODES "ff02::1"
#define TYPE_QINQ 0x88a8
#define VLAN(id, prio) ((prio) << 13 | (id))

/* Bytes of the longest pieces that frames are laid in. */
#define PIECE_MAX 64

static const MacAddr broadcast = { { 255, 255, 255, 255, 255, 255 } };

static bool refuses_pieces(const Packet *p, size_t piece)
{
    const IpAddr addrs[SWITCH_GATEWAY_ADDRS_MAX] = {
        ip_addr_v4(GATEWAY4), addr(GATEWAY6), addr(GATEWAY_LOCAL6),
    };
    struct iovec iov[sizeof(p->bytes)];
    unsigned n = 0;
    Frame frame;
    size_t at;

    for (at = 0; at < p->len; at += piece) {
        iov[n++] = (struct iovec){ (void *)(p->bytes + at),
                                   MIN(piece, p->len - at) };
    }
    frame_init(&frame, iov, n);
    return guard_refuses(addrs, &frame, p->bytes);
}

/* The verdict, which is the same however the frame lies in memory. */
static bool refuses(const Packet *p)
{
    bool whole = refuses_pieces(p, sizeof(p->bytes));
    size_t piece;

    for (piece = 1; piece <= PIECE_MAX; piece++) {
        g_assert_true(refuses_pieces(p, piece) == whole);
    }
    return whole;
}

static Packet arp_of(ArpOp op, uint32_t spa, uint32_t tpa)
{
    const ArpPacket arp = {
        .op = op, .sha = guest_mac, .spa = spa, .tpa = tpa,
    };
    Packet p = { .len = ARP_FRAME_LEN };

    arp_build(p.bytes, &broadcast, &arp);
    return p;
}

/* A message of which only type, source and target count. */
static Packet nd_of(uint8_t type, const char *src, const char *target)
{
    struct nd_neighbor_advert message = { .nd_na_type = type };
    IpHeaders head = headers(src, ALL_NODES);
    Packet p = { 0 };

    head.proto = IPPROTO_ICMPV6;
    head.ttl = 255;
    if (target) {
        message.nd_na_target = addr(target).v6;
    }
    p.len = ip_headers_build(p.bytes, &head, sizeof(message));
    memcpy(p.bytes + p.len, &message, sizeof(message));
    p.len += sizeof(message);
    return p;
}

static void insert(Packet *p, size_t at, const uint8_t *bytes, size_t len)
{
    memmove(p->bytes + at + len, p->bytes + at, p->len - at);
    memcpy(p->bytes + at, bytes, len);
    p->len += len;
}

/* In front of all other tags */
static void add_tag(Packet *p, uint16_t type, uint16_t tci)
{
    const uint8_t tag[] = { type >> 8, type & 0xff, tci >> 8, tci & 0xff };

    insert(p, ETH_HEADER_LEN - 2, tag, sizeof(tag));
}

/* In front of all other extension headers; 8 bytes, padded by PadN */
static void add_extension(Packet *p, uint8_t type, uint8_t third)
{
    uint8_t *l3 = p->bytes + ETH_HEADER_LEN;
    const uint8_t extension[8] = { l3[6], 0, third, type == IPPROTO_ROUTING ?
                                                    0 : 4 };

    l3[6] = type;
    l3[5] += sizeof(extension);
    insert(p, ETH_HEADER_LEN + 40, extension, sizeof(extension));
}

static void test_arp(void)
{
    static const struct {
        ArpOp op;
        uint32_t spa, tpa;
        bool refused;
    } rows[] = {
        { ARP_REQUEST, GATEWAY4, GUEST4, true },
        { ARP_REPLY, GATEWAY4, OTHER4, true },
        { ARP_REQUEST, GATEWAY4, GATEWAY4, true },  /* gratuitous */
        { ARP_REPLY, GATEWAY4, GATEWAY4, true },
        { ARP_REQUEST, GUEST4, GATEWAY4, false },
        { ARP_REPLY, GUEST4, GATEWAY4, false },
        { ARP_REQUEST, GUEST4, GUEST4, false },
        { ARP_REQUEST, 0, GATEWAY4, false },        /* a probe says nothing */
        { ARP_REPLY, OTHER4, GUEST4, false },
    };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(rows); i++) {
        Packet p = arp_of(rows[i].op, rows[i].spa, rows[i].tpa);

        g_test_message("row %u", (unsigned)i);
        g_assert_true(refuses(&p) == rows[i].refused);
    }
}

/* What our parser would not take, others do: only the address counts. */
static void test_odd_arp(void)
{
    Packet p = arp_of(ARP_REPLY, GATEWAY4, GUEST4);

    p.bytes[ETH_HEADER_LEN + 7] = 9;        /* operation */
    g_assert_true(refuses(&p));
    p.bytes[ETH_HEADER_LEN + 1] = 6;        /* hardware: IEEE 802 */
    g_assert_true(refuses(&p));
    memset(p.bytes + ETH_HEADER_LEN + 8, 255, 6);
    g_assert_true(refuses(&p));
}

static void test_nd(void)
{
    static const struct {
        uint8_t type;
        const char *src, *target;
        bool refused;
    } rows[] = {
        { ND_NEIGHBOR_ADVERT, GUEST6, GATEWAY_LOCAL6, true },
        { ND_NEIGHBOR_ADVERT, GUEST6, GATEWAY6, true },
        { ND_NEIGHBOR_ADVERT, GATEWAY6, GUEST6, true },
        { ND_NEIGHBOR_ADVERT, GUEST6, GUEST6, false },
        { ND_NEIGHBOR_SOLICIT, GATEWAY_LOCAL6, GUEST6, true },
        { ND_NEIGHBOR_SOLICIT, GATEWAY6, GUEST6, true },
        { ND_NEIGHBOR_SOLICIT, GUEST6, GATEWAY_LOCAL6, false },
        { ND_NEIGHBOR_SOLICIT, "::", GATEWAY_LOCAL6, false },
        { ND_ROUTER_ADVERT, GATEWAY_LOCAL6, NULL, true },
        { ND_ROUTER_ADVERT, GUEST6, NULL, false },
        { ND_ROUTER_SOLICIT, GATEWAY_LOCAL6, NULL, true },
        { ND_REDIRECT, GATEWAY_LOCAL6, GUEST6, true },
        { ND_REDIRECT, GUEST6, GATEWAY_LOCAL6, false },
        { ICMP6_ECHO_REQUEST, GATEWAY6, NULL, true },
        { ICMP6_ECHO_REQUEST, GUEST6, NULL, false },
    };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(rows); i++) {
        Packet p = nd_of(rows[i].type, rows[i].src, rows[i].target);

        g_test_message("row %u", (unsigned)i);
        g_assert_true(refuses(&p) == rows[i].refused);
    }
}

/* Behind extension headers, also behind more than are walked. */
static void test_extensions(void)
{
    static const uint8_t types[] = {
        IPPROTO_DSTOPTS, IPPROTO_HOPOPTS, IPPROTO_ROUTING, IPPROTO_FRAGMENT,
    };
    Packet claim = nd_of(ND_NEIGHBOR_ADVERT, GUEST6, GATEWAY_LOCAL6);
    Packet own = nd_of(ND_NEIGHBOR_ADVERT, GUEST6, GUEST6);
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(types); i++) {
        Packet p = claim, q = own;

        g_test_message("type %u", types[i]);
        add_extension(&p, types[i], types[i] == IPPROTO_FRAGMENT ? 0 : 1);
        add_extension(&q, types[i], types[i] == IPPROTO_FRAGMENT ? 0 : 1);
        if (types[i] == IPPROTO_FRAGMENT) {     /* one that is a whole packet */
            p.bytes[ETH_HEADER_LEN + 43] = q.bytes[ETH_HEADER_LEN + 43] = 0;
        }
        g_assert_true(refuses(&p));
        g_assert_false(refuses(&q));
    }
    for (i = 1; i < 2 * IP6_EXT_MAX; i++) {
        add_extension(&claim, IPPROTO_DSTOPTS, 1);
        g_assert_true(refuses(&claim));
    }
    for (i = 0; i < IP6_EXT_MAX; i++) {
        add_extension(&own, IPPROTO_DSTOPTS, 1);
        g_assert_false(refuses(&own));
    }
}

/* Length 0 and hop-by-hop options without a jumbo payload: Linux takes it. */
static void test_no_length(void)
{
    Packet p = nd_of(ND_NEIGHBOR_ADVERT, GUEST6, GATEWAY_LOCAL6);

    add_extension(&p, IPPROTO_HOPOPTS, 1);
    p.bytes[ETH_HEADER_LEN + 5] = 0;
    g_assert_true(refuses(&p));
}

/* A routing header of type 0 that is done with: Linux steps over it. */
static void test_routing_type_0(void)
{
    Packet p = nd_of(ND_NEIGHBOR_ADVERT, GUEST6, GATEWAY_LOCAL6);

    add_extension(&p, IPPROTO_ROUTING, 0);
    g_assert_true(refuses(&p));
}

static void test_tags(void)
{
    static const struct {
        uint16_t type, tci;
        bool refused;
    } rows[] = {
        { ETH_TYPE_VLAN, VLAN(0, 0), true },
        { ETH_TYPE_VLAN, VLAN(0, 7), true },
        { TYPE_QINQ, VLAN(0, 3), true },
        { ETH_TYPE_VLAN, VLAN(1, 0), false },
        { ETH_TYPE_VLAN, VLAN(4095, 7), false },
        { TYPE_QINQ, VLAN(100, 0), false },
    };
    const Packet claims[] = {
        arp_of(ARP_REPLY, GATEWAY4, GUEST4),
        nd_of(ND_NEIGHBOR_ADVERT, GUEST6, GATEWAY6),
    };
    Packet own = arp_of(ARP_REPLY, GUEST4, OTHER4);
    size_t i, j;

    for (i = 0; i < G_N_ELEMENTS(claims); i++) {
        for (j = 0; j < G_N_ELEMENTS(rows); j++) {
            Packet p = claims[i];

            g_test_message("claim %u, tag %u", (unsigned)i, (unsigned)j);
            add_tag(&p, rows[j].type, rows[j].tci);
            g_assert_true(refuses(&p) == rows[j].refused);
            add_tag(&p, ETH_TYPE_VLAN, VLAN(0, 0));
            g_assert_true(refuses(&p) == rows[j].refused);
        }
    }
    add_tag(&own, ETH_TYPE_VLAN, VLAN(0, 5));
    g_assert_false(refuses(&own));
    for (i = 0; i < 100; i++) {         /* nobody sends that */
        add_tag(&own, ETH_TYPE_VLAN, VLAN(0, 0));
    }
    g_assert_true(refuses(&own));
}

/* Until the address is there, and on the wire whatever follows it. */
static void test_truncated(void)
{
    Packet arp = arp_of(ARP_REPLY, GATEWAY4, GUEST4);
    Packet na = nd_of(ND_NEIGHBOR_ADVERT, GUEST6, GATEWAY6);
    size_t len;

    for (len = ETH_HEADER_LEN; len < ARP_FRAME_LEN; len++) {
        arp.len = len;
        g_assert_false(refuses(&arp));
    }
    for (len = na.len; len-- > ETH_HEADER_LEN;) {
        na.len = len;
        g_assert_false(refuses(&na));
        na.bytes[ETH_HEADER_LEN + 5] = len > 54 ? len - 54 : 0;
        g_assert_false(refuses(&na));
    }
    arp = arp_of(ARP_REPLY, GATEWAY4, GUEST4);
    add_tag(&arp, ETH_TYPE_VLAN, VLAN(0, 0));
    for (len = ETH_HEADER_LEN; len < ARP_FRAME_LEN + ETH_VLAN_LEN; len++) {
        arp.len = len;
        g_assert_false(refuses(&arp));
    }
}

/* In the gateway's name nothing is right, whatever it is. */
static void test_source(void)
{
    static const struct {
        const char *src, *dst;
        bool refused;
    } rows[] = {
        { GATEWAY6, GUEST6, true },
        { GUEST6, GATEWAY6, false },
        { "192.168.107.1", "192.168.107.2", true },
        { "192.168.107.2", "192.168.107.1", false },
    };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(rows); i++) {
        IpHeaders head = headers(rows[i].src, rows[i].dst);
        Packet p = { 0 };

        g_test_message("row %u", (unsigned)i);
        head.proto = IPPROTO_UDP;
        p.len = ip_headers_build(p.bytes, &head, 8) + 8;
        g_assert_true(refuses(&p) == rows[i].refused);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/guard/arp", test_arp);
    g_test_add_func("/guard/arp-others-take", test_odd_arp);
    g_test_add_func("/guard/neighbour-discovery", test_nd);
    g_test_add_func("/guard/extension-headers", test_extensions);
    g_test_add_func("/guard/no-payload-length", test_no_length);
    g_test_add_func("/guard/routing-type-0", test_routing_type_0);
    g_test_add_func("/guard/tags", test_tags);
    g_test_add_func("/guard/truncated", test_truncated);
    g_test_add_func("/guard/source", test_source);
    return g_test_run();
}
