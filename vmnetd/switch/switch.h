/*
 * The switch of a network: learns, ages, floods, isolates, counts
 *
 *   port A --switch_input()--> [ FDB ] --PortOps.send--> port B
 *
 * Viewpoint, everywhere in this project: the switch's.  "Input" is a frame
 * that enters the switch from a port, "output" one that leaves by a port.
 * What a guest transmits is input; counters for users (query-netdevs) are
 * turned round in control/.
 *
 * The switch owns no memory of frames, no socket and no clock.
 *
 * Back-pressure (architecture, data path 4): a port's send() takes fewer
 * frames than offered when it is full.  For a frame to one known destination
 * switch_input() then stops, returns how many frames were dealt with, and
 * remembers that @src waits for that port; the source keeps the rest, does not
 * read more, and offers it again from its resume().  The source bounds the
 * wait itself (PARK_NS_MAX): on expiry it calls switch_park_expire(), after
 * which frames to that receiver are dropped and counted until it has room.
 * A source with several queues may have each wait for another port; of a
 * receiver with several, only the full ones are waited for (PortOps.expire).
 * Offloads: a frame keeps its virtio_net_hdr, checked, from port to port.  Only
 * for a receiver that has not said that it takes such frames it is segmented
 * and its checksum completed.  A receiver may take some of the segments of a
 * frame and then be full: the frame then counts as not taken, and its n_sent
 * says, when it is offered again, where to go on.
 *
 * Flooded frames never wait: a full port misses its copy.  Nor do frames of
 * the gateway: NAT looks at switch_port_room() before it reads a socket, and
 * switch_port_wait()s.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_SWITCH_SWITCH_H
#define VMNETD_SWITCH_SWITCH_H

#include <glib.h>
#include "proto/addr.h"
#include "proto/frame.h"
#include "proto/handover.h"

typedef struct Switch Switch;
typedef struct SwitchPort SwitchPort;

/** Why a frame went no further. One counter each; names in switch_drop_str(). */
typedef enum SwitchDrop {
    SWITCH_DROP_RUNT,           /* shorter than an Ethernet header */
    SWITCH_DROP_GIANT,          /* longer than MTU + headers (with GSO: its segments) */
    SWITCH_DROP_BAD_SOURCE,     /* group or zero source address */
    SWITCH_DROP_OWN_SOURCE,     /* the gateway's own address as a guest's source */
    SWITCH_DROP_BAD_OFFLOAD,    /* virtio_net_hdr that does not fit the frame */
    SWITCH_DROP_ISOLATED,       /* isolation forbids this pair */
    SWITCH_DROP_SAME_PORT,      /* destination is where it came from */
    SWITCH_DROP_RESERVED,       /* 01:80:c2:00:00:0x: never forwarded (802.1Q) */
    SWITCH_DROP_FULL,           /* receiver full, wait expired */
    SWITCH_DROP_NOT_CONNECTED,  /* receiver's export has no VMM */
    SWITCH_DROP_FOREIGN_SOURCE, /* IP source not of this network, or the gateway's */
    SWITCH_DROP_MALFORMED,      /* headers that lie about lengths */
    SWITCH_DROP_REFUSED,        /* policy: host mode, forbidden target; guard.h */
    SWITCH_DROP_LIMIT,          /* a bound of limits.h was reached */
    SWITCH_DROP__MAX
} SwitchDrop;

const char *switch_drop_str(SwitchDrop reason);

/**
 * PortCounters: one writer; read with relaxed atomics.
 *
 * The switch counts.  @input_* is all that came in, dropped or not; a drop is
 * charged to the port of its cause: SWITCH_DROP_FULL and
 * SWITCH_DROP_NOT_CONNECTED to the receiver, all others to the sender.  What
 * is segmented for a receiver is one input, and each segment is an output or a
 * SWITCH_DROP_FULL.  Of a flooded frame each copy that leaves is an output, and copies that isolation
 * forbids are not counted.
 */
typedef struct PortCounters {
    uint64_t input_frames, input_bytes;
    uint64_t output_frames, output_bytes;
    uint64_t drops[SWITCH_DROP__MAX];
} PortCounters;

/** port_counter_add: for the one writer; readers in other threads may look. */
static inline void port_counter_add(uint64_t *counter, uint64_t value)
{
    __atomic_store_n(counter, *counter + value, __ATOMIC_RELAXED);
}

/**
 * PortOps: what the switch asks of a port.
 *
 * All are called from the network's thread; none may free the port or add or
 * remove ports.  send() must not call switch_input(); flush() and resume() may,
 * for their own port only (how the gateway answers).
 */
typedef struct PortOps {
    /*
     * Output @n frames, at most FRAME_BATCH_MAX.  Their memory is only valid
     * during the call.  Their virtio_net_hdr asks for nothing that
     * switch_port_set_offloads() has not allowed; num_buffers is 0.  Returns how many of the first were taken; fewer than
     * @n means full.  Not called while switch_port_set_connected() says that
     * there is no VMM.
     */
    unsigned (*send)(void *opaque, const Frame *frames, unsigned n,
                     int64_t now_ms);
    /* (optional) The batch has ended: notify, write. */
    void (*flush)(void *opaque);
    /*
     * (optional) Bytes of frames that send() would take now; NULL: always.
     * @head: as in switch_port_room()
     */
    size_t (*room)(void *opaque, const Frame *head);
    /*
     * (optional) @dst, for which this port waited, has room again or is gone:
     * offer again.  Called from the receiver's own callback, after flush; may
     * come although nothing is waited for any more.  A port without it never
     * waits: what a full receiver does not take of its frames is dropped.
     */
    void (*resume)(void *opaque, SwitchPort *dst, int64_t now_ms);
    /*
     * For a port with several queues (switch_port_set_queues()), each of which
     * may be full while others are not.  expire(): nobody waits any more for
     * those that are full now, until they have room.  n_expired(): how many of
     * the first of these frames, at which send() has stopped, are for such
     * queues; they are dropped.
     */
    void (*expire)(void *opaque);
    unsigned (*n_expired)(void *opaque, const Frame *frames, unsigned n);
} PortOps;

/** Longest time that a source waits for a full receiver. */
#define PARK_NS_MAX 50000

typedef enum SwitchPortFlags {
    SWITCH_PORT_GATEWAY  = 1 << 0,  /* the router's own port: no learning, no
                                     * isolation; gets what is for its own MAC
                                     * and for groups. One per switch */
    SWITCH_PORT_ISOLATED = 1 << 1,  /* exchanges frames with gateway and uplink */
    SWITCH_PORT_UPLINK   = 1 << 2,  /* many addresses behind it. One per switch */
    SWITCH_PORT_HOST     = 1 << 3,  /* the host's own interface: it has the
                                     * gateway's address, sends to all, and gets
                                     * what switch_hand_on() says. One per switch */
} SwitchPortFlags;

/**
 * SwitchOffloads: what a port's receiver may be given, a bit each; what it does
 * not take, the switch does for it (segment.h).
 */
typedef enum SwitchOffloads {
    SWITCH_OFFLOAD_CSUM = 1 << 0,   /* TCP and UDP checksums to be completed */
    SWITCH_OFFLOAD_TSO4 = 1 << 1,   /* TCP segments to be cut, over IPv4 */
    SWITCH_OFFLOAD_TSO6 = 1 << 2,   /* the same over IPv6 */
    SWITCH_OFFLOAD_ECN  = 1 << 3,   /* these with CWR */
    SWITCH_OFFLOAD_USO  = 1 << 4,   /* UDP datagrams to be cut */
} SwitchOffloads;

/* IPv4, IPv6, link-local. */
#define SWITCH_GATEWAY_ADDRS_MAX 3

typedef struct SwitchConfig {
    uint32_t mtu_bytes;          /* of IP; 14 (18 with a VLAN tag) come on top */
    MacAddr gateway_mac;         /* never accepted as a guest's source */
    /* Nor are these as its own, by ARP and ND (guard.h). AF_UNSPEC: none. */
    IpAddr gateway_addrs[SWITCH_GATEWAY_ADDRS_MAX];
    uint32_t ageing_ms;          /* 0: 300 s */
    /* (optional) @mac is live on two ports: seen on @old_id within 1 s. */
    void (*duplicate_mac)(void *opaque, const MacAddr *mac,
                          uint32_t old_id, uint32_t new_id);
    void *opaque;
} SwitchConfig;

Switch *switch_new(const SwitchConfig *config);
/** All ports must have been removed. */
void switch_free(Switch *sw);

/** Returns: (transfer full): a port with an id that is not used again (> 0). */
SwitchPort *switch_port_add(Switch *sw, const PortOps *ops, void *opaque,
                            unsigned flags, unsigned fdb_quota);
/** Forgets its addresses and resumes who waited for it. */
void switch_port_remove(SwitchPort *port, int64_t now_ms);

uint32_t switch_port_id(const SwitchPort *port);
/** switch_port_counters: for the owner (send(), gateway drops) and readers. */
PortCounters *switch_port_counters(SwitchPort *port);
SwitchPort *switch_port_by_id(Switch *sw, uint32_t id);
/** switch_port_forget: the VMM went; forget addresses, keep port and counters. */
void switch_port_forget(SwitchPort *port);
/**
 * switch_port_set_offloads: @offloads (SwitchOffloads) are what the receiver
 * takes from the next frame on; without CSUM it takes none.
 */
void switch_port_set_offloads(SwitchPort *port, unsigned offloads);
/** switch_port_offloads: as set, 0 for a new port. */
unsigned switch_port_offloads(const SwitchPort *port);
/**
 * switch_port_set_queues: whether the port has several queues (PortOps.expire)
 * now; a new one has not.
 */
void switch_port_set_queues(SwitchPort *port, bool has_several);
/** switch_port_has_queues: as set: room may be another for another flow. */
bool switch_port_has_queues(const SwitchPort *port);
/** switch_port_set_isolated: change SWITCH_PORT_ISOLATED from the next frame on. */
void switch_port_set_isolated(SwitchPort *port, bool isolated);
/**
 * switch_port_set_connected: whether there is somebody to take frames; a new
 * port is connected.  Frames for a port that is not are dropped and counted,
 * and nobody waits for it: who did is resumed.
 */
void switch_port_set_connected(SwitchPort *port, bool connected,
                               int64_t now_ms);

/**
 * switch_input: frames that came in by @src, at most FRAME_BATCH_MAX.
 *
 * Sets each frame's src_port, and makes its virtio_net_hdr say what was checked
 * and no more.  Returns: how many of the first were dealt with
 * (sent, flooded or dropped and counted); fewer than @n: see back-pressure
 * above.  Flushes the ports that it sent to before it returns.
 */
unsigned switch_input(SwitchPort *src, Frame *frames, unsigned n,
                      int64_t now_ms);

/**
 * switch_hand_on: from within its send() the gateway gives @frame to the
 * SWITCH_PORT_HOST, whose offloads its own may not exceed.
 */
void switch_hand_on(Switch *sw, const Frame *frame, int64_t now_ms);

/** The port on which @mac was last seen; NULL if unknown or a group address. */
SwitchPort *switch_lookup(Switch *sw, const MacAddr *mac, int64_t now_ms);

/** Who needs no more than this has switch_port_has_room() follow if it is not there. */
#define SWITCH_ROOM_WANTED (96 * 1024)

/**
 * switch_port_room: bytes that @port takes now without waiting; SIZE_MAX if it
 * has no bound.
 * @head: (nullable): how the frames begin, up to their ports: of several queues
 *     that counts by which they will go; NULL: the one with the most room
 */
size_t switch_port_room(SwitchPort *port, const Frame *head);
/** switch_port_wait: call @src's resume() once when @dst has room. */
void switch_port_wait(SwitchPort *dst, SwitchPort *src);
/** switch_port_has_room: a port tells that it was full and is no longer. */
void switch_port_has_room(SwitchPort *port, int64_t now_ms);
/**
 * switch_port_set_id: give @port, which was just added, the id that it had
 * before a hand-over.  False: 0, or another port has it.
 */
bool switch_port_set_id(SwitchPort *port, uint32_t id);
/** switch_save: append what was learnt, and which ids were given. */
void switch_save(const Switch *sw, Handover *out, int64_t now_ms);
/**
 * switch_load: @c: the body of a HANDOVER_SWITCH, once ports are there again and
 * have their ids; what was learnt on others is left out.
 *
 * Returns: false: of another version, or damaged: what could be read counts
 */
bool switch_load(Switch *sw, Cursor *c, int64_t now_ms);
/** switch_parked_at: id of the port at which the last switch_input() of @src
 * stopped; 0: it did not, or that port is gone. */
uint32_t switch_parked_at(const SwitchPort *src);
/**
 * switch_park_expire: @src has waited long enough for the port @id (0: for
 * none).  Offered again, its frames are sent as far as there is room, and
 * dropped otherwise.
 */
void switch_park_expire(SwitchPort *src, uint32_t id);

#endif
