/*
 * The connection of a netdev with vhost=on to vmnetd: a socket that gives up
 *
 * QEMU's vhost-user waits for each answer without end, in the main loop, with
 * the lock that the guest's processors need.  Here one that is overdue shuts
 * the socket down: vmnetd is lost then, as far as vhost-user knows.  The link
 * goes down, what the guest wanted goes on, and the socket connects again.
 *
 * In one place 7.2 ends itself when vhost-user fails, and goes on waiting here:
 * where a migration has guest memory logged, its first step.  Before that
 * vmnetd is asked on its other socket whether it answers at all, and if it does
 * not vhost-user is stopped: a device that is stopped is not told of the log.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <poll.h>
#include "chardev/char-socket.h"
#include "io/channel.h"
#include "qapi/error.h"
#include "qapi/qapi-types-char.h"
#include "qemu/error-report.h"
#include "qemu/module.h"
#include "vmnet-int.h"
#if QEMU_VERSION_MAJOR < 10
#include "exec/memory.h"
#include "hw/virtio/vhost.h"
#include "net/vhost_net.h"
#endif
#if QEMU_VERSION_MAJOR < 9
#include "migration/misc.h"
#include "qapi/qapi-commands-net.h"
#endif

#define TYPE_CHARDEV_VMNET "chardev-vmnet"
OBJECT_DECLARE_SIMPLE_TYPE(VmnetChardev, CHARDEV_VMNET)

/* From one attempt to the next, and after one that nobody answered. */
#define RETRY_MS 100
#define RETRY_LATE_MS 2000

/**
 * VmnetChardev:
 * @nc: QEMU's vhost-user, once that is set up
 * @gave_up: an answer was overdue
 * @migration: while there is @nc
 */
struct VmnetChardev {
    SocketChardev parent;
    NetClientState *nc;
    bool gave_up;
    Notifier migration;
};

static int (*socket_sync_read)(Chardev *chr, const uint8_t *buf, int len);
static int (*socket_wait_connected)(Chardev *chr, Error **errp);

static void set_retry(SocketChardev *s, int64_t ms)
{
#if QEMU_VERSION_MAJOR >= 10 \
    || (QEMU_VERSION_MAJOR == 9 && QEMU_VERSION_MINOR >= 2)
    s->reconnect_time_ms = ms;
#else
    s->reconnect_time = (ms + 999) / 1000;
#endif
}

static bool may_give_up(const VmnetChardev *v)
{
#if QEMU_VERSION_MAJOR < 10     /* the first known not to end itself */
    struct vhost_net *net = v->nc ? get_vhost_net(v->nc) : NULL;

    return !global_dirty_tracking || !net || !net->dev.started
           || net->dev.log_enabled;
#else
    return true;
#endif
}

static void give_up(VmnetChardev *v)
{
    v->gave_up = true;
    error_report("chardev '%s': vmnetd does not answer", CHARDEV(v)->label);
    qio_channel_shutdown(SOCKET_CHARDEV(v)->ioc, QIO_CHANNEL_SHUTDOWN_BOTH,
                         NULL);
    if (v->nc) {
        set_retry(SOCKET_CHARDEV(v), RETRY_LATE_MS);
    }
}

/* Returns: false if nothing has come for longer than anything may wait */
static bool is_in_time(int fd)
{
    int64_t end_ms = qemu_clock_get_ms(QEMU_CLOCK_REALTIME)
                     + (phase_check(PHASE_MACHINE_READY)
                        ? VMNET_CORE_WAIT_MS : VMNET_CORE_START_MS);
    struct pollfd ready = { .fd = fd, .events = POLLIN };
    int n;

    do {
        n = poll(&ready, 1, vmnet_left_ms(end_ms));
    } while (n < 0 && errno == EINTR);
    return n != 0;
}

static int vmnet_chr_sync_read(Chardev *chr, const uint8_t *buf, int len)
{
    VmnetChardev *v = CHARDEV_VMNET(chr);
    SocketChardev *s = SOCKET_CHARDEV(chr);

    if (s->state == TCP_CHARDEV_STATE_CONNECTED && may_give_up(v)) {
        if (!is_in_time(s->sioc->fd)) {
            give_up(v);
        } else {
            v->gave_up = false;
            if (v->nc) {
                set_retry(s, RETRY_MS);
            }
        }
    }
    return socket_sync_read(chr, buf, len);
}

/* QEMU's vhost-user tries for ever to be set up. */
static int vmnet_chr_wait_connected(Chardev *chr, Error **errp)
{
    if (CHARDEV_VMNET(chr)->gave_up) {
        error_setg(errp, "chardev '%s': vmnetd does not answer", chr->label);
        return -1;
    }
    return socket_wait_connected(chr, errp);
}

Chardev *vmnet_chardev_new(const char *path, const char *name, Error **errp)
{
    g_autofree char *label = g_strdup_printf("vmnet-%s", name);
    UnixSocketAddress address = { .path = (char *)path };
    SocketAddressLegacy legacy = {
        .type = SOCKET_ADDRESS_TYPE_UNIX, .u.q_unix.data = &address,
    };
    ChardevSocket socket = { .addr = &legacy, .has_server = true };
    ChardevBackend backend = {
        .type = CHARDEV_BACKEND_KIND_SOCKET, .u.socket.data = &socket,
    };
    unsigned n = 1;

    /* A netdev of this name may not be gone altogether. */
    while (qemu_chr_find(label)) {
        g_free(label);
        label = g_strdup_printf("vmnet-%s-%u", name, ++n);
    }
    return qemu_chardev_new(label, TYPE_CHARDEV_VMNET, &backend, NULL, errp);
}

#if QEMU_VERSION_MAJOR < 9
static bool vmnetd_answers(VmnetNetdev *netdev)
{
    g_autofree char *version = vmnet_core_command(netdev->core, "query-version",
                                                  NULL, NULL);

    return version;
}

static void migration_changed(Notifier *notifier, void *migration)
{
    VmnetChardev *v = container_of(notifier, VmnetChardev, migration);
    VmnetNetdev *netdev = vmnet_netdev_of(v->nc);

    if (netdev && migration_in_setup(migration)
        && SOCKET_CHARDEV(v)->state == TCP_CHARDEV_STATE_CONNECTED
        && !vmnetd_answers(netdev)) {
        give_up(v);
        qmp_set_link(v->nc->name, false, NULL);
    }
}
#endif

void vmnet_chardev_attached(Chardev *chr, NetClientState *nc)
{
    VmnetChardev *v = CHARDEV_VMNET(chr);

    v->nc = nc;
    set_retry(SOCKET_CHARDEV(chr), RETRY_MS);
#if QEMU_VERSION_MAJOR < 9
    v->migration.notify = migration_changed;
    add_migration_state_change_notifier(&v->migration);
#endif
}

static void vmnet_chardev_finalize(Object *object)
{
#if QEMU_VERSION_MAJOR < 9
    VmnetChardev *v = CHARDEV_VMNET(object);

    if (v->nc) {
        remove_migration_state_change_notifier(&v->migration);
    }
#endif
}

static void vmnet_chardev_class_init(ObjectClass *oc,
#if QEMU_VERSION_MAJOR > 10 \
    || (QEMU_VERSION_MAJOR == 10 && QEMU_VERSION_MINOR >= 1)
                                     const
#endif
                                     void *data)
{
    ChardevClass *cc = CHARDEV_CLASS(oc);

    socket_sync_read = cc->chr_sync_read;
    socket_wait_connected = cc->chr_wait_connected;
    cc->internal = true;
    cc->chr_sync_read = vmnet_chr_sync_read;
    cc->chr_wait_connected = vmnet_chr_wait_connected;
}

static const TypeInfo vmnet_chardev_type = {
    .name = TYPE_CHARDEV_VMNET,
    .parent = TYPE_CHARDEV_SOCKET,
    .instance_size = sizeof(VmnetChardev),
    .instance_finalize = vmnet_chardev_finalize,
    .class_init = vmnet_chardev_class_init,
};

static void register_types(void)
{
    type_register_static(&vmnet_chardev_type);
}

type_init(register_types);
