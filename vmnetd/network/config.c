/*
 * What a user wrote of a network: is it possible, and what does it come to?
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "network/network-internal.h"

#include <string.h>

#include "limits.h"
#include "vmnet/error.h"

/* RFC 791 3.1: what every host takes; a DHCP message fits (RFC 2131 2). */
#define MTU_MIN 576
#define MTU_MAX 65520
#define LEASE_S_MIN 20
#define LEASE_S_MAX 604800
/* Gateway, one guest, network and broadcast address. */
#define SUBNET_LEN_MAX 30

static const char *const mode_names[NETWORK_MODE__MAX] = {
    [NETWORK_MODE_HOST] = "host",
    [NETWORK_MODE_SHARED] = "shared",
    [NETWORK_MODE_BRIDGED] = "bridged",
};

const char *network_mode_str(NetworkMode mode)
{
    g_assert(mode < NETWORK_MODE__MAX);
    return mode_names[mode];
}

const char *network_prefix6_key(NetworkMode mode)
{
    return mode == NETWORK_MODE_SHARED ? "nat66-prefix" : "ipv6-prefix";
}

/* Checks */

G_GNUC_PRINTF(2, 3)
static bool refuse(GError **error, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    if (error) {
        *error = g_error_new_valist(VMNET_ERROR, VMNET_INVALID_ARGUMENT,
                                    format, args);
    }
    va_end(args);
    return false;
}

/* A name is a directory's name as well. */
static bool check_name(const char *name, GError **error)
{
    const char *p;

    if (!name) {
        return true;
    }
    for (p = name; g_ascii_isalnum(*p) || (*p && strchr("._-", *p)); p++) {
    }
    if (*p || !g_ascii_isalnum(*name)
        || p - name > LIMIT_NETWORK_NAME_BYTES) {
        return refuse(error, "network '%s' is not a name: 1 to %d letters, "
                      "digits, '.', '_', '-', the first a letter or digit",
                      name, LIMIT_NETWORK_NAME_BYTES);
    }
    return true;
}

static bool check_host_part(const char *key, uint32_t v4, uint32_t mask,
                            GError **error)
{
    IpAddr addr = ip_addr_v4(v4);
    char text[IP_STRLEN];

    if ((v4 & ~mask) == 0 || (v4 & ~mask) == ~mask) {
        return refuse(error, "%s %s is the network's or the broadcast address "
                      "of its subnet", key, ip_addr_format(&addr, text));
    }
    return true;
}

static bool check_range(const NetworkConfig *config, GError **error)
{
    uint32_t mask_v4 = config->subnet_mask;
    IpAddr start = ip_addr_v4(config->start_address);
    IpAddr end = ip_addr_v4(config->end_address);
    IpAddr mask = ip_addr_v4(mask_v4);
    int len = ip_mask_to_len(mask_v4);
    char a[IP_STRLEN], b[IP_STRLEN];
    IpPrefix subnet;

    if (!config->has_range) {
        return true;
    }
    ip_addr_format(&start, a);
    ip_addr_format(&end, b);
    if (len < 0 || len > SUBNET_LEN_MAX) {
        return refuse(error, "subnet-mask %s is not a mask of a subnet with "
                      "room for guests", ip_addr_format(&mask, a));
    }
    subnet = (IpPrefix){ ip_addr_v4(start.v4 & mask_v4), len };
    if (!subnet_is_private(&subnet)) {
        g_autofree char *text = subnet_format(&subnet);

        return refuse(error, "start-address %s: %s is not in a private range "
                      "(10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16; RFC 1918)",
                      a, text);
    }
    if ((start.v4 & mask_v4) != (end.v4 & mask_v4)) {
        return refuse(error, "start-address %s and end-address %s are not in "
                      "one subnet", a, b);
    }
    if (start.v4 >= end.v4) {
        return refuse(error, "end-address %s is not behind start-address %s",
                      b, a);
    }
    return check_host_part("start-address", start.v4, mask_v4, error) &&
           check_host_part("end-address", end.v4, mask_v4, error);
}

static bool check_prefix6(const NetworkConfig *config, GError **error)
{
    const IpPrefix *prefix = &config->prefix6;
    const char *key = network_prefix6_key(config->mode);
    char text[IP_STRLEN];
    unsigned i;

    if (prefix->addr.family == AF_UNSPEC) {
        return true;
    }
    if (prefix->addr.family != AF_INET6 ||
        prefix->addr.v6.s6_addr[0] != 0xfd) {
        return refuse(error, "%s %s is not a unique local prefix (fd00::/8)",
                      key, ip_addr_format(&prefix->addr, text));
    }
    if (prefix->len != 64) {
        return refuse(error, "%s %s/%u is not 64 bits long", key,
                      ip_addr_format(&prefix->addr, text), prefix->len);
    }
    for (i = 8; i < 16; i++) {
        if (prefix->addr.v6.s6_addr[i] != 0) {
            return refuse(error, "%s %s is an address, not a prefix of 64 "
                          "bits", key, ip_addr_format(&prefix->addr, text));
        }
    }
    return true;
}

static bool check_numbers(const NetworkConfig *config, GError **error)
{
    if (config->mtu_bytes &&
        (config->mtu_bytes < MTU_MIN || config->mtu_bytes > MTU_MAX)) {
        return refuse(error, "mtu %u is not in %d to %d", config->mtu_bytes,
                      MTU_MIN, MTU_MAX);
    }
    if (config->lease_s &&
        (config->lease_s < LEASE_S_MIN || config->lease_s > LEASE_S_MAX)) {
        return refuse(error, "lease-time %u is not in %d to %d",
                      config->lease_s, LEASE_S_MIN, LEASE_S_MAX);
    }
    return true;
}

/* On a network with net-uuid there is nobody but the guests. */
static bool check_uuid(const NetworkConfig *config, GError **error)
{
    const char *odd = NULL;

    if (!config->net_uuid) {
        return true;
    }
    if (config->mode != NETWORK_MODE_HOST) {
        return refuse(error, "'net-uuid' is for networks of mode host");
    }
    if (config->name) {
        return refuse(error, "'net-uuid' names a network of its own: it "
                      "cannot be given together with 'network'");
    }
    if (!g_uuid_string_is_valid(config->net_uuid)) {
        return refuse(error, "Invalid UUID provided in 'net-uuid'");
    }
    if (config->has_range) {
        odd = "start-address";
    } else if (config->prefix6.addr.family != AF_UNSPEC) {
        odd = "ipv6-prefix";
    } else if (config->lease_s) {
        odd = "lease-time";
    } else if (config->dhcp == NETWORK_ON) {
        odd = "dhcp";
    } else if (config->dns == NETWORK_ON) {
        odd = "dns";
    } else if (config->host_loopback == NETWORK_ON) {
        odd = "host-loopback";
    } else if (config->uplink) {
        odd = "uplink";
    }
    return odd ? refuse(error, "'%s' cannot be had with 'net-uuid': such a "
                        "network has no gateway", odd) : true;
}

static bool check_external(const NetworkConfig *config, GError **error)
{
    const char *name = config->external_interface;

    if (config->mode == NETWORK_MODE_SHARED) {
        if (name && (strlen(name) >= IF_NAMESIZE || !if_nametoindex(name))) {
            return refuse(error, "external-interface '%s' is no interface of "
                          "this host", name);
        }
        return true;
    }
    if (name || config->nat44 == NETWORK_ON || config->nat66 == NETWORK_ON) {
        return refuse(error, "'%s' is for networks of mode shared", name ?
                      "external-interface" :
                      config->nat44 == NETWORK_ON ? "nat44" : "nat66");
    }
    return true;
}

/* The kernel takes loopback addresses from no interface but its own. */
static bool check_uplink(const NetworkConfig *config, GError **error)
{
    if (config->uplink == NETWORK_UPLINK_KERNEL &&
        config->host_loopback == NETWORK_ON) {
        return refuse(error, "'host-loopback' cannot be had with "
                      "uplink=kernel: the host has the gateway's address, and "
                      "services can be bound to it");
    }
    return true;
}

/* Whatever else a network has is the host interface's, or somebody's behind it. */
static bool check_bridged(const NetworkConfig *config, GError **error)
{
    const struct {
        const char *key;
        bool is_written;
    } odd[] = {
        { "start-address", config->has_range },
        { "ipv6-prefix", config->prefix6.addr.family != AF_UNSPEC },
        { "mtu", config->mtu_bytes },
        { "lease-time", config->lease_s },
        { "dhcp", config->dhcp == NETWORK_ON },
        { "dns", config->dns == NETWORK_ON },
        { "router-advertisement", config->ra == NETWORK_ON },
        { "host-loopback", config->host_loopback == NETWORK_ON },
        { "uplink", config->uplink },
    };
    unsigned i;

    if (config->mode != NETWORK_MODE_BRIDGED) {
        const char *key = config->ifname ? "ifname" :
                          config->bridge_mode ? "bridge-mode" :
                          config->mac_translation ? "mac-translation" : NULL;

        return !key ||
               refuse(error, "'%s' is for networks of mode bridged", key);
    }
    if (config->bridge_mode == NETWORK_BRIDGE_MACVTAP &&
        config->mac_translation == NETWORK_ON) {
        return refuse(error, "'mac-translation' needs bridge-mode=packet: a "
                      "macvtap has an address of its own");
    }
    for (i = 0; i < G_N_ELEMENTS(odd); i++) {
        if (odd[i].is_written) {
            return refuse(error, "'%s' cannot be had in mode bridged: it is as "
                          "on the interface's network", odd[i].key);
        }
    }
    return true;
}

bool network_config_check(const NetworkConfig *config, GError **error)
{
    return check_bridged(config, error) && check_name(config->name, error) && check_range(config, error) &&
           check_prefix6(config, error) && check_numbers(config, error) &&
           check_uuid(config, error) && check_external(config, error) &&
           check_uplink(config, error);
}

/* Values */

static bool is_on(NetworkSwitch value, bool default_value)
{
    return value == NETWORK_DEFAULT ? default_value : value == NETWORK_ON;
}

NetworkSettings network_settings_of(const NetworkConfig *config)
{
    bool has_gateway = !config->net_uuid &&
                       config->mode != NETWORK_MODE_BRIDGED;
    bool is_shared = config->mode == NETWORK_MODE_SHARED;
    NetworkSettings settings = {
        .mtu_bytes = config->mtu_bytes ? config->mtu_bytes :
                     NETWORK_MTU_DEFAULT,
        .lease_s = config->lease_s ? config->lease_s : NETWORK_LEASE_S_DEFAULT,
        .dhcp = is_on(config->dhcp, has_gateway),
        .dns = is_on(config->dns, has_gateway),
        .host_loopback = is_on(config->host_loopback, false),
        .ra = is_on(config->ra, has_gateway),
        .nat44 = is_on(config->nat44, is_shared),
        .nat66 = is_on(config->nat66, is_shared),
        .uplink = config->uplink,
    };

    g_strlcpy(settings.external_interface, config->external_interface ?: "",
              sizeof(settings.external_interface));
    return settings;
}

NetworkAddresses network_addresses_written(const NetworkConfig *config)
{
    uint32_t net = config->start_address & config->subnet_mask;

    return (NetworkAddresses){
        .prefix = { ip_addr_v4(net), ip_mask_to_len(config->subnet_mask) },
        .gateway = config->start_address,
        .pool_first = config->start_address + 1,
        .pool_last = config->end_address,
        .written = true,
    };
}

char *network_config_own_name(const NetworkConfig *config)
{
    const char *mode = network_mode_str(config->mode);
    char text[IP_STRLEN];
    char *name;

    if (config->net_uuid) {
        g_autofree char *uuid = g_ascii_strdown(config->net_uuid, -1);

        return g_strdup_printf("%s-%s", mode, uuid);
    }
    if (config->has_range) {
        NetworkAddresses a = network_addresses_written(config);

        return g_strdup_printf("%s-%s-%u", mode,
                               ip_addr_format(&a.prefix.addr, text),
                               a.prefix.len);
    }
    name = g_strdup_printf("%s-%s-64", mode,
                           ip_addr_format(&config->prefix6.addr, text));
    return g_strdelimit(name, ":", '_');
}
