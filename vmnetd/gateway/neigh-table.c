/*
 * Neighbours: a hash table by address, and a list per port
 *
 * The hash key is SipHash of the address under the network's secret, so a
 * guest cannot choose addresses that collide.  Two addresses with the same 64
 * bit hash do not occur in practice; if they did, the later replaces the
 * earlier, which costs a question.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "gateway/neigh-table.h"

#include "limits.h"
#include "proto/siphash.h"

struct NeighTable {
    uint8_t hash_key[16];
    GHashTable *by_key;     /* &Neighbour.key -> Neighbour, owned */
    GHashTable *by_port;    /* id -> GQueue of Neighbour.link, 0: pending */
    Neighbour *last;        /* the last one looked up */
};

static uint64_t neigh_key(const NeighTable *table, const IpAddr *addr)
{
    if (addr->family == AF_INET) {
        return siphash24(table->hash_key, &addr->v4, sizeof(addr->v4));
    }
    return siphash24(table->hash_key, &addr->v6, sizeof(addr->v6));
}

NeighTable *neigh_table_new(const uint8_t hash_key[16])
{
    NeighTable *table = g_new0(NeighTable, 1);

    memcpy(table->hash_key, hash_key, sizeof(table->hash_key));
    table->by_key = g_hash_table_new_full(g_int64_hash, g_int64_equal,
                                          NULL, g_free);
    table->by_port = g_hash_table_new_full(g_direct_hash, g_direct_equal,
                                           NULL, g_free);
    return table;
}

void neigh_table_free(NeighTable *table)
{
    if (!table) {
        return;
    }
    g_hash_table_destroy(table->by_port);
    g_hash_table_destroy(table->by_key);
    g_free(table);
}

/* A GQueue's links live in the entries: its own memory is all there is. */
static GQueue *port_queue(NeighTable *table, uint32_t port)
{
    GQueue *queue = g_hash_table_lookup(table->by_port, GUINT_TO_POINTER(port));

    if (!queue) {
        queue = g_new0(GQueue, 1);
        g_hash_table_insert(table->by_port, GUINT_TO_POINTER(port), queue);
    }
    return queue;
}

static void port_detach(NeighTable *table, Neighbour *neigh)
{
    GQueue *queue = port_queue(table, neigh->port);

    g_queue_unlink(queue, &neigh->link);
    if (queue->length == 0) {
        g_hash_table_remove(table->by_port, GUINT_TO_POINTER(neigh->port));
    }
}

static Neighbour *port_oldest(GQueue *queue)
{
    Neighbour *oldest = NULL;
    GList *l;

    for (l = queue->head; l; l = l->next) {
        Neighbour *neigh = l->data;

        if (!oldest || neigh->seen_ms < oldest->seen_ms) {
            oldest = neigh;
        }
    }
    return oldest;
}

Neighbour *neigh_table_lookup(NeighTable *table, const IpAddr *addr)
{
    Neighbour *neigh = table->last;
    uint64_t key;

    if (neigh && ip_addr_equal(&neigh->addr, addr)) {
        return neigh;
    }
    key = neigh_key(table, addr);
    neigh = g_hash_table_lookup(table->by_key, &key);
    if (!neigh || !ip_addr_equal(&neigh->addr, addr)) {
        return NULL;
    }
    table->last = neigh;
    return neigh;
}

static Neighbour *neigh_insert(NeighTable *table, const IpAddr *addr,
                               uint32_t port)
{
    Neighbour *neigh = g_new0(Neighbour, 1);
    Neighbour *same_key;

    neigh->addr = *addr;
    neigh->port = port;
    neigh->asked_ms = INT64_MIN / 2;
    neigh->key = neigh_key(table, addr);
    neigh->link.data = neigh;
    same_key = g_hash_table_lookup(table->by_key, &neigh->key);
    if (same_key) {
        neigh_table_remove(table, same_key);
    }
    g_hash_table_insert(table->by_key, &neigh->key, neigh);
    g_queue_push_tail_link(port_queue(table, port), &neigh->link);
    return neigh;
}

Neighbour *neigh_table_learn(NeighTable *table, const IpAddr *addr,
                             const MacAddr *mac, uint32_t port,
                             int64_t now_ms)
{
    Neighbour *neigh = neigh_table_lookup(table, addr);

    if (!neigh || neigh->port != port) {
        GQueue *queue = port_queue(table, port);

        if (queue->length >= LIMIT_NEIGHBOURS_PER_PORT) {
            neigh_table_remove(table, port_oldest(queue));
        }
        if (neigh) {
            port_detach(table, neigh);
            neigh->port = port;
            g_queue_push_tail_link(port_queue(table, port), &neigh->link);
        } else {
            neigh = neigh_insert(table, addr, port);
        }
    }
    neigh->mac = *mac;
    neigh->seen_ms = now_ms;
    neigh->n_asked = 0;
    return neigh;
}

Neighbour *neigh_table_pend(NeighTable *table, const IpAddr *addr)
{
    GQueue *queue = g_hash_table_lookup(table->by_port, GUINT_TO_POINTER(0));

    if (queue && queue->length >= LIMIT_NEIGHBOURS_PENDING) {
        return NULL;
    }
    return neigh_insert(table, addr, 0);
}

void neigh_table_remove(NeighTable *table, Neighbour *neigh)
{
    if (table->last == neigh) {
        table->last = NULL;
    }
    port_detach(table, neigh);
    g_hash_table_remove(table->by_key, &neigh->key);
}

void neigh_table_port_gone(NeighTable *table, uint32_t port)
{
    GList *l, *next;

    for (l = neigh_table_of_port(table, port); l; l = next) {
        next = l->next;
        neigh_table_remove(table, l->data);
    }
}

GList *neigh_table_of_port(NeighTable *table, uint32_t port)
{
    GQueue *queue = g_hash_table_lookup(table->by_port, GUINT_TO_POINTER(port));

    return queue ? queue->head : NULL;
}

unsigned neigh_table_n_of_port(NeighTable *table, uint32_t port)
{
    GQueue *queue = g_hash_table_lookup(table->by_port, GUINT_TO_POINTER(port));

    return queue ? queue->length : 0;
}
