/*
 * What the parts of the vmnet netdevs on Linux share
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef NET_VMNET_INT_H
#define NET_VMNET_INT_H

#include "chardev/char.h"
#include "net/announce.h"
#include "net/net.h"
#include "qapi/qapi-types-vmnet.h"
#include "qemu/queue.h"
#include "qemu/timer.h"
#include "vmnet-core.h"
#if QEMU_VERSION_MAJOR >= 11
#include "hw/core/qdev.h"
#else
#include "hw/qdev-core.h"
#endif

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
 * @type: the mode; with @vhost that of @nc is vhost-user
 * @vhost: frames go through guest memory, past QEMU
 * @socket: with @vhost: the one that QEMU is connected to
 * @fds: that are watched; -1: none
 * @user_down: set_link was used on it
 */
typedef struct VmnetNetdev {
    NetClientState *nc;
    NetClientDriver type;
    bool vhost;
    char *socket;
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

/**
 * vmnet_options_vhost: what was written, else off.
 */
VmnetVhost vmnet_options_vhost(const Netdev *netdev);

/**
 * vmnet_vhost_choose: what vhost= comes to for a netdev that is made now.
 * @ret_choice: AUTO: to be tried
 *
 * Returns: false with @errp where it cannot be on.  Where that shows later,
 * when the machine is complete, it ends QEMU with the same error.
 */
bool vmnet_vhost_choose(const Netdev *options, const char *name,
                        NetClientState *peer, VmnetVhost *ret_choice,
                        Error **errp);
/**
 * vmnet_vhost_attach: hand the data path of a netdev whose core runs to QEMU's
 * own vhost-user, which becomes its client.
 */
bool vmnet_vhost_attach(VmnetNetdev *netdev, const char *name, int64_t end_ms,
                        Error **errp);
/**
 * vmnet_chardev_new: a socket that gives up when vmnetd does not answer; for a
 * netdev of this name, connected to @path.
 */
Chardev *vmnet_chardev_new(const char *path, const char *name, Error **errp);
/** vmnet_chardev_attached: it is @nc's, and connects again from now on. */
void vmnet_chardev_attached(Chardev *chr, NetClientState *nc);
/** vmnet_vhost_check_socket: vmnetd is back: whether QEMU finds it there. */
void vmnet_vhost_check_socket(VmnetNetdev *netdev);

/** vmnet_set_link: follow the core, and what the user has set. */
void vmnet_set_link(VmnetNetdev *netdev);
/** vmnet_end_if_deleted: whether @netdev is only there for its NIC. */
bool vmnet_end_if_deleted(VmnetNetdev *netdev);
/** vmnet_link: VmnetCoreOps.link */
void vmnet_link(void *opaque, bool up, bool again);
/** vmnet_link_status_changed: NetClientInfo's: set_link was used, on us. */
void vmnet_link_status_changed(NetClientState *nc);

/** vmnet_left_ms: until @end_ms of the realtime clock, or 0. */
static inline int vmnet_left_ms(int64_t end_ms)
{
    return MAX(end_ms - qemu_clock_get_ms(QEMU_CLOCK_REALTIME), 0);
}

/** vmnet_netdev_end: its client is gone: forget it, in vmnetd too. */
void vmnet_netdev_end(VmnetNetdev *netdev);
/**
 * vmnet_netdev_next: the one after @netdev; NULL: the first.
 *
 * One that was deleted is not among them; what it has in vmnetd ends then.
 */
VmnetNetdev *vmnet_netdev_next(VmnetNetdev *netdev);
/** vmnet_netdev_of: the one of this client, deleted or not; or NULL. */
VmnetNetdev *vmnet_netdev_of(const NetClientState *nc);

/** vmnet_netdev_update_info: say in `info network` what is known. */
void vmnet_netdev_update_info(VmnetNetdev *netdev);

/** vmnet_known_refresh: ask vmnetd; it is up, or something has changed. */
void vmnet_known_refresh(VmnetNetdev *netdev);
/** vmnet_known_event: vmnetd has told something. */
void vmnet_known_event(VmnetNetdev *netdev, const char *name, const char *data);
void vmnet_known_clear(VmnetNetdev *netdev);

#endif
