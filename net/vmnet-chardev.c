/*
 * The connection of a netdev with vhost=on to vmnetd: a socket that gives up
 *
 * QEMU's vhost-user waits for each answer without end, in the main loop, with
 * the lock that the guest's processors need.  Here one that is overdue shuts
 * the socket down: vmnetd is lost then, as far as vhost-user knows.  The link
 * goes down, what the guest wanted goes on, and the socket connects again.
 *
 * While guest memory is logged, for a migration, 7.2 ends itself when
 * vhost-user fails: there it goes on waiting.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <poll.h>
#include "chardev/char-socket.h"
#include "hw/qdev-core.h"
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

#define TYPE_CHARDEV_VMNET "chardev-vmnet"
OBJECT_DECLARE_SIMPLE_TYPE(VmnetChardev, CHARDEV_VMNET)

/* From one attempt to the next, and after one that nobody answered. */
#define RETRY_MS 100
#define RETRY_LATE_MS 2000

/**
 * VmnetChardev:
 * @nc: QEMU's vhost-user, once that is set up
 * @gave_up: an answer was overdue
 */
struct VmnetChardev {
    SocketChardev parent;
    NetClientState *nc;
    bool gave_up;
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
    return !global_dirty_tracking
           && !(v->nc && get_vhost_net(v->nc)
                && get_vhost_net(v->nc)->dev.log_enabled);
#else
    return true;
#endif
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
        v->gave_up = !is_in_time(s->sioc->fd);
        if (v->nc) {
            set_retry(s, v->gave_up ? RETRY_LATE_MS : RETRY_MS);
        }
        if (v->gave_up) {
            error_report("chardev '%s': vmnetd does not answer", chr->label);
            qio_channel_shutdown(s->ioc, QIO_CHANNEL_SHUTDOWN_BOTH, NULL);
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

void vmnet_chardev_attached(Chardev *chr, NetClientState *nc)
{
    CHARDEV_VMNET(chr)->nc = nc;
    set_retry(SOCKET_CHARDEV(chr), RETRY_MS);
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
    .class_init = vmnet_chardev_class_init,
};

static void register_types(void)
{
    type_register_static(&vmnet_chardev_type);
}

type_init(register_types);
