/*
 * DNS names and messages: right ones, and those that lie
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <glib.h>

#include "proto/dns.h"
#include "proto/dns-stream.h"

/* A string literal's bytes without its NUL */
#define BYTES(literal) (const uint8_t *)literal, sizeof(literal) - 1

static DnsName name(const char *text)
{
    DnsName ret = { 0 };

    g_assert_true(dns_name_from_text(text, &ret));
    return ret;
}

static void test_name_text(void)
{
    static const char *const good[] = {
        ".", "a", "web.vmnet.internal", "a\\.b.c", "\\000\\255.x", "a\\\\b",
        "A.b-C",
    };
    static const char *const bad[] = {
        "", "..", ".a", "a..b", "a\\", "a\\25", "a\\256", "a\\2x5",
    };
    char text[DNS_NAME_STRLEN], dotted[DNS_NAME_STRLEN + 1];
    DnsName n;
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(good); i++) {
        n = name(good[i]);
        g_assert_cmpstr(dns_name_to_text(&n, text), ==, good[i]);
        if (i > 0) {
            g_snprintf(dotted, sizeof(dotted), "%s.", good[i]);
            n = name(dotted);
            g_assert_cmpstr(dns_name_to_text(&n, text), ==, good[i]);
        }
    }
    for (i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_test_message("%s", bad[i]);
        g_assert_false(dns_name_from_text(bad[i], &n));
    }
    n = name("web.vmnet");
    g_assert_cmpmem(n.wire, n.len, "\3web\5vmnet\0", 11);
}

static void test_name_bounds(void)
{
    char text[300];
    DnsName n;

    memset(text, 'a', sizeof(text));
    text[63] = '\0';
    g_assert_true(dns_name_from_text(text, &n));
    text[63] = 'a';
    text[64] = '\0';
    g_assert_false(dns_name_from_text(text, &n));

    /* 63 + 63 + 63 + 61 and their lengths and the zero: 255 bytes */
    memset(text, 'a', sizeof(text));
    text[63] = text[127] = text[191] = '.';
    text[253] = '\0';
    g_assert_true(dns_name_from_text(text, &n));
    g_assert_cmpuint(n.len, ==, 255);
    text[253] = 'a';
    text[254] = '\0';
    g_assert_false(dns_name_from_text(text, &n));
}

static bool read_at(const uint8_t *msg, size_t len, size_t offset,
                    DnsName *ret_name, size_t *ret_next)
{
    Cursor c = cursor_new(msg, len);

    cursor_bytes(&c, offset);
    if (!dns_name_read_list(&c, msg, ret_name)) {
        g_assert_true(c.error);
        return false;
    }
    *ret_next = c.p - msg;
    return true;
}

static void test_name_compression(void)
{
    /* 0: com, 5: example.com, 15: www.example.com, 21: example.com again */
    static const uint8_t msg[] =
        "\3com\0\7example\xc0\0\3www\xc0\5\xc0\5";
    char text[DNS_NAME_STRLEN];
    size_t next, cut;
    DnsName n;

    g_assert_true(read_at(msg, sizeof(msg) - 1, 15, &n, &next));
    g_assert_cmpuint(next, ==, 21);
    g_assert_cmpstr(dns_name_to_text(&n, text), ==, "www.example.com");
    g_assert_true(read_at(msg, sizeof(msg) - 1, 21, &n, &next));
    g_assert_cmpuint(next, ==, 23);
    g_assert_cmpstr(dns_name_to_text(&n, text), ==, "example.com");
    for (cut = 15; cut < 21; cut++) {
        g_autofree uint8_t *exact = g_memdup2(msg, cut);

        g_assert_false(read_at(exact, cut, 15, &n, &next));
    }
}

static void test_name_pointers_that_lie(void)
{
    static const struct {
        const char *what;
        const uint8_t *msg;
        size_t len, offset;
    } rows[] = {
        { "to itself", BYTES("\xc0\0"), 0 },
        { "to its own label", BYTES("\1a\xc0\0"), 0 },
        { "forward", BYTES("\xc0\2\0"), 0 },
        { "past the end", BYTES("\0\xc0\x50"), 1 },
        { "two in a circle", BYTES("\1a\xc0\4\1b\xc0\0"), 4 },
        { "cut", BYTES("\0\xc0"), 1 },
        { "kind 01", BYTES("\x40\0"), 0 },
        { "kind 10", BYTES("\x80\0"), 0 },
        { "label past the end", BYTES("\3ab"), 0 },
        { "no end", BYTES("\2ab"), 0 },
        { "nothing", BYTES(""), 0 },
    };
    size_t next;
    unsigned i;
    DnsName n;

    for (i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_test_message("%s", rows[i].what);
        g_assert_false(read_at(rows[i].msg, rows[i].len, rows[i].offset, &n,
                               &next));
    }
}

static void test_name_pointer_chains_are_bounded(void)
{
    uint8_t msg[2000] = { 0 };
    unsigned i, n_hops;
    size_t next;
    DnsName n;

    for (i = 1; i < 1000; i++) {
        writer_put_u16(msg + 2 * i, 0xc000 | 2 * (i - 1));
    }
    g_assert_true(read_at(msg, sizeof(msg), 2 * 3, &n, &next));
    g_assert_cmpuint(n.len, ==, 1);
    for (n_hops = 1; read_at(msg, sizeof(msg), 2 * n_hops, &n, &next);) {
        n_hops++;
        g_assert_cmpuint(n_hops, <, 100);
    }
}

/* A name that grows past 255 bytes through pointers */
static void test_name_too_long_through_pointers(void)
{
    uint8_t msg[5 * 66] = { 0 };
    size_t next, offset = 2;
    unsigned i;
    DnsName n;

    for (i = 0; i < 4; i++) {
        size_t here = offset;

        msg[offset++] = 62;
        memset(msg + offset, 'a' + i, 62);
        offset += 62;
        writer_put_u16(msg + offset, 0xc000 | (i == 0 ? 0 : here - 65));
        offset += 2;
        g_assert_true(read_at(msg, sizeof(msg), here, &n, &next));
    }
    msg[offset] = 3;
    memcpy(msg + offset + 1, "xyz", 3);
    writer_put_u16(msg + offset + 4, 0xc000 | (offset - 65));
    g_assert_false(read_at(msg, sizeof(msg), offset, &n, &next));
}

static void test_name_compare(void)
{
    DnsName zone = name("vmnet.internal"), root = name(".");
    DnsName web = name("Web.VMNET.Internal"), other = name("xvmnet.internal");
    DnsName deep = name("db.web.vmnet.internal"), upper = name("VMNET.INTERNAL");
    char text[DNS_NAME_STRLEN];

    g_assert_true(dns_name_equal(&zone, &upper));
    g_assert_false(dns_name_equal(&zone, &web));
    g_assert_true(dns_name_is_under(&web, &zone));
    g_assert_true(dns_name_is_under(&zone, &zone));
    g_assert_true(dns_name_is_under(&web, &root));
    g_assert_false(dns_name_is_under(&other, &zone));
    g_assert_false(dns_name_is_under(&zone, &web));
    g_assert_false(dns_name_is_under(&root, &zone));
    g_assert_cmpuint(dns_name_n_labels(&web), ==, 3);
    g_assert_cmpuint(dns_name_n_labels(&root), ==, 0);
    g_assert_true(dns_name_relative(&web, &zone, text));
    g_assert_cmpstr(text, ==, "Web");
    g_assert_true(dns_name_relative(&deep, &zone, text));
    g_assert_cmpstr(text, ==, "db.web");
    g_assert_false(dns_name_relative(&zone, &zone, text));
    g_assert_false(dns_name_relative(&other, &zone, text));

    /* A byte that looks like a label's length is not one. */
    zone = name("b");
    other = name("a\\001b");
    g_assert_false(dns_name_is_under(&other, &zone));
}

static void test_reverse(void)
{
    static const char *const addrs[] = {
        "0.0.0.0", "192.168.107.2", "255.255.255.255", "::", "fd00::1:2",
        "2001:db8:0:123:4567:89ab:cdef:1",
    };
    static const char *const bad[] = {
        "in-addr.arpa", "1.in-addr.arpa", "2.107.168.in-addr.arpa",
        "1.2.107.168.192.in-addr.arpa", "256.107.168.192.in-addr.arpa",
        "02.107.168.192.in-addr.arpa", "x.107.168.192.in-addr.arpa",
        "0002.107.168.192.in-addr.arpa", "2.107.168.192.in-addr.arpax",
        "1.0.ip6.arpa",
        "g.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa",
        "10.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa",
        ".",
    };
    char text[DNS_NAME_STRLEN];
    IpAddr addr, got;
    unsigned i;
    DnsName n;

    for (i = 0; i < G_N_ELEMENTS(addrs); i++) {
        g_assert_true(ip_addr_parse(addrs[i], &addr));
        dns_reverse_name(&addr, &n);
        g_assert_true(dns_reverse_parse(&n, &got));
        g_assert_true(ip_addr_equal(&addr, &got));
    }
    for (i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_test_message("%s", bad[i]);
        n = name(bad[i]);
        g_assert_false(dns_reverse_parse(&n, &got));
    }
    n = name("2.107.168.192.IN-ADDR.ARPA");
    g_assert_true(dns_reverse_parse(&n, &got));
    dns_reverse_name(&got, &n);
    g_assert_cmpstr(dns_name_to_text(&n, text), ==,
                    "2.107.168.192.in-addr.arpa");
}

static void test_query_round_trip(void)
{
    DnsName web = name("web.vmnet.internal");
    uint8_t buf[512];
    DnsMessage m;
    size_t len, cut;

    len = dns_query_build(buf, sizeof(buf), 0xbeef, &web, DNS_TYPE_AAAA, 1232);
    g_assert_true(dns_parse(buf, len, &m));
    g_assert_cmphex(m.header.id, ==, 0xbeef);
    g_assert_cmphex(m.header.flags, ==, DNS_FLAG_RD);
    g_assert_true(dns_name_equal(&m.qname, &web));
    g_assert_cmpuint(m.qtype, ==, DNS_TYPE_AAAA);
    g_assert_cmpuint(m.qclass, ==, DNS_CLASS_IN);
    g_assert_true(m.edns.present);
    g_assert_cmpuint(m.edns.udp_size, ==, 1232);

    for (cut = 0; cut < len; cut++) {
        g_autofree uint8_t *exact = g_memdup2(buf, cut);

        g_assert_false(dns_parse(exact, cut, &m));
        g_assert_cmpuint(dns_query_build(exact, cut, 1, &web, DNS_TYPE_A,
                                         1232), ==, 0);
    }
    len = dns_query_build(buf, sizeof(buf), 1, &web, DNS_TYPE_A, 0);
    g_assert_true(dns_parse(buf, len, &m));
    g_assert_false(m.edns.present);
    g_assert_cmpuint(m.edns.udp_size, ==, DNS_UDP_SIZE_DEFAULT);

    /* A size below the least is the least. */
    len = dns_query_build(buf, sizeof(buf), 1, &web, DNS_TYPE_A, 100);
    g_assert_true(dns_parse(buf, len, &m));
    g_assert_cmpuint(m.edns.udp_size, ==, DNS_UDP_SIZE_DEFAULT);
}

/* Found by fuzzing: truncation changed the flags, and with them the name. */
static void test_question_in_the_header_is_refused(void)
{
    DnsName web = name("web");
    uint8_t buf[512];
    DnsMessage m;
    size_t len;

    len = dns_query_build(buf, sizeof(buf), 0, &web, DNS_TYPE_A, 0);
    memcpy(buf + 12, "\xc0\x04\0\1\0\1", 6);
    g_assert_false(dns_parse(buf, len, &m));
}

static void test_query_refused(void)
{
    DnsName web = name("web");
    uint8_t buf[512], error[DNS_HEADER_LEN];
    DnsHeader header;
    DnsMessage m;
    size_t len;

    len = dns_query_build(buf, sizeof(buf), 7, &web, DNS_TYPE_A, 1232);
    buf[5] = 2; /* two questions */
    g_assert_false(dns_parse(buf, len, &m));
    buf[5] = 0; /* none */
    g_assert_false(dns_parse(buf, len, &m));
    buf[5] = 1;
    buf[7] = 1; /* an answer that is not there */
    g_assert_false(dns_parse(buf, len, &m));
    buf[7] = 0;
    g_assert_true(dns_parse(buf, len, &m));

    memcpy(buf + len, buf + len - 11, 11); /* OPT twice */
    buf[11] = 2;
    g_assert_false(dns_parse(buf, len + 11, &m));

    g_assert_cmpuint(dns_error_build(error, buf, len, DNS_RCODE_FORMERR), ==,
                     DNS_HEADER_LEN);
    g_assert_true(dns_header_parse(error, sizeof(error), &header));
    g_assert_cmpuint(header.id, ==, 7);
    g_assert_cmphex(header.flags, ==, DNS_FLAG_QR | DNS_FLAG_RD |
                                          DNS_RCODE_FORMERR);
    g_assert_cmpuint(header.n_questions, ==, 0);
    g_assert_cmpuint(dns_error_build(error, error, sizeof(error),
                                     DNS_RCODE_FORMERR), ==, 0);
    g_assert_cmpuint(dns_error_build(error, buf, 11, DNS_RCODE_FORMERR), ==, 0);
}

static void query_for(const DnsName *qname, uint16_t udp_size, DnsMessage *ret)
{
    uint8_t buf[512];
    size_t len = dns_query_build(buf, sizeof(buf), 0x1234, qname, DNS_TYPE_A,
                                 udp_size);

    g_assert_true(dns_parse(buf, len, ret));
}

static void test_reply_round_trip(void)
{
    DnsName web = name("web.vmnet.internal"), zone = name("vmnet.internal");
    DnsName host = name("host.vmnet.internal");
    IpAddr v4 = ip_addr_v4(0xc0a86b02), v6 = { 0 };
    DnsMessage query, reply;
    uint8_t buf[512];
    uint32_t ttl_s;
    DnsBuilder b;
    DnsWalk walk;
    DnsRecord rr;
    size_t len;
    Cursor c;

    g_assert_true(ip_addr_parse("fd00::2", &v6));
    query_for(&web, 1232, &query);
    dns_reply_begin(&b, buf, sizeof(buf), &query, DNS_FLAG_AA | DNS_FLAG_RA,
                    DNS_RCODE_NOERROR, 1400);
    dns_add_addr(&b, DNS_SECTION_ANSWER, NULL, 60, &v4);
    dns_add_addr(&b, DNS_SECTION_ANSWER, &web, 50, &v6);
    dns_add_name(&b, DNS_SECTION_ANSWER, &zone, DNS_TYPE_PTR, 70, &host);
    len = dns_reply_finish(&b);
    g_assert_true(dns_parse(buf, len, &reply));
    g_assert_true(dns_same_question(&query, &reply));
    g_assert_cmphex(reply.header.id, ==, 0x1234);
    g_assert_cmphex(reply.header.flags, ==, DNS_FLAG_QR | DNS_FLAG_AA |
                                                DNS_FLAG_RA | DNS_FLAG_RD);
    g_assert_cmpuint(reply.header.n_answers, ==, 3);
    g_assert_true(reply.edns.present);
    g_assert_cmpuint(reply.edns.udp_size, ==, 1400);

    dns_walk_begin(&walk, buf, len);
    g_assert_true(dns_walk_next(&walk, &rr));
    g_assert_true(dns_name_equal(&rr.name, &web));
    g_assert_cmpuint(rr.type, ==, DNS_TYPE_A);
    g_assert_cmpmem(buf + rr.rdata_off, rr.rdata_len, "\xc0\xa8\x6b\2", 4);
    g_assert_true(dns_walk_next(&walk, &rr));
    g_assert_cmpuint(rr.type, ==, DNS_TYPE_AAAA);
    g_assert_cmpmem(buf + rr.rdata_off, rr.rdata_len, &v6.v6, 16);
    g_assert_true(dns_walk_next(&walk, &rr));
    g_assert_true(dns_name_equal(&rr.name, &zone));
    c = cursor_new(buf + rr.rdata_off, rr.rdata_len);
    g_assert_true(dns_name_read(&c, NULL, &rr.name));
    g_assert_true(dns_name_equal(&rr.name, &host));
    g_assert_true(dns_walk_next(&walk, &rr));
    g_assert_cmpuint(rr.type, ==, DNS_TYPE_OPT);
    g_assert_cmpint(rr.section, ==, DNS_SECTION_ADDITIONAL);
    g_assert_false(dns_walk_next(&walk, &rr));
    g_assert_false(walk.c.error);

    g_assert_true(dns_min_ttl(buf, len, &ttl_s));
    g_assert_cmpuint(ttl_s, ==, 50);
    for (len--; len > 0; len--) {
        g_autofree uint8_t *exact = g_memdup2(buf, len);

        g_assert_false(dns_parse(exact, len, &reply));
        g_assert_false(dns_min_ttl(exact, len, &ttl_s));
    }
}

static void test_reply_negative(void)
{
    DnsName nope = name("nope.vmnet.internal"), zone = name("vmnet.internal");
    DnsName host = name("host.vmnet.internal");
    DnsMessage query, reply;
    uint8_t buf[512];
    uint32_t ttl_s;
    DnsBuilder b;
    size_t len;

    query_for(&nope, 0, &query);
    dns_reply_begin(&b, buf, sizeof(buf), &query, DNS_FLAG_AA,
                    DNS_RCODE_NXDOMAIN, 1232);
    dns_add_soa(&b, DNS_SECTION_AUTHORITY, &zone, 60, &host, &nope, 1, 5);
    len = dns_reply_finish(&b);
    g_assert_true(dns_parse(buf, len, &reply));
    g_assert_cmpint(dns_rcode(reply.header.flags), ==, DNS_RCODE_NXDOMAIN);
    g_assert_false(reply.edns.present); /* it was not asked with EDNS */
    g_assert_true(dns_min_ttl(buf, len, &ttl_s));
    g_assert_cmpuint(ttl_s, ==, 5);

    /* Without an SOA a negative answer is not kept (RFC 2308 5). */
    dns_reply_begin(&b, buf, sizeof(buf), &query, 0, DNS_RCODE_NXDOMAIN, 1232);
    len = dns_reply_finish(&b);
    g_assert_false(dns_min_ttl(buf, len, &ttl_s));
}

static void test_negative_ttl_is_zero(void)
{
    DnsName web = name("web");
    IpAddr v4 = ip_addr_v4(1);
    DnsMessage query;
    uint8_t buf[512];
    uint32_t ttl_s;
    DnsBuilder b;

    query_for(&web, 0, &query);
    dns_reply_begin(&b, buf, sizeof(buf), &query, 0, 0, 0);
    dns_add_addr(&b, DNS_SECTION_ANSWER, NULL, 0x80000001, &v4);
    g_assert_true(dns_min_ttl(buf, dns_reply_finish(&b), &ttl_s));
    g_assert_cmpuint(ttl_s, ==, 0);
}

static void test_reply_extended_rcode(void)
{
    DnsName web = name("web");
    DnsMessage query, reply;
    uint8_t buf[512];
    DnsBuilder b;

    query_for(&web, 4096, &query);
    query.edns.dnssec_ok = true;
    dns_reply_begin(&b, buf, sizeof(buf), &query, 0, DNS_RCODE_BADVERS, 1232);
    g_assert_true(dns_parse(buf, dns_reply_finish(&b), &reply));
    g_assert_cmpuint(dns_rcode(reply.header.flags), ==, 0);
    g_assert_cmpuint(reply.edns.ext_rcode, ==, 1);
    g_assert_true(reply.edns.dnssec_ok);
}

static void test_reply_that_does_not_fit(void)
{
    DnsName web = name("web.vmnet.internal");
    IpAddr v4 = ip_addr_v4(0xc0a86b02);
    DnsMessage query, reply;
    uint8_t buf[512];
    DnsBuilder b;
    size_t len;
    int i;

    query_for(&web, 1232, &query);
    dns_reply_begin(&b, buf, sizeof(buf), &query, DNS_FLAG_AA, 0, 1232);
    for (i = 0; i < 100; i++) {
        dns_add_addr(&b, DNS_SECTION_ANSWER, NULL, 60, &v4);
    }
    len = dns_reply_finish(&b);
    g_assert_cmpuint(len, <=, sizeof(buf));
    g_assert_cmpuint(len, >, sizeof(buf) - 16);
    g_assert_true(dns_parse(buf, len, &reply));
    g_assert_true(reply.header.flags & DNS_FLAG_TC);
    g_assert_true(reply.edns.present);

    /* What is additional may be left out without a word. */
    dns_reply_begin(&b, buf, sizeof(buf), &query, DNS_FLAG_AA, 0, 1232);
    for (i = 0; i < 100; i++) {
        dns_add_addr(&b, DNS_SECTION_ADDITIONAL, NULL, 60, &v4);
    }
    g_assert_true(dns_parse(buf, dns_reply_finish(&b), &reply));
    g_assert_false(reply.header.flags & DNS_FLAG_TC);
    dns_reply_begin(&b, buf, 20, &query, 0, 0, 1232);
    g_assert_cmpuint(dns_reply_finish(&b), ==, 0);
}

static void test_truncate(void)
{
    DnsName web = name("web.vmnet.internal");
    IpAddr v4 = ip_addr_v4(0xc0a86b02);
    DnsMessage query, reply;
    uint8_t buf[1500], copy[1500];
    size_t len, cut;
    DnsBuilder b;
    int i;

    query_for(&web, 1500, &query);
    dns_reply_begin(&b, buf, sizeof(buf), &query, DNS_FLAG_AA, 0, 1232);
    for (i = 0; i < 60; i++) {
        dns_add_addr(&b, DNS_SECTION_ANSWER, NULL, 60, &v4);
    }
    len = dns_reply_finish(&b);
    g_assert_cmpuint(len, >, 512);
    for (cut = 0; cut <= len; cut++) {
        size_t new_len;

        memcpy(copy, buf, len);
        new_len = dns_truncate(copy, len, cut);
        if (cut < 12 + 20 + 4) {
            g_assert_cmpuint(new_len, ==, 0);
            continue;
        }
        g_assert_cmpuint(new_len, <=, cut);
        g_assert_true(dns_parse(copy, new_len, &reply));
        g_assert_true(dns_same_question(&query, &reply));
        g_assert_true(!(reply.header.flags & DNS_FLAG_TC) == (cut == len));
        g_assert_true(reply.edns.present == (cut >= 12 + 24 + 11));
    }
}

static void test_stream(void)
{
    uint8_t data[DNS_STREAM_PREFIX_LEN + DNS_HEADER_LEN + 1] = { 0, DNS_HEADER_LEN };
    size_t whole = DNS_STREAM_PREFIX_LEN + DNS_HEADER_LEN;
    size_t len, ret_len = 99;

    for (len = 0; len < whole; len++) {
        g_assert_cmpint(dns_stream_next(data, len, &ret_len), ==, DNS_STREAM_PART);
    }
    g_assert_cmpuint(ret_len, ==, 99);
    for (len = whole; len <= sizeof(data); len++) {
        g_assert_cmpint(dns_stream_next(data, len, &ret_len), ==,
                        DNS_STREAM_MESSAGE);
        g_assert_cmpuint(ret_len, ==, DNS_HEADER_LEN);
    }
    /* Told by the length alone: nothing has to be waited for. */
    data[1] = DNS_HEADER_LEN - 1;
    g_assert_cmpint(dns_stream_next(data, 2, &ret_len), ==, DNS_STREAM_BAD);
    data[1] = 0;
    g_assert_cmpint(dns_stream_next(data, 2, &ret_len), ==, DNS_STREAM_BAD);
    data[0] = data[1] = 0xff;
    g_assert_cmpint(dns_stream_next(data, sizeof(data), &ret_len), ==,
                    DNS_STREAM_PART);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/dns/name/text", test_name_text);
    g_test_add_func("/dns/name/bounds", test_name_bounds);
    g_test_add_func("/dns/name/compression", test_name_compression);
    g_test_add_func("/dns/name/pointers-that-lie", test_name_pointers_that_lie);
    g_test_add_func("/dns/name/pointer-chains-are-bounded",
                    test_name_pointer_chains_are_bounded);
    g_test_add_func("/dns/name/too-long-through-pointers",
                    test_name_too_long_through_pointers);
    g_test_add_func("/dns/name/compare", test_name_compare);
    g_test_add_func("/dns/reverse", test_reverse);
    g_test_add_func("/dns/query/round-trip", test_query_round_trip);
    g_test_add_func("/dns/query/refused", test_query_refused);
    g_test_add_func("/dns/query/question-in-the-header-is-refused",
                    test_question_in_the_header_is_refused);
    g_test_add_func("/dns/reply/round-trip", test_reply_round_trip);
    g_test_add_func("/dns/reply/negative", test_reply_negative);
    g_test_add_func("/dns/reply/negative-ttl-is-zero",
                    test_negative_ttl_is_zero);
    g_test_add_func("/dns/reply/extended-rcode", test_reply_extended_rcode);
    g_test_add_func("/dns/reply/does-not-fit", test_reply_that_does_not_fit);
    g_test_add_func("/dns/truncate", test_truncate);
    g_test_add_func("/dns/stream", test_stream);
    return g_test_run();
}
