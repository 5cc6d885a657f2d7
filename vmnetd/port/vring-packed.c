/*
 * Packed virtqueues (virtio 1.2, 2.8): one ring of descriptors
 *
 * A descriptor is available when its AVAIL bit equals the wrap counter and its
 * USED bit does not; used when both do.  Completing in order, a chain's used
 * descriptor stands where the chain began.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "port/vring.h"

#define DESC_F_AVAIL (1u << VRING_PACKED_DESC_F_AVAIL)
#define DESC_F_USED (1u << VRING_PACKED_DESC_F_USED)

#define EVENT_LEN sizeof(struct vring_packed_desc_event)

static const char *packed_map(Vring *ring)
{
    const VuVringAddr *addr = &ring->config.addr;

    ring->u.packed.desc =
        vring_area(ring, addr->desc,
                   ring->config.num * sizeof(struct vring_packed_desc), 16);
    ring->u.packed.driver = vring_area(ring, addr->avail, EVENT_LEN, 4);
    ring->u.packed.device = vring_area(ring, addr->used, EVENT_LEN, 4);
    if (!ring->u.packed.desc || !ring->u.packed.driver ||
        !ring->u.packed.device) {
        return "it is not in guest memory";
    }
    return NULL;
}

static VringCursor cursor_from_base(uint16_t base)
{
    return (VringCursor) { .index = base & 0x7fff, .wrap = base >> 15 };
}

static uint16_t cursor_to_base(VringCursor cursor)
{
    return cursor.index | cursor.wrap << 15;
}

/*
 * The upper half of the base is where used descriptors are written next, the
 * lower one where available ones are read.  They differ only if a back end
 * stopped before it was done.  DPDK's driver knows the lower half alone and
 * leaves 0 in the other.
 */
static const char *packed_start(Vring *ring)
{
    uint32_t base = ring->config.base;

    ring->fetched = cursor_from_base(base >> 16 ? base >> 16 : base);
    ring->used = ring->fetched;
    if (ring->fetched.index >= ring->config.num) {
        return "its base is outside of it";
    }
    return NULL;
}

static uint32_t packed_base(const Vring *ring)
{
    uint16_t base = cursor_to_base(ring->used);

    return base | (uint32_t)base << 16;
}

static void advance(const Vring *ring, VringCursor *cursor, unsigned n)
{
    unsigned index = cursor->index + n;

    if (index >= ring->config.num) {
        index -= ring->config.num;
        cursor->wrap = !cursor->wrap;
    }
    cursor->index = index;
}

static uint16_t load_flags(const Vring *ring, unsigned index)
{
    return GUINT16_FROM_LE(__atomic_load_n(&ring->u.packed.desc[index].flags,
                                           __ATOMIC_ACQUIRE));
}

static bool is_available(uint16_t flags, bool wrap)
{
    return !!(flags & DESC_F_AVAIL) == wrap && !!(flags & DESC_F_USED) != wrap;
}

static bool has_more(const Vring *ring)
{
    return ring->n_in_use < ring->config.num &&
           is_available(load_flags(ring, ring->fetched.index),
                        ring->fetched.wrap);
}

/*
 * No index says how many there are: they are counted, each descriptor once.  A
 * driver that takes them back has lied; what is fetched is looked at again.
 */
static unsigned packed_available(Vring *ring)
{
    VringCount *count = &ring->u.packed.count;
    VringCursor at = ring->fetched;

    advance(ring, &at, count->n_desc);
    while (ring->n_in_use + count->n_desc < ring->config.num) {
        uint16_t flags = load_flags(ring, at.index);

        if (!is_available(flags, at.wrap)) {
            break;
        }
        count->n_desc++;
        count->n_chains += !(flags & VRING_DESC_F_NEXT);
        advance(ring, &at, 1);
    }
    return count->n_chains;
}

/* @chain is fetched: the first of those that were counted. */
static void uncount(VringCount *count, const VringChain *chain)
{
    if (count->n_chains && chain->n_desc <= count->n_desc) {
        count->n_desc -= chain->n_desc;
        count->n_chains--;
    } else {
        *count = (VringCount) { 0 };
    }
}

static void read_desc(const void *from, struct vring_packed_desc *ret)
{
    memcpy(ret, from, sizeof(*ret));
    /* The compiler must not look at the driver's memory again. */
    __asm__ volatile("" : "+m"(*ret));
}

static VringFetch walk_table(Vring *ring, VringPool *pool, VringChain *chain,
                             const uint8_t *table, unsigned n)
{
    unsigned i;

    for (i = 0; i < n; i++) {
        struct vring_packed_desc desc;
        VringFetch fetch;

        read_desc(table + i * sizeof(desc), &desc);
        if (GUINT16_FROM_LE(desc.flags) & VRING_DESC_F_INDIRECT) {
            vring_fail(ring, "an indirect descriptor is in the wrong place");
            return VRING_BROKEN;
        }
        fetch = vring_add_buffer(ring, pool, chain, GUINT64_FROM_LE(desc.addr),
                                 GUINT32_FROM_LE(desc.len),
                                 GUINT16_FROM_LE(desc.flags) &
                                 VRING_DESC_F_WRITE);
        if (fetch != VRING_FETCHED) {
            return fetch;
        }
    }
    return VRING_FETCHED;
}

static VringFetch add_indirect(Vring *ring, VringPool *pool, VringChain *chain,
                               const struct vring_packed_desc *desc)
{
    unsigned n;
    const uint8_t *table;

    if (chain->n_desc || (GUINT16_FROM_LE(desc->flags) & VRING_DESC_F_NEXT)) {
        vring_fail(ring, "an indirect descriptor is in the wrong place");
        return VRING_BROKEN;
    }
    table = vring_table(ring, GUINT64_FROM_LE(desc->addr),
                        GUINT32_FROM_LE(desc->len), &n);
    return table ? walk_table(ring, pool, chain, table, n) : VRING_BROKEN;
}

static VringFetch packed_fetch(Vring *ring, VringPool *pool, VringChain *ret)
{
    VringCursor at = ring->fetched;
    struct vring_packed_desc desc;
    uint16_t flags = load_flags(ring, at.index);

    if (ring->n_in_use == ring->config.num || !is_available(flags, at.wrap)) {
        ring->u.packed.count = (VringCount) { 0 };
        return VRING_EMPTY;
    }
    do {
        VringFetch fetch;

        if (ring->n_in_use + ret->n_desc == ring->config.num) {
            vring_fail(ring, "a chain of descriptors is longer than its ring");
            return VRING_BROKEN;
        }
        read_desc(&ring->u.packed.desc[at.index], &desc);
        flags = GUINT16_FROM_LE(desc.flags);
        fetch = flags & VRING_DESC_F_INDIRECT
                ? add_indirect(ring, pool, ret, &desc)
                : vring_add_buffer(ring, pool, ret, GUINT64_FROM_LE(desc.addr),
                                   GUINT32_FROM_LE(desc.len),
                                   flags & VRING_DESC_F_WRITE);
        if (fetch != VRING_FETCHED) {
            return fetch;
        }
        ret->n_desc++;
        advance(ring, &at, 1);
    } while (flags & VRING_DESC_F_NEXT);
    ret->id = GUINT16_FROM_LE(desc.id);
    ring->fetched = at;
    ring->n_in_use += ret->n_desc;
    uncount(&ring->u.packed.count, ret);
    return VRING_FETCHED;
}

static void packed_use(Vring *ring, const VringChain *chain, uint32_t written)
{
    struct vring_packed_desc *desc = &ring->u.packed.desc[ring->used.index];
    uint16_t flags = ring->used.wrap ? DESC_F_AVAIL | DESC_F_USED : 0;

    if (chain->n_writable) {
        flags |= VRING_DESC_F_WRITE;
    }
    desc->id = GUINT16_TO_LE(chain->id);
    desc->len = GUINT32_TO_LE(written);
    if (ring->has_first) {
        desc->flags = GUINT16_TO_LE(flags);
    } else {
        ring->has_first = true;
        ring->first = ring->used;
        ring->first_flags = flags;
    }
    guest_memory_log_host(ring->memory, desc, sizeof(*desc));
    advance(ring, &ring->used, chain->n_desc);
    ring->n_in_use -= chain->n_desc;
}

static void packed_publish(Vring *ring)
{
    if (ring->has_first) {
        struct vring_packed_desc *desc =
            &ring->u.packed.desc[ring->first.index];

        ring->has_first = false;
        __atomic_store_n(&desc->flags, GUINT16_TO_LE(ring->first_flags),
                         __ATOMIC_RELEASE);
        /* Once more: the front end may have emptied the log since. */
        guest_memory_log_host(ring->memory, desc, sizeof(*desc));
    }
}

static bool packed_should_call(Vring *ring)
{
    const struct vring_packed_desc_event *event = ring->u.packed.driver;
    uint16_t old_index = ring->called.index, new_index = ring->used.index;
    bool was_valid = ring->is_called_valid;
    uint16_t flags, off_wrap, off;

    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    ring->called = ring->used;
    ring->is_called_valid = true;
    flags = GUINT16_FROM_LE(__atomic_load_n(&event->flags, __ATOMIC_ACQUIRE));
    if (!ring->config.has_event_idx ||
        (flags & 3) != VRING_PACKED_EVENT_FLAG_DESC || !was_valid) {
        return (flags & 3) != VRING_PACKED_EVENT_FLAG_DISABLE;
    }
    off_wrap = GUINT16_FROM_LE(__atomic_load_n(&event->off_wrap,
                                               __ATOMIC_RELAXED));
    off = off_wrap & 0x7fff;
    /* Numbers of a ring's earlier round are below those of this one. */
    if (new_index <= old_index) {
        old_index -= ring->config.num;
    }
    if (off_wrap >> 15 != ring->used.wrap) {
        off -= ring->config.num;
    }
    return vring_need_event(off, new_index, old_index);
}

static void log_device_event(Vring *ring)
{
    guest_memory_log_host(ring->memory, ring->u.packed.device, EVENT_LEN);
}

static bool set_device_event(Vring *ring, uint16_t flags)
{
    __atomic_store_n(&ring->u.packed.device->flags, GUINT16_TO_LE(flags),
                     __ATOMIC_RELEASE);
    log_device_event(ring);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return has_more(ring);
}

/*
 * The event is the next descriptor.  If something is there, which does not
 * suffice, the end of it is not known: then whatever comes is an event.
 */
static bool packed_enable_kick(Vring *ring)
{
    if (ring->config.has_event_idx) {
        uint16_t off_wrap = cursor_to_base(ring->fetched);

        __atomic_store_n(&ring->u.packed.device->off_wrap,
                         GUINT16_TO_LE(off_wrap), __ATOMIC_RELAXED);
        if (!set_device_event(ring, VRING_PACKED_EVENT_FLAG_DESC)) {
            return false;
        }
    }
    return set_device_event(ring, VRING_PACKED_EVENT_FLAG_ENABLE);
}

static void packed_disable_kick(Vring *ring)
{
    __atomic_store_n(&ring->u.packed.device->flags,
                     GUINT16_TO_LE(VRING_PACKED_EVENT_FLAG_DISABLE),
                     __ATOMIC_RELAXED);
    log_device_event(ring);
}

const VringFormat vring_packed = {
    .map = packed_map,
    .start = packed_start,
    .base = packed_base,
    .fetch = packed_fetch,
    .use = packed_use,
    .publish = packed_publish,
    .should_call = packed_should_call,
    .enable_kick = packed_enable_kick,
    .disable_kick = packed_disable_kick,
    .available = packed_available,
};
