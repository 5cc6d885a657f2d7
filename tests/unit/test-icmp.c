/*
 * ICMP, ICMPv6 and neighbour discovery: what is built parses to the same,
 * and no prefix of it parses
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "proto-packet.h"

#include "proto/checksum.h"
#include "proto/cursor.h"
#include "proto/icmp6.h"
#include "proto/ndp.h"
#include "proto/udp.h"

static void check_icmp(const IpHeaders *h)
{
    bool v4 = h->src.family == AF_INET;
    uint8_t type = v4 ? ICMP_ECHO : ICMP6_ECHO_REQUEST;
    IcmpMessage icmp;
    Packet p;

    p.len = icmp_build(p.bytes, sizeof(p.bytes), h, type, 0, 0x12345678,
                       "ping!", 5);
    packet_parse(&p);
    g_assert_true(icmp_parse(&p.frame, &p.ip, &icmp));
    g_assert_cmpuint(icmp.type, ==, type);
    g_assert_cmphex(icmp_echo_id(&icmp), ==, 0x1234);
    g_assert_cmphex(icmp_echo_seq(&icmp), ==, 0x5678);
    g_assert_cmpuint(icmp.payload_len, ==, 5);
    g_assert_cmpmem(p.bytes + icmp.payload_off, 5, "ping!", 5);

    p.bytes[p.len - 1]++;
    g_assert_false(icmp_parse(&p.frame, &p.ip, &icmp));
    p.ip.l4_len = 7;
    g_assert_false(icmp_parse(&p.frame, &p.ip, &icmp));
    g_assert_cmpuint(icmp_build(p.bytes, 46, h, type, 0, 0, "ping!", 5), ==,
                     0);
}

static void test_icmp_echo(void)
{
    IpHeaders v4 = headers_v4(), v6 = headers_v6();

    check_icmp(&v4);
    check_icmp(&v6);
}

static void test_icmp_error_quotes(void)
{
    IpHeaders v4 = headers_v4(), back = headers("192.168.107.1",
                                                "192.168.107.2");
    static const uint8_t payload[1000] = { 7 };
    uint8_t buf[ICMP_ERROR_FRAME_MAX];
    IcmpMessage icmp;
    IcmpQuote quote;
    Packet p, e;

    p.len = udp_build(p.bytes, sizeof(p.bytes), &v4, 1234, 53, payload,
                      sizeof(payload));
    packet_parse(&p);
    g_assert_true(icmp_error_allowed(&p.frame, &p.ip));
    e.len = icmp_error_build(buf, &back, ICMP_DEST_UNREACH, ICMP_FRAG_NEEDED,
                             1400, &p.frame, &p.ip);
    g_assert_cmpuint(e.len, ==, 14 + 576);
    memcpy(e.bytes, buf, e.len);
    packet_parse(&e);
    g_assert_true(icmp_parse(&e.frame, &e.ip, &icmp));
    g_assert_cmpuint(icmp.rest, ==, 1400);
    g_assert_cmpuint(icmp.payload_len, ==, 548);
    g_assert_cmpmem(e.bytes + icmp.payload_off, 548, p.bytes + 14, 548);
    g_assert_true(icmp_quote_parse(&e.frame, &e.ip, &icmp, &quote));
    g_assert_true(ip_addr_equal(&quote.src, &v4.src));
    g_assert_true(ip_addr_equal(&quote.dst, &v4.dst));
    g_assert_cmpuint(quote.proto, ==, IPPROTO_UDP);
    g_assert_cmpuint(quote.sport, ==, 1234);
    g_assert_cmpuint(quote.dport, ==, 53);

    /* Never an error about an error */
    g_assert_false(icmp_error_allowed(&e.frame, &e.ip));

    for (icmp.payload_len = 0; icmp.payload_len < 28; icmp.payload_len++) {
        g_assert_false(icmp_quote_parse(&e.frame, &e.ip, &icmp, &quote));
    }
    g_assert_true(icmp_quote_parse(&e.frame, &e.ip, &icmp, &quote));
    e.bytes[icmp.payload_off + 7] = 1; /* a later fragment has no ports */
    g_assert_false(icmp_quote_parse(&e.frame, &e.ip, &icmp, &quote));
    icmp.type = ICMP_ECHO;
    g_assert_false(icmp_quote_parse(&e.frame, &e.ip, &icmp, &quote));
}

static void test_icmp6_error_quotes(void)
{
    IpHeaders v6 = headers_v6(), back = headers("fd00::1", "fd00::2");
    static const uint8_t payload[1500] = { 7 };
    uint8_t buf[ICMP6_ERROR_FRAME_MAX];
    IcmpMessage icmp;
    IcmpQuote quote;
    Packet p, e;

    p.len = icmp_build(p.bytes, sizeof(p.bytes), &v6, ICMP6_ECHO_REQUEST, 0,
                        0x00070008, payload, sizeof(payload));
    packet_parse(&p);
    g_assert_true(icmp6_error_allowed(&p.frame, &p.ip, ICMP6_PACKET_TOO_BIG,
                                      0));
    e.len = icmp_error_build(buf, &back, ICMP6_PACKET_TOO_BIG, 0, 1280,
                              &p.frame, &p.ip);
    g_assert_cmpuint(e.len, ==, 14 + 1280);
    memcpy(e.bytes, buf, e.len);
    packet_parse(&e);
    g_assert_true(icmp_parse(&e.frame, &e.ip, &icmp));
    g_assert_cmpuint(icmp.rest, ==, 1280);
    g_assert_true(icmp_quote_parse(&e.frame, &e.ip, &icmp, &quote));
    g_assert_true(ip_addr_equal(&quote.src, &v6.src));
    g_assert_cmpuint(quote.proto, ==, IPPROTO_ICMPV6);
    g_assert_cmpuint(quote.sport, ==, 7);
    g_assert_cmpuint(quote.seq, ==, 8);
    g_assert_false(icmp6_error_allowed(&e.frame, &e.ip, ICMP6_DST_UNREACH, 0));

    for (icmp.payload_len = 0; icmp.payload_len < 48; icmp.payload_len++) {
        g_assert_false(icmp_quote_parse(&e.frame, &e.ip, &icmp, &quote));
    }
}

static void test_icmp_error_allowed(void)
{
    static const struct {
        const char *src, *dst;
        bool allowed;
    } rows[] = {
        { "192.168.107.2", "10.0.0.1", true },
        { "192.168.107.2", "224.0.0.251", false },
        { "192.168.107.2", "255.255.255.255", false },
        { "0.0.0.0", "10.0.0.1", false },
        { "127.0.0.1", "10.0.0.1", false },
        { "224.0.0.1", "10.0.0.1", false },
        { "255.255.255.255", "10.0.0.1", false },
        { "fd00::2", "2001:db8::1", true },
        { "fd00::2", "ff02::1", false },
        { "::", "2001:db8::1", false },
        { "ff02::1", "2001:db8::1", false },
    };
    unsigned i;
    Packet p;

    for (i = 0; i < G_N_ELEMENTS(rows); i++) {
        IpHeaders h = headers(rows[i].src, rows[i].dst);

        g_test_message("%s > %s", rows[i].src, rows[i].dst);
        p.len = udp_build(p.bytes, sizeof(p.bytes), &h, 1, 2, "x", 1);
        packet_parse(&p);
        g_assert_true((icmp_error_allowed(&p.frame, &p.ip) ||
                       icmp6_error_allowed(&p.frame, &p.ip, ICMP6_DST_UNREACH,
                                           0)) == rows[i].allowed);
        p.ip.frag_off = 8;
        g_assert_false(icmp_error_allowed(&p.frame, &p.ip) ||
                       icmp6_error_allowed(&p.frame, &p.ip,
                                           ICMP6_PACKET_TOO_BIG, 0));
        p.ip.frag_off = 0;
        memset(p.ip.eth_dst.b, 0xff, 6);
        g_assert_false(icmp_error_allowed(&p.frame, &p.ip) ||
                       icmp6_error_allowed(&p.frame, &p.ip, ICMP6_DST_UNREACH,
                                           0));
    }
    /* Path MTU discovery works for groups, too. */
    {
        IpHeaders h = headers("fd00::2", "ff0e::5");

        p.len = udp_build(p.bytes, sizeof(p.bytes), &h, 1, 2, "x", 1);
        packet_parse(&p);
        g_assert_true(icmp6_error_allowed(&p.frame, &p.ip,
                                          ICMP6_PACKET_TOO_BIG, 0));
    }
}

static bool ndp_parse_packet(Packet *p, NdpMessage *ret_ndp)
{
    packet_parse(p);
    return ndp_parse(&p->frame, &p->ip, ret_ndp);
}

/* Fill in length and checksum again after a change. */
static void icmp6_resum(Packet *p)
{
    uint16_t check;
    uint32_t sum;

    writer_put_u16(p->bytes + 14 + 4, p->len - 54);
    packet_parse(p);
    writer_put_u16(p->bytes + 56, 0);
    sum = ip_pseudo_sum(&p->ip.src, &p->ip.dst, IPPROTO_ICMPV6, p->ip.l4_len);
    check = csum_fold(csum_add(sum, p->bytes + 54, p->ip.l4_len));
    memcpy(p->bytes + 56, &check, 2);
}

static void test_ndp_solicitation(void)
{
    struct in6_addr target = addr("fd00::1").v6;
    struct in6_addr group = ndp_solicited_node(&target);
    IpHeaders h = headers("fd00::2", "::");
    NdpMessage ndp;
    Packet p;

    p.len = ndp_ns_build(p.bytes, &h, &target);
    g_assert_cmpuint(p.len, ==, NDP_NEIGHBOUR_FRAME_LEN);
    g_assert_true(ndp_parse_packet(&p, &ndp));
    g_assert_cmpuint(ndp.type, ==, ND_NEIGHBOR_SOLICIT);
    g_assert_true(IN6_ARE_ADDR_EQUAL(&ndp.target, &target));
    g_assert_true(IN6_ARE_ADDR_EQUAL(&p.ip.dst.v6, &group));
    g_assert_cmpmem(p.ip.eth_dst.b, 6, "\x33\x33\xff\0\0\1", 6);
    g_assert_true(ndp.has_lladdr && mac_equal(&ndp.lladdr, &guest_mac));
    g_assert_false(ndp_is_dad(&p.ip, &ndp));

    /* Duplicate address detection */
    h.src = addr("::");
    p.len = ndp_ns_build(p.bytes, &h, &target);
    g_assert_true(ndp_parse_packet(&p, &ndp));
    g_assert_false(ndp.has_lladdr);
    g_assert_true(ndp_is_dad(&p.ip, &ndp));

    /* ... must be to the solicited-node group, and without a source option. */
    h.dst = addr("fd00::1");
    p.len = ndp_ns_build(p.bytes, &h, &target);
    g_assert_false(ndp_parse_packet(&p, &ndp));
    h.dst = addr("::");
    p.len = ndp_ns_build(p.bytes, &h, &target);
    memcpy(p.bytes + p.len, "\1\1\x52\x54\0\0\0\1", 8);
    p.len += 8;
    icmp6_resum(&p);
    g_assert_false(ndp_parse_packet(&p, &ndp));

    target = addr("ff02::5").v6;
    h = headers_v6();
    p.len = ndp_ns_build(p.bytes, &h, &target);
    g_assert_false(ndp_parse_packet(&p, &ndp));
}

static void test_ndp_advertisement(void)
{
    struct in6_addr target = addr("fd00::2").v6;
    IpHeaders h = headers_v6();
    NdpMessage ndp;
    Packet p;

    p.len = ndp_na_build(p.bytes, &h, &target,
                         NDP_NA_ROUTER | NDP_NA_SOLICITED);
    g_assert_cmpuint(p.len, ==, NDP_NEIGHBOUR_FRAME_LEN);
    g_assert_true(ndp_parse_packet(&p, &ndp));
    g_assert_cmpuint(ndp.type, ==, ND_NEIGHBOR_ADVERT);
    g_assert_cmphex(ndp.na_flags, ==, NDP_NA_ROUTER | NDP_NA_SOLICITED);
    g_assert_true(ndp.has_lladdr && mac_equal(&ndp.lladdr, &guest_mac));

    /* RFC 4861 7.1.2: nobody solicited what goes to all. */
    h.dst = addr("ff02::1");
    p.len = ndp_na_build(p.bytes, &h, &target, NDP_NA_SOLICITED);
    g_assert_false(ndp_parse_packet(&p, &ndp));
    p.len = ndp_na_build(p.bytes, &h, &target, NDP_NA_OVERRIDE);
    g_assert_true(ndp_parse_packet(&p, &ndp));
}

static void test_ndp_router(void)
{
    IpHeaders h = headers("fe80::1", "ff02::1");
    NdpRa ra = {
        .hop_limit = 64, .other = true, .preference = NDP_PREFERENCE_HIGH,
        .router_lifetime_s = 1800, .reachable_ms = 30000, .retrans_ms = 1000,
        .has_lladdr = true, .lladdr = gateway_mac, .mtu_bytes = 1500,
        .n_prefixes = 1, .n_routes = 1, .n_rdnss = 2,
        .prefixes = { { .prefix = addr("fd00::").v6, .len = 64,
                        .on_link = true, .autonomous = true,
                        .valid_s = UINT32_MAX, .preferred_s = 14400 } },
        .routes = { { .prefix = addr("fd01::").v6, .len = 48,
                      .preference = NDP_PREFERENCE_LOW, .lifetime_s = 60 } },
        .rdnss = { addr("fd00::1").v6, addr("fd00::2").v6 },
        .rdnss_s = 600, .dnssl_s = 700, .domain = "vmnet.internal",
    };
    NdpMessage ndp;
    size_t len;
    Packet p;

    p.len = ndp_ra_build(p.bytes, sizeof(p.bytes), &h, &ra);
    g_assert_true(ndp_parse_packet(&p, &ndp));
    g_assert_cmpuint(ndp.type, ==, ND_ROUTER_ADVERT);
    g_assert_cmpuint(ndp.ra.hop_limit, ==, 64);
    g_assert_true(ndp.ra.other && !ndp.ra.managed);
    g_assert_cmpint(ndp.ra.preference, ==, NDP_PREFERENCE_HIGH);
    g_assert_cmpuint(ndp.ra.router_lifetime_s, ==, 1800);
    g_assert_cmpuint(ndp.ra.reachable_ms, ==, 30000);
    g_assert_cmpuint(ndp.ra.retrans_ms, ==, 1000);
    g_assert_true(ndp.ra.has_lladdr &&
                  mac_equal(&ndp.ra.lladdr, &gateway_mac));
    g_assert_cmpuint(ndp.ra.mtu_bytes, ==, 1500);
    g_assert_cmpuint(ndp.ra.n_prefixes, ==, 1);
    g_assert_cmpuint(ndp.ra.prefixes[0].len, ==, 64);
    g_assert_true(ndp.ra.prefixes[0].on_link && ndp.ra.prefixes[0].autonomous);
    g_assert_cmpuint(ndp.ra.prefixes[0].valid_s, ==, UINT32_MAX);
    g_assert_cmpuint(ndp.ra.prefixes[0].preferred_s, ==, 14400);
    g_assert_cmpmem(&ndp.ra.prefixes[0].prefix, 16, &ra.prefixes[0].prefix, 16);
    g_assert_cmpuint(ndp.ra.n_routes, ==, 1);
    g_assert_cmpuint(ndp.ra.routes[0].len, ==, 48);
    g_assert_cmpint(ndp.ra.routes[0].preference, ==, NDP_PREFERENCE_LOW);
    g_assert_cmpmem(&ndp.ra.routes[0].prefix, 16, &ra.routes[0].prefix, 16);
    g_assert_cmpuint(ndp.ra.n_rdnss, ==, 2);
    g_assert_cmpmem(ndp.ra.rdnss, 32, ra.rdnss, 32);
    g_assert_cmpuint(ndp.ra.rdnss_s, ==, 600);
    g_assert_cmpuint(ndp.ra.dnssl_s, ==, 700);
    g_assert_cmpstr(ndp.ra.domain, ==, "vmnet.internal");

    for (len = 0; len < p.len; len++) {
        Packet q;

        g_assert_cmpuint(ndp_ra_build(q.bytes, len, &h, &ra), ==, 0);
    }
    h.src = addr("fd00::1"); /* RFC 4861 6.1.2: link-local only */
    p.len = ndp_ra_build(p.bytes, sizeof(p.bytes), &h, &ra);
    g_assert_false(ndp_parse_packet(&p, &ndp));
}

static void test_ndp_router_solicitation(void)
{
    IpHeaders h = headers("fe80::2", "::");
    NdpMessage ndp;
    Packet p;

    p.len = ndp_rs_build(p.bytes, sizeof(p.bytes), &h);
    g_assert_true(ndp_parse_packet(&p, &ndp));
    g_assert_cmpuint(ndp.type, ==, ND_ROUTER_SOLICIT);
    g_assert_true(ndp.has_lladdr && mac_equal(&ndp.lladdr, &guest_mac));

    h.src = addr("::");
    p.len = ndp_rs_build(p.bytes, sizeof(p.bytes), &h);
    g_assert_true(ndp_parse_packet(&p, &ndp));
    memcpy(p.bytes + p.len, "\1\1\x52\x54\0\0\0\1", 8);
    p.len += 8;
    icmp6_resum(&p);
    g_assert_false(ndp_parse_packet(&p, &ndp));
}

static void test_ndp_refused(void)
{
    static const struct {
        const char *what;
        uint8_t offset, value;
    } rows[] = {
        { "hop limit 254", 14 + 7, 254 },
        { "code", 55, 1 },
        { "option of length 0", 79, 0 },
        { "option past the end", 79, 2 },
        { "redirect", 54, ND_REDIRECT },
        { "not ND", 54, ICMP6_ECHO_REQUEST },
    };
    struct in6_addr target = addr("fd00::1").v6;
    IpHeaders h = headers_v6();
    NdpMessage ndp;
    unsigned i;
    size_t len;
    Packet p;

    for (i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_test_message("%s", rows[i].what);
        p.len = ndp_ns_build(p.bytes, &h, &target);
        g_assert_true(ndp_parse_packet(&p, &ndp));
        p.bytes[rows[i].offset] = rows[i].value;
        icmp6_resum(&p);
        g_assert_false(ndp_parse_packet(&p, &ndp));
    }
    p.len = ndp_ns_build(p.bytes, &h, &target);
    p.bytes[56]++;
    g_assert_false(ndp_parse_packet(&p, &ndp)); /* checksum */

    /* Each prefix: without the option it is whole, else it is refused. */
    for (len = 54; len < NDP_NEIGHBOUR_FRAME_LEN; len++) {
        ndp_ns_build(p.bytes, &h, &target);
        p.len = len;
        if (len > 54 + 4) {
            icmp6_resum(&p);
        } else {
            writer_put_u16(p.bytes + 18, len - 54);
        }
        g_assert_true(ndp_parse_packet(&p, &ndp) == (len == 54 + 24));
    }
}

static void test_ndp_addresses(void)
{
    struct in6_addr lla = ndp_link_local(&guest_mac);
    IpAddr want = addr("fe80::5054:ff:fe12:3456");
    IpAddr nodes = ip_addr_v6(&ndp_all_nodes);
    IpAddr routers = ip_addr_v6(&ndp_all_routers);
    char buf[IP_STRLEN];

    g_assert_cmpmem(&lla, 16, &want.v6, 16);
    g_assert_cmpstr(ip_addr_format(&nodes, buf), ==, "ff02::1");
    g_assert_cmpstr(ip_addr_format(&routers, buf), ==, "ff02::2");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/proto/icmp/echo", test_icmp_echo);
    g_test_add_func("/proto/icmp/error-quotes", test_icmp_error_quotes);
    g_test_add_func("/proto/icmp/error-allowed", test_icmp_error_allowed);
    g_test_add_func("/proto/icmp6/error-quotes", test_icmp6_error_quotes);
    g_test_add_func("/proto/ndp/solicitation", test_ndp_solicitation);
    g_test_add_func("/proto/ndp/advertisement", test_ndp_advertisement);
    g_test_add_func("/proto/ndp/router", test_ndp_router);
    g_test_add_func("/proto/ndp/router-solicitation",
                    test_ndp_router_solicitation);
    g_test_add_func("/proto/ndp/refused", test_ndp_refused);
    g_test_add_func("/proto/ndp/addresses", test_ndp_addresses);
    return g_test_run();
}
