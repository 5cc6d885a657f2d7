/*
 * UDP flows: one socket per address and port of a guest
 *
 * Theory of operation
 *
 * A guest's port is one socket, whomever it sends to, so that the outside sees
 * one mapping (RFC 4787 REQ-1, endpoint-independent).  In come only datagrams
 * from addresses that the guest has sent to (REQ-8, address-dependent); the
 * last LIMIT_NAT_UDP_PEERS of them are remembered.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "nat/udp-int.h"
#include <stddef.h>
#include <unistd.h>

/* RFC 4787 REQ-5; a name is looked up and that is all. */
#define UDP_IDLE_MS (300 * 1000)
#define UDP_DNS_IDLE_MS (30 * 1000)
#define DNS_PORT 53

/* @seen: what the guest sends to; @target: what that is outside. */
typedef struct UdpPeer {
    IpEndpoint seen;
    NatRoute route;
    int64_t last_ms;
} UdpPeer;

typedef struct UdpFlow {
    Flow flow;
    UdpSocket sock;
    bool dns_only;
    unsigned n_peers, last_sent, last_came, size;
    UdpPeer *peers;
} UdpFlow;

static UdpFlow *udp_of_socket(UdpSocket *sock)
{
    return (UdpFlow *)((char *)sock - offsetof(UdpFlow, sock));
}

static void udp_used(UdpFlow *f, int64_t now_ms)
{
    flow_touch(&f->flow, FLOW_TRANSIENT, now_ms);
    flow_set_deadline(&f->flow, now_ms + (f->dns_only ? UDP_DNS_IDLE_MS
                                                      : UDP_IDLE_MS));
}

static bool endpoint_equal(const IpEndpoint *a, const IpEndpoint *b)
{
    return a->port == b->port && ip_addr_equal(&a->addr, &b->addr);
}

/* The address and port first; else the address alone. */
static UdpPeer *udp_peer_by_target(UdpFlow *f, const IpEndpoint *target)
{
    UdpPeer *same = NULL;
    unsigned i;

    if (f->n_peers == 0) {
        return NULL;
    }
    if (endpoint_equal(&f->peers[f->last_came].route.target, target)) {
        return &f->peers[f->last_came];
    }
    for (i = 0; i < f->n_peers; i++) {
        UdpPeer *peer = &f->peers[i];

        if (!ip_addr_equal(&peer->route.target.addr, &target->addr)) {
            continue;
        }
        if (peer->route.target.port == target->port) {
            f->last_came = i;
            return peer;
        }
        same = peer;
    }
    return same;
}

static bool udp_sent(UdpSocket *sock, const IpEndpoint *target,
                     IpEndpoint *ret_outside)
{
    UdpPeer *peer = udp_peer_by_target(udp_of_socket(sock), target);

    if (!peer) {
        return false;
    }
    *ret_outside = peer->seen;
    if (peer->route.target.port != target->port) {
        ret_outside->port = target->port;
    }
    return true;
}

static bool udp_came(UdpSocket *sock, const IpEndpoint *from, const IpAddr *to,
                     int64_t now_ms, IpEndpoint *ret_outside)
{
    if (!udp_sent(sock, from, ret_outside)) {
        return false;
    }
    udp_used(udp_of_socket(sock), now_ms);
    return true;
}

static const UdpSocketOps udp_flow_ops = {
    .ready = udp_socket_read, .came = udp_came, .sent = udp_sent,
};

static UdpPeer *udp_peer_by_seen(UdpFlow *f, const IpEndpoint *seen)
{
    unsigned i;

    if (f->last_sent < f->n_peers &&
        endpoint_equal(&f->peers[f->last_sent].seen, seen)) {
        return &f->peers[f->last_sent];
    }
    for (i = 0; i < f->n_peers; i++) {
        if (endpoint_equal(&f->peers[i].seen, seen)) {
            f->last_sent = i;
            return &f->peers[i];
        }
    }
    return NULL;
}

static UdpPeer *udp_peer_add(UdpFlow *f, const IpEndpoint *seen,
                             const NatRoute *route)
{
    unsigned i, at = 0;

    if (f->n_peers < LIMIT_NAT_UDP_PEERS) {
        if (f->n_peers == f->size) {
            f->size = MAX(1, f->size * 2);
            f->peers = g_renew(UdpPeer, f->peers, f->size);
        }
        at = f->n_peers++;
    } else {
        for (i = 1; i < f->n_peers; i++) {
            if (f->peers[i].last_ms < f->peers[at].last_ms) {
                at = i;
            }
        }
    }
    f->peers[at] = (UdpPeer){ .seen = *seen, .route = *route };
    f->dns_only = f->dns_only && seen->port == DNS_PORT;
    f->last_sent = at;
    return &f->peers[at];
}

static void udp_free(UdpFlow *f)
{
    udp_socket_clear(&f->sock);
    flow_table_remove(&f->flow);
    g_free(f->peers);
    g_free(f);
}

void udp_close_flow(Nat *nat, Flow *flow, int64_t now_ms)
{
    udp_free((UdpFlow *)flow);
}

void udp_timer(Nat *nat, Flow *flow, int64_t now_ms)
{
    udp_free((UdpFlow *)flow);
}

static UdpFlow *udp_new(Nat *nat, int fd, const IpEndpoint *guest,
                        const MacAddr *mac, uint32_t port_id, int64_t now_ms)
{
    UdpFlow *f = g_new0(UdpFlow, 1);

    f->flow.guest = f->sock.guest = *guest;
    f->flow.mac = f->sock.mac = *mac;
    f->dns_only = true;
    flow_key_init(&f->flow.key, FLOW_UDP, guest, NULL);
    flow_table_add(nat->flows, &f->flow, port_id, now_ms);
    if (!udp_socket_init(&f->sock, nat, &udp_flow_ops, fd)) {
        udp_free(f);
        return NULL;
    }
    return f;
}

static UdpFlow *udp_open(Nat *nat, const Frame *frame, const IpPacket *ip,
                         const IpEndpoint *guest, const NatRoute *route,
                         int64_t now_ms)
{
    UdpFlow *f;
    int fd;

    udp_gather_flush(nat, now_ms);      /* its flow may have to go */
    nat_make_room(nat, frame->src_port, now_ms);
    fd = nat_socket(nat, guest->addr.family, SOCK_DGRAM, 0, frame->src_port,
                    now_ms);
    if (fd < 0) {
        nat_fault(nat, guest, "socket", errno);
        return NULL;
    }
    if (!nat_bind_device(fd, route)) {
        close(fd);
        return NULL;
    }
    f = udp_new(nat, fd, guest, &ip->eth_src, frame->src_port, now_ms);
    nat->stats.flows_made += f != NULL;
    return f;
}

/* ---- handed over ---- */

void udp_save(const Flow *flow, Handover *out, int64_t now_ms)
{
    const UdpFlow *f = (const UdpFlow *)flow;
    unsigned i, item;

    handover_fd(out, f->sock.fd);
    for (i = 0; i < f->n_peers; i++) {
        const UdpPeer *peer = &f->peers[i];

        item = handover_begin(out, HANDOVER_NAT_UDP_PEER);
        handover_endpoint(out, &peer->seen);
        handover_endpoint(out, &peer->route.target);
        handover_addr(out, &peer->route.source);
        handover_age(out, peer->last_ms, now_ms);
        handover_end(out, item);
    }
}

static void udp_load_peers(UdpFlow *f, Cursor *c, int64_t now_ms)
{
    sa_family_t family = f->flow.guest.addr.family;
    uint16_t tag;
    Cursor body;

    while (handover_next(c, &tag, &body)) {
        IpEndpoint seen;
        NatRoute route = { 0 };
        int64_t last_ms;

        handover_read_endpoint(&body, &seen);
        handover_read_endpoint(&body, &route.target);
        handover_read_addr(&body, &route.source);
        last_ms = handover_read_age(&body, now_ms);
        if (tag == HANDOVER_NAT_UDP_PEER && !body.error &&
            seen.addr.family == family &&
            route.target.addr.family == family && !udp_peer_by_seen(f, &seen)) {
            udp_peer_add(f, &seen, &route)->last_ms = last_ms;
        }
    }
}

bool udp_load(Nat *nat, Cursor *c, HandoverFds *fds, const SavedFlow *saved,
              int64_t now_ms)
{
    int fd = handover_take_fd(fds, c);
    FlowKey key;
    UdpFlow *f;

    flow_key_init(&key, FLOW_UDP, &saved->guest, NULL);
    if (!nat_fd_is(fd, SOCK_DGRAM, saved->guest.addr.family) ||
        !nat_may_load(nat, &key, saved)) {
        if (fd >= 0) {
            close(fd);
        }
        return false;
    }
    f = udp_new(nat, fd, &saved->guest, &saved->mac, saved->port_id, now_ms);
    if (!f) {
        return false;
    }
    udp_load_peers(f, c, now_ms);
    udp_used(f, saved->last_ms);
    return true;
}

NatVerdict udp_input(Nat *nat, const Frame *frame, const IpPacket *ip,
                     int64_t now_ms)
{
    IpEndpoint guest, outside;
    UdpDatagram udp;
    NatRoute route = { 0 };
    UdpPeer *peer = NULL;
    UdpFlow *f;
    FlowKey key;

    if (!udp_parse(frame, ip, &udp)) {
        return NAT_MALFORMED;
    }
    if (nat->forwards.length &&
        udp_forward_input(nat, frame, ip, &udp, now_ms)) {
        return NAT_OK;
    }
    guest = (IpEndpoint){ ip->src, udp.sport };
    outside = (IpEndpoint){ ip->dst, udp.dport };
    flow_key_init(&key, FLOW_UDP, &guest, NULL);
    f = (UdpFlow *)flow_table_find(nat->flows, &key);
    if (f) {
        peer = udp_peer_by_seen(f, &outside);
    }
    if (!peer && !nat->ops.route(nat->opaque, IPPROTO_UDP, &outside, &route)) {
        nat->stats.flows_refused++;
        return NAT_REFUSED;
    }
    if (!f) {
        f = udp_open(nat, frame, ip, &guest, &route, now_ms);
        if (!f) {
            nat->stats.flows_refused++;
            return NAT_LIMIT;
        }
    }
    if (!peer) {
        peer = udp_peer_add(f, &outside, &route);
    }
    peer->last_ms = now_ms;
    f->flow.mac = f->sock.mac = ip->eth_src;
    udp_used(f, now_ms);
    udp_socket_send(&f->sock, frame, ip, &udp, &peer->route.target,
                    &peer->route.source, now_ms);
    return NAT_OK;
}
