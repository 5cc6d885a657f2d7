/*
 * Forwards by command: what forward-add means, and which one to remove
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "control/forward.h"

#include <string.h>

#include "control/authorize.h"
#include "control/client.h"
#include "control/forward-event.h"
#include "control/netdev.h"
#include "control/record.h"
#include "qapi/qapi-commands.h"
#include "qapi/qapi-error.h"
#include "vmnet/error.h"

G_GNUC_PRINTF(2, 3)
static void refuse(GError **error, const char *format, ...)
{
    g_autofree char *text = NULL;
    va_list args;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    g_set_error_literal(error, VMNET_ERROR, VMNET_INVALID_ARGUMENT, text);
}

static Network *only_network(Control *control, GError **error)
{
    g_autoptr(GPtrArray) networks = network_register_list(control->networks);

    if (networks->len != 1) {
        refuse(error, "'network' is needed: %u networks run", networks->len);
        return NULL;
    }
    return g_ptr_array_index(networks, 0);
}

static Network *choose_network(Client *client, const ForwardOptions *options,
                               const ControlNetdev *netdev, GError **error)
{
    Control *control = client->control;
    Network *network;

    if (!options->network) {
        return netdev ? netdev->network : only_network(control, error);
    }
    network = network_find(control->networks, options->network);
    if (!network) {
        refuse(error, "network '%s' does not run", options->network);
        return NULL;
    }
    if (netdev && netdev->network != network) {
        refuse(error, "netdev '%s' is not on network '%s'", options->netdev,
               options->network);
        return NULL;
    }
    return network;
}

static bool read_address(const char *key, const char *text, IpAddr *ret_addr,
                         GError **error)
{
    if (!text) {
        memset(ret_addr, 0, sizeof(*ret_addr));
        ret_addr->family = AF_UNSPEC;
        return true;
    }
    if (!ip_addr_parse(text, ret_addr)) {
        refuse(error, "%s '%s' is not an IP address", key, text);
        return false;
    }
    return true;
}

/* The guest: a netdev's lease, an address, or who has that name now. */
static bool read_guest(Network *network, const ForwardOptions *options,
                       const ControlNetdev *netdev,
                       NetworkForwardConfig *config, GError **error)
{
    Lease lease;

    if (!read_address("guest-address", options->guest_address,
                      &config->guest.addr, error)) {
        return false;
    }
    if (netdev) {
        config->port = netdev_port_id(netdev);
    }
    if (options->guest) {
        if (!network_lease_find(network, options->guest, &lease)) {
            refuse(error, "no guest '%s' has a lease now", options->guest);
            return false;
        }
        config->guest.addr = lease.addr;
    }
    return true;
}

static bool check_client_port(const ForwardOptions *options,
                              ForwardLifetime lifetime, GError **error)
{
    bool is_udp = options->has_protocol
                  && options->protocol == FORWARD_PROTOCOL_UDP;

    if (!options->has_client_port) {
        return true;
    }
    if (!options->client_port) {
        refuse(error, "client-port 0 is not a port");
        return false;
    }
    if (!options->host_address || is_udp
        || lifetime != FORWARD_LIFETIME_CLIENT) {
        refuse(error, "client-port %u needs 'host-address', protocol 'tcp' and "
               "lifetime 'client'", options->client_port);
        return false;
    }
    return true;
}

static bool check_options(const ForwardOptions *options, GError **error)
{
    ForwardLifetime lifetime = options->has_lifetime ? options->lifetime
                                                     : FORWARD_LIFETIME_NETWORK;
    int named = !!options->netdev + !!options->guest_address
                + !!options->guest;

    if (named != 1) {
        refuse(error, "one of 'netdev', 'guest-address', 'guest' is needed");
        return false;
    }
    if (!options->guest_port) {
        refuse(error, "guest-port 0 is not a port");
        return false;
    }
    if (lifetime == FORWARD_LIFETIME_NETDEV && !options->netdev) {
        refuse(error, "lifetime 'netdev' needs 'netdev'");
        return false;
    }
    if (lifetime == FORWARD_LIFETIME_PERSISTENT && options->netdev) {
        refuse(error, "lifetime 'persistent' needs 'guest-address' or 'guest': "
               "a netdev is not kept");
        return false;
    }
    return check_client_port(options, lifetime, error);
}

ForwardInfo *forward_add(Client *client, const ForwardOptions *options,
                         GError **error)
{
    Control *control = client->control;
    ForwardLifetime lifetime = options->has_lifetime ? options->lifetime
                                                     : FORWARD_LIFETIME_NETWORK;
    NetworkForwardConfig config = { 0 };
    ControlNetdev *netdev = NULL;
    ControlForward *forward;
    Network *network;

    if (!check_options(options, error)) {
        return NULL;
    }
    if (options->netdev) {
        netdev = netdev_find(client, options->netdev, error);
        if (!netdev) {
            return NULL;
        }
    }
    network = choose_network(client, options, netdev, error);
    if (!network
        || !read_guest(network, options, netdev, &config, error)
        || !read_address("host-address", options->host_address,
                         &config.host.addr, error)
        || !authorize_forward(client, network, options->host_port, error)) {
        return NULL;
    }
    config.proto = options->has_protocol
                   && options->protocol == FORWARD_PROTOCOL_UDP
                   ? IPPROTO_UDP : IPPROTO_TCP;
    config.host.port = options->host_port;
    config.guest.port = options->guest_port;
    config.persistent = lifetime == FORWARD_LIFETIME_PERSISTENT;
    config.client_port = options->has_client_port ? options->client_port : 0;

    forward = forward_make(control, network, &config, error);
    if (!forward) {
        return NULL;
    }
    forward->lifetime = lifetime;
    forward->netdev = netdev;
    return forward_keep(forward, client);
}

/* Persistent forwards belong to their network. */
static void add_kept(Control *control, ForwardInfoList **list)
{
    g_autoptr(GPtrArray) networks = network_register_list(control->networks);
    unsigned i, j;

    for (i = 0; i < networks->len; i++) {
        Network *network = g_ptr_array_index(networks, i);
        g_autoptr(GPtrArray) kept = network_forwards(network);

        for (j = 0; j < kept->len; j++) {
            QAPI_LIST_PREPEND(*list,
                              forward_describe_network(
                                  network, g_ptr_array_index(kept, j), NULL,
                                  FORWARD_LIFETIME_PERSISTENT));
        }
    }
}

ForwardInfoList *qmp_query_forwards(void *session, GError **error)
{
    Control *control = ((Client *)session)->control;
    ForwardInfoList *list = NULL;
    unsigned i, j;

    add_kept(control, &list);
    for (i = control->forwards->len; i-- > 0;) {
        QAPI_LIST_PREPEND(list, forward_describe(
                              g_ptr_array_index(control->forwards, i)));
    }
    for (i = control->netdevs->len; i-- > 0;) {
        ControlNetdev *netdev = g_ptr_array_index(control->netdevs, i);

        for (j = netdev->forwards->len; j-- > 0;) {
            QAPI_LIST_PREPEND(list, forward_describe(
                                  g_ptr_array_index(netdev->forwards, j)));
        }
    }
    return list;
}

ForwardInfo *qmp_forward_add(void *session, ForwardOptions *arg, GError **error)
{
    return forward_add(session, arg, error);
}

/* What forward-remove names. */
typedef struct ForwardKey {
    uint8_t proto;
    IpAddr addr;
    uint16_t port;
} ForwardKey;

static bool is_named(const NetworkForward *forward, const ForwardKey *key)
{
    NetworkForwardConfig config;

    network_forward_info(forward, &config);
    return config.proto == key->proto && config.host.port == key->port
           && config.host.addr.family == key->addr.family
           && (key->addr.family == AF_UNSPEC
               || ip_addr_equal(&config.host.addr, &key->addr));
}

static bool remove_from(GPtrArray *forwards, const ForwardKey *key)
{
    unsigned i;

    for (i = 0; i < forwards->len; i++) {
        ControlForward *forward = g_ptr_array_index(forwards, i);

        if (is_named(forward->forward, key)) {
            g_ptr_array_remove_index(forwards, i);
            return true;
        }
    }
    return false;
}

static bool remove_kept(Control *control, const ForwardKey *key)
{
    g_autoptr(GPtrArray) networks = network_register_list(control->networks);
    unsigned i, j;

    for (i = 0; i < networks->len; i++) {
        Network *network = g_ptr_array_index(networks, i);
        g_autoptr(GPtrArray) kept = network_forwards(network);

        for (j = 0; j < kept->len; j++) {
            NetworkForward *forward = g_ptr_array_index(kept, j);

            if (is_named(forward, key)) {
                forward_event_kept_one(control, network, forward,
                                       QAPI_EVENT_FORWARD_REMOVED);
                network_forward_free(forward);
                return true;
            }
        }
    }
    return false;
}

static bool remove_any(Control *control, const ForwardKey *key)
{
    unsigned i;

    if (remove_from(control->forwards, key)) {
        return true;
    }
    for (i = 0; i < control->netdevs->len; i++) {
        ControlNetdev *netdev = g_ptr_array_index(control->netdevs, i);

        if (remove_from(netdev->forwards, key)) {
            return true;
        }
    }
    return remove_kept(control, key);
}

bool qmp_forward_remove(void *session, bool has_protocol,
                        ForwardProtocol protocol, const char *host_address,
                        uint16_t host_port, GError **error)
{
    Control *control = ((Client *)session)->control;
    ForwardKey key = {
        .proto = has_protocol && protocol == FORWARD_PROTOCOL_UDP
                 ? IPPROTO_UDP : IPPROTO_TCP,
        .port = host_port,
    };

    if (!read_address("host-address", host_address, &key.addr, error)) {
        return false;
    }
    if (!remove_any(control, &key)) {
        g_set_error(error, QAPI_ERROR, QAPI_ERROR_DEVICE_NOT_FOUND,
                    "no %s forward listens on %s port %u",
                    key.proto == IPPROTO_UDP ? "udp" : "tcp",
                    host_address ? host_address : "all addresses", host_port);
        return false;
    }
    record_changed(control);
    return true;
}
