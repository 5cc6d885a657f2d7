/*
 * A netdev on one of vmnetd's networks, whatever VMM it is in
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "vmnet-core.h"

#include <errno.h>
#include <poll.h>
#include <vmnet/vmnet.h>

#include "vmnet-batch.h"

/* A daemon that has to be started, on a host that is busy. */
#define CONNECT_MS 15000
#define ANSWER_MS 5000
#define RETRY_FIRST_MS 100      /* between attempts: doubled each time */
#define RETRY_LAST_MS 5000

struct VmnetCore {
    const VmnetCoreOps *ops;
    void *opaque;
    char *options;
    bool may_start;
    size_t interface_header_len;

    VmnetCoreState state;
    VmnetClient *client;
    VmnetInterface *interface;
    GError *error;
    int retry_ms;
    bool was_running;

    VmnetTx *tx;
    VmnetRx *rx;
    size_t header_len;
    unsigned offloads;
    unsigned told_offloads;
    bool telling_offloads;
    bool receiving;             /* the machine runs */
    bool nic_full;
    bool sender_waits;          /* vmnet_core_send() returned false */
    bool scheduled;
    VmnetCoreCounters counters;
};

VmnetCore *vmnet_core_new(const VmnetCoreConfig *config,
                          const VmnetCoreOps *ops, void *opaque)
{
    VmnetCore *core = g_new0(VmnetCore, 1);

    core->ops = ops;
    core->opaque = opaque;
    core->options = g_strdup(config->options);
    core->may_start = config->may_start;
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

static void schedule(VmnetCore *core)
{
    if (!core->scheduled) {
        core->scheduled = true;
        core->ops->schedule(core->opaque);
    }
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

static void core_lost(VmnetCore *core, const GError *error)
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

static void deliver(VmnetCore *core)
{
    const uint8_t *frame;
    size_t size;

    while (core->receiving && !core->nic_full && core->rx
           && vmnet_rx_next(core->rx, core->header_len, &frame, &size)) {
        core->counters.rx_frames++;
        core->counters.rx_bytes += size - core->header_len;
        if (!core->ops->receive(core->opaque, frame, size)) {
            core->nic_full = true;
        }
    }
}

static void send_rest(VmnetCore *core)
{
    if (vmnet_tx_flush(core->tx, core->interface) == VMNET_TX_GONE) {
        core_lost(core, NULL);
        return;
    }
    if (core->sender_waits && vmnet_tx_is_empty(core->tx)) {
        core->sender_waits = false;
        core->ops->room(core->opaque);
    }
}

static void want_events(VmnetCore *core);

static void interface_event(VmnetInterface *interface,
                            VmnetInterfaceEvents events, guint64 n_estimated,
                            gpointer opaque)
{
    VmnetCore *core = opaque;

    if (events & VMNET_INTERFACE_ROOM_AVAILABLE) {
        send_rest(core);
    }
    if ((events & VMNET_INTERFACE_PACKETS_AVAILABLE)
        && core->interface == interface && vmnet_rx_is_empty(core->rx)) {
        if (!vmnet_rx_fill(core->rx, interface)) {
            events |= VMNET_INTERFACE_LOST;
        }
        deliver(core);
    }
    if (core->interface != interface) {
        return;
    }
    if (events & VMNET_INTERFACE_LOST) {
        core_lost(core, NULL);
        return;
    }
    want_events(core);
}

/* Say what the interface's descriptor becomes readable for. */
static void want_events(VmnetCore *core)
{
    VmnetInterfaceEvents events = VMNET_INTERFACE_LOST;

    if (core->state != VMNET_CORE_RUNNING) {
        return;
    }
    if (core->receiving && !core->nic_full && vmnet_rx_is_empty(core->rx)) {
        events |= VMNET_INTERFACE_PACKETS_AVAILABLE;
    }
    if (core->sender_waits || !vmnet_tx_is_empty(core->tx)) {
        events |= VMNET_INTERFACE_ROOM_AVAILABLE;
    }
    vmnet_interface_set_event_callback(core->interface, events, interface_event,
                                       core);
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

/* One request at a time, however often the guest changes its mind. */
static void tell_offloads(VmnetInterface *interface, const GError *error,
                          gpointer opaque)
{
    VmnetCore *core = opaque;

    core->telling_offloads = core->told_offloads != core->offloads
                             && vmnet_interface_set_offloads_async(
                                    interface, core->offloads, ANSWER_MS,
                                    tell_offloads, core, NULL);
    core->told_offloads = core->offloads;
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
    core->rx = vmnet_rx_new(core->interface_header_len,
                            vmnet_interface_get_max_packet_size(interface));
    core->retry_ms = RETRY_FIRST_MS;
    core->counters.reconnects += core->was_running;
    core->ops->watch(core->opaque, VMNET_CORE_FRAMES,
                     vmnet_interface_get_fd(interface));
    set_state(core, VMNET_CORE_RUNNING);
    tell_offloads(interface, NULL, core);
    want_events(core);
}

static void core_connect(VmnetCore *core)
{
    g_autoptr(GError) error = NULL;
    VmnetConnectFlags how = core->may_start ? VMNET_CONNECT_START
                                            : VMNET_CONNECT_EXISTING;
    VmnetInterfaceFlags flags = core->interface_header_len
                                ? VMNET_INTERFACE_VIRTIO_HEADER : 0;

    set_state(core, VMNET_CORE_CONNECTING);
    core->told_offloads = core->offloads;
    core->client = vmnet_client_connect_async(how, CONNECT_MS, client_state,
                                              core, &error);
    if (!core->client) {
        core_lost(core, error);
        return;
    }
    vmnet_client_set_event_callback(core->client, client_event, core);
    core->interface = vmnet_interface_start_async(core->client, core->options,
                                                  VMNET_PORT_PACKETS, flags,
                                                  core->offloads,
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

void vmnet_core_work(VmnetCore *core)
{
    core->scheduled = false;
    if (core->state != VMNET_CORE_RUNNING) {
        return;
    }
    send_rest(core);
    deliver(core);
    want_events(core);
}

bool vmnet_core_send(VmnetCore *core, const struct iovec *iov, size_t n_iov)
{
    size_t bytes = 0;

    if (core->state != VMNET_CORE_RUNNING) {
        core->counters.tx_dropped++;
        return true;
    }
    switch (vmnet_tx_add(core->tx, core->interface, iov, n_iov,
                         core->header_len, &bytes)) {
    case VMNET_TX_TAKEN:
        core->counters.tx_frames++;
        core->counters.tx_bytes += bytes;
        if (!vmnet_tx_is_empty(core->tx)) {
            schedule(core);
        }
        return true;
    case VMNET_TX_FULL:
        core->sender_waits = true;
        want_events(core);
        return false;
    case VMNET_TX_GONE:         /* which the interface's descriptor tells too */
    case VMNET_TX_BAD:
        core->counters.tx_dropped++;
        return true;
    }
    g_assert_not_reached();
}

void vmnet_core_set_receiving(VmnetCore *core, bool receiving)
{
    core->receiving = receiving;
    schedule(core);
}

void vmnet_core_receive_again(VmnetCore *core)
{
    core->nic_full = false;
    schedule(core);
}

void vmnet_core_set_header_len(VmnetCore *core, size_t len)
{
    core->header_len = len;
}

void vmnet_core_set_offloads(VmnetCore *core, unsigned offloads)
{
    core->offloads = offloads;
    if (core->state == VMNET_CORE_RUNNING && !core->telling_offloads) {
        tell_offloads(core->interface, NULL, core);
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
    return g_strdup_printf("network=%s%s%s,port=seqpacket,state=up",
                           vmnet_interface_get_network(core->interface),
                           subnet ? ",subnet=" : "", subnet ? subnet : "");
}
