/*
 * The frames of a netdev: from the guest in batches, to it while it takes them
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "vmnet-core-int.h"

static void schedule(VmnetCore *core)
{
    if (!core->scheduled) {
        core->scheduled = true;
        core->ops->schedule(core->opaque);
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

    if (!core->rx) {
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

void core_frames_begin(VmnetCore *core)
{
    VmnetInterface *interface = core->interface;

    core->rx = vmnet_rx_new(core->interface_header_len,
                            vmnet_interface_get_max_packet_size(interface));
    core->ops->watch(core->opaque, VMNET_CORE_FRAMES,
                     vmnet_interface_get_fd(interface));
    tell_offloads(interface, NULL, core);
    want_events(core);
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
    if (core->vhost_user) {
        return;
    }
    core->offloads = offloads;
    if (core->state == VMNET_CORE_RUNNING && !core->telling_offloads) {
        tell_offloads(core->interface, NULL, core);
    }
}

