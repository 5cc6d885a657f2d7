/*
 * Secrets: keys of hashes, and numbers that nobody may guess
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "proto/random.h"

#include <glib.h>
#include <sys/random.h>

void random_bytes(void *buf, size_t len)
{
    guint8 *p = buf;
    size_t i;

    if (getrandom(buf, len, 0) == (gssize)len) {
        return;
    }
    for (i = 0; i < len; i++) {
        p[i] = g_random_int();
    }
}
