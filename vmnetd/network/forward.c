/*
 * Forwards of a network, and the leases that they follow
 *
 * A persistent forward that cannot be made when its network starts, such as one
 * whose port somebody else has, is kept without a listener: it is listed with
 * the reason, can be removed, and is tried again at the next start.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "network/network-internal.h"

#include "limits.h"
#include "vmnet/error.h"

/**
 * NetworkForward:
 * @config: as it was asked for, the address of the guest excepted
 * @follows: the guest's address is that of the lease of config.port
 * @uplink: NULL: a persistent one that could not be made this time
 * @error: why not; else NULL
 */
struct NetworkForward {
    Network *network;
    NetworkForwardConfig config;
    bool follows;
    UplinkForward *uplink;
    char *error;
};

G_GNUC_PRINTF(3, 4)
static bool refuse(GError **error, const Network *network, const char *format,
                   ...)
{
    g_autofree char *text = NULL;
    va_list args;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    g_set_error(error, VMNET_ERROR, VMNET_INVALID_ARGUMENT,
                "network '%s': %s", network->name, text);
    return false;
}

static bool is_guest_address(const Network *network, const IpAddr *addr)
{
    const NetworkAddresses *addresses = &network->state.addresses;

    if (addr->family == AF_INET) {
        uint32_t mask = ip_len_to_mask(addresses->prefix.len);

        return ip_prefix_contains(&addresses->prefix, addr) &&
               addr->v4 != addresses->gateway && (addr->v4 & ~mask) != 0 &&
               (addr->v4 & ~mask) != ~mask;
    }
    return ip_prefix_contains(&network->state.prefix6, addr);
}

static bool check(const Network *network, const NetworkForwardConfig *config,
                  GError **error)
{
    char text[IP_STRLEN];

    if (!network->uplink) {
        return refuse(error, network, "it has no gateway, hence no forwards");
    }
    if (network->forwards->len >= LIMIT_FORWARDS) {
        return refuse(error, network, "it has %d forwards already",
                      LIMIT_FORWARDS);
    }
    if (config->guest.port == 0) {
        return refuse(error, network, "guest port 0 is not a port");
    }
    if (config->guest.addr.family == AF_UNSPEC) {
        return config->port && !config->persistent ? true :
               refuse(error, network, "a forward%s needs the guest's address",
                      config->persistent ? " that is kept" : "");
    }
    if (!is_guest_address(network, &config->guest.addr)) {
        return refuse(error, network, "%s is not an address of a guest",
                      ip_addr_format(&config->guest.addr, text));
    }
    return true;
}

static void rules_changed(const Network *network)
{
    if (network->kernel) {
        network_kernel_rules_changed(network->kernel);
    }
}

/* The kernel cannot translate from ::1, and groups are nobody's. */
static bool is_for_kernel_at(const IpAddr *host, const IpAddr *guest)
{
    return host->family == AF_UNSPEC ||
           (host->family == guest->family && !ip_addr_is_group(host) &&
            (host->family == AF_INET || !ip_addr_is_loopback(host)));
}

/* One that lets a single client in is left to sockets. */
static bool is_for_kernel(const NetworkForward *forward)
{
    const NetworkForwardConfig *config = &forward->config;

    return forward->uplink && !config->client_port &&
           config->guest.addr.family != AF_UNSPEC &&
           is_for_kernel_at(&config->host.addr, &config->guest.addr);
}

unsigned network_forwards_rules(const Network *network,
                                PrivForward ret_forwards[PRIV_FORWARDS_MAX])
{
    unsigned i, n = 0;

    for (i = 0; i < network->forwards->len && n < PRIV_FORWARDS_MAX; i++) {
        const NetworkForward *forward = g_ptr_array_index(network->forwards, i);

        if (is_for_kernel(forward)) {
            ret_forwards[n++] = (PrivForward) {
                .proto = forward->config.proto,
                .host = forward->config.host,
                .guest = forward->config.guest,
            };
        }
    }
    return n;
}

/* @uplink: (transfer full) (nullable) */
static NetworkForward *forward_append(Network *network,
                                      const NetworkForwardConfig *config,
                                      UplinkForward *uplink)
{
    NetworkForward *forward = g_new0(NetworkForward, 1);

    forward->network = network;
    forward->config = *config;
    forward->uplink = uplink;
    g_ptr_array_add(network->forwards, forward);
    rules_changed(network);
    return forward;
}

static NetworkForward *forward_make(Network *network,
                                    const NetworkForwardConfig *config,
                                    GError **error)
{
    NetworkForward *forward;
    UplinkForward *uplink;
    NetworkForwardConfig in_force = *config;
    bool follows = config->guest.addr.family == AF_UNSPEC;
    Lease lease;

    if (!check(network, config, error)) {
        return NULL;
    }
    if (follows && network_lease_by_port(network, config->port, &lease)) {
        in_force.guest.addr = lease.addr;
    }
    uplink = uplink_forward_new(network->uplink, config->proto, &config->host,
                                &in_force.guest, error);
    if (!uplink) {
        return NULL;
    }
    in_force.host.port = uplink_forward_port(uplink);
    if (config->client_port) {
        const IpEndpoint client = { config->host.addr, config->client_port };

        uplink_forward_set_client(uplink, &client);
    }
    forward = forward_append(network, &in_force, uplink);
    forward->follows = follows;
    return forward;
}

void network_forward_info(const NetworkForward *forward,
                          NetworkForwardConfig *ret_config)
{
    *ret_config = forward->config;
}

const char *network_forward_error(const NetworkForward *forward)
{
    return forward->error;
}

static void forward_free(NetworkForward *forward)
{
    uplink_forward_free(forward->uplink);
    g_ptr_array_remove(forward->network->forwards, forward);
    rules_changed(forward->network);
    g_free(forward->error);
    g_free(forward);
}

/* No address is one, too. */
static bool is_same_address(const IpAddr *a, const IpAddr *b)
{
    return a->family == b->family &&
           (a->family == AF_UNSPEC || ip_addr_equal(a, b));
}

static bool is_same(const NetworkForwardConfig *a,
                    const NetworkForwardConfig *b)
{
    return a->proto == b->proto && a->host.port == b->host.port &&
           is_same_address(&a->host.addr, &b->host.addr);
}

/* The persistent one at the listener of @config, NULL if there is none. */
static NetworkForward *find_kept(const Network *network,
                                 const NetworkForwardConfig *config)
{
    unsigned i;

    for (i = 0; i < network->forwards->len; i++) {
        NetworkForward *forward = g_ptr_array_index(network->forwards, i);

        if (forward->config.persistent && is_same(&forward->config, config)) {
            return forward;
        }
    }
    return NULL;
}

static void forget(NetworkForward *forward)
{
    GArray *kept = forward->network->state.forwards;
    unsigned i;

    for (i = kept->len; i-- > 0;) {
        if (is_same(&g_array_index(kept, NetworkForwardConfig, i),
                    &forward->config)) {
            g_array_remove_index(kept, i);
        }
    }
    network_save_soon(forward->network);
}

/* On disk; in the place of one of the same listener that was not in force. */
static void keep(NetworkForward *forward)
{
    Network *network = forward->network;
    NetworkForward *former = find_kept(network, &forward->config);

    forget(forward);
    if (former != forward) {
        forward_free(former);
    }
    g_array_append_val(network->state.forwards, forward->config);
}

NetworkForward *network_forward_new(Network *network,
                                    const NetworkForwardConfig *config,
                                    GError **error)
{
    NetworkForward *forward = forward_make(network, config, error);

    if (forward && config->persistent) {
        keep(forward);
    }
    return forward;
}

void network_forward_free(NetworkForward *forward)
{
    if (!forward) {
        return;
    }
    if (forward->config.persistent && !forward->network->stopping) {
        forget(forward);
    }
    forward_free(forward);
}

GPtrArray *network_forwards(Network *network)
{
    GPtrArray *list = g_ptr_array_new();
    unsigned i;

    for (i = 0; i < network->forwards->len; i++) {
        NetworkForward *forward = g_ptr_array_index(network->forwards, i);

        if (forward->config.persistent) {
            g_ptr_array_add(list, forward);
        }
    }
    return list;
}

void network_forwards_start(Network *network)
{
    GArray *kept = network->state.forwards;
    unsigned i = 0;

    while (i < kept->len) {
        const NetworkForwardConfig *config =
            &g_array_index(kept, NetworkForwardConfig, i);
        g_autoptr(GError) error = NULL;

        if (find_kept(network, config)) {
            g_array_remove_index(kept, i);
            continue;
        }
        if (!forward_make(network, config, &error)) {
            g_warning("network %s: a forward is kept, but not in force: %s",
                      network->name, error->message);
            forward_append(network, config, NULL)->error =
                g_strdup(error->message);
        }
        i++;
    }
}

void network_forwards_stop(Network *network)
{
    while (network->forwards->len > 0) {
        forward_free(g_ptr_array_index(network->forwards,
                                       network->forwards->len - 1));
    }
}

void network_forwards_follow(Network *network, uint32_t port)
{
    NetworkRegister *reg = network->reg;
    unsigned i;

    for (i = 0; i < network->forwards->len; i++) {
        NetworkForward *forward = g_ptr_array_index(network->forwards, i);
        IpAddr addr = { .family = AF_UNSPEC };
        Lease lease;

        if (!forward->follows || forward->config.port != port) {
            continue;
        }
        if (network_lease_by_port(network, port, &lease)) {
            addr = lease.addr;
        }
        if (is_same_address(&addr, &forward->config.guest.addr)) {
            continue;
        }
        forward->config.guest.addr = addr;
        uplink_forward_set_guest(forward->uplink, &addr);
        rules_changed(network);
        reg->ops.forward_moved(reg->opaque, network, forward);
    }
}
