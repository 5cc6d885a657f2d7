/*
 * What a guest may reach, and where that really is
 *
 * Pure functions, asked before any socket is made (architecture, Addresses).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_UPLINK_POLICY_H
#define VMNETD_UPLINK_POLICY_H

#include <glib.h>
#include "nat/nat.h"
#include "uplink/host-table.h"

/**
 * Policy:
 * @forbidden: IpPrefix: subnets of this and of all other networks
 * @host: the host's addresses of now
 * @dns4_port, @dns6_port: where the daemon serves DNS over TCP on 127.0.0.1
 *     and ::1; 0: nowhere
 * @host_loopback: the gateway is the host's loopback address
 * @host_only: nothing but the gateway's own address may be reached
 * @no_nat44, @no_nat66: the same, of one family
 * @device: (nullable): host interface by which alone the outside is reached
 */
typedef struct Policy {
    IpAddr gateway4, gateway6;
    const GArray *forbidden;
    const HostTable *host;
    uint16_t dns4_port, dns6_port;
    bool host_loopback;
    bool host_only;
    bool no_nat44, no_nat66;
    const char *device;
} Policy;

bool policy_is_gateway(const Policy *policy, const IpAddr *addr);

/**
 * policy_route: may a guest send to @dst, and what is its real address?
 * @proto: IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP or IPPROTO_ICMPV6
 */
bool policy_route(const Policy *policy, uint8_t proto, const IpEndpoint *dst,
                  NatRoute *ret_route);

/**
 * policy_may_forward: may the host's kernel be given what a guest sends to @dst?
 * It has its own rules beyond that.
 */
bool policy_may_forward(const Policy *policy, const IpAddr *dst);

/**
 * policy_peer_seen: the address under which a guest sees @peer: loopback,
 * link-local and the host's own addresses are the gateway; so is everybody
 * where the gateway is no router of that family (host mode, a host without an
 * IPv6 default route), since guests could not answer.
 */
IpAddr policy_peer_seen(const Policy *policy, const IpAddr *peer);

#endif
