/*
 * The uplink: what joins gateway, nat/, policy and resolver
 *
 *   sockets   gateway -- nat/ -- sockets
 *   kernel    gateway -- the host's interface on the network, whose address is
 *             the gateway's: the host routes, translates and answers
 *
 * With the kernel's, nat/ is left with DNS over TCP, whose listener is not at
 * the gateway's address, and with who comes by a forward that the kernel was not
 * told of.  A packet for the host keeps its frame: it has the gateway's MAC
 * address, as that interface has.
 *
 * In host mode it is there as well: answers of guests to those who came by a
 * forward belong to flows that nat/ knows, and the gateway's address stands
 * for the host; the policy refuses all else.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "uplink/uplink-internal.h"

#include "proto/dns.h"

/* UplinkOps: from the gateway */

/* With the kernel's uplink: is it nat/'s all the same? */
static bool is_nats(const Uplink *uplink, const Frame *frame,
                    const IpPacket *ip)
{
    IpEndpoint guest = { .addr = ip->src }, outside = { .addr = ip->dst };
    bool is_tcp = ip->proto == IPPROTO_TCP;
    uint8_t ports[4];

    if ((!is_tcp && ip->proto != IPPROTO_UDP) || ip->is_fragment ||
        frame_peek(frame, ip->l4_off, ports, sizeof(ports)) != sizeof(ports)) {
        return false;
    }
    guest.port = ports[0] << 8 | ports[1];
    outside.port = ports[2] << 8 | ports[3];
    return (is_tcp && uplink->dns && outside.port == DNS_PORT &&
            policy_is_gateway(&uplink->policy, &ip->dst)) ||
           nat_has_flow(uplink->nat, ip->proto, &guest, &outside);
}

static UplinkVerdict host_input(Uplink *uplink, const Frame *frame,
                                const IpPacket *ip, int64_t now_ms)
{
    if (!policy_may_forward(&uplink->policy, &ip->dst)) {
        return UPLINK_REFUSED;
    }
    uplink->config.to_host(uplink->config.opaque, frame, now_ms);
    return UPLINK_OK;
}

static UplinkVerdict op_input(void *opaque, const Frame *frame,
                              const IpPacket *ip, int64_t now_ms)
{
    Uplink *uplink = opaque;

    if (uplink->config.to_host && !is_nats(uplink, frame, ip)) {
        return host_input(uplink, frame, ip, now_ms);
    }
    switch (nat_input(uplink->nat, frame, ip, now_ms)) {
    case NAT_OK:
        return UPLINK_OK;
    case NAT_REFUSED:
        return UPLINK_REFUSED;
    case NAT_MALFORMED:
        return UPLINK_MALFORMED;
    case NAT_LIMIT:
        return UPLINK_LIMIT;
    }
    g_assert_not_reached();
}

static void op_flush(void *opaque, int64_t now_ms)
{
    Uplink *uplink = opaque;

    nat_flush(uplink->nat, now_ms);
}

static void op_resume(void *opaque, uint32_t id, int64_t now_ms)
{
    uplink_resume(opaque, id, now_ms);
}

static bool op_dns_query(void *opaque, uint32_t token, const uint8_t *msg,
                         size_t len, int64_t now_ms)
{
    Uplink *uplink = opaque;
    bool by_tcp = uplink->dns && dns_listener_is_asking(uplink->dns);

    return resolver_query(uplink->resolver, token, msg, len, by_tcp, now_ms);
}

static void op_neighbour(void *opaque, const Frame *frame, int64_t now_ms)
{
    Uplink *uplink = opaque;

    if (uplink->config.to_host) {
        uplink->config.to_host(uplink->config.opaque, frame, now_ms);
    }
}

static void op_port_gone(void *opaque, uint32_t id, int64_t now_ms)
{
    Uplink *uplink = opaque;

    nat_port_gone(uplink->nat, id, now_ms);
    if (uplink->dns) {
        dns_listener_port_gone(uplink->dns, id);
    }
}

static const UplinkOps uplink_ops = {
    .input = op_input,
    .flush = op_flush,
    .resume = op_resume,
    .dns_query = op_dns_query,
    .neighbour = op_neighbour,
    .port_gone = op_port_gone,
};

void uplink_resume(Uplink *uplink, uint32_t port_id, int64_t now_ms)
{
    nat_resume(uplink->nat, port_id, now_ms);
}

/* NatOps: from nat/ */

static bool nat_op_route(void *opaque, uint8_t proto, const IpEndpoint *dst,
                         NatRoute *ret_route)
{
    Uplink *uplink = opaque;

    uplink->policy.host = host_table(uplink->config.host);
    return policy_route(&uplink->policy, proto, dst, ret_route);
}

static IpAddr nat_op_peer_seen(void *opaque, const IpAddr *peer)
{
    Uplink *uplink = opaque;

    uplink->policy.host = host_table(uplink->config.host);
    return policy_peer_seen(&uplink->policy, peer);
}

static bool nat_op_neighbour(void *opaque, const IpAddr *guest, int64_t now_ms,
                             MacAddr *ret_mac, uint32_t *ret_port)
{
    Uplink *uplink = opaque;

    return gateway_neighbour(uplink->config.gateway, guest, now_ms, ret_mac,
                             ret_port);
}

static NatRoom nat_op_room(void *opaque, const NatHead *head, int64_t now_ms)
{
    Uplink *uplink = opaque;

    return uplink->config.room(uplink->config.opaque, head, now_ms);
}

static unsigned nat_op_offloads(void *opaque, const MacAddr *mac,
                                int64_t now_ms)
{
    Uplink *uplink = opaque;

    return uplink->config.offloads
           ? uplink->config.offloads(uplink->config.opaque, mac, now_ms) : 0;
}

static void nat_op_output(void *opaque, Frame *frames, unsigned n,
                          int64_t now_ms)
{
    Uplink *uplink = opaque;

    uplink->config.output(uplink->config.opaque, frames, n, now_ms);
}

static void nat_op_deadline(void *opaque, int64_t deadline_ms)
{
    Uplink *uplink = opaque;

    if (deadline_ms < 0) {
        loop_timer_disarm(uplink->timer);
    } else {
        loop_timer_arm(uplink->timer, deadline_ms);
    }
}

static void nat_op_fault(void *opaque, const IpEndpoint *guest,
                         const char *call, int errnum)
{
    Uplink *uplink = opaque;

    fault_log(&uplink->faults, "guest", guest, call, errnum, loop_now_ms());
}

static const NatOps nat_ops = {
    .route = nat_op_route,
    .peer_seen = nat_op_peer_seen,
    .neighbour = nat_op_neighbour,
    .room = nat_op_room,
    .offloads = nat_op_offloads,
    .output = nat_op_output,
    .deadline = nat_op_deadline,
    .fault = nat_op_fault,
};

static void on_timer(void *opaque, int64_t now_ms)
{
    Uplink *uplink = opaque;

    nat_run(uplink->nat, now_ms);
}

/* DNS */

static void on_dns_answer(void *opaque, uint32_t token, const uint8_t *msg,
                          size_t len, int64_t now_ms)
{
    Uplink *uplink = opaque;

    gateway_dns_reply(uplink->config.gateway, token, msg, len, now_ms);
}

static bool is_our_flow(void *opaque, const IpEndpoint *peer,
                        uint32_t *ret_port)
{
    Uplink *uplink = opaque;
    IpEndpoint guest;
    MacAddr mac;

    return nat_tcp_flow_of(uplink->nat, peer, &guest) &&
           gateway_neighbour(uplink->config.gateway, &guest.addr,
                             loop_now_ms(), &mac, ret_port);
}

static const DnsListenerOps dns_ops = {
    .is_ours = is_our_flow,
};

static void dns_start(Uplink *uplink)
{
    const UplinkConfig *config = &uplink->config;

    uplink->dns = dns_listener_new(config->loop, config->gateway, &dns_ops,
                                   uplink);
    uplink->policy.dns4_port = dns_listener_port(uplink->dns, AF_INET);
    uplink->policy.dns6_port = dns_listener_port(uplink->dns, AF_INET6);
}

/* Life and death */

static Nat *make_nat(Uplink *uplink)
{
    const UplinkConfig *config = &uplink->config;
    NatConfig nat_config = {
        .loop = config->loop,
        .gateway_mac = config->gateway_mac,
        .gateway4 = config->gateway4,
        .gateway6 = config->gateway6,
        .mtu_bytes = config->mtu_bytes,
        .no_peek_off = config->no_peek_off,
        /* switch_input() flushes the gateway's port before it returns. */
        .hold_frames = true,
        .quota = config->quota,
    };

    memcpy(nat_config.hash_key, config->hash_key, sizeof(config->hash_key));
    return nat_new(&nat_config, &nat_ops, uplink);
}

Uplink *uplink_new(const UplinkConfig *config, GError **error)
{
    Uplink *uplink = g_new0(Uplink, 1);

    uplink->config = *config;
    uplink->policy = (Policy){
        .gateway4 = config->gateway4,
        .gateway6 = config->gateway6,
        .forbidden = config->forbidden,
        .host = host_table(config->host),
        .host_loopback = config->host_loopback,
        .host_only = config->host_only,
        .no_nat44 = config->no_nat44,
        .no_nat66 = config->no_nat66,
        .device = config->device,
    };
    uplink->timer = loop_timer_new(config->loop, on_timer, uplink);
    uplink->nat = make_nat(uplink);
    uplink->resolver = resolver_new(config->loop, config->resolv_conf,
                                    config->dns_quota, on_dns_answer, uplink);
    if (config->dns_tcp) {
        dns_start(uplink);
    }
    gateway_set_uplink(config->gateway, &uplink_ops, uplink);
    return uplink;
}

void uplink_free(Uplink *uplink)
{
    if (!uplink) {
        return;
    }
    dns_listener_free(uplink->dns);
    gateway_set_uplink(uplink->config.gateway, NULL, NULL);
    resolver_free(uplink->resolver);
    nat_free(uplink->nat);
    loop_timer_free(uplink->timer);
    g_free(uplink);
}

void uplink_stats(Uplink *uplink, NatStats *ret_stats)
{
    nat_stats(uplink->nat, ret_stats);
}
