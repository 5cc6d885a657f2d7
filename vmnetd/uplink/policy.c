/*
 * What a guest may reach
 *
 * The gateway's own address stands for the host.  It is translated to one of
 * the host's addresses that is not loopback: services that are bound to
 * loopback only stay out of reach, and the others see a peer that is not
 * loopback either, so that "comes from 127.0.0.1" keeps its meaning on the
 * host.  host-loopback=on gives that up.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "uplink/policy.h"

#include "proto/dns.h"

#define V4(a, b, length) \
    { { .family = AF_INET, .v4 = (uint32_t)(a) << 24 | (b) << 16 }, (length) }
#define V6(length, ...) \
    { { .family = AF_INET6, .v6.s6_addr = { __VA_ARGS__ } }, (length) }

/* Never reached, whatever the configuration says. */
static const IpPrefix never[] = {
    V4(0, 0, 8),            /* "this host": connect() takes it for loopback */
    V4(127, 0, 8),
    V4(169, 254, 16),       /* RFC 3927 7: not to be forwarded */
    V4(224, 0, 4),          /* groups */
    V4(240, 0, 4),          /* reserved; broadcast */
    V6(128, 0),             /* ::, which connect() takes for loopback */
    V6(128, [15] = 1),
    V6(96, [10] = 0xff, [11] = 0xff),   /* IPv4 in disguise */
    V6(10, 0xfe, 0x80),     /* RFC 4291 2.5.6: not to be forwarded */
    V6(8, 0xff),
};

static bool is_never(const IpAddr *addr)
{
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(never); i++) {
        if (ip_prefix_contains(&never[i], addr)) {
            return true;
        }
    }
    return false;
}

static bool is_forbidden(const Policy *policy, const IpAddr *addr)
{
    unsigned i;

    for (i = 0; policy->forbidden && i < policy->forbidden->len; i++) {
        if (ip_prefix_contains(&g_array_index(policy->forbidden, IpPrefix, i),
                               addr)) {
            return true;
        }
    }
    return false;
}

static IpAddr loopback(sa_family_t family)
{
    return family == AF_INET ? ip_addr_v4(INADDR_LOOPBACK) :
                               ip_addr_v6(&in6addr_loopback);
}

static const IpAddr *gateway_of(const Policy *policy, sa_family_t family)
{
    return family == AF_INET ? &policy->gateway4 : &policy->gateway6;
}

bool policy_is_gateway(const Policy *policy, const IpAddr *addr)
{
    return addr->family != AF_UNSPEC &&
           ip_addr_equal(addr, gateway_of(policy, addr->family));
}

static bool gateway_route(const Policy *policy, uint8_t proto,
                          const IpEndpoint *dst, NatRoute *ret_route)
{
    bool is_v4 = dst->addr.family == AF_INET;
    uint16_t dns_port = is_v4 ? policy->dns4_port : policy->dns6_port;
    NatRoute route = { .target = *dst, .source.family = AF_UNSPEC };

    if (proto == IPPROTO_TCP && dst->port == DNS_PORT && dns_port) {
        route.target.addr = loopback(dst->addr.family);
        route.target.port = dns_port;
    } else if (policy->host_loopback) {
        route.target.addr = loopback(dst->addr.family);
    } else {
        route.target.addr = is_v4 ? policy->host->address4 :
                                    policy->host->address6;
    }
    if (route.target.addr.family == AF_UNSPEC) {
        return false;
    }
    *ret_route = route;
    return true;
}

static bool is_closed(const Policy *policy, sa_family_t family)
{
    return policy->host_only ||
           (family == AF_INET ? policy->no_nat44 : policy->no_nat66);
}

bool policy_route(const Policy *policy, uint8_t proto, const IpEndpoint *dst,
                  NatRoute *ret_route)
{
    const IpAddr *addr = &dst->addr;

    if (addr->family != AF_INET && addr->family != AF_INET6) {
        return false;
    }
    if (policy_is_gateway(policy, addr)) {
        return gateway_route(policy, proto, dst, ret_route);
    }
    if (is_closed(policy, addr->family) || is_never(addr) ||
        is_forbidden(policy, addr) ||
        host_table_is_broadcast(policy->host, addr)) {
        return false;
    }
    *ret_route = (NatRoute){
        .target = *dst,
        .source.family = AF_UNSPEC,
        .device = policy->device,
    };
    return true;
}

bool policy_may_forward(const Policy *policy, const IpAddr *dst)
{
    return policy_is_gateway(policy, dst) ||
           (!policy->host_only && !is_never(dst) && !is_forbidden(policy, dst));
}

/* Is the gateway the guests' way to the outside, so that they can answer it? */
static bool has_way_out(const Policy *policy, sa_family_t family)
{
    return !is_closed(policy, family) &&
           (family == AF_INET || policy->host->default6_ifindex);
}

IpAddr policy_peer_seen(const Policy *policy, const IpAddr *peer)
{
    const IpAddr *gateway = gateway_of(policy, peer->family);

    if (gateway->family != AF_UNSPEC &&
        (ip_addr_is_loopback(peer) || ip_addr_is_link_local(peer) ||
         host_table_is_own(policy->host, peer) ||
         !has_way_out(policy, peer->family))) {
        return *gateway;
    }
    return *peer;
}
