/*
 * A VMM's command line
 *
 * Theory of operation
 *
 * Arguments are walked as QEMU walks them: an option with one or two dashes,
 * followed by its value if it takes one, anything else is a disk image.  Only
 * what stands where a value of -netdev or -nic stands is looked at, so that
 * the same text within another option's value stays what it is.
 *
 * The first walk collects netdevs and the names from which addresses are
 * derived.  The second finds, for each netdev, the NIC that refers to it: a
 * MAC address belongs to the NIC, and the network has to know it too.
 *
 * Nothing is judged that is not ours: an option string that we cannot read is
 * left for QEMU to complain about.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "run-args.h"

#include <string.h>

#include "opts.h"
#include "qapi/keyval.h"
#include "qapi/qapi-types.h"
#include "qapi/qapi-visit.h"
#include "qemu-options.h"
#include "run-args-private.h"
#include "vmnet/error.h"

/* Keys of -nic that describe the NIC; all others are the netdev's. */
static const char *const nic_keys[] = {
    "model", "mac", "macaddr", "addr", "vectors", "name",
};

static void netdev_free(void *opaque)
{
    RunNetdev *netdev = opaque;

    g_free(netdev->id);
    g_free(netdev->mac);
    g_free(netdev->why);
    json_unref(netdev->args);
    g_clear_pointer(&netdev->nic_options, g_ptr_array_unref);
    g_free(netdev);
}

void run_args_free(RunArgs *args)
{
    if (!args) {
        return;
    }
    g_ptr_array_unref(args->netdevs);
    g_free(args->name);
    g_free(args->uuid);
    g_free(args->disk);
    run_memory_free(args->memory);
    g_strfreev(args->memory_args);
    g_free(args);
}

/* Is it one of ours?  @type is what follows -netdev or -nic. */
static bool is_vmnet(const char *type)
{
    return type && g_str_has_prefix(type, "vmnet-");
}

JsonValue *run_args_parse_json(const char *text)
{
    return text[0] == '{' ? json_parse(text, strlen(text), NULL) : NULL;
}

/* The type that @text asks for, in whatever form; NULL if it has none. */
static char *type_of(const char *text)
{
    g_autoptr(JsonValue) json = NULL;
    g_autoptr(GPtrArray) opts = NULL;

    if (text[0] == '{') {
        json = run_args_parse_json(text);
        return json ? g_strdup(json_dict_get_string(json, "type")) : NULL;
    }
    opts = opts_parse(text, "type");
    return g_strdup(opts_get(opts, "type"));
}

/* Netdevs */

/* Members that are the same in all three modes are reached as JSON. */
static bool decode_netdev(RunNetdev *netdev, const JsonValue *value,
                          QapiInput input, GError **error)
{
    g_autoptr(Netdev) decoded = NULL;

    if (!qapi_decode_Netdev(value, input, &decoded, error)) {
        return false;
    }
    netdev->args = qapi_encode_Netdev(decoded);
    netdev->id = g_strdup(decoded->id);
    netdev->mac = g_strdup(json_dict_get_string(netdev->args, "mac"));
    return true;
}

static bool parse_netdev(RunNetdev *netdev, const char *text, GError **error)
{
    QapiInput input = QAPI_INPUT_KEYVAL;
    g_autoptr(JsonValue) value = keyval_parse(text, "type", &input, error);

    netdev->kind = RUN_NETDEV;
    return value && decode_netdev(netdev, value, input, error);
}

static bool id_is_used(const RunArgs *args, const char *id)
{
    guint i;

    for (i = 0; i < args->netdevs->len; i++) {
        const RunNetdev *other = g_ptr_array_index(args->netdevs, i);

        if (g_strcmp0(other->id, id) == 0) {
            return true;
        }
    }
    return false;
}

static char *free_nic_id(const RunArgs *args)
{
    unsigned n = 0;

    for (;;) {
        g_autofree char *id = g_strdup_printf("nic%u", n++);

        if (!id_is_used(args, id)) {
            return g_steal_pointer(&id);
        }
    }
}

static bool is_nic_key(const char *key)
{
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(nic_keys); i++) {
        if (strcmp(key, nic_keys[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* Split -nic's options: the NIC's are kept as they are, the rest is parsed. */
static bool parse_nic(const RunArgs *args, RunNetdev *netdev, const char *text,
                      GError **error)
{
    g_autoptr(GPtrArray) opts = opts_parse(text, "type");
    g_autoptr(GString) rest = g_string_new(NULL);
    g_autofree char *id = NULL;
    g_autoptr(JsonValue) value = NULL;
    QapiInput input = QAPI_INPUT_KEYVAL;
    const char *mac = opts_get(opts, "mac") ?: opts_get(opts, "macaddr");
    guint i;

    netdev->kind = RUN_NIC;
    netdev->nic_options = g_ptr_array_new_with_free_func(g_free);
    for (i = 0; i < opts->len; i++) {
        const Opt *opt = g_ptr_array_index(opts, i);

        if (strcmp(opt->key, "id") == 0 || is_nic_key(opt->key)) {
            g_ptr_array_add(netdev->nic_options, g_strdup(opt->text));
        } else {
            g_string_append_printf(rest, "%s%s", rest->len ? "," : "",
                                   opt->text);
        }
    }
    id = opts_get(opts, "id") ? g_strdup(opts_get(opts, "id"))
                              : free_nic_id(args);
    g_string_append_printf(rest, ",id=%s", id);
    if (mac) {
        g_string_append_printf(rest, ",mac=%s", mac);
    } else {
        netdev->mac_place = RUN_MAC_NIC;
    }
    value = keyval_parse(rest->str, "type", &input, error);
    return value && decode_netdev(netdev, value, input, error);
}

static bool add_netdev(RunArgs *args, int value_index, bool is_nic,
                       GError **error)
{
    const char *text = args->argv[value_index];
    g_autofree char *type = type_of(text);
    RunNetdev *netdev;
    bool ok;

    if (!is_vmnet(type)) {
        return true;
    }
    netdev = g_new0(RunNetdev, 1);
    netdev->value_index = value_index;
    netdev->port = RUN_PORT_STREAM;
    ok = is_nic ? parse_nic(args, netdev, text, error)
                : parse_netdev(netdev, text, error);
    if (ok && id_is_used(args, netdev->id)) {
        g_set_error(error, VMNET_ERROR, VMNET_INVALID_ARGUMENT,
                    "Duplicate ID '%s'", netdev->id);
        ok = false;
    }
    if (!ok) {
        g_prefix_error(error, "%s %s: ", is_nic ? "-nic" : "-netdev", text);
        netdev_free(netdev);
        return false;
    }
    g_ptr_array_add(args->netdevs, netdev);
    return true;
}

/* What NICs say of their netdevs */

/* An address that two say: they have to agree. */
static bool take_mac(RunNetdev *netdev, const char *mac, GError **error)
{
    if (!netdev->mac) {
        netdev->mac = g_strdup(mac);
        json_dict_set_string(netdev->args, "mac", mac);
    } else if (g_ascii_strcasecmp(netdev->mac, mac) != 0) {
        g_set_error(error, VMNET_ERROR, VMNET_INVALID_ARGUMENT,
                    "netdev '%s': mac is %s, and its NIC's is %s", netdev->id,
                    netdev->mac, mac);
        return false;
    }
    return true;
}

static bool found_nic(RunArgs *args, const char *id, const char *driver,
                      const char *mac, RunMacPlace place, int value_index,
                      GError **error)
{
    guint i;

    for (i = 0; id && i < args->netdevs->len; i++) {
        RunNetdev *netdev = g_ptr_array_index(args->netdevs, i);

        if (strcmp(netdev->id, id) != 0 || netdev->kind != RUN_NETDEV) {
            continue;
        }
        netdev->has_virtio_nic = driver &&
                                 g_str_has_prefix(driver, "virtio-net");
        if (mac) {
            return take_mac(netdev, mac, error);
        }
        netdev->mac_place = place;
        netdev->mac_index = value_index;
        return true;
    }
    return true;
}

static bool scan_device(RunArgs *args, int value_index, GError **error)
{
    const char *text = args->argv[value_index];
    g_autoptr(JsonValue) json = run_args_parse_json(text);
    g_autoptr(GPtrArray) opts = NULL;

    if (json) {
        return found_nic(args, json_dict_get_string(json, "netdev"),
                         json_dict_get_string(json, "driver"),
                         json_dict_get_string(json, "mac"),
                         RUN_MAC_DEVICE_JSON, value_index, error);
    }
    opts = opts_parse(text, "driver");
    return found_nic(args, opts_get(opts, "netdev"), opts_get(opts, "driver"),
                     opts_get(opts, "mac"), RUN_MAC_DEVICE, value_index, error);
}

static bool scan_net(RunArgs *args, int value_index, GError **error)
{
    g_autoptr(GPtrArray) opts = opts_parse(args->argv[value_index], "type");

    if (g_strcmp0(opts_get(opts, "type"), "nic") != 0) {
        return true;
    }
    return found_nic(args, opts_get(opts, "netdev"), NULL,
                     opts_get(opts, "macaddr"), RUN_MAC_NET_NIC, value_index, error);
}

/* The walk */

typedef bool (*OptionFunc)(RunArgs *args, const char *option, int value_index,
                           GError **error);

/*
 * Call @func for every option; @value_index is 0 for one without a value.  A disk image that stands
 * alone counts only where the command is QEMU itself, and not after an option
 * that we do not know: it may be that option's value.
 */
static bool walk(RunArgs *args, OptionFunc func, GError **error)
{
    bool is_qemu = qemu_version_is_asked(args->argv[0]);
    bool after_unknown = false;
    int i;

    for (i = 1; i < args->argc; i++) {
        const char *option = qemu_option_name(args->argv[i]);
        QemuOptionArity arity;

        if (!option) {
            if (is_qemu && !after_unknown &&
                !func(args, "hda", i, error)) {
                return false;
            }
            after_unknown = false;
            continue;
        }
        arity = qemu_option_arity(option);
        after_unknown = arity == QEMU_OPTION_UNKNOWN;
        if (arity == QEMU_OPTION_VALUE && i + 1 < args->argc &&
            !func(args, option, ++i, error)) {
            return false;
        }
        if (arity == QEMU_OPTION_FLAG && !func(args, option, 0, error)) {
            return false;
        }
    }
    return true;
}

static bool first_walk(RunArgs *args, const char *option, int value_index,
                       GError **error)
{
    bool is_nic = strcmp(option, "nic") == 0;

    run_memory_scan(args->memory, option,
                    value_index ? args->argv[value_index] : NULL);
    if (!value_index) {
        return true;
    }
    if (is_nic || strcmp(option, "netdev") == 0) {
        return add_netdev(args, value_index, is_nic, error);
    }
    run_identity_scan(args, option, args->argv[value_index]);
    return true;
}

static bool second_walk(RunArgs *args, const char *option, int value_index,
                        GError **error)
{
    if (!value_index) {
        return true;
    }
    if (strcmp(option, "device") == 0) {
        return scan_device(args, value_index, error);
    }
    if (strcmp(option, "net") == 0) {
        return scan_net(args, value_index, error);
    }
    return true;
}

RunArgs *run_args_scan(int argc, char **argv, GError **error)
{
    g_autoptr(RunArgs) args = g_new0(RunArgs, 1);

    args->argc = argc;
    args->argv = argv;
    args->memory = run_memory_new();
    args->netdevs = g_ptr_array_new_with_free_func(netdev_free);
    if (!walk(args, first_walk, error) || !walk(args, second_walk, error)) {
        return NULL;
    }
    run_identity_apply(args);
    return g_steal_pointer(&args);
}
