/*
 * What the host's kernel routes, from a dump of its tables
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "uplink/host-table.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <string.h>

/* Entries kept of a kind: a router with a full table is no place for guests. */
#define HOST_TABLE_MAX 4096
/* A route of this length or longer belongs to someone: of IPv4, and of an
 * IPv6 site (RFC 4193 3.1). */
#define TAKEN_LEN_MIN_V4 17
#define TAKEN_LEN_MIN_V6 48

HostTable *host_table_new(void)
{
    HostTable *table = g_new0(HostTable, 1);

    table->own = g_array_new(FALSE, FALSE, sizeof(IpAddr));
    table->own_ifindex = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    table->broadcasts = g_array_new(FALSE, FALSE, sizeof(IpAddr));
    table->routes = g_array_new(FALSE, FALSE, sizeof(HostRoute));
    return table;
}

void host_table_free(HostTable *table)
{
    if (!table) {
        return;
    }
    g_array_unref(table->own);
    g_array_unref(table->own_ifindex);
    g_array_unref(table->broadcasts);
    g_array_unref(table->routes);
    g_free(table);
}

/* One route as the kernel tells it. */
typedef struct Route {
    const struct rtmsg *rtm;
    IpPrefix dst;
    uint32_t ifindex, metric;
} Route;

static bool attr_u32(const struct rtattr *attr, uint32_t *ret)
{
    if (RTA_PAYLOAD(attr) != sizeof(*ret)) {
        return false;
    }
    memcpy(ret, RTA_DATA(attr), sizeof(*ret));
    return true;
}

static void attr_addr(const struct rtattr *attr, IpAddr *ret)
{
    uint32_t v4;

    if (ret->family == AF_INET && attr_u32(attr, &v4)) {
        ret->v4 = ntohl(v4);
    } else if (ret->family == AF_INET6 &&
               RTA_PAYLOAD(attr) == sizeof(ret->v6)) {
        memcpy(&ret->v6, RTA_DATA(attr), sizeof(ret->v6));
    }
}

/* A route by several ways names the interface of the first in its hops. */
static void attr_multipath(const struct rtattr *attr, uint32_t *ret_ifindex)
{
    struct rtnexthop hop;

    if (RTA_PAYLOAD(attr) >= sizeof(hop)) {
        memcpy(&hop, RTA_DATA(attr), sizeof(hop));
        *ret_ifindex = hop.rtnh_ifindex;
    }
}

static bool route_parse(const struct nlmsghdr *header, Route *route)
{
    const struct rtattr *attr;
    int len;    /* signed: padding behind the last one takes it below 0 */

    if (header->nlmsg_len < NLMSG_LENGTH(sizeof(*route->rtm))) {
        return false;
    }
    memset(route, 0, sizeof(*route));
    route->rtm = NLMSG_DATA(header);
    if (route->rtm->rtm_family != AF_INET &&
        route->rtm->rtm_family != AF_INET6) {
        return false;
    }
    route->dst.addr.family = route->rtm->rtm_family;
    route->dst.len = route->rtm->rtm_dst_len;
    if (route->dst.len > (route->dst.addr.family == AF_INET ? 32 : 128)) {
        return false;
    }

    len = RTM_PAYLOAD(header);
    for (attr = RTM_RTA(route->rtm); RTA_OK(attr, len);
         attr = RTA_NEXT(attr, len)) {
        if (attr->rta_type == RTA_DST) {
            attr_addr(attr, &route->dst.addr);
        } else if (attr->rta_type == RTA_OIF) {
            attr_u32(attr, &route->ifindex);
        } else if (attr->rta_type == RTA_PRIORITY) {
            attr_u32(attr, &route->metric);
        } else if (attr->rta_type == RTA_MULTIPATH) {
            attr_multipath(attr, &route->ifindex);
        }
    }
    return true;
}

static void add_own(HostTable *table, const Route *route)
{
    const IpAddr *addr = &route->dst.addr;

    if (route->dst.len != (addr->family == AF_INET ? 32 : 128) ||
        ip_addr_is_loopback(addr) || table->own->len >= HOST_TABLE_MAX) {
        return;
    }
    g_array_append_val(table->own, *addr);
    g_array_append_val(table->own_ifindex, route->ifindex);
}

static void add_default(HostTable *table, const Route *route)
{
    bool is_v4 = route->dst.addr.family == AF_INET;
    uint32_t *ifindex = is_v4 ? &table->default4_ifindex :
                                &table->default6_ifindex;
    uint32_t *metric = is_v4 ? &table->default4_metric :
                               &table->default6_metric;

    if (route->ifindex && (!*ifindex || route->metric < *metric)) {
        *ifindex = route->ifindex;
        *metric = route->metric;
    }
}

static bool may_take(const HostRoute *route)
{
    const IpAddr *addr = &route->dst.addr;

    return (route->connected ||
            route->dst.len >= (addr->family == AF_INET ? TAKEN_LEN_MIN_V4 :
                                                         TAKEN_LEN_MIN_V6)) &&
           !ip_addr_is_link_local(addr) && !ip_addr_is_group(addr);
}

static void add_route(HostTable *table, const Route *route)
{
    HostRoute host_route = {
        .dst = route->dst,
        .ifindex = route->ifindex,
        .connected = route->rtm->rtm_protocol == RTPROT_KERNEL,
    };

    if (route->dst.len == 0) {
        if (route->rtm->rtm_type == RTN_UNICAST) {
            add_default(table, route);
        }
    } else if (may_take(&host_route) && table->routes->len < HOST_TABLE_MAX) {
        g_array_append_val(table->routes, host_route);
    }
}

static void table_add_route(HostTable *table, const struct nlmsghdr *header)
{
    Route route;

    if (!route_parse(header, &route)) {
        return;
    }
    /* What the kernel has learnt by itself of one destination. */
    if (route.rtm->rtm_flags & RTM_F_CLONED) {
        return;
    }
    switch (route.rtm->rtm_type) {
    case RTN_LOCAL:
        add_own(table, &route);
        break;
    case RTN_BROADCAST:
        if (table->broadcasts->len < HOST_TABLE_MAX) {
            g_array_append_val(table->broadcasts, route.dst.addr);
        }
        break;
    case RTN_UNICAST:
    case RTN_BLACKHOLE:
    case RTN_UNREACHABLE:
    case RTN_PROHIBIT:
        add_route(table, &route);
        break;
    default:
        break;
    }
}

bool host_table_add(HostTable *table, const void *msgs, size_t n_bytes,
                    bool *ret_done)
{
    const uint8_t *at = msgs;
    size_t left = n_bytes;

    while (left >= sizeof(struct nlmsghdr)) {
        const struct nlmsghdr *header = (const struct nlmsghdr *)at;
        size_t step;

        if (header->nlmsg_len < sizeof(*header) || header->nlmsg_len > left) {
            return false;
        }
        if (header->nlmsg_type == NLMSG_DONE ||
            header->nlmsg_type == NLMSG_ERROR) {
            *ret_done = true;
            return header->nlmsg_type == NLMSG_DONE;
        }
        if (header->nlmsg_type == RTM_NEWROUTE) {
            table_add_route(table, header);
        }
        /* The last one need not be padded. */
        step = MIN(NLMSG_ALIGN(header->nlmsg_len), left);
        at += step;
        left -= step;
    }
    return true;
}

/* How well an own address stands for the host; negative: not at all. */
static int address_score(const IpAddr *addr, uint32_t ifindex,
                         uint32_t default_ifindex)
{
    if (addr->family == AF_INET6 && ip_addr_is_link_local(addr)) {
        return -1;  /* means nothing without an interface */
    }
    return (ip_addr_is_link_local(addr) ? 0 : 1) +
           (default_ifindex && ifindex == default_ifindex ? 2 : 0);
}

static IpAddr choose_address(const HostTable *table, sa_family_t family,
                             uint32_t default_ifindex)
{
    IpAddr best = { .family = AF_UNSPEC };
    int best_score = -1;
    unsigned i;

    for (i = 0; i < table->own->len; i++) {
        const IpAddr *addr = &g_array_index(table->own, IpAddr, i);
        int score;

        if (addr->family != family) {
            continue;
        }
        score = address_score(addr, g_array_index(table->own_ifindex,
                                                  uint32_t, i),
                              default_ifindex);
        if (score > best_score) {
            best_score = score;
            best = *addr;
        }
    }
    return best;
}

void host_table_ignore(HostTable *table,
                       bool (*is_ours)(const void *opaque, uint32_t ifindex),
                       const void *opaque)
{
    unsigned i;

    for (i = table->routes->len; i-- > 0;) {
        uint32_t ifindex = g_array_index(table->routes, HostRoute, i).ifindex;

        if (ifindex && is_ours(opaque, ifindex)) {
            g_array_remove_index(table->routes, i);
        }
    }
}

void host_table_finish(HostTable *table)
{
    table->address4 = choose_address(table, AF_INET, table->default4_ifindex);
    table->address6 = choose_address(table, AF_INET6, table->default6_ifindex);
}

static bool contains(const GArray *addrs, const IpAddr *addr)
{
    unsigned i;

    for (i = 0; i < addrs->len; i++) {
        if (ip_addr_equal(&g_array_index(addrs, IpAddr, i), addr)) {
            return true;
        }
    }
    return false;
}

bool host_table_is_own(const HostTable *table, const IpAddr *addr)
{
    return contains(table->own, addr);
}

bool host_table_is_broadcast(const HostTable *table, const IpAddr *addr)
{
    return contains(table->broadcasts, addr);
}

const HostRoute *host_table_taker(const HostTable *table,
                                  const IpPrefix *subnet)
{
    unsigned i;

    for (i = 0; i < table->routes->len; i++) {
        const HostRoute *route = &g_array_index(table->routes, HostRoute, i);

        if (ip_prefix_overlaps(&route->dst, subnet)) {
            return route;
        }
    }
    return NULL;
}
