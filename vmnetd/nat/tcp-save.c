/*
 * A TCP flow that is handed over: written, read, and believed only as far as it could
 * be one of ours
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "nat/tcp-int.h"
#include <stddef.h>
#include <unistd.h>

/* No window, and hence no distance of two numbers of a flow, is larger. */
#define SPAN_MAX (1u << 30)

typedef enum SavedFlags {
    SAVED_PEEK = 1 << 0,
    SAVED_EOF = 1 << 1,
    SAVED_SACK = 1 << 2,
    SAVED_GUEST_FIN = 1 << 3,
    SAVED_KEEPALIVE = 1 << 4,
} SavedFlags;

/* What is written and read as it is, in this order. */
static const size_t numbers[] = {
    offsetof(TcpFlow, iss), offsetof(TcpFlow, snd_una),
    offsetof(TcpFlow, snd_nxt), offsetof(TcpFlow, snd_max),
    offsetof(TcpFlow, snd_wnd), offsetof(TcpFlow, snd_wnd_max),
    offsetof(TcpFlow, snd_wl1), offsetof(TcpFlow, snd_wl2),
    offsetof(TcpFlow, sock_una), offsetof(TcpFlow, fin_seq),
    offsetof(TcpFlow, recover), offsetof(TcpFlow, irs),
    offsetof(TcpFlow, rcv_nxt), offsetof(TcpFlow, rcv_edge),
    offsetof(TcpFlow, guest_fin_seq), offsetof(TcpFlow, seg_max),
    offsetof(TcpFlow, srtt_ms), offsetof(TcpFlow, rttvar_ms),
    offsetof(TcpFlow, rto_ms),
};

static uint32_t *number_of(const TcpFlow *f, unsigned i)
{
    return (uint32_t *)((char *)f + numbers[i]);
}

static void save_ring(const TcpFlow *f, Handover *out)
{
    struct iovec iov[2];
    unsigned i, n = f->ring ? ring_slice(f->ring, 0, f->ring->len, iov) : 0;

    handover_u32(out, f->ring ? f->ring->len : 0);
    for (i = 0; i < n; i++) {
        handover_bytes(out, iov[i].iov_base, iov[i].iov_len);
    }
}

void tcp_save(const Flow *flow, Handover *out, int64_t now_ms)
{
    const TcpFlow *f = (const TcpFlow *)flow;
    unsigned i;

    handover_u8(out, f->state);
    handover_fd(out, f->fd);
    handover_u8(out, (f->peek ? SAVED_PEEK : 0) | (f->eof ? SAVED_EOF : 0) |
                      (f->sack ? SAVED_SACK : 0) |
                      (f->guest_fin ? SAVED_GUEST_FIN : 0) |
                      (f->keepalive ? SAVED_KEEPALIVE : 0));
    for (i = 0; i < G_N_ELEMENTS(numbers); i++) {
        handover_u32(out, *number_of(f, i));
    }
    handover_u16(out, f->mss);
    handover_u8(out, f->snd_scale);
    handover_u8(out, f->rcv_scale);
    save_ring(f, out);
}

/* ---- reading ---- */

static bool in_order(uint32_t a, uint32_t b)
{
    return b - a <= SPAN_MAX;
}

/* Before data may flow: only our SYN, sent or not. */
static bool opening_is_sane(const TcpFlow *f)
{
    bool sent = f->state != TCP_STATE_CONNECTING;

    return f->snd_una == f->iss && f->snd_nxt == f->snd_max &&
           f->snd_max == f->iss + sent && f->sock_una == f->iss + 1 &&
           !f->eof && !f->guest_fin;
}

static bool has_sent_fin(TcpState state)
{
    return state == TCP_STATE_FIN_WAIT_1 || state == TCP_STATE_FIN_WAIT_2 ||
           state == TCP_STATE_CLOSING || state == TCP_STATE_LAST_ACK;
}

/* @ring_len: bytes from sock_una on; without a ring they are in the kernel */
static bool numbers_are_sane(const TcpFlow *f, uint32_t ring_len)
{
    uint32_t end = f->eof ? f->fin_seq : f->snd_max;

    if (f->state <= TCP_STATE_SYN_RCVD) {
        return opening_is_sane(f) && ring_len == 0;
    }
    if (!in_order(f->sock_una, f->snd_una) || !in_order(f->snd_una, f->snd_nxt) ||
        !in_order(f->snd_nxt, f->snd_max) || !in_order(f->sock_una, end) ||
        !in_order(f->sock_una, f->snd_max)) {
        return false;
    }
    if ((f->eof && tcp_seq_gt(f->snd_max, f->fin_seq + 1)) ||
        (has_sent_fin(f->state) && (!f->eof || f->snd_max != end + 1))) {
        return false;
    }
    if (f->state == TCP_STATE_TIME_WAIT || f->peek) {
        return true;
    }
    return f->eof ? end - f->sock_una == ring_len
                  : end - f->sock_una <= ring_len;
}

static bool load_ring(TcpFlow *f, const uint8_t *bytes, uint32_t len)
{
    if (len == 0 || !bytes) {
        return len == 0;
    }
    return !f->peek && tcp_ring_put(f, bytes, len);
}

static void load_numbers(TcpFlow *f, Cursor *c)
{
    uint8_t flags = cursor_u8(c);
    unsigned i;

    f->peek = flags & SAVED_PEEK;
    f->eof = flags & SAVED_EOF;
    f->sack = flags & SAVED_SACK;
    f->guest_fin = flags & SAVED_GUEST_FIN;
    f->keepalive = flags & SAVED_KEEPALIVE;
    for (i = 0; i < G_N_ELEMENTS(numbers); i++) {
        *number_of(f, i) = cursor_u32(c);
    }
    f->mss = cursor_u16(c);
    f->snd_scale = cursor_u8(c);
    f->rcv_scale = cursor_u8(c);
    f->mss = CLAMP(f->mss, TCP_MSS_MIN, tcp_our_mss(f));
    f->snd_scale = MIN(f->snd_scale, TCP_WSCALE_MAX);
    f->rcv_scale = MIN(f->rcv_scale, TCP_WSCALE_MAX);
    f->seg_max = CLAMP(f->seg_max, TCP_MSS_DEFAULT_V4, G_MAXUINT16);
    f->srtt_ms = MIN(f->srtt_ms, TCP_RTO_MAX_MS);
    f->rttvar_ms = MIN(f->rttvar_ms, TCP_RTO_MAX_MS);
    f->rto_ms = CLAMP(f->rto_ms, TCP_RTO_MIN_MS, TCP_RTO_MAX_MS);
    f->ack_sent = f->rcv_nxt;
    f->written = true;              /* perhaps */
    if (!in_order(f->rcv_nxt, f->rcv_edge)) {
        f->rcv_edge = f->rcv_nxt;
    }
    f->rcv_wnd = f->rcv_edge - f->rcv_nxt;
}

/* Begin as if everything had just happened: nothing is waited for in vain. */
static void go_on(TcpFlow *f, int64_t now_ms)
{
    f->readable = f->window_now = true;
    f->ack_now = f->state > TCP_STATE_SYN_RCVD;
    if (f->snd_una != f->snd_max && f->state != TCP_STATE_TIME_WAIT) {
        tcp_timer_start(f, now_ms);
    }
    tcp_pend(f);
    tcp_rearm(f);
}

bool tcp_load(Nat *nat, Cursor *c, HandoverFds *fds, const SavedFlow *saved,
              int64_t now_ms)
{
    uint8_t state = cursor_u8(c);
    int fd = handover_take_fd(fds, c);
    sa_family_t family = saved->guest.addr.family;
    TcpFlow *f = tcp_new(nat, fd, &saved->guest, &saved->outside, now_ms);
    const uint8_t *bytes;
    uint32_t ring_len;
    bool wants_peek;

    load_numbers(f, c);
    ring_len = cursor_u32(c);
    bytes = cursor_bytes(c, ring_len);
    f->state = MIN(state, TCP_STATE__MAX - 1);
    if (c->error || state >= TCP_STATE__MAX ||
        saved->outside.addr.family != family ||
        (state == TCP_STATE_TIME_WAIT
         ? fd >= 0 : !nat_fd_is(fd, SOCK_STREAM, family)) ||
        !numbers_are_sane(f, ring_len) ||
        !nat_may_load(nat, &f->flow.key, saved)) {
        if (fd >= 0) {
            close(fd);
        }
        g_free(f);
        return false;
    }
    f->flow.mac = saved->mac;
    flow_table_add(nat->flows, &f->flow, saved->port_id, now_ms);
    flow_touch(&f->flow, tcp_state_class(f->state), saved->last_ms);
    wants_peek = f->peek;
    if (!load_ring(f, bytes, ring_len) ||
        (fd >= 0 && (!tcp_adopt_fd(f) || f->peek != wants_peek))) {
        tcp_abort(f);
        return false;
    }
    go_on(f, now_ms);
    return true;
}
