/*
 * Address translation: ways in, quotas, time
 *
 * Theory of operation
 *
 * Every way in (a batch of packets, an event of a socket, the timer, room at a
 * receiver) ends in nat_done(), which lets out what has gathered and tells the
 * next deadline.  nat_input() alone outputs nothing: what it finds out waits
 * for nat_flush().
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "nat/nat-int.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>

typedef struct NatProto {
    NatVerdict (*input)(Nat *nat, const Frame *frame, const IpPacket *ip,
                        int64_t now_ms);
    void (*timer)(Nat *nat, Flow *flow, int64_t now_ms);
    void (*close)(Nat *nat, Flow *flow, int64_t now_ms);
} NatProto;

static const NatProto protos[FLOW_KIND__MAX] = {
    [FLOW_TCP] = { tcp_input, tcp_timer, tcp_close_flow },
    [FLOW_UDP] = { udp_input, udp_timer, udp_close_flow },
    [FLOW_UDP_PEER] = { udp_input, udp_peer_timer, udp_peer_close },
    [FLOW_ICMP] = { icmp_input, icmp_timer, icmp_close_flow },
};

static void derive_key(const uint8_t from[16], uint8_t purpose, uint8_t to[16])
{
    uint64_t half;
    uint8_t i;

    for (i = 0; i < 2; i++) {
        uint8_t text[2] = { purpose, i };

        half = siphash24(from, text, sizeof(text));
        memcpy(to + 8 * i, &half, 8);
    }
}

Nat *nat_new(const NatConfig *config, const NatOps *ops, void *opaque)
{
    Nat *nat = g_new0(Nat, 1);

    nat->config = *config;
    nat->ops = *ops;
    nat->opaque = opaque;
    derive_key(config->hash_key, 'i', nat->isn_key);
    nat->peek_off4 = !config->no_peek_off && nat_probe_peek_off(AF_INET);
    nat->peek_off6 = !config->no_peek_off && nat_probe_peek_off(AF_INET6);
    nat->flows = flow_table_new(config->hash_key,
                                config->flows_per_port ? config->flows_per_port
                                                       : LIMIT_FLOWS_PER_PORT,
                                config->quota, nat);
    nat->frags = frag_table_new();
    nat->lines = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    nat->deadline_ms = FLOW_NEVER;
    nat_out_init(nat);
    return nat;
}

void nat_free(Nat *nat)
{
    Flow *flow;

    if (!nat) {
        return;
    }
    g_assert(nat->forwards.length == 0);
    while ((flow = flow_table_next(nat->flows, NULL))) {
        nat_close(nat, flow, 0);
        nat->out.n = 0;         /* nobody is told: the network is going */
        nat->out.used = 0;
    }
    flow_table_free(nat->flows);
    frag_table_free(nat->frags);
    g_hash_table_unref(nat->lines);
    nat_out_clear(nat);
    g_free(nat->gather.copy);
    udp_gather_free(nat);
    g_free(nat);
}

void nat_close(Nat *nat, Flow *flow, int64_t now_ms)
{
    protos[flow_kind(flow)].close(nat, flow, now_ms);
}

/* @victim may belong to another network, which then has something to say. */
static void recycle(Nat *nat, Flow *victim, int64_t now_ms)
{
    Nat *owner = flow_owner(victim);

    owner->stats.flows_recycled++;
    nat_close(owner, victim, now_ms);
    if (owner != nat) {
        nat_done(owner, now_ms);
    }
}

void nat_make_room(Nat *nat, uint32_t port_id, int64_t now_ms)
{
    Flow *victim;

    while ((victim = flow_table_victim(nat->flows, port_id, false))) {
        recycle(nat, victim, now_ms);
    }
}

void nat_fault(const Nat *nat, const IpEndpoint *guest, const char *call,
               int errnum)
{
    int saved_errno = errno;

    if (nat->ops.fault && nat_error_is_hosts(errnum)) {
        nat->ops.fault(nat->opaque, guest, call, errnum);
    }
    errno = saved_errno;
}

int nat_socket(Nat *nat, sa_family_t family, int type, int proto,
               uint32_t port_id, int64_t now_ms)
{
    static const int one = 1;
    Flow *victim;
    int fd;

    type |= SOCK_NONBLOCK | SOCK_CLOEXEC;
    fd = socket(family, type, proto);
    if (fd < 0 && (errno == EMFILE || errno == ENFILE)) {
        victim = flow_table_victim(nat->flows, port_id, true);
        if (!victim) {
            return -1;
        }
        recycle(nat, victim, now_ms);
        fd = socket(family, type, proto);
    }
    if (fd >= 0 && family == AF_INET6) {
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
    }
    return fd;
}

bool nat_bind_device(int fd, const NatRoute *route)
{
    return !route->device ||
           setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, route->device,
                      strlen(route->device)) == 0;
}

bool nat_bind(int fd, const NatRoute *route)
{
    IpEndpoint any_port = { .addr = route->source };
    struct sockaddr_storage ss;
    static const int one = 1;
    socklen_t len;

    if (!nat_bind_device(fd, route)) {
        return false;
    }
    if (route->source.family == AF_UNSPEC) {
        return true;
    }
    /* The port is chosen at connect(), by the whole 4-tuple. */
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
    len = ip_endpoint_to_sockaddr(&any_port, &ss);
    return bind(fd, (struct sockaddr *)&ss, len) == 0;
}

static NatVerdict input_whole(Nat *nat, const Frame *frame, const IpPacket *ip,
                              int64_t now_ms)
{
    switch (ip->proto) {
    case IPPROTO_TCP:
        return tcp_input(nat, frame, ip, now_ms);
    case IPPROTO_UDP:
        return udp_input(nat, frame, ip, now_ms);
    case IPPROTO_ICMP:
    case IPPROTO_ICMPV6:
        return icmp_input(nat, frame, ip, now_ms);
    default:
        return NAT_REFUSED;
    }
}

static NatVerdict input_fragment(Nat *nat, const Frame *frame,
                                 const IpPacket *ip, int64_t now_ms)
{
    FragPacket *packet;
    Frame whole_frame;
    IpPacket whole_ip;
    NatVerdict verdict = NAT_OK;

    switch (frag_input(nat->frags, frame, ip, now_ms, &packet)) {
    case FRAG_WAIT:
        return NAT_OK;
    case FRAG_MALFORMED:
        return NAT_MALFORMED;
    case FRAG_COMPLETE:
        frag_packet(packet, &whole_frame, &whole_ip);
        nat->reassembled = true;
        verdict = input_whole(nat, &whole_frame, &whole_ip, now_ms);
        nat->reassembled = false;
        frag_packet_free(packet);
        break;
    }
    return verdict;
}

NatVerdict nat_input(Nat *nat, const Frame *frame, const IpPacket *ip,
                     int64_t now_ms)
{
    NatVerdict verdict;

    if (nat->outputting) {
        return NAT_LIMIT;   /* from within our own output: not now */
    }
    nat->in_input = true;
    verdict = ip->is_fragment ? input_fragment(nat, frame, ip, now_ms)
                              : input_whole(nat, frame, ip, now_ms);
    nat->in_input = false;
    return verdict;
}

bool nat_has_flow(Nat *nat, uint8_t proto, const IpEndpoint *guest,
                  const IpEndpoint *outside)
{
    FlowKind kind = proto == IPPROTO_TCP ? FLOW_TCP : FLOW_UDP_PEER;
    FlowKey key;

    if (flow_table_count(nat->flows, kind) == 0) {
        return false;
    }
    flow_key_init(&key, kind, guest, outside);
    return flow_table_find(nat->flows, &key);
}

void nat_done(Nat *nat, int64_t now_ms)
{
    int64_t deadline_ms;

    if (nat->in_input) {
        return;
    }
    nat_out_flush(nat, now_ms);
    deadline_ms = nat->pending.length
                  ? now_ms : MIN(MIN(flow_table_deadline(nat->flows),
                                     frag_deadline(nat->frags)),
                                 udp_forwards_deadline(nat));
    if (deadline_ms != nat->deadline_ms) {
        nat->deadline_ms = deadline_ms;
        nat->ops.deadline(nat->opaque,
                          deadline_ms == FLOW_NEVER ? -1 : deadline_ms);
    }
}

void nat_flush(Nat *nat, int64_t now_ms)
{
    if (nat->outputting) {
        return;             /* who outputs flushes */
    }
    udp_gather_flush(nat, now_ms);
    tcp_flush(nat, now_ms);
    nat_done(nat, now_ms);
}

void nat_run(Nat *nat, int64_t now_ms)
{
    Flow *flow;

    nat->deadline_ms = -1;      /* the timer has fired: tell the next anew */
    while ((flow = flow_table_due(nat->flows, now_ms))) {
        protos[flow_kind(flow)].timer(nat, flow, now_ms);
    }
    udp_forwards_run(nat, now_ms);
    frag_expire(nat->frags, now_ms);
    nat_flush(nat, now_ms);
}

void nat_port_gone(Nat *nat, uint32_t id, int64_t now_ms)
{
    Flow *flow;

    while ((flow = flow_table_of_port(nat->flows, id))) {
        nat_close(nat, flow, now_ms);
    }
    frag_port_gone(nat->frags, id);
    nat_done(nat, now_ms);
}

void nat_stats(Nat *nat, NatStats *ret_stats)
{
    *ret_stats = nat->stats;
    ret_stats->tcp_flows = flow_table_count(nat->flows, FLOW_TCP);
    ret_stats->udp_flows = flow_table_count(nat->flows, FLOW_UDP) +
                           flow_table_count(nat->flows, FLOW_UDP_PEER);
    ret_stats->icmp_flows = flow_table_count(nat->flows, FLOW_ICMP);
}
