/*
 * libvmnet: networks for virtual machines, as macOS has them
 *
 *     g_autoptr(GError) error = NULL;
 *     g_autoptr(VmnetClient) client =
 *         vmnet_client_connect(VMNET_CONNECT_START, VMNET_CONNECT_TIMEOUT_MS,
 *                              &error);
 *     g_autoptr(VmnetInterface) interface =
 *         vmnet_interface_start(client, "vmnet-shared,id=net0",
 *                               VMNET_PORT_STREAM, 0, 0,
 *                               VMNET_COMMAND_TIMEOUT_MS, &error);
 *     int fd = vmnet_interface_steal_fd(interface);
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VMNET_VMNET_H
#define VMNET_VMNET_H

#include <vmnet/client.h>
#include <vmnet/error.h>
#include <vmnet/interface.h>
#include <vmnet/network.h>

#endif
