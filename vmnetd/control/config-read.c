/*
 * What a user wrote of a network, of netdevs or of itself, as numbers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "control/config-read.h"

#include <string.h>

#include "qapi/qapi-error.h"
#include "vmnet/error.h"

bool config_refuse(GError **error, const char *who, const char *format, ...)
{
    g_autofree char *text = NULL;
    va_list args;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    g_set_error(error, VMNET_ERROR, VMNET_INVALID_ARGUMENT, "%s: %s", who,
                text);
    return false;
}

NetworkSwitch config_read_switch(bool has_value, bool value)
{
    if (!has_value) {
        return NETWORK_DEFAULT;
    }
    return value ? NETWORK_ON : NETWORK_OFF;
}

NetworkBridgeMode config_read_bridge_mode(bool has_value, VmnetBridgeMode value)
{
    if (!has_value) {
        return NETWORK_BRIDGE_DEFAULT;
    }
    return value == VMNET_BRIDGE_MODE_PACKET ? NETWORK_BRIDGE_PACKET
                                             : NETWORK_BRIDGE_MACVTAP;
}

static bool read_v4(const char *who, const char *key, const char *text,
                    uint32_t *ret_v4, GError **error)
{
    IpAddr addr;

    if (!ip_addr_parse(text, &addr) || addr.family != AF_INET) {
        return config_refuse(error, who, "%s '%s' is not an IPv4 address", key, text);
    }
    *ret_v4 = addr.v4;
    return true;
}

bool config_read_range(NetworkConfig *config, const char *who, const char *start,
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
    return read_v4(who, "start-address", start, &config->start_address, error)
           && read_v4(who, "end-address", end, &config->end_address, error)
           && read_v4(who, "subnet-mask", mask, &config->subnet_mask, error);
}

/* An IPv6 prefix; QEMU's nat66-prefix has no length, ours may say "/64". */
bool config_read_prefix6(NetworkConfig *config, const char *who, const char *key,
                         const char *text, GError **error)
{
    g_autofree char *addr = NULL;
    const char *slash;

    if (!text) {
        return true;
    }
    slash = strchr(text, '/');
    if (slash && strcmp(slash, "/64")) {
        return config_refuse(error, who, "%s '%s' is not 64 bits long", key, text);
    }
    addr = g_strndup(text, slash ? (size_t)(slash - text) : strlen(text));
    if (!ip_addr_parse(addr, &config->prefix6.addr)
        || config->prefix6.addr.family != AF_INET6) {
        return config_refuse(error, who, "%s '%s' is not an IPv6 prefix", key, text);
    }
    config->prefix6.len = 64;
    return true;
}

/* To a network 0 is "not written": it is not in any range that one checks. */
bool config_read_number(const char *who, const char *key, bool has_value,
                        uint32_t value, uint32_t *ret_value, GError **error)
{
    if (has_value && !value) {
        return config_refuse(error, who, "%s 0 is too small", key);
    }
    *ret_value = has_value ? value : 0;
    return true;
}

NetworkUplink config_read_uplink(bool is_written, VmnetUplink value)
{
    if (!is_written) {
        return NETWORK_UPLINK_DEFAULT;
    }
    return value == VMNET_UPLINK_KERNEL ? NETWORK_UPLINK_KERNEL
                                        : NETWORK_UPLINK_SOCKETS;
}
