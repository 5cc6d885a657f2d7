/*
 * The vmnet netdevs on Linux: vmnet-core.c inside a NetClientState
 *
 * The three modes differ in their options only, which vmnetd looks at: they
 * are passed on as they were written.
 *
 * A netdev is registered after vmnetd has made it, so that one that is refused
 * leaves nothing behind.  While the machine is being made that may take
 * VMNET_CORE_START_MS.  Later nothing waits longer than VMNET_CORE_WAIT_MS: a
 * netdev that is not made by then exists with its link down.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "clients.h"
#include "net/eth.h"
#include "qapi/error.h"
#include "qemu/iov.h"
#include "qemu/main-loop.h"
#include "vmnet-int.h"
#if QEMU_VERSION_MAJOR >= 10
#include "system/runstate.h"
#else
#include "sysemu/runstate.h"
#endif

static QLIST_HEAD(, VmnetNetdev) netdevs = QLIST_HEAD_INITIALIZER(netdevs);

VmnetNetdev *vmnet_netdev_next(VmnetNetdev *netdev)
{
    do {
        netdev = netdev ? QLIST_NEXT(netdev, next) : QLIST_FIRST(&netdevs);
    } while (netdev && vmnet_end_if_deleted(netdev));
    return netdev;
}

VmnetNetdev *vmnet_netdev_of(const NetClientState *nc)
{
    VmnetNetdev *netdev = QLIST_FIRST(&netdevs);

    while (netdev && netdev->nc != nc) {
        netdev = QLIST_NEXT(netdev, next);
    }
    return netdev;
}

void vmnet_netdev_update_info(VmnetNetdev *netdev)
{
    g_autofree char *text = vmnet_core_describe(netdev->core);

    if (netdev->nc) {
        qemu_set_info_str(netdev->nc, "%s%s%s", text,
                          netdev->known.address ? ",address=" : "",
                          netdev->known.address ?: "");
    }
}

static void vmnet_frames_ready(void *opaque)
{
    VmnetNetdev *netdev = opaque;

    vmnet_core_dispatch(netdev->core, VMNET_CORE_FRAMES);
}

static void vmnet_control_ready(void *opaque)
{
    VmnetNetdev *netdev = opaque;

    vmnet_core_dispatch(netdev->core, VMNET_CORE_CONTROL);
}

static void vmnet_watch(void *opaque, VmnetCoreWatch which, int fd)
{
    VmnetNetdev *netdev = opaque;

    if (netdev->fds[which] >= 0) {
        qemu_set_fd_handler(netdev->fds[which], NULL, NULL, NULL);
    }
    netdev->fds[which] = fd;
    if (fd >= 0) {
        qemu_set_fd_handler(fd, which == VMNET_CORE_FRAMES
                                ? vmnet_frames_ready : vmnet_control_ready,
                            NULL, netdev);
    }
}

static void vmnet_timer(void *opaque)
{
    VmnetNetdev *netdev = opaque;

    vmnet_core_timeout(netdev->core);
    vmnet_netdev_update_info(netdev);
}

static void vmnet_set_timer(void *opaque, int delay_ms)
{
    VmnetNetdev *netdev = opaque;

    if (delay_ms < 0) {
        timer_del(netdev->timer);
    } else {
        timer_mod(netdev->timer,
                  qemu_clock_get_ms(QEMU_CLOCK_REALTIME) + delay_ms);
    }
}

static void vmnet_bh(void *opaque)
{
    vmnet_core_work(((VmnetNetdev *)opaque)->core);
}

static void vmnet_schedule(void *opaque)
{
    VmnetNetdev *netdev = opaque;

    qemu_bh_schedule(netdev->bh);
}

static void vmnet_sent(NetClientState *nc, ssize_t len)
{
    VmnetNetdev *netdev = DO_UPCAST(VmnetNetClient, nc, nc)->netdev;

    /* Without one it was purged. */
    if (netdev) {
        vmnet_core_receive_again(netdev->core);
    }
}

static bool vmnet_receive(void *opaque, const uint8_t *frame, size_t size)
{
    VmnetNetdev *netdev = opaque;
    NetClientState *nc = netdev->nc;
    uint8_t padded[ETH_ZLEN];
    size_t padded_size = sizeof(padded);

    if (!nc->vnet_hdr_len && net_peer_needs_padding(nc)
        && eth_pad_short_frame(padded, &padded_size, frame, size)) {
        frame = padded;
        size = padded_size;
    }
    return qemu_send_packet_async(nc, frame, size, vmnet_sent) != 0;
}

static ssize_t vmnet_receive_iov(NetClientState *nc, const struct iovec *iov,
                                 int iovcnt)
{
    VmnetNetdev *netdev = DO_UPCAST(VmnetNetClient, nc, nc)->netdev;

    return vmnet_core_send(netdev->core, iov, iovcnt)
           ? iov_size(iov, iovcnt) : 0;
}

/* Announcements, which have no header; later versions give them one. */
static ssize_t vmnet_receive_raw(NetClientState *nc, const uint8_t *frame,
                                 size_t size)
{
    uint8_t header[VMNET_CORE_HEADER_BYTES] = { 0 };
    struct iovec iov[] = {
        { header, nc->vnet_hdr_len }, { (void *)frame, size },
    };

    return vmnet_receive_iov(nc, iov, G_N_ELEMENTS(iov)) ? size : 0;
}

static void vmnet_room(void *opaque)
{
    VmnetNetdev *netdev = opaque;

    if (netdev->nc) {
        qemu_flush_queued_packets(netdev->nc);
    }
}

static void vmnet_event(void *opaque, const char *name, const char *data)
{
    VmnetNetdev *netdev = opaque;

    vmnet_known_event(netdev, name, data);
}

static const VmnetCoreOps vmnet_ops = {
    .watch = vmnet_watch,
    .set_timer = vmnet_set_timer,
    .schedule = vmnet_schedule,
    .receive = vmnet_receive,
    .room = vmnet_room,
    .link = vmnet_link,
    .event = vmnet_event,
};

static void vmnet_vm_changed(void *opaque, bool running, RunState state)
{
    VmnetNetdev *netdev = opaque;

    vmnet_core_set_receiving(netdev->core, running);
}

static void vmnet_netdev_free(VmnetNetdev *netdev)
{
    if (netdev->change) {
        qemu_del_vm_change_state_handler(netdev->change);
    }
    vmnet_core_free(netdev->core);
    vmnet_known_clear(netdev);
    qemu_announce_timer_del(&netdev->announce, false);
    timer_free(netdev->timer);
    qemu_bh_delete(netdev->bh);
    g_free(netdev->socket);
    g_free(netdev);
}

void vmnet_netdev_end(VmnetNetdev *netdev)
{
    QLIST_REMOVE(netdev, next);
    netdev->nc = NULL;
    vmnet_netdev_free(netdev);
}

static void vmnet_cleanup(NetClientState *nc)
{
    VmnetNetClient *s = DO_UPCAST(VmnetNetClient, nc, nc);
    VmnetNetdev *netdev = g_steal_pointer(&s->netdev);

    if (netdev) {
        qemu_purge_queued_packets(nc);
        vmnet_netdev_end(netdev);
    }
}

#define VMNET_INFO(mode) {                                  \
    .type = NET_CLIENT_DRIVER_VMNET_##mode,                 \
    .size = sizeof(VmnetNetClient),                             \
    .receive = vmnet_receive_raw,                           \
    .receive_iov = vmnet_receive_iov,                       \
    .link_status_changed = vmnet_link_status_changed,       \
    .cleanup = vmnet_cleanup,                               \
    VMNET_OFFLOAD_HOOKS                                     \
}
static NetClientInfo vmnet_host_info = VMNET_INFO(HOST);
static NetClientInfo vmnet_shared_info = VMNET_INFO(SHARED);
static NetClientInfo vmnet_bridged_info = VMNET_INFO(BRIDGED);

static bool vmnet_start(VmnetNetdev *netdev, bool may_start, int64_t end_ms,
                        Error **errp)
{
    g_autoptr(GError) error = NULL;
    bool background = !netdev->vhost && phase_check(PHASE_MACHINE_READY);

    if (vmnet_core_start(netdev->core, vmnet_left_ms(end_ms), background,
                         &error)) {
        return true;
    }
    if (!may_start && g_str_has_prefix(error->message, "no vmnetd runs")) {
        error_setg(errp, "vmnetd is not running and -sandbox spawn=deny "
                   "forbids starting it; enable vmnetd.socket");
    } else {
        error_setg(errp, "%s", error->message);
    }
    return false;
}

/* The client in which frames pass through QEMU. */
static void vmnet_attach(VmnetNetdev *netdev, const char *name,
                         NetClientState *peer, NetClientInfo *info)
{
    NetClientState *nc = qemu_new_net_client(info, peer,
                                             NetClientDriver_str(info->type),
                                             name);

    DO_UPCAST(VmnetNetClient, nc, nc)->netdev = netdev;
    netdev->nc = nc;
    vmnet_set_link(netdev);
    netdev->change = qemu_add_vm_change_state_handler(vmnet_vm_changed, netdev);
    vmnet_core_set_receiving(netdev->core, runstate_is_running());
}

static bool vmnet_make(const Netdev *options, const char *name,
                       NetClientState *peer, NetClientInfo *info, bool vhost,
                       int64_t end_ms, Error **errp)
{
    g_autofree char *json = vmnet_options_to_json(options, name);
    VmnetCoreConfig config = {
        .options = json,
        .may_start = vmnet_may_start_daemon(),
        .system = info->type == NET_CLIENT_DRIVER_VMNET_BRIDGED,
        .header = true,
        .vhost_user = vhost,
    };
    VmnetNetdev *netdev = g_new0(VmnetNetdev, 1);

    netdev->type = info->type;
    netdev->vhost = vhost;
    memset(netdev->fds, -1, sizeof(netdev->fds));
    netdev->timer = timer_new_ms(QEMU_CLOCK_REALTIME, vmnet_timer, netdev);
    netdev->bh = qemu_bh_new(vmnet_bh, netdev);
    netdev->core = vmnet_core_new(&config, &vmnet_ops, netdev);
    if (!vmnet_start(netdev, config.may_start, end_ms, errp)
        || (vhost && !vmnet_vhost_attach(netdev, name, end_ms, errp))) {
        vmnet_netdev_free(netdev);
        return false;
    }
    if (!vhost) {
        vmnet_attach(netdev, name, peer, info);
    }
    QLIST_INSERT_HEAD(&netdevs, netdev, next);
    vmnet_netdev_update_info(netdev);
    return true;
}

static int vmnet_init(const Netdev *options, const char *name,
                      NetClientState *peer, NetClientInfo *info, Error **errp)
{
    int64_t end_ms = qemu_clock_get_ms(QEMU_CLOCK_REALTIME)
                     + (phase_check(PHASE_MACHINE_READY)
                        ? VMNET_CORE_WAIT_MS : VMNET_CORE_START_MS);
    VmnetNetdev *other = NULL;
    VmnetVhost vhost;

    while ((other = vmnet_netdev_next(other))) {
        /* One that was deleted has ended, and left its ports. */
    }
    if (!vmnet_vhost_choose(options, name, peer, &vhost, errp)) {
        return -1;
    }
    if (vhost == VMNET_VHOST_AUTO
        && vmnet_make(options, name, peer, info, true, end_ms, NULL)) {
        return 0;
    }
    return vmnet_make(options, name, peer, info, vhost == VMNET_VHOST_ON,
                      end_ms, errp) ? 0 : -1;
}

int net_init_vmnet_host(const Netdev *netdev, const char *name,
                        NetClientState *peer, Error **errp)
{
    return vmnet_init(netdev, name, peer, &vmnet_host_info, errp);
}

int net_init_vmnet_shared(const Netdev *netdev, const char *name,
                          NetClientState *peer, Error **errp)
{
    return vmnet_init(netdev, name, peer, &vmnet_shared_info, errp);
}

int net_init_vmnet_bridged(const Netdev *netdev, const char *name,
                           NetClientState *peer, Error **errp)
{
    return vmnet_init(netdev, name, peer, &vmnet_bridged_info, errp);
}
