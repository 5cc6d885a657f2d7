/*
 * QMP: the protocol of one client over a connected Unix stream socket
 *
 * Theory of operation
 * -------------------
 * Input is a stream of JSON values; each is a request, executed at once and in
 * order, so that a reply is queued before the next request is looked at.  The
 * checks come in the order of QEMU's dispatcher, since the first of several
 * mistakes is the one that is answered:
 *
 *   not JSON -> not an object -> unexpected member, member of a wrong type ->
 *   no "execute" -> unknown command -> wrong arguments -> the command's errors
 *
 * Before qmp_capabilities no command but that one is known, and the class
 * CommandNotFound gets a text that says so.
 *
 * Output is one queue.  It is bounded by two rules: an event that finds it
 * longer than LIMIT_CLIENT_OUTPUT_BYTES is dropped and counted, and requests
 * are not read while it is longer than half of that.  Hence its length is at
 * most the limit and one reply.  Once a reply cannot be sent, requests that wait
 * are forgotten, as they are by QEMU when a client has hung up.
 *
 * Out-of-band execution is not offered: no command here waits for anything.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "control/qmp.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "limits.h"
#include "qapi/qapi-error.h"
#include "vmnet/error.h"

#define READ_BYTES 16384
#define OUTPUT_FULL (LIMIT_CLIENT_OUTPUT_BYTES / 2)

struct QmpSession {
    int fd;
    LoopWatch *watch;
    const QmpCommand *commands;
    void *client;
    void (*closed)(void *client);
    void (*caught_up)(void *client, uint64_t n_lost);

    JsonStream *stream;
    bool negotiated;
    bool paused;            /* no requests are read: the queue is long */
    bool stopped;           /* no requests are read: ever again */

    GString *out;
    size_t out_sent;        /* bytes of @out that the kernel has */
    uint64_t events_lost, losses_told;

    int fds[LIMIT_CLIENT_FDS];
    unsigned n_fds;
    bool fd_lost;           /* of the newest message none has arrived */
    char *failure;          /* the call that ended it; NULL: none did */
};

/* A client that goes without a word is no failure. */
static void note_failure(QmpSession *session, const char *call, int errnum)
{
    if (!session->failure && errnum != EPIPE && errnum != ECONNRESET) {
        session->failure = g_strdup_printf("%s: %s", call, g_strerror(errnum));
    }
}

static size_t output_pending(const QmpSession *session)
{
    return session->out->len - session->out_sent;
}

static void update_events(QmpSession *session)
{
    uint32_t events = 0;

    if (!session->paused && !session->stopped) {
        events |= EPOLLIN;
    }
    if (output_pending(session)
        || session->losses_told < session->events_lost) {
        events |= EPOLLOUT;
    }
    loop_watch_set_events(session->watch, events);
}

/* Nobody waits for what is still to be done: it is not. */
static void end_requests(QmpSession *session)
{
    session->stopped = true;
    json_stream_pause(session->stream);
}

/*
 * Write what the kernel takes.  A socket that fails is shut down, upon which
 * the loop reports EPOLLHUP and the session is closed from there: whoever
 * sends an event need not expect that a client disappears under it.
 */
static void output_flush(QmpSession *session)
{
    while (output_pending(session)) {
        ssize_t n = send(session->fd, session->out->str + session->out_sent,
                         output_pending(session), MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0 && errno == EAGAIN) {
            break;
        }
        if (n < 0) {
            note_failure(session, "send", errno);
            shutdown(session->fd, SHUT_RDWR);
            session->out_sent = session->out->len;
            end_requests(session);
            break;
        }
        session->out_sent += n;
    }
    if (!output_pending(session)) {
        /* One large reply should not be held for the client's whole life. */
        if (session->out->allocated_len > READ_BYTES) {
            g_string_free(session->out, TRUE);
            session->out = g_string_new(NULL);
        }
        g_string_truncate(session->out, 0);
        session->out_sent = 0;
    }
}

static void output_line(QmpSession *session, const char *line)
{
    g_string_append(session->out, line);
    g_string_append(session->out, "\r\n");
    output_flush(session);
    if (output_pending(session) > OUTPUT_FULL && !session->paused) {
        session->paused = true;
        json_stream_pause(session->stream);
    }
}

static void output_value(QmpSession *session, const JsonValue *value)
{
    g_autofree char *text = json_to_text(value);

    output_line(session, text);
}

/* @status: one member more than QEMU's errors have, of enum VmnetStatus, for
 * libvmnet's callers; 0: none */
static JsonValue *reply_error(const char *class, const char *desc, int status,
                              const JsonValue *id)
{
    JsonValue *reply = json_dict();
    JsonValue *error = json_dict();

    if (id) {
        json_dict_set(reply, "id", json_ref((JsonValue *)id));
    }
    json_dict_set_string(error, "class", class);
    json_dict_set_string(error, "desc", desc);
    if (status) {
        json_dict_set_int(error, "status", status);
    }
    json_dict_set(reply, "error", error);
    return reply;
}

static JsonValue *reply_success(JsonValue *ret, const JsonValue *id)
{
    JsonValue *reply = json_dict();

    json_dict_set(reply, "return", ret ? ret : json_dict());
    if (id) {
        json_dict_set(reply, "id", json_ref((JsonValue *)id));
    }
    return reply;
}

/* The members of a request, each of the right type and none unknown. */
static bool check_request(const JsonValue *request, GError **error)
{
    size_t i;

    for (i = 0; i < json_dict_size(request); i++) {
        const char *key;
        const JsonValue *member = json_dict_at(request, i, &key);

        if (!strcmp(key, "execute")) {
            if (json_type(member) != JSON_STRING) {
                g_set_error(error, QAPI_ERROR, QAPI_ERROR_GENERIC,
                            "QMP input member '%s' must be a string", key);
                return false;
            }
        } else if (!strcmp(key, "arguments")) {
            if (json_type(member) != JSON_DICT) {
                g_set_error(error, QAPI_ERROR, QAPI_ERROR_GENERIC,
                            "QMP input member '%s' must be an object", key);
                return false;
            }
        } else if (strcmp(key, "id")) {
            g_set_error(error, QAPI_ERROR, QAPI_ERROR_GENERIC,
                        "QMP input member '%s' is unexpected", key);
            return false;
        }
    }
    if (!json_dict_get(request, "execute")) {
        g_set_error_literal(error, QAPI_ERROR, QAPI_ERROR_GENERIC,
                            "QMP input lacks member 'execute'");
        return false;
    }
    return true;
}

static const QmpCommand *find_command(const QmpSession *session, const char *name)
{
    const QmpCommand *command;

    if (!session->negotiated && strcmp(name, "qmp_capabilities")) {
        return NULL;
    }
    for (command = session->commands; command->name; command++) {
        if (!strcmp(command->name, name)) {
            return command;
        }
    }
    return NULL;
}

static bool execute(QmpSession *session, const JsonValue *request, JsonValue **ret,
                    GError **error)
{
    g_autoptr(JsonValue) no_args = NULL;
    const JsonValue *args;
    const QmpCommand *command;
    const char *name;

    if (!check_request(request, error)) {
        return false;
    }
    name = json_dict_get_string(request, "execute");
    command = find_command(session, name);
    if (!command) {
        g_set_error(error, QAPI_ERROR, QAPI_ERROR_COMMAND_NOT_FOUND,
                    "The command %s has not been found", name);
        return false;
    }
    g_debug("executes %s", command->name);
    args = json_dict_get(request, "arguments");
    if (!args) {
        args = no_args = json_dict();
    }
    return command->invoke(session->client, args, ret, error);
}

static JsonValue *dispatch(QmpSession *session, const JsonValue *request)
{
    g_autoptr(GError) error = NULL;
    const JsonValue *id = NULL;
    JsonValue *ret = NULL;
    const char *class;

    if (json_type(request) != JSON_DICT) {
        return reply_error("GenericError", "QMP input must be a JSON object",
                           0, NULL);
    }
    id = json_dict_get(request, "id");
    if (execute(session, request, &ret, &error)) {
        return reply_success(ret, id);
    }
    class = qapi_error_class_str(error);
    if (!session->negotiated && !strcmp(class, "CommandNotFound")) {
        return reply_error(class, "Expecting capabilities negotiation with "
                           "'qmp_capabilities'", 0, id);
    }
    return reply_error(class, error->message,
                       error->domain == VMNET_ERROR ? error->code : 0, id);
}

static void on_value(void *opaque, JsonValue *value, const GError *error)
{
    QmpSession *session = opaque;
    g_autoptr(JsonValue) request = value;
    g_autoptr(JsonValue) reply = NULL;

    if (session->stopped) {
        return;
    }
    if (request) {
        reply = dispatch(session, request);
    } else {
        reply = reply_error("GenericError", error->message, 0, NULL);
    }
    output_value(session, reply);
}

static void close_fds(QmpSession *session)
{
    while (session->n_fds) {
        close(session->fds[--session->n_fds]);
    }
}

/* Descriptors of one message take the place of those that nobody asked for. */
static void take_descriptors(QmpSession *session, struct msghdr *msg)
{
    struct cmsghdr *cmsg;

    if (msg->msg_flags & MSG_CTRUNC) {
        close_fds(session);
        session->fd_lost = true;
    }
    for (cmsg = CMSG_FIRSTHDR(msg); cmsg; cmsg = CMSG_NXTHDR(msg, cmsg)) {
        size_t n, i;

        if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS) {
            continue;
        }
        close_fds(session);
        n = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (i = 0; i < n; i++) {
            int fd;

            memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof(int), sizeof(fd));
            if (session->n_fds < LIMIT_CLIENT_FDS) {
                session->fd_lost = false;
                session->fds[session->n_fds++] = fd;
            } else {
                close(fd);
            }
        }
    }
}

/* Returns: false if the connection has ended. */
static bool input_read(QmpSession *session)
{
    char data[READ_BYTES];
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(sizeof(int) * LIMIT_CLIENT_FDS)];
    } control;
    struct iovec iov = { .iov_base = data, .iov_len = sizeof(data) };
    struct msghdr msg = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = &control,
        .msg_controllen = sizeof(control),
    };
    ssize_t n = recvmsg(session->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return true;
    }
    if (n < 0) {
        note_failure(session, "recvmsg", errno);
        return false;
    }
    take_descriptors(session, &msg);
    if (n == 0) {
        return false;
    }
    json_stream_feed(session->stream, data, n);
    return true;
}

/* After what was queued before the first of them was lost. */
static void tell_losses(QmpSession *session)
{
    uint64_t n_lost = session->events_lost - session->losses_told;

    if (n_lost && !output_pending(session)) {
        session->losses_told = session->events_lost;
        session->caught_up(session->client, n_lost);
    }
}

static void on_ready(void *opaque, uint32_t events, int64_t now_ms)
{
    QmpSession *session = opaque;
    bool open = true;

    if (events & EPOLLOUT) {
        output_flush(session);
        tell_losses(session);
        if (session->paused && !session->stopped &&
            output_pending(session) <= OUTPUT_FULL) {
            session->paused = false;
            json_stream_feed(session->stream, "", 0);
        }
    }
    if (events & EPOLLIN && !session->paused && !session->stopped) {
        open = input_read(session);
    } else if (events & (EPOLLHUP | EPOLLERR)) {
        open = false;
    }
    if (!open) {
        session->closed(session->client);
        return;
    }
    update_events(session);
}

QmpSession *qmp_session_new(const QmpSessionConfig *config, GError **error)
{
    static const JsonLimits limits = {
        .max_bytes = LIMIT_REQUEST_BYTES,
        .max_tokens = LIMIT_REQUEST_TOKENS,
        .max_depth = LIMIT_REQUEST_DEPTH,
    };
    g_autoptr(QmpSession) session = g_new0(QmpSession, 1);
    g_autoptr(JsonValue) greeting = json_dict();

    session->fd = config->fd;
    session->commands = config->commands;
    session->client = config->client;
    session->closed = config->closed;
    session->caught_up = config->caught_up;
    session->out = g_string_new(NULL);
    session->stream = json_stream_new(&limits, on_value, session);
    session->watch = loop_watch_new(config->loop, config->fd, EPOLLIN, on_ready,
                                    session, error);
    if (!session->watch) {
        return NULL;
    }
    json_dict_set(greeting, "QMP", json_ref(config->greeting));
    output_value(session, greeting);
    update_events(session);
    return g_steal_pointer(&session);
}

void qmp_session_free(QmpSession *session)
{
    if (!session) {
        return;
    }
    output_flush(session);
    loop_watch_free(session->watch);
    close_fds(session);
    close(session->fd);
    json_stream_free(session->stream);
    g_string_free(session->out, TRUE);
    g_free(session->failure);
    g_free(session);
}

bool qmp_session_negotiate(QmpSession *session, const QMPCapabilityList *enable,
                           GError **error)
{
    g_autoptr(GString) refused = g_string_new(NULL);

    if (session->negotiated) {
        g_set_error_literal(error, QAPI_ERROR, QAPI_ERROR_COMMAND_NOT_FOUND,
                            "Capabilities negotiation is already complete, "
                            "command ignored");
        return false;
    }
    for (; enable; enable = enable->next) {
        g_string_append_printf(refused, "%s%s", refused->len ? ", " : "",
                               QMPCapability_str(enable->value));
    }
    if (refused->len) {
        g_set_error(error, QAPI_ERROR, QAPI_ERROR_GENERIC,
                    "Capability %s not available", refused->str);
        return false;
    }
    session->negotiated = true;
    return true;
}

void qmp_session_send_event(QmpSession *session, const char *line)
{
    if (!session->negotiated) {
        return;
    }
    if (output_pending(session) + strlen(line) > LIMIT_CLIENT_OUTPUT_BYTES) {
        session->events_lost++;
        return;
    }
    output_line(session, line);
    update_events(session);
}

uint64_t qmp_session_events_lost(const QmpSession *session)
{
    return session->events_lost;
}

const char *qmp_session_failure(const QmpSession *session)
{
    return session->failure;
}

int qmp_session_take_fd(QmpSession *session)
{
    int fd;

    if (!session->n_fds) {
        return -1;
    }
    fd = session->fds[0];
    memmove(session->fds, session->fds + 1,
            --session->n_fds * sizeof(session->fds[0]));
    close_fds(session);
    return fd;
}

bool qmp_session_lost_fd(const QmpSession *session)
{
    return session->fd_lost;
}

void qmp_session_stop(QmpSession *session)
{
    session->stopped = true;
    update_events(session);
}
