/*
 * The switch and its ports: made, found, removed
 *
 * forward.c has the path of frames, park.c what happens when a port is full.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "limits.h"
#include "proto/random.h"
#include "switch/switch-internal.h"

#define DEFAULT_AGEING_MS (300 * 1000)

static const char *const drop_names[SWITCH_DROP__MAX] = {
    [SWITCH_DROP_RUNT] = "runt",
    [SWITCH_DROP_GIANT] = "giant",
    [SWITCH_DROP_BAD_SOURCE] = "bad-source",
    [SWITCH_DROP_OWN_SOURCE] = "own-source",
    [SWITCH_DROP_BAD_OFFLOAD] = "bad-offload",
    [SWITCH_DROP_ISOLATED] = "isolated",
    [SWITCH_DROP_SAME_PORT] = "same-port",
    [SWITCH_DROP_RESERVED] = "reserved",
    [SWITCH_DROP_FULL] = "full",
    [SWITCH_DROP_NOT_CONNECTED] = "not-connected",
    [SWITCH_DROP_FOREIGN_SOURCE] = "foreign-source",
    [SWITCH_DROP_MALFORMED] = "malformed",
    [SWITCH_DROP_REFUSED] = "refused",
    [SWITCH_DROP_LIMIT] = "limit",
};

const char *switch_drop_str(SwitchDrop reason)
{
    g_assert(reason < SWITCH_DROP__MAX);
    return drop_names[reason];
}

Switch *switch_new(const SwitchConfig *config)
{
    Switch *sw = g_new0(Switch, 1);
    uint8_t key[16];

    random_bytes(key, sizeof(key));
    sw->config = *config;
    sw->fdb = fdb_new(key, config->ageing_ms ? config->ageing_ms
                                             : DEFAULT_AGEING_MS);
    sw->ports = g_ptr_array_new();
    return sw;
}

void switch_free(Switch *sw)
{
    if (!sw) {
        return;
    }
    g_assert(sw->ports->len == 0);
    g_ptr_array_unref(sw->ports);
    fdb_free(sw->fdb);
    g_free(sw);
}

SwitchPort *switch_port_add(Switch *sw, const PortOps *ops, void *opaque,
                            unsigned flags, unsigned fdb_quota)
{
    SwitchPort *port = g_new0(SwitchPort, 1);

    port->sw = sw;
    port->ops = ops;
    port->opaque = opaque;
    port->flags = flags;
    port->connected = true;
    port->waiters = g_ptr_array_new();
    port->flood_left = LIMIT_FLOOD_BURST * INT64_C(1000);
    fdb_port_init(&port->fdb, ++sw->last_id, fdb_quota);
    g_ptr_array_add(sw->ports, port);
    if (flags & SWITCH_PORT_GATEWAY) {
        g_assert(!sw->gateway);
        sw->gateway = port;
    }
    if (flags & SWITCH_PORT_UPLINK) {
        g_assert(!sw->uplink);
        sw->uplink = port;
    }
    if (flags & SWITCH_PORT_HOST) {
        g_assert(!sw->host);
        sw->host = port;
    }
    return port;
}

void switch_port_remove(SwitchPort *port, int64_t now_ms)
{
    Switch *sw = port->sw;

    g_assert(!sw->touched);
    g_ptr_array_remove(sw->ports, port);
    if (sw->uplink == port) {
        sw->uplink = NULL;
    }
    if (sw->host == port) {
        sw->host = NULL;
    }
    if (sw->gateway == port) {
        sw->gateway = NULL;
    }
    switch_port_forget(port);
    switch_port_unpark(port, now_ms);
    g_ptr_array_unref(port->waiters);
    g_free(port);
}

uint32_t switch_port_id(const SwitchPort *port)
{
    return port->fdb.id;
}

PortCounters *switch_port_counters(SwitchPort *port)
{
    return &port->counters;
}

SwitchPort *switch_port_by_id(Switch *sw, uint32_t id)
{
    unsigned low = 0, high = sw->ports->len;

    while (low < high) {
        unsigned middle = low + (high - low) / 2;
        SwitchPort *port = g_ptr_array_index(sw->ports, middle);

        if (port->fdb.id == id) {
            return port;
        }
        if (port->fdb.id < id) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return NULL;
}

void switch_port_forget(SwitchPort *port)
{
    fdb_port_forget(port->sw->fdb, &port->fdb);
}

void switch_port_set_offloads(SwitchPort *port, unsigned offloads)
{
    /* virtio 1.1, 5.1.3.1: segments to be cut have checksums to be made. */
    port->offloads = offloads & SWITCH_OFFLOAD_CSUM ? offloads : 0;
}

unsigned switch_port_offloads(const SwitchPort *port)
{
    return port->offloads;
}

void switch_port_set_queues(SwitchPort *port, bool has_several)
{
    port->has_queues = has_several;
}

bool switch_port_has_queues(const SwitchPort *port)
{
    return port->has_queues;
}

void switch_port_set_isolated(SwitchPort *port, bool isolated)
{
    if (isolated) {
        port->flags |= SWITCH_PORT_ISOLATED;
    } else {
        port->flags &= ~SWITCH_PORT_ISOLATED;
    }
}

SwitchPort *switch_lookup(Switch *sw, const MacAddr *mac, int64_t now_ms)
{
    FdbPort *fdb_port;

    if (mac_is_group(mac->b)) {
        return NULL;
    }
    if (sw->gateway && mac_equal(mac, &sw->config.gateway_mac)) {
        return sw->gateway;
    }
    fdb_port = fdb_lookup(sw->fdb, mac, now_ms);
    return fdb_port ? switch_port_of_fdb(fdb_port) : NULL;
}
