/*
 * What a user wrote of a netdev, checked and turned into numbers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "control/netdev-config.h"

#include <string.h>

#include "control/hostfwd.h"
#include "qapi/qapi-error.h"
#include "qapi/qapi-visit.h"
#include "vmnet/error.h"

G_GNUC_PRINTF(3, 4)
static bool refuse(GError **error, const char *id, const char *format, ...)
{
    g_autofree char *text = NULL;
    va_list args;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    g_set_error(error, VMNET_ERROR, VMNET_INVALID_ARGUMENT, "netdev '%s': %s",
                id, text);
    return false;
}

static NetworkSwitch read_switch(bool has_value, bool value)
{
    if (!has_value) {
        return NETWORK_DEFAULT;
    }
    return value ? NETWORK_ON : NETWORK_OFF;
}

static bool read_v4(const char *id, const char *key, const char *text,
                    uint32_t *ret_v4, GError **error)
{
    IpAddr addr;

    if (!ip_addr_parse(text, &addr) || addr.family != AF_INET) {
        return refuse(error, id, "%s '%s' is not an IPv4 address", key, text);
    }
    *ret_v4 = addr.v4;
    return true;
}

static bool read_range(NetworkConfig *config, const char *id, const char *start,
                       const char *end, const char *mask, GError **error)
{
    if (!start && !end && !mask) {
        return true;
    }
    if (!start || !end || !mask) {
        g_set_error_literal(error, QAPI_ERROR, QAPI_ERROR_GENERIC,
                            "'start-address', 'end-address', 'subnet-mask' "
                            "should be provided together");
        return false;
    }
    config->has_range = true;
    return read_v4(id, "start-address", start, &config->start_address, error)
           && read_v4(id, "end-address", end, &config->end_address, error)
           && read_v4(id, "subnet-mask", mask, &config->subnet_mask, error);
}

/* An IPv6 prefix; QEMU's nat66-prefix has no length, ours may say "/64". */
static bool read_prefix6(NetworkConfig *config, const char *id, const char *key,
                         const char *text, GError **error)
{
    g_autofree char *addr = NULL;
    const char *slash;

    if (!text) {
        return true;
    }
    slash = strchr(text, '/');
    if (slash && strcmp(slash, "/64")) {
        return refuse(error, id, "%s '%s' is not 64 bits long", key, text);
    }
    addr = g_strndup(text, slash ? (size_t)(slash - text) : strlen(text));
    if (!ip_addr_parse(addr, &config->prefix6.addr)
        || config->prefix6.addr.family != AF_INET6) {
        return refuse(error, id, "%s '%s' is not an IPv6 prefix", key, text);
    }
    config->prefix6.len = 64;
    return true;
}

/* To a network 0 is "not written": it is not in any range that one checks. */
static bool read_number(const char *id, const char *key, bool has_value,
                        uint32_t value, uint32_t *ret_value, GError **error)
{
    if (has_value && !value) {
        return refuse(error, id, "%s 0 is too small", key);
    }
    *ret_value = has_value ? value : 0;
    return true;
}

static bool read_mac(NetdevConfig *config, const char *id, const char *text,
                     GError **error)
{
    if (!text) {
        return true;
    }
    if (!mac_parse(text, &config->mac)) {
        return refuse(error, id, "mac '%s' is not a MAC address", text);
    }
    if (mac_is_group(config->mac.b) || mac_is_zero(&config->mac)) {
        return refuse(error, id, "mac %s is not that of one interface", text);
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

static bool read_routed(NetdevConfig *config, const char *id,
                        const NetdevVmnetRoutedOptions *o, GError **error)
{
    NetworkConfig *network = &config->network;

    config->isolated = o->has_isolated && o->isolated;
    network->dhcp = read_switch(o->has_dhcp, o->dhcp);
    network->dns = read_switch(o->has_dns, o->dns);
    network->host_loopback = read_switch(o->has_host_loopback, o->host_loopback);
    network->match = o->has_match && o->match == VMNET_MATCH_STRICT
                     ? NETWORK_MATCH_STRICT : NETWORK_MATCH_ADOPT;
    network->name = o->network;
    return read_range(network, id, o->start_address, o->end_address,
                      o->subnet_mask, error)
           && read_number(id, "mtu", o->has_mtu, o->mtu, &network->mtu_bytes,
                          error)
           && read_number(id, "lease-time", o->has_lease_time, o->lease_time,
                          &network->lease_s, error)
           && read_mac(config, id, o->mac, error)
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

static bool read_host(NetdevConfig *config, const char *id,
                      const NetdevVmnetHostOptions *o, GError **error)
{
    config->network.mode = NETWORK_MODE_HOST;
    return read_uuid(config, o, error)
           && read_routed(config, id, qapi_NetdevVmnetHostOptions_base(o),
                          error)
           && read_prefix6(&config->network, id, "ipv6-prefix",
                           o->ipv6_prefix, error);
}

static bool read_shared(NetdevConfig *config, const char *id,
                        const NetdevVmnetSharedOptions *o, GError **error)
{
    config->network.mode = NETWORK_MODE_SHARED;
    return read_routed(config, id, qapi_NetdevVmnetSharedOptions_base(o), error)
           && read_prefix6(&config->network, id, "nat66-prefix",
                           o->nat66_prefix, error);
}

static bool read_mode(NetdevConfig *config, const Netdev *options,
                      GError **error)
{
    switch (options->type) {
    case NET_CLIENT_DRIVER_VMNET_HOST:
        return read_host(config, options->id, &options->u.vmnet_host, error);
    case NET_CLIENT_DRIVER_VMNET_SHARED:
        return read_shared(config, options->id, &options->u.vmnet_shared, error);
    case NET_CLIENT_DRIVER_VMNET_BRIDGED:
        return refuse(error, options->id,
                      "vmnet-bridged needs the system instance of vmnetd "
                      "(/run/vmnet/vmnetd.sock), since a user cannot join host "
                      "interface '%s'; this version has none",
                      options->u.vmnet_bridged.ifname);
    case NET_CLIENT_DRIVER__MAX:
        break;
    }
    g_assert_not_reached(); /* the decoder knows no other type */
}

bool netdev_config_read(NetdevConfig *config, const Netdev *options,
                        GError **error)
{
    config->forwards = g_array_new(FALSE, FALSE, sizeof(HostfwdRule));
    config->network.prefix6.addr.family = AF_UNSPEC;

    if (!read_mode(config, options, error)) {
        return false;
    }
    if (!network_config_check(&config->network, error)) {
        g_prefix_error(error, "netdev '%s': ", options->id);
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
