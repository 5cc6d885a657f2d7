/*
 * UDP forwards: who comes from outside, and the guest's answers
 *
 *   peer --> fd --> FLOW_UDP_PEER { guest, peer as the guest sees it } --> guest
 *
 * Each peer is a flow, charged to the guest's port, so that the answer finds
 * its way back, from the very address that the peer has sent to.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "nat/udp-int.h"
#include <stddef.h>
#include <unistd.h>

#define UDP_IDLE_MS (300 * 1000)
/* The guest's MAC is asked for this often, and then its datagrams dropped. */
#define RESOLVE_EVERY_MS 100
#define RESOLVE_TRIES 20

struct NatUdpForward {
    UdpSocket sock;         /* sock.guest: AF_UNSPEC: drop */
    GList link;
    uint32_t port_id;
    int64_t resolve_ms;     /* FLOW_NEVER: nothing waits */
    unsigned n_tries;
};

typedef struct UdpPeerFlow {
    Flow flow;
    NatUdpForward *forward;
    IpEndpoint peer;
    IpAddr local;           /* where it has sent to */
} UdpPeerFlow;

static NatUdpForward *forward_of_socket(UdpSocket *sock)
{
    return (NatUdpForward *)((char *)sock - offsetof(NatUdpForward, sock));
}

static bool endpoint_is(const IpEndpoint *a, const IpEndpoint *b)
{
    return a->port == b->port && ip_addr_equal(&a->addr, &b->addr);
}

static void peer_free(UdpPeerFlow *f)
{
    flow_table_remove(&f->flow);
    g_free(f);
}

void udp_peer_close(Nat *nat, Flow *flow, int64_t now_ms)
{
    peer_free((UdpPeerFlow *)flow);
}

void udp_peer_timer(Nat *nat, Flow *flow, int64_t now_ms)
{
    peer_free((UdpPeerFlow *)flow);
}

static void peer_used(UdpPeerFlow *f, int64_t now_ms)
{
    flow_touch(&f->flow, FLOW_TRANSIENT, now_ms);
    flow_set_deadline(&f->flow, now_ms + UDP_IDLE_MS);
}

static UdpPeerFlow *peer_new(NatUdpForward *forward, const FlowKey *key,
                             const IpEndpoint *outside, int64_t now_ms)
{
    Nat *nat = forward->sock.nat;
    UdpPeerFlow *f;

    nat_make_room(nat, forward->port_id, now_ms);
    f = g_new0(UdpPeerFlow, 1);
    f->flow.key = *key;
    f->flow.guest = forward->sock.guest;
    f->flow.outside = *outside;
    flow_table_add(nat->flows, &f->flow, forward->port_id, now_ms);
    nat->stats.flows_made++;
    return f;
}

static bool forward_came(UdpSocket *sock, const IpEndpoint *from,
                         const IpAddr *to, int64_t now_ms,
                         IpEndpoint *ret_outside)
{
    NatUdpForward *forward = forward_of_socket(sock);
    Nat *nat = sock->nat;
    IpEndpoint outside = { nat->ops.peer_seen(nat->opaque, &from->addr),
                           from->port };
    UdpPeerFlow *f;
    FlowKey key;

    if (outside.addr.family != sock->guest.addr.family || outside.port == 0) {
        return false;
    }
    flow_key_init(&key, FLOW_UDP_PEER, &sock->guest, &outside);
    f = (UdpPeerFlow *)flow_table_find(nat->flows, &key);
    if (!f) {
        f = peer_new(forward, &key, &outside, now_ms);
    }
    f->forward = forward;
    f->peer = *from;
    f->local = *to;
    peer_used(f, now_ms);
    *ret_outside = outside;
    return true;
}

static bool forward_sent(UdpSocket *sock, const IpEndpoint *target,
                         IpEndpoint *ret_outside)
{
    Nat *nat = sock->nat;

    *ret_outside = (IpEndpoint){
        nat->ops.peer_seen(nat->opaque, &target->addr), target->port
    };
    return ret_outside->addr.family == sock->guest.addr.family;
}

bool udp_forward_input(Nat *nat, const Frame *frame, const IpPacket *ip,
                       const UdpDatagram *udp, int64_t now_ms)
{
    IpEndpoint guest = { ip->src, udp->sport };
    IpEndpoint outside = { ip->dst, udp->dport };
    UdpPeerFlow *f;
    FlowKey key;

    flow_key_init(&key, FLOW_UDP_PEER, &guest, &outside);
    f = (UdpPeerFlow *)flow_table_find(nat->flows, &key);
    if (!f) {
        return false;
    }
    peer_used(f, now_ms);
    f->forward->sock.mac = ip->eth_src;
    udp_socket_send(&f->forward->sock, frame, ip, udp, &f->peer, &f->local,
                    now_ms);
    return true;
}

/* Read and forget: there is no guest, or it does not answer. */
static void forward_drain(NatUdpForward *forward)
{
    uint8_t byte;
    unsigned i;

    for (i = 0; i < 4096; i++) {
        if (recv(forward->sock.fd, &byte, 1, MSG_DONTWAIT) < 0) {
            return;
        }
    }
}

static void forward_set_resolve(NatUdpForward *forward, int64_t resolve_ms)
{
    Nat *nat = forward->sock.nat;

    nat->n_resolving -= forward->resolve_ms != FLOW_NEVER;
    forward->resolve_ms = resolve_ms;
    nat->n_resolving += forward->resolve_ms != FLOW_NEVER;
    udp_socket_watch(&forward->sock, resolve_ms == FLOW_NEVER);
}

/* Something may be there to be read: find the guest first. */
static void forward_read(NatUdpForward *forward, int64_t now_ms)
{
    UdpSocket *sock = &forward->sock;
    Nat *nat = sock->nat;

    if (sock->guest.addr.family != AF_UNSPEC &&
        nat->ops.neighbour(nat->opaque, &sock->guest.addr, now_ms, &sock->mac,
                           &forward->port_id)) {
        forward->n_tries = 0;
        forward_set_resolve(forward, FLOW_NEVER);
        udp_socket_read(sock, now_ms);
    } else if (sock->guest.addr.family == AF_UNSPEC ||
               ++forward->n_tries >= RESOLVE_TRIES) {
        forward->n_tries = 0;
        forward_drain(forward);
        forward_set_resolve(forward, FLOW_NEVER);
    } else {
        forward_set_resolve(forward, now_ms + RESOLVE_EVERY_MS);
    }
}

void udp_forwards_run(Nat *nat, int64_t now_ms)
{
    GList *link;

    for (link = nat->forwards.head; link && nat->n_resolving;
         link = link->next) {
        NatUdpForward *forward = link->data;

        if (forward->resolve_ms <= now_ms) {
            forward_read(forward, now_ms);
        }
    }
}

int64_t udp_forwards_deadline(const Nat *nat)
{
    int64_t deadline_ms = FLOW_NEVER;
    GList *link;

    for (link = nat->forwards.head; link && nat->n_resolving;
         link = link->next) {
        deadline_ms = MIN(deadline_ms,
                          ((NatUdpForward *)link->data)->resolve_ms);
    }
    return deadline_ms;
}

static void forward_ready(UdpSocket *sock, int64_t now_ms)
{
    forward_read(forward_of_socket(sock), now_ms);
}

static const UdpSocketOps forward_ops = {
    .ready = forward_ready, .came = forward_came, .sent = forward_sent,
};

NatUdpForward *nat_udp_forward(Nat *nat, int fd, const IpEndpoint *guest,
                               int64_t now_ms)
{
    static const int one = 1;
    NatUdpForward *forward;

    if (nat->forwards.length >= LIMIT_FORWARDS) {
        close(fd);
        return NULL;
    }
    forward = g_new0(NatUdpForward, 1);
    forward->sock.guest = *guest;
    forward->resolve_ms = FLOW_NEVER;
    forward->link.data = forward;
    g_queue_push_tail_link(&nat->forwards, &forward->link);
    /* One of the two fits the socket's family. */
    setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &one, sizeof(one));
    setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &one, sizeof(one));
    if (!udp_socket_init(&forward->sock, nat, &forward_ops, fd)) {
        nat_udp_forward_free(forward);
        return NULL;
    }
    return forward;
}

/* Its peers' flows point at @forward. */
static void forward_forget_peers(NatUdpForward *forward)
{
    Nat *nat = forward->sock.nat;
    Flow *flow = flow_table_next(nat->flows, NULL), *next;
    GPtrArray *mine = g_ptr_array_new();
    unsigned i;

    for (; flow; flow = next) {
        next = flow_table_next(nat->flows, flow);
        if (flow_kind(flow) == FLOW_UDP_PEER &&
            ((UdpPeerFlow *)flow)->forward == forward) {
            g_ptr_array_add(mine, flow);
        }
    }
    for (i = 0; i < mine->len; i++) {
        peer_free(mine->pdata[i]);
    }
    g_ptr_array_unref(mine);
}

void nat_udp_forward_set_guest(NatUdpForward *forward, const IpEndpoint *guest)
{
    forward_forget_peers(forward);
    forward->sock.guest = *guest;
    forward->sock.mac = (MacAddr){ { 0 } };
}

void nat_udp_forward_free(NatUdpForward *forward)
{
    if (!forward) {
        return;
    }
    forward_forget_peers(forward);
    forward->sock.nat->n_resolving -= forward->resolve_ms != FLOW_NEVER;
    g_queue_unlink(&forward->sock.nat->forwards, &forward->link);
    udp_socket_clear(&forward->sock);
    g_free(forward);
}

/* ---- handed over ---- */

void nat_udp_forward_save(const NatUdpForward *forward, Handover *out,
                          int64_t now_ms)
{
    unsigned begin = handover_begin(out, HANDOVER_NAT_FORWARD), item;
    Flow *flow = NULL;

    handover_fd(out, forward->sock.fd);
    handover_endpoint(out, &forward->sock.guest);
    handover_u32(out, forward->port_id);
    while ((flow = flow_table_next(forward->sock.nat->flows, flow))) {
        const UdpPeerFlow *f = (const UdpPeerFlow *)flow;

        if (flow_kind(flow) == FLOW_UDP_PEER && f->forward == forward) {
            item = handover_begin(out, HANDOVER_NAT_UDP_PEER);
            nat_save_flow(flow, out, now_ms);
            handover_endpoint(out, &f->peer);
            handover_addr(out, &f->local);
            handover_end(out, item);
        }
    }
    handover_end(out, begin);
}

static void peer_load(NatUdpForward *forward, Cursor *c, int64_t now_ms)
{
    Nat *nat = forward->sock.nat;
    SavedFlow saved;
    IpEndpoint peer;
    IpAddr local;
    UdpPeerFlow *f;
    FlowKey key;

    if (!nat_load_flow(c, &saved, now_ms)) {
        return;
    }
    handover_read_endpoint(c, &peer);
    handover_read_addr(c, &local);
    flow_key_init(&key, FLOW_UDP_PEER, &saved.guest, &saved.outside);
    saved.port_id = forward->port_id;
    if (c->error || !endpoint_is(&saved.guest, &forward->sock.guest) ||
        saved.outside.addr.family != saved.guest.addr.family ||
        peer.addr.family == AF_UNSPEC || !nat_may_load(nat, &key, &saved)) {
        return;
    }
    f = peer_new(forward, &key, &saved.outside, now_ms);
    f->forward = forward;
    f->peer = peer;
    f->local = local;
    peer_used(f, saved.last_ms);
}

NatUdpForward *nat_udp_forward_load(Nat *nat, Cursor *c, HandoverFds *fds,
                                    int64_t now_ms)
{
    int fd = handover_take_fd(fds, c);
    NatUdpForward *forward;
    IpEndpoint guest;
    uint32_t port_id;
    uint16_t tag;
    Cursor body;

    handover_read_endpoint(c, &guest);
    port_id = cursor_u32(c);
    if (c->error || (!nat_fd_is(fd, SOCK_DGRAM, AF_INET) &&
                     !nat_fd_is(fd, SOCK_DGRAM, AF_INET6))) {
        if (fd >= 0) {
            close(fd);
        }
        return NULL;
    }
    forward = nat_udp_forward(nat, fd, &guest, now_ms);
    if (!forward) {
        return NULL;
    }
    forward->port_id = port_id;
    while (handover_next(c, &tag, &body)) {
        if (tag == HANDOVER_NAT_UDP_PEER) {
            peer_load(forward, &body, now_ms);
        }
    }
    return forward;
}
