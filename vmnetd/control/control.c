/*
 * The daemon's control side: its life from the first client to the last
 *
 * Leaving: when there has been no client, netdev or network for the idle time,
 * the daemon goes, unless somebody is about to come.  Who starts a daemon does
 * so under a lock file; with that lock held nobody can, and the socket is moved
 * aside so that nobody can connect either.  Whoever was in the queue by then
 * gets the socket back, and his daemon.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "control/control.h"

#include <errno.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "control/client.h"
#include "control/event.h"
#include "control/export-path.h"
#include "control/forward-event.h"
#include "control/forward.h"
#include "control/netdev.h"
#include "control/network-commands.h"
#include "control/record.h"
#include "control/server.h"
#include "vmnet/error.h"

/* A starter holds the lock: look again. */
#define LEAVE_RETRY_MS 1000
#define NETWORK_IDLE_MS 120000

static bool is_unused(const Control *control)
{
    return !control->clients->len && !control->netdevs->len;
}

void control_touch(Control *control)
{
    if (!control->idle_ms || control->ended) {
        return;
    }
    if (is_unused(control)) {
        /* A network that still runs then calls again when it stops. */
        loop_timer_arm(control->idle, loop_now_ms() + control->idle_ms);
    } else {
        loop_timer_disarm(control->idle);
    }
}

static bool lock_starters_out(const Control *control)
{
    return control->lock_fd < 0
           || flock(control->lock_fd, LOCK_EX | LOCK_NB) == 0;
}

/*
 * With starters locked out: nobody new can connect once the socket has another
 * name.  Returns: whether the daemon can go.
 */
static bool leave(Control *control)
{
    g_autofree char *aside = NULL;

    if (!control->owns_socket) {
        return !server_accept_waiting(control->server);
    }
    aside = g_strdup_printf("%s.leaving", control->socket_path);
    if (rename(control->socket_path, aside) < 0) {
        return true; /* somebody removed it: nobody can come */
    }
    if (server_accept_waiting(control->server)) {
        if (rename(aside, control->socket_path) < 0) {
            g_warning("cannot rename '%s' back: %s", aside, g_strerror(errno));
        }
        return false;
    }
    unlink(aside);
    return true;
}

static void on_idle(void *opaque, int64_t now_ms)
{
    Control *control = opaque;

    if (!is_unused(control) || !network_register_is_idle(control->networks)) {
        return;
    }
    if (!lock_starters_out(control)) {
        loop_timer_arm(control->idle, now_ms + LEAVE_RETRY_MS);
        return;
    }
    if (leave(control)) {
        g_message("idle for %" G_GINT64_FORMAT " s: leaving",
                  control->idle_ms / 1000);
        control_end(control);  /* the lock goes with the process */
        return;
    }
    if (control->lock_fd >= 0) {
        flock(control->lock_fd, LOCK_UN);
    }
    control_touch(control);
}

static NetworkRegister *make_register(Control *control)
{
    NetworkRegisterConfig config = {
        .loop = control->loop,
        .state_dir = control->state_dir,
        .idle_ms = control->idle_ms ? MIN(control->idle_ms, NETWORK_IDLE_MS)
                                    : NETWORK_IDLE_MS,
        .no_peek_off = g_getenv("VMNET_NO_PEEK_OFF") != NULL,
        .resolv_conf = control->resolv_conf,
        .priv = control->priv,
        .bridged = control->bridged,
    };

    return network_register_new(&config, &event_network_ops, control);
}

Control *control_new(Loop *loop, const ControlConfig *config, GError **error)
{
    g_autoptr(Control) control = g_new0(Control, 1);
    struct stat st;

    control->loop = loop;
    control->socket_path = g_strdup(config->socket_path);
    control->owns_socket = config->owns_socket
                           && lstat(config->socket_path, &st) == 0;
    if (control->owns_socket) {
        control->socket_dev = st.st_dev;
        control->socket_ino = st.st_ino;
    }
    control->lock_fd = config->lock_fd;
    control->state_dir = g_strdup(config->state_dir);
    control->runtime_dir = g_strdup(config->runtime_dir);
    control->log_file = g_strdup(config->log_file);
    control->resolv_conf = g_strdup(config->resolv_conf);
    control->idle_ms = config->idle_ms;
    control->started_s = time(NULL);
    control->supervisor_pid = config->supervisor_pid;
    control->sandbox = config->sandbox;
    control->is_system = config->is_system;
    control->bridged = config->bridged;
    control->policy_source = config->policy;
    if (control->is_system) {
        control->policy = policy_source_start(config->policy);
    }
    if (config->priv_fd >= 0) {
        control->priv = priv_new(config->priv_fd);
    }
    control->clients = g_ptr_array_new();
    control->netdevs = g_ptr_array_new();
    control->forwards = g_ptr_array_new_with_free_func(forward_free);
    control->held = g_ptr_array_new_with_free_func(held_network_free);
    control->idle = loop_timer_new(loop, on_idle, control);
    control->late_events = loop_timer_new(loop, forward_event_tell_moved,
                                          control);
    control->record = record_new(control);
    control->self = client_new(control, -1, getpid(), geteuid(), NULL);
    control->networks = make_register(control);
    control->server = server_new(control, config->listen_fd, error);
    if (!control->server) {
        return NULL;
    }
    control_touch(control);
    return g_steal_pointer(&control);
}

static void remove_socket(Control *control)
{
    if (!control->owns_socket || !control->server) {
        return;
    }
    /* A daemon that leaves while somebody starts one: see leave(). */
    lock_starters_out(control);
    export_path_remove(control->socket_path, control->socket_dev,
                       control->socket_ino);
}

void control_free(Control *control)
{
    if (!control) {
        return;
    }
    control->ended = true;
    remove_socket(control);
    while (control->clients->len) {
        client_free(g_ptr_array_steal_index(control->clients,
                                            control->clients->len - 1));
    }
    g_ptr_array_set_size(control->forwards, 0);
    while (control->netdevs->len) {
        netdev_remove(g_ptr_array_index(control->netdevs,
                                        control->netdevs->len - 1));
    }
    client_free(control->self);
    g_ptr_array_set_size(control->held, 0);
    network_register_free(control->networks);
    priv_free(control->priv);
    policy_free(control->policy);
    record_free(control->record);
    server_free(control->server);
    loop_timer_free(control->idle);
    loop_timer_free(control->late_events);
    g_ptr_array_unref(control->clients);
    g_ptr_array_unref(control->netdevs);
    g_ptr_array_unref(control->forwards);
    g_ptr_array_unref(control->held);
    g_free(control->socket_path);
    g_free(control->state_dir);
    g_free(control->runtime_dir);
    g_free(control->log_file);
    g_free(control->resolv_conf);
    g_free(control);
}

void control_reload(Control *control)
{
    Policy *policy;

    if (!control->is_system) {
        return;
    }
    policy = policy_source_reload(control->policy_source, control->policy);
    if (policy) {
        policy_free(control->policy);
        control->policy = policy;
        priv_reload(control->priv);
    }
}

void control_run(Control *control)
{
    while (!control->ended) {
        loop_turn(control->loop, true);
    }
}

void control_end(Control *control)
{
    control->ended = true;
}
