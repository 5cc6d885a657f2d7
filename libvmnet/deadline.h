/*
 * Deadlines: points of monotonic time, in microseconds
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef LIBVMNET_DEADLINE_H
#define LIBVMNET_DEADLINE_H

#include <glib.h>
#include <stdint.h>

/** deadline_in_ms: the point in time that is @timeout_ms from now. */
static inline int64_t deadline_in_ms(int timeout_ms)
{
    return g_get_monotonic_time() + timeout_ms * (int64_t)1000;
}

/** deadline_left_ms: until then, rounded up; 0 if it is over. */
static inline int deadline_left_ms(int64_t deadline_us)
{
    int64_t left_us = deadline_us - g_get_monotonic_time();

    return left_us > 0 ? (int)((left_us + 999) / 1000) : 0;
}

#endif
