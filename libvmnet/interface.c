/*
 * What an interface is
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <unistd.h>

#include "libvmnet/interface-int.h"

VmnetInterface *vmnet_interface_ref(VmnetInterface *interface)
{
    refs_inc(&interface->refs);
    return interface;
}

void vmnet_interface_unref(VmnetInterface *interface)
{
    if (!interface || !refs_dec(&interface->refs)) {
        return;
    }
    interface_cancel(interface);
    if (interface->client) {
        client_call_forget(interface->client, interface);
        vmnet_client_unref(interface->client);
    }
    interface_io_clear(interface);
    if (interface->fd >= 0) {
        close(interface->fd);
    }
    if (interface->peer_fd >= 0) {
        close(interface->peer_fd);
    }
    g_free(interface->id);
    g_free(interface->path);
    g_free(interface->mac);
    g_free(interface->network);
    g_free(interface->subnet);
    g_free(interface);
}

VmnetInterfaceState vmnet_interface_get_state(const VmnetInterface *interface)
{
    if (g_atomic_int_get(&interface->io.ended)) {
        return VMNET_INTERFACE_GONE;
    }
    return g_atomic_int_get(&interface->state);
}

int vmnet_interface_steal_fd(VmnetInterface *interface)
{
    int fd = interface->fd;

    if (interface->port == VMNET_PORT_PACKETS) {
        return -1;
    }
    interface->fd = -1;
    return fd;
}

const char *vmnet_interface_get_id(const VmnetInterface *interface)
{
    return interface->id;
}

const char *vmnet_interface_get_path(const VmnetInterface *interface)
{
    return interface->path;
}

const char *vmnet_interface_get_mac(const VmnetInterface *interface)
{
    return interface->mac;
}

const char *vmnet_interface_get_network(const VmnetInterface *interface)
{
    return interface->network;
}

const char *vmnet_interface_get_subnet(const VmnetInterface *interface)
{
    return interface->subnet;
}

guint32 vmnet_interface_get_mtu(const VmnetInterface *interface)
{
    return interface->mtu_bytes;
}

guint32 vmnet_interface_get_max_packet_size(const VmnetInterface *interface)
{
    const guint32 headers = ETHERNET_HEADER_BYTES + VLAN_TAG_BYTES;

    if (interface->flags & VMNET_INTERFACE_VIRTIO_HEADER) {
        return PACKET_BYTES_MAX + headers + VMNET_VIRTIO_HEADER_BYTES;
    }
    return interface->mtu_bytes + headers;
}
