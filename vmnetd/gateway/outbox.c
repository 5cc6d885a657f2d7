/*
 * The gateway's answers of one batch
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "gateway/outbox.h"

#include <glib.h>

/* Frames begin at multiples of this, for the checksum's sake. */
#define OUTBOX_ALIGN 16

void outbox_init(Outbox *box)
{
    memset(box, 0, sizeof(*box));
    box->memory = g_malloc(OUTBOX_BYTES);
}

void outbox_clear(Outbox *box)
{
    g_clear_pointer(&box->memory, g_free);
}

uint8_t *outbox_room(Outbox *box, size_t len)
{
    if (box->n == FRAME_BATCH_MAX || len > OUTBOX_BYTES - box->used_bytes) {
        return NULL;
    }
    return box->memory + box->used_bytes;
}

void outbox_add(Outbox *box, size_t len)
{
    struct iovec *iov = &box->iov[box->n];
    size_t step = (len + OUTBOX_ALIGN - 1) & ~(size_t)(OUTBOX_ALIGN - 1);

    g_assert(box->n < FRAME_BATCH_MAX);
    iov->iov_base = box->memory + box->used_bytes;
    iov->iov_len = len;
    frame_init(&box->frames[box->n], iov, 1);
    box->n++;
    box->used_bytes = MIN(box->used_bytes + step, OUTBOX_BYTES);
}

void outbox_reset(Outbox *box)
{
    box->n = 0;
    box->used_bytes = 0;
}
