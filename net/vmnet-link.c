/*
 * The link of a vmnet netdev: up while vmnetd has it, and set_link lets it be
 *
 * With vhost=on the link is QEMU's own vhost-user's affair.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "vmnet-int.h"
#if QEMU_VERSION_MAJOR >= 10
#include "system/runstate.h"
#else
#include "sysemu/runstate.h"
#endif

/* Switches and neighbours learn again where the guest is. */
static void vmnet_announce(VmnetNetdev *netdev)
{
    NetClientState *nc = netdev->nc;
    strList nic = { .value = nc->peer->name };
    AnnounceParameters params = {
        .initial = 50, .max = 550, .rounds = 5, .step = 100,
        .has_interfaces = true, .interfaces = &nic,
    };

    if (nc->peer->info->type == NET_CLIENT_DRIVER_NIC
        && runstate_is_running()) {
        qemu_announce_self(&netdev->announce, &params);
    }
}

void vmnet_set_link(VmnetNetdev *netdev)
{
    NetClientState *nc = netdev->nc;
    bool up = vmnet_core_get_state(netdev->core) == VMNET_CORE_RUNNING;

    if (netdev->vhost) {
        return;
    }
    nc->link_down = !up || netdev->user_down;
    if (nc->peer && nc->peer->info->type == NET_CLIENT_DRIVER_NIC
        && nc->peer->link_down != nc->link_down) {
        nc->peer->link_down = nc->link_down;
        if (nc->peer->info->link_status_changed) {
            nc->peer->info->link_status_changed(nc->peer);
        }
    }
}

/*
 * Since 10.0, a client that is deleted stays for as long as its NIC does, which
 * has no link from then on.  Nothing tells the client; and QEMU's vhost-user
 * must not lose its connection then, since it would look for it by its name.
 */
bool vmnet_end_if_deleted(VmnetNetdev *netdev)
{
    NetClientState *nic = netdev->nc->peer;

    if (!nic || nic->info->type != NET_CLIENT_DRIVER_NIC
        || !qemu_get_nic(nic)->peer_deleted) {
        return false;
    }
    if (!netdev->vhost) {
        vmnet_core_stop(netdev->core);
    }
    return true;
}

void vmnet_link(void *opaque, bool up, bool again)
{
    VmnetNetdev *netdev = opaque;

    if (!up) {
        vmnet_known_clear(netdev);
    }
    if (netdev->nc) {
        vmnet_set_link(netdev);
        vmnet_netdev_update_info(netdev);
    }
    if (up) {
        vmnet_known_refresh(netdev);
    }
    if (up && again && netdev->vhost && netdev->nc) {
        vmnet_vhost_check_socket(netdev);
    } else if (up && again && netdev->nc && netdev->nc->peer) {
        vmnet_announce(netdev);
    }
}

void vmnet_link_status_changed(NetClientState *nc)
{
    VmnetNetdev *netdev = DO_UPCAST(VmnetNetClient, nc, nc)->netdev;

    netdev->user_down = nc->link_down;
    nc->link_down |= vmnet_core_get_state(netdev->core)
                     != VMNET_CORE_RUNNING;
}
