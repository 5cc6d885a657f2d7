/*
 * Guests that say they are the gateway
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "switch/guard.h"

#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip6.h>
#include <string.h>

#include "proto/arp.h"
#include "proto/ip.h"
#include "switch/offload.h"

#define ARP_LEN 28
#define ARP_SPA_OFF 14
#define IPV4_SRC_OFF 12
/* Of a tag: the VLAN's number. */
#define VID_MASK 0x0fff
/* Tags without a VLAN that mean something: a service's and a customer's. */
#define PRIORITY_TAGS_MAX 2
/* Below it is a length, with LLC behind it (IEEE 802.3 3.2.6). */
#define ETHERTYPE_MIN 0x0600
/* LLC and SNAP: up to the type of what is behind them. */
#define SNAP_LEN 8

/* Asked of every frame: compared in place. */
static inline bool is_gateways4(const IpAddr *addrs, uint32_t v4)
{
    unsigned i;

    for (i = 0; i < SWITCH_GATEWAY_ADDRS_MAX; i++) {
        if (addrs[i].family == AF_INET && addrs[i].v4 == v4) {
            return true;
        }
    }
    return false;
}

static inline bool is_gateways6(const IpAddr *addrs, const struct in6_addr *v6)
{
    unsigned i;

    for (i = 0; i < SWITCH_GATEWAY_ADDRS_MAX; i++) {
        if (addrs[i].family == AF_INET6 &&
            memcmp(&addrs[i].v6, v6, sizeof(*v6)) == 0) {
            return true;
        }
    }
    return false;
}

static inline uint32_t u32_at(const uint8_t *data)
{
    return (uint32_t)data[0] << 24 | data[1] << 16 | data[2] << 8 | data[3];
}

static bool has_gateway(const IpAddr *addrs)
{
    unsigned i;

    for (i = 0; i < SWITCH_GATEWAY_ADDRS_MAX; i++) {
        if (addrs[i].family != AF_UNSPEC) {
            return true;
        }
    }
    return false;
}

/* Receivers are less strict than our parser: only the address counts. */
static bool passes_arp(const IpAddr *addrs, const Frame *frame,
                       const EthHeader *eth)
{
    uint8_t arp[ARP_LEN];

    return frame_peek(frame, eth->payload_off, arp, sizeof(arp)) < sizeof(arp) ||
           !is_gateways4(addrs, u32_at(arp + ARP_SPA_OFF));
}

/* Whatever is in it: replies of servers, redirects (RFC 792), resets. */
static bool passes_ipv4(const IpAddr *addrs, const Frame *frame,
                        const EthHeader *eth)
{
    uint8_t src[4];

    return frame_peek(frame, eth->payload_off + IPV4_SRC_OFF, src,
                      sizeof(src)) < sizeof(src) ||
           !is_gateways4(addrs, u32_at(src));
}

/* Of a message that was cut into fragments the first is looked at. */
static bool passes_icmp6(const IpAddr *addrs, const Frame *frame,
                         const IpPacket *ip, SwitchDrop *ret_reason)
{
    struct nd_neighbor_advert advert = { 0 };
    size_t len = MIN(sizeof(advert), ip->l4_len);
    uint8_t type;

    frame_peek(frame, ip->l4_off, &advert, len);
    type = advert.nd_na_type;
    if (ip->is_fragment && len < sizeof(struct icmp6_hdr)) {
        *ret_reason = SWITCH_DROP_MALFORMED;
        return false;
    }
    /* RFC 6980 5: none is ever sent in fragments. */
    if (ip->is_fragment && type >= ND_ROUTER_SOLICIT && type <= ND_REDIRECT) {
        *ret_reason = SWITCH_DROP_REFUSED;
        return false;
    }
    return type != ND_NEIGHBOR_ADVERT ||
           !is_gateways6(addrs, &advert.nd_na_target);
}

/*
 * TCP and UDP, of which there is much, tell nobody where a neighbour is: only
 * their source counts.  Of the rest it has to be known what it is: receivers
 * step over extension headers that our parser does not, and read memory that the
 * guest can change, unless it is in the bytes that its port has copied.
 */
static bool passes_ipv6(const IpAddr *addrs, const Frame *frame,
                        const EthHeader *eth, SwitchDrop *ret_reason)
{
    struct ip6_hdr head;
    IpParse parsed;
    IpPacket ip;

    if (frame_peek(frame, eth->payload_off, &head, sizeof(head)) <
        sizeof(head)) {
        return true;
    }
    if (is_gateways6(addrs, &head.ip6_src)) {
        return false;
    }
    if (head.ip6_nxt == IPPROTO_TCP || head.ip6_nxt == IPPROTO_UDP) {
        return true;
    }
    /* Who says that there is more than there is is heard by nobody. */
    if (eth->payload_off + sizeof(head) + ntohs(head.ip6_plen) > frame->len) {
        return true;
    }
    parsed = ip_packet_parse_behind(frame, eth, &ip);
    if (parsed == IP_PARSE_OK && ip.is_fragment && ip.frag_off == 0) {
        parsed = ip_first_fragment_walk(frame, &ip);
    }
    if (parsed == IP_PARSE_MALFORMED) {
        *ret_reason = SWITCH_DROP_MALFORMED;
        return false;
    }
    if (parsed != IP_PARSE_OK ||
        ip.l4_off + sizeof(struct nd_neighbor_advert) > OFFLOAD_HEADER_MAX) {
        *ret_reason = SWITCH_DROP_REFUSED;
        return false;
    }
    return ip.frag_off > 0 || ip.proto != IPPROTO_ICMPV6 ||
           passes_icmp6(addrs, frame, &ip, ret_reason);
}

/*
 * Receivers take off tags without a VLAN (IEEE 802.1Q 6.9), and look at what is
 * behind: so do we.
 *
 * Returns: false: of a VLAN, or cut.  @eth is what is behind them; still a tag's
 * if there are too many.
 */
static bool skip_priority_tags(const Frame *frame, EthHeader *eth)
{
    uint8_t tag[ETH_VLAN_LEN];
    unsigned n;

    for (n = 0; eth_type_is_tag(eth->type) && n < PRIORITY_TAGS_MAX; n++) {
        if (frame_peek(frame, eth->payload_off, tag, sizeof(tag)) <
            sizeof(tag) || ((tag[0] << 8 | tag[1]) & VID_MASK) != 0) {
            return false;
        }
        eth->type = tag[2] << 8 | tag[3];
        eth->payload_off += sizeof(tag);
    }
    return true;
}

/*
 * Receivers take the same packets behind LLC and SNAP (RFC 1042), and behind the
 * bridge tunnel's SNAP (IEEE 802.1H).
 */
static void skip_snap(const Frame *frame, EthHeader *eth)
{
    static const uint8_t rfc1042[] = { 0xaa, 0xaa, 3, 0, 0, 0 };
    static const uint8_t tunnel[] = { 0xaa, 0xaa, 3, 0, 0, 0xf8 };
    uint8_t snap[SNAP_LEN];

    if (frame_peek(frame, eth->payload_off, snap, sizeof(snap)) ==
        sizeof(snap) && (memcmp(snap, rfc1042, sizeof(rfc1042)) == 0 ||
                         memcmp(snap, tunnel, sizeof(tunnel)) == 0)) {
        eth->type = snap[6] << 8 | snap[7];
        eth->payload_off += sizeof(snap);
    }
}

bool guard_check(const IpAddr *addrs, const Frame *frame,
                 const uint8_t header[ETH_HEADER_LEN], SwitchDrop *ret_reason)
{
    EthHeader eth = {
        .type = header[12] << 8 | header[13], .payload_off = ETH_HEADER_LEN,
    };

    if (!has_gateway(addrs) || !skip_priority_tags(frame, &eth)) {
        return true;
    }
    if (eth.type < ETHERTYPE_MIN) {
        skip_snap(frame, &eth);
    }
    *ret_reason = SWITCH_DROP_FOREIGN_SOURCE;
    switch (eth.type) {
    case ETH_TYPE_IPV4:
        return passes_ipv4(addrs, frame, &eth);
    case ETH_TYPE_ARP:
        return passes_arp(addrs, frame, &eth);
    case ETH_TYPE_IPV6:
        return passes_ipv6(addrs, frame, &eth, ret_reason);
    case ETH_TYPE_VLAN:
    case ETH_TYPE_QINQ:
        *ret_reason = SWITCH_DROP_REFUSED;
        return false;
    default:
        return true;
    }
}
