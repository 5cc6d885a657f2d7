/*
 * TCP segments for guests: sent, and repeated
 *
 * Theory of operation
 *
 * Loss is rare here, since ports push back instead of dropping, but a guest
 * may drop, and frames may go through worse links behind it.  A guest that tells
 * what it has (tcp-sack.c) gets what it lacks.  Else three duplicate ACKs repeat
 * one segment, and each partial acknowledgement the next one (RFC 6582).  The
 * timer (RFC 6298) goes back to snd_una and starts slowly.
 *
 * With no room at the guest's port nothing is read: the flow waits in line.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "limits.h"
#include "nat/tcp-int.h"
#include "proto/checksum.h"
#include "switch/switch.h"

#define RETRIES_MAX 12
#define SYN_RETRIES_MAX 5
/* What one flow sends before others have their turn. */
#define TURN_BYTES (1024 * 1024)
/* A starved flow asks again, half as often each time. */
#define STARVED_MIN_MS 10
#define STARVED_MAX_MS 1000

/* ---- segments with data ---- */

/* What is left to the guest of a frame with @len bytes behind its headers. */
static void tcp_offload(const TcpFlow *f, Frame *frame, size_t headroom,
                        uint32_t len)
{
    bool v4 = f->flow.guest.addr.family == AF_INET;

    frame->vnet.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
    frame->vnet.csum_start = GUINT16_TO_LE(headroom - TCP_HEADER_MIN);
    frame->vnet.csum_offset = GUINT16_TO_LE(TCP_CHECKSUM_OFFSET);
    if (len > f->mss) {
        frame->vnet.gso_type = v4 ? VIRTIO_NET_HDR_GSO_TCPV4
                                  : VIRTIO_NET_HDR_GSO_TCPV6;
        frame->vnet.gso_size = GUINT16_TO_LE(f->mss);
        frame->vnet.hdr_len = GUINT16_TO_LE(headroom);
    }
}

/*
 * Headers in front of the @n bytes that were staged, and off they go, the last
 * with @last_flags.  Data in a slot has its headers right in front, so that a
 * frame is one piece.
 */
static void tcp_output(TcpFlow *f, uint32_t seq, uint32_t n, uint8_t last_flags,
                       const TcpCut *cut, int64_t now_ms)
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
        uint8_t *head = tcp_cut_slot(nat, cut, i) + TCP_HEADROOM - headroom;

        len = MIN(left, cut->unit);
        left -= len;
        if (left == 0) {
            tcp.flags |= last_flags;
        }
        sum = cut->partial ? 0 : csum_add_iov(0, iov, n_iov, 0, len);
        tcp_headers_build(head, &headers, &tcp, len, sum, cut->partial);
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
        if (cut->partial) {
            tcp_offload(f, frame, headroom, len);
        }
    }
    nat_output(nat, stage->frames, i, now_ms);
}

/* Frames of one segment each. False: no room. */
static bool tcp_cut_segments(TcpFlow *f, const NatHead *head, int64_t now_ms,
                             TcpCut *cut)
{
    cut->unit = f->mss;
    cut->stride = f->nat->stage.slot_size;
    cut->n_frames = nat_room_frames(f->nat, &f->wait, head,
                                    TCP_HEADROOM + f->mss,
                                    f->nat->stage.n_slots, now_ms);
    return cut->n_frames > 0;
}

/*
 * As much in a frame as the guest's port takes uncut; where there is no room
 * for that, segments.  False: no room.
 */
static bool tcp_cut(TcpFlow *f, int64_t now_ms, TcpCut *ret_cut)
{
    Nat *nat = f->nat;
    NatHead head = nat_head(nat, &f->flow, IPPROTO_TCP);
    bool v4 = f->flow.guest.addr.family == AF_INET;
    unsigned offloads = nat->ops.offloads
                        ? nat->ops.offloads(nat->opaque, &f->flow.mac, now_ms)
                        : 0;
    uint32_t max = ip_payload_max(v4 ? AF_INET : AF_INET6) - TCP_HEADER_MIN;

    *ret_cut = (TcpCut){ .partial = offloads & SWITCH_OFFLOAD_CSUM };
    if (offloads & (v4 ? SWITCH_OFFLOAD_TSO4 : SWITCH_OFFLOAD_TSO6)) {
        ret_cut->unit = MIN(max / f->mss, LIMIT_SEGMENTS_PER_FRAME) * f->mss;
        ret_cut->stride = (TCP_HEADROOM + ret_cut->unit + 63) & ~63u;
        ret_cut->n_frames = nat_room_frames(nat, &f->wait, &head,
                                            TCP_HEADROOM + ret_cut->unit,
                                            NAT_STAGE_BYTES / ret_cut->stride,
                                            now_ms);
        if (ret_cut->n_frames > 0) {
            return true;
        }
    }
    return tcp_cut_segments(f, &head, now_ms, ret_cut);
}

/* What the guest lacks, once a round. False: no room. */
static bool tcp_resend(TcpFlow *f, int64_t now_ms)
{
    TcpBlock hole;
    TcpCut cut;
    uint32_t n;

    while (f->recovering && !f->error && tcp_sack_hole(f, &hole)) {
        if (f->eof && hole.start == f->fin_seq) {
            tcp_send_control(f, TCP_FIN | TCP_ACK, f->fin_seq, now_ms);
            f->rxt_nxt = f->fin_seq + 1;
            continue;
        }
        if (f->eof && tcp_seq_gt(hole.end, f->fin_seq)) {
            hole.end = f->fin_seq;
        }
        if (!tcp_cut(f, now_ms, &cut)) {
            return false;
        }
        n = tcp_stage(f, hole.start, hole.end - hole.start, &cut);
        if (n == 0) {
            break;
        }
        f->nat->stats.retransmits += (n + f->mss - 1) / f->mss;
        f->rtt_start_ms = -1;
        f->rxt_nxt = hole.start + n;
        tcp_output(f, hole.start, n, TCP_PSH, &cut, now_ms);
    }
    return true;
}

void tcp_timer_start(TcpFlow *f, int64_t now_ms)
{
    int64_t wait_ms = tcp_recover_wait_ms(f);

    if (wait_ms == 0) {
        wait_ms = (int64_t)f->rto_ms << MIN(f->n_retries, 16);
    }
    f->timer_ms = now_ms + MIN(wait_ms, TCP_RTO_MAX_MS);
}

/* snd_nxt has moved on to @nxt: clocks and marks follow. */
static void tcp_sent(TcpFlow *f, uint32_t nxt, int64_t now_ms)
{
    bool again = tcp_seq_lt(f->snd_nxt, f->snd_max);

    f->snd_nxt = nxt;
    if (tcp_seq_gt(nxt, f->snd_max)) {
        f->snd_max = nxt;
    }
    if (again) {
        f->nat->stats.retransmits++;
    } else if (f->rtt_start_ms < 0) {
        tcp_measure(f, now_ms);
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

static void tcp_fin_sent(TcpFlow *f)
{
    if (f->state == TCP_STATE_ESTABLISHED) {
        tcp_set_state(f, TCP_STATE_FIN_WAIT_1);
    } else if (f->state == TCP_STATE_CLOSE_WAIT) {
        tcp_set_state(f, TCP_STATE_LAST_ACK);
    }
}

/* New data, and what a timeout wants again. False: no room. */
static bool tcp_push(TcpFlow *f, int64_t now_ms)
{
    uint32_t turn = 0, gap = G_MAXUINT32, max, n;
    TcpCut cut;
    bool fin;

    while (!f->error && turn < TURN_BYTES) {
        if (f->n_sacked) {
            f->snd_nxt = tcp_sack_skip(f, f->snd_nxt, &gap);
        }
        if (!tcp_has_data(f)) {
            break;
        }
        max = MIN(tcp_allowed(f), gap);
        if (max == 0) {
            return true;
        }
        if (!tcp_cut(f, now_ms, &cut)) {
            return false;
        }
        n = tcp_stage(f, f->snd_nxt, max, &cut);
        if (n == 0) {
            return true;
        }
        fin = f->eof && f->snd_nxt + n == f->fin_seq && n < max;
        tcp_output(f, f->snd_nxt, n, fin ? TCP_PSH | TCP_FIN : TCP_PSH, &cut,
                   now_ms);
        tcp_sent(f, f->snd_nxt + n + fin, now_ms);
        if (fin) {
            tcp_fin_sent(f);
        }
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
    tcp_fin_sent(f);
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

static void tcp_retry_later(TcpFlow *f, int64_t now_ms)
{
    if (!f->is_starved) {
        f->retry_wait_ms = 0;
    } else if (f->retry_ms == FLOW_NEVER) {
        f->retry_wait_ms = CLAMP(2 * f->retry_wait_ms, STARVED_MIN_MS,
                                 STARVED_MAX_MS);
        f->retry_ms = now_ms + f->retry_wait_ms;
    }
}

void tcp_retry(TcpFlow *f)
{
    f->retry_ms = FLOW_NEVER;
    f->is_starved = false;
    f->window_now = true;
    tcp_pend(f);
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
        done = tcp_resend(f, now_ms) && tcp_push(f, now_ms);
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
    tcp_retry_later(f, now_ms);
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
    if (tcp_recover_again(f, now_ms)) {
        return true;
    }
    if (++f->n_retries > RETRIES_MAX) {
        /* A guest that answers our probes may keep its window shut. */
        if (now_ms - f->flow.last_ms > 2 * TCP_RTO_MAX_MS) {
            return false;
        }
        f->n_retries = RETRIES_MAX;
    }
    if (f->snd_una != f->snd_max && f->snd_wnd) {
        f->snd_nxt = f->snd_una;
        f->recover = f->snd_max;
        f->cwnd = f->mss;
        f->recovering = false;
        f->dup_acks = 0;
        tcp_sack_clear(f);
    } else {
        tcp_send_control(f, TCP_ACK, f->snd_una - 1, now_ms);
    }
    tcp_timer_start(f, now_ms);
    tcp_pend(f);
    return true;
}
