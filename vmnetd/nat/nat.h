/*
 * Address translation between guests and the host's sockets
 *
 * No TCP stack: the kernel's socket is the buffer (architecture, data path 5).
 * A flow maps one guest's transport address to one socket.  Data from a guest
 * goes straight into sendmsg(), and is acknowledged as far as the kernel took
 * it; data for a guest is peeked, stays in the kernel until the guest
 * acknowledges it, and is then discarded.  Where the kernel has no SO_PEEK_OFF
 * for TCP, a bounded ring per flow takes its place.
 *
 * The engine has no clock and no log and reaches the switch only by NatOps. It
 * watches its sockets itself (loop/).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_NAT_NAT_H
#define VMNETD_NAT_NAT_H

#include <glib.h>
#include "loop/loop.h"
#include "nat/flow.h"
#include "proto/addr.h"
#include "proto/frame.h"
#include "proto/ip.h"
#include "proto/handover.h"

typedef struct Nat Nat;

typedef enum NatVerdict {
    NAT_OK,
    NAT_REFUSED,    /* route() forbade it */
    NAT_MALFORMED,
    NAT_LIMIT,
} NatVerdict;

/**
 * NatRoute: where a guest's packet really goes.
 * @target: transport address for connect() or sendto(), family may only be
 *     the guest's own
 * @source: address to bind the socket to; AF_UNSPEC: the kernel chooses
 * @device: (nullable): interface to bind it to; outlives its flows.  A guest's
 *     UDP port has one socket, bound as its first datagram's route says.
 */
typedef struct NatRoute {
    IpEndpoint target;
    IpAddr source;
    const char *device;
} NatRoute;

/* A packet of 64 KiB in fragments of 576 bytes, each with what a port adds. */
#define NAT_ROOM_WANTED (96 * 1024)

/**
 * NatHead: how frames for a guest will begin: what says by which of its queues
 * they go.
 * @ip: its destination MAC says which guest.  AF_UNSPEC: any flow's
 * @sport, @dport: 0: neither TCP nor UDP, or in fragments
 */
typedef struct NatHead {
    IpHeaders ip;
    uint16_t sport, dport;
} NatHead;

/**
 * NatRoom: what a guest's port takes now
 * @bytes: SIZE_MAX: without a bound
 * @port_id: 0: not known
 * @is_by_flow: another flow's may be another
 */
typedef struct NatRoom {
    size_t bytes;
    uint32_t port_id;
    bool is_by_flow;
} NatRoom;

typedef struct NatOps {
    /* May a guest reach @dst, and where is that? False: refused. */
    bool (*route)(void *opaque, uint8_t proto, const IpEndpoint *dst,
                  NatRoute *ret_route);
    /* The address under which a guest sees @peer (loopback: the gateway). */
    IpAddr (*peer_seen)(void *opaque, const IpAddr *peer);
    /* MAC of a guest; false: being asked for, the caller tries again. */
    bool (*neighbour)(void *opaque, const IpAddr *guest, int64_t now_ms,
                      MacAddr *ret_mac, uint32_t *ret_port);
    /* When less than NAT_ROOM_WANTED nat_resume() follows once there is room. */
    NatRoom (*room)(void *opaque, const NatHead *head, int64_t now_ms);
    /* (optional) SwitchOffloads that the port of @mac takes. */
    unsigned (*offloads)(void *opaque, const MacAddr *mac, int64_t now_ms);
    /* Frames to guests; their memory is valid during the call. */
    void (*output)(void *opaque, Frame *frames, unsigned n, int64_t now_ms);
    /* The next deadline is now @deadline_ms: arm a timer; -1: none. */
    void (*deadline)(void *opaque, int64_t deadline_ms);
    /* (optional) A TCP flow of @guest changes its state. */
    void (*trace)(void *opaque, const IpEndpoint *guest, const char *from,
                  const char *to);
    /*
     * (optional) @call failed on a socket of @guest: this host lacks something
     * or forbids it.  What the other side has to do with is no such fault.
     */
    void (*fault)(void *opaque, const IpEndpoint *guest, const char *call,
                  int errnum);
} NatOps;

typedef struct NatConfig {
    Loop *loop;
    MacAddr gateway_mac;
    IpAddr gateway4, gateway6;  /* source of ICMP errors of our own */
    uint32_t mtu_bytes;
    uint8_t hash_key[16];
    bool no_peek_off;           /* VMNET_NO_PEEK_OFF=1 */
    /* Frames given to nat_input() stay valid until nat_flush(): data of one
     * flow is then written to its socket at once. */
    bool hold_frames;
    unsigned flows_per_port;    /* 0: LIMIT_FLOWS_PER_PORT */
    FlowQuota *quota;           /* of all networks; outlives them */
} NatConfig;

/**
 * NatStats:
 * @datagrams_dropped: for want of room, in fragments; see udp-receive.c
 * @flows_recycled: ended for others' sake, of this network or another one
 */
typedef struct NatStats {
    unsigned tcp_flows, udp_flows, icmp_flows;
    uint64_t flows_made, flows_recycled, flows_refused;
    uint64_t retransmits;
    uint64_t datagrams_dropped;
} NatStats;

/** nat_probe_peek_off: SO_PEEK_OFF works on TCP sockets of @family. */
bool nat_probe_peek_off(sa_family_t family);

Nat *nat_new(const NatConfig *config, const NatOps *ops, void *opaque);
void nat_free(Nat *nat);

/** nat_input: one packet of a guest; fragments are put together in here. */
NatVerdict nat_input(Nat *nat, const Frame *frame, const IpPacket *ip,
                     int64_t now_ms);
/** nat_flush: the batch has ended: acknowledgements and answers leave. */
void nat_flush(Nat *nat, int64_t now_ms);
/** nat_resume: the port @port_id, or a queue of it, was full and has room. */
void nat_resume(Nat *nat, uint32_t port_id, int64_t now_ms);
/** nat_run: timers. The next deadline comes by NatOps.deadline. */
void nat_run(Nat *nat, int64_t now_ms);
/** nat_port_gone: end all flows of port @id. */
void nat_port_gone(Nat *nat, uint32_t id, int64_t now_ms);

/**
 * nat_tcp_accept: a connection from outside, to be opened to @guest.
 * @fd: (transfer full): connected socket, closed by us also on failure
 * @peer: who the guest sees (peer_seen() has not been applied yet)
 */
bool nat_tcp_accept(Nat *nat, int fd, const IpEndpoint *peer,
                    const IpEndpoint *guest, int64_t now_ms);

/**
 * nat_udp_forward: datagrams that arrive at @fd go to @guest, its answers back.
 * @fd: (transfer full): bound, unconnected UDP socket
 *
 * Returns: a handle for nat_udp_forward_free(); NULL at a limit (fd closed).
 */
typedef struct NatUdpForward NatUdpForward;
NatUdpForward *nat_udp_forward(Nat *nat, int fd, const IpEndpoint *guest,
                               int64_t now_ms);
/** nat_udp_forward_set_guest: follow a lease; AF_UNSPEC: drop for now. */
void nat_udp_forward_set_guest(NatUdpForward *forward, const IpEndpoint *guest);
void nat_udp_forward_free(NatUdpForward *forward);

/**
 * nat_tcp_flow_of: the flow whose host-side socket has local address @local.
 * For the DNS listener, which takes only connections of our own flows.
 */
bool nat_tcp_flow_of(Nat *nat, const IpEndpoint *local, IpEndpoint *ret_guest);

/**
 * nat_has_flow: what @guest sends to @outside belongs to a TCP flow, or answers
 * who came by a UDP forward.  For who asks before nat_input().
 */
bool nat_has_flow(Nat *nat, uint8_t proto, const IpEndpoint *guest,
                  const IpEndpoint *outside);

void nat_stats(Nat *nat, NatStats *ret_stats);

/**
 * nat_save: append all flows to @out, their descriptors included.  From then
 * on only nat_free_saved() may be called: the sockets have one user.
 */
void nat_save(Nat *nat, Handover *out, int64_t now_ms);
/** nat_free_saved: the flows live on elsewhere: nobody is told of their end. */
void nat_free_saved(Nat *nat);
/**
 * nat_load: go on with the flows of @c, the body of a HANDOVER_NAT.  Ports have
 * the ids that they had (switch_port_set_id()).
 *
 * Returns: false: of another version, or damaged: what could be read has been
 * loaded.  A flow that makes no sense counts as refused.
 */
bool nat_load(Nat *nat, Cursor *c, HandoverFds *fds, int64_t now_ms);

/** nat_udp_forward_save: with its peers; see nat_save(). */
void nat_udp_forward_save(const NatUdpForward *forward, Handover *out,
                          int64_t now_ms);
/** nat_udp_forward_load: @c: the body of a HANDOVER_NAT_FORWARD. NULL: damaged. */
NatUdpForward *nat_udp_forward_load(Nat *nat, Cursor *c, HandoverFds *fds,
                                    int64_t now_ms);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Nat, nat_free)

#endif
