/*
 * TCP segments for guests: peeked from the socket, repeated, discarded
 *
 * Theory of operation
 *
 * Sequence numbers are offsets into the socket's receive queue:
 *
 *      sock_una      snd_una         snd_nxt      snd_max     fin_seq
 *   ------+-------------+---------------+------------+-----------+---
 *         | acknowledged, | in flight   | to be sent   not sent   our
 *         | to discard    |             | again        yet        FIN
 *
 * SO_PEEK_OFF is where the next peek begins, snd_nxt - sock_una; peeking moves
 * it on and discarding moves it back by itself, so that it is set only to
 * repeat something.  With a ring (ring.h) the offsets are into the ring.
 *
 * Loss is rare here, since ports push back instead of dropping, but a guest
 * may drop, and frames may go through worse links behind it.  Three duplicate
 * ACKs repeat one segment, and each partial acknowledgement the next one (RFC
 * 6582); the timer (RFC 6298) goes back to snd_una and starts slowly.
 *
 * With no room at the guest's port nothing is read: the flow waits in line.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "nat/tcp-int.h"
#include <errno.h>
#include "proto/checksum.h"

#define RING_BYTES LIMIT_NAT_RING_BYTES
#define RTO_MAX_MS 60000
#define RETRIES_MAX 12
#define SYN_RETRIES_MAX 5
/* What one flow sends before others have their turn. */
#define TURN_BYTES (1024 * 1024)

/* ---- the socket's queue ---- */

void tcp_discard(TcpFlow *f)
{
    uint32_t una = f->snd_una, n;
    ssize_t done;

    /* Neither our SYN nor our FIN is in the queue. */
    if (tcp_seq_lt(una, f->sock_una)) {
        return;
    }
    if (f->eof && tcp_seq_gt(una, f->fin_seq)) {
        una = f->fin_seq;
    }
    n = una - f->sock_una;
    if (n == 0) {
        return;
    }
    if (f->peek) {
        done = recv(f->fd, NULL, n, MSG_TRUNC | MSG_DONTWAIT);
        n = done > 0 ? done : 0;
        f->peek_off -= MIN(f->peek_off, n);
    } else {
        ring_drop(f->ring, n);
        tcp_ring_trim(f);
    }
    f->sock_una += n;
}

void tcp_ring_trim(TcpFlow *f)
{
    if (f->ring && f->ring->len == 0) {
        flow_charge(&f->flow, -(ssize_t)f->ring->size);
        g_clear_pointer(&f->ring, ring_free);
    }
}

static bool tcp_seek(TcpFlow *f, uint32_t off)
{
    int value = off;

    if (f->peek_off == off) {
        return true;
    }
    if (setsockopt(f->fd, SOL_SOCKET, SO_PEEK_OFF, &value, sizeof(value)) < 0) {
        return false;
    }
    f->peek_off = off;
    return true;
}

/* Read the socket until it or the ring has no more. */
static void tcp_fill_ring(TcpFlow *f)
{
    struct iovec iov[2];
    struct msghdr msg = { .msg_iov = iov };
    ssize_t n;

    if (!f->ring) {
        if (!flow_charge(&f->flow, RING_BYTES)) {
            return;
        }
        f->ring = ring_new(RING_BYTES);
        if (!f->ring) {
            flow_charge(&f->flow, -(ssize_t)RING_BYTES);
            return;
        }
    }
    while (f->readable && ring_space(f->ring) && !f->error) {
        msg.msg_iovlen = ring_tail(f->ring, iov);
        n = recvmsg(f->fd, &msg, MSG_DONTWAIT);
        if (n > 0) {
            ring_push(f->ring, n);
        } else if (n == 0) {
            f->eof = true;
            f->fin_seq = f->sock_una + f->ring->len;
            f->readable = false;
        } else if (errno == EAGAIN) {
            f->readable = false;
        } else if (errno != EINTR) {
            f->error = errno;
        }
    }
}

/*
 * Put up to @n_frames of data from sequence number @seq on into the stage, at
 * most @max bytes.
 *
 * Returns: bytes; 0: nothing there, or the end, or an error (f->error).
 */
static uint32_t tcp_stage_peek(TcpFlow *f, uint32_t seq, uint32_t max,
                               unsigned n_frames)
{
    NatStage *stage = &f->nat->stage;
    struct iovec iov[FRAME_BATCH_MAX];
    struct msghdr msg = { .msg_iov = iov };
    uint32_t left = max;
    unsigned i;
    ssize_t n;

    for (i = 0; i < n_frames && left; i++) {
        iov[i].iov_base = nat_stage_slot(f->nat, i) + TCP_HEADROOM;
        iov[i].iov_len = MIN(left, f->mss);
        left -= iov[i].iov_len;
    }
    msg.msg_iovlen = i;
    if (!tcp_seek(f, seq - f->sock_una)) {
        f->error = errno;
        return 0;
    }
    do {
        n = recvmsg(f->fd, &msg, MSG_PEEK | MSG_DONTWAIT);
    } while (n < 0 && errno == EINTR);
    if (n < 0) {
        if (errno != EAGAIN) {
            f->error = errno;
        }
        f->readable = false;
        return 0;
    }
    if (n == 0) {
        f->eof = true;
        f->fin_seq = seq;
        f->readable = false;
        return 0;
    }
    f->peek_off += n;
    for (i = 0, left = n; left; i++) {
        stage->frames[i].n_iov = 1;
        stage->iov[i * NAT_STAGE_IOV] = (struct iovec){
            iov[i].iov_base, MIN(left, f->mss)
        };
        left -= stage->iov[i * NAT_STAGE_IOV].iov_len;
    }
    return n;
}

static uint32_t tcp_stage_ring(TcpFlow *f, uint32_t seq, uint32_t max,
                               unsigned n_frames)
{
    NatStage *stage = &f->nat->stage;
    uint32_t offset, n, left;
    unsigned i;

    if (f->readable) {
        tcp_fill_ring(f);
    }
    if (!f->ring) {
        return 0;
    }
    offset = seq - f->sock_una;
    n = MIN(f->ring->len - offset, MIN(max, n_frames * f->mss));
    for (i = 0, left = n; left; i++) {
        uint32_t len = MIN(left, f->mss);

        stage->frames[i].n_iov = ring_slice(f->ring, offset, len,
                                            &stage->iov[i * NAT_STAGE_IOV]);
        offset += len;
        left -= len;
    }
    return n;
}

/* ---- segments with data ---- */

/*
 * Headers in front of the @n bytes that were staged, and off they go.  Data in
 * a slot has its headers right in front, so that a frame is one piece.
 */
static void tcp_output(TcpFlow *f, uint32_t seq, uint32_t n, int64_t now_ms)
{
    Nat *nat = f->nat;
    NatStage *stage = &nat->stage;
    IpHeaders headers = nat_headers(nat, &f->flow, IPPROTO_TCP);
    TcpHeader tcp = tcp_header(f, TCP_ACK, seq);
    size_t headroom = ip_headers_len(headers.src.family) + TCP_HEADER_MIN;
    uint32_t left = n, len, sum;
    unsigned i, j;

    tcp.window = tcp_tell_window(f, false, f->ack_now || f->ack_later
                                           ? tcp_window(f)
                                           : f->rcv_edge - f->rcv_nxt);
    tcp_acks_sent(f);
    nat_out_flush(nat, now_ms);
    for (i = 0; left; i++) {
        struct iovec *iov = &stage->iov[i * NAT_STAGE_IOV];
        Frame *frame = &stage->frames[i];
        unsigned n_iov = frame->n_iov;
        uint8_t *head = nat_stage_slot(nat, i) + TCP_HEADROOM - headroom;

        len = MIN(left, f->mss);
        left -= len;
        if (left == 0) {
            tcp.flags |= TCP_PSH;
        }
        sum = csum_add_iov(0, iov, n_iov, 0, len);
        tcp_headers_build(head, &headers, &tcp, len, sum, false);
        tcp.seq += len;
        if (f->peek) {
            iov[0] = (struct iovec){ head, headroom + len };
        } else {
            for (j = n_iov++; j > 0; j--) {
                iov[j] = iov[j - 1];
            }
            iov[0] = (struct iovec){ head, headroom };
        }
        frame_init(frame, iov, n_iov);
    }
    nat_output(nat, stage->frames, i, now_ms);
}

static uint32_t tcp_stage(TcpFlow *f, uint32_t seq, uint32_t max,
                          unsigned n_frames)
{
    return f->peek ? tcp_stage_peek(f, seq, max, n_frames)
                   : tcp_stage_ring(f, seq, max, n_frames);
}

static unsigned tcp_room(TcpFlow *f, int64_t now_ms)
{
    return nat_room(f->nat, &f->flow.mac, TCP_HEADROOM + f->mss,
                    f->nat->stage.n_slots, now_ms);
}

/* The one segment that the guest is asking for. False: no room. */
static bool tcp_resend_head(TcpFlow *f, int64_t now_ms)
{
    uint32_t max = f->snd_max - f->snd_una, n;

    if (f->eof && max) {
        max = MIN(max, f->fin_seq - f->snd_una);
    }
    if (max == 0) {
        if (f->eof && f->snd_una == f->fin_seq) {
            tcp_send_control(f, TCP_FIN | TCP_ACK, f->fin_seq, now_ms);
        }
        f->resend_head = false;
        return true;
    }
    if (tcp_room(f, now_ms) == 0) {
        return false;
    }
    f->resend_head = false;
    n = tcp_stage(f, f->snd_una, MIN(max, f->mss), 1);
    if (n) {
        f->nat->stats.retransmits++;
        f->rtt_start_ms = -1;
        tcp_output(f, f->snd_una, n, now_ms);
    }
    return true;
}

void tcp_timer_start(TcpFlow *f, int64_t now_ms)
{
    int64_t wait_ms = (int64_t)f->rto_ms << MIN(f->n_retries, 16);

    f->timer_ms = now_ms + MIN(wait_ms, RTO_MAX_MS);
}

/* snd_nxt has moved on to @nxt: clocks and marks follow. */
static void tcp_sent(TcpFlow *f, uint32_t nxt, int64_t now_ms)
{
    if (tcp_seq_lt(f->snd_nxt, f->snd_max)) {
        f->nat->stats.retransmits++;
    } else if (f->rtt_start_ms < 0) {
        f->rtt_start_ms = now_ms;
        f->rtt_seq = nxt;
    }
    f->snd_nxt = nxt;
    if (tcp_seq_gt(nxt, f->snd_max)) {
        f->snd_max = nxt;
    }
    if (f->timer_ms == FLOW_NEVER) {
        tcp_timer_start(f, now_ms);
    }
}

/* Bytes that may be sent now, by the guest's window and ours. */
static uint32_t tcp_allowed(const TcpFlow *f)
{
    uint32_t in_flight = f->snd_nxt - f->snd_una;
    uint32_t wnd = MIN(f->snd_wnd, f->cwnd), left;

    left = wnd > in_flight ? wnd - in_flight : 0;
    /* RFC 1122 4.2.3.4: no crumbs while an acknowledgement is on its way. */
    if (left < f->mss && in_flight && left < f->snd_wnd_max / 2) {
        return 0;
    }
    return left;
}

static bool tcp_has_data(const TcpFlow *f)
{
    uint32_t end = f->eof ? f->fin_seq : f->snd_max;

    if (tcp_seq_lt(f->snd_nxt, end)) {
        return true;
    }
    return !f->eof && (f->readable ||
                       (f->ring && f->ring->len > f->snd_nxt - f->sock_una));
}

/* New data, and what a timeout wants again. False: no room. */
static bool tcp_push(TcpFlow *f, int64_t now_ms)
{
    uint32_t turn = 0, max, n;
    unsigned n_frames;

    while (tcp_has_data(f) && !f->error && turn < TURN_BYTES) {
        max = tcp_allowed(f);
        if (max == 0) {
            return true;
        }
        n_frames = tcp_room(f, now_ms);
        if (n_frames == 0) {
            return false;
        }
        n = tcp_stage(f, f->snd_nxt, max, n_frames);
        if (n == 0) {
            return true;
        }
        tcp_output(f, f->snd_nxt, n, now_ms);
        tcp_sent(f, f->snd_nxt + n, now_ms);
        turn += n;
    }
    if (turn >= TURN_BYTES) {
        tcp_pend(f);
    }
    return true;
}

static void tcp_push_fin(TcpFlow *f, int64_t now_ms)
{
    if (!f->eof || f->snd_nxt != f->fin_seq) {
        return;
    }
    tcp_send_control(f, TCP_FIN | TCP_ACK, f->fin_seq, now_ms);
    tcp_sent(f, f->fin_seq + 1, now_ms);
    if (f->state == TCP_STATE_ESTABLISHED) {
        tcp_set_state(f, TCP_STATE_FIN_WAIT_1);
    } else if (f->state == TCP_STATE_CLOSE_WAIT) {
        tcp_set_state(f, TCP_STATE_LAST_ACK);
    }
}

/* A guest that takes nothing is asked now and then (RFC 1122 4.2.2.17). */
static void tcp_probe_window(TcpFlow *f, int64_t now_ms)
{
    if (tcp_has_data(f) && f->snd_una == f->snd_nxt && tcp_allowed(f) == 0 &&
        f->timer_ms == FLOW_NEVER) {
        tcp_timer_start(f, now_ms);
    }
}

/* What was held may have become the next in order, or the socket has room. */
static void tcp_write_held(TcpFlow *f)
{
    uint32_t before = f->rcv_nxt;

    tcp_hold_write(f);
    tcp_take_fin(f);
    f->ack_now = f->ack_now || f->rcv_nxt != before;
}

bool tcp_out(TcpFlow *f, int64_t now_ms)
{
    bool done = true;

    if (!f->error && f->fd >= 0) {
        tcp_discard(f);
        if (f->window_now) {
            f->blocked = false;
        }
        tcp_write_held(f);
    }
    if (!f->error && tcp_may_send(f)) {
        done = (!f->resend_head || tcp_resend_head(f, now_ms)) &&
               tcp_push(f, now_ms);
        if (done && !f->error) {
            tcp_push_fin(f, now_ms);
            tcp_probe_window(f, now_ms);
        }
    }
    if (f->error) {
        tcp_fail(f, f->error, now_ms);
        return true;
    }
    if (f->state >= TCP_STATE_SYN_RCVD) {
        tcp_send_acks(f, now_ms);
    }
    if (!done) {
        nat_wait(f->nat, &f->wait);
    }
    tcp_rearm(f);
    return done;
}

bool tcp_retransmit(TcpFlow *f, int64_t now_ms)
{
    f->timer_ms = FLOW_NEVER;
    f->rtt_start_ms = -1;
    if (f->state == TCP_STATE_SYN_SENT || f->state == TCP_STATE_SYN_RCVD) {
        if (++f->n_retries > SYN_RETRIES_MAX) {
            return false;
        }
        tcp_send_control(f, f->state == TCP_STATE_SYN_SENT
                            ? TCP_SYN : TCP_SYN | TCP_ACK, f->iss, now_ms);
        tcp_timer_start(f, now_ms);
        return true;
    }
    if (++f->n_retries > RETRIES_MAX) {
        /* A guest that answers our probes may keep its window shut. */
        if (now_ms - f->flow.last_ms > 2 * RTO_MAX_MS) {
            return false;
        }
        f->n_retries = RETRIES_MAX;
    }
    if (f->snd_una != f->snd_max && f->snd_wnd) {
        f->snd_nxt = f->snd_una;
        f->recover = f->snd_max;
        f->cwnd = f->mss;
        f->recovering = f->resend_head = false;
        f->dup_acks = 0;
    } else {
        tcp_send_control(f, TCP_ACK, f->snd_una - 1, now_ms);
    }
    tcp_timer_start(f, now_ms);
    tcp_pend(f);
    return true;
}
