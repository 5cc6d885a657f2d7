/*
 * Leases of a network: by address, by MAC, by client-id and by name
 *
 * A pure data structure: who gets which address is dhcp-server.c's to decide,
 * how leases look on disk lease-file.c's.  Times are monotonic in here;
 * wall-clock time is a matter of the file and of those who ask.
 *
 *   OFFERED --REQUEST--> BOUND --time--> EXPIRED --(needed)--> another client
 *      |                   |--RELEASE--> RELEASED ------'
 *      '--time--> gone     '--DECLINE--> DECLINED --time--> gone
 *
 * An entry with a reservation is never gone: it falls back to RESERVED.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_GATEWAY_LEASE_TABLE_H
#define VMNETD_GATEWAY_LEASE_TABLE_H

#include <glib.h>
#include "gateway/gateway.h"

/**
 * LeaseEntry:
 * @lease: as others see it; its expires_s is filled in for them only
 * @expires_ms: when @lease.state ends (INT64_MAX: never); of an EXPIRED or
 *     RELEASED one when the lease ended
 * @was_bound: an offer that lapses falls back to EXPIRED
 * @reserved, @reserved_mac: set aside, for a MAC or (zero) for nobody
 * @has_name: @lease.hostname is this lease's in the zone
 * @name_lost: it is someone else's, and that has been said
 * @moved_ms: when it last went to another MAC with the same client-id
 * @probed_ms: when we last asked whether an old holder still uses it
 */
typedef struct LeaseEntry {
    Lease lease;
    int64_t expires_ms;
    bool was_bound;
    bool reserved;
    MacAddr reserved_mac;
    bool has_name, name_lost;
    int64_t moved_ms;
    int64_t probed_ms;
    /* private */
    uint64_t mac_key, id_key, reserved_key, name_key;
} LeaseEntry;

typedef struct LeaseTable LeaseTable;

LeaseTable *lease_table_new(const uint8_t hash_key[16]);
void lease_table_free(LeaseTable *table);

unsigned lease_table_size(const LeaseTable *table);
LeaseEntry *lease_table_by_addr(LeaseTable *table, uint32_t addr);
/** lease_table_by_mac: the one lease of @mac, in whatever state. */
LeaseEntry *lease_table_by_mac(LeaseTable *table, const MacAddr *mac);
/** lease_table_by_id: the lease to which @id was given last. */
LeaseEntry *lease_table_by_id(LeaseTable *table, const uint8_t *id,
                              size_t len);
/** lease_table_by_name: the holder of @name, which is folded here. */
LeaseEntry *lease_table_by_name(LeaseTable *table, const char *name);
LeaseEntry *lease_table_reserved_for(LeaseTable *table, const MacAddr *mac);

/** lease_table_add: an entry for @addr, which has none. NULL: LIMIT_LEASES. */
LeaseEntry *lease_table_add(LeaseTable *table, uint32_t addr);
/** lease_table_reserve: @entry is for @mac only; zero: for nobody. */
void lease_table_reserve(LeaseTable *table, LeaseEntry *entry,
                         const MacAddr *mac);
/** lease_table_unreserve: @entry is as any other; it may be gone. */
void lease_table_unreserve(LeaseTable *table, LeaseEntry *entry);
/** lease_table_assign: @entry is @mac's now; another lease of it is freed. */
void lease_table_assign(LeaseTable *table, LeaseEntry *entry,
                        const MacAddr *mac, const uint8_t *id, size_t id_len);
void lease_table_set_state(LeaseTable *table, LeaseEntry *entry,
                           LeaseState state, int64_t expires_ms);
/**
 * lease_table_set_name: @name (a valid label, or "") is what the client wants.
 * Returns: false: someone else holds it; @entry->has_name tells, too.
 */
bool lease_table_set_name(LeaseTable *table, LeaseEntry *entry,
                          const char *name);
/** lease_table_release_name: another live lease that wants it gets it. */
void lease_table_release_name(LeaseTable *table, LeaseEntry *entry);
/** lease_table_remove: @entry is gone; a reservation stays. */
void lease_table_remove(LeaseTable *table, LeaseEntry *entry);

/** lease_table_quarantine: nobody is given the address before @until_ms; it is
 * charged to @port. */
void lease_table_quarantine(LeaseTable *table, LeaseEntry *entry,
                            uint32_t port, int64_t until_ms);

/** lease_table_n_of_port: entries charged to @port, in @state, which is
 * LEASE__MAX for any. Cost: O(leases). */
unsigned lease_table_n_of_port(LeaseTable *table, uint32_t port,
                               LeaseState state);
/** lease_table_ended: (transfer container) those that nobody holds (EXPIRED,
 * RELEASED, not reserved), or that @port was merely OFFERED; of @port only,
 * unless it is 0; the one that ended first comes first. Cost: O(leases). */
GPtrArray *lease_table_ended(LeaseTable *table, uint32_t port);
void lease_table_port_gone(LeaseTable *table, uint32_t port);

/** (transfer container) (element-type LeaseEntry): all, by address. */
GPtrArray *lease_table_list(LeaseTable *table);

/** lease_table_run: call @expired for each whose time has come. It may remove
 * that entry, and no other. */
typedef void (*LeaseExpired)(void *opaque, LeaseEntry *entry);
void lease_table_run(LeaseTable *table, int64_t now_ms, LeaseExpired expired,
                     void *opaque);
/** lease_table_deadline: when to call lease_table_run() next, or -1. */
int64_t lease_table_deadline(const LeaseTable *table);
/** lease_table_shift: the clock that leases were timed by starts @by_ms later. */
void lease_table_shift(LeaseTable *table, int64_t by_ms);

/** lease_name_sanitize: a DNS label of what a client calls itself: the first
 * label, lower case, letters, digits and hyphens; "" if nothing is left. */
void lease_name_sanitize(const uint8_t *name, size_t len, char ret_name[64]);
/** lease_name_is_reserved: host, localhost and gateway are nobody's. */
bool lease_name_is_reserved(const char *name);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(LeaseTable, lease_table_free)

#endif
