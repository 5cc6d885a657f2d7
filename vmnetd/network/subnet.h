/*
 * Which subnet a network gets
 *
 * Pure functions over the host's routes and our own networks.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_NETWORK_SUBNET_H
#define VMNETD_NETWORK_SUBNET_H

#include <glib.h>
#include "network/network.h"
#include "uplink/host-table.h"

/**
 * SubnetTakers: who else uses addresses.
 * @networks: IpPrefix of networks that run; the two predefined ones stay
 *     reserved when they don't
 */
typedef struct SubnetTakers {
    const HostTable *host;
    const GArray *networks;
} SubnetTakers;

typedef enum SubnetTaken {
    SUBNET_FREE,
    SUBNET_TAKEN_BY_HOST,
    SUBNET_TAKEN_BY_NETWORK,
} SubnetTaken;

/** @ret_taker: (optional): the route or the network's prefix, if taken */
SubnetTaken subnet_is_taken(const SubnetTakers *takers,
                            const IpPrefix *subnet, IpPrefix *ret_taker);

/**
 * subnet_choose: a free /24: that of the predefined network @name, else the
 * next free one of 192.168/16, 172.16/12, 10/8 from a place that follows from
 * @name on.
 *
 * Returns: false: none was found within a bounded search.
 */
bool subnet_choose(const SubnetTakers *takers, const char *name,
                   IpPrefix *ret_subnet);

/** subnet_predefined: what network @name has if that is free. */
bool subnet_predefined(const char *name, IpPrefix *ret_subnet);

/** subnet_is_private: wholly in one of RFC 1918's. */
bool subnet_is_private(const IpPrefix *subnet);

/** subnet_format: ADDRESS/LENGTH. (transfer full) */
char *subnet_format(const IpPrefix *subnet);

#endif
