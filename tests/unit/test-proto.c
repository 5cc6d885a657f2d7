/*
 * Ethernet, ARP, UDP and TCP: what is built parses to the same,
 * and no prefix of it parses
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "proto-packet.h"

#include "proto/arp.h"
#include "proto/checksum.h"
#include "proto/cursor.h"
#include "proto/eth.h"
#include "proto/tcp.h"
#include "proto/udp.h"

static void test_eth(void)
{
    IpAddr v4 = addr("239.129.2.3"), v6 = addr("ff02::1:ff12:3456");
    uint8_t buf[18] = { 0 };
    struct iovec iov = { buf, 14 };
    MacAddr mac;
    EthHeader eth;
    Frame frame;

    g_assert_cmpuint(eth_build(buf, &gateway_mac, &guest_mac, ETH_TYPE_IPV6),
                     ==, 14);
    frame_init(&frame, &iov, 1);
    g_assert_true(eth_parse(&frame, &eth));
    g_assert_true(mac_equal(&eth.dst, &gateway_mac));
    g_assert_true(mac_equal(&eth.src, &guest_mac));
    g_assert_cmphex(eth.type, ==, ETH_TYPE_IPV6);
    g_assert_cmpuint(eth.payload_off, ==, 14);

    for (iov.iov_len = 0; iov.iov_len < 14; iov.iov_len++) {
        frame_init(&frame, &iov, 1);
        g_assert_false(eth_parse(&frame, &eth));
    }
    writer_put_u16(buf + 12, ETH_TYPE_VLAN);
    writer_put_u16(buf + 14, 0xe123);
    writer_put_u16(buf + 16, ETH_TYPE_ARP);
    for (iov.iov_len = 14; iov.iov_len < 18; iov.iov_len++) {
        frame_init(&frame, &iov, 1);
        g_assert_false(eth_parse(&frame, &eth));
    }
    frame_init(&frame, &iov, 1);
    g_assert_true(eth_parse(&frame, &eth));
    g_assert_true(eth.has_vlan);
    g_assert_cmphex(eth.vlan_tci, ==, 0xe123);
    g_assert_cmphex(eth.type, ==, ETH_TYPE_ARP);

    mac = eth_group_mac(&v4);
    g_assert_cmpmem(mac.b, 6, "\x01\x00\x5e\x01\x02\x03", 6);
    mac = eth_group_mac(&v6);
    g_assert_cmpmem(mac.b, 6, "\x33\x33\xff\x12\x34\x56", 6);
}

static void test_arp_round_trip(void)
{
    ArpPacket arp = {
        .op = ARP_REPLY, .sha = gateway_mac, .tha = guest_mac,
        .spa = 0xc0a86b01, .tpa = 0xc0a86b02,
    };
    uint8_t buf[ARP_FRAME_LEN + 18] = { 0 };
    ArpPacket got;
    size_t len;

    g_assert_cmpuint(arp_build(buf, &guest_mac, &arp), ==, 42);
    g_assert_cmpmem(buf, 14, "\x52\x54\x00\x12\x34\x56\x52\x54\0\0\0\1\x08\x06",
                    14);
    g_assert_true(arp_parse(buf + 14, sizeof(buf) - 14, &got));
    g_assert_cmpint(got.op, ==, ARP_REPLY);
    g_assert_true(mac_equal(&got.sha, &gateway_mac));
    g_assert_true(mac_equal(&got.tha, &guest_mac));
    g_assert_cmphex(got.spa, ==, 0xc0a86b01);
    g_assert_cmphex(got.tpa, ==, 0xc0a86b02);
    for (len = 0; len < ARP_PACKET_LEN; len++) {
        g_autofree uint8_t *exact = g_memdup2(buf + 14, len);

        g_assert_false(arp_parse(exact, len, &got));
    }
}

static void test_arp_refused(void)
{
    static const struct {
        const char *what;
        uint8_t offset, value;
    } rows[] = {
        { "hardware", 1, 6 },      { "protocol", 2, 0x86 },
        { "hardware length", 4, 8 }, { "protocol length", 5, 16 },
        { "operation", 7, 3 },     { "group sender", 8, 0x53 },
    };
    ArpPacket arp = {
        .op = ARP_REQUEST, .sha = guest_mac, .spa = 1, .tpa = 0xc0a86b02,
    };
    uint8_t buf[ARP_FRAME_LEN];
    ArpPacket got;
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_test_message("%s", rows[i].what);
        arp_build(buf, &gateway_mac, &arp);
        g_assert_true(arp_parse(buf + 14, ARP_PACKET_LEN, &got));
        buf[14 + rows[i].offset] = rows[i].value;
        g_assert_false(arp_parse(buf + 14, ARP_PACKET_LEN, &got));
    }
    /* Nobody may ask from nowhere, except to probe (RFC 5227). */
    arp.spa = 0;
    arp_build(buf, &gateway_mac, &arp);
    g_assert_true(arp_parse(buf + 14, ARP_PACKET_LEN, &got));
    arp.op = ARP_REPLY;
    arp_build(buf, &gateway_mac, &arp);
    g_assert_false(arp_parse(buf + 14, ARP_PACKET_LEN, &got));
}

static void check_udp(const IpHeaders *h)
{
    size_t l3_len = ip_headers_len(h->src.family);
    UdpDatagram udp;
    Packet p;

    p.len = udp_build(p.bytes, sizeof(p.bytes), h, 1234, 53, "hello", 5);
    g_assert_cmpuint(p.len, ==, l3_len + 8 + 5);
    packet_parse(&p);
    g_assert_true(udp_parse(&p.frame, &p.ip, &udp));
    g_assert_cmpuint(udp.sport, ==, 1234);
    g_assert_cmpuint(udp.dport, ==, 53);
    g_assert_cmpuint(udp.payload_len, ==, 5);
    g_assert_cmpmem(p.bytes + udp.payload_off, 5, "hello", 5);

    p.bytes[p.len - 1] ^= 1;
    g_assert_false(udp_parse(&p.frame, &p.ip, &udp));
    p.frame.vnet.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
    g_assert_true(udp_parse(&p.frame, &p.ip, &udp));
    p.frame.vnet.flags = 0;

    /* No checksum */
    writer_put_u16(p.bytes + l3_len + 6, 0);
    g_assert_true(udp_parse(&p.frame, &p.ip, &udp) ==
                  (h->src.family == AF_INET));
    /* Lengths: of less than a header, and of more than IP carries */
    writer_put_u16(p.bytes + l3_len + 4, 7);
    g_assert_false(udp_parse(&p.frame, &p.ip, &udp));
    writer_put_u16(p.bytes + l3_len + 4, 14);
    g_assert_false(udp_parse(&p.frame, &p.ip, &udp));
}

static void test_udp(void)
{
    IpHeaders v4 = headers_v4(), v6 = headers_v6();
    static uint8_t big[66000];
    UdpDatagram udp;
    Packet p;

    check_udp(&v4);
    check_udp(&v6);

    p.len = udp_build(p.bytes, sizeof(p.bytes), &v4, 1, 2, "", 0);
    packet_parse(&p);
    g_assert_true(udp_parse(&p.frame, &p.ip, &udp));
    g_assert_cmpuint(udp.payload_len, ==, 0);
    p.ip.l4_len = 7;
    g_assert_false(udp_parse(&p.frame, &p.ip, &udp));

    g_assert_cmpuint(udp_build(big, sizeof(big), &v4, 1, 2, big, 65507), >, 0);
    g_assert_cmpuint(udp_build(big, sizeof(big), &v4, 1, 2, big, 65508), ==, 0);
    g_assert_cmpuint(udp_build(big, 40, &v4, 1, 2, big, 0), ==, 0);
    g_assert_cmpuint(udp_build(big, 46, &v4, 1, 2, big, 5), ==, 0);
}

/* The word that brings the sum to 0 must go out as 0xffff (RFC 768). */
static void test_udp_checksum_is_never_zero(void)
{
    IpHeaders v4 = headers_v4();
    UdpDatagram udp;
    uint16_t check;
    Packet p;

    p.len = udp_build(p.bytes, sizeof(p.bytes), &v4, 1, 2, "\0\0", 2);
    memcpy(&check, p.bytes + 40, 2);
    p.len = udp_build(p.bytes, sizeof(p.bytes), &v4, 1, 2, &check, 2);
    g_assert_cmpmem(p.bytes + 40, 2, "\xff\xff", 2);
    packet_parse(&p);
    g_assert_true(udp_parse(&p.frame, &p.ip, &udp));
}

static void test_udp_in_pieces(void)
{
    IpHeaders v6 = headers_v6();
    uint8_t payload[100];
    struct iovec iov[2];
    UdpDatagram udp;
    size_t cut;
    Packet p;

    memset(payload, 0x5a, sizeof(payload));
    for (cut = 0; cut <= sizeof(payload); cut++) {
        iov[0] = (struct iovec){ payload, cut };
        iov[1] = (struct iovec){ payload + cut, sizeof(payload) - cut };
        p.len = udp_headers_build(p.bytes, &v6, 1, 2, iov, 2, sizeof(payload));
        memcpy(p.bytes + p.len, payload, sizeof(payload));
        p.len += sizeof(payload);
        packet_parse(&p);
        g_assert_true(udp_parse(&p.frame, &p.ip, &udp));
    }
}

static void check_tcp(const IpHeaders *h, bool partial)
{
    TcpHeader syn = {
        .sport = 40000, .dport = 80, .seq = 0xdeadbeef, .ack = 0x01020304,
        .flags = TCP_SYN | TCP_ACK, .window = 0xfffe, .urgent = 3,
        .mss = 1460, .has_wscale = true, .wscale = 7, .sack_permitted = true,
        .has_timestamp = true, .ts_value = 99, .ts_echo = 98,
    };
    static const char data[] = "odd";
    uint32_t sum = csum_add(0, data, 3);
    TcpHeader got;
    uint16_t check;
    Packet p;

    p.len = tcp_headers_build(p.bytes, h, &syn, 3, sum, partial);
    memcpy(p.bytes + p.len, data, 3);
    p.len += 3;
    packet_parse(&p);
    g_assert_true(tcp_parse(&p.frame, &p.ip, &got));
    g_assert_cmpuint(got.sport, ==, 40000);
    g_assert_cmpuint(got.dport, ==, 80);
    g_assert_cmphex(got.seq, ==, 0xdeadbeef);
    g_assert_cmphex(got.ack, ==, 0x01020304);
    g_assert_cmphex(got.flags, ==, TCP_SYN | TCP_ACK);
    g_assert_cmpuint(got.window, ==, 0xfffe);
    g_assert_cmpuint(got.urgent, ==, 3);
    g_assert_cmpuint(got.mss, ==, 1460);
    g_assert_true(got.has_wscale && got.sack_permitted && got.has_timestamp);
    g_assert_cmpuint(got.wscale, ==, 7);
    g_assert_cmpuint(got.ts_value, ==, 99);
    g_assert_cmpuint(got.ts_echo, ==, 98);
    g_assert_cmpuint(got.data_off, ==, 44);
    g_assert_cmpuint(got.payload_len, ==, 3);
    g_assert_cmpmem(p.bytes + got.payload_off, 3, "odd", 3);

    if (partial) {
        g_assert_false(tcp_checksum_ok(&p.frame, &p.ip));
        check = csum_fold(csum_add(0, p.bytes + p.ip.l4_off, p.ip.l4_len));
        memcpy(p.bytes + p.ip.l4_off + TCP_CHECKSUM_OFFSET, &check, 2);
    }
    g_assert_true(tcp_checksum_ok(&p.frame, &p.ip));
}

static void check_tcp_sack(const IpHeaders *h)
{
    TcpHeader ack = {
        .flags = TCP_ACK, .n_sack = 4,
        .sack = { { 1, 2 }, { 0xfffffff0, 3 }, { 9, 5 }, { 7, 0xdeadbeef } },
    };
    TcpHeader got;
    Packet p;

    p.len = tcp_headers_build(p.bytes, h, &ack, 0, 0, false);
    packet_parse(&p);
    g_assert_true(tcp_parse(&p.frame, &p.ip, &got));
    g_assert_cmpuint(got.data_off, ==, 56);
    g_assert_cmpmem(got.sack, got.n_sack * sizeof(TcpBlock), ack.sack,
                    sizeof(ack.sack));
    g_assert_true(tcp_checksum_ok(&p.frame, &p.ip));
}

static void test_tcp_round_trip(void)
{
    IpHeaders v4 = headers_v4(), v6 = headers_v6();

    check_tcp(&v4, false);
    check_tcp(&v4, true);
    check_tcp(&v6, false);
    check_tcp(&v6, true);
    check_tcp_sack(&v4);
    check_tcp_sack(&v6);
}

static bool tcp_parse_bytes(const uint8_t *bytes, size_t len, TcpHeader *ret)
{
    g_autofree uint8_t *exact = g_memdup2(bytes, len);
    struct iovec iov = { exact, len };
    IpPacket ip = { .proto = IPPROTO_TCP, .l4_len = len };
    Frame frame;

    frame_init(&frame, &iov, 1);
    return tcp_parse(&frame, &ip, ret);
}

static void test_tcp_options_that_lie(void)
{
    static const struct {
        const char *what;
        uint8_t options[8];
        uint16_t mss;
        bool has_wscale;
    } rows[] = {
        { "length 0", { 2, 4, 5, 0xb4, 3, 0 }, 1460, false },
        { "length 1", { 2, 4, 5, 0xb4, 3, 1 }, 1460, false },
        { "past the end", { 2, 4, 5, 0xb4, 3, 5, 7 }, 1460, false },
        { "wrong length", { 2, 3, 5, 3, 3, 7, 0 }, 0, true },
        { "no length", { 1, 1, 1, 1, 1, 1, 1, 2 }, 0, false },
        { "end first", { 0, 2, 4, 5, 0xb4, 3, 3, 7 }, 0, false },
        { "unknown", { 30, 3, 9, 3, 3, 20, 0 }, 0, true },
    };
    TcpHeader syn = { .flags = TCP_SYN }, got;
    uint8_t buf[TCP_HEADER_MAX];
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_test_message("%s", rows[i].what);
        tcp_header_build(buf, &syn);
        memcpy(buf + 20, rows[i].options, 8);
        buf[12] = 7 << 4;
        g_assert_true(tcp_parse_bytes(buf, 28, &got));
        g_assert_cmpuint(got.mss, ==, rows[i].mss);
        g_assert_true(got.has_wscale == rows[i].has_wscale);
        g_assert_cmpuint(got.wscale, <=, TCP_WSCALE_MAX);
    }
    /* Options of a SYN mean nothing later. */
    buf[13] = TCP_ACK;
    g_assert_true(tcp_parse_bytes(buf, 28, &got));
    g_assert_false(got.has_wscale);
}

static void test_tcp_truncated(void)
{
    TcpHeader syn = { .flags = TCP_SYN, .mss = 1460 }, got;
    uint8_t buf[TCP_HEADER_MAX];
    size_t header_len = tcp_header_build(buf, &syn), len;

    for (len = 0; len < header_len; len++) {
        g_assert_false(tcp_parse_bytes(buf, len, &got));
    }
    g_assert_true(tcp_parse_bytes(buf, header_len, &got));
    buf[12] = 4 << 4;
    g_assert_false(tcp_parse_bytes(buf, header_len, &got));
    buf[12] = 15 << 4;
    g_assert_false(tcp_parse_bytes(buf, header_len, &got));
}

static void test_tcp_sequence_numbers(void)
{
    g_assert_true(tcp_seq_lt(1, 2));
    g_assert_true(tcp_seq_lt(0xfffffff0, 5));
    g_assert_false(tcp_seq_lt(5, 0xfffffff0));
    g_assert_true(tcp_seq_gt(5, 0xfffffff0));
    g_assert_true(tcp_seq_leq(7, 7) && tcp_seq_geq(7, 7));
    g_assert_false(tcp_seq_lt(7, 7) || tcp_seq_gt(7, 7));
    g_assert_cmpint(tcp_seq_diff(5, 0xfffffffb), ==, 10);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/proto/eth", test_eth);
    g_test_add_func("/proto/arp/round-trip", test_arp_round_trip);
    g_test_add_func("/proto/arp/refused", test_arp_refused);
    g_test_add_func("/proto/udp/round-trip", test_udp);
    g_test_add_func("/proto/udp/checksum-is-never-zero",
                    test_udp_checksum_is_never_zero);
    g_test_add_func("/proto/udp/in-pieces", test_udp_in_pieces);
    g_test_add_func("/proto/tcp/round-trip", test_tcp_round_trip);
    g_test_add_func("/proto/tcp/options-that-lie", test_tcp_options_that_lie);
    g_test_add_func("/proto/tcp/truncated", test_tcp_truncated);
    g_test_add_func("/proto/tcp/sequence-numbers", test_tcp_sequence_numbers);
    return g_test_run();
}
