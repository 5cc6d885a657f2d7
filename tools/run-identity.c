/*
 * What tells one machine from another: name, UUID, first disk
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "run-args-private.h"

#include <stdlib.h>
#include <string.h>

#include "opts.h"

/* Longest name of a machine, as vmnetd takes it. */
#define VM_NAME_BYTES 127

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
        set_disk(args, opts_get(opts, "file") ?:
                       opts_get(opts, "file.filename"));
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
    g_autoptr(JsonValue) json = run_args_parse_json(value);
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

void run_identity_scan(RunArgs *args, const char *option, const char *value)
{
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(identity_options); i++) {
        if (strcmp(option, identity_options[i].option) == 0) {
            identity_options[i].scan(args, value);
        }
    }
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

void run_identity_apply(RunArgs *args)
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
