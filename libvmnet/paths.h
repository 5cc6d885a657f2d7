/*
 * Where the software's sockets and files are, and how to reach them safely
 *
 * Private to libvmnet, the tools and vmnetd. The rules are architecture.md's
 * "Starting on demand": a directory counts only if it is a directory (lstat),
 * ours, and not writable by others.
 *
 * Errors are of the domain VMNET_ERROR; where a function returns a descriptor,
 * errno is set as well when it fails.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef LIBVMNET_PATHS_H
#define LIBVMNET_PATHS_H

#include <glib.h>
#include <stdbool.h>

/**
 * vmnet_paths_socket: $VMNET_SOCKET, else vmnetd.sock in the runtime directory.
 * vmnet_paths_system_socket: $VMNET_SOCKET, else %VMNET_SYSTEM_SOCKET.
 * vmnet_paths_runtime_dir: $XDG_RUNTIME_DIR/vmnet, else /run/user/UID/vmnet,
 *     else /tmp/vmnet-UID; made (0700) if @create; a planted or foreign one is
 *     refused with an error that says whose it is.
 * vmnet_paths_state_dir: $XDG_STATE_HOME/vmnet, else ~/.local/state/vmnet.
 *
 * A variable that names another user's directory (after `sudo -E` or su) is
 * passed over, and so is an $XDG_RUNTIME_DIR that is gone (in a tmux that has
 * outlived its session): there is still one daemon, since whoever starts one
 * finds the state directory's lock held and connects to its holder.
 *
 * Without @create, a directory that is not there is no error: its path is
 * returned, and what opens a file in it will say so.
 *
 * Returns: (transfer full)
 */
/** VMNET_SYSTEM_SOCKET: of the system instance, which no client starts. */
#define VMNET_SYSTEM_SOCKET "/run/vmnet/vmnetd.sock"

char *vmnet_paths_socket(GError **error);
char *vmnet_paths_system_socket(GError **error);
char *vmnet_paths_runtime_dir(bool create, GError **error);
char *vmnet_paths_state_dir(bool create, GError **error);
bool vmnet_paths_dir_check(const char *path, GError **error);

/**
 * vmnet_paths_log_file: where a daemon started on demand logs: vmnetd.log in
 * the state directory, which is made.
 */
char *vmnet_paths_log_file(GError **error);

/**
 * vmnet_paths_record_file: where the daemon at @socket_path (nullable: passed
 * by systemd) records what another makes again if it dies.  The file is there
 * while such a daemon runs, and after it if it died.
 */
char *vmnet_paths_record_file(const char *runtime_dir, const char *socket_path);

/**
 * vmnet_paths_lock: take the lock under which a daemon is started and under
 * which one that leaves removes its socket: vmnetd.lock in the runtime
 * directory, which is made.
 * @timeout_ms: how long to wait for another holder; 0 tries once
 *
 * Returns: a CLOEXEC descriptor; closing it gives the lock back.  -1 with
 * @error (%VMNET_SHARING_SERVICE_BUSY and EAGAIN when time is up).
 */
int vmnet_paths_lock(int timeout_ms, GError **error);

/**
 * vmnet_paths_state_lock: take the lock of a state directory (which exists),
 * for as long as the returned CLOEXEC descriptor is open, and write into it by
 * which socket its holder is reached: the file lock in @state_dir.
 * @ret_holder: (transfer full): the holder's socket if another daemon has it
 *
 * Returns: -1 with @error and, if it is held, errno EAGAIN.
 */
int vmnet_paths_state_lock(const char *state_dir, const char *socket_path,
                           char **ret_holder, GError **error);

/**
 * vmnet_paths_state_holder: the socket of the daemon that holds @state_dir.
 *
 * Returns: (transfer full) (nullable): NULL if none holds it.
 */
char *vmnet_paths_state_holder(const char *state_dir);

/**
 * vmnet_unix_listen, vmnet_unix_connect: AF_UNIX sockets at paths of any
 * length (over 107 bytes by way of /proc/self/fd), CLOEXEC and
 * non-blocking for listen; @type is SOCK_STREAM, SOCK_DGRAM or SOCK_SEQPACKET.
 *
 * A path that exists is not removed: listen fails with EADDRINUSE.  The socket
 * gets mode 0600.  Connect does not wait for room in the listener's backlog
 * (EAGAIN); the socket it returns is a blocking one.
 *
 * Returns: -1 with @error that names the path, and errno.
 */
int vmnet_unix_listen(const char *path, int type, GError **error);
int vmnet_unix_connect(const char *path, int type, GError **error);

#endif
