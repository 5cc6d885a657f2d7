/*
 * Exports: how a VMM reaches a netdev
 *
 * Theory of operation
 * -------------------
 * An export has one VMM at a time, which may come back.  Three forms:
 *
 *   listen   a socket at a path, or a listening descriptor: whoever comes
 *            first is connected.  Somebody who comes while a VMM is connected
 *            may be that VMM, started again before its end was noticed: he
 *            waits up to HANDOVER_MS for the place, then he is sent away.
 *   connect  to a path: again every RETRY_MS after the VMM went.
 *   fd       a connected descriptor: once.
 *
 * A datagram socket knows no connections: one that is bound waits here until
 * its first datagram, and is then the port's, which connects it back to the
 * sender.  This export keeps a duplicate, and dissolves the association when
 * that VMM went.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "control/export-private.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/event.h"
#include "control/export-path.h"
#include "control/netdev.h"
#include "libvmnet/paths.h"

#define HANDOVER_MS 500
#define RETRY_MS 250
#define DRAIN_MAX 4096

/* @vmm: who connected (contents transferred), NULL: nobody is any more. */
static void set_connected(ControlExport *export, PeerProcess *vmm,
                          const char *reason)
{
    g_autofree char *full_id = export_full_id(export);
    ControlNetdev *netdev = export->netdev;

    export->connected = vmm != NULL;
    if (vmm) {
        netdev_connected(netdev, vmm);
        g_message("export %s: a VMM connected", full_id);
        event_send(export->control, QAPI_EVENT_EXPORT_CONNECTED,
                   qapi_event_encode_EXPORT_CONNECTED(full_id, netdev->full_id));
    } else {
        netdev_disconnected(netdev);
        g_message("export %s: the VMM went%s%s", full_id, reason ? ": " : "",
                  reason ? reason : "");
        event_send(export->control, QAPI_EVENT_EXPORT_DISCONNECTED,
                   qapi_event_encode_EXPORT_DISCONNECTED(full_id,
                                                         netdev->full_id,
                                                         reason));
    }
}

void export_attached(ControlExport *export, PeerProcess *vmm)
{
    export_apply_offloads(export);
    set_connected(export, vmm, NULL);
}

bool export_attach(ControlExport *export, int fd, GError **error)
{
    PeerProcess vmm = { 0 };

    peer_process_read(&vmm, fd);
    if (!port_connect(export->netdev->port, export_kind(export), fd, error)) {
        peer_process_clear(&vmm);
        return false;
    }
    export_attached(export, &vmm);
    return true;
}

static void export_attach_or_log(ControlExport *export, int fd)
{
    g_autoptr(GError) error = NULL;

    if (!export_attach(export, fd, &error)) {
        g_warning("export %s of netdev %s: %s", export->id,
                  export->netdev->full_id, error->message);
    }
}

static void close_waiting(ControlExport *export)
{
    if (export->waiting_fd >= 0) {
        close(export->waiting_fd);
        export->waiting_fd = -1;
    }
}

/* Stop listening for @ms: somebody waits, or the kernel refused. */
static void export_pause(ControlExport *export, int64_t ms)
{
    g_clear_pointer(&export->watch, loop_watch_free);
    loop_timer_arm(export->timer, loop_now_ms() + ms);
}

/* Of the system instance every member of its group can connect. */
static bool is_for_peer(const ControlExport *export, int fd)
{
    struct ucred peer;
    socklen_t len = sizeof(peer);

    return !export->control->is_system
           || (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0
               && netdev_is_for(export->netdev, peer.uid));
}

static void accept_vmm(ControlExport *export)
{
    int fd = accept4(export->listen_fd, NULL, NULL,
                     SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd < 0) {
        if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
            g_warning("export %s: accept: %s", export->id, g_strerror(errno));
            export_pause(export, RETRY_MS);
        }
    } else if (!is_for_peer(export, fd)) {
        g_warning("export %s of netdev %s: another user was refused",
                  export->id, export->netdev->full_id);
        close(fd);
    } else if (export->connected) {
        export->waiting_fd = fd;
        export_pause(export, HANDOVER_MS);
    } else {
        export_attach_or_log(export, fd);
    }
}

/* A bound datagram socket has its first datagram: it becomes the port's. */
static void adopt_datagrams(ControlExport *export)
{
    int fd = fcntl(export->listen_fd, F_DUPFD_CLOEXEC, 3);

    if (fd < 0) {
        g_warning("export %s: dup: %s", export->id, g_strerror(errno));
        export_pause(export, RETRY_MS);
        return;
    }
    g_clear_pointer(&export->watch, loop_watch_free);
    export_attach_or_log(export, fd);
    if (!export->connected) {
        export_pause(export, RETRY_MS);
    }
}

static void on_listen_ready(void *opaque, uint32_t events, int64_t now_ms)
{
    ControlExport *export = opaque;

    if (export_fd_is_datagram(export->listen_fd)) {
        adopt_datagrams(export);
    } else {
        accept_vmm(export);
    }
}

void export_watch(ControlExport *export)
{
    g_autoptr(GError) error = NULL;

    if (export->listen_fd < 0 || export->watch
        || (export->connected && export_fd_is_datagram(export->listen_fd))) {
        return;
    }
    export->watch = loop_watch_new(export->control->loop, export->listen_fd,
                                   EPOLLIN, on_listen_ready, export, &error);
    if (!export->watch) {
        g_warning("export %s: %s", export->id, error->message);
        loop_timer_arm(export->timer, loop_now_ms() + RETRY_MS);
    }
}

/* Forget the peer of a datagram socket, and what it has sent. */
static void dissolve(int fd)
{
    struct sockaddr nobody = { .sa_family = AF_UNSPEC };
    char byte;
    unsigned i;

    if (connect(fd, &nobody, sizeof(nobody)) < 0) {
        g_warning("connect(AF_UNSPEC) of an export: %s", g_strerror(errno));
    }
    for (i = 0; i < DRAIN_MAX && recv(fd, &byte, 1, MSG_DONTWAIT) >= 0; i++) {
        continue;
    }
}

static bool connects(const ControlExport *export)
{
    return export->path && !export->made_socket;
}

static void try_connect(ControlExport *export)
{
    g_autoptr(GError) error = NULL;
    int fd = vmnet_unix_connect(export->path, export->driver->socket_type,
                                &error);

    if (fd < 0 || !export_attach(export, fd, &error)) {
        g_debug("export %s: %s", export->id, error->message);
        loop_timer_arm(export->timer, loop_now_ms() + RETRY_MS);
    }
}

void export_on_timer(void *opaque, int64_t now_ms)
{
    ControlExport *export = opaque;

    if (export->waiting_fd >= 0) {
        g_message("export %s: a second VMM was sent away: one is connected",
                  export->id);
        close_waiting(export);
    }
    if (connects(export) && !export->connected) {
        try_connect(export);
    } else {
        export_watch(export);
    }
}

void export_disconnected(ControlExport *export, const char *reason)
{
    int waiting_fd = export->waiting_fd;

    export->waiting_fd = -1;
    set_connected(export, NULL, reason);
    loop_timer_disarm(export->timer);
    if (waiting_fd >= 0) {
        export_attach_or_log(export, waiting_fd);
    } else if (connects(export)) {
        loop_timer_arm(export->timer, loop_now_ms() + RETRY_MS);
    } else if (export->listen_fd >= 0 && export_fd_is_datagram(export->listen_fd)) {
        dissolve(export->listen_fd);
    }
    export_watch(export);
}

bool export_has_caller(const ControlExport *export)
{
    struct pollfd caller = { .fd = export->listen_fd, .events = POLLIN };

    /* poll() passes over a descriptor of -1. */
    return export->waiting_fd >= 0 || poll(&caller, 1, 0) > 0;
}

void export_free(ControlExport *export)
{
    if (!export) {
        return;
    }
    if (export->connected) {
        port_disconnect(export->netdev->port);
        set_connected(export, NULL, NULL);
    }
    loop_watch_free(export->watch);
    loop_timer_free(export->timer);
    close_waiting(export);
    if (export->listen_fd >= 0) {
        close(export->listen_fd);
    }
    if (export->made_socket) {
        export_path_remove(export->path, export->socket_dev, export->socket_ino);
    }
    qapi_free_ExportOptions(export->options);
    g_free(export->path);
    g_free(export->id);
    g_free(export);
}

char *export_full_id(const ControlExport *export)
{
    return g_strdup_printf("%s/%s", export->netdev->vm, export->id);
}

ExportInfo *export_info(const ControlExport *export, const Client *client)
{
    const ControlNetdev *netdev = export->netdev;
    ExportInfo *info = g_new0(ExportInfo, 1);

    info->id = export->owner == client ? g_strdup(export->id)
                                       : export_full_id(export);
    info->type = export->options->type;
    info->netdev = g_strdup(netdev->owner == client ? netdev->id
                                                    : netdev->full_id);
    info->path = g_strdup(export->path);
    info->connected = export->connected;
    info->offloads = export_offloads(export);
    return info;
}

