/*
 * Neighbours: which MAC address and port an IP address of the network has
 *
 *   learn(addr, mac, port) --> [ addr | mac | port | last seen ] --> lookup(addr)
 *
 * A pure data structure for IPv4 and IPv6.  What a guest makes us remember is
 * charged to its port: at the limit its own oldest entry goes.  Addresses that
 * we ask for ourselves ("pending") belong to no port and have a bound of their
 * own.  Nothing ages by itself: an entry tells when it was last seen, and
 * goes with its port.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_GATEWAY_NEIGH_TABLE_H
#define VMNETD_GATEWAY_NEIGH_TABLE_H

#include <glib.h>
#include "proto/addr.h"

/**
 * Neighbour:
 * @port: id of the port; 0: pending, @mac is not known yet
 * @seen_ms: when the address was last used by @mac
 * @asked_ms: when it was last asked whether it is there
 * @n_asked: questions since it was last seen
 */
typedef struct Neighbour {
    IpAddr addr;
    MacAddr mac;
    uint32_t port;
    int64_t seen_ms;
    int64_t asked_ms;
    unsigned n_asked;
    /* private */
    uint64_t key;
    GList link;
} Neighbour;

typedef struct NeighTable NeighTable;

NeighTable *neigh_table_new(const uint8_t hash_key[16]);
void neigh_table_free(NeighTable *table);

/** neigh_table_lookup: NULL, or an entry that may be pending. */
Neighbour *neigh_table_lookup(NeighTable *table, const IpAddr *addr);

/**
 * neigh_table_learn: @addr is @mac's, at @port (not 0); an entry that said
 * otherwise changes.
 *
 * Cost: O(entries of the port) where the port is at its limit.
 */
Neighbour *neigh_table_learn(NeighTable *table, const IpAddr *addr,
                             const MacAddr *mac, uint32_t port,
                             int64_t now_ms);

/** neigh_table_pend: a pending entry for @addr, which is not in the table.
 * NULL: LIMIT_NEIGHBOURS_PENDING are. */
Neighbour *neigh_table_pend(NeighTable *table, const IpAddr *addr);

void neigh_table_remove(NeighTable *table, Neighbour *neigh);
void neigh_table_port_gone(NeighTable *table, uint32_t port);

/** neigh_table_of_port: entries of @port (0: pending), data is a Neighbour;
 * valid until the table changes. */
GList *neigh_table_of_port(NeighTable *table, uint32_t port);

unsigned neigh_table_n_of_port(NeighTable *table, uint32_t port);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(NeighTable, neigh_table_free)

#endif
