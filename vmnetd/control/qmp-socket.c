/*
 * The daemon's listening QMP socket: passed to it, or made by it
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "control/qmp-socket.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/export-path.h"
#include "libvmnet/paths.h"
#include "vmnet/error.h"

#define LISTEN_FD 3             /* sd_listen_fds(3) */
#define LOCK_TIMEOUT_MS 5000
#define LOCK_POLL_MS 10

bool qmp_socket_is_passed(void)
{
    const char *pid = g_getenv("LISTEN_PID");
    const char *fds = g_getenv("LISTEN_FDS");
    guint64 value;

    return pid && fds && !strcmp(fds, "1")
           && g_ascii_string_to_unsigned(pid, 10, 1, G_MAXINT, &value, NULL)
           && value == (guint64)getpid();
}

/* What we start ourselves must not take the socket for its own. */
static void forget_passed(void)
{
    g_unsetenv("LISTEN_PID");
    g_unsetenv("LISTEN_FDS");
    g_unsetenv("LISTEN_FDNAMES");
}

static bool adopt_socket(QmpSocket *sock, GError **error)
{
    int listening = 0;
    socklen_t len = sizeof(listening);

    if (getsockopt(LISTEN_FD, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) < 0
        || !listening) {
        g_set_error_literal(error, VMNET_ERROR, VMNET_INVALID_ARGUMENT,
                            "LISTEN_FDS: file descriptor 3 is not a listening "
                            "socket");
        return false;
    }
    fcntl(LISTEN_FD, F_SETFD, FD_CLOEXEC);
    fcntl(LISTEN_FD, F_SETFL, fcntl(LISTEN_FD, F_GETFL) | O_NONBLOCK);
    sock->fd = LISTEN_FD;
    return true;
}

/* The lock under which daemons are started: here only its descriptor. */
static void open_starters_lock(QmpSocket *sock, const char *runtime_dir)
{
    g_autofree char *path = NULL;

    if (!runtime_dir) {
        return;
    }
    path = g_build_filename(runtime_dir, "vmnetd.lock", NULL);
    sock->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (sock->lock_fd < 0) {
        g_warning("lock file '%s': %s; whoever starts a daemon while this one "
                  "leaves may have to try again", path, g_strerror(errno));
    }
}

static void lock_starters_out(QmpSocket *sock)
{
    int64_t deadline_us = g_get_monotonic_time() + LOCK_TIMEOUT_MS * 1000;

    while (sock->lock_fd >= 0
           && flock(sock->lock_fd, LOCK_EX | LOCK_NB) < 0
           && g_get_monotonic_time() < deadline_us) {
        g_usleep(LOCK_POLL_MS * 1000);
    }
}

static bool make_socket(QmpSocket *sock, GError **error)
{
    bool ok;

    lock_starters_out(sock);
    ok = export_path_clear(sock->path, SOCK_STREAM, error);
    if (ok) {
        sock->fd = vmnet_unix_listen(sock->path, SOCK_STREAM, error);
        ok = sock->fd >= 0;
    }
    if (sock->lock_fd >= 0) {
        flock(sock->lock_fd, LOCK_UN);
    }
    return ok;
}

static void remember_socket(QmpSocket *sock)
{
    struct stat st;

    if (sock->path && lstat(sock->path, &st) == 0) {
        sock->is_owned = true;
        sock->dev = st.st_dev;
        sock->ino = st.st_ino;
    }
}

/*
 * A socket that was passed is removed at the end if we are told its path, as
 * whoever starts us on demand does; systemd keeps its own.
 */
bool qmp_socket_open(QmpSocket *sock, const char *path,
                     const char *runtime_dir, GError **error)
{
    bool passed = qmp_socket_is_passed();

    forget_passed();
    open_starters_lock(sock, runtime_dir);
    sock->path = g_strdup(path);
    if (!sock->path && (!passed || g_getenv("VMNET_SOCKET"))) {
        sock->path = vmnet_paths_socket(error);
        if (!sock->path) {
            return false;
        }
    }
    if (!(passed ? adopt_socket(sock, error) : make_socket(sock, error))) {
        return false;
    }
    remember_socket(sock);
    return true;
}

void qmp_socket_remove(const QmpSocket *sock)
{
    if (sock->is_owned) {
        export_path_remove(sock->path, sock->dev, sock->ino);
    }
}
