/*
 * ARP for IPv4 over Ethernet (RFC 826), with the probes of RFC 5227
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "proto/arp.h"

#include "proto/cursor.h"
#include "proto/eth.h"

#define ARP_HARDWARE_ETHERNET 1

static bool arp_is_probe(const ArpPacket *arp)
{
    return arp->op == ARP_REQUEST && arp->spa == 0;
}

bool arp_parse(const uint8_t *data, size_t len, ArpPacket *ret_arp)
{
    Cursor c = cursor_new(data, len);
    ArpPacket arp = { 0 };
    uint16_t hardware, protocol, op;
    uint8_t hardware_len, protocol_len;

    hardware = cursor_u16(&c);
    protocol = cursor_u16(&c);
    hardware_len = cursor_u8(&c);
    protocol_len = cursor_u8(&c);
    op = cursor_u16(&c);
    cursor_copy(&c, arp.sha.b, sizeof(arp.sha.b));
    arp.spa = cursor_u32(&c);
    cursor_copy(&c, arp.tha.b, sizeof(arp.tha.b));
    arp.tpa = cursor_u32(&c);

    if (c.error || hardware != ARP_HARDWARE_ETHERNET ||
        protocol != ETH_TYPE_IPV4 || hardware_len != sizeof(arp.sha.b) ||
        protocol_len != sizeof(arp.spa) ||
        (op != ARP_REQUEST && op != ARP_REPLY)) {
        return false;
    }
    arp.op = (ArpOp)op;
    if (mac_is_group(arp.sha.b) || mac_is_zero(&arp.sha) ||
        (arp.spa == 0 && !arp_is_probe(&arp))) {
        return false;
    }
    *ret_arp = arp;
    return true;
}

size_t arp_build(uint8_t buf[ARP_FRAME_LEN], const MacAddr *eth_dst,
                 const ArpPacket *arp)
{
    Writer w = writer_new(buf, ARP_FRAME_LEN);

    eth_build(writer_room(&w, ETH_HEADER_LEN), eth_dst, &arp->sha,
              ETH_TYPE_ARP);
    writer_u16(&w, ARP_HARDWARE_ETHERNET);
    writer_u16(&w, ETH_TYPE_IPV4);
    writer_u8(&w, sizeof(arp->sha.b));
    writer_u8(&w, sizeof(arp->spa));
    writer_u16(&w, arp->op);
    writer_bytes(&w, arp->sha.b, sizeof(arp->sha.b));
    writer_u32(&w, arp->spa);
    writer_bytes(&w, arp->tha.b, sizeof(arp->tha.b));
    writer_u32(&w, arp->tpa);
    return writer_len(&w);
}
