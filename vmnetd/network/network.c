/*
 * One network: its parts made and stopped
 *
 *   switch -- gateway's port -- gateway -- uplink
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "network/network-internal.h"

#include <net/if.h>
#include <string.h>

#include "limits.h"
#include "vmnet/error.h"

/* Files of a network. */
#define STATE_FILE "network"
#define LEASES_FILE "leases"
/*
 * What changes is handed to the worker in the same turn of the loop, so that a
 * daemon that is killed takes no lease with it that its guest was told of
 * before the disk's last turn.  After SAVE_BURST in a row writes are SAVE_MS
 * apart: a guest that asks for addresses in a loop costs neither time nor disk.
 */
#define SAVE_MS 1000
#define SAVE_BURST 16

/* Planning: addresses */

static void say_moved(const char *name, const IpPrefix *from,
                      const IpPrefix *taker, SubnetTaken taken,
                      const IpPrefix *to)
{
    g_autofree char *from_text = subnet_format(from);
    g_autofree char *taker_text = subnet_format(taker);
    g_autofree char *to_text = subnet_format(to);

    g_message("network %s: %s is taken (%s %s): it is %s from now on", name,
              from_text, taken == SUBNET_TAKEN_BY_HOST ? "the host routes" :
              "another network has", taker_text, to_text);
}

static void set_taken_error(GError **error, const char *name,
                            const IpPrefix *subnet, SubnetTaken taken,
                            const IpPrefix *taker)
{
    g_autofree char *text = subnet_format(subnet);
    g_autofree char *taker_text = subnet_format(taker);

    g_set_error(error, VMNET_ERROR, VMNET_SHARING_SERVICE_BUSY,
                "network '%s': subnet %s is taken: %s %s", name, text,
                taken == SUBNET_TAKEN_BY_HOST ? "the host routes" :
                "another network has", taker_text);
}

/* Whatever is kept is asked again, since the host may have moved. */
static bool plan_addresses(const SubnetTakers *takers, const char *name,
                           const NetworkConfig *config,
                           NetworkAddresses *addresses, bool say,
                           GError **error)
{
    SubnetTaken taken = SUBNET_FREE;
    IpPrefix taker, subnet, before;

    if (config->has_range) {
        *addresses = network_addresses_written(config);
    } else if (config->match == NETWORK_MATCH_STRICT && addresses->written) {
        *addresses = (NetworkAddresses) { .prefix.addr.family = AF_UNSPEC };
    }
    before = addresses->prefix;
    if (before.addr.family == AF_INET) {
        taken = subnet_is_taken(takers, &before, &taker);
        if (taken == SUBNET_FREE) {
            return true;
        }
        if (addresses->written) {
            set_taken_error(error, name, &before, taken, &taker);
            return false;
        }
    }
    if (!subnet_choose(takers, name, &subnet)) {
        g_set_error(error, VMNET_ERROR, VMNET_SHARING_SERVICE_BUSY,
                    "network '%s': no free subnet was found: write one "
                    "(start-address, end-address, subnet-mask)", name);
        return false;
    }
    if (before.addr.family != AF_INET &&
        subnet_predefined(name, &before)) {
        taken = subnet_is_taken(takers, &before, &taker);
    }
    if (say && taken != SUBNET_FREE) {
        say_moved(name, &before, &taker, taken, &subnet);
    }
    *addresses = network_addresses_of(&subnet);
    return true;
}

/* A random prefix meets another once in an age; a user's may. */
static bool plan_prefix6(const SubnetTakers *takers, const char *name,
                         const NetworkConfig *config, NetworkState *state,
                         GError **error)
{
    SubnetTaken taken;
    IpPrefix taker;

    if (config->prefix6.addr.family == AF_INET6) {
        state->prefix6 = config->prefix6;
        state->prefix6_written = true;
    } else if (config->match == NETWORK_MATCH_STRICT &&
               state->prefix6_written) {
        network_prefix6_random(&state->prefix6);
        state->prefix6_written = false;
    }
    taken = subnet_is_taken(takers, &state->prefix6, &taker);
    if (taken == SUBNET_FREE) {
        return true;
    }
    if (state->prefix6_written) {
        set_taken_error(error, name, &state->prefix6, taken, &taker);
        return false;
    }
    network_prefix6_random(&state->prefix6);
    return true;
}

static void load_state(NetworkRegister *reg, const char *name,
                       NetworkState *state)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *text = NULL;
    size_t len;

    text = state_store_read(reg->store, name, STATE_FILE, &len);
    if (text && !network_state_parse(text, len, state, &error)) {
        state_store_set_aside(reg->store, name, STATE_FILE, error->message);
    }
}

static bool plan(NetworkRegister *reg, const char *name,
                 const NetworkConfig *config, NetworkState *state, bool say,
                 GError **error)
{
    const SubnetTakers takers = {
        .host = host_table(reg->host),
        .networks = reg->forbidden,
    };

    load_state(reg, name, state);
    if (config->net_uuid || config->mode == NETWORK_MODE_BRIDGED) {
        state->addresses = (NetworkAddresses) { 0 };
        return true;
    }
    return plan_addresses(&takers, name, config, &state->addresses, say,
                          error) &&
           plan_prefix6(&takers, name, config, state, error);
}

bool network_plan(NetworkRegister *reg, const char *name,
                  const NetworkConfig *config, NetworkState *ret_state,
                  GError **error)
{
    return plan(reg, name, config, ret_state, false, error);
}

/* Keeping */

static void save_state(Network *network)
{
    state_store_write(network->reg->store, network->name, STATE_FILE,
                      network_state_format(&network->state));
    if (network->settings.dhcp) {
        state_store_write(network->reg->store, network->name, LEASES_FILE,
                          gateway_save(network->gateway));
    }
}

static void on_save(void *opaque, int64_t now_ms)
{
    Network *network = opaque;

    network->save_armed = false;
    network->saves_ms = MAX(network->saves_ms, now_ms) + SAVE_MS;
    save_state(network);
}

void network_save_soon(Network *network)
{
    if (!network->stopping && !network->save_armed) {
        network->save_armed = true;
        loop_timer_arm(network->save_timer,
                       MAX(loop_now_ms(),
                           network->saves_ms - SAVE_BURST * SAVE_MS));
    }
}

static void load_leases(Network *network)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *text = NULL;
    size_t len;

    if (!network->settings.dhcp) {
        return;
    }
    text = state_store_read(network->reg->store, network->name, LEASES_FILE,
                            &len);
    if (text && !gateway_load(network->gateway, text, len, &error)) {
        state_store_set_aside(network->reg->store, network->name, LEASES_FILE,
                              error->message);
    }
}

/* Parts */

static bool has_gateway(const Network *network)
{
    return network->state.addresses.prefix.addr.family == AF_INET;
}

IpAddr network_gateway6(const Network *network)
{
    IpAddr addr = network->state.prefix6.addr;

    addr.v6.s6_addr[15] = 1;
    return addr;
}

/*
 * Where none was written, it is the kernel if this instance may tell it what to
 * do, and can; a network by sockets is better than none.
 */
static bool start_kernel(Network *network, GError **error)
{
    NetworkSettings *settings = &network->settings;
    g_autoptr(GError) why = NULL;

    if (settings->uplink == NETWORK_UPLINK_KERNEL) {
        return network_kernel_start(network, error);
    }
    if (settings->uplink == NETWORK_UPLINK_DEFAULT &&
        network->reg->config.priv && !settings->host_loopback) {
        if (network_kernel_start(network, &why)) {
            settings->uplink = NETWORK_UPLINK_KERNEL;
            return true;
        }
        g_warning("%s: the uplink is sockets", why->message);
        g_clear_pointer(&network->kernel, network_kernel_free);
    }
    settings->uplink = NETWORK_UPLINK_SOCKETS;
    return true;
}

static bool make_uplink(Network *network, GError **error)
{
    NetworkRegister *reg = network->reg;
    UplinkConfig config = {
        .loop = reg->config.loop,
        .gateway = network->gateway,
        .gateway_mac = network->state.mac,
        .gateway4 = ip_addr_v4(network->state.addresses.gateway),
        .gateway6 = network_gateway6(network),
        .mtu_bytes = network->settings.mtu_bytes,
        .forbidden = reg->forbidden,
        .host = reg->host,
        .quota = reg->quota,
        .dns_quota = reg->dns_quota,
        .host_loopback = network->settings.host_loopback,
        .host_only = network->mode == NETWORK_MODE_HOST,
        .no_nat44 = !network->settings.nat44,
        .no_nat66 = !network->settings.nat66,
        .dns_tcp = network->settings.dns,
        .no_peek_off = reg->config.no_peek_off,
        .resolv_conf = reg->config.resolv_conf,
        .room = network_room,
        .offloads = network_offloads,
        .output = network_output,
        .opaque = network,
    };

    if (!has_gateway(network)) {
        return true;
    }
    if (!start_kernel(network, error)) {
        return false;
    }
    if (network->kernel) {
        config.to_host = network_to_host;
    }
    if (network->settings.external_interface[0]) {
        config.device = network->settings.external_interface;
    }
    memcpy(config.hash_key, network->state.hash_key, sizeof(config.hash_key));
    network->uplink = uplink_new(&config, error);
    return network->uplink;
}

static void update_router6(Network *network)
{
    const HostTable *host = host_table(network->reg->host);

    gateway_set_router6(network->gateway,
                        (network->settings.nat66 || network->kernel) &&
                        network->mode == NETWORK_MODE_SHARED &&
                        host->default6_ifindex, loop_now_ms());
    network_gateway_arm(network);
}

static void network_free(Network *network)
{
    LoopTimer *timers[] = {
        network->gateway_timer, network->idle_timer, network->save_timer,
    };
    unsigned i;

    uplink_free(network->uplink);
    network_bridged_free(network->bridged);
    network_kernel_free(network->kernel);
    if (network->gateway_port) {
        switch_port_remove(network->gateway_port, loop_now_ms());
    }
    gateway_free(network->gateway);
    switch_free(network->sw);
    for (i = 0; i < G_N_ELEMENTS(timers); i++) {
        if (timers[i]) {
            loop_timer_free(timers[i]);
        }
    }
    g_ptr_array_unref(network->forwards);
    g_hash_table_unref(network->macs);
    network_state_clear(&network->state);
    g_free(network->name);
    g_free(network->net_uuid);
    g_free(network);
}

static void on_idle(void *opaque, int64_t now_ms)
{
    network_stop(opaque);
}

static Network *network_new(NetworkRegister *reg, const char *name,
                            const NetworkConfig *config, NetworkState *state)
{
    Network *network = g_new0(Network, 1);
    Loop *loop = reg->config.loop;

    network->reg = reg;
    network->refs = 1;
    network->name = g_strdup(name);
    network->net_uuid = config->net_uuid ?
                        g_ascii_strdown(config->net_uuid, -1) : NULL;
    network->mode = config->mode;
    network->settings = network_settings_of(config);
    network->state = *state;
    state->forwards = NULL;
    network->macs = network_macs_new();
    network->forwards = g_ptr_array_new();
    network->idle_timer = loop_timer_new(loop, on_idle, network);
    network->save_timer = loop_timer_new(loop, on_save, network);
    return network;
}

Network *network_start(NetworkRegister *reg, const char *name,
                       const NetworkConfig *config, GError **error)
{
    bool is_bridged = config->mode == NETWORK_MODE_BRIDGED;
    g_auto(NetworkState) state = { 0 };
    NetworkSettings settings = network_settings_of(config);
    HostInterface interface;
    Network *network;

    network_state_init(&state);
    if (is_bridged && !network_bridged_find(reg, config->ifname, &interface,
                                            error)) {
        return NULL;
    }
    if (is_bridged && !network_bridged_choose(config, &interface, &settings,
                                              error)) {
        return NULL;
    }
    if (!plan(reg, name, config, &state, true, error)) {
        return NULL;
    }
    network = network_new(reg, name, config, &state);
    network->settings = settings;
    network_plumb(network);
    load_leases(network);
    if (is_bridged ? !network_bridged_start(network, &interface, error)
                   : !make_uplink(network, error)) {
        network_free(network);
        return NULL;
    }
    g_ptr_array_add(reg->networks, network);
    network_register_update_forbidden(reg);
    update_router6(network);
    network_forwards_start(network);
    network_save_soon(network);
    reg->ops.started(reg->opaque, network);
    return network;
}

void network_stop(Network *network)
{
    NetworkRegister *reg = network->reg;

    network->stopping = true;
    reg->ops.stopped(reg->opaque, network);
    network_forwards_stop(network);
    gateway_announce_end(network->gateway, loop_now_ms());
    save_state(network);
    g_ptr_array_remove(reg->networks, network);
    network_register_update_forbidden(reg);
    network_free(network);
}

Network *network_ref(Network *network)
{
    network->refs++;
    loop_timer_disarm(network->idle_timer);
    return network;
}

void network_unref(Network *network)
{
    g_assert(network->refs > 0);
    if (--network->refs == 0) {
        /* One on which nobody ever was need not be waited for. */
        loop_timer_arm(network->idle_timer, loop_now_ms() +
                       (network->had_ports ? network->reg->config.idle_ms :
                                             0));
    }
}

/* The host */

static void report_overlap(Network *network, const HostRoute *route)
{
    NetworkRegister *reg = network->reg;
    char name[IF_NAMESIZE];
    bool has_name = route->ifindex && if_indextoname(route->ifindex, name);

    reg->ops.route_overlap(reg->opaque, network, &route->dst,
                           has_name ? name : NULL);
}

void network_host_changed(Network *network)
{
    const HostRoute *route = NULL;

    update_router6(network);
    if (network->bridged) {
        network_bridged_host_changed(network->bridged);
    }
    if (network->kernel) {
        network_kernel_host_changed(network->kernel);
    }
    if (has_gateway(network)) {
        route = host_table_taker(host_table(network->reg->host),
                                 &network->state.addresses.prefix);
    }
    if (!route) {
        network->overlap.len = 0;
    } else if (route->dst.len != network->overlap.len ||
               !ip_addr_equal(&route->dst.addr, &network->overlap.addr)) {
        network->overlap = route->dst;
        report_overlap(network, route);
    }
}

/* Questions */

static unsigned count_bound(Gateway *gateway)
{
    g_autoptr(GArray) leases = gateway_leases(gateway);
    unsigned n = 0, i;

    for (i = 0; i < leases->len; i++) {
        n += g_array_index(leases, Lease, i).state == LEASE_BOUND;
    }
    return n;
}

void network_info(Network *network, NetworkInfo *ret_info)
{
    const NetworkAddresses *addresses = &network->state.addresses;
    NetworkInfo info = {
        .name = network->name,
        .mode = network->mode,
        .net_uuid = network->net_uuid,
        .gateway_mac = network->state.mac,
        .mtu_bytes = network->settings.mtu_bytes,
        .lease_s = network->settings.lease_s,
        .dhcp = network->settings.dhcp,
        .dns = network->settings.dns,
        .host_loopback = network->settings.host_loopback,
        .ra = network->settings.ra,
        .nat44 = network->settings.nat44,
        .nat66 = network->settings.nat66,
        .external_interface = network->settings.external_interface,
        .ifname = network->settings.ifname,
        .bridge_mode = network->settings.bridge_mode,
        .mac_translation = network->settings.mac_translation,
        .n_ports = network->n_ports,
        .n_leases = count_bound(network->gateway),
        .n_forwards = network->forwards->len,
    };

    if (has_gateway(network)) {
        info.gateway4 = ip_addr_v4(addresses->gateway);
        info.prefix4 = addresses->prefix;
        info.pool_first = addresses->pool_first;
        info.pool_last = addresses->pool_last;
        info.prefix6 = network->state.prefix6;
    }
    if (network->uplink) {
        info.uplink = NETWORK_UPLINK_SOCKETS;
        uplink_stats(network->uplink, &info.nat);
    }
    if (network->kernel) {
        info.uplink = NETWORK_UPLINK_KERNEL;
        info.ifname = network_kernel_ifname(network->kernel);
    }
    *ret_info = info;
}

void network_unreserve(Network *network, const IpAddr *addr)
{
    gateway_unreserve(network->gateway, addr);
}

bool network_reserve(Network *network, const MacAddr *mac, const IpAddr *addr,
                     bool *ret_is_new, GError **error)
{
    char mac_text[MAC_STRLEN], text[IP_STRLEN];

    if (!network->settings.dhcp) {
        g_set_error(error, VMNET_ERROR, VMNET_INVALID_ARGUMENT,
                    "network '%s': without DHCP there are no reservations",
                    network->name);
        return false;
    }
    if (!gateway_reserve(network->gateway, mac, addr, ret_is_new)) {
        g_set_error(error, VMNET_ERROR, VMNET_INVALID_ARGUMENT,
                    "network '%s': %s cannot be kept for %s: it is no address "
                    "of a guest, or kept for another", network->name,
                    ip_addr_format(addr, text), mac_format(mac, mac_text));
        return false;
    }
    return true;
}

GArray *network_leases(Network *network)
{
    return gateway_leases(network->gateway);
}

bool network_lease_find(Network *network, const char *name, Lease *ret_lease)
{
    return gateway_lease_find(network->gateway, name, ret_lease);
}

bool network_lease_by_port(Network *network, uint32_t port, Lease *ret_lease)
{
    return gateway_lease_by_port(network->gateway, port, ret_lease);
}
