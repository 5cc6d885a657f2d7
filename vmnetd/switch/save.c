/*
 * What a switch knows, handed over to another process
 *
 * Ports are made again by whoever owns them, under the ids that they had.  The
 * addresses learnt keep their ages, so that no frame is flooded for the change.
 * What is left out grows again within seconds: duplicates that were told, parked
 * sources, budgets for flooding.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "switch/switch-internal.h"

#define VERSION 1

bool switch_port_set_id(SwitchPort *port, uint32_t id)
{
    Switch *sw = port->sw;
    unsigned i = 0;

    if (id == 0 || (port->fdb.id != id && switch_port_by_id(sw, id))) {
        return false;
    }
    g_assert(port->fdb.n_entries == 0);
    g_ptr_array_remove(sw->ports, port);
    while (i < sw->ports->len &&
           switch_port_id(g_ptr_array_index(sw->ports, i)) < id) {
        i++;
    }
    g_ptr_array_insert(sw->ports, i, port);
    port->fdb.id = id;
    sw->last_id = MAX(sw->last_id, id);
    return true;
}

void switch_save(const Switch *sw, Handover *out, int64_t now_ms)
{
    unsigned begin = handover_begin(out, HANDOVER_SWITCH), i;

    handover_u16(out, VERSION);
    handover_u32(out, sw->last_id);
    for (i = 0; i < sw->ports->len; i++) {
        const SwitchPort *port = g_ptr_array_index(sw->ports, i);

        fdb_save(&port->fdb, out, now_ms);
    }
    handover_end(out, begin);
}

bool switch_load(Switch *sw, Cursor *c, int64_t now_ms)
{
    uint32_t last_id;
    uint16_t tag;
    Cursor body;

    if (cursor_u16(c) != VERSION) {
        return false;
    }
    last_id = cursor_u32(c);
    while (handover_next(c, &tag, &body)) {
        SwitchPort *port;
        FdbPort *old;
        MacAddr mac;
        int64_t seen_ms;

        handover_read_mac(&body, &mac);
        port = switch_port_by_id(sw, cursor_u32(&body));
        seen_ms = handover_read_age(&body, now_ms);
        if (tag == HANDOVER_SWITCH_ENTRY && !body.error && port &&
            !mac_is_group(mac.b) && !mac_is_zero(&mac) &&
            !mac_equal(&mac, &sw->config.gateway_mac) &&
            !fdb_lookup(sw->fdb, &mac, now_ms)) {
            fdb_learn(sw->fdb, &mac, &port->fdb, seen_ms, &old);
        }
    }
    if (!c->error) {
        sw->last_id = MAX(sw->last_id, last_id);
    }
    return !c->error;
}
