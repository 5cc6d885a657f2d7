/*
 * What a NIC and vmnetd may leave to each other
 *
 * vmnetd takes frames whose checksum is missing, or that are to be cut, from
 * all, and gives such to those that take them.  A NIC that uses this puts a
 * virtio_net_hdr before its frames; the core has one before vmnetd's, always.
 * A NIC may outlive its netdev, and has nobody to tell then.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "standard-headers/linux/virtio_net.h"
#include "vmnet-int.h"

bool vmnet_has_vnet_hdr(NetClientState *nc)
{
    return true;
}

/* A longer one would be for the hashes of packets, which vmnetd has not. */
bool vmnet_has_vnet_hdr_len(NetClientState *nc, int len)
{
    return len == sizeof(struct virtio_net_hdr)
           || len == sizeof(struct virtio_net_hdr_mrg_rxbuf);
}

void vmnet_set_vnet_hdr_len(NetClientState *nc, int len)
{
    VmnetNetdev *netdev = DO_UPCAST(VmnetNetClient, nc, nc)->netdev;

    if (netdev) {
        vmnet_core_set_header_len(netdev->core, len);
    }
}

static void set_offloads(NetClientState *nc, bool csum, bool tso4, bool tso6,
                         bool ecn, bool uso)
{
    VmnetNetdev *netdev = DO_UPCAST(VmnetNetClient, nc, nc)->netdev;

    if (netdev) {
        vmnet_core_set_offloads(netdev->core,
                                (csum ? VMNET_OFFLOAD_CSUM : 0)
                                | (tso4 ? VMNET_OFFLOAD_TSO4 : 0)
                                | (tso6 ? VMNET_OFFLOAD_TSO6 : 0)
                                | (ecn ? VMNET_OFFLOAD_ECN : 0)
                                | (uso ? VMNET_OFFLOAD_USO : 0));
    }
}

#if QEMU_VERSION_MAJOR > 10 \
    || (QEMU_VERSION_MAJOR == 10 && QEMU_VERSION_MINOR >= 2)
void vmnet_set_offload(NetClientState *nc, const NetOffloads *offloads)
{
    set_offloads(nc, offloads->csum, offloads->tso4, offloads->tso6,
                 offloads->ecn, offloads->uso4 && offloads->uso6);
}
#elif defined(VMNET_HAS_USO)
void vmnet_set_offload(NetClientState *nc, int csum, int tso4, int tso6,
                       int ecn, int ufo, int uso4, int uso6)
{
    set_offloads(nc, csum, tso4, tso6, ecn, uso4 && uso6);
}
#else
void vmnet_set_offload(NetClientState *nc, int csum, int tso4, int tso6,
                       int ecn, int ufo)
{
    set_offloads(nc, csum, tso4, tso6, ecn, false);
}
#endif
