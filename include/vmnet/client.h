/*
 * A connection to vmnetd, which is started when none runs
 *
 * All calls block, with a deadline, and use no threads.  A client is used by
 * one thread at a time.  What a client makes and does not give another
 * lifetime goes when its connection closes.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VMNET_CLIENT_H
#define VMNET_CLIENT_H

#include <glib.h>

G_BEGIN_DECLS

/**
 * VMNET_PROTOCOL: version of the protocol between vmnetd and its clients.  A
 * daemon with another one is refused by vmnet_client_connect().
 */
#define VMNET_PROTOCOL 1

typedef struct VmnetClient VmnetClient;

/**
 * VmnetConnectFlags:
 * @VMNET_CONNECT_START: start a daemon if none runs.
 * @VMNET_CONNECT_EXISTING: fail with %VMNET_SETUP_INCOMPLETE instead.
 * @VMNET_CONNECT_RECOVER: as EXISTING, but start a daemon if the last one died
 *     while virtual machines used it, so that it makes their netdevs again.
 */
typedef enum VmnetConnectFlags {
    VMNET_CONNECT_START,
    VMNET_CONNECT_EXISTING,
    VMNET_CONNECT_RECOVER,
} VmnetConnectFlags;

/**
 * vmnet_client_connect: find the user's daemon, or start it; greet it.
 *
 * The socket is $VMNET_SOCKET, else vmnetd.sock in $XDG_RUNTIME_DIR/vmnet,
 * /run/user/UID/vmnet or /tmp/vmnet-UID.  The daemon that is started is
 * $VMNETD, else the one beside the running program, else the installed one.
 * It belongs to a session of its own and outlives the caller.
 *
 * Returns: (transfer full): NULL with @error (%VMNET_ERROR) when no daemon
 * could be reached within 15 s; %VMNET_SETUP_INCOMPLETE names both protocols
 * when they differ, and the first error of a daemon that did not start.
 */
VmnetClient *vmnet_client_connect(VmnetConnectFlags flags, GError **error);

/** vmnet_client_free: close the connection.  (nullable) */
void vmnet_client_free(VmnetClient *client);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmnetClient, vmnet_client_free)

/**
 * vmnet_client_command: execute a QMP command.
 * @name: such as "query-netdevs"
 * @arguments: (nullable): its arguments, a JSON object
 *
 * Returns: (transfer full): what it returned, as JSON; NULL with the daemon's
 * error text in @error.
 */
char *vmnet_client_command(VmnetClient *client, const char *name,
                           const char *arguments, GError **error);

/**
 * vmnet_client_send_fd: hand a descriptor to the daemon, under a name that a
 * later command consumes (QMP's getfd).  The caller keeps its own copy.
 */
gboolean vmnet_client_send_fd(VmnetClient *client, const char *name, int fd,
                              GError **error);

/**
 * vmnet_client_get_notice: something that the user should be told, such as
 * that the daemon is of another build.
 *
 * Returns: (transfer none) (nullable)
 */
const char *vmnet_client_get_notice(const VmnetClient *client);

/**
 * vmnet_client_get_version: the daemon's version, such as "0.1.0".
 *
 * Returns: (transfer none)
 */
const char *vmnet_client_get_version(const VmnetClient *client);

G_END_DECLS

#endif
