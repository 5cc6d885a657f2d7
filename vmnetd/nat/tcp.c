/*
 * TCP flows: made, closed, timed
 *
 * Theory of operation
 *
 * There is no TCP here in the sense of a stack: no send queue, no receive
 * queue, no congestion control.  The host's socket is all of these.
 *
 *   guest's data   in order it goes straight into sendmsg(), and what the
 *                  kernel took is acknowledged.  What it did not take is not,
 *                  and the guest keeps it.  tcp-in.c
 *   guest's window is what the socket can take: half of its free send buffer.
 *   data for it    is peeked at and stays in the kernel's receive queue until
 *                  the guest has acknowledged it; so the queue is also the
 *                  retransmission queue, and a guest that is slow closes the
 *                  window of the outside by itself.  tcp-out.c
 *
 * Every socket is watched edge-triggered for everything from the start, and
 * never touched again with epoll_ctl(): a socket whose data is all in flight
 * has no edge, and so wakes nobody.
 *
 * What is not done: timestamps, urgent data, fast open.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "nat/tcp-int.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>

/*
 * How long a guest may be silent (RFC 5382 REQ-5: 2 h 4 min at least); it is
 * asked 4 min before.  A half that has closed says nothing about the other, which
 * may be silent as long as before.  When all was sent but an acknowledgement or
 * two, or not even a SYN answered, there is nothing to wait for: the RFC's 4 min
 * are for translators that lose the connection with the flow, while here the host's
 * socket repeats its own FIN.
 */
#define ESTABLISHED_MS (7440 * 1000)
#define KEEPALIVE_MS (7200 * 1000)
#define HALF_OPEN_MS (30 * 1000)
#define CLOSING_MS (60 * 1000)

/* How often a guest without a known MAC is asked for. */
#define RESOLVE_EVERY_MS 50

static const struct {
    const char *name;
    FlowClass class;
    int64_t timeout_ms;
} states[TCP_STATE__MAX] = {
    [TCP_STATE_CONNECTING] = { "connecting", FLOW_TRANSIENT, HALF_OPEN_MS },
    [TCP_STATE_SYN_SENT] = { "syn-sent", FLOW_TRANSIENT, HALF_OPEN_MS },
    [TCP_STATE_SYN_RCVD] = { "syn-rcvd", FLOW_TRANSIENT, HALF_OPEN_MS },
    [TCP_STATE_ESTABLISHED] = { "established", FLOW_LASTING, ESTABLISHED_MS },
    [TCP_STATE_CLOSE_WAIT] = { "close-wait", FLOW_LASTING, ESTABLISHED_MS },
    [TCP_STATE_FIN_WAIT_1] = { "fin-wait-1", FLOW_TRANSIENT, CLOSING_MS },
    [TCP_STATE_FIN_WAIT_2] = { "fin-wait-2", FLOW_LASTING, ESTABLISHED_MS },
    [TCP_STATE_CLOSING] = { "closing", FLOW_TRANSIENT, CLOSING_MS },
    [TCP_STATE_LAST_ACK] = { "last-ack", FLOW_TRANSIENT, CLOSING_MS },
    [TCP_STATE_TIME_WAIT] = { "time-wait", FLOW_TRANSIENT, CLOSING_MS },
};

FlowClass tcp_state_class(TcpState state)
{
    return states[state].class;
}

void tcp_set_state(TcpFlow *f, TcpState state)
{
    if (f->nat->ops.trace) {
        f->nat->ops.trace(f->nat->opaque, &f->flow.guest,
                          states[f->state].name, states[state].name);
    }
    f->state = state;
}

void tcp_pend(TcpFlow *f)
{
    if (!f->is_pending) {
        f->is_pending = true;
        f->pending = (GList){ .data = f };
        g_queue_push_tail_link(&f->nat->pending, &f->pending);
    }
}

/* When the flow is next to be looked at for lack of packets. */
static int64_t idle_deadline(const TcpFlow *f)
{
    int64_t age_ms = states[f->state].timeout_ms;

    if (age_ms == ESTABLISHED_MS && !f->probing) {
        age_ms = KEEPALIVE_MS;
    }
    return f->flow.last_ms + age_ms;
}

void tcp_rearm(TcpFlow *f)
{
    flow_set_deadline(&f->flow, MIN(idle_deadline(f),
                                    MIN(f->timer_ms,
                                        MIN(f->ack_ms, f->retry_ms))));
}

void tcp_touch(TcpFlow *f, int64_t now_ms)
{
    /* Half open, or over: repeating itself does not make it live longer. */
    if (f->state > TCP_STATE_SYN_RCVD && f->state != TCP_STATE_TIME_WAIT) {
        f->probing = false;
        flow_touch(&f->flow, states[f->state].class, now_ms);
    }
}

void tcp_mirror_keepalive(TcpFlow *f)
{
    static const int one = 1;

    if (!f->keepalive && f->fd >= 0) {
        f->keepalive = true;
        setsockopt(f->fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
    }
}

/* ---- the end ---- */

static void tcp_close_fd(TcpFlow *f, bool reset)
{
    static const struct linger at_once = { .l_onoff = 1, .l_linger = 0 };

    g_clear_pointer(&f->watch, loop_watch_free);
    if (f->fd < 0) {
        return;
    }
    if (f->nat->is_saved) {
        /* The socket is somebody else's: it is left as it is. */
    } else if (reset) {
        setsockopt(f->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    } else {
        /* Data left unread makes close() reset what is still to be sent. */
        tcp_discard(f);
    }
    close(f->fd);
    f->fd = -1;
}

static void tcp_ring_free(TcpFlow *f)
{
    if (f->ring) {
        ring_drop(f->ring, f->ring->len);
        tcp_ring_trim(f);
    }
}

static void tcp_destroy(TcpFlow *f, bool reset)
{
    Nat *nat = f->nat;

    tcp_close_fd(f, reset);
    tcp_ring_free(f);
    tcp_hold_clear(f);
    tcp_sack_clear(f);
    if (f->is_pending) {
        g_queue_unlink(&nat->pending, &f->pending);
    }
    if (nat->gather.flow == f) {
        nat->gather.flow = NULL;
        nat->gather.n_iov = 0;
        nat->gather.len = 0;
    }
    nat_wait_cancel(nat, &f->wait);
    flow_table_remove(&f->flow);
    g_free(f);
}

void tcp_free(TcpFlow *f)
{
    tcp_destroy(f, false);
}

void tcp_abort(TcpFlow *f)
{
    tcp_destroy(f, true);
}

void tcp_time_wait(TcpFlow *f)
{
    tcp_close_fd(f, false);
    tcp_ring_free(f);
    tcp_hold_clear(f);
    tcp_sack_clear(f);
    nat_wait_cancel(f->nat, &f->wait);
    f->timer_ms = f->ack_ms = f->retry_ms = FLOW_NEVER;
    tcp_set_state(f, TCP_STATE_TIME_WAIT);
}

/* The guest's SYN, of which only numbers are left, for an error to quote. */
static void tcp_quote_syn(TcpFlow *f, IcmpCode code, int64_t now_ms)
{
    uint8_t quote[TCP_HEADROOM];
    TcpHeader tcp = {
        .sport = f->flow.guest.port, .dport = f->flow.outside.port,
        .seq = f->irs, .flags = TCP_SYN,
    };
    IpHeaders headers = {
        .src = f->flow.guest.addr, .dst = f->flow.outside.addr, .ttl = 64,
    };
    size_t len = tcp_headers_build(quote, &headers, &tcp, 0, 0, false);

    nat_out_icmp_error(f->nat, &f->flow.mac, &f->flow.guest.addr, code, 0,
                       NULL, quote + 14, len - 14, now_ms);
}

void tcp_fail(TcpFlow *f, int errnum, int64_t now_ms)
{
    const NatError *error = nat_error_find(errnum);

    if (f->state != TCP_STATE_CONNECTING) {
        if (f->state != TCP_STATE_TIME_WAIT) {
            tcp_send_control(f, f->state == TCP_STATE_SYN_SENT
                                ? TCP_RST : TCP_RST | TCP_ACK,
                             f->snd_max, now_ms);
        }
        tcp_abort(f);
        return;
    }
    switch (error->tcp) {
    case NAT_ERROR_SILENT:
        break;
    case NAT_ERROR_RST:
        tcp_send_control(f, TCP_RST | TCP_ACK, 0, now_ms);
        break;
    case NAT_ERROR_ICMP:
        tcp_quote_syn(f, f->flow.guest.addr.family == AF_INET ? error->v4
                                                              : error->v6,
                      now_ms);
        break;
    }
    tcp_abort(f);
}

void tcp_close_flow(Nat *nat, Flow *flow, int64_t now_ms)
{
    tcp_fail((TcpFlow *)flow, ECONNABORTED, now_ms);
}

/* ---- events of the socket ---- */

static int tcp_so_error(TcpFlow *f)
{
    int error = 0;
    socklen_t len = sizeof(error);

    if (getsockopt(f->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0) {
        return errno;
    }
    return error;
}

/* The outside has answered: answer the guest. */
static void tcp_connected(TcpFlow *f, int64_t now_ms)
{
    tcp_set_state(f, TCP_STATE_SYN_RCVD);
    f->snd_nxt = f->snd_max = f->iss + 1;
    tcp_measure(f, now_ms);
    tcp_send_control(f, TCP_SYN | TCP_ACK, f->iss, now_ms);
    tcp_timer_start(f, now_ms);
    tcp_rearm(f);
}

void tcp_event(void *opaque, uint32_t events, int64_t now_ms)
{
    TcpFlow *f = opaque;
    Nat *nat = f->nat;
    int error = 0;

    if (events & EPOLLERR) {
        error = tcp_so_error(f);
    }
    if (error) {
        tcp_fail(f, error, now_ms);
        nat_done(nat, now_ms);
        return;
    }
    if (f->state == TCP_STATE_CONNECTING && (events & EPOLLOUT)) {
        tcp_connected(f, now_ms);
    }
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP)) {
        f->readable = true;
    }
    if (events & EPOLLOUT) {
        f->window_now = true;
    }
    tcp_out(f, now_ms);
    nat_done(nat, now_ms);
}

/* ---- time ---- */

/* @f has been silent for as long as its state allows. Returns: it is gone. */
static bool tcp_idle(TcpFlow *f, int64_t now_ms)
{
    if (states[f->state].timeout_ms == ESTABLISHED_MS &&
        now_ms < f->flow.last_ms + ESTABLISHED_MS) {
        /* Something below its window makes the guest answer (RFC 1122
         * 4.2.3.6); whatever it answers makes the flow young again. */
        f->probing = true;
        tcp_send_control(f, TCP_ACK, f->snd_una - 1, now_ms);
        return false;
    }
    if (f->state == TCP_STATE_TIME_WAIT) {
        tcp_free(f);
    } else {
        tcp_fail(f, ETIMEDOUT, now_ms);
    }
    return true;
}

void tcp_timer(Nat *nat, Flow *flow, int64_t now_ms)
{
    TcpFlow *f = (TcpFlow *)flow;

    if (f->ack_ms <= now_ms) {
        tcp_ack_late(f);
        tcp_pend(f);
    }
    if (f->retry_ms <= now_ms) {
        tcp_retry(f);
    }
    if (f->timer_ms <= now_ms) {
        if (f->state == TCP_STATE_SYN_SENT && !tcp_find_guest(f, now_ms)) {
            f->timer_ms = now_ms + RESOLVE_EVERY_MS;
        } else if (!tcp_retransmit(f, now_ms)) {
            tcp_fail(f, ETIMEDOUT, now_ms);
            return;
        }
    }
    if (idle_deadline(f) <= now_ms && tcp_idle(f, now_ms)) {
        return;
    }
    tcp_rearm(f);
}
