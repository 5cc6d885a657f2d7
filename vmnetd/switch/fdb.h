/*
 * L2 forwarding table: the port on which each MAC address was last seen
 *
 *   learn(src, port) --> [ MAC | port | last seen ] --> lookup(dst) = port
 *
 * A pure data structure: the caller says what time it is, so a test ages a
 * table by five minutes in one line.  Nothing has to be called for entries to
 * age: one that is too old is not found, and goes when it is looked for or
 * when its port needs the place.  The quota belongs to the port: a guest that
 * invents addresses pushes out its own.  The hash is keyed, so that nobody can
 * choose addresses that share a bucket.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_SWITCH_FDB_H
#define VMNETD_SWITCH_FDB_H

#include <glib.h>
#include "proto/addr.h"
#include "proto/handover.h"

typedef struct Fdb Fdb;
typedef struct FdbEntry FdbEntry;

/**
 * FdbPort: a port's share of the table; embedded in what the caller calls a
 * port, and found again by its address.
 * @oldest, @newest: its entries in the order in which they were last seen
 */
typedef struct FdbPort {
    uint32_t id;
    unsigned quota, n_entries;
    FdbEntry *oldest, *newest;
} FdbPort;

/** FdbLearn: what fdb_learn() found out. */
typedef enum FdbLearn {
    FDB_KNOWN,      /* here, as before */
    FDB_ADDED,      /* new, or forgotten meanwhile */
    FDB_MOVED,      /* was on another port: migration, a cable plugged over */
    FDB_DUPLICATE,  /* on two ports in turn within FDB_DUPLICATE_MS; not told
                     * again for FDB_QUIET_MS */
    FDB_REFUSED,    /* the port's quota is 0 */
} FdbLearn;

#define FDB_DUPLICATE_MS 1000
#define FDB_QUIET_MS 10000

/** @key: random; @ageing_ms: how long an address that is not seen is kept */
Fdb *fdb_new(const uint8_t key[16], uint32_t ageing_ms);
/** All ports must have been forgotten. */
void fdb_free(Fdb *fdb);

/** fdb_port_init: @quota: entries at most; @id is for the caller. */
void fdb_port_init(FdbPort *port, uint32_t id, unsigned quota);
/** fdb_port_forget: remove all of @port's entries; O(entries). */
void fdb_port_forget(Fdb *fdb, FdbPort *port);

/**
 * fdb_learn:
 * @mac: source address, not a group
 * @port: where it was seen; an address seen elsewhere before moves here
 * @ret_old: where it was before, for FDB_MOVED and FDB_DUPLICATE; otherwise
 *     untouched
 */
FdbLearn fdb_learn(Fdb *fdb, const MacAddr *mac, FdbPort *port,
                   int64_t now_ms, FdbPort **ret_old);

/** fdb_lookup: NULL if @mac is not known or too old. */
FdbPort *fdb_lookup(Fdb *fdb, const MacAddr *mac, int64_t now_ms);

unsigned fdb_n_entries(const Fdb *fdb);

/** fdb_save: @port's entries, the oldest first; items of @out. */
void fdb_save(const FdbPort *port, Handover *out, int64_t now_ms);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Fdb, fdb_free)

#endif
