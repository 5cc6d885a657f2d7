/*
 * A netdev's port: the place on the switch that VMMs come to and leave
 *
 * A Port lives as long as its netdev; a VMM is connected to it for a while by
 * a link, of which there is one kind per transport (stream, dgram, vhost-user,
 * tap).  Viewpoint: the switch's, see switch.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_PORT_PORT_H
#define VMNETD_PORT_PORT_H

#include <glib.h>
#include "loop/loop.h"
#include "port/translate.h"
#include "switch/switch.h"

typedef struct Port Port;

typedef enum PortKind {
    PORT_KIND_STREAM,   /* SOCK_STREAM: 32 bit big-endian length, then frame */
    PORT_KIND_DGRAM,    /* SOCK_DGRAM or SOCK_SEQPACKET: a frame a datagram */
    PORT_KIND_DGRAM_VNET, /* the same, each with a virtio_net_hdr_v1 in front */
    PORT_KIND_VHOST_USER, /* SOCK_STREAM: messages; frames in shared memory */
    PORT_KIND_TAP,      /* a tap interface with IFF_VNET_HDR */
    PORT_KIND_PACKET,   /* an AF_PACKET socket with PACKET_VNET_HDR */
    PORT_KIND__MAX
} PortKind;

const char *port_kind_str(PortKind kind);

/**
 * PortEvents: what the owner of a port is told.  Called from the loop, never
 * from within port_connect(); the port may be freed in either.
 */
typedef struct PortEvents {
    /* The VMM went: @reason is NULL for an orderly end. */
    void (*disconnected)(void *opaque, const char *reason);
} PortEvents;

/** @flags: SwitchPortFlags; @mtu_bytes bounds frames (with headers) both ways. */
Port *port_new(Loop *loop, Switch *sw, unsigned flags, uint32_t mtu_bytes,
               const PortEvents *events, void *opaque);
void port_free(Port *port);

SwitchPort *port_switch_port(Port *port);
/** port_set_isolated: takes effect with the next frame. */
void port_set_isolated(Port *port, bool isolated);

/** port_set_queue_pairs: of PORT_KIND_VHOST_USER, at most; from the next VMM on. */
void port_set_queue_pairs(Port *port, unsigned n);

/**
 * port_set_translate: of PORT_KIND_PACKET: frames go through @translate
 * (transfer none) (nullable); before it is connected.
 */
void port_set_translate(Port *port, Translate *translate);

/**
 * port_set_offloads: @offloads (SwitchOffloads) are what the VMM takes, from
 * the next frame on, as long as it is connected.  Only links whose frames carry
 * a virtio_net_hdr may have any.
 */
void port_set_offloads(Port *port, unsigned offloads);

/**
 * port_connect: frames of @kind flow over @fd from now on.
 * @fd: (transfer full): a connected socket of the right type (checked); for
 *     PORT_KIND_DGRAM it may be a bound, unconnected AF_UNIX socket, which
 *     connects back to its first sender.  Closed on failure.
 *
 * Returns: false with @error if a VMM is connected already or the socket is of
 * another kind.
 */
bool port_connect(Port *port, PortKind kind, int fd, GError **error);
/**
 * port_add_queue: @fd (transfer full) is one more queue of what is connected.
 *
 * Returns: false with @error: of another kind, or too many.
 */
bool port_add_queue(Port *port, int fd, GError **error);
/** port_disconnect: close the link, keep port and counters. No event. */
void port_disconnect(Port *port);
bool port_is_connected(const Port *port);
PortKind port_kind(const Port *port);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Port, port_free)

#endif
