/*
 * Configurations, the choice of subnets, and what is kept on disk
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "network-fixture.h"

/* ---- configurations ---- */

typedef struct RangeCase {
    const char *start, *end, *mask, *error;
} RangeCase;

static const RangeCase range_cases[] = {
    { "10.1.2.1", "10.1.2.254", "255.255.255.0", NULL },
    { "192.168.5.1", "192.168.5.2", "255.255.255.252", NULL },
    { "172.16.0.1", "172.31.255.254", "255.240.0.0", NULL },
    { "10.1.2.1", "10.1.2.254", "255.0.255.0", "*255.0.255.0 is not a mask*" },
    { "10.1.2.1", "10.1.2.2", "255.255.255.254", "*is not a mask*" },
    { "10.1.2.1", "10.1.2.2", "0.0.0.0", "*not in a private range*" },
    { "8.8.8.1", "8.8.8.254", "255.255.255.0", "*not in a private range*" },
    { "172.16.0.1", "172.16.0.9", "255.0.0.0", "*not in a private range*" },
    { "169.254.1.1", "169.254.1.9", "255.255.255.0", "*private range*" },
    { "10.1.2.1", "10.1.3.254", "255.255.255.0", "*not in one subnet*" },
    { "10.1.2.9", "10.1.2.1", "255.255.255.0", "*is not behind*" },
    { "10.1.2.9", "10.1.2.9", "255.255.255.0", "*is not behind*" },
    { "10.1.2.0", "10.1.2.9", "255.255.255.0", "start-address*network's*" },
    { "10.1.2.1", "10.1.2.255", "255.255.255.0", "end-address*broadcast*" },
};

static void assert_refused(const NetworkConfig *config, const char *pattern)
{
    g_autoptr(GError) error = NULL;

    g_assert_false(network_config_check(config, &error));
    g_assert_nonnull(error);
    if (!g_pattern_match_simple(pattern, error->message)) {
        g_error("'%s' does not match '%s'", error->message, pattern);
    }
}

static void test_ranges(void)
{
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(range_cases); i++) {
        const RangeCase *c = &range_cases[i];
        NetworkConfig config = config_range(c->start, c->end, c->mask);

        if (c->error) {
            assert_refused(&config, c->error);
        } else {
            g_assert_true(network_config_check(&config, NULL));
        }
    }
}

static void test_prefix6(void)
{
    NetworkConfig config = config_of(NETWORK_MODE_SHARED);

    config.prefix6.len = 64;
    g_assert_true(ip_addr_parse("fd12:3456:789a:1::", &config.prefix6.addr));
    g_assert_true(network_config_check(&config, NULL));
    g_assert_true(ip_addr_parse("fd12:3456:789a:1::1", &config.prefix6.addr));
    assert_refused(&config, "nat66-prefix*not a prefix*");
    g_assert_true(ip_addr_parse("fc00::", &config.prefix6.addr));
    assert_refused(&config, "nat66-prefix*unique local*");
    g_assert_true(ip_addr_parse("2001:db8::", &config.prefix6.addr));
    config.mode = NETWORK_MODE_HOST;
    assert_refused(&config, "ipv6-prefix*unique local*");
    g_assert_true(ip_addr_parse("fd00::", &config.prefix6.addr));
    config.prefix6.len = 48;
    assert_refused(&config, "ipv6-prefix*64 bits*");
}

static void test_numbers_and_names(void)
{
    static const char *const bad_names[] = {
        "", ".", "..", ".hidden", "a/b", "a b", "\xc3\xa4", "a\nb",
        "0123456789012345678901234567890123456789012345678901234567890123",
    };
    NetworkConfig config = config_of(NETWORK_MODE_SHARED);
    unsigned i;

    config.mtu_bytes = 67;
    assert_refused(&config, "mtu 67*");
    config.mtu_bytes = 65521;
    assert_refused(&config, "mtu 65521*");
    config.mtu_bytes = 65520;
    config.lease_s = 19;
    assert_refused(&config, "lease-time 19*");
    config.lease_s = 604801;
    assert_refused(&config, "lease-time 604801*");
    config.lease_s = 604800;
    config.name = "a-Z_9.x";
    g_assert_true(network_config_check(&config, NULL));
    for (i = 0; i < G_N_ELEMENTS(bad_names); i++) {
        config.name = bad_names[i];
        assert_refused(&config, "network '*is not a name*");
    }
}

static void test_bridged(void)
{
    NetworkConfig config = config_of(NETWORK_MODE_BRIDGED);

    g_assert_true(network_config_check(&config, NULL));
    config.ifname = "br0";
    g_assert_true(network_config_check(&config, NULL));
    config.mtu_bytes = 1400;
    assert_refused(&config, "'mtu' cannot be had in mode bridged*");
    config.mtu_bytes = 0;
    config.dhcp = NETWORK_ON;
    assert_refused(&config, "'dhcp' cannot be had in mode bridged*");
    config.dhcp = NETWORK_OFF;
    config.nat44 = NETWORK_ON;
    assert_refused(&config, "'nat44' is for networks of mode shared");
    config = config_of(NETWORK_MODE_HOST);
    config.ifname = "br0";
    assert_refused(&config, "'ifname' is for networks of mode bridged");
}

static void test_uuid(void)
{
    NetworkConfig config = config_of(NETWORK_MODE_HOST);

    config.net_uuid = "6d5f0a2e-5b1c-4c4e-9a57-0c1f2a3b4c5d";
    g_assert_true(network_config_check(&config, NULL));
    config.dhcp = NETWORK_ON;
    assert_refused(&config, "'dhcp' cannot be had with 'net-uuid'*");
    config.dhcp = NETWORK_OFF;
    g_assert_true(network_config_check(&config, NULL));
    config.name = "x";
    assert_refused(&config, "'net-uuid' names a network of its own*");
    config.name = NULL;
    config.net_uuid = "x";
    assert_refused(&config, "Invalid UUID provided in 'net-uuid'");
}

/* ---- subnets ---- */

static void test_subnet_choice(void)
{
    g_autoptr(HostTable) host = host_table_new();
    g_autoptr(GArray) ours = g_array_new(FALSE, FALSE, sizeof(IpPrefix));
    const SubnetTakers takers = { host, ours };
    IpPrefix a, b;
    g_autofree char *text = NULL;

    g_assert_true(subnet_choose(&takers, "shared", &a));
    text = subnet_format(&a);
    g_assert_cmpstr(text, ==, "192.168.107.0/24");

    /* Another name, another subnet, the same one each time. */
    g_assert_true(subnet_choose(&takers, "lab", &a));
    g_assert_true(subnet_choose(&takers, "lab", &b));
    g_assert_true(ip_addr_equal(&a.addr, &b.addr));
    g_assert_cmpuint(a.addr.v4 >> 16, ==, 192 << 8 | 168);

    /* Taken by one of ours: the next one. */
    g_array_append_val(ours, a);
    g_assert_true(subnet_choose(&takers, "lab", &b));
    g_assert_false(ip_prefix_overlaps(&a, &b));

    /* All of 192.168 is an office's: 172.16/12 is next. */
    add_route(host, "192.168.0.0", 16, true);
    g_assert_cmpint(subnet_is_taken(&takers, &b, NULL), ==,
                    SUBNET_TAKEN_BY_HOST);
    g_assert_true(subnet_choose(&takers, "shared", &b));
    g_assert_cmpuint(b.addr.v4 >> 20, ==, 172 << 4 | 1);
}

static void test_subnet_exhausted(void)
{
    g_autoptr(HostTable) host = host_table_new();
    const SubnetTakers takers = { host, NULL };
    IpPrefix subnet;

    add_route(host, "192.168.0.0", 16, true);
    add_route(host, "172.16.0.0", 12, true);
    add_route(host, "10.0.0.0", 8, true);
    g_assert_false(subnet_choose(&takers, "shared", &subnet));
}

/* ---- state ---- */

static void test_state_text(void)
{
    g_auto(NetworkState) a = { 0 };
    g_auto(NetworkState) b = { 0 };
    NetworkForwardConfig forward = {
        .proto = IPPROTO_UDP, .host.port = 5353, .guest.port = 53,
        .persistent = true,
    };
    IpPrefix subnet = { ip_addr_v4(v4("10.9.8.0")), 24 };
    g_autofree char *text = NULL;
    g_autofree char *again = NULL;

    network_state_init(&a);
    network_state_init(&b);
    a.addresses = network_addresses_of(&subnet);
    forward.host.addr.family = AF_UNSPEC;
    forward.guest.addr = ip_addr_v4(v4("10.9.8.7"));
    g_array_append_val(a.forwards, forward);

    text = network_state_format(&a);
    g_assert_true(network_state_parse(text, strlen(text), &b, NULL));
    again = network_state_format(&b);
    g_assert_cmpstr(text, ==, again);
    g_assert_cmpuint(b.forwards->len, ==, 1);
    g_assert_cmpmem(a.hash_key, 16, b.hash_key, 16);
}

typedef struct DamageCase {
    const char *line, *instead;
} DamageCase;

static const DamageCase damage_cases[] = {
    { "version=1", "version=2" },
    { "gateway=10.9.8.1", "gateway=10.9.8.0" },
    { "gateway=10.9.8.1", "gateway=8.8.8.8" },
    { "gateway=10.9.8.1", "gateway=10.9.8.200" },
    { "subnet-mask=255.255.255.0", "subnet-mask=255.0.255.0" },
    { "pool-last=10.9.8.254", "pool-last=10.9.8.255" },
    { "pool-last=10.9.8.254", "pool-last=10.9.9.7" },
    { "pool-first=10.9.8.2", "pool-first=x" },
    { "ipv6-prefix=fd", "ipv6-prefix=2d" },
    { "hash-key=", "hash-key=0" },
    { "mac=", "mac=0" },
    { "[network]", "[elsewhere]" },
    { "[network]", "network" },
};

static void test_state_damage(void)
{
    IpPrefix subnet = { ip_addr_v4(v4("10.9.8.0")), 24 };
    g_auto(NetworkState) a = { 0 };
    g_autofree char *text = NULL;
    unsigned i;

    network_state_init(&a);
    a.addresses = network_addresses_of(&subnet);
    text = network_state_format(&a);
    for (i = 0; i < G_N_ELEMENTS(damage_cases); i++) {
        g_auto(GStrv) parts = g_strsplit(text, damage_cases[i].line, 2);
        g_autofree char *damaged = g_strjoinv(damage_cases[i].instead, parts);
        g_autoptr(GError) error = NULL;

        g_assert_cmpstr(damaged, !=, text);
        g_assert_false(network_state_parse(damaged, strlen(damaged), &a,
                                           &error));
        g_assert_nonnull(error);
    }
}

static void test_store_in_memory(void)
{
    g_autoptr(StateStore) store = state_store_new(NULL);
    g_autofree char *text = NULL;
    size_t len;

    g_assert_null(state_store_read(store, "a", "leases", &len));
    state_store_write(store, "a", "leases", g_strdup("one"));
    state_store_write(store, "a", "leases", g_strdup("two"));
    text = state_store_read(store, "a", "leases", &len);
    g_assert_cmpstr(text, ==, "two");
    g_assert_cmpuint(len, ==, 3);
}

static void test_store_that_cannot_write(void)
{
    g_autofree char *dir = g_dir_make_tmp("test-network-XXXXXX", NULL);
    g_autofree char *file = g_build_filename(dir, "networks", NULL);
    g_autofree char *text = NULL;
    StateStore *store;
    size_t len;

    /* A file where the directory should be. */
    g_assert_true(g_file_set_contents(file, "", -1, NULL));
    g_test_expect_message(NULL, G_LOG_LEVEL_WARNING,
                          "cannot write */networks/a/leases: * in memory only");
    store = state_store_new(dir);
    state_store_write(store, "a", "leases", g_strdup("one"));
    state_store_write(store, "a", "network", g_strdup("two"));
    text = state_store_read(store, "a", "leases", &len);
    g_assert_cmpstr(text, ==, "one");
    state_store_free(store);
    g_test_assert_expected_messages();
    g_remove(file);
    g_remove(dir);
}

static void count_warnings(const char *domain, GLogLevelFlags level,
                           const char *text, gpointer opaque)
{
    gint *n_warnings = opaque;

    if (level & G_LOG_LEVEL_WARNING) {
        g_atomic_int_inc(n_warnings);
    }
}

/* A disk that has room again takes what it could not take before. */
static void test_store_that_can_write_again(void)
{
    g_autofree char *dir = g_dir_make_tmp("test-network-XXXXXX", NULL);
    g_autofree char *networks = g_build_filename(dir, "networks", NULL);
    g_autofree char *network = g_build_filename(networks, "a", NULL);
    g_autofree char *file = g_build_filename(network, "leases", NULL);
    g_autofree char *text = NULL;
    GLogLevelFlags fatal;
    StateStore *store;
    gint n_warnings = 0;
    guint log_handler;

    log_handler = g_log_set_handler(NULL, G_LOG_LEVEL_MASK, count_warnings,
                                    &n_warnings);
    fatal = g_log_set_always_fatal(G_LOG_FATAL_MASK);
    g_assert_true(g_file_set_contents(networks, "", -1, NULL));
    store = state_store_new(dir);
    state_store_write(store, "a", "leases", g_strdup("one"));
    while (!g_atomic_int_get(&n_warnings)) {
        g_thread_yield();
    }
    g_remove(networks);
    state_store_write(store, "a", "leases", g_strdup("one"));
    state_store_free(store);
    g_log_remove_handler(NULL, log_handler);
    g_log_set_always_fatal(fatal);
    g_assert_cmpint(n_warnings, ==, 1);
    g_assert_true(g_file_get_contents(file, &text, NULL, NULL));
    g_assert_cmpstr(text, ==, "one");
    g_remove(file);
    g_remove(network);
    g_remove(networks);
    g_remove(dir);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/network/config/ranges", test_ranges);
    g_test_add_func("/network/config/prefix6", test_prefix6);
    g_test_add_func("/network/config/numbers-and-names",
                    test_numbers_and_names);
    g_test_add_func("/network/config/net-uuid", test_uuid);
    g_test_add_func("/network/config/bridged", test_bridged);
    g_test_add_func("/network/subnet/choice", test_subnet_choice);
    g_test_add_func("/network/subnet/exhausted", test_subnet_exhausted);
    g_test_add_func("/network/state/text-round-trip", test_state_text);
    g_test_add_func("/network/state/damage-is-refused", test_state_damage);
    g_test_add_func("/network/store/in-memory", test_store_in_memory);
    g_test_add_func("/network/store/that-cannot-write",
                    test_store_that_cannot_write);
    g_test_add_func("/network/store/that-can-write-again",
                    test_store_that_can_write_again);
    return g_test_run();
}
