/*
 * The flow table: who is translated, who is charged for it, when it is over
 *
 *   key --siphash--> [ Flow ] --> one of its port's two lists, oldest first
 *                        \------> heap of deadlines
 *
 * A pure data structure: it neither opens nor closes anything.  There are two
 * quotas: the port's (a guest that opens flows without end recycles only its
 * own), and one that all tables of a daemon share, as they share its
 * descriptors.  A flow that nothing happens to costs no time: deadlines sit in a
 * heap, and one that moves away (the usual case, with every packet) is put
 * right only when the old one has come.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_NAT_FLOW_H
#define VMNETD_NAT_FLOW_H

#include <glib.h>
#include "proto/addr.h"

#define FLOW_NEVER INT64_MAX

typedef enum FlowKind {
    FLOW_TCP,
    FLOW_UDP,
    FLOW_UDP_PEER,  /* somebody outside who came by a UDP forward */
    FLOW_ICMP,
    FLOW_KIND__MAX
} FlowKind;

/**
 * FlowClass: which flows go first when a port is at its quota.
 * FLOW_TRANSIENT: half open, closing, datagrams: cheap to lose
 * FLOW_LASTING: established TCP
 */
typedef enum FlowClass {
    FLOW_TRANSIENT,
    FLOW_LASTING,
    FLOW_CLASS__MAX
} FlowClass;

/**
 * FlowKey: what a guest's packet is looked up by; compared as bytes.
 * @guest, @outside: IPv4 as ::ffff:a.b.c.d; @outside is as the guest sees it,
 *     zero for UDP (one socket for all destinations, RFC 4787 REQ-1)
 * @guest_port: TCP, UDP: the port; ICMP: the echo identifier
 */
typedef struct FlowKey {
    struct in6_addr guest, outside;
    uint16_t guest_port, outside_port;
    uint32_t kind;
} FlowKey;

typedef struct FlowQuota FlowQuota;
typedef struct FlowTable FlowTable;
typedef struct FlowPort FlowPort;

/**
 * Flow: first member of every kind's own struct.
 * @mac: where frames for the guest go
 * @deadline_ms: when nat_run() is to look at it; FLOW_NEVER: not at all.
 *     Changed by flow_set_deadline() only.
 * @last_ms: of the last packet either way
 */
typedef struct Flow {
    FlowKey key;
    IpEndpoint guest, outside;
    MacAddr mac;
    int64_t deadline_ms;
    int64_t last_ms;

    /* the table's own */
    FlowTable *table;
    FlowPort *port;
    FlowClass class;
    uint64_t hash;
    struct Flow *next;
    GList lru;
    int64_t heap_ms;
    unsigned heap_pos;
} Flow;

void flow_key_init(FlowKey *key, FlowKind kind, const IpEndpoint *guest,
                   const IpEndpoint *outside);

static inline FlowKind flow_kind(const Flow *flow)
{
    return (FlowKind)flow->key.kind;
}

/**
 * flow_quota_new: at most @max flows for all tables that are made with it; they
 * belong to one thread.
 */
FlowQuota *flow_quota_new(unsigned max);
/** flow_quota_free: every table must have been freed. */
void flow_quota_free(FlowQuota *quota);
unsigned flow_quota_used(const FlowQuota *quota);

/**
 * flow_table_new:
 * @per_port: flows of one port at most
 * @quota: outlives the table
 * @owner: see flow_owner()
 */
FlowTable *flow_table_new(const uint8_t hash_key[16], unsigned per_port,
                          FlowQuota *quota, void *owner);
/** flow_table_free: every flow must have been removed. */
void flow_table_free(FlowTable *table);
/** flow_owner: whose table @flow is in. */
void *flow_owner(const Flow *flow);

Flow *flow_table_find(FlowTable *table, const FlowKey *key);

/**
 * flow_table_victim: the flow that must go before port @port_id may have
 * another one: the oldest of its own when it is at its quota, the oldest of the
 * port with the most, in whichever table, when the shared quota is used up.
 * @force: name one even if there is room (the process has no descriptors left)
 *
 * Cost: all ports of all tables are looked at, if the shared quota is used up.
 *
 * Returns: (nullable): NULL: nobody has to go
 */
Flow *flow_table_victim(FlowTable *table, uint32_t port_id, bool force);

/**
 * flow_table_add: @flow->key, guest, outside and mac have been set.  There is
 * room: flow_table_victim() has returned NULL.
 */
void flow_table_add(FlowTable *table, Flow *flow, uint32_t port_id,
                    int64_t now_ms);
void flow_table_remove(Flow *flow);

/** flow_touch: a packet passed; the flow is now the youngest of its @class. */
void flow_touch(Flow *flow, FlowClass class, int64_t now_ms);
void flow_set_deadline(Flow *flow, int64_t deadline_ms);

/** flow_table_due: a flow whose deadline has come; it has none afterwards. */
Flow *flow_table_due(FlowTable *table, int64_t now_ms);
/** flow_table_deadline: of the first flow, perhaps too early; FLOW_NEVER. */
int64_t flow_table_deadline(const FlowTable *table);

uint32_t flow_port_id(const Flow *flow);
/** flow_table_of_port: any flow of port @port_id; NULL: it has none. */
Flow *flow_table_of_port(FlowTable *table, uint32_t port_id);
/** flow_table_next: in no order; NULL: the first, or no more. */
Flow *flow_table_next(FlowTable *table, const Flow *flow);
unsigned flow_table_count(const FlowTable *table, FlowKind kind);

/**
 * flow_charge: @bytes of memory (negative: given back) on the account of the
 * flow's port.  False, nothing charged: over LIMIT_NAT_BYTES_PER_PORT.
 */
bool flow_charge(Flow *flow, ssize_t bytes);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(FlowQuota, flow_quota_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FlowTable, flow_table_free)

#endif
