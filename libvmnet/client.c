/*
 * A connection to vmnetd
 *
 * Messages both ways over one socket, with deadlines.  Answers are told from
 * each other by their id: one that came too late for its command is not taken
 * for the next one's.  How the connection comes about is in connect.c.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "libvmnet/build.h"
#include "libvmnet/client-private.h"
#include "libvmnet/deadline.h"
#include "vmnet/error.h"

#define COMMAND_TIMEOUT_MS 30000

/* What a daemon may answer: a thousand netdevs are less than a megabyte. */
static const JsonLimits limits = {
    .max_bytes = 64 * 1024 * 1024,
    .max_tokens = 2 * 1024 * 1024,
    .max_depth = 64,
};

struct VmnetClient {
    int fd;
    char *path;             /* of the socket; for messages */
    JsonStream *stream;
    GQueue messages;        /* JsonValue, received and not yet asked for */
    GError *stream_error;   /* the daemon spoke no JSON */
    int64_t next_id;
    char *version;
    char *notice;
    bool eof;
};

static void stream_value(void *opaque, JsonValue *value, const GError *error)
{
    VmnetClient *client = opaque;

    if (value) {
        g_queue_push_tail(&client->messages, value);
    } else if (!client->stream_error) {
        client->stream_error = g_error_copy(error);
    }
}

VmnetClient *vmnet_client_new(int fd, const char *path)
{
    struct timeval timeout = { .tv_sec = COMMAND_TIMEOUT_MS / 1000 };
    VmnetClient *client = g_new0(VmnetClient, 1);

    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
    client->fd = fd;
    client->path = g_strdup(path);
    client->next_id = 1;
    g_queue_init(&client->messages);
    client->stream = json_stream_new(&limits, stream_value, client);
    return client;
}

void vmnet_client_free(VmnetClient *client)
{
    if (!client) {
        return;
    }
    close(client->fd);
    json_stream_free(client->stream);
    g_queue_clear_full(&client->messages, (GDestroyNotify)json_unref);
    g_clear_error(&client->stream_error);
    g_free(client->path);
    g_free(client->version);
    g_free(client->notice);
    g_free(client);
}

int vmnet_client_get_fd(const VmnetClient *client)
{
    return client->fd;
}

const char *vmnet_client_get_notice(const VmnetClient *client)
{
    return client->notice;
}

const char *vmnet_client_get_version(const VmnetClient *client)
{
    return client->version;
}

/* Messages */

static bool send_some(VmnetClient *client, const char *text, size_t len,
                      int fd, size_t *ret_sent)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = { 0 };
    struct iovec iov = { .iov_base = (void *)text, .iov_len = len };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
    ssize_t n;

    if (fd >= 0) {
        struct cmsghdr *cmsg;

        msg.msg_control = control.bytes;
        msg.msg_controllen = sizeof(control.bytes);
        cmsg = CMSG_FIRSTHDR(&msg);
        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_RIGHTS;
        cmsg->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(cmsg), &fd, sizeof(int));
    }
    do {
        n = sendmsg(client->fd, &msg, MSG_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
    *ret_sent = n > 0 ? n : 0;
    return n > 0;
}

bool vmnet_client_send(VmnetClient *client, const JsonValue *message, int fd,
                       GError **error)
{
    g_autofree char *json = json_to_text(message);
    g_autofree char *line = g_strconcat(json, "\n", NULL);
    size_t len = strlen(line), done = 0, n;

    while (done < len) {
        if (!send_some(client, line + done, len - done, done ? -1 : fd, &n)) {
            int errnum = errno;

            client->eof = errnum == EPIPE || errnum == ECONNRESET;
            g_set_error(error, VMNET_ERROR, vmnet_status_from_errno(errnum),
                        "vmnetd at '%s': %s", client->path,
                        g_strerror(errnum));
            return false;
        }
        done += n;
    }
    return true;
}

/* Wait for bytes and feed them; false if time is up or there are no more. */
static bool receive_some(VmnetClient *client, int64_t deadline_us,
                         GError **error)
{
    struct pollfd pfd = { .fd = client->fd, .events = POLLIN };
    char buf[16384];
    ssize_t n;
    int ready;

    do {
        ready = poll(&pfd, 1, deadline_left_ms(deadline_us));
    } while (ready < 0 && errno == EINTR);
    if (ready == 0) {
        return false;
    }
    do {
        n = recv(client->fd, buf, sizeof(buf), 0);
    } while (n < 0 && errno == EINTR);
    if (n > 0) {
        json_stream_feed(client->stream, buf, n);
        return true;
    }
    client->eof = true;
    g_set_error(error, VMNET_ERROR, VMNET_SETUP_INCOMPLETE,
                "vmnetd at '%s' closed the connection", client->path);
    return false;
}

JsonValue *vmnet_client_receive(VmnetClient *client, int timeout_ms,
                                GError **error)
{
    int64_t deadline_us = deadline_in_ms(timeout_ms);

    while (g_queue_is_empty(&client->messages)) {
        if (client->stream_error) {
            g_set_error(error, VMNET_ERROR, VMNET_SETUP_INCOMPLETE,
                        "what listens on '%s' does not speak QMP: %s",
                        client->path, client->stream_error->message);
            return NULL;
        }
        if (!receive_some(client, deadline_us, error)) {
            return NULL;
        }
    }
    return g_queue_pop_head(&client->messages);
}

/* As vmnet_client_receive(), and being late is an error. */
static JsonValue *receive_in_time(VmnetClient *client, int timeout_ms,
                                  GError **error)
{
    GError *err = NULL;
    JsonValue *message = vmnet_client_receive(client, timeout_ms, &err);

    if (message) {
        return message;
    }
    if (err) {
        g_propagate_error(error, err);
    } else {
        g_set_error(error, VMNET_ERROR, VMNET_SETUP_INCOMPLETE,
                    "vmnetd at '%s' does not answer", client->path);
    }
    return NULL;
}

/* The result in the answer @message: consumed. */
static JsonValue *take_result(JsonValue *message, GError **error)
{
    g_autoptr(JsonValue) owned = message;
    const JsonValue *failed = json_dict_get(message, "error");
    const JsonValue *result = json_dict_get(message, "return");

    if (failed) {
        const char *desc = json_dict_get_string(failed, "desc");

        g_set_error_literal(error, VMNET_ERROR, VMNET_FAILURE,
                            desc ?: "vmnetd gave no reason");
        return NULL;
    }
    return json_ref((JsonValue *)result);
}

static JsonValue *execute_with_fd(VmnetClient *client, const char *command,
                                  JsonValue *args, int fd, GError **error)
{
    g_autoptr(JsonValue) request = json_dict();
    int64_t deadline_us = deadline_in_ms(COMMAND_TIMEOUT_MS);
    int64_t id = client->next_id++;

    json_dict_set_string(request, "execute", command);
    if (args) {
        json_dict_set(request, "arguments", args);
    }
    json_dict_set_int(request, "id", id);
    if (!vmnet_client_send(client, request, fd, error)) {
        return NULL;
    }
    for (;;) {
        JsonValue *message = receive_in_time(client, deadline_left_ms(deadline_us),
                                             error);
        int64_t answered;

        if (!message) {
            return NULL;
        }
        if ((json_dict_get(message, "return") ||
             json_dict_get(message, "error")) &&
            json_dict_get_int(message, "id", &answered) && answered == id) {
            return take_result(message, error);
        }
        json_unref(message);    /* an event */
    }
}

JsonValue *vmnet_client_execute(VmnetClient *client, const char *command,
                                JsonValue *args, GError **error)
{
    return execute_with_fd(client, command, args, -1, error);
}

char *vmnet_client_command(VmnetClient *client, const char *name,
                           const char *arguments, GError **error)
{
    g_autoptr(JsonValue) result = NULL;
    JsonValue *args = NULL;

    if (arguments) {
        args = json_parse(arguments, strlen(arguments), error);
        if (!args) {
            return NULL;
        }
    }
    result = vmnet_client_execute(client, name, args, error);
    return result ? json_to_text(result) : NULL;
}

gboolean vmnet_client_send_fd(VmnetClient *client, const char *name, int fd,
                              GError **error)
{
    g_autoptr(JsonValue) result = NULL;
    JsonValue *args = json_dict();

    json_dict_set_string(args, "fdname", name);
    result = execute_with_fd(client, "getfd", args, fd, error);
    return result != NULL;
}

/* The greeting */

static char *version_text(const JsonValue *version)
{
    const JsonValue *triple = json_dict_get(version, "qemu");
    int64_t major = 0, minor = 0, micro = 0;

    if (triple) {
        json_dict_get_int(triple, "major", &major);
        json_dict_get_int(triple, "minor", &minor);
        json_dict_get_int(triple, "micro", &micro);
    }
    return g_strdup_printf("%d.%d.%d", (int)major, (int)minor, (int)micro);
}

static bool check_protocol(VmnetClient *client, const JsonValue *version,
                           GError **error)
{
    const char *build = json_dict_get_string(version, "build");
    int64_t protocol;

    client->version = version_text(version);
    if (!json_dict_get_int(version, "protocol", &protocol)) {
        g_set_error(error, VMNET_ERROR, VMNET_SETUP_INCOMPLETE,
                    "what listens on '%s' is not vmnetd", client->path);
        return false;
    }
    if (protocol != VMNET_PROTOCOL) {
        g_set_error(error, VMNET_ERROR, VMNET_SETUP_INCOMPLETE,
                    "vmnetd at '%s' is version %s and speaks protocol %d, this "
                    "program is version %s and speaks protocol %d; end that "
                    "vmnetd (its own `vmnetctl stop`) and try again",
                    client->path, client->version, (int)protocol,
                    VMNET_VERSION, VMNET_PROTOCOL);
        return false;
    }
    if (build && strcmp(build, vmnet_build_id()) != 0) {
        client->notice = g_strdup_printf(
            "vmnetd runs build %s (version %s), this program is build %s; "
            "`vmnetctl stop` ends it, the next start takes the new one",
            build, client->version, vmnet_build_id());
    }
    return true;
}

bool vmnet_client_greet(VmnetClient *client, int64_t deadline_us,
                        GError **error)
{
    g_autoptr(JsonValue) greeting = NULL;
    g_autoptr(JsonValue) negotiated = NULL;
    g_autoptr(JsonValue) queried = NULL;
    const JsonValue *qmp, *version;

    greeting = receive_in_time(client, deadline_left_ms(deadline_us), error);
    if (!greeting) {
        return false;
    }
    if (json_dict_get(greeting, "error")) {     /* it has too many clients */
        take_result(g_steal_pointer(&greeting), error);
        return false;
    }
    qmp = json_dict_get(greeting, "QMP");
    version = qmp ? json_dict_get(qmp, "version") : NULL;
    negotiated = vmnet_client_execute(client, "qmp_capabilities", NULL, error);
    if (!negotiated) {
        return false;
    }
    if (!version || !json_dict_get(version, "protocol")) {
        queried = vmnet_client_execute(client, "query-version", NULL, error);
        if (!queried) {
            return false;
        }
        version = queried;
    }
    return check_protocol(client, version, error);
}

bool vmnet_client_is_lost(const VmnetClient *client)
{
    return client->eof && !client->version;
}
