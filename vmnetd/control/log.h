/*
 * The log: one line a message, to a file or standard error
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_CONTROL_LOG_H
#define VMNETD_CONTROL_LOG_H

#include <glib.h>
#include <stdbool.h>

/**
 * log_open: take over GLib's messages (g_warning() and friends), of this
 * process and of those that it forks.
 * @path: absolute; NULL: standard error
 * @max_level: the least important that is written
 *
 * Returns: false with @error where @path cannot be opened.
 */
bool log_open(const char *path, GLogLevelFlags max_level, GError **error);
/** log_fd: the descriptor that is written to now. */
int log_fd(void);

/**
 * log_keep_file: from now on keep the file short by copying it to FILE.1, which
 * is opened here, and cutting it: for processes that will be able to make and
 * rename no files in its directory.  Neither is followed to another file then.
 * To be called before they are forked.
 */
void log_keep_file(void);

/** log_only_write: leave all of that to other processes. */
void log_only_write(void);

/** log_level_parse: "error", "warning", "message", "info", "debug". */
bool log_level_parse(const char *name, GLogLevelFlags *ret_level);

#endif
