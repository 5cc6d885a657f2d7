/*
 * A client: one QMP connection and all that it holds
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "control/client.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/event.h"
#include "control/forward.h"
#include "control/netdev.h"
#include "control/network-commands.h"
#include "limits.h"
#include "qapi/qapi-commands.h"
#include "qapi/qapi-error.h"
#include "qapi/qapi-visit.h"

static void close_fd(void *fd)
{
    close(GPOINTER_TO_INT(fd));
}

static JsonValue *greeting(void)
{
    g_autoptr(VersionTriple) version = control_version();
    JsonValue *qmp = json_dict();
    JsonValue *about = json_dict();
    JsonValue *triple = json_dict();

    /* In the order in which QEMU writes them. */
    json_dict_set_int(triple, "micro", version->micro);
    json_dict_set_int(triple, "minor", version->minor);
    json_dict_set_int(triple, "major", version->major);
    json_dict_set(about, "qemu", triple);
    json_dict_set_string(about, "package", "vmnetd-" VMNET_VERSION);
    json_dict_set(qmp, "version", about);
    json_dict_set(qmp, "capabilities", json_list());
    return qmp;
}

/* The connection ended. */
static void on_closed(void *opaque)
{
    Client *client = opaque;
    Control *control = client->control;
    unsigned index;

    if (g_ptr_array_find(control->clients, client, &index)) {
        g_ptr_array_steal_index(control->clients, index);
    }
    if (qmp_session_failure(client->qmp)) {
        g_warning("client %s: %s", client->name,
                  qmp_session_failure(client->qmp));
    }
    g_info("client %s went", client->name);
    client_free(client);
    control_touch(control);
}

static void on_caught_up(void *opaque, uint64_t n_lost)
{
    event_send_losses(opaque, n_lost);
}

/* None are rather too few than another's. */
static void read_groups(PolicyPeer *peer, int fd)
{
    socklen_t len = 0;

    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &len) < 0 &&
        errno == ERANGE) {
        g_autofree gid_t *groups = g_malloc(len);

        if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len) == 0) {
            peer->n_groups = len / sizeof(*groups);
            peer->groups = g_steal_pointer(&groups);
        }
    }
}

static void read_peer(PolicyPeer *peer, int fd)
{
    struct ucred cred;
    socklen_t len = sizeof(cred);

    /* Of nobody, who has no rule but everybody's. */
    peer->uid = peer->gid = -1;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == 0) {
        peer->uid = cred.uid;
        peer->gid = cred.gid;
        read_groups(peer, fd);
    }
}

Client *client_new(Control *control, int fd, pid_t pid, uid_t uid, GError **error)
{
    g_autoptr(Client) client = g_new0(Client, 1);
    g_autoptr(JsonValue) hello = greeting();
    QmpSessionConfig config = {
        .loop = control->loop,
        .fd = fd,
        .commands = qmp_commands,
        .greeting = hello,
        .client = client,
        .closed = on_closed,
        .caught_up = on_caught_up,
    };

    client->control = control;
    client->uid = uid;
    client->fds = g_hash_table_new_full(g_str_hash, g_str_equal, g_free,
                                        close_fd);
    if (fd < 0) {
        client->name = g_strdup("vmnetd");
        return g_steal_pointer(&client);
    }
    peer_process_read(&client->process, fd);
    read_peer(&client->peer, fd);
    client->name = g_strdup_printf("%d", (int)pid);
    client->qmp = qmp_session_new(&config, error);
    if (!client->qmp) {
        return NULL;
    }
    g_ptr_array_add(control->clients, client);
    return g_steal_pointer(&client);
}

void client_free(Client *client)
{
    if (!client) {
        return;
    }
    forward_client_gone(client);
    netdev_client_gone(client);
    held_networks_client_gone(client);
    if (client->qmp && qmp_session_events_lost(client->qmp)) {
        g_message("client %s did not read: %" G_GUINT64_FORMAT " events lost",
                  client->name, qmp_session_events_lost(client->qmp));
    }
    qmp_session_free(client->qmp);
    g_hash_table_unref(client->fds);
    peer_process_clear(&client->process);
    g_free((void *)client->peer.groups);
    g_free(client->name);
    g_free(client);
}

bool client_put_fd(Client *client, const char *name, int fd, GError **error)
{
    if (g_hash_table_size(client->fds) >= LIMIT_CLIENT_FDS
        && !g_hash_table_contains(client->fds, name)) {
        g_set_error(error, QAPI_ERROR, QAPI_ERROR_GENERIC,
                    "too many file descriptors: %d are kept already",
                    LIMIT_CLIENT_FDS);
        close(fd);
        return false;
    }
    g_hash_table_replace(client->fds, g_strdup(name), GINT_TO_POINTER(fd));
    return true;
}

int client_take_fd(Client *client, const char *name, GError **error)
{
    void *key, *fd;

    if (!g_hash_table_steal_extended(client->fds, name, &key, &fd)) {
        g_set_error(error, QAPI_ERROR, QAPI_ERROR_GENERIC,
                    "File descriptor named '%s' not found", name);
        return -1;
    }
    g_free(key);
    return GPOINTER_TO_INT(fd);
}

bool qmp_getfd(void *session, const char *fdname, GError **error)
{
    Client *client = session;
    int fd = client->qmp ? qmp_session_take_fd(client->qmp) : -1;

    if (fd < 0 && client->qmp && qmp_session_lost_fd(client->qmp)) {
        g_set_error(error, QAPI_ERROR, QAPI_ERROR_GENERIC,
                    "file descriptor '%s' did not arrive: vmnetd has as many as "
                    "its limit allows; raise it (LimitNOFILE=, ulimit -n) or "
                    "remove netdevs", fdname);
        return false;
    }
    if (fd < 0) {
        g_set_error_literal(error, QAPI_ERROR, QAPI_ERROR_GENERIC,
                            "No file descriptor supplied via SCM_RIGHTS");
        return false;
    }
    if (g_ascii_isdigit(fdname[0])) {
        close(fd);
        g_set_error_literal(error, QAPI_ERROR, QAPI_ERROR_GENERIC,
                            "Parameter 'fdname' expects a name not starting "
                            "with a digit");
        return false;
    }
    return client_put_fd(client, fdname, fd, error);
}

bool qmp_closefd(void *session, const char *fdname, GError **error)
{
    int fd = client_take_fd(session, fdname, error);

    if (fd < 0) {
        return false;
    }
    close(fd);
    return true;
}

bool qmp_qmp_capabilities(void *session, QMPCapabilityList *enable, GError **error)
{
    Client *client = session;

    return qmp_session_negotiate(client->qmp, enable, error);
}
