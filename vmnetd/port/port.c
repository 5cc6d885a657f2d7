/*
 * A netdev's port, and what is the same for all kinds of links
 *
 *                     switch_input()                     resume(), 50 us
 *   link --> input -----------------> all taken    parked ------------> link
 *                     \_ fewer ------------------>/
 *
 * A link with several queues has a lane for each: one that is parked does not
 * keep the others from going on.
 *
 * That a link fails, or has room again, may be noticed in the middle of other
 * people's business: in a send on behalf of another port, say.  It is only
 * marked then; the later timer, which is due at once, does from the loop what
 * is to be done: resume who waits, or close the link and tell the owner, who
 * may free the port.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <errno.h>
#include <stdarg.h>
#include <unistd.h>

#include "limits.h"
#include "port/link.h"
#include "vmnet/error.h"

typedef struct PortKindInfo {
    const char *name;
    const PortLinkDriver *driver;
} PortKindInfo;

static const PortKindInfo kinds[PORT_KIND__MAX] = {
    [PORT_KIND_STREAM] = { "stream", &port_link_stream },
    [PORT_KIND_DGRAM] = { "dgram", &port_link_dgram },
    [PORT_KIND_DGRAM_VNET] = { "dgram", &port_link_dgram_vnet },
    [PORT_KIND_VHOST_USER] = { "vhost-user", &port_link_vhost_user },
    [PORT_KIND_TAP] = { "tap", &port_link_tap },
    [PORT_KIND_PACKET] = { "packet", &port_link_packet },
};

/**
 * PortLane: a queue's way in
 * @is_parked: the switch did not take all, or the link yields; @timer is armed
 * @waits_for: the id of the port that had no room; 0: of none
 * @timer: made when it is first needed
 */
typedef struct PortLane {
    Port *port;
    bool is_parked;
    uint32_t waits_for;
    LoopTimer *timer;
} PortLane;

/**
 * Port:
 * @driver, @link: NULL while no VMM is connected
 * @kind: of the link, or of the last one
 * @owes_room: @later_timer is due to say that there is room
 * @has_failed: @later_timer is due to close the link; @reason is why, NULL for
 *     an orderly end
 */
struct Port {
    Loop *loop;
    SwitchPort *switch_port;
    uint32_t mtu_bytes;
    unsigned queue_pairs;
    Translate *translate;
    const PortEvents *events;
    void *opaque;

    PortKind kind;
    const PortLinkDriver *driver;
    void *link;

    PortLane lanes[PORT_LANES_MAX];

    bool owes_room, has_failed;
    char *reason;
    LoopTimer *later_timer;
};

const char *port_kind_str(PortKind kind)
{
    g_assert(kind < PORT_KIND__MAX);
    return kinds[kind].name;
}

static unsigned port_send(void *opaque, const Frame *frames, unsigned n,
                          int64_t now_ms)
{
    Port *port = opaque;

    return port->driver->send(port->link, frames, n, now_ms);
}

static size_t port_room(void *opaque, const Frame *head)
{
    Port *port = opaque;

    return port->driver->room(port->link, head);
}

static void port_flush(void *opaque)
{
    Port *port = opaque;

    if (port->link && port->driver->flush) {
        port->driver->flush(port->link);
    }
}

static void unpark(PortLane *lane, int64_t now_ms)
{
    Port *port = lane->port;

    lane->is_parked = false;
    loop_timer_disarm(lane->timer);
    if (!port->has_failed) {
        port->driver->resume(port->link, lane - port->lanes, now_ms);
    }
}

static void port_resume(void *opaque, SwitchPort *dst, int64_t now_ms)
{
    Port *port = opaque;
    unsigned i;

    for (i = 0; i < PORT_LANES_MAX; i++) {
        PortLane *lane = &port->lanes[i];

        if (lane->is_parked && lane->waits_for == switch_port_id(dst)) {
            unpark(lane, now_ms);
        }
    }
}

static void port_expire(void *opaque)
{
    Port *port = opaque;

    port->driver->expire(port->link);
}

static unsigned port_n_expired(void *opaque, const Frame *frames, unsigned n)
{
    Port *port = opaque;

    return port->driver->n_expired(port->link, frames, n);
}

static const PortOps port_ops = {
    .send = port_send,
    .room = port_room,
    .flush = port_flush,
    .resume = port_resume,
    .expire = port_expire,
    .n_expired = port_n_expired,
};

static void park_expired(void *opaque, int64_t now_ms)
{
    PortLane *lane = opaque;

    switch_park_expire(lane->port->switch_port, lane->waits_for);
    unpark(lane, now_ms);
}

static void park(Port *port, unsigned i, uint32_t waits_for, int64_t until_ns)
{
    PortLane *lane = &port->lanes[i];

    g_assert(i < PORT_LANES_MAX);
    lane->port = port;
    lane->is_parked = true;
    lane->waits_for = waits_for;
    if (!lane->timer) {
        lane->timer = loop_timer_new(port->loop, park_expired, lane);
    }
    loop_timer_arm_ns(lane->timer, until_ns);
}

static void clear_lanes(Port *port)
{
    unsigned i;

    for (i = 0; i < PORT_LANES_MAX; i++) {
        g_clear_pointer(&port->lanes[i].timer, loop_timer_free);
        port->lanes[i].is_parked = false;
    }
}

static void close_link(Port *port, int64_t now_ms)
{
    if (!port->link) {
        return;
    }
    clear_lanes(port);
    loop_timer_disarm(port->later_timer);
    port->driver->close(port->link);
    port->driver = NULL;
    port->link = NULL;
    port->owes_room = port->has_failed = false;
    g_clear_pointer(&port->reason, g_free);
    switch_port_forget(port->switch_port);
    switch_port_set_offloads(port->switch_port, 0);
    switch_port_set_queues(port->switch_port, false);
    switch_port_set_connected(port->switch_port, false, now_ms);
}

static void do_later(void *opaque, int64_t now_ms)
{
    Port *port = opaque;
    g_autofree char *reason = NULL;

    if (port->owes_room) {
        port->owes_room = false;
        switch_port_has_room(port->switch_port, now_ms);
    }
    if (!port->has_failed) {
        return;
    }
    reason = g_steal_pointer(&port->reason);
    close_link(port, now_ms);
    if (port->events && port->events->disconnected) {
        port->events->disconnected(port->opaque, reason);
    }
}

Port *port_new(Loop *loop, Switch *sw, unsigned flags, uint32_t mtu_bytes,
               const PortEvents *events, void *opaque)
{
    Port *port = g_new0(Port, 1);

    port->loop = loop;
    port->mtu_bytes = mtu_bytes;
    port->queue_pairs = LIMIT_QUEUE_PAIRS;
    port->events = events;
    port->opaque = opaque;
    port->later_timer = loop_timer_new(loop, do_later, port);
    port->switch_port = switch_port_add(sw, &port_ops, port, flags,
                                        flags & SWITCH_PORT_UPLINK ?
                                        LIMIT_FDB_PER_UPLINK :
                                        LIMIT_FDB_PER_PORT);
    switch_port_set_connected(port->switch_port, false, loop_now_ms());
    return port;
}

void port_free(Port *port)
{
    int64_t now_ms;

    if (!port) {
        return;
    }
    now_ms = loop_now_ms();
    close_link(port, now_ms);
    switch_port_remove(port->switch_port, now_ms);
    loop_timer_free(port->later_timer);
    g_free(port);
}

SwitchPort *port_switch_port(Port *port)
{
    return port->switch_port;
}

void port_set_isolated(Port *port, bool isolated)
{
    switch_port_set_isolated(port->switch_port, isolated);
}

void port_set_translate(Port *port, Translate *translate)
{
    port->translate = translate;
}

void port_set_offloads(Port *port, unsigned offloads)
{
    switch_port_set_offloads(port->switch_port, offloads);
}

void port_set_queue_pairs(Port *port, unsigned n)
{
    port->queue_pairs = CLAMP(n, 1, LIMIT_QUEUE_PAIRS);
}

static bool check_socket(int fd, PortKind kind, GError **error)
{
    const PortLinkDriver *driver = kinds[kind].driver;
    socklen_t len = sizeof(int);
    int type;

    if (!driver->socket_types) {
        return true;
    }
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0) {
        g_set_error(error, VMNET_ERROR, VMNET_INVALID_ARGUMENT,
                    "%s port: fd %d: %s", kinds[kind].name, fd,
                    g_strerror(errno));
        return false;
    }
    if (!(driver->socket_types & 1u << type)) {
        g_set_error(error, VMNET_ERROR, VMNET_INVALID_ARGUMENT,
                    "%s port: fd %d is a socket of type %d, not %s",
                    kinds[kind].name, fd, type, driver->socket_types_str);
        return false;
    }
    return true;
}

bool port_connect(Port *port, PortKind kind, int fd, GError **error)
{
    if (port->link) {
        g_set_error(error, VMNET_ERROR, VMNET_INVALID_ARGUMENT,
                    "%s port: a VMM is connected already", kinds[kind].name);
        goto fail;
    }
    if (!check_socket(fd, kind, error)) {
        goto fail;
    }
    port->kind = kind;
    port->driver = kinds[kind].driver;
    port->link = port->driver->open(port, fd, error);
    if (!port->link) {
        port->driver = NULL;
        goto fail;
    }
    return true;

fail:
    close(fd);
    return false;
}

bool port_add_queue(Port *port, int fd, GError **error)
{
    if (!port->link || !port->driver->add_queue) {
        g_set_error(error, VMNET_ERROR, VMNET_INVALID_ARGUMENT,
                    "%s port: takes one descriptor", kinds[port->kind].name);
    } else if (port->driver->add_queue(port->link, fd, error)) {
        return true;
    }
    close(fd);
    return false;
}

void port_disconnect(Port *port)
{
    close_link(port, loop_now_ms());
}

bool port_is_connected(const Port *port)
{
    return port->link != NULL;
}

PortKind port_kind(const Port *port)
{
    return port->kind;
}

Loop *port_link_loop(Port *port)
{
    return port->loop;
}

uint32_t port_link_mtu(Port *port)
{
    return port->mtu_bytes;
}

PortCounters *port_link_counters(Port *port)
{
    return switch_port_counters(port->switch_port);
}

void port_link_count_drop(Port *port, SwitchDrop reason)
{
    port_counter_add(&port_link_counters(port)->drops[reason], 1);
}

unsigned port_link_queue_pairs(const Port *port)
{
    return port->queue_pairs;
}

void port_link_up(Port *port)
{
    switch_port_set_connected(port->switch_port, true, loop_now_ms());
}

void port_link_down(Port *port)
{
    switch_port_set_connected(port->switch_port, false, loop_now_ms());
}

void port_link_announce(Port *port, Frame *frame)
{
    switch_input(port->switch_port, frame, 1, loop_now_ms());
}

void port_link_set_queues(Port *port, bool has_several)
{
    switch_port_set_queues(port->switch_port, has_several);
}

unsigned port_link_input(Port *port, unsigned lane, Frame *frames, unsigned n,
                         int64_t now_ms)
{
    unsigned taken = switch_input(port->switch_port, frames, n, now_ms);

    if (taken < n) {
        park(port, lane, switch_parked_at(port->switch_port),
             loop_now_ns() + PARK_NS_MAX);
    }
    return taken;
}

Translate *port_link_translate(const Port *port)
{
    return port->translate;
}

bool port_link_is_parked(const Port *port, unsigned lane)
{
    return port->lanes[lane].is_parked;
}

void port_link_has_room(Port *port, int64_t now_ms)
{
    switch_port_has_room(port->switch_port, now_ms);
}

void port_link_yield(Port *port, unsigned lane)
{
    /* Due in the next turn of the loop, not in this one. */
    park(port, lane, 0, loop_now_ns());
}

void port_link_has_room_later(Port *port)
{
    port->owes_room = true;
    loop_timer_arm(port->later_timer, 0);
}

void port_link_fail(Port *port, const char *format, ...)
{
    va_list args;

    if (port->has_failed) {
        return;
    }
    port->has_failed = true;
    if (format) {
        va_start(args, format);
        port->reason = g_strdup_vprintf(format, args);
        va_end(args);
    }
    loop_timer_arm(port->later_timer, 0);
}
