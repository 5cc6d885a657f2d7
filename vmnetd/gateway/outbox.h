/*
 * The gateway's answers of one batch, until gateway_flush() sends them
 *
 * Answers are made while the switch is in the middle of its own batch, when
 * nothing may be given to it; they wait here.  The memory is one block that is
 * filled from its start, so that a network whose answers are small never
 * touches most of it.  When it is full, answers are lost: their senders ask
 * again.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_GATEWAY_OUTBOX_H
#define VMNETD_GATEWAY_OUTBOX_H

#include "proto/frame.h"

/** Room for a full batch of 1514 byte frames, or one large echo and others. */
#define OUTBOX_BYTES (128 * 1024)

typedef struct Outbox {
    unsigned n;
    size_t used_bytes;
    Frame frames[FRAME_BATCH_MAX];
    struct iovec iov[FRAME_BATCH_MAX];
    uint8_t *memory;
} Outbox;

void outbox_init(Outbox *box);
void outbox_clear(Outbox *box);

/**
 * outbox_room: memory for a frame of up to @len bytes, valid until the next
 * outbox_room(), outbox_add() or outbox_reset().
 *
 * Returns: NULL when the batch is full.
 */
uint8_t *outbox_room(Outbox *box, size_t len);
/** outbox_add: the first @len bytes of the last outbox_room() are a frame. */
void outbox_add(Outbox *box, size_t len);
/** outbox_reset: all frames have been sent: their memory is used again. */
void outbox_reset(Outbox *box);

#endif
