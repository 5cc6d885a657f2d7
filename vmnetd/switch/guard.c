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
/* Of an IPv6 header: its next header. */
#define NEXT_HEADER_OFF (ETH_HEADER_LEN + 6)

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
static bool refuses_arp(const IpAddr *addrs, const Frame *frame)
{
    uint8_t arp[ARP_LEN];
    IpAddr sender;

    if (frame_peek(frame, ETH_HEADER_LEN, arp, sizeof(arp)) < sizeof(arp)) {
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
static bool refuses_ipv6(const IpAddr *addrs, const Frame *frame)
{
    uint8_t next_header;
    IpPacket ip;

    if (!frame_peek(frame, NEXT_HEADER_OFF, &next_header, 1) ||
        next_header == IPPROTO_TCP || next_header == IPPROTO_UDP) {
        return false;
    }
    return ip_packet_parse(frame, &ip) == IP_PARSE_OK &&
           ip.proto == IPPROTO_ICMPV6 &&
           (is_gateways(addrs, &ip.src) || refuses_target(addrs, frame, &ip));
}

bool guard_refuses(const IpAddr *addrs, const Frame *frame,
                   const uint8_t header[ETH_HEADER_LEN])
{
    switch (header[12] << 8 | header[13]) {
    case ETH_TYPE_ARP:
        return refuses_arp(addrs, frame);
    case ETH_TYPE_IPV6:
        return refuses_ipv6(addrs, frame);
    default:
        return false;
    }
}
