/*
 * Opening an export's socket: listen, connect, or take a descriptor
 *
 * The drivers' table holds what differs between the types; a tap is no socket,
 * see export-tap.c.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "control/export-private.h"

#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/client.h"
#include "control/export-path.h"
#include "libvmnet/paths.h"
#include "vmnet/error.h"

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
    [EXPORT_TYPE_VHOST_USER] = {
        .name = "vhost-user",
        .kind = PORT_KIND_VHOST_USER,
        .socket_type = SOCK_STREAM,
        .types = { SOCK_STREAM },
    },
    [EXPORT_TYPE_TAP] = {
        .name = "tap",
        .kind = PORT_KIND_TAP,
    },
};

const ExportDriver *export_driver(ExportType type)
{
    return &drivers[type];
}

static int socket_option(int fd, int option)
{
    int value = -1;
    socklen_t len = sizeof(value);

    return getsockopt(fd, SOL_SOCKET, option, &value, &len) < 0 ? -1 : value;
}

bool export_fd_is_datagram(int fd)
{
    return socket_option(fd, SO_TYPE) == SOCK_DGRAM;
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

    return export_fd_is_datagram(fd)
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
            g_prefix_error(error, "file descriptor '%s': ", name);
            return false;
        }
        close(fd);
        return true;
    }
    if (!export_fd_is_datagram(fd) && socket_option(fd, SO_ACCEPTCONN) != 1) {
        g_set_error(error, VMNET_ERROR, VMNET_INVALID_ARGUMENT,
                    "file descriptor '%s' is not a listening socket", name);
        return false;
    }
    export->listen_fd = fd;
    return true;
}

/* Who has sent a datagram to a path cannot be asked. */
static bool check_shared(const ControlExport *export, const char *path,
                         GError **error)
{
    if (!export->control->is_system
        || export->driver->socket_type == SOCK_STREAM) {
        return true;
    }
    g_set_error(error, VMNET_ERROR, VMNET_INVALID_ARGUMENT,
                "path '%s': the system instance has %s exports by file "
                "descriptor only, since anybody of its group could send to a "
                "path", path, export->driver->name);
    return false;
}

static bool listen_at(ControlExport *export, const char *path, GError **error)
{
    struct stat st;

    if (!check_shared(export, path, error)
        || !export_path_clear(path, export->driver->socket_type, error)) {
        return false;
    }
    export->listen_fd = vmnet_unix_listen(path, export->driver->socket_type,
                                          error);
    if (export->listen_fd < 0) {
        return false;
    }
    export->path = g_strdup(path);
    export->made_socket = true;
    if (export->control->is_system && chmod(path, 0660) < 0) {
        g_warning("path '%s': chmod: %s", path, g_strerror(errno));
    }
    if (lstat(path, &st) == 0) {
        export->socket_dev = st.st_dev;
        export->socket_ino = st.st_ino;
    }
    return true;
}

static bool connect_to(ControlExport *export, const char *path, GError **error)
{
    int fd;

    if (export->control->restoring) {
        /* The VMM may need a moment to listen again: as after it went. */
        export->path = g_strdup(path);
        loop_timer_arm(export->timer, loop_now_ms());
        return true;
    }
    fd = vmnet_unix_connect(path, export->driver->socket_type, error);
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

int export_take_fd(Client *client, const char *name, GError **error)
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

bool export_open(ControlExport *export, Client *client, const char *path,
                 GError **error)
{
    const ExportOptions *options = export->options;
    const ExportAddress *addr = options->addr;
    bool is_path = addr->type == EXPORT_ADDRESS_TYPE_UNIX;
    bool server = options->has_server ? options->server : is_path;
    const char *name;
    int fd;

    if (options->type == EXPORT_TYPE_TAP) {
        return export_open_tap(export, client, error);
    }
    if (is_path) {
        return open_path(export, client, path ? path : addr->u.q_unix.path,
                         server, error);
    }
    name = addr->u.fd.str;
    fd = export_take_fd(client, name, error);
    if (fd < 0) {
        return false;
    }
    if (!open_fd(export, fd, name, server, error)) {
        client_put_fd(client, name, fd, NULL);
        return false;
    }
    return true;
}
