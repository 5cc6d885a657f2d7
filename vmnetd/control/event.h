/*
 * Events to every client that has negotiated
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_CONTROL_EVENT_H
#define VMNETD_CONTROL_EVENT_H

#include "control/control.h"
#include "qapi/qapi-events.h"

/** event_send: @data (transfer full, nullable): what qapi_event_encode_X gives. */
void event_send(Control *control, QapiEvent event, JsonValue *data);

/** event_send_losses: to @client alone: @n_lost events did not reach it. */
void event_send_losses(Client *client, uint64_t n_lost);

/**
 * event_guest_allowed: Guests cause some events (a guest that releases and
 * requests in a loop), so they have a rate, as such events have in QEMU.
 *
 * Returns: whether one more may be sent now.
 */
bool event_guest_allowed(void);

/** What the networks report, turned into events; opaque is the Control. */
extern const NetworkOps event_network_ops;

#endif
