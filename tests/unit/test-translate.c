/*
 * MAC translation: what leaves under one address, and who gets what comes
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <glib.h>
#include <string.h>

#include "limits.h"
#include "port/translate.h"
#include "proto/arp.h"
#include "proto/dhcp4.h"
#include "proto/eth.h"
#include "proto/ndp.h"
#include "proto/udp.h"

#define GUEST4 0x0a370064       /* 10.55.0.100 */
#define OTHER4 0x0a370065
#define HOST4 0x0a370002
#define ROUTER4 0x0a370001
#define PORT 7
#define OTHER_PORT 8

static const MacAddr own = { { 2, 0, 0, 0, 0, 0xee } };
static const MacAddr guest = { { 0x52, 0x54, 0, 1, 2, 3 } };
static const MacAddr other = { { 0x52, 0x54, 0, 1, 2, 4 } };
static const MacAddr router = { { 2, 0, 0, 0, 0, 1 } };
static const MacAddr broadcast = { { 255, 255, 255, 255, 255, 255 } };

static bool host_has(void *opaque, const IpAddr *addr)
{
    return addr->family == AF_INET && addr->v4 == HOST4;
}

static Translate *make(void)
{
    const TranslateConfig config = { .is_own = host_has };
    Translate *translate = translate_new(&config);

    translate_set_mac(translate, &own);
    return translate;
}

typedef struct Sent {
    uint8_t bytes[4096];
    size_t len;
    Frame frame;
    struct iovec iov;
} Sent;

/* What leaves of @len bytes at @buf that port @port has sent; false: nothing. */
static bool send_by(Translate *translate, uint32_t port, const uint8_t *buf,
                    size_t len, Sent *ret_sent)
{
    struct iovec iov[2] = {
        { (void *)buf, 20 }, { (uint8_t *)buf + 20, len - 20 },
    };
    uint8_t head[TRANSLATE_HEAD_MAX];
    size_t n_head;
    Frame frame;

    frame_init(&frame, iov, 2);
    frame.src_port = port;
    n_head = translate_output(translate, &frame, head);
    memcpy(ret_sent->bytes, buf, len);
    memcpy(ret_sent->bytes, head, n_head);
    ret_sent->iov = (struct iovec) { ret_sent->bytes, len };
    frame_init(&ret_sent->frame, &ret_sent->iov, 1);
    return n_head > 0;
}

static bool sends_from_own(const Sent *sent)
{
    return memcmp(sent->bytes + 6, &own, sizeof(own)) == 0;
}

static bool arp_by(Translate *translate, uint32_t port, const MacAddr *mac,
                   uint32_t spa, ArpPacket *ret_arp)
{
    const ArpPacket arp = {
        .op = ARP_REQUEST, .sha = *mac, .spa = spa, .tpa = ROUTER4,
    };
    uint8_t buf[ARP_FRAME_LEN];
    size_t len = arp_build(buf, &broadcast, &arp);
    Sent sent;

    return send_by(translate, port, buf, len, &sent) &&
           sends_from_own(&sent) &&
           arp_parse(sent.bytes + ETH_HEADER_LEN, len - ETH_HEADER_LEN,
                     ret_arp);
}

/* Whom a packet for @addr goes to, which came for @dst. */
static bool goes_to(Translate *translate, const MacAddr *dst, uint32_t addr,
                    const MacAddr *expected)
{
    const IpHeaders headers = {
        .eth_src = router, .eth_dst = *dst, .src = ip_addr_v4(ROUTER4),
        .dst = ip_addr_v4(addr), .ttl = 64,
    };
    uint8_t buf[128];
    size_t len = udp_build(buf, sizeof(buf), &headers, 53, 1024, "x", 1);
    bool taken = translate_input(translate, buf, len);

    g_assert_true(!taken || expected);
    return taken && memcmp(buf, expected, sizeof(*expected)) == 0;
}

static void test_arp(void)
{
    g_autoptr(Translate) translate = make();
    ArpPacket arp = {
        .op = ARP_REPLY, .sha = router, .spa = ROUTER4, .tha = own,
        .tpa = GUEST4,
    };
    ArpPacket seen;
    uint8_t buf[ARP_FRAME_LEN];

    g_assert_true(arp_by(translate, PORT, &guest, GUEST4, &seen));
    g_assert_true(mac_equal(&seen.sha, &own));
    g_assert_cmpuint(seen.spa, ==, GUEST4);

    arp_build(buf, &own, &arp);
    g_assert_true(translate_input(translate, buf, sizeof(buf)));
    g_assert_true(arp_parse(buf + ETH_HEADER_LEN, ARP_PACKET_LEN, &seen));
    g_assert_true(mac_equal(&seen.tha, &guest));
    g_assert_cmpmem(buf, 6, &guest, 6);

    /* The answer to a probe is everybody's, one for the host nobody's. */
    arp.tpa = 0;
    arp_build(buf, &own, &arp);
    g_assert_true(translate_input(translate, buf, sizeof(buf)));
    g_assert_cmpmem(buf, 6, &broadcast, 6);
    arp.tpa = HOST4;
    arp_build(buf, &own, &arp);
    g_assert_false(translate_input(translate, buf, sizeof(buf)));
}

static void test_who(void)
{
    g_autoptr(Translate) translate = make();
    ArpPacket seen;

    g_assert_false(goes_to(translate, &own, GUEST4, NULL));
    g_assert_true(arp_by(translate, PORT, &guest, GUEST4, &seen));
    g_assert_true(arp_by(translate, OTHER_PORT, &other, OTHER4, &seen));
    g_assert_true(goes_to(translate, &own, GUEST4, &guest));
    g_assert_true(goes_to(translate, &own, OTHER4, &other));
    g_assert_true(goes_to(translate, &broadcast, 0xffffffff, &broadcast));
    /* For another machine, which a hub may send everywhere. */
    g_assert_false(goes_to(translate, &router, GUEST4, NULL));
    /* An address moves to who names it last. */
    g_assert_true(arp_by(translate, OTHER_PORT, &other, GUEST4, &seen));
    g_assert_true(goes_to(translate, &own, GUEST4, &other));
    translate_forget(translate, PORT);
    g_assert_true(goes_to(translate, &own, GUEST4, &other));
    translate_forget(translate, OTHER_PORT);
    g_assert_false(goes_to(translate, &own, GUEST4, NULL));
    g_assert_false(goes_to(translate, &own, OTHER4, NULL));
}

static void test_host_is_not_claimed(void)
{
    g_autoptr(Translate) translate = make();
    ArpPacket seen;

    g_assert_true(arp_by(translate, PORT, &guest, HOST4, &seen));
    g_assert_false(goes_to(translate, &own, HOST4, NULL));
}

/* A guest that names addresses without end loses its own oldest ones. */
static void test_quota(void)
{
    g_autoptr(Translate) translate = make();
    ArpPacket seen;
    unsigned i;

    g_assert_true(arp_by(translate, OTHER_PORT, &other, OTHER4, &seen));
    for (i = 0; i < 3 * LIMIT_TRANSLATED_PER_PORT; i++) {
        g_assert_true(arp_by(translate, PORT, &guest, 0x0a380000 + i, &seen));
    }
    for (i = 0; i < 3 * LIMIT_TRANSLATED_PER_PORT; i++) {
        bool kept = i >= 2 * LIMIT_TRANSLATED_PER_PORT;

        g_assert_true(goes_to(translate, &own, 0x0a380000 + i,
                              kept ? &guest : NULL) == kept);
    }
    g_assert_true(goes_to(translate, &own, OTHER4, &other));
}

/* A request that is parsed, so that its checksum is known to be right. */
static void parse_dhcp(const Sent *sent, Dhcp4Message *ret_msg)
{
    UdpDatagram udp;
    IpPacket ip;

    g_assert_cmpint(ip_packet_parse(&sent->frame, &ip), ==, IP_PARSE_OK);
    g_assert_true(udp_parse(&sent->frame, &ip, &udp));
    g_assert_true(dhcp4_parse(sent->bytes + udp.payload_off, udp.payload_len,
                              ret_msg));
}

static void test_dhcp(void)
{
    g_autoptr(Translate) translate = make();
    const IpHeaders headers = {
        .eth_src = guest, .eth_dst = broadcast, .src = ip_addr_v4(0),
        .dst = ip_addr_v4(0xffffffff), .ttl = 64,
    };
    Dhcp4Message header = {
        .op = DHCP4_BOOTREQUEST, .htype = 1, .hlen = 6, .xid = 1,
    };
    g_autofree Dhcp4Message *seen = g_new0(Dhcp4Message, 1);
    uint8_t msg[DHCP4_MESSAGE_MIN], buf[DHCP4_MESSAGE_MIN + UDP_HEADROOM];
    Dhcp4Builder b;
    size_t len;
    Sent sent;

    memcpy(header.chaddr, &guest, sizeof(guest));
    dhcp4_begin(&b, msg, sizeof(msg), &header, DHCP4_REQUEST);
    dhcp4_add_u32(&b, DHCP4_OPTION_REQUESTED_IP, GUEST4);
    len = udp_build(buf, sizeof(buf), &headers, DHCP4_CLIENT_PORT,
                    DHCP4_SERVER_PORT, msg, dhcp4_finish(&b));
    g_assert_true(send_by(translate, PORT, buf, len, &sent));
    g_assert_true(sends_from_own(&sent));
    parse_dhcp(&sent, seen);
    g_assert_true(seen->broadcast);
    g_assert_cmpmem(seen->chaddr, 6, &guest, 6);
    g_assert_true(goes_to(translate, &own, GUEST4, &guest));
    /* Once more: nothing is left to be done, and the checksum stays. */
    g_assert_true(send_by(translate, PORT, sent.bytes, len, &sent));
    parse_dhcp(&sent, seen);
}

static bool ndp_of(const Sent *sent, NdpMessage *ret_ndp)
{
    IpPacket ip;

    return ip_packet_parse(&sent->frame, &ip) == IP_PARSE_OK &&
           ndp_parse(&sent->frame, &ip, ret_ndp);
}

static void test_ndp(void)
{
    g_autoptr(Translate) translate = make();
    struct in6_addr address = ndp_link_local(&guest), target = { 0 };
    IpHeaders headers = {
        .eth_src = guest, .src = ip_addr_v6(&address), .dst = ip_addr_v6(&target),
    };
    uint8_t buf[NDP_NEIGHBOUR_FRAME_LEN];
    NdpMessage ndp;
    size_t len;
    Sent sent;

    target = ndp_link_local(&router);
    len = ndp_ns_build(buf, &headers, &target);
    g_assert_true(send_by(translate, PORT, buf, len, &sent));
    g_assert_true(sends_from_own(&sent) && ndp_of(&sent, &ndp));
    g_assert_true(ndp.has_lladdr && mac_equal(&ndp.lladdr, &own));

    headers.eth_dst = router;
    headers.dst = ip_addr_v6(&target);
    len = ndp_na_build(buf, &headers, &address, NDP_NA_SOLICITED);
    g_assert_true(send_by(translate, PORT, buf, len, &sent));
    g_assert_true(sends_from_own(&sent) && ndp_of(&sent, &ndp));
    g_assert_true(ndp.has_lladdr && mac_equal(&ndp.lladdr, &own));

    headers = (IpHeaders) {
        .eth_src = router, .eth_dst = own, .src = ip_addr_v6(&target),
        .dst = ip_addr_v6(&address),
    };
    len = ndp_na_build(buf, &headers, &target, NDP_NA_SOLICITED);
    g_assert_true(translate_input(translate, buf, len));
    g_assert_cmpmem(buf, 6, &guest, 6);
}

/* An address is its guest's from the moment that it asks whether it is free. */
static void test_dad(void)
{
    g_autoptr(Translate) translate = make();
    struct in6_addr address = ndp_link_local(&guest), from = ndp_link_local(&router);
    IpHeaders headers = {
        .eth_src = guest, .src = ip_addr_v6(&in6addr_any),
        .dst = ip_addr_v6(&in6addr_any),
    };
    uint8_t buf[NDP_NEIGHBOUR_FRAME_LEN];
    size_t len = ndp_ns_build(buf, &headers, &address);
    Sent sent;

    g_assert_true(send_by(translate, PORT, buf, len, &sent));
    headers = (IpHeaders) {
        .eth_src = router, .eth_dst = own, .src = ip_addr_v6(&from),
        .dst = ip_addr_v6(&address),
    };
    len = ndp_na_build(buf, &headers, &from, NDP_NA_SOLICITED);
    g_assert_true(translate_input(translate, buf, len));
    g_assert_cmpmem(buf, 6, &guest, 6);
}

/* Of data, only the Ethernet header is copied. */
static void test_data(void)
{
    g_autoptr(Translate) translate = make();
    const IpHeaders headers = {
        .eth_src = guest, .eth_dst = router, .src = ip_addr_v4(GUEST4),
        .dst = ip_addr_v4(ROUTER4), .ttl = 64,
    };
    uint8_t buf[1400], data[1000] = { 1, 2, 3 };
    size_t len = udp_build(buf, sizeof(buf), &headers, 1024, 53, data,
                           sizeof(data));
    Sent sent;

    g_assert_true(send_by(translate, PORT, buf, len, &sent));
    g_assert_true(sends_from_own(&sent));
    g_assert_cmpmem(sent.bytes + 12, len - 12, buf + 12, len - 12);
    /* One that says nothing of where it belongs when it comes. */
    buf[12] = 0x81;
    buf[13] = 0;
    g_assert_false(send_by(translate, PORT, buf, len, &sent));
    memcpy(buf, &own, sizeof(own));
    g_assert_false(translate_input(translate, buf, len));
    for (len = 0; len < 42; len++) {
        buf[12] = 8;
        g_assert_false(translate_input(translate, buf, len));
        buf[12] = 0x86;
        buf[13] = 0xdd;
        g_assert_false(translate_input(translate, buf, len));
        buf[13] = 0;
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/translate/arp", test_arp);
    g_test_add_func("/translate/who", test_who);
    g_test_add_func("/translate/host-is-not-claimed", test_host_is_not_claimed);
    g_test_add_func("/translate/quota", test_quota);
    g_test_add_func("/translate/dhcp", test_dhcp);
    g_test_add_func("/translate/ndp", test_ndp);
    g_test_add_func("/translate/dad", test_dad);
    g_test_add_func("/translate/data", test_data);
    return g_test_run();
}
