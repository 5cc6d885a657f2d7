/*
 * Networks as their users see them: who gets which, with what addresses, and
 * what goes through
 *
 *   guest A --+                                  +-- service on 127.0.0.1
 *             |-- switch -- gateway -- uplink ---|
 *   guest B --+                                  +-- client of a forward
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <errno.h>
#include <glib/gstdio.h>
#include "network-guest.h"
#include "network/network-internal.h"
#include "uplink/uplink-internal.h"

typedef struct Fixture {
    Loop *loop;
    NetworkRegister *reg;
    char *state_dir;
    char *resolv_conf;
    unsigned n_started, n_stopped, n_leases, n_conflicts, n_overlaps;
    IpPrefix overlap;
} Fixture;

static void on_started(void *opaque, Network *network)
{
    ((Fixture *)opaque)->n_started++;
}

static void on_stopped(void *opaque, Network *network)
{
    ((Fixture *)opaque)->n_stopped++;
}

static void on_lease_event(void *opaque, Network *network,
                           const GatewayEvent *event)
{
    ((Fixture *)opaque)->n_leases += event->type == GATEWAY_LEASE_ADDED;
}

static void on_route_overlap(void *opaque, Network *network,
                             const IpPrefix *route, const char *ifname)
{
    Fixture *f = opaque;

    f->n_overlaps++;
    f->overlap = *route;
}

static void on_mac_conflict(void *opaque, Network *network, const MacAddr *mac,
                            uint32_t old_port, uint32_t new_port)
{
    ((Fixture *)opaque)->n_conflicts++;
}

static const NetworkOps ops = {
    .started = on_started,
    .stopped = on_stopped,
    .lease_event = on_lease_event,
    .route_overlap = on_route_overlap,
    .mac_conflict = on_mac_conflict,
};

static void register_start(Fixture *f)
{
    const NetworkRegisterConfig config = {
        .loop = f->loop,
        .state_dir = f->state_dir,
        .idle_ms = 0,
        .resolv_conf = f->resolv_conf,
    };

    f->reg = network_register_new(&config, &ops, f);
}

static void set_up(Fixture *f, const void *unused)
{
    f->loop = loop_new(NULL, NULL);
    f->state_dir = g_dir_make_tmp("test-network-XXXXXX", NULL);
    f->resolv_conf = g_build_filename(f->state_dir, "resolv.conf", NULL);
    register_start(f);
}

static void remove_tree(const char *path)
{
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *child = g_build_filename(path, name, NULL);

        remove_tree(child);
    }
    g_remove(path);
}

static void tear_down(Fixture *f, const void *unused)
{
    network_register_free(f->reg);
    loop_free(f->loop);
    remove_tree(f->state_dir);
    g_free(f->state_dir);
    g_free(f->resolv_conf);
}

static NetworkConfig config_of(NetworkMode mode)
{
    return (NetworkConfig){ .mode = mode, .prefix6.addr.family = AF_UNSPEC };
}

static uint32_t v4(const char *text)
{
    IpAddr addr;

    g_assert_true(ip_addr_parse(text, &addr));
    return addr.v4;
}

static NetworkConfig config_range(const char *start, const char *end,
                                  const char *mask)
{
    NetworkConfig config = config_of(NETWORK_MODE_SHARED);

    config.has_range = true;
    config.start_address = v4(start);
    config.end_address = v4(end);
    config.subnet_mask = v4(mask);
    return config;
}

static Network *acquire(Fixture *f, const NetworkConfig *config)
{
    g_autoptr(GError) error = NULL;
    Network *network = network_acquire(f->reg, config, &error);

    g_assert_no_error(error);
    g_assert_nonnull(network);
    return network;
}

/* A /24 that neither the host nor we use, and its addresses. */
typedef struct FreeRange {
    char start[IP_STRLEN], end[IP_STRLEN];
} FreeRange;

static void free_range(Fixture *f, const char *name, FreeRange *ret)
{
    const SubnetTakers takers = { host_table(f->reg->host), f->reg->forbidden };
    IpPrefix subnet;
    IpAddr addr;

    g_assert_true(subnet_choose(&takers, name, &subnet));
    addr = ip_addr_v4(subnet.addr.v4 + 1);
    ip_addr_format(&addr, ret->start);
    addr = ip_addr_v4(subnet.addr.v4 + 100);
    ip_addr_format(&addr, ret->end);
}

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
    config = config_of(NETWORK_MODE_BRIDGED);
    assert_refused(&config, "*'bridged'*");
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

static void add_route(HostTable *host, const char *addr, uint8_t len,
                      bool connected)
{
    HostRoute route = { .connected = connected, .dst.len = len };

    g_assert_true(ip_addr_parse(addr, &route.dst.addr));
    g_array_append_val(host->routes, route);
}

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

/* ---- who gets which ---- */

static void test_one_network_for_all(Fixture *f, const void *unused)
{
    NetworkConfig config = config_of(NETWORK_MODE_SHARED);
    Network *a = acquire(f, &config);
    Network *b = acquire(f, &config);
    NetworkInfo info;

    g_assert_true(a == b);
    g_assert_cmpuint(f->n_started, ==, 1);
    network_info(a, &info);
    g_assert_cmpstr(info.name, ==, "shared");
    g_assert_cmpint(info.prefix4.len, ==, 24);
    g_assert_cmpuint(info.mtu_bytes, ==, 1500);
    g_assert_cmpuint(info.lease_s, ==, 3600);
    g_assert_true(info.dhcp && info.dns && !info.host_loopback);
    g_assert_cmpuint(info.gateway4.v4 + 1, ==, info.pool_first);
    g_assert_true(network_find(f->reg, "shared") == a);

    config = config_of(NETWORK_MODE_HOST);
    b = acquire(f, &config);
    g_assert_true(a != b);
    network_unref(b);
    network_unref(a);
    network_unref(a);
}

static void test_idle_networks_stop(Fixture *f, const void *unused)
{
    NetworkConfig config = config_of(NETWORK_MODE_SHARED);
    Network *network = acquire(f, &config);

    g_assert_false(network_register_is_idle(f->reg));
    network_unref(network);
    while (!network_register_is_idle(f->reg)) {
        net_iterate();
    }
    g_assert_cmpuint(f->n_stopped, ==, 1);
}

static void test_adopt_and_strict(Fixture *f, const void *unused)
{
    NetworkConfig config = config_of(NETWORK_MODE_SHARED);
    g_autoptr(GError) error = NULL;
    Network *network;

    config.name = "lab";
    config.mtu_bytes = 9000;
    config.dhcp = NETWORK_OFF;
    network = acquire(f, &config);

    /* Not written: as it is. */
    config.mtu_bytes = 0;
    config.dhcp = NETWORK_DEFAULT;
    g_assert_true(acquire(f, &config) == network);
    network_unref(network);

    /* Not written, strictly: as it would be. */
    config.match = NETWORK_MATCH_STRICT;
    g_assert_null(network_acquire(f->reg, &config, &error));
    g_assert_cmpstr(error->message, ==,
                    "network 'lab' runs with another configuration: "
                    "mtu 1500 is wanted, 9000 is in force; "
                    "dhcp on is wanted, off is in force");
    g_clear_error(&error);

    config.match = NETWORK_MATCH_ADOPT;
    config.mode = NETWORK_MODE_HOST;
    config.mtu_bytes = 1400;
    g_assert_null(network_acquire(f->reg, &config, &error));
    g_assert_cmpstr(error->message, ==,
                    "network 'lab' runs with another configuration: "
                    "mode host is wanted, shared is in force; "
                    "mtu 1400 is wanted, 9000 is in force");

    /* Nobody is on it any more: it starts as it is wanted. */
    network_unref(network);
    network = acquire(f, &config);
    g_assert_cmpuint(f->n_stopped, ==, 1);
    network_unref(network);
}

static void test_own_network(Fixture *f, const void *unused)
{
    NetworkConfig config = config_of(NETWORK_MODE_SHARED);
    Network *shared = acquire(f, &config);
    Network *own, *again;
    NetworkInfo info;
    FreeRange range;
    g_autoptr(GError) error = NULL;
    g_autofree char *pattern = NULL;

    free_range(f, "somewhere", &range);
    config = config_range(range.start, range.end, "255.255.255.0");
    own = acquire(f, &config);
    g_assert_true(own != shared);
    network_info(own, &info);
    g_assert_true(g_str_has_prefix(info.name, "shared-"));
    g_assert_cmpuint(info.gateway4.v4, ==, config.start_address);
    g_assert_cmpuint(info.pool_last, ==, config.end_address);
    again = acquire(f, &config);
    g_assert_true(again == own);
    network_unref(again);

    /* With its name, addresses that differ are an error. */
    config.name = "shared";
    g_assert_null(network_acquire(f->reg, &config, &error));
    pattern = g_strdup_printf("network 'shared'*start-address %s is wanted*",
                              range.start);
    g_assert_true(g_pattern_match_simple(pattern, error->message));
    g_clear_error(&error);

    /* Another name for the same subnet: taken. */
    config.name = "other";
    g_assert_null(network_acquire(f->reg, &config, &error));
    g_assert_true(g_pattern_match_simple("network 'other': subnet * is taken: "
                                         "another network has *",
                                         error->message));

    /* What shared has anyhow is shared. */
    network_info(shared, &info);
    config = config_of(NETWORK_MODE_SHARED);
    config.has_range = true;
    config.start_address = info.gateway4.v4;
    config.end_address = info.pool_last;
    config.subnet_mask = 0xffffff00;
    again = acquire(f, &config);
    g_assert_true(again == shared);
    network_unref(again);
    network_unref(own);
    network_unref(shared);
}

static void test_host_subnet_is_refused(Fixture *f, const void *unused)
{
    NetworkConfig config = config_range("10.77.0.1", "10.77.0.9",
                                        "255.255.255.0");
    g_autoptr(HostTable) none = host_table_new();
    g_autoptr(GError) error = NULL;

    /* The table is the register's for the time of the test. */
    HostTable *host = (HostTable *)host_table(f->reg->host);

    add_route(host, "10.77.0.0", 16, true);
    g_assert_null(network_acquire(f->reg, &config, &error));
    g_assert_cmpstr(error->message, ==,
                    "network 'shared-10.77.0.0-24': subnet 10.77.0.0/24 is "
                    "taken: the host routes 10.77.0.0/16");
}

static void test_macs(Fixture *f, const void *unused)
{
    NetworkConfig config = config_of(NETWORK_MODE_SHARED);
    Network *network = acquire(f, &config);
    MacAddr a, b, c;

    network_mac_derive(network, "vm-1/net0", &a);
    g_assert_false(mac_is_group(a.b));
    g_assert_cmphex(a.b[0] & 2, ==, 2);
    g_assert_false(network_mac_claim(network, &a));
    /* A second one of the same seed: another address. */
    network_mac_derive(network, "vm-1/net0", &b);
    g_assert_false(mac_equal(&a, &b));
    network_mac_release(network, &a);
    network_mac_derive(network, "vm-1/net0", &c);
    g_assert_true(mac_equal(&a, &c));
    network_unref(network);
}

static void test_state_is_found_again(Fixture *f, const void *unused)
{
    NetworkConfig config = config_of(NETWORK_MODE_SHARED);
    Network *network = acquire(f, &config);
    NetworkInfo before, after;
    IpAddr addr;
    MacAddr mac;

    {
        g_autoptr(NetGuest) guest = net_guest_new(network, 1);

        net_guest_dhcp(guest);
        addr = guest->addr;
    }
    network_mac_derive(network, "x", &mac);
    network_info(network, &before);
    network_unref(network);
    network_register_free(f->reg);

    register_start(f);
    network = acquire(f, &config);
    network_info(network, &after);
    g_assert_true(ip_addr_equal(&before.gateway4, &after.gateway4));
    g_assert_true(ip_addr_equal(&before.prefix6.addr, &after.prefix6.addr));
    g_assert_true(mac_equal(&before.gateway_mac, &after.gateway_mac));
    g_assert_cmpuint(after.n_leases, ==, 1);
    {
        g_autoptr(NetGuest) guest = net_guest_new(network, 1);

        net_guest_dhcp(guest);
        g_assert_true(ip_addr_equal(&addr, &guest->addr));
    }
    network_unref(network);
}

static void test_damaged_state_is_set_aside(Fixture *f, const void *unused)
{
    NetworkConfig config = config_of(NETWORK_MODE_SHARED);
    g_autofree char *dir = g_build_filename(f->state_dir, "networks", "shared",
                                            NULL);
    g_autofree char *file = g_build_filename(dir, "network", NULL);
    g_autofree char *aside = g_build_filename(dir, "network.damaged", NULL);
    g_autofree char *text = NULL;

    g_assert_cmpint(g_mkdir_with_parents(dir, 0700), ==, 0);
    g_assert_true(g_file_set_contents(file, "garbage", -1, NULL));
    g_test_expect_message(NULL, G_LOG_LEVEL_WARNING,
                          "*is damaged*set aside as*network.damaged");
    network_unref(acquire(f, &config));
    g_test_assert_expected_messages();
    g_assert_true(g_file_get_contents(aside, &text, NULL, NULL));
    g_assert_cmpstr(text, ==, "garbage");
}

static void test_a_moved_network_is_said_once(Fixture *f, const void *unused)
{
    NetworkConfig config = config_of(NETWORK_MODE_HOST);
    HostTable *host = (HostTable *)host_table(f->reg->host);
    NetworkInfo info;
    uint32_t gateway;
    Network *network;

    g_array_set_size(host->routes, 0);
    add_route(host, "192.168.108.128", 25, false);
    g_test_expect_message(NULL, G_LOG_LEVEL_MESSAGE,
                          "network host: 192.168.108.0/24 is taken (the host "
                          "routes 192.168.108.128/25): it is * from now on");
    network = acquire(f, &config);
    g_test_assert_expected_messages();
    network_info(network, &info);
    gateway = info.gateway4.v4;
    network_unref(network);
    while (!network_register_is_idle(f->reg)) {
        net_iterate();
    }

    /* It stays there, also when the route has gone. */
    g_array_set_size(host->routes, 0);
    network = acquire(f, &config);
    network_info(network, &info);
    g_assert_cmpuint(info.gateway4.v4, ==, gateway);
    network_unref(network);
}

static void test_an_overlap_is_told_once(Fixture *f, const void *unused)
{
    NetworkConfig config = config_of(NETWORK_MODE_SHARED);
    HostTable *host = (HostTable *)host_table(f->reg->host);
    Network *network;
    NetworkInfo info;

    g_array_set_size(host->routes, 0);
    network = acquire(f, &config);
    network_host_changed(network);
    g_assert_cmpuint(f->n_overlaps, ==, 0);

    network_info(network, &info);
    add_route(host, "192.168.96.0", 19, false);
    network_host_changed(network);
    network_host_changed(network);
    g_assert_cmpuint(f->n_overlaps, ==, 1);
    g_assert_cmpuint(f->overlap.len, ==, 19);

    /* It went and came back. */
    g_array_set_size(host->routes, 0);
    network_host_changed(network);
    add_route(host, "192.168.96.0", 19, false);
    network_host_changed(network);
    g_assert_cmpuint(f->n_overlaps, ==, 2);
    network_unref(network);
}

/* ---- what goes through ---- */

static Network *with_loopback(Fixture *f)
{
    NetworkConfig config = config_of(NETWORK_MODE_SHARED);

    config.host_loopback = NETWORK_ON;
    return acquire(f, &config);
}

static int service_socket(int type, IpEndpoint *ret_at)
{
    struct sockaddr_storage ss;
    socklen_t len;
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

    *ret_at = (IpEndpoint){ ip_addr_v4(INADDR_LOOPBACK), 0 };
    len = ip_endpoint_to_sockaddr(ret_at, &ss);
    g_assert_cmpint(bind(fd, (struct sockaddr *)&ss, len), ==, 0);
    if (type & SOCK_STREAM) {
        g_assert_cmpint(listen(fd, 8), ==, 0);
    }
    len = sizeof(ss);
    g_assert_cmpint(getsockname(fd, (struct sockaddr *)&ss, &len), ==, 0);
    ip_endpoint_from_sockaddr((struct sockaddr *)&ss, len, ret_at);
    return fd;
}

static int service_connect(const IpEndpoint *to)
{
    struct sockaddr_storage ss;
    socklen_t len = ip_endpoint_to_sockaddr(to, &ss);
    int fd = socket(to->addr.family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_assert_cmpint(connect(fd, (struct sockaddr *)&ss, len), ==, 0);
    return fd;
}

static bool socket_has_v6(void)
{
    struct sockaddr_in6 sin6 = { .sin6_family = AF_INET6,
                                 .sin6_addr = in6addr_loopback };
    int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool ok = fd >= 0 &&
              bind(fd, (struct sockaddr *)&sin6, sizeof(sin6)) == 0;

    if (fd >= 0) {
        close(fd);
    }
    return ok;
}

/* Accept or read with the loop running meanwhile. */
static int service_accept(int listener)
{
    int fd;

    while ((fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) < 0 &&
           errno == EAGAIN) {
        net_iterate();
    }
    g_assert_cmpint(fd, >=, 0);
    return fd;
}

static void service_expect(int fd, const char *text)
{
    char buf[64] = { 0 };
    ssize_t n;

    while ((n = recv(fd, buf, sizeof(buf) - 1, MSG_DONTWAIT)) < 0 &&
           errno == EAGAIN) {
        net_iterate();
    }
    g_assert_cmpstr(buf, ==, text);
}

static void guest_expect_data(NetGuest *g, const char *text)
{
    TcpHeader tcp;

    net_guest_tcp_receive(g, &tcp);
    g_assert_cmpmem(g->data + tcp.payload_off, tcp.payload_len, text,
                    strlen(text));
    net_guest_tcp_send(g, TCP_ACK, NULL, 0);
}

static void test_guests_reach_each_other(Fixture *f, const void *unused)
{
    Network *network = with_loopback(f);
    g_autoptr(NetGuest) a = net_guest_new(network, 1);
    g_autoptr(NetGuest) b = net_guest_new(network, 2);
    IpHeaders headers;
    uint8_t buf[200];
    MacAddr mac;
    Lease lease;

    net_guest_dhcp(a);
    net_guest_dhcp(b);
    g_assert_cmpuint(f->n_leases, ==, 2);
    g_assert_true(network_lease_by_port(network, net_guest_port(b), &lease));
    g_assert_true(ip_addr_equal(&lease.addr, &b->addr));

    mac = net_guest_arp(a, &a->gateway);
    g_assert_true(mac_equal(&mac, &a->gateway_mac));

    headers = net_guest_headers(a, &b->addr);
    headers.proto = IPPROTO_UDP;
    headers.eth_dst = b->mac;
    net_guest_send(a, buf, udp_build(buf, sizeof(buf), &headers, 1, 7, "hi", 2));
    net_guest_receive_ip(b, IPPROTO_UDP);
    g_assert_true(ip_addr_equal(&b->ip.src, &a->addr));
    network_unref(network);
}

static void test_tcp_to_the_host(Fixture *f, const void *unused)
{
    Network *network = with_loopback(f);
    g_autoptr(NetGuest) guest = net_guest_new(network, 1);
    IpEndpoint at, to;
    int listener = service_socket(SOCK_STREAM | SOCK_NONBLOCK, &at);
    int fd;

    net_guest_dhcp(guest);
    to = (IpEndpoint){ guest->gateway, at.port };
    g_assert_cmphex(net_guest_tcp_connect(guest, &to), ==, TCP_SYN | TCP_ACK);
    fd = service_accept(listener);
    net_guest_tcp_send(guest, TCP_ACK | TCP_PSH, "question", 8);
    service_expect(fd, "question");
    g_assert_cmpint(write(fd, "answer", 6), ==, 6);
    guest_expect_data(guest, "answer");
    close(fd);
    close(listener);
    network_unref(network);
}

static void test_loopback_services_are_out_of_reach(Fixture *f,
                                                    const void *unused)
{
    NetworkConfig config = config_of(NETWORK_MODE_SHARED);
    Network *network = acquire(f, &config);
    g_autoptr(NetGuest) guest = net_guest_new(network, 1);
    IpEndpoint at, to;
    int listener = service_socket(SOCK_STREAM | SOCK_NONBLOCK, &at);

    net_guest_dhcp(guest);
    to = (IpEndpoint){ guest->gateway, at.port };
    guest->peer = to.addr;
    guest->dport = to.port;
    net_guest_tcp_send(guest, TCP_SYN, NULL, 0);
    /* A reset, or "prohibited" where the host has nothing but loopback. */
    do {
        net_guest_receive(guest);
    } while (net_guest_answer_arp(guest) || guest->parse != IP_PARSE_OK ||
             (guest->ip.proto != IPPROTO_TCP &&
              guest->ip.proto != IPPROTO_ICMP));
    g_assert_cmpint(accept(listener, NULL, NULL), ==, -1);
    g_assert_cmpint(errno, ==, EAGAIN);
    close(listener);
    network_unref(network);
}

static void test_forward_follows_a_lease(Fixture *f, const void *mode)
{
    NetworkConfig config = config_of(GPOINTER_TO_INT(mode));
    Network *network = acquire(f, &config);
    g_autoptr(NetGuest) guest = net_guest_new(network, 1);
    NetworkForwardConfig forward_config = {
        .proto = IPPROTO_TCP,
        .host.addr = ip_addr_v4(INADDR_LOOPBACK),
        .guest.port = 80,
        .port = net_guest_port(guest),
    };
    NetworkForward *forward = network_forward_new(network, &forward_config,
                                                  NULL);
    TcpHeader tcp;
    int fd;

    g_assert_nonnull(forward);
    network_forward_info(forward, &forward_config);
    g_assert_cmpuint(forward_config.host.port, !=, 0);
    g_assert_cmpint(forward_config.guest.addr.family, ==, AF_UNSPEC);

    /* Nobody there yet: a reset. */
    fd = service_connect(&forward_config.host);
    service_expect(fd, "");
    close(fd);

    net_guest_dhcp(guest);
    network_forward_info(forward, &forward_config);
    g_assert_true(ip_addr_equal(&forward_config.guest.addr, &guest->addr));

    fd = service_connect(&forward_config.host);
    guest->sport = 80;
    net_guest_tcp_receive(guest, &tcp);
    g_assert_cmphex(tcp.flags, ==, TCP_SYN);
    g_assert_true(ip_addr_equal(&guest->ip.src, &guest->gateway));
    guest->peer = guest->ip.src;
    guest->dport = tcp.sport;
    net_guest_tcp_send(guest, TCP_SYN | TCP_ACK, NULL, 0);
    g_assert_cmpint(write(fd, "GET", 3), ==, 3);
    guest_expect_data(guest, "GET");
    net_guest_tcp_send(guest, TCP_ACK | TCP_PSH, "page", 4);
    service_expect(fd, "page");
    close(fd);
    network_forward_free(forward);
    network_unref(network);
}

/* Without a host address: both families at one port, one guest. */
static void test_forward_on_all_addresses(Fixture *f, const void *unused)
{
    Network *network = with_loopback(f);
    g_autoptr(NetGuest) guest = net_guest_new(network, 1);
    NetworkForwardConfig config = {
        .proto = IPPROTO_TCP, .host.addr.family = AF_UNSPEC, .guest.port = 80,
    };
    NetworkForward *forward;
    IpEndpoint to = { .port = 0 };
    unsigned i;

    net_guest_dhcp(guest);
    config.guest.addr = guest->addr;
    forward = network_forward_new(network, &config, NULL);
    g_assert_nonnull(forward);
    network_forward_info(forward, &config);
    g_assert_cmpint(config.host.addr.family, ==, AF_UNSPEC);
    to.port = config.host.port;
    for (i = 0; i < 2; i++) {
        TcpHeader tcp;
        int fd;

        to.addr = i ? ip_addr_v6(&in6addr_loopback)
                    : ip_addr_v4(INADDR_LOOPBACK);
        if (i && !socket_has_v6()) {
            break;
        }
        fd = service_connect(&to);
        guest->sport = 80;
        net_guest_tcp_receive(guest, &tcp);
        g_assert_cmphex(tcp.flags, ==, TCP_SYN);
        g_assert_true(ip_addr_equal(&guest->ip.src, &guest->gateway));
        close(fd);
    }
    network_forward_free(forward);
    network_unref(network);
}

static void test_udp_forward(Fixture *f, const void *unused)
{
    Network *network = with_loopback(f);
    g_autoptr(NetGuest) guest = net_guest_new(network, 1);
    NetworkForwardConfig config = {
        .proto = IPPROTO_UDP, .host.addr.family = AF_UNSPEC, .guest.port = 53,
        .port = net_guest_port(guest),
    };
    NetworkForward *forward = network_forward_new(network, &config, NULL);
    struct sockaddr_storage ss;
    IpEndpoint own, to;
    UdpDatagram udp;
    socklen_t len;
    int fd = service_socket(SOCK_DGRAM | SOCK_NONBLOCK, &own);

    g_assert_nonnull(forward);
    net_guest_dhcp(guest);
    network_forward_info(forward, &config);
    to = (IpEndpoint){ ip_addr_v4(INADDR_LOOPBACK), config.host.port };
    len = ip_endpoint_to_sockaddr(&to, &ss);
    g_assert_cmpint(sendto(fd, "ask", 3, 0, (struct sockaddr *)&ss, len), ==, 3);
    net_guest_receive_ip(guest, IPPROTO_UDP);
    g_assert_true(udp_parse(&guest->frame, &guest->ip, &udp));
    g_assert_cmpuint(udp.dport, ==, 53);
    g_assert_true(ip_addr_equal(&guest->ip.src, &guest->gateway));

    to = (IpEndpoint){ guest->ip.src, udp.sport };
    guest->sport = 53;
    net_guest_udp(guest, &to, "answer", 6);
    service_expect(fd, "answer");
    close(fd);
    network_forward_free(forward);
    network_unref(network);
}

static void test_forward_is_refused(Fixture *f, const void *unused)
{
    Network *network = with_loopback(f);
    IpEndpoint at;
    int listener = service_socket(SOCK_STREAM, &at);
    NetworkForwardConfig config = {
        .proto = IPPROTO_TCP, .host = at, .guest.port = 80,
    };
    g_autoptr(GError) error = NULL;
    g_autofree char *text = NULL;
    NetworkInfo info;

    network_info(network, &info);
    config.guest.addr = ip_addr_v4(info.pool_first);
    g_assert_null(network_forward_new(network, &config, &error));
    text = g_strdup_printf("cannot listen on 127.0.0.1:%u/tcp: Address already "
                           "in use", at.port);
    g_assert_cmpstr(error->message, ==, text);
    g_clear_error(&error);

    config.host.port = 0;
    config.guest.addr = ip_addr_v4(v4("8.8.8.8"));
    g_assert_null(network_forward_new(network, &config, &error));
    g_assert_cmpstr(error->message, ==, "network 'shared': 8.8.8.8 is not an "
                    "address of a guest");
    close(listener);
    network_unref(network);
}

/* As an ordinary user: said with the mend. */
static void test_forward_needs_rights(Fixture *f, const void *unused)
{
    Network *network = with_loopback(f);
    NetworkForwardConfig config = {
        .proto = IPPROTO_TCP,
        .host = { ip_addr_v4(INADDR_LOOPBACK), 1 },
        .guest.port = 80,
    };
    g_autoptr(GError) error = NULL;
    bool is_root = geteuid() == 0;
    NetworkForward *forward;
    NetworkInfo info;

    network_info(network, &info);
    config.guest.addr = ip_addr_v4(info.pool_first);
    g_assert_true(!is_root || seteuid(65534) == 0);
    forward = network_forward_new(network, &config, &error);
    g_assert_true(!is_root || seteuid(0) == 0);
    if (forward) {
        g_test_skip("this machine lets everybody bind port 1");
        network_forward_free(forward);
    } else {
        g_assert_true(g_str_has_prefix(error->message, "cannot listen on "
                                       "127.0.0.1:1/tcp: Permission denied: "
                                       "ports below "));
        g_assert_nonnull(strstr(error->message,
                                "net.ipv4.ip_unprivileged_port_start=1"));
    }
    network_unref(network);
}

/* The listener of DNS over TCP is for flows of guests, and for nobody else. */
static void test_dns_listener_takes_only_flows(Fixture *f, const void *unused)
{
    Network *network = with_loopback(f);
    IpEndpoint at = { ip_addr_v4(INADDR_LOOPBACK),
                      network->uplink->policy.dns4_port };
    int fd;

    g_assert_cmpuint(at.port, !=, 0);
    fd = service_connect(&at);
    service_expect(fd, "");
    close(fd);
    network_unref(network);
}

static void test_persistent_forward(Fixture *f, const void *unused)
{
    Network *network = with_loopback(f);
    NetworkForwardConfig config = {
        .proto = IPPROTO_TCP, .host.addr = ip_addr_v4(INADDR_LOOPBACK),
        .guest.port = 80, .persistent = true,
    };
    g_autoptr(GPtrArray) list = NULL;
    NetworkInfo info;

    network_info(network, &info);
    config.guest.addr = ip_addr_v4(info.pool_first);
    g_assert_nonnull(network_forward_new(network, &config, NULL));
    network_unref(network);
    network_register_free(f->reg);

    register_start(f);
    network = with_loopback(f);
    list = network_forwards(network);
    g_assert_cmpuint(list->len, ==, 1);
    network_forward_info(g_ptr_array_index(list, 0), &config);
    g_assert_cmpuint(config.guest.addr.v4, ==, info.pool_first);
    network_forward_free(g_ptr_array_index(list, 0));
    network_unref(network);
    network_register_free(f->reg);

    register_start(f);
    network = with_loopback(f);
    g_ptr_array_unref(list);
    list = network_forwards(network);
    g_assert_cmpuint(list->len, ==, 0);
    network_unref(network);
}

static void test_dns(Fixture *f, const void *tcp)
{
    Network *network = with_loopback(f);
    g_autoptr(NetGuest) guest = net_guest_new(network, 1);
    IpEndpoint at, gateway;
    int server = service_socket(SOCK_DGRAM | SOCK_NONBLOCK, &at);
    g_autofree char *conf = g_strdup_printf("nameserver 127.0.0.1#%u\n",
                                            at.port);
    struct sockaddr_storage from;
    socklen_t from_len = sizeof(from);
    uint8_t query[514], buf[512], answer[512];
    DnsMessage msg;
    DnsBuilder b;
    DnsName name;
    UdpDatagram udp;
    TcpHeader header;
    IpAddr addr = ip_addr_v4(v4("192.0.2.80"));
    ssize_t n;
    size_t len;

    g_assert_true(g_file_set_contents(f->resolv_conf, conf, -1, NULL));
    net_guest_dhcp(guest);
    gateway = (IpEndpoint){ guest->gateway, DNS_PORT };
    dns_name_from_text("www.example.com", &name);
    len = dns_query_build(query + 2, sizeof(query) - 2, 77, &name, DNS_TYPE_A,
                          0);
    query[0] = len >> 8;
    query[1] = len;
    if (tcp) {
        g_assert_cmphex(net_guest_tcp_connect(guest, &gateway), ==,
                        TCP_SYN | TCP_ACK);
        net_guest_tcp_send(guest, TCP_ACK | TCP_PSH, query, len + 2);
    } else {
        net_guest_udp(guest, &gateway, query + 2, len);
    }

    while ((n = recvfrom(server, buf, sizeof(buf), 0,
                         (struct sockaddr *)&from, &from_len)) < 0) {
        net_iterate();
    }
    g_assert_true(dns_parse(buf, n, &msg));
    dns_reply_begin(&b, answer, sizeof(answer), &msg, DNS_FLAG_RA,
                    DNS_RCODE_NOERROR, 1232);
    dns_add_addr(&b, DNS_SECTION_ANSWER, NULL, 60, &addr);
    n = dns_reply_finish(&b);
    sendto(server, answer, n, 0, (struct sockaddr *)&from, from_len);

    if (tcp) {
        net_guest_tcp_receive(guest, &header);
        g_assert_true(dns_parse(guest->data + header.payload_off + 2,
                                header.payload_len - 2, &msg));
    } else {
        net_guest_receive_ip(guest, IPPROTO_UDP);
        g_assert_true(udp_parse(&guest->frame, &guest->ip, &udp));
        g_assert_true(dns_parse(guest->data + udp.payload_off, udp.payload_len,
                                &msg));
    }
    g_assert_cmpuint(msg.header.id, ==, 77);
    g_assert_cmpuint(msg.header.n_answers, ==, 1);
    close(server);
    network_unref(network);
}

static void test_uuid_network_has_no_gateway(Fixture *f, const void *unused)
{
    NetworkConfig config = config_of(NETWORK_MODE_HOST);
    NetworkForwardConfig forward = { .proto = IPPROTO_TCP, .guest.port = 80 };
    g_autoptr(GError) error = NULL;
    NetworkInfo info;
    Network *network;

    config.net_uuid = "6D5F0A2E-5b1c-4c4e-9a57-0c1f2a3b4c5d";
    network = acquire(f, &config);
    network_info(network, &info);
    g_assert_cmpstr(info.name, ==, "host-6d5f0a2e-5b1c-4c4e-9a57-0c1f2a3b4c5d");
    g_assert_cmpint(info.gateway4.family, ==, AF_UNSPEC);
    g_assert_false(info.dhcp || info.dns);
    {
        g_autoptr(NetGuest) a = net_guest_new(network, 1);
        g_autoptr(NetGuest) b = net_guest_new(network, 2);

        net_guest_dhcp_send(a, DHCP4_DISCOVER, 0, 0);
        /* The other guest hears it; the one that asked, nothing. */
        net_guest_receive(b);
        net_settle();
        g_assert_false(net_guest_readable(a));
    }
    forward.guest.addr = ip_addr_v4(v4("192.168.1.1"));
    g_assert_null(network_forward_new(network, &forward, &error));
    g_assert_nonnull(strstr(error->message, "it has no gateway"));
    network_unref(network);
}

#define ADD(name, data, func) \
    g_test_add("/network/" name, Fixture, data, set_up, func, tear_down)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/network/config/ranges", test_ranges);
    g_test_add_func("/network/config/prefix6", test_prefix6);
    g_test_add_func("/network/config/numbers-and-names",
                    test_numbers_and_names);
    g_test_add_func("/network/config/net-uuid", test_uuid);
    g_test_add_func("/network/subnet/choice", test_subnet_choice);
    g_test_add_func("/network/subnet/exhausted", test_subnet_exhausted);
    g_test_add_func("/network/state/text-round-trip", test_state_text);
    g_test_add_func("/network/state/damage-is-refused", test_state_damage);
    g_test_add_func("/network/store/in-memory", test_store_in_memory);
    g_test_add_func("/network/store/that-cannot-write",
                    test_store_that_cannot_write);

    ADD("one-network-for-all", NULL, test_one_network_for_all);
    ADD("idle-networks-stop", NULL, test_idle_networks_stop);
    ADD("adopt-and-strict", NULL, test_adopt_and_strict);
    ADD("addresses-select-a-network-of-their-own", NULL, test_own_network);
    ADD("a-subnet-of-the-host-is-refused", NULL, test_host_subnet_is_refused);
    ADD("macs", NULL, test_macs);
    ADD("state-is-found-again", NULL, test_state_is_found_again);
    ADD("damaged-state-is-set-aside", NULL, test_damaged_state_is_set_aside);
    ADD("a-moved-network-is-said-once", NULL,
        test_a_moved_network_is_said_once);
    ADD("an-overlap-is-told-once", NULL, test_an_overlap_is_told_once);
    ADD("guests-reach-each-other", NULL, test_guests_reach_each_other);
    ADD("tcp-to-the-host", NULL, test_tcp_to_the_host);
    ADD("loopback-services-are-out-of-reach", NULL,
        test_loopback_services_are_out_of_reach);
    ADD("forward-follows-a-lease", GINT_TO_POINTER(NETWORK_MODE_SHARED),
        test_forward_follows_a_lease);
    ADD("forward-follows-a-lease/host", GINT_TO_POINTER(NETWORK_MODE_HOST),
        test_forward_follows_a_lease);
    ADD("forward-on-all-addresses", NULL, test_forward_on_all_addresses);
    ADD("udp-forward", NULL, test_udp_forward);
    ADD("a-forward-is-refused", NULL, test_forward_is_refused);
    ADD("a-forward-needs-rights", NULL, test_forward_needs_rights);
    ADD("dns-listener-takes-only-flows", NULL,
        test_dns_listener_takes_only_flows);
    ADD("a-persistent-forward-is-kept", NULL, test_persistent_forward);
    ADD("dns/udp", NULL, test_dns);
    ADD("dns/tcp", GINT_TO_POINTER(1), test_dns);
    ADD("net-uuid-has-no-gateway", NULL, test_uuid_network_has_no_gateway);
    return g_test_run();
}
