/*
 * vhost=on: the frames of a vmnet netdev go past QEMU
 *
 * Theory of operation
 *
 *   vmnet-core --- control socket --- vmnetd     the netdev, leases, forwards
 *   vhost-user --- chardev --- its socket        rings in guest memory
 *
 * vmnetd makes the netdev as ever, but with a vhost-user socket.  What QEMU has
 * for that is made under the netdev's name, and is its client: devices and
 * monitors find it.  Its NetClientInfo is copied, for the end of it to be the
 * end of ours.  A vmnetd that was lost is found again by the core, which makes
 * the netdev again, hence the socket; the chardev connects to it by itself.
 *
 * QEMU's vhost-user waits without end for a socket.  That is therefore asked
 * first, in time, and the chardev made without reconnecting, which it learns
 * once all is up.  Nor does the chardev wait for answers as long as QEMU's own.
 *
 * Guest memory has to be shared.  On a command line netdevs are made before
 * memory is, so that is looked at when the machine is complete.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "chardev/char.h"
#include "clients.h"
#include "hw/virtio/virtio.h"
#include "net/vhost_net.h"
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "vmnet-int.h"
#include "vmnet-probe.h"
#if QEMU_VERSION_MAJOR >= 10
#include "system/hostmem.h"
#include "system/system.h"
#else
#include "sysemu/hostmem.h"
#include "sysemu/sysemu.h"
#endif

#define NEEDS_SHARED "netdev '%s': vhost=on needs shared guest memory " \
                     "(-object memory-backend-memfd,share=on)"

/* Returns: 1 for a backend in use that no other process can map */
static int count_memory(Object *object, void *opaque)
{
    HostMemoryBackend *backend = (HostMemoryBackend *)
        object_dynamic_cast(object, TYPE_MEMORY_BACKEND);
    unsigned *n_shared = opaque;
    MemoryRegion *region;

    if (!backend || !host_memory_backend_is_mapped(backend)) {
        return 0;
    }
    region = host_memory_backend_get_memory(backend);
    if (memory_region_get_fd(region) < 0
        || !qemu_ram_is_shared(region->ram_block)) {
        return 1;
    }
    ++*n_shared;
    return 0;
}

static bool memory_is_shared(void)
{
    unsigned n_shared = 0;

    return !object_child_foreach_recursive(object_get_objects_root(),
                                           count_memory, &n_shared)
           && n_shared;
}

static void machine_is_complete(Notifier *notifier, void *opaque)
{
    VmnetNetdev *netdev = NULL;

    while ((netdev = vmnet_netdev_next(netdev))) {
        if (netdev->vhost && !memory_is_shared()) {
            error_report(NEEDS_SHARED, netdev->nc->name);
            exit(1);
        }
    }
}

bool vmnet_vhost_choose(const Netdev *options, const char *name,
                        NetClientState *peer, VmnetVhost *ret_choice,
                        Error **errp)
{
    VmnetVhost wish = vmnet_options_vhost(options);
    bool late = phase_check(PHASE_MACHINE_READY);
    bool has_nic = name && !peer;

    if (wish == VMNET_VHOST_AUTO
        && (!late || !has_nic || !memory_is_shared())) {
        wish = VMNET_VHOST_OFF;
    }
    if (wish == VMNET_VHOST_ON && !has_nic) {
        error_setg(errp, "vhost=on needs -netdev or -nic: a hub is no NIC");
        return false;
    }
    if (wish == VMNET_VHOST_ON && late && !memory_is_shared()) {
        error_setg(errp, NEEDS_SHARED, name);
        return false;
    }
    *ret_choice = wish;
    return true;
}

#ifdef CONFIG_VHOST_NET_USER

static NetClientInfo vhost_info;
static void (*vhost_cleanup)(NetClientState *nc);

static ssize_t drop(NetClientState *nc, const uint8_t *frame, size_t size)
{
    return size;
}

/*
 * In 7.2, not in 10.0, a client that has been cleaned up stays the peer of its
 * NIC, whose next reset ends QEMU if that peer is of vhost-user.
 */
static NetClientInfo gone_info = {
    .type = NET_CLIENT_DRIVER_VMNET_SHARED,
    .size = sizeof(NetClientState),
    .receive = drop,
};

static void vmnet_vhost_cleanup(NetClientState *nc)
{
    VmnetNetdev *netdev = vmnet_netdev_of(nc);

    vhost_cleanup(nc);
    nc->info = &gone_info;
    if (netdev) {
        vmnet_netdev_end(netdev);
    }
}

/*
 * Before 8.0, QEMU's vhost-user begins anew with the features that the guest
 * had taken when the connection ended, whatever it has taken since.
 */
static void vmnet_vhost_link(NetClientState *nc)
{
#if QEMU_VERSION_MAJOR < 8
    if (!nc->link_down && nc->peer && get_vhost_net(nc)) {
        VirtIODevice *vdev = VIRTIO_DEVICE(qemu_get_nic_opaque(nc->peer));

        vhost_net_ack_features(get_vhost_net(nc), vdev->guest_features);
    }
#endif
}

/* Let @nc be as QEMU has made it, but for its link and its end. */
static void adopt(NetClientState *nc)
{
    if (!vhost_cleanup) {
        vhost_info = *nc->info;
        vhost_cleanup = vhost_info.cleanup;
        vhost_info.cleanup = vmnet_vhost_cleanup;
        vhost_info.link_status_changed = vmnet_vhost_link;
    }
    nc->info = &vhost_info;
}

/* QEMU's own netdev, which consumes @chardev. */
static bool init_vhost_user(Chardev *chardev, const char *name, Error **errp)
{
    Netdev options = {
        .id = (char *)name, .type = NET_CLIENT_DRIVER_VHOST_USER,
        .u.vhost_user.chardev = chardev->label,
    };
    Error *error = NULL;

    if (net_init_vhost_user(&options, name, NULL, &error) == 0) {
        return true;
    }
    /* Some of its errors it has printed instead. */
    if (!error) {
        error_setg(&error, "netdev '%s': vhost-user could not be set up", name);
    }
    error_propagate(errp, error);
    return false;
}

bool vmnet_vhost_attach(VmnetNetdev *netdev, const char *name, int64_t end_ms,
                        Error **errp)
{
    static Notifier complete = { .notify = machine_is_complete };
    const char *path = vmnet_core_get_path(netdev->core);
    g_autoptr(GError) error = NULL;
    Chardev *chardev;

    if (!vmnet_probe_vhost_user(path, vmnet_left_ms(end_ms), &error)) {
        error_setg(errp, "netdev '%s': %s", name, error->message);
        return false;
    }
    chardev = vmnet_chardev_new(path, name, errp);
    if (!chardev || !init_vhost_user(chardev, name, errp)) {
        return false;
    }
    netdev->socket = g_strdup(path);
    netdev->nc = qemu_find_netdev(name);
    vmnet_chardev_attached(chardev, netdev->nc);
    adopt(netdev->nc);
    if (!complete.node.le_prev) {
        qemu_add_machine_init_done_notifier(&complete);
    }
    return true;
}

#else

bool vmnet_vhost_attach(VmnetNetdev *netdev, const char *name, int64_t end_ms,
                        Error **errp)
{
    error_setg(errp, "netdev '%s': this QEMU has no vhost-user", name);
    return false;
}

#endif

void vmnet_vhost_check_socket(VmnetNetdev *netdev)
{
    const char *path = vmnet_core_get_path(netdev->core);

    if (strcmp(path, netdev->socket)) {
        error_report("netdev '%s': vmnetd has moved its socket from '%s' to "
                     "'%s': delete and add it again", netdev->nc->name,
                     netdev->socket, path);
    }
}
