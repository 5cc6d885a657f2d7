/*
 * Token bucket: at most @burst at once, then @per_second
 *
 * Refills on use and needs no timer.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_GATEWAY_RATE_LIMIT_H
#define VMNETD_GATEWAY_RATE_LIMIT_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/** RateLimit: all zero is a full bucket. @spent: in thousandths of a token. */
typedef struct RateLimit {
    int64_t spent;
    int64_t last_ms;
} RateLimit;

/** rate_limit_take: Returns: false where none is left. */
static inline bool rate_limit_take(RateLimit *limit, unsigned burst,
                                   unsigned per_second, int64_t now_ms)
{
    int64_t past_ms = CLAMP(now_ms - limit->last_ms, 0, 1000 * 1000);

    limit->last_ms = now_ms;
    limit->spent = MAX(limit->spent - past_ms * per_second, 0);
    if (limit->spent + 1000 > (int64_t)burst * 1000) {
        return false;
    }
    limit->spent += 1000;
    return true;
}

#endif
