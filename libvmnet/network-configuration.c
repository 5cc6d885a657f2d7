/*
 * Configurations of networks: the arguments of network-add
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <arpa/inet.h>
#include <string.h>

#include "libvmnet/network-int.h"

struct VmnetNetworkConfiguration {
    VmnetOperatingMode mode;
    JsonValue *args;
    JsonValue *reservations;    /* (transfer none) in @args */
    JsonValue *rules;
};

const char *network_mode_name(VmnetOperatingMode mode)
{
    switch (mode) {
    case VMNET_HOST_MODE:
        return "host";
    case VMNET_SHARED_MODE:
        return "shared";
    case VMNET_BRIDGED_MODE:
        return "bridged";
    }
    return "";  /* the daemon refuses it */
}

VmnetNetworkConfiguration *vmnet_network_configuration_new(VmnetOperatingMode mode)
{
    VmnetNetworkConfiguration *config = g_new0(VmnetNetworkConfiguration, 1);

    config->mode = mode;
    config->args = json_dict();
    config->reservations = json_list();
    config->rules = json_list();
    json_dict_set_string(config->args, "mode", network_mode_name(mode));
    json_dict_set_string(config->args, "lifetime", "client");
    json_dict_set(config->args, "reservations", config->reservations);
    json_dict_set(config->args, "hostfwd", config->rules);
    return config;
}

void vmnet_network_configuration_free(VmnetNetworkConfiguration *config)
{
    if (config) {
        json_unref(config->args);
        g_free(config);
    }
}

/* Values are immutable once they are shared: a request gets its own. */
JsonValue *network_configuration_args(const VmnetNetworkConfiguration *config)
{
    g_autofree char *text = json_to_text(config->args);

    return json_parse(text, strlen(text), NULL);
}

void vmnet_network_configuration_set_name(VmnetNetworkConfiguration *config,
                                          const char *name)
{
    json_dict_set_string(config->args, "name", name);
}

void vmnet_network_configuration_set_stay(VmnetNetworkConfiguration *config,
                                          gboolean stay)
{
    json_dict_set_string(config->args, "lifetime", stay ? "daemon" : "client");
}

void vmnet_network_configuration_set_strict(VmnetNetworkConfiguration *config,
                                            gboolean strict)
{
    json_dict_set_string(config->args, "match", strict ? "strict" : "adopt");
}

static bool refuse(GError **error, const char *text)
{
    g_set_error_literal(error, VMNET_ERROR, VMNET_INVALID_ARGUMENT, text);
    return false;
}

static void set_v4(JsonValue *args, const char *key, uint32_t host_order)
{
    struct in_addr addr = { htonl(host_order) };
    char text[INET_ADDRSTRLEN];

    json_dict_set_string(args, key,
                         inet_ntop(AF_INET, &addr, text, sizeof(text)));
}

gboolean
vmnet_network_configuration_set_ipv4_subnet(VmnetNetworkConfiguration *config,
                                            const struct in_addr *subnet,
                                            const struct in_addr *mask,
                                            GError **error)
{
    uint32_t bits = ntohl(mask->s_addr);
    uint32_t net = ntohl(subnet->s_addr) & bits;

    if (~bits & (~bits + 1) || ~bits < 3) {
        return refuse(error, "the mask is not that of a subnet with room for "
                      "guests");
    }
    set_v4(config->args, "start-address", net + 1);
    set_v4(config->args, "end-address", net + ~bits - 1);
    set_v4(config->args, "subnet-mask", bits);
    return true;
}

gboolean
vmnet_network_configuration_set_ipv6_prefix(VmnetNetworkConfiguration *config,
                                            const struct in6_addr *prefix,
                                            guint8 prefix_len, GError **error)
{
    char text[INET6_ADDRSTRLEN];

    if (prefix_len != 64) {
        return refuse(error, "the prefix is not 64 bits long");
    }
    json_dict_set_string(config->args, "ipv6-prefix",
                         inet_ntop(AF_INET6, prefix, text, sizeof(text)));
    return true;
}

void vmnet_network_configuration_set_mtu(VmnetNetworkConfiguration *config,
                                         guint32 mtu_bytes)
{
    json_dict_set_int(config->args, "mtu", mtu_bytes);
}

void
vmnet_network_configuration_set_lease_time(VmnetNetworkConfiguration *config,
                                           guint32 lease_s)
{
    json_dict_set_int(config->args, "lease-time", lease_s);
}

void vmnet_network_configuration_set_external_interface(
    VmnetNetworkConfiguration *config, const char *ifname)
{
    json_dict_set_string(config->args, config->mode == VMNET_BRIDGED_MODE
                                       ? "ifname" : "external-interface",
                         ifname);
}

void vmnet_network_configuration_disable_dhcp(
    VmnetNetworkConfiguration *config)
{
    json_dict_set_bool(config->args, "dhcp", false);
}

void vmnet_network_configuration_disable_dns_proxy(
    VmnetNetworkConfiguration *config)
{
    json_dict_set_bool(config->args, "dns", false);
}

void vmnet_network_configuration_disable_nat44(
    VmnetNetworkConfiguration *config)
{
    json_dict_set_bool(config->args, "nat44", false);
}

void vmnet_network_configuration_disable_nat66(
    VmnetNetworkConfiguration *config)
{
    json_dict_set_bool(config->args, "nat66", false);
}

void vmnet_network_configuration_disable_router_advertisement(
    VmnetNetworkConfiguration *config)
{
    json_dict_set_bool(config->args, "router-advertisement", false);
}

void vmnet_network_configuration_add_dhcp_reservation(
    VmnetNetworkConfiguration *config, const guint8 *mac,
    const struct in_addr *address)
{
    g_autofree char *mac_text = g_strdup_printf(
        "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3],
        mac[4], mac[5]);
    JsonValue *entry = json_dict();

    json_dict_set_string(entry, "mac", mac_text);
    set_v4(entry, "address", ntohl(address->s_addr));
    json_list_append(config->reservations, entry);
}

/* An address as hostfwd has it: IPv6 in brackets. */
static char *rule_address(const char *address)
{
    return strchr(address, ':') ? g_strdup_printf("[%s]", address)
                                : g_strdup(address);
}

bool network_rule_check(const VmnetPortForwardingRule *rule, GError **error)
{
    unsigned char addr[sizeof(struct in6_addr)];

    if (rule->protocol != IPPROTO_TCP && rule->protocol != IPPROTO_UDP) {
        return refuse(error, "the rule's protocol is neither TCP nor UDP");
    }
    if (!rule->guest_address || !rule->guest_port ||
        (inet_pton(AF_INET, rule->guest_address, addr) != 1 &&
         inet_pton(AF_INET6, rule->guest_address, addr) != 1)) {
        return refuse(error, "the rule lacks a guest's address and port");
    }
    if (rule->host_address &&
        inet_pton(AF_INET, rule->host_address, addr) != 1 &&
        inet_pton(AF_INET6, rule->host_address, addr) != 1) {
        return refuse(error, "the rule's host address is none");
    }
    return true;
}

gboolean vmnet_network_configuration_add_port_forwarding_rule(
    VmnetNetworkConfiguration *config, const VmnetPortForwardingRule *rule,
    GError **error)
{
    g_autofree char *host = rule_address(rule->host_address ?: "");
    g_autofree char *guest = rule_address(rule->guest_address ?: "");
    g_autofree char *text = g_strdup_printf(
        "%s:%s:%u-%s:%u", rule->protocol == IPPROTO_UDP ? "udp" : "tcp",
        host, rule->host_port, guest, rule->guest_port);

    if (!network_rule_check(rule, error)) {
        return false;
    }
    json_list_append(config->rules, json_string(text));
    return true;
}
