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
 * What is not done: timestamps, urgent data, fast open, the guest's SACK.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "nat/tcp-int.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <netinet/tcp.h>
#include "proto/siphash.h"

/* RFC 5382 REQ-5 and the issue: 2 h 4 min; the guest is asked 4 min before. */
#define ESTABLISHED_MS (7440 * 1000)
#define KEEPALIVE_MS (7200 * 1000)
#define HALF_OPEN_MS (30 * 1000)
#define CLOSING_MS (60 * 1000)

/* A guest with a smaller MSS gets frames of this much all the same. */
#define MSS_MIN 64
/* Windows in steps of 256 bytes, up to 16 MiB. */
#define RCV_SCALE 8
#define RTO_INITIAL_MS 1000

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

const char *tcp_state_str(TcpState state)
{
    return states[state].name;
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
    flow_set_deadline(&f->flow, MIN(idle_deadline(f), f->timer_ms));
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
    if (reset) {
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
    nat_wait_cancel(f->nat, &f->wait);
    f->timer_ms = FLOW_NEVER;
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
            tcp_send_control(f, f->state == TCP_STATE_SYN_SENT ? TCP_RST : TCP_RST | TCP_ACK, f->snd_max, now_ms);
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

/* ---- the beginning ---- */

/* RFC 6528: a secret function of the addresses, plus a clock of 4 us. */
static uint32_t tcp_isn(Nat *nat, const FlowKey *key, int64_t now_ms)
{
    return (uint32_t)siphash24(nat->isn_key, key, sizeof(*key)) +
           (uint32_t)(now_ms * 250);
}

uint16_t tcp_our_mss(const TcpFlow *f)
{
    unsigned headers = f->flow.guest.addr.family == AF_INET ? 40 : 60;

    return MIN(f->nat->config.mtu_bytes - headers, G_MAXUINT16);
}

void tcp_learn_peer(TcpFlow *f, const TcpHeader *tcp)
{
    unsigned mss = tcp->mss;

    if (!mss) {
        mss = f->flow.guest.addr.family == AF_INET ? TCP_MSS_DEFAULT_V4
                                                   : TCP_MSS_DEFAULT_V6;
    }
    f->mss = MIN(MAX(mss, MSS_MIN), tcp_our_mss(f));
    f->snd_scale = tcp->has_wscale ? tcp->wscale : 0;
    f->rcv_scale = tcp->has_wscale ? RCV_SCALE : 0;
    f->sack = tcp->sack_permitted;
    f->snd_wnd = f->snd_wnd_max = tcp->window;     /* a SYN's is not scaled */
    f->irs = tcp->seq;
    f->rcv_nxt = f->rcv_edge = tcp->seq + 1;
    f->snd_wl1 = tcp->seq;
    f->snd_wl2 = tcp->ack;
}

static void tcp_resume(Nat *nat, void *owner, int64_t now_ms)
{
    tcp_out(owner, now_ms);
}

static TcpFlow *tcp_new(Nat *nat, int fd, const IpEndpoint *guest,
                        const IpEndpoint *outside, int64_t now_ms)
{
    TcpFlow *f = g_new0(TcpFlow, 1);

    f->nat = nat;
    f->fd = fd;
    f->flow.guest = *guest;
    f->flow.outside = *outside;
    flow_key_init(&f->flow.key, FLOW_TCP, guest, outside);
    f->wait.resume = tcp_resume;
    f->wait.owner = f;
    f->peek = guest->addr.family == AF_INET ? nat->peek_off4 : nat->peek_off6;
    f->iss = tcp_isn(nat, &f->flow.key, now_ms);
    f->snd_una = f->snd_nxt = f->snd_max = f->iss;
    f->sock_una = f->iss + 1;
    f->recover = f->iss;
    f->cwnd = G_MAXUINT32;
    f->mss = MSS_MIN;
    f->rto_ms = RTO_INITIAL_MS;
    f->timer_ms = FLOW_NEVER;
    f->rtt_start_ms = -1;
    return f;
}

static void tcp_event(void *opaque, uint32_t events, int64_t now_ms);

/* Options and a watch for a socket that is, or will be, connected. */
static bool tcp_adopt_fd(TcpFlow *f)
{
    static const int one = 1, zero = 0;
    g_autoptr(GError) error = NULL;

    setsockopt(f->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    /* An urgent byte is a byte like the others: nothing is left out. */
    setsockopt(f->fd, SOL_SOCKET, SO_OOBINLINE, &one, sizeof(one));
    if (f->peek && setsockopt(f->fd, SOL_SOCKET, SO_PEEK_OFF, &zero,
                              sizeof(zero)) < 0) {
        f->peek = false;
    }
    f->watch = loop_watch_new(f->nat->config.loop, f->fd,
                              EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                              tcp_event, f, &error);
    return f->watch != NULL;
}

/* The outside has answered: answer the guest. */
static void tcp_connected(TcpFlow *f, int64_t now_ms)
{
    tcp_set_state(f, TCP_STATE_SYN_RCVD);
    f->snd_nxt = f->snd_max = f->iss + 1;
    tcp_send_control(f, TCP_SYN | TCP_ACK, f->iss, now_ms);
    tcp_timer_start(f, now_ms);
    tcp_rearm(f);
}

static void tcp_connect(TcpFlow *f, const NatRoute *route, int64_t now_ms)
{
    struct sockaddr_storage ss;
    socklen_t len = ip_endpoint_to_sockaddr(&route->target, &ss);

    if (!nat_bind(f->fd, &route->source) ||
        (connect(f->fd, (struct sockaddr *)&ss, len) < 0 &&
         errno != EINPROGRESS)) {
        tcp_fail(f, errno, now_ms);
        return;
    }
    if (!tcp_adopt_fd(f)) {
        tcp_fail(f, ENOMEM, now_ms);
        return;
    }
    tcp_rearm(f);
}

NatVerdict tcp_open(Nat *nat, const Frame *frame, const IpPacket *ip,
                    const TcpHeader *tcp, int64_t now_ms)
{
    IpEndpoint guest = { ip->src, tcp->sport };
    IpEndpoint outside = { ip->dst, tcp->dport };
    NatRoute route = { 0 };
    TcpFlow *f;
    int fd;

    if (!nat->ops.route(nat->opaque, IPPROTO_TCP, &outside, &route)) {
        nat->stats.flows_refused++;
        return NAT_REFUSED;
    }
    nat_make_room(nat, frame->src_port, now_ms);
    fd = nat_socket(nat, route.target.addr.family, SOCK_STREAM, 0,
                    frame->src_port, now_ms);
    if (fd < 0) {
        nat->stats.flows_refused++;
        return NAT_LIMIT;
    }
    f = tcp_new(nat, fd, &guest, &outside, now_ms);
    f->flow.mac = ip->eth_src;
    flow_table_add(nat->flows, &f->flow, frame->src_port, now_ms);
    nat->stats.flows_made++;
    tcp_learn_peer(f, tcp);
    tcp_connect(f, &route, now_ms);
    return NAT_OK;
}

/* Where the guest is: asked for until it is known. */
static bool tcp_find_guest(TcpFlow *f, int64_t now_ms)
{
    Nat *nat = f->nat;
    uint32_t port_id;

    if (!nat->ops.neighbour(nat->opaque, &f->flow.guest.addr, now_ms,
                            &f->flow.mac, &port_id)) {
        return false;
    }
    if (port_id != flow_port_id(&f->flow)) {
        flow_table_remove(&f->flow);
        flow_table_add(nat->flows, &f->flow, port_id, now_ms);
    }
    return true;
}

/* A port of the outside's address that no other flow to @guest has. */
static bool tcp_choose_outside(Nat *nat, const IpEndpoint *guest,
                               IpEndpoint *outside, int64_t now_ms)
{
    uint16_t first = outside->port;
    unsigned i;
    FlowKey key;
    Flow *old;

    for (i = 0; i < 32; i++) {
        flow_key_init(&key, FLOW_TCP, guest, outside);
        old = flow_table_find(nat->flows, &key);
        if (!old) {
            return true;
        }
        if (((TcpFlow *)old)->state == TCP_STATE_TIME_WAIT) {
            tcp_free((TcpFlow *)old);
            return true;
        }
        outside->port = 1024 + (uint16_t)(first + 7919 * (i + 1)) % 64512;
    }
    return false;
}

bool nat_tcp_accept(Nat *nat, int fd, const IpEndpoint *peer,
                    const IpEndpoint *guest, int64_t now_ms)
{
    IpEndpoint outside = { nat->ops.peer_seen(nat->opaque, &peer->addr),
                           peer->port };
    uint32_t port_id = 0;
    MacAddr mac = { { 0 } };
    TcpFlow *f;

    nat->ops.neighbour(nat->opaque, &guest->addr, now_ms, &mac, &port_id);
    if (outside.addr.family != guest->addr.family ||
        !tcp_choose_outside(nat, guest, &outside, now_ms)) {
        nat->stats.flows_refused++;
        close(fd);
        return false;
    }
    nat_make_room(nat, port_id, now_ms);
    f = tcp_new(nat, fd, guest, &outside, now_ms);
    f->flow.mac = mac;
    tcp_set_state(f, TCP_STATE_SYN_SENT);
    f->rcv_scale = RCV_SCALE;
    f->sack = true;
    f->snd_nxt = f->snd_max = f->iss + 1;
    flow_table_add(nat->flows, &f->flow, port_id, now_ms);
    nat->stats.flows_made++;
    if (!tcp_adopt_fd(f)) {
        tcp_abort(f);
        return false;
    }
    tcp_send_control(f, TCP_SYN, f->iss, now_ms);
    tcp_timer_start(f, now_ms);
    tcp_rearm(f);
    nat_done(nat, now_ms);
    return true;
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

static void tcp_event(void *opaque, uint32_t events, int64_t now_ms)
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

    if (f->timer_ms <= now_ms) {
        if (f->state == TCP_STATE_SYN_SENT && !tcp_find_guest(f, now_ms)) {
            tcp_timer_start(f, now_ms);
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

bool nat_tcp_flow_of(Nat *nat, const IpEndpoint *local, IpEndpoint *ret_guest)
{
    Flow *flow = NULL;

    while ((flow = flow_table_next(nat->flows, flow))) {
        TcpFlow *f = (TcpFlow *)flow;
        struct sockaddr_storage ss;
        socklen_t len = sizeof(ss);

        if (flow_kind(flow) != FLOW_TCP || f->fd < 0) {
            continue;
        }
        if (f->local.port == 0 &&
            (getsockname(f->fd, (struct sockaddr *)&ss, &len) < 0 ||
             !ip_endpoint_from_sockaddr((struct sockaddr *)&ss, len,
                                        &f->local))) {
            continue;
        }
        if (f->local.port == local->port &&
            ip_addr_equal(&f->local.addr, &local->addr)) {
            *ret_guest = flow->guest;
            return true;
        }
    }
    return false;
}
