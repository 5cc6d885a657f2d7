/*
 * What clients are told of forwards
 *
 * Whoever asks once (query-forwards) and then listens knows all forwards at
 * every time: each one that is made, moves or ends is told, in that order.  A
 * client that did not read is told to ask again (EVENTS_LOST).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_CONTROL_FORWARD_EVENT_H
#define VMNETD_CONTROL_FORWARD_EVENT_H

#include "control/control.h"
#include "qapi/qapi-events.h"

/**
 * forward_event_added: @forward, a ControlForward, is in force and stays; for
 * g_ptr_array_foreach().
 */
void forward_event_added(void *forward, void *unused);
/** forward_event_removed: @forward ends; nothing if it was never told. */
void forward_event_removed(const ControlForward *forward);
/**
 * forward_event_moved: NetworkOps.forward_moved.  Guests cause it: over their
 * rate it is told late, and the last address only.
 */
void forward_event_moved(void *opaque, Network *network,
                         const NetworkForward *forward);

/** forward_event_tell_moved: those that were over it: a LoopTimerFunc. */
void forward_event_tell_moved(void *control, int64_t now_ms);

/** forward_event_kept_one: @event of @forward, which is @network's own. */
void forward_event_kept_one(Control *control, Network *network,
                            const NetworkForward *forward, QapiEvent event);
/** forward_event_kept: the same of all that are. */
void forward_event_kept(Control *control, Network *network, QapiEvent event);

#endif
