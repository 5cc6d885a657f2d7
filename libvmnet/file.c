/*
 * Small files that are replaced as a whole
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "libvmnet/file.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool write_all(int fd, const char *text, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, text, len);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return false;
        }
        text += n;
        len -= n;
    }
    return true;
}

/* Returns: 0 or an errno; nothing is left behind then. */
static int write_fresh(const char *path, const char *text, bool durable)
{
    int errnum = 0;
    int fd;

    unlink(path);       /* of a writer that died */
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        return errno;
    }
    if (!write_all(fd, text, strlen(text)) || (durable && fsync(fd) < 0)) {
        errnum = errno;
    }
    if (close(fd) < 0 && !errnum) {
        errnum = errno;
    }
    if (errnum) {
        unlink(path);
    }
    return errnum;
}

/* A rename is on disk when its directory is. */
static void sync_dir_of(const char *path)
{
    g_autofree char *dir = g_path_get_dirname(path);
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
}

bool vmnet_file_replace(const char *path, const char *text, bool durable)
{
    g_autofree char *fresh = g_strconcat(path, ".new", NULL);
    int errnum = write_fresh(fresh, text, durable);

    if (!errnum && rename(fresh, path) < 0) {
        errnum = errno;
        unlink(fresh);
    }
    if (errnum) {
        errno = errnum;
        return false;
    }
    if (durable) {
        sync_dir_of(path);
    }
    return true;
}

static bool is_readable(int fd, size_t max_bytes, struct stat *ret_st)
{
    if (fstat(fd, ret_st) < 0) {
        return false;
    }
    if (!S_ISREG(ret_st->st_mode) ||
        (ret_st->st_uid != geteuid() && ret_st->st_uid != 0)) {
        errno = EPERM;
        return false;
    }
    if ((uintmax_t)ret_st->st_size > max_bytes) {
        errno = EFBIG;
        return false;
    }
    return true;
}

ssize_t vmnet_file_read_fd(int fd, char *text, size_t size)
{
    size_t len = 0;

    while (len < size) {
        ssize_t n = read(fd, text + len, size - len);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return -1;
        }
        if (n == 0) {
            break;
        }
        len += n;
    }
    return len;
}

char *vmnet_file_read(const char *path, size_t max_bytes, size_t *ret_len)
{
    /* Not to wait for the other end of a FIFO that somebody put there. */
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    char *text = NULL;
    struct stat st;
    ssize_t n;
    int errnum;

    if (fd < 0) {
        return NULL;
    }
    if (is_readable(fd, max_bytes, &st)) {
        text = g_malloc(st.st_size + 1);
        n = vmnet_file_read_fd(fd, text, st.st_size);
        if (n < 0) {
            g_clear_pointer(&text, g_free);
        } else {
            text[n] = '\0';
            if (ret_len) {
                *ret_len = n;
            }
        }
    }
    errnum = errno;
    close(fd);
    errno = errnum;
    return text;
}
