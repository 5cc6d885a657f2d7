/*
 * TCP flows from either side: a guest's SYN, a connection from outside
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "nat/tcp-int.h"
#include <errno.h>
#include <unistd.h>

/* Windows in steps of 256 bytes, up to 16 MiB. */
#define RCV_SCALE 8
#define RTO_INITIAL_MS 1000

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
    f->mss = MIN(MAX(mss, TCP_MSS_MIN), tcp_our_mss(f));
    f->snd_scale = tcp->has_wscale ? tcp->wscale : 0;
    f->rcv_scale = tcp->has_wscale ? RCV_SCALE : 0;
    f->sack = tcp->sack_permitted;
    f->snd_wnd = f->snd_wnd_max = tcp->window;     /* a SYN's is not scaled */
    f->irs = tcp->seq;
    f->rcv_nxt = f->rcv_edge = f->ack_sent = tcp->seq + 1;
    f->snd_wl1 = tcp->seq;
    f->snd_wl2 = tcp->ack;
}

static void tcp_resume(Nat *nat, void *owner, int64_t now_ms)
{
    tcp_out(owner, now_ms);
}

TcpFlow *tcp_new(Nat *nat, int fd, const IpEndpoint *guest,
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
    f->mss = TCP_MSS_MIN;
    f->rto_ms = RTO_INITIAL_MS;
    f->timer_ms = f->ack_ms = f->retry_ms = FLOW_NEVER;
    f->seg_max = TCP_MSS_DEFAULT_V4;
    f->streak_min = TCP_STREAK_BYTES;
    f->rtt_start_ms = -1;
    return f;
}

bool tcp_adopt_fd(TcpFlow *f)
{
    static const int one = 1, zero = 0;
    g_autoptr(GError) error = NULL;

    /* An urgent byte is a byte like the others: nothing is left out. */
    setsockopt(f->fd, SOL_SOCKET, SO_OOBINLINE, &one, sizeof(one));
    if (f->peek && setsockopt(f->fd, SOL_SOCKET, SO_PEEK_OFF, &zero,
                              sizeof(zero)) < 0) {
        f->peek = false;
    }
    f->watch = loop_watch_new(f->nat->config.loop, f->fd,
                              EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                              tcp_event, f, &error);
    if (!f->watch) {
        nat_fault(f->nat, &f->flow.guest, "epoll_ctl", errno);
    }
    return f->watch != NULL;
}

static void tcp_connect(TcpFlow *f, const NatRoute *route, int64_t now_ms)
{
    struct sockaddr_storage ss;
    socklen_t len = ip_endpoint_to_sockaddr(&route->target, &ss);

    if (!nat_bind(f->fd, route) ||
        (connect(f->fd, (struct sockaddr *)&ss, len) < 0 &&
         errno != EINPROGRESS)) {
        nat_fault(f->nat, &f->flow.guest, "connect", errno);
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
        nat_fault(nat, &guest, "socket", errno);
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
bool tcp_find_guest(TcpFlow *f, int64_t now_ms)
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
    tcp_measure(f, now_ms);
    tcp_send_control(f, TCP_SYN, f->iss, now_ms);
    tcp_timer_start(f, now_ms);
    tcp_rearm(f);
    nat_done(nat, now_ms);
    return true;
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
