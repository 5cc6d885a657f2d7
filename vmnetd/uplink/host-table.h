/*
 * What the host's kernel routes: its own addresses, its connected networks,
 * its ways out
 *
 * One dump of the routing tables says all of it: a local address is a route of
 * type "local", a directed broadcast one of type "broadcast", and both vanish
 * with the interface that carries them, which a list of addresses does not
 * tell.  A pure data structure: bytes of rtnetlink go in.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_UPLINK_HOST_TABLE_H
#define VMNETD_UPLINK_HOST_TABLE_H

#include <glib.h>
#include "proto/addr.h"

/**
 * HostRoute: a route that may forbid a subnet. Default routes are not kept.
 * @ifindex: 0: none (blackhole and the like)
 * @connected: made by the kernel for an address of an interface
 */
typedef struct HostRoute {
    IpPrefix dst;
    uint32_t ifindex;
    bool connected;
} HostRoute;

typedef struct HostTable {
    GArray *own;        /* IpAddr: local addresses, without 127/8 and ::1 */
    GArray *own_ifindex; /* uint32_t, along with @own */
    GArray *broadcasts; /* IpAddr: directed broadcasts */
    GArray *routes;     /* HostRoute */
    /* Interface and metric of the best default route; ifindex 0: none. */
    uint32_t default4_ifindex, default6_ifindex;
    uint32_t default4_metric, default6_metric;
    /* Own addresses to be known by; family AF_UNSPEC: none. */
    IpAddr address4, address6;
} HostTable;

HostTable *host_table_new(void);
void host_table_free(HostTable *table);

/**
 * host_table_add: take up what @n_bytes bytes of rtnetlink messages say, of which
 * each is bounded by its own length; others than RTM_NEWROUTE are skipped.
 * @ret_done: set where NLMSG_DONE or an error ends the dump
 *
 * Returns: false: an error message, or lengths that lie.
 */
bool host_table_add(HostTable *table, const void *msgs, size_t n_bytes,
                    bool *ret_done);
/** host_table_ignore: forget routes by the interfaces that @is_ours names. */
void host_table_ignore(HostTable *table,
                       bool (*is_ours)(const void *opaque, uint32_t ifindex),
                       const void *opaque);
/** host_table_finish: after the last host_table_add(): choose addresses. */
void host_table_finish(HostTable *table);

bool host_table_is_own(const HostTable *table, const IpAddr *addr);
bool host_table_is_broadcast(const HostTable *table, const IpAddr *addr);
/**
 * host_table_taker: the route because of which @subnet cannot be used: a
 * connected one, or one of /17 (IPv6: /48) or longer; a short VPN route forbids
 * nothing.
 *
 * Returns: (nullable): NULL if @subnet is free.
 */
const HostRoute *host_table_taker(const HostTable *table,
                                  const IpPrefix *subnet);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(HostTable, host_table_free)

#endif
