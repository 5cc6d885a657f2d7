/*
 * DNS messages: right ones, and those that lie
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "proto/dns-stream.h"
#include "dns-names.h"

static void test_query_round_trip(void)
{
    DnsName web = name_of("web.vmnet.internal");
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
    DnsName web = name_of("web");
    uint8_t buf[512];
    DnsMessage m;
    size_t len;

    len = dns_query_build(buf, sizeof(buf), 0, &web, DNS_TYPE_A, 0);
    memcpy(buf + 12, "\xc0\x04\0\1\0\1", 6);
    g_assert_false(dns_parse(buf, len, &m));
}

static void test_query_refused(void)
{
    DnsName web = name_of("web");
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
    DnsName web = name_of("web.vmnet.internal"), zone = name_of("vmnet.internal");
    DnsName host = name_of("host.vmnet.internal");
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
    DnsName nope = name_of("nope.vmnet.internal"), zone = name_of("vmnet.internal");
    DnsName host = name_of("host.vmnet.internal");
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
    DnsName web = name_of("web");
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
    DnsName web = name_of("web");
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
    DnsName web = name_of("web.vmnet.internal");
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
    DnsName web = name_of("web.vmnet.internal");
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
