/*
 * A guest's memory, as a front end shares it: from its addresses to ours
 *
 *   guest address   0 .......... region A .....  region B .........
 *                                   |               |
 *   our address              map A + offset      map B + offset
 *
 * Regions neither overlap nor wrap.  A range is only handed out as far as it is
 * contiguous here: what spans two regions comes in two pieces.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_PORT_GUEST_MEMORY_H
#define VMNETD_PORT_GUEST_MEMORY_H

#include <glib.h>

#include "limits.h"
#include "port/shared-map.h"
#include "port/vhost-user-msg.h"

/** @host: where its first byte is */
typedef struct GuestRegion {
    uint64_t guest_addr, size, user_addr;
    uint8_t *host;
    SharedMap *map;
} GuestRegion;

/**
 * GuestMemory:
 * @at: in the order of guest addresses
 * @last: the region that was asked for last
 * @dirty: bit N: the guest's page N was written; NULL: nobody wants to know
 */
typedef struct GuestMemory {
    GuestRegion at[LIMIT_MEMORY_REGIONS];
    unsigned n, last;
    SharedMap *dirty_map;
    uint8_t *dirty;
    uint64_t dirty_len;
} GuestMemory;

/** guest_memory_add: @fd is not closed. False with @error: nothing changed. */
bool guest_memory_add(GuestMemory *memory, const VuRegion *region, int fd,
                      GError **error);
/** guest_memory_remove: false if there is no such region. */
bool guest_memory_remove(GuestMemory *memory, const VuRegion *region);
/** guest_memory_clear: forget all regions; the log stays. */
void guest_memory_clear(GuestMemory *memory);
/** guest_memory_is_lost: the front end took away what it had shared. */
bool guest_memory_is_lost(const GuestMemory *memory);

/**
 * guest_memory_find: the region that has @addr; NULL if none.
 * Cost: that of a comparison if it is the one of the call before.
 */
const GuestRegion *guest_memory_find(GuestMemory *memory, uint64_t addr);

/**
 * guest_memory_at: our address of the guest's @addr.
 * @ret_len: how many of @len bytes are there; less than that at a region's end
 *
 * Returns: NULL if @addr is nowhere.
 */
static inline void *guest_memory_at(GuestMemory *memory, uint64_t addr,
                                    uint64_t len, uint64_t *ret_len)
{
    const GuestRegion *region = guest_memory_find(memory, addr);
    uint64_t offset;

    if (!region) {
        return NULL;
    }
    offset = addr - region->guest_addr;
    *ret_len = MIN(len, region->size - offset);
    return region->host + offset;
}

/**
 * guest_memory_at_user: @len contiguous bytes at the front end's address @addr.
 *
 * Returns: NULL if they are not all there.
 */
void *guest_memory_at_user(const GuestMemory *memory, uint64_t addr,
                           uint64_t len);

/**
 * guest_memory_set_log: @log says where in @fd's file the bitmap is; @fd is
 * not closed.  With @log NULL: none.
 */
bool guest_memory_set_log(GuestMemory *memory, const VuLog *log, int fd,
                          GError **error);
/** guest_memory_log: @len bytes at the guest's @addr were written. */
void guest_memory_log(GuestMemory *memory, uint64_t addr, uint64_t len);
/** guest_memory_log_host: as above, of what guest_memory_at() returned. */
void guest_memory_log_host(GuestMemory *memory, const void *host, uint64_t len);

static inline bool guest_memory_has_log(const GuestMemory *memory)
{
    return memory->dirty != NULL;
}

#endif
