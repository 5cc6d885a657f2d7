/*
 * The listening QMP socket: who may come in, and how many
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_CONTROL_SERVER_H
#define VMNETD_CONTROL_SERVER_H

#include "control/control.h"

/**
 * server_new: accept clients on @fd (transfer full).
 *
 * A peer must have the daemon's uid or be root (SO_PEERCRED).  More than
 * LIMIT_CLIENTS get one error object instead of a greeting.
 *
 * Returns: NULL with @error where the loop refuses @fd.
 */
Server *server_new(Control *control, int fd, GError **error);
void server_free(Server *server);

/** server_accept_waiting: Returns: whether somebody was in the queue. */
bool server_accept_waiting(Server *server);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Server, server_free)

#endif
