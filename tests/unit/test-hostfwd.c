/*
 * hostfwd: every form that is accepted, and why others are not
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "control/hostfwd.h"

typedef struct Good {
    const char *text;
    uint8_t proto;
    const char *host;       /* NULL: every address */
    uint16_t host_port;
    const char *guest;      /* NULL: the lease */
    uint16_t guest_port;
} Good;

static const Good good[] = {
    { "tcp::2222-:22", IPPROTO_TCP, NULL, 2222, NULL, 22 },
    { "::2222-:22", IPPROTO_TCP, NULL, 2222, NULL, 22 },
    { "udp::53-:53", IPPROTO_UDP, NULL, 53, NULL, 53 },
    { "tcp:127.0.0.1:0-:80", IPPROTO_TCP, "127.0.0.1", 0, NULL, 80 },
    { "tcp:127.0.0.1:65535-192.168.107.9:65535", IPPROTO_TCP, "127.0.0.1",
      65535, "192.168.107.9", 65535 },
    { "tcp:[::1]:8080-[fd00::9]:80", IPPROTO_TCP, "::1", 8080, "fd00::9", 80 },
    { "udp:[::]:1-:1", IPPROTO_UDP, "::", 1, NULL, 1 },
};

static void check_addr(const IpAddr *addr, const char *text)
{
    char printed[IP_STRLEN];

    if (!text) {
        g_assert_cmpint(addr->family, ==, AF_UNSPEC);
        return;
    }
    g_assert_cmpstr(ip_addr_format(addr, printed), ==, text);
}

/* parse(format(rule)) is the rule. */
static void check_format(const HostfwdRule *rule)
{
    g_autofree char *text = hostfwd_format(rule);
    g_autofree char *again = NULL;
    HostfwdRule parsed;

    g_assert_true(hostfwd_parse(text, &parsed, NULL));
    again = hostfwd_format(&parsed);
    g_assert_cmpstr(again, ==, text);
    g_assert_cmpuint(parsed.host.port, ==, rule->host.port);
    g_assert_cmpuint(parsed.guest.port, ==, rule->guest.port);
}

static void test_good(void)
{
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(good); i++) {
        g_autoptr(GError) error = NULL;
        HostfwdRule rule;

        g_assert_true(hostfwd_parse(good[i].text, &rule, &error));
        g_assert_no_error(error);
        g_assert_cmpuint(rule.proto, ==, good[i].proto);
        g_assert_cmpuint(rule.host.port, ==, good[i].host_port);
        g_assert_cmpuint(rule.guest.port, ==, good[i].guest_port);
        check_addr(&rule.host.addr, good[i].host);
        check_addr(&rule.guest.addr, good[i].guest);
        check_format(&rule);
    }
}

/* Reasons where QEMU has one are QEMU's. */
static const struct {
    const char *text;
    const char *reason;
} bad[] = {
    { "", "No : separators" },
    { "tcp", "No : separators" },
    { "sctp::1-:1", "Bad protocol name" },
    { "tcp:x", "Missing : separator" },
    { "tcp:host:1-:1", "Bad host address" },
    { "tcp:::1:1-:1", "Bad host port" },
    { "tcp:[::1:1-:1", "Missing : separator" },
    { "tcp:::1-:1", "Bad host port" },
    { "tcp:[127.0.0.1]:1-:1", "Bad host address" },
    { "tcp::1:1", "Bad host port separator" },
    { "tcp::-:1", "Bad host port" },
    { "tcp::65536-:1", "Bad host port" },
    { "tcp::-1-:1", "Bad host port" },
    { "tcp:: 1-:1", "Bad host port" },
    { "tcp::0x10-:1", "Bad host port" },
    { "tcp::1-", "Missing guest address" },
    { "tcp::1-1", "Missing guest address" },
    { "tcp::1-guest:1", "Bad guest address" },
    { "tcp::1-:", "Bad guest port" },
    { "tcp::1-:0", "Bad guest port" },
    { "tcp::1-:99999999999999999999", "Bad guest port" },
    { "tcp::1-:22x", "Bad guest port" },
    { "tcp:127.0.0.1:1-[fd00::1]:1", "Bad guest address" },
};

static void test_bad(void)
{
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autofree char *expected = g_strdup_printf(
            "Invalid host forwarding rule '%s' (%s)", bad[i].text,
            bad[i].reason);
        g_autoptr(GError) error = NULL;
        HostfwdRule rule, untouched;

        memset(&rule, 0xa5, sizeof(rule));
        untouched = rule;
        g_assert_false(hostfwd_parse(bad[i].text, &rule, &error));
        g_assert_cmpstr(error->message, ==, expected);
        g_assert_cmpmem(&rule, sizeof(rule), &untouched, sizeof(untouched));
    }
}

static void test_long(void)
{
    g_autofree char *digits = g_strnfill(100000, '1');
    g_autofree char *text = g_strconcat("tcp:", digits, ":1-:1", NULL);
    HostfwdRule rule;

    g_assert_false(hostfwd_parse(text, &rule, NULL));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/hostfwd/every-form", test_good);
    g_test_add_func("/hostfwd/says-what-is-wrong", test_bad);
    g_test_add_func("/hostfwd/field-too-long", test_long);
    return g_test_run();
}
