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
 * vmnet_client_execute: execute a QMP command and wait for its answer, at most
 * %VMNET_COMMAND_TIMEOUT_MS.
 * @args: (transfer full) (nullable): its arguments
 *
 * Returns: (transfer full): an empty dict for commands without a result; NULL
 * with the daemon's error text, or that the connection broke.
 */
JsonValue *vmnet_client_execute(VmnetClient *client, const char *command,
                                JsonValue *args, GError **error);

/** vmnet_client_send: send one message as it is. */
bool vmnet_client_send(VmnetClient *client, const JsonValue *message,
                       GError **error);

/**
 * vmnet_client_receive: the next message, be it an answer or an event.  Not
 * together with vmnet_client_dispatch(), which would take it.
 * @timeout_ms: how long to wait; 0 only looks
 *
 * Returns: (transfer full): NULL with @error, or without if time is up.
 */
JsonValue *vmnet_client_receive(VmnetClient *client, int timeout_ms,
                                GError **error);

/**
 * vmnet_interface_start_json: vmnet_interface_start() with the arguments of
 * netdev_add.
 * @netdev: (transfer full)
 */
VmnetInterface *vmnet_interface_start_json(VmnetClient *client,
                                           JsonValue *netdev, VmnetPort port,
                                           VmnetInterfaceFlags flags,
                                           GError **error);

#endif
