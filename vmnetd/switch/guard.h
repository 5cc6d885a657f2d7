/*
 * Guests that say they are the gateway
 *
 * The gateway's MAC address is never accepted as a guest's.  Nor may a guest
 * tell others, by ARP or neighbour discovery, that the gateway's IP addresses
 * are at its own, or by a redirect in its name that another is the way: what
 * they send out of the network would go to it.
 *
 *   refused   ARP whose sender is one of these addresses; neighbour
 *             advertisements of them; all IP that comes from them
 *   refused,  what receivers may understand and we do not: IPv6 whose extension
 *   not read  headers ip.h does not step over (too many, routing headers that
 *             are used or of type 0), or that end behind the bytes which a port
 *             has copied; neighbour discovery in fragments (RFC 6980); more than
 *             two priority tags
 *   not       DHCP servers and routers with addresses of their own, and
 *   refused   addresses of other guests: between these it is as on a wire.
 *             Frames of a VLAN: the gateway is on none.  But one with the number
 *             0 is none (a priority tag): what is behind it is looked at, and
 *             what is behind the LLC and SNAP headers of an 802.3 frame.
 *
 * A network without a gateway address, which is what bridged ones are, has
 * nothing to be refused.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_SWITCH_GUARD_H
#define VMNETD_SWITCH_GUARD_H

#include "proto/eth.h"
#include "switch/switch.h"

/**
 * guard_check: does @frame keep to what its sender may say?
 * @addrs: the gateway's, SWITCH_GATEWAY_ADDRS_MAX of them, AF_UNSPEC: none
 * @header: of @frame, read once
 *
 * Returns: false with SWITCH_DROP_FOREIGN_SOURCE where it says that it is the
 * gateway; SWITCH_DROP_REFUSED or SWITCH_DROP_MALFORMED where it might.
 */
bool guard_check(const IpAddr *addrs, const Frame *frame,
                 const uint8_t header[ETH_HEADER_LEN], SwitchDrop *ret_reason);

static inline bool guard_refuses(const IpAddr *addrs, const Frame *frame,
                                 const uint8_t header[ETH_HEADER_LEN])
{
    SwitchDrop reason;

    return !guard_check(addrs, frame, header, &reason);
}

#endif
