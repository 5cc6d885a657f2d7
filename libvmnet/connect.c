/*
 * Finding vmnetd, or starting it
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
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libvmnet/client-private.h"
#include "libvmnet/deadline.h"
#include "libvmnet/launch.h"
#include "libvmnet/paths.h"
#include "vmnet/error.h"

#define CONNECT_TIMEOUT_MS 15000
#define CONNECT_ATTEMPTS 3
#define BACKLOG_POLL_MS 10

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
        if (errno != EAGAIN || !deadline_left_ms(deadline_us)) {
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

/* Did a daemon die and leave netdevs that may have virtual machines? */
static bool has_left_record(const char *socket_path)
{
    g_autofree char *dir = vmnet_paths_runtime_dir(false, NULL);
    g_autofree char *record = dir ? vmnet_paths_record_file(dir, socket_path)
                                  : NULL;

    return record && access(record, F_OK) == 0;
}

static bool may_start(VmnetConnectFlags flags, const char *path)
{
    return flags == VMNET_CONNECT_START ||
           (flags == VMNET_CONNECT_RECOVER && has_left_record(path));
}

static int connect_holder_only(const char *path, int64_t deadline_us,
                               GError **error)
{
    int fd = connect_holder(deadline_us);

    if (fd < 0) {
        g_set_error(error, VMNET_ERROR, VMNET_SETUP_INCOMPLETE,
                    "no vmnetd runs (nobody listens on '%s')", path);
    }
    return fd;
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
    if (!may_start(flags, path)) {
        return connect_holder_only(path, deadline_us, error);
    }

    lock = vmnet_paths_lock(deadline_left_ms(deadline_us), error);
    if (lock < 0) {
        return -1;
    }
    g_clear_error(&err);
    fd = connect_existing(path, deadline_us, &err);
    if (fd < 0 && !nobody_listens(errno)) {
        g_propagate_error(error, g_steal_pointer(&err));
    } else if (fd < 0 && !may_start(flags, path)) {
        /* It still had its record while it was leaving in good order. */
        fd = connect_holder_only(path, deadline_us, error);
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
    int64_t deadline_us = deadline_in_ms(CONNECT_TIMEOUT_MS);
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
        client = vmnet_client_new(fd, path);
        if (vmnet_client_greet(client, deadline_us, &err)) {
            break;
        }
        again = vmnet_client_is_lost(client);
        g_clear_pointer(&client, vmnet_client_free);
    }
    if (err && (again || !deadline_left_ms(deadline_us))) {
        set_start_error(error, &launch, err);
    } else if (err) {
        g_propagate_error(error, err);
    }
    vmnet_launch_clear(&launch);
    return client;
}
