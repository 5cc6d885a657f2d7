/*
 * Counts of references, which threads may share
 *
 * GLib's would do; these are compiled with us, so that ThreadSanitizer sees
 * what they order.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef LIBVMNET_REFS_H
#define LIBVMNET_REFS_H

#include <stdbool.h>

static inline void refs_inc(int *refs)
{
    __atomic_fetch_add(refs, 1, __ATOMIC_RELAXED);
}

/** refs_dec: Returns: whether that was the last one. */
static inline bool refs_dec(int *refs)
{
    return __atomic_fetch_sub(refs, 1, __ATOMIC_ACQ_REL) == 1;
}

#endif
