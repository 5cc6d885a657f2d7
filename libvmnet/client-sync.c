/*
 * The calls of a client that wait
 *
 * Each begins the asynchronous one and dispatches until it has ended, which
 * its deadline sees to.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <errno.h>
#include <poll.h>
#include <string.h>

#include "libvmnet/client-int.h"

typedef struct Answer {
    bool done;
    JsonValue *result;
    GError *error;
} Answer;

static void on_answer(VmnetClient *client, const JsonValue *result,
                      const GError *error, gpointer user_data)
{
    Answer *answer = user_data;

    answer->done = true;
    answer->result = result ? json_ref((JsonValue *)result) : NULL;
    answer->error = error ? g_error_copy(error) : NULL;
}

bool client_wait(VmnetClient *client, const bool *done)
{
    while (!*done && !client->closed) {
        struct pollfd pfd = { .fd = client->epoll_fd, .events = POLLIN };

        poll(&pfd, 1, -1);
        vmnet_client_dispatch(client);
    }
    return *done;
}

static JsonValue *execute_with_fd(VmnetClient *client, const char *command,
                                  JsonValue *args, int fd, int timeout_ms,
                                  GError **error)
{
    Answer answer = { 0 };

    if (!client_call(client, command, args, fd, deadline_in_ms(timeout_ms),
                     on_answer, &answer, error)) {
        return NULL;
    }
    if (!client_wait(client, &answer.done)) {
        client_call_forget(client, &answer);
        g_set_error(error, VMNET_ERROR, VMNET_SETUP_INCOMPLETE,
                    "%s: the connection was closed", command);
        return NULL;
    }
    if (answer.error) {
        g_propagate_error(error, answer.error);
    }
    return answer.result;
}

JsonValue *client_execute(VmnetClient *client, const char *command,
                          JsonValue *args, int timeout_ms, GError **error)
{
    return execute_with_fd(client, command, args, -1, timeout_ms, error);
}

JsonValue *vmnet_client_execute(VmnetClient *client, const char *command,
                                JsonValue *args, GError **error)
{
    return client_execute(client, command, args, VMNET_COMMAND_TIMEOUT_MS,
                          error);
}

char *vmnet_client_command(VmnetClient *client, const char *name,
                           const char *arguments, int timeout_ms,
                           GError **error)
{
    g_autoptr(JsonValue) result = NULL;
    JsonValue *args = NULL;

    if (arguments) {
        args = json_parse(arguments, strlen(arguments), error);
        if (!args) {
            return NULL;
        }
    }
    result = client_execute(client, name, args, timeout_ms, error);
    return result ? json_to_text(result) : NULL;
}

gboolean vmnet_client_send_fd(VmnetClient *client, const char *name, int fd,
                              int timeout_ms, GError **error)
{
    g_autoptr(JsonValue) result = NULL;
    JsonValue *args = json_dict();

    json_dict_set_string(args, "fdname", name);
    result = execute_with_fd(client, "getfd", args, fd, timeout_ms, error);
    return result != NULL;
}

VmnetClient *vmnet_client_connect(VmnetConnectFlags flags, int timeout_ms,
                                  GError **error)
{
    g_autoptr(VmnetClient) client =
        vmnet_client_connect_async(flags, timeout_ms, NULL, NULL, error);

    if (!client) {
        return NULL;
    }
    while (client->state == VMNET_CLIENT_CONNECTING) {
        struct pollfd pfd = { .fd = client->epoll_fd, .events = POLLIN };

        poll(&pfd, 1, -1);
        vmnet_client_dispatch(client);
    }
    if (client->state == VMNET_CLIENT_LOST) {
        g_propagate_error(error, g_error_copy(client->lost));
        return NULL;
    }
    return g_steal_pointer(&client);
}

/* Single messages, for vmnetctl */

bool vmnet_client_send(VmnetClient *client, const JsonValue *message,
                       GError **error)
{
    if (!client_io_push(client, message, -1, false, error)) {
        return false;
    }
    client_io_send(client);
    return true;
}

JsonValue *vmnet_client_receive(VmnetClient *client, int timeout_ms,
                                GError **error)
{
    int64_t deadline_us = deadline_in_ms(timeout_ms);
    struct pollfd pfd = { .fd = client->epoll_fd, .events = POLLIN };

    for (;;) {
        GError *err;

        client_io_send(client);
        client_io_receive(client);
        if (client->messages.length) {
            return g_queue_pop_head(&client->messages);
        }
        err = client->state == VMNET_CLIENT_LOST ? g_error_copy(client->lost)
                                                 : client_io_error(client);
        if (err) {
            g_propagate_error(error, err);
            return NULL;
        }
        client_arm(client);
        if (poll(&pfd, 1, deadline_left_ms(deadline_us)) == 0) {
            return NULL;
        }
    }
}
