/*
 * Whether somebody answers at a vhost-user socket
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef NET_VMNET_PROBE_H
#define NET_VMNET_PROBE_H

#include <glib.h>
#include <stdbool.h>

/**
 * vmnet_probe_vhost_user: connect, ask for features, and go away.
 * @wait_ms: how long that may take
 *
 * QEMU's own vhost-user waits without end for each answer, and for a first
 * connection too.
 *
 * Returns: false with @error if nobody answers in time, or something else
 * does.
 */
bool vmnet_probe_vhost_user(const char *path, int wait_ms, GError **error);

#endif
