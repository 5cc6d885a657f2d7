/*
 * The DNS proxy and the local zone: queries in, answers out
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "dns-names.h"
#include "gateway-harness.h"
#include "limits.h"

#define GUEST ip_addr_v4(NET(99))

static size_t build_query(uint8_t *buf, size_t size, uint16_t id,
                          const char *name, DnsType type, uint16_t udp_size)
{
    DnsName qname = name_of(name);
    size_t len = dns_query_build(buf, size, id, &qname, type, udp_size);

    g_assert_cmpuint(len, >, 0);
    return len;
}

/* Guest @n asks over UDP. */
static void send_query(Harness *h, unsigned n, uint16_t id, const char *name,
                       DnsType type, uint16_t udp_size)
{
    uint8_t buf[600];
    size_t len = build_query(buf, sizeof(buf), id, name, type, udp_size);

    harness_udp(h, n, ip_addr_v4(NET(98 + n)), ip_addr_v4(GATEWAY4), 5353 + n,
                53, buf, len);
}

/* The answer that came out, which is the only frame. */
static DnsMessage answer(Harness *h, const uint8_t **ret_msg, size_t *ret_len)
{
    UdpDatagram udp = harness_out_udp(h, 0);
    DnsMessage reply;

    g_assert_cmpuint(h->out->len, ==, 1);
    g_assert_cmpuint(udp.sport, ==, 53);
    *ret_msg = harness_out(h, 0)->data + udp.payload_off;
    *ret_len = udp.payload_len;
    g_assert_true(dns_parse(*ret_msg, *ret_len, &reply));
    g_assert_true(reply.header.flags & DNS_FLAG_QR);
    return reply;
}

/* Asks, and returns rcode and the answers as text, joined by commas. */
static DnsRcode ask(Harness *h, const char *name, DnsType type,
                    char **ret_answers)
{
    GString *text = g_string_new(NULL);
    const uint8_t *msg;
    DnsMessage reply;
    DnsRecord rr;
    DnsWalk walk;
    size_t len;

    send_query(h, 1, 0x4242, name, type, 1232);
    reply = answer(h, &msg, &len);
    g_assert_cmphex(reply.header.id, ==, 0x4242);
    for (dns_walk_begin(&walk, msg, len); dns_walk_next(&walk, &rr);) {
        char buf[DNS_NAME_STRLEN];
        struct in6_addr v6;
        DnsName target;
        IpAddr addr;
        Cursor c;

        if (rr.section != DNS_SECTION_ANSWER) {
            continue;
        }
        if (text->len > 0) {
            g_string_append_c(text, ',');
        }
        if (rr.type == DNS_TYPE_PTR) {
            c = walk.c;
            c.p = msg + rr.rdata_off;
            g_assert_true(dns_name_read(&c, msg, &target));
            g_string_append(text, dns_name_to_text(&target, buf));
        } else if (rr.type == DNS_TYPE_A || rr.type == DNS_TYPE_AAAA) {
            if (rr.type == DNS_TYPE_A) {
                c = cursor_new(msg + rr.rdata_off, 4);
                addr = ip_addr_v4(cursor_u32(&c));
            } else {
                memcpy(&v6, msg + rr.rdata_off, 16);
                addr = ip_addr_v6(&v6);
            }
            g_string_append(text, ip_addr_format(&addr, buf));
        } else {
            g_string_append_printf(text, "type %u", rr.type);
        }
    }
    g_assert_false(walk.c.error);
    *ret_answers = g_string_free(text, FALSE);
    return dns_rcode(reply.header.flags);
}

static void assert_answer(Harness *h, const char *name, DnsType type,
                          DnsRcode rcode, const char *answers)
{
    g_autofree char *text = NULL;

    g_assert_cmpint(ask(h, name, type, &text), ==, rcode);
    g_assert_cmpstr(text, ==, answers);
    g_assert_cmpuint(h->n_queries, ==, 0);
}

/* The zone */

static void test_host_and_gateway_are_the_router(void)
{
    g_autoptr(Harness) h = harness_new_shared();

    assert_answer(h, "host.vmnet.internal", DNS_TYPE_A, DNS_RCODE_NOERROR,
                  "192.168.107.1");
    assert_answer(h, "HOST.VmNet.Internal", DNS_TYPE_A, DNS_RCODE_NOERROR,
                  "192.168.107.1");
    assert_answer(h, "gateway.vmnet.internal", DNS_TYPE_AAAA,
                  DNS_RCODE_NOERROR, "fd00:1:2:3::1");
    assert_answer(h, "gateway.vmnet.internal", DNS_TYPE_MX,
                  DNS_RCODE_NOERROR, "");
}

static void test_guest_is_found_by_its_host_name(void)
{
    g_autoptr(Harness) h = harness_new_shared();
    char addr[IP_STRLEN];
    IpAddr ip;

    assert_answer(h, "web.vmnet.internal", DNS_TYPE_A, DNS_RCODE_NXDOMAIN, "");
    ip = ip_addr_v4(harness_lease(h, (HarnessDhcp) { .guest = 7,
                                  .hostname = "Web" }));
    assert_answer(h, "web.vmnet.internal", DNS_TYPE_A, DNS_RCODE_NOERROR,
                  ip_addr_format(&ip, addr));
    assert_answer(h, "web.vmnet.internal", DNS_TYPE_AAAA, DNS_RCODE_NOERROR,
                  "");
    assert_answer(h, "x.web.vmnet.internal", DNS_TYPE_A, DNS_RCODE_NXDOMAIN,
                  "");
    /* Its lease ends, its name goes. */
    harness_run(h, 3700 * 1000);
    assert_answer(h, "web.vmnet.internal", DNS_TYPE_A, DNS_RCODE_NXDOMAIN, "");
}

static void test_ipv6_addresses_are_those_seen_on_port_and_mac(void)
{
    g_autoptr(Harness) h = harness_new_shared();
    IpAddr outside = harness_ip6("2001:db8::1");

    harness_lease(h, (HarnessDhcp) { .guest = 7, .hostname = "web" });
    harness_udp(h, 7, harness_ip6("fd00:1:2:3::77"), outside, 1, 2, "", 0);
    harness_udp(h, 8, harness_ip6("fd00:1:2:3::88"), outside, 1, 2, "", 0);
    harness_udp(h, 7, harness_ip6("fe80::77"), harness_ip6("fe80::1"), 1, 2,
                "", 0);
    assert_answer(h, "web.vmnet.internal", DNS_TYPE_AAAA, DNS_RCODE_NOERROR,
                  "fd00:1:2:3::77");
}

static void test_addresses_have_names(void)
{
    g_autoptr(Harness) h = harness_new_shared();
    char text[DNS_NAME_STRLEN];
    DnsName name;
    IpAddr ip;

    ip = ip_addr_v4(harness_lease(h, (HarnessDhcp) { .guest = 7,
                                  .hostname = "web" }));
    dns_reverse_name(&ip, &name);
    assert_answer(h, dns_name_to_text(&name, text), DNS_TYPE_PTR,
                  DNS_RCODE_NOERROR, "web.vmnet.internal");
    assert_answer(h, "1.107.168.192.in-addr.arpa", DNS_TYPE_PTR,
                  DNS_RCODE_NOERROR, "gateway.vmnet.internal");
    assert_answer(h, "200.107.168.192.in-addr.arpa", DNS_TYPE_PTR,
                  DNS_RCODE_NXDOMAIN, "");
    ip = harness_ip6("fd00:1:2:3::77");
    harness_udp(h, 7, ip, harness_ip6("2001:db8::1"), 1, 2, "", 0);
    dns_reverse_name(&ip, &name);
    assert_answer(h, dns_name_to_text(&name, text), DNS_TYPE_PTR,
                  DNS_RCODE_NOERROR, "web.vmnet.internal");
}

static void test_negative_answers_carry_the_soa(void)
{
    static const struct {
        const char *name, *zone;
    } rows[] = {
        { "nobody.vmnet.internal", "vmnet.internal" },
        { "vmnet.internal", "vmnet.internal" },
        { "9.107.168.192.in-addr.arpa", "107.168.192.in-addr.arpa" },
    };
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(Harness) h = harness_new_shared();
        DnsName zone = name_of(rows[i].zone);
        const uint8_t *msg;
        unsigned n = 0;
        DnsRecord rr;
        DnsWalk walk;
        size_t len;
        uint32_t ttl_s;

        send_query(h, 1, 1, rows[i].name, DNS_TYPE_TXT, 0);
        g_assert_true(answer(h, &msg, &len).header.flags & DNS_FLAG_AA);
        for (dns_walk_begin(&walk, msg, len); dns_walk_next(&walk, &rr);) {
            g_assert_cmpint(rr.section, ==, DNS_SECTION_AUTHORITY);
            g_assert_cmpint(rr.type, ==, DNS_TYPE_SOA);
            g_assert_true(dns_name_equal(&rr.name, &zone));
            n++;
        }
        g_assert_cmpuint(n, ==, 1);
        g_assert_true(dns_min_ttl(msg, len, &ttl_s));
        g_assert_cmpuint(ttl_s, <=, 60);
    }
}

static void test_special_names_stay_here(void)
{
    g_autoptr(Harness) h = harness_new_shared();

    assert_answer(h, "localhost", DNS_TYPE_A, DNS_RCODE_NOERROR, "127.0.0.1");
    assert_answer(h, "x.localhost", DNS_TYPE_AAAA, DNS_RCODE_NOERROR, "::1");
    assert_answer(h, "a.invalid", DNS_TYPE_A, DNS_RCODE_NXDOMAIN, "");
    assert_answer(h, "a.onion", DNS_TYPE_A, DNS_RCODE_NXDOMAIN, "");
    assert_answer(h, "1.0.0.127.in-addr.arpa", DNS_TYPE_PTR,
                  DNS_RCODE_NOERROR, "localhost");
}

static void test_zone_is_answered_over_ipv6_and_link_local(void)
{
    static const char *const pairs[][2] = {
        { "fd00:1:2:3::99", "fd00:1:2:3::1" }, { "fe80::99", "fe80::1" },
    };
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(pairs); i++) {
        g_autoptr(Harness) h = harness_new_shared();
        IpAddr own = harness_ip6(pairs[i][1]);
        const uint8_t *msg;
        uint8_t buf[200];
        size_t len = build_query(buf, sizeof(buf), 7, "host.vmnet.internal",
                                 DNS_TYPE_A, 0);

        harness_udp(h, 1, harness_ip6(pairs[i][0]), own, 1000, 53, buf, len);
        g_assert_cmpuint(answer(h, &msg, &len).header.n_answers, ==, 1);
        g_assert_true(ip_addr_equal(&harness_out(h, 0)->ip.src, &own));
        g_assert_cmpuint(harness_out_udp(h, 0).dport, ==, 1000);
    }
}

/* The outside */

/* What a resolver would say to the query that the uplink got. */
static size_t upstream_reply(Harness *h, uint8_t *buf, size_t size, unsigned n)
{
    IpAddr addr = ip_addr_v4(0xc6336407);
    DnsMessage query;
    DnsBuilder b;

    g_assert_true(dns_parse(h->query, h->query_len, &query));
    dns_reply_begin(&b, buf, size, &query, DNS_FLAG_RA | DNS_FLAG_AD,
                    DNS_RCODE_NOERROR, 1400);
    while (n-- > 0) {
        dns_add_addr(&b, DNS_SECTION_ANSWER, NULL, 300, &addr);
    }
    return dns_reply_finish(&b);
}

static void test_query_for_the_outside_passes_unchanged(void)
{
    g_autoptr(Harness) h = harness_new_shared();
    uint8_t sent[200], buf[600];
    size_t len = build_query(sent, sizeof(sent), 0x7777, "example.org",
                             DNS_TYPE_A, 4096);
    const uint8_t *msg;
    DnsMessage reply;

    sent[3] |= DNS_FLAG_CD; /* flags, too */
    harness_udp(h, 1, GUEST, ip_addr_v4(GATEWAY4), 1000, 53, sent, len);
    g_assert_cmpuint(h->n_queries, ==, 1);
    g_assert_cmpuint(h->out->len, ==, 0);
    g_assert_cmpmem(h->query, h->query_len, sent, len);

    len = upstream_reply(h, buf, sizeof(buf), 3);
    dns_set_id(buf, 0x1111); /* the resolver's own */
    gateway_dns_reply(h->gw, h->token, buf, len, h->now_ms);
    reply = answer(h, &msg, &len);
    g_assert_cmphex(reply.header.id, ==, 0x7777);
    g_assert_cmpuint(reply.header.n_answers, ==, 3);
    g_assert_true(reply.header.flags & DNS_FLAG_AD);
    g_assert_true(reply.edns.present);
    g_assert_cmpuint(reply.edns.udp_size, ==, 1400);
    /* The token is used up. */
    harness_clear(h);
    gateway_dns_reply(h->gw, h->token, buf, len, h->now_ms);
    g_assert_cmpuint(h->out->len, ==, 0);
}

static void test_answer_to_another_question_is_servfail(void)
{
    g_autoptr(Harness) h = harness_new_shared();
    const uint8_t *msg;
    uint8_t buf[600];
    size_t len;

    send_query(h, 1, 1, "example.org", DNS_TYPE_A, 0);
    h->query_len = build_query(h->query, sizeof(h->query), 1, "example.net",
                               DNS_TYPE_A, 0);
    len = upstream_reply(h, buf, sizeof(buf), 1);
    gateway_dns_reply(h->gw, h->token, buf, len, h->now_ms);
    g_assert_cmpint(dns_rcode(answer(h, &msg, &len).header.flags), ==,
                    DNS_RCODE_SERVFAIL);
}

static void test_no_answer_is_servfail(void)
{
    g_autoptr(Harness) h = harness_new_shared();
    const uint8_t *msg;
    size_t len;

    send_query(h, 1, 1, "example.org", DNS_TYPE_A, 0);
    gateway_dns_reply(h->gw, h->token, NULL, 0, h->now_ms);
    g_assert_cmpint(dns_rcode(answer(h, &msg, &len).header.flags), ==,
                    DNS_RCODE_SERVFAIL);
    h->dns_takes = false;
    send_query(h, 1, 1, "example.org", DNS_TYPE_A, 0);
    g_assert_cmpint(dns_rcode(answer(h, &msg, &len).header.flags), ==,
                    DNS_RCODE_SERVFAIL);
    gateway_set_uplink(h->gw, NULL, NULL);
    send_query(h, 1, 1, "example.org", DNS_TYPE_A, 0);
    g_assert_cmpint(dns_rcode(answer(h, &msg, &len).header.flags), ==,
                    DNS_RCODE_SERVFAIL);
}

static void test_answer_longer_than_the_client_takes_is_truncated(void)
{
    static const struct {
        uint16_t edns_size;
        unsigned n_records;
        bool truncated;
    } rows[] = {
        { 0, 20, false },       /* 12 + 17 + 20 * 16 < 512 */
        { 0, 40, true },
        { 1232, 40, false },
        { 1232, 100, true },
        { 4096, 85, false },
        { 4096, 100, true },    /* the MTU: 1472 */
    };
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(Harness) h = harness_new_shared();
        const uint8_t *msg;
        DnsMessage reply;
        uint8_t buf[4000];
        size_t len;

        send_query(h, 1, 1, "example.org", DNS_TYPE_A, rows[i].edns_size);
        len = upstream_reply(h, buf, sizeof(buf), rows[i].n_records);
        gateway_dns_reply(h->gw, h->token, buf, len, h->now_ms);
        reply = answer(h, &msg, &len);
        g_assert_cmpint(!!(reply.header.flags & DNS_FLAG_TC), ==,
                        rows[i].truncated);
        g_assert_cmpuint(len, <=, MIN(MAX(rows[i].edns_size, 512), 1472));
        g_assert_cmpint(reply.edns.present, ==, rows[i].edns_size > 0);
        g_assert_cmpuint(harness_out(h, 0)->len, <=, 1514);
    }
}

static void test_repeated_query_waits_for_the_first_answer(void)
{
    g_autoptr(Harness) h = harness_new_shared();

    send_query(h, 1, 1, "example.org", DNS_TYPE_A, 0);
    g_assert_cmpuint(h->n_queries, ==, 1);
    send_query(h, 1, 1, "example.org", DNS_TYPE_A, 0);
    g_assert_cmpuint(h->n_queries, ==, 0);
    send_query(h, 1, 2, "example.org", DNS_TYPE_A, 0);
    g_assert_cmpuint(h->n_queries, ==, 1);
}

static void test_waiting_queries_are_bounded_per_port(void)
{
    g_autoptr(Harness) h = harness_new_shared();
    unsigned i, n = 0;

    for (i = 0; i < 2 * LIMIT_DNS_PER_PORT; i++) {
        send_query(h, 1, i, "example.org", DNS_TYPE_A, 0);
        n += h->n_queries;
    }
    g_assert_cmpuint(n, ==, LIMIT_DNS_PER_PORT);
    g_assert_cmpuint(h->drops[SWITCH_DROP_LIMIT], ==, 1);
    send_query(h, 2, 1, "example.org", DNS_TYPE_A, 0);
    g_assert_cmpuint(h->n_queries, ==, 1);
    /* What the resolver forgot makes room again. */
    h->now_ms += 10001;
    send_query(h, 1, 999, "example.org", DNS_TYPE_A, 0);
    g_assert_cmpuint(h->n_queries, ==, 1);
}

static void test_waiting_queries_are_bounded_per_network(void)
{
    g_autoptr(Harness) h = harness_new_shared();
    unsigned port, i, n = 0;

    for (port = 1; port <= 10; port++) {
        for (i = 0; i < LIMIT_DNS_PER_PORT; i++) {
            send_query(h, port, i, "example.org", DNS_TYPE_A, 0);
            n += h->n_queries;
        }
    }
    g_assert_cmpuint(n, ==, LIMIT_DNS_PER_NETWORK);
}

/* Whose answers come at once is bounded as well: each query costs the daemon. */
static void test_queries_are_bounded_per_second(void)
{
    g_autoptr(Harness) h = harness_new_shared();
    unsigned i, n = 0;

    for (i = 0; i < LIMIT_DNS_BURST + 10; i++) {
        send_query(h, 1, i, "example.org", DNS_TYPE_A, 0);
        n += h->n_queries;
        if (h->n_queries > 0) {
            gateway_dns_reply(h->gw, h->token, NULL, 0, h->now_ms);
        }
    }
    g_assert_cmpuint(n, ==, LIMIT_DNS_BURST);
    send_query(h, 2, 1, "example.org", DNS_TYPE_A, 0);
    g_assert_cmpuint(h->n_queries, ==, 1);
    h->now_ms += 1000;
    send_query(h, 1, 1, "example.org", DNS_TYPE_A, 0);
    g_assert_cmpuint(h->n_queries, ==, 1);
}

static void test_queries_go_with_their_port(void)
{
    g_autoptr(Harness) h = harness_new_shared();
    uint8_t buf[600];
    size_t len;

    send_query(h, 1, 1, "example.org", DNS_TYPE_A, 0);
    len = upstream_reply(h, buf, sizeof(buf), 1);
    gateway_port_gone(h->gw, 1, h->now_ms);
    gateway_dns_reply(h->gw, h->token, buf, len, h->now_ms);
    g_assert_cmpuint(h->out->len, ==, 0);
}

static void test_host_mode_answers_its_zone_and_refuses_the_rest(void)
{
    GatewayConfig config = harness_config();
    g_autoptr(Harness) h = NULL;

    config.host_only = true;
    h = harness_new(&config);
    gateway_set_uplink(h->gw, &h->uplink_ops, h);
    assert_answer(h, "host.vmnet.internal", DNS_TYPE_A, DNS_RCODE_NOERROR,
                  "192.168.107.1");
    assert_answer(h, "example.org", DNS_TYPE_A, DNS_RCODE_REFUSED, "");
}

static void test_dns_off_leaves_the_port_to_the_host(void)
{
    GatewayConfig config = harness_config();
    g_autoptr(Harness) h = NULL;

    config.dns = false;
    h = harness_new(&config);
    gateway_set_uplink(h->gw, &h->uplink_ops, h);
    send_query(h, 1, 1, "host.vmnet.internal", DNS_TYPE_A, 0);
    g_assert_cmpuint(h->out->len, ==, 0);
    g_assert_cmpuint(h->n_routed, ==, 1);
}

/* What is not a query */

static void test_answers_and_garbage_are_not_answered(void)
{
    g_autoptr(Harness) h = harness_new_shared();
    uint8_t buf[200] = { 0 };
    size_t len = build_query(buf, sizeof(buf), 7, "host.vmnet.internal",
                             DNS_TYPE_A, 0);

    buf[2] |= 0x80; /* QR: two proxies would talk for ever */
    harness_udp(h, 1, GUEST, ip_addr_v4(GATEWAY4), 1000, 53, buf, len);
    g_assert_cmpuint(h->out->len, ==, 0);
    g_assert_cmpuint(h->drops[SWITCH_DROP_MALFORMED], ==, 1);
    harness_udp(h, 1, GUEST, ip_addr_v4(GATEWAY4), 1000, 53, buf, 11);
    g_assert_cmpuint(h->out->len, ==, 0);
    g_assert_cmpuint(h->drops[SWITCH_DROP_MALFORMED], ==, 1);
}

/* The gateway's port takes datagrams that are to be cut: NAT wants them so. */
static void test_each_query_of_an_uncut_frame_is_answered(void)
{
    g_autoptr(Harness) h = harness_new_shared();
    IpHeaders headers = harness_headers(h, 1, GUEST, ip_addr_v4(GATEWAY4));
    uint8_t buf[UDP_HEADROOM + 600], *at;
    struct iovec iov = { buf, 0 };
    size_t len = 0;
    Frame frame;
    unsigned i;

    at = buf + ip_headers_len(AF_INET) + UDP_HEADER_LEN;
    for (i = 0; i < 3; i++) {
        len = build_query(at + i * len, 200, 7 + i, "host.vmnet.internal",
                          DNS_TYPE_A, 0);
    }
    iov.iov_len = udp_headers_build_partial(buf, &headers, 1000, 53, 3 * len) +
                  3 * len;
    frame_init(&frame, &iov, 1);
    frame.src_port = 1;
    frame.vnet.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
    frame.vnet.gso_type = VIRTIO_NET_HDR_GSO_UDP_L4;
    frame.vnet.gso_size = GUINT16_TO_LE(len);
    gateway_input(h->gw, &frame, 1, h->now_ms);
    gateway_flush(h->gw, h->now_ms);
    g_assert_cmpuint(h->out->len, ==, 3);
    for (i = 0; i < 3; i++) {
        UdpDatagram udp = harness_out_udp(h, i);
        DnsHeader header;

        g_assert_true(dns_header_parse(harness_out(h, i)->data +
                                       udp.payload_off, udp.payload_len,
                                       &header));
        g_assert_cmphex(header.id, ==, 7 + i);
        g_assert_cmpint(dns_rcode(header.flags), ==, DNS_RCODE_NOERROR);
    }
}

static void test_query_that_lies_about_its_length_is_formerr(void)
{
    g_autoptr(Harness) h = harness_new_shared();
    uint8_t buf[200];
    size_t len = build_query(buf, sizeof(buf), 7, "host.vmnet.internal",
                             DNS_TYPE_A, 0);
    DnsHeader header;
    UdpDatagram udp;

    harness_udp(h, 1, GUEST, ip_addr_v4(GATEWAY4), 1000, 53, buf, len - 3);
    udp = harness_out_udp(h, 0);
    g_assert_true(dns_header_parse(harness_out(h, 0)->data + udp.payload_off,
                                   udp.payload_len, &header));
    g_assert_cmpint(dns_rcode(header.flags), ==, DNS_RCODE_FORMERR);
    g_assert_cmphex(header.id, ==, 7);
}

static void test_other_opcodes_versions_and_transfers(void)
{
    g_autoptr(Harness) h = harness_new_shared();
    uint8_t buf[200];
    size_t len = build_query(buf, sizeof(buf), 7, "example.org", DNS_TYPE_A,
                             1232);
    const uint8_t *msg;
    DnsMessage reply;

    buf[2] |= 2 << 3; /* STATUS */
    harness_udp(h, 1, GUEST, ip_addr_v4(GATEWAY4), 1000, 53, buf, len);
    reply = answer(h, &msg, &len);
    g_assert_cmpint(dns_rcode(reply.header.flags), ==, DNS_RCODE_NOTIMP);

    len = build_query(buf, sizeof(buf), 7, "example.org", DNS_TYPE_A, 1232);
    buf[len - 5] = 1; /* EDNS version 1 */
    harness_udp(h, 1, GUEST, ip_addr_v4(GATEWAY4), 1000, 53, buf, len);
    reply = answer(h, &msg, &len);
    g_assert_cmpint(dns_rcode(reply.header.flags) | reply.edns.ext_rcode << 4,
                    ==, DNS_RCODE_BADVERS);

    send_query(h, 1, 1, "vmnet.internal", DNS_TYPE_AXFR, 0);
    reply = answer(h, &msg, &len);
    g_assert_cmpint(dns_rcode(reply.header.flags), ==, DNS_RCODE_REFUSED);
}

/* Over TCP */

typedef struct TcpAnswer {
    unsigned n;
    DnsMessage msg;
    size_t len;
} TcpAnswer;

static void tcp_reply(void *opaque, const uint8_t *msg, size_t len)
{
    TcpAnswer *tcp = opaque;

    tcp->n++;
    tcp->len = len;
    g_assert_true(dns_parse(msg, len, &tcp->msg));
}

static void test_tcp_answers_are_whole(void)
{
    g_autoptr(Harness) h = harness_new_shared();
    TcpAnswer tcp = { 0 };
    uint8_t query[200], buf[4000];
    size_t len = build_query(query, sizeof(query), 9, "example.org",
                             DNS_TYPE_A, 0);

    gateway_dns_query(h->gw, 3, query, len, tcp_reply, &tcp, h->now_ms);
    g_assert_cmpuint(h->n_queries, ==, 1);
    len = upstream_reply(h, buf, sizeof(buf), 200);
    dns_set_id(buf, 1);
    gateway_dns_reply(h->gw, h->token, buf, len, h->now_ms);
    g_assert_cmpuint(tcp.n, ==, 1);
    g_assert_cmpuint(tcp.len, ==, len);
    g_assert_cmphex(tcp.msg.header.id, ==, 9);
    g_assert_cmpuint(h->out->len, ==, 0);

    len = build_query(query, sizeof(query), 9, "host.vmnet.internal",
                      DNS_TYPE_A, 0);
    gateway_dns_query(h->gw, 3, query, len, tcp_reply, &tcp, h->now_ms);
    g_assert_cmpuint(tcp.n, ==, 2);
}

static void test_closed_connection_is_not_answered(void)
{
    g_autoptr(Harness) h = harness_new_shared();
    TcpAnswer tcp = { 0 };
    uint8_t query[200], buf[600];
    size_t len = build_query(query, sizeof(query), 9, "example.org",
                             DNS_TYPE_A, 0);

    gateway_dns_query(h->gw, 3, query, len, tcp_reply, &tcp, h->now_ms);
    gateway_dns_cancel(h->gw, &tcp);
    len = upstream_reply(h, buf, sizeof(buf), 1);
    gateway_dns_reply(h->gw, h->token, buf, len, h->now_ms);
    g_assert_cmpuint(tcp.n, ==, 0);
}

static void test_waiting_tcp_queries_are_charged_to_their_guest(void)
{
    g_autoptr(Harness) h = harness_new_shared();
    TcpAnswer tcp = { 0 };
    uint8_t query[200];
    size_t len = build_query(query, sizeof(query), 9, "example.org",
                             DNS_TYPE_A, 0);
    unsigned i;

    for (i = 0; i < LIMIT_DNS_PER_NETWORK; i++) {
        gateway_dns_query(h->gw, 3, query, len, tcp_reply, &tcp, h->now_ms);
    }
    g_assert_cmpuint(tcp.n, ==, LIMIT_DNS_PER_NETWORK - LIMIT_DNS_PER_PORT);
    g_assert_cmpint(dns_rcode(tcp.msg.header.flags), ==, DNS_RCODE_SERVFAIL);
    /* Another guest is served; and so is this one, when its connection ends. */
    send_query(h, 1, 1, "example.org", DNS_TYPE_A, 0);
    g_assert_cmpuint(h->n_queries, ==, 1);
    gateway_dns_cancel(h->gw, &tcp);
    send_query(h, 3, 1, "example.org", DNS_TYPE_A, 0);
    g_assert_cmpuint(h->n_queries, ==, 1);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);

#define T(name) g_test_add_func("/dns-proxy/" #name, test_##name)
    T(host_and_gateway_are_the_router);
    T(guest_is_found_by_its_host_name);
    T(ipv6_addresses_are_those_seen_on_port_and_mac);
    T(addresses_have_names);
    T(negative_answers_carry_the_soa);
    T(special_names_stay_here);
    T(zone_is_answered_over_ipv6_and_link_local);
    T(query_for_the_outside_passes_unchanged);
    T(answer_to_another_question_is_servfail);
    T(no_answer_is_servfail);
    T(answer_longer_than_the_client_takes_is_truncated);
    T(repeated_query_waits_for_the_first_answer);
    T(waiting_queries_are_bounded_per_port);
    T(waiting_queries_are_bounded_per_network);
    T(queries_are_bounded_per_second);
    T(queries_go_with_their_port);
    T(host_mode_answers_its_zone_and_refuses_the_rest);
    T(dns_off_leaves_the_port_to_the_host);
    T(answers_and_garbage_are_not_answered);
    T(each_query_of_an_uncut_frame_is_answered);
    T(query_that_lies_about_its_length_is_formerr);
    T(other_opcodes_versions_and_transfers);
    T(tcp_answers_are_whole);
    T(closed_connection_is_not_answered);
    T(waiting_tcp_queries_are_charged_to_their_guest);
#undef T
    return g_test_run();
}
