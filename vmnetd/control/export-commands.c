/*
 * Exports by command: made, found, removed
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "control/export-private.h"

#include <string.h>

#include "control/client.h"
#include "control/netdev.h"
#include "control/record.h"
#include "limits.h"
#include "qapi/qapi-commands.h"
#include "qapi/qapi-error.h"
#include "qapi/qapi-visit.h"

static ControlExport *find_owned(Client *client, const char *id)
{
    Control *control = client->control;
    unsigned i;

    for (i = 0; i < control->netdevs->len; i++) {
        ControlNetdev *netdev = g_ptr_array_index(control->netdevs, i);

        if (netdev->export && netdev->export->owner == client
            && !strcmp(netdev->export->id, id)) {
            return netdev->export;
        }
    }
    return NULL;
}

ControlExport *export_find(Client *client, const char *id, GError **error)
{
    ControlExport *export = find_owned(client, id);
    Control *control = client->control;
    unsigned i;

    for (i = 0; !export && i < control->netdevs->len; i++) {
        ControlNetdev *netdev = g_ptr_array_index(control->netdevs, i);
        g_autofree char *full_id = netdev->export
                                   ? export_full_id(netdev->export) : NULL;

        if (full_id && !strcmp(full_id, id)) {
            export = netdev->export;
        }
    }
    if (!export) {
        g_set_error(error, QAPI_ERROR, QAPI_ERROR_GENERIC,
                    "Export '%s' is not found", id);
    }
    return export;
}

static bool check_options(Client *client, const ExportOptions *options,
                          ControlNetdev **ret_netdev, GError **error)
{
    ControlNetdev *netdev;

    if (!id_is_wellformed(options->id)) {
        g_set_error_literal(error, QAPI_ERROR, QAPI_ERROR_GENERIC,
                            "Parameter 'id' expects an identifier");
        return false;
    }
    if (!export_check_offloads(options, error)
        || !export_check_tap(options, error)) {
        return false;
    }
    if (options->has_queues
        && (options->queues < 1 || options->queues > LIMIT_QUEUE_PAIRS
            || options->type != EXPORT_TYPE_VHOST_USER)) {
        g_set_error(error, QAPI_ERROR, QAPI_ERROR_GENERIC,
                    "export '%s': queues=%u: only a vhost-user export has "
                    "pairs of queues, 1 to %d", options->id, options->queues,
                    LIMIT_QUEUE_PAIRS);
        return false;
    }
    if (find_owned(client, options->id)) {
        g_set_error(error, QAPI_ERROR, QAPI_ERROR_GENERIC, "Duplicate ID '%s'",
                    options->id);
        return false;
    }
    netdev = netdev_find(client, options->netdev, error);
    if (!netdev) {
        return false;
    }
    if (netdev->export) {
        g_set_error(error, QAPI_ERROR, QAPI_ERROR_GENERIC,
                    "netdev '%s' has an export already: '%s'", options->netdev,
                    netdev->export->id);
        return false;
    }
    *ret_netdev = netdev;
    return true;
}

static ExportOptions *copy_options(const ExportOptions *options)
{
    g_autoptr(JsonValue) value = qapi_encode_ExportOptions(options);
    ExportOptions *copy = NULL;

    if (!qapi_decode_ExportOptions(value, QAPI_INPUT_JSON, &copy, NULL)) {
        g_assert_not_reached(); /* what was encoded decodes */
    }
    return copy;
}

ControlExport *export_new(Client *client, const ExportOptions *options,
                          const char *path, GError **error)
{
    g_autoptr(ControlExport) export = NULL;
    ControlNetdev *netdev;

    if (!check_options(client, options, &netdev, error)) {
        return NULL;
    }
    export = g_new0(ControlExport, 1);
    export->control = client->control;
    export->netdev = netdev;
    export->owner = client;
    export->id = g_strdup(options->id);
    export->driver = export_driver(options->type);
    export->options = copy_options(options);
    export->listen_fd = -1;
    export->waiting_fd = -1;
    export->timer = loop_timer_new(export->control->loop, export_on_timer,
                                   export);
    netdev->export = export;
    port_set_queue_pairs(netdev->port, options->has_queues
                                       ? options->queues : LIMIT_QUEUE_PAIRS);
    if (!export_open(export, client, path, error)) {
        netdev->export = NULL;
        return NULL;
    }
    export_watch(export);
    record_changed(export->control);
    return g_steal_pointer(&export);
}

ExportInfo *qmp_export_add(void *session, ExportOptions *arg, GError **error)
{
    ControlExport *export = export_new(session, arg, NULL, error);

    return export ? export_info(export, session) : NULL;
}

bool qmp_export_del(void *session, const char *id, GError **error)
{
    ControlExport *export = export_find(session, id, error);

    if (!export) {
        return false;
    }
    export->netdev->export = NULL;
    export_free(export);
    record_changed(((Client *)session)->control);
    return true;
}

ExportInfoList *qmp_query_exports(void *session, GError **error)
{
    Client *client = session;
    ExportInfoList *list = NULL;
    unsigned i;

    for (i = client->control->netdevs->len; i-- > 0;) {
        ControlNetdev *netdev = g_ptr_array_index(client->control->netdevs, i);

        if (netdev->export) {
            QAPI_LIST_PREPEND(list, export_info(netdev->export, client));
        }
    }
    return list;
}
