/*
 * Split virtqueues (virtio 1.2, 2.7): descriptor table, available and used ring
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "port/vring.h"

#define AVAIL_LEN(num) (4 + 2 * (uint64_t)(num) + 2)
#define USED_LEN(num) (4 + 8 * (uint64_t)(num) + 2)

static uint16_t load_u16(const uint16_t *p)
{
    return GUINT16_FROM_LE(__atomic_load_n(p, __ATOMIC_RELAXED));
}

static void store_u16(uint16_t *p, uint16_t value)
{
    __atomic_store_n(p, GUINT16_TO_LE(value), __ATOMIC_RELAXED);
}

static const uint16_t *used_event(const Vring *ring)
{
    return &ring->u.split.avail->ring[ring->config.num];
}

static uint16_t *avail_event(const Vring *ring)
{
    return (uint16_t *)&ring->u.split.used->ring[ring->config.num];
}

static const char *split_map(Vring *ring)
{
    const VuVringAddr *addr = &ring->config.addr;
    uint32_t num = ring->config.num;

    ring->u.split.desc = vring_area(ring, addr->desc,
                                    num * sizeof(struct vring_desc), 16);
    ring->u.split.avail = vring_area(ring, addr->avail, AVAIL_LEN(num), 2);
    ring->u.split.used = vring_area(ring, addr->used, USED_LEN(num), 4);
    if (!ring->u.split.desc || !ring->u.split.avail || !ring->u.split.used) {
        return "it is not in guest memory";
    }
    return NULL;
}

/*
 * Chains that a back end before us fetched and did not use come again: between
 * the used index, which is in memory, and the base lie no others.
 */
static const char *split_start(Vring *ring)
{
    uint16_t base = ring->config.base;
    uint16_t used_index = load_u16(&ring->u.split.used->idx);

    ring->fetched.index = (uint16_t)(base - used_index) <= ring->config.num
                          ? used_index : base;
    ring->used.index = ring->fetched.index;
    ring->avail_index = ring->fetched.index;
    return NULL;
}

static uint32_t split_base(const Vring *ring)
{
    return ring->used.index;
}

static void log_used(Vring *ring, uint64_t offset, uint64_t len)
{
    if (ring->config.addr.flags & VU_VRING_LOG) {
        guest_memory_log(ring->memory, ring->config.addr.log + offset, len);
    }
}

static bool read_avail_index(Vring *ring)
{
    uint16_t index = GUINT16_FROM_LE(
        __atomic_load_n(&ring->u.split.avail->idx, __ATOMIC_ACQUIRE));

    if ((uint16_t)(index - ring->fetched.index) > ring->config.num) {
        return vring_fail(ring, "the available index is too far ahead");
    }
    ring->avail_index = index;
    return true;
}

static unsigned split_available(Vring *ring)
{
    if (!read_avail_index(ring)) {
        return 0;
    }
    return (uint16_t)(ring->avail_index - ring->fetched.index);
}

static void read_desc(const uint8_t *table, unsigned index,
                      struct vring_desc *ret)
{
    const volatile uint64_t *from =
        (const volatile uint64_t *)(table + index * sizeof(*ret));
    uint64_t words[2];

    if ((uintptr_t)from % sizeof(*from) == 0) {
        words[0] = from[0];
        words[1] = from[1];
        memcpy(ret, words, sizeof(*ret));
    } else {
        memcpy(ret, table + index * sizeof(*ret), sizeof(*ret));
    }
}

/*
 * Walk @n descriptors of @table from @index on.  A chain has no more than the
 * table: a loop ends there.
 */
static VringFetch walk(Vring *ring, VringPool *pool, VringChain *chain,
                       const uint8_t *table, unsigned n, unsigned index,
                       bool is_indirect)
{
    unsigned count;

    for (count = 0; count < n; count++) {
        struct vring_desc desc;
        uint16_t flags;
        VringFetch fetch;

        read_desc(table, index, &desc);
        flags = GUINT16_FROM_LE(desc.flags);
        if (flags & VRING_DESC_F_INDIRECT) {
            unsigned n_inner;
            const uint8_t *inner;

            if (is_indirect || (flags & VRING_DESC_F_NEXT)) {
                vring_fail(ring, "an indirect descriptor is in the wrong place");
                return VRING_BROKEN;
            }
            inner = vring_table(ring, GUINT64_FROM_LE(desc.addr),
                                GUINT32_FROM_LE(desc.len), &n_inner);
            return inner ? walk(ring, pool, chain, inner, n_inner, 0, true)
                         : VRING_BROKEN;
        }
        fetch = vring_add_buffer(ring, pool, chain, GUINT64_FROM_LE(desc.addr),
                                 GUINT32_FROM_LE(desc.len),
                                 flags & VRING_DESC_F_WRITE);
        if (fetch != VRING_FETCHED || !(flags & VRING_DESC_F_NEXT)) {
            return fetch;
        }
        index = GUINT16_FROM_LE(desc.next);
        if (index >= n) {
            vring_fail(ring, "a descriptor's next one is not in the table");
            return VRING_BROKEN;
        }
    }
    vring_fail(ring, "a chain of descriptors is a loop");
    return VRING_BROKEN;
}

static VringFetch split_fetch(Vring *ring, VringPool *pool, VringChain *ret)
{
    uint32_t num = ring->config.num;
    uint16_t head;
    VringFetch fetch;

    if (ring->fetched.index == ring->avail_index) {
        if (!read_avail_index(ring)) {
            return VRING_BROKEN;
        }
        if (ring->fetched.index == ring->avail_index) {
            return VRING_EMPTY;
        }
    }
    if (ring->n_in_use == num) {
        vring_fail(ring, "more chains are available than the ring can hold");
        return VRING_BROKEN;
    }
    head = load_u16(&ring->u.split.avail->ring[ring->fetched.index & (num - 1)]);
    if (head >= num) {
        vring_fail(ring, "an available chain is not in the table");
        return VRING_BROKEN;
    }
    fetch = walk(ring, pool, ret, (const uint8_t *)ring->u.split.desc, num,
                 head, false);
    if (fetch == VRING_FETCHED) {
        ret->id = head;
        ret->n_desc = 1;
        ring->fetched.index++;
        ring->n_in_use++;
    }
    return fetch;
}

static void split_use(Vring *ring, const VringChain *chain, uint32_t written)
{
    unsigned slot = ring->used.index & (ring->config.num - 1);
    struct vring_used_elem elem = {
        .id = GUINT32_TO_LE(chain->id),
        .len = GUINT32_TO_LE(written),
    };

    ring->u.split.used->ring[slot] = elem;
    log_used(ring, 4 + slot * sizeof(elem), sizeof(elem));
    ring->used.index++;
    ring->n_in_use--;
}

static void split_publish(Vring *ring)
{
    __atomic_store_n(&ring->u.split.used->idx, GUINT16_TO_LE(ring->used.index),
                     __ATOMIC_RELEASE);
    log_used(ring, 2, 2);
}

static bool split_should_call(Vring *ring)
{
    uint16_t old_index = ring->called.index;
    bool was_valid = ring->is_called_valid;

    /* The index must be out before we look whether anybody waits for it. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (!ring->config.has_event_idx) {
        return !(load_u16(&ring->u.split.avail->flags) &
                 VRING_AVAIL_F_NO_INTERRUPT);
    }
    ring->called = ring->used;
    ring->is_called_valid = true;
    return !was_valid || vring_need_event(load_u16(used_event(ring)),
                                             ring->used.index, old_index);
}

/* The event is what comes next, beyond what is there and does not suffice. */
static bool split_enable_kick(Vring *ring)
{
    unsigned n = split_available(ring), before;

    do {
        before = n;
        if (ring->config.has_event_idx) {
            store_u16(avail_event(ring), ring->avail_index);
            log_used(ring, 4 + 8 * (uint64_t)ring->config.num, 2);
        } else {
            store_u16(&ring->u.split.used->flags, 0);
            log_used(ring, 0, 2);
        }
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        n = split_available(ring);
    } while (n > before);
    return n > 0;
}

/* With EVENT_IDX there is nothing to do: the event lies behind us soon. */
static void split_disable_kick(Vring *ring)
{
    if (!ring->config.has_event_idx) {
        store_u16(&ring->u.split.used->flags, VRING_USED_F_NO_NOTIFY);
        log_used(ring, 0, 2);
    }
}

const VringFormat vring_split = {
    .map = split_map,
    .start = split_start,
    .base = split_base,
    .fetch = split_fetch,
    .use = split_use,
    .publish = split_publish,
    .should_call = split_should_call,
    .enable_kick = split_enable_kick,
    .disable_kick = split_disable_kick,
    .available = split_available,
};
