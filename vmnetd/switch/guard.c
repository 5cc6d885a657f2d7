/*
 * Guests that say they are the gateway
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "switch/guard.h"

#include <netinet/icmp6.h>
#include <netinet/in.h>

#include "proto/arp.h"
#include "proto/ip.h"

#define ARP_LEN 28
#define TYPE_QINQ 0x88a8        /* IEEE 802.1ad */
#define VLAN_ID_MASK 0x0fff
/* Of VLAN 0, one behind the other: more are refused. */
#define TAGS_MAX 4
/* In an IPv6 header: its next header. */
#define NEXT_HEADER_OFF 6

static bool is_gateways(const IpAddr *addrs, const IpAddr *addr)
{
    unsigned i;

    for (i = 0; i < SWITCH_GATEWAY_ADDRS_MAX; i++) {
        if (addrs[i].family != AF_UNSPEC && ip_addr_equal(&addrs[i], addr)) {
            return true;
        }
    }
    return false;
}

/* Receivers are less strict than our parser: only the address counts. */
static bool refuses_arp(const IpAddr *addrs, const Frame *frame, size_t l3_off)
{
    uint8_t arp[ARP_LEN];
    IpAddr sender;

    if (frame_peek(frame, l3_off, arp, sizeof(arp)) < sizeof(arp)) {
        return false;
    }
    sender = ip_addr_v4((uint32_t)arp[14] << 24 | arp[15] << 16 |
                        arp[16] << 8 | arp[17]);
    return is_gateways(addrs, &sender);
}

/* Of an ICMPv6 message: one that advertises a neighbour has a target. */
static bool refuses_target(const IpAddr *addrs, const Frame *frame,
                           const IpPacket *ip)
{
    struct nd_neighbor_advert advert;
    IpAddr target;

    if (frame_peek(frame, ip->l4_off, &advert, sizeof(advert)) <
        sizeof(advert) || advert.nd_na_type != ND_NEIGHBOR_ADVERT) {
        return false;
    }
    target = ip_addr_v6(&advert.nd_na_target);
    return is_gateways(addrs, &target);
}

/* TCP and UDP, of which there is much, tell nobody where a neighbour is. */
static bool refuses_ipv6(const IpAddr *addrs, const Frame *frame, size_t l3_off)
{
    uint8_t next_header;
    IpPacket ip;

    if (!frame_peek(frame, l3_off + NEXT_HEADER_OFF, &next_header, 1) ||
        next_header == IPPROTO_TCP || next_header == IPPROTO_UDP) {
        return false;
    }
    switch (ip_packet_parse(frame, &ip)) {
    case IP_PARSE_OK:
        return ip.proto == IPPROTO_ICMPV6 &&
               (is_gateways(addrs, &ip.src) ||
                refuses_target(addrs, frame, &ip));
    case IP_PARSE_MALFORMED:
        return false;           /* to receivers as well */
    case IP_PARSE_NOT_IP:       /* behind several tags */
    case IP_PARSE_UNSUPPORTED:
        break;
    }
    return true;
}

/* A tag of VLAN 0 at @off, which @type announced: step over it. */
static bool skip_tag(const Frame *frame, unsigned *type, size_t *off)
{
    uint8_t tag[ETH_VLAN_LEN];

    if ((*type != ETH_TYPE_VLAN && *type != TYPE_QINQ) ||
        frame_peek(frame, *off, tag, sizeof(tag)) < sizeof(tag) ||
        ((tag[0] << 8 | tag[1]) & VLAN_ID_MASK) != 0) {
        return false;
    }
    *type = tag[2] << 8 | tag[3];
    *off += sizeof(tag);
    return true;
}

bool guard_refuses(const IpAddr *addrs, const Frame *frame,
                   const uint8_t header[ETH_HEADER_LEN])
{
    unsigned type = header[12] << 8 | header[13], n_tags = 0;
    size_t off = ETH_HEADER_LEN;

    while (skip_tag(frame, &type, &off)) {
        if (++n_tags > TAGS_MAX) {
            return true;
        }
    }
    switch (type) {
    case ETH_TYPE_ARP:
        return refuses_arp(addrs, frame, off);
    case ETH_TYPE_IPV6:
        return refuses_ipv6(addrs, frame, off);
    default:
        return false;
    }
}
