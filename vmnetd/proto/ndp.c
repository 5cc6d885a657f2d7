/*
 * Neighbour discovery: parse with all that RFC 4861 asks, and build
 *
 * A message is copied whole before it is looked at.  One with extension
 * headers is refused: RFC 6980 forbids fragment headers, atomic ones included,
 * and nothing that speaks ND puts any other in front.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "proto/ndp.h"

#include "proto/cursor.h"
#include "proto/dns.h"
#include "proto/eth.h"
#include "proto/icmp6.h"

/** ND messages are small; a longer one is none of an honest neighbour. */
#define NDP_MESSAGE_MAX 1500

#define NDP_HOP_LIMIT 255
#define IPV6_HEADER_LEN 40

/* Options (RFC 4861 4.6, RFC 3971, RFC 4191, RFC 8106) */
typedef enum NdpOption {
    NDP_OPTION_SOURCE_LLADDR = 1,
    NDP_OPTION_TARGET_LLADDR = 2,
    NDP_OPTION_PREFIX = 3,
    NDP_OPTION_MTU = 5,
    NDP_OPTION_NONCE = 14,
    NDP_OPTION_ROUTE = 24,
    NDP_OPTION_RDNSS = 25,
    NDP_OPTION_DNSSL = 31,
} NdpOption;

#define NDP_RA_MANAGED 0x80
#define NDP_RA_OTHER 0x40
#define NDP_PREFIX_ON_LINK 0x80
#define NDP_PREFIX_AUTONOMOUS 0x40

const struct in6_addr ndp_all_nodes = { { { 0xff, 0x02, [15] = 1 } } };
const struct in6_addr ndp_all_routers = { { { 0xff, 0x02, [15] = 2 } } };

struct in6_addr ndp_solicited_node(const struct in6_addr *addr)
{
    struct in6_addr group = { { { 0xff, 0x02, [11] = 1, [12] = 0xff } } };

    memcpy(&group.s6_addr[13], &addr->s6_addr[13], 3);
    return group;
}

struct in6_addr ndp_link_local(const MacAddr *mac)
{
    struct in6_addr addr = { { { 0xfe, 0x80, [11] = 0xff, [12] = 0xfe } } };

    memcpy(&addr.s6_addr[8], mac->b, 3);
    memcpy(&addr.s6_addr[13], mac->b + 3, 3);
    addr.s6_addr[8] ^= 2;
    return addr;
}

/* RFC 4861 4.6.2. Nothing but /64 can be autonomous, but that is policy. */
static void option_prefix_parse(NdpRa *ra, Cursor *c)
{
    NdpPrefix prefix;
    uint8_t flags;

    prefix.len = cursor_u8(c);
    flags = cursor_u8(c);
    prefix.on_link = flags & NDP_PREFIX_ON_LINK;
    prefix.autonomous = flags & NDP_PREFIX_AUTONOMOUS;
    prefix.valid_s = cursor_u32(c);
    prefix.preferred_s = cursor_u32(c);
    cursor_u32(c); /* reserved */
    cursor_copy(c, &prefix.prefix, sizeof(prefix.prefix));
    if (!c->error && prefix.len <= 128 && ra->n_prefixes < NDP_PREFIXES_MAX) {
        ra->prefixes[ra->n_prefixes++] = prefix;
    }
}

/* RFC 4191 2.3: as much of the prefix as its length needs */
static void option_route_parse(NdpRa *ra, Cursor *c)
{
    NdpRoute route = { 0 };
    size_t have;

    route.len = cursor_u8(c);
    route.preference = (NdpPreference)(cursor_u8(c) >> 3 & 3);
    route.lifetime_s = cursor_u32(c);
    have = MIN(cursor_left(c), sizeof(route.prefix));
    cursor_copy(c, &route.prefix, have);
    if (!c->error && route.len <= 128 && route.len <= have * 8 &&
        ra->n_routes < NDP_ROUTES_MAX) {
        ra->routes[ra->n_routes++] = route;
    }
}

/* RFC 8106 5.1 */
static void option_rdnss_parse(NdpRa *ra, Cursor *c)
{
    struct in6_addr addr;

    cursor_u16(c); /* reserved */
    ra->rdnss_s = cursor_u32(c);
    while (cursor_left(c) >= sizeof(addr) && ra->n_rdnss < NDP_RDNSS_MAX) {
        cursor_copy(c, &addr, sizeof(addr));
        ra->rdnss[ra->n_rdnss++] = addr;
    }
}

/* RFC 8106 5.2: names are not compressed; zeros pad */
static void option_dnssl_parse(NdpRa *ra, Cursor *c)
{
    char text[DNS_NAME_STRLEN];
    uint32_t lifetime_s;
    DnsName name;

    cursor_u16(c); /* reserved */
    lifetime_s = cursor_u32(c);
    if (ra->domain[0] == '\0' && dns_name_read(c, NULL, &name) &&
        name.len > 1 &&
        strlen(dns_name_to_text(&name, text)) < sizeof(ra->domain)) {
        ra->dnssl_s = lifetime_s;
        strcpy(ra->domain, text);
    }
}

static void option_lladdr_parse(NdpMessage *ndp, Cursor *c)
{
    if (cursor_left(c) == sizeof(ndp->lladdr.b)) {
        cursor_copy(c, ndp->lladdr.b, sizeof(ndp->lladdr.b));
        ndp->has_lladdr = true;
    }
}

/* An option that its message does not know is passed over (RFC 4861 9). */
static void option_parse(NdpMessage *ndp, uint8_t type, Cursor *c)
{
    bool is_ra = ndp->type == ND_ROUTER_ADVERT;

    switch (type) {
    case NDP_OPTION_SOURCE_LLADDR:
        if (ndp->type != ND_NEIGHBOR_ADVERT) {
            option_lladdr_parse(ndp, c);
        }
        break;
    case NDP_OPTION_TARGET_LLADDR:
        if (ndp->type == ND_NEIGHBOR_ADVERT) {
            option_lladdr_parse(ndp, c);
        }
        break;
    case NDP_OPTION_NONCE:
        if (ndp->type == ND_NEIGHBOR_SOLICIT &&
            cursor_left(c) >= sizeof(ndp->nonce)) {
            cursor_copy(c, ndp->nonce, sizeof(ndp->nonce));
            ndp->has_nonce = true;
        }
        break;
    case NDP_OPTION_PREFIX:
        if (is_ra) {
            option_prefix_parse(&ndp->ra, c);
        }
        break;
    case NDP_OPTION_MTU:
        if (is_ra && cursor_left(c) == 6) {
            cursor_u16(c); /* reserved */
            ndp->ra.mtu_bytes = cursor_u32(c);
        }
        break;
    case NDP_OPTION_ROUTE:
        if (is_ra) {
            option_route_parse(&ndp->ra, c);
        }
        break;
    case NDP_OPTION_RDNSS:
        if (is_ra) {
            option_rdnss_parse(&ndp->ra, c);
        }
        break;
    case NDP_OPTION_DNSSL:
        if (is_ra) {
            option_dnssl_parse(&ndp->ra, c);
        }
        break;
    default:
        break;
    }
}

/* RFC 4861 6.1, 7.1: one option of length 0 condemns the message. */
static bool options_parse(NdpMessage *ndp, Cursor *c)
{
    while (cursor_left(c) > 0) {
        uint8_t type = cursor_u8(c);
        uint8_t len = cursor_u8(c);
        Cursor option;

        if (len == 0) {
            return false;
        }
        option = cursor_sub(c, len * 8 - 2);
        if (option.error) {
            return false;
        }
        option_parse(ndp, type, &option);
    }
    return !c->error;
}

static void ra_parse(NdpRa *ra, uint32_t rest, Cursor *c)
{
    uint8_t flags = rest >> 16;

    ra->hop_limit = rest >> 24;
    ra->managed = flags & NDP_RA_MANAGED;
    ra->other = flags & NDP_RA_OTHER;
    ra->preference = (NdpPreference)(flags >> 3 & 3);
    ra->router_lifetime_s = rest & 0xffff;
    ra->reachable_ms = cursor_u32(c);
    ra->retrans_ms = cursor_u32(c);
}

/* What must hold between the fields of a message and its addresses */
static bool message_is_valid(const IpPacket *ip, const NdpMessage *ndp)
{
    bool from_any = ip_addr_is_any(&ip->src);
    struct in6_addr group;

    if (ip_addr_is_group(&ip->src)) {
        return false;
    }
    switch (ndp->type) {
    case ND_ROUTER_SOLICIT: /* 6.1.1 */
        return !(from_any && ndp->has_lladdr);
    case ND_ROUTER_ADVERT: /* 6.1.2 */
        return ip_addr_is_link_local(&ip->src);
    case ND_NEIGHBOR_SOLICIT: /* 7.1.1 */
        if (IN6_IS_ADDR_MULTICAST(&ndp->target)) {
            return false;
        }
        group = ndp_solicited_node(&ndp->target);
        return !from_any || (!ndp->has_lladdr &&
                             IN6_ARE_ADDR_EQUAL(&ip->dst.v6, &group));
    case ND_NEIGHBOR_ADVERT: /* 7.1.2 */
        return !from_any && !IN6_IS_ADDR_MULTICAST(&ndp->target) &&
               !(ip_addr_is_group(&ip->dst) &&
                 ndp->na_flags & NDP_NA_SOLICITED);
    default:
        return false;
    }
}

bool ndp_parse(const Frame *frame, const IpPacket *ip, NdpMessage *ret_ndp)
{
    uint8_t buf[NDP_MESSAGE_MAX];
    NdpMessage ndp = { 0 };
    IcmpMessage icmp;
    Cursor c;

    if (ip->ttl != NDP_HOP_LIMIT || ip->l4_len > sizeof(buf) ||
        ip->l4_off != ip->l3_off + IPV6_HEADER_LEN ||
        !icmp_parse(frame, ip, &icmp) || icmp.code != 0) {
        return false;
    }
    ndp.type = icmp.type;
    c = cursor_new(buf, frame_peek(frame, icmp.payload_off, buf,
                                   icmp.payload_len));
    switch (ndp.type) {
    case ND_ROUTER_SOLICIT:
        break;
    case ND_ROUTER_ADVERT:
        ra_parse(&ndp.ra, icmp.rest, &c);
        break;
    case ND_NEIGHBOR_SOLICIT:
        cursor_copy(&c, &ndp.target, sizeof(ndp.target));
        break;
    case ND_NEIGHBOR_ADVERT:
        ndp.na_flags = icmp.rest >> 24 &
                       (NDP_NA_ROUTER | NDP_NA_SOLICITED | NDP_NA_OVERRIDE);
        cursor_copy(&c, &ndp.target, sizeof(ndp.target));
        break;
    default:
        return false;
    }
    if (!options_parse(&ndp, &c) || !message_is_valid(ip, &ndp)) {
        return false;
    }
    if (ndp.type == ND_ROUTER_ADVERT) {
        ndp.ra.has_lladdr = ndp.has_lladdr;
        ndp.ra.lladdr = ndp.lladdr;
    }
    *ret_ndp = ndp;
    return true;
}

static void writer_lladdr(Writer *w, NdpOption option, const MacAddr *mac)
{
    writer_u8(w, option);
    writer_u8(w, 1);
    writer_bytes(w, mac->b, sizeof(mac->b));
}

/* Where the part behind the first 8 bytes of a message is put together */
static Writer body_writer(uint8_t *buf, size_t size)
{
    size_t before = ip_headers_len(AF_INET6) + ICMP_HEADER_LEN;

    return size < before ? (Writer){ .error = true }
                         : writer_new(buf + before, size - before);
}

static size_t message_build(uint8_t *buf, size_t size, const IpHeaders *headers,
                            uint8_t type, uint32_t rest, const Writer *body)
{
    IpHeaders h = *headers;

    if (body->error) {
        return 0;
    }
    h.ttl = NDP_HOP_LIMIT;
    return icmp_build(buf, size, &h, type, 0, rest, body->start,
                       writer_len(body));
}

size_t ndp_ns_build(uint8_t buf[NDP_NEIGHBOUR_FRAME_LEN],
                    const IpHeaders *headers, const struct in6_addr *target)
{
    Writer w = body_writer(buf, NDP_NEIGHBOUR_FRAME_LEN);
    IpHeaders h = *headers;

    if (h.dst.family != AF_INET6 || ip_addr_is_any(&h.dst)) {
        struct in6_addr group = ndp_solicited_node(target);

        h.dst = ip_addr_v6(&group);
        h.eth_dst = eth_group_mac(&h.dst);
    }
    writer_bytes(&w, target, sizeof(*target));
    if (!ip_addr_is_any(&h.src)) {
        writer_lladdr(&w, NDP_OPTION_SOURCE_LLADDR, &h.eth_src);
    }
    return message_build(buf, NDP_NEIGHBOUR_FRAME_LEN, &h, ND_NEIGHBOR_SOLICIT,
                         0, &w);
}

size_t ndp_na_build(uint8_t buf[NDP_NEIGHBOUR_FRAME_LEN],
                    const IpHeaders *headers, const struct in6_addr *target,
                    unsigned flags)
{
    Writer w = body_writer(buf, NDP_NEIGHBOUR_FRAME_LEN);

    writer_bytes(&w, target, sizeof(*target));
    writer_lladdr(&w, NDP_OPTION_TARGET_LLADDR, &headers->eth_src);
    return message_build(buf, NDP_NEIGHBOUR_FRAME_LEN, headers,
                         ND_NEIGHBOR_ADVERT, (uint32_t)flags << 24, &w);
}

size_t ndp_rs_build(uint8_t *buf, size_t size, const IpHeaders *headers)
{
    Writer w = body_writer(buf, size);
    IpHeaders h = *headers;

    h.dst = ip_addr_v6(&ndp_all_routers);
    h.eth_dst = eth_group_mac(&h.dst);
    if (!ip_addr_is_any(&h.src)) {
        writer_lladdr(&w, NDP_OPTION_SOURCE_LLADDR, &h.eth_src);
    }
    return message_build(buf, size, &h, ND_ROUTER_SOLICIT, 0, &w);
}

static void writer_prefix(Writer *w, const NdpPrefix *prefix)
{
    writer_u8(w, NDP_OPTION_PREFIX);
    writer_u8(w, 4);
    writer_u8(w, prefix->len);
    writer_u8(w, (prefix->on_link ? NDP_PREFIX_ON_LINK : 0) |
                 (prefix->autonomous ? NDP_PREFIX_AUTONOMOUS : 0));
    writer_u32(w, prefix->valid_s);
    writer_u32(w, prefix->preferred_s);
    writer_u32(w, 0);
    writer_bytes(w, &prefix->prefix, sizeof(prefix->prefix));
}

static void writer_route(Writer *w, const NdpRoute *route)
{
    writer_u8(w, NDP_OPTION_ROUTE);
    writer_u8(w, 3);
    writer_u8(w, route->len);
    writer_u8(w, route->preference << 3);
    writer_u32(w, route->lifetime_s);
    writer_bytes(w, &route->prefix, sizeof(route->prefix));
}

static void writer_dns(Writer *w, const NdpRa *ra)
{
    unsigned n_rdnss = MIN(ra->n_rdnss, NDP_RDNSS_MAX);
    DnsName name;
    size_t pad;

    if (n_rdnss > 0) {
        writer_u8(w, NDP_OPTION_RDNSS);
        writer_u8(w, 1 + 2 * n_rdnss);
        writer_u16(w, 0);
        writer_u32(w, ra->rdnss_s);
        writer_bytes(w, ra->rdnss, n_rdnss * sizeof(ra->rdnss[0]));
    }
    if (ra->domain[0] != '\0' && dns_name_from_text(ra->domain, &name)) {
        pad = -name.len & 7;
        writer_u8(w, NDP_OPTION_DNSSL);
        writer_u8(w, 1 + (name.len + pad) / 8);
        writer_u16(w, 0);
        writer_u32(w, ra->dnssl_s);
        writer_bytes(w, name.wire, name.len);
        writer_zero(w, pad);
    }
}

size_t ndp_ra_build(uint8_t *buf, size_t size, const IpHeaders *headers,
                    const NdpRa *ra)
{
    uint8_t flags = (ra->managed ? NDP_RA_MANAGED : 0) |
                    (ra->other ? NDP_RA_OTHER : 0) | ra->preference << 3;
    Writer w = body_writer(buf, size);
    unsigned i;

    writer_u32(&w, ra->reachable_ms);
    writer_u32(&w, ra->retrans_ms);
    if (ra->has_lladdr) {
        writer_lladdr(&w, NDP_OPTION_SOURCE_LLADDR, &ra->lladdr);
    }
    if (ra->mtu_bytes > 0) {
        writer_u8(&w, NDP_OPTION_MTU);
        writer_u8(&w, 1);
        writer_u16(&w, 0);
        writer_u32(&w, ra->mtu_bytes);
    }
    for (i = 0; i < MIN(ra->n_prefixes, NDP_PREFIXES_MAX); i++) {
        writer_prefix(&w, &ra->prefixes[i]);
    }
    for (i = 0; i < MIN(ra->n_routes, NDP_ROUTES_MAX); i++) {
        writer_route(&w, &ra->routes[i]);
    }
    writer_dns(&w, ra);
    return message_build(buf, size, headers, ND_ROUTER_ADVERT,
                         (uint32_t)ra->hop_limit << 24 |
                             (uint32_t)flags << 16 | ra->router_lifetime_s,
                         &w);
}
