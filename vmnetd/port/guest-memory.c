/*
 * A guest's memory, as a front end shares it
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "port/guest-memory.h"

#include <string.h>

#include "vmnet/error.h"

/* Pages of the dirty log, whatever the size of the guest's own. */
#define LOG_PAGE_BITS 12

static bool ranges_overlap(uint64_t a, uint64_t a_len, uint64_t b,
                           uint64_t b_len)
{
    return a < b + b_len && b < a + a_len;
}

static bool check_region(const GuestMemory *memory, const VuRegion *region,
                         GError **error)
{
    const char *problem = NULL;
    unsigned i;

    if (region->size == 0 || region->guest_addr > UINT64_MAX - region->size ||
        region->user_addr > UINT64_MAX - region->size ||
        region->fd_offset > UINT64_MAX - region->size) {
        problem = "is empty or wraps";
    } else if (memory->n == LIMIT_MEMORY_REGIONS) {
        problem = "is one too many";
    }
    for (i = 0; !problem && i < memory->n; i++) {
        const GuestRegion *other = &memory->at[i];

        if (ranges_overlap(region->guest_addr, region->size,
                           other->guest_addr, other->size) ||
            ranges_overlap(region->user_addr, region->size,
                           other->user_addr, other->size)) {
            problem = "overlaps another";
        }
    }
    if (problem) {
        g_set_error(error, VMNET_ERROR, VMNET_INVALID_ARGUMENT,
                    "memory region at 0x%" G_GINT64_MODIFIER "x of 0x%"
                    G_GINT64_MODIFIER "x bytes %s", region->guest_addr,
                    region->size, problem);
        return false;
    }
    return true;
}

bool guest_memory_add(GuestMemory *memory, const VuRegion *region, int fd,
                      GError **error)
{
    SharedMap *map;
    unsigned i;

    if (!check_region(memory, region, error)) {
        return false;
    }
    map = shared_map_new(fd, region->fd_offset + region->size, error);
    if (!map) {
        g_prefix_error(error, "memory region at 0x%" G_GINT64_MODIFIER "x: ",
                       region->guest_addr);
        return false;
    }
    for (i = memory->n; i > 0 &&
         memory->at[i - 1].guest_addr > region->guest_addr; i--) {
        memory->at[i] = memory->at[i - 1];
    }
    memory->at[i] = (GuestRegion) {
        .guest_addr = region->guest_addr,
        .size = region->size,
        .user_addr = region->user_addr,
        .host = map->base + region->fd_offset,
        .map = map,
    };
    memory->n++;
    return true;
}

bool guest_memory_remove(GuestMemory *memory, const VuRegion *region)
{
    unsigned i;

    for (i = 0; i < memory->n; i++) {
        GuestRegion *at = &memory->at[i];

        if (at->guest_addr == region->guest_addr && at->size == region->size &&
            at->user_addr == region->user_addr) {
            shared_map_free(at->map);
            memory->n--;
            memmove(at, at + 1, (memory->n - i) * sizeof(*at));
            memory->last = 0;
            return true;
        }
    }
    return false;
}

void guest_memory_clear(GuestMemory *memory)
{
    while (memory->n) {
        shared_map_free(memory->at[--memory->n].map);
    }
    memory->last = 0;
}

bool guest_memory_is_lost(const GuestMemory *memory)
{
    bool is_lost = memory->dirty_map && memory->dirty_map->is_lost;
    unsigned i;

    for (i = 0; i < memory->n; i++) {
        is_lost |= memory->at[i].map->is_lost;
    }
    return is_lost;
}

const GuestRegion *guest_memory_find(GuestMemory *memory, uint64_t addr)
{
    const GuestRegion *region = &memory->at[memory->last];
    unsigned low = 0, high = memory->n;

    if (G_LIKELY(memory->last < memory->n &&
                 addr - region->guest_addr < region->size)) {
        return region;
    }
    while (low < high) {
        unsigned middle = low + (high - low) / 2;

        region = &memory->at[middle];
        if (addr - region->guest_addr < region->size) {
            memory->last = middle;
            return region;
        }
        if (addr < region->guest_addr) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return NULL;
}

void *guest_memory_at_user(const GuestMemory *memory, uint64_t addr,
                           uint64_t len)
{
    unsigned i;

    for (i = 0; i < memory->n; i++) {
        const GuestRegion *region = &memory->at[i];
        uint64_t offset = addr - region->user_addr;

        if (offset < region->size && len <= region->size - offset) {
            return region->host + offset;
        }
    }
    return NULL;
}

bool guest_memory_set_log(GuestMemory *memory, const VuLog *log, int fd,
                          GError **error)
{
    SharedMap *map = NULL;

    if (log) {
        if (log->size == 0 || log->fd_offset > UINT64_MAX - log->size) {
            g_set_error(error, VMNET_ERROR, VMNET_INVALID_ARGUMENT,
                        "the log is empty or wraps");
            return false;
        }
        map = shared_map_new(fd, log->fd_offset + log->size, error);
        if (!map) {
            g_prefix_error(error, "log: ");
            return false;
        }
    }
    shared_map_free(memory->dirty_map);
    memory->dirty_map = map;
    memory->dirty = map ? map->base + log->fd_offset : NULL;
    memory->dirty_len = map ? log->size : 0;
    return true;
}

void guest_memory_log(GuestMemory *memory, uint64_t addr, uint64_t len)
{
    uint64_t page, last;

    if (!memory->dirty || len == 0) {
        return;
    }
    last = (addr + len - 1) >> LOG_PAGE_BITS;
    for (page = addr >> LOG_PAGE_BITS;
         page <= last && page / 8 < memory->dirty_len; page++) {
        /* The front end takes bits out at the same time. */
        __atomic_fetch_or(&memory->dirty[page / 8], 1u << page % 8,
                          __ATOMIC_RELEASE);
    }
}

void guest_memory_log_host(GuestMemory *memory, const void *host, uint64_t len)
{
    const uint8_t *byte = host;
    unsigned i;

    for (i = 0; memory->dirty && i < memory->n; i++) {
        const GuestRegion *region = &memory->at[i];

        if (byte >= region->host && byte < region->host + region->size) {
            guest_memory_log(memory, region->guest_addr + (byte - region->host),
                             len);
            return;
        }
    }
}
