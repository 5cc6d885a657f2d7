/*
 * IPv4 and IPv6 headers: right ones, and those that lie
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <glib.h>

#include "proto/checksum.h"
#include "proto/cursor.h"
#include "proto/eth.h"
#include "proto/ip.h"

#define L3 ETH_HEADER_LEN

typedef struct Packet {
    uint8_t bytes[2048];
    size_t len;
    struct iovec iov;
    Frame frame;
    IpPacket ip;
} Packet;

static IpAddr addr(const char *text)
{
    IpAddr ret = { 0 };

    g_assert_true(ip_addr_parse(text, &ret));
    return ret;
}

static IpHeaders headers_v4(void)
{
    return (IpHeaders){
        .eth_src = { { 2, 0, 0, 0, 0, 1 } },
        .eth_dst = { { 2, 0, 0, 0, 0, 2 } },
        .src = addr("192.168.107.2"),
        .dst = addr("192.168.107.1"),
        .proto = IPPROTO_UDP,
        .ttl = 63,
        .tos = 0xb8,
        .id = 0x1234,
    };
}

static IpHeaders headers_v6(void)
{
    IpHeaders headers = headers_v4();

    headers.src = addr("fd00::2");
    headers.dst = addr("fd00::1");
    return headers;
}

static IpParse parse(Packet *p)
{
    p->iov = (struct iovec){ p->bytes, p->len };
    frame_init(&p->frame, &p->iov, 1);
    return ip_packet_parse(&p->frame, &p->ip);
}

static void ipv4_resum(Packet *p)
{
    uint8_t *header = p->bytes + L3;
    uint16_t check;

    writer_put_u16(header + 10, 0);
    check = csum_fold(csum_add(0, header, (header[0] & 0xf) * 4));
    memcpy(header + 10, &check, sizeof(check));
}

static void packet_v4(Packet *p, size_t l4_len)
{
    IpHeaders headers = headers_v4();

    memset(p, 0, sizeof(*p));
    p->len = ip_headers_build(p->bytes, &headers, l4_len) + l4_len;
}

/* With @ext in front of 8 bytes of UDP; @next is the kind of its first. */
static void packet_v6(Packet *p, uint8_t next, const void *ext, size_t ext_len)
{
    IpHeaders headers = headers_v6();
    size_t len;

    memset(p, 0, sizeof(*p));
    headers.proto = next;
    len = ip_headers_build(p->bytes, &headers, ext_len + 8);
    memcpy(p->bytes + len, ext, ext_len);
    p->len = len + ext_len + 8;
}

static void test_v4_round_trip(void)
{
    IpHeaders headers = headers_v4();
    Packet p;

    packet_v4(&p, 100);
    p.len += 30; /* padding is not part of the packet */
    g_assert_cmpint(parse(&p), ==, IP_PARSE_OK);
    g_assert_true(ip_addr_equal(&p.ip.src, &headers.src));
    g_assert_true(ip_addr_equal(&p.ip.dst, &headers.dst));
    g_assert_true(mac_equal(&p.ip.eth_src, &headers.eth_src));
    g_assert_true(mac_equal(&p.ip.eth_dst, &headers.eth_dst));
    g_assert_cmpuint(p.ip.proto, ==, IPPROTO_UDP);
    g_assert_cmpuint(p.ip.ttl, ==, 63);
    g_assert_cmphex(p.ip.tos, ==, 0xb8);
    g_assert_cmphex(p.ip.frag_id, ==, 0x1234);
    g_assert_cmpuint(p.ip.l3_off, ==, 14);
    g_assert_cmpuint(p.ip.l4_off, ==, 34);
    g_assert_cmpuint(p.ip.l4_len, ==, 100);
    g_assert_false(p.ip.dont_fragment || p.ip.is_fragment || p.ip.has_vlan);
}

static void test_v6_round_trip(void)
{
    IpHeaders headers = headers_v6();
    Packet p;

    packet_v6(&p, IPPROTO_UDP, "", 0);
    p.len += 30;
    g_assert_cmpint(parse(&p), ==, IP_PARSE_OK);
    g_assert_true(ip_addr_equal(&p.ip.src, &headers.src));
    g_assert_true(ip_addr_equal(&p.ip.dst, &headers.dst));
    g_assert_cmpuint(p.ip.proto, ==, IPPROTO_UDP);
    g_assert_cmpuint(p.ip.ttl, ==, 63);
    g_assert_cmphex(p.ip.tos, ==, 0xb8);
    g_assert_cmpuint(p.ip.l4_off, ==, 54);
    g_assert_cmpuint(p.ip.l4_len, ==, 8);
    g_assert_true(p.ip.dont_fragment);
    g_assert_false(p.ip.is_fragment);
}

static void test_vlan_tag_is_kept(void)
{
    IpParse result;
    Packet p;

    packet_v4(&p, 8);
    memmove(p.bytes + 16, p.bytes + 12, p.len - 12);
    writer_put_u16(p.bytes + 12, ETH_TYPE_VLAN);
    writer_put_u16(p.bytes + 14, 0x6005);
    p.len += 4;
    g_assert_cmpint(parse(&p), ==, IP_PARSE_OK);
    g_assert_true(p.ip.has_vlan);
    g_assert_cmphex(p.ip.vlan_tci, ==, 0x6005);
    g_assert_cmpuint(p.ip.l4_off, ==, 38);

    /* A second tag is none of ours. */
    memmove(p.bytes + 16, p.bytes + 12, p.len - 12);
    p.len += 4;
    result = parse(&p);
    g_assert_cmpint(result, ==, IP_PARSE_NOT_IP);
}

static void test_not_ip(void)
{
    Packet p;

    packet_v4(&p, 8);
    writer_put_u16(p.bytes + 12, ETH_TYPE_ARP);
    g_assert_cmpint(parse(&p), ==, IP_PARSE_NOT_IP);
}

/* The headers in up to three pieces must parse as they do in one. */
static void test_scattered(void)
{
    uint8_t hop[8] = { IPPROTO_UDP, 0, 1, 4 };
    struct iovec iov[2];
    IpPacket ip;
    Frame frame;
    size_t cut;
    Packet p;

    packet_v6(&p, IPPROTO_HOPOPTS, hop, sizeof(hop));
    for (cut = 0; cut <= p.len; cut++) {
        iov[0] = (struct iovec){ p.bytes, cut };
        iov[1] = (struct iovec){ p.bytes + cut, p.len - cut };
        frame_init(&frame, iov, 2);
        g_assert_cmpint(ip_packet_parse(&frame, &ip), ==, IP_PARSE_OK);
        g_assert_cmpuint(ip.l4_off, ==, 62);
    }
}

static void check_prefixes(Packet *p)
{
    size_t len = p->len;

    g_assert_cmpint(parse(p), ==, IP_PARSE_OK);
    for (p->len = 0; p->len < len; p->len++) {
        g_autofree uint8_t *exact = g_memdup2(p->bytes, p->len);
        struct iovec iov = { exact, p->len };
        Frame frame;

        frame_init(&frame, &iov, 1);
        g_assert_cmpint(ip_packet_parse(&frame, &p->ip), ==,
                        IP_PARSE_MALFORMED);
    }
}

static void test_truncated_at_every_byte(void)
{
    static const uint8_t ext[] = {
        IPPROTO_DSTOPTS, 0, 1, 4, 0, 0, 0, 0,  /* hop by hop */
        IPPROTO_ROUTING, 1, 1, 12, 0, 0, 0, 0, /* destination options */
        0, 0, 0, 0, 0, 0, 0, 0,
        IPPROTO_AH, 0, 2, 0, 0, 0, 0, 0,       /* routing, none left */
        IPPROTO_FRAGMENT, 4, 0, 0, 0, 0, 0, 0, /* authentication */
        0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0,
        IPPROTO_UDP, 0, 0, 0, 0, 0, 0, 9,      /* atomic fragment */
    };
    Packet p;

    packet_v4(&p, 8);
    check_prefixes(&p);
    packet_v6(&p, IPPROTO_HOPOPTS, ext, sizeof(ext));
    check_prefixes(&p);
    packet_v6(&p, IPPROTO_HOPOPTS, ext, sizeof(ext));
    g_assert_cmpint(parse(&p), ==, IP_PARSE_OK);
    g_assert_cmpuint(p.ip.proto, ==, IPPROTO_UDP);
    g_assert_cmpuint(p.ip.l4_len, ==, 8);
    g_assert_false(p.ip.is_fragment);
}

static void test_v4_lies(void)
{
    static const struct {
        const char *what;
        uint8_t offset, value;
        IpParse result;
    } rows[] = {
        { "version 5", 0, 0x55, IP_PARSE_MALFORMED },
        { "header of 16", 0, 0x44, IP_PARSE_MALFORMED },
        { "header past the packet", 0, 0x4f, IP_PARSE_MALFORMED },
        { "length past the frame", 2, 9, IP_PARSE_MALFORMED },
        { "length below the header", 3, 19, IP_PARSE_MALFORMED },
        { "more fragments, not in blocks", 6, 0x20, IP_PARSE_MALFORMED },
        { "reserved flag", 6, 0x80, IP_PARSE_OK },
    };
    unsigned i;
    Packet p;

    for (i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_test_message("%s", rows[i].what);
        packet_v4(&p, 10);
        p.bytes[L3 + rows[i].offset] = rows[i].value;
        if ((p.bytes[L3] & 0xf) == 5) {
            ipv4_resum(&p);
        }
        g_assert_cmpint(parse(&p), ==, rows[i].result);
    }
    packet_v4(&p, 8);
    p.bytes[L3 + 8]--;
    g_assert_cmpint(parse(&p), ==, IP_PARSE_MALFORMED); /* checksum */
}

static void test_v4_options(void)
{
    static const struct {
        const char *what;
        uint8_t option[8];
        IpParse result;
    } rows[] = {
        { "no operation", { 1, 1, 1, 1, 1, 1, 1, 1 }, IP_PARSE_OK },
        { "end, then anything", { 0, 7, 0, 131, 3 }, IP_PARSE_OK },
        { "router alert", { 148, 4, 0, 0 }, IP_PARSE_OK },
        { "length 0", { 7, 0 }, IP_PARSE_MALFORMED },
        { "length 1", { 7, 1 }, IP_PARSE_MALFORMED },
        { "length past the header", { 7, 9 }, IP_PARSE_MALFORMED },
        { "no length", { 1, 1, 1, 1, 1, 1, 1, 7 }, IP_PARSE_MALFORMED },
        { "loose source route", { 131, 7, 4 }, IP_PARSE_UNSUPPORTED },
        { "strict source route", { 1, 137, 7, 4 }, IP_PARSE_UNSUPPORTED },
    };
    unsigned i;
    Packet p;

    for (i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_test_message("%s", rows[i].what);
        packet_v4(&p, 16);
        p.bytes[L3] = 0x47;
        memcpy(p.bytes + L3 + 20, rows[i].option, 8);
        ipv4_resum(&p);
        g_assert_cmpint(parse(&p), ==, rows[i].result);
        if (rows[i].result == IP_PARSE_OK) {
            g_assert_cmpuint(p.ip.l4_off, ==, 42);
            g_assert_cmpuint(p.ip.l4_len, ==, 8);
        }
    }
}

static void test_v4_fragments(void)
{
    Packet p;

    packet_v4(&p, 16);
    writer_put_u16(p.bytes + L3 + 6, 0x2000 | 3);
    ipv4_resum(&p);
    g_assert_cmpint(parse(&p), ==, IP_PARSE_OK);
    g_assert_true(p.ip.is_fragment && p.ip.more_fragments);
    g_assert_cmpuint(p.ip.frag_off, ==, 24);

    /* The last one may end anywhere, but not past 65,535. */
    packet_v4(&p, 7);
    writer_put_u16(p.bytes + L3 + 6, 0x1fff);
    ipv4_resum(&p);
    g_assert_cmpint(parse(&p), ==, IP_PARSE_MALFORMED);
    writer_put_u16(p.bytes + L3 + 6, 0x1ffc);
    ipv4_resum(&p);
    g_assert_cmpint(parse(&p), ==, IP_PARSE_OK);
    g_assert_cmpuint(p.ip.frag_off, ==, 65504);

    packet_v4(&p, 0);
    writer_put_u16(p.bytes + L3 + 6, 0x2000);
    ipv4_resum(&p);
    g_assert_cmpint(parse(&p), ==, IP_PARSE_MALFORMED); /* carries nothing */

    packet_v4(&p, 8);
    writer_put_u16(p.bytes + L3 + 6, 0x4000);
    ipv4_resum(&p);
    g_assert_cmpint(parse(&p), ==, IP_PARSE_OK);
    g_assert_true(p.ip.dont_fragment);
    g_assert_false(p.ip.is_fragment);
}

static void test_v6_fragments(void)
{
    uint8_t frag[8] = { IPPROTO_TCP, 0, 0, 0x19, 0xde, 0xad, 0xbe, 0xef };
    Packet p;

    packet_v6(&p, IPPROTO_FRAGMENT, frag, sizeof(frag));
    g_assert_cmpint(parse(&p), ==, IP_PARSE_OK);
    g_assert_true(p.ip.is_fragment && p.ip.more_fragments);
    g_assert_cmpuint(p.ip.frag_off, ==, 24);
    g_assert_cmphex(p.ip.frag_id, ==, 0xdeadbeef);
    g_assert_cmpuint(p.ip.proto, ==, IPPROTO_TCP);
    g_assert_cmpuint(p.ip.l4_off, ==, 62);
    g_assert_cmpuint(p.ip.l4_len, ==, 8);

    /* What is in a fragment is not looked at, even if it is a header. */
    frag[0] = IPPROTO_DSTOPTS;
    packet_v6(&p, IPPROTO_FRAGMENT, frag, sizeof(frag));
    g_assert_cmpint(parse(&p), ==, IP_PARSE_OK);
    g_assert_cmpuint(p.ip.proto, ==, IPPROTO_DSTOPTS);
    g_assert_cmpuint(p.ip.l4_off, ==, 62);

    frag[2] = 0xff;
    frag[3] = 0xf8;
    packet_v6(&p, IPPROTO_FRAGMENT, frag, sizeof(frag));
    g_assert_cmpint(parse(&p), ==, IP_PARSE_MALFORMED);
}

static void test_v6_refused(void)
{
    uint8_t routing[8] = { IPPROTO_UDP, 0, 0, 0 };
    uint8_t chain[8 * (IP6_EXT_MAX + 1)] = { 0 };
    uint8_t late[16] = { IPPROTO_HOPOPTS, 0, 1, 4, 0, 0, 0, 0, IPPROTO_UDP };
    unsigned i;
    Packet p;

    packet_v6(&p, IPPROTO_ROUTING, routing, sizeof(routing));
    g_assert_cmpint(parse(&p), ==, IP_PARSE_UNSUPPORTED); /* type 0 */
    routing[2] = 4;
    routing[3] = 1;
    packet_v6(&p, IPPROTO_ROUTING, routing, sizeof(routing));
    g_assert_cmpint(parse(&p), ==, IP_PARSE_UNSUPPORTED); /* segment left */

    packet_v6(&p, IPPROTO_DSTOPTS, late, sizeof(late));
    g_assert_cmpint(parse(&p), ==, IP_PARSE_UNSUPPORTED);

    for (i = 0; i <= IP6_EXT_MAX; i++) {
        chain[8 * i] = i < IP6_EXT_MAX ? IPPROTO_DSTOPTS : IPPROTO_UDP;
    }
    packet_v6(&p, IPPROTO_DSTOPTS, chain, sizeof(chain));
    g_assert_cmpint(parse(&p), ==, IP_PARSE_UNSUPPORTED);
    packet_v6(&p, IPPROTO_DSTOPTS, chain + 8, sizeof(chain) - 8);
    g_assert_cmpint(parse(&p), ==, IP_PARSE_OK);

    packet_v6(&p, IPPROTO_HOPOPTS, chain, 8);
    writer_put_u16(p.bytes + L3 + 4, 0);
    g_assert_cmpint(parse(&p), ==, IP_PARSE_UNSUPPORTED); /* jumbogram */

    packet_v6(&p, IPPROTO_UDP, "", 0);
    p.bytes[L3] = 0x45;
    g_assert_cmpint(parse(&p), ==, IP_PARSE_MALFORMED);
}

static void check_fragments_built(const IpHeaders *headers)
{
    size_t max = ip_fragment_payload_max(headers->src.family, 1500);
    size_t len;
    Packet p;

    g_assert_cmpuint(max % 8, ==, 0);
    memset(&p, 0, sizeof(p));
    len = ip_fragment_headers_build(p.bytes, headers, 77, max, true, max);
    g_assert_cmpuint(len, ==, ip_fragment_headers_len(headers->src.family));
    p.len = len + max;
    g_assert_cmpuint(p.len, <=, ETH_HEADER_LEN + 1500);
    g_assert_cmpuint(p.len, >, ETH_HEADER_LEN + 1500 - 8);
    g_assert_cmpint(parse(&p), ==, IP_PARSE_OK);
    g_assert_true(p.ip.more_fragments);
    g_assert_cmpuint(p.ip.frag_off, ==, max);
    g_assert_cmpuint(p.ip.frag_id, ==, 77);
    g_assert_cmpuint(p.ip.l4_len, ==, max);
    g_assert_cmpuint(p.ip.proto, ==, headers->proto);

    p.len = ip_fragment_headers_build(p.bytes, headers, 77, 2 * max, false, 5);
    p.len += 5;
    g_assert_cmpint(parse(&p), ==, IP_PARSE_OK);
    g_assert_true(p.ip.is_fragment && !p.ip.more_fragments);
    g_assert_cmpuint(p.ip.l4_len, ==, 5);
}

static void test_fragments_built(void)
{
    IpHeaders v4 = headers_v4(), v6 = headers_v6();

    check_fragments_built(&v4);
    check_fragments_built(&v6);
    g_assert_cmpuint(ip_fragment_payload_max(AF_INET, 0), ==, 8);
}

static void test_transport_checksum(void)
{
    IpHeaders headers = headers_v6();
    uint16_t check;
    Packet p;

    packet_v6(&p, IPPROTO_UDP, "", 0);
    memcpy(p.bytes + 54, "\x12\x34\0\x35\0\x08", 6);
    check = ip_checksum_partial(&headers.src, &headers.dst, IPPROTO_UDP, 8);
    memcpy(p.bytes + 60, &check, 2);
    g_assert_cmpint(parse(&p), ==, IP_PARSE_OK);
    g_assert_false(ip_checksum_ok(&p.frame, &p.ip));
    p.frame.vnet.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
    g_assert_true(ip_checksum_ok(&p.frame, &p.ip));

    /* What a receiver does with the partial one */
    check = csum_fold(csum_add(0, p.bytes + 54, 8));
    memcpy(p.bytes + 60, &check, 2);
    p.frame.vnet.flags = 0;
    g_assert_true(ip_checksum_ok(&p.frame, &p.ip));
    p.bytes[54] ^= 1;
    g_assert_false(ip_checksum_ok(&p.frame, &p.ip));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/ip/v4-round-trip", test_v4_round_trip);
    g_test_add_func("/ip/v6-round-trip", test_v6_round_trip);
    g_test_add_func("/ip/vlan-tag-is-kept", test_vlan_tag_is_kept);
    g_test_add_func("/ip/not-ip", test_not_ip);
    g_test_add_func("/ip/scattered", test_scattered);
    g_test_add_func("/ip/truncated-at-every-byte",
                    test_truncated_at_every_byte);
    g_test_add_func("/ip/v4-lies", test_v4_lies);
    g_test_add_func("/ip/v4-options", test_v4_options);
    g_test_add_func("/ip/v4-fragments", test_v4_fragments);
    g_test_add_func("/ip/v6-fragments", test_v6_fragments);
    g_test_add_func("/ip/v6-refused", test_v6_refused);
    g_test_add_func("/ip/fragments-built", test_fragments_built);
    g_test_add_func("/ip/transport-checksum", test_transport_checksum);
    return g_test_run();
}
