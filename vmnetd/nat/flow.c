/*
 * The flow table
 *
 * Theory of operation
 *
 * Buckets are chains; the table doubles when there are as many flows as
 * buckets, and never shrinks (it is bounded by the quota).
 *
 * The heap is ordered by heap_ms, which is at most deadline_ms.  A deadline
 * that moves away leaves the heap alone; flow_table_due() sinks such a flow
 * when its old time has come.  A deadline that moves nearer rises at once.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "nat/flow.h"
#include <string.h>
#include "limits.h"
#include "proto/siphash.h"

#define FLOW_BUCKETS_MIN 64

struct FlowPort {
    uint32_t id;
    unsigned n_flows;
    size_t bytes;
    GQueue lru[FLOW_CLASS__MAX];    /* of Flow, the oldest at the head */
};

struct FlowQuota {
    unsigned max, n_flows;
    GQueue tables;                  /* of FlowTable */
};

struct FlowTable {
    FlowQuota *quota;
    GList link;                     /* in it */
    void *owner;
    uint8_t hash_key[16];
    unsigned per_port;
    Flow **buckets;
    unsigned n_buckets;             /* a power of two */
    unsigned n_flows, n_kind[FLOW_KIND__MAX];
    GPtrArray *heap;                /* of Flow */
    GHashTable *ports;              /* id -> FlowPort */
};

static void key_addr(struct in6_addr *ret, const IpAddr *addr)
{
    uint32_t v4;

    memset(ret, 0, sizeof(*ret));
    if (addr->family == AF_INET) {
        ret->s6_addr[10] = ret->s6_addr[11] = 0xff;
        v4 = g_htonl(addr->v4);
        memcpy(&ret->s6_addr[12], &v4, 4);
    } else if (addr->family == AF_INET6) {
        *ret = addr->v6;
    }
}

void flow_key_init(FlowKey *key, FlowKind kind, const IpEndpoint *guest,
              const IpEndpoint *outside)
{
    G_STATIC_ASSERT(sizeof(FlowKey) == 40);   /* no padding: hashed as bytes */

    memset(key, 0, sizeof(*key));
    key->kind = kind;
    key_addr(&key->guest, &guest->addr);
    key->guest_port = guest->port;
    if (outside) {
        key_addr(&key->outside, &outside->addr);
        key->outside_port = outside->port;
    }
}

FlowQuota *flow_quota_new(unsigned max)
{
    FlowQuota *quota = g_new0(FlowQuota, 1);

    quota->max = max;
    return quota;
}

void flow_quota_free(FlowQuota *quota)
{
    if (quota) {
        g_assert(quota->tables.length == 0);
        g_free(quota);
    }
}

unsigned flow_quota_used(const FlowQuota *quota)
{
    return quota->n_flows;
}

FlowTable *flow_table_new(const uint8_t hash_key[16], unsigned per_port,
                          FlowQuota *quota, void *owner)
{
    FlowTable *table = g_new0(FlowTable, 1);

    memcpy(table->hash_key, hash_key, sizeof(table->hash_key));
    table->per_port = per_port;
    table->quota = quota;
    table->owner = owner;
    table->link.data = table;
    g_queue_push_tail_link(&quota->tables, &table->link);
    table->n_buckets = FLOW_BUCKETS_MIN;
    table->buckets = g_new0(Flow *, table->n_buckets);
    table->heap = g_ptr_array_new();
    table->ports = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    return table;
}

void flow_table_free(FlowTable *table)
{
    if (!table) {
        return;
    }
    g_assert(table->n_flows == 0);
    g_queue_unlink(&table->quota->tables, &table->link);
    g_hash_table_unref(table->ports);
    g_ptr_array_unref(table->heap);
    g_free(table->buckets);
    g_free(table);
}

/* ---- the heap ---- */

static Flow *heap_at(FlowTable *table, unsigned pos)
{
    return table->heap->pdata[pos];
}

static void heap_put(FlowTable *table, unsigned pos, Flow *flow)
{
    table->heap->pdata[pos] = flow;
    flow->heap_pos = pos;
}

static void heap_rise(FlowTable *table, Flow *flow)
{
    unsigned pos = flow->heap_pos, parent;

    while (pos > 0) {
        parent = (pos - 1) / 2;
        if (heap_at(table, parent)->heap_ms <= flow->heap_ms) {
            break;
        }
        heap_put(table, pos, heap_at(table, parent));
        pos = parent;
    }
    heap_put(table, pos, flow);
}

static void heap_sink(FlowTable *table, Flow *flow)
{
    unsigned pos = flow->heap_pos, child;

    for (;;) {
        child = 2 * pos + 1;
        if (child >= table->heap->len) {
            break;
        }
        if (child + 1 < table->heap->len &&
            heap_at(table, child + 1)->heap_ms < heap_at(table, child)->heap_ms) {
            child++;
        }
        if (heap_at(table, child)->heap_ms >= flow->heap_ms) {
            break;
        }
        heap_put(table, pos, heap_at(table, child));
        pos = child;
    }
    heap_put(table, pos, flow);
}

static void heap_remove(FlowTable *table, Flow *flow)
{
    Flow *last = heap_at(table, table->heap->len - 1);
    unsigned pos = flow->heap_pos;

    g_ptr_array_set_size(table->heap, table->heap->len - 1);
    if (last != flow) {
        heap_put(table, pos, last);
        heap_rise(table, last);
        heap_sink(table, last);
    }
}

void flow_set_deadline(Flow *flow, int64_t deadline_ms)
{
    flow->deadline_ms = deadline_ms;
    if (deadline_ms < flow->heap_ms) {
        flow->heap_ms = deadline_ms;
        heap_rise(flow->table, flow);
    }
}

Flow *flow_table_due(FlowTable *table, int64_t now_ms)
{
    Flow *flow;

    while (table->heap->len) {
        flow = heap_at(table, 0);
        if (flow->heap_ms > now_ms) {
            return NULL;
        }
        if (flow->deadline_ms <= now_ms) {
            flow->deadline_ms = flow->heap_ms = FLOW_NEVER;
            heap_sink(table, flow);
            return flow;
        }
        flow->heap_ms = flow->deadline_ms;
        heap_sink(table, flow);
    }
    return NULL;
}

int64_t flow_table_deadline(const FlowTable *table)
{
    return table->heap->len ? ((Flow *)table->heap->pdata[0])->heap_ms
                            : FLOW_NEVER;
}

/* ---- the hash ---- */

static uint64_t hash_of(const FlowTable *table, const FlowKey *key)
{
    return siphash24(table->hash_key, key, sizeof(*key));
}

Flow *flow_table_find(FlowTable *table, const FlowKey *key)
{
    uint64_t hash = hash_of(table, key);
    Flow *flow = table->buckets[hash & (table->n_buckets - 1)];

    while (flow && (flow->hash != hash ||
                    memcmp(&flow->key, key, sizeof(*key)))) {
        flow = flow->next;
    }
    return flow;
}

static void table_grow(FlowTable *table)
{
    unsigned n = table->n_buckets * 2, i;
    Flow **buckets = g_new0(Flow *, n), *flow, *next;

    for (i = 0; i < table->n_buckets; i++) {
        for (flow = table->buckets[i]; flow; flow = next) {
            next = flow->next;
            flow->next = buckets[flow->hash & (n - 1)];
            buckets[flow->hash & (n - 1)] = flow;
        }
    }
    g_free(table->buckets);
    table->buckets = buckets;
    table->n_buckets = n;
}

/* ---- ports and their lists ---- */

static FlowPort *port_find(FlowTable *table, uint32_t id)
{
    return g_hash_table_lookup(table->ports, GUINT_TO_POINTER(id));
}

static Flow *port_oldest(FlowPort *port)
{
    GList *link = port->lru[FLOW_TRANSIENT].head;

    if (!link) {
        link = port->lru[FLOW_LASTING].head;
    }
    return link ? link->data : NULL;
}

/* Of all tables. */
static FlowPort *port_biggest(const FlowQuota *quota)
{
    GHashTableIter iter;
    gpointer value;
    FlowPort *best = NULL;
    GList *link;

    for (link = quota->tables.head; link; link = link->next) {
        g_hash_table_iter_init(&iter, ((FlowTable *)link->data)->ports);
        while (g_hash_table_iter_next(&iter, NULL, &value)) {
            FlowPort *port = value;

            if (!best || port->n_flows > best->n_flows) {
                best = port;
            }
        }
    }
    return best;
}

Flow *flow_table_victim(FlowTable *table, uint32_t port_id, bool force)
{
    FlowPort *port = port_find(table, port_id);

    if (port && port->n_flows >= table->per_port) {
        return port_oldest(port);
    }
    if (table->quota->n_flows >= table->quota->max || force) {
        port = port_biggest(table->quota);
        return port ? port_oldest(port) : NULL;
    }
    return NULL;
}

void flow_table_add(FlowTable *table, Flow *flow, uint32_t port_id, int64_t now_ms)
{
    FlowPort *port = port_find(table, port_id);
    Flow **bucket;

    if (!port) {
        port = g_new0(FlowPort, 1);
        port->id = port_id;
        g_hash_table_insert(table->ports, GUINT_TO_POINTER(port_id), port);
    }
    if (table->n_flows >= table->n_buckets) {
        table_grow(table);
    }
    flow->table = table;
    flow->hash = hash_of(table, &flow->key);
    bucket = &table->buckets[flow->hash & (table->n_buckets - 1)];
    flow->next = *bucket;
    *bucket = flow;
    table->n_flows++;
    table->quota->n_flows++;
    table->n_kind[flow->key.kind]++;

    flow->port = port;
    port->n_flows++;
    flow->class = FLOW_TRANSIENT;
    flow->last_ms = now_ms;
    flow->lru = (GList){ .data = flow };
    g_queue_push_tail_link(&port->lru[flow->class], &flow->lru);

    flow->deadline_ms = flow->heap_ms = FLOW_NEVER;
    flow->heap_pos = table->heap->len;
    g_ptr_array_add(table->heap, flow);
    heap_rise(table, flow);
}

void flow_table_remove(Flow *flow)
{
    FlowTable *table = flow->table;
    FlowPort *port = flow->port;
    Flow **link = &table->buckets[flow->hash & (table->n_buckets - 1)];

    while (*link != flow) {
        link = &(*link)->next;
    }
    *link = flow->next;
    table->n_flows--;
    table->quota->n_flows--;
    table->n_kind[flow->key.kind]--;
    heap_remove(table, flow);
    g_queue_unlink(&port->lru[flow->class], &flow->lru);
    flow->table = NULL;
    flow->port = NULL;
    if (--port->n_flows == 0) {
        g_hash_table_remove(table->ports, GUINT_TO_POINTER(port->id));
    }
}

void flow_touch(Flow *flow, FlowClass class, int64_t now_ms)
{
    if (flow->last_ms == now_ms && flow->class == class) {
        return;
    }
    g_queue_unlink(&flow->port->lru[flow->class], &flow->lru);
    flow->class = class;
    flow->last_ms = now_ms;
    g_queue_push_tail_link(&flow->port->lru[class], &flow->lru);
}

void *flow_owner(const Flow *flow)
{
    return flow->table->owner;
}

uint32_t flow_port_id(const Flow *flow)
{
    return flow->port->id;
}

Flow *flow_table_of_port(FlowTable *table, uint32_t port_id)
{
    FlowPort *port = port_find(table, port_id);

    return port ? port_oldest(port) : NULL;
}

Flow *flow_table_next(FlowTable *table, const Flow *flow)
{
    unsigned pos = flow ? flow->heap_pos + 1 : 0;

    return pos < table->heap->len ? heap_at(table, pos) : NULL;
}

unsigned flow_table_count(const FlowTable *table, FlowKind kind)
{
    return table->n_kind[kind];
}

bool flow_charge(Flow *flow, ssize_t bytes)
{
    FlowPort *port = flow->port;

    if (bytes > 0 && port->bytes + bytes > LIMIT_NAT_BYTES_PER_PORT) {
        return false;
    }
    port->bytes += bytes;
    return true;
}
