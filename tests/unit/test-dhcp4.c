/*
 * DHCP messages: from real clients, built by ourselves, and hostile
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <glib.h>

#include "proto/dhcp4.h"
#include "proto/dns.h"

#define OPTIONS_OFF (DHCP4_HEADER_LEN + 4)
#define SNAME_OFF 44
#define FILE_OFF 108

static Dhcp4Message msg;

/* A request by hand: the fixed part, and @options as they stand. */
static size_t request(uint8_t *buf, const void *options, size_t options_len)
{
    memset(buf, 0, OPTIONS_OFF);
    buf[0] = DHCP4_BOOTREQUEST;
    buf[1] = 1;
    buf[2] = 6;
    writer_put_u32(buf + 4, 0xcafe0001);
    memcpy(buf + 28, "\x52\x54\0\x12\x34\x56", 6);
    writer_put_u32(buf + DHCP4_HEADER_LEN, 0x63825363);
    memcpy(buf + OPTIONS_OFF, options, options_len);
    return OPTIONS_OFF + options_len;
}

/* In memory of just that size, so that a sanitizer sees what is read. */
static bool parse(const uint8_t *buf, size_t len)
{
    g_autofree uint8_t *exact = g_memdup2(buf, len);

    return dhcp4_parse(exact, len, &msg);
}

static bool parse_options(const void *options, size_t options_len)
{
    uint8_t buf[DHCP4_MESSAGE_MAX];

    return parse(buf, request(buf, options, options_len));
}

/* A string literal's bytes without its NUL */
#define OPTIONS(literal) literal, sizeof(literal) - 1

static void assert_bytes(const Dhcp4Bytes *got, const char *want, size_t len)
{
    g_assert_nonnull(got->data);
    g_assert_cmpmem(got->data, got->len, want, len);
}

static void test_discover(void)
{
    g_assert_true(parse_options(OPTIONS(
        "\x35\1\1"
        "\x3d\7\1\x52\x54\0\x12\x34\x56"
        "\x32\4\xc0\xa8\x6b\5"
        "\x39\2\5\xdc"
        "\x0c\3web"
        "\x3c\4udhc"
        "\x4d\3\2ab"
        "\x50\0"
        "\x33\4\0\0\x0e\x10"
        "\x37\4\1\3\6\x79"
        "\xff")));
    g_assert_cmpint(msg.op, ==, DHCP4_BOOTREQUEST);
    g_assert_cmpuint(msg.htype, ==, 1);
    g_assert_cmpuint(msg.hlen, ==, 6);
    g_assert_cmphex(msg.xid, ==, 0xcafe0001);
    g_assert_cmpmem(msg.chaddr, 6, "\x52\x54\0\x12\x34\x56", 6);
    g_assert_cmpint(msg.type, ==, DHCP4_DISCOVER);
    g_assert_cmphex(msg.requested_ip, ==, 0xc0a86b05);
    g_assert_cmpuint(msg.max_size, ==, 1500);
    g_assert_cmpuint(msg.lease_s, ==, 3600);
    g_assert_true(msg.rapid_commit);
    g_assert_false(msg.broadcast);
    assert_bytes(&msg.client_id, "\1\x52\x54\0\x12\x34\x56", 7);
    assert_bytes(&msg.hostname, "web", 3);
    assert_bytes(&msg.vendor_class, "udhc", 4);
    assert_bytes(&msg.user_class, "\2ab", 3);
    g_assert_true(dhcp4_wants(&msg, DHCP4_OPTION_CLASSLESS_ROUTES));
    g_assert_false(dhcp4_wants(&msg, DHCP4_OPTION_MTU));
    g_assert_null(msg.relay_info.data);
    g_assert_cmphex(msg.server_id, ==, 0);
}

static void test_header_fields(void)
{
    uint8_t buf[DHCP4_MESSAGE_MAX];
    size_t len = request(buf, OPTIONS("\x35\1\3\xff"));

    buf[3] = 2;
    writer_put_u16(buf + 8, 17);
    writer_put_u16(buf + 10, 0x8000);
    writer_put_u32(buf + 12, 0x01010101);
    writer_put_u32(buf + 16, 0x02020202);
    writer_put_u32(buf + 20, 0x03030303);
    writer_put_u32(buf + 24, 0x04040404);
    g_assert_true(parse(buf, len));
    g_assert_cmpuint(msg.hops, ==, 2);
    g_assert_cmpuint(msg.secs, ==, 17);
    g_assert_true(msg.broadcast);
    g_assert_cmphex(msg.ciaddr, ==, 0x01010101);
    g_assert_cmphex(msg.yiaddr, ==, 0x02020202);
    g_assert_cmphex(msg.siaddr, ==, 0x03030303);
    g_assert_cmphex(msg.giaddr, ==, 0x04040404);
}

static void test_options_end_anywhere(void)
{
    /* At END; at the end without END; after padding */
    g_assert_true(parse_options(OPTIONS("\x35\1\3\xff\x32\4\1")));
    g_assert_cmphex(msg.requested_ip, ==, 0);
    g_assert_true(parse_options(OPTIONS("\x35\1\3")));
    g_assert_true(parse_options(OPTIONS("\0\0\x35\1\3\0\0")));
    g_assert_true(parse_options(OPTIONS("")));
    g_assert_cmpint(msg.type, ==, DHCP4_BOOTP);
}

static void test_option_in_pieces(void)
{
    g_assert_true(parse_options(OPTIONS(
        "\x3d\2ab\x35\1\1\x3d\0\x3d\3cde\xff")));
    assert_bytes(&msg.client_id, "abcde", 5);
}

static void test_overload(void)
{
    uint8_t buf[DHCP4_MESSAGE_MAX];
    size_t len = request(buf, OPTIONS("\x34\1\3\x35\1\1\x3d\2ab\xff"));

    /* RFC 3396 5: options, then file, then sname */
    memcpy(buf + FILE_OFF, "\x3d\2cd\x0c\3web\xff", 10);
    memcpy(buf + SNAME_OFF, "\x3d\2ef", 4);
    g_assert_true(parse(buf, len));
    assert_bytes(&msg.client_id, "abcdef", 6);
    assert_bytes(&msg.hostname, "web", 3);

    buf[OPTIONS_OFF + 2] = 2;
    g_assert_true(parse(buf, len));
    assert_bytes(&msg.client_id, "abef", 4);
    g_assert_null(msg.hostname.data);

    buf[OPTIONS_OFF + 2] = 1;
    g_assert_true(parse(buf, len));
    assert_bytes(&msg.client_id, "abcd", 4);

    buf[OPTIONS_OFF + 2] = 4;
    g_assert_false(parse(buf, len));

    /* An overload inside a field that is itself overloaded does not count. */
    len = request(buf, OPTIONS("\x34\1\1\x35\1\1\xff"));
    memcpy(buf + FILE_OFF, "\x34\1\2\xff", 4);
    memcpy(buf + SNAME_OFF, "\x3d\2ef", 4);
    g_assert_true(parse(buf, len));
    g_assert_null(msg.client_id.data);

    /* An option may not run out of its field. */
    len = request(buf, OPTIONS("\x34\1\1\x35\1\1\xff"));
    memset(buf + FILE_OFF, 0, 128);
    memcpy(buf + FILE_OFF + 125, "\x0c\3w", 3);
    g_assert_false(parse(buf, len));
}

static void test_lengths_that_lie(void)
{
    static const struct {
        const char *options;
        size_t len;
    } rows[] = {
        { OPTIONS("\x35") },                 /* no length */
        { OPTIONS("\x35\1") },               /* no value */
        { OPTIONS("\x35\1\1\x0c\xff""a") },  /* past the end */
        { OPTIONS("\x35\0") },               /* lengths that must be */
        { OPTIONS("\x35\2\1\1") },
        { OPTIONS("\x35\1\1\x35\1\1") },
        { OPTIONS("\x35\1\0") },
        { OPTIONS("\x35\1\x09") },
        { OPTIONS("\x32\3\1\2\3") },
        { OPTIONS("\x36\5\1\2\3\4\5") },
        { OPTIONS("\x33\0") },
        { OPTIONS("\x39\1\5") },
        { OPTIONS("\x34\0") },
        { OPTIONS("\x34\1\0") },
    };
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_test_message("row %u", i);
        g_assert_false(parse_options(rows[i].options, rows[i].len));
    }
}

static void test_header_lies(void)
{
    uint8_t buf[DHCP4_MESSAGE_MAX + 1] = { 0 };
    size_t len = request(buf, OPTIONS("\x35\1\1\xff")), cut;

    for (cut = 0; cut < OPTIONS_OFF; cut++) {
        g_assert_false(parse(buf, cut));
    }
    g_assert_true(parse(buf, DHCP4_MESSAGE_MAX));
    g_assert_false(parse(buf, DHCP4_MESSAGE_MAX + 1));
    buf[2] = 17;
    g_assert_false(parse(buf, len));
    buf[2] = 6;
    buf[0] = 3;
    g_assert_false(parse(buf, len));
    buf[0] = 1;
    buf[DHCP4_HEADER_LEN]++;
    g_assert_false(parse(buf, len));
}

static void test_options_fill_the_message(void)
{
    uint8_t options[DHCP4_MESSAGE_MAX - OPTIONS_OFF];
    size_t i;

    /* As much data as fits, all of one option */
    for (i = 0; i + 257 <= sizeof(options); i += 257) {
        options[i] = 77;
        options[i + 1] = 255;
        memset(options + i + 2, 'x', 255);
    }
    memset(options + i, 0, sizeof(options) - i);
    g_assert_true(parse_options(options, sizeof(options)));
    g_assert_cmpuint(msg.user_class.len, ==, 7 * 255);

    /* ... and each option there is, empty */
    for (i = 0; i < 254; i++) {
        options[2 * i] = i + 1;
        options[2 * i + 1] = 0;
    }
    g_assert_false(parse_options(options, 2 * 254)); /* 53 must not be empty */
}

static void test_fqdn(void)
{
    static const struct {
        const char *options;
        size_t len;
        const char *fqdn;
    } rows[] = {
        { OPTIONS("\x51\x0d\5\0\0\3web\5vmnet\0"), "web.vmnet" },
        { OPTIONS("\x51\7\5\0\0\3web"), "web" },     /* partial */
        { OPTIONS("\x51\6\1\0\0web"), "web" },       /* ASCII */
        { OPTIONS("\x51\x0b\1\0\0web.dom."), "web.dom" },
        { OPTIONS("\x51\x08\1\0\0web\0\0"), "web" },
        { OPTIONS("\x51\x05\5\0\0\xc0\x0c"), "" },   /* a pointer */
        { OPTIONS("\x51\x05\5\0\0\x09w"), "" },      /* a label that lies */
        { OPTIONS("\x51\x06\1\0\0w b"), "" },
        { OPTIONS("\x51\3\1\0\0"), "" },
        { OPTIONS("\x51\2\1\0"), "" },
        { OPTIONS("\x51\4\5\0\0\0"), "" },
    };
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_test_message("row %u", i);
        g_assert_true(parse_options(rows[i].options, rows[i].len));
        g_assert_cmpstr(msg.fqdn, ==, rows[i].fqdn);
    }
}

static void test_reply_round_trip(void)
{
    static const uint32_t dns[] = { 0xc0a86b01, 0x08080808 };
    static Dhcp4Message asked;
    uint8_t buf[1472], req[DHCP4_MESSAGE_MAX];
    uint32_t value;
    uint16_t mtu;
    Dhcp4Builder b;
    size_t len;

    len = request(req, OPTIONS("\x35\1\3\x3d\3\0ab\x52\4\1\2xy\xff"));
    writer_put_u16(req + 10, 0x8000);
    writer_put_u32(req + 12, 0xc0a86b02);
    writer_put_u32(req + 24, 0x0a000001);
    req[3] = 1;
    writer_put_u16(req + 8, 9);
    g_assert_true(dhcp4_parse(req, len, &asked));

    dhcp4_reply_begin(&b, buf, sizeof(buf), &asked, DHCP4_ACK, 0xc0a86b02, 0);
    g_assert_true(dhcp4_add_u32(&b, DHCP4_OPTION_SERVER_ID, 0xc0a86b01));
    g_assert_true(dhcp4_add_u32(&b, DHCP4_OPTION_LEASE_TIME, 3600));
    g_assert_true(dhcp4_add_addrs(&b, DHCP4_OPTION_DNS, dns, 2));
    g_assert_true(dhcp4_add_u16(&b, DHCP4_OPTION_MTU, 1500));
    g_assert_true(dhcp4_add_string(&b, DHCP4_OPTION_HOSTNAME, "web"));
    g_assert_true(dhcp4_add_fqdn(&b, DHCP4_FQDN_S, "web.vmnet.internal"));
    g_assert_true(dhcp4_add_flag(&b, DHCP4_OPTION_RAPID_COMMIT));
    g_assert_true(dhcp4_add_echo(&b, &asked, DHCP4_OPTION_CLIENT_ID));
    g_assert_true(dhcp4_add_echo(&b, &asked, DHCP4_OPTION_RELAY_INFO));
    g_assert_false(dhcp4_add_echo(&b, &asked, DHCP4_OPTION_USER_CLASS));
    g_assert_false(dhcp4_add_addrs(&b, DHCP4_OPTION_NTP, dns, 0));
    len = dhcp4_finish(&b);
    g_assert_cmpuint(len, >=, DHCP4_MESSAGE_MIN);

    g_assert_true(parse(buf, len));
    g_assert_cmpint(msg.op, ==, DHCP4_BOOTREPLY);
    g_assert_cmpint(msg.type, ==, DHCP4_ACK);
    g_assert_cmphex(msg.xid, ==, 0xcafe0001);
    g_assert_true(msg.broadcast);
    g_assert_cmphex(msg.ciaddr, ==, 0xc0a86b02);
    g_assert_cmphex(msg.yiaddr, ==, 0xc0a86b02);
    g_assert_cmphex(msg.giaddr, ==, 0x0a000001);
    g_assert_cmpmem(msg.chaddr, 16, asked.chaddr, 16);
    g_assert_cmpuint(msg.hops, ==, 0);
    g_assert_cmpuint(msg.secs, ==, 0);
    g_assert_cmphex(msg.server_id, ==, 0xc0a86b01);
    g_assert_cmpuint(msg.lease_s, ==, 3600);
    g_assert_true(dhcp4_option_u16(&msg, DHCP4_OPTION_MTU, &mtu));
    g_assert_cmpuint(mtu, ==, 1500);
    g_assert_false(dhcp4_option_u32(&msg, DHCP4_OPTION_MTU, &value));
    g_assert_false(dhcp4_option_u16(&msg, DHCP4_OPTION_NTP, &mtu));
    assert_bytes(&msg.options[DHCP4_OPTION_DNS], "\xc0\xa8\x6b\1\x08\x08\x08\x08", 8);
    assert_bytes(&msg.client_id, "\0ab", 3);
    assert_bytes(&msg.relay_info, "\1\2xy", 4);
    g_assert_cmpstr(msg.fqdn, ==, "web.vmnet.internal");
    g_assert_cmphex(msg.fqdn_flags, ==, DHCP4_FQDN_S | DHCP4_FQDN_E);

    for (len--; len > DHCP4_MESSAGE_MIN; len--) {
        parse(buf, len); /* must not crash; a cut may fall between options */
    }
}

static void test_nak(void)
{
    static Dhcp4Message asked;
    uint8_t buf[576], req[DHCP4_MESSAGE_MAX];
    size_t len = request(req, OPTIONS("\x35\1\3\xff"));
    Dhcp4Builder b;

    writer_put_u32(req + 12, 0xc0a86b02);
    g_assert_true(dhcp4_parse(req, len, &asked));
    dhcp4_reply_begin(&b, buf, sizeof(buf), &asked, DHCP4_NAK, 0, 0);
    g_assert_true(parse(buf, dhcp4_finish(&b)));
    g_assert_cmpint(msg.type, ==, DHCP4_NAK);
    g_assert_cmphex(msg.ciaddr, ==, 0);
    g_assert_false(msg.broadcast);

    /* RFC 2131 4.3.2: through a relay, by broadcast */
    asked.giaddr = 0x0a000001;
    dhcp4_reply_begin(&b, buf, sizeof(buf), &asked, DHCP4_NAK, 0, 0);
    g_assert_true(parse(buf, dhcp4_finish(&b)));
    g_assert_true(msg.broadcast);
}

static void test_reply_respects_sizes(void)
{
    static const struct {
        uint16_t max_size;
        size_t size, limit;
    } rows[] = {
        { 0, 1472, 548 },     { 100, 1472, 548 },   { 576, 1472, 548 },
        { 1000, 1472, 972 },  { 1500, 1472, 1472 }, { 65535, 1472, 1472 },
        { 65535, 300, 300 },
    };
    uint8_t buf[1472], junk[100];
    static Dhcp4Message asked;
    unsigned i;

    memset(junk, 'j', sizeof(junk));
    for (i = 0; i < G_N_ELEMENTS(rows); i++) {
        Dhcp4Builder b;
        size_t len;

        asked.op = DHCP4_BOOTREQUEST;
        asked.max_size = rows[i].max_size;
        dhcp4_reply_begin(&b, buf, rows[i].size, &asked, DHCP4_OFFER, 1, 0);
        while (dhcp4_add_bytes(&b, 43, junk, sizeof(junk))) {
        }
        while (dhcp4_add_u8(&b, 23, 64)) {
        }
        while (dhcp4_add_flag(&b, 80)) {
        }
        len = dhcp4_finish(&b);
        g_assert_cmpuint(len, <=, rows[i].limit);
        g_assert_cmpuint(len, >=, rows[i].limit - 1);
        g_assert_cmphex(buf[len - 1], ==, DHCP4_OPTION_END);
        g_assert_true(parse(buf, len));
    }
}

static void test_long_option_is_split(void)
{
    uint8_t buf[1472], data[600];
    static Dhcp4Message asked;
    Dhcp4Builder b;

    memset(data, 'd', sizeof(data));
    asked.max_size = 1500;
    dhcp4_reply_begin(&b, buf, sizeof(buf), &asked, DHCP4_OFFER, 1, 0);
    g_assert_true(dhcp4_add_bytes(&b, 43, data, sizeof(data)));
    g_assert_true(parse(buf, dhcp4_finish(&b)));
    assert_bytes(&msg.options[43], (char *)data, sizeof(data));
}

static void test_domain_search(void)
{
    static const char *const domains[] = {
        "eng.apple.com", "marketing.apple.com", "apple.com", "local",
    };
    static const char *const bad[] = { "a..b" };
    uint8_t buf[576];
    static Dhcp4Message asked;
    const Dhcp4Bytes *option;
    Dhcp4Builder b;
    DnsName name;
    unsigned i;
    Cursor c;

    dhcp4_reply_begin(&b, buf, sizeof(buf), &asked, DHCP4_OFFER, 1, 0);
    g_assert_false(dhcp4_add_domains(&b, bad, 1));
    g_assert_false(dhcp4_add_domains(&b, domains, 0));
    g_assert_true(dhcp4_add_domains(&b, domains, G_N_ELEMENTS(domains)));
    g_assert_true(parse(buf, dhcp4_finish(&b)));

    /* The first two are the example of RFC 3397 3. */
    option = &msg.options[DHCP4_OPTION_DOMAIN_SEARCH];
    g_assert_cmpuint(option->len, ==, 15 + 12 + 2 + 7);
    g_assert_cmpmem(option->data, 27, "\3eng\5apple\3com\0\x9marketing\xc0\4",
                    27);
    c = cursor_new(option->data, option->len);
    for (i = 0; i < G_N_ELEMENTS(domains); i++) {
        char text[DNS_NAME_STRLEN];

        g_assert_true(dns_name_read_list(&c, option->data, &name));
        g_assert_cmpstr(dns_name_to_text(&name, text), ==, domains[i]);
    }
    g_assert_cmpuint(cursor_left(&c), ==, 0);
}

static void test_classless_routes(void)
{
    static const Dhcp4Route routes[] = {
        { .dst = 0, .gateway = 0xc0a86b01, .len = 0 },
        { .dst = 0x0affffff, .gateway = 0xc0a86b01, .len = 8 },
        { .dst = 0xa9fea9fe, .gateway = 0, .len = 32 },
        { .dst = 0xac1fffff, .gateway = 0xc0a86b01, .len = 12 },
    };
    uint8_t buf[576];
    static Dhcp4Message asked;
    Dhcp4Builder b;

    dhcp4_reply_begin(&b, buf, sizeof(buf), &asked, DHCP4_OFFER, 1, 0);
    g_assert_true(dhcp4_add_routes(&b, routes, G_N_ELEMENTS(routes)));
    g_assert_false(dhcp4_add_routes(&b, routes, 0));
    g_assert_true(parse(buf, dhcp4_finish(&b)));
    assert_bytes(&msg.options[DHCP4_OPTION_CLASSLESS_ROUTES], OPTIONS(
        "\0\xc0\xa8\x6b\1"
        "\x08\x0a\xc0\xa8\x6b\1"
        "\x20\xa9\xfe\xa9\xfe\0\0\0\0"
        "\x0c\xac\x10\xc0\xa8\x6b\1"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/dhcp4/discover", test_discover);
    g_test_add_func("/dhcp4/header-fields", test_header_fields);
    g_test_add_func("/dhcp4/options-end-anywhere", test_options_end_anywhere);
    g_test_add_func("/dhcp4/option-in-pieces", test_option_in_pieces);
    g_test_add_func("/dhcp4/overload", test_overload);
    g_test_add_func("/dhcp4/lengths-that-lie", test_lengths_that_lie);
    g_test_add_func("/dhcp4/header-lies", test_header_lies);
    g_test_add_func("/dhcp4/options-fill-the-message",
                    test_options_fill_the_message);
    g_test_add_func("/dhcp4/fqdn", test_fqdn);
    g_test_add_func("/dhcp4/reply-round-trip", test_reply_round_trip);
    g_test_add_func("/dhcp4/nak", test_nak);
    g_test_add_func("/dhcp4/reply-respects-sizes", test_reply_respects_sizes);
    g_test_add_func("/dhcp4/long-option-is-split", test_long_option_is_split);
    g_test_add_func("/dhcp4/domain-search", test_domain_search);
    g_test_add_func("/dhcp4/classless-routes", test_classless_routes);
    return g_test_run();
}
