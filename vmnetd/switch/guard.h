/*
 * Guests that say they are the gateway
 *
 * The gateway's MAC address is never accepted as a guest's.  Nor may a guest
 * tell others, by ARP or neighbour discovery, that the gateway's IP addresses
 * are at its own: what they send out of the network would go to it.
 *
 *   refused   ARP whose sender is one of these addresses; neighbour
 *             advertisements of them; all ICMPv6 that comes from them
 *   not       DHCP servers and routers with addresses of their own, and
 *   refused   addresses of other guests: between these it is as on a wire.
 *             Tagged frames: the gateway is on no VLAN.  (A tag of VLAN 0 has a
 *             priority only, and receivers look behind it: so does this.)
 *
 * IPv6 packets that receivers may understand and proto/ip.h gives up, such as
 * those with too many extension headers, are refused: nobody knows what they say.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_SWITCH_GUARD_H
#define VMNETD_SWITCH_GUARD_H

#include "proto/eth.h"
#include "switch/switch.h"

/**
 * guard_refuses: does @frame say that its sender is the gateway?
 * @addrs: the gateway's, SWITCH_GATEWAY_ADDRS_MAX of them, AF_UNSPEC: none
 * @header: of @frame, read once
 */
bool guard_refuses(const IpAddr *addrs, const Frame *frame,
                   const uint8_t header[ETH_HEADER_LEN]);

#endif
