/*
 * Ethernet II headers, with at most one 802.1Q tag
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_PROTO_ETH_H
#define VMNETD_PROTO_ETH_H

#include "proto/addr.h"
#include "proto/frame.h"

#define ETH_HEADER_LEN 14
#define ETH_VLAN_LEN 4

typedef enum EthType {
    ETH_TYPE_IPV4 = 0x0800,
    ETH_TYPE_ARP = 0x0806,
    ETH_TYPE_VLAN = 0x8100,
    ETH_TYPE_IPV6 = 0x86dd,
    ETH_TYPE_QINQ = 0x88a8,
} EthType;

/** eth_type_is_tag: of IEEE 802.1Q: four bytes, the last two a type again. */
static inline bool eth_type_is_tag(uint16_t type)
{
    return type == ETH_TYPE_VLAN || type == ETH_TYPE_QINQ;
}

/**
 * EthHeader:
 * @type: an ethertype, the one behind the tag if there is one; values below
 *     0x600 are an 802.3 length, 0x8100 here is a second tag
 * @vlan_tci: priority and VLAN id (0 to 4095) of the tag
 * @payload_off: 14 or 18 bytes
 */
typedef struct EthHeader {
    MacAddr dst, src;
    uint16_t type;
    bool has_vlan;
    uint16_t vlan_tci;
    uint16_t payload_off;
} EthHeader;

/** eth_parse: false: too short for its headers. */
bool eth_parse(const Frame *frame, EthHeader *ret_eth);

/** eth_build: an untagged header. Returns: ETH_HEADER_LEN. */
size_t eth_build(uint8_t buf[ETH_HEADER_LEN], const MacAddr *dst,
                 const MacAddr *src, uint16_t type);

/** The MAC address of an IPv4 (RFC 1112 6.4) or IPv6 (RFC 2464 7) group. */
MacAddr eth_group_mac(const IpAddr *group);

#endif
