/*
 * MAC and IP addresses
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <glib.h>

#include "proto/addr.h"

static IpAddr addr(const char *text)
{
    IpAddr ret = { 0 };

    g_assert_true(ip_addr_parse(text, &ret));
    return ret;
}

static IpPrefix prefix(const char *text, uint8_t len)
{
    return (IpPrefix){ .addr = addr(text), .len = len };
}

static void test_mac_text(void)
{
    static const char *const bad[] = {
        "", "52", "52:54:00:12:34", "52:54:00:12:34:5", "52:54:00:12:34:567",
        "52:54:00:12:34:56:78", "52-54-00-12-34-56", " 52:54:00:12:34:56",
        "52:54:00:12:34:56 ", "5g:54:00:12:34:56", "52:54:00:12:34:",
        "525400123456", "2:54:00:12:34:56",
    };
    char buf[MAC_STRLEN];
    MacAddr mac = { { 9 } };
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_assert_false(mac_parse(bad[i], &mac));
        g_assert_cmpuint(mac.b[0], ==, 9);
    }
    g_assert_true(mac_parse("52:54:00:aB:Cd:ef", &mac));
    g_assert_cmpstr(mac_format(&mac, buf), ==, "52:54:00:ab:cd:ef");
    g_assert_false(mac_is_group(mac.b));
    g_assert_false(mac_is_zero(&mac));
    g_assert_true(mac_is_zero(&(MacAddr){ { 0 } }));
    g_assert_true(mac_is_group((const uint8_t[6]){ 1 }));
}

static void test_ip_text(void)
{
    static const char *const bad[] = {
        "", "1.2.3", "1.2.3.4.5", "1.2.3.256", " 1.2.3.4", "1.2.3.4 ",
        "[::1]", "fe80::1%eth0", "::1/64", "name",
    };
    static const char *const good[] = {
        "0.0.0.0", "192.168.107.1", "255.255.255.255", "::", "::1",
        "fd00::1:2", "::ffff:1.2.3.4",
    };
    char buf[IP_STRLEN];
    IpAddr a = { 0 };
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_assert_false(ip_addr_parse(bad[i], &a));
    }
    for (i = 0; i < G_N_ELEMENTS(good); i++) {
        a = addr(good[i]);
        g_assert_cmpstr(ip_addr_format(&a, buf), ==, good[i]);
    }
    g_assert_cmphex(addr("1.2.3.4").v4, ==, 0x01020304);
    a.family = AF_UNSPEC;
    g_assert_cmpstr(ip_addr_format(&a, buf), ==, "none");
}

static void test_ip_equal(void)
{
    IpAddr a = addr("1.2.3.4"), b = addr("1.2.3.4"), c = addr("1.2.3.5");
    IpAddr d = addr("fd00::1"), e = addr("fd00::1"), f = addr("fd00::2");

    g_assert_true(ip_addr_equal(&a, &b));
    g_assert_false(ip_addr_equal(&a, &c));
    g_assert_true(ip_addr_equal(&d, &e));
    g_assert_false(ip_addr_equal(&d, &f));
    g_assert_false(ip_addr_equal(&a, &d));
    g_assert_cmpuint(ip_addr_hash(&a), ==, ip_addr_hash(&b));
    g_assert_cmpuint(ip_addr_hash(&d), ==, ip_addr_hash(&e));
    g_assert_cmpuint(ip_addr_hash(&a), !=, ip_addr_hash(&c));

    /* What lies behind an IPv4 address in the union does not count. */
    memset(&b, 0xff, sizeof(b));
    b.family = AF_INET;
    b.v4 = a.v4;
    g_assert_true(ip_addr_equal(&a, &b));
    g_assert_cmpuint(ip_addr_hash(&a), ==, ip_addr_hash(&b));
}

static void test_ip_kinds(void)
{
    static const struct {
        const char *text;
        bool any, loopback, group, link_local;
    } rows[] = {
        { "0.0.0.0", .any = true },
        { "0.0.0.1" },
        { "126.255.255.255" },
        { "127.0.0.0", .loopback = true },
        { "127.255.255.255", .loopback = true },
        { "128.0.0.0" },
        { "169.254.0.1", .link_local = true },
        { "169.255.0.1" },
        { "223.255.255.255" },
        { "224.0.0.1", .group = true },
        { "239.255.255.255", .group = true },
        { "240.0.0.1" },
        { "255.255.255.255" },
        { "::", .any = true },
        { "::1", .loopback = true },
        { "::ffff:127.0.0.1", .loopback = true },
        { "::ffff:128.0.0.1" },
        { "fe80::1", .link_local = true },
        { "febf::1", .link_local = true },
        { "fec0::1" },
        { "ff02::1", .group = true },
        { "fd00::1" },
    };
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(rows); i++) {
        IpAddr a = addr(rows[i].text);

        g_test_message("%s", rows[i].text);
        g_assert_true(ip_addr_is_any(&a) == rows[i].any);
        g_assert_true(ip_addr_is_loopback(&a) == rows[i].loopback);
        g_assert_true(ip_addr_is_group(&a) == rows[i].group);
        g_assert_true(ip_addr_is_link_local(&a) == rows[i].link_local);
    }
}

static void test_prefix_contains(void)
{
    static const struct {
        const char *prefix;
        uint8_t len;
        const char *addr;
        bool contains;
    } rows[] = {
        { "192.168.107.0", 24, "192.168.107.255", true },
        { "192.168.107.0", 24, "192.168.108.0", false },
        { "192.168.107.77", 24, "192.168.107.1", true },
        { "0.0.0.0", 0, "255.255.255.255", true },
        { "0.0.0.0", 0, "::", false },
        { "1.2.3.4", 32, "1.2.3.4", true },
        { "1.2.3.4", 32, "1.2.3.5", false },
        { "10.0.0.0", 255, "10.0.0.0", true },
        { "fd00::", 64, "fd00::ffff:ffff:ffff:ffff", true },
        { "fd00::", 64, "fd00:0:0:1::", false },
        { "fd00::", 63, "fd00:0:0:1::", true },
        { "fd00::", 65, "fd00::8000:0:0:0", false },
        { "fd00::1", 128, "fd00::1", true },
        { "fd00::1", 128, "fd00::2", false },
        { "fd00::1", 127, "fd00::", true },
        { "::", 0, "ff02::1", true },
    };
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(rows); i++) {
        IpPrefix p = prefix(rows[i].prefix, rows[i].len);
        IpAddr a = addr(rows[i].addr);

        g_test_message("%s/%u %s", rows[i].prefix, rows[i].len, rows[i].addr);
        g_assert_true(ip_prefix_contains(&p, &a) == rows[i].contains);
    }
}

static void test_prefix_overlaps(void)
{
    IpPrefix wide = prefix("192.168.0.0", 16);
    IpPrefix narrow = prefix("192.168.107.0", 24);
    IpPrefix other = prefix("192.169.0.0", 16);
    IpPrefix v6 = prefix("::", 0);

    g_assert_true(ip_prefix_overlaps(&wide, &narrow));
    g_assert_true(ip_prefix_overlaps(&narrow, &wide));
    g_assert_false(ip_prefix_overlaps(&other, &narrow));
    g_assert_false(ip_prefix_overlaps(&v6, &narrow));
}

static void test_masks(void)
{
    unsigned len;

    for (len = 0; len <= 32; len++) {
        g_assert_cmpint(ip_mask_to_len(ip_len_to_mask(len)), ==, len);
    }
    g_assert_cmphex(ip_len_to_mask(24), ==, 0xffffff00);
    g_assert_cmphex(ip_len_to_mask(99), ==, 0xffffffff);
    g_assert_cmpint(ip_mask_to_len(0xff00ff00), ==, -1);
    g_assert_cmpint(ip_mask_to_len(0x000000ff), ==, -1);
    g_assert_cmpint(ip_mask_to_len(0x7fffffff), ==, -1);
}

static void test_sockaddr(void)
{
    IpEndpoint v4 = { addr("192.0.2.1"), 1234 }, v6 = { addr("fd00::1"), 80 };
    IpEndpoint none = { .port = 1 }, back;
    struct sockaddr_storage ss;
    socklen_t len;

    len = ip_endpoint_to_sockaddr(&v4, &ss);
    g_assert_cmpuint(len, ==, sizeof(struct sockaddr_in));
    g_assert_true(ip_endpoint_from_sockaddr((void *)&ss, len, &back));
    g_assert_true(ip_addr_equal(&back.addr, &v4.addr));
    g_assert_cmpuint(back.port, ==, 1234);
    g_assert_false(ip_endpoint_from_sockaddr((void *)&ss, len - 1, &back));

    len = ip_endpoint_to_sockaddr(&v6, &ss);
    g_assert_cmpuint(len, ==, sizeof(struct sockaddr_in6));
    g_assert_true(ip_endpoint_from_sockaddr((void *)&ss, len, &back));
    g_assert_true(ip_addr_equal(&back.addr, &v6.addr));
    g_assert_cmpuint(back.port, ==, 80);
    g_assert_false(ip_endpoint_from_sockaddr((void *)&ss, len - 1, &back));

    g_assert_cmpuint(ip_endpoint_to_sockaddr(&none, &ss), ==, 0);
    g_assert_false(ip_endpoint_from_sockaddr((void *)&ss, sizeof(ss), &back));
    g_assert_false(ip_endpoint_from_sockaddr((void *)&ss, 0, &back));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/addr/mac-text", test_mac_text);
    g_test_add_func("/addr/ip-text", test_ip_text);
    g_test_add_func("/addr/ip-equal", test_ip_equal);
    g_test_add_func("/addr/ip-kinds", test_ip_kinds);
    g_test_add_func("/addr/prefix-contains", test_prefix_contains);
    g_test_add_func("/addr/prefix-overlaps", test_prefix_overlaps);
    g_test_add_func("/addr/masks", test_masks);
    g_test_add_func("/addr/sockaddr", test_sockaddr);
    return g_test_run();
}
