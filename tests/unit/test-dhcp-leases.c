/*
 * Leases: who holds one, when it ends, whom a name belongs to, what is on disk
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "dhcp-harness.h"
#include "limits.h"

/* A pool of two addresses. */
static Harness *harness_new_small(void)
{
    GatewayConfig config = harness_config();

    config.pool_last = NET(3);
    return harness_new(&config);
}

/* Who is who */

static void test_client_that_changes_its_id_keeps_its_address(void)
{
    g_autoptr(Harness) h = harness_new_shared();
    uint32_t firmware = harness_lease(h, (HarnessDhcp) { .guest = 1 });
    uint32_t initramfs = harness_lease(h, (HarnessDhcp) { .guest = 1,
                                       .id = "initramfs" });
    uint32_t system = harness_lease(h, (HarnessDhcp) { .guest = 1,
                                    .id = "system", .hostname = "web" });

    g_assert_cmphex(firmware, ==, initramfs);
    g_assert_cmphex(firmware, ==, system);
    g_assert_cmpuint(count_events(h, GATEWAY_LEASE_CONFLICT), ==, 0);
    /* The next boot's firmware has no name; the guest keeps its. */
    harness_lease(h, (HarnessDhcp) { .guest = 1 });
    g_assert_true(gateway_lease_find(h->gw, "WEB", &(Lease) { 0 }));
    g_assert_true(gateway_lease_find(h->gw, "web.vmnet.internal.",
                                     &(Lease) { 0 }));
}

static void test_clones_get_addresses_of_their_own_and_an_event(void)
{
    g_autoptr(Harness) h = harness_new_shared();
    uint32_t a = harness_lease(h, (HarnessDhcp) { .guest = 1, .id = "same" });
    Dhcp4Message reply;
    uint32_t b;

    g_assert_true(harness_dhcp(h, (HarnessDhcp) { .guest = 2, .id = "same",
                               .type = DHCP4_DISCOVER }, &reply));
    g_assert_cmpuint(count_events(h, GATEWAY_LEASE_CONFLICT), ==, 1);
    g_assert_cmphex(harness_event_at(h, 0)->lease.addr.v4, ==, a);
    b = harness_lease(h, (HarnessDhcp) { .guest = 2, .id = "same" });
    g_assert_cmpuint(count_events(h, GATEWAY_LEASE_CONFLICT), ==, 0);
    g_assert_cmphex(a, !=, b);
    /* Both keep them. */
    g_assert_cmphex(harness_lease(h, (HarnessDhcp) { .guest = 1,
                                  .id = "same" }), ==, a);
    g_assert_cmphex(harness_lease(h, (HarnessDhcp) { .guest = 2,
                                  .id = "same" }), ==, b);
}

static void test_client_id_comes_before_the_hardware_address(void)
{
    g_autoptr(Harness) h = harness_new_shared();
    uint32_t addr = harness_lease(h, (HarnessDhcp) { .guest = 1, .id = "me" });

    /* A new network card in the same machine. */
    gateway_port_gone(h->gw, 1, h->now_ms);
    g_assert_cmphex(harness_lease(h, (HarnessDhcp) { .guest = 2,
                                  .id = "me" }), ==, addr);
    g_assert_cmphex(harness_lease(h, (HarnessDhcp) { .guest = 1,
                                  .id = "other" }), !=, addr);
}

static void test_client_id_moves_once_on_the_same_port(void)
{
    g_autoptr(Harness) h = harness_new_shared();
    uint32_t addr = harness_lease(h, (HarnessDhcp) { .guest = 1, .id = "me" });
    uint32_t other;

    g_assert_cmphex(harness_lease(h, (HarnessDhcp) { .guest = 2, .port = 1,
                                  .id = "me" }), ==, addr);
    /* Back again: these are two, behind one port. */
    other = harness_lease(h, (HarnessDhcp) { .guest = 1, .id = "me" });
    g_assert_cmphex(other, !=, 0);
    g_assert_cmphex(other, !=, addr);
    g_assert_cmphex(harness_lease(h, (HarnessDhcp) { .guest = 2, .port = 1,
                                  .id = "me" }), ==, addr);
}

static bool reserve(Harness *h, const MacAddr *mac, const IpAddr *addr)
{
    bool is_new;

    return gateway_reserve(h->gw, mac, addr, &is_new);
}

static void test_one_reservation_for_one_mac(void)
{
    g_autoptr(Harness) h = harness_new_small();
    MacAddr mac = harness_mac(9), other = harness_mac(10);
    IpAddr first = ip_addr_v4(NET(2)), second = ip_addr_v4(NET(3));
    bool is_new;

    g_assert_true(gateway_reserve(h->gw, &mac, &first, &is_new));
    g_assert_true(is_new);
    g_assert_true(gateway_reserve(h->gw, &mac, &first, &is_new));
    g_assert_false(is_new);
    g_assert_false(reserve(h, &mac, &second));
    g_assert_false(reserve(h, &other, &first));
    gateway_unreserve(h->gw, &first);
    gateway_unreserve(h->gw, &first);
    g_assert_cmpint(state_of(h, NET(2)), ==, LEASE__MAX);
    g_assert_true(reserve(h, &mac, &second));
    g_assert_true(reserve(h, &other, &first));
    /* One in use stays its guest's until it ends. */
    g_assert_cmphex(harness_lease(h, (HarnessDhcp) { .guest = 9 }), ==, NET(3));
    gateway_unreserve(h->gw, &second);
    g_assert_cmpint(state_of(h, NET(3)), ==, LEASE_BOUND);
}

static void test_reserved_address_is_for_its_mac_only(void)
{
    g_autoptr(Harness) h = harness_new_small();
    MacAddr mac = harness_mac(9), nobody = {{ 0 }};
    IpAddr reserved = ip_addr_v4(NET(2)), outside = ip_addr_v4(ELSEWHERE);
    IpAddr blocked = ip_addr_v4(NET(3)), beyond = ip_addr_v4(NET(200));

    g_assert_true(reserve(h, &mac, &reserved));
    g_assert_true(reserve(h, &nobody, &blocked));
    g_assert_false(reserve(h, &mac, &outside));
    g_assert_cmphex(harness_lease(h, (HarnessDhcp) { .guest = 1 }), ==, 0);
    g_assert_cmphex(harness_lease(h, (HarnessDhcp) { .guest = 9 }), ==, NET(2));
    harness_run(h, 4000 * 1000);
    g_assert_cmpint(state_of(h, NET(2)), ==, LEASE_EXPIRED);
    gateway_port_gone(h->gw, 9, h->now_ms);
    g_assert_cmphex(harness_lease(h, (HarnessDhcp) { .guest = 1 }), ==, 0);
    g_assert_cmphex(harness_lease(h, (HarnessDhcp) { .guest = 9 }), ==, NET(2));
    /* Outside of the pool is fine for a reservation. */
    mac = harness_mac(10);
    g_assert_true(reserve(h, &mac, &beyond));
    g_assert_cmphex(harness_lease(h, (HarnessDhcp) { .guest = 10 }), ==,
                    NET(200));
}

static void test_reservation_made_late_moves_its_guest(void)
{
    g_autoptr(Harness) h = harness_new_shared();
    uint32_t addr = harness_lease(h, (HarnessDhcp) { .guest = 9 });
    IpAddr reserved = ip_addr_v4(NET(200));
    MacAddr mac = harness_mac(9);
    Dhcp4Message reply;

    g_assert_true(reserve(h, &mac, &reserved));
    g_assert_true(harness_dhcp(h, (HarnessDhcp) { .guest = 9,
                               .type = DHCP4_REQUEST, .ciaddr = addr,
                               .ip_src = addr, .unicast = true }, &reply));
    g_assert_cmpint(reply.type, ==, DHCP4_NAK);
    g_assert_cmphex(harness_lease(h, (HarnessDhcp) { .guest = 9 }), ==,
                    NET(200));
    g_assert_cmpint(state_of(h, addr), ==, LEASE__MAX);
}

/* Events */

static void test_events_come_when_the_leases_say_so_already(void)
{
    g_autoptr(Harness) h = harness_new_shared();
    uint32_t addr = harness_lease(h, (HarnessDhcp) { .guest = 1, .id = "me" });
    Dhcp4Message reply;

    g_assert_true(harness_event_at(h, 0)->was_found);
    harness_dhcp(h, (HarnessDhcp) { .guest = 1, .type = DHCP4_RELEASE,
                 .ciaddr = addr, .ip_src = addr, .server_id = GATEWAY4 },
                 &reply);
    g_assert_cmpint(harness_event_at(h, 0)->type, ==, GATEWAY_LEASE_REMOVED);
    g_assert_false(harness_event_at(h, 0)->was_found);
    g_assert_cmpuint(harness_event_at(h, 0)->lease.port, ==, 1);

    harness_lease(h, (HarnessDhcp) { .guest = 1, .id = "me" });
    gateway_port_gone(h->gw, 1, h->now_ms);
    harness_dhcp(h, (HarnessDhcp) { .guest = 2, .type = DHCP4_DISCOVER,
                 .id = "me" }, &reply);
    g_assert_cmpint(harness_event_at(h, 0)->type, ==, GATEWAY_LEASE_REMOVED);
    g_assert_false(harness_event_at(h, 0)->was_found);

    harness_lease(h, (HarnessDhcp) { .guest = 2, .id = "me" });
    harness_run(h, 3600 * 1000);
    g_assert_cmpint(harness_event_at(h, 0)->type, ==, GATEWAY_LEASE_REMOVED);
    g_assert_false(harness_event_at(h, 0)->was_found);
}

static void test_guest_that_comes_back_on_another_port_is_an_event(void)
{
    g_autoptr(Harness) h = harness_new_shared();
    uint32_t addr = harness_lease(h, (HarnessDhcp) { .guest = 1 });

    harness_lease(h, (HarnessDhcp) { .guest = 1 });
    g_assert_cmpuint(h->events->len, ==, 0); /* renewed */
    harness_lease(h, (HarnessDhcp) { .guest = 1, .port = 5 });
    g_assert_cmpuint(count_events(h, GATEWAY_LEASE_ADDED), ==, 1);
    g_assert_cmpuint(harness_event_at(h, 0)->lease.port, ==, 5);
    /* By its packets, when it does not ask: as after a restart of ours. */
    gateway_port_gone(h->gw, 5, h->now_ms);
    harness_arp(h, 1, ARP_REQUEST, addr, GATEWAY4);
    g_assert_cmpuint(count_events(h, GATEWAY_LEASE_ADDED), ==, 1);
    g_assert_cmpuint(harness_event_at(h, 0)->lease.port, ==, 1);
}

/* Expiry */

static void test_lease_expires_with_an_event_and_is_kept(void)
{
    g_autoptr(Harness) h = harness_new_shared();
    uint32_t addr = harness_lease(h, (HarnessDhcp) { .guest = 1 });

    harness_run(h, 3599 * 1000);
    g_assert_cmpint(state_of(h, addr), ==, LEASE_BOUND);
    harness_run(h, 1000);
    g_assert_cmpuint(count_events(h, GATEWAY_LEASE_REMOVED), ==, 1);
    g_assert_cmpint(state_of(h, addr), ==, LEASE_EXPIRED);
    g_assert_cmphex(harness_lease(h, (HarnessDhcp) { .guest = 1 }), ==, addr);
}

static void test_expired_lease_is_refused_where_its_address_is_in_use(void)
{
    g_autoptr(Harness) h = harness_new_shared();
    uint32_t addr = harness_lease(h, (HarnessDhcp) { .guest = 1 });
    Dhcp4Message reply;

    gateway_port_gone(h->gw, 1, h->now_ms);
    harness_run(h, 3600 * 1000);
    harness_arp(h, 2, ARP_REQUEST, addr, GATEWAY4);
    g_assert_true(harness_dhcp(h, (HarnessDhcp) { .guest = 1,
                               .type = DHCP4_REQUEST, .requested_ip = addr },
                               &reply));
    g_assert_cmpint(reply.type, ==, DHCP4_NAK);
    g_assert_cmphex(harness_lease(h, (HarnessDhcp) { .guest = 1 }), !=, addr);
}

static void test_expired_lease_goes_to_another_when_nothing_is_fresh(void)
{
    g_autoptr(Harness) h = harness_new_small();
    uint32_t first = harness_lease(h, (HarnessDhcp) { .guest = 1 }), second;

    harness_run(h, 10 * 1000);
    second = harness_lease(h, (HarnessDhcp) { .guest = 2 });
    g_assert_cmphex(first, !=, second);
    g_assert_cmphex(harness_lease(h, (HarnessDhcp) { .guest = 3 }), ==, 0);
    g_assert_cmpuint(h->drops[SWITCH_DROP_LIMIT], ==, 1);
    harness_run(h, 3700 * 1000);
    gateway_port_gone(h->gw, 1, h->now_ms);
    gateway_port_gone(h->gw, 2, h->now_ms);
    g_assert_cmphex(harness_lease(h, (HarnessDhcp) { .guest = 3 }), ==, first);
    g_assert_cmphex(harness_lease(h, (HarnessDhcp) { .guest = 4 }), ==, second);
}

static void test_expired_lease_is_not_taken_while_its_mac_uses_it(void)
{
    g_autoptr(Harness) h = harness_new_small();
    uint32_t first = harness_lease(h, (HarnessDhcp) { .guest = 1 });
    uint32_t second = harness_lease(h, (HarnessDhcp) { .guest = 2 });
    Dhcp4Message reply;

    harness_run(h, 3700 * 1000);
    /* Both are still plugged in: they are asked, and nobody is served. */
    g_assert_false(harness_dhcp(h, (HarnessDhcp) { .guest = 3,
                                .type = DHCP4_DISCOVER }, &reply));
    g_assert_cmpuint(h->out->len, ==, 2);
    h->now_ms += 10;
    harness_arp(h, 1, ARP_REPLY, first, GATEWAY4);
    h->now_ms += 3000;
    g_assert_cmphex(harness_lease(h, (HarnessDhcp) { .guest = 3 }), ==, second);
    h->now_ms += 3000;
    g_assert_cmphex(harness_lease(h, (HarnessDhcp) { .guest = 4 }), ==, 0);
}

static void test_one_port_cannot_take_the_pool(void)
{
    g_autoptr(Harness) h = harness_new_shared();
    unsigned i;

    for (i = 0; i < 1000; i++) {
        h->now_ms += 20;
        harness_lease(h, (HarnessDhcp) { .guest = 1000 + i, .port = 1 });
    }
    g_assert_cmphex(harness_lease(h, (HarnessDhcp) { .guest = 2 }), !=, 0);
}

static void test_flood_of_discovers_is_rate_limited(void)
{
    g_autoptr(Harness) h = harness_new_shared();
    Dhcp4Message reply;
    unsigned i, n = 0;

    for (i = 0; i < 1000; i++) {
        n += harness_dhcp(h, (HarnessDhcp) { .guest = 1,
                          .type = DHCP4_DISCOVER }, &reply);
    }
    g_assert_cmpuint(n, ==, LIMIT_DHCP_BURST);
    g_assert_cmpuint(h->drops[SWITCH_DROP_LIMIT], ==, 1);
    g_assert_cmphex(harness_lease(h, (HarnessDhcp) { .guest = 2 }), !=, 0);
}

static void test_message_that_lies_is_malformed(void)
{
    g_autoptr(Harness) h = harness_new_shared();
    Dhcp4Message reply;

    g_assert_false(harness_dhcp(h, (HarnessDhcp) { .guest = 1, .cut = 100,
                                .type = DHCP4_DISCOVER }, &reply));
    g_assert_cmpuint(h->drops[SWITCH_DROP_MALFORMED], ==, 1);
}

/* Names */

static void test_first_live_holder_keeps_a_name(void)
{
    g_autoptr(Harness) h = harness_new_shared();
    uint32_t first = harness_lease(h, (HarnessDhcp) { .guest = 1,
                                   .hostname = "Web.example" });
    uint32_t second;
    Dhcp4Message reply;
    Lease lease;

    second = harness_lease(h, (HarnessDhcp) { .guest = 2, .hostname = "web" });
    g_assert_cmpuint(count_events(h, GATEWAY_LEASE_CONFLICT), ==, 1);
    g_assert_true(gateway_lease_find(h->gw, "web", &lease));
    g_assert_cmphex(lease.addr.v4, ==, first);
    /* Said once, not at each renewal. */
    harness_lease(h, (HarnessDhcp) { .guest = 2, .hostname = "web" });
    g_assert_cmpuint(count_events(h, GATEWAY_LEASE_CONFLICT), ==, 0);
    /* When the first goes, the second has it. */
    harness_dhcp(h, (HarnessDhcp) { .guest = 1, .type = DHCP4_RELEASE,
                 .ciaddr = first, .ip_src = first, .server_id = GATEWAY4 },
                 &reply);
    g_assert_true(gateway_lease_find(h->gw, "web", &lease));
    g_assert_cmphex(lease.addr.v4, ==, second);
}

static void test_names_are_made_valid_labels(void)
{
    static const struct {
        const char *sent, *kept;
    } rows[] = {
        { "Web", "web" }, { "my box", "my-box" }, { "a_b", "a-b" },
        { "-x-", "x" }, { "db.example.org", "db" }, { "\xff\xfe", "" },
        { "...", "" }, { "x\n\"y", "x--y" },
    };
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(Harness) h = harness_new_shared();
        Lease lease;

        harness_lease(h, (HarnessDhcp) { .guest = 1,
                      .hostname = rows[i].sent });
        g_assert_true(gateway_lease_by_port(h->gw, 1, &lease));
        g_assert_cmpstr(lease.hostname, ==, rows[i].kept);
    }
}

static void test_reserved_names_are_nobodys(void)
{
    static const char *const names[] = { "host", "Gateway", "localhost" };
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autoptr(Harness) h = harness_new_shared();
        Lease lease;

        g_assert_cmphex(harness_lease(h, (HarnessDhcp) { .guest = 1,
                                      .hostname = names[i] }), !=, 0);
        g_assert_false(gateway_lease_find(h->gw, names[i], &lease));
        g_assert_cmpuint(count_events(h, GATEWAY_LEASE_CONFLICT), ==, 1);
    }
}

/* On disk */

static void test_leases_survive_save_and_load(void)
{
    g_autoptr(Harness) h = harness_new_shared();
    g_autoptr(Harness) later = harness_new_shared();
    g_autofree char *text = NULL, *again = NULL;
    uint32_t addr = harness_lease(h, (HarnessDhcp) { .guest = 1, .id = "x\ty",
                                  .hostname = "web",
                                  .requested_ip = NET(42) });
    GError *error = NULL;
    Lease lease;

    text = gateway_save(h->gw);
    later->now_ms = 5;
    later->wall_s += 600;
    g_assert_true(gateway_load(later->gw, text, strlen(text), &error));
    g_assert_no_error(error);
    g_assert_true(gateway_lease_find(later->gw, "web", &lease));
    g_assert_cmphex(lease.addr.v4, ==, addr);
    g_assert_cmpint(lease.expires_s, ==, h->wall_s + 3600);
    g_assert_cmpuint(lease.port, ==, 0);
    again = gateway_save(later->gw);
    g_assert_cmpstr(text, ==, again);

    harness_run(later, 2999 * 1000);
    g_assert_cmpint(state_of(later, addr), ==, LEASE_BOUND);
    harness_run(later, 2000);
    g_assert_cmpint(state_of(later, addr), ==, LEASE_EXPIRED);
}

static void test_lease_that_was_loaded_is_found_on_its_port(void)
{
    g_autoptr(Harness) h = harness_new_shared();
    g_autoptr(Harness) later = harness_new_shared();
    uint32_t addr = harness_lease(h, (HarnessDhcp) { .guest = 1 });
    g_autofree char *text = gateway_save(h->gw);
    Lease lease;

    g_assert_true(gateway_load(later->gw, text, strlen(text), NULL));
    g_assert_false(gateway_lease_by_port(later->gw, 1, &lease));
    harness_udp(later, 1, ip_addr_v4(addr), ip_addr_v4(0x08080808), 1, 2,
                "x", 1);
    g_assert_true(gateway_lease_by_port(later->gw, 1, &lease));
    g_assert_cmphex(lease.addr.v4, ==, addr);
}

static void test_clock_set_wrong_loses_no_lease(void)
{
    static const int64_t steps_s[] = { -1700000000, 40 * 365 * 86400 };
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(steps_s); i++) {
        g_autoptr(Harness) h = harness_new_shared();
        g_autoptr(Harness) later = harness_new_shared();
        uint32_t addr = harness_lease(h, (HarnessDhcp) { .guest = 1,
                                      .requested_ip = NET(42) });
        g_autofree char *text = gateway_save(h->gw);
        Lease lease;

        later->wall_s = h->wall_s + steps_s[i];
        g_assert_true(gateway_load(later->gw, text, strlen(text), NULL));
        harness_run(later, 1);
        if (gateway_lease_find(later->gw, "192.168.107.42", &lease)) {
            g_assert_cmpint(lease.expires_s, <=, later->wall_s + 3600);
        }
        g_assert_cmphex(harness_lease(later, (HarnessDhcp) { .guest = 1 }),
                        ==, addr);
    }
}

/* Whatever year the file's clock had: nothing lasts longer than a lease. */
static void test_times_in_the_future_end(void)
{
    static const char text[] =
        "vmnet-leases 1\n"
        "lease 192.168.107.2 52:54:00:66:66:66 bound 4102444800 - -\n"
        "lease 192.168.107.3 00:00:00:00:00:00 declined 1099511627776 - -\n"
        "end 2\n";
    g_autoptr(Harness) h = harness_new_small();
    Dhcp4Message reply;

    g_assert_true(gateway_load(h->gw, text, strlen(text), NULL));
    g_assert_cmpint(state_of(h, NET(2)), ==, LEASE_BOUND);
    g_assert_cmpint(state_of(h, NET(3)), ==, LEASE_DECLINED);
    g_assert_false(harness_dhcp(h, (HarnessDhcp) { .guest = 1,
                                .type = DHCP4_DISCOVER }, &reply));
    harness_run(h, 3601 * 1000);
    g_assert_cmpint(state_of(h, NET(2)), ==, LEASE_EXPIRED);
    g_assert_cmphex(harness_lease(h, (HarnessDhcp) { .guest = 1 }), ==,
                    NET(3));
}

static void test_leases_of_another_subnet_are_passed_over(void)
{
    GatewayConfig config = harness_config();
    g_autoptr(Harness) h = harness_new_shared();
    g_autoptr(Harness) moved = NULL;
    g_autofree char *text = NULL;
    g_autoptr(GArray) leases = NULL;

    harness_lease(h, (HarnessDhcp) { .guest = 1 });
    text = gateway_save(h->gw);
    config.gateway4 = ip_addr_v4(0x0a000001);
    config.prefix4 = (IpPrefix) { ip_addr_v4(0x0a000000), 24 };
    config.pool_first = 0x0a000002;
    config.pool_last = 0x0a0000fe;
    moved = harness_new(&config);
    g_assert_true(gateway_load(moved->gw, text, strlen(text), NULL));
    leases = gateway_leases(moved->gw);
    g_assert_cmpuint(leases->len, ==, 0);
}

static void test_damaged_file_is_refused_naming_the_line(void)
{
#define LEASE "lease 192.168.107.5 52:54:00:12:34:56 bound 1700000000 0152 web\n"
    static const struct {
        const char *text, *error;
    } rows[] = {
        { "", "line 1: " },
        { "vmnet-leases 2\nend 0\n", "line 1: " },
        { "vmnet-leases 1\n", "line 2: file is not complete" },
        { "vmnet-leases 1\n" LEASE, "line 3: file is not complete" },
        { "vmnet-leases 1\n" LEASE "end 2\n", "line 3: file is not complete" },
        { "vmnet-leases 1\n" LEASE "end 1\nx", "line 3: text behind" },
        { "vmnet-leases 1\n" LEASE LEASE "end 2\n", "line 4: an address" },
        { "vmnet-leases 1\nlease 1.2.3 52:54:00:12:34:56 bound 1 - -\nend 1\n",
          "line 2: not an IPv4 address" },
        { "vmnet-leases 1\nlease 1.2.3.4 52:54:00:12:34 bound 1 - -\nend 1\n",
          "line 2: not a MAC address" },
        { "vmnet-leases 1\nlease 1.2.3.4 52:54:00:12:34:56 lost 1 - -\nend 1\n",
          "line 2: not a state" },
        { "vmnet-leases 1\nlease 1.2.3.4 52:54:00:12:34:56 bound x - -\nend 1\n",
          "line 2: not a time" },
        { "vmnet-leases 1\nlease 1.2.3.4 52:54:00:12:34:56 bound 1 123 -\n"
          "end 1\n", "line 2: not a client-id" },
        { "vmnet-leases 1\nlease 1.2.3.4 52:54:00:12:34:56 bound 1 - A_B\n"
          "end 1\n", "line 2: not a host name" },
        { "vmnet-leases 1\nlease 1.2.3.4\nend 1\n", "line 2: not a lease" },
    };
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(Harness) h = harness_new_shared();
        g_autoptr(GArray) leases = NULL;
        g_autoptr(GError) error = NULL;

        g_assert_false(gateway_load(h->gw, rows[i].text, strlen(rows[i].text),
                                    &error));
        g_assert_nonnull(error);
        g_assert_true(g_str_has_prefix(error->message, rows[i].error));
        leases = gateway_leases(h->gw);
        g_assert_cmpuint(leases->len, ==, 0);
    }
#undef LEASE
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);

#define T(name) g_test_add_func("/dhcp-leases/" #name, test_##name)
    T(client_that_changes_its_id_keeps_its_address);
    T(clones_get_addresses_of_their_own_and_an_event);
    T(client_id_comes_before_the_hardware_address);
    T(client_id_moves_once_on_the_same_port);
    T(one_reservation_for_one_mac);
    T(reserved_address_is_for_its_mac_only);
    T(reservation_made_late_moves_its_guest);
    T(events_come_when_the_leases_say_so_already);
    T(guest_that_comes_back_on_another_port_is_an_event);
    T(lease_expires_with_an_event_and_is_kept);
    T(expired_lease_is_refused_where_its_address_is_in_use);
    T(expired_lease_goes_to_another_when_nothing_is_fresh);
    T(expired_lease_is_not_taken_while_its_mac_uses_it);
    T(one_port_cannot_take_the_pool);
    T(flood_of_discovers_is_rate_limited);
    T(message_that_lies_is_malformed);
    T(first_live_holder_keeps_a_name);
    T(names_are_made_valid_labels);
    T(reserved_names_are_nobodys);
    T(leases_survive_save_and_load);
    T(lease_that_was_loaded_is_found_on_its_port);
    T(clock_set_wrong_loses_no_lease);
    T(times_in_the_future_end);
    T(leases_of_another_subnet_are_passed_over);
    T(damaged_file_is_refused_naming_the_line);
#undef T
    return g_test_run();
}
