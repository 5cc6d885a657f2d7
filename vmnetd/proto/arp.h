/*
 * ARP for IPv4 over Ethernet (RFC 826), with the probes of RFC 5227
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_PROTO_ARP_H
#define VMNETD_PROTO_ARP_H

#include "proto/addr.h"

/** Bytes of an ARP packet, and of a frame that carries one (not padded). */
#define ARP_PACKET_LEN 28
#define ARP_FRAME_LEN (14 + ARP_PACKET_LEN)

typedef enum ArpOp {
    ARP_REQUEST = 1,
    ARP_REPLY = 2,
} ArpOp;

/**
 * ArpPacket:
 * @op: ARP_REQUEST or ARP_REPLY
 * @sha, @spa: sender; @spa in host order, 0 in a probe (RFC 5227 1.1)
 * @tha, @tpa: target; @tpa in host order
 */
typedef struct ArpPacket {
    ArpOp op;
    MacAddr sha, tha;
    uint32_t spa, tpa;
} ArpPacket;

/**
 * arp_parse: @data is what follows the Ethernet header, padding included.
 *
 * Returns: false: too short, not IPv4 over Ethernet, another operation, a
 * sender that is a group address, or a sender of no address that is no probe.
 */
bool arp_parse(const uint8_t *data, size_t len, ArpPacket *ret_arp);

/**
 * arp_build: a whole frame from @arp->sha to @eth_dst (RFC 5227: all ones
 * for a probe or an announcement).
 *
 * Returns: ARP_FRAME_LEN.
 */
size_t arp_build(uint8_t buf[ARP_FRAME_LEN], const MacAddr *eth_dst,
                 const ArpPacket *arp);

#endif
