/*
 * Removing sockets where the engine's sandbox does not let it remove files
 *
 *   engine -- PATH, a packet --> parent
 *          <-- errno, a packet --
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "control/remover.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "libvmnet/paths.h"

#define ANSWER_TIMEOUT_S 1

bool remover_pair(int *ret_parent_fd, int *ret_engine_fd)
{
    struct timeval timeout = { .tv_sec = ANSWER_TIMEOUT_S };
    int fds[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0) {
        return false;
    }
    setsockopt(fds[1], SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
    setsockopt(fds[1], SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
    *ret_parent_fd = fds[0];
    *ret_engine_fd = fds[1];
    return true;
}

/*
 * Whoever has a socket open, of whatever type, is told from nobody by the
 * error; a datagram socket that connects disturbs none of them.
 */
static bool is_dead(const char *path)
{
    int fd = vmnet_unix_connect(path, SOCK_DGRAM, NULL);

    if (fd < 0) {
        return errno == ECONNREFUSED;
    }
    close(fd);
    return false;
}

static int remove_dead(const char *path)
{
    struct stat st;

    if (lstat(path, &st) < 0) {
        return errno;
    }
    if (path[0] != '/' || !S_ISSOCK(st.st_mode) || st.st_uid != geteuid()) {
        return EPERM;
    }
    if (!is_dead(path)) {
        return EADDRINUSE;
    }
    return unlink(path) < 0 ? errno : 0;
}

bool remover_serve(int parent_fd)
{
    char path[PATH_MAX + 1];
    ssize_t n = recv(parent_fd, path, PATH_MAX, MSG_DONTWAIT | MSG_TRUNC);
    int answer;

    if (n < 0) {
        return errno == EAGAIN || errno == EINTR;
    }
    if (n == 0) {
        return false;
    }
    if (n > PATH_MAX) {
        answer = ENAMETOOLONG;
    } else {
        path[n] = '\0';
        answer = remove_dead(path);
    }
    return send(parent_fd, &answer, sizeof(answer),
                MSG_DONTWAIT | MSG_NOSIGNAL) == sizeof(answer);
}

int remover_ask(int engine_fd, const char *path)
{
    int answer;
    ssize_t n;

    if (send(engine_fd, path, strlen(path), MSG_NOSIGNAL) < 0) {
        return errno;
    }
    do {
        n = recv(engine_fd, &answer, sizeof(answer), 0);
    } while (n < 0 && errno == EINTR);
    if (n < 0) {
        return errno;
    }
    return n == sizeof(answer) ? answer : EPIPE;
}
