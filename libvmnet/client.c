/*
 * A client: its life, and what it does when it is dispatched
 *
 * Theory of operation
 *
 * Whatever happens is noticed in one place, vmnet_client_dispatch(), and there
 * in one order: the connector's step, bytes out, bytes in, messages, deadlines,
 * loss.  Functions that are called from outside only queue.  Hence a callback
 * can do anything, dispatch again included: between two callbacks nothing is
 * half done.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "libvmnet/client-int.h"

VmnetClient *vmnet_client_new(GError **error)
{
    g_autoptr(VmnetClient) client = g_new0(VmnetClient, 1);
    struct epoll_event event = { .events = EPOLLIN };

    client->refs = 1;
    client->fd = -1;
    client->next_id = 1;
    g_queue_init(&client->messages);
    g_queue_init(&client->output);
    g_queue_init(&client->calls);
    client->networks = g_hash_table_new_full(g_str_hash, g_str_equal, g_free,
                                             g_free);
    client->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    client->timer_fd = timerfd_create(CLOCK_MONOTONIC,
                                      TFD_CLOEXEC | TFD_NONBLOCK);
    if (client->epoll_fd < 0 || client->timer_fd < 0 ||
        epoll_ctl(client->epoll_fd, EPOLL_CTL_ADD, client->timer_fd,
                  &event) < 0) {
        g_set_error(error, VMNET_ERROR, vmnet_status_from_errno(errno),
                    "cannot make a descriptor: %s", g_strerror(errno));
        return NULL;
    }
    return g_steal_pointer(&client);
}

VmnetClient *vmnet_client_ref(VmnetClient *client)
{
    refs_inc(&client->refs);
    return client;
}

void vmnet_client_close(VmnetClient *client)
{
    client->closed = true;
    client->state = VMNET_CLIENT_LOST;
    client->told = VMNET_CLIENT_LOST;
    connector_free(client);
    client_io_detach(client);
    client_call_clear(client);
    client_arm(client);
}

void vmnet_client_unref(VmnetClient *client)
{
    if (!client || !refs_dec(&client->refs)) {
        return;
    }
    vmnet_client_close(client);
    client_io_clear(client);
    if (client->timer_fd >= 0) {
        close(client->timer_fd);
    }
    if (client->epoll_fd >= 0) {
        close(client->epoll_fd);
    }
    g_hash_table_unref(client->networks);
    g_clear_error(&client->lost);
    g_free(client->path);
    g_free(client->version);
    g_free(client->notice);
    g_free(client);
}

int vmnet_client_get_fd(const VmnetClient *client)
{
    return client->epoll_fd;
}

VmnetClientState vmnet_client_get_state(const VmnetClient *client)
{
    return client->state;
}

const char *vmnet_client_get_notice(const VmnetClient *client)
{
    return client->notice;
}

const char *vmnet_client_get_version(const VmnetClient *client)
{
    return client->version;
}

void vmnet_client_set_event_callback(VmnetClient *client,
                                     VmnetClientEventFunc func,
                                     gpointer user_data)
{
    client->event_func = func;
    client->event_data = user_data;
}

VmnetClient *vmnet_client_connect_async(VmnetConnectFlags flags,
                                        int timeout_ms,
                                        VmnetClientStateFunc func,
                                        gpointer user_data, GError **error)
{
    g_autoptr(VmnetClient) client = vmnet_client_new(error);

    if (!client || !connector_start(client, flags, deadline_in_ms(timeout_ms),
                                    error)) {
        return NULL;
    }
    client->state_func = func;
    client->state_data = user_data;
    client_arm(client);
    return g_steal_pointer(&client);
}

void client_count_network(VmnetClient *client, const char *name)
{
    unsigned *n = g_hash_table_lookup(client->networks, name);

    if (!n) {
        n = g_new0(unsigned, 1);
        g_hash_table_insert(client->networks, g_strdup(name), n);
    }
    ++*n;
}

/* States */

void client_set_connected(VmnetClient *client)
{
    connector_free(client);
    client->state = VMNET_CLIENT_CONNECTED;
}

void client_lose(VmnetClient *client, GError *error)
{
    if (client->state == VMNET_CLIENT_LOST) {
        g_error_free(error);
        return;
    }
    connector_free(client);
    client_io_detach(client);
    client->state = VMNET_CLIENT_LOST;
    client->lost = error;
}

static void tell_state(VmnetClient *client)
{
    if (client->told == client->state) {
        return;
    }
    client->told = client->state;
    if (client->state_func) {
        client->state_func(client, client->state, client->lost,
                           client->state_data);
    }
}

void client_arm(VmnetClient *client)
{
    int64_t deadline_us = client_call_deadline(client);
    struct itimerspec when = { 0 };

    if (client->connector) {
        deadline_us = MIN(deadline_us, connector_deadline(client->connector));
    }
    if (client->told != client->state || client->messages.length) {
        deadline_us = 0;
    }
    if (deadline_us != G_MAXINT64) {
        deadline_us = MAX(deadline_us, 1);  /* 0 would disarm it */
        when.it_value.tv_sec = deadline_us / G_USEC_PER_SEC;
        when.it_value.tv_nsec = deadline_us % G_USEC_PER_SEC * 1000;
    }
    timerfd_settime(client->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

/* Messages */

static void take_event(VmnetClient *client, const JsonValue *message,
                       const char *name)
{
    const JsonValue *data = json_dict_get(message, "data");
    g_autofree char *text = data ? json_to_text(data) : g_strdup("{}");

    if (client->event_func) {
        client->event_func(client, name, text, client->event_data);
    }
}

/* Answers that came too late, and what is neither, are passed over. */
static void take_message(VmnetClient *client, JsonValue *message)
{
    g_autoptr(JsonValue) owned = message;
    const char *event = json_dict_get_string(message, "event");

    if (!client_call_answer(client, message) && event) {
        take_event(client, message, event);
    }
}

static void take_messages(VmnetClient *client)
{
    JsonValue *message;

    while (client->state == VMNET_CLIENT_CONNECTED &&
           (message = g_queue_pop_head(&client->messages))) {
        take_message(client, message);
    }
}

static void run_connection(VmnetClient *client)
{
    GError *err;

    client_io_send(client);
    client_io_receive(client);
    take_messages(client);
    err = client->fd >= 0 && !client->messages.length ?
          client_io_error(client) : NULL;
    if (err) {
        client_lose(client, err);
    }
}

gboolean vmnet_client_dispatch(VmnetClient *client)
{
    gboolean goes_on;

    vmnet_client_ref(client);
    if (client->state == VMNET_CLIENT_CONNECTING) {
        connector_run(client);
        tell_state(client);
    }
    if (client->state == VMNET_CLIENT_CONNECTED) {
        run_connection(client);
    }
    client_call_expire(client);
    if (client->state == VMNET_CLIENT_LOST && !client->closed) {
        client_call_fail(client);
        tell_state(client);
    }
    client_io_update(client);
    client_arm(client);
    goes_on = client->state != VMNET_CLIENT_LOST;
    vmnet_client_unref(client);
    return goes_on;
}
