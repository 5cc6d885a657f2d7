/*
 * A connection to vmnetd
 *
 * Theory of operation
 *
 * Connecting is a race with daemons that start and daemons that leave:
 *
 *   connect ----ok----> greeting ----> negotiate ----> client
 *      |                   | end of file: it left, or could not start
 *      | nobody listens    v
 *      |            once more, three times
 *      v
 *   take the lock; connect again (another starter was faster);
 *   whoever holds the state directory has another socket: connect there;
 *   remove a socket that refuses; bind, listen; start vmnetd with it;
 *   close the listening socket; connect; give the lock back
 *
 * The listening socket exists before the daemon does: the connection waits in
 * its backlog, and no one polls for a file to appear.  Since the daemon is the
 * only holder of that socket, its death is the end of file that tells us.  A
 * daemon that leaves removes its socket under the same lock and then serves
 * whoever is already waiting, so that a connection is never lost in between.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "libvmnet/build.h"
#include "libvmnet/client-private.h"
#include "libvmnet/launch.h"
#include "libvmnet/paths.h"
#include "vmnet/error.h"

#define CONNECT_TIMEOUT_MS 15000
#define COMMAND_TIMEOUT_MS 30000
#define CONNECT_ATTEMPTS 3
#define BACKLOG_POLL_MS 10

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

static VmnetClient *client_new(int fd, const char *path)
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

static int64_t deadline_in(int timeout_ms)
{
    return g_get_monotonic_time() + timeout_ms * (int64_t)1000;
}

static int remaining_ms(int64_t deadline_us)
{
    int64_t left_us = deadline_us - g_get_monotonic_time();

    return left_us > 0 ? (int)((left_us + 999) / 1000) : 0;
}

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
        ready = poll(&pfd, 1, remaining_ms(deadline_us));
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
    int64_t deadline_us = deadline_in(timeout_ms);

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
    int64_t deadline_us = deadline_in(COMMAND_TIMEOUT_MS);
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
        JsonValue *message = receive_in_time(client, remaining_ms(deadline_us),
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

static bool client_greet(VmnetClient *client, int64_t deadline_us,
                         GError **error)
{
    g_autoptr(JsonValue) greeting = NULL;
    g_autoptr(JsonValue) negotiated = NULL;
    g_autoptr(JsonValue) queried = NULL;
    const JsonValue *qmp, *version;

    greeting = receive_in_time(client, remaining_ms(deadline_us), error);
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

/* Connecting and starting */

/* The listener's credentials: those of whoever bound the socket. */
static bool peer_check(int fd, const char *path, GError **error)
{
    struct ucred peer;
    socklen_t len = sizeof(peer);

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0) {
        g_set_error(error, VMNET_ERROR, VMNET_INVALID_ACCESS,
                    "cannot tell who listens on '%s': %s", path,
                    g_strerror(errno));
        return false;
    }
    /* root's daemon is the system instance. */
    if (peer.uid != geteuid() && peer.uid != 0) {
        g_set_error(error, VMNET_ERROR, VMNET_INVALID_ACCESS,
                    "socket '%s': uid %u listens on it, and we are uid %u",
                    path, (unsigned)peer.uid, (unsigned)geteuid());
        return false;
    }
    return true;
}

/* -1 with errno; a full backlog is waited for. */
static int connect_existing(const char *path, int64_t deadline_us,
                            GError **error)
{
    for (;;) {
        g_autoptr(GError) err = NULL;
        int fd = vmnet_unix_connect(path, SOCK_STREAM, &err);

        if (fd >= 0) {
            if (!peer_check(fd, path, error)) {
                close(fd);
                errno = EACCES;
                return -1;
            }
            return fd;
        }
        if (errno != EAGAIN || !remaining_ms(deadline_us)) {
            int errnum = errno;

            g_propagate_error(error, g_steal_pointer(&err));
            errno = errnum;
            return -1;
        }
        g_usleep(BACKLOG_POLL_MS * 1000);
    }
}

static bool nobody_listens(int errnum)
{
    return errnum == ENOENT || errnum == ECONNREFUSED;
}

static bool remove_dead_socket(const char *path, GError **error)
{
    struct stat st;

    if (lstat(path, &st) < 0) {
        return true;
    }
    if (!S_ISSOCK(st.st_mode)) {
        g_set_error(error, VMNET_ERROR, VMNET_INVALID_ARGUMENT,
                    "'%s' exists and is not a socket; remove it", path);
        return false;
    }
    if (unlink(path) < 0 && errno != ENOENT) {
        g_set_error(error, VMNET_ERROR, VMNET_INVALID_ACCESS,
                    "cannot remove dead socket '%s': %s", path,
                    g_strerror(errno));
        return false;
    }
    return true;
}

/* Connect to the daemon that has our state directory, if there is one. */
static int connect_holder(int64_t deadline_us)
{
    g_autofree char *dir = vmnet_paths_state_dir(false, NULL);
    g_autofree char *path = dir ? vmnet_paths_state_holder(dir) : NULL;

    return path ? connect_existing(path, deadline_us, NULL) : -1;
}

/* The lock is held. */
static int start_and_connect(const char *path, VmnetLaunch *launch,
                             bool own_cgroup, int64_t deadline_us,
                             GError **error)
{
    int listen_fd;
    bool started;

    if (!remove_dead_socket(path, error)) {
        return -1;
    }
    listen_fd = vmnet_unix_listen(path, SOCK_STREAM, error);
    if (listen_fd < 0) {
        return -1;
    }
    started = vmnet_launch(launch, listen_fd, path, own_cgroup, error);
    close(listen_fd);
    if (!started) {
        unlink(path);
        return -1;
    }
    return connect_existing(path, deadline_us, error);
}

static int connect_or_start(const char *path, VmnetConnectFlags flags,
                            VmnetLaunch *launch, bool own_cgroup,
                            int64_t deadline_us, GError **error)
{
    g_autoptr(GError) err = NULL;
    int fd = connect_existing(path, deadline_us, &err);
    int lock;

    if (fd >= 0) {
        return fd;
    }
    if (!nobody_listens(errno)) {
        g_propagate_error(error, g_steal_pointer(&err));
        return -1;
    }
    if (flags == VMNET_CONNECT_EXISTING) {
        fd = connect_holder(deadline_us);
        if (fd < 0) {
            g_set_error(error, VMNET_ERROR, VMNET_SETUP_INCOMPLETE,
                        "no vmnetd runs (nobody listens on '%s')", path);
        }
        return fd;
    }

    lock = vmnet_paths_lock(remaining_ms(deadline_us), error);
    if (lock < 0) {
        return -1;
    }
    g_clear_error(&err);
    fd = connect_existing(path, deadline_us, &err);
    if (fd < 0 && !nobody_listens(errno)) {
        g_propagate_error(error, g_steal_pointer(&err));
    } else if (fd < 0) {
        fd = connect_holder(deadline_us);
        if (fd < 0) {
            fd = start_and_connect(path, launch, own_cgroup, deadline_us,
                                   error);
        }
    }
    close(lock);
    return fd;
}

/*
 * No greeting came: what the daemon that we started said of that, else @cause.
 */
static void set_start_error(GError **error, const VmnetLaunch *launch,
                            GError *cause)
{
    g_autofree char *first = vmnet_launch_first_error(launch);

    if (first) {
        g_set_error(error, VMNET_ERROR, VMNET_SETUP_INCOMPLETE,
                    "vmnetd did not start: %s (see '%s')", first,
                    launch->log_path);
        g_error_free(cause);
    } else {
        g_propagate_error(error, cause);
    }
}

VmnetClient *vmnet_client_connect(VmnetConnectFlags flags, GError **error)
{
    int64_t deadline_us = deadline_in(CONNECT_TIMEOUT_MS);
    g_autofree char *path = vmnet_paths_socket(error);
    VmnetLaunch launch = { 0 };
    VmnetClient *client = NULL;
    GError *err = NULL;
    unsigned attempt;
    bool again = path != NULL;

    for (attempt = 0; again && attempt < CONNECT_ATTEMPTS; attempt++) {
        int fd;

        g_clear_error(&err);
        fd = connect_or_start(path, flags, &launch, attempt == 0, deadline_us,
                              &err);
        if (fd < 0) {
            break;
        }
        client = client_new(fd, path);
        if (client_greet(client, deadline_us, &err)) {
            break;
        }
        again = client->eof && !client->version;
        g_clear_pointer(&client, vmnet_client_free);
    }
    if (err && (again || !remaining_ms(deadline_us))) {
        set_start_error(error, &launch, err);
    } else if (err) {
        g_propagate_error(error, err);
    }
    vmnet_launch_clear(&launch);
    return client;
}
