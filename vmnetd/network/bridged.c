/*
 * Bridged networks: how they are one with that of a host interface
 *
 *   a bridge       guests -- switch -- uplink port -- tap, a port of the bridge
 *   an interface   each guest -- switch of two ports -- macvtap on it
 *                  or: guests -- switch -- uplink port -- packet socket on it
 *
 * A macvtap takes frames for one address, the guest's, and the kernel carries
 * frames between those of one interface; so there a guest has a switch for
 * itself, for offloads and counters.
 *
 * Where the interface carries frames of its own address alone, the packet
 * socket's go through port/translate.h.
 *
 * Interfaces come and go: whatever has lost its tap gets a new one when the
 * host's interfaces have changed and the named one is there again.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "network/network-internal.h"

#include <string.h>

#include "network/interfaces.h"
#include "vmnet/error.h"

/**
 * BridgedPair: a guest's two-port switch
 * @name: of the macvtap; "": it has none now
 */
typedef struct BridgedPair {
    NetworkBridged *bridged;
    Switch *sw;
    Port *guest, *kernel;
    MacAddr mac;
    bool isolated;
    char name[IF_NAMESIZE];
} BridgedPair;

/**
 * NetworkBridged:
 * @ifindex: of the interface when it was joined
 * @uplink: NULL: guests have macvtaps, @pairs (element-type BridgedPair)
 * @translate: (nullable): what frames through @uplink go through
 */
struct NetworkBridged {
    Network *network;
    Priv *priv;
    char ifname[IF_NAMESIZE];
    int ifindex;
    Port *uplink;
    Translate *translate;
    GPtrArray *pairs;
};

/* Which interface */

static bool find_default(const HostTable *host, char ret_name[IF_NAMESIZE],
                         GError **error)
{
    uint32_t ifindex = host->default4_ifindex ?: host->default6_ifindex;

    if (ifindex && if_indextoname(ifindex, ret_name)) {
        return true;
    }
    g_set_error_literal(error, VMNET_ERROR, VMNET_INVALID_ARGUMENT,
                        "Parameter 'ifname' is missing: the host has no "
                        "default route whose interface could be taken");
    return false;
}

bool network_bridged_find(NetworkRegister *reg, const char *ifname,
                          HostInterface *ret_interface, GError **error)
{
    char by_default[IF_NAMESIZE];

    if (!reg->config.priv) {
        g_set_error(error, VMNET_ERROR, VMNET_NOT_AUTHORIZED,
                    "vmnet-bridged needs the system instance of vmnetd "
                    "(/run/vmnet/vmnetd.sock), since a user cannot join host "
                    "interface '%s': start it as root by 'vmnetd --system', "
                    "and be root or in group 'vmnet'",
                    ifname ?: "of the default route");
        return false;
    }
    if (!ifname) {
        if (!find_default(host_table(reg->host), by_default, error)) {
            return false;
        }
        ifname = by_default;
    }
    return host_interface_find(ifname, reg->config.bridged, ret_interface,
                               error);
}

GArray *network_shared_interfaces(NetworkRegister *reg, int *ret_default)
{
    const HostTable *host = host_table(reg->host);

    *ret_default = host->default4_ifindex ?: host->default6_ifindex;
    return host_interfaces_list(reg->config.bridged);
}

bool network_bridged_choose(const NetworkConfig *config,
                            const HostInterface *interface,
                            NetworkSettings *ret_settings, GError **error)
{
    bool translates = config->mac_translation == NETWORK_DEFAULT
                      ? interface->is_wireless
                      : config->mac_translation == NETWORK_ON;
    NetworkBridgeMode mode = config->bridge_mode;

    ret_settings->mtu_bytes = interface->mtu_bytes;
    memcpy(ret_settings->ifname, interface->name, IF_NAMESIZE);
    if (interface->is_bridge) {
        if (!mode && !translates) {
            return true;
        }
        g_set_error(error, VMNET_ERROR, VMNET_INVALID_ARGUMENT,
                    "'%s' is for other interfaces: '%s' is a bridge, which a "
                    "tap joins", mode ? "bridge-mode" : "mac-translation",
                    interface->name);
        return false;
    }
    if (mode == NETWORK_BRIDGE_MACVTAP && translates) {
        g_set_error(error, VMNET_ERROR, VMNET_INVALID_ARGUMENT,
                    "bridge-mode=macvtap cannot be had on '%s': a wireless "
                    "interface carries frames of its own MAC address alone",
                    interface->name);
        return false;
    }
    ret_settings->mac_translation = translates;
    ret_settings->bridge_mode = mode ?: interface->is_wireless || translates
                                ? NETWORK_BRIDGE_PACKET
                                : NETWORK_BRIDGE_MACVTAP;
    return true;
}

/* Bridges, and interfaces by packet socket */

static void on_uplink_lost(void *opaque, const char *reason)
{
    NetworkBridged *bridged = opaque;

    g_warning("network %s: its way to interface '%s' is gone%s%s",
              bridged->network->name, bridged->ifname, reason ? ": " : "",
              reason ?: "");
}

static const PortEvents uplink_events = { .disconnected = on_uplink_lost };

static bool host_has(void *opaque, const IpAddr *addr)
{
    const NetworkBridged *bridged = opaque;

    return host_table_is_own(host_table(bridged->network->reg->host), addr);
}

static bool join_by_packet(NetworkBridged *bridged, GError **error)
{
    int fd = priv_packet(bridged->priv, bridged->ifname, bridged->translate,
                         error);

    return fd >= 0 &&
           port_connect(bridged->uplink, PORT_KIND_PACKET, fd, error);
}

static bool join_uplink(NetworkBridged *bridged, GError **error)
{
    int fd;

    if (bridged->network->settings.bridge_mode == NETWORK_BRIDGE_PACKET) {
        return join_by_packet(bridged, error);
    }
    fd = priv_bridge_tap(bridged->priv, bridged->ifname, error);
    return fd >= 0 && port_connect(bridged->uplink, PORT_KIND_TAP, fd, error);
}

static bool start_uplink(NetworkBridged *bridged, GError **error)
{
    Network *network = bridged->network;
    const TranslateConfig translate = {
        .is_own = host_has,
        .opaque = bridged,
    };

    bridged->uplink = port_new(network->reg->config.loop, network->sw,
                               SWITCH_PORT_UPLINK, network->settings.mtu_bytes,
                               &uplink_events, bridged);
    if (network->settings.mac_translation) {
        bridged->translate = translate_new(&translate);
        port_set_translate(bridged->uplink, bridged->translate);
    }
    return join_uplink(bridged, error);
}

static void rejoin_uplink(NetworkBridged *bridged)
{
    g_autoptr(GError) error = NULL;

    port_disconnect(bridged->uplink);
    if (join_uplink(bridged, &error)) {
        g_message("network %s: joined interface '%s' again",
                  bridged->network->name, bridged->ifname);
    } else {
        g_warning("network %s: %s", bridged->network->name, error->message);
    }
}

/* Macvtaps */

static void on_kernel_lost(void *opaque, const char *reason)
{
    BridgedPair *pair = opaque;

    pair->name[0] = '\0';
    on_uplink_lost(pair->bridged, reason);
}

static const PortEvents kernel_events = { .disconnected = on_kernel_lost };

static bool join_interface(BridgedPair *pair, GError **error)
{
    NetworkBridged *bridged = pair->bridged;
    int fd = priv_macvtap(bridged->priv, bridged->ifname, &pair->mac,
                          pair->isolated, pair->name, error);

    return fd >= 0 && port_connect(pair->kernel, PORT_KIND_TAP, fd, error);
}

static void pair_free(void *opaque)
{
    BridgedPair *pair = opaque;

    port_free(pair->guest);
    port_free(pair->kernel);
    if (pair->name[0]) {
        priv_remove(pair->bridged->priv, pair->name);
    }
    switch_free(pair->sw);
    g_free(pair);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BridgedPair, pair_free)

bool network_bridged_has_pairs(const Network *network)
{
    return network->bridged && !network->bridged->uplink;
}

Port *network_bridged_port_new(Network *network, const NetworkPortConfig *config,
                               GError **error)
{
    NetworkBridged *bridged = network->bridged;
    const SwitchConfig sw = { .mtu_bytes = network->settings.mtu_bytes };
    Loop *loop = network->reg->config.loop;
    g_autoptr(BridgedPair) pair = NULL;

    if (!config->mac) {
        g_set_error(error, VMNET_ERROR, VMNET_INVALID_ARGUMENT,
                    "Parameter 'mac' is missing: interface '%s' is no bridge, "
                    "and a macvtap on it takes frames for one address, which "
                    "must be the guest's", bridged->ifname);
        return NULL;
    }
    pair = g_new0(BridgedPair, 1);
    pair->bridged = bridged;
    pair->mac = *config->mac;
    pair->isolated = config->isolated;
    pair->sw = switch_new(&sw);
    pair->guest = port_new(loop, pair->sw, 0, sw.mtu_bytes, config->events,
                           config->opaque);
    pair->kernel = port_new(loop, pair->sw, SWITCH_PORT_UPLINK, sw.mtu_bytes,
                            &kernel_events, pair);
    if (!join_interface(pair, error)) {
        return NULL;
    }
    g_ptr_array_add(bridged->pairs, pair);
    return g_steal_pointer(&pair)->guest;
}

void network_bridged_port_free(Network *network, Port *port)
{
    GPtrArray *pairs = network->bridged->pairs;
    unsigned i;

    for (i = 0; i < pairs->len; i++) {
        BridgedPair *pair = g_ptr_array_index(pairs, i);

        if (pair->guest == port) {
            g_ptr_array_remove_index_fast(pairs, i);
            return;
        }
    }
    g_assert_not_reached();
}

void network_bridged_port_gone(NetworkBridged *bridged, uint32_t port)
{
    if (bridged->translate) {
        translate_forget(bridged->translate, port);
    }
}

/* A macvtap whose interface has gone went with it, and says nothing. */
static void notice_lost(void *data, void *unused)
{
    BridgedPair *pair = data;

    if (pair->name[0] && !if_nametoindex(pair->name)) {
        port_disconnect(pair->kernel);
        on_kernel_lost(pair, NULL);
    }
}

static void rejoin_interface(BridgedPair *pair)
{
    g_autoptr(GError) error = NULL;

    if (!join_interface(pair, &error)) {
        g_warning("network %s: %s", pair->bridged->network->name,
                  error->message);
    }
}

/* Its life */

bool network_bridged_start(Network *network, const HostInterface *interface,
                           GError **error)
{
    NetworkBridged *bridged = g_new0(NetworkBridged, 1);

    network->bridged = bridged;
    bridged->network = network;
    bridged->priv = network->reg->config.priv;
    memcpy(bridged->ifname, interface->name, IF_NAMESIZE);
    bridged->ifindex = interface->ifindex;
    bridged->pairs = g_ptr_array_new_with_free_func(pair_free);
    return network->settings.bridge_mode == NETWORK_BRIDGE_MACVTAP ||
           start_uplink(bridged, error);
}

void network_bridged_free(NetworkBridged *bridged)
{
    if (!bridged) {
        return;
    }
    g_ptr_array_unref(bridged->pairs);
    port_free(bridged->uplink);
    translate_free(bridged->translate);
    g_free(bridged);
}

void network_bridged_host_changed(NetworkBridged *bridged)
{
    int ifindex = if_nametoindex(bridged->ifname);
    bool is_new = ifindex != bridged->ifindex;
    unsigned i;

    bridged->ifindex = ifindex;
    g_ptr_array_foreach(bridged->pairs, notice_lost, NULL);
    if (!ifindex) {
        if (is_new) {
            g_warning("network %s: interface '%s' is gone",
                      bridged->network->name, bridged->ifname);
        }
        return;
    }
    if (bridged->uplink && (is_new || !port_is_connected(bridged->uplink))) {
        rejoin_uplink(bridged);
    }
    for (i = 0; i < bridged->pairs->len; i++) {
        BridgedPair *pair = g_ptr_array_index(bridged->pairs, i);

        if (!port_is_connected(pair->kernel)) {
            rejoin_interface(pair);
        }
    }
}
