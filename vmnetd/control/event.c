/*
 * Events to every client that has negotiated
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "control/event.h"

#include "control/client.h"
#include "control/forward-event.h"
#include "control/forward.h"
#include "control/netdev.h"
#include "control/query.h"

#define GUEST_EVENTS_BURST 256
#define GUEST_EVENTS_PER_S 16

bool event_guest_allowed(void)
{
    static int64_t filled_ms;
    static int64_t tokens = GUEST_EVENTS_BURST;
    int64_t now_ms = loop_now_ms();
    int64_t fresh = (now_ms - filled_ms) * GUEST_EVENTS_PER_S / 1000;

    if (fresh > 0) {
        tokens = MIN(tokens + fresh, GUEST_EVENTS_BURST);
        filled_ms = now_ms;
    }
    if (tokens <= 0) {
        return false;
    }
    tokens--;
    return true;
}

/* (transfer full); @data too */
static char *event_line(QapiEvent event, JsonValue *data)
{
    g_autoptr(JsonValue) message = json_dict();
    JsonValue *timestamp = json_dict();
    int64_t now_us = g_get_real_time();

    json_dict_set_int(timestamp, "seconds", now_us / G_USEC_PER_SEC);
    json_dict_set_int(timestamp, "microseconds", now_us % G_USEC_PER_SEC);
    json_dict_set(message, "timestamp", timestamp);
    json_dict_set_string(message, "event", QapiEvent_str(event));
    if (data) {
        json_dict_set(message, "data", data);
    }
    return json_to_text(message);
}

void event_send(Control *control, QapiEvent event, JsonValue *data)
{
    g_autofree char *line = event_line(event, data);
    unsigned i;

    for (i = 0; i < control->clients->len; i++) {
        Client *client = g_ptr_array_index(control->clients, i);

        qmp_session_send_event(client->qmp, line);
    }
}

void event_send_losses(Client *client, uint64_t n_lost)
{
    g_autofree char *line =
        event_line(QAPI_EVENT_EVENTS_LOST,
                   qapi_event_encode_EVENTS_LOST(n_lost));

    qmp_session_send_event(client->qmp, line);
}

static void on_started(void *opaque, Network *network)
{
    NetworkInfo info;

    network_info(network, &info);
    g_message("network %s started", info.name);
    event_send(opaque, QAPI_EVENT_NETWORK_STARTED,
               qapi_event_encode_NETWORK_STARTED(
                   info.name, query_mode(info.mode)));
    forward_event_kept(opaque, network, QAPI_EVENT_FORWARD_ADDED);
}

static void on_stopped(void *opaque, Network *network)
{
    Control *control = opaque;
    NetworkInfo info;

    network_info(network, &info);
    g_message("network %s stopped", info.name);
    forward_network_gone(control, network);
    forward_event_kept(control, network, QAPI_EVENT_FORWARD_REMOVED);
    event_send(control, QAPI_EVENT_NETWORK_STOPPED,
               qapi_event_encode_NETWORK_STOPPED(info.name));
    control_touch(control);
}

static void lease_conflict(Control *control, Network *network, const GatewayEvent *event)
{
    char address[IP_STRLEN], mac[MAC_STRLEN];
    ControlNetdev *netdev = netdev_by_port(control, network, event->lease->port);
    NetworkInfo info;

    network_info(network, &info);
    ip_addr_format(&event->lease->addr, address);
    mac_format(&event->lease->mac, mac);
    event_send(control, QAPI_EVENT_LEASE_CONFLICT,
               qapi_event_encode_LEASE_CONFLICT(
                   info.name, event->detail ? event->detail : "lease", address,
                   mac, netdev ? netdev->full_id : NULL, NULL));
}

static void on_lease_event(void *opaque, Network *network, const GatewayEvent *event)
{
    Control *control = opaque;
    g_autoptr(LeaseInfo) lease = NULL;

    if (!event_guest_allowed()) {
        return;
    }
    if (event->type == GATEWAY_LEASE_CONFLICT) {
        lease_conflict(control, network, event);
        return;
    }
    lease = query_lease(control, network, event->lease);
    if (event->type == GATEWAY_LEASE_ADDED) {
        event_send(control, QAPI_EVENT_LEASE_ADDED,
                   qapi_event_encode_LEASE_ADDED(lease));
    } else {
        event_send(control, QAPI_EVENT_LEASE_REMOVED,
                   qapi_event_encode_LEASE_REMOVED(lease));
    }
}

static void on_route_overlap(void *opaque, Network *network, const IpPrefix *route,
                             const char *ifname)
{
    g_autofree char *text = query_prefix(route);
    NetworkInfo info;

    network_info(network, &info);
    g_warning("network %s: the host now routes %s by %s", info.name, text,
              ifname ? ifname : "another way");
    event_send(opaque, QAPI_EVENT_HOST_ROUTE_OVERLAP,
               qapi_event_encode_HOST_ROUTE_OVERLAP(info.name, text, ifname));
}

static void on_mac_conflict(void *opaque, Network *network, const MacAddr *mac,
                            uint32_t old_port, uint32_t new_port)
{
    Control *control = opaque;
    ControlNetdev *older = netdev_by_port(control, network, old_port);
    ControlNetdev *newer = netdev_by_port(control, network, new_port);
    char text[MAC_STRLEN];
    NetworkInfo info;

    if (!event_guest_allowed()) {
        return;
    }
    network_info(network, &info);
    mac_format(mac, text);
    g_warning("network %s: %s and %s both use MAC address %s", info.name,
              older ? older->full_id : "a netdev that went",
              newer ? newer->full_id : "a netdev that went", text);
    event_send(control, QAPI_EVENT_LEASE_CONFLICT,
               qapi_event_encode_LEASE_CONFLICT(
                   info.name, "MAC address", NULL, text,
                   newer ? newer->full_id : NULL,
                   older ? older->full_id : NULL));
}

const NetworkOps event_network_ops = {
    .started = on_started,
    .stopped = on_stopped,
    .lease_event = on_lease_event,
    .forward_moved = forward_event_moved,
    .route_overlap = on_route_overlap,
    .mac_conflict = on_mac_conflict,
};
