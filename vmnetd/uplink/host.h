/*
 * The host's routes, followed as they change
 *
 * One for the daemon: network/ makes it, and every uplink reads its table.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_UPLINK_HOST_H
#define VMNETD_UPLINK_HOST_H

#include <glib.h>
#include "loop/loop.h"
#include "uplink/host-table.h"

typedef struct Host Host;

/**
 * host_new: read the host's tables, and call @changed after they changed.
 * @own_prefix: interfaces whose names begin so are networks', also of another
 *     instance's: routes by them forbid no subnet
 *
 * Opens all of its descriptors: later it only reads and writes them.  Never
 * fails: a host that does not tell is one with nothing but loopback, and that
 * is a warning.
 */
Host *host_new(Loop *loop, const char *own_prefix,
               void (*changed)(void *opaque), void *opaque);
void host_free(Host *host);

/** host_table: the tables of now; valid until @changed is called next. */
const HostTable *host_table(const Host *host);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Host, host_free)

#endif
