/*
 * Forwards: who made them, and how long they live
 *
 * A forward is in its netdev's list if its lifetime is the netdev's, else in
 * the control's.  Those that are kept on disk belong to the network, which
 * makes them when it starts; here they are only listed and removed.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "control/forward.h"

#include "control/client.h"
#include "control/forward-event.h"
#include "control/netdev.h"
#include "control/network-commands.h"
#include "control/record.h"
#include "qapi/qapi-visit.h"

/* As QEMU does, a rule without an address of the host is open to all. */
static void say_once_open(const IpEndpoint *host)
{
    static bool said;

    if (!said && host->addr.family == AF_UNSPEC) {
        said = true;
        g_message("a forward without a host address listens on all addresses "
                  "of this host (port %u); 127.0.0.1 before the port keeps it "
                  "to this host", host->port);
    }
}

ControlForward *forward_make(Control *control, Network *network,
                             const NetworkForwardConfig *config,
                             GError **error)
{
    NetworkForward *forward = network_forward_new(network, config, error);
    ControlForward *made;

    if (!forward) {
        return NULL;
    }
    say_once_open(&config->host);
    made = g_new0(ControlForward, 1);
    made->control = control;
    made->network = network;
    made->forward = forward;
    return made;
}

bool forward_new_hostfwd(ControlNetdev *netdev, const HostfwdRule *rule,
                         GError **error)
{
    NetworkForwardConfig config = {
        .proto = rule->proto,
        .host = rule->host,
        .guest = rule->guest,
        .port = netdev_port_id(netdev),
    };
    ControlForward *forward = forward_make(netdev->control, netdev->network,
                                           &config, error);

    if (!forward) {
        g_prefix_error(error, "netdev '%s': ", netdev->id);
        return false;
    }
    forward->lifetime = FORWARD_LIFETIME_NETDEV;
    forward->netdev = netdev;
    forward->of_options = true;
    forward->rule = *rule;
    g_ptr_array_add(netdev->forwards, forward);
    return true;
}

void forward_free(void *opaque)
{
    ControlForward *forward = opaque;

    if (!forward) {
        return;
    }
    forward_event_removed(forward);
    network_forward_free(forward->forward);
    g_free(forward);
}

static void remove_where(Control *control,
                         bool (*match)(const ControlForward *, const void *),
                         const void *what)
{
    unsigned i;

    for (i = control->forwards->len; i-- > 0;) {
        if (match(g_ptr_array_index(control->forwards, i), what)) {
            g_ptr_array_remove_index(control->forwards, i);
        }
    }
}

static bool is_of_client(const ControlForward *forward, const void *client)
{
    return forward->owner == client;
}

static bool is_of_network(const ControlForward *forward, const void *network)
{
    return forward->network == network;
}

static bool is_of_netdev(const ControlForward *forward, const void *netdev)
{
    return forward->netdev == netdev;
}

void forward_client_gone(Client *client)
{
    remove_where(client->control, is_of_client, client);
}

void forward_network_gone(Control *control, Network *network)
{
    remove_where(control, is_of_network, network);
}

void forward_netdev_gone(ControlNetdev *netdev)
{
    remove_where(netdev->control, is_of_netdev, netdev);
}

ForwardInfo *forward_describe_network(Network *network,
                                      const NetworkForward *forward,
                                      const ControlNetdev *netdev,
                                      ForwardLifetime lifetime)
{
    ForwardInfo *info = g_new0(ForwardInfo, 1);
    NetworkForwardConfig config;
    NetworkInfo about;
    char text[IP_STRLEN];

    network_info(network, &about);
    network_forward_info(forward, &config);
    info->network = g_strdup(about.name);
    info->protocol = config.proto == IPPROTO_UDP ? FORWARD_PROTOCOL_UDP
                                                 : FORWARD_PROTOCOL_TCP;
    if (config.host.addr.family != AF_UNSPEC) {
        info->host_address = g_strdup(ip_addr_format(&config.host.addr, text));
    }
    info->host_port = config.host.port;
    info->netdev = netdev ? g_strdup(netdev->full_id) : NULL;
    if (config.guest.addr.family != AF_UNSPEC) {
        info->guest_address = g_strdup(ip_addr_format(&config.guest.addr, text));
    }
    info->guest_port = config.guest.port;
    info->lifetime = lifetime;
    info->error = g_strdup(network_forward_error(forward));
    return info;
}

ForwardInfo *forward_describe(const ControlForward *forward)
{
    return forward_describe_network(forward->network, forward->forward,
                                    forward->netdev, forward->lifetime);
}

ForwardInfo *forward_keep(ControlForward *forward, Client *client)
{
    Control *control = client->control;
    ForwardInfo *info = forward_describe(forward);

    forward_event_added(forward, NULL);
    if (forward->lifetime == FORWARD_LIFETIME_PERSISTENT) {
        g_free(forward); /* the network's from now on */
        return info;
    }
    if (forward->lifetime == FORWARD_LIFETIME_CLIENT) {
        forward->owner = client;
    }
    g_ptr_array_add(forward->lifetime == FORWARD_LIFETIME_NETDEV
                    ? forward->netdev->forwards : control->forwards, forward);
    record_changed(control);
    return info;
}

static bool network_comes_back(Control *control, const Network *network)
{
    unsigned i;

    for (i = 0; i < control->netdevs->len; i++) {
        const ControlNetdev *netdev = g_ptr_array_index(control->netdevs, i);

        if (netdev->network == network && netdev_comes_back(netdev)) {
            return true;
        }
    }
    return held_network_stays(control, network);
}

/* Nobody else makes it again, and what it is for comes back. */
static bool must_be_recorded(const ControlForward *forward)
{
    return !forward->of_options && forward->lifetime != FORWARD_LIFETIME_CLIENT
           && (forward->netdev ? netdev_comes_back(forward->netdev)
               : network_comes_back(forward->control, forward->network));
}

/* ForwardInfo has ForwardOptions' members: an answer is a request again. */
static void record_one(const ControlForward *forward, JsonValue *list)
{
    g_autoptr(ForwardInfo) info = NULL;

    if (!must_be_recorded(forward)) {
        return;
    }
    info = forward_describe(forward);
    if (info->netdev) {
        g_clear_pointer(&info->guest_address, g_free);
    }
    json_list_append(list, qapi_encode_ForwardInfo(info));
}

/* Those in its own list. */
static void record_own(const ControlNetdev *netdev, JsonValue *list)
{
    unsigned i;

    for (i = 0; i < netdev->forwards->len; i++) {
        record_one(g_ptr_array_index(netdev->forwards, i), list);
    }
}

JsonValue *forward_record(Control *control)
{
    JsonValue *list = json_list();
    unsigned i;

    for (i = 0; i < control->forwards->len; i++) {
        record_one(g_ptr_array_index(control->forwards, i), list);
    }
    for (i = 0; i < control->netdevs->len; i++) {
        record_own(g_ptr_array_index(control->netdevs, i), list);
    }
    return list;
}

void forward_record_netdev(const ControlNetdev *netdev, JsonValue *list)
{
    const GPtrArray *others = netdev->control->forwards;
    unsigned i;

    for (i = 0; i < others->len; i++) {
        if (is_of_netdev(g_ptr_array_index(others, i), netdev)) {
            record_one(g_ptr_array_index(others, i), list);
        }
    }
    record_own(netdev, list);
}

JsonValue *forward_record_hostfwd(const ControlNetdev *netdev)
{
    JsonValue *list = json_list();
    unsigned i;

    for (i = 0; i < netdev->forwards->len; i++) {
        const ControlForward *forward = g_ptr_array_index(netdev->forwards, i);
        HostfwdRule rule = forward->rule;
        g_autofree char *text = NULL;
        NetworkForwardConfig config;

        if (!forward->of_options) {
            continue;
        }
        network_forward_info(forward->forward, &config);
        rule.host.port = config.host.port;
        text = hostfwd_format(&rule);
        json_list_append(list, json_string(text));
    }
    return list;
}
