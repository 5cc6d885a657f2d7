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
 * The drivers' table holds what differs between stream and dgram.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "control/export.h"

#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/client.h"
#include "control/event.h"
#include "control/export-path.h"
#include "control/netdev.h"
#include "control/record.h"
#include "libvmnet/paths.h"
#include "qapi/qapi-commands.h"
#include "qapi/qapi-error.h"
#include "qapi/qapi-visit.h"
#include "vmnet/error.h"

#define HANDOVER_MS 500
#define RETRY_MS 250
#define DRAIN_MAX 4096

/**
 * ExportDriver: what a kind of export does differently.
 * @socket_type: of the socket that is made at a path
 * @types: socket types that a descriptor may have, ended by 0
 */
struct ExportDriver {
    const char *name;
    PortKind kind;
    int socket_type;
    int types[3];
};

static const ExportDriver drivers[EXPORT_TYPE__MAX] = {
    [EXPORT_TYPE_STREAM] = {
        .name = "stream",
        .kind = PORT_KIND_STREAM,
        .socket_type = SOCK_STREAM,
        .types = { SOCK_STREAM },
    },
    [EXPORT_TYPE_DGRAM] = {
        .name = "dgram",
        .kind = PORT_KIND_DGRAM,
        .socket_type = SOCK_DGRAM,
        .types = { SOCK_DGRAM, SOCK_SEQPACKET },
    },
};

static void export_watch(ControlExport *export);

static int socket_option(int fd, int option)
{
    int value = -1;
    socklen_t len = sizeof(value);

    return getsockopt(fd, SOL_SOCKET, option, &value, &len) < 0 ? -1 : value;
}

static bool is_datagram(int fd)
{
    return socket_option(fd, SO_TYPE) == SOCK_DGRAM;
}

static void set_connected(ControlExport *export, bool connected,
                          const char *reason)
{
    g_autofree char *full_id = export_full_id(export);
    ControlNetdev *netdev = export->netdev;

    export->connected = connected;
    if (connected) {
        netdev_connected(netdev);
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

/* @fd: (transfer full) */
static bool export_attach(ControlExport *export, int fd, GError **error)
{
    if (!port_connect(export->netdev->port, export->driver->kind, fd, error)) {
        return false;
    }
    set_connected(export, true, NULL);
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

static void accept_vmm(ControlExport *export)
{
    int fd = accept4(export->listen_fd, NULL, NULL,
                     SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd < 0) {
        if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
            g_warning("export %s: accept: %s", export->id, g_strerror(errno));
            export_pause(export, RETRY_MS);
        }
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

    if (is_datagram(export->listen_fd)) {
        adopt_datagrams(export);
    } else {
        accept_vmm(export);
    }
}

/* Listen, unless nothing could be done with what comes. */
static void export_watch(ControlExport *export)
{
    g_autoptr(GError) error = NULL;

    if (export->listen_fd < 0 || export->watch
        || (export->connected && is_datagram(export->listen_fd))) {
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

static void on_timer(void *opaque, int64_t now_ms)
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
    set_connected(export, false, reason);
    loop_timer_disarm(export->timer);
    if (export->waiting_fd >= 0) {
        export_attach_or_log(export, export->waiting_fd);
        export->waiting_fd = -1;
    } else if (connects(export)) {
        loop_timer_arm(export->timer, loop_now_ms() + RETRY_MS);
    } else if (export->listen_fd >= 0 && is_datagram(export->listen_fd)) {
        dissolve(export->listen_fd);
    }
    export_watch(export);
}

static bool check_fd_type(const ExportDriver *driver, int fd, const char *name,
                          GError **error)
{
    int type = socket_option(fd, SO_TYPE);
    unsigned i;

    for (i = 0; driver->types[i]; i++) {
        if (type == driver->types[i]) {
            return true;
        }
    }
    g_set_error(error, VMNET_ERROR, VMNET_INVALID_ARGUMENT,
                "file descriptor '%s' is not a socket that a %s export can use",
                name, driver->name);
    return false;
}

/* A datagram socket without a peer: whoever sends first is the VMM. */
static bool awaits_datagrams(int fd)
{
    struct sockaddr_storage peer;
    socklen_t len = sizeof(peer);

    return is_datagram(fd)
           && getpeername(fd, (struct sockaddr *)&peer, &len) < 0;
}

/* @fd stays the caller's until this succeeds. */
static bool open_fd(ControlExport *export, int fd, const char *name, bool server,
                    GError **error)
{
    if (!check_fd_type(export->driver, fd, name, error)) {
        return false;
    }
    if (!g_unix_set_fd_nonblocking(fd, TRUE, error)) {
        return false;
    }
    if (!server && !awaits_datagrams(fd)) {
        int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);

        if (copy < 0) {
            g_set_error(error, VMNET_ERROR, vmnet_status_from_errno(errno),
                        "file descriptor '%s': dup: %s", name,
                        g_strerror(errno));
            return false;
        }
        if (!export_attach(export, copy, error)) {
            return false;
        }
        close(fd);
        return true;
    }
    if (!is_datagram(fd) && socket_option(fd, SO_ACCEPTCONN) != 1) {
        g_set_error(error, VMNET_ERROR, VMNET_INVALID_ARGUMENT,
                    "file descriptor '%s' is not a listening socket", name);
        return false;
    }
    export->listen_fd = fd;
    return true;
}

static bool listen_at(ControlExport *export, const char *path, GError **error)
{
    struct stat st;

    if (!export_path_clear(path, export->driver->socket_type, error)) {
        return false;
    }
    export->listen_fd = vmnet_unix_listen(path, export->driver->socket_type,
                                          error);
    if (export->listen_fd < 0) {
        return false;
    }
    export->path = g_strdup(path);
    export->made_socket = true;
    if (lstat(path, &st) == 0) {
        export->socket_dev = st.st_dev;
        export->socket_ino = st.st_ino;
    }
    return true;
}

static bool connect_to(ControlExport *export, const char *path, GError **error)
{
    int fd = vmnet_unix_connect(path, export->driver->socket_type, error);

    if (fd < 0) {
        return false;
    }
    export->path = g_strdup(path);
    return export_attach(export, fd, error);
}

static bool open_path(ControlExport *export, Client *client, const char *path,
                      bool server, GError **error)
{
    g_autofree char *own = NULL;

    if (path) {
        if (!export_path_check(path, client, error)) {
            return false;
        }
        return server ? listen_at(export, path, error)
                      : connect_to(export, path, error);
    }
    if (!server) {
        g_set_error(error, VMNET_ERROR, VMNET_INVALID_ARGUMENT,
                    "export '%s': 'addr.path' is needed to connect to",
                    export->id);
        return false;
    }
    own = export_path_choose(export->netdev, export->driver->socket_type, error);
    return own && listen_at(export, own, error);
}

/*
 * A descriptor by name, as getfd gave it; on the command line by number, as
 * vmnetd inherited it (QEMU's rule: names do not begin with a digit).
 */
static int take_fd(Client *client, const char *name, GError **error)
{
    guint64 number;
    int fd;

    if (client->qmp || !g_ascii_isdigit(name[0])) {
        return client_take_fd(client, name, error);
    }
    if (!g_ascii_string_to_unsigned(name, 10, 3, G_MAXINT, &number, error)) {
        return -1;
    }
    fd = fcntl((int)number, F_DUPFD_CLOEXEC, 3);
    if (fd < 0) {
        g_set_error(error, VMNET_ERROR, VMNET_INVALID_ARGUMENT,
                    "file descriptor %s: %s", name, g_strerror(errno));
    }
    return fd;
}

static bool open_address(ControlExport *export, Client *client,
                         const ExportOptions *options, const char *path,
                         GError **error)
{
    const ExportAddress *addr = options->addr;
    bool is_path = addr->type == EXPORT_ADDRESS_TYPE_UNIX;
    bool server = options->has_server ? options->server : is_path;
    const char *name;
    int fd;

    if (is_path) {
        return open_path(export, client, path ? path : addr->u.q_unix.path,
                         server, error);
    }
    name = addr->u.fd.str;
    fd = take_fd(client, name, error);
    if (fd < 0) {
        return false;
    }
    if (!open_fd(export, fd, name, server, error)) {
        client_put_fd(client, name, fd, NULL);
        return false;
    }
    return true;
}

static ControlExport *find_owned(Client *client, const char *id)
{
    Control *control = client->control;
    unsigned i;

    for (i = 0; i < control->netdevs->len; i++) {
        ControlNetdev *netdev = g_ptr_array_index(control->netdevs, i);

        if (netdev->export && netdev->export->owner == client
            && !strcmp(netdev->export->id, id)) {
            return netdev->export;
        }
    }
    return NULL;
}

static ControlExport *find_export(Client *client, const char *id, GError **error)
{
    ControlExport *export = find_owned(client, id);
    Control *control = client->control;
    unsigned i;

    for (i = 0; !export && i < control->netdevs->len; i++) {
        ControlNetdev *netdev = g_ptr_array_index(control->netdevs, i);
        g_autofree char *full_id = netdev->export
                                   ? export_full_id(netdev->export) : NULL;

        if (full_id && !strcmp(full_id, id)) {
            export = netdev->export;
        }
    }
    if (!export) {
        g_set_error(error, QAPI_ERROR, QAPI_ERROR_GENERIC,
                    "Export '%s' is not found", id);
    }
    return export;
}

static bool check_options(Client *client, const ExportOptions *options,
                          ControlNetdev **ret_netdev, GError **error)
{
    ControlNetdev *netdev;

    if (!id_is_wellformed(options->id)) {
        g_set_error_literal(error, QAPI_ERROR, QAPI_ERROR_GENERIC,
                            "Parameter 'id' expects an identifier");
        return false;
    }
    if (find_owned(client, options->id)) {
        g_set_error(error, QAPI_ERROR, QAPI_ERROR_GENERIC, "Duplicate ID '%s'",
                    options->id);
        return false;
    }
    netdev = netdev_find(client, options->netdev, error);
    if (!netdev) {
        return false;
    }
    if (netdev->export) {
        g_set_error(error, QAPI_ERROR, QAPI_ERROR_GENERIC,
                    "netdev '%s' has an export already: '%s'", options->netdev,
                    netdev->export->id);
        return false;
    }
    *ret_netdev = netdev;
    return true;
}

static ExportOptions *copy_options(const ExportOptions *options)
{
    g_autoptr(JsonValue) value = qapi_encode_ExportOptions(options);
    ExportOptions *copy = NULL;

    if (!qapi_decode_ExportOptions(value, QAPI_INPUT_JSON, &copy, NULL)) {
        g_assert_not_reached(); /* what was encoded decodes */
    }
    return copy;
}

ControlExport *export_new(Client *client, const ExportOptions *options,
                          const char *path, GError **error)
{
    g_autoptr(ControlExport) export = NULL;
    ControlNetdev *netdev;

    if (!check_options(client, options, &netdev, error)) {
        return NULL;
    }
    export = g_new0(ControlExport, 1);
    export->control = client->control;
    export->netdev = netdev;
    export->owner = client;
    export->id = g_strdup(options->id);
    export->driver = &drivers[options->type];
    export->options = copy_options(options);
    export->listen_fd = -1;
    export->waiting_fd = -1;
    export->timer = loop_timer_new(export->control->loop, on_timer, export);
    netdev->export = export;
    if (!open_address(export, client, options, path, error)) {
        netdev->export = NULL;
        return NULL;
    }
    export_watch(export);
    record_changed(export->control);
    return g_steal_pointer(&export);
}

void export_free(ControlExport *export)
{
    if (!export) {
        return;
    }
    if (export->connected) {
        port_disconnect(export->netdev->port);
        set_connected(export, false, NULL);
    }
    loop_watch_free(export->watch);
    loop_timer_free(export->timer);
    close_waiting(export);
    if (export->made_socket) {
        export_path_remove(export->path, export->socket_dev, export->socket_ino);
    }
    if (export->listen_fd >= 0) {
        close(export->listen_fd);
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
    return info;
}

ExportInfo *qmp_export_add(void *session, ExportOptions *arg, GError **error)
{
    ControlExport *export = export_new(session, arg, NULL, error);

    return export ? export_info(export, session) : NULL;
}

bool qmp_export_del(void *session, const char *id, GError **error)
{
    ControlExport *export = find_export(session, id, error);

    if (!export) {
        return false;
    }
    export->netdev->export = NULL;
    export_free(export);
    record_changed(((Client *)session)->control);
    return true;
}

ExportInfoList *qmp_query_exports(void *session, GError **error)
{
    Client *client = session;
    ExportInfoList *list = NULL;
    unsigned i;

    for (i = client->control->netdevs->len; i-- > 0;) {
        ControlNetdev *netdev = g_ptr_array_index(client->control->netdevs, i);

        if (netdev->export) {
            QAPI_LIST_PREPEND(list, export_info(netdev->export, client));
        }
    }
    return list;
}
