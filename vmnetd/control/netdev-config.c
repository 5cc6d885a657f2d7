/*
 * What a user wrote of a netdev, checked and turned into numbers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "control/netdev-config.h"

#include <string.h>

#include "control/config-read.h"
#include "control/hostfwd.h"
#include "qapi/qapi-error.h"
#include "qapi/qapi-visit.h"
#include "vmnet/error.h"

static bool read_mac(NetdevConfig *config, const char *who, const char *text,
                     GError **error)
{
    if (!text) {
        return true;
    }
    if (!mac_parse(text, &config->mac)) {
        return config_refuse(error, who, "mac '%s' is not a MAC address", text);
    }
    if (mac_is_group(config->mac.b) || mac_is_zero(&config->mac)) {
        return config_refuse(error, who, "mac %s is not that of one interface", text);
    }
    config->has_mac = true;
    return true;
}

static bool read_forwards(NetdevConfig *config, const strList *list,
                          GError **error)
{
    for (; list; list = list->next) {
        HostfwdRule rule;

        if (!hostfwd_parse(list->value, &rule, error)) {
            return false;
        }
        g_array_append_val(config->forwards, rule);
    }
    return true;
}

static bool read_routed(NetdevConfig *config, const char *who,
                        const NetdevVmnetRoutedOptions *o, GError **error)
{
    NetworkConfig *network = &config->network;

    config->isolated = o->has_isolated && o->isolated;
    network->dhcp = config_read_switch(o->has_dhcp, o->dhcp);
    network->dns = config_read_switch(o->has_dns, o->dns);
    network->host_loopback = config_read_switch(o->has_host_loopback, o->host_loopback);
    network->uplink = config_read_uplink(o->has_uplink, o->uplink);
    network->match = o->has_match && o->match == VMNET_MATCH_STRICT
                     ? NETWORK_MATCH_STRICT : NETWORK_MATCH_ADOPT;
    network->name = o->network;
    return config_read_range(network, who, o->start_address, o->end_address,
                      o->subnet_mask, error)
           && config_read_number(who, "mtu", o->has_mtu, o->mtu, &network->mtu_bytes,
                          error)
           && config_read_number(who, "lease-time", o->has_lease_time, o->lease_time,
                          &network->lease_s, error)
           && read_mac(config, who, o->mac, error)
           && read_forwards(config, o->hostfwd, error);
}

static bool read_uuid(NetdevConfig *config, const NetdevVmnetHostOptions *o,
                      GError **error)
{
    if (!o->net_uuid) {
        return true;
    }
    if (!g_uuid_string_is_valid(o->net_uuid)) {
        g_set_error_literal(error, QAPI_ERROR, QAPI_ERROR_GENERIC,
                            "Invalid UUID provided in 'net-uuid'");
        return false;
    }
    config->uuid = g_ascii_strdown(o->net_uuid, -1);
    config->network.net_uuid = config->uuid;
    return true;
}

static bool read_host(NetdevConfig *config, const char *who,
                      const NetdevVmnetHostOptions *o, GError **error)
{
    config->network.mode = NETWORK_MODE_HOST;
    return read_uuid(config, o, error)
           && read_routed(config, who, qapi_NetdevVmnetHostOptions_base(o),
                          error)
           && config_read_prefix6(&config->network, who, "ipv6-prefix",
                           o->ipv6_prefix, error);
}

static bool read_shared(NetdevConfig *config, const char *who,
                        const NetdevVmnetSharedOptions *o, GError **error)
{
    config->network.mode = NETWORK_MODE_SHARED;
    return read_routed(config, who, qapi_NetdevVmnetSharedOptions_base(o), error)
           && config_read_prefix6(&config->network, who, "nat66-prefix",
                           o->nat66_prefix, error);
}

static bool read_bridged(NetdevConfig *config, const char *who,
                         const NetdevVmnetBridgedOptions *o, GError **error)
{
    config->network.mode = NETWORK_MODE_BRIDGED;
    config->network.ifname = o->ifname;
    config->network.name = o->network;
    config->network.bridge_mode = config_read_bridge_mode(o->has_bridge_mode,
                                                          o->bridge_mode);
    config->network.mac_translation =
        config_read_switch(o->has_mac_translation, o->mac_translation);
    config->isolated = o->has_isolated && o->isolated;
    return read_mac(config, who, o->mac, error);
}

static bool read_mode(NetdevConfig *config, const Netdev *options,
                      const char *who, GError **error)
{
    switch (options->type) {
    case NET_CLIENT_DRIVER_VMNET_HOST:
        return read_host(config, who, &options->u.vmnet_host, error);
    case NET_CLIENT_DRIVER_VMNET_SHARED:
        return read_shared(config, who, &options->u.vmnet_shared, error);
    case NET_CLIENT_DRIVER_VMNET_BRIDGED:
        return read_bridged(config, who, &options->u.vmnet_bridged, error);
    case NET_CLIENT_DRIVER__MAX:
        break;
    }
    g_assert_not_reached(); /* the decoder knows no other type */
}

bool netdev_config_read(NetdevConfig *config, const Netdev *options,
                        GError **error)
{
    g_autofree char *who = g_strdup_printf("netdev '%s'", options->id);

    config->forwards = g_array_new(FALSE, FALSE, sizeof(HostfwdRule));
    config->network.prefix6.addr.family = AF_UNSPEC;

    if (!read_mode(config, options, who, error)) {
        return false;
    }
    if (!network_config_check(&config->network, error)) {
        g_prefix_error(error, "%s: ", who);
        return false;
    }
    return true;
}

void netdev_config_clear(NetdevConfig *config)
{
    g_clear_pointer(&config->forwards, g_array_unref);
    g_clear_pointer(&config->uuid, g_free);
}

Netdev *netdev_options_copy(const Netdev *options)
{
    g_autoptr(JsonValue) value = qapi_encode_Netdev(options);
    Netdev *copy = NULL;

    if (!qapi_decode_Netdev(value, QAPI_INPUT_JSON, &copy, NULL)) {
        g_assert_not_reached(); /* what was encoded decodes */
    }
    return copy;
}
