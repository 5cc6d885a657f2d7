/*
 * Exports of type tap: descriptors of an interface, one a queue
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "control/export-private.h"

#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <unistd.h>

#include "control/client.h"
#include "control/netdev.h"
#include "limits.h"
#include "qapi/qapi-error.h"
#include "vmnet/error.h"

/* Descriptors of the client's, its again unless the export is made. */
typedef struct TapFds {
    const char *names[LIMIT_TAP_QUEUES];
    int fds[LIMIT_TAP_QUEUES];
    unsigned n;
} TapFds;

bool export_check_tap(const ExportOptions *options, GError **error)
{
    const strList *name;
    unsigned n = 1;

    for (name = options->queue_fds; name; name = name->next) {
        n++;
    }
    if (options->type != EXPORT_TYPE_TAP) {
        if (n > 1) {
            g_set_error(error, QAPI_ERROR, QAPI_ERROR_GENERIC,
                        "export '%s': queue-fds are for type=tap", options->id);
        }
        return n == 1;
    }
    if (options->addr->type != EXPORT_ADDRESS_TYPE_FD || options->server) {
        g_set_error(error, QAPI_ERROR, QAPI_ERROR_GENERIC,
                    "export '%s': type=tap needs addr.type=fd, and no server",
                    options->id);
        return false;
    }
    if (n > LIMIT_TAP_QUEUES) {
        g_set_error(error, QAPI_ERROR, QAPI_ERROR_GENERIC,
                    "export '%s': a tap has at most %d queues", options->id,
                    LIMIT_TAP_QUEUES);
        return false;
    }
    return true;
}

static bool take(TapFds *taken, Client *client, const char *name,
                 GError **error)
{
    int fd = export_take_fd(client, name, error);

    if (fd < 0) {
        return false;
    }
    taken->names[taken->n] = name;
    taken->fds[taken->n++] = fd;
    return true;
}

/* A duplicate of descriptor @i for the port; -1 with @error. */
static int copy_for_port(const TapFds *taken, unsigned i, GError **error)
{
    int fd;

    if (!g_unix_set_fd_nonblocking(taken->fds[i], TRUE, error)) {
        return -1;
    }
    fd = fcntl(taken->fds[i], F_DUPFD_CLOEXEC, 3);
    if (fd < 0) {
        g_set_error(error, VMNET_ERROR, vmnet_status_from_errno(errno),
                    "dup: %s", g_strerror(errno));
    }
    return fd;
}

static bool attach(ControlExport *export, const TapFds *taken, GError **error)
{
    Port *port = export->netdev->port;
    unsigned i;

    for (i = 0; i < taken->n; i++) {
        int fd = copy_for_port(taken, i, error);

        if (fd < 0 || !(i == 0 ? port_connect(port, PORT_KIND_TAP, fd, error)
                               : port_add_queue(port, fd, error))) {
            g_prefix_error(error, "file descriptor '%s': ", taken->names[i]);
            if (i > 0) {
                port_disconnect(port);
            }
            return false;
        }
    }
    return true;
}

bool export_open_tap(ControlExport *export, Client *client, GError **error)
{
    const ExportOptions *options = export->options;
    const strList *name;
    TapFds taken = { 0 };
    bool ok;

    ok = take(&taken, client, options->addr->u.fd.str, error);
    for (name = options->queue_fds; ok && name; name = name->next) {
        ok = take(&taken, client, name->value, error);
    }
    ok = ok && attach(export, &taken, error);
    while (taken.n-- > 0) {
        if (ok) {
            close(taken.fds[taken.n]);
        } else {
            client_put_fd(client, taken.names[taken.n], taken.fds[taken.n],
                          NULL);
        }
    }
    if (ok) {
        export_attached(export, &(PeerProcess) { 0 });
    }
    return ok;
}
