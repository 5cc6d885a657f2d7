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

#include <stdlib.h>
#include <string.h>

#include "opts.h"
#include "qapi/keyval.h"
#include "qapi/qapi-types.h"
#include "qapi/qapi-visit.h"
#include "qemu-options.h"
#include "vmnet/error.h"

/* Longest name of a machine, as vmnetd takes it. */
#define VM_NAME_BYTES 127

/* Keys of -nic that describe the NIC; all others are the netdev's. */
static const char *const nic_keys[] = {
    "model", "mac", "macaddr", "addr", "vectors", "name",
};

static void netdev_free(void *opaque)
{
    RunNetdev *netdev = opaque;

    g_free(netdev->id);
    g_free(netdev->mac);
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
    g_free(args);
}

/* Is it one of ours?  @type is what follows -netdev or -nic. */
static bool is_vmnet(const char *type)
{
    return type && g_str_has_prefix(type, "vmnet-");
}

static JsonValue *parse_json(const char *text)
{
    return text[0] == '{' ? json_parse(text, strlen(text), NULL) : NULL;
}

/* The type that @text asks for, in whatever form; NULL if it has none. */
static char *type_of(const char *text)
{
    g_autoptr(JsonValue) json = NULL;
    g_autoptr(GPtrArray) opts = NULL;

    if (text[0] == '{') {
        json = parse_json(text);
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

/* What tells this machine from others */

static void set_disk(RunArgs *args, const char *file)
{
    if (!args->disk && file && *file) {
        g_autofree char *absolute = g_canonicalize_filename(file, NULL);
        char *resolved = realpath(absolute, NULL);

        args->disk = g_strdup(resolved ?: absolute);
        free(resolved);
    }
}

static void scan_name(RunArgs *args, const char *value)
{
    g_autoptr(GPtrArray) opts = opts_parse(value, "guest");

    g_free(args->name);
    args->name = g_strdup(opts_get(opts, "guest"));
}

static void scan_uuid(RunArgs *args, const char *value)
{
    g_free(args->uuid);
    args->uuid = g_ascii_strdown(value, -1);
}

/* Firmware and installation media are the same for many machines. */
static void scan_drive(RunArgs *args, const char *value)
{
    g_autoptr(GPtrArray) opts = opts_parse(value, NULL);
    const char *interface = opts_get(opts, "if");

    if (g_strcmp0(opts_get(opts, "media"), "cdrom") != 0 &&
        g_strcmp0(interface, "pflash") != 0 &&
        g_strcmp0(interface, "floppy") != 0 &&
        !opts_get_on(opts, "readonly") && !opts_get_on(opts, "read-only")) {
        set_disk(args, opts_get(opts, "file"));
    }
}

static void scan_blockdev_json(RunArgs *args, const JsonValue *node)
{
    const JsonValue *file = json_dict_get(node, "file");
    bool read_only = false;

    json_dict_get_bool(node, "read-only", &read_only);
    if (!read_only) {
        set_disk(args, json_dict_get_string(node, "filename"));
        if (file && json_type(file) == JSON_DICT) {
            set_disk(args, json_dict_get_string(file, "filename"));
        }
    }
}

static void scan_blockdev(RunArgs *args, const char *value)
{
    g_autoptr(JsonValue) json = parse_json(value);
    g_autoptr(GPtrArray) opts = NULL;

    if (json) {
        scan_blockdev_json(args, json);
        return;
    }
    opts = opts_parse(value, "driver");
    if (!opts_get_on(opts, "read-only")) {
        set_disk(args, opts_get(opts, "filename") ?:
                       opts_get(opts, "file.filename"));
    }
}

static const struct {
    const char *option;
    void (*scan)(RunArgs *args, const char *value);
} identity_options[] = {
    { "name", scan_name },
    { "uuid", scan_uuid },
    { "drive", scan_drive },
    { "blockdev", scan_blockdev },
    { "hda", set_disk },
    { "hdb", set_disk },
    { "hdc", set_disk },
    { "hdd", set_disk },
    { "sd", set_disk },
};

static void scan_identity(RunArgs *args, const char *option, const char *value)
{
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(identity_options); i++) {
        if (strcmp(option, identity_options[i].option) == 0) {
            identity_options[i].scan(args, value);
        }
    }
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

static bool found_nic(RunArgs *args, const char *id, const char *mac,
                      RunMacPlace place, int value_index, GError **error)
{
    guint i;

    for (i = 0; id && i < args->netdevs->len; i++) {
        RunNetdev *netdev = g_ptr_array_index(args->netdevs, i);

        if (strcmp(netdev->id, id) != 0 || netdev->kind != RUN_NETDEV) {
            continue;
        }
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
    g_autoptr(JsonValue) json = parse_json(text);
    g_autoptr(GPtrArray) opts = NULL;

    if (json) {
        return found_nic(args, json_dict_get_string(json, "netdev"),
                         json_dict_get_string(json, "mac"),
                         RUN_MAC_DEVICE_JSON, value_index, error);
    }
    opts = opts_parse(text, "driver");
    return found_nic(args, opts_get(opts, "netdev"), opts_get(opts, "mac"),
                     RUN_MAC_DEVICE, value_index, error);
}

static bool scan_net(RunArgs *args, int value_index, GError **error)
{
    g_autoptr(GPtrArray) opts = opts_parse(args->argv[value_index], "type");

    if (g_strcmp0(opts_get(opts, "type"), "nic") != 0) {
        return true;
    }
    return found_nic(args, opts_get(opts, "netdev"), opts_get(opts, "macaddr"),
                     RUN_MAC_NET_NIC, value_index, error);
}

/* The walk */

typedef bool (*OptionFunc)(RunArgs *args, const char *option, int value_index,
                           GError **error);

/*
 * Call @func for every option that has a value.  A disk image that stands
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
    }
    return true;
}

static bool first_walk(RunArgs *args, const char *option, int value_index,
                       GError **error)
{
    bool is_nic = strcmp(option, "nic") == 0;

    if (is_nic || strcmp(option, "netdev") == 0) {
        return add_netdev(args, value_index, is_nic, error);
    }
    scan_identity(args, option, args->argv[value_index]);
    return true;
}

static bool second_walk(RunArgs *args, const char *option, int value_index,
                        GError **error)
{
    if (strcmp(option, "device") == 0) {
        return scan_device(args, value_index, error);
    }
    if (strcmp(option, "net") == 0) {
        return scan_net(args, value_index, error);
    }
    return true;
}

/*
 * Text that is the same whenever the same machine starts.  Machines that
 * nothing tells apart have the same: vmnetd gives the first of them that runs
 * the address that is derived from it, the second the next, and so on.
 */
static char *mac_seed(const RunArgs *args, const char *id)
{
    if (args->uuid) {
        return g_strdup_printf("uuid:%s/%s", args->uuid, id);
    }
    if (args->name) {
        return g_strdup_printf("name:%s/%s", args->name, id);
    }
    if (args->disk) {
        return g_strdup_printf("disk:%s/%s", args->disk, id);
    }
    return g_strdup_printf("any/%s", id);
}

static void set_default(JsonValue *dict, const char *key, const char *value)
{
    if (value && !json_dict_get(dict, key)) {
        json_dict_set_string(dict, key, value);
    }
}

/*
 * @name as vmnetd takes it: VM/ID is how others see a netdev, so that a "/"
 * cannot be part of it.  NULL if there is nothing left.
 */
static char *vm_name(const char *name)
{
    g_autofree char *vm = name ? g_utf8_make_valid(name, -1) : NULL;
    char *p, *end;

    if (!vm || !*vm) {
        return NULL;
    }
    for (p = vm; *p; p++) {
        if (*p == '/' || g_ascii_iscntrl(*p)) {
            *p = '_';
        }
    }
    if (strlen(vm) > VM_NAME_BYTES) {
        end = g_utf8_find_prev_char(vm, vm + VM_NAME_BYTES + 1);
        *end = '\0';
    }
    return g_steal_pointer(&vm);
}

static void set_identity(RunArgs *args)
{
    g_autofree char *vm = vm_name(args->name) ?: vm_name(args->uuid);
    guint i;

    for (i = 0; i < args->netdevs->len; i++) {
        RunNetdev *netdev = g_ptr_array_index(args->netdevs, i);
        g_autofree char *seed = mac_seed(args, netdev->id);

        set_default(netdev->args, "vm", vm);
        set_default(netdev->args, "mac-seed", seed);
    }
}

RunArgs *run_args_scan(int argc, char **argv, GError **error)
{
    g_autoptr(RunArgs) args = g_new0(RunArgs, 1);

    args->argc = argc;
    args->argv = argv;
    args->netdevs = g_ptr_array_new_with_free_func(netdev_free);
    if (!walk(args, first_walk, error) || !walk(args, second_walk, error)) {
        return NULL;
    }
    set_identity(args);
    return g_steal_pointer(&args);
}

/* Rewriting */

static char *stream_text(const RunNetdev *netdev, const QemuVersion *version,
                         const RunTarget *target)
{
    static const char *const reconnect[] = {
        [QEMU_RECONNECT_NONE] = "",
        [QEMU_RECONNECT_SECONDS] = ",reconnect=1",
        [QEMU_RECONNECT_MS] = ",reconnect-ms=100",
    };
    g_autofree char *path = opts_escape(target->path);

    return g_strdup_printf("stream,id=%s,server=off,addr.type=unix,"
                           "addr.path=%s%s", netdev->id, path,
                           reconnect[qemu_version_reconnect(version)]);
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

static void add_mac(const RunNetdev *netdev, char **arg, const char *mac)
{
    g_autoptr(JsonValue) json = NULL;

    switch (netdev->mac_place) {
    case RUN_MAC_NONE:
    case RUN_MAC_NIC:
        break;
    case RUN_MAC_DEVICE:
        replace(arg, g_strdup_printf("%s,mac=%s", *arg, mac));
        break;
    case RUN_MAC_NET_NIC:
        replace(arg, g_strdup_printf("%s,macaddr=%s", *arg, mac));
        break;
    case RUN_MAC_DEVICE_JSON:
        json = parse_json(*arg);
        if (json) {
            json_dict_set_string(json, "mac", mac);
            replace(arg, json_to_text(json));
        }
        break;
    }
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
                       stream_text(netdev, version, &targets[i]));
        if (targets[i].mac && netdev->mac_index) {
            add_mac(netdev, &argv[netdev->mac_index], targets[i].mac);
        }
    }
    return argv;
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
