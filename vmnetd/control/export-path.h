/*
 * Where an export's socket may be, and what is done with one that is there
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_CONTROL_EXPORT_PATH_H
#define VMNETD_CONTROL_EXPORT_PATH_H

#include "control/control.h"

/**
 * export_path_check: a path that a client names is absolute, and that client
 * has the daemon's uid: it could make the socket there itself.
 */
bool export_path_check(const char *path, const Client *client, GError **error);

/** export_path_choose: VM-ID.sock in the runtime directory, made unique. */
char *export_path_choose(const ControlNetdev *netdev, int socket_type,
                         GError **error);

/**
 * export_path_clear: make way for a new socket at @path: a socket of ours that
 * nobody listens on is removed; anything else that is there is an error.
 */
bool export_path_clear(const char *path, int socket_type, GError **error);

/**
 * export_path_set_remover: who removes sockets where the sandbox forbids it,
 * see remover.h; -1: nobody.  Once, when the daemon starts.
 */
void export_path_set_remover(int engine_fd);

/** export_path_remove: remove @path if it still is that socket, and
 * closed. */
void export_path_remove(const char *path, dev_t dev, ino_t ino);

#endif
