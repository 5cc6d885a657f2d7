/*
 * The gateway's dispatch, ARP, neighbour discovery, ICMP and RAs
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "gateway-harness.h"
#include "limits.h"

#define V4(host) ip_addr_v4(NET(host))

static const char outside4[] = "198.51.100.7";
static const char outside6[] = "2001:db8::7";

/* ARP */

static void test_arp_request_for_gateway_is_answered(void)
{
    g_autoptr(Harness) h = harness_new_shared();
    MacAddr guest = harness_mac(1);
    ArpPacket arp;

    harness_arp(h, 1, ARP_REQUEST, NET(9), GATEWAY4);
    g_assert_cmpuint(h->out->len, ==, 1);
    arp = harness_out_arp(h, 0);
    g_assert_cmpint(arp.op, ==, ARP_REPLY);
    g_assert_cmphex(arp.spa, ==, GATEWAY4);
    g_assert_cmphex(arp.tpa, ==, NET(9));
    g_assert_true(mac_equal(&arp.sha, &h->config.mac));
    g_assert_true(mac_equal(&harness_out(h, 0)->eth.dst, &guest));
}

static void test_arp_for_others_is_never_answered(void)
{
    g_autoptr(Harness) h = harness_new_shared();

    harness_arp(h, 2, ARP_REQUEST, NET(8), GATEWAY4);
    harness_arp(h, 1, ARP_REQUEST, NET(9), NET(8));
    g_assert_cmpuint(h->out->len, ==, 0);
    harness_arp(h, 1, ARP_REQUEST, 0, NET(8)); /* a probe */
    g_assert_cmpuint(h->out->len, ==, 0);
    harness_arp(h, 1, ARP_REQUEST, NET(9), 0x08080808);
    g_assert_cmpuint(h->out->len, ==, 0);
}

static void test_arp_probe_for_gateway_is_defended(void)
{
    g_autoptr(Harness) h = harness_new_shared();

    harness_arp(h, 1, ARP_REQUEST, 0, GATEWAY4);
    g_assert_cmpuint(h->out->len, ==, 1);
    g_assert_cmphex(harness_out_arp(h, 0).spa, ==, GATEWAY4);
}

static void test_arp_claim_of_gateway_is_countered_once(void)
{
    g_autoptr(Harness) h = harness_new_shared();
    MacAddr mac;
    IpAddr gateway = ip_addr_v4(GATEWAY4);

    harness_arp(h, 1, ARP_REQUEST, GATEWAY4, GATEWAY4);
    g_assert_cmpuint(h->drops[SWITCH_DROP_FOREIGN_SOURCE], ==, 1);
    g_assert_cmpuint(h->out->len, ==, 1);
    g_assert_cmphex(harness_out_arp(h, 0).spa, ==, GATEWAY4);
    harness_arp(h, 1, ARP_REQUEST, GATEWAY4, GATEWAY4);
    g_assert_cmpuint(h->out->len, ==, 0); /* RFC 5227 2.4: not a battle */
    g_assert_false(gateway_neighbour(h->gw, &gateway, h->now_ms, &mac, NULL));
}

static void test_arp_with_lying_sender_is_foreign(void)
{
    g_autoptr(Harness) h = harness_new_shared();
    ArpPacket arp = {
        .op = ARP_REQUEST, .sha = harness_mac(2),
        .spa = NET(9), .tpa = GATEWAY4,
    };
    MacAddr mac = harness_mac(1);
    uint8_t buf[ARP_FRAME_LEN];

    arp_build(buf, &h->config.mac, &arp);
    memcpy(buf + 6, mac.b, 6);
    harness_send(h, 1, buf, sizeof(buf));
    g_assert_cmpuint(h->drops[SWITCH_DROP_FOREIGN_SOURCE], ==, 1);
    g_assert_cmpuint(h->out->len, ==, 0);
}

static void test_short_arp_is_malformed(void)
{
    g_autoptr(Harness) h = harness_new_shared();
    ArpPacket arp = { .op = ARP_REQUEST, .sha = harness_mac(1),
                      .spa = NET(9), .tpa = GATEWAY4 };
    uint8_t buf[ARP_FRAME_LEN];

    arp_build(buf, &h->config.mac, &arp);
    harness_send(h, 1, buf, sizeof(buf) - 1);
    g_assert_cmpuint(h->drops[SWITCH_DROP_MALFORMED], ==, 1);
    g_assert_cmpuint(h->out->len, ==, 0);
}

/* Neighbours of our own */

static void test_unknown_neighbour_is_asked_for_three_times(void)
{
    g_autoptr(Harness) h = harness_new_shared();
    IpAddr addr = V4(9);
    MacAddr mac;
    ArpPacket arp;

    harness_run(h, 60000); /* initial RAs */
    harness_clear(h);
    g_assert_false(gateway_neighbour(h->gw, &addr, h->now_ms, &mac, NULL));
    g_assert_cmpuint(h->out->len, ==, 1);
    arp = harness_out_arp(h, 0);
    g_assert_cmpint(arp.op, ==, ARP_REQUEST);
    g_assert_cmphex(arp.tpa, ==, NET(9));
    g_assert_false(gateway_neighbour(h->gw, &addr, h->now_ms, &mac, NULL));
    g_assert_cmpuint(h->out->len, ==, 1); /* rate limited */
    harness_run(h, 30000);
    g_assert_cmpuint(h->out->len, ==, 2);
}

static void test_answer_ends_the_question(void)
{
    g_autoptr(Harness) h = harness_new_shared();
    IpAddr addr = V4(9);
    MacAddr mac, guest = harness_mac(3);
    uint32_t port;

    harness_run(h, 60000);
    g_assert_false(gateway_neighbour(h->gw, &addr, h->now_ms, &mac, &port));
    harness_arp(h, 3, ARP_REPLY, NET(9), GATEWAY4);
    g_assert_true(gateway_neighbour(h->gw, &addr, h->now_ms, &mac, &port));
    g_assert_true(mac_equal(&mac, &guest));
    g_assert_cmpuint(port, ==, 3);
    harness_run(h, 30000);
    g_assert_cmpuint(h->out->len, ==, 0);
}

static unsigned n_deadlines;

static void count_deadline(void *opaque, int64_t deadline_ms)
{
    n_deadlines++;
}

static void test_question_from_outside_a_batch_tells_its_deadline(void)
{
    GatewayConfig config = harness_config();
    g_autoptr(Harness) h = harness_new_shared();
    IpAddr addr = V4(9);
    MacAddr mac;

    g_clear_pointer(&h->gw, gateway_free);
    h->ops.deadline = count_deadline;
    h->gw = gateway_new(&config, &h->ops, h);
    harness_run(h, 60000);
    n_deadlines = 0;
    gateway_neighbour(h->gw, &addr, h->now_ms, &mac, NULL);
    g_assert_cmpuint(n_deadlines, ==, 1);
    g_assert_cmpint(gateway_deadline(h->gw), ==, h->now_ms + 1000);
}

static void test_silent_neighbour_is_checked_when_in_demand(void)
{
    g_autoptr(Harness) h = harness_new_shared();
    IpAddr addr = V4(9);
    MacAddr mac, guest = harness_mac(3);
    unsigned i;

    harness_arp(h, 3, ARP_REQUEST, NET(9), GATEWAY4);
    harness_run(h, 120000);
    for (i = 0; i < 3; i++) {
        harness_clear(h);
        g_assert_true(gateway_neighbour(h->gw, &addr, h->now_ms, &mac, NULL));
        g_assert_cmpuint(h->out->len, ==, 1);
        g_assert_true(mac_equal(&harness_out(h, 0)->eth.dst, &guest));
        h->now_ms += 1001;
    }
    g_assert_false(gateway_neighbour(h->gw, &addr, h->now_ms, &mac, NULL));
}

static void test_pending_questions_are_bounded(void)
{
    g_autoptr(Harness) h = harness_new_shared();
    IpAddr addr = harness_ip6("fd00:1:2:3::");
    MacAddr mac;
    unsigned i;

    for (i = 0; i < 1000; i++) {
        addr.v6.s6_addr[14] = i >> 8;
        addr.v6.s6_addr[15] = i;
        gateway_neighbour(h->gw, &addr, h->now_ms, &mac, NULL);
    }
    g_assert_cmpuint(h->out->len, ==, LIMIT_NEIGHBOURS_PENDING);
}

static void test_address_outside_the_network_is_not_asked_for(void)
{
    g_autoptr(Harness) h = harness_new_shared();
    IpAddr addrs[] = {
        ip_addr_v4(0x08080808), V4(0), V4(255), V4(1),
        harness_ip6(outside6), harness_ip6("fd00:1:2:3::1"),
    };
    MacAddr mac;
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(addrs); i++) {
        g_assert_false(gateway_neighbour(h->gw, &addrs[i], h->now_ms, &mac,
                                         NULL));
    }
    g_assert_cmpuint(h->out->len, ==, 0);
}

static void test_port_that_invents_addresses_fills_its_own_share(void)
{
    g_autoptr(Harness) h = harness_new_shared();
    GatewayConfig config = harness_config();
    IpAddr mine;
    MacAddr mac;
    unsigned i;

    g_clear_pointer(&h->gw, gateway_free);
    config.prefix4 = (IpPrefix) { ip_addr_v4(0x0a000000), 8 };
    config.gateway4 = ip_addr_v4(0x0a000001);
    h->gw = gateway_new(&config, &h->ops, h);

    harness_arp(h, 2, ARP_REQUEST, 0x0aff0000, 0x0a000001);
    for (i = 0; i < 2 * LIMIT_NEIGHBOURS_PER_PORT; i++) {
        h->now_ms++;
        harness_arp(h, 1, ARP_REQUEST, 0x0a010000 + i, 0x0a000001);
    }
    mine = ip_addr_v4(0x0aff0000);
    g_assert_true(gateway_neighbour(h->gw, &mine, h->now_ms, &mac, NULL));
    mine = ip_addr_v4(0x0a010000 + 2 * LIMIT_NEIGHBOURS_PER_PORT - 1);
    g_assert_true(gateway_neighbour(h->gw, &mine, h->now_ms, &mac, NULL));
    mine = ip_addr_v4(0x0a010000);
    g_assert_false(gateway_neighbour(h->gw, &mine, h->now_ms, &mac, NULL));
}

static void test_neighbours_go_with_their_port(void)
{
    g_autoptr(Harness) h = harness_new_shared();
    IpAddr addr = V4(9);
    MacAddr mac;

    harness_arp(h, 3, ARP_REQUEST, NET(9), GATEWAY4);
    gateway_port_gone(h->gw, 3, h->now_ms);
    g_assert_cmpuint(h->n_gone, ==, 1);
    g_assert_false(gateway_neighbour(h->gw, &addr, h->now_ms, &mac, NULL));
}

/* Neighbour discovery */

static void send_ns(Harness *h, unsigned n, const char *src, const char *target)
{
    IpAddr to = harness_ip6(target);
    struct in6_addr group = ndp_solicited_node(&to.v6);
    IpHeaders headers = harness_headers(h, n, harness_ip6(src),
                                        ip_addr_v6(&group));
    uint8_t buf[NDP_NEIGHBOUR_FRAME_LEN];

    harness_send(h, n, buf, ndp_ns_build(buf, &headers, &to.v6));
}

static void test_ns_for_gateway_is_answered(void)
{
    static const char *const own[] = { "fd00:1:2:3::1", "fe80::1" };
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(own); i++) {
        g_autoptr(Harness) h = harness_new_shared();
        IpAddr target = harness_ip6(own[i]);
        NdpMessage ndp;

        send_ns(h, 1, "fd00:1:2:3::77", own[i]);
        g_assert_cmpuint(h->out->len, ==, 1);
        ndp = harness_out_ndp(h, 0);
        g_assert_cmpint(ndp.type, ==, ND_NEIGHBOR_ADVERT);
        g_assert_true(IN6_ARE_ADDR_EQUAL(&ndp.target, &target.v6));
        g_assert_cmphex(ndp.na_flags, ==, NDP_NA_ROUTER | NDP_NA_SOLICITED |
                        NDP_NA_OVERRIDE);
        g_assert_true(ndp.has_lladdr &&
                      mac_equal(&ndp.lladdr, &h->config.mac));
        g_assert_cmpuint(harness_out(h, 0)->ip.ttl, ==, 255);
    }
}

static void test_dad_for_others_is_never_answered(void)
{
    g_autoptr(Harness) h = harness_new_shared();

    send_ns(h, 1, "::", "fd00:1:2:3::77");
    g_assert_cmpuint(h->out->len, ==, 0);
    send_ns(h, 1, "fd00:1:2:3::5", "fd00:1:2:3::77");
    g_assert_cmpuint(h->out->len, ==, 0);
}

static void test_dad_for_gateway_is_defended(void)
{
    g_autoptr(Harness) h = harness_new_shared();
    NdpMessage ndp;

    send_ns(h, 1, "::", "fe80::1");
    g_assert_cmpuint(h->out->len, ==, 1);
    ndp = harness_out_ndp(h, 0);
    g_assert_cmphex(ndp.na_flags, ==, NDP_NA_ROUTER | NDP_NA_OVERRIDE);
    g_assert_true(IN6_ARE_ADDR_EQUAL(&harness_out(h, 0)->ip.dst.v6,
                                     &ndp_all_nodes));
}

static void test_nd_with_hop_limit_254_is_dropped(void)
{
    g_autoptr(Harness) h = harness_new_shared();
    IpAddr to = harness_ip6("fe80::1");
    IpHeaders headers = harness_headers(h, 1, harness_ip6("fe80::77"), to);
    uint8_t buf[NDP_NEIGHBOUR_FRAME_LEN];
    size_t len = ndp_ns_build(buf, &headers, &to.v6);

    buf[14 + 7] = 254;
    harness_send(h, 1, buf, len);
    g_assert_cmpuint(h->out->len, ==, 0);
    g_assert_cmpuint(h->drops[SWITCH_DROP_MALFORMED], ==, 1);
}

static void test_guests_ipv6_address_is_learnt_from_na(void)
{
    g_autoptr(Harness) h = harness_new_shared();
    IpAddr addr = harness_ip6("fd00:1:2:3::77");
    IpHeaders headers = harness_headers(h, 4, addr,
                                        harness_ip6("fd00:1:2:3::1"));
    MacAddr mac, guest = harness_mac(4);
    uint8_t buf[NDP_NEIGHBOUR_FRAME_LEN];
    NdpMessage ndp;
    uint32_t port;

    g_assert_false(gateway_neighbour(h->gw, &addr, h->now_ms, &mac, &port));
    ndp = harness_out_ndp(h, 0);
    g_assert_cmpint(ndp.type, ==, ND_NEIGHBOR_SOLICIT);
    g_assert_true(IN6_ARE_ADDR_EQUAL(&ndp.target, &addr.v6));
    harness_send(h, 4, buf, ndp_na_build(buf, &headers, &addr.v6,
                                         NDP_NA_SOLICITED | NDP_NA_OVERRIDE));
    g_assert_true(gateway_neighbour(h->gw, &addr, h->now_ms, &mac, &port));
    g_assert_true(mac_equal(&mac, &guest));
    g_assert_cmpuint(port, ==, 4);
}

/* Sources */

static void test_foreign_source_is_dropped_and_counted(void)
{
    g_autoptr(Harness) h = harness_new_shared();
    IpAddr to = harness_ip6(outside4);
    IpAddr sources[] = {
        ip_addr_v4(0x0a000001), V4(0), V4(255), ip_addr_v4(GATEWAY4),
        ip_addr_v4(INADDR_ANY), ip_addr_v4(INADDR_LOOPBACK),
        ip_addr_v4(0xa9fe0001), ip_addr_v4(0xe0000001),
    };
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(sources); i++) {
        harness_udp(h, 1, sources[i], to, 1000, 2000, "x", 1);
        g_assert_cmpuint(h->n_routed, ==, 0);
        g_assert_cmpuint(h->drops[SWITCH_DROP_FOREIGN_SOURCE], ==, 1);
        g_assert_cmpuint(h->out->len, ==, 0);
    }
}

static void test_foreign_ipv6_source_is_dropped_and_counted(void)
{
    static const char *const sources[] = {
        "2001:db8::1", "fd00:1:2:4::1", "::1", "fd00:1:2:3::1", "fe80::1",
    };
    g_autoptr(Harness) h = harness_new_shared();
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(sources); i++) {
        harness_udp(h, 1, harness_ip6(sources[i]), harness_ip6(outside6),
                    1000, 2000, "x", 1);
        g_assert_cmpuint(h->n_routed, ==, 0);
        g_assert_cmpuint(h->drops[SWITCH_DROP_FOREIGN_SOURCE], ==, 1);
    }
}

static void test_address_of_another_guest_is_foreign(void)
{
    g_autoptr(Harness) h = harness_new_shared();
    MacAddr holder = harness_mac(1);
    IpAddr to = harness_ip6(outside4);
    unsigned i;

    harness_udp(h, 1, V4(9), to, 1000, 2000, "x", 1);
    g_assert_cmpuint(h->n_routed, ==, 1);
    h->now_ms += 100000;
    harness_udp(h, 2, V4(9), to, 1000, 2000, "x", 1);
    g_assert_cmpuint(h->n_routed, ==, 0);
    g_assert_cmpuint(h->drops[SWITCH_DROP_FOREIGN_SOURCE], ==, 1);
    /* Its holder is asked, and answers. */
    g_assert_cmphex(harness_out_arp(h, 0).tpa, ==, NET(9));
    g_assert_true(mac_equal(&harness_out(h, 0)->eth.dst, &holder));
    h->now_ms++;
    harness_arp(h, 1, ARP_REPLY, NET(9), GATEWAY4);
    for (i = 0; i < 10; i++) {
        h->now_ms += 600;
        harness_arp(h, 2, ARP_REQUEST, NET(9), NET(9));
        g_assert_cmpuint(h->drops[SWITCH_DROP_FOREIGN_SOURCE], ==, 1);
        g_assert_cmpuint(h->out->len, ==, 0);
    }
}

static void test_address_of_a_silent_guest_can_be_taken_over(void)
{
    g_autoptr(Harness) h = harness_new_shared();
    IpAddr to = harness_ip6(outside4);

    harness_udp(h, 1, V4(9), to, 1000, 2000, "x", 1);
    harness_arp(h, 2, ARP_REQUEST, NET(9), NET(9));
    g_assert_cmpuint(h->drops[SWITCH_DROP_FOREIGN_SOURCE], ==, 1);
    h->now_ms += 1000; /* who takes it over tries again */
    harness_arp(h, 2, ARP_REQUEST, NET(9), GATEWAY4);
    g_assert_cmpuint(h->drops[SWITCH_DROP_FOREIGN_SOURCE], ==, 0);
    harness_udp(h, 2, V4(9), to, 1000, 2000, "x", 1);
    g_assert_cmpuint(h->n_routed, ==, 1);
}

static void test_address_moves_at_once_behind_its_port_or_with_its_mac(void)
{
    g_autoptr(Harness) h = harness_new_shared();
    IpHeaders headers = harness_headers(h, 2, V4(9), harness_ip6(outside4));
    uint8_t buf[100];
    size_t len = udp_build(buf, sizeof(buf), &headers, 1, 2, "x", 1);

    harness_udp(h, 1, V4(9), harness_ip6(outside4), 1000, 2000, "x", 1);
    harness_send(h, 1, buf, len);
    g_assert_cmpuint(h->n_routed, ==, 1);
    harness_send(h, 3, buf, len);
    g_assert_cmpuint(h->n_routed, ==, 1);
}

static void test_ipv6_address_of_a_guest_that_is_there_does_not_move(void)
{
    g_autoptr(Harness) h = harness_new_shared();
    IpAddr addr = harness_ip6("fd00:1:2:3::77");
    IpHeaders headers = harness_headers(h, 2, addr,
                                        harness_ip6("fd00:1:2:3::1"));
    uint8_t buf[NDP_NEIGHBOUR_FRAME_LEN];
    size_t len = ndp_na_build(buf, &headers, &addr.v6, NDP_NA_OVERRIDE);

    send_ns(h, 1, "fd00:1:2:3::77", "fd00:1:2:3::1");
    h->now_ms += 100000;
    harness_send(h, 2, buf, len);
    g_assert_cmpuint(h->drops[SWITCH_DROP_FOREIGN_SOURCE], ==, 1);
    g_assert_cmpint(harness_out_ndp(h, 0).type, ==, ND_NEIGHBOR_SOLICIT);
    h->now_ms++;
    send_ns(h, 1, "fd00:1:2:3::77", "fd00:1:2:3::1");
    h->now_ms += 1000;
    harness_send(h, 2, buf, len);
    g_assert_cmpuint(h->drops[SWITCH_DROP_FOREIGN_SOURCE], ==, 1);
}

static void test_leased_address_does_not_move(void)
{
    g_autoptr(Harness) h = harness_new_shared();
    uint32_t addr = harness_lease(h, (HarnessDhcp) { .guest = 1 });

    g_assert_cmphex(addr, !=, 0);
    h->now_ms += 60000;
    harness_arp(h, 2, ARP_REQUEST, addr, addr);
    g_assert_cmpuint(h->drops[SWITCH_DROP_FOREIGN_SOURCE], ==, 1);
    harness_udp(h, 2, ip_addr_v4(addr), harness_ip6(outside4), 1, 2, "x", 1);
    g_assert_cmpuint(h->n_routed, ==, 0);
    gateway_port_gone(h->gw, 1, h->now_ms);
    harness_arp(h, 2, ARP_REQUEST, addr, addr);
    g_assert_cmpuint(h->drops[SWITCH_DROP_FOREIGN_SOURCE], ==, 0);
}

/* Routing */

static void test_routed_packets_reach_the_uplink(void)
{
    g_autoptr(Harness) h = harness_new_shared();
    IpAddr to4 = harness_ip6(outside4), to6 = harness_ip6(outside6);

    harness_udp(h, 1, V4(9), to4, 1000, 2000, "x", 1);
    g_assert_cmpuint(h->n_routed, ==, 1);
    g_assert_cmpuint(h->n_flushed, ==, 1);
    g_assert_true(ip_addr_equal(&h->routed.dst, &to4));
    harness_udp(h, 1, harness_ip6("fd00:1:2:3::9"), to6, 1000, 2000, "x", 1);
    g_assert_cmpuint(h->n_routed, ==, 1);
    g_assert_true(ip_addr_equal(&h->routed.dst, &to6));
    g_assert_cmpuint(h->out->len, ==, 0);
}

static void test_services_of_the_host_reach_the_uplink(void)
{
    g_autoptr(Harness) h = harness_new_shared();

    harness_udp(h, 1, V4(9), ip_addr_v4(GATEWAY4), 1000, 123, "x", 1);
    g_assert_cmpuint(h->n_routed, ==, 1);
    harness_udp(h, 1, harness_ip6("fd00:1:2:3::9"),
                harness_ip6("fd00:1:2:3::1"), 1000, 123, "x", 1);
    g_assert_cmpuint(h->n_routed, ==, 1);
}

static void test_link_local_gateway_has_no_services(void)
{
    g_autoptr(Harness) h = harness_new_shared();
    IcmpMessage icmp;

    harness_udp(h, 1, harness_ip6("fe80::9"), harness_ip6("fe80::1"), 1000,
                123, "x", 1);
    g_assert_cmpuint(h->n_routed, ==, 0);
    icmp = harness_out_icmp(h, 0);
    g_assert_cmpint(icmp.type, ==, ICMP6_DST_UNREACH);
    g_assert_cmpint(icmp.code, ==, ICMP6_DST_UNREACH_NOPORT);
}

static void test_own_network_is_not_routed(void)
{
    g_autoptr(Harness) h = harness_new_shared();

    harness_udp(h, 1, V4(9), V4(10), 1000, 2000, "x", 1);
    g_assert_cmpuint(h->n_routed, ==, 0);
    g_assert_cmpuint(h->drops[SWITCH_DROP_REFUSED], ==, 1);
    harness_udp(h, 1, harness_ip6("fd00:1:2:3::9"),
                harness_ip6("fd00:1:2:3::10"), 1000, 2000, "x", 1);
    g_assert_cmpuint(h->n_routed, ==, 0);
    g_assert_cmpuint(h->drops[SWITCH_DROP_REFUSED], ==, 1);
}

static void test_refused_is_administratively_prohibited(void)
{
    g_autoptr(Harness) h = harness_new_shared();
    IpAddr guest = V4(9), gateway = ip_addr_v4(GATEWAY4);
    IcmpMessage icmp;

    h->verdict = UPLINK_REFUSED;
    harness_udp(h, 1, guest, harness_ip6(outside4), 1000, 2000, "x", 1);
    icmp = harness_out_icmp(h, 0);
    g_assert_cmpint(icmp.type, ==, 3);
    g_assert_cmpint(icmp.code, ==, 13);
    g_assert_cmpuint(h->drops[SWITCH_DROP_REFUSED], ==, 1);
    g_assert_true(ip_addr_equal(&harness_out(h, 0)->ip.src, &gateway));
    g_assert_true(ip_addr_equal(&harness_out(h, 0)->ip.dst, &guest));

    harness_udp(h, 1, harness_ip6("fd00:1:2:3::9"), harness_ip6(outside6),
                1000, 2000, "x", 1);
    icmp = harness_out_icmp(h, 0);
    g_assert_cmpint(icmp.type, ==, 1);
    g_assert_cmpint(icmp.code, ==, 1);
}

static void test_verdicts_are_counted(void)
{
    static const struct {
        UplinkVerdict verdict;
        SwitchDrop drop;
    } rows[] = {
        { UPLINK_MALFORMED, SWITCH_DROP_MALFORMED },
        { UPLINK_LIMIT, SWITCH_DROP_LIMIT },
    };
    g_autoptr(Harness) h = harness_new_shared();
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(rows); i++) {
        h->verdict = rows[i].verdict;
        harness_udp(h, 1, V4(9), harness_ip6(outside4), 1000, 2000, "x", 1);
        g_assert_cmpuint(h->drops[rows[i].drop], ==, 1);
        g_assert_cmpuint(h->out->len, ==, 0);
    }
}

static void test_errors_are_rate_limited_per_port(void)
{
    g_autoptr(Harness) h = harness_new_shared();
    unsigned i, n = 0;

    h->verdict = UPLINK_REFUSED;
    for (i = 0; i < 1000; i++) {
        harness_udp(h, 1, V4(9), harness_ip6(outside4), 1000, 2000, "x", 1);
        n += h->out->len;
    }
    g_assert_cmpuint(n, ==, LIMIT_ICMP_ERROR_BURST);
    harness_udp(h, 2, V4(8), harness_ip6(outside4), 1000, 2000, "x", 1);
    g_assert_cmpuint(h->out->len, ==, 1);
}

static void test_ttl_of_one_is_time_exceeded(void)
{
    g_autoptr(Harness) h = harness_new_shared();
    IpHeaders headers = harness_headers(h, 1, V4(9), harness_ip6(outside4));
    uint8_t buf[100];
    IcmpMessage icmp;

    headers.ttl = 1;
    harness_send(h, 1, buf, udp_build(buf, sizeof(buf), &headers, 1, 33434,
                                      "x", 1));
    g_assert_cmpuint(h->n_routed, ==, 0);
    icmp = harness_out_icmp(h, 0);
    g_assert_cmpint(icmp.type, ==, ICMP_TIME_EXCEEDED);

    headers = harness_headers(h, 1, harness_ip6("fd00:1:2:3::9"),
                              harness_ip6(outside6));
    headers.ttl = 1;
    harness_send(h, 1, buf, udp_build(buf, sizeof(buf), &headers, 1, 33434,
                                      "x", 1));
    icmp = harness_out_icmp(h, 0);
    g_assert_cmpint(icmp.type, ==, ICMP6_TIME_EXCEEDED);
    /* To the gateway itself one hop is enough. */
    headers = harness_headers(h, 1, V4(9), ip_addr_v4(GATEWAY4));
    headers.ttl = 1;
    harness_send(h, 1, buf, udp_build(buf, sizeof(buf), &headers, 1, 33434,
                                      "x", 1));
    g_assert_cmpuint(h->n_routed, ==, 1);
}

static void test_host_mode_routes_nothing(void)
{
    GatewayConfig config = harness_config();
    g_autoptr(Harness) h = NULL;
    IcmpMessage icmp;

    config.host_only = true;
    h = harness_new(&config);
    harness_udp(h, 1, V4(9), harness_ip6(outside4), 1000, 2000, "x", 1);
    icmp = harness_out_icmp(h, 0);
    g_assert_cmpint(icmp.type, ==, 3);
    g_assert_cmpint(icmp.code, ==, 13);
    g_assert_cmpuint(h->drops[SWITCH_DROP_REFUSED], ==, 1);
    harness_udp(h, 1, V4(9), ip_addr_v4(GATEWAY4), 1000, 2000, "x", 1);
    icmp = harness_out_icmp(h, 0);
    g_assert_cmpint(icmp.code, ==, ICMP_PORT_UNREACH);
}

static void test_net_uuid_network_has_no_gateway(void)
{
    GatewayConfig config = harness_config();
    g_autoptr(Harness) h = NULL;
    Dhcp4Message reply;

    config.gateway4 = (IpAddr) { .family = AF_UNSPEC };
    config.prefix4 = (IpPrefix) { 0 };
    config.prefix6 = (IpPrefix) { 0 };
    h = harness_new(&config);
    harness_arp(h, 1, ARP_REQUEST, NET(9), GATEWAY4);
    g_assert_cmpuint(h->out->len, ==, 0);
    send_ns(h, 1, "fe80::9", "fe80::1");
    g_assert_cmpuint(h->out->len, ==, 0);
    g_assert_false(harness_dhcp(h, (HarnessDhcp) { .type = DHCP4_DISCOVER,
                                                   .guest = 1 }, &reply));
    harness_udp(h, 1, V4(9), harness_ip6(outside4), 1000, 2000, "x", 1);
    g_assert_cmpuint(h->out->len, ==, 0);
    harness_run(h, 3600 * 1000);
    g_assert_cmpuint(h->out->len, ==, 0);
}

static void test_malformed_packets_are_counted(void)
{
    g_autoptr(Harness) h = harness_new_shared();
    IpHeaders headers = harness_headers(h, 1, V4(9), harness_ip6(outside4));
    uint8_t buf[100];
    size_t len = udp_build(buf, sizeof(buf), &headers, 1, 2, "x", 1);

    harness_send(h, 1, buf, len - 1);
    g_assert_cmpuint(h->drops[SWITCH_DROP_MALFORMED], ==, 1);
    buf[14 + 10] ^= 1; /* header checksum */
    harness_send(h, 1, buf, len);
    g_assert_cmpuint(h->drops[SWITCH_DROP_MALFORMED], ==, 1);
    g_assert_cmpuint(h->n_routed, ==, 0);
}

static void test_frames_to_others_are_ignored(void)
{
    g_autoptr(Harness) h = harness_new_shared();
    IpHeaders headers = harness_headers(h, 1, V4(9), harness_ip6(outside4));
    uint8_t buf[100];

    headers.eth_dst = harness_mac(5); /* flooded: unknown to the switch */
    harness_send(h, 1, buf, udp_build(buf, sizeof(buf), &headers, 1, 2, "", 0));
    g_assert_cmpuint(h->n_routed, ==, 0);
    g_assert_cmpuint(h->out->len, ==, 0);
}

/* Echo */

static void test_echo_is_answered(void)
{
    static const struct {
        const char *src, *dst, *answer_from;
    } rows[] = {
        { "192.168.107.9", "192.168.107.1", "192.168.107.1" },
        { "fd00:1:2:3::9", "fd00:1:2:3::1", "fd00:1:2:3::1" },
        { "fe80::9", "fe80::1", "fe80::1" },
        { "fe80::9", "ff02::1", "fe80::1" },
        { "fd00:1:2:3::9", "ff02::1", "fd00:1:2:3::1" },
    };
    uint8_t buf[2000], payload[1400];
    unsigned i;

    memset(payload, 0x5a, sizeof(payload));
    for (i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(Harness) h = harness_new_shared();
        IpAddr src = harness_ip6(rows[i].src), dst = harness_ip6(rows[i].dst);
        IpAddr from = harness_ip6(rows[i].answer_from);
        IpHeaders headers = harness_headers(h, 1, src, dst);
        bool is_v4 = src.family == AF_INET;
        IcmpMessage icmp;
        size_t len;

        len = (is_v4 ? icmp_build : icmp6_build)
              (buf, sizeof(buf), &headers, is_v4 ? 8 : 128, 0, 0x12340007,
               payload, sizeof(payload));
        harness_send(h, 1, buf, len);
        g_assert_cmpuint(h->out->len, ==, 1);
        icmp = harness_out_icmp(h, 0);
        g_assert_cmpint(icmp.type, ==, is_v4 ? 0 : 129);
        g_assert_cmphex(icmp.rest, ==, 0x12340007);
        g_assert_cmpuint(icmp.payload_len, ==, sizeof(payload));
        g_assert_cmpmem(harness_out(h, 0)->data + icmp.payload_off,
                        icmp.payload_len, payload, sizeof(payload));
        g_assert_true(ip_addr_equal(&harness_out(h, 0)->ip.src, &from));
        g_assert_true(ip_addr_equal(&harness_out(h, 0)->ip.dst, &src));
        g_assert_cmpuint(h->n_routed, ==, 0);
    }
}

static void test_large_echo_is_answered(void)
{
    GatewayConfig config = harness_config();
    g_autoptr(Harness) h = NULL;
    g_autofree uint8_t *buf = g_malloc0(66000);
    IpHeaders headers;
    size_t len;

    config.mtu_bytes = 65520;
    h = harness_new(&config);
    headers = harness_headers(h, 1, V4(9), ip_addr_v4(GATEWAY4));
    len = icmp_build(buf, 66000, &headers, 8, 0, 1, buf + 42, 65000);
    harness_send(h, 1, buf, len);
    g_assert_cmpuint(harness_out_icmp(h, 0).payload_len, ==, 65000);
}

static void test_ping_of_the_outside_goes_there(void)
{
    g_autoptr(Harness) h = harness_new_shared();
    IpHeaders headers = harness_headers(h, 1, V4(9), harness_ip6(outside4));
    uint8_t buf[100];

    harness_send(h, 1, buf, icmp_build(buf, sizeof(buf), &headers, 8, 0, 1,
                                       "x", 1));
    g_assert_cmpuint(h->n_routed, ==, 1);
    g_assert_cmpuint(h->out->len, ==, 0);
}

static void test_batch_of_answers_is_bounded(void)
{
    g_autoptr(Harness) h = harness_new_shared();
    IpHeaders headers = harness_headers(h, 1, V4(9), ip_addr_v4(GATEWAY4));
    uint8_t buf[100];
    struct iovec iov = { buf, 0 };
    Frame frames[FRAME_BATCH_MAX];
    unsigned i;

    iov.iov_len = icmp_build(buf, sizeof(buf), &headers, 8, 0, 1, "x", 1);
    for (i = 0; i < FRAME_BATCH_MAX; i++) {
        frame_init(&frames[i], &iov, 1);
        frames[i].src_port = 1;
    }
    gateway_input(h->gw, frames, FRAME_BATCH_MAX, h->now_ms);
    gateway_input(h->gw, frames, FRAME_BATCH_MAX, h->now_ms);
    g_assert_cmpuint(h->out->len, ==, 0);
    gateway_flush(h->gw, h->now_ms);
    g_assert_cmpuint(h->out->len, ==, FRAME_BATCH_MAX);
    g_assert_cmpuint(h->drops[SWITCH_DROP_LIMIT], ==, FRAME_BATCH_MAX);
}

/* Router advertisements */

static void send_rs(Harness *h, unsigned n, const char *src)
{
    IpAddr all = ip_addr_v6(&ndp_all_routers);
    IpHeaders headers = harness_headers(h, n, harness_ip6(src), all);
    uint8_t buf[200];

    harness_send(h, n, buf, ndp_rs_build(buf, sizeof(buf), &headers));
}

static void test_rs_is_answered_within_half_a_second(void)
{
    g_autoptr(Harness) h = harness_new_shared();
    MacAddr guest = harness_mac(1);
    IpAddr to = harness_ip6("fe80::9");
    NdpMessage ndp;

    harness_run(h, 60000);
    send_rs(h, 1, "fe80::9");
    harness_run(h, 500);
    g_assert_cmpuint(h->out->len, ==, 1);
    ndp = harness_out_ndp(h, 0);
    g_assert_cmpint(ndp.type, ==, ND_ROUTER_ADVERT);
    g_assert_true(ip_addr_equal(&harness_out(h, 0)->ip.dst, &to));
    g_assert_true(mac_equal(&harness_out(h, 0)->eth.dst, &guest));
    g_assert_cmpuint(ndp.ra.mtu_bytes, ==, 1500);
    g_assert_cmpuint(ndp.ra.n_prefixes, ==, 1);
    g_assert_true(ndp.ra.prefixes[0].on_link && ndp.ra.prefixes[0].autonomous);
    g_assert_cmpuint(ndp.ra.prefixes[0].len, ==, 64);
    g_assert_cmpuint(ndp.ra.prefixes[0].valid_s, >=,
                     ndp.ra.prefixes[0].preferred_s);
    g_assert_cmpuint(ndp.ra.n_rdnss, ==, 1);
    g_assert_cmpuint(ndp.ra.rdnss_s, >=, 3 * 1800); /* RFC 8106 5.1 */
    g_assert_cmpstr(ndp.ra.domain, ==, "vmnet.internal");
    g_assert_true(ndp.ra.has_lladdr);
    g_assert_false(ndp.ra.managed || ndp.ra.other);
}

static void test_rs_without_address_is_answered_to_it_alone(void)
{
    g_autoptr(Harness) h = harness_new_shared();
    MacAddr guest = harness_mac(1);

    harness_run(h, 60000);
    send_rs(h, 1, "::");
    harness_run(h, 500);
    g_assert_cmpuint(h->out->len, ==, 1);
    g_assert_true(IN6_ARE_ADDR_EQUAL(&harness_out(h, 0)->ip.dst.v6,
                                     &ndp_all_nodes));
    g_assert_true(mac_equal(&harness_out(h, 0)->eth.dst, &guest));
}

static void test_flood_of_rs_gets_one_answer(void)
{
    g_autoptr(Harness) h = harness_new_shared();
    unsigned i;

    harness_run(h, 60000);
    for (i = 0; i < 100; i++) {
        send_rs(h, 1, "fe80::9");
    }
    harness_run(h, 500);
    g_assert_cmpuint(h->out->len, ==, 1);
}

static void test_many_rs_at_once_are_bounded(void)
{
    g_autoptr(Harness) h = harness_new_shared();
    unsigned i;

    harness_run(h, 60000);
    for (i = 1; i <= 200; i++) {
        send_rs(h, i, "::");
    }
    harness_run(h, 500);
    g_assert_cmpuint(h->out->len, <=, 17);
    g_assert_cmpuint(h->out->len, >=, 16);
}

static void test_idle_network_sends_three_ras_and_sleeps(void)
{
    g_autoptr(Harness) h = harness_new_shared();
    int64_t since_ms;

    harness_run(h, 60000);
    g_assert_cmpuint(h->out->len, ==, 3);
    since_ms = gateway_deadline(h->gw) - h->now_ms;
    g_assert_cmpint(since_ms, >, 600 * 1000);
    harness_run(h, 1800 * 1000);
    g_assert_cmpuint(h->out->len, ==, 1); /* MaxRtrAdvInterval */
}

static void test_multicast_ras_are_three_seconds_apart(void)
{
    g_autoptr(Harness) h = harness_new_shared();
    unsigned i;

    harness_run(h, 60000);
    for (i = 0; i < 10; i++) {
        gateway_set_router6(h->gw, i % 2 == 0, h->now_ms);
        harness_run(h, 290);
        g_assert_cmpuint(h->out->len, ==, i == 0);
    }
}

static void test_router_lifetime_follows_the_hosts_route(void)
{
    g_autoptr(Harness) h = harness_new_shared();
    NdpMessage ndp;

    harness_run(h, 60000);
    g_assert_cmpuint(harness_out_ndp(h, 0).ra.router_lifetime_s, ==, 0);
    gateway_set_router6(h->gw, true, h->now_ms);
    harness_run(h, 1000);
    ndp = harness_out_ndp(h, 0);
    g_assert_cmpuint(ndp.ra.router_lifetime_s, >, 1800);
    g_assert_cmpuint(ndp.ra.router_lifetime_s, <=, 9000);
    gateway_set_router6(h->gw, false, h->now_ms);
    harness_run(h, 4000);
    g_assert_cmpuint(harness_out_ndp(h, 0).ra.router_lifetime_s, ==, 0);
    g_assert_cmpuint(harness_out_ndp(h, 0).ra.prefixes[0].preferred_s, >, 0);
}

static void test_end_is_announced_and_final(void)
{
    g_autoptr(Harness) h = harness_new_shared();

    gateway_set_router6(h->gw, true, h->now_ms);
    harness_run(h, 60000);
    gateway_announce_end(h->gw, h->now_ms);
    g_assert_cmpuint(harness_out_ndp(h, h->out->len - 1).ra.router_lifetime_s,
                     ==, 0);
    harness_run(h, 3600 * 1000);
    g_assert_cmpuint(h->out->len, ==, 0);
}

static void test_ra_off_is_silent(void)
{
    GatewayConfig config = harness_config();
    g_autoptr(Harness) h = NULL;

    config.ra = false;
    h = harness_new(&config);
    send_rs(h, 1, "fe80::9");
    harness_run(h, 3600 * 1000);
    g_assert_cmpuint(h->out->len, ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);

#define T(name) g_test_add_func("/gateway/" #name, test_##name)
    T(arp_request_for_gateway_is_answered);
    T(arp_for_others_is_never_answered);
    T(arp_probe_for_gateway_is_defended);
    T(arp_claim_of_gateway_is_countered_once);
    T(arp_with_lying_sender_is_foreign);
    T(short_arp_is_malformed);
    T(unknown_neighbour_is_asked_for_three_times);
    T(answer_ends_the_question);
    T(question_from_outside_a_batch_tells_its_deadline);
    T(silent_neighbour_is_checked_when_in_demand);
    T(pending_questions_are_bounded);
    T(address_outside_the_network_is_not_asked_for);
    T(port_that_invents_addresses_fills_its_own_share);
    T(neighbours_go_with_their_port);
    T(ns_for_gateway_is_answered);
    T(dad_for_others_is_never_answered);
    T(dad_for_gateway_is_defended);
    T(nd_with_hop_limit_254_is_dropped);
    T(guests_ipv6_address_is_learnt_from_na);
    T(foreign_source_is_dropped_and_counted);
    T(foreign_ipv6_source_is_dropped_and_counted);
    T(address_of_another_guest_is_foreign);
    T(address_of_a_silent_guest_can_be_taken_over);
    T(address_moves_at_once_behind_its_port_or_with_its_mac);
    T(ipv6_address_of_a_guest_that_is_there_does_not_move);
    T(leased_address_does_not_move);
    T(routed_packets_reach_the_uplink);
    T(services_of_the_host_reach_the_uplink);
    T(link_local_gateway_has_no_services);
    T(own_network_is_not_routed);
    T(refused_is_administratively_prohibited);
    T(verdicts_are_counted);
    T(errors_are_rate_limited_per_port);
    T(ttl_of_one_is_time_exceeded);
    T(host_mode_routes_nothing);
    T(net_uuid_network_has_no_gateway);
    T(malformed_packets_are_counted);
    T(frames_to_others_are_ignored);
    T(echo_is_answered);
    T(large_echo_is_answered);
    T(ping_of_the_outside_goes_there);
    T(batch_of_answers_is_bounded);
    T(rs_is_answered_within_half_a_second);
    T(rs_without_address_is_answered_to_it_alone);
    T(flood_of_rs_gets_one_answer);
    T(many_rs_at_once_are_bounded);
    T(idle_network_sends_three_ras_and_sleeps);
    T(multicast_ras_are_three_seconds_apart);
    T(router_lifetime_follows_the_hosts_route);
    T(end_is_announced_and_final);
    T(ra_off_is_silent);
#undef T
    return g_test_run();
}
