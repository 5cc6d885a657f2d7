/*
 * Port forwarding rules of a network that runs
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <netinet/in.h>
#include <string.h>

#include "libvmnet/network-int.h"

static const char *protocol_name(int protocol)
{
    return protocol == IPPROTO_UDP ? "udp" : "tcp";
}

/* A port that the daemon tells; 0 if it is none. */
static guint16 read_port(const JsonValue *info, const char *key)
{
    int64_t port;

    return json_dict_get_int(info, key, &port) && port > 0 &&
           port <= G_MAXUINT16 ? port : 0;
}

gboolean
vmnet_network_add_port_forwarding_rule(VmnetNetwork *network,
                                       const VmnetPortForwardingRule *rule,
                                       guint16 *ret_host_port, int timeout_ms,
                                       GError **error)
{
    g_autoptr(JsonValue) info = NULL;
    JsonValue *args;

    if (!network_rule_check(rule, error)) {
        return false;
    }
    args = json_dict();
    json_dict_set_string(args, "network", vmnet_network_get_name(network));
    json_dict_set_string(args, "protocol", protocol_name(rule->protocol));
    if (rule->host_address) {
        json_dict_set_string(args, "host-address", rule->host_address);
    }
    json_dict_set_int(args, "host-port", rule->host_port);
    json_dict_set_string(args, "guest-address", rule->guest_address);
    json_dict_set_int(args, "guest-port", rule->guest_port);
    info = client_execute(network_client(network), "forward-add", args,
                          timeout_ms, error);
    if (info && ret_host_port) {
        *ret_host_port = read_port(info, "host-port");
    }
    return info != NULL;
}

gboolean vmnet_network_remove_port_forwarding_rule(VmnetNetwork *network,
                                                   int protocol,
                                                   const char *host_address,
                                                   guint16 host_port,
                                                   int timeout_ms,
                                                   GError **error)
{
    g_autoptr(JsonValue) result = NULL;
    JsonValue *args = json_dict();

    json_dict_set_string(args, "protocol", protocol_name(protocol));
    if (host_address) {
        json_dict_set_string(args, "host-address", host_address);
    }
    json_dict_set_int(args, "host-port", host_port);
    result = client_execute(network_client(network), "forward-remove", args,
                            timeout_ms, error);
    return result != NULL;
}

static void rule_free(gpointer opaque)
{
    VmnetPortForwardingRule *rule = opaque;

    g_free((char *)rule->host_address);
    g_free((char *)rule->guest_address);
    g_free(rule);
}

GPtrArray *vmnet_network_get_port_forwarding_rules(VmnetNetwork *network,
                                                   int timeout_ms,
                                                   GError **error)
{
    g_autoptr(JsonValue) list = client_execute(network_client(network),
                                               "query-forwards", NULL,
                                               timeout_ms, error);
    GPtrArray *rules;
    size_t i;

    if (!list) {
        return NULL;
    }
    rules = g_ptr_array_new_with_free_func(rule_free);
    for (i = 0; i < json_list_size(list); i++) {
        const JsonValue *info = json_list_get(list, i);
        VmnetPortForwardingRule *rule;

        if (g_strcmp0(json_dict_get_string(info, "network"),
                      vmnet_network_get_name(network)) != 0) {
            continue;
        }
        rule = g_new0(VmnetPortForwardingRule, 1);
        rule->protocol = g_strcmp0(json_dict_get_string(info, "protocol"),
                                   "udp") == 0 ? IPPROTO_UDP : IPPROTO_TCP;
        rule->host_address = g_strdup(json_dict_get_string(info,
                                                           "host-address"));
        rule->host_port = read_port(info, "host-port");
        rule->guest_address = g_strdup(json_dict_get_string(info,
                                                            "guest-address"));
        rule->guest_port = read_port(info, "guest-port");
        g_ptr_array_add(rules, rule);
    }
    return rules;
}
