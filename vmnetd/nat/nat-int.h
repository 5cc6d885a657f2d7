/*
 * Inside the translator: what its files share
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_NAT_NAT_INT_H
#define VMNETD_NAT_NAT_INT_H

#include <sys/socket.h>
#include "limits.h"
#include "nat/errors.h"
#include "nat/flow.h"
#include "nat/frag.h"
#include "nat/nat.h"
#include "proto/icmp6.h"
#include "proto/tcp.h"
#include "proto/siphash.h"
#include "proto/udp.h"

/* What a port may add to a frame in its queue: a length, a virtio header. */
#define NAT_FRAME_OVERHEAD 16

/*
 * NatOut: small frames (acknowledgements, resets, errors) on their way.  They
 * gather during nat_input(), which must not output, and leave together.
 */
#define NAT_OUT_BYTES (32 * 1024)
typedef struct NatOut {
    Frame frames[FRAME_BATCH_MAX];
    struct iovec iov[FRAME_BATCH_MAX];
    unsigned n;
    size_t used;
    uint8_t buf[NAT_OUT_BYTES];
} NatOut;

/*
 * NatStage: where data from sockets becomes frames.  A slot holds the headers
 * and up to an MTU of data; a frame may go on in two pieces of a ring.  Frames
 * that the guest's port takes uncut have larger slots in the same memory
 * (TcpCut).
 */
#define NAT_STAGE_BYTES (272 * 1024)
#define NAT_STAGE_IOV 3
typedef struct NatStage {
    uint8_t *slots;
    size_t slot_size;
    unsigned n_slots;
    Frame frames[FRAME_BATCH_MAX];
    struct iovec iov[FRAME_BATCH_MAX * NAT_STAGE_IOV];
    uint8_t *big;           /* datagrams longer than a slot; made when needed */
} NatStage;

/*
 * NatLine: who waits for one port's room.
 * @waits: of NatWait
 * @kept: those that nat_resume() has asked in vain, while it runs
 */
typedef struct NatLine {
    uint32_t port_id;
    GQueue waits, kept;
} NatLine;

/*
 * NatWait: a place in the line for a receiver's room.
 * @line, @queue: where it is; NULL: it does not wait
 * @port_id: of the port that was last asked for room
 * @resume: go on; calls nat_wait() again where the room did not suffice
 */
typedef struct NatWait {
    GList link;
    NatLine *line;
    GQueue *queue;
    uint32_t port_id;
    void (*resume)(Nat *nat, void *owner, int64_t now_ms);
    void *owner;
} NatWait;

typedef struct TcpFlow TcpFlow;

/*
 * TcpGather: segments of one flow that follow each other, until one sendmsg().
 * @copy: where frames do not stay until the flush, small ones are copied: that
 *     costs a twentieth of a system call
 */
#define TCP_GATHER_BYTES (64 * 1024)
#define TCP_GATHER_COPY_MAX 4096
typedef struct TcpGather {
    TcpFlow *flow;
    struct iovec iov[FRAME_BATCH_MAX];
    unsigned n_iov;
    uint32_t len;
    uint8_t *copy;
} TcpGather;

typedef struct UdpGather UdpGather;

struct Nat {
    NatConfig config;
    NatOps ops;
    void *opaque;
    bool peek_off4, peek_off6;
    uint8_t isn_key[16];
    FlowTable *flows;
    FragTable *frags;
    NatOut out;
    NatStage stage;
    TcpGather gather;
    UdpGather *udp_gather;  /* made when needed */
    GQueue pending;         /* of TcpFlow: to be answered at the batch's end */
    GHashTable *lines;      /* port id -> NatLine that has somebody in it */
    GQueue forwards;        /* of NatUdpForward */
    unsigned n_resolving;   /* of them wait for their guest's MAC */
    bool reassembled;       /* what is being input was fragments */
    uint16_t ip_id;
    uint32_t ip6_id;
    bool is_saved;          /* the sockets are another process's by now */
    bool in_input;          /* nothing may be output now */
    bool outputting;        /* ops.output() has not come back */
    NatLine *resuming;      /* whose port has told of room */
    uint64_t n_output;      /* frames handed out */
    size_t kept_bytes;      /* of datagrams that wait for room */
    int64_t deadline_ms;
    NatStats stats;
};

/* ---- out.c ---- */

void nat_out_init(Nat *nat);
void nat_out_clear(Nat *nat);
/** nat_out_reserve: memory for a frame of @len bytes; NULL: queue full. */
uint8_t *nat_out_reserve(Nat *nat, size_t len, int64_t now_ms);
/** nat_out_commit: @len bytes of what was reserved last are a frame. */
void nat_out_commit(Nat *nat, size_t len);
void nat_out_flush(Nat *nat, int64_t now_ms);

/** nat_output: hand @n frames over at once. */
void nat_output(Nat *nat, Frame *frames, unsigned n, int64_t now_ms);

/** nat_headers: Ethernet and IP headers from @flow's outside to its guest. */
IpHeaders nat_headers(Nat *nat, const Flow *flow, uint8_t proto);
/** nat_head: how @flow's frames begin, if they are no fragments. */
NatHead nat_head(Nat *nat, const Flow *flow, uint8_t proto);
/** nat_head_of_fragments: the same packet's, cut. */
void nat_head_of_fragments(NatHead *head);

/**
 * nat_out_icmp_error: an ICMP error from the gateway about a packet that
 * exists no more.
 * @quote: from its IP header on
 */
void nat_out_icmp_error(Nat *nat, const MacAddr *mac, const IpAddr *guest,
                        IcmpCode code, uint32_t rest, const IpAddr *from,
                        const uint8_t *quote, size_t quote_len,
                        int64_t now_ms);

/**
 * nat_out_packet: a packet of any size, in fragments if it is over the MTU.
 * @frame: with its headers, @len bytes; built of @headers
 */
void nat_out_packet(Nat *nat, const IpHeaders *headers, uint8_t *frame,
                    size_t len, int64_t now_ms);

/** nat_big: memory for what does not fit into slot @i, up to NAT_N_BIG. */
#define NAT_N_BIG 16
#define NAT_BIG_BYTES 65536
uint8_t *nat_big(Nat *nat, unsigned i);

/** nat_stage_slot: the memory of slot @i, headers first. */
static inline uint8_t *nat_stage_slot(Nat *nat, unsigned i)
{
    return nat->stage.slots + i * nat->stage.slot_size;
}

/**
 * nat_room: what @head's port takes: frames, and NAT_FRAME_OVERHEAD for each.
 * @wait: of who asks, and may wait for it
 */
NatRoom nat_room(Nat *nat, NatWait *wait, const NatHead *head, int64_t now_ms);
/** nat_room_frames: as frames of @len bytes, at most @max. */
unsigned nat_room_frames(Nat *nat, NatWait *wait, const NatHead *head,
                         size_t len, unsigned max, int64_t now_ms);

/* ---- wait.c ---- */

/** nat_wait: for the port that @wait's owner was last told the room of. */
void nat_wait(Nat *nat, NatWait *wait);
void nat_wait_cancel(Nat *nat, NatWait *wait);

/* ---- nat.c ---- */

/** nat_make_room: recycle flows until port @port_id may have one more. */
void nat_make_room(Nat *nat, uint32_t port_id, int64_t now_ms);
/** nat_socket: socket(), non-blocking; where descriptors end, recycles one. */
/** nat_fault: tell of a call that failed, see NatOps; errno is kept. */
void nat_fault(const Nat *nat, const IpEndpoint *guest, const char *call,
               int errnum);
int nat_socket(Nat *nat, sa_family_t family, int type, int proto,
               uint32_t port_id, int64_t now_ms);
/** nat_bind: to @route's source (and any port) and device, if it has them. */
bool nat_bind(int fd, const NatRoute *route);
/** nat_bind_device: to @route's device, if it has one. */
bool nat_bind_device(int fd, const NatRoute *route);
/** nat_close: end @flow at once, whatever its kind. */
void nat_close(Nat *nat, Flow *flow, int64_t now_ms);
/** nat_done: the end of every way in: output, arm the timer. */
void nat_done(Nat *nat, int64_t now_ms);

/* ---- save.c ---- */

/** SavedFlow: what the item of every kind of flow begins with. */
typedef struct SavedFlow {
    IpEndpoint guest, outside;
    MacAddr mac;
    uint32_t port_id;
    int64_t last_ms;
} SavedFlow;

void nat_save_flow(const Flow *flow, Handover *out, int64_t now_ms);
bool nat_load_flow(Cursor *c, SavedFlow *ret_saved, int64_t now_ms);
/** nat_may_load: @key is new, and within the quotas. */
bool nat_may_load(Nat *nat, const FlowKey *key, const SavedFlow *saved);
/** nat_fd_is: @fd is a socket, and of this type and family. */
bool nat_fd_is(int fd, int type, sa_family_t family);

/* Of each kind: what follows nat_save_flow(). False: not loaded, fd closed. */
void tcp_save(const Flow *flow, Handover *out, int64_t now_ms);
bool tcp_load(Nat *nat, Cursor *c, HandoverFds *fds, const SavedFlow *saved,
              int64_t now_ms);
void udp_save(const Flow *flow, Handover *out, int64_t now_ms);
bool udp_load(Nat *nat, Cursor *c, HandoverFds *fds, const SavedFlow *saved,
              int64_t now_ms);
void icmp_save(const Flow *flow, Handover *out, int64_t now_ms);
bool icmp_load(Nat *nat, Cursor *c, HandoverFds *fds, const SavedFlow *saved,
               int64_t now_ms);

/* ---- tcp.c, tcp-in.c, tcp-gather.c ---- */

NatVerdict tcp_input(Nat *nat, const Frame *frame, const IpPacket *ip,
                     int64_t now_ms);
/** tcp_gather_flush: give the kernel what has been gathered. */
void tcp_gather_flush(Nat *nat);
/** tcp_flush: what the batch left behind: acknowledgements, more data. */
void tcp_flush(Nat *nat, int64_t now_ms);
void tcp_timer(Nat *nat, Flow *flow, int64_t now_ms);
void tcp_close_flow(Nat *nat, Flow *flow, int64_t now_ms);

/* ---- udp.c, udp-send.c, udp-forward.c, icmp.c ---- */

NatVerdict udp_input(Nat *nat, const Frame *frame, const IpPacket *ip,
                     int64_t now_ms);
/** udp_gather_flush: give the kernel the datagrams that have gathered. */
void udp_gather_flush(Nat *nat, int64_t now_ms);
void udp_gather_free(Nat *nat);
void udp_timer(Nat *nat, Flow *flow, int64_t now_ms);
void udp_close_flow(Nat *nat, Flow *flow, int64_t now_ms);

void udp_peer_timer(Nat *nat, Flow *flow, int64_t now_ms);
void udp_peer_close(Nat *nat, Flow *flow, int64_t now_ms);
/** udp_forwards_run: those that waited for the MAC of their guest. */
void udp_forwards_run(Nat *nat, int64_t now_ms);
int64_t udp_forwards_deadline(const Nat *nat);

NatVerdict icmp_input(Nat *nat, const Frame *frame, const IpPacket *ip,
                      int64_t now_ms);
void icmp_timer(Nat *nat, Flow *flow, int64_t now_ms);
void icmp_close_flow(Nat *nat, Flow *flow, int64_t now_ms);

#endif
