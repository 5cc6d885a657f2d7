/*
 * An interface's way into the daemon, and out of it
 *
 *   netdev_add --> getfd --> export-add --> query-netdevs --> RUNNING
 *        |            |          |               |
 *        v            `----------+---------------'
 *      GONE                netdev_del --> GONE
 *
 * Each answer asks the next question.  Whoever gives up before netdev_add was
 * answered leaves a note with the client: should it succeed yet, the netdev is
 * removed; it must not be removed if it fails, since it may have failed for
 * another netdev of that name.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libvmnet/interface-int.h"
#include "qapi/keyval.h"
#include "qapi/qapi-types.h"
#include "qapi/qapi-visit.h"

/* What we ask for; the kernel gives what net.core.wmem_max allows. */
#define SNDBUF_BYTES (4 * 1024 * 1024)

static const char *const offload_names[] = {
    "csum", "tso4", "tso6", "ecn", "uso",
};

/* The end of a start */

static void set_state(VmnetInterface *interface, VmnetInterfaceState state)
{
    g_atomic_int_set(&interface->state, state);
}

static void call_back(VmnetInterface *interface, const GError *error)
{
    VmnetInterfaceFunc func = interface->func;

    interface->func = NULL;
    if (func) {
        func(interface, error, interface->user_data);
    }
}

static void undo_netdev_add(VmnetClient *client, const JsonValue *result,
                            const char *id)
{
    client_netdev_del(client, id);
}

static void take_back(VmnetInterface *interface)
{
    if (interface->call) {
        client_call_undo(interface->client, interface->call, undo_netdev_add,
                         interface->id);
    } else if (interface->is_made) {
        client_netdev_del(interface->client, interface->id);
    }
    interface->call = 0;
    interface->is_made = false;
}

void interface_cancel(VmnetInterface *interface)
{
    if (g_atomic_int_get(&interface->state) != VMNET_INTERFACE_STARTING) {
        return;
    }
    interface->func = NULL;
    set_state(interface, VMNET_INTERFACE_GONE);
    if (interface->client) {
        client_call_forget(interface->client, interface);
        take_back(interface);
    }
}

static void start_failed(VmnetInterface *interface, const GError *error)
{
    take_back(interface);
    set_state(interface, VMNET_INTERFACE_GONE);
    call_back(interface, error);
}

static void started(VmnetInterface *interface)
{
    set_state(interface, VMNET_INTERFACE_RUNNING);
    interface_io_run(interface);
    call_back(interface, NULL);
}

/* Questions and answers */

typedef void (*NextStep)(VmnetInterface *interface, const JsonValue *result);

static void answered(VmnetInterface *interface, const JsonValue *result,
                     const GError *error, NextStep next)
{
    vmnet_interface_ref(interface);
    if (g_atomic_int_get(&interface->state) != VMNET_INTERFACE_STARTING) {
        /* It was stopped meanwhile. */
    } else if (error) {
        start_failed(interface, error);
    } else {
        next(interface, result);
    }
    vmnet_interface_unref(interface);
}

static void ask(VmnetInterface *interface, const char *command,
                JsonValue *args, int fd, ClientAnswer func)
{
    g_autoptr(GError) err = NULL;

    if (!client_call(interface->client, command, args, fd,
                     interface->deadline_us, func, interface, &err)) {
        start_failed(interface, err);
    }
}

static void learn(VmnetInterface *interface, const JsonValue *info)
{
    int64_t mtu;

    interface->mac = g_strdup(json_dict_get_string(info, "mac"));
    interface->network = g_strdup(json_dict_get_string(info, "network"));
    interface->subnet = g_strdup(json_dict_get_string(info, "subnet"));
    if (json_dict_get_int(info, "mtu", &mtu) && mtu > 0 &&
        mtu <= PACKET_BYTES_MAX) {
        interface->mtu_bytes = mtu;
    }
}

/* Plain ids are ours: those of others are VM/ID. */
static void take_netdevs(VmnetInterface *interface, const JsonValue *all)
{
    g_autoptr(GError) err = NULL;
    size_t i;

    for (i = 0; i < json_list_size(all); i++) {
        const JsonValue *info = json_list_get(all, i);

        if (g_strcmp0(json_dict_get_string(info, "id"), interface->id) == 0) {
            learn(interface, info);
            break;
        }
    }
    if (interface->mtu_bytes) {
        started(interface);
        return;
    }
    err = g_error_new(VMNET_ERROR, VMNET_FAILURE,
                      "netdev '%s': vmnetd made it and does not show it",
                      interface->id);
    start_failed(interface, err);
}

static void on_netdevs(VmnetClient *client, const JsonValue *result,
                       const GError *error, gpointer user_data)
{
    answered(user_data, result, error, take_netdevs);
}

static void take_export(VmnetInterface *interface, const JsonValue *info)
{
    g_autoptr(GError) err = NULL;

    if (interface->flags & VMNET_INTERFACE_BY_PATH) {
        interface->path = g_strdup(json_dict_get_string(info, "path"));
        if (!interface->path) {
            err = g_error_new(VMNET_ERROR, VMNET_FAILURE,
                              "netdev '%s': vmnetd did not tell its socket",
                              interface->id);
            start_failed(interface, err);
            return;
        }
    }
    ask(interface, "query-netdevs", NULL, -1, on_netdevs);
}

static void on_export(VmnetClient *client, const JsonValue *result,
                      const GError *error, gpointer user_data)
{
    answered(user_data, result, error, take_export);
}

static JsonValue *offload_list(VmnetOffloads offloads)
{
    JsonValue *list = json_list();
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(offload_names); i++) {
        if (offloads & (1u << i)) {
            json_list_append(list, json_string(offload_names[i]));
        }
    }
    return list;
}

/* One client's interfaces may start at the same time: a name for each. */
static char *fd_name(const VmnetInterface *interface)
{
    return g_strdup_printf("vmnet-%s", interface->id);
}

static void ask_export(VmnetInterface *interface, const JsonValue *ignored)
{
    static const char *const types[] = {
        [VMNET_PORT_STREAM] = "stream",
        [VMNET_PORT_DGRAM] = "dgram",
        [VMNET_PORT_PACKETS] = "dgram",
        [VMNET_PORT_VHOST_USER] = "vhost-user",
    };
    bool by_path = interface->flags & VMNET_INTERFACE_BY_PATH;
    g_autofree char *name = fd_name(interface);
    JsonValue *args = json_dict(), *addr = json_dict();

    json_dict_set_string(args, "type", types[interface->port]);
    json_dict_set_string(args, "id", interface->id);
    json_dict_set_string(args, "netdev", interface->id);
    json_dict_set_string(addr, "type", by_path ? "unix" : "fd");
    if (!by_path) {
        json_dict_set_string(addr, "str", name);
    }
    json_dict_set(args, "addr", addr);
    if (interface->flags & VMNET_INTERFACE_VIRTIO_HEADER) {
        json_dict_set_bool(args, "vnet-hdr", true);
        json_dict_set(args, "offloads", offload_list(interface->offloads));
    }
    ask(interface, "export-add", args, -1, on_export);
}

static void on_fd(VmnetClient *client, const JsonValue *result,
                  const GError *error, gpointer user_data)
{
    answered(user_data, result, error, ask_export);
}

static void ask_fd(VmnetInterface *interface, const JsonValue *ignored)
{
    g_autofree char *name = fd_name(interface);
    JsonValue *args;

    interface->call = 0;
    interface->is_made = true;
    if (interface->peer_fd < 0) {
        ask_export(interface, NULL);
        return;
    }
    args = json_dict();
    json_dict_set_string(args, "fdname", name);
    ask(interface, "getfd", args, interface->peer_fd, on_fd);
    close(interface->peer_fd);
    interface->peer_fd = -1;
}

/* That time is up is no answer: the daemon may make the netdev yet. */
static void on_added(VmnetClient *client, const JsonValue *result,
                     const GError *error, gpointer user_data)
{
    VmnetInterface *interface = user_data;

    if (error && error->code != VMNET_SETUP_INCOMPLETE) {
        interface->call = 0;
    }
    answered(interface, result, error, ask_fd);
}

/* The start */

static bool make_socket(VmnetInterface *interface, GError **error)
{
    static const int types[] = {
        [VMNET_PORT_STREAM] = SOCK_STREAM,
        [VMNET_PORT_DGRAM] = SOCK_DGRAM,
        [VMNET_PORT_PACKETS] = SOCK_SEQPACKET,
    };
    int bytes = SNDBUF_BYTES;
    int pair[2];

    if (interface->flags & VMNET_INTERFACE_BY_PATH) {
        return true;
    }
    if (socketpair(AF_UNIX, types[interface->port] | SOCK_CLOEXEC, 0,
                   pair) < 0) {
        g_set_error(error, VMNET_ERROR, vmnet_status_from_errno(errno),
                    "netdev '%s': cannot make a socket: %s", interface->id,
                    g_strerror(errno));
        return false;
    }
    interface->fd = pair[0];
    interface->peer_fd = pair[1];
    /* A datagram waits in its sender's buffer until it is read. */
    if (interface->port != VMNET_PORT_STREAM) {
        setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
    }
    return interface->port != VMNET_PORT_PACKETS ||
           interface_io_init(interface, error);
}

static bool check_port(VmnetPort port, VmnetInterfaceFlags flags,
                       VmnetOffloads offloads, GError **error)
{
    bool has_header = flags & VMNET_INTERFACE_VIRTIO_HEADER;
    const char *mistake = NULL;

    if (port > VMNET_PORT_VHOST_USER) {
        mistake = "there is no such port";
    } else if (port == VMNET_PORT_PACKETS &&
               (flags & VMNET_INTERFACE_BY_PATH)) {
        mistake = "packets are not read and written by path";
    } else if (port == VMNET_PORT_VHOST_USER &&
               !(flags & VMNET_INTERFACE_BY_PATH)) {
        mistake = "a vhost-user socket is a path";
    } else if (port != VMNET_PORT_DGRAM && port != VMNET_PORT_PACKETS &&
               has_header) {
        mistake = "only packets and datagrams begin with a virtio header";
    } else if (offloads && !has_header) {
        mistake = "offloads need the virtio header";
    }
    if (mistake) {
        g_set_error_literal(error, VMNET_ERROR, VMNET_INVALID_ARGUMENT,
                            mistake);
    }
    return !mistake;
}

VmnetInterface *interface_start_json(VmnetClient *client, JsonValue *netdev,
                                     VmnetPort port, VmnetInterfaceFlags flags,
                                     VmnetOffloads offloads, int timeout_ms,
                                     VmnetInterfaceFunc func,
                                     gpointer user_data, GError **error)
{
    g_autoptr(JsonValue) owned = netdev;
    const char *id = json_dict_get_string(netdev, "id");
    g_autoptr(VmnetInterface) interface = NULL;

    if (!id) {
        g_set_error_literal(error, VMNET_ERROR, VMNET_INVALID_ARGUMENT,
                            "Parameter 'id' is missing");
        return NULL;
    }
    if (!check_port(port, flags, offloads, error)) {
        return NULL;
    }
    interface = g_new0(VmnetInterface, 1);
    interface->refs = 1;
    interface->id = g_strdup(id);
    interface->port = port;
    interface->flags = flags;
    interface->offloads = offloads;
    interface->fd = interface->peer_fd = -1;
    interface->io.epoll_fd = interface->io.timer_fd = -1;
    interface->client = vmnet_client_ref(client);
    interface->deadline_us = deadline_in_ms(timeout_ms);
    interface->func = func;
    interface->user_data = user_data;
    if (!make_socket(interface, error)) {
        return NULL;
    }
    interface->call = client_call(client, "netdev_add",
                                  g_steal_pointer(&owned), -1,
                                  interface->deadline_us, on_added, interface,
                                  error);
    return interface->call ? g_steal_pointer(&interface) : NULL;
}

JsonValue *interface_check_options(JsonValue *value, QapiInput input,
                                   const GError *parse_error, GError **error)
{
    g_autoptr(JsonValue) owned = value;
    g_autoptr(GError) err = NULL;
    g_autoptr(Netdev) netdev = NULL;

    if (!value || !qapi_decode_Netdev(value, input, &netdev, &err)) {
        g_set_error_literal(error, VMNET_ERROR, VMNET_INVALID_ARGUMENT,
                            value ? err->message : parse_error->message);
        return NULL;
    }
    return qapi_encode_Netdev(netdev);
}

static JsonValue *parse_options(const char *options, GError **error)
{
    QapiInput input = QAPI_INPUT_KEYVAL;
    g_autoptr(GError) err = NULL;
    JsonValue *value = keyval_parse(options, "type", &input, &err);

    return interface_check_options(value, input, err, error);
}

VmnetInterface *vmnet_interface_start_async(VmnetClient *client,
                                            const char *options,
                                            VmnetPort port,
                                            VmnetInterfaceFlags flags,
                                            VmnetOffloads offloads,
                                            int timeout_ms,
                                            VmnetInterfaceFunc func,
                                            gpointer user_data,
                                            GError **error)
{
    JsonValue *netdev = parse_options(options, error);

    return netdev ? interface_start_json(client, netdev, port, flags,
                                         offloads, timeout_ms, func,
                                         user_data, error) : NULL;
}

/* Stopping, and what is changed while it runs */

static void on_done(VmnetClient *client, const JsonValue *result,
                    const GError *error, gpointer user_data)
{
    VmnetInterface *interface = vmnet_interface_ref(user_data);

    call_back(interface, error);
    vmnet_interface_unref(interface);
}

static bool check_running(VmnetInterface *interface, GError **error)
{
    if (vmnet_interface_get_state(interface) != VMNET_INTERFACE_RUNNING) {
        g_set_error(error, VMNET_ERROR, VMNET_SETUP_INCOMPLETE,
                    "netdev '%s' is not running", interface->id);
        return false;
    }
    return true;
}

gboolean vmnet_interface_stop_async(VmnetInterface *interface, int timeout_ms,
                                    VmnetInterfaceFunc func,
                                    gpointer user_data, GError **error)
{
    JsonValue *args;

    if (!check_running(interface, error)) {
        interface_cancel(interface);
        return false;
    }
    args = json_dict();
    json_dict_set_string(args, "id", interface->id);
    client_call_forget(interface->client, interface);
    set_state(interface, VMNET_INTERFACE_GONE);
    interface->func = func;
    interface->user_data = user_data;
    return client_call(interface->client, "netdev_del", args, -1,
                       deadline_in_ms(timeout_ms), on_done, interface,
                       error) != 0;
}

gboolean vmnet_interface_set_offloads_async(VmnetInterface *interface,
                                            VmnetOffloads offloads,
                                            int timeout_ms,
                                            VmnetInterfaceFunc func,
                                            gpointer user_data,
                                            GError **error)
{
    JsonValue *args;

    if (!check_port(interface->port, interface->flags, offloads, error) ||
        !check_running(interface, error)) {
        return false;
    }
    args = json_dict();
    json_dict_set_string(args, "id", interface->id);
    json_dict_set(args, "offloads", offload_list(offloads));
    client_call_forget(interface->client, interface);
    interface->func = func;
    interface->user_data = user_data;
    return client_call(interface->client, "export-set-offloads", args, -1,
                       deadline_in_ms(timeout_ms), on_done, interface,
                       error) != 0;
}

/* The calls that wait */

typedef struct Wait {
    bool done;
    GError *error;
} Wait;

static void on_waited(VmnetInterface *interface, const GError *error,
                      gpointer user_data)
{
    Wait *wait = user_data;

    wait->done = true;
    wait->error = error ? g_error_copy(error) : NULL;
}

static bool wait_for(VmnetInterface *interface, Wait *wait, GError **error)
{
    if (!client_wait(interface->client, &wait->done)) {
        interface->func = NULL;
        g_set_error(error, VMNET_ERROR, VMNET_SETUP_INCOMPLETE,
                    "netdev '%s': the connection was closed", interface->id);
        return false;
    }
    if (wait->error) {
        g_propagate_error(error, wait->error);
        return false;
    }
    return true;
}

VmnetInterface *interface_start_and_wait(VmnetClient *client,
                                         JsonValue *netdev, VmnetPort port,
                                         VmnetInterfaceFlags flags,
                                         VmnetOffloads offloads,
                                         int timeout_ms, GError **error)
{
    Wait wait = { 0 };
    g_autoptr(VmnetInterface) interface =
        interface_start_json(client, netdev, port, flags, offloads, timeout_ms,
                             on_waited, &wait, error);

    return interface && wait_for(interface, &wait, error) ?
           g_steal_pointer(&interface) : NULL;
}

VmnetInterface *vmnet_interface_start(VmnetClient *client, const char *options,
                                      VmnetPort port,
                                      VmnetInterfaceFlags flags,
                                      VmnetOffloads offloads, int timeout_ms,
                                      GError **error)
{
    JsonValue *netdev = parse_options(options, error);

    return netdev ? interface_start_and_wait(client, netdev, port, flags,
                                             offloads, timeout_ms, error)
                  : NULL;
}

VmnetInterface *vmnet_interface_start_json(VmnetClient *client,
                                           JsonValue *netdev, VmnetPort port,
                                           VmnetInterfaceFlags flags,
                                           GError **error)
{
    return interface_start_and_wait(client, netdev, port, flags, 0,
                                    VMNET_COMMAND_TIMEOUT_MS, error);
}

gboolean vmnet_interface_stop(VmnetInterface *interface, int timeout_ms,
                              GError **error)
{
    Wait wait = { 0 };

    return vmnet_interface_stop_async(interface, timeout_ms, on_waited, &wait,
                                      error) &&
           wait_for(interface, &wait, error);
}
