/*
 * What the files of the switch share
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_SWITCH_SWITCH_INTERNAL_H
#define VMNETD_SWITCH_SWITCH_INTERNAL_H

#include "switch/fdb.h"
#include "switch/offload.h"
#include "switch/switch.h"

/**
 * SwitchPort:
 * @fdb: its share of the table; also holds its id
 * @waiters: ports that are resumed when this one has room, in order
 * @parked_at: id of the full port at which switch_input() stopped; 0: none
 * @has_queues: several, which know themselves whether they are overrun
 * @overrun: a wait for it expired: until it has room nobody waits for it
 * @flood_left, @flood_ms: thousandths of frames that it may flood, as of then
 * @touched, @next_touched: was sent to, is to be flushed
 * @in_flush: its flush() runs
 */
struct SwitchPort {
    Switch *sw;
    const PortOps *ops;
    void *opaque;
    unsigned flags, offloads;
    bool connected;
    FdbPort fdb;
    PortCounters counters;

    GPtrArray *waiters;
    uint32_t parked_at;
    bool has_queues, overrun;

    int64_t flood_left, flood_ms;

    bool touched, in_flush;
    SwitchPort *next_touched;
};

/**
 * Switch:
 * @ports: in order of their ids
 * @gateway: the port with SWITCH_PORT_GATEWAY; NULL: none
 * @uplink: the port with SWITCH_PORT_UPLINK; NULL: none
 * @host: the port with SWITCH_PORT_HOST; NULL: none
 * @touched: ports to be flushed
 * @told_from_ms, @n_told: duplicates reported in the current FDB_QUIET_MS
 */
struct Switch {
    SwitchConfig config;
    Fdb *fdb;
    GPtrArray *ports;
    uint32_t last_id;
    SwitchPort *gateway;
    SwitchPort *uplink;
    SwitchPort *host;
    SwitchPort *touched;
    int64_t told_from_ms;
    unsigned n_told;
};

static inline SwitchPort *switch_port_of_fdb(FdbPort *fdb_port)
{
    return (SwitchPort *)((char *)fdb_port - offsetof(SwitchPort, fdb));
}

/** switch_port_unpark: nobody waits for @dst any more, nor @dst for others. */
void switch_port_unpark(SwitchPort *dst, int64_t now_ms);

/**
 * switch_output: send frames to @dst, with what it cannot do done for it.
 * @offloads: of each frame, from offload_check()
 *
 * Returns: how many were taken, or dropped because nobody is there; of the next
 * one its n_sent may have grown.
 */
unsigned switch_output(SwitchPort *dst, Frame *frames, const Offload *offloads,
                       unsigned n, int64_t now_ms);
/** switch_bytes_of: sum of their lengths. */
uint64_t switch_bytes_of(const Frame *frames, unsigned n);
/**
 * switch_output_or_drop: as switch_output(), and what @dst has no room for is
 * dropped.
 */
void switch_output_or_drop(SwitchPort *dst, Frame *frames,
                           const Offload *offloads, unsigned n, int64_t now_ms);
/** switch_output_drop_full: count what @dst has not taken of these frames. */
void switch_output_drop_full(SwitchPort *dst, const Frame *frames,
                             const Offload *offloads, unsigned n);

#endif
