/*
 * The daemon's listening QMP socket: passed to it, or made by it
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_CONTROL_QMP_SOCKET_H
#define VMNETD_CONTROL_QMP_SOCKET_H

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

/**
 * QmpSocket:
 * @path: NULL: not known (systemd's)
 * @lock_fd: of the lock under which daemons are started, not held; -1: none
 * @is_owned: @path is removed at the end, if it still is @dev and @ino
 */
typedef struct QmpSocket {
    char *path;
    int fd;
    int lock_fd;
    bool is_owned;
    dev_t dev;
    ino_t ino;
} QmpSocket;

#define QMP_SOCKET_INIT { .fd = -1, .lock_fd = -1 }

/** qmp_socket_is_passed: by systemd, or by whoever started us on demand. */
bool qmp_socket_is_passed(void);

/**
 * qmp_socket_open: take the socket that was passed (sd_listen_fds(3)), else
 * make one.
 * @path: (nullable): by --socket; NULL: where clients look for it
 * @runtime_dir: (nullable): where the lock is
 */
bool qmp_socket_open(QmpSocket *sock, const char *path,
                     const char *runtime_dir, GError **error);
/** qmp_socket_remove: remove its file. */
void qmp_socket_remove(const QmpSocket *sock);

#endif
