/*
 * What clients are told of forwards
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "control/forward-event.h"

#include "control/event.h"
#include "control/forward.h"
#include "control/netdev.h"

/* How often those that a guest moved too fast are looked at. */
#define LATE_MS 250

static void tell(Control *control, QapiEvent event, const ForwardInfo *info)
{
    event_send(control, event,
               event == QAPI_EVENT_FORWARD_ADDED
               ? qapi_event_encode_FORWARD_ADDED(info)
               : qapi_event_encode_FORWARD_REMOVED(info));
}

static void tell_of(const ControlForward *forward, QapiEvent event)
{
    g_autoptr(ForwardInfo) info = forward_describe(forward);

    tell(forward->control, event, info);
}

void forward_event_added(void *opaque, void *unused)
{
    ControlForward *forward = opaque;

    forward->told = true;
    forward->moved = false;
    tell_of(forward, QAPI_EVENT_FORWARD_ADDED);
}

void forward_event_removed(const ControlForward *forward)
{
    if (forward->told) {
        tell_of(forward, QAPI_EVENT_FORWARD_REMOVED);
    }
}

/* Returns: whether all of @forwards that have moved were told. */
static bool tell_moved(const GPtrArray *forwards)
{
    unsigned i;

    for (i = 0; i < forwards->len; i++) {
        ControlForward *forward = g_ptr_array_index(forwards, i);

        if (forward->moved) {
            if (!event_guest_allowed()) {
                return false;
            }
            forward_event_added(forward, NULL);
        }
    }
    return true;
}

void forward_event_tell_moved(void *opaque, int64_t now_ms)
{
    Control *control = opaque;
    bool told = tell_moved(control->forwards);
    unsigned i;

    for (i = 0; told && i < control->netdevs->len; i++) {
        ControlNetdev *netdev = g_ptr_array_index(control->netdevs, i);

        told = tell_moved(netdev->forwards);
    }
    if (!told) {
        loop_timer_arm(control->late_events, now_ms + LATE_MS);
    }
}

/* Marks the one of @forwards that is @forward. */
static void mark_moved(const GPtrArray *forwards, const NetworkForward *forward)
{
    unsigned i;

    for (i = 0; i < forwards->len; i++) {
        ControlForward *candidate = g_ptr_array_index(forwards, i);

        candidate->moved |= candidate->forward == forward;
    }
}

void forward_event_moved(void *opaque, Network *network,
                         const NetworkForward *forward)
{
    Control *control = opaque;
    unsigned i;

    mark_moved(control->forwards, forward);
    for (i = 0; i < control->netdevs->len; i++) {
        ControlNetdev *netdev = g_ptr_array_index(control->netdevs, i);

        mark_moved(netdev->forwards, forward);
    }
    forward_event_tell_moved(control, loop_now_ms());
}

void forward_event_kept_one(Control *control, Network *network,
                            const NetworkForward *forward, QapiEvent event)
{
    g_autoptr(ForwardInfo) info =
        forward_describe_network(network, forward, NULL,
                                 FORWARD_LIFETIME_PERSISTENT);

    tell(control, event, info);
}

void forward_event_kept(Control *control, Network *network, QapiEvent event)
{
    g_autoptr(GPtrArray) kept = network_forwards(network);
    unsigned i;

    for (i = 0; i < kept->len; i++) {
        forward_event_kept_one(control, network, g_ptr_array_index(kept, i),
                               event);
    }
}
