/*
 * What a user wrote of a network: does it agree with what runs?
 *
 * Options that were not written do (match=adopt), or are the defaults and must
 * agree (strict).  The default of addresses is the network's own choice, which
 * depends on what the host routes: whatever it chose is equal.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "network/network-internal.h"

#include <string.h>

G_GNUC_PRINTF(4, 5)
static void differ(GString *list, bool looked_at, const char *key,
                   const char *format, ...)
{
    va_list args;

    if (!looked_at) {
        return;
    }
    if (list->len > 0) {
        g_string_append(list, "; ");
    }
    g_string_append_printf(list, "%s ", key);
    va_start(args, format);
    g_string_append_vprintf(list, format, args);
    va_end(args);
}

static void differ_v4(GString *list, const char *key, uint32_t wanted_v4,
                      uint32_t have_v4)
{
    IpAddr wanted = ip_addr_v4(wanted_v4), have = ip_addr_v4(have_v4);
    char a[IP_STRLEN], b[IP_STRLEN];

    differ(list, wanted_v4 != have_v4, key, "%s is wanted, %s is in force",
           ip_addr_format(&wanted, a), ip_addr_format(&have, b));
}

static void differ_u32(GString *list, bool looked_at, const char *key,
                       uint32_t wanted, uint32_t have)
{
    differ(list, looked_at && wanted != have, key,
           "%u is wanted, %u is in force", wanted, have);
}

static void differ_bool(GString *list, bool looked_at, const char *key,
                        bool wanted, bool have)
{
    differ(list, looked_at && wanted != have, key,
           "%s is wanted, %s is in force", wanted ? "on" : "off",
           have ? "on" : "off");
}

/* Whether @have is what a network gets for which no range is written. */
static bool is_default_range(const NetworkConfig *config,
                             const NetworkAddresses *have)
{
    const char *name = config->name ?: network_mode_str(config->mode);
    NetworkAddresses usual;
    IpPrefix subnet;

    if (!have->written) {
        return true;
    }
    if (!subnet_predefined(name, &subnet)) {
        return false;
    }
    usual = network_addresses_of(&subnet);
    return have->prefix.len == usual.prefix.len &&
           have->gateway == usual.gateway &&
           have->pool_last == usual.pool_last;
}

static void differ_default(GString *list, const char *key, const IpAddr *have)
{
    char text[IP_STRLEN];

    differ(list, true, key, "of the network's choice is wanted, %s is in force",
           ip_addr_format(have, text));
}

/* Addresses that were not written are the network's to choose, strictly. */
static void differ_chosen(GString *list, const NetworkConfig *config,
                          const NetworkState *state)
{
    const NetworkAddresses *have = &state->addresses;
    IpAddr start = ip_addr_v4(have->gateway);
    IpAddr end = ip_addr_v4(have->pool_last);
    IpAddr mask = ip_addr_v4(ip_len_to_mask(have->prefix.len));

    if (have->prefix.addr.family != AF_INET) {
        return;
    }
    if (!config->has_range && !is_default_range(config, have)) {
        differ_default(list, "start-address", &start);
        differ_default(list, "end-address", &end);
        differ_default(list, "subnet-mask", &mask);
    }
    if (config->prefix6.addr.family != AF_INET6 && state->prefix6_written) {
        differ_default(list, network_prefix6_key(config->mode),
                       &state->prefix6.addr);
    }
}

static void differ_addresses(GString *list, const NetworkConfig *config,
                             const NetworkState *state)
{
    char a[IP_STRLEN], b[IP_STRLEN];

    if (config->has_range) {
        const NetworkAddresses *have = &state->addresses;

        differ_v4(list, "start-address", config->start_address, have->gateway);
        differ_v4(list, "end-address", config->end_address, have->pool_last);
        differ_v4(list, "subnet-mask", config->subnet_mask,
                  ip_len_to_mask(have->prefix.len));
    }
    if (config->prefix6.addr.family == AF_INET6) {
        differ(list, !ip_addr_equal(&config->prefix6.addr,
                                    &state->prefix6.addr),
               network_prefix6_key(config->mode),
               "%s/64 is wanted, %s/64 is in force",
               ip_addr_format(&config->prefix6.addr, a),
               ip_addr_format(&state->prefix6.addr, b));
    }
}

static void differ_external(GString *list, const NetworkConfig *config,
                            const NetworkSettings *have)
{
    const char *want = config->external_interface ?: "";
    bool looked_at = config->external_interface ||
                     config->match == NETWORK_MATCH_STRICT;

    differ(list, looked_at && strcmp(want, have->external_interface) != 0,
           "external-interface", "'%s' is wanted, '%s' is in force", want,
           have->external_interface);
}

static void differ_ifname(GString *list, const NetworkConfig *config,
                          const NetworkSettings *have)
{
    const char *want = config->ifname;

    differ(list, want && strcmp(want, have->ifname) != 0, "ifname",
           "'%s' is wanted, '%s' is in force", want, have->ifname);
}

/* The default depends on what the instance may do: any is equal. */
static void differ_uplink(GString *list, const NetworkConfig *config,
                          const NetworkSettings *have)
{
    static const char *const names[] = { "none", "sockets", "kernel" };

    differ(list, config->uplink && config->uplink != have->uplink, "uplink",
           "%s is wanted, %s is in force", names[config->uplink],
           names[have->uplink]);
}

static void differ_bridged(GString *list, const NetworkConfig *config,
                           const NetworkSettings *have)
{
    static const char *const names[] = { "none", "macvtap", "packet" };

    differ(list, config->bridge_mode &&
           config->bridge_mode != have->bridge_mode, "bridge-mode",
           "%s is wanted, %s is in force", names[config->bridge_mode],
           names[have->bridge_mode]);
    differ_bool(list, config->mac_translation != NETWORK_DEFAULT,
                "mac-translation", config->mac_translation == NETWORK_ON,
                have->mac_translation);
}

static void differ_settings(GString *list, const NetworkConfig *config,
                            const NetworkSettings *have)
{
    NetworkSettings want = network_settings_of(config);
    bool strict = config->match == NETWORK_MATCH_STRICT;
    const struct {
        const char *key;
        NetworkSwitch written;
        bool want, have;
    } switches[] = {
        { "dhcp", config->dhcp, want.dhcp, have->dhcp },
        { "dns", config->dns, want.dns, have->dns },
        { "host-loopback", config->host_loopback, want.host_loopback,
          have->host_loopback },
        { "router-advertisement", config->ra, want.ra, have->ra },
        { "nat44", config->nat44, want.nat44, have->nat44 },
        { "nat66", config->nat66, want.nat66, have->nat66 },
    };
    unsigned i;

    differ_ifname(list, config, have);
    if (config->mode == NETWORK_MODE_BRIDGED) {
        differ_bridged(list, config, have);
        return;
    }
    differ_u32(list, strict || config->mtu_bytes, "mtu", want.mtu_bytes,
               have->mtu_bytes);
    differ_u32(list, strict || config->lease_s, "lease-time", want.lease_s,
               have->lease_s);
    for (i = 0; i < G_N_ELEMENTS(switches); i++) {
        differ_bool(list, strict || switches[i].written != NETWORK_DEFAULT,
                    switches[i].key, switches[i].want, switches[i].have);
    }
    differ_external(list, config, have);
    differ_uplink(list, config, have);
}

char *network_config_differs(const NetworkConfig *config, NetworkMode mode,
                             const NetworkState *state,
                             const NetworkSettings *have, bool addresses_only)
{
    g_autoptr(GString) list = g_string_new(NULL);

    differ_addresses(list, config, state);
    if (!addresses_only) {
        if (config->match == NETWORK_MATCH_STRICT) {
            differ_chosen(list, config, state);
        }
        differ(list, config->mode != mode, "mode",
               "%s is wanted, %s is in force", network_mode_str(config->mode),
               network_mode_str(mode));
        differ_settings(list, config, have);
    }
    return list->len > 0 ? g_string_free(g_steal_pointer(&list), FALSE) : NULL;
}
