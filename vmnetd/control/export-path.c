/*
 * Where an export's socket may be, and what is done with one that is there
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "control/export-path.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/client.h"
#include "control/netdev.h"
#include "control/remover.h"
#include "libvmnet/paths.h"
#include "limits.h"
#include "vmnet/error.h"

/* A name in the runtime directory, of which sun_path takes 107 bytes. */
#define NAME_PART_BYTES 24
/* What fits into sun_path behind /proc/self/fd/N: the sandbox lets the engine
 * make a socket in any directory, and rename it in few. */
#define NAME_BYTES 80

bool export_path_check(const char *path, const Client *client, GError **error)
{
    g_autofree char *name = g_path_get_basename(path);

    if (path[0] != '/') {
        g_set_error(error, VMNET_ERROR, VMNET_INVALID_ARGUMENT,
                    "path '%s' is not absolute", path);
        return false;
    }
    if (strlen(name) > NAME_BYTES) {
        g_set_error(error, VMNET_ERROR, VMNET_INVALID_ARGUMENT,
                    "path '%s': its file name is longer than %d bytes", path,
                    NAME_BYTES);
        return false;
    }
    if (client->uid != geteuid()) {
        g_set_error(error, VMNET_ERROR, VMNET_NOT_AUTHORIZED,
                    "path '%s': uid %u cannot name a path to a vmnetd of uid "
                    "%u; pass a file descriptor, or name none", path,
                    (unsigned)client->uid, (unsigned)geteuid());
        return false;
    }
    return true;
}

static int remover = -1;

void export_path_set_remover(int engine_fd)
{
    remover = engine_fd;
}

/* Returns: 0 or an errno. */
static int remove_socket(const char *path)
{
    if (unlink(path) == 0 || errno == ENOENT) {
        return 0;
    }
    if (errno == EACCES && remover >= 0) {
        return remover_ask(remover, path);
    }
    return errno;
}

/* Returns: whether somebody serves @path; errno of the attempt otherwise. */
static bool is_served(const char *path, int socket_type, int *ret_errno)
{
    int fd = vmnet_unix_connect(path, socket_type, NULL);

    if (fd < 0) {
        *ret_errno = errno;
        return *ret_errno == EAGAIN;   /* its queue is full */
    }
    close(fd);
    return true;
}

bool export_path_clear(const char *path, int socket_type, GError **error)
{
    struct stat st;
    int errnum = 0;

    if (lstat(path, &st) < 0) {
        if (errno == ENOENT) {
            return true;
        }
        g_set_error(error, VMNET_ERROR, vmnet_status_from_errno(errno),
                    "path '%s': %s", path, g_strerror(errno));
        return false;
    }
    if (!S_ISSOCK(st.st_mode) || st.st_uid != geteuid()) {
        g_set_error(error, VMNET_ERROR, VMNET_INVALID_ARGUMENT,
                    "path '%s' exists and is not a socket of ours", path);
        return false;
    }
    if (is_served(path, socket_type, &errnum) || errnum != ECONNREFUSED) {
        g_set_error(error, VMNET_ERROR, VMNET_SHARING_SERVICE_BUSY,
                    "path '%s' is in use", path);
        return false;
    }
    errnum = remove_socket(path);
    if (errnum) {
        g_set_error(error, VMNET_ERROR, vmnet_status_from_errno(errnum),
                    "path '%s': cannot remove it: %s", path,
                    g_strerror(errnum));
    }
    return !errnum;
}

void export_path_remove(const char *path, dev_t dev, ino_t ino)
{
    struct stat st;
    int errnum;

    if (lstat(path, &st) < 0 || st.st_dev != dev || st.st_ino != ino) {
        return;
    }
    errnum = remove_socket(path);
    if (errnum) {
        g_warning("cannot remove '%s': %s", path, g_strerror(errnum));
    }
}

/* Letters that need no quoting anywhere, and no more of them than fit. */
static char *name_part(const char *text)
{
    char *part = g_strndup(text, NAME_PART_BYTES);
    char *p;

    for (p = part; *p; p++) {
        if (!g_ascii_isalnum(*p) && !strchr("-_", *p)) {
            *p = '_';
        }
    }
    return part;
}

char *export_path_choose(const ControlNetdev *netdev, int socket_type,
                         GError **error)
{
    g_autofree char *vm = name_part(netdev->vm);
    g_autofree char *id = name_part(netdev->id);
    unsigned n;

    if (!netdev->control->runtime_dir) {
        g_set_error(error, VMNET_ERROR, VMNET_SETUP_INCOMPLETE,
                    "there is no runtime directory to make a socket in; name a "
                    "path, or pass a file descriptor");
        return NULL;
    }
    for (n = 1; n <= LIMIT_NETDEVS; n++) {
        g_autofree char *number = n > 1 ? g_strdup_printf("-%u", n) : NULL;
        g_autofree char *name = g_strdup_printf("%s-%s%s.sock", vm, id,
                                                number ? number : "");
        char *path = g_build_filename(netdev->control->runtime_dir, name, NULL);

        if (export_path_clear(path, socket_type, NULL)) {
            return path;
        }
        g_free(path);
    }
    g_set_error(error, VMNET_ERROR, VMNET_FAILURE,
                "no name is free in '%s' for the socket of netdev '%s'",
                netdev->control->runtime_dir, netdev->full_id);
    return NULL;
}
