/*
 * Where the software's sockets and files are, and how to reach them safely
 *
 * Private to libvmnet, the tools and vmnetd. The rules are architecture.md's
 * "Starting on demand": a directory counts only if it is a directory (lstat),
 * ours, and not writable by others.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef LIBVMNET_PATHS_H
#define LIBVMNET_PATHS_H

#include <glib.h>
#include <stdbool.h>

/**
 * vmnet_paths_socket: $VMNET_SOCKET, else vmnetd.sock in the runtime directory.
 * vmnet_paths_runtime_dir: $XDG_RUNTIME_DIR/vmnet, else /run/user/UID/vmnet,
 *     else /tmp/vmnet-UID; made (0700) if @create; a planted or foreign one is
 *     refused with an error that says whose it is.
 * vmnet_paths_state_dir: $XDG_STATE_HOME/vmnet, else ~/.local/state/vmnet.
 *
 * Returns: (transfer full)
 */
char *vmnet_paths_socket(GError **error);
char *vmnet_paths_runtime_dir(bool create, GError **error);
char *vmnet_paths_state_dir(bool create, GError **error);
bool vmnet_paths_dir_check(const char *path, GError **error);

/**
 * vmnet_unix_listen, vmnet_unix_connect: AF_UNIX sockets at paths of any
 * length (over 107 bytes by way of a descriptor of the directory), CLOEXEC and
 * non-blocking for listen; @type is SOCK_STREAM, SOCK_DGRAM or SOCK_SEQPACKET.
 *
 * Returns: -1 with @error that names the path.
 */
int vmnet_unix_listen(const char *path, int type, GError **error);
int vmnet_unix_connect(const char *path, int type, GError **error);

#endif
