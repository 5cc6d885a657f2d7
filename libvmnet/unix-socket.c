/*
 * AF_UNIX sockets at paths of any length
 *
 * sun_path holds 107 bytes and a terminator.  Theory of operation: a path that
 * does not fit is reached through /proc/self/fd/N, which the kernel resolves
 * while the descriptor N is open; what it keeps is the inode.
 *
 *   connect   N is the socket's file itself
 *   listen    N is its directory; a name that still does not fit (over some 85
 *             bytes) is given by renaming, which takes the right to do so
 *
 * Either way the socket is the same as one bound by its own path.  (Its
 * getsockname() tells another name: whoever needs the path has to remember it.)
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

#define BIND_TRIES 16

static bool path_fits(const char *path)
{
    return strlen(path) < sizeof(((struct sockaddr_un *)NULL)->sun_path);
}

/* @path fits. */
static struct sockaddr_un address_of(const char *path)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };

    g_strlcpy(addr.sun_path, path, sizeof(addr.sun_path));
    return addr;
}

/* @fd: closed; @what: cannot do what; @call: which failed, with ": ", or "" */
static int fail(int fd, int errnum, const char *what, const char *path,
                const char *call, GError **error)
{
    if (fd >= 0) {
        close(fd);
    }
    g_set_error(error, VMNET_ERROR, vmnet_status_from_errno(errnum),
                "%s '%s': %s%s", what, path, call, g_strerror(errnum));
    errno = errnum;
    return -1;
}

/* Returns: 0 or an errno. */
static int bind_short(int fd, const char *path)
{
    struct sockaddr_un addr = address_of(path);

    return bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ? errno : 0;
}

/* By another name in directory @dir_fd, then by @name. */
static int bind_renaming(int fd, int dir_fd, const char *name)
{
    g_autofree char *path = NULL;
    const char *base;
    int errnum = EADDRINUSE;
    unsigned i;

    for (i = 0; i < BIND_TRIES && errnum == EADDRINUSE; i++) {
        g_free(path);
        path = g_strdup_printf("/proc/self/fd/%d/.%08x.sock", dir_fd,
                               g_random_int());
        errnum = bind_short(fd, path);
    }
    if (errnum) {
        return errnum;
    }
    base = strrchr(path, '/') + 1;
    if (renameat2(dir_fd, base, dir_fd, name, RENAME_NOREPLACE) < 0) {
        errnum = errno == EEXIST ? EADDRINUSE : errno;
        unlinkat(dir_fd, base, 0);
    }
    return errnum;
}

static int bind_in(int fd, int dir_fd, const char *name)
{
    g_autofree char *path = g_strdup_printf("/proc/self/fd/%d/%s", dir_fd,
                                            name);

    return path_fits(path) ? bind_short(fd, path)
                           : bind_renaming(fd, dir_fd, name);
}

static int bind_long(int fd, const char *path)
{
    g_autofree char *dir = g_path_get_dirname(path);
    g_autofree char *name = g_path_get_basename(path);
    int dir_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    int errnum;

    if (dir_fd < 0) {
        return errno;
    }
    errnum = bind_in(fd, dir_fd, name);
    close(dir_fd);
    return errnum;
}

int vmnet_unix_listen(const char *path, int type, GError **error)
{
    const char *what = "cannot listen on";
    int fd, errnum;

    fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return fail(fd, errno, what, path, "socket: ", error);
    }
    /* Before bind(), which gives the file the socket's mode: never a moment
     * at which others could connect. */
    if (fchmod(fd, 0600) < 0) {
        return fail(fd, errno, what, path, "fchmod: ", error);
    }
    errnum = path_fits(path) ? bind_short(fd, path) : bind_long(fd, path);
    if (errnum) {
        return fail(fd, errnum, what, path, "bind: ", error);
    }
    if (type != SOCK_DGRAM && listen(fd, SOMAXCONN) < 0) {
        errnum = errno;
        unlink(path);
        return fail(fd, errnum, what, path, "listen: ", error);
    }
    return fd;
}

/* Returns: 0 or an errno. */
static int connect_short(int fd, const char *path)
{
    struct sockaddr_un addr = address_of(path);

    return connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ? errno : 0;
}

static int connect_long(int fd, const char *path)
{
    g_autofree char *link = NULL;
    int path_fd = open(path, O_PATH | O_CLOEXEC);
    int errnum;

    if (path_fd < 0) {
        return errno;
    }
    link = g_strdup_printf("/proc/self/fd/%d", path_fd);
    errnum = connect_short(fd, link);
    close(path_fd);
    return errnum;
}

int vmnet_unix_connect(const char *path, int type, GError **error)
{
    const char *what = "cannot connect to";
    int fd, errnum, flags;

    fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return fail(fd, errno, what, path, "socket: ", error);
    }
    errnum = path_fits(path) ? connect_short(fd, path) : connect_long(fd, path);
    if (errnum) {
        return fail(fd, errnum, what, path, "", error);
    }
    flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) < 0) {
        return fail(fd, errno, what, path, "", error);
    }
    return fd;
}
