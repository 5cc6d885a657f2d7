/*
 * The kernel uplink: the host is on the network itself, by a tap
 *
 *   guests -- switch -- gateway: ARP, ND, DHCP, RA, DNS
 *               |          | what is for others
 *             host's port <'
 *               |
 *              tap [ the gateway's MAC and IP addresses ] -- the host's kernel
 *
 * What guests send goes by the gateway, which knows who may speak for which
 * address, and which the host's own services cannot answer in place of.  What
 * the host sends goes to the guests at once, so that it waits where one has no
 * room.  The host asks guests for their MAC addresses itself, and is told their
 * answers (UplinkOps.neighbour); theirs for its own the gateway answers.
 *
 * What the kernel is to forward it is told as a whole (PrivRules), again whenever
 * forwards or the host's routes have changed.  A forward has its sockets as with
 * the other uplink: they keep the port, and take what the kernel cannot, such as
 * IPv6 for a guest's IPv4 address.
 *
 * The tap goes with its descriptor.  If somebody removes it, it is made again.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "network/network-internal.h"

#include <string.h>

#include "priv/message.h"
#include "vmnet/error.h"

/* Of a name that is too long: so much of it, and so many digits of its hash. */
#define NAME_KEPT 4
#define NAME_HASHED 5
G_STATIC_ASSERT(sizeof(PRIV_GATEWAY_PREFIX) + NAME_KEPT + NAME_HASHED ==
                IF_NAMESIZE);

struct NetworkKernel {
    Network *network;
    Priv *priv;
    char ifname[IF_NAMESIZE];
    Port *port;
    LoopTimer *rules_timer;
    bool has_rules;
};

static void choose_ifname(const char *name, char ret_ifname[IF_NAMESIZE])
{
    if (strlen(PRIV_GATEWAY_PREFIX) + strlen(name) < IF_NAMESIZE) {
        g_snprintf(ret_ifname, IF_NAMESIZE, PRIV_GATEWAY_PREFIX "%s", name);
    } else {
        g_snprintf(ret_ifname, IF_NAMESIZE,
                   PRIV_GATEWAY_PREFIX "%.*s%0*x", NAME_KEPT, name,
                   NAME_HASHED,
                   g_str_hash(name) & ((1u << 4 * NAME_HASHED) - 1));
    }
}

static void on_lost(void *opaque, const char *reason)
{
    NetworkKernel *kernel = opaque;

    g_warning("network %s: the host's interface '%s' is gone%s%s",
              kernel->network->name, kernel->ifname, reason ? ": " : "",
              reason ?: "");
}

static const PortEvents port_events = { .disconnected = on_lost };

/* Rules */

static void collect_rules(const NetworkKernel *kernel, PrivRules *ret_rules)
{
    const Network *network = kernel->network;
    const NetworkSettings *settings = &network->settings;

    *ret_rules = (PrivRules) {
        .mode = network->mode == NETWORK_MODE_SHARED ? PRIV_RULES_SHARED
                                                     : PRIV_RULES_HOST,
        .prefix = network->state.addresses.prefix,
        .gateway = ip_addr_v4(network->state.addresses.gateway),
        .nat44 = settings->nat44,
        .nat66 = settings->nat66,
        .mtu_bytes = settings->mtu_bytes,
    };
    memcpy(ret_rules->name, kernel->ifname, IF_NAMESIZE);
    memcpy(ret_rules->external, settings->external_interface, IF_NAMESIZE);
    if (network_has_ipv6(network)) {
        ret_rules->prefix6 = network->state.prefix6;
        ret_rules->gateway6 = network_gateway6(network);
    }
    ret_rules->n_forwards = network_forwards_rules(network,
                                                   ret_rules->forwards);
}

static bool set_rules(NetworkKernel *kernel, GError **error)
{
    PrivRules rules;

    collect_rules(kernel, &rules);
    kernel->has_rules = true;   /* also if the answer comes too late */
    return priv_set_rules(kernel->priv, &rules, error);
}

static void on_rules_timer(void *opaque, int64_t now_ms)
{
    NetworkKernel *kernel = opaque;
    g_autoptr(GError) error = NULL;

    if (!set_rules(kernel, &error)) {
        g_warning("network %s: %s", kernel->network->name, error->message);
    }
}

/* Once a turn of the loop, however many changes there are. */
void network_kernel_rules_changed(NetworkKernel *kernel)
{
    loop_timer_arm(kernel->rules_timer, loop_now_ms());
}

/* The tap */

static bool join(NetworkKernel *kernel, GError **error)
{
    const Network *network = kernel->network;
    PrivNetwork wanted = {
        .mac = network->state.mac,
        .gateway = ip_addr_v4(network->state.addresses.gateway),
        .prefix_len = network->state.addresses.prefix.len,
        .gateway6 = network_gateway6(network),
        .mtu_bytes = network->settings.mtu_bytes,
    };
    int fd;

    if (!network_has_ipv6(network)) {
        wanted.gateway6.family = AF_UNSPEC;
    }
    memcpy(wanted.name, kernel->ifname, IF_NAMESIZE);
    fd = priv_gateway_tap(kernel->priv, &wanted, error);
    if (fd < 0 || !port_connect(kernel->port, PORT_KIND_TAP, fd, error)) {
        return false;
    }
    /* The gateway hands frames on as it gets them. */
    switch_port_set_offloads(network->gateway_port, switch_port_offloads(
                                 port_switch_port(kernel->port)));
    return true;
}

bool network_kernel_start(Network *network, GError **error)
{
    NetworkKernel *kernel;

    if (!network->reg->config.priv) {
        g_set_error(error, VMNET_ERROR, VMNET_NOT_AUTHORIZED,
                    "network '%s': uplink=kernel needs the system instance of "
                    "vmnetd (/run/vmnet/vmnetd.sock): start it as root by "
                    "'vmnetd --system', and be root or in group 'vmnet'",
                    network->name);
        return false;
    }
    kernel = g_new0(NetworkKernel, 1);
    kernel->network = network;
    kernel->priv = network->reg->config.priv;
    choose_ifname(network->name, kernel->ifname);
    kernel->port = port_new(network->reg->config.loop, network->sw,
                            SWITCH_PORT_HOST, network->settings.mtu_bytes,
                            &port_events, kernel);
    kernel->rules_timer = loop_timer_new(network->reg->config.loop,
                                         on_rules_timer, kernel);
    network->kernel = kernel;
    if (!join(kernel, error) || !set_rules(kernel, error)) {
        g_prefix_error(error, "network '%s': ", network->name);
        return false;
    }
    return true;
}

void network_kernel_free(NetworkKernel *kernel)
{
    if (!kernel) {
        return;
    }
    if (kernel->has_rules) {
        priv_no_rules(kernel->priv, kernel->ifname);
    }
    loop_timer_free(kernel->rules_timer);
    port_free(kernel->port);
    g_free(kernel);
}

void network_kernel_host_changed(NetworkKernel *kernel)
{
    g_autoptr(GError) error = NULL;

    if (port_is_connected(kernel->port)) {
        network_kernel_rules_changed(kernel);
        return;
    }
    if (join(kernel, &error)) {
        network_kernel_rules_changed(kernel);
        g_message("network %s: the host's interface '%s' is there again",
                  kernel->network->name, kernel->ifname);
    } else {
        g_warning("network %s: %s", kernel->network->name, error->message);
    }
}

const char *network_kernel_ifname(const NetworkKernel *kernel)
{
    return kernel->ifname;
}
