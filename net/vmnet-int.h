/*
 * What the parts of the vmnet netdevs on Linux share
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef NET_VMNET_INT_H
#define NET_VMNET_INT_H

#include "net/announce.h"
#include "net/net.h"
#include "qapi/qapi-types-vmnet.h"
#include "qemu/queue.h"
#include "vmnet-core.h"

/**
 * VmnetKnown: what vmnetd has told of a netdev and its network.
 * @name: the netdev, as others see it: VM/ID
 */
typedef struct VmnetKnown {
    char *name;
    char *network;
    char *subnet;
    char *gateway;
    char *ipv6_prefix;
    char *mac;
    char *address;
    uint32_t mtu_bytes;
    LeaseInfoList *leases;
    ForwardInfoList *forwards;
} VmnetKnown;

/**
 * VmnetNetdev: lives from before its client is registered until that is gone.
 * @nc: NULL before
 * @fds: that are watched; -1: none
 * @user_down: set_link was used on it
 */
typedef struct VmnetNetdev {
    NetClientState *nc;
    VmnetCore *core;
    VmnetKnown known;
    int fds[VMNET_CORE_WATCH__MAX];
    QEMUTimer *timer;
    QEMUBH *bh;
    VMChangeStateEntry *change;
    AnnounceTimer announce;
    bool user_down;
    QLIST_ENTRY(VmnetNetdev) next;
} VmnetNetdev;

/** VmnetNetClient: what QEMU allocates; its netdev goes before it does. */
typedef struct VmnetNetClient {
    NetClientState nc;
    VmnetNetdev *netdev;
} VmnetNetClient;

/* Since 8.2 there is segmentation of UDP. */
#if QEMU_VERSION_MAJOR > 8 \
    || (QEMU_VERSION_MAJOR == 8 && QEMU_VERSION_MINOR >= 2)
#define VMNET_HAS_USO
#define VMNET_USO_HOOK .has_uso = vmnet_has_vnet_hdr,
#else
#define VMNET_USO_HOOK
#endif
/* What a NetClientInfo has of vmnet-offload.c */
#define VMNET_OFFLOAD_HOOKS                                 \
    .has_vnet_hdr = vmnet_has_vnet_hdr,                     \
    .has_vnet_hdr_len = vmnet_has_vnet_hdr_len,             \
    .set_vnet_hdr_len = vmnet_set_vnet_hdr_len,             \
    .set_offload = vmnet_set_offload,                       \
    VMNET_USO_HOOK

bool vmnet_has_vnet_hdr(NetClientState *nc);
bool vmnet_has_vnet_hdr_len(NetClientState *nc, int len);
void vmnet_set_vnet_hdr_len(NetClientState *nc, int len);
SetOffload vmnet_set_offload;

/**
 * vmnet_options_to_json: (transfer full): for vmnetd's netdev_add; with an id
 * and a name of the machine that it takes.
 */
char *vmnet_options_to_json(const Netdev *netdev, const char *name);
/**
 * vmnet_may_start_daemon: false with -sandbox spawn=deny: to fork would be
 * the end of this process.
 */
bool vmnet_may_start_daemon(void);

/** vmnet_netdev_next: the one after @netdev; NULL: the first. */
VmnetNetdev *vmnet_netdev_next(VmnetNetdev *netdev);

/** vmnet_netdev_update_info: say in `info network` what is known. */
void vmnet_netdev_update_info(VmnetNetdev *netdev);

/** vmnet_known_refresh: ask vmnetd; it is up, or something has changed. */
void vmnet_known_refresh(VmnetNetdev *netdev);
/** vmnet_known_event: vmnetd has told something. */
void vmnet_known_event(VmnetNetdev *netdev, const char *name, const char *data);
void vmnet_known_clear(VmnetNetdev *netdev);

#endif
