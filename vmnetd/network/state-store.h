/*
 * Files of networks: read when a network starts, written by one worker thread
 *
 *   STATE_DIR/networks/NAME/FILE
 *
 * Theory of operation: the network's thread hands over a snapshot as text and
 * goes on; the worker writes it to a file beside, makes it durable and renames
 * it over the old one.  Of two snapshots of one file that wait, the later one
 * is written.  Without a directory (or with one that cannot be written) files
 * are kept in memory for as long as the daemon lives; the latter is one
 * warning, and what could not be written is tried again when it is handed over
 * the next time.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_NETWORK_STATE_STORE_H
#define VMNETD_NETWORK_STATE_STORE_H

#include <glib.h>
#include <stdbool.h>

typedef struct StateStore StateStore;

/** @state_dir: absolute; NULL: nothing is written */
StateStore *state_store_new(const char *state_dir);
/** state_store_free: waits until all that was handed over is on disk. */
void state_store_free(StateStore *store);

/**
 * state_store_read: what was last written to @file of network @name.
 * Files over 16 MiB count as damaged.
 *
 * Returns: (transfer full) (nullable): NULL: there is none.
 */
char *state_store_read(StateStore *store, const char *name, const char *file,
                       size_t *ret_len);
/** state_store_write: @text: (transfer full), NUL-terminated */
void state_store_write(StateStore *store, const char *name, const char *file,
                       char *text);
/** state_store_set_aside: @file is damaged: keep it as FILE.damaged; say so. */
void state_store_set_aside(StateStore *store, const char *name,
                           const char *file, const char *why);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(StateStore, state_store_free)

#endif
