/*
 * vmnetctl: forwards
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <stdio.h>
#include <string.h>

#include "ctl.h"
#include "forward-spec.h"
#include "ip-text.h"
#include "text.h"

#define ZONE ".vmnet.internal"

static const char *const forward_headers[] = {
    "PROTOCOL", "HOST", "GUEST", "NETWORK", "NETDEV", "LIFETIME", NULL,
};

/* "address:port", IPv6 in brackets; @address NULL is "*". (transfer full) */
static char *endpoint(const char *address, int64_t port)
{
    bool brackets = address && strchr(address, ':');

    return g_strdup_printf("%s%s%s:%d", brackets ? "[" : "", address ?: "*",
                           brackets ? "]" : "", (int)port);
}

/* Guests */

static bool set_network(Ctl *ctl, JsonValue *args, const char *network,
                        const char *text, GError **error)
{
    const char *before = json_dict_get_string(args, "network");

    if (before && network && strcmp(before, network) != 0 && !ctl->network) {
        return ctl_fail(error, "guest '%s' is on network '%s' and on '%s', "
                        "choose by --network", text, before, network);
    }
    if (!ctl->network && network) {
        json_dict_set_string(args, "network", network);
    }
    return true;
}

static bool lease_matches(const JsonValue *lease, const char *text,
                          const char *only_network)
{
    const char *hostname = json_dict_get_string(lease, "hostname");
    const char *address = json_dict_get_string(lease, "address");

    if (only_network &&
        g_strcmp0(json_dict_get_string(lease, "network"), only_network) != 0) {
        return false;
    }
    return g_strcmp0(json_dict_get_string(lease, "state"), "bound") == 0 &&
           ((hostname && g_ascii_strcasecmp(hostname, text) == 0) ||
            g_strcmp0(address, text) == 0);
}

/* A lease by host name or address; false with @error only if ambiguous. */
static bool set_guest_by_lease(Ctl *ctl, JsonValue *args, const char *text,
                               bool *ret_found, GError **error)
{
    g_autoptr(JsonValue) leases = ctl_query(ctl, "query-leases", error);
    size_t i;

    for (i = 0; leases && i < json_list_size(leases); i++) {
        const JsonValue *lease = json_list_get(leases, i);

        if (!lease_matches(lease, text, ctl->network)) {
            continue;
        }
        if (!set_network(ctl, args, json_dict_get_string(lease, "network"),
                         text, error)) {
            return false;
        }
        json_dict_set_string(args, "guest", text);
        *ret_found = true;
    }
    return leases != NULL;
}

/* The netdev of the machine of that name, if it has one. */
static bool set_guest_by_vm(Ctl *ctl, JsonValue *args, const char *text,
                            bool *ret_found, GError **error)
{
    g_autoptr(JsonValue) netdevs = ctl_query(ctl, "query-netdevs", error);
    size_t i;

    for (i = 0; netdevs && i < json_list_size(netdevs); i++) {
        const JsonValue *netdev = json_list_get(netdevs, i);
        const char *network = json_dict_get_string(netdev, "network");
        const char *id = json_dict_get_string(netdev, "id");

        if (g_strcmp0(json_dict_get_string(netdev, "vm"), text) != 0 ||
            (ctl->network && g_strcmp0(network, ctl->network) != 0)) {
            continue;
        }
        if (*ret_found) {
            return ctl_fail(error, "machine '%s' has netdevs '%s' and '%s', "
                            "name one of them", text,
                            json_dict_get_string(args, "netdev"), id);
        }
        json_dict_set_string(args, "netdev", id);
        *ret_found = true;
    }
    return netdevs != NULL;
}

/* An address that has no lease, on the network whose subnet it is in. */
static bool set_guest_by_address(Ctl *ctl, JsonValue *args, const char *text,
                                 GError **error)
{
    g_autoptr(JsonValue) networks = ctl_query(ctl, "query-networks", error);
    size_t i;

    if (!networks) {
        return false;
    }
    json_dict_set_string(args, "guest-address", text);
    for (i = 0; !ctl->network && i < json_list_size(networks); i++) {
        const JsonValue *network = json_list_get(networks, i);

        if (ip_text_in_subnet(text, json_dict_get_string(network, "subnet")) ||
            ip_text_in_subnet(text, json_dict_get_string(network,
                                                         "ipv6-prefix"))) {
            json_dict_set_string(args, "network",
                                 json_dict_get_string(network, "name"));
        }
    }
    return true;
}

bool ctl_set_guest(Ctl *ctl, JsonValue *args, const char *text, GError **error)
{
    g_autofree char *name = g_str_has_suffix(text, ZONE) ?
        g_strndup(text, strlen(text) - strlen(ZONE)) : g_strdup(text);
    bool found = false;

    if (ctl->network) {
        json_dict_set_string(args, "network", ctl->network);
    }
    if (strchr(name, '/')) {
        json_dict_set_string(args, "netdev", name);
        return true;
    }
    if (!set_guest_by_lease(ctl, args, name, &found, error)) {
        return false;
    }
    if (!found && ip_text_is_address(name)) {
        return set_guest_by_address(ctl, args, name, error);
    }
    if (!found && !set_guest_by_vm(ctl, args, name, &found, error)) {
        return false;
    }
    return found ||
           ctl_fail(error, "no guest '%s' has a lease, and no machine with a "
                    "network has that name; `vmnetctl leases` lists them",
                    name);
}

/* Commands */

static void print_rule(const JsonValue *info)
{
    g_autofree char *host = endpoint(
        json_dict_get_string(info, "host-address"), ctl_int(info, "host-port"));
    const char *address = json_dict_get_string(info, "guest-address");
    g_autofree char *guest = endpoint(
        address ?: json_dict_get_string(info, "netdev"),
        ctl_int(info, "guest-port"));
    g_autofree char *line = g_strdup_printf(
        "%s %s -> %s on %s", json_dict_get_string(info, "protocol") ?: "tcp",
        host, guest, json_dict_get_string(info, "network") ?: "?");
    g_autofree char *escaped = text_escape(line);

    puts(escaped);
}

/* What says which rule it is. (transfer full) */
static JsonValue *host_args(const ForwardSpec *spec)
{
    JsonValue *args = json_dict();

    if (spec->protocol) {
        json_dict_set_string(args, "protocol", spec->protocol);
    }
    if (spec->host_address) {
        json_dict_set_string(args, "host-address", spec->host_address);
    }
    json_dict_set_int(args, "host-port", spec->host_port);
    return args;
}

bool ctl_forward_add(Ctl *ctl, int argc, char **argv, GError **error)
{
    g_autoptr(ForwardSpec) spec = forward_spec_parse(argv[0], error);
    g_autoptr(JsonValue) args = NULL;
    g_autoptr(JsonValue) info = NULL;

    if (!spec) {
        return false;
    }
    args = host_args(spec);
    json_dict_set_int(args, "guest-port", spec->guest_port);
    if (ctl->persistent) {
        json_dict_set_string(args, "lifetime", "persistent");
    }
    if (!ctl_set_guest(ctl, args, spec->guest, error)) {
        return false;
    }
    info = vmnet_client_execute(ctl->client, "forward-add",
                                g_steal_pointer(&args), error);
    if (!info) {
        return false;
    }
    if (ctl->json) {
        ctl_print_json(info);
    } else {
        print_rule(info);
    }
    return true;
}

bool ctl_forward_remove(Ctl *ctl, int argc, char **argv, GError **error)
{
    g_autoptr(ForwardSpec) spec = forward_spec_parse_host(argv[0], error);
    g_autoptr(JsonValue) result = NULL;

    if (!spec) {
        return false;
    }
    result = vmnet_client_execute(ctl->client, "forward-remove",
                                  host_args(spec), error);
    if (result && ctl->json) {
        ctl_print_json(result);
    }
    return result != NULL;
}

/* A JSON list of those of --network. */
static JsonValue *query_forwards(Ctl *ctl, GError **error)
{
    g_autoptr(JsonValue) all = ctl_query(ctl, "query-forwards", error);
    JsonValue *list;
    size_t i;

    if (!all) {
        return NULL;
    }
    list = json_list();
    for (i = 0; i < json_list_size(all); i++) {
        const JsonValue *info = json_list_get(all, i);

        if (!ctl->network ||
            g_strcmp0(json_dict_get_string(info, "network"),
                      ctl->network) == 0) {
            json_list_append(list, json_ref((JsonValue *)info));
        }
    }
    return list;
}

static void add_lifetime(TextTable *table, const JsonValue *info)
{
    const char *lifetime = json_dict_get_string(info, "lifetime");
    const char *error = json_dict_get_string(info, "error");
    g_autofree char *text = error ?
        g_strdup_printf("%s, not in force: %s", lifetime ?: "?", error) : NULL;

    text_table_add(table, text ?: lifetime);
}

bool ctl_forward_list(Ctl *ctl, int argc, char **argv, GError **error)
{
    g_autoptr(TextTable) table = text_table_new(forward_headers);
    g_autoptr(JsonValue) forwards = query_forwards(ctl, error);
    size_t i;

    if (!forwards) {
        return false;
    }
    if (ctl->json) {
        ctl_print_json(forwards);
        return true;
    }
    for (i = 0; i < json_list_size(forwards); i++) {
        const JsonValue *info = json_list_get(forwards, i);
        g_autofree char *host = endpoint(
            json_dict_get_string(info, "host-address"),
            ctl_int(info, "host-port"));
        g_autofree char *guest = endpoint(
            json_dict_get_string(info, "guest-address") ?: "?",
            ctl_int(info, "guest-port"));

        text_table_add(table, json_dict_get_string(info, "protocol"));
        text_table_add(table, host);
        text_table_add(table, guest);
        text_table_add(table, json_dict_get_string(info, "network"));
        text_table_add(table, json_dict_get_string(info, "netdev"));
        add_lifetime(table, info);
    }
    if (!i) {
        puts("no forwards");
    }
    text_table_print(table, "");
    return true;
}
