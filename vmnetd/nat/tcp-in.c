/*
 * TCP segments of guests: checked, acknowledged, given to tcp-gather.c
 *
 * Theory of operation
 *
 * What a segment says is taken in the order of RFC 9293 3.10.7.4, with the
 * stricter rules of RFC 5961 for RST, SYN and ACK.  Data in order is gathered
 * and written.  Data behind a hole is held (tcp-hold.c), and the hole asked for
 * by duplicate ACKs, one per such segment up to three a batch (RFC 5681 4.2):
 * the guest counts them.  Acknowledgements themselves leave when the batch ends
 * (tcp_out).
 *
 * Where the socket takes less than there is, the rest is held as well, not
 * acknowledged, and the window is 0 until EPOLLOUT.  If more came than may be
 * held, duplicate ACKs follow the window's opening: they make the guest repeat
 * at once what it would otherwise repeat after its timer.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "nat/tcp-int.h"

#define DUP_ACKS 3

/* ---- data ---- */

/* Sequence number of the next byte from the guest, gathered ones included. */
static uint32_t tcp_expected(const TcpFlow *f)
{
    const TcpGather *gather = &f->nat->gather;

    return f->rcv_nxt + (gather->flow == f ? gather->len : 0);
}

static void tcp_data(TcpFlow *f, const Frame *frame, const TcpHeader *tcp)
{
    int32_t old = tcp_seq_diff(tcp_expected(f), tcp->seq);

    if (old == 0 && tcp_ack_may_wait(f, tcp->payload_len,
                                     tcp->flags & TCP_PSH)) {
        f->ack_later = true;
        f->seg_max = MAX(f->seg_max, tcp->payload_len);
        f->streak += tcp->payload_len;
    } else {
        f->ack_now = true;
    }
    if (old < 0) {
        if (!f->blocked) {
            f->dup_now = MIN(f->dup_now + 1, DUP_ACKS);
        }
        tcp_hold_frame(f, frame, tcp->payload_off, tcp->seq,
                       tcp->payload_len);
    } else if ((uint32_t)old < tcp->payload_len) {
        if (f->blocked) {
            tcp_hold_frame(f, frame, tcp->payload_off + old, tcp->seq + old,
                           tcp->payload_len - old);
        } else {
            tcp_gather(f, frame, tcp->payload_off + old, tcp->seq + old,
                       tcp->payload_len - old);
        }
        if (f->held) {
            tcp_gather_flush(f->nat);
            tcp_hold_write(f);
        }
    }
}

void tcp_take_fin(TcpFlow *f)
{
    if (!f->guest_fin || f->rcv_nxt != f->guest_fin_seq || f->error ||
        tcp_guest_closed(f)) {
        return;
    }
    f->rcv_nxt++;
    f->ack_now = true;
    if (f->state == TCP_STATE_FIN_WAIT_2) {
        tcp_time_wait(f);       /* close() says it as well */
        return;
    }
    shutdown(f->fd, SHUT_WR);
    if (f->state == TCP_STATE_FIN_WAIT_1) {
        tcp_set_state(f, TCP_STATE_CLOSING);
    } else {
        tcp_set_state(f, TCP_STATE_CLOSE_WAIT);
    }
}

/* ---- acknowledgements ---- */

/* RFC 6298 2. */
static void tcp_rtt_sample(TcpFlow *f, uint32_t rtt_ms)
{
    uint32_t delta;

    if (f->srtt_ms == 0) {
        f->srtt_ms = rtt_ms;
        f->rttvar_ms = rtt_ms / 2;
    } else {
        delta = ABS((int32_t)(f->srtt_ms - rtt_ms));
        f->rttvar_ms = (3 * f->rttvar_ms + delta) / 4;
        f->srtt_ms = (7 * f->srtt_ms + rtt_ms) / 8;
    }
    f->rto_ms = CLAMP(f->srtt_ms + 4 * f->rttvar_ms, TCP_RTO_MIN_MS,
                       TCP_RTO_MAX_MS);
}

static void tcp_acked(TcpFlow *f, uint32_t ack, int64_t now_ms)
{
    uint32_t acked = ack - f->snd_una;

    f->snd_una = ack;
    if (tcp_seq_lt(f->snd_nxt, ack)) {
        f->snd_nxt = ack;
    }
    if (f->rtt_start_ms >= 0 && tcp_seq_geq(ack, f->rtt_seq)) {
        if (f->n_retries == 0) {                /* Karn */
            tcp_rtt_sample(f, MAX(now_ms - f->rtt_start_ms, 0));
        }
        f->rtt_start_ms = -1;
    }
    if (f->n_sacked) {
        tcp_sack_trim(f);
    }
    if (tcp_seq_geq(ack, f->recover)) {
        f->recovering = false;
        f->cwnd = G_MAXUINT32;
    } else if (f->cwnd != G_MAXUINT32) {
        f->cwnd += acked;                       /* slow start after a timeout */
    }
    f->dup_acks = 0;
    f->n_retries = f->n_rounds = 0;
    f->timer_ms = FLOW_NEVER;
    if (f->snd_una != f->snd_max) {
        tcp_timer_start(f, now_ms);
    }
}

static void tcp_duplicate(TcpFlow *f, int64_t now_ms)
{
    if (++f->dup_acks == DUP_ACKS && !f->recovering &&
        tcp_seq_gt(f->snd_una, f->recover)) {
        tcp_recover(f, now_ms);
    }
    f->dup_acks = MIN(f->dup_acks, 2 * DUP_ACKS);
}

static void tcp_window_update(TcpFlow *f, const TcpHeader *tcp)
{
    if (tcp_seq_lt(f->snd_wl1, tcp->seq) ||
        (f->snd_wl1 == tcp->seq && tcp_seq_leq(f->snd_wl2, tcp->ack))) {
        uint32_t before = f->snd_wnd;

        f->snd_wnd = (uint32_t)tcp->window << f->snd_scale;
        if (before == 0 && f->snd_wnd) {        /* no more probes */
            f->n_retries = 0;
            f->timer_ms = FLOW_NEVER;
        }
        f->snd_wnd_max = MAX(f->snd_wnd_max, f->snd_wnd);
        f->snd_wl1 = tcp->seq;
        f->snd_wl2 = tcp->ack;
    }
}

/* Our FIN has been acknowledged. False: @f is gone. */
static bool tcp_fin_acked(TcpFlow *f)
{
    if (f->state == TCP_STATE_FIN_WAIT_1) {
        tcp_set_state(f, TCP_STATE_FIN_WAIT_2);
    } else if (f->state == TCP_STATE_CLOSING) {
        tcp_time_wait(f);
    } else if (f->state == TCP_STATE_LAST_ACK) {
        tcp_free(f);
        return false;
    }
    return true;
}

/* RFC 5961 5.2: may @tcp->ack be believed at all? */
static bool tcp_ack_plausible(const TcpFlow *f, const TcpHeader *tcp)
{
    return tcp_seq_leq(tcp->ack, f->snd_max) &&
           tcp_seq_geq(tcp->ack, f->snd_una - f->snd_wnd_max);
}

/* False: @f is gone. */
static bool tcp_ack(TcpFlow *f, const TcpHeader *tcp, int64_t now_ms)
{
    uint32_t wnd = (uint32_t)tcp->window << f->snd_scale;

    if (tcp_seq_gt(tcp->ack, f->snd_una)) {
        tcp_acked(f, tcp->ack, now_ms);
    } else if (tcp->ack == f->snd_una && tcp->payload_len == 0 &&
               !(tcp->flags & TCP_FIN) && wnd == f->snd_wnd &&
               f->snd_una != f->snd_max) {
        tcp_duplicate(f, now_ms);
    }
    if (tcp->n_sack || f->recovering) {
        tcp_recover_on(f, f->sack && tcp_sack_input(f, tcp), now_ms);
    }
    tcp_window_update(f, tcp);
    if (f->eof && tcp_seq_gt(f->snd_una, f->fin_seq)) {
        return tcp_fin_acked(f);
    }
    return true;
}

/* ---- segments by state ---- */

/* The guest's answer to our SYN. */
static void tcp_syn_sent(TcpFlow *f, const IpPacket *ip, const TcpHeader *tcp,
                         int64_t now_ms)
{
    bool acks = (tcp->flags & TCP_ACK) && tcp->ack == f->iss + 1;

    if ((tcp->flags & TCP_ACK) && !acks) {
        tcp_send_rst(f->nat, ip, tcp, now_ms);
    } else if (acks && (tcp->flags & TCP_RST)) {
        tcp_abort(f);
    } else if (acks && (tcp->flags & TCP_SYN)) {
        tcp_learn_peer(f, tcp);
        tcp_acked(f, tcp->ack, now_ms);
        tcp_set_state(f, TCP_STATE_ESTABLISHED);
        f->ack_now = f->readable = true;
        tcp_pend(f);
    }
}

/* RFC 5961 3.2: a reset counts only at the very next sequence number. */
static void tcp_rst(TcpFlow *f, const TcpHeader *tcp)
{
    if (tcp->seq == tcp_expected(f)) {
        if (f->state == TCP_STATE_TIME_WAIT) {
            tcp_free(f);
        } else {
            tcp_abort(f);
        }
    } else if (tcp_seq_gt(tcp->seq, f->rcv_nxt) &&
               tcp_seq_leq(tcp->seq, f->rcv_edge)) {
        f->ack_now = true;
        tcp_pend(f);
    }
}

/* False: @f is gone, or the segment was no answer to our SYN/ACK. */
static bool tcp_syn_rcvd(TcpFlow *f, const IpPacket *ip, const TcpHeader *tcp,
                         int64_t now_ms)
{
    if (tcp->ack != f->iss + 1) {
        tcp_send_rst(f->nat, ip, tcp, now_ms);
        return false;
    }
    /* If there is data already, its event has come. */
    tcp_set_state(f, TCP_STATE_ESTABLISHED);
    return true;
}

static void tcp_synchronized(TcpFlow *f, const Frame *frame,
                             const IpPacket *ip, const TcpHeader *tcp,
                             int64_t now_ms)
{
    uint32_t end = tcp->seq + tcp->payload_len;

    if (tcp->flags & TCP_RST) {
        tcp_rst(f, tcp);
        return;
    }
    tcp_pend(f);
    if (tcp->flags & TCP_SYN) {
        if (f->state == TCP_STATE_SYN_RCVD && tcp->seq == f->irs) {
            tcp_send_control(f, TCP_SYN | TCP_ACK, f->iss, now_ms);
        } else {
            f->ack_now = true;                  /* RFC 5961 4.2 */
        }
        return;
    }
    if (!(tcp->flags & TCP_ACK)) {
        return;
    }
    /* Something old, or a keepalive probe: our ACK is what it is for. */
    if (tcp->seq != tcp_expected(f)) {
        f->ack_now = true;
        if (tcp->payload_len == 0 && tcp->seq == f->rcv_nxt - 1) {
            tcp_mirror_keepalive(f);
        }
    }
    if (f->state == TCP_STATE_SYN_RCVD && !tcp_syn_rcvd(f, ip, tcp, now_ms)) {
        return;
    }
    if (!tcp_ack_plausible(f, tcp)) {
        f->ack_now = true;
        return;
    }
    if (!tcp_ack(f, tcp, now_ms) || tcp_guest_closed(f)) {
        return;
    }
    if (tcp->payload_len) {
        tcp_data(f, frame, tcp);
    }
    if (tcp->flags & TCP_FIN) {
        tcp_gather_flush(f->nat);
        f->ack_now = true;
        if (tcp_seq_leq(end, f->rcv_edge)) {
            f->guest_fin = true;
            f->guest_fin_seq = end;
        }
        tcp_take_fin(f);
    }
}

/* A SYN that begins again where an old connection was (RFC 1122 4.2.2.13). */
static bool tcp_is_reopened(const TcpFlow *f, const TcpHeader *tcp)
{
    if ((tcp->flags & (TCP_SYN | TCP_ACK | TCP_RST)) != TCP_SYN) {
        return false;
    }
    return (f->state == TCP_STATE_TIME_WAIT &&
            tcp_seq_gt(tcp->seq, f->rcv_nxt)) ||
           (f->state == TCP_STATE_CONNECTING && tcp->seq != f->irs);
}

static void tcp_segment(TcpFlow *f, const Frame *frame, const IpPacket *ip,
                        const TcpHeader *tcp, int64_t now_ms)
{
    switch (f->state) {
    case TCP_STATE_CONNECTING:
        /* Repeated SYNs wait with us; a reset is the guest giving up. */
        if ((tcp->flags & TCP_RST) && tcp->seq == f->rcv_nxt) {
            tcp_abort(f);
        }
        break;
    case TCP_STATE_SYN_SENT:
        tcp_syn_sent(f, ip, tcp, now_ms);
        break;
    case TCP_STATE_SYN_RCVD:
    case TCP_STATE_ESTABLISHED:
    case TCP_STATE_CLOSE_WAIT:
    case TCP_STATE_FIN_WAIT_1:
    case TCP_STATE_FIN_WAIT_2:
    case TCP_STATE_CLOSING:
    case TCP_STATE_LAST_ACK:
    case TCP_STATE_TIME_WAIT:
        tcp_synchronized(f, frame, ip, tcp, now_ms);
        break;
    case TCP_STATE__MAX:
        g_assert_not_reached();
    }
}

NatVerdict tcp_input(Nat *nat, const Frame *frame, const IpPacket *ip,
                     int64_t now_ms)
{
    IpEndpoint guest, outside;
    TcpHeader tcp;
    FlowKey key;
    TcpFlow *f;

    if (!tcp_parse(frame, ip, &tcp) || !tcp_checksum_ok(frame, ip)) {
        return NAT_MALFORMED;
    }
    guest = (IpEndpoint){ ip->src, tcp.sport };
    outside = (IpEndpoint){ ip->dst, tcp.dport };
    flow_key_init(&key, FLOW_TCP, &guest, &outside);
    f = (TcpFlow *)flow_table_find(nat->flows, &key);
    if (f && tcp_is_reopened(f, &tcp)) {
        tcp_abort(f);
        f = NULL;
    }
    if (!f) {
        if ((tcp.flags & (TCP_SYN | TCP_ACK | TCP_RST | TCP_FIN)) == TCP_SYN) {
            return tcp_open(nat, frame, ip, &tcp, now_ms);
        }
        tcp_send_rst(nat, ip, &tcp, now_ms);
        return NAT_OK;
    }
    if (!f->error) {
        f->flow.mac = ip->eth_src;
        tcp_touch(f, now_ms);
        tcp_segment(f, frame, ip, &tcp, now_ms);
    }
    return NAT_OK;
}

void tcp_flush(Nat *nat, int64_t now_ms)
{
    unsigned n;
    GList *link;
    TcpFlow *f;

    tcp_gather_flush(nat);
    /* Those that come again have had their turn. */
    for (n = nat->pending.length; n > 0; n--) {
        link = g_queue_pop_head_link(&nat->pending);
        if (!link) {
            break;
        }
        f = link->data;
        f->is_pending = false;
        tcp_out(f, now_ms);
    }
}
