/*
 * Ethernet II headers, with at most one 802.1Q tag
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "proto/eth.h"

#include "proto/cursor.h"

bool eth_parse(const Frame *frame, EthHeader *ret_eth)
{
    uint8_t buf[ETH_HEADER_LEN + ETH_VLAN_LEN];
    Cursor c = cursor_new(buf, frame_peek(frame, 0, buf, sizeof(buf)));
    EthHeader eth = { 0 };

    cursor_copy(&c, eth.dst.b, sizeof(eth.dst.b));
    cursor_copy(&c, eth.src.b, sizeof(eth.src.b));
    eth.type = cursor_u16(&c);
    eth.payload_off = ETH_HEADER_LEN;
    if (eth.type == ETH_TYPE_VLAN) {
        eth.has_vlan = true;
        eth.vlan_tci = cursor_u16(&c);
        eth.type = cursor_u16(&c);
        eth.payload_off += ETH_VLAN_LEN;
    }
    if (c.error) {
        return false;
    }
    *ret_eth = eth;
    return true;
}

size_t eth_build(uint8_t buf[ETH_HEADER_LEN], const MacAddr *dst,
                 const MacAddr *src, uint16_t type)
{
    memcpy(buf, dst->b, sizeof(dst->b));
    memcpy(buf + 6, src->b, sizeof(src->b));
    writer_put_u16(buf + 12, type);
    return ETH_HEADER_LEN;
}

MacAddr eth_group_mac(const IpAddr *group)
{
    MacAddr mac = { { 0x33, 0x33 } };

    if (group->family == AF_INET6) {
        memcpy(mac.b + 2, &group->v6.s6_addr[12], 4);
    } else {
        mac = (MacAddr){ { 0x01, 0x00, 0x5e, group->v4 >> 16 & 0x7f,
                           group->v4 >> 8 & 0xff, group->v4 & 0xff } };
    }
    return mac;
}
