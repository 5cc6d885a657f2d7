/*
 * The driver's side of a virtqueue, in both formats, for tests and benches
 *
 * A ring and its buffers lie in one piece of shared memory; buffers are named
 * by their offset in it.  Written after virtio 1.2, 2.7 and 2.8, and without a
 * line of the device's code.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_UNIT_VRING_DRIVER_H
#define TESTS_UNIT_VRING_DRIVER_H

#include <linux/virtio_ring.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "port/vhost-user-msg.h"

#define DRIVER_RING_MAX 1024
/* Where the guest has what is at offset 0. */
#define DRIVER_GUEST_BASE UINT64_C(0x40000000)

typedef struct DriverMemory {
    int fd;
    uint8_t *base;
    size_t len, next;
} DriverMemory;

/** driver_memory_init: a memfd of @len bytes. */
static inline bool driver_memory_init(DriverMemory *memory, size_t len)
{
    *memory = (DriverMemory) { .fd = memfd_create("guest", MFD_ALLOW_SEALING),
                               .len = len };
    if (memory->fd < 0 || ftruncate(memory->fd, len) < 0) {
        return false;
    }
    memory->base = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED,
                        memory->fd, 0);
    return memory->base != MAP_FAILED;
}

static inline void driver_memory_clear(DriverMemory *memory)
{
    munmap(memory->base, memory->len);
    close(memory->fd);
}

/** driver_memory_take: the offset of @len unused bytes, aligned to 64. */
static inline size_t driver_memory_take(DriverMemory *memory, size_t len)
{
    size_t offset = memory->next;

    memory->next += (len + 63) / 64 * 64;
    return memory->next <= memory->len ? offset : SIZE_MAX;
}

static inline VuRegion driver_memory_region(const DriverMemory *memory)
{
    return (VuRegion) { DRIVER_GUEST_BASE, memory->len,
                        (uintptr_t)memory->base, 0 };
}

/** DriverBuf: @len bytes at @offset. */
typedef struct DriverBuf {
    size_t offset;
    uint32_t len;
} DriverBuf;

/**
 * DriverRing:
 * @n_desc, @cookie: of each chain that is out, by its id
 * @table: offset of each id's indirect table
 */
typedef struct DriverRing {
    DriverMemory *memory;
    bool is_packed, has_event_idx, is_indirect;
    uint16_t num;
    size_t desc, avail, used;

    uint16_t free_ids[DRIVER_RING_MAX];
    unsigned n_free_ids, n_free;
    uint16_t n_desc[DRIVER_RING_MAX];
    uint32_t cookie[DRIVER_RING_MAX];
    size_t table;

    uint16_t avail_index, used_index, kicked_index;
    bool avail_wrap, used_wrap;
    bool needs_kick;
} DriverRing;

#define DRIVER_TABLE_MAX 32

static inline struct vring_desc *driver_desc(DriverRing *ring)
{
    return (void *)(ring->memory->base + ring->desc);
}

static inline struct vring_avail *driver_avail(DriverRing *ring)
{
    return (void *)(ring->memory->base + ring->avail);
}

static inline struct vring_used *driver_used(DriverRing *ring)
{
    return (void *)(ring->memory->base + ring->used);
}

static inline struct vring_packed_desc *driver_packed(DriverRing *ring)
{
    return (void *)(ring->memory->base + ring->desc);
}

static inline struct vring_packed_desc_event *driver_event(DriverRing *ring)
{
    return (void *)(ring->memory->base + ring->avail);
}

static inline struct vring_packed_desc_event *device_event(DriverRing *ring)
{
    return (void *)(ring->memory->base + ring->used);
}

static inline void driver_ring_init(DriverRing *ring, DriverMemory *memory,
                                    uint16_t num, bool is_packed,
                                    bool has_event_idx, bool is_indirect)
{
    unsigned i;

    memset(ring, 0, sizeof(*ring));
    ring->memory = memory;
    ring->is_packed = is_packed;
    ring->has_event_idx = has_event_idx;
    ring->is_indirect = is_indirect;
    ring->num = ring->n_free = num;
    ring->desc = driver_memory_take(memory, 16 * num);
    ring->avail = driver_memory_take(memory, 6 + 2 * num);
    ring->used = driver_memory_take(memory, 6 + 8 * num);
    ring->table = driver_memory_take(memory, 16 * DRIVER_TABLE_MAX * num);
    ring->avail_wrap = ring->used_wrap = true;
    for (i = 0; i < num; i++) {
        ring->free_ids[ring->n_free_ids++] = num - 1 - i;
    }
}

/** driver_ring_addr: for SET_VRING_ADDR. */
static inline VuVringAddr driver_ring_addr(const DriverRing *ring,
                                           unsigned index)
{
    uint64_t base = (uintptr_t)ring->memory->base;

    return (VuVringAddr) { .index = index, .desc = base + ring->desc,
                           .avail = base + ring->avail,
                           .used = base + ring->used };
}

static inline uint64_t driver_addr(size_t offset)
{
    return DRIVER_GUEST_BASE + offset;
}

/* Without indirect tables, ids of the split format are descriptors. */
static inline void driver_split_add(DriverRing *ring, uint16_t id,
                                    const DriverBuf *bufs, unsigned n_readable,
                                    unsigned n)
{
    struct vring_desc *table = driver_desc(ring);
    uint16_t index[DRIVER_TABLE_MAX];
    unsigned i;

    index[0] = id;
    if (ring->is_indirect) {
        struct vring_desc *inner;
        size_t offset = ring->table + id * 16 * DRIVER_TABLE_MAX;

        inner = (void *)(ring->memory->base + offset);
        table[id] = (struct vring_desc) { driver_addr(offset), 16 * n,
                                          VRING_DESC_F_INDIRECT, 0 };
        table = inner;
    }
    for (i = 0; i < n; i++) {
        if (ring->is_indirect) {
            index[i] = i;
        } else if (i > 0) {
            index[i] = ring->free_ids[--ring->n_free_ids];
        }
    }
    for (i = 0; i < n; i++) {
        table[index[i]] = (struct vring_desc) {
            driver_addr(bufs[i].offset), bufs[i].len,
            (i < n_readable ? 0 : VRING_DESC_F_WRITE) |
            (i + 1 < n ? VRING_DESC_F_NEXT : 0),
            i + 1 < n ? index[i + 1] : 0,
        };
    }
    driver_avail(ring)->ring[ring->avail_index & (ring->num - 1)] = id;
    ring->avail_index++;
    __atomic_store_n(&driver_avail(ring)->idx, ring->avail_index,
                     __ATOMIC_RELEASE);
}

static inline uint16_t driver_packed_flags(bool wrap)
{
    return wrap ? 1u << VRING_PACKED_DESC_F_AVAIL
                : 1u << VRING_PACKED_DESC_F_USED;
}

static inline void driver_packed_fill(struct vring_packed_desc *desc,
                                      const DriverBuf *buf, uint16_t id)
{
    desc->addr = driver_addr(buf->offset);
    desc->len = buf->len;
    desc->id = id;
}

static inline void driver_packed_add(DriverRing *ring, uint16_t id,
                                     const DriverBuf *bufs, unsigned n_readable,
                                     unsigned n)
{
    struct vring_packed_desc *descs = driver_packed(ring);
    struct vring_packed_desc *first = &descs[ring->avail_index];
    uint16_t first_flags = 0;
    DriverBuf table = { ring->table + id * 16 * DRIVER_TABLE_MAX, 16 * n };
    unsigned i, n_desc = ring->is_indirect ? 1 : n;

    for (i = 0; ring->is_indirect && i < n; i++) {
        struct vring_packed_desc *inner =
            (void *)(ring->memory->base + table.offset);

        driver_packed_fill(&inner[i], &bufs[i], 0);
        inner[i].flags = i < n_readable ? 0 : VRING_DESC_F_WRITE;
    }
    for (i = 0; i < n_desc; i++) {
        uint16_t flags = driver_packed_flags(ring->avail_wrap);

        driver_packed_fill(&descs[ring->avail_index],
                           ring->is_indirect ? &table : &bufs[i], id);
        if (ring->is_indirect) {
            flags |= VRING_DESC_F_INDIRECT;
        } else {
            flags |= (i < n_readable ? 0 : VRING_DESC_F_WRITE) |
                     (i + 1 < n ? VRING_DESC_F_NEXT : 0);
        }
        if (i == 0) {
            first_flags = flags;
        } else {
            descs[ring->avail_index].flags = flags;
        }
        if (++ring->avail_index == ring->num) {
            ring->avail_index = 0;
            ring->avail_wrap = !ring->avail_wrap;
        }
    }
    __atomic_store_n(&first->flags, first_flags, __ATOMIC_RELEASE);
}

/**
 * driver_add: make a chain available: @n_readable buffers, then the others of
 * @n.  Returns: false if there is no room for it.
 */
static inline bool driver_add(DriverRing *ring, const DriverBuf *bufs,
                              unsigned n_readable, unsigned n, uint32_t cookie)
{
    unsigned n_desc = ring->is_indirect ? 1 : n;
    uint16_t id;

    if (ring->n_free < n_desc || ring->n_free_ids < n_desc) {
        return false;
    }
    id = ring->free_ids[--ring->n_free_ids];
    ring->n_free -= n_desc;
    ring->n_desc[id] = n_desc;
    ring->cookie[id] = cookie;
    if (ring->is_packed) {
        driver_packed_add(ring, id, bufs, n_readable, n);
    } else {
        driver_split_add(ring, id, bufs, n_readable, n);
    }
    ring->needs_kick = true;
    return true;
}

/* The descriptors of a split chain are free again, its ids with them. */
static inline void driver_split_free(DriverRing *ring, uint16_t id)
{
    const struct vring_desc *table = driver_desc(ring);
    unsigned left = ring->n_desc[id];

    for (;;) {
        ring->free_ids[ring->n_free_ids++] = id;
        if (--left == 0) {
            return;
        }
        id = table[id].next;
    }
}

static inline bool driver_used_split(DriverRing *ring, uint16_t *ret_id,
                                     uint32_t *ret_len)
{
    const struct vring_used_elem *elem;

    if (__atomic_load_n(&driver_used(ring)->idx, __ATOMIC_ACQUIRE) ==
        ring->used_index) {
        return false;
    }
    elem = &driver_used(ring)->ring[ring->used_index & (ring->num - 1)];
    *ret_id = elem->id;
    *ret_len = elem->len;
    ring->used_index++;
    return true;
}

static inline bool driver_used_packed(DriverRing *ring, uint16_t *ret_id,
                                      uint32_t *ret_len)
{
    const struct vring_packed_desc *desc =
        &driver_packed(ring)[ring->used_index];
    uint16_t flags = __atomic_load_n(&desc->flags, __ATOMIC_ACQUIRE);
    bool avail = flags & 1u << VRING_PACKED_DESC_F_AVAIL;
    bool used = flags & 1u << VRING_PACKED_DESC_F_USED;

    if (avail != used || used != ring->used_wrap) {
        return false;
    }
    *ret_id = desc->id;
    *ret_len = desc->len;
    ring->used_index += ring->n_desc[*ret_id & (DRIVER_RING_MAX - 1)];
    if (ring->used_index >= ring->num) {
        ring->used_index -= ring->num;
        ring->used_wrap = !ring->used_wrap;
    }
    return true;
}

/** driver_get_used: take one chain back. Returns: false if there is none. */
static inline bool driver_get_used(DriverRing *ring, uint32_t *ret_cookie,
                                   uint32_t *ret_len)
{
    uint16_t id;

    if (!(ring->is_packed ? driver_used_packed(ring, &id, ret_len)
                          : driver_used_split(ring, &id, ret_len))) {
        return false;
    }
    *ret_cookie = ring->cookie[id];
    ring->n_free += ring->n_desc[id];
    if (ring->is_packed) {
        ring->free_ids[ring->n_free_ids++] = id;
    } else {
        driver_split_free(ring, id);
    }
    return true;
}

/** driver_has_used: whether driver_get_used() would return one. */
static inline bool driver_has_used(DriverRing *ring)
{
    DriverRing look = *ring;
    uint16_t id;
    uint32_t len;

    return ring->is_packed ? driver_used_packed(&look, &id, &len)
                           : driver_used_split(&look, &id, &len);
}

/** driver_kick_wanted: whether the device asks to be told of what was added. */
static inline bool driver_kick_wanted(DriverRing *ring)
{
    uint16_t old_index = ring->kicked_index, new_index = ring->avail_index;
    uint16_t flags, off_wrap, off;

    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (!ring->needs_kick) {
        return false;
    }
    ring->needs_kick = false;
    ring->kicked_index = new_index;
    if (!ring->is_packed) {
        const struct vring_used *used = driver_used(ring);

        if (!ring->has_event_idx) {
            return !(__atomic_load_n(&used->flags, __ATOMIC_RELAXED) &
                     VRING_USED_F_NO_NOTIFY);
        }
        return vring_need_event(__atomic_load_n(
                                    (uint16_t *)&used->ring[ring->num],
                                    __ATOMIC_RELAXED),
                                new_index, old_index);
    }
    flags = __atomic_load_n(&device_event(ring)->flags, __ATOMIC_ACQUIRE);
    off_wrap = __atomic_load_n(&device_event(ring)->off_wrap, __ATOMIC_RELAXED);
    if (flags != VRING_PACKED_EVENT_FLAG_DESC) {
        return flags != VRING_PACKED_EVENT_FLAG_DISABLE;
    }
    off = off_wrap & 0x7fff;
    if (off_wrap >> 15 != ring->avail_wrap) {
        off -= ring->num;
    }
    if (new_index <= old_index) {
        old_index -= ring->num;
    }
    return vring_need_event(off, new_index, old_index);
}

/**
 * driver_enable_calls: ask to be called for the next used chain.
 *
 * Returns: true if there is one already.
 */
static inline bool driver_enable_calls(DriverRing *ring)
{
    if (!ring->is_packed) {
        struct vring_avail *avail = driver_avail(ring);

        avail->flags = 0;
        __atomic_store_n(&avail->ring[ring->num], ring->used_index,
                         __ATOMIC_RELAXED);
    } else {
        driver_event(ring)->off_wrap = ring->used_index |
                                       ring->used_wrap << 15;
        __atomic_store_n(&driver_event(ring)->flags,
                         ring->has_event_idx ? VRING_PACKED_EVENT_FLAG_DESC
                                             : VRING_PACKED_EVENT_FLAG_ENABLE,
                         __ATOMIC_RELEASE);
    }
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return driver_has_used(ring);
}

static inline void driver_disable_calls(DriverRing *ring)
{
    if (ring->is_packed) {
        driver_event(ring)->flags = VRING_PACKED_EVENT_FLAG_DISABLE;
    } else {
        driver_avail(ring)->flags = VRING_AVAIL_F_NO_INTERRUPT;
    }
}

#endif
