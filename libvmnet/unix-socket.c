/*
 * AF_UNIX sockets at paths of any length
 *
 * sun_path holds 107 bytes and a terminator.  A longer path is reached through
 * a descriptor of its directory, as /proc/self/fd/N/NAME: the kernel resolves
 * it while the descriptor is open and keeps only the inode, so that the socket
 * is the same as one bound by its short path.  (Its getsockname() tells the
 * /proc name: whoever needs the path has to remember it.)
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "libvmnet/paths.h"
#include "vmnet/error.h"

/* @ret_dir_fd: keep open until the address has been used; -1 if not needed */
static bool unix_address(const char *path, struct sockaddr_un *ret_addr,
                         int *ret_dir_fd)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    g_autofree char *dir = NULL;
    g_autofree char *base = NULL;
    int dir_fd, n;

    if (strlen(path) < sizeof(addr.sun_path)) {
        strcpy(addr.sun_path, path);
        *ret_addr = addr;
        *ret_dir_fd = -1;
        return true;
    }

    dir = g_path_get_dirname(path);
    base = g_path_get_basename(path);
    dir_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (dir_fd < 0) {
        return false;
    }
    n = snprintf(addr.sun_path, sizeof(addr.sun_path), "/proc/self/fd/%d/%s",
                 dir_fd, base);
    if (n < 0 || (size_t)n >= sizeof(addr.sun_path)) {
        close(dir_fd);
        errno = ENAMETOOLONG;
        return false;
    }
    *ret_addr = addr;
    *ret_dir_fd = dir_fd;
    return true;
}

/* @call: which failed, with ": " behind it, or "" where @what says it */
static int fail(int fd, int dir_fd, int errnum, const char *what,
                const char *path, const char *call, GError **error)
{
    if (fd >= 0) {
        close(fd);
    }
    if (dir_fd >= 0) {
        close(dir_fd);
    }
    g_set_error(error, VMNET_ERROR, vmnet_status_from_errno(errnum),
                "%s '%s': %s%s", what, path, call, g_strerror(errnum));
    errno = errnum;
    return -1;
}

int vmnet_unix_listen(const char *path, int type, GError **error)
{
    struct sockaddr_un addr;
    int dir_fd, fd;

    if (!unix_address(path, &addr, &dir_fd)) {
        return fail(-1, -1, errno, "cannot listen on", path, "", error);
    }
    fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return fail(fd, dir_fd, errno, "cannot listen on", path, "socket: ",
                    error);
    }
    /* Before bind(), which gives the file the socket's mode: never a moment
     * at which others could connect. */
    if (fchmod(fd, 0600) < 0 ||
        bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
        return fail(fd, dir_fd, errno, "cannot listen on", path, "bind: ",
                    error);
    }
    if (type != SOCK_DGRAM && listen(fd, SOMAXCONN) < 0) {
        int errnum = errno;

        unlink(path);
        return fail(fd, dir_fd, errnum, "cannot listen on", path, "listen: ",
                    error);
    }
    if (dir_fd >= 0) {
        close(dir_fd);
    }
    return fd;
}

int vmnet_unix_connect(const char *path, int type, GError **error)
{
    struct sockaddr_un addr;
    int dir_fd, fd, flags;

    if (!unix_address(path, &addr, &dir_fd)) {
        return fail(-1, -1, errno, "cannot connect to", path, "", error);
    }
    fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
        return fail(fd, dir_fd, errno, "cannot connect to", path, "", error);
    }
    flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) < 0) {
        return fail(fd, dir_fd, errno, "cannot connect to", path, "", error);
    }
    if (dir_fd >= 0) {
        close(dir_fd);
    }
    return fd;
}
