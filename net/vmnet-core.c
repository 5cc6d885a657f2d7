/*
 * A netdev on one of vmnetd's networks, whatever VMM it is in
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "vmnet-core-int.h"

#include <errno.h>
#include <poll.h>

/* A daemon that has to be started, on a host that is busy. */
#define CONNECT_MS 15000
#define RETRY_FIRST_MS 100      /* between attempts: doubled each time */
#define RETRY_LAST_MS 5000

VmnetCore *vmnet_core_new(const VmnetCoreConfig *config,
                          const VmnetCoreOps *ops, void *opaque)
{
    VmnetCore *core = g_new0(VmnetCore, 1);

    core->ops = ops;
    core->opaque = opaque;
    core->options = g_strdup(config->options);
    core->connect = config->system ? VMNET_CONNECT_SYSTEM
                    : config->may_start ? VMNET_CONNECT_START
                    : VMNET_CONNECT_EXISTING;
    core->vhost_user = config->vhost_user;
    core->interface_header_len = config->header ? VMNET_CORE_HEADER_BYTES : 0;
    core->retry_ms = RETRY_FIRST_MS;
    core->tx = vmnet_tx_new(core->interface_header_len);
    return core;
}

void vmnet_core_free(VmnetCore *core)
{
    if (!core) {
        return;
    }
    vmnet_core_stop(core);
    vmnet_tx_free(core->tx);
    g_clear_error(&core->error);
    g_free(core->options);
    g_free(core);
}

static void set_state(VmnetCore *core, VmnetCoreState state)
{
    bool was_up = core->state == VMNET_CORE_RUNNING;
    bool up = state == VMNET_CORE_RUNNING;
    bool again = core->was_running;

    core->state = state;
    core->was_running |= up;
    if (was_up != up && state != VMNET_CORE_STOPPED) {
        core->ops->link(core->opaque, up, again);
    }
}

/* Forget the connection: all that it holds in the daemon goes with it. */
static void disconnect(VmnetCore *core)
{
    VmnetInterface *interface = g_steal_pointer(&core->interface);
    VmnetClient *client = g_steal_pointer(&core->client);

    if (!client) {
        return;
    }
    core->ops->watch(core->opaque, VMNET_CORE_FRAMES, -1);
    core->ops->watch(core->opaque, VMNET_CORE_CONTROL, -1);
    vmnet_client_close(client);
    vmnet_interface_unref(interface);
    vmnet_client_unref(client);
    g_clear_pointer(&core->rx, vmnet_rx_free);
    vmnet_tx_clear(core->tx);
}

void core_lost(VmnetCore *core, const GError *error)
{
    bool sender_waits = core->sender_waits;

    if (core->state == VMNET_CORE_WAITING
        || core->state == VMNET_CORE_STOPPED) {
        return;
    }
    g_clear_error(&core->error);
    core->error = error
                  ? g_error_copy(error)
                  : g_error_new(VMNET_ERROR, VMNET_SETUP_INCOMPLETE,
                                "vmnetd has ended the connection");
    disconnect(core);
    core->nic_full = false;
    core->sender_waits = false;
    core->ops->set_timer(core->opaque, core->retry_ms);
    core->retry_ms = MIN(core->retry_ms * 2, RETRY_LAST_MS);
    set_state(core, VMNET_CORE_WAITING);
    if (sender_waits) {
        core->ops->room(core->opaque);  /* to be dropped */
    }
}

static void client_state(VmnetClient *client, VmnetClientState state,
                         const GError *error, gpointer opaque)
{
    VmnetCore *core = opaque;

    if (state == VMNET_CLIENT_LOST && client == core->client) {
        core_lost(core, error);
    }
}

static void client_event(VmnetClient *client, const char *name,
                         const char *data, gpointer opaque)
{
    VmnetCore *core = opaque;

    core->ops->event(core->opaque, name, data);
}

static void interface_started(VmnetInterface *interface, const GError *error,
                              gpointer opaque)
{
    VmnetCore *core = opaque;

    if (interface != core->interface) {
        return;
    }
    if (error) {
        core_lost(core, error);
        return;
    }
    core->retry_ms = RETRY_FIRST_MS;
    core->counters.reconnects += core->was_running;
    if (!core->vhost_user) {
        core_frames_begin(core);
    }
    set_state(core, VMNET_CORE_RUNNING);
}

static void core_connect(VmnetCore *core)
{
    g_autoptr(GError) error = NULL;
    VmnetPort port = VMNET_PORT_PACKETS;
    VmnetInterfaceFlags flags = 0;

    if (core->vhost_user) {
        port = VMNET_PORT_VHOST_USER;
        flags = VMNET_INTERFACE_BY_PATH;
    } else if (core->interface_header_len) {
        flags = VMNET_INTERFACE_VIRTIO_HEADER;
    }
    set_state(core, VMNET_CORE_CONNECTING);
    core->told_offloads = core->offloads;
    core->client = vmnet_client_connect_async(core->connect, CONNECT_MS,
                                              client_state, core, &error);
    if (!core->client) {
        core_lost(core, error);
        return;
    }
    vmnet_client_set_event_callback(core->client, client_event, core);
    core->interface = vmnet_interface_start_async(core->client, core->options,
                                                  port, flags, core->offloads,
                                                  CONNECT_MS + ANSWER_MS,
                                                  interface_started, core,
                                                  &error);
    if (!core->interface) {
        core_lost(core, error);
        return;
    }
    core->ops->watch(core->opaque, VMNET_CORE_CONTROL,
                     vmnet_client_get_fd(core->client));
}

/* Dispatch by hand until the daemon has answered. */
static void wait_for_daemon(VmnetCore *core, int wait_ms)
{
    int64_t end = g_get_monotonic_time() + wait_ms * INT64_C(1000);

    while (core->state == VMNET_CORE_CONNECTING) {
        struct pollfd fd = {
            .fd = vmnet_client_get_fd(core->client), .events = POLLIN,
        };
        int64_t left_ms = (end - g_get_monotonic_time() + 999) / 1000;

        if (left_ms <= 0 || (poll(&fd, 1, left_ms) < 0 && errno != EINTR)) {
            return;
        }
        vmnet_core_dispatch(core, VMNET_CORE_CONTROL);
    }
}

bool vmnet_core_start(VmnetCore *core, int wait_ms, bool background,
                      GError **error)
{
    core_connect(core);
    wait_for_daemon(core, wait_ms);
    if (core->state == VMNET_CORE_RUNNING
        || (core->state == VMNET_CORE_CONNECTING && background)) {
        return true;
    }
    if (core->state == VMNET_CORE_CONNECTING) {
        g_set_error(error, VMNET_ERROR, VMNET_SETUP_INCOMPLETE,
                    "vmnetd did not answer in %d ms", wait_ms);
    } else {
        g_propagate_error(error, g_steal_pointer(&core->error));
    }
    vmnet_core_stop(core);
    return false;
}

void vmnet_core_stop(VmnetCore *core)
{
    if (core->state == VMNET_CORE_STOPPED) {
        return;
    }
    core->ops->set_timer(core->opaque, -1);
    set_state(core, VMNET_CORE_STOPPED);
    if (core->interface && vmnet_interface_get_state(core->interface)
                           == VMNET_INTERFACE_RUNNING) {
        vmnet_tx_flush(core->tx, core->interface);
        /* A netdev that is made at once again finds its ports free. */
        vmnet_interface_stop(core->interface, VMNET_CORE_WAIT_MS, NULL);
    }
    disconnect(core);
}

void vmnet_core_dispatch(VmnetCore *core, VmnetCoreWatch which)
{
    if (which == VMNET_CORE_FRAMES && core->interface) {
        VmnetInterface *interface = vmnet_interface_ref(core->interface);

        if (!vmnet_interface_dispatch(interface)
            && interface == core->interface) {
            core_lost(core, NULL);
        }
        vmnet_interface_unref(interface);
    } else if (which == VMNET_CORE_CONTROL && core->client) {
        VmnetClient *client = vmnet_client_ref(core->client);

        if (!vmnet_client_dispatch(client) && client == core->client) {
            core_lost(core, NULL);
        }
        vmnet_client_unref(client);
    }
}

void vmnet_core_timeout(VmnetCore *core)
{
    if (core->state == VMNET_CORE_WAITING) {
        core_connect(core);
    }
}

char *vmnet_core_command(VmnetCore *core, const char *name,
                         const char *arguments, GError **error)
{
    VmnetClient *client;
    char *result;

    if (core->state != VMNET_CORE_RUNNING) {
        g_set_error(error, VMNET_ERROR, VMNET_SETUP_INCOMPLETE,
                    "not connected to vmnetd%s%s", core->error ? ": " : "",
                    core->error ? core->error->message : "");
        return NULL;
    }
    client = vmnet_client_ref(core->client);
    result = vmnet_client_command(client, name, arguments, VMNET_CORE_WAIT_MS,
                                  error);
    vmnet_client_unref(client);
    return result;
}

bool vmnet_core_query(VmnetCore *core, const char *name, const char *arguments,
                      VmnetCommandFunc func)
{
    return core->state == VMNET_CORE_RUNNING
           && vmnet_client_command_async(core->client, name, arguments, -1,
                                         ANSWER_MS, func, core->opaque, NULL);
}

VmnetCoreState vmnet_core_get_state(const VmnetCore *core)
{
    return core->state;
}

const char *vmnet_core_get_path(const VmnetCore *core)
{
    return core->interface ? vmnet_interface_get_path(core->interface) : NULL;
}

const char *vmnet_core_get_error(const VmnetCore *core)
{
    return core->error ? core->error->message : NULL;
}

void vmnet_core_get_counters(const VmnetCore *core, VmnetCoreCounters *ret)
{
    *ret = core->counters;
}

char *vmnet_core_describe(const VmnetCore *core)
{
    static const char *const names[] = {
        [VMNET_CORE_STOPPED] = "stopped",
        [VMNET_CORE_CONNECTING] = "connecting",
        [VMNET_CORE_WAITING] = "waiting",
    };
    const char *subnet;

    if (core->state != VMNET_CORE_RUNNING) {
        return core->error
               ? g_strdup_printf("state=%s (%s)", names[core->state],
                                 core->error->message)
               : g_strdup_printf("state=%s", names[core->state]);
    }
    subnet = vmnet_interface_get_subnet(core->interface);
    return g_strdup_printf("network=%s%s%s,port=%s,state=up",
                           vmnet_interface_get_network(core->interface),
                           subnet ? ",subnet=" : "", subnet ? subnet : "",
                           core->vhost_user ? "vhost-user" : "seqpacket");
}
