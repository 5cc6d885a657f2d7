/*
 * What of the file system is left to the engine: the sandbox's lists
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "control/confine.h"

#include <stdlib.h>

#include "control/sandbox.h"

/* A daemon that is started on demand gets no options but the environment's. */
const char *confine_resolv_conf(const Options *options)
{
    const char *path = g_getenv("VMNET_RESOLV_CONF");

    if (options->resolv_conf) {
        return options->resolv_conf;
    }
    return path && path[0] == '/' ? path : NULL;
}

/*
 * Where the resolver's file is and, where that is a link, what it points to:
 * folders, because such files are replaced by others (resolvconf, systemd-resolved,
 * NetworkManager), which a right to the one that is there now would not be a
 * right to. (transfer full)
 */
static char *resolv_dir(const Options *options, bool follow)
{
    const char *path = confine_resolv_conf(options);
    g_autofree char *target = NULL;

    if (!path) {
        path = "/etc/resolv.conf";
    }
    if (follow) {
        /* realpath() allocates by malloc, which g_free() is as well. */
        target = realpath(path, NULL);
    }
    return g_path_get_dirname(target ? target : path);
}

static char *dir_of(const char *path)
{
    return path ? g_path_get_dirname(path) : NULL;
}

static const char *const *list_of(GPtrArray *list)
{
    g_ptr_array_add(list, NULL);
    return (const char *const *)list->pdata;
}

static void add(GPtrArray *list, const char *path)
{
    if (path) {
        g_ptr_array_add(list, (void *)path);
    }
}

/* As it is written: one that is told apart only by that is copied for nothing. */
bool confine_has_log(const ConfinePlaces *places)
{
    g_autofree char *dir = dir_of(places->options->log_file);

    return !dir || g_strcmp0(dir, places->state_dir) == 0
           || g_strcmp0(dir, places->runtime_dir) == 0;
}

const char *const *confine(const ConfinePlaces *places)
{
    /* Of sockets in the runtime directory, which are a group's. */
    static const char *const system_syscalls[] = { "chmod", "fchmodat", NULL };
    const Options *options = places->options;
    g_autofree char *policy_dir = dir_of(options->policy);
    g_autofree char *socket_dir = dir_of(places->socket_path);
    g_autofree char *resolv_link = resolv_dir(options, false);
    g_autofree char *resolv_target = resolv_dir(options, true);
    g_autoptr(GPtrArray) read_write = g_ptr_array_new();
    g_autoptr(GPtrArray) removal = g_ptr_array_new();
    const char *read_only[] = {
        "/etc", "/usr", "/lib", "/lib64", "/proc", "/sys",
        "/run/systemd/resolve", "/run/NetworkManager", "/run/resolvconf",
        resolv_link, resolv_target, policy_dir, NULL
    };

    add(read_write, places->state_dir);
    add(read_write, places->runtime_dir);
    add(removal, socket_dir);
    return sandbox_enter(&(SandboxLists){
        .read_write = list_of(read_write),
        .removal = list_of(removal),
        .read_only = read_only,
        .more_syscalls = options->system ? system_syscalls : NULL,
    });
}
