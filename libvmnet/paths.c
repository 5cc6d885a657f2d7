/*
 * Where sockets and files are
 *
 * Every directory that is found by rule, rather than named by the user, could
 * have been planted by somebody else (/tmp is everybody's, and an environment
 * survives su): it is looked at with lstat() before anything in it is used.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <pwd.h>
#include <stdint.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libvmnet/paths.h"
#include "vmnet/error.h"

/* How often a lock that is taken is tried again. */
#define LOCK_POLL_MS 10
/* Longest path of a socket that a lock file tells. */
#define HOLDER_BYTES 4096

static void set_errno_error(GError **error, int errnum, const char *what,
                            const char *path)
{
    g_set_error(error, VMNET_ERROR, vmnet_status_from_errno(errnum),
                "%s '%s': %s", what, path, g_strerror(errnum));
    errno = errnum;
}

static bool dir_stat_check(const char *path, const struct stat *st,
                           GError **error)
{
    if (!S_ISDIR(st->st_mode)) {
        g_set_error(error, VMNET_ERROR, VMNET_INVALID_ACCESS,
                    "directory '%s': is not a directory%s", path,
                    S_ISLNK(st->st_mode) ? " but a symbolic link" : "");
        return false;
    }
    if (st->st_uid != geteuid()) {
        g_set_error(error, VMNET_ERROR, VMNET_INVALID_ACCESS,
                    "directory '%s': belongs to uid %u, and we are uid %u",
                    path, (unsigned)st->st_uid, (unsigned)geteuid());
        return false;
    }
    if (st->st_mode & (S_IWGRP | S_IWOTH)) {
        g_set_error(error, VMNET_ERROR, VMNET_INVALID_ACCESS,
                    "directory '%s': others may write to it (mode %04o), "
                    "chmod go-w it", path, (unsigned)st->st_mode & 07777);
        return false;
    }
    return true;
}

bool vmnet_paths_dir_check(const char *path, GError **error)
{
    struct stat st;

    if (lstat(path, &st) < 0) {
        set_errno_error(error, errno, "directory", path);
        return false;
    }
    return dir_stat_check(path, &st, error);
}

/* As vmnet_paths_dir_check(), but one that is not there yet will do. */
static bool dir_check_if_there(const char *path, GError **error)
{
    struct stat st;

    if (lstat(path, &st) < 0) {
        if (errno == ENOENT) {
            return true;
        }
        set_errno_error(error, errno, "directory", path);
        return false;
    }
    return dir_stat_check(path, &st, error);
}

/* A directory that is given, not made by us: it may be a link to one. */
static bool is_our_dir(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode) &&
           st.st_uid == geteuid();
}

/* A variable counts if it is an absolute path (XDG base directories). */
static const char *env_absolute(const char *name)
{
    const char *value = g_getenv(name);

    return value && value[0] == '/' ? value : NULL;
}

/*
 * Ours, or not there, and it would not be made in another user's directory;
 * root's may be everybody's, as /tmp is.
 */
static bool is_or_becomes_ours(const char *path)
{
    g_autofree char *parent = g_strdup(path);
    struct stat st = { 0 };

    if (stat(path, &st) == 0) {
        return is_our_dir(path);
    }
    do {
        char *shorter = g_path_get_dirname(parent);

        g_free(parent);
        parent = shorter;
    } while (stat(parent, &st) < 0 && strcmp(parent, "/") != 0);
    return st.st_uid == geteuid() || st.st_uid == 0;
}

/*
 * $HOME, unless it is another user's, which `sudo -E` and su leave: what root
 * makes there would be in that user's way.
 */
static const char *home_dir(void)
{
    const char *home = env_absolute("HOME");
    const struct passwd *user;

    if (home && is_our_dir(home)) {
        return home;
    }
    user = getpwuid(geteuid());
    return user && user->pw_dir && user->pw_dir[0] == '/' ? user->pw_dir
                                                          : home ?: "/";
}

char *vmnet_paths_runtime_dir(bool create, GError **error)
{
    g_autofree char *user_dir = g_strdup_printf("/run/user/%u",
                                                (unsigned)geteuid());
    const char *xdg = env_absolute("XDG_RUNTIME_DIR");
    g_autofree char *path = NULL;

    if (xdg && is_our_dir(xdg)) {
        path = g_build_filename(xdg, "vmnet", NULL);
    } else if (is_our_dir(user_dir)) {
        path = g_build_filename(user_dir, "vmnet", NULL);
    } else {
        path = g_strdup_printf("/tmp/vmnet-%u", (unsigned)geteuid());
    }

    if (create && mkdir(path, 0700) < 0 && errno != EEXIST) {
        set_errno_error(error, errno, "runtime directory", path);
        return NULL;
    }
    if (create ? !vmnet_paths_dir_check(path, error)
               : !dir_check_if_there(path, error)) {
        g_prefix_error(error, "runtime ");
        return NULL;
    }
    return g_steal_pointer(&path);
}

char *vmnet_paths_state_dir(bool create, GError **error)
{
    const char *xdg = env_absolute("XDG_STATE_HOME");
    g_autofree char *path = NULL;

    if (xdg && is_or_becomes_ours(xdg)) {
        path = g_build_filename(xdg, "vmnet", NULL);
    } else {
        path = g_build_filename(home_dir(), ".local", "state", "vmnet", NULL);
    }

    if (create && g_mkdir_with_parents(path, 0700) < 0) {
        set_errno_error(error, errno, "state directory", path);
        return NULL;
    }
    if (create ? !vmnet_paths_dir_check(path, error)
               : !dir_check_if_there(path, error)) {
        g_prefix_error(error, "state ");
        return NULL;
    }
    return g_steal_pointer(&path);
}

/* Returns: false if there is one that is no path. */
static bool socket_of_env(const char **ret_path, GError **error)
{
    const char *env = g_getenv("VMNET_SOCKET");

    *ret_path = env && *env ? env : NULL;
    if (*ret_path && env[0] != '/') {
        g_set_error(error, VMNET_ERROR, VMNET_INVALID_ARGUMENT,
                    "VMNET_SOCKET '%s': is not an absolute path", env);
        return false;
    }
    return true;
}

char *vmnet_paths_socket(GError **error)
{
    g_autofree char *dir = NULL;
    const char *env;

    if (!socket_of_env(&env, error)) {
        return NULL;
    }
    if (env) {
        return g_strdup(env);
    }
    dir = vmnet_paths_runtime_dir(false, error);
    return dir ? g_build_filename(dir, "vmnetd.sock", NULL) : NULL;
}

char *vmnet_paths_system_socket(GError **error)
{
    const char *env;

    return socket_of_env(&env, error) ? g_strdup(env ?: VMNET_SYSTEM_SOCKET)
                                      : NULL;
}

char *vmnet_paths_log_file(GError **error)
{
    g_autofree char *dir = vmnet_paths_state_dir(true, error);

    return dir ? g_build_filename(dir, "vmnetd.log", NULL) : NULL;
}

/* One file per socket: several daemons may share a runtime directory. */
char *vmnet_paths_record_file(const char *runtime_dir, const char *socket_path)
{
    g_autofree char *usual = g_build_filename(runtime_dir, "vmnetd.sock", NULL);
    g_autofree char *name = NULL;

    if (!socket_path || strcmp(socket_path, usual) == 0) {
        return g_build_filename(runtime_dir, "record.json", NULL);
    }
    name = g_strdup_printf("record-%08x.json", g_str_hash(socket_path));
    return g_build_filename(runtime_dir, name, NULL);
}

int vmnet_paths_lock(int timeout_ms, GError **error)
{
    g_autofree char *dir = vmnet_paths_runtime_dir(true, error);
    g_autofree char *path = NULL;
    int64_t deadline = g_get_monotonic_time() + timeout_ms * INT64_C(1000);
    int fd;

    if (!dir) {
        errno = EACCES;
        return -1;
    }
    path = g_build_filename(dir, "vmnetd.lock", NULL);
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        set_errno_error(error, errno, "lock file", path);
        return -1;
    }
    while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        int errnum = errno;

        if (errnum == EINTR) {
            continue;
        }
        if (errnum != EWOULDBLOCK || g_get_monotonic_time() >= deadline) {
            close(fd);
            set_errno_error(error, errnum, "lock file", path);
            return -1;
        }
        g_usleep(LOCK_POLL_MS * 1000);
    }
    return fd;
}

/* What a lock file says; NULL if it is empty or not a path. */
static char *read_holder(int fd)
{
    char text[HOLDER_BYTES + 1];
    ssize_t n = pread(fd, text, HOLDER_BYTES, 0);

    if (n <= 0) {
        return NULL;
    }
    text[n] = '\0';
    text[strcspn(text, "\n")] = '\0';
    return text[0] == '/' ? g_strdup(text) : NULL;
}

int vmnet_paths_state_lock(const char *state_dir, const char *socket_path,
                           char **ret_holder, GError **error)
{
    g_autofree char *path = g_build_filename(state_dir, "lock", NULL);
    g_autofree char *line = g_strdup_printf("%s\n", socket_path);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    int errnum;

    if (fd < 0) {
        set_errno_error(error, errno, "lock file", path);
        return -1;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        errnum = errno;
        if (errnum == EWOULDBLOCK) {
            *ret_holder = read_holder(fd);
        }
        close(fd);
        set_errno_error(error, errnum, "lock file", path);
        return -1;
    }
    if (ftruncate(fd, 0) < 0 ||
        pwrite(fd, line, strlen(line), 0) != (ssize_t)strlen(line)) {
        errnum = errno;
        close(fd);
        set_errno_error(error, errnum, "lock file", path);
        return -1;
    }
    return fd;
}

char *vmnet_paths_state_holder(const char *state_dir)
{
    g_autofree char *path = g_build_filename(state_dir, "lock", NULL);
    char *holder = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

    if (fd < 0) {
        return NULL;
    }
    /* A shared lock is refused only while somebody has the exclusive one. */
    if (flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK) {
        holder = read_holder(fd);
    }
    close(fd);
    return holder;
}
