/*
 * What the tools use of libvmnet beyond its public headers: JSON values, and
 * single messages
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef LIBVMNET_CLIENT_PRIVATE_H
#define LIBVMNET_CLIENT_PRIVATE_H

#include <stdbool.h>

#include "qapi/json.h"
#include "vmnet/client.h"
#include "vmnet/interface.h"

/**
 * vmnet_client_execute: execute a QMP command.
 * @args: (transfer full) (nullable): its arguments
 *
 * Events that arrive meanwhile are dropped.
 *
 * Returns: (transfer full): an empty dict for commands without a result; NULL
 * with the daemon's error text, or that the connection broke.
 */
JsonValue *vmnet_client_execute(VmnetClient *client, const char *command,
                                JsonValue *args, GError **error);

/**
 * vmnet_client_send: send one message as it is.
 * @fd: sent along by SCM_RIGHTS; -1 for none
 */
bool vmnet_client_send(VmnetClient *client, const JsonValue *message, int fd,
                       GError **error);

/**
 * vmnet_client_receive: the next message, be it an answer or an event.
 * @timeout_ms: how long to wait; 0 only looks
 *
 * Returns: (transfer full): NULL with @error, or without if time is up.
 */
JsonValue *vmnet_client_receive(VmnetClient *client, int timeout_ms,
                                GError **error);

/**
 * vmnet_client_new: a client on a connection that has not been greeted yet.
 * @fd: (transfer full)
 * @path: of the socket, for messages
 */
VmnetClient *vmnet_client_new(int fd, const char *path);

/**
 * vmnet_client_greet: wait for the greeting, negotiate, check the protocol.
 * @deadline_us: see deadline.h
 */
bool vmnet_client_greet(VmnetClient *client, int64_t deadline_us,
                        GError **error);

/** vmnet_client_is_lost: the connection ended before the greeting was over. */
bool vmnet_client_is_lost(const VmnetClient *client);

/** vmnet_client_get_fd: to poll before vmnet_client_receive(). */
int vmnet_client_get_fd(const VmnetClient *client);

/**
 * vmnet_interface_start_json: vmnet_interface_start() (or, with @by_path,
 * vmnet_interface_start_path()) with the arguments of netdev_add.
 * @netdev: (transfer full)
 */
VmnetInterface *vmnet_interface_start_json(VmnetClient *client,
                                           JsonValue *netdev, VmnetPort port,
                                           bool by_path, GError **error);

#endif
