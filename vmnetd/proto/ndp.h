/*
 * Neighbour discovery (RFC 4861), address configuration (RFC 4862), and the
 * options of router advertisements: RFC 4191 (routes), RFC 8106 (DNS)
 *
 * Types have the names of <netinet/icmp6.h>: ND_NEIGHBOR_SOLICIT, ...
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_PROTO_NDP_H
#define VMNETD_PROTO_NDP_H

#include <netinet/icmp6.h>
#include "proto/ip.h"

/** Bytes of a frame with a neighbour solicitation or advertisement. */
#define NDP_NEIGHBOUR_FRAME_LEN (14 + 40 + 24 + 8)

/** Elements that NdpRa holds of each kind; more are passed over. */
#define NDP_PREFIXES_MAX 4
#define NDP_ROUTES_MAX 4
#define NDP_RDNSS_MAX 4
#define NDP_DOMAIN_MAX 254

/** Router preference (RFC 4191 2.1), as on the wire. */
typedef enum NdpPreference {
    NDP_PREFERENCE_MEDIUM = 0,
    NDP_PREFERENCE_HIGH = 1,
    NDP_PREFERENCE_RESERVED = 2,    /* treated as medium; never sent */
    NDP_PREFERENCE_LOW = 3,
} NdpPreference;

/** Flags of a neighbour advertisement (RFC 4861 4.4). */
typedef enum NdpNaFlags {
    NDP_NA_ROUTER = 0x80,
    NDP_NA_SOLICITED = 0x40,
    NDP_NA_OVERRIDE = 0x20,
} NdpNaFlags;

/**
 * NdpPrefix: a prefix information option (RFC 4861 4.6.2). Lifetimes in
 * seconds, UINT32_MAX for ever.
 */
typedef struct NdpPrefix {
    struct in6_addr prefix;
    uint8_t len;
    bool on_link, autonomous;
    uint32_t valid_s, preferred_s;
} NdpPrefix;

/** NdpRoute: a route information option (RFC 4191 2.3). */
typedef struct NdpRoute {
    struct in6_addr prefix;
    uint8_t len;
    NdpPreference preference;
    uint32_t lifetime_s;
} NdpRoute;

/**
 * NdpRa: a router advertisement.
 * @hop_limit: 0: unspecified, and so @reachable_ms and @retrans_ms
 * @router_lifetime_s: 0: not a default router
 * @has_lladdr: @lladdr is the source link-layer address
 * @mtu_bytes: 0: no option
 * @n_rdnss: resolvers, valid for @rdnss_s
 * @domain: of DNSSL, dotted, "" for none; a parser keeps the first only
 */
typedef struct NdpRa {
    uint8_t hop_limit;
    bool managed, other;
    NdpPreference preference;
    uint16_t router_lifetime_s;
    uint32_t reachable_ms, retrans_ms;
    bool has_lladdr;
    MacAddr lladdr;
    uint32_t mtu_bytes;
    unsigned n_prefixes, n_routes, n_rdnss;
    NdpPrefix prefixes[NDP_PREFIXES_MAX];
    NdpRoute routes[NDP_ROUTES_MAX];
    struct in6_addr rdnss[NDP_RDNSS_MAX];
    uint32_t rdnss_s, dnssl_s;
    char domain[NDP_DOMAIN_MAX];
} NdpRa;

/**
 * NdpMessage: NS, NA, RS or RA.
 * @type: ND_ROUTER_SOLICIT to ND_NEIGHBOR_ADVERT
 * @target, @na_flags: of NS and NA; @na_flags are of NdpNaFlags
 * @lladdr: if @has_lladdr: source (NS, RS, RA) or target (NA) address
 * @nonce: if @has_nonce: of NS (RFC 3971 5.3.2, RFC 7527)
 * @ra: of an RA
 */
typedef struct NdpMessage {
    uint8_t type;
    struct in6_addr target;
    unsigned na_flags;
    bool has_lladdr;
    MacAddr lladdr;
    bool has_nonce;
    uint8_t nonce[6];
    NdpRa ra;
} NdpMessage;

/**
 * ndp_parse: a message that has passed all that RFC 4861 asks (6.1.1, 6.1.2,
 * 7.1.1, 7.1.2): hop limit 255, code 0, checksum, length, no option of length
 * 0, source and destination that suit.
 *
 * Returns: false for all other packets; a redirect is none of ours.
 */
bool ndp_parse(const Frame *frame, const IpPacket *ip, NdpMessage *ret_ndp);

/** ndp_is_dad: a neighbour solicitation that asks whether an address is free. */
static inline bool ndp_is_dad(const IpPacket *ip, const NdpMessage *ndp)
{
    return ndp->type == ND_NEIGHBOR_SOLICIT && ip_addr_is_any(&ip->src);
}

/**
 * ndp_ns_build: a neighbour solicitation for @target, with @headers->eth_src
 * as its source link-layer address unless @headers->src is `::`.
 * @headers: @dst and @eth_dst zero: the solicited-node group; proto and ttl
 *     are set here, in all builders below
 *
 * Returns: bytes of the frame, at most NDP_NEIGHBOUR_FRAME_LEN.
 */
size_t ndp_ns_build(uint8_t buf[NDP_NEIGHBOUR_FRAME_LEN],
                    const IpHeaders *headers, const struct in6_addr *target);

/**
 * ndp_na_build: a neighbour advertisement of @target at @headers->eth_src.
 * @flags: of NdpNaFlags
 *
 * Returns: NDP_NEIGHBOUR_FRAME_LEN.
 */
size_t ndp_na_build(uint8_t buf[NDP_NEIGHBOUR_FRAME_LEN],
                    const IpHeaders *headers, const struct in6_addr *target,
                    unsigned flags);

/** ndp_rs_build: a router solicitation to all routers. For tests. */
size_t ndp_rs_build(uint8_t *buf, size_t size, const IpHeaders *headers);

/** ndp_ra_build: Returns: bytes of the frame; 0 if they do not fit. */
size_t ndp_ra_build(uint8_t *buf, size_t size, const IpHeaders *headers,
                    const NdpRa *ra);

/** The solicited-node group of @addr (RFC 4291 2.7.1). */
struct in6_addr ndp_solicited_node(const struct in6_addr *addr);
/** fe80:: and the modified EUI-64 of @mac (RFC 4291 appendix A). */
struct in6_addr ndp_link_local(const MacAddr *mac);

extern const struct in6_addr ndp_all_nodes;    /* ff02::1 */
extern const struct in6_addr ndp_all_routers;  /* ff02::2 */

#endif
