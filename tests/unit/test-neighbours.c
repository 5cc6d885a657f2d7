/*
 * ARP, neighbour discovery, and whose an address is
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "gateway-harness.h"
#include "limits.h"

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

static void test_ns_for_gateway_is_answered(void)
{
    static const char *const own[] = { "fd00:1:2:3::1", "fe80::1" };
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(own); i++) {
        g_autoptr(Harness) h = harness_new_shared();
        IpAddr target = harness_ip6(own[i]);
        NdpMessage ndp;

        harness_ns(h, 1, "fd00:1:2:3::77", own[i]);
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

    harness_ns(h, 1, "::", "fd00:1:2:3::77");
    g_assert_cmpuint(h->out->len, ==, 0);
    harness_ns(h, 1, "fd00:1:2:3::5", "fd00:1:2:3::77");
    g_assert_cmpuint(h->out->len, ==, 0);
}

static void test_dad_for_gateway_is_defended(void)
{
    g_autoptr(Harness) h = harness_new_shared();
    NdpMessage ndp;

    harness_ns(h, 1, "::", "fe80::1");
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

    harness_ns(h, 1, "fd00:1:2:3::77", "fd00:1:2:3::1");
    h->now_ms += 100000;
    harness_send(h, 2, buf, len);
    g_assert_cmpuint(h->drops[SWITCH_DROP_FOREIGN_SOURCE], ==, 1);
    g_assert_cmpint(harness_out_ndp(h, 0).type, ==, ND_NEIGHBOR_SOLICIT);
    h->now_ms++;
    harness_ns(h, 1, "fd00:1:2:3::77", "fd00:1:2:3::1");
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

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);

#define T(name) g_test_add_func("/neighbours/" #name, test_##name)
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
#undef T
    return g_test_run();
}
