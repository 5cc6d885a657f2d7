/*
 * A Unix socket that one connection is taken from
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "listener.h"

#include <glib.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int listener_new(const char *path)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_strlcpy(addr.sun_path, path, sizeof(addr.sun_path));
    unlink(path);
    if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
        listen(fd, 1) < 0) {
        perror(path);
        _exit(1);
    }
    return fd;
}

int listener_take(int listener, const char *path, int wait_s)
{
    struct pollfd pfd = { .fd = listener, .events = POLLIN };
    int fd = -1;

    if (poll(&pfd, 1, wait_s * 1000) > 0) {
        fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    }
    close(listener);
    unlink(path);
    return fd;
}
