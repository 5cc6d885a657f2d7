/*
 * References to networks
 *
 * A reference is a network-add of lifetime "client".  The daemon counts one
 * per client, so that a client's references to one network are counted here:
 * only the last of them is given back by network-del.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <arpa/inet.h>
#include <string.h>

#include "libvmnet/interface-int.h"
#include "libvmnet/network-int.h"
#include "qapi/keyval.h"

#define SERIALIZATION_VERSION 1

/**
 * VmnetNetwork:
 * @mac: the gateway's: a network that was made anew has another
 */
struct VmnetNetwork {
    int refs;
    VmnetClient *client;
    char *name;
    char *mac;
    VmnetOperatingMode mode;
    uint32_t mtu_bytes;
    bool has_v4, has_v6;
    struct in_addr gateway;
    unsigned v4_len, v6_len;
    struct in6_addr prefix6;
};

VmnetNetwork *vmnet_network_ref(VmnetNetwork *network)
{
    refs_inc(&network->refs);
    return network;
}

/* The last of this client's references to the network goes. */
static void let_go(VmnetNetwork *network)
{
    unsigned *n = g_hash_table_lookup(network->client->networks,
                                      network->name);
    JsonValue *args;

    if (!n || --*n > 0) {
        return;
    }
    g_hash_table_remove(network->client->networks, network->name);
    args = json_dict();
    json_dict_set_string(args, "name", network->name);
    client_call(network->client, "network-del", args, -1,
                deadline_in_ms(VMNET_COMMAND_TIMEOUT_MS), NULL, NULL, NULL);
}

void vmnet_network_unref(VmnetNetwork *network)
{
    if (!network || !refs_dec(&network->refs)) {
        return;
    }
    let_go(network);
    vmnet_client_unref(network->client);
    g_free(network->name);
    g_free(network->mac);
    g_free(network);
}

VmnetClient *network_client(const VmnetNetwork *network)
{
    return network->client;
}

const char *vmnet_network_get_name(const VmnetNetwork *network)
{
    return network->name;
}

VmnetOperatingMode vmnet_network_get_mode(const VmnetNetwork *network)
{
    return network->mode;
}

guint32 vmnet_network_get_mtu(const VmnetNetwork *network)
{
    return network->mtu_bytes;
}

gboolean vmnet_network_get_ipv4_subnet(const VmnetNetwork *network,
                                       struct in_addr *ret_subnet,
                                       struct in_addr *ret_mask)
{
    if (network->has_v4) {
        *ret_subnet = network->gateway;
        ret_mask->s_addr = htonl(~0u << (32 - network->v4_len));
    }
    return network->has_v4;
}

gboolean vmnet_network_get_ipv6_prefix(const VmnetNetwork *network,
                                       struct in6_addr *ret_prefix,
                                       guint8 *ret_prefix_len)
{
    if (network->has_v6) {
        *ret_prefix = network->prefix6;
        *ret_prefix_len = network->v6_len;
    }
    return network->has_v6;
}

/* What the daemon tells of a network: looked at as a stranger's */

/* ADDRESS/LENGTH; false if @text is none. */
static bool read_prefix(int family, const char *text, void *ret_addr,
                        unsigned *ret_len)
{
    const char *slash = text ? strchr(text, '/') : NULL;
    g_autofree char *addr = slash ? g_strndup(text, slash - text) : NULL;
    guint64 len;

    return addr && inet_pton(family, addr, ret_addr) == 1 &&
           g_ascii_string_to_unsigned(slash + 1, 10, 1,
                                      family == AF_INET ? 32 : 128, &len,
                                      NULL) &&
           (*ret_len = len, true);
}

static bool read_mode(const char *text, VmnetOperatingMode *ret_mode)
{
    VmnetOperatingMode mode;

    for (mode = VMNET_HOST_MODE; mode <= VMNET_BRIDGED_MODE; mode++) {
        if (g_strcmp0(text, network_mode_name(mode)) == 0) {
            *ret_mode = mode;
            return true;
        }
    }
    return false;
}

static VmnetNetwork *network_of(VmnetClient *client, const JsonValue *details,
                                GError **error)
{
    const char *name = json_dict_get_string(details, "name");
    const char *mac = json_dict_get_string(details, "mac");
    const char *gateway = json_dict_get_string(details, "gateway");
    VmnetNetwork *network;
    struct in_addr subnet;
    VmnetOperatingMode mode;
    int64_t mtu;

    if (!name || !mac || !json_dict_get_int(details, "mtu", &mtu) || mtu < 1 ||
        mtu > PACKET_BYTES_MAX ||
        !read_mode(json_dict_get_string(details, "mode"), &mode)) {
        g_set_error_literal(error, VMNET_ERROR, VMNET_FAILURE,
                            "vmnetd made a network and does not tell which");
        return NULL;
    }
    network = g_new0(VmnetNetwork, 1);
    network->refs = 1;
    network->client = vmnet_client_ref(client);
    network->name = g_strdup(name);
    network->mac = g_strdup(mac);
    network->mode = mode;
    network->mtu_bytes = mtu;
    network->has_v4 = read_prefix(AF_INET, json_dict_get_string(details,
                                                                "subnet"),
                                  &subnet, &network->v4_len) && gateway &&
                      inet_pton(AF_INET, gateway, &network->gateway) == 1;
    network->has_v6 = read_prefix(AF_INET6,
                                  json_dict_get_string(details, "ipv6-prefix"),
                                  &network->prefix6, &network->v6_len);
    client_count_network(client, name);
    return network;
}

/* Making */

typedef struct Creation {
    int64_t call;
    VmnetNetworkFunc func;
    gpointer user_data;
} Creation;

/* One that comes too late is not held by somebody who does not know it. */
static void undo_network_add(VmnetClient *client, const JsonValue *result,
                             const char *unused)
{
    vmnet_network_unref(network_of(client, result, NULL));
}

static void on_created(VmnetClient *client, const JsonValue *result,
                       const GError *error, gpointer user_data)
{
    g_autofree Creation *creation = user_data;
    g_autoptr(GError) err = NULL;
    VmnetNetwork *network = result ? network_of(client, result, &err) : NULL;

    if (g_error_matches(error, VMNET_ERROR, VMNET_SETUP_INCOMPLETE)) {
        client_call_undo(client, creation->call, undo_network_add, NULL);
    }
    creation->func(network, error ?: err, creation->user_data);
}

static gboolean create(VmnetClient *client, JsonValue *args, int timeout_ms,
                       VmnetNetworkFunc func, gpointer user_data,
                       GError **error)
{
    Creation *creation = g_new(Creation, 1);
    int64_t call;

    *creation = (Creation){ .func = func, .user_data = user_data };
    call = client_call_owned(client, "network-add", args,
                             deadline_in_ms(timeout_ms), on_created, creation,
                             error);
    if (call) {
        creation->call = call;
    }
    return call != 0;
}

gboolean vmnet_network_create_async(VmnetClient *client,
                                    const VmnetNetworkConfiguration *config,
                                    int timeout_ms, VmnetNetworkFunc func,
                                    gpointer user_data, GError **error)
{
    return create(client, network_configuration_args(config), timeout_ms, func,
                  user_data, error);
}

gboolean vmnet_network_acquire_async(VmnetClient *client, const char *name,
                                     int timeout_ms, VmnetNetworkFunc func,
                                     gpointer user_data, GError **error)
{
    JsonValue *args = json_dict();

    json_dict_set_string(args, "name", name);
    json_dict_set_string(args, "lifetime", "client");
    return create(client, args, timeout_ms, func, user_data, error);
}

typedef struct Made {
    bool done;
    VmnetNetwork *network;
    GError *error;
} Made;

static void on_made(VmnetNetwork *network, const GError *error, gpointer opaque)
{
    Made *made = opaque;

    made->done = true;
    made->network = network;
    made->error = error ? g_error_copy(error) : NULL;
}

static VmnetNetwork *create_and_wait(VmnetClient *client, JsonValue *args,
                                     int timeout_ms, GError **error)
{
    Made made = { 0 };

    if (!create(client, args, timeout_ms, on_made, &made, error)) {
        return NULL;
    }
    if (!client_wait(client, &made.done)) {
        g_set_error_literal(error, VMNET_ERROR, VMNET_SETUP_INCOMPLETE,
                            "network-add: the connection was closed");
        return NULL;
    }
    if (made.error) {
        g_propagate_error(error, made.error);
    }
    return made.network;
}

VmnetNetwork *vmnet_network_create(VmnetClient *client,
                                   const VmnetNetworkConfiguration *config,
                                   int timeout_ms, GError **error)
{
    return create_and_wait(client, network_configuration_args(config),
                           timeout_ms, error);
}

VmnetNetwork *vmnet_network_acquire(VmnetClient *client, const char *name,
                                    int timeout_ms, GError **error)
{
    JsonValue *args = json_dict();

    json_dict_set_string(args, "name", name);
    json_dict_set_string(args, "lifetime", "client");
    return create_and_wait(client, args, timeout_ms, error);
}

/* From one process to another */

char *vmnet_network_copy_serialization(const VmnetNetwork *network)
{
    g_autoptr(JsonValue) value = json_dict();

    json_dict_set_int(value, "vmnet-network", SERIALIZATION_VERSION);
    json_dict_set_string(value, "name", network->name);
    json_dict_set_string(value, "mac", network->mac);
    return json_to_text(value);
}

VmnetNetwork *
vmnet_network_create_with_serialization(VmnetClient *client,
                                        const char *serialization,
                                        int timeout_ms, GError **error)
{
    g_autoptr(JsonValue) value = json_parse(serialization,
                                            strlen(serialization), NULL);
    const char *name = value ? json_dict_get_string(value, "name") : NULL;
    g_autoptr(VmnetNetwork) network = NULL;
    int64_t version;

    if (!name || !json_dict_get_int(value, "vmnet-network", &version) ||
        version != SERIALIZATION_VERSION) {
        g_set_error_literal(error, VMNET_ERROR, VMNET_INVALID_ARGUMENT,
                            "this is no serialization of a network");
        return NULL;
    }
    network = vmnet_network_acquire(client, name, timeout_ms, error);
    if (!network) {
        return NULL;
    }
    if (g_strcmp0(json_dict_get_string(value, "mac"), network->mac) != 0) {
        g_set_error(error, VMNET_ERROR, VMNET_INVALID_ARGUMENT,
                    "network '%s' is another one than was serialized", name);
        return NULL;
    }
    return g_steal_pointer(&network);
}

/* Interfaces on a network */

static JsonValue *interface_options(const VmnetNetwork *network,
                                    const char *options, GError **error)
{
    QapiInput input = QAPI_INPUT_KEYVAL;
    g_autofree char *type = g_strdup_printf("vmnet-%s",
                                            network_mode_name(network->mode));
    g_autoptr(GError) err = NULL;
    g_autoptr(JsonValue) value = keyval_parse(options, NULL, &input, &err);

    if (value && (json_dict_get(value, "type") ||
                  json_dict_get(value, "network"))) {
        g_set_error_literal(error, VMNET_ERROR, VMNET_INVALID_ARGUMENT,
                            "'type' and 'network' are the network's");
        return NULL;
    }
    if (value) {
        json_dict_set_string(value, "type", type);
        json_dict_set_string(value, "network", network->name);
    }
    return interface_check_options(g_steal_pointer(&value), input, err, error);
}

VmnetInterface *vmnet_interface_start_with_network_async(
    VmnetNetwork *network, const char *options, VmnetPort port,
    VmnetInterfaceFlags flags, VmnetOffloads offloads, int timeout_ms,
    VmnetInterfaceFunc func, gpointer user_data, GError **error)
{
    JsonValue *netdev = interface_options(network, options, error);

    return netdev ? interface_start_json(network->client, netdev, port, flags,
                                         offloads, timeout_ms, func,
                                         user_data, error) : NULL;
}

VmnetInterface *vmnet_interface_start_with_network(
    VmnetNetwork *network, const char *options, VmnetPort port,
    VmnetInterfaceFlags flags, VmnetOffloads offloads, int timeout_ms,
    GError **error)
{
    JsonValue *netdev = interface_options(network, options, error);

    return netdev ? interface_start_and_wait(network->client, netdev, port,
                                             flags, offloads, timeout_ms,
                                             error) : NULL;
}
