/*
 * The policy's file: whose it is, and what the names in it stand for
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "policy/policy.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libvmnet/file.h"
#include "vmnet/error.h"

static bool find_user(const char *name, uint32_t *ret_uid)
{
    const struct passwd *user = getpwnam(name);

    if (user) {
        *ret_uid = user->pw_uid;
    }
    return user;
}

static bool find_group(const char *name, uint32_t *ret_gid)
{
    const struct group *group = getgrnam(name);

    if (group) {
        *ret_gid = group->gr_gid;
    }
    return group;
}

const PolicyNames policy_names = { .user = find_user, .group = find_group };

/* Returns: what is wrong with it, and what mends that; NULL: nothing. */
static const char *check_file(const struct stat *st)
{
    if (!S_ISREG(st->st_mode)) {
        return "is no regular file";
    }
    if (st->st_uid != 0) {
        return "does not belong to root: 'chown root' it";
    }
    if (st->st_mode & (S_IWGRP | S_IWOTH)) {
        return "can be written by others than root: 'chmod go-w' it";
    }
    if (st->st_size > POLICY_FILE_BYTES) {
        return "is larger than 64 KiB";
    }
    return NULL;
}

static bool fail(GError **error, const char *path, const char *why)
{
    g_set_error(error, VMNET_ERROR, VMNET_INVALID_ACCESS, "policy file '%s': "
                "%s", path, why);
    return false;
}

static bool read_file(int fd, const char *path, char *text, size_t *len,
                      GError **error)
{
    const char *wrong;
    struct stat st;
    ssize_t n;

    if (fstat(fd, &st) < 0) {
        return fail(error, path, g_strerror(errno));
    }
    wrong = check_file(&st);
    if (wrong) {
        return fail(error, path, wrong);
    }
    n = vmnet_file_read_fd(fd, text, *len);
    if (n < 0) {
        return fail(error, path, g_strerror(errno));
    }
    if ((size_t)n == *len) {
        return fail(error, path, "is larger than 64 KiB");
    }
    *len = n;
    return true;
}

Policy *policy_load(const char *path, const PolicyNames *names,
                    bool *ret_is_absent, GError **error)
{
    g_autofree char *text = g_malloc(POLICY_FILE_BYTES + 1);
    size_t len = POLICY_FILE_BYTES + 1;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    bool ok;

    *ret_is_absent = fd < 0 && errno == ENOENT;
    if (fd < 0) {
        fail(error, path, g_strerror(errno));
        return NULL;
    }
    ok = read_file(fd, path, text, &len, error);
    close(fd);
    return ok ? policy_parse(path, text, len, names, error) : NULL;
}
