/*
 * vmnetctl: what runs, at a glance; leases
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "ctl.h"
#include "libvmnet/paths.h"
#include "text.h"

static const char *const network_headers[] = {
    "NETWORK", "MODE", "SUBNET", "GATEWAY", "IPV6", "MTU", "NETDEVS", "LEASES",
    "FORWARDS", NULL,
};
static const char *const netdev_headers[] = {
    "NETDEV", "NETWORK", "PORT", "STATE", "MAC", "ADDRESS", "NAME", NULL,
};
static const char *const lease_headers[] = {
    "ADDRESS", "NAME", "MAC", "STATE", "EXPIRES", "NETWORK", "NETDEV", NULL,
};

static void add_text(TextTable *table, const JsonValue *dict, const char *key)
{
    text_table_add(table, json_dict_get_string(dict, key));
}

static void add_number(TextTable *table, const JsonValue *dict,
                       const char *key)
{
    g_autofree char *text = g_strdup_printf("%" G_GINT64_FORMAT,
                                            ctl_int(dict, key));

    text_table_add(table, text);
}

/* "2 h 5 min", of the two largest units. */
static char *duration(int64_t seconds)
{
    int64_t minutes = seconds / 60, hours = minutes / 60, days = hours / 24;

    if (days) {
        return g_strdup_printf("%d d %d h", (int)days, (int)(hours % 24));
    }
    if (hours) {
        return g_strdup_printf("%d h %d min", (int)hours, (int)(minutes % 60));
    }
    return minutes ? g_strdup_printf("%d min", (int)minutes)
                   : g_strdup_printf("%d s", (int)seconds);
}

static void print_field(const char *name, const char *text)
{
    g_autofree char *escaped = text ? text_escape(text) : NULL;

    if (escaped) {
        printf("  %-8s%s\n", name, escaped);
    }
}

static void print_daemon(Ctl *ctl, const JsonValue *daemon)
{
    int64_t started = ctl_int(daemon, "started");
    int64_t supervisor = ctl_int(daemon, "supervisor-pid");
    g_autofree char *since = duration(MAX(time(NULL) - started, 0));
    int64_t others = ctl_int(daemon, "clients") - 1;     /* not ourselves */

    printf("vmnetd %s, pid %d", vmnet_client_get_version(ctl->client),
           (int)ctl_int(daemon, "pid"));
    if (supervisor) {
        printf(" (supervisor %d)", (int)supervisor);
    }
    printf(", running for %s, %d other client%s\n", since,
           (int)MAX(others, 0), others == 1 ? "" : "s");
    print_field("socket", json_dict_get_string(daemon, "socket"));
    print_field("state", json_dict_get_string(daemon, "state-dir"));
    print_field("log", json_dict_get_string(daemon, "log-file") ?:
                "(standard error)");
}

static void print_networks(const JsonValue *networks)
{
    g_autoptr(TextTable) table = text_table_new(network_headers);
    size_t i;

    for (i = 0; i < json_list_size(networks); i++) {
        const JsonValue *network = json_list_get(networks, i);

        add_text(table, network, "name");
        add_text(table, network, "mode");
        add_text(table, network, "subnet");
        add_text(table, network, "gateway");
        add_text(table, network, "ipv6-prefix");
        add_number(table, network, "mtu");
        add_number(table, network, "netdevs");
        add_number(table, network, "leases");
        add_number(table, network, "forwards");
    }
    if (i) {
        putchar('\n');
    }
    text_table_print(table, "");
}

static void print_netdevs(const JsonValue *netdevs)
{
    g_autoptr(TextTable) table = text_table_new(netdev_headers);
    size_t i;

    for (i = 0; i < json_list_size(netdevs); i++) {
        const JsonValue *netdev = json_list_get(netdevs, i);
        bool connected = false;

        json_dict_get_bool(netdev, "connected", &connected);
        add_text(table, netdev, "id");
        add_text(table, netdev, "network");
        add_text(table, netdev, "port");
        text_table_add(table, connected ? "connected" : "waiting");
        add_text(table, netdev, "mac");
        add_text(table, netdev, "address");
        add_text(table, netdev, "hostname");
    }
    if (i) {
        putchar('\n');
    }
    text_table_print(table, "");
}

static bool overview_not_running(Ctl *ctl)
{
    g_autoptr(JsonValue) state = NULL;
    g_autofree char *message = text_escape(ctl->no_daemon->message);

    if (ctl->json) {
        state = json_dict();
        json_dict_set_bool(state, "running", false);
        ctl_print_json(state);
    } else {
        puts(message);
    }
    return false;
}

bool ctl_overview(Ctl *ctl, int argc, char **argv, GError **error)
{
    static const struct {
        const char *key;
        const char *command;
    } parts[] = {
        { "daemon", "query-daemon" },
        { "version", "query-version" },
        { "networks", "query-networks" },
        { "netdevs", "query-netdevs" },
        { "forwards", "query-forwards" },
    };
    g_autoptr(JsonValue) all = json_dict();
    size_t i;

    if (!ctl->client) {
        return overview_not_running(ctl);
    }
    json_dict_set_bool(all, "running", true);
    for (i = 0; i < G_N_ELEMENTS(parts); i++) {
        JsonValue *part = ctl_query(ctl, parts[i].command, error);

        if (!part) {
            return false;
        }
        json_dict_set(all, parts[i].key, part);
    }
    if (ctl->json) {
        ctl_print_json(all);
        return true;
    }
    print_daemon(ctl, json_dict_get(all, "daemon"));
    if (json_list_size(json_dict_get(all, "networks")) == 0) {
        puts("\nno networks");
        return true;
    }
    print_networks(json_dict_get(all, "networks"));
    print_netdevs(json_dict_get(all, "netdevs"));
    if (json_list_size(json_dict_get(all, "forwards")) > 0) {
        putchar('\n');
        return ctl_forward_list(ctl, 0, argv, error);
    }
    return true;
}

static char *expiry(const JsonValue *lease)
{
    int64_t left = ctl_int(lease, "expires") - time(NULL);
    g_autofree char *text = duration(left < 0 ? -left : left);

    return left < 0 ? g_strdup_printf("%s ago", text)
                    : g_strdup_printf("in %s", text);
}

bool ctl_leases(Ctl *ctl, int argc, char **argv, GError **error)
{
    g_autoptr(TextTable) table = text_table_new(lease_headers);
    g_autoptr(JsonValue) leases = NULL;
    JsonValue *args = NULL;
    size_t i;

    if (ctl->network) {
        args = json_dict();
        json_dict_set_string(args, "network", ctl->network);
    }
    leases = vmnet_client_execute(ctl->client, "query-leases", args, error);
    if (!leases) {
        return false;
    }
    if (ctl->json) {
        ctl_print_json(leases);
        return true;
    }
    for (i = 0; i < json_list_size(leases); i++) {
        const JsonValue *lease = json_list_get(leases, i);
        g_autofree char *expires = expiry(lease);

        add_text(table, lease, "address");
        add_text(table, lease, "hostname");
        add_text(table, lease, "mac");
        add_text(table, lease, "state");
        text_table_add(table, expires);
        add_text(table, lease, "network");
        add_text(table, lease, "netdev");
    }
    if (!i) {
        puts("no leases");
    }
    text_table_print(table, "");
    return true;
}
