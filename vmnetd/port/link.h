/*
 * Links: how frames travel between a port and its VMM, one kind a transport
 *
 * A link is open from port_connect() until it fails or is disconnected.  It
 * never ends itself: it calls port_link_fail(), and the port closes it from
 * the loop, where nobody else is using it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_PORT_LINK_H
#define VMNETD_PORT_LINK_H

#include "limits.h"
#include "port/port.h"

/**
 * PortLinkDriver: one kind of link.  @link is what open() returned.
 * @socket_types: a bit (1 << SOCK_STREAM, ...) for each type of socket that
 *     it works on; 0: on something else, which open() checks
 * @socket_types_str: these, for an error message
 */
typedef struct PortLinkDriver {
    unsigned socket_types;
    const char *socket_types_str;
    /*
     * @fd is of one of these types; (transfer full) on success.
     * Calls port_link_up() if it knows its peer, or does so later.
     */
    void *(*open)(Port *port, int fd, GError **error);
    /* (optional) @fd is one more queue of the same; (transfer full) on success. */
    bool (*add_queue)(void *link, int fd, GError **error);
    void (*close)(void *link);
    /* As in PortOps. */
    unsigned (*send)(void *link, const Frame *frames, unsigned n,
                     int64_t now_ms);
    size_t (*room)(void *link, const Frame *head);
    /* (optional) As in PortOps. */
    void (*flush)(void *link);
    /*
     * What port_link_input() did not take may be offered again, or the turn
     * has come that port_link_yield() asked for.
     */
    void (*resume)(void *link, unsigned lane, int64_t now_ms);
    /* As in PortOps, for links that call port_link_set_queues(). */
    void (*expire)(void *link);
    unsigned (*n_expired)(void *link, const Frame *frames, unsigned n);
} PortLinkDriver;

extern const PortLinkDriver port_link_stream;
extern const PortLinkDriver port_link_dgram;
extern const PortLinkDriver port_link_dgram_vnet;
extern const PortLinkDriver port_link_vhost_user;
extern const PortLinkDriver port_link_tap;
extern const PortLinkDriver port_link_packet;

Loop *port_link_loop(Port *port);
uint32_t port_link_mtu(Port *port);
PortCounters *port_link_counters(Port *port);
/** port_link_count_drop: one frame, charged to @port */
void port_link_count_drop(Port *port, SwitchDrop reason);
/** port_link_translate: of port_set_translate(). */
Translate *port_link_translate(const Port *port);
/** port_link_queue_pairs: 1 to LIMIT_QUEUE_PAIRS. */
unsigned port_link_queue_pairs(const Port *port);

/** port_link_up: there is a peer: frames for it are sent from now on. */
void port_link_up(Port *port);
/** port_link_down: the peer stays, but takes no frames for now. */
void port_link_down(Port *port);
/** port_link_announce: hand over a group frame of the link's own making. */
void port_link_announce(Port *port, Frame *frame);

/** port_link_set_queues: as switch_port_set_queues(). */
void port_link_set_queues(Port *port, bool has_several);

/** Lanes of a link, one for each of its queues; what has but one uses lane 0. */
#define PORT_LANES_MAX MAX(LIMIT_TAP_QUEUES, LIMIT_QUEUE_PAIRS)

/**
 * port_link_input: hand frames to the switch.
 *
 * Returns: how many were dealt with.  Fewer than @n: the lane is parked; the
 * link keeps the rest, reads no more there, and goes on when resume() is called.
 */
unsigned port_link_input(Port *port, unsigned lane, Frame *frames, unsigned n,
                         int64_t now_ms);
/**
 * port_link_yield: the lane has more frames, but others are to have their turn
 * first.  Until then it counts as parked.
 */
void port_link_yield(Port *port, unsigned lane);
/** port_link_is_parked: resume() is to come. */
bool port_link_is_parked(const Port *port, unsigned lane);
/** port_link_has_room: the queue has drained to half.  Not from send(). */
void port_link_has_room(Port *port, int64_t now_ms);
/** port_link_has_room_later: as above, from send(). */
void port_link_has_room_later(Port *port);
/**
 * port_link_fail: the link is at its end; @format NULL: an orderly one.  Takes
 * effect later; nothing is sent or resumed from now on.  Only the first counts.
 */
void port_link_fail(Port *port, const char *format, ...) G_GNUC_PRINTF(2, 3);

#endif
