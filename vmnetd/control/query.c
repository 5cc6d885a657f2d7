/*
 * What query commands and events show: the daemon's things in schema types
 *
 * Counters are turned round here: the switch's input is what a guest
 * transmits ("tx").
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "control/query.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "libvmnet/build.h"
#include "control/authorize.h"
#include "control/client.h"
#include "control/export.h"
#include "control/netdev.h"
#include "control/network-commands.h"
#include "network/interfaces.h"
#include "qapi/qapi-commands.h"
#include "qapi/qapi-error.h"
#include "qapi/qapi-introspect.h"
#include "vmnet/client.h"

VmnetMode query_mode(NetworkMode mode)
{
    switch (mode) {
    case NETWORK_MODE_HOST:
        return VMNET_MODE_HOST;
    case NETWORK_MODE_SHARED:
        return VMNET_MODE_SHARED;
    case NETWORK_MODE_BRIDGED:
        return VMNET_MODE_BRIDGED;
    case NETWORK_MODE__MAX:
        break;
    }
    g_assert_not_reached();
}

static char *address_text(const IpAddr *addr)
{
    char text[IP_STRLEN];

    if (addr->family == AF_UNSPEC) {
        return NULL;
    }
    return g_strdup(ip_addr_format(addr, text));
}

static char *mac_text(const MacAddr *mac)
{
    char text[MAC_STRLEN];

    return g_strdup(mac_format(mac, text));
}

char *query_prefix(const IpPrefix *prefix)
{
    char text[IP_STRLEN];

    if (prefix->addr.family == AF_UNSPEC) {
        return NULL;
    }
    return g_strdup_printf("%s/%u", ip_addr_format(&prefix->addr, text),
                           prefix->len);
}

LeaseInfo *query_lease(Control *control, Network *network, const Lease *lease)
{
    ControlNetdev *netdev = lease->port
                            ? netdev_by_port(control, network, lease->port)
                            : NULL;
    LeaseInfo *info = g_new0(LeaseInfo, 1);
    NetworkInfo about;

    network_info(network, &about);
    info->network = g_strdup(about.name);
    info->address = address_text(&lease->addr);
    info->mac = mac_text(&lease->mac);
    if (lease->client_id_len) {
        GString *hex = g_string_new(NULL);
        unsigned i;

        for (i = 0; i < lease->client_id_len; i++) {
            g_string_append_printf(hex, "%02x", lease->client_id[i]);
        }
        info->client_id = g_string_free(hex, FALSE);
    }
    info->hostname = lease->hostname[0] ? g_strdup(lease->hostname) : NULL;
    info->state = g_strdup(lease_state_str(lease->state));
    info->expires = lease->expires_s;
    info->netdev = netdev ? g_strdup(netdev->full_id) : NULL;
    return info;
}

static void add_counters(NetdevInfo *info, const ControlNetdev *netdev)
{
    SwitchPort *port = port_switch_port(netdev->port);
    const PortCounters *counters = switch_port_counters(port);
    int reason;

    info->tx_frames = counters->input_frames;
    info->tx_bytes = counters->input_bytes;
    info->rx_frames = counters->output_frames;
    info->rx_bytes = counters->output_bytes;
    for (reason = SWITCH_DROP__MAX; reason-- > 0;) {
        DropInfo *drop;

        if (!counters->drops[reason]) {
            continue;
        }
        drop = g_new0(DropInfo, 1);
        drop->reason = g_strdup(switch_drop_str(reason));
        drop->frames = counters->drops[reason];
        QAPI_LIST_PREPEND(info->drops, drop);
    }
}

static void add_network(NetdevInfo *info, const ControlNetdev *netdev)
{
    NetworkInfo about;
    Lease lease;

    network_info(netdev->network, &about);
    info->network = g_strdup(about.name);
    info->mtu = about.mtu_bytes;
    info->gateway = address_text(&about.gateway4);
    info->subnet = query_prefix(&about.prefix4);
    info->ipv6_prefix = query_prefix(&about.prefix6);
    if (network_lease_by_port(netdev->network, netdev_port_id(netdev), &lease)) {
        info->address = address_text(&lease.addr);
        info->hostname = lease.hostname[0] ? g_strdup(lease.hostname) : NULL;
    }
}

static bool is_isolated(const Netdev *options)
{
    switch (options->type) {
    case NET_CLIENT_DRIVER_VMNET_HOST:
        return options->u.vmnet_host.isolated;
    case NET_CLIENT_DRIVER_VMNET_SHARED:
        return options->u.vmnet_shared.isolated;
    case NET_CLIENT_DRIVER_VMNET_BRIDGED:
        return options->u.vmnet_bridged.isolated;
    case NET_CLIENT_DRIVER__MAX:
        break;
    }
    g_assert_not_reached();
}

static NetdevInfo *netdev_info(const ControlNetdev *netdev, const Client *client)
{
    NetdevInfo *info = g_new0(NetdevInfo, 1);

    info->id = g_strdup(netdev->owner == client ? netdev->id : netdev->full_id);
    info->type = netdev->options->type;
    info->lifetime = netdev->lifetime;
    info->vm = g_strdup(netdev->vm);
    info->mac = netdev->has_mac ? mac_text(&netdev->mac) : NULL;
    info->isolated = is_isolated(netdev->options);
    if (netdev->export) {
        info->connected = netdev->export->connected;
        info->export = netdev->export->owner == client
                       ? g_strdup(netdev->export->id)
                       : export_full_id(netdev->export);
    }
    if (info->connected) {
        info->port = g_strdup(port_kind_str(port_kind(netdev->port)));
    }
    add_network(info, netdev);
    add_counters(info, netdev);
    return info;
}

NetdevInfoList *qmp_query_netdevs(void *session, GError **error)
{
    Client *client = session;
    NetdevInfoList *list = NULL;
    unsigned i;

    for (i = client->control->netdevs->len; i-- > 0;) {
        QAPI_LIST_PREPEND(list, netdev_info(
                              g_ptr_array_index(client->control->netdevs, i),
                              client));
    }
    return list;
}

NetworkDetails *query_network(Control *control, Network *network)
{
    NetworkDetails *info = g_new0(NetworkDetails, 1);
    NetworkInfo about;
    IpAddr addr;

    network_info(network, &about);
    info->name = g_strdup(about.name);
    info->mode = query_mode(about.mode);
    info->net_uuid = g_strdup(about.net_uuid);
    info->subnet = query_prefix(&about.prefix4);
    info->gateway = address_text(&about.gateway4);
    if (about.dhcp && about.pool_first) {
        addr = ip_addr_v4(about.pool_first);
        info->pool_start = address_text(&addr);
        addr = ip_addr_v4(about.pool_last);
        info->pool_end = address_text(&addr);
    }
    info->ipv6_prefix = query_prefix(&about.prefix6);
    info->mac = mac_text(&about.gateway_mac);
    info->mtu = about.mtu_bytes;
    info->dhcp = about.dhcp;
    info->dns = about.dns;
    info->lease_time = about.lease_s;
    info->host_loopback = about.host_loopback;
    info->router_advertisement = about.ra;
    info->nat44 = about.nat44;
    info->nat66 = about.nat66;
    info->external_interface = about.external_interface[0] ?
                               g_strdup(about.external_interface) : NULL;
    info->has_uplink = about.uplink != NETWORK_UPLINK_DEFAULT;
    info->uplink = about.uplink == NETWORK_UPLINK_KERNEL ?
                   VMNET_UPLINK_KERNEL : VMNET_UPLINK_SOCKETS;
    info->ifname = about.ifname[0] ? g_strdup(about.ifname) : NULL;
    info->has_bridge_mode = info->has_mac_translation =
        about.bridge_mode != NETWORK_BRIDGE_DEFAULT;
    info->bridge_mode = about.bridge_mode == NETWORK_BRIDGE_PACKET
                        ? VMNET_BRIDGE_MODE_PACKET : VMNET_BRIDGE_MODE_MACVTAP;
    info->mac_translation = about.mac_translation;
    info->stays = held_network_stays(control, network);
    info->netdevs = about.n_ports;
    info->leases = about.n_leases;
    info->forwards = about.n_forwards;
    info->tcp_flows = about.nat.tcp_flows;
    info->udp_flows = about.nat.udp_flows;
    info->icmp_flows = about.nat.icmp_flows;
    info->flows_recycled = about.nat.flows_recycled;
    info->flows_refused = about.nat.flows_refused;
    return info;
}

NetworkDetailsList *qmp_query_networks(void *session, GError **error)
{
    Control *control = ((Client *)session)->control;
    g_autoptr(GPtrArray) networks = network_register_list(control->networks);
    NetworkDetailsList *list = NULL;
    unsigned i;

    for (i = networks->len; i-- > 0;) {
        QAPI_LIST_PREPEND(list, query_network(control, g_ptr_array_index(
                                                           networks, i)));
    }
    return list;
}

static SharedInterface *query_interface(const HostInterface *interface,
                                        int default_ifindex)
{
    SharedInterface *info = g_new0(SharedInterface, 1);

    info->name = g_strdup(interface->name);
    info->kind = interface->is_bridge ? SHARED_INTERFACE_KIND_BRIDGE
                                      : SHARED_INTERFACE_KIND_INTERFACE;
    info->q_default = interface->ifindex == default_ifindex;
    info->why_not = g_strdup(interface->why_not);
    return info;
}

SharedInterfaceList *qmp_query_shared_interfaces(void *session, GError **error)
{
    Control *control = ((Client *)session)->control;
    SharedInterfaceList *list = NULL;
    int by_default;
    g_autoptr(GArray) interfaces = network_shared_interfaces(control->networks,
                                                             &by_default);
    unsigned i;

    for (i = interfaces->len; i-- > 0;) {
        HostInterface *one = &g_array_index(interfaces, HostInterface, i);

        one->why_not = one->why_not ?: authorize_why_not(session, one->name);
        QAPI_LIST_PREPEND(list, query_interface(one, by_default));
    }
    return list;
}

static void add_leases(Control *control, Network *network, LeaseInfoList **list)
{
    g_autoptr(GArray) leases = network_leases(network);
    unsigned i;

    for (i = leases->len; i-- > 0;) {
        QAPI_LIST_PREPEND(*list, query_lease(control, network,
                                             &g_array_index(leases, Lease, i)));
    }
}

LeaseInfoList *qmp_query_leases(void *session, const char *name, GError **error)
{
    Control *control = ((Client *)session)->control;
    g_autoptr(GPtrArray) networks = network_register_list(control->networks);
    LeaseInfoList *list = NULL;
    unsigned i;

    if (name && !network_find(control->networks, name)) {
        g_set_error(error, QAPI_ERROR, QAPI_ERROR_DEVICE_NOT_FOUND,
                    "network '%s' does not run", name);
        return NULL;
    }
    for (i = networks->len; i-- > 0;) {
        Network *network = g_ptr_array_index(networks, i);
        NetworkInfo about;

        network_info(network, &about);
        if (!name || !strcmp(name, about.name)) {
            add_leases(control, network, &list);
        }
    }
    return list;
}

VersionTriple *control_version(void)
{
    VersionTriple *triple = g_new0(VersionTriple, 1);
    unsigned major = 0, minor = 0, micro = 0;

    sscanf(VMNET_VERSION, "%u.%u.%u", &major, &minor, &micro);
    triple->major = major;
    triple->minor = minor;
    triple->micro = micro;
    return triple;
}

VersionInfo *qmp_query_version(void *session, GError **error)
{
    VersionInfo *info = g_new0(VersionInfo, 1);

    info->qemu = control_version();
    info->package = g_strdup("vmnetd-" VMNET_VERSION);
    info->protocol = VMNET_PROTOCOL;
    info->build = g_strdup(vmnet_build_id());
    return info;
}

CommandInfoList *qmp_query_commands(void *session, GError **error)
{
    CommandInfoList *list = NULL;
    const QmpCommand *command;

    for (command = qmp_commands; command->name; command++) {
        CommandInfo *info = g_new0(CommandInfo, 1);

        info->name = g_strdup(command->name);
        QAPI_LIST_PREPEND(list, info);
    }
    return list;
}

DaemonInfo *qmp_query_daemon(void *session, GError **error)
{
    Control *control = ((Client *)session)->control;
    DaemonInfo *info = g_new0(DaemonInfo, 1);
    unsigned i;

    info->pid = getpid();
    /* A supervisor that was killed is nobody's parent any more. */
    info->supervisor_pid = control->supervisor_pid == getppid()
                           ? control->supervisor_pid : 0;
    info->started = control->started_s;
    info->socket = g_strdup(control->socket_path);
    info->state_dir = g_strdup(control->state_dir);
    info->runtime_dir = g_strdup(control->runtime_dir);
    info->log_file = g_strdup(control->log_file);
    for (i = g_strv_length((char **)control->sandbox); i-- > 0;) {
        QAPI_LIST_PREPEND(info->sandbox, g_strdup(control->sandbox[i]));
    }
    info->clients = control->clients->len;
    return info;
}

bool qmp_quit(void *session, GError **error)
{
    Client *client = session;

    if (!authorize_quit(client, error)) {
        return false;
    }
    g_message("quit, asked for by client %s", client->name);
    qmp_session_stop(client->qmp);
    control_end(client->control);
    return true;
}

bool qmp_query_qmp_schema(void *session, const JsonValue *args, JsonValue **ret,
                          GError **error)
{
    if (json_dict_size(args)) {
        const char *key;

        json_dict_at(args, 0, &key);
        g_set_error(error, QAPI_ERROR, QAPI_ERROR_GENERIC,
                    "Parameter '%s' is unexpected", key);
        return false;
    }
    *ret = json_parse(qapi_introspect_json, strlen(qapi_introspect_json),
                      error);
    return *ret != NULL;
}
