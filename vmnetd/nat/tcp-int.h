/*
 * One TCP flow, as the files tcp*.c see it
 *
 *     guest  <== frames: snd_*, rcv_* ==>  TcpFlow  <== fd ==>  outside
 *
 * Viewpoint: "snd" is towards the guest, "rcv" from the guest (RFC 9293 3.3.1).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_NAT_TCP_INT_H
#define VMNETD_NAT_TCP_INT_H

#include <errno.h>
#include "nat/nat-int.h"
#include "nat/ring.h"

/*
 * RFC 9293 3.3.2, as this end of the guest's connection goes through them.
 * CONNECTING: SYN of the guest seen, connect() has not come back
 * SYN_SENT: accepted from outside, our SYN is with the guest
 * SYN_RCVD: the host is connected, our SYN/ACK is with the guest
 * ESTABLISHED: data both ways
 * CLOSE_WAIT: the guest's FIN was passed on, data for the guest goes on
 * FIN_WAIT_1: the outside's FIN is with the guest
 * FIN_WAIT_2: ... and acknowledged; data from the guest goes on
 * CLOSING: both FINs were sent, ours is not acknowledged, the guest's came last
 * LAST_ACK: as CLOSING, but the guest's came first
 * TIME_WAIT: over; the guest's last FIN is acknowledged as often as it comes.
 *     The socket is closed already.
 */
typedef enum TcpState {
    TCP_STATE_CONNECTING,
    TCP_STATE_SYN_SENT,
    TCP_STATE_SYN_RCVD,
    TCP_STATE_ESTABLISHED,
    TCP_STATE_CLOSE_WAIT,
    TCP_STATE_FIN_WAIT_1,
    TCP_STATE_FIN_WAIT_2,
    TCP_STATE_CLOSING,
    TCP_STATE_LAST_ACK,
    TCP_STATE_TIME_WAIT,
    TCP_STATE__MAX
} TcpState;

struct TcpFlow {
    Flow flow;
    TcpState state;
    Nat *nat;
    int fd;                 /* -1 in TIME_WAIT */
    LoopWatch *watch;
    IpEndpoint local;       /* of fd; port 0: not asked for yet */
    int error;              /* of fd: the flow fails when the batch ends */
    GList pending;
    bool is_pending;
    NatWait wait;

    /* Towards the guest. */
    uint32_t iss;
    uint32_t snd_una;       /* oldest not acknowledged */
    uint32_t snd_nxt;       /* next to send; goes back after a timeout */
    uint32_t snd_max;       /* highest sent, plus one */
    uint32_t snd_wnd;       /* bytes from snd_una on */
    uint32_t snd_wnd_max;   /* the largest that the guest ever told */
    uint32_t snd_wl1, snd_wl2;
    uint32_t sock_una;      /* sequence number of the socket's first byte */
    uint32_t peek_off;      /* where the kernel's SO_PEEK_OFF is */
    uint32_t fin_seq;       /* of our FIN, if @eof */
    uint32_t recover;       /* RFC 6582: loss recovery ends here */
    uint32_t rxt_nxt;       /* in recovery: repeated up to here, this round */
    TcpBlock *sacked;       /* by the guest: tcp-sack.c; NULL: nothing */
    uint8_t n_sacked;
    uint8_t n_rounds;       /* begun by the timer since the last ACK */
    int64_t round_ms;       /* when this round began */
    uint32_t cwnd;          /* bytes, after a timeout; else UINT32_MAX */
    uint16_t mss;           /* data bytes in a frame for the guest */
    uint8_t snd_scale, rcv_scale;
    uint8_t dup_acks;       /* counted from the guest */
    bool readable;          /* the socket may have more than was read */
    bool eof;               /* the outside has closed */
    bool recovering;
    bool peek;              /* SO_PEEK_OFF; else @ring */
    Ring *ring;

    /* From the guest. */
    uint32_t irs;
    uint32_t rcv_nxt;       /* all before is with the kernel */
    uint32_t rcv_edge;      /* right edge of the window told last */
    uint32_t rcv_wnd;       /* bytes, told last */
    uint32_t room;          /* the socket's, asked for last; 0: ask */
    uint32_t room_used;     /* of it since then, at most */
    uint32_t ack_sent;      /* acknowledged so far */
    uint32_t seg_max;       /* largest segment of the guest */
    uint32_t streak;        /* bytes in order since an ACK came too late */
    uint32_t streak_min;    /* so many make ACKs rarer */
    bool ack_now;
    bool ack_later;         /* ... or with others, by ack_ms at the latest */
    bool window_now;        /* the window may have grown */
    uint8_t dup_now;        /* duplicate ACKs due to the guest, up to 3 */
    bool blocked;           /* the socket takes nothing: window 0 */
    bool written;           /* something has been, and ... */
    bool nodelay;           /* ... TCP_NODELAY is set, as that was not the last */
    bool dropped;           /* ... and data of the guest was dropped for that */
    GPtrArray *held;        /* data that could not be written yet: tcp-hold.c */
    uint32_t held_bytes;
    uint32_t held_last;     /* sequence number of the newest */
    bool sack;              /* the guest understands SACK (RFC 2018) */
    bool guest_fin;         /* its FIN has been seen */
    uint32_t guest_fin_seq;
    bool keepalive;         /* the guest probes: the host's socket does too */
    bool probing;           /* silent for two hours: we ask it */

    /* Time. */
    int64_t timer_ms;       /* retransmission or window probe */
    int64_t ack_ms;         /* a delayed acknowledgement */
    int64_t retry_ms;       /* starved: the socket is tried again */
    uint16_t retry_wait_ms;
    bool is_starved;        /* no memory for reading or writing the socket */
    int64_t rtt_start_ms;   /* -1: not measuring */
    uint32_t rtt_seq;
    uint32_t srtt_ms, rttvar_ms, rto_ms;
    uint8_t n_retries;
};

/* Where TcpFlow.streak_min begins, and ends. */
#define TCP_STREAK_BYTES (128 * 1024)
#define TCP_STREAK_BYTES_MAX (16 * 1024 * 1024)

static inline bool tcp_guest_closed(const TcpFlow *f)
{
    return f->state == TCP_STATE_CLOSE_WAIT || f->state == TCP_STATE_CLOSING ||
           f->state == TCP_STATE_LAST_ACK || f->state == TCP_STATE_TIME_WAIT;
}

/** tcp_may_send: data or a FIN may be (sent again) to the guest. */
static inline bool tcp_may_send(const TcpFlow *f)
{
    return f->state == TCP_STATE_ESTABLISHED ||
           f->state == TCP_STATE_CLOSE_WAIT ||
           f->state == TCP_STATE_FIN_WAIT_1 ||
           f->state == TCP_STATE_CLOSING || f->state == TCP_STATE_LAST_ACK;
}

/* RFC 6298 2.4 asks for 1 s; a guest is nearer than the Internet. */
#define TCP_RTO_MIN_MS 200u
#define TCP_RTO_MAX_MS 60000u

/** tcp_measure: how long until what ends at snd_max is acknowledged? */
static inline void tcp_measure(TcpFlow *f, int64_t now_ms)
{
    f->rtt_start_ms = now_ms;
    f->rtt_seq = f->snd_max;
}

/* ---- tcp.c ---- */

FlowClass tcp_state_class(TcpState state);
void tcp_set_state(TcpFlow *f, TcpState state);
/** tcp_free: close in good order; @f is gone. */
void tcp_free(TcpFlow *f);
/** tcp_abort: reset the outside; the guest knows already. @f is gone. */
void tcp_abort(TcpFlow *f);
/** tcp_fail: tell the guest of @errnum, reset the outside. @f is gone. */
void tcp_fail(TcpFlow *f, int errnum, int64_t now_ms);
/** tcp_time_wait: both sides are done: close the socket, keep the flow. */
void tcp_time_wait(TcpFlow *f);
/** tcp_touch: a segment of the guest came. */
void tcp_touch(TcpFlow *f, int64_t now_ms);
/** tcp_mirror_keepalive: the guest wants to know whether its peer is there. */
void tcp_mirror_keepalive(TcpFlow *f);
/** tcp_pend: have tcp_out() called when the batch ends. */
void tcp_pend(TcpFlow *f);
/** tcp_rearm: after any change of state or times. */
void tcp_rearm(TcpFlow *f);

/** tcp_event: LoopWatchFunc of the flow's socket. */
void tcp_event(void *opaque, uint32_t events, int64_t now_ms);

/* ---- tcp-open.c ---- */

/* A guest with a smaller MSS gets frames of this much all the same. */
#define TCP_MSS_MIN 64

/** tcp_new: not in the table yet, @fd not watched; everything at its start. */
TcpFlow *tcp_new(Nat *nat, int fd, const IpEndpoint *guest,
                 const IpEndpoint *outside, int64_t now_ms);
/**
 * tcp_adopt_fd: options and a watch for a socket that is, or will be,
 * connected. f->peek is false afterwards where the kernel cannot.
 */
bool tcp_adopt_fd(TcpFlow *f);

/** tcp_open: a guest's SYN. */
NatVerdict tcp_open(Nat *nat, const Frame *frame, const IpPacket *ip,
                    const TcpHeader *tcp, int64_t now_ms);
/** tcp_learn_peer: MSS and window scale of the guest's SYN or SYN/ACK. */
void tcp_learn_peer(TcpFlow *f, const TcpHeader *tcp);
/** tcp_our_mss: what the guest may put into a segment. */
uint16_t tcp_our_mss(const TcpFlow *f);
/** tcp_find_guest: the MAC of an accepted flow's guest. False: not yet. */
bool tcp_find_guest(TcpFlow *f, int64_t now_ms);

/* ---- tcp-gather.c ---- */

/**
 * tcp_write: give the kernel @msg, the next bytes of the guest.
 *
 * Returns: bytes that it took; rcv_nxt has moved on by them, and f->blocked is
 * set if they were not all.
 */
uint32_t tcp_write(TcpFlow *f, struct msghdr *msg);
/**
 * tcp_gather: @len bytes of @frame from @offset on are the next in order, at
 * @seq; what is gathered is written by tcp_gather_flush().
 */
void tcp_gather(TcpFlow *f, const Frame *frame, uint32_t offset, uint32_t seq,
                uint32_t len);
/** tcp_hold_frame: the same for later: behind a hole, or the socket is full. */
void tcp_hold_frame(TcpFlow *f, const Frame *frame, uint32_t offset,
                    uint32_t seq, uint32_t len);

/* ---- tcp-in.c ---- */

/** tcp_take_fin: the guest's FIN, once all before it is with the kernel. */
void tcp_take_fin(TcpFlow *f);

/* ---- tcp-hold.c ---- */

/**
 * tcp_hold: keep @len bytes of @iov from @offset on, which begin at @seq.
 *
 * Returns: false: at a bound; they are lost.
 */
bool tcp_hold(TcpFlow *f, const struct iovec *iov, unsigned n_iov,
              size_t offset, uint32_t seq, uint32_t len);
/** tcp_hold_write: write what has become the next in order. */
void tcp_hold_write(TcpFlow *f);
void tcp_hold_clear(TcpFlow *f);

/** tcp_hold_blocks: what lies behind holes, for SACK. Returns: blocks. */
unsigned tcp_hold_blocks(const TcpFlow *f, TcpBlock ret_blocks[TCP_BLOCKS_MAX]);

/* ---- tcp-send.c ---- */

/** tcp_send_control: a segment without data; @flags has no TCP_ACK: no ack. */
void tcp_send_control(TcpFlow *f, uint8_t flags, uint32_t seq, int64_t now_ms);
/** tcp_send_rst: to answer a segment that belongs to no flow. */
void tcp_send_rst(Nat *nat, const IpPacket *ip, const TcpHeader *tcp,
                  int64_t now_ms);
/**
 * tcp_ack_may_wait: the next @len bytes in order came, @push: the end of a
 * write.  May their acknowledgement wait for others?
 */
bool tcp_ack_may_wait(const TcpFlow *f, uint32_t len, bool push);
/** tcp_ack_late: the timer had to send one. */
void tcp_ack_late(TcpFlow *f);
/** tcp_acks_sent: a segment with rcv_nxt leaves. */
void tcp_acks_sent(TcpFlow *f);
/** tcp_send_acks: acknowledgements and window updates that are still due. */
void tcp_send_acks(TcpFlow *f, int64_t now_ms);
/** tcp_room_use: @n bytes went into the socket, or none. */
void tcp_room_use(TcpFlow *f, uint32_t n);
/** tcp_window: bytes that the guest may send now. */
uint32_t tcp_window(TcpFlow *f);
/** tcp_tell_window: the window field for @wnd bytes; they are remembered. */
uint16_t tcp_tell_window(TcpFlow *f, bool syn, uint32_t wnd);
/** tcp_header: ports, numbers and flags of a segment for the guest. */
TcpHeader tcp_header(const TcpFlow *f, uint8_t flags, uint32_t seq);

/* ---- tcp-sack.c ---- */

/** tcp_sack_input: the blocks of @tcp. Returns: they told something new. */
bool tcp_sack_input(TcpFlow *f, const TcpHeader *tcp);
/** tcp_sack_trim: snd_una has moved on. */
void tcp_sack_trim(TcpFlow *f);
void tcp_sack_clear(TcpFlow *f);
/**
 * tcp_sack_skip: where, from @seq on, begins what the guest lacks?
 * @ret_len: up to the next block; G_MAXUINT32: no block follows
 */
uint32_t tcp_sack_skip(const TcpFlow *f, uint32_t seq, uint32_t *ret_len);
/** tcp_sack_hole: what is to be repeated next, in recovery. False: nothing. */
bool tcp_sack_hole(const TcpFlow *f, TcpBlock *ret_hole);

/** tcp_recover: something is lost: what the guest lacks is repeated. */
void tcp_recover(TcpFlow *f, int64_t now_ms);
/** tcp_recover_on: after each acknowledgement: begin, or a new round. */
void tcp_recover_on(TcpFlow *f, bool sack_is_new, int64_t now_ms);
/** tcp_recover_wait_ms: until a new round begins without one; 0: it does not. */
int64_t tcp_recover_wait_ms(const TcpFlow *f);
/** tcp_recover_again: that time is over. False: it is a real timeout. */
bool tcp_recover_again(TcpFlow *f, int64_t now_ms);

/* ---- tcp-queue.c ---- */

/** tcp_error_is_soft: an errno that says nothing about the connection. */
static inline bool tcp_error_is_soft(int errnum)
{
    return errnum == ENOMEM || errnum == ENOBUFS;
}

/** tcp_discard: forget what the guest has acknowledged. */
void tcp_discard(TcpFlow *f);
/** tcp_ring_trim: give back the memory of a ring without data. */
void tcp_ring_trim(TcpFlow *f);
/** tcp_ring_put: a new ring with @len bytes. False: no memory, or too many. */
bool tcp_ring_put(TcpFlow *f, const uint8_t *bytes, uint32_t len);
/**
 * TcpCut: how data becomes frames for a guest's port
 * @unit: bytes in a frame at most: one segment, or many to be cut by the guest
 * @stride: bytes from one slot of the stage to the next
 * @n_frames: as many at a time
 * @partial: the checksum is left to the guest
 */
typedef struct TcpCut {
    uint32_t unit;
    size_t stride;
    unsigned n_frames;
    bool partial;
} TcpCut;

static inline uint8_t *tcp_cut_slot(Nat *nat, const TcpCut *cut, unsigned i)
{
    return nat->stage.slots + i * cut->stride;
}

/**
 * tcp_stage: put data from sequence number @seq on into the stage, at most @max
 * bytes, as @cut says.
 *
 * Returns: bytes; 0: nothing there, or the end, or an error (f->error), or
 * f->is_starved.
 */
uint32_t tcp_stage(TcpFlow *f, uint32_t seq, uint32_t max, const TcpCut *cut);

/* ---- tcp-out.c ---- */

/**
 * tcp_out: everything that @f has for its guest: repeated and new data, FIN,
 * acknowledgements. @f may be gone afterwards.
 *
 * Returns: false: nothing left for want of room
 */
bool tcp_out(TcpFlow *f, int64_t now_ms);
/** tcp_retry: the time of a starved flow has come. */
void tcp_retry(TcpFlow *f);
/** tcp_retransmit: the timer ran out. False: for the last time. */
bool tcp_retransmit(TcpFlow *f, int64_t now_ms);
void tcp_timer_start(TcpFlow *f, int64_t now_ms);

#endif
