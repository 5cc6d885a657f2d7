/*
 * Finding vmnetd, or starting it
 *
 * Theory of operation
 *
 * Connecting is a race with daemons that start and daemons that leave:
 *
 *   LOOK ----------ok----------> GREETING ----> client
 *    | nobody listens        ^     | end of file: it left, or could not start
 *    v                       |     v
 *   LOCK                     |   LOOK once more, three times
 *    | taken                 |
 *    v                       |
 *   LOOK_LOCKED -----ok------+   another starter was faster, or whoever holds
 *    | nobody listens        |   the state directory has another socket
 *    v                       |
 *   LAUNCH: remove a socket that refuses; bind, listen; start vmnetd with it
 *    | executed              |
 *    v                       |
 *   CONNECT -----ok----------+   the lock is given back; it has died already:
 *                                LOOK once more
 *
 * No step waits: one that cannot go on says when to try again, or watches a
 * descriptor.
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
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libvmnet/client-int.h"
#include "libvmnet/launch.h"
#include "libvmnet/paths.h"

#define CONNECT_ATTEMPTS 3
/* Until the lock, or a place in the backlog, is tried for again. */
#define RETRY_MS 10

typedef enum Step {
    STEP_LOOK,
    STEP_LOCK,
    STEP_LOOK_LOCKED,
    STEP_LAUNCH,
    STEP_CONNECT,
    STEP_GREETING,
} Step;

/**
 * Connector:
 * @wake_us: when to run again; G_MAXINT64: when a descriptor says so
 * @lock_fd: the starter's lock, -1: not held
 * @listen_fd, @status_fd: while vmnetd is executed
 * @obstacle: (nullable): what was waited for last
 */
struct Connector {
    VmnetConnectFlags flags;
    Step step;
    int64_t deadline_us, wake_us;
    unsigned attempt, greet_state;
    int lock_fd, listen_fd, status_fd;
    VmnetLaunch launch;
    GError *obstacle;
};

static void close_fd(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
        *fd = -1;
    }
}

bool connector_start(VmnetClient *client, VmnetConnectFlags flags,
                     int64_t deadline_us, GError **error)
{
    Connector *connector;

    client->path = flags == VMNET_CONNECT_SYSTEM
                   ? vmnet_paths_system_socket(error)
                   : vmnet_paths_socket(error);
    if (!client->path) {
        return false;
    }
    connector = g_new0(Connector, 1);
    connector->flags = flags;
    connector->deadline_us = deadline_us;
    connector->lock_fd = connector->listen_fd = connector->status_fd = -1;
    connector->launch = (VmnetLaunch)VMNET_LAUNCH_INIT;
    client->connector = connector;
    return true;
}

void connector_free(VmnetClient *client)
{
    Connector *connector = g_steal_pointer(&client->connector);

    if (!connector) {
        return;
    }
    close_fd(&connector->lock_fd);
    close_fd(&connector->listen_fd);
    close_fd(&connector->status_fd);
    vmnet_launch_clear(&connector->launch);
    g_clear_error(&connector->obstacle);
    g_free(connector);
}

int64_t connector_deadline(const Connector *connector)
{
    return MIN(connector->wake_us, connector->deadline_us);
}

/* Outcomes of a step: whether to go on with the next one at once. */

static bool go_to(Connector *connector, Step step)
{
    connector->step = step;
    g_clear_error(&connector->obstacle);
    return true;
}

static bool fail(VmnetClient *client, GError *error)
{
    client_lose(client, error);
    return false;
}

static bool try_again(Connector *connector, GError *obstacle)
{
    g_clear_error(&connector->obstacle);
    connector->obstacle = obstacle;
    connector->wake_us = deadline_in_ms(RETRY_MS);
    return false;
}

/* What the daemon that we started said of that, else @cause. */
static bool fail_to_start(VmnetClient *client, GError *cause)
{
    const VmnetLaunch *launch = &client->connector->launch;
    g_autofree char *first = vmnet_launch_first_error(launch);

    if (first) {
        g_error_free(cause);
        cause = g_error_new(VMNET_ERROR, VMNET_SETUP_INCOMPLETE,
                            "vmnetd did not start: %s%s%s%s", first,
                            launch->log_path ? " (see '" : "",
                            launch->log_path ?: "",
                            launch->log_path ? "')" : "");
    }
    return fail(client, cause);
}

static bool greet(VmnetClient *client, int fd)
{
    Connector *connector = client->connector;

    close_fd(&connector->lock_fd);
    connector->greet_state = 0;
    client_io_attach(client, fd);
    return go_to(connector, STEP_GREETING);
}

/* Looking */

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

/* -1 with errno: EAGAIN if the backlog is full */
static int connect_once(const char *path, GError **error)
{
    int fd = vmnet_unix_connect(path, SOCK_STREAM, error);

    if (fd >= 0 && !peer_check(fd, path, error)) {
        close(fd);
        errno = EPERM;
        return -1;
    }
    return fd;
}

static bool nobody_listens(int errnum)
{
    return errnum == ENOENT || errnum == ECONNREFUSED;
}

/* Connect to the daemon that has our state directory, if there is one. */
static int connect_holder(void)
{
    g_autofree char *dir = vmnet_paths_state_dir(false, NULL);
    g_autofree char *path = dir ? vmnet_paths_state_holder(dir) : NULL;

    errno = ENOENT;
    return path ? connect_once(path, NULL) : -1;
}

/* Did a daemon die and leave netdevs that may have virtual machines? */
static bool has_left_record(const char *socket_path)
{
    g_autofree char *dir = vmnet_paths_runtime_dir(false, NULL);
    g_autofree char *record = dir ? vmnet_paths_record_file(dir, socket_path)
                                  : NULL;

    return record && access(record, F_OK) == 0;
}

static bool may_start(const VmnetClient *client)
{
    VmnetConnectFlags flags = client->connector->flags;

    return flags == VMNET_CONNECT_START ||
           (flags == VMNET_CONNECT_RECOVER && has_left_record(client->path));
}

static bool is_for_system(const VmnetClient *client)
{
    return client->connector->flags == VMNET_CONNECT_SYSTEM;
}

static GError *no_daemon(const VmnetClient *client)
{
    if (is_for_system(client)) {
        return g_error_new(VMNET_ERROR, VMNET_SETUP_INCOMPLETE,
                           "the system instance of vmnetd does not run (nobody "
                           "listens on '%s'): root starts it by 'vmnetd "
                           "--system'", client->path);
    }
    return g_error_new(VMNET_ERROR, VMNET_SETUP_INCOMPLETE,
                       "no vmnetd runs (nobody listens on '%s'); the first "
                       "guest of vmnet-run starts one", client->path);
}

/* The system instance is for the members of a group. */
static bool fail_to_connect(VmnetClient *client, int errnum, GError *error)
{
    if (errnum == EACCES && is_for_system(client)) {
        g_autoptr(GError) cause = error;

        error = g_error_new(VMNET_ERROR, VMNET_INVALID_ACCESS,
                            "%s: the system instance of vmnetd is for root and "
                            "its group ('vmnet', or that of 'vmnetd --group')",
                            cause->message);
    }
    return fail(client, error);
}

/*
 * Under the lock it is asked again whether a daemon may be started: one that
 * was leaving in good order still had its record.
 */
static bool step_look(VmnetClient *client)
{
    Connector *connector = client->connector;
    bool locked = connector->step == STEP_LOOK_LOCKED;
    GError *err = NULL;
    int fd = connect_once(client->path, &err);
    bool busy;

    if (fd >= 0) {
        return greet(client, fd);
    }
    if (errno == EAGAIN) {
        return try_again(connector, err);
    }
    if (!nobody_listens(errno)) {
        return fail_to_connect(client, errno, err);
    }
    g_clear_error(&err);
    if (!locked && may_start(client)) {
        return go_to(connector, STEP_LOCK);
    }
    if (is_for_system(client)) {
        return fail(client, no_daemon(client));
    }
    fd = connect_holder();
    if (fd >= 0) {
        return greet(client, fd);
    }
    busy = errno == EAGAIN;
    err = no_daemon(client);
    if (busy) {
        return try_again(connector, err);
    }
    if (!may_start(client)) {
        return fail(client, err);
    }
    g_error_free(err);
    return go_to(connector, STEP_LAUNCH);
}

/* Starting */

static bool step_lock(VmnetClient *client)
{
    Connector *connector = client->connector;
    GError *err = NULL;

    connector->lock_fd = vmnet_paths_lock(0, &err);
    if (connector->lock_fd >= 0) {
        return go_to(connector, STEP_LOOK_LOCKED);
    }
    return errno == EAGAIN ? try_again(connector, err) : fail(client, err);
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

static bool launch(VmnetClient *client, GError **error)
{
    Connector *connector = client->connector;
    struct epoll_event event = { .events = EPOLLIN };

    if (!remove_dead_socket(client->path, error)) {
        return false;
    }
    connector->listen_fd = vmnet_unix_listen(client->path, SOCK_STREAM, error);
    if (connector->listen_fd < 0) {
        return false;
    }
    connector->status_fd = vmnet_launch_begin(&connector->launch,
                                              connector->listen_fd,
                                              client->path,
                                              connector->attempt == 0, error);
    if (connector->status_fd < 0) {
        unlink(client->path);
        return false;
    }
    if (epoll_ctl(client->epoll_fd, EPOLL_CTL_ADD, connector->status_fd,
                  &event) < 0) {
        g_set_error(error, VMNET_ERROR, vmnet_status_from_errno(errno),
                    "cannot watch a descriptor: %s", g_strerror(errno));
        return false;
    }
    return true;
}

static bool is_readable(int fd)
{
    struct pollfd pfd = { .fd = fd, .events = POLLIN };

    return poll(&pfd, 1, 0) > 0;
}

static bool step_launch(VmnetClient *client)
{
    Connector *connector = client->connector;
    GError *err = NULL;
    int status_fd;

    if (connector->status_fd < 0 && !launch(client, &err)) {
        return fail(client, err);
    }
    if (!is_readable(connector->status_fd)) {
        connector->wake_us = G_MAXINT64;
        return false;
    }
    close_fd(&connector->listen_fd);
    epoll_ctl(client->epoll_fd, EPOLL_CTL_DEL, connector->status_fd, NULL);
    status_fd = connector->status_fd;
    connector->status_fd = -1;
    if (!vmnet_launch_end(&connector->launch, status_fd, &err)) {
        unlink(client->path);
        return fail(client, err);
    }
    return go_to(connector, STEP_CONNECT);
}

/* The daemon that there was, or that we started, is gone. */
static bool look_once_more(VmnetClient *client, GError *error)
{
    Connector *connector = client->connector;

    close_fd(&connector->lock_fd);
    if (++connector->attempt == CONNECT_ATTEMPTS) {
        return fail_to_start(client, error);
    }
    g_error_free(error);
    return go_to(connector, STEP_LOOK);
}

static bool step_connect(VmnetClient *client)
{
    GError *err = NULL;
    int fd = connect_once(client->path, &err);

    if (fd >= 0) {
        return greet(client, fd);
    }
    if (errno == EAGAIN) {
        return try_again(client->connector, err);
    }
    return nobody_listens(errno) ? look_once_more(client, err)
                                 : fail(client, err);
}

/* Greeting */

static bool connection_ended(VmnetClient *client, GError *error)
{
    bool is_foreign = client->stream_error;

    client_io_detach(client);
    return is_foreign ? fail(client, error) : look_once_more(client, error);
}

static bool step_greeting(VmnetClient *client)
{
    Connector *connector = client->connector;
    GreetResult result = GREET_GOES_ON;
    JsonValue *message;
    GError *err = NULL;

    client_io_receive(client);
    while (result == GREET_GOES_ON &&
           (message = g_queue_pop_head(&client->messages))) {
        result = greet_message(client, message, &connector->greet_state, &err);
        json_unref(message);
    }
    switch (result) {
    case GREET_DONE:
        client_set_connected(client);
        return false;
    case GREET_FAILED:
        return fail(client, err);
    case GREET_GOES_ON:
        break;
    }
    err = client_io_error(client);
    if (err) {
        return connection_ended(client, err);
    }
    client_io_send(client);
    connector->wake_us = G_MAXINT64;
    return false;
}

static bool run_step(VmnetClient *client)
{
    switch (client->connector->step) {
    case STEP_LOOK:
    case STEP_LOOK_LOCKED:
        return step_look(client);
    case STEP_LOCK:
        return step_lock(client);
    case STEP_LAUNCH:
        return step_launch(client);
    case STEP_CONNECT:
        return step_connect(client);
    case STEP_GREETING:
        return step_greeting(client);
    }
    g_assert_not_reached();
}

void connector_run(VmnetClient *client)
{
    Connector *connector = client->connector;
    GError *err;

    while (run_step(client)) {
        continue;
    }
    if (client->connector && !deadline_left_ms(connector->deadline_us)) {
        err = g_steal_pointer(&connector->obstacle);
        if (!err) {
            err = g_error_new(VMNET_ERROR, VMNET_SETUP_INCOMPLETE,
                              "vmnetd at '%s' does not answer", client->path);
        }
        fail_to_start(client, err);
    }
}
