/*
 * What the VMM of an export takes: frames to be cut, checksums to be completed
 *
 * The switch does the rest; see switch/offload.h.  What export-set-offloads says
 * stays with the export when its VMM goes and comes back.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "control/export-private.h"

#include "control/client.h"
#include "control/netdev.h"
#include "control/record.h"
#include "qapi/qapi-commands.h"
#include "qapi/qapi-error.h"

static const SwitchOffloads switch_offloads[EXPORT_OFFLOAD__MAX] = {
    [EXPORT_OFFLOAD_CSUM] = SWITCH_OFFLOAD_CSUM,
    [EXPORT_OFFLOAD_TSO4] = SWITCH_OFFLOAD_TSO4,
    [EXPORT_OFFLOAD_TSO6] = SWITCH_OFFLOAD_TSO6,
    [EXPORT_OFFLOAD_ECN] = SWITCH_OFFLOAD_ECN,
    [EXPORT_OFFLOAD_USO] = SWITCH_OFFLOAD_USO,
};

static unsigned bits_of(const ExportOffloadList *list)
{
    unsigned bits = 0;

    for (; list; list = list->next) {
        bits |= switch_offloads[list->value];
    }
    return bits;
}

/* In the order of the schema, each once. */
static ExportOffloadList *list_of(unsigned bits)
{
    ExportOffloadList *list = NULL;
    ExportOffload i;

    for (i = EXPORT_OFFLOAD__MAX; i-- > 0;) {
        if (bits & switch_offloads[i]) {
            QAPI_LIST_PREPEND(list, i);
        }
    }
    return list;
}

static bool check_csum(const char *id, const ExportOffloadList *list,
                       GError **error)
{
    unsigned bits = bits_of(list);

    if (bits && !(bits & SWITCH_OFFLOAD_CSUM)) {
        g_set_error(error, QAPI_ERROR, QAPI_ERROR_GENERIC,
                    "export '%s': offloads need 'csum' among them", id);
        return false;
    }
    return true;
}

PortKind export_kind(const ControlExport *export)
{
    return export->options->vnet_hdr ? PORT_KIND_DGRAM_VNET
                                     : export->driver->kind;
}

bool export_check_offloads(const ExportOptions *options, GError **error)
{
    if (options->vnet_hdr && options->type != EXPORT_TYPE_DGRAM) {
        g_set_error(error, QAPI_ERROR, QAPI_ERROR_GENERIC,
                    "export '%s': vnet-hdr=on is for type=dgram", options->id);
        return false;
    }
    if (options->offloads && !options->vnet_hdr) {
        g_set_error(error, QAPI_ERROR, QAPI_ERROR_GENERIC,
                    "export '%s': offloads need vnet-hdr=on", options->id);
        return false;
    }
    return check_csum(options->id, options->offloads, error);
}

void export_apply_offloads(ControlExport *export)
{
    if (export->options->vnet_hdr) {
        port_set_offloads(export->netdev->port,
                          bits_of(export->options->offloads));
    }
}

ExportOffloadList *export_offloads(const ControlExport *export)
{
    return list_of(bits_of(export->options->offloads));
}

bool qmp_export_set_offloads(void *session, const char *id,
                             ExportOffloadList *offloads, GError **error)
{
    ControlExport *export = export_find(session, id, error);

    if (!export || !check_csum(id, offloads, error)) {
        return false;
    }
    if (!export->options->vnet_hdr) {
        g_set_error(error, QAPI_ERROR, QAPI_ERROR_GENERIC,
                    "export '%s': its frames carry no virtio_net_hdr", id);
        return false;
    }
    qapi_free_ExportOffloadList(export->options->offloads);
    export->options->offloads = list_of(bits_of(offloads));
    if (export->connected) {
        export_apply_offloads(export);
    }
    record_changed(export->control);
    return true;
}
