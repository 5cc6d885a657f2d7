/*
 * What a restarted daemon makes again: networks that were added to stay,
 * netdevs of lifetime "export" and their exports, and the forwards that were
 * added
 *
 *   { "version": 1, "boot": ID,
 *     "netdevs":  [ { "netdev": Netdev, "export": ExportOptions,
 *                     "path": PATH, "connected": whether it had a VMM,
 *                     "vmm": PID of that or of who made it } ],
 *     "networks": [ NetworkOptions ],
 *     "forwards": [ ForwardOptions ] }
 *
 * The objects are the arguments of the commands that made these things, with
 * what the daemon had chosen filled in (name, MAC address, path), so that doing
 * these commands again gives the same.  What came as a descriptor cannot come
 * back and is not recorded; what the command line made, it makes again.
 *
 * The file is in the runtime directory, which is memory: it is replaced
 * atomically against a daemon that dies in between, not against power cuts.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "control/record.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "control/client.h"
#include "control/export.h"
#include "control/forward.h"
#include "control/netdev.h"
#include "control/network-commands.h"
#include "libvmnet/file.h"
#include "libvmnet/paths.h"
#include "limits.h"
#include "qapi/qapi-error.h"
#include "qapi/qapi-visit.h"

#define RECORD_VERSION 1

struct Record {
    Control *control;
    LoopTimer *timer;
    char *path;             /* NULL: there is no runtime directory */
    bool written;
};

static char *boot_id(void)
{
    char *text = NULL;

    if (!g_file_get_contents("/proc/sys/kernel/random/boot_id", &text, NULL,
                             NULL)) {
        return g_strdup("unknown");
    }
    return g_strstrip(text);
}

static JsonValue *encode_netdev(const ControlNetdev *netdev)
{
    JsonValue *options = qapi_encode_Netdev(netdev->options);
    JsonValue *export = qapi_encode_ExportOptions(netdev->export->options);
    JsonValue *entry = json_dict();
    char mac[MAC_STRLEN];

    json_dict_set_string(options, "vm", netdev->vm);
    json_dict_set(options, "hostfwd", forward_record_hostfwd(netdev));
    if (netdev->has_mac) {
        json_dict_set_string(options, "mac", mac_format(&netdev->mac, mac));
    }
    json_dict_set_string(export, "netdev", netdev->id);
    json_dict_set(entry, "netdev", options);
    json_dict_set(entry, "export", export);
    json_dict_set_string(entry, "path", netdev->export->path);
    json_dict_set_int(entry, "uid", netdev->uid);
    json_dict_set_bool(entry, "connected", netdev->was_connected);
    json_dict_set_int(entry, "vmm", netdev->process.pid);
    return entry;
}

static JsonValue *encode_netdevs(const GPtrArray *netdevs)
{
    JsonValue *list = json_list();
    unsigned i;

    for (i = 0; i < netdevs->len; i++) {
        const ControlNetdev *netdev = g_ptr_array_index(netdevs, i);

        if (netdev_is_recorded(netdev)) {
            json_list_append(list, encode_netdev(netdev));
        }
    }
    return list;
}

JsonValue *record_some(const GPtrArray *netdevs)
{
    JsonValue *root = json_dict();
    JsonValue *forwards = json_list();
    unsigned i;

    for (i = 0; i < netdevs->len; i++) {
        forward_record_netdev(g_ptr_array_index(netdevs, i), forwards);
    }
    json_dict_set(root, "netdevs", encode_netdevs(netdevs));
    json_dict_set(root, "forwards", forwards);
    return root;
}

static JsonValue *encode(Control *control, bool *ret_is_empty)
{
    g_autofree char *boot = boot_id();
    JsonValue *root = json_dict();
    JsonValue *netdevs = encode_netdevs(control->netdevs);
    JsonValue *networks = held_network_record(control);
    JsonValue *forwards = forward_record(control);

    *ret_is_empty = json_list_size(netdevs) == 0 &&
                    json_list_size(networks) == 0 &&
                    json_list_size(forwards) == 0;
    json_dict_set_int(root, "version", RECORD_VERSION);
    json_dict_set_string(root, "boot", boot);
    json_dict_set(root, "networks", networks);
    json_dict_set(root, "netdevs", netdevs);
    json_dict_set(root, "forwards", forwards);
    return root;
}

static void record_write(Record *record)
{
    bool is_empty;
    g_autoptr(JsonValue) root = encode(record->control, &is_empty);
    g_autofree char *text = NULL;

    if (is_empty) {
        if (record->written) {
            unlink(record->path);
            record->written = false;
        }
        return;
    }
    text = json_to_text(root);
    if (vmnet_file_replace(record->path, text, false)) {
        record->written = true;
    } else {
        g_warning("cannot write '%s': %s; netdevs will not survive a crash of "
                  "this daemon", record->path, g_strerror(errno));
    }
}

static void on_timer(void *opaque, int64_t now_ms)
{
    record_write(opaque);
}

void record_changed(Control *control)
{
    Record *record = control->record;

    if (record && record->path && !control->restoring) {
        loop_timer_arm(record->timer, loop_now_ms());
    }
}

Record *record_new(Control *control)
{
    Record *record = g_new0(Record, 1);

    record->control = control;
    if (control->runtime_dir) {
        record->path = vmnet_paths_record_file(control->runtime_dir,
                                               control->socket_path);
    }
    record->timer = loop_timer_new(control->loop, on_timer, record);
    return record;
}

void record_free(Record *record)
{
    if (!record) {
        return;
    }
    if (record->path && record->written) {
        unlink(record->path);
    }
    loop_timer_free(record->timer);
    g_free(record->path);
    g_free(record);
}

static JsonValue *read_record(const char *path)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonValue) root = NULL;
    g_autofree char *text = vmnet_file_read(path, LIMIT_RECORD_BYTES, NULL);
    g_autofree char *boot = NULL;
    int64_t version;

    if (!text) {
        if (errno != ENOENT) {
            g_warning("'%s' cannot be read and is ignored: %s", path,
                      g_strerror(errno));
        }
        return NULL;
    }
    boot = boot_id();
    root = json_parse(text, strlen(text), &error);
    if (!root) {
        g_warning("'%s' is damaged and ignored: %s", path, error->message);
        return NULL;
    }
    if (json_type(root) != JSON_DICT
        || !json_dict_get_int(root, "version", &version)
        || version != RECORD_VERSION) {
        g_warning("'%s' is of another version and ignored", path);
        return NULL;
    }
    if (g_strcmp0(json_dict_get_string(root, "boot"), boot)) {
        unlink(path);   /* none of those virtual machines lives */
        return NULL;
    }
    return g_steal_pointer(&root);
}

/*
 * One netdev and its export.  They are made by a client of their own, who goes
 * at once: ids of different owners may be the same.
 */
static bool restore_netdev(Control *control, const JsonValue *entry,
                           GError **error)
{
    g_autoptr(Client) client = client_new(control, -1, getpid(), geteuid(),
                                          NULL);
    const JsonValue *options = json_dict_get(entry, "netdev");
    const JsonValue *export_options = json_dict_get(entry, "export");
    g_autoptr(Netdev) netdev_options = NULL;
    g_autoptr(ExportOptions) export = NULL;
    ControlNetdev *netdev;
    int64_t vmm_pid = 0, uid = geteuid();

    if (!options || !export_options) {
        g_set_error_literal(error, QAPI_ERROR, QAPI_ERROR_GENERIC,
                            "an entry lacks a member");
        return false;
    }
    if (!qapi_decode_Netdev(options, QAPI_INPUT_JSON, &netdev_options, error)
        || !qapi_decode_ExportOptions(export_options, QAPI_INPUT_JSON, &export,
                                      error)) {
        return false;
    }
    netdev = netdev_new(client, netdev_options, error);
    if (!netdev) {
        return false;
    }
    json_dict_get_int(entry, "uid", &uid);
    netdev->uid = uid;
    if (!export_new(client, export, json_dict_get_string(entry, "path"),
                    error)) {
        netdev_remove(netdev);
        return false;
    }
    json_dict_get_bool(entry, "connected", &netdev->was_connected);
    json_dict_get_int(entry, "vmm", &vmm_pid);
    if (vmm_pid > 0 && vmm_pid <= G_MAXINT) {
        peer_process_find(&netdev->process, vmm_pid);
    }
    netdev->is_restored = true;
    if (netdev->was_connected && peer_process_has_gone(&netdev->process)) {
        netdev_disconnected(netdev);
    }
    return true;
}

static bool restore_forward(Control *control, const JsonValue *entry,
                            GError **error)
{
    g_autoptr(ForwardOptions) options = NULL;
    g_autoptr(ForwardInfo) info = NULL;

    if (!qapi_decode_ForwardOptions(entry, QAPI_INPUT_JSON, &options, error)) {
        return false;
    }
    info = forward_add(control->self, options, error);
    return info != NULL;
}

static bool restore_network(Control *control, const JsonValue *entry,
                            GError **error)
{
    g_autoptr(NetworkOptions) options = NULL;

    return qapi_decode_NetworkOptions(entry, QAPI_INPUT_JSON, &options, error)
           && held_network_add(control->self, options, error);
}

static unsigned restore_list(Control *control, const JsonValue *root,
                             const char *key,
                             bool (*restore)(Control *, const JsonValue *,
                                             GError **))
{
    const JsonValue *list = json_dict_get(root, key);
    unsigned n = 0;
    size_t i;

    if (!list || json_type(list) != JSON_LIST) {
        return 0;
    }
    for (i = 0; i < json_list_size(list); i++) {
        const JsonValue *entry = json_list_get(list, i);
        g_autoptr(GError) error = NULL;

        if (json_type(entry) != JSON_DICT) {
            continue;
        }
        if (restore(control, entry, &error)) {
            n++;
        } else {
            g_warning("not made again (%s): %s", key, error->message);
        }
    }
    return n;
}

unsigned record_make_again(Control *control, const JsonValue *record)
{
    unsigned n;

    control->restoring = true;
    restore_list(control, record, "networks", restore_network);
    n = restore_list(control, record, "netdevs", restore_netdev);
    restore_list(control, record, "forwards", restore_forward);
    control->restoring = false;
    record_changed(control);
    return n;
}

void record_restore(Control *control)
{
    Record *record = control->record;
    g_autoptr(JsonValue) root = NULL;

    if (!record->path) {
        return;
    }
    root = read_record(record->path);
    if (!root) {
        return;
    }
    record->written = true;
    g_message("made %u netdevs of a daemon that died again",
              record_make_again(control, root));
}
