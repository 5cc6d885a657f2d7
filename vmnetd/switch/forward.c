/*
 * The path of a frame: check, learn, decide, send
 *
 *   frames --> classify each --> runs of one verdict --> output / flood / drop
 *                                                             |
 *                                            flush each port that was sent to
 *
 * Consecutive frames with the same verdict are one run, handed to a port in
 * one call, which it can then write in one system call.  Bulk transfers come
 * in long runs with the same two addresses: these are compared with those of
 * the frame before, and the table is asked only when they differ.
 *
 * Counting happens when a run is dealt with: a frame that its source has to
 * offer again is not counted twice.
 *
 * A flooded frame costs every guest of the network: who floods has a bucket of
 * them, which fills with time.
 *
 * Flushing may re-enter switch_input() (the gateway answers from its flush).
 * The inner call then flushes what it has touched, except a port whose flush()
 * is running, which the outer one does again.
 *
 * Gateway and host share an address, which is the gateway's in the table: who
 * sends to it, or to a group, reaches the gateway, and the host gets of that
 * what the gateway hands on.
 *
 * VLAN tags are carried: addresses are learnt without them.  Only guard.c looks
 * behind one that names no VLAN.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "limits.h"
#include "proto/eth.h"
#include "switch/guard.h"
#include "switch/switch-internal.h"

/* Duplicates told of within FDB_QUIET_MS, of all addresses together. */
#define TOLD_MAX 16

typedef enum Action {
    ACTION_DROP,            /* for @reason, charged to the source */
    ACTION_SEND,            /* to @dst */
    ACTION_FLOOD_GROUP,     /* to all */
    ACTION_FLOOD_UNKNOWN,   /* to all but the gateway, whose address is known */
} Action;

typedef struct Verdict {
    Action action;
    SwitchDrop reason;
    SwitchPort *dst;
} Verdict;

/* Consecutive frames with one verdict. */
typedef struct Run {
    Frame *frames;
    const Offload *offloads;
    unsigned n;
} Run;

/* The decision for the addresses of the frame before. */
typedef struct Route {
    bool is_valid;
    uint8_t addrs[12];
    Verdict verdict;
} Route;

static inline Verdict drop_for(SwitchDrop reason)
{
    return (Verdict) { .action = ACTION_DROP, .reason = reason };
}

static inline bool verdict_equal(const Verdict *a, const Verdict *b)
{
    return a->action == b->action && a->reason == b->reason &&
           a->dst == b->dst;
}

static bool is_isolated_pair(const SwitchPort *a, const SwitchPort *b)
{
    return ((a->flags | b->flags) & SWITCH_PORT_ISOLATED) &&
           !((a->flags | b->flags) & (SWITCH_PORT_GATEWAY | SWITCH_PORT_UPLINK |
                                      SWITCH_PORT_HOST));
}

static bool speaks_as_gateway(const SwitchPort *src)
{
    return src->flags & (SWITCH_PORT_GATEWAY | SWITCH_PORT_HOST);
}

/* 01:80:c2:00:00:00 to 0f: between neighbours only (IEEE 802.1Q 8.6.3). */
static bool is_reserved_group(const uint8_t mac[6])
{
    return mac[0] == 0x01 && mac[1] == 0x80 && mac[2] == 0xc2 &&
           mac[3] == 0 && mac[4] == 0 && mac[5] <= 0x0f;
}

static void tell_duplicate(Switch *sw, const MacAddr *mac, uint32_t old_id,
                           uint32_t new_id, int64_t now_ms)
{
    if (now_ms - sw->told_from_ms >= FDB_QUIET_MS) {
        sw->told_from_ms = now_ms;
        sw->n_told = 0;
    }
    if (sw->config.duplicate_mac && sw->n_told++ < TOLD_MAX) {
        sw->config.duplicate_mac(sw->config.opaque, mac, old_id, new_id);
    }
}

/* Where the addresses alone say that a frame goes. */
static Verdict route(SwitchPort *src, const MacAddr *dst_mac,
                     const MacAddr *src_mac, int64_t now_ms)
{
    Switch *sw = src->sw;
    FdbPort *old = NULL;
    SwitchPort *dst;

    if (mac_is_group(src_mac->b) || mac_is_zero(src_mac)) {
        return drop_for(SWITCH_DROP_BAD_SOURCE);
    }
    if ((src->flags & SWITCH_PORT_HOST) &&
        !mac_equal(src_mac, &sw->config.gateway_mac)) {
        return drop_for(SWITCH_DROP_BAD_SOURCE);
    }
    if (!speaks_as_gateway(src)) {
        if (mac_equal(src_mac, &sw->config.gateway_mac)) {
            return drop_for(SWITCH_DROP_OWN_SOURCE);
        }
        if (fdb_learn(sw->fdb, src_mac, &src->fdb, now_ms,
                      &old) == FDB_DUPLICATE) {
            tell_duplicate(sw, src_mac, old->id, src->fdb.id, now_ms);
        }
    }
    if (mac_is_group(dst_mac->b)) {
        return is_reserved_group(dst_mac->b)
               ? drop_for(SWITCH_DROP_RESERVED)
               : (Verdict) { .action = ACTION_FLOOD_GROUP };
    }
    dst = switch_lookup(sw, dst_mac, now_ms);
    if (!dst) {
        return (src->flags & SWITCH_PORT_ISOLATED) && !sw->uplink
               ? drop_for(SWITCH_DROP_ISOLATED)
               : (Verdict) { .action = ACTION_FLOOD_UNKNOWN };
    }
    if (dst == src || (speaks_as_gateway(src) && dst == sw->gateway)) {
        return drop_for(SWITCH_DROP_SAME_PORT);
    }
    if (is_isolated_pair(src, dst)) {
        return drop_for(SWITCH_DROP_ISOLATED);
    }
    return (Verdict) { .action = ACTION_SEND, .dst = dst };
}

/* Bytes of Ethernet header that come on top of the MTU. */
static unsigned header_len(const uint8_t header[ETH_HEADER_LEN])
{
    return eth_type_is_tag(header[12] << 8 | header[13])
           ? ETH_HEADER_LEN + ETH_VLAN_LEN : ETH_HEADER_LEN;
}

/* @ret_offload is set for every frame that is not dropped. */
static Verdict classify(SwitchPort *src, Frame *frame, Offload *ret_offload,
                        Route *last, int64_t now_ms)
{
    uint8_t header[ETH_HEADER_LEN];
    SwitchDrop reason;

    if (frame_peek(frame, 0, header, sizeof(header)) < sizeof(header)) {
        return drop_for(SWITCH_DROP_RUNT);
    }
    if (!offload_check(frame, src->sw->config.mtu_bytes, ret_offload,
                       &reason)) {
        return drop_for(reason);
    }
    /* Of a frame that is to be cut the segments were looked at. */
    if (ret_offload->gso_size == 0 &&
        frame->len > src->sw->config.mtu_bytes + header_len(header)) {
        return drop_for(SWITCH_DROP_GIANT);
    }
    if (!speaks_as_gateway(src) &&
        !guard_check(src->sw->config.gateway_addrs, frame, header, &reason)) {
        return drop_for(reason);
    }
    if (!last->is_valid || memcmp(last->addrs, header, sizeof(last->addrs))) {
        MacAddr dst_mac, src_mac;

        memcpy(&dst_mac, header, sizeof(dst_mac));
        memcpy(&src_mac, header + sizeof(dst_mac), sizeof(src_mac));
        memcpy(last->addrs, header, sizeof(last->addrs));
        last->verdict = route(src, &dst_mac, &src_mac, now_ms);
        last->is_valid = true;
    }
    return last->verdict;
}

/* The gateway does not: NAT has asked for room, and the rest is small. */
static bool can_wait(const SwitchPort *src)
{
    return src->ops->resume && !(src->flags & SWITCH_PORT_GATEWAY);
}

/* How many of the first of these, which @dst did not take, nobody waits for. */
static unsigned n_expired(SwitchPort *dst, const Frame *frames, unsigned n)
{
    if (dst->has_queues) {
        return dst->ops->n_expired(dst->opaque, frames, n);
    }
    return dst->overrun ? n : 0;
}

/* Returns: how many were dealt with; fewer than there are: @src waits. */
static unsigned send_run(SwitchPort *src, SwitchPort *dst, const Run *run,
                         int64_t now_ms)
{
    unsigned n = run->n, done, lost;

    if (!can_wait(src)) {
        switch_output_or_drop(dst, run->frames, run->offloads, n, now_ms);
        return n;
    }
    for (done = 0; done < n; done += lost) {
        done += switch_output(dst, run->frames + done, run->offloads + done,
                              n - done, now_ms);
        lost = n_expired(dst, run->frames + done, n - done);
        if (done < n && lost == 0) {
            src->parked_at = dst->fdb.id;
            switch_port_wait(dst, src);
            break;
        }
        switch_output_drop_full(dst, run->frames + done, run->offloads + done,
                                lost);
    }
    return done;
}

/* What @src may flood now, in thousandths of frames. */
static void refill_flood(SwitchPort *src, int64_t now_ms)
{
    if (now_ms > src->flood_ms) {
        int64_t elapsed_ms = MIN(now_ms - src->flood_ms, 60 * 1000);

        src->flood_left = MIN(src->flood_left +
                              elapsed_ms * LIMIT_FLOOD_PER_SECOND,
                              LIMIT_FLOOD_BURST * INT64_C(1000));
        src->flood_ms = now_ms;
    }
}

/*
 * Returns: how many of @run's frames @src may flood; they are charged to it,
 * each segment of those that are to be cut.
 */
static unsigned take_flood(SwitchPort *src, const Run *run, int64_t now_ms)
{
    unsigned i;

    if (speaks_as_gateway(src)) {
        return run->n;
    }
    refill_flood(src, now_ms);
    for (i = 0; i < run->n; i++) {
        int64_t cost = run->offloads[i].n_segments * INT64_C(1000);

        if (cost > src->flood_left) {
            break;
        }
        src->flood_left -= cost;
    }
    return i;
}

/* A receiver gets each frame from its first segment on. */
static void flood_to(SwitchPort *dst, const Run *run, unsigned n,
                     int64_t now_ms)
{
    unsigned i;

    for (i = 0; i < n; i++) {
        run->frames[i].n_sent = 0;
    }
    switch_output_or_drop(dst, run->frames, run->offloads, n, now_ms);
}

static void flood_run(SwitchPort *src, Action action, const Run *run,
                      int64_t now_ms)
{
    GPtrArray *ports = src->sw->ports;
    unsigned i, allowed = take_flood(src, run, now_ms);

    if (allowed < run->n) {
        port_counter_add(&src->counters.drops[SWITCH_DROP_LIMIT],
                         run->n - allowed);
    }
    if (allowed == 0) {
        return;
    }
    for (i = 0; i < ports->len; i++) {
        SwitchPort *dst = g_ptr_array_index(ports, i);

        if (dst == src || is_isolated_pair(src, dst) ||
            (dst->flags & SWITCH_PORT_HOST) ||
            ((dst->flags & SWITCH_PORT_GATEWAY) &&
             (action == ACTION_FLOOD_UNKNOWN || speaks_as_gateway(src)))) {
            continue;
        }
        flood_to(dst, run, allowed, now_ms);
    }
}

/* Returns: how many frames of @run were dealt with. */
static unsigned deal_with_run(SwitchPort *src, const Verdict *verdict,
                              const Run *run, int64_t now_ms)
{
    unsigned done = run->n;

    switch (verdict->action) {
    case ACTION_DROP:
        port_counter_add(&src->counters.drops[verdict->reason], done);
        break;
    case ACTION_SEND:
        done = send_run(src, verdict->dst, run, now_ms);
        break;
    case ACTION_FLOOD_GROUP:
    case ACTION_FLOOD_UNKNOWN:
        flood_run(src, verdict->action, run, now_ms);
        break;
    }
    port_counter_add(&src->counters.input_frames, done);
    port_counter_add(&src->counters.input_bytes, switch_bytes_of(run->frames, done));
    return done;
}

/* The next port to be flushed; NULL if only ports are left that are at it. */
static SwitchPort *take_touched(Switch *sw)
{
    SwitchPort **link;

    for (link = &sw->touched; *link; link = &(*link)->next_touched) {
        SwitchPort *port = *link;

        if (!port->in_flush) {
            *link = port->next_touched;
            port->touched = false;
            return port;
        }
    }
    return NULL;
}

static void flush_touched(Switch *sw)
{
    SwitchPort *port;

    while ((port = take_touched(sw))) {
        port->in_flush = true;
        port->ops->flush(port->opaque);
        port->in_flush = false;
    }
}

unsigned switch_input(SwitchPort *src, Frame *frames, unsigned n,
                      int64_t now_ms)
{
    Offload offloads[FRAME_BATCH_MAX];
    Route last = { .is_valid = false };
    Verdict verdict = { 0 };
    Run run = { frames, offloads, 0 };
    unsigned i;

    g_assert(n <= FRAME_BATCH_MAX);
    src->parked_at = 0;
    for (i = 0; i < n; i++) {
        Verdict next;

        frames[i].src_port = src->fdb.id;
        next = classify(src, &frames[i], &offloads[i], &last, now_ms);
        if (run.n > 0 && !verdict_equal(&verdict, &next)) {
            unsigned done = deal_with_run(src, &verdict, &run, now_ms);

            run.frames += done;
            run.offloads += done;
            run.n -= done;
            if (run.n > 0) {
                goto flush;
            }
        }
        verdict = next;
        run.n++;
    }
    if (run.n > 0) {
        run.frames += deal_with_run(src, &verdict, &run, now_ms);
    }
flush:
    flush_touched(src->sw);
    return run.frames - frames;
}
