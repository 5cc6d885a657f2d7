/*
 * Receive steering: the queue pair that a guest uses for a flow
 *
 * Theory of operation
 * -------------------
 * What a guest receives of a flow comes by the pair by which it last sent to
 * it, hence to the processor that works on it (virtio 1.2, 5.1.6.5.5).  A flow is
 * a pair of addresses with protocol and ports, the same in both directions;
 * fragments have no ports, and what is not IP only its MAC addresses.  A table
 * of fixed size holds pairs by the flow's hash; a flow that is not there goes to
 * the pair that its hash says.  Either way its frames stay in order.
 *
 * Two flows that meet in one place do not take it from each other in turns,
 * which would reorder both: who has it keeps it for as long as it sends.  The
 * hash is keyed, so that nobody outside can make flows meet.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_PORT_STEERING_H
#define VMNETD_PORT_STEERING_H

#include <glib.h>
#include "proto/frame.h"

typedef struct Steering Steering;

/** steering_new: nothing is learnt yet. */
Steering *steering_new(void);
void steering_free(Steering *steering);

/** steering_learn: the guest has sent @frame by @pair. */
void steering_learn(Steering *steering, const Frame *frame, unsigned pair,
                    int64_t now_ms);

/**
 * steering_find: where @frame is to be received.
 * @pairs: the @n (at least 1) pairs that can receive
 *
 * Returns: one of @pairs.
 */
unsigned steering_find(Steering *steering, const Frame *frame,
                       const uint8_t *pairs, unsigned n);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Steering, steering_free)

#endif
