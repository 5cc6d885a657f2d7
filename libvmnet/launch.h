/*
 * Starting vmnetd
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef LIBVMNET_LAUNCH_H
#define LIBVMNET_LAUNCH_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/** VmnetLaunch: what is known of the daemon that was started, at first zero;
 * one that has to be started again keeps what the first one logged. */
typedef struct VmnetLaunch {
    char *log_path;     /* NULL: it has none */
    int error_fd;       /* its standard error; -1: none yet */
    int64_t error_offset;   /* where its own lines begin */
    char *program;      /* for messages */
} VmnetLaunch;

#define VMNET_LAUNCH_INIT { .error_fd = -1 }

/**
 * vmnet_launch_find_daemon: $VMNETD, else vmnetd where this program's build or
 * installation has it, else in $PATH.
 *
 * Returns: (transfer full): absolute path, executable; NULL with an @error
 * that says where it was looked for.
 */
char *vmnet_launch_find_daemon(GError **error);

/**
 * vmnet_launch_begin: execute the daemon, as a process that is not our child.
 * @listen_fd: its socket; the caller closes its own copy
 * @socket_path: where that is bound
 * @own_cgroup: by way of `systemd-run --user` where a user manager is there
 *
 * Returns: a descriptor that is readable when it is executed or could not be:
 * for vmnet_launch_end(); -1 with @error
 */
int vmnet_launch_begin(VmnetLaunch *launch, int listen_fd,
                       const char *socket_path, bool own_cgroup,
                       GError **error);

/**
 * vmnet_launch_end: @status_fd (transfer full) is readable.
 *
 * Returns: false with @error if it could not be executed.  What goes wrong
 * later is seen as the end of the connection: vmnet_launch_first_error().
 */
bool vmnet_launch_end(VmnetLaunch *launch, int status_fd, GError **error);

/**
 * vmnet_launch_first_error: the first error that the daemon wrote, after which it
 * may have ended, without what stands before it; else the first line.
 *
 * Returns: (transfer full): NULL if it wrote nothing
 */
char *vmnet_launch_first_error(const VmnetLaunch *launch);

void vmnet_launch_clear(VmnetLaunch *launch);

#endif
