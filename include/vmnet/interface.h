/*
 * Interfaces: how a virtual machine is on a network
 *
 * An interface is what Apple's vmnet calls by that name and vmnetd calls a
 * netdev.  It is described in the words of `-netdev`:
 *
 *     vmnet-shared,id=net0,isolated=on
 *
 * and reached by a socket that carries Ethernet frames: either a connected one
 * (for a VMM that takes a descriptor) or a path that the daemon listens on
 * (for one that connects, and may come back after the daemon went).
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VMNET_INTERFACE_H
#define VMNET_INTERFACE_H

#include <glib.h>

#include <vmnet/client.h>

G_BEGIN_DECLS

/**
 * VmnetPort: framing of the socket.
 * @VMNET_PORT_STREAM: SOCK_STREAM: 32 bit big-endian length, then the frame.
 * @VMNET_PORT_DGRAM: SOCK_DGRAM: a frame a datagram.
 */
typedef enum VmnetPort {
    VMNET_PORT_STREAM,
    VMNET_PORT_DGRAM,
} VmnetPort;

typedef struct VmnetInterface VmnetInterface;

/**
 * vmnet_interface_start: make an interface with a connected socket.
 * @options: key=value,... or JSON, as after `-netdev`; `id` is needed.  With
 *     lifetime=export the interface stays until the socket is closed, else
 *     until @client is.
 *
 * Returns: (transfer full): NULL with @error; nothing is left behind then.
 */
VmnetInterface *vmnet_interface_start(VmnetClient *client, const char *options,
                                      VmnetPort port, GError **error);

/**
 * vmnet_interface_start_path: make an interface whose socket is a path.
 */
VmnetInterface *vmnet_interface_start_path(VmnetClient *client,
                                           const char *options, VmnetPort port,
                                           GError **error);

/**
 * vmnet_interface_stop: end it now, whatever its lifetime; it has still to be
 * freed.
 */
gboolean vmnet_interface_stop(VmnetInterface *interface, VmnetClient *client,
                              GError **error);

/**
 * vmnet_interface_free: forget it, and close the socket if it was not taken.
 * (nullable)
 */
void vmnet_interface_free(VmnetInterface *interface);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmnetInterface, vmnet_interface_free)

/**
 * vmnet_interface_steal_fd: the socket, CLOEXEC and blocking; the caller owns
 * it from now on.
 *
 * Returns: -1 if the interface has a path, or the socket was taken before.
 */
int vmnet_interface_steal_fd(VmnetInterface *interface);

/** vmnet_interface_get_path: (nullable): absolute path of the socket. */
const char *vmnet_interface_get_path(const VmnetInterface *interface);
/** vmnet_interface_get_mac: (nullable): the address that the guest is expected
 * to use, as 52:54:00:xx:xx:xx. */
const char *vmnet_interface_get_mac(const VmnetInterface *interface);
/** vmnet_interface_get_network: name of the network. */
const char *vmnet_interface_get_network(const VmnetInterface *interface);
/** vmnet_interface_get_subnet: (nullable): such as 192.168.107.0/24. */
const char *vmnet_interface_get_subnet(const VmnetInterface *interface);
/** vmnet_interface_get_mtu: in bytes, without the Ethernet header. */
guint32 vmnet_interface_get_mtu(const VmnetInterface *interface);
/** vmnet_interface_get_max_packet_size: largest frame, in bytes. */
guint32 vmnet_interface_get_max_packet_size(const VmnetInterface *interface);

G_END_DECLS

#endif
