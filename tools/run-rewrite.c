/*
 * A VMM's command line, rewritten for what was made
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "run-args-private.h"

#include <string.h>

#include "opts.h"

static char *stream_text(const RunNetdev *netdev, const QemuVersion *version,
                         const RunTarget *target)
{
    static const char *const reconnect[] = {
        [QEMU_RECONNECT_NONE] = "",
        [QEMU_RECONNECT_SECONDS] = ",reconnect=1",
        [QEMU_RECONNECT_MS] = ",reconnect-ms=100",
    };
    g_autofree char *path = opts_escape(target->path);
    g_autofree char *id = opts_escape(netdev->id);

    return g_strdup_printf("stream,id=%s,server=off,addr.type=unix,"
                           "addr.path=%s%s", id, path,
                           reconnect[qemu_version_reconnect(version)]);
}

static char *netdev_text(const RunNetdev *netdev, const QemuVersion *version,
                         const RunTarget *target)
{
    g_autofree char *id = opts_escape(netdev->id);

    switch (netdev->port) {
    case RUN_PORT_DGRAM:
        return g_strdup_printf("dgram,id=%s,local.type=fd,local.str=%d", id,
                               target->fd);
    case RUN_PORT_VHOST_USER:
        return g_strdup_printf("vhost-user,id=%s,chardev=vmnet-%s", id, id);
    case RUN_PORT_AUTO:
    case RUN_PORT_STREAM:
    case RUN_PORT__MAX:
        break;
    }
    return stream_text(netdev, version, target);
}

/* Character devices connect again in all versions. */
static char *chardev_text(const RunNetdev *netdev, const QemuVersion *version,
                          const RunTarget *target)
{
    bool has_ms = qemu_version_reconnect(version) == QEMU_RECONNECT_MS;
    g_autofree char *path = opts_escape(target->path);
    g_autofree char *id = opts_escape(netdev->id);

    return g_strdup_printf("socket,id=vmnet-%s,path=%s,%s", id, path,
                           has_ms ? "reconnect-ms=100" : "reconnect=1");
}

static char *nic_text(const RunNetdev *netdev, const RunTarget *target)
{
    GString *text = g_string_new(NULL);
    guint i;

    g_string_printf(text, "socket,fd=%d", target->fd);
    for (i = 0; i < netdev->nic_options->len; i++) {
        g_string_append_printf(text, ",%s", (const char *)
                               g_ptr_array_index(netdev->nic_options, i));
    }
    if (netdev->mac_place == RUN_MAC_NIC && target->mac) {
        g_string_append_printf(text, ",mac=%s", target->mac);
    }
    return g_string_free(text, FALSE);
}

static void replace(char **arg, char *text)
{
    g_free(*arg);
    *arg = text;
}

/* @text with one option more; a comma at its end may separate nothing yet. */
static char *add_option(const char *text, const char *key, const char *value)
{
    size_t len = strlen(text), n_commas = 0;
    g_autofree char *escaped = opts_escape(value);

    while (n_commas < len && text[len - 1 - n_commas] == ',') {
        n_commas++;
    }
    /* Two are one within a value. */
    return g_strdup_printf("%s%s%s=%s", text, n_commas % 2 ? "" : ",", key,
                           escaped);
}

static void add_mac(const RunNetdev *netdev, char **arg, const char *mac)
{
    g_autoptr(JsonValue) json = NULL;

    switch (netdev->mac_place) {
    case RUN_MAC_NONE:
    case RUN_MAC_NIC:
        break;
    case RUN_MAC_DEVICE:
        replace(arg, add_option(*arg, "mac", mac));
        break;
    case RUN_MAC_NET_NIC:
        replace(arg, add_option(*arg, "macaddr", mac));
        break;
    case RUN_MAC_DEVICE_JSON:
        json = run_args_parse_json(*arg);
        if (json) {
            json_dict_set_string(json, "mac", mac);
            replace(arg, json_to_text(json));
        }
        break;
    }
}

/* Options that stand for themselves, behind all others. */
static char **append_options(char **argv, const RunArgs *args,
                             const QemuVersion *version,
                             const RunTarget *targets)
{
    GPtrArray *all = g_ptr_array_new();
    guint i;

    for (i = 0; argv[i]; i++) {
        g_ptr_array_add(all, argv[i]);
    }
    g_free(argv);
    for (i = 0; args->memory_args && args->memory_args[i]; i++) {
        g_ptr_array_add(all, g_strdup(args->memory_args[i]));
    }
    for (i = 0; i < args->netdevs->len; i++) {
        const RunNetdev *netdev = g_ptr_array_index(args->netdevs, i);

        if (netdev->port == RUN_PORT_VHOST_USER) {
            g_ptr_array_add(all, g_strdup("-chardev"));
            g_ptr_array_add(all, chardev_text(netdev, version, &targets[i]));
        }
    }
    g_ptr_array_add(all, NULL);
    return (char **)g_ptr_array_free(all, FALSE);
}

char **run_args_rewrite(const RunArgs *args, const QemuVersion *version,
                        const RunTarget *targets)
{
    char **argv = g_strdupv(args->argv);
    guint i;

    for (i = 0; i < args->netdevs->len; i++) {
        const RunNetdev *netdev = g_ptr_array_index(args->netdevs, i);
        char **value = &argv[netdev->value_index];

        replace(value, netdev->kind == RUN_NIC ?
                       nic_text(netdev, &targets[i]) :
                       netdev_text(netdev, version, &targets[i]));
        if (targets[i].mac && netdev->mac_index) {
            add_mac(netdev, &argv[netdev->mac_index], targets[i].mac);
        }
    }
    return append_options(argv, args, version, targets);
}

/* Quoting */

static bool needs_quotes(const char *arg)
{
    static const char safe[] = "%+,-./:=@^_";

    if (!*arg) {
        return true;
    }
    for (; *arg; arg++) {
        if (!g_ascii_isalnum(*arg) && !strchr(safe, *arg)) {
            return true;
        }
    }
    return false;
}

char *run_args_quote(char **argv)
{
    GString *line = g_string_new(NULL);

    for (; *argv; argv++) {
        g_autofree char *quoted = needs_quotes(*argv) ? g_shell_quote(*argv)
                                                      : g_strdup(*argv);

        g_string_append_printf(line, "%s%s", line->len ? " " : "", quoted);
    }
    return g_string_free(line, FALSE);
}
