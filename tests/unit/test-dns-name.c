/*
 * Names of DNS: text, wire format and compression, and those that lie
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "dns-names.h"

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
        n = name_of(good[i]);
        g_assert_cmpstr(dns_name_to_text(&n, text), ==, good[i]);
        if (i > 0) {
            g_snprintf(dotted, sizeof(dotted), "%s.", good[i]);
            n = name_of(dotted);
            g_assert_cmpstr(dns_name_to_text(&n, text), ==, good[i]);
        }
    }
    for (i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_test_message("%s", bad[i]);
        g_assert_false(dns_name_from_text(bad[i], &n));
    }
    n = name_of("web.vmnet");
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
    DnsName zone = name_of("vmnet.internal"), root = name_of(".");
    DnsName web = name_of("Web.VMNET.Internal"), other = name_of("xvmnet.internal");
    DnsName deep = name_of("db.web.vmnet.internal"), upper = name_of("VMNET.INTERNAL");
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
    zone = name_of("b");
    other = name_of("a\\001b");
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
        n = name_of(bad[i]);
        g_assert_false(dns_reverse_parse(&n, &got));
    }
    n = name_of("2.107.168.192.IN-ADDR.ARPA");
    g_assert_true(dns_reverse_parse(&n, &got));
    dns_reverse_name(&got, &n);
    g_assert_cmpstr(dns_name_to_text(&n, text), ==,
                    "2.107.168.192.in-addr.arpa");
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
    return g_test_run();
}
