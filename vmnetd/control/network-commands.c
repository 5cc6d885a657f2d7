/*
 * Networks that are held without a netdev: network-add, network-del
 *
 * Somebody who holds a network has a reference to it, as a netdev has: until
 * the client goes, or until network-del.  A client holds a network once,
 * however often it adds it; what was added to stay is held once for all.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "control/network-commands.h"

#include <string.h>

#include "control/authorize.h"
#include "control/client.h"
#include "control/config-read.h"
#include "control/forward.h"
#include "control/hostfwd.h"
#include "control/query.h"
#include "control/record.h"
#include "limits.h"
#include "qapi/qapi-commands.h"
#include "qapi/qapi-error.h"
#include "qapi/qapi-visit.h"
#include "vmnet/error.h"

/**
 * ControlNetwork:
 * @owner: NULL: it stays
 * @options: those that it was added with first, name and mode filled in, with
 *     all reservations, without forwards, which are recorded by themselves
 */
struct ControlNetwork {
    Control *control;
    Network *network;
    Client *owner;
    NetworkOptions *options;
};

/**
 * HeldConfig: what was written.
 * @reservations: of Lease, with address and MAC
 * @rules: of HostfwdRule
 */
typedef struct HeldConfig {
    NetworkConfig network;
    GArray *reservations;
    GArray *rules;
} HeldConfig;

static void held_config_clear(HeldConfig *config)
{
    g_clear_pointer(&config->reservations, g_array_unref);
    g_clear_pointer(&config->rules, g_array_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(HeldConfig, held_config_clear)

/* Reading */

static bool read_mode(HeldConfig *config, Control *control,
                      const NetworkOptions *o, const char *who, GError **error)
{
    Network *network = o->name ? network_find(control->networks, o->name)
                               : NULL;
    NetworkInfo info;
    NetworkMode mode;

    for (mode = 0; mode < NETWORK_MODE__MAX; mode++) {
        if (!g_strcmp0(o->has_mode ? VmnetMode_str(o->mode) : o->name,
                       network_mode_str(mode))) {
            break;
        }
    }
    if (!o->has_mode && network) {
        network_info(network, &info);
        mode = info.mode;
    }
    if (mode == NETWORK_MODE__MAX) {
        return config_refuse(error, who, "it does not run, and 'mode' is "
                             "missing");
    }
    config->network.mode = mode;
    return true;
}

static bool read_reservations(HeldConfig *config, const NetworkOptions *o,
                              const char *who, GError **error)
{
    const DhcpReservationList *item;

    for (item = o->reservations; item; item = item->next) {
        Lease lease = { 0 };

        if (!mac_parse(item->value->mac, &lease.mac) ||
            mac_is_group(lease.mac.b) || mac_is_zero(&lease.mac)) {
            return config_refuse(error, who, "mac '%s' is not that of one "
                                 "interface", item->value->mac);
        }
        if (!ip_addr_parse(item->value->address, &lease.addr) ||
            lease.addr.family != AF_INET) {
            return config_refuse(error, who, "address '%s' is not an IPv4 "
                                 "address", item->value->address);
        }
        g_array_append_val(config->reservations, lease);
    }
    if (config->reservations->len && config->network.dhcp == NETWORK_OFF) {
        return config_refuse(error, who, "'reservations' cannot be had with "
                             "dhcp=off");
    }
    return true;
}

static bool read_rules(HeldConfig *config, const NetworkOptions *o,
                       const char *who, GError **error)
{
    const strList *item;

    for (item = o->hostfwd; item; item = item->next) {
        HostfwdRule rule;

        if (!hostfwd_parse(item->value, &rule, error)) {
            return false;
        }
        if (rule.guest.addr.family == AF_UNSPEC) {
            return config_refuse(error, who, "hostfwd '%s' lacks the guest's "
                                 "address", item->value);
        }
        g_array_append_val(config->rules, rule);
    }
    return true;
}

static bool read_options(HeldConfig *config, Control *control,
                         const NetworkOptions *o, GError **error)
{
    NetworkConfig *network = &config->network;
    g_autofree char *who = o->name ? g_strdup_printf("network '%s'", o->name)
                                   : g_strdup("network-add");

    config->reservations = g_array_new(FALSE, FALSE, sizeof(Lease));
    config->rules = g_array_new(FALSE, FALSE, sizeof(HostfwdRule));
    network->prefix6.addr.family = AF_UNSPEC;
    network->name = o->name;
    network->dhcp = config_read_switch(o->has_dhcp, o->dhcp);
    network->dns = config_read_switch(o->has_dns, o->dns);
    network->ra = config_read_switch(o->has_router_advertisement,
                                     o->router_advertisement);
    network->nat44 = config_read_switch(o->has_nat44, o->nat44);
    network->nat66 = config_read_switch(o->has_nat66, o->nat66);
    network->host_loopback = config_read_switch(o->has_host_loopback,
                                                o->host_loopback);
    network->external_interface = o->external_interface;
    network->uplink = config_read_uplink(o->has_uplink, o->uplink);
    network->ifname = o->ifname;
    network->bridge_mode = config_read_bridge_mode(o->has_bridge_mode,
                                                   o->bridge_mode);
    network->mac_translation = config_read_switch(o->has_mac_translation,
                                                  o->mac_translation);
    network->match = o->has_match && o->match == VMNET_MATCH_STRICT ?
                     NETWORK_MATCH_STRICT : NETWORK_MATCH_ADOPT;
    if (!read_mode(config, control, o, who, error) ||
        !config_read_range(network, who, o->start_address, o->end_address,
                           o->subnet_mask, error) ||
        !config_read_prefix6(network, who, "ipv6-prefix", o->ipv6_prefix,
                             error) ||
        !config_read_number(who, "mtu", o->has_mtu, o->mtu,
                            &network->mtu_bytes, error) ||
        !config_read_number(who, "lease-time", o->has_lease_time,
                            o->lease_time, &network->lease_s, error) ||
        !read_reservations(config, o, who, error) ||
        !read_rules(config, o, who, error)) {
        return false;
    }
    if (!network_config_check(network, error)) {
        g_prefix_error(error, "%s: ", who);
        return false;
    }
    return true;
}

/* Holding */

static ControlNetwork *find_held(Control *control, const Network *network,
                                 const Client *owner)
{
    unsigned i;

    for (i = 0; i < control->held->len; i++) {
        ControlNetwork *held = g_ptr_array_index(control->held, i);

        if (held->network == network && held->owner == owner) {
            return held;
        }
    }
    return NULL;
}

bool held_network_stays(const Control *control, const Network *network)
{
    return find_held((Control *)control, network, NULL);
}

void held_network_free(void *opaque)
{
    ControlNetwork *held = opaque;

    network_unref(held->network);
    qapi_free_NetworkOptions(held->options);
    g_free(held);
}

void held_networks_client_gone(Client *client)
{
    GPtrArray *list = client->control->held;
    unsigned i;

    for (i = list->len; i-- > 0;) {
        ControlNetwork *held = g_ptr_array_index(list, i);

        if (held->owner == client) {
            g_ptr_array_remove_index(list, i);
        }
    }
}

static NetworkOptions *copy_options(const NetworkOptions *options,
                                    Network *network)
{
    g_autoptr(JsonValue) value = qapi_encode_NetworkOptions(options);
    NetworkOptions *copy = NULL;
    NetworkInfo info;

    network_info(network, &info);
    json_dict_set_string(value, "name", info.name);
    json_dict_set_string(value, "mode", network_mode_str(info.mode));
    json_dict_set(value, "hostfwd", json_list());
    json_dict_set(value, "reservations", json_list());
    if (!qapi_decode_NetworkOptions(value, QAPI_INPUT_JSON, &copy, NULL)) {
        g_assert_not_reached(); /* what was encoded decodes */
    }
    return copy;
}

/* What a network-add makes, until it is sure of all. */
typedef struct Parts {
    Network *network;
    GPtrArray *forwards;    /* of ControlForward */
    GArray *reserved;       /* of Lease: those that were not kept before */
} Parts;

static void parts_undo(Parts *parts)
{
    unsigned i;

    g_ptr_array_set_size(parts->forwards, 0);
    for (i = 0; i < parts->reserved->len; i++) {
        network_unreserve(parts->network,
                          &g_array_index(parts->reserved, Lease, i).addr);
    }
}

static bool add_forwards(Parts *parts, Control *control, const GArray *rules,
                         GError **error)
{
    unsigned i;

    for (i = 0; i < rules->len; i++) {
        const HostfwdRule *rule = &g_array_index(rules, HostfwdRule, i);
        const NetworkForwardConfig config = {
            .proto = rule->proto, .host = rule->host, .guest = rule->guest,
        };
        ControlForward *forward = forward_make(control, parts->network,
                                               &config, error);

        if (!forward) {
            return false;
        }
        forward->lifetime = FORWARD_LIFETIME_NETWORK;
        g_ptr_array_add(parts->forwards, forward);
    }
    return true;
}

static bool add_reservations(Parts *parts, const GArray *leases,
                             GError **error)
{
    unsigned i;

    for (i = 0; i < leases->len; i++) {
        const Lease *lease = &g_array_index(leases, Lease, i);
        bool is_new;

        if (!network_reserve(parts->network, &lease->mac, &lease->addr,
                             &is_new, error)) {
            return false;
        }
        if (is_new) {
            g_array_append_vals(parts->reserved, lease, 1);
        }
    }
    return true;
}

/* A daemon that is started again reserves these, too. */
static void remember_reservations(ControlNetwork *held, const GArray *leases)
{
    unsigned i;

    for (i = 0; i < leases->len; i++) {
        const Lease *lease = &g_array_index(leases, Lease, i);
        DhcpReservation *reservation = g_new0(DhcpReservation, 1);
        char mac[MAC_STRLEN], address[IP_STRLEN];

        reservation->mac = g_strdup(mac_format(&lease->mac, mac));
        reservation->address = g_strdup(ip_addr_format(&lease->addr, address));
        QAPI_LIST_PREPEND(held->options->reservations, reservation);
    }
}

static ControlNetwork *hold(Client *owner, Control *control, Network *network,
                            const NetworkOptions *options)
{
    ControlNetwork *held = find_held(control, network, owner);

    if (held) {
        network_unref(network);
        return held;
    }
    held = g_new0(ControlNetwork, 1);
    held->control = control;
    held->network = network;
    held->owner = owner;
    held->options = copy_options(options, network);
    g_ptr_array_add(control->held, held);
    return held;
}

static void parts_keep(Parts *parts, ControlNetwork *held, Client *client)
{
    remember_reservations(held, parts->reserved);
    while (parts->forwards->len) {
        qapi_free_ForwardInfo(forward_keep(
                                  g_ptr_array_steal_index(parts->forwards, 0),
                                  client));
    }
}

ControlNetwork *held_network_add(Client *client, const NetworkOptions *options,
                                 GError **error)
{
    Control *control = client->control;
    bool is_client = options->has_lifetime &&
                     options->lifetime == NETWORK_LIFETIME_CLIENT;
    g_autoptr(GPtrArray) forwards =
        g_ptr_array_new_with_free_func(forward_free);
    g_autoptr(GArray) reserved = g_array_new(FALSE, FALSE, sizeof(Lease));
    Parts parts = { .forwards = forwards, .reserved = reserved };
    g_auto(HeldConfig) config = { 0 };
    ControlNetwork *held;

    if (!read_options(&config, control, options, error) ||
        !authorize_network(client, &config.network, config.rules, error)) {
        return NULL;
    }
    parts.network = network_acquire(control->networks, &config.network, error);
    if (!parts.network) {
        return NULL;
    }
    if (!add_reservations(&parts, config.reservations, error) ||
        !add_forwards(&parts, control, config.rules, error)) {
        parts_undo(&parts);
        network_unref(parts.network);
        return NULL;
    }
    held = hold(is_client ? client : NULL, control, parts.network, options);
    parts_keep(&parts, held, client);
    record_changed(control);
    control_touch(control);
    return held;
}

NetworkDetails *qmp_network_add(void *session, NetworkOptions *arg,
                                GError **error)
{
    ControlNetwork *held = held_network_add(session, arg, error);

    return held ? query_network(held->control, held->network) : NULL;
}

bool qmp_network_del(void *session, const char *name, GError **error)
{
    Client *client = session;
    Control *control = client->control;
    Network *network = network_find(control->networks, name);
    ControlNetwork *held = NULL;

    if (network) {
        held = find_held(control, network, client) ?:
               find_held(control, network, NULL);
    }
    if (!held) {
        g_set_error(error, QAPI_ERROR, QAPI_ERROR_DEVICE_NOT_FOUND,
                    "network '%s' is not held", name);
        return false;
    }
    if (!held->owner && !authorize_end(client, name, error)) {
        return false;
    }
    g_ptr_array_remove(control->held, held);
    record_changed(control);
    control_touch(control);
    return true;
}

JsonValue *held_network_record(Control *control)
{
    JsonValue *list = json_list();
    unsigned i;

    for (i = 0; i < control->held->len; i++) {
        const ControlNetwork *held = g_ptr_array_index(control->held, i);

        if (!held->owner) {
            json_list_append(list, qapi_encode_NetworkOptions(held->options));
        }
    }
    return list;
}
