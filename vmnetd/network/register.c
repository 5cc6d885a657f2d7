/*
 * All networks of a daemon, and who gets which
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "network/network-internal.h"

#include <string.h>
#include <sys/resource.h>

#include "limits.h"
#include "priv/message.h"
#include "vmnet/error.h"

/* Descriptors that are not for flows: clients, exports, logs, forwards, DNS. */
#define RESERVED_FDS 512

unsigned network_flows_max(uint64_t n_fds)
{
    if (n_fds >= LIMIT_FLOWS + RESERVED_FDS) {
        return LIMIT_FLOWS;
    }
    return n_fds > 2 * RESERVED_FDS ? n_fds - RESERVED_FDS : n_fds / 2;
}

unsigned network_dns_sockets_max(uint64_t n_fds)
{
    return MIN((n_fds - network_flows_max(n_fds)) / 2,
               LIMIT_DNS_SOCKETS_DAEMON);
}

/* Flows and queries are descriptors: as many as the process may have. */
static uint64_t descriptors_max(void)
{
    struct rlimit limit;

    return getrlimit(RLIMIT_NOFILE, &limit) < 0 ? RLIM_INFINITY
                                                : limit.rlim_cur;
}

static void on_host_changed(void *opaque)
{
    NetworkRegister *reg = opaque;
    unsigned i;

    for (i = 0; i < reg->networks->len; i++) {
        network_host_changed(g_ptr_array_index(reg->networks, i));
    }
}

NetworkRegister *network_register_new(const NetworkRegisterConfig *config,
                                      const NetworkOps *ops, void *opaque)
{
    NetworkRegister *reg = g_new0(NetworkRegister, 1);

    reg->config = *config;
    reg->resolv_conf = g_strdup(config->resolv_conf);
    reg->config.resolv_conf = reg->resolv_conf;
    reg->config.state_dir = NULL;   /* the store has it */
    reg->ops = *ops;
    reg->opaque = opaque;
    reg->networks = g_ptr_array_new();
    reg->forbidden = g_array_new(FALSE, FALSE, sizeof(IpPrefix));
    reg->host = host_new(config->loop, PRIV_GATEWAY_PREFIX, on_host_changed,
                         reg);
    reg->quota = flow_quota_new(network_flows_max(descriptors_max()));
    reg->dns_quota = resolver_quota_new(
        network_dns_sockets_max(descriptors_max()));
    reg->store = state_store_new(config->state_dir);
    return reg;
}

void network_register_free(NetworkRegister *reg)
{
    if (!reg) {
        return;
    }
    while (reg->networks->len > 0) {
        network_stop(g_ptr_array_index(reg->networks, reg->networks->len - 1));
    }
    host_free(reg->host);
    flow_quota_free(reg->quota);
    resolver_quota_free(reg->dns_quota);
    state_store_free(reg->store);
    g_ptr_array_unref(reg->networks);
    g_array_unref(reg->forbidden);
    g_free(reg->resolv_conf);
    g_free(reg);
}

bool network_register_is_idle(NetworkRegister *reg)
{
    return reg->networks->len == 0;
}

GPtrArray *network_register_list(NetworkRegister *reg)
{
    return g_ptr_array_copy(reg->networks, NULL, NULL);
}

Network *network_find(NetworkRegister *reg, const char *name)
{
    unsigned i;

    for (i = 0; i < reg->networks->len; i++) {
        Network *network = g_ptr_array_index(reg->networks, i);

        if (strcmp(network->name, name) == 0) {
            return network;
        }
    }
    return NULL;
}

void network_register_update_forbidden(NetworkRegister *reg)
{
    unsigned i;

    g_array_set_size(reg->forbidden, 0);
    for (i = 0; i < reg->networks->len; i++) {
        const Network *network = g_ptr_array_index(reg->networks, i);

        if (network->state.addresses.prefix.addr.family == AF_INET) {
            g_array_append_val(reg->forbidden,
                               network->state.addresses.prefix);
            g_array_append_val(reg->forbidden, network->state.prefix6);
        }
    }
}

/* Are the addresses that @config writes those that network @name has? */
static bool has_addresses(NetworkRegister *reg, const char *name,
                          const NetworkConfig *config)
{
    Network *network = network_find(reg, name);
    NetworkConfig nothing = { .mode = config->mode,
                              .prefix6.addr.family = AF_UNSPEC };
    g_auto(NetworkState) state = { 0 };
    g_autofree char *differs = NULL;

    if (network) {
        differs = network_config_differs(config, network->mode,
                                         &network->state, &network->settings,
                                         true);
        return !differs;
    }
    network_state_init(&state);
    if (!network_plan(reg, name, &nothing, &state, NULL)) {
        return false;
    }
    differs = network_config_differs(config, config->mode, &state, NULL, true);
    return !differs;
}

static char *choose_name(NetworkRegister *reg, const NetworkConfig *config)
{
    const char *by_mode = network_mode_str(config->mode);

    if (config->name) {
        return g_strdup(config->name);
    }
    if (config->mode == NETWORK_MODE_BRIDGED) {
        return g_strdup_printf("%s-%s", by_mode, config->ifname);
    }
    if (config->net_uuid ||
        ((config->has_range || config->prefix6.addr.family == AF_INET6) &&
         !has_addresses(reg, by_mode, config))) {
        return network_config_own_name(config);
    }
    return g_strdup(by_mode);
}

static bool agrees(const Network *network, const NetworkConfig *config,
                   GError **error)
{
    g_autofree char *differs = network_config_differs(config, network->mode,
                                                      &network->state,
                                                      &network->settings,
                                                      false);

    if (differs) {
        g_set_error(error, VMNET_ERROR, VMNET_INVALID_ARGUMENT,
                    "network '%s' runs with another configuration: %s",
                    network->name, differs);
    }
    return !differs;
}

/*
 * A bridged one has an interface in any case: that which is written, that of
 * the network which runs, or that of the default route.
 */
static bool resolve(NetworkRegister *reg, const NetworkConfig *config,
                    NetworkConfig *ret_resolved, HostInterface *interface,
                    GError **error)
{
    Network *network = config->name ? network_find(reg, config->name) : NULL;

    *ret_resolved = *config;
    if (config->mode != NETWORK_MODE_BRIDGED || config->ifname) {
        return true;
    }
    if (network && agrees(network, config, NULL)) {
        memcpy(interface->name, network->settings.ifname, IF_NAMESIZE);
    } else if (!network_bridged_find(reg, NULL, interface, error)) {
        return false;
    }
    ret_resolved->ifname = interface->name;
    return true;
}

bool network_choose(NetworkRegister *reg, const NetworkConfig *config,
                    NetworkChoice *ret_choice, GError **error)
{
    NetworkConfig resolved;
    HostInterface interface;
    Network *network;

    if (!network_config_check(config, error) ||
        !resolve(reg, config, &resolved, &interface, error)) {
        return false;
    }
    *ret_choice = (NetworkChoice) { .name = choose_name(reg, &resolved) };
    network = network_find(reg, ret_choice->name);
    ret_choice->runs = network && (network->refs ||
                                   agrees(network, &resolved, NULL));
    if (resolved.mode == NETWORK_MODE_BRIDGED) {
        g_strlcpy(ret_choice->ifname, resolved.ifname, IF_NAMESIZE);
    }
    return true;
}

void network_choice_clear(NetworkChoice *choice)
{
    g_clear_pointer(&choice->name, g_free);
}

Network *network_acquire(NetworkRegister *reg, const NetworkConfig *config,
                         GError **error)
{
    g_autofree char *name = NULL;
    NetworkConfig resolved;
    HostInterface interface;
    Network *network;

    if (!network_config_check(config, error) ||
        !resolve(reg, config, &resolved, &interface, error)) {
        return NULL;
    }
    config = &resolved;
    name = choose_name(reg, config);
    network = network_find(reg, name);
    if (network && agrees(network, config, network->refs ? error : NULL)) {
        return network_ref(network);
    }
    if (network && network->refs > 0) {
        return NULL;
    }
    if (network) {
        /* Nobody is left on it: it starts anew as it is wanted now. */
        network_stop(network);
    }
    if (reg->networks->len >= LIMIT_NETWORKS) {
        g_set_error(error, VMNET_ERROR, VMNET_FAILURE,
                    "network '%s': %d networks run already", name,
                    LIMIT_NETWORKS);
        return NULL;
    }
    return network_start(reg, name, config, error);
}
