/*
 * Fuzz target: a VMM's command line, through vmnet-run
 *
 * The first byte chooses the version of QEMU and the port, the rest is the
 * command line, one argument a line.  Whatever it says, only what asks for a
 * network and the NICs of these networks are rewritten, a NIC's options stay
 * what they were, and what is added stands behind all others.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "opts.h"
#include "run-args.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ARGS_MAX 64
#define FREE_MAC "52:54:00:12:34:56"
#define PATH "/run/user/1000/vm,a b=c.sock"

static const QemuVersion versions[] = { { 7, 2 }, { 8, 0 }, { 9, 2 }, { 10, 0 } };

/* Are @opts[0..n) the first @n of @more? */
static void check_opts_begin(const GPtrArray *more, const GPtrArray *opts)
{
    guint i;

    g_assert_cmpuint(more->len, >=, opts->len);
    for (i = 0; i < opts->len; i++) {
        const Opt *a = g_ptr_array_index(more, i);
        const Opt *b = g_ptr_array_index(opts, i);

        g_assert_cmpstr(a->key, ==, b->key);
        g_assert_cmpstr(a->value, ==, b->value);
    }
}

/* A NIC has been given an address, and nothing else has changed. */
static void check_nic(const RunNetdev *netdev, const char *before,
                      const char *after)
{
    bool is_device = netdev->mac_place == RUN_MAC_DEVICE;
    const char *mac = netdev->mac ?: FREE_MAC;
    const char *key = is_device ? "mac" : "macaddr";
    g_autoptr(GPtrArray) old = NULL;
    g_autoptr(GPtrArray) new = NULL;

    if (netdev->mac_place == RUN_MAC_DEVICE_JSON) {
        g_autoptr(JsonValue) json = json_parse(after, strlen(after), NULL);

        g_assert_cmpstr(json_dict_get_string(json, "mac"), ==, mac);
        g_assert_cmpstr(json_dict_get_string(json, "netdev"), ==, netdev->id);
        return;
    }
    old = opts_parse(before, is_device ? "driver" : "type");
    new = opts_parse(after, is_device ? "driver" : "type");
    check_opts_begin(new, old);
    g_assert_cmpuint(new->len, ==, old->len + 1);
    g_assert_cmpstr(opts_get(new, key), ==, mac);
    g_assert_cmpstr(opts_get(new, "netdev"), ==, netdev->id);
}

static void check_value(const RunNetdev *netdev, const char *after)
{
    g_autoptr(GPtrArray) opts = opts_parse(after, "type");
    const char *type = opts_get(opts, "type");

    if (netdev->kind == RUN_NIC) {
        g_assert_cmpstr(type, ==, "socket");
        g_assert_cmpstr(opts_get(opts, "fd"), ==, "7");
        return;
    }
    g_assert_cmpstr(opts_get(opts, "id"), ==, netdev->id);
    switch (netdev->port) {
    case RUN_PORT_STREAM:
        g_assert_cmpstr(type, ==, "stream");
        g_assert_cmpstr(opts_get(opts, "addr.path"), ==, PATH);
        break;
    case RUN_PORT_DGRAM:
        g_assert_cmpstr(type, ==, "dgram");
        break;
    case RUN_PORT_VHOST_USER:
        g_assert_cmpstr(type, ==, "vhost-user");
        break;
    case RUN_PORT_AUTO:
    case RUN_PORT__MAX:
        g_assert_not_reached();
    }
}

/* Whose option or, with @is_nic, whose NIC's option is at @index? */
static const RunNetdev *netdev_at(const RunArgs *args, int index, bool is_nic)
{
    guint i;

    for (i = 0; index && i < args->netdevs->len; i++) {
        const RunNetdev *netdev = g_ptr_array_index(args->netdevs, i);

        if (index == (is_nic ? netdev->mac_index : netdev->value_index)) {
            return netdev;
        }
    }
    return NULL;
}

static void check_line(const RunArgs *args, char **line)
{
    size_t len = g_strv_length(line);
    int i;

    g_assert_cmpuint(len, >=, args->argc);
    for (i = 0; i < args->argc; i++) {
        const RunNetdev *netdev = netdev_at(args, i, false);
        const RunNetdev *nic = netdev ? NULL : netdev_at(args, i, true);

        if (netdev) {
            check_value(netdev, line[i]);
        } else if (nic) {
            check_nic(nic, args->argv[i], line[i]);
        } else {
            g_assert_cmpstr(line[i], ==, args->argv[i]);
        }
    }
    /* Pairs of an option and its value follow. */
    g_assert_cmpuint((len - args->argc) % 2, ==, 0);
    for (; line[i]; i += 2) {
        g_assert_true(!strcmp(line[i], "-object") ||
                      !strcmp(line[i], "-machine") ||
                      !strcmp(line[i], "-chardev"));
    }
    if (args->netdevs->len == 0) {
        g_assert_cmpuint(len, ==, args->argc);
    }
}

/* A shell makes of the line what it was made of. */
static void check_quote(char **line)
{
    g_autofree char *text = run_args_quote(line);
    g_auto(GStrv) again = NULL;
    g_autoptr(GError) error = NULL;

    g_shell_parse_argv(text, NULL, &again, &error);
    g_assert_no_error(error);
    g_assert_true(g_strv_equal((const char *const *)line,
                               (const char *const *)again));
}

static void rewrite(RunArgs *args, RunPort port, const QemuVersion *version)
{
    g_autofree RunTarget *targets = g_new0(RunTarget, args->netdevs->len + 1);
    g_autoptr(GError) error = NULL;
    g_auto(GStrv) line = NULL;
    guint i;

    if (!run_args_choose(args, port, version, &error)) {
        g_assert_nonnull(error);
        return;
    }
    g_assert_no_error(error);
    for (i = 0; i < args->netdevs->len; i++) {
        const RunNetdev *netdev = g_ptr_array_index(args->netdevs, i);

        targets[i] = (RunTarget) { (char *)PATH, 7, netdev->mac ?: (char *)FREE_MAC };
    }
    line = run_args_rewrite(args, version, targets);
    check_line(args, line);
    check_quote(line);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = size > 1 ? g_strndup((const char *)data + 1, size - 1)
                                     : g_strdup("");
    g_auto(GStrv) argv = g_strsplit(text, "\n", ARGS_MAX);
    g_autoptr(GError) error = NULL;
    g_autoptr(RunArgs) args = NULL;

    if (!argv[0]) {
        return 0;
    }
    args = run_args_scan(g_strv_length(argv), argv, &error);
    if (!args) {
        g_assert_nonnull(error);
        return 0;
    }
    g_assert_no_error(error);
    rewrite(args, data[0] / G_N_ELEMENTS(versions) % RUN_PORT__MAX,
            &versions[data[0] % G_N_ELEMENTS(versions)]);
    return 0;
}
