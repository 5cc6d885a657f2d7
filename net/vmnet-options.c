/*
 * What QEMU was told of a vmnet netdev, in the form that vmnetd takes
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/qapi-visit-net.h"
#include "qapi/qobject-output-visitor.h"
#include "qemu/config-file.h"
#include "qemu/option.h"
#include "qemu/uuid.h"
#include "vmnet-int.h"
#if QEMU_VERSION_MAJOR >= 10
#include "qobject/qdict.h"
#include "qobject/qjson.h"
#include "system/system.h"
#else
#include "qapi/qmp/qdict.h"
#include "qapi/qmp/qjson.h"
#include "sysemu/sysemu.h"
#endif

/* What vmnetd takes as the name of a machine. */
#define VM_NAME_BYTES 127

/* The name of this machine, in a form that vmnetd takes. */
static char *vmnet_vm_name(void)
{
    const char *name = qemu_get_vm_name();
    g_autofree char *vm = NULL;
    char *p;

    if (!name || !*name) {
        return qemu_uuid_set ? qemu_uuid_unparse_strdup(&qemu_uuid) : NULL;
    }
    vm = g_utf8_make_valid(name, -1);
    for (p = vm; *p; p++) {
        if (*p == '/' || g_ascii_iscntrl(*p)) {
            *p = '_';
        }
    }
    return g_strndup(vm, strlen(vm) <= VM_NAME_BYTES ? strlen(vm)
                     : g_utf8_find_prev_char(vm, vm + VM_NAME_BYTES + 1) - vm);
}

char *vmnet_options_to_json(const Netdev *netdev, const char *name)
{
    g_autofree char *vm = vmnet_vm_name();
    QObject *object = NULL;
    Visitor *v = qobject_output_visitor_new(&object);
    QDict *dict;
    GString *json;

    visit_type_Netdev(v, NULL, (Netdev **)&netdev, &error_abort);
    visit_complete(v, &object);
    visit_free(v);
    dict = qobject_to(QDict, object);
    qdict_del(dict, "vhost");       /* which is between QEMU and us */
    /* Names that QEMU makes up begin with a sign. */
    while (name && *name && !g_ascii_isalpha(*name)) {
        name++;
    }
    qdict_put_str(dict, "id", name && *name ? name : "net");
    if (vm) {
        qdict_put_str(dict, "vm", vm);
    }
    json = qobject_to_json(QOBJECT(dict));
    qobject_unref(dict);
    return g_string_free(json, false);
}

VmnetVhost vmnet_options_vhost(const Netdev *netdev)
{
    switch (netdev->type) {
    case NET_CLIENT_DRIVER_VMNET_HOST:
        return netdev->u.vmnet_host.has_vhost ? netdev->u.vmnet_host.vhost
                                              : VMNET_VHOST_OFF;
    case NET_CLIENT_DRIVER_VMNET_SHARED:
        return netdev->u.vmnet_shared.has_vhost ? netdev->u.vmnet_shared.vhost
                                                : VMNET_VHOST_OFF;
    case NET_CLIENT_DRIVER_VMNET_BRIDGED:
        return netdev->u.vmnet_bridged.has_vhost ? netdev->u.vmnet_bridged.vhost
                                                 : VMNET_VHOST_OFF;
    default:
        g_assert_not_reached();
    }
}

bool vmnet_may_start_daemon(void)
{
    QemuOptsList *list = qemu_find_opts_err("sandbox", NULL);
    QemuOpts *opts = list ? qemu_opts_find(list, NULL) : NULL;

    return !opts || !qemu_opt_get_bool(opts, "enable", false)
           || g_strcmp0(qemu_opt_get(opts, "spawn"), "deny");
}
