/*
 * The gateway's dispatch: routing and its errors, echo, router advertisements
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "gateway-harness.h"
#include "limits.h"

static const char outside4[] = "198.51.100.7";
static const char outside6[] = "2001:db8::7";

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
    harness_ns(h, 1, "fe80::9", "fe80::1");
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

        len = icmp_build(buf, sizeof(buf), &headers, is_v4 ? 8 : 128, 0,
                         0x12340007, payload, sizeof(payload));
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
