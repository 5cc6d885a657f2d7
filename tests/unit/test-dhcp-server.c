/*
 * DHCP's messages, a test a rule: RFC 2131 and what virtual machines need
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "dhcp-harness.h"
#include "limits.h"

/* The usual way */

static void test_discover_is_offered_and_request_acknowledged(void)
{
    g_autoptr(Harness) h = harness_new_shared();
    HarnessDhcp d = { .guest = 1, .type = DHCP4_DISCOVER };
    Dhcp4Message reply;
    uint32_t addr, value;
    Lease lease;

    g_assert_true(harness_dhcp(h, d, &reply));
    g_assert_cmpint(reply.type, ==, DHCP4_OFFER);
    g_assert_cmphex(reply.server_id, ==, GATEWAY4);
    g_assert_cmpuint(reply.yiaddr, >=, NET(2));
    g_assert_cmpuint(reply.yiaddr, <=, NET(254));
    g_assert_cmpuint(h->events->len, ==, 0);
    g_assert_cmpint(state_of(h, reply.yiaddr), ==, LEASE_OFFERED);

    addr = reply.yiaddr;
    d.type = DHCP4_REQUEST;
    d.requested_ip = addr;
    d.server_id = GATEWAY4;
    g_assert_true(harness_dhcp(h, d, &reply));
    g_assert_cmpint(reply.type, ==, DHCP4_ACK);
    g_assert_cmphex(reply.yiaddr, ==, addr);
    g_assert_cmpuint(reply.lease_s, ==, 3600);
    g_assert_true(dhcp4_option_u32(&reply, DHCP4_OPTION_RENEWAL_TIME, &value));
    g_assert_cmpuint(value, ==, 1800);
    g_assert_true(dhcp4_option_u32(&reply, DHCP4_OPTION_REBINDING_TIME,
                                   &value));
    g_assert_cmpuint(value, ==, 3150);
    g_assert_true(dhcp4_option_u32(&reply, DHCP4_OPTION_SUBNET_MASK, &value));
    g_assert_cmphex(value, ==, 0xffffff00);
    g_assert_true(dhcp4_option_u32(&reply, DHCP4_OPTION_ROUTER, &value));
    g_assert_cmphex(value, ==, GATEWAY4);
    g_assert_true(dhcp4_option_u32(&reply, DHCP4_OPTION_DNS, &value));
    g_assert_cmphex(value, ==, GATEWAY4);
    g_assert_true(dhcp4_option_u32(&reply, DHCP4_OPTION_BROADCAST, &value));
    g_assert_cmphex(value, ==, NET(255));
    g_assert_cmpuint(reply.options[DHCP4_OPTION_DOMAIN_NAME].len, ==,
                     strlen("vmnet.internal"));

    g_assert_cmpuint(count_events(h, GATEWAY_LEASE_ADDED), ==, 1);
    g_assert_cmpuint(h->n_saves, ==, 1);
    g_assert_true(gateway_lease_by_port(h->gw, 1, &lease));
    g_assert_cmphex(lease.addr.v4, ==, addr);
    g_assert_cmpint(lease.expires_s, ==, h->wall_s + 3600);
}

static void test_address_is_the_same_without_memory_of_it(void)
{
    uint32_t first, again;

    {
        g_autoptr(Harness) h = harness_new_shared();
        first = harness_lease(h, (HarnessDhcp) { .guest = 7 });
    }
    {
        g_autoptr(Harness) h = harness_new_shared();
        harness_lease(h, (HarnessDhcp) { .guest = 3 });
        again = harness_lease(h, (HarnessDhcp) { .guest = 7 });
    }
    g_assert_cmphex(first, ==, again);
}

static void test_every_client_of_a_full_pool_has_its_own_address(void)
{
    g_autoptr(Harness) h = harness_new_shared();
    g_autoptr(GHashTable) seen = g_hash_table_new(NULL, NULL);
    unsigned i;

    for (i = 1; i <= 253; i++) {
        uint32_t addr = harness_lease(h, (HarnessDhcp) { .guest = i });

        g_assert_cmphex(addr, !=, 0);
        g_assert_true(g_hash_table_add(seen, GUINT_TO_POINTER(addr)));
    }
    g_assert_cmphex(harness_lease(h, (HarnessDhcp) { .guest = 254 }), ==, 0);
}

static void test_requested_address_is_honoured_if_free(void)
{
    g_autoptr(Harness) h = harness_new_shared();
    HarnessDhcp d = { .guest = 1, .type = DHCP4_DISCOVER,
                      .requested_ip = NET(77) };
    Dhcp4Message reply;

    g_assert_true(harness_dhcp(h, d, &reply));
    g_assert_cmphex(reply.yiaddr, ==, NET(77));
    d.guest = 2; /* held for the first */
    g_assert_true(harness_dhcp(h, d, &reply));
    g_assert_cmphex(reply.yiaddr, !=, NET(77));
    d.guest = 3;
    d.requested_ip = ELSEWHERE;
    g_assert_true(harness_dhcp(h, d, &reply));
    g_assert_cmpuint(reply.yiaddr, >=, NET(2));
    d.guest = 4;
    d.requested_ip = GATEWAY4;
    g_assert_true(harness_dhcp(h, d, &reply));
    g_assert_cmphex(reply.yiaddr, !=, GATEWAY4);
}

static void test_address_that_someone_uses_is_not_given(void)
{
    g_autoptr(Harness) h = harness_new_shared();
    HarnessDhcp d = { .guest = 1, .type = DHCP4_DISCOVER,
                      .requested_ip = NET(77) };
    Dhcp4Message reply;

    harness_arp(h, 5, ARP_REQUEST, NET(77), GATEWAY4);
    g_assert_true(harness_dhcp(h, d, &reply));
    g_assert_cmphex(reply.yiaddr, !=, NET(77));
}

static void test_port_that_claims_the_pool_is_not_believed(void)
{
    g_autoptr(Harness) h = harness_new_shared();
    unsigned i;

    for (i = 2; i < 255; i++) {
        harness_arp(h, 5, ARP_REQUEST, NET(i), GATEWAY4);
    }
    g_assert_cmphex(harness_lease(h, (HarnessDhcp) { .guest = 1 }), !=, 0);
}

static void test_offer_lapses(void)
{
    g_autoptr(Harness) h = harness_new_shared();
    Dhcp4Message reply;

    g_assert_true(harness_dhcp(h, (HarnessDhcp) { .guest = 1,
                               .type = DHCP4_DISCOVER }, &reply));
    harness_run(h, 61000);
    g_assert_cmpint(state_of(h, reply.yiaddr), ==, LEASE__MAX);
    g_assert_cmpuint(h->events->len, ==, 0);
}

static void test_rapid_commit_needs_no_request(void)
{
    g_autoptr(Harness) h = harness_new_shared();
    Dhcp4Message reply;

    g_assert_true(harness_dhcp(h, (HarnessDhcp) { .guest = 1,
                               .type = DHCP4_DISCOVER, .rapid_commit = true },
                               &reply));
    g_assert_cmpint(reply.type, ==, DHCP4_ACK);
    g_assert_true(reply.rapid_commit);
    g_assert_cmpint(state_of(h, reply.yiaddr), ==, LEASE_BOUND);
}

/* REQUEST in its four kinds */

static void test_selecting_another_server_frees_our_offer(void)
{
    g_autoptr(Harness) h = harness_new_shared();
    HarnessDhcp d = { .guest = 1, .type = DHCP4_DISCOVER };
    Dhcp4Message reply;
    uint32_t addr;

    g_assert_true(harness_dhcp(h, d, &reply));
    addr = reply.yiaddr;
    d.type = DHCP4_REQUEST;
    d.server_id = NET(200);
    d.requested_ip = NET(201);
    g_assert_false(harness_dhcp(h, d, &reply));
    g_assert_cmpint(state_of(h, addr), ==, LEASE__MAX);
}

static void test_selecting_survives_a_forgotten_offer(void)
{
    g_autoptr(Harness) h = harness_new_shared();
    Dhcp4Message reply;

    g_assert_true(harness_dhcp(h, (HarnessDhcp) { .guest = 1,
                               .type = DHCP4_REQUEST, .server_id = GATEWAY4,
                               .requested_ip = NET(55) }, &reply));
    g_assert_cmpint(reply.type, ==, DHCP4_ACK);
    g_assert_cmphex(reply.yiaddr, ==, NET(55));
}

static void test_init_reboot_of_known_client_is_acknowledged(void)
{
    g_autoptr(Harness) h = harness_new_shared();
    uint32_t addr = harness_lease(h, (HarnessDhcp) { .guest = 1 });
    Dhcp4Message reply;

    g_assert_true(harness_dhcp(h, (HarnessDhcp) { .guest = 1,
                               .type = DHCP4_REQUEST, .requested_ip = addr },
                               &reply));
    g_assert_cmpint(reply.type, ==, DHCP4_ACK);
    g_assert_cmphex(reply.yiaddr, ==, addr);
}

static void test_init_reboot_on_wrong_net_is_refused_by_broadcast(void)
{
    g_autoptr(Harness) h = harness_new_shared();
    IpAddr all = ip_addr_v4(INADDR_BROADCAST);
    Dhcp4Message reply;

    g_assert_true(harness_dhcp(h, (HarnessDhcp) { .guest = 1, .id = "me",
                               .type = DHCP4_REQUEST,
                               .requested_ip = ELSEWHERE }, &reply));
    g_assert_cmpint(reply.type, ==, DHCP4_NAK);
    g_assert_true(ip_addr_equal(&harness_out(h, 0)->ip.dst, &all));
    g_assert_true(mac_is_group(harness_out(h, 0)->eth.dst.b));
    g_assert_cmphex(reply.yiaddr, ==, 0);
    g_assert_cmphex(reply.ciaddr, ==, 0);
    g_assert_cmphex(reply.server_id, ==, GATEWAY4);
    g_assert_cmpuint(reply.lease_s, ==, 0);
    g_assert_cmpuint(reply.client_id.len, ==, 2);
}

static void test_init_reboot_with_wrong_address_is_refused(void)
{
    g_autoptr(Harness) h = harness_new_shared();
    uint32_t addr = harness_lease(h, (HarnessDhcp) { .guest = 1 });
    HarnessDhcp d = { .guest = 1, .type = DHCP4_REQUEST,
                      .requested_ip = addr ^ 1 };
    Dhcp4Message reply;

    g_assert_true(harness_dhcp(h, d, &reply));
    g_assert_cmpint(reply.type, ==, DHCP4_NAK);
    d.guest = 2; /* somebody else's */
    d.requested_ip = addr;
    g_assert_true(harness_dhcp(h, d, &reply));
    g_assert_cmpint(reply.type, ==, DHCP4_NAK);
}

static void test_init_reboot_of_unknown_client_is_not_answered(void)
{
    g_autoptr(Harness) h = harness_new_shared();
    Dhcp4Message reply;

    g_assert_false(harness_dhcp(h, (HarnessDhcp) { .guest = 1,
                                .type = DHCP4_REQUEST,
                                .requested_ip = NET(50) }, &reply));
}

static void test_renewing_extends_the_lease_by_unicast(void)
{
    g_autoptr(Harness) h = harness_new_shared();
    uint32_t addr = harness_lease(h, (HarnessDhcp) { .guest = 1 });
    IpAddr to = ip_addr_v4(addr);
    MacAddr mac = harness_mac(1);
    Dhcp4Message reply;
    Lease lease;

    harness_run(h, 1800 * 1000);
    g_assert_true(harness_dhcp(h, (HarnessDhcp) { .guest = 1,
                               .type = DHCP4_REQUEST, .ciaddr = addr,
                               .ip_src = addr, .unicast = true }, &reply));
    g_assert_cmpint(reply.type, ==, DHCP4_ACK);
    g_assert_cmphex(reply.yiaddr, ==, addr);
    g_assert_cmphex(reply.ciaddr, ==, addr);
    g_assert_true(ip_addr_equal(&harness_out(h, 0)->ip.dst, &to));
    g_assert_true(mac_equal(&harness_out(h, 0)->eth.dst, &mac));
    g_assert_cmpuint(h->events->len, ==, 0);
    g_assert_true(gateway_lease_by_port(h->gw, 1, &lease));
    g_assert_cmpint(lease.expires_s, ==, h->wall_s + 3600);
}

static void test_rebinding_of_anothers_address_is_refused(void)
{
    g_autoptr(Harness) h = harness_new_shared();
    uint32_t addr = harness_lease(h, (HarnessDhcp) { .guest = 1 });
    Dhcp4Message reply;

    g_assert_true(harness_dhcp(h, (HarnessDhcp) { .guest = 2,
                               .type = DHCP4_REQUEST, .ciaddr = addr,
                               .ip_src = addr }, &reply));
    g_assert_cmpint(reply.type, ==, DHCP4_NAK);
}

static void test_renewing_recovers_leases_that_were_lost(void)
{
    g_autoptr(Harness) h = harness_new_shared();
    Dhcp4Message reply;

    g_assert_true(harness_dhcp(h, (HarnessDhcp) { .guest = 1,
                               .type = DHCP4_REQUEST, .ciaddr = NET(60),
                               .ip_src = NET(60), .unicast = true }, &reply));
    g_assert_cmpint(reply.type, ==, DHCP4_ACK);
    g_assert_cmphex(reply.yiaddr, ==, NET(60));
    g_assert_cmpuint(count_events(h, GATEWAY_LEASE_ADDED), ==, 1);
}

/* DECLINE, RELEASE, INFORM */

static void test_declined_address_is_quarantined(void)
{
    g_autoptr(Harness) h = harness_new_shared();
    uint32_t addr = harness_lease(h, (HarnessDhcp) { .guest = 1 }), other;
    Dhcp4Message reply;

    harness_dhcp(h, (HarnessDhcp) { .guest = 1, .type = DHCP4_DECLINE,
                 .requested_ip = addr, .server_id = GATEWAY4 }, &reply);
    g_assert_cmpuint(h->out->len, ==, 0);
    g_assert_cmpint(state_of(h, addr), ==, LEASE_DECLINED);
    g_assert_cmpuint(count_events(h, GATEWAY_LEASE_REMOVED), ==, 1);
    g_assert_cmpuint(count_events(h, GATEWAY_LEASE_CONFLICT), ==, 1);
    other = harness_lease(h, (HarnessDhcp) { .guest = 1 });
    g_assert_cmphex(other, !=, 0);
    g_assert_cmphex(other, !=, addr);
    harness_run(h, 11 * 60 * 1000);
    g_assert_cmpint(state_of(h, addr), ==, LEASE__MAX);
}

static void test_nobody_declines_for_others(void)
{
    g_autoptr(Harness) h = harness_new_shared();
    uint32_t addr = harness_lease(h, (HarnessDhcp) { .guest = 1 });
    Dhcp4Message reply;

    harness_dhcp(h, (HarnessDhcp) { .guest = 2, .type = DHCP4_DECLINE,
                 .requested_ip = addr, .server_id = GATEWAY4 }, &reply);
    g_assert_cmpint(state_of(h, addr), ==, LEASE_BOUND);
    harness_dhcp(h, (HarnessDhcp) { .guest = 2, .type = DHCP4_RELEASE,
                 .ciaddr = addr, .ip_src = addr, .server_id = GATEWAY4 },
                 &reply);
    g_assert_cmpint(state_of(h, addr), ==, LEASE_BOUND);
}

/* Nor in their name. */
static void test_hardware_address_of_another_port_is_foreign(void)
{
    static const Dhcp4Type types[] = {
        DHCP4_DISCOVER, DHCP4_REQUEST, DHCP4_DECLINE, DHCP4_RELEASE,
    };
    g_autoptr(Harness) h = harness_new_shared();
    uint32_t addr = harness_lease(h, (HarnessDhcp) { .guest = 1 });
    Dhcp4Message reply;
    unsigned i;
    Lease lease;

    for (i = 0; i < G_N_ELEMENTS(types); i++) {
        g_assert_false(harness_dhcp(h, (HarnessDhcp) {
            .guest = 2, .chaddr = 1, .type = types[i], .requested_ip = addr,
            .ciaddr = types[i] == DHCP4_RELEASE ? addr : 0,
        }, &reply));
        g_assert_cmpuint(h->drops[SWITCH_DROP_FOREIGN_SOURCE], ==, 1);
    }
    /* With its MAC as well: it may have moved there, but lets go of nothing. */
    harness_dhcp(h, (HarnessDhcp) { .guest = 1, .port = 2, .ciaddr = addr,
                 .type = DHCP4_RELEASE }, &reply);
    g_assert_cmpint(state_of(h, addr), ==, LEASE_BOUND);
    g_assert_true(gateway_lease_by_port(h->gw, 1, &lease));
    /* Its port is gone: a relay may have it now. */
    gateway_port_gone(h->gw, 1, h->now_ms);
    g_assert_true(harness_dhcp(h, (HarnessDhcp) { .guest = 2, .chaddr = 1,
                               .type = DHCP4_REQUEST, .requested_ip = addr,
                               .giaddr = NET(30), .ip_src = NET(30) },
                               &reply));
    g_assert_cmpint(reply.type, ==, DHCP4_ACK);
}

static void test_quarantine_is_bounded_per_port(void)
{
    g_autoptr(Harness) h = harness_new_shared();
    g_autoptr(GArray) leases = NULL;
    Dhcp4Message reply;
    unsigned i, n = 0;

    for (i = 0; i < 3 * LIMIT_DECLINED_PER_PORT; i++) {
        uint32_t addr = harness_lease(h, (HarnessDhcp) { .guest = 1 });

        harness_dhcp(h, (HarnessDhcp) { .guest = 1, .type = DHCP4_DECLINE,
                     .requested_ip = addr, .server_id = GATEWAY4 }, &reply);
    }
    leases = gateway_leases(h->gw);
    for (i = 0; i < leases->len; i++) {
        n += g_array_index(leases, Lease, i).state == LEASE_DECLINED;
    }
    g_assert_cmpuint(n, ==, LIMIT_DECLINED_PER_PORT);
}

static void test_released_address_is_kept_for_its_client(void)
{
    g_autoptr(Harness) h = harness_new_shared();
    uint32_t addr = harness_lease(h, (HarnessDhcp) { .guest = 1 });
    Dhcp4Message reply;

    g_assert_false(harness_dhcp(h, (HarnessDhcp) { .guest = 1,
                                .type = DHCP4_RELEASE, .ciaddr = addr,
                                .ip_src = addr, .unicast = true,
                                .server_id = GATEWAY4 }, &reply));
    g_assert_cmpint(state_of(h, addr), ==, LEASE_RELEASED);
    g_assert_cmpuint(count_events(h, GATEWAY_LEASE_REMOVED), ==, 1);
    g_assert_cmphex(harness_lease(h, (HarnessDhcp) { .guest = 1 }), ==, addr);
}

static void test_inform_is_answered_without_a_lease(void)
{
    g_autoptr(Harness) h = harness_new_shared();
    IpAddr to = ip_addr_v4(NET(99));
    Dhcp4Message reply;
    uint32_t value;

    g_assert_true(harness_dhcp(h, (HarnessDhcp) { .guest = 1,
                               .type = DHCP4_INFORM, .ciaddr = NET(99),
                               .ip_src = NET(99) }, &reply));
    g_assert_cmpint(reply.type, ==, DHCP4_ACK);
    g_assert_cmphex(reply.yiaddr, ==, 0);
    g_assert_cmpuint(reply.lease_s, ==, 0);
    g_assert_true(dhcp4_option_u32(&reply, DHCP4_OPTION_DNS, &value));
    g_assert_true(ip_addr_equal(&harness_out(h, 0)->ip.dst, &to));
    g_assert_cmpint(state_of(h, NET(99)), ==, LEASE__MAX);
}

/* Where answers go, and what is in them */

static void test_broadcast_flag_is_honoured(void)
{
    g_autoptr(Harness) h = harness_new_shared();
    IpAddr all = ip_addr_v4(INADDR_BROADCAST), to;
    HarnessDhcp d = { .guest = 1, .type = DHCP4_DISCOVER, .broadcast = true };
    MacAddr mac = harness_mac(1);
    Dhcp4Message reply;

    g_assert_true(harness_dhcp(h, d, &reply));
    g_assert_true(ip_addr_equal(&harness_out(h, 0)->ip.dst, &all));
    g_assert_true(mac_is_group(harness_out(h, 0)->eth.dst.b));
    g_assert_true(reply.broadcast);
    d.broadcast = false;
    g_assert_true(harness_dhcp(h, d, &reply));
    to = ip_addr_v4(reply.yiaddr);
    g_assert_true(ip_addr_equal(&harness_out(h, 0)->ip.dst, &to));
    g_assert_true(mac_equal(&harness_out(h, 0)->eth.dst, &mac));
}

static void test_answers_to_a_relay_go_to_it(void)
{
    g_autoptr(Harness) h = harness_new_shared();
    HarnessDhcp d = { .guest = 1, .type = DHCP4_DISCOVER, .giaddr = NET(30),
                      .ip_src = NET(30), .relay_info = true };
    IpAddr to = ip_addr_v4(NET(30));
    Dhcp4Message reply;

    g_assert_true(harness_dhcp(h, d, &reply));
    g_assert_true(ip_addr_equal(&harness_out(h, 0)->ip.dst, &to));
    g_assert_cmpuint(harness_out_udp(h, 0).dport, ==, 67);
    g_assert_cmphex(reply.giaddr, ==, NET(30));
    g_assert_cmpuint(reply.relay_info.len, ==, 6);
    d.type = DHCP4_REQUEST;
    d.requested_ip = ELSEWHERE;
    g_assert_true(harness_dhcp(h, d, &reply));
    g_assert_cmpint(reply.type, ==, DHCP4_NAK);
    g_assert_true(reply.broadcast); /* RFC 2131 4.3.2 */
    g_assert_true(ip_addr_equal(&harness_out(h, 0)->ip.dst, &to));
}

static void test_options_are_sent_when_asked_for(void)
{
    g_autoptr(Harness) h = harness_new_shared();
    HarnessDhcp d = { .guest = 1, .type = DHCP4_DISCOVER };
    static const uint8_t default_route[] = { 0, 192, 168, 107, 1 };
    Dhcp4Message reply;
    uint16_t mtu;

    g_assert_true(harness_dhcp(h, d, &reply));
    g_assert_null(reply.options[DHCP4_OPTION_MTU].data);
    g_assert_null(reply.options[DHCP4_OPTION_CLASSLESS_ROUTES].data);
    g_assert_null(reply.options[DHCP4_OPTION_DOMAIN_SEARCH].data);
    d.wants = "\x01\x1a\x79\x77\x6c";
    g_assert_true(harness_dhcp(h, d, &reply));
    g_assert_true(dhcp4_option_u16(&reply, DHCP4_OPTION_MTU, &mtu));
    g_assert_cmpuint(mtu, ==, 1500);
    g_assert_cmpmem(reply.options[DHCP4_OPTION_CLASSLESS_ROUTES].data,
                    reply.options[DHCP4_OPTION_CLASSLESS_ROUTES].len,
                    default_route, sizeof(default_route));
    g_assert_nonnull(reply.options[DHCP4_OPTION_DOMAIN_SEARCH].data);
    /* Without NAT64, telling guests to give up IPv4 would cut them off. */
    g_assert_null(reply.options[DHCP4_OPTION_IPV6_ONLY].data);
}

static void test_ipv6_only_is_sent_where_configured_and_asked_for(void)
{
    GatewayConfig config = harness_config();
    HarnessDhcp d = { .guest = 1, .type = DHCP4_DISCOVER };
    g_autoptr(Harness) h = NULL;
    Dhcp4Message reply;
    uint32_t wait_s;

    config.v6only_wait_s = 20;
    h = harness_new(&config);
    g_assert_true(harness_dhcp(h, d, &reply));
    g_assert_null(reply.options[DHCP4_OPTION_IPV6_ONLY].data);
    d.wants = "\x6c";
    g_assert_true(harness_dhcp(h, d, &reply));
    g_assert_true(dhcp4_option_u32(&reply, DHCP4_OPTION_IPV6_ONLY, &wait_s));
    g_assert_cmpuint(wait_s, ==, 300); /* MIN_V6ONLY_WAIT */
}

static void test_client_id_is_echoed(void)
{
    g_autoptr(Harness) h = harness_new_shared();
    Dhcp4Message reply;

    g_assert_true(harness_dhcp(h, (HarnessDhcp) { .guest = 1, .id = "duid",
                               .type = DHCP4_DISCOVER }, &reply));
    g_assert_cmpmem(reply.client_id.data, reply.client_id.len, "duid", 4);
}

static void test_host_mode_names_no_router(void)
{
    GatewayConfig config = harness_config();
    g_autoptr(Harness) h = NULL;
    Dhcp4Message reply;

    config.host_only = true;
    h = harness_new(&config);
    g_assert_true(harness_dhcp(h, (HarnessDhcp) { .guest = 1, .wants = "\x79",
                               .type = DHCP4_DISCOVER }, &reply));
    g_assert_null(reply.options[DHCP4_OPTION_ROUTER].data);
    g_assert_null(reply.options[DHCP4_OPTION_CLASSLESS_ROUTES].data);
    g_assert_nonnull(reply.options[DHCP4_OPTION_DNS].data);
}

static void test_without_dns_no_resolver_is_named(void)
{
    GatewayConfig config = harness_config();
    g_autoptr(Harness) h = NULL;
    Dhcp4Message reply;

    config.dns = false;
    h = harness_new(&config);
    g_assert_true(harness_dhcp(h, (HarnessDhcp) { .guest = 1,
                               .type = DHCP4_DISCOVER }, &reply));
    g_assert_null(reply.options[DHCP4_OPTION_DNS].data);
}

static void test_dhcp_off_is_silent(void)
{
    GatewayConfig config = harness_config();
    g_autoptr(Harness) h = NULL;
    Dhcp4Message reply;

    config.dhcp = false;
    h = harness_new(&config);
    g_assert_false(harness_dhcp(h, (HarnessDhcp) { .guest = 1,
                                .type = DHCP4_DISCOVER }, &reply));
}

static void test_shorter_lease_is_granted_longer_is_not(void)
{
    g_autoptr(Harness) h = harness_new_shared();
    HarnessDhcp d = { .guest = 1, .type = DHCP4_DISCOVER };
    static const struct {
        uint32_t asked_s, granted_s;
    } rows[] = {
        { 600, 600 }, { 1, 20 }, { 100000, 3600 }, { UINT32_MAX, 3600 },
    };
    Dhcp4Message reply;
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(rows); i++) {
        d.lease_s = rows[i].asked_s;
        g_assert_true(harness_dhcp(h, d, &reply));
        g_assert_cmpuint(reply.lease_s, ==, rows[i].granted_s);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);

#define T(name) g_test_add_func("/dhcp-server/" #name, test_##name)
    T(discover_is_offered_and_request_acknowledged);
    T(address_is_the_same_without_memory_of_it);
    T(every_client_of_a_full_pool_has_its_own_address);
    T(requested_address_is_honoured_if_free);
    T(address_that_someone_uses_is_not_given);
    T(port_that_claims_the_pool_is_not_believed);
    T(offer_lapses);
    T(rapid_commit_needs_no_request);
    T(selecting_another_server_frees_our_offer);
    T(selecting_survives_a_forgotten_offer);
    T(init_reboot_of_known_client_is_acknowledged);
    T(init_reboot_on_wrong_net_is_refused_by_broadcast);
    T(init_reboot_with_wrong_address_is_refused);
    T(init_reboot_of_unknown_client_is_not_answered);
    T(renewing_extends_the_lease_by_unicast);
    T(rebinding_of_anothers_address_is_refused);
    T(renewing_recovers_leases_that_were_lost);
    T(declined_address_is_quarantined);
    T(nobody_declines_for_others);
    T(hardware_address_of_another_port_is_foreign);
    T(quarantine_is_bounded_per_port);
    T(released_address_is_kept_for_its_client);
    T(inform_is_answered_without_a_lease);
    T(broadcast_flag_is_honoured);
    T(answers_to_a_relay_go_to_it);
    T(options_are_sent_when_asked_for);
    T(ipv6_only_is_sent_where_configured_and_asked_for);
    T(client_id_is_echoed);
    T(host_mode_names_no_router);
    T(without_dns_no_resolver_is_named);
    T(dhcp_off_is_silent);
    T(shorter_lease_is_granted_longer_is_not);
#undef T
    return g_test_run();
}
