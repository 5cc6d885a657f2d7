/*
 * Commands of a client: answers told from each other, and deadlines
 *
 * An answer names its command by id: one that came too late for its command is
 * not taken for the next one's.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <string.h>

#include "libvmnet/client-int.h"

#define CALLS_MAX 1024

/**
 * ClientCall: at most one of @func, @text_func and @undo is set.
 * @deadline_us: G_MAXINT64: none
 * @undo, @what: how to take back what the command makes, should it succeed
 * @owned: freed if @func is not called
 */
typedef struct ClientCall {
    int64_t id;
    int64_t deadline_us;
    ClientAnswer func;
    VmnetCommandFunc text_func;
    gpointer user_data;
    ClientUndo *undo;
    char *what;
    gpointer owned;
} ClientCall;

static void call_free(ClientCall *call)
{
    g_free(call->what);
    g_free(call->owned);
    g_free(call);
}

static void call_end(VmnetClient *client, ClientCall *call,
                     const JsonValue *result, const GError *error)
{
    if (call->func) {
        call->owned = NULL;
        call->func(client, result, error, call->user_data);
    } else if (call->text_func) {
        g_autofree char *text = result ? json_to_text(result) : NULL;

        call->text_func(client, text, error, call->user_data);
    } else if (call->undo && result) {
        call->undo(client, result, call->what);
    }
    call_free(call);
}

static ClientCall *call_begin(VmnetClient *client, const char *command,
                              JsonValue *args, int fd, int64_t deadline_us,
                              GError **error)
{
    g_autoptr(JsonValue) request = json_dict();
    ClientCall *call;

    json_dict_set_string(request, "execute", command);
    if (args) {
        json_dict_set(request, "arguments", args);
    }
    json_dict_set_int(request, "id", client->next_id);
    if (client->state == VMNET_CLIENT_LOST) {
        g_set_error(error, VMNET_ERROR, VMNET_SETUP_INCOMPLETE,
                    "%s: %s", command, client->lost ? client->lost->message
                                       : "the connection was closed");
        return NULL;
    }
    if (client->calls.length >= CALLS_MAX) {
        g_set_error(error, VMNET_ERROR, VMNET_BUFFER_EXHAUSTED,
                    "%s: %d commands wait for an answer", command, CALLS_MAX);
        return NULL;
    }
    if (!client_io_push(client, request, fd, false, error)) {
        return NULL;
    }
    call = g_new0(ClientCall, 1);
    call->id = client->next_id++;
    call->deadline_us = deadline_us;
    g_queue_push_tail(&client->calls, call);
    client_io_send(client);
    client_arm(client);
    return call;
}

int64_t client_call(VmnetClient *client, const char *command, JsonValue *args,
                    int fd, int64_t deadline_us, ClientAnswer func,
                    gpointer user_data, GError **error)
{
    ClientCall *call = call_begin(client, command, args, fd, deadline_us,
                                  error);

    if (call) {
        call->func = func;
        call->user_data = user_data;
    }
    return call ? call->id : 0;
}

int64_t client_call_owned(VmnetClient *client, const char *command,
                          JsonValue *args, int64_t deadline_us,
                          ClientAnswer func, gpointer user_data,
                          GError **error)
{
    ClientCall *call = call_begin(client, command, args, -1, deadline_us,
                                  error);

    if (!call) {
        g_free(user_data);
        return 0;
    }
    call->func = func;
    call->user_data = call->owned = user_data;
    return call->id;
}

void client_netdev_del(VmnetClient *client, const char *netdev)
{
    JsonValue *args = json_dict();

    json_dict_set_string(args, "id", netdev);
    client_call(client, "netdev_del", args, -1,
                deadline_in_ms(VMNET_COMMAND_TIMEOUT_MS), NULL, NULL, NULL);
}

void client_call_forget(VmnetClient *client, gpointer user_data)
{
    GList *item;

    for (item = client->calls.head; item; item = item->next) {
        ClientCall *call = item->data;

        if (call->user_data == user_data) {
            call->func = NULL;
            call->text_func = NULL;
        }
    }
}

static ClientCall *find_call(VmnetClient *client, int64_t id)
{
    GList *item;

    for (item = client->calls.head; item; item = item->next) {
        ClientCall *call = item->data;

        if (call->id == id) {
            return call;
        }
    }
    return NULL;
}

/* A call whose time was up is no longer in the list: it comes back. */
void client_call_undo(VmnetClient *client, int64_t number, ClientUndo *undo,
                      const char *what)
{
    ClientCall *call = find_call(client, number);

    if (client->state == VMNET_CLIENT_LOST) {
        return;
    }
    if (!call) {
        call = g_new0(ClientCall, 1);
        call->id = number;
        g_queue_push_tail(&client->calls, call);
    }
    call->func = NULL;
    call->deadline_us = G_MAXINT64;
    call->undo = undo;
    g_free(call->what);
    call->what = g_strdup(what);
}

/* SETUP_INCOMPLETE is what we say where no answer came. */
static VmnetStatus answered_status(const JsonValue *failed)
{
    int64_t status;

    if (json_dict_get_int(failed, "status", &status) &&
        status > VMNET_SUCCESS && status <= VMNET_NOT_AUTHORIZED &&
        status != VMNET_SETUP_INCOMPLETE) {
        return status;
    }
    return VMNET_FAILURE;
}

const JsonValue *client_take_result(const JsonValue *message, GError **error)
{
    const JsonValue *failed = json_dict_get(message, "error");
    const char *desc;

    if (!failed) {
        return json_dict_get(message, "return");
    }
    desc = json_dict_get_string(failed, "desc");
    g_set_error_literal(error, VMNET_ERROR, answered_status(failed),
                        desc ?: "vmnetd gave no reason");
    return NULL;
}

bool client_call_answer(VmnetClient *client, const JsonValue *message)
{
    g_autoptr(GError) err = NULL;
    const JsonValue *result;
    ClientCall *call;
    int64_t id;

    if (!json_dict_get(message, "return") && !json_dict_get(message, "error")) {
        return false;
    }
    call = json_dict_get_int(message, "id", &id) ? find_call(client, id) : NULL;
    if (call) {
        g_queue_remove(&client->calls, call);
        result = client_take_result(message, &err);
        call_end(client, call, result, err);
    }
    return true;
}

void client_call_expire(VmnetClient *client)
{
    int64_t now_us = g_get_monotonic_time();
    GList *item = client->calls.head;

    while (item) {
        ClientCall *call = item->data;
        g_autoptr(GError) err = NULL;

        if (call->deadline_us > now_us) {
            item = item->next;
            continue;
        }
        g_queue_delete_link(&client->calls, item);
        err = g_error_new(VMNET_ERROR, VMNET_SETUP_INCOMPLETE,
                          "vmnetd at '%s' does not answer", client->path);
        call_end(client, call, NULL, err);
        item = client->calls.head;  /* the callback may have changed all */
    }
}

void client_call_fail(VmnetClient *client)
{
    ClientCall *call;

    while ((call = g_queue_pop_head(&client->calls))) {
        call_end(client, call, NULL, client->lost);
    }
}

void client_call_clear(VmnetClient *client)
{
    g_queue_clear_full(&client->calls, (GDestroyNotify)call_free);
}

int64_t client_call_deadline(const VmnetClient *client)
{
    int64_t deadline_us = G_MAXINT64;
    GList *item;

    for (item = client->calls.head; item; item = item->next) {
        ClientCall *call = item->data;

        deadline_us = MIN(deadline_us, call->deadline_us);
    }
    return deadline_us;
}

gboolean vmnet_client_command_async(VmnetClient *client, const char *name,
                                    const char *arguments, int fd,
                                    int timeout_ms, VmnetCommandFunc func,
                                    gpointer user_data, GError **error)
{
    JsonValue *args = NULL;
    ClientCall *call;

    if (arguments) {
        g_autoptr(GError) err = NULL;

        args = json_parse(arguments, strlen(arguments), &err);
        if (!args) {
            g_set_error(error, VMNET_ERROR, VMNET_INVALID_ARGUMENT,
                        "arguments of %s: %s", name, err->message);
            return false;
        }
    }
    call = call_begin(client, name, args, fd, deadline_in_ms(timeout_ms),
                      error);
    if (call) {
        call->text_func = func;
        call->user_data = user_data;
    }
    return call != NULL;
}
