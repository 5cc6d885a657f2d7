/*
 * Leases of a network: the table and its indexes
 *
 * Theory of operation: entries are owned by the index by address.  The other
 * indexes map the SipHash of a MAC, client-id or name, under the network's
 * secret, to an entry; what guests choose cannot collide on purpose, and a hit
 * is compared with the real thing.  Each index holds one entry per key: a MAC
 * has one lease; of two leases with one client-id (clones) the later is found;
 * a name has one holder.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "gateway/lease-table.h"

#include "limits.h"
#include "proto/siphash.h"

struct LeaseTable {
    uint8_t hash_key[16];
    GHashTable *by_addr;        /* address -> LeaseEntry, owned */
    GHashTable *by_mac;         /* &LeaseEntry.mac_key -> LeaseEntry */
    GHashTable *by_id;
    GHashTable *by_name;
    GHashTable *by_reserved;
    int64_t next_ms;            /* nothing expires before; INT64_MAX: ever */
};

static const char *const state_names[LEASE__MAX] = {
    [LEASE_OFFERED] = "offered",
    [LEASE_BOUND] = "bound",
    [LEASE_EXPIRED] = "expired",
    [LEASE_RELEASED] = "released",
    [LEASE_DECLINED] = "declined",
    [LEASE_RESERVED] = "reserved",
};

const char *lease_state_str(LeaseState state)
{
    return state < LEASE__MAX ? state_names[state] : "?";
}

/* Does time end it? */
static bool state_is_timed(LeaseState state)
{
    return state == LEASE_OFFERED || state == LEASE_BOUND ||
           state == LEASE_DECLINED;
}

LeaseTable *lease_table_new(const uint8_t hash_key[16])
{
    LeaseTable *table = g_new0(LeaseTable, 1);

    memcpy(table->hash_key, hash_key, sizeof(table->hash_key));
    table->by_addr = g_hash_table_new_full(g_direct_hash, g_direct_equal,
                                           NULL, g_free);
    table->by_mac = g_hash_table_new(g_int64_hash, g_int64_equal);
    table->by_id = g_hash_table_new(g_int64_hash, g_int64_equal);
    table->by_name = g_hash_table_new(g_int64_hash, g_int64_equal);
    table->by_reserved = g_hash_table_new(g_int64_hash, g_int64_equal);
    table->next_ms = INT64_MAX;
    return table;
}

void lease_table_free(LeaseTable *table)
{
    if (!table) {
        return;
    }
    g_hash_table_destroy(table->by_reserved);
    g_hash_table_destroy(table->by_name);
    g_hash_table_destroy(table->by_id);
    g_hash_table_destroy(table->by_mac);
    g_hash_table_destroy(table->by_addr);
    g_free(table);
}

unsigned lease_table_size(const LeaseTable *table)
{
    return g_hash_table_size(table->by_addr);
}

/* Indexes: an entry is in one if what that maps its key to is the entry. */

static uint64_t key_of(const LeaseTable *table, const void *data, size_t len)
{
    return siphash24(table->hash_key, data, len);
}

static void index_remove(GHashTable *index, const uint64_t *key,
                         LeaseEntry *entry)
{
    if (g_hash_table_lookup(index, key) == entry) {
        g_hash_table_remove(index, key);
    }
}

/* The key lies in the entry, so a replaced entry's key must go with it. */
static void index_insert(GHashTable *index, uint64_t *key, LeaseEntry *entry)
{
    g_hash_table_replace(index, key, entry);
}

LeaseEntry *lease_table_by_addr(LeaseTable *table, uint32_t addr)
{
    return g_hash_table_lookup(table->by_addr, GUINT_TO_POINTER(addr));
}

LeaseEntry *lease_table_by_mac(LeaseTable *table, const MacAddr *mac)
{
    uint64_t key = key_of(table, mac->b, sizeof(mac->b));
    LeaseEntry *entry = g_hash_table_lookup(table->by_mac, &key);

    return entry && mac_equal(&entry->lease.mac, mac) ? entry : NULL;
}

LeaseEntry *lease_table_reserved_for(LeaseTable *table, const MacAddr *mac)
{
    uint64_t key = key_of(table, mac->b, sizeof(mac->b));
    LeaseEntry *entry = g_hash_table_lookup(table->by_reserved, &key);

    return entry && mac_equal(&entry->reserved_mac, mac) ? entry : NULL;
}

LeaseEntry *lease_table_by_id(LeaseTable *table, const uint8_t *id,
                              size_t len)
{
    uint64_t key = key_of(table, id, len);
    LeaseEntry *entry = g_hash_table_lookup(table->by_id, &key);

    return entry && entry->lease.client_id_len == len &&
           memcmp(entry->lease.client_id, id, len) == 0 ? entry : NULL;
}

LeaseEntry *lease_table_by_name(LeaseTable *table, const char *name)
{
    g_autofree char *folded = g_ascii_strdown(name, -1);
    uint64_t key = key_of(table, folded, strlen(folded));
    LeaseEntry *entry = g_hash_table_lookup(table->by_name, &key);

    return entry && strcmp(entry->lease.hostname, folded) == 0 ? entry : NULL;
}

/* Entries */

LeaseEntry *lease_table_add(LeaseTable *table, uint32_t addr)
{
    LeaseEntry *entry;

    g_assert(!lease_table_by_addr(table, addr));
    if (lease_table_size(table) >= LIMIT_LEASES) {
        return NULL;
    }
    entry = g_new0(LeaseEntry, 1);
    entry->lease.addr = ip_addr_v4(addr);
    entry->lease.state = LEASE_OFFERED;
    entry->expires_ms = INT64_MAX;
    entry->moved_ms = INT64_MIN / 2;
    entry->probed_ms = INT64_MIN / 2;
    g_hash_table_insert(table->by_addr, GUINT_TO_POINTER(addr), entry);
    return entry;
}

/* Who had the entry has it no more. */
static void entry_forget_client(LeaseTable *table, LeaseEntry *entry)
{
    lease_table_release_name(table, entry);
    index_remove(table->by_mac, &entry->mac_key, entry);
    index_remove(table->by_id, &entry->id_key, entry);
    memset(&entry->lease.mac, 0, sizeof(entry->lease.mac));
    entry->lease.client_id_len = 0;
    entry->lease.hostname[0] = '\0';
    entry->lease.port = 0;
    entry->name_lost = false;
    entry->was_bound = false;
}

void lease_table_reserve(LeaseTable *table, LeaseEntry *entry,
                         const MacAddr *mac)
{
    index_remove(table->by_reserved, &entry->reserved_key, entry);
    entry->reserved = true;
    entry->reserved_mac = *mac;
    if (!mac_is_zero(mac)) {
        entry->reserved_key = key_of(table, mac->b, sizeof(mac->b));
        index_insert(table->by_reserved, &entry->reserved_key, entry);
    }
}

void lease_table_unreserve(LeaseTable *table, LeaseEntry *entry)
{
    index_remove(table->by_reserved, &entry->reserved_key, entry);
    entry->reserved = false;
    if (entry->lease.state == LEASE_RESERVED) {
        lease_table_remove(table, entry);
    }
}

void lease_table_assign(LeaseTable *table, LeaseEntry *entry,
                        const MacAddr *mac, const uint8_t *id, size_t id_len)
{
    LeaseEntry *other = lease_table_by_mac(table, mac);
    Lease *lease = &entry->lease;

    g_assert(id_len <= sizeof(lease->client_id));
    if (other && other != entry) {
        lease_table_remove(table, other);
    }
    if (!mac_equal(&lease->mac, mac)) {
        entry_forget_client(table, entry);
        lease->mac = *mac;
        entry->mac_key = key_of(table, mac->b, sizeof(mac->b));
        index_insert(table->by_mac, &entry->mac_key, entry);
    }
    index_remove(table->by_id, &entry->id_key, entry);
    lease->client_id_len = id_len;
    if (id_len > 0) {
        memcpy(lease->client_id, id, id_len);
        entry->id_key = key_of(table, id, id_len);
        index_insert(table->by_id, &entry->id_key, entry);
    }
}

void lease_table_set_state(LeaseTable *table, LeaseEntry *entry,
                           LeaseState state, int64_t expires_ms)
{
    entry->lease.state = state;
    entry->expires_ms = expires_ms;
    entry->was_bound |= state == LEASE_BOUND;
    if (state_is_timed(state)) {
        table->next_ms = MIN(table->next_ms, expires_ms);
    }
    if (state != LEASE_BOUND) {
        lease_table_release_name(table, entry);
    }
}

void lease_table_remove(LeaseTable *table, LeaseEntry *entry)
{
    entry_forget_client(table, entry);
    if (entry->reserved) {
        entry->lease.state = LEASE_RESERVED;
        entry->expires_ms = INT64_MAX;
        return;
    }
    g_hash_table_remove(table->by_addr, GUINT_TO_POINTER(entry->lease.addr.v4));
}

void lease_table_quarantine(LeaseTable *table, LeaseEntry *entry,
                            uint32_t port, int64_t until_ms)
{
    entry_forget_client(table, entry);
    entry->lease.port = port;
    lease_table_set_state(table, entry, LEASE_DECLINED, until_ms);
}

/* Names */

void lease_name_sanitize(const uint8_t *name, size_t len, char ret_name[64])
{
    size_t i, n = 0;

    for (i = 0; i < len && n < 63; i++) {
        char c = g_ascii_tolower(name[i]);

        if (c == '.' || c == '\0') {
            break;
        }
        if (!g_ascii_isalnum(c)) {
            c = '-';
        }
        if (c != '-' || n > 0) {
            ret_name[n++] = c;
        }
    }
    while (n > 0 && ret_name[n - 1] == '-') {
        n--;
    }
    ret_name[n] = '\0';
}

bool lease_name_is_reserved(const char *name)
{
    return strcmp(name, "host") == 0 || strcmp(name, "localhost") == 0 ||
           strcmp(name, "gateway") == 0;
}

static bool name_claim(LeaseTable *table, LeaseEntry *entry)
{
    const char *name = entry->lease.hostname;

    if (lease_name_is_reserved(name) || lease_table_by_name(table, name)) {
        return false;
    }
    entry->name_key = key_of(table, name, strlen(name));
    index_insert(table->by_name, &entry->name_key, entry);
    entry->has_name = true;
    entry->name_lost = false;
    return true;
}

bool lease_table_set_name(LeaseTable *table, LeaseEntry *entry,
                          const char *name)
{
    Lease *lease = &entry->lease;

    if (strcmp(lease->hostname, name) != 0) {
        lease_table_release_name(table, entry);
        g_strlcpy(lease->hostname, name, sizeof(lease->hostname));
        entry->name_lost = false;
    }
    if (entry->has_name || name[0] == '\0' || lease->state != LEASE_BOUND) {
        return true;
    }
    return name_claim(table, entry);
}

void lease_table_release_name(LeaseTable *table, LeaseEntry *entry)
{
    GHashTableIter iter;
    void *value;

    if (!entry->has_name) {
        return;
    }
    entry->has_name = false;
    index_remove(table->by_name, &entry->name_key, entry);

    g_hash_table_iter_init(&iter, table->by_addr);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        LeaseEntry *other = value;

        if (other != entry && other->lease.state == LEASE_BOUND &&
            strcmp(other->lease.hostname, entry->lease.hostname) == 0) {
            name_claim(table, other);
            return;
        }
    }
}

/* Ports */

unsigned lease_table_n_of_port(LeaseTable *table, uint32_t port,
                               LeaseState state)
{
    GHashTableIter iter;
    unsigned n = 0;
    void *value;

    g_hash_table_iter_init(&iter, table->by_addr);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        LeaseEntry *entry = value;

        n += entry->lease.port == port &&
             (state == LEASE__MAX || entry->lease.state == state);
    }
    return n;
}

static gint compare_ended(gconstpointer a, gconstpointer b)
{
    const LeaseEntry *left = *(LeaseEntry *const *)a;
    const LeaseEntry *right = *(LeaseEntry *const *)b;

    return left->expires_ms < right->expires_ms ? -1 :
           left->expires_ms > right->expires_ms;
}

GPtrArray *lease_table_ended(LeaseTable *table, uint32_t port)
{
    GPtrArray *ended = g_ptr_array_new();
    GHashTableIter iter;
    void *value;

    g_hash_table_iter_init(&iter, table->by_addr);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        LeaseEntry *entry = value;
        LeaseState state = entry->lease.state;

        if (!entry->reserved && (port == 0 || entry->lease.port == port) &&
            (state == LEASE_EXPIRED || state == LEASE_RELEASED ||
             (state == LEASE_OFFERED && port != 0))) {
            g_ptr_array_add(ended, entry);
        }
    }
    g_ptr_array_sort(ended, compare_ended);
    return ended;
}

void lease_table_port_gone(LeaseTable *table, uint32_t port)
{
    GHashTableIter iter;
    void *value;

    g_hash_table_iter_init(&iter, table->by_addr);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        LeaseEntry *entry = value;

        if (entry->lease.port == port) {
            entry->lease.port = 0;
        }
    }
}

/* All of them */

static gint compare_addr(gconstpointer a, gconstpointer b)
{
    const LeaseEntry *left = *(LeaseEntry *const *)a;
    const LeaseEntry *right = *(LeaseEntry *const *)b;
    uint32_t l = left->lease.addr.v4, r = right->lease.addr.v4;

    return l < r ? -1 : l > r;
}

GPtrArray *lease_table_list(LeaseTable *table)
{
    GPtrArray *list = g_ptr_array_sized_new(lease_table_size(table));
    GHashTableIter iter;
    void *value;

    g_hash_table_iter_init(&iter, table->by_addr);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        g_ptr_array_add(list, value);
    }
    g_ptr_array_sort(list, compare_addr);
    return list;
}

void lease_table_run(LeaseTable *table, int64_t now_ms, LeaseExpired expired,
                     void *opaque)
{
    g_autoptr(GPtrArray) list = NULL;
    int64_t next_ms = INT64_MAX;
    unsigned i;

    if (table->next_ms > now_ms) {
        return;
    }
    list = lease_table_list(table);
    table->next_ms = INT64_MAX;
    for (i = 0; i < list->len; i++) {
        LeaseEntry *entry = g_ptr_array_index(list, i);

        if (!state_is_timed(entry->lease.state)) {
            continue;
        }
        if (entry->expires_ms <= now_ms) {
            expired(opaque, entry); /* sets next_ms where there is a next */
        } else {
            next_ms = MIN(next_ms, entry->expires_ms);
        }
    }
    table->next_ms = MIN(table->next_ms, next_ms);
}

int64_t lease_table_deadline(const LeaseTable *table)
{
    return table->next_ms == INT64_MAX ? -1 : table->next_ms;
}

void lease_table_shift(LeaseTable *table, int64_t by_ms)
{
    GHashTableIter iter;
    void *value;

    g_hash_table_iter_init(&iter, table->by_addr);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        LeaseEntry *entry = value;

        if (entry->expires_ms != INT64_MAX) {
            entry->expires_ms += by_ms;
        }
    }
    if (table->next_ms != INT64_MAX) {
        table->next_ms += by_ms;
    }
}
