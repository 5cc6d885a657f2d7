/*
 * The listening QMP socket: who may come in, and how many
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "control/server.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/client.h"
#include "limits.h"

/* How long nobody is accepted after the kernel refused (EMFILE, ENOMEM). */
#define ACCEPT_PAUSE_MS 100

struct Server {
    Control *control;
    int fd;
    LoopWatch *watch;
    LoopTimer *pause;
};

/* Tell why, in a form that a QMP client prints, and hang up. */
static void refuse(int fd, const char *desc)
{
    g_autofree char *text = g_strdup_printf("{\"error\": {\"class\": "
                                            "\"GenericError\", \"desc\": "
                                            "\"%s\"}}\r\n", desc);

    if (send(fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
        g_debug("send to a refused client: %s", g_strerror(errno));
    }
    close(fd);
}

static void admit(Server *server, int fd)
{
    g_autoptr(GError) error = NULL;
    struct ucred peer;
    socklen_t len = sizeof(peer);

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0) {
        g_warning("SO_PEERCRED of a client: %s", g_strerror(errno));
        close(fd);
        return;
    }
    /* Of the system instance's socket the mode says who may connect. */
    if (!server->control->is_system && peer.uid != geteuid()
        && peer.uid != 0) {
        g_warning("client with uid %u refused: this vmnetd serves uid %u",
                  (unsigned)peer.uid, (unsigned)geteuid());
        refuse(fd, "this vmnetd belongs to another user");
        return;
    }
    if (server->control->clients->len >= LIMIT_CLIENTS) {
        refuse(fd, "too many clients");
        return;
    }
    if (!client_new(server->control, fd, peer.pid, peer.uid, &error)) {
        g_warning("client %d: %s", (int)peer.pid, error->message);
    } else {
        g_info("client %d came", (int)peer.pid);
    }
    control_touch(server->control);
}

/* Returns: whether somebody was there. */
static bool accept_one(Server *server)
{
    int fd = accept4(server->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd >= 0) {
        admit(server, fd);
        return true;
    }
    if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
        /* The queue stays: do not be called for it over and over. */
        g_warning("accept on the QMP socket: %s", g_strerror(errno));
        loop_watch_set_events(server->watch, 0);
        loop_timer_arm(server->pause, loop_now_ms() + ACCEPT_PAUSE_MS);
    }
    return false;
}

static void on_ready(void *opaque, uint32_t events, int64_t now_ms)
{
    accept_one(opaque);
}

static void on_pause_over(void *opaque, int64_t now_ms)
{
    Server *server = opaque;

    loop_watch_set_events(server->watch, EPOLLIN);
}

bool server_accept_waiting(Server *server)
{
    bool found = false;
    unsigned i;

    for (i = 0; i < LIMIT_CLIENTS && accept_one(server); i++) {
        found = true;
    }
    return found;
}

Server *server_new(Control *control, int fd, GError **error)
{
    g_autoptr(Server) server = g_new0(Server, 1);

    server->control = control;
    server->fd = fd;
    server->pause = loop_timer_new(control->loop, on_pause_over, server);
    server->watch = loop_watch_new(control->loop, fd, EPOLLIN, on_ready, server,
                                   error);
    if (!server->watch) {
        g_prefix_error(error, "QMP socket '%s': ",
                       control->socket_path ? control->socket_path : "fd 3");
        return NULL;
    }
    return g_steal_pointer(&server);
}

void server_free(Server *server)
{
    if (!server) {
        return;
    }
    loop_watch_free(server->watch);
    loop_timer_free(server->pause);
    close(server->fd);
    g_free(server);
}
