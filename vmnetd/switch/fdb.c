/*
 * L2 forwarding table: buckets of entries, each also in its port's list
 *
 * The list of a port is in order of last use, so that both what ages first and
 * what a full port gives up is its head.  An entry is moved to the tail only
 * when the millisecond has changed: a burst of frames touches it once.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "proto/siphash.h"
#include "switch/fdb.h"

#define FDB_MIN_BUCKETS 16

/**
 * FdbEntry:
 * @next: in the bucket
 * @older, @newer: in @port's list
 * @left: the id of the port that it moved away from, at @moved_ms; 0: none
 * @told_ms: when it was last said to be a duplicate; INT64_MIN: never
 */
struct FdbEntry {
    MacAddr mac;
    uint32_t left;
    FdbPort *port;
    FdbEntry *next, *older, *newer;
    int64_t seen_ms, moved_ms, told_ms;
};

struct Fdb {
    uint8_t key[16];
    uint32_t ageing_ms;
    unsigned n_entries, n_buckets;      /* a power of two */
    FdbEntry **buckets;
};

Fdb *fdb_new(const uint8_t key[16], uint32_t ageing_ms)
{
    Fdb *fdb = g_new0(Fdb, 1);

    memcpy(fdb->key, key, sizeof(fdb->key));
    fdb->ageing_ms = ageing_ms;
    fdb->n_buckets = FDB_MIN_BUCKETS;
    fdb->buckets = g_new0(FdbEntry *, fdb->n_buckets);
    return fdb;
}

void fdb_free(Fdb *fdb)
{
    if (!fdb) {
        return;
    }
    g_assert(fdb->n_entries == 0);
    g_free(fdb->buckets);
    g_free(fdb);
}

unsigned fdb_n_entries(const Fdb *fdb)
{
    return fdb->n_entries;
}

void fdb_port_init(FdbPort *port, uint32_t id, unsigned quota)
{
    *port = (FdbPort) { .id = id, .quota = quota };
}

static void port_append(FdbPort *port, FdbEntry *entry)
{
    entry->port = port;
    entry->newer = NULL;
    entry->older = port->newest;
    *(port->newest ? &port->newest->newer : &port->oldest) = entry;
    port->newest = entry;
    port->n_entries++;
}

static void port_unlink(FdbEntry *entry)
{
    FdbPort *port = entry->port;

    *(entry->older ? &entry->older->newer : &port->oldest) = entry->newer;
    *(entry->newer ? &entry->newer->older : &port->newest) = entry->older;
    port->n_entries--;
}

static FdbEntry **bucket_of(Fdb *fdb, const MacAddr *mac)
{
    uint64_t hash = siphash24(fdb->key, mac, sizeof(*mac));

    return &fdb->buckets[hash & (fdb->n_buckets - 1)];
}

/* The link that points to @mac's entry, or where one is to be added. */
static FdbEntry **find(Fdb *fdb, const MacAddr *mac)
{
    FdbEntry **link = bucket_of(fdb, mac);

    while (*link && !mac_equal(&(*link)->mac, mac)) {
        link = &(*link)->next;
    }
    return link;
}

static void remove_at(Fdb *fdb, FdbEntry **link)
{
    FdbEntry *entry = *link;

    *link = entry->next;
    port_unlink(entry);
    g_free(entry);
    fdb->n_entries--;
}

static void grow(Fdb *fdb)
{
    FdbEntry **old = fdb->buckets;
    unsigned i, n_old = fdb->n_buckets;

    fdb->n_buckets *= 2;
    fdb->buckets = g_new0(FdbEntry *, fdb->n_buckets);
    for (i = 0; i < n_old; i++) {
        FdbEntry *entry = old[i], *next;

        for (; entry; entry = next) {
            FdbEntry **bucket = bucket_of(fdb, &entry->mac);

            next = entry->next;
            entry->next = *bucket;
            *bucket = entry;
        }
    }
    g_free(old);
}

static bool is_aged(const Fdb *fdb, const FdbEntry *entry, int64_t now_ms)
{
    return now_ms - entry->seen_ms >= fdb->ageing_ms;
}

void fdb_port_forget(Fdb *fdb, FdbPort *port)
{
    while (port->oldest) {
        remove_at(fdb, find(fdb, &port->oldest->mac));
    }
}

static FdbLearn add(Fdb *fdb, const MacAddr *mac, FdbPort *port,
                    int64_t now_ms)
{
    FdbEntry *entry, **bucket;

    if (port->quota == 0) {
        return FDB_REFUSED;
    }
    if (port->n_entries >= port->quota) {
        remove_at(fdb, find(fdb, &port->oldest->mac));
    }
    if (fdb->n_entries >= fdb->n_buckets) {
        grow(fdb);
    }
    entry = g_new(FdbEntry, 1);
    bucket = bucket_of(fdb, mac);
    *entry = (FdbEntry) {
        .mac = *mac,
        .next = *bucket,
        .seen_ms = now_ms,
        .told_ms = INT64_MIN,
    };
    *bucket = entry;
    port_append(port, entry);
    fdb->n_entries++;
    return FDB_ADDED;
}

static FdbLearn move(Fdb *fdb, FdbEntry *entry, FdbPort *port, int64_t now_ms)
{
    bool came_back = entry->left == port->id &&
                     now_ms - entry->moved_ms < FDB_DUPLICATE_MS;

    if (port->n_entries >= port->quota) {
        remove_at(fdb, find(fdb, &port->oldest->mac));
    }
    entry->left = entry->port->id;
    entry->moved_ms = entry->seen_ms = now_ms;
    port_unlink(entry);
    port_append(port, entry);
    if (!came_back || (entry->told_ms != INT64_MIN &&
                       now_ms - entry->told_ms < FDB_QUIET_MS)) {
        return FDB_MOVED;
    }
    entry->told_ms = now_ms;
    return FDB_DUPLICATE;
}

FdbLearn fdb_learn(Fdb *fdb, const MacAddr *mac, FdbPort *port,
                   int64_t now_ms, FdbPort **ret_old)
{
    FdbEntry **link = find(fdb, mac), *entry = *link;

    if (entry && is_aged(fdb, entry, now_ms)) {
        remove_at(fdb, link);
        entry = NULL;
    }
    if (!entry) {
        return add(fdb, mac, port, now_ms);
    }
    if (entry->port != port) {
        if (port->quota == 0) {
            return FDB_REFUSED;
        }
        *ret_old = entry->port;
        return move(fdb, entry, port, now_ms);
    }
    if (entry->seen_ms != now_ms) {
        entry->seen_ms = now_ms;
        port_unlink(entry);
        port_append(port, entry);
    }
    return FDB_KNOWN;
}

FdbPort *fdb_lookup(Fdb *fdb, const MacAddr *mac, int64_t now_ms)
{
    FdbEntry **link = find(fdb, mac);

    if (!*link) {
        return NULL;
    }
    if (is_aged(fdb, *link, now_ms)) {
        remove_at(fdb, link);
        return NULL;
    }
    return (*link)->port;
}

void fdb_save(const FdbPort *port, Handover *out, int64_t now_ms)
{
    const FdbEntry *entry;
    unsigned item;

    for (entry = port->oldest; entry; entry = entry->newer) {
        item = handover_begin(out, HANDOVER_SWITCH_ENTRY);
        handover_mac(out, &entry->mac);
        handover_u32(out, port->id);
        handover_age(out, entry->seen_ms, now_ms);
        handover_end(out, item);
    }
}
