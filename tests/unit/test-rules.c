/*
 * The text of networks' rules: as in tests/data/rules/, and what is none
 *
 * test_rules.py (functional) gives them to a kernel.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <glib.h>
#include <string.h>

#include "priv/rules-text.h"
#include "vmnet/error.h"

static IpAddr addr_of(const char *text)
{
    IpAddr addr;

    g_assert_true(ip_addr_parse(text, &addr));
    return addr;
}

static PrivForward forward_of(uint8_t proto, const char *host, uint16_t port,
                              const char *guest)
{
    return (PrivForward) {
        .proto = proto,
        .host = { host ? addr_of(host) : (IpAddr){ 0 }, port },
        .guest = { addr_of(guest), 80 },
    };
}

static PrivRules shared(void)
{
    return (PrivRules) {
        .name = "vmnet-net0",
        .mode = PRIV_RULES_SHARED,
        .prefix = { addr_of("192.168.107.0"), 24 },
        .gateway = addr_of("192.168.107.1"),
        .prefix6 = { addr_of("fd00:107::"), 64 },
        .gateway6 = addr_of("fd00:107::1"),
        .nat44 = true,
        .nat66 = true,
        .n_forwards = 4,
        .forwards = {
            forward_of(IPPROTO_TCP, NULL, 8080, "192.168.107.2"),
            forward_of(IPPROTO_UDP, "10.0.0.5", 53, "192.168.107.2"),
            forward_of(IPPROTO_TCP, "::", 8080, "fd00:107::2"),
            forward_of(IPPROTO_UDP, "fd00::5", 53, "fd00:107::2"),
        },
    };
}

static void assert_golden(const PrivRules *rules, const RulesOpened *opened,
                          bool replaces, const char *name)
{
    g_autofree char *path = g_build_filename(RULES_DATA, name, NULL);
    g_autofree char *expected = NULL, *text = NULL;
    g_autoptr(GError) error = NULL;

    g_assert_true(rules_text_check(rules, &error));
    g_assert_no_error(error);
    text = rules_text_table(rules, opened, "vmnetd 80000001", replaces);
    g_file_get_contents(path, &expected, NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(text, ==, expected);
}

static GPtrArray *names_of(const char *first, const char *second)
{
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);

    g_ptr_array_add(names, g_strdup(first));
    if (second) {
        g_ptr_array_add(names, g_strdup(second));
    }
    return names;
}

static void test_shared(void)
{
    g_autoptr(GPtrArray) v4 = names_of("eth0", "wlan0.5");
    g_autoptr(GPtrArray) v6 = names_of("eth0", NULL);
    const RulesOpened opened = { .v4 = v4, .v6 = v6 };
    PrivRules rules = shared();

    assert_golden(&rules, &opened, false, "shared.nft");
}

static void test_routed(void)
{
    const RulesOpened opened = { .all6 = true };
    PrivRules rules = shared();

    rules.nat44 = rules.nat66 = false;
    rules.n_forwards = 0;
    strcpy(rules.external, "eth0");
    assert_golden(&rules, &opened, true, "routed.nft");
}

static void test_host(void)
{
    const RulesOpened opened = { 0 };
    PrivRules rules = shared();

    rules.mode = PRIV_RULES_HOST;
    rules.prefix6 = (IpPrefix){ 0 };
    rules.gateway6 = (IpAddr){ 0 };
    rules.n_forwards = 1;
    assert_golden(&rules, &opened, false, "host.nft");
}

/* Refused */

typedef struct Bad {
    const char *what;
    void (*make)(PrivRules *rules);
} Bad;

static void name_of_others(PrivRules *rules)
{
    strcpy(rules->name, "eth0");
}

static void name_alone(PrivRules *rules)
{
    strcpy(rules->name, "vmnet-");
}

static void name_with_command(PrivRules *rules)
{
    strcpy(rules->name, "vmnet-a;x");
}

static void name_with_quote(PrivRules *rules)
{
    strcpy(rules->name, "vmnet-a\"x");
}

static void name_without_end(PrivRules *rules)
{
    memset(rules->name, 'a', sizeof(rules->name));
    memcpy(rules->name, "vmnet-", 6);
}

static void external_with_quote(PrivRules *rules)
{
    strcpy(rules->external, "a\" accept");
}

static void external_without_end(PrivRules *rules)
{
    memset(rules->external, 'a', sizeof(rules->external));
}

static void external_of_host(PrivRules *rules)
{
    rules->mode = PRIV_RULES_HOST;
    strcpy(rules->external, "eth0");
}

static void gateway_elsewhere(PrivRules *rules)
{
    rules->gateway = addr_of("10.0.0.1");
}

static void prefix_of_all(PrivRules *rules)
{
    rules->prefix.len = 0;
}

static void prefix6_short(PrivRules *rules)
{
    rules->prefix6.len = 8;
}

static void forwards_too_many(PrivRules *rules)
{
    rules->n_forwards = PRIV_FORWARDS_MAX + 1;
}

static void forward_beyond(PrivRules *rules)
{
    rules->forwards[0].guest.addr = addr_of("10.0.0.1");
}

static void forward_of_icmp(PrivRules *rules)
{
    rules->forwards[0].proto = IPPROTO_ICMP;
}

static void forward_of_port_0(PrivRules *rules)
{
    rules->forwards[0].host.port = 0;
}

static void forward_between_families(PrivRules *rules)
{
    rules->forwards[0].host.addr = addr_of("fd00::5");
}

static void forward_of_loopback6(PrivRules *rules)
{
    rules->forwards[3].host.addr = addr_of("::1");
}

static const Bad bad[] = {
    { "name-of-others", name_of_others },
    { "name-alone", name_alone },
    { "name-with-command", name_with_command },
    { "name-with-quote", name_with_quote },
    { "name-without-end", name_without_end },
    { "external-with-quote", external_with_quote },
    { "external-without-end", external_without_end },
    { "external-of-host", external_of_host },
    { "gateway-elsewhere", gateway_elsewhere },
    { "prefix-of-all", prefix_of_all },
    { "prefix6-short", prefix6_short },
    { "forwards-too-many", forwards_too_many },
    { "forward-beyond", forward_beyond },
    { "forward-of-icmp", forward_of_icmp },
    { "forward-of-port-0", forward_of_port_0 },
    { "forward-between-families", forward_between_families },
    { "forward-of-loopback6", forward_of_loopback6 },
};

static void test_bad(const void *opaque)
{
    const Bad *one = opaque;
    g_autoptr(GError) error = NULL;
    PrivRules rules = shared();

    one->make(&rules);
    g_assert_false(rules_text_check(&rules, &error));
    g_assert_error(error, VMNET_ERROR, VMNET_INVALID_ARGUMENT);
}

static void test_localnet(void)
{
    PrivRules rules = shared();

    g_assert_true(rules_text_needs_localnet(&rules));
    rules.forwards[0].host.addr = addr_of("127.0.0.1");
    g_assert_true(rules_text_needs_localnet(&rules));
    rules.forwards[0].host.addr = addr_of("10.0.0.5");
    g_assert_false(rules_text_needs_localnet(&rules));
}

int main(int argc, char **argv)
{
    unsigned i;

    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/rules/shared", test_shared);
    g_test_add_func("/rules/routed", test_routed);
    g_test_add_func("/rules/host", test_host);
    g_test_add_func("/rules/localnet", test_localnet);
    for (i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autofree char *path = g_strdup_printf("/rules/refused/%s",
                                                bad[i].what);

        g_test_add_data_func(path, &bad[i], test_bad);
    }
    return g_test_run();
}
