/*
 * Interfaces: a netdev and its export, made together
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libvmnet/client-private.h"
#include "qapi/keyval.h"
#include "qapi/qapi-types.h"
#include "qapi/qapi-visit.h"
#include "vmnet/error.h"

#define ETHERNET_HEADER_BYTES 14
/* The name under which a descriptor waits for its export-add. */
#define FD_NAME "vmnet-interface"

struct VmnetInterface {
    char *id;
    int fd;             /* -1: reached by path, or taken */
    char *path;
    char *mac;
    char *network;
    char *subnet;
    uint32_t mtu_bytes;
};

void vmnet_interface_free(VmnetInterface *interface)
{
    if (!interface) {
        return;
    }
    if (interface->fd >= 0) {
        close(interface->fd);
    }
    g_free(interface->id);
    g_free(interface->path);
    g_free(interface->mac);
    g_free(interface->network);
    g_free(interface->subnet);
    g_free(interface);
}

int vmnet_interface_steal_fd(VmnetInterface *interface)
{
    int fd = interface->fd;

    interface->fd = -1;
    return fd;
}

const char *vmnet_interface_get_path(const VmnetInterface *interface)
{
    return interface->path;
}

const char *vmnet_interface_get_mac(const VmnetInterface *interface)
{
    return interface->mac;
}

const char *vmnet_interface_get_network(const VmnetInterface *interface)
{
    return interface->network;
}

const char *vmnet_interface_get_subnet(const VmnetInterface *interface)
{
    return interface->subnet;
}

guint32 vmnet_interface_get_mtu(const VmnetInterface *interface)
{
    return interface->mtu_bytes;
}

guint32 vmnet_interface_get_max_packet_size(const VmnetInterface *interface)
{
    return interface->mtu_bytes + ETHERNET_HEADER_BYTES;
}

static bool execute(VmnetClient *client, const char *command, JsonValue *args,
                    GError **error)
{
    g_autoptr(JsonValue) result = vmnet_client_execute(client, command, args,
                                                       error);

    return result != NULL;
}

static bool netdev_del(VmnetClient *client, const char *id, GError **error)
{
    JsonValue *args = json_dict();

    json_dict_set_string(args, "id", id);
    return execute(client, "netdev_del", args, error);
}

/* Arguments of export-add without its address. */
static JsonValue *export_args(const VmnetInterface *interface, VmnetPort port)
{
    JsonValue *args = json_dict();

    json_dict_set_string(args, "type",
                         port == VMNET_PORT_DGRAM ? "dgram" : "stream");
    json_dict_set_string(args, "id", interface->id);
    json_dict_set_string(args, "netdev", interface->id);
    return args;
}

static bool export_path(VmnetClient *client, VmnetInterface *interface,
                        VmnetPort port, GError **error)
{
    JsonValue *args = export_args(interface, port);
    JsonValue *addr = json_dict();
    g_autoptr(JsonValue) info = NULL;

    json_dict_set_string(addr, "type", "unix");
    json_dict_set(args, "addr", addr);
    info = vmnet_client_execute(client, "export-add", args, error);
    if (!info) {
        return false;
    }
    interface->path = g_strdup(json_dict_get_string(info, "path"));
    if (!interface->path) {
        g_set_error(error, VMNET_ERROR, VMNET_FAILURE,
                    "netdev '%s': vmnetd did not tell its socket",
                    interface->id);
        return false;
    }
    return true;
}

static bool export_socket(VmnetClient *client, VmnetInterface *interface,
                          VmnetPort port, GError **error)
{
    int type = port == VMNET_PORT_DGRAM ? SOCK_DGRAM : SOCK_STREAM;
    JsonValue *args, *addr;
    bool sent;
    int pair[2];

    if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, pair) < 0) {
        g_set_error(error, VMNET_ERROR, vmnet_status_from_errno(errno),
                    "netdev '%s': cannot make a socket: %s", interface->id,
                    g_strerror(errno));
        return false;
    }
    interface->fd = pair[0];
    sent = vmnet_client_send_fd(client, FD_NAME, pair[1], error);
    close(pair[1]);
    if (!sent) {
        return false;
    }
    args = export_args(interface, port);
    addr = json_dict();
    json_dict_set_string(addr, "type", "fd");
    json_dict_set_string(addr, "str", FD_NAME);
    json_dict_set(args, "addr", addr);
    return execute(client, "export-add", args, error);
}

/* Learn what the daemon chose: network, addresses, MTU. */
static bool query_netdev(VmnetClient *client, VmnetInterface *interface,
                         GError **error)
{
    g_autoptr(JsonValue) all = NULL;
    int64_t mtu;
    size_t i;

    all = vmnet_client_execute(client, "query-netdevs", NULL, error);
    if (!all) {
        return false;
    }
    for (i = 0; i < json_list_size(all); i++) {
        const JsonValue *info = json_list_get(all, i);

        /* Plain only if it is ours: those of others are VM/ID. */
        if (g_strcmp0(json_dict_get_string(info, "id"), interface->id) != 0) {
            continue;
        }
        interface->mac = g_strdup(json_dict_get_string(info, "mac"));
        interface->network = g_strdup(json_dict_get_string(info, "network"));
        interface->subnet = g_strdup(json_dict_get_string(info, "subnet"));
        interface->mtu_bytes = json_dict_get_int(info, "mtu", &mtu) ? mtu : 0;
        return true;
    }
    g_set_error(error, VMNET_ERROR, VMNET_FAILURE,
                "netdev '%s': vmnetd made it and does not show it",
                interface->id);
    return false;
}

VmnetInterface *vmnet_interface_start_json(VmnetClient *client,
                                           JsonValue *netdev, VmnetPort port,
                                           bool by_path, GError **error)
{
    g_autoptr(VmnetInterface) interface = g_new0(VmnetInterface, 1);

    interface->fd = -1;
    interface->id = g_strdup(json_dict_get_string(netdev, "id"));
    if (!interface->id) {
        json_unref(netdev);
        g_set_error_literal(error, VMNET_ERROR, VMNET_INVALID_ARGUMENT,
                            "Parameter 'id' is missing");
        return NULL;
    }
    if (!execute(client, "netdev_add", netdev, error)) {
        return NULL;
    }
    if (!(by_path ? export_path(client, interface, port, error)
                  : export_socket(client, interface, port, error)) ||
        !query_netdev(client, interface, error)) {
        netdev_del(client, interface->id, NULL);
        return NULL;
    }
    return g_steal_pointer(&interface);
}

/* @options, as arguments of netdev_add: checked here already. */
static JsonValue *parse_options(const char *options, GError **error)
{
    QapiInput input = QAPI_INPUT_KEYVAL;
    g_autoptr(JsonValue) text = keyval_parse(options, "type", &input, error);
    g_autoptr(Netdev) netdev = NULL;

    if (!text || !qapi_decode_Netdev(text, input, &netdev, error)) {
        return NULL;
    }
    return qapi_encode_Netdev(netdev);
}

static VmnetInterface *start(VmnetClient *client, const char *options,
                             VmnetPort port, bool by_path, GError **error)
{
    JsonValue *netdev = parse_options(options, error);

    return netdev ? vmnet_interface_start_json(client, netdev, port, by_path,
                                               error) : NULL;
}

VmnetInterface *vmnet_interface_start(VmnetClient *client, const char *options,
                                      VmnetPort port, GError **error)
{
    return start(client, options, port, false, error);
}

VmnetInterface *vmnet_interface_start_path(VmnetClient *client,
                                           const char *options, VmnetPort port,
                                           GError **error)
{
    return start(client, options, port, true, error);
}

gboolean vmnet_interface_stop(VmnetInterface *interface, VmnetClient *client,
                              GError **error)
{
    return netdev_del(client, interface->id, error);
}
