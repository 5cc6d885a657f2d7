/*
 * Who gets which network, with what addresses, and what is found again
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "network-fixture.h"

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

/* Addresses are options as well: those of the network's choice, or none. */
static void test_strict_about_addresses(Fixture *f, const void *unused)
{
    NetworkConfig strict = config_of(NETWORK_MODE_SHARED);
    g_autoptr(GError) error = NULL;
    NetworkConfig written;
    FreeRange range;
    Network *network;

    /* Wherever it is, being the default, it is. */
    strict.match = NETWORK_MATCH_STRICT;
    add_route((HostTable *)host_table(f->reg->host), "192.168.107.0", 24, true);
    network = acquire(f, &strict);
    g_assert_true(acquire(f, &strict) == network);
    network_unref(network);
    network_unref(network);

    free_range(f, "strict", &range);
    written = config_range(range.start, range.end, "255.255.255.0");
    written.name = strict.name = "lab";
    g_assert_true(ip_addr_parse("fd12:3456:789a:1::", &written.prefix6.addr));
    written.prefix6.len = 64;
    network = acquire(f, &written);
    g_assert_null(network_acquire(f->reg, &strict, &error));
    g_assert_true(g_pattern_match_simple(
        "network 'lab' runs with another configuration: start-address of the "
        "network's choice is wanted, * is in force; end-address *; subnet-mask "
        "* 255.255.255.0 is in force; nat66-prefix * is wanted, "
        "fd12:3456:789a:1:: is in force", error->message));
    strict.has_range = true;
    strict.start_address = written.start_address;
    strict.end_address = written.end_address;
    strict.subnet_mask = written.subnet_mask;
    strict.prefix6 = written.prefix6;
    g_assert_true(acquire(f, &strict) == network);
    network_unref(network);

    /* What was written then is kept, and not wanted now. */
    network_unref(network);
    strict.has_range = false;
    strict.prefix6.addr.family = AF_UNSPEC;
    network = acquire(f, &strict);
    g_assert_false(network->state.addresses.written);
    g_assert_cmphex(network->state.addresses.gateway, !=,
                    written.start_address);
    g_assert_false(ip_addr_equal(&network->state.prefix6.addr,
                                 &written.prefix6.addr));
    g_assert_false(network->state.prefix6_written);
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

/* ---- how many flows, and sockets to name servers ---- */

static void test_flows_by_descriptors(void)
{
    static const struct {
        uint64_t n_fds;
        unsigned flows, dns;
    } rows[] = {
        { UINT64_MAX, 65536, 1024 },    /* RLIM_INFINITY */
        { 65536 + 2048, 65536, 1024 },
        { 65536 + 512, 65536, 256 },
        { 65536 + 511, 65535, 256 },
        { 4096, 3584, 256 },
        { 1025, 513, 256 },
        { 1024, 512, 256 },
        { 256, 128, 64 },
        { 0, 0, 0 },
    };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_assert_cmpuint(network_flows_max(rows[i].n_fds), ==, rows[i].flows);
        g_assert_cmpuint(network_dns_sockets_max(rows[i].n_fds), ==,
                         rows[i].dns);
    }
}

#define ADD(name, data, func) \
    g_test_add("/network/" name, Fixture, data, set_up, func, tear_down)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("one-network-for-all", NULL, test_one_network_for_all);
    g_test_add_func("/network/flows-by-descriptors", test_flows_by_descriptors);
    ADD("idle-networks-stop", NULL, test_idle_networks_stop);
    ADD("adopt-and-strict", NULL, test_adopt_and_strict);
    ADD("strict-about-addresses", NULL, test_strict_about_addresses);
    ADD("addresses-select-a-network-of-their-own", NULL, test_own_network);
    ADD("a-subnet-of-the-host-is-refused", NULL, test_host_subnet_is_refused);
    ADD("macs", NULL, test_macs);
    ADD("state-is-found-again", NULL, test_state_is_found_again);
    ADD("damaged-state-is-set-aside", NULL, test_damaged_state_is_set_aside);
    ADD("a-moved-network-is-said-once", NULL,
        test_a_moved_network_is_said_once);
    ADD("an-overlap-is-told-once", NULL, test_an_overlap_is_told_once);
    return g_test_run();
}
