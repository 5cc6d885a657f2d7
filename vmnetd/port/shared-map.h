/*
 * Memory that another process shares with us, and can take away
 *
 * Theory of operation: who made the file can truncate it at any time; touching
 * a page that is gone raises SIGBUS.  Three lines of defence:
 *
 *   1. the file must be long enough when it is mapped;
 *   2. a memfd that can still be sealed is sealed against shrinking (QEMU's
 *      memory-backend-memfd seals its own);
 *   3. a handler for SIGBUS puts anonymous zero pages in the place of the whole
 *      mapping and notes the loss: the access that failed goes on, reads zeros,
 *      and the owner gives the mapping up at its next look.
 *
 * In a system call a lost page is EFAULT.  A SIGBUS elsewhere ends the process
 * as it would have without us.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_PORT_SHARED_MAP_H
#define VMNETD_PORT_SHARED_MAP_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/**
 * SharedMap:
 * @base: page aligned; @len bytes from there on may be touched
 * @is_lost: what is there now is not what was mapped
 */
typedef struct SharedMap {
    uint8_t *base;
    size_t len;
    volatile bool is_lost;
    struct SharedMap *next;
} SharedMap;

/**
 * shared_map_new: the first @len bytes of @fd's file, to read and write.
 *
 * Returns: NULL with @error if the file is shorter or cannot be mapped.  @fd
 * stays the caller's and is not needed any more.
 */
SharedMap *shared_map_new(int fd, uint64_t len, GError **error);
void shared_map_free(SharedMap *map);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(SharedMap, shared_map_free)

#endif
