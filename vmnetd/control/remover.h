/*
 * Removing sockets where the engine's sandbox does not let it remove files
 *
 * Landlock grants rights by directory, and the socket of an export may be in
 * any.  An engine that could remove files everywhere could be made to by a
 * guest that has taken it over.  So it asks its parent, which removes nothing
 * but sockets of this user that nobody has open.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_CONTROL_REMOVER_H
#define VMNETD_CONTROL_REMOVER_H

#include <stdbool.h>

/** remover_pair: the parent's end and the engine's; false with errno. */
bool remover_pair(int *ret_parent_fd, int *ret_engine_fd);

/**
 * remover_serve: do what the engine has asked for, without waiting.
 *
 * Returns: false if it cannot ask any more.
 */
bool remover_serve(int parent_fd);

/**
 * remover_ask: have the dead socket at @path removed, within a second.
 *
 * Returns: 0 or an errno: EPERM where @path is no socket of ours, EADDRINUSE
 * where somebody has it open.
 */
int remover_ask(int engine_fd, const char *path);

#endif
