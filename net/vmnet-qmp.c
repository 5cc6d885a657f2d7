/*
 * What vmnetd tells of the vmnet netdevs, and the commands that show and
 * change it
 *
 * Nothing is asked while a command waits, but by those that change something:
 * answers and events fill in VmnetKnown, and query-vmnet copies it.  Forwards
 * are asked for once: events tell each change from then on, whoever made it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/clone-visitor.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-vmnet-control.h"
#include "qapi/qapi-events-vmnet-control.h"
#include "qapi/qapi-visit-vmnet.h"
#include "qapi/qobject-input-visitor.h"
#include "qapi/qobject-output-visitor.h"
#include "vmnet-int.h"
#if QEMU_VERSION_MAJOR >= 10
#include "qobject/qdict.h"
#include "qobject/qjson.h"
#include "qobject/qlist.h"
#else
#include "qapi/qmp/qdict.h"
#include "qapi/qmp/qjson.h"
#include "qapi/qmp/qlist.h"
#endif

/* Until 8.0 a flag said whether an optional string is there. */
#if QEMU_VERSION_MAJOR < 8
#define SET_STRING(info, member, text) \
    ((info)->has_##member = !!((info)->member = g_strdup(text)))
#else
#define SET_STRING(info, member, text) ((info)->member = g_strdup(text))
#endif

/* (transfer full): the list of objects that vmnetd answered with, or NULL */
static QList *parse_list(const char *json)
{
    QObject *object = json ? qobject_from_json(json, NULL) : NULL;
    QList *list = qobject_to(QList, object);

    if (!list) {
        qobject_unref(object);
    }
    return list;
}

/* A netdev of this machine has its own name here, not VM/ID. */
static bool is_of(const VmnetNetdev *netdev, const QDict *dict)
{
    return netdev->known.name
           && !g_strcmp0(qdict_get_try_str(dict, "netdev"), netdev->known.name);
}

static LeaseInfo *read_lease(VmnetNetdev *netdev, QDict *dict)
{
    LeaseInfo *lease = NULL;
    Visitor *v;

    qdict_put_str(dict, "netdev", netdev->nc->name);
    v = qobject_input_visitor_new(QOBJECT(dict));
    visit_type_LeaseInfo(v, NULL, &lease, NULL);
    visit_free(v);
    return lease;
}

static ForwardInfo *read_forward(VmnetNetdev *netdev, QDict *dict, Error **errp)
{
    ForwardInfo *forward = NULL;
    Visitor *v;

    if (is_of(netdev, dict)) {
        qdict_put_str(dict, "netdev", netdev->nc->name);
    }
    v = qobject_input_visitor_new(QOBJECT(dict));
    visit_type_ForwardInfo(v, NULL, &forward, errp);
    visit_free(v);
    return forward;
}

static void leases_answered(VmnetClient *client, const char *result,
                            const GError *error, gpointer opaque)
{
    VmnetNetdev *netdev = opaque;
    VmnetKnown *known = &netdev->known;
    QList *list = parse_list(result);
    LeaseInfoList *leases = NULL, **tail = &leases;
    QListEntry *entry;

    if (!list || !netdev->nc) {
        qobject_unref(list);
        return;
    }
    g_clear_pointer(&known->address, g_free);
    QLIST_FOREACH_ENTRY(list, entry) {
        QDict *dict = qobject_to(QDict, qlist_entry_obj(entry));
        LeaseInfo *lease = dict && is_of(netdev, dict)
                           ? read_lease(netdev, dict) : NULL;

        if (lease) {
            QAPI_LIST_APPEND(tail, lease);
            if (!known->address && !strcmp(lease->state, "bound")) {
                known->address = g_strdup(lease->address);
            }
        }
    }
    qobject_unref(list);
    qapi_free_LeaseInfoList(known->leases);
    known->leases = leases;
    vmnet_netdev_update_info(netdev);
}

static void forwards_answered(VmnetClient *client, const char *result,
                              const GError *error, gpointer opaque)
{
    VmnetNetdev *netdev = opaque;
    QList *list = parse_list(result);
    ForwardInfoList *forwards = NULL, **tail = &forwards;
    QListEntry *entry;

    if (!list || !netdev->nc) {
        qobject_unref(list);
        return;
    }
    QLIST_FOREACH_ENTRY(list, entry) {
        QDict *dict = qobject_to(QDict, qlist_entry_obj(entry));
        ForwardInfo *forward = NULL;

        if (dict && !g_strcmp0(qdict_get_try_str(dict, "network"),
                               netdev->known.network)) {
            forward = read_forward(netdev, dict, NULL);
        }
        if (forward) {
            QAPI_LIST_APPEND(tail, forward);
        }
    }
    qobject_unref(list);
    qapi_free_ForwardInfoList(netdev->known.forwards);
    netdev->known.forwards = forwards;
}

static bool is_same_listener(const ForwardInfo *a, const ForwardInfo *b)
{
    return a->protocol == b->protocol && a->host_port == b->host_port
           && !g_strcmp0(a->host_address, b->host_address);
}

/* @forward, which is consumed, takes the place of what listened there. */
static void update_forwards(VmnetNetdev *netdev, ForwardInfo *forward,
                            bool added)
{
    ForwardInfoList **link = &netdev->known.forwards;

    while (*link) {
        ForwardInfoList *item = *link;

        if (is_same_listener(item->value, forward)) {
            *link = item->next;
            item->next = NULL;
            qapi_free_ForwardInfoList(item);
        } else {
            link = &item->next;
        }
    }
    if (added) {
        QAPI_LIST_APPEND(link, forward);
    } else {
        qapi_free_ForwardInfo(forward);
    }
}

static void learn(VmnetNetdev *netdev, const QDict *dict)
{
    VmnetKnown *known = &netdev->known;

    vmnet_known_clear(netdev);
    known->name = g_strdup_printf("%s/%s", qdict_get_try_str(dict, "vm"),
                                  qdict_get_try_str(dict, "id"));
    known->network = g_strdup(qdict_get_try_str(dict, "network"));
    known->subnet = g_strdup(qdict_get_try_str(dict, "subnet"));
    known->gateway = g_strdup(qdict_get_try_str(dict, "gateway"));
    known->ipv6_prefix = g_strdup(qdict_get_try_str(dict, "ipv6-prefix"));
    known->mac = g_strdup(qdict_get_try_str(dict, "mac"));
    known->mtu_bytes = qdict_get_try_int(dict, "mtu", 0);
}

/* Names of other clients' netdevs have a machine's before them. */
static void netdevs_answered(VmnetClient *client, const char *result,
                             const GError *error, gpointer opaque)
{
    VmnetNetdev *netdev = opaque;
    QList *list = parse_list(result);
    QListEntry *entry;

    if (!list) {
        return;
    }
    QLIST_FOREACH_ENTRY(list, entry) {
        QDict *dict = qobject_to(QDict, qlist_entry_obj(entry));
        const char *id = dict ? qdict_get_try_str(dict, "id") : NULL;

        if (id && !strchr(id, '/') && qdict_get_try_str(dict, "vm")) {
            learn(netdev, dict);
            vmnet_core_query(netdev->core, "query-leases", NULL,
                             leases_answered);
            vmnet_core_query(netdev->core, "query-forwards", NULL,
                             forwards_answered);
            break;
        }
    }
    qobject_unref(list);
}

void vmnet_known_refresh(VmnetNetdev *netdev)
{
    vmnet_core_query(netdev->core, "query-netdevs", NULL, netdevs_answered);
}

void vmnet_known_clear(VmnetNetdev *netdev)
{
    VmnetKnown *known = &netdev->known;

    g_free(known->name);
    g_free(known->network);
    g_free(known->subnet);
    g_free(known->gateway);
    g_free(known->ipv6_prefix);
    g_free(known->mac);
    g_free(known->address);
    qapi_free_LeaseInfoList(known->leases);
    qapi_free_ForwardInfoList(known->forwards);
    *known = (VmnetKnown){ 0 };
}

static void lease_event(VmnetNetdev *netdev, QDict *dict, bool added)
{
    g_autoptr(LeaseInfo) lease = NULL;

    if (!is_of(netdev, dict)) {
        return;
    }
    lease = read_lease(netdev, dict);
    if (lease && added) {
        qapi_event_send_vmnet_lease_added(lease);
    } else if (lease) {
        qapi_event_send_vmnet_lease_removed(lease);
    }
    vmnet_core_query(netdev->core, "query-leases", NULL, leases_answered);
}

static void forward_event(VmnetNetdev *netdev, QDict *dict, bool added)
{
    ForwardInfo *forward = NULL;

    if (!g_strcmp0(qdict_get_try_str(dict, "network"),
                   netdev->known.network)) {
        forward = read_forward(netdev, dict, NULL);
    }
    if (forward) {
        update_forwards(netdev, forward, added);
    }
}

/* We did not read: this process was stopped for long. */
static void events_lost(VmnetNetdev *netdev, QDict *dict, bool unused)
{
    vmnet_known_refresh(netdev);
}

static const struct {
    const char *name;
    void (*take)(VmnetNetdev *netdev, QDict *dict, bool added);
    bool added;
} known_events[] = {
    { "LEASE_ADDED", lease_event, true },
    { "LEASE_REMOVED", lease_event, false },
    { "FORWARD_ADDED", forward_event, true },
    { "FORWARD_REMOVED", forward_event, false },
    { "EVENTS_LOST", events_lost, true },
};

void vmnet_known_event(VmnetNetdev *netdev, const char *name, const char *data)
{
    QObject *object;
    QDict *dict;
    size_t i;

    for (i = 0; i < ARRAY_SIZE(known_events); i++) {
        if (!strcmp(name, known_events[i].name) && netdev->nc) {
            object = qobject_from_json(data, NULL);
            dict = qobject_to(QDict, object);
            if (dict) {
                known_events[i].take(netdev, dict, known_events[i].added);
            }
            qobject_unref(object);
        }
    }
}

static VmnetState state_of(const VmnetNetdev *netdev)
{
    switch (vmnet_core_get_state(netdev->core)) {
    case VMNET_CORE_STOPPED:
    case VMNET_CORE_CONNECTING:
        return VMNET_STATE_CONNECTING;
    case VMNET_CORE_RUNNING:
        return VMNET_STATE_UP;
    case VMNET_CORE_WAITING:
        return VMNET_STATE_WAITING;
    }
    g_assert_not_reached();
}

static VmnetInfo *describe(VmnetNetdev *netdev)
{
    const VmnetKnown *known = &netdev->known;
    VmnetInfo *info = g_new0(VmnetInfo, 1);
    VmnetCoreCounters counters;

    vmnet_core_get_counters(netdev->core, &counters);
    info->id = g_strdup(netdev->nc->name);
    info->type = netdev->type;
    info->vhost = netdev->vhost;
    info->state = state_of(netdev);
    SET_STRING(info, error, vmnet_core_get_error(netdev->core));
    SET_STRING(info, network, known->network);
    SET_STRING(info, subnet, known->subnet);
    SET_STRING(info, gateway, known->gateway);
    SET_STRING(info, ipv6_prefix, known->ipv6_prefix);
    SET_STRING(info, mac, known->mac);
    info->has_mtu = known->mtu_bytes;
    info->mtu = known->mtu_bytes;
    info->leases = QAPI_CLONE(LeaseInfoList, known->leases);
    info->forwards = QAPI_CLONE(ForwardInfoList, known->forwards);
    info->has_rx_frames = info->has_rx_bytes = !netdev->vhost;
    info->has_tx_frames = info->has_tx_bytes = !netdev->vhost;
    info->has_tx_dropped = !netdev->vhost;
    info->rx_frames = counters.rx_frames;
    info->rx_bytes = counters.rx_bytes;
    info->tx_frames = counters.tx_frames;
    info->tx_bytes = counters.tx_bytes;
    info->tx_dropped = counters.tx_dropped;
    info->reconnects = counters.reconnects;
    return info;
}

VmnetInfoList *qmp_query_vmnet(Error **errp)
{
    VmnetInfoList *list = NULL;
    VmnetNetdev *netdev = NULL;

    while ((netdev = vmnet_netdev_next(netdev))) {
        QAPI_LIST_PREPEND(list, describe(netdev));
    }
    return list;
}

/* The netdev called @name, or the only one. */
static VmnetNetdev *find_netdev(const char *name, Error **errp)
{
    VmnetNetdev *netdev = NULL, *found = NULL;

    while ((netdev = vmnet_netdev_next(netdev))) {
        if (!name && found) {
            error_setg(errp, "there are several vmnet netdevs: 'netdev' has to "
                       "name one");
            return NULL;
        }
        if (!name || !strcmp(netdev->nc->name, name)) {
            found = netdev;
        }
    }
    if (!found) {
        error_set(errp, ERROR_CLASS_DEVICE_NOT_FOUND,
                  name ? "Device '%s' not found" : "there is no vmnet netdev",
                  name);
    }
    return found;
}

/* Ask vmnetd, with @dict's members as arguments; @dict is consumed. */
static char *command(VmnetNetdev *netdev, const char *name, QDict *dict,
                     Error **errp)
{
    g_autoptr(GString) json = qobject_to_json(QOBJECT(dict));
    g_autoptr(GError) error = NULL;
    char *result = vmnet_core_command(netdev->core, name, json->str, &error);

    qobject_unref(dict);
    if (!result) {
        error_setg(errp, "%s", error->message);
    }
    return result;
}

ForwardInfo *qmp_vmnet_forward_add(ForwardOptions *arg, Error **errp)
{
    VmnetNetdev *netdev = find_netdev(arg->netdev, errp);
    g_autofree char *result = NULL;
    ForwardInfo *forward = NULL;
    QObject *object = NULL;
    Visitor *v;

    if (!netdev) {
        return NULL;
    }
    v = qobject_output_visitor_new(&object);
    visit_type_ForwardOptions(v, NULL, &arg, &error_abort);
    visit_complete(v, &object);
    visit_free(v);
    if (!arg->netdev && !arg->guest_address && !arg->guest) {
        qdict_put_str(qobject_to(QDict, object), "netdev", netdev->nc->name);
    }
    result = command(netdev, "forward-add", qobject_to(QDict, object), errp);
    object = result ? qobject_from_json(result, NULL) : NULL;
    if (qobject_to(QDict, object)) {
        forward = read_forward(netdev, qobject_to(QDict, object), errp);
    } else if (result) {
        error_setg(errp, "vmnetd has answered with something else");
    }
    qobject_unref(object);
    return forward;
}

void qmp_vmnet_forward_remove(ForwardListener *arg, Error **errp)
{
    VmnetNetdev *netdev = vmnet_netdev_next(NULL);
    QObject *object = NULL;
    Visitor *v;

    if (!netdev) {
        find_netdev(NULL, errp);
        return;
    }
    v = qobject_output_visitor_new(&object);
    visit_type_ForwardListener(v, NULL, &arg, &error_abort);
    visit_complete(v, &object);
    visit_free(v);
    g_free(command(netdev, "forward-remove", qobject_to(QDict, object), errp));
}
