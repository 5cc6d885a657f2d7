/*
 * IPv4 and IPv6 headers: parse and build
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "proto/ip.h"

#include "proto/checksum.h"
#include "proto/cursor.h"

#define IPV4_HEADER_MIN 20
#define IPV4_HEADER_MAX 60
#define IPV6_HEADER_LEN 40

#define IPV4_FLAG_DF 0x4000
#define IPV4_FLAG_MF 0x2000
#define IPV4_OFFSET_MASK 0x1fff

/* IPv4 options (RFC 791 3.1) that are more than bytes to step over */
enum {
    IPV4_OPTION_END = 0,
    IPV4_OPTION_NOP = 1,
    IPV4_OPTION_LSRR = 131,
    IPV4_OPTION_SSRR = 137,
};

/*
 * Fragments whose last byte would lie past the largest packet (the "ping of
 * death"), and all but the last that are not whole blocks of 8 (RFC 791 3.2,
 * RFC 8200 4.5).
 */
static bool fragment_is_sane(const IpPacket *ip, size_t l3_before)
{
    if (ip->more_fragments && (ip->l4_len == 0 || ip->l4_len % 8 != 0)) {
        return false;
    }
    return l3_before + ip->frag_off + ip->l4_len <= UINT16_MAX;
}

/* RFC 7126 4.3, 4.4: a guest has no business to route by itself. */
static IpParse ipv4_options_check(const uint8_t *options, size_t len)
{
    Cursor c = cursor_new(options, len);

    while (cursor_left(&c) > 0) {
        uint8_t type = cursor_u8(&c);
        uint8_t option_len;

        if (type == IPV4_OPTION_END) {
            break;
        }
        if (type == IPV4_OPTION_NOP) {
            continue;
        }
        option_len = cursor_u8(&c);
        if (option_len < 2 || !cursor_bytes(&c, option_len - 2)) {
            return IP_PARSE_MALFORMED;
        }
        if (type == IPV4_OPTION_LSRR || type == IPV4_OPTION_SSRR) {
            return IP_PARSE_UNSUPPORTED;
        }
    }
    return c.error ? IP_PARSE_MALFORMED : IP_PARSE_OK;
}

static IpParse ipv4_parse(const Frame *frame, IpPacket *ip)
{
    uint8_t buf[IPV4_HEADER_MAX];
    size_t have = frame_peek(frame, ip->l3_off, buf, sizeof(buf));
    Cursor c = cursor_new(buf, have);
    uint16_t total_len, frag;
    size_t header_len;
    uint8_t first;
    IpParse result;

    first = cursor_u8(&c);
    ip->tos = cursor_u8(&c);
    total_len = cursor_u16(&c);
    ip->frag_id = cursor_u16(&c);
    frag = cursor_u16(&c);
    ip->ttl = cursor_u8(&c);
    ip->proto = cursor_u8(&c);
    cursor_u16(&c); /* checksum: covered by the sum below */
    ip->src.family = ip->dst.family = AF_INET;
    ip->src.v4 = cursor_u32(&c);
    ip->dst.v4 = cursor_u32(&c);

    header_len = (first & 0xf) * 4;
    if (c.error || first >> 4 != 4 || header_len < IPV4_HEADER_MIN ||
        header_len > have || total_len < header_len ||
        total_len > frame->len - ip->l3_off ||
        csum_fold(csum_add(0, buf, header_len)) != 0) {
        return IP_PARSE_MALFORMED;
    }
    result = ipv4_options_check(buf + IPV4_HEADER_MIN,
                                header_len - IPV4_HEADER_MIN);
    if (result != IP_PARSE_OK) {
        return result;
    }

    ip->l4_off = ip->l3_off + header_len;
    ip->l4_len = total_len - header_len;
    ip->frag_off = (frag & IPV4_OFFSET_MASK) * 8;
    ip->dont_fragment = frag & IPV4_FLAG_DF;
    ip->more_fragments = frag & IPV4_FLAG_MF;
    ip->is_fragment = ip->frag_off > 0 || ip->more_fragments;
    if (ip->is_fragment && !fragment_is_sane(ip, header_len)) {
        return IP_PARSE_MALFORMED;
    }
    return IP_PARSE_OK;
}

/*
 * One extension header (RFC 8200 4) at @ip->l4_off, of kind @ip->proto: step
 * over it.  What is behind a fragment header that means it belongs to a packet
 * still to be put together, and is not looked at.
 */
static IpParse ipv6_ext_step(const Frame *frame, IpPacket *ip)
{
    uint8_t buf[8];
    Cursor c = cursor_new(buf, sizeof(buf));
    uint8_t next, second, type, segments_left;
    uint32_t ext_len = sizeof(buf);

    /* The shortest of every kind is 8 bytes. */
    if (ip->l4_len < sizeof(buf) ||
        frame_peek(frame, ip->l4_off, buf, sizeof(buf)) != sizeof(buf)) {
        return IP_PARSE_MALFORMED;
    }
    next = cursor_u8(&c);
    second = cursor_u8(&c);

    switch (ip->proto) {
    case IPPROTO_FRAGMENT: {
        uint16_t frag = cursor_u16(&c);

        ip->frag_id = cursor_u32(&c);
        ip->frag_off = frag & 0xfff8;
        ip->more_fragments = frag & 1;
        /* RFC 6946: an atomic fragment is a whole packet. */
        ip->is_fragment = ip->frag_off > 0 || ip->more_fragments;
        break;
    }
    case IPPROTO_ROUTING:
        type = cursor_u8(&c);
        segments_left = cursor_u8(&c);
        /* RFC 5095: type 0 is gone, and we are nobody's waypoint. */
        if (type == 0 || segments_left != 0) {
            return IP_PARSE_UNSUPPORTED;
        }
        ext_len = (second + 1) * 8;
        break;
    case IPPROTO_AH:
        ext_len = (second + 2) * 4;
        break;
    default:
        ext_len = (second + 1) * 8;
        break;
    }

    if (ext_len > ip->l4_len) {
        return IP_PARSE_MALFORMED;
    }
    ip->proto = next;
    ip->l4_off += ext_len;
    ip->l4_len -= ext_len;
    return IP_PARSE_OK;
}

static bool ipv6_is_ext(uint8_t proto)
{
    return proto == IPPROTO_HOPOPTS || proto == IPPROTO_ROUTING ||
           proto == IPPROTO_FRAGMENT || proto == IPPROTO_DSTOPTS ||
           proto == IPPROTO_AH;
}

/* Up to the transport header, or to the data of a fragment. */
static IpParse ipv6_ext_walk(const Frame *frame, IpPacket *ip)
{
    unsigned n_ext;

    for (n_ext = 0; ipv6_is_ext(ip->proto) && !ip->is_fragment; n_ext++) {
        IpParse result;

        /* RFC 8200 4.1: hop-by-hop options come first or not at all. */
        if (n_ext == IP6_EXT_MAX ||
            (n_ext > 0 && ip->proto == IPPROTO_HOPOPTS)) {
            return IP_PARSE_UNSUPPORTED;
        }
        result = ipv6_ext_step(frame, ip);
        if (result != IP_PARSE_OK) {
            return result;
        }
    }
    return IP_PARSE_OK;
}

static IpParse ipv6_parse(const Frame *frame, IpPacket *ip)
{
    uint8_t buf[IPV6_HEADER_LEN];
    Cursor c = cursor_new(buf, frame_peek(frame, ip->l3_off, buf, sizeof(buf)));
    struct in6_addr src, dst;
    uint16_t payload_len;
    uint32_t first;
    IpParse result;

    first = cursor_u32(&c);
    payload_len = cursor_u16(&c);
    ip->proto = cursor_u8(&c);
    ip->ttl = cursor_u8(&c);
    cursor_copy(&c, &src, sizeof(src));
    cursor_copy(&c, &dst, sizeof(dst));
    if (c.error || first >> 28 != 6 ||
        payload_len > frame->len - ip->l3_off - IPV6_HEADER_LEN) {
        return IP_PARSE_MALFORMED;
    }
    /* RFC 2675: length 0 with a hop-by-hop header announces a jumbogram. */
    if (payload_len == 0 && ip->proto == IPPROTO_HOPOPTS) {
        return IP_PARSE_UNSUPPORTED;
    }
    ip->tos = first >> 20;
    ip->src = ip_addr_v6(&src);
    ip->dst = ip_addr_v6(&dst);
    ip->dont_fragment = true;
    ip->l4_off = ip->l3_off + IPV6_HEADER_LEN;
    ip->l4_len = payload_len;

    result = ipv6_ext_walk(frame, ip);
    if (result == IP_PARSE_OK && ip->is_fragment && !fragment_is_sane(ip, 0)) {
        return IP_PARSE_MALFORMED;
    }
    return result;
}

IpParse ip_first_fragment_walk(const Frame *frame, IpPacket *ip)
{
    IpPacket inner = *ip;
    IpParse result;

    inner.is_fragment = false;
    result = ipv6_ext_walk(frame, &inner);
    if (result != IP_PARSE_OK) {
        return result;
    }
    if (inner.is_fragment) {
        return IP_PARSE_UNSUPPORTED;    /* a fragment of a fragment */
    }
    ip->proto = inner.proto;
    ip->l4_off = inner.l4_off;
    ip->l4_len = inner.l4_len;
    return IP_PARSE_OK;
}

IpParse ip_packet_parse(const Frame *frame, IpPacket *ret_ip)
{
    EthHeader eth;

    return eth_parse(frame, &eth) ? ip_packet_parse_behind(frame, &eth, ret_ip)
                                  : IP_PARSE_MALFORMED;
}

IpParse ip_packet_parse_behind(const Frame *frame, const EthHeader *eth,
                               IpPacket *ret_ip)
{
    IpPacket ip = { 0 };
    IpParse result;

    ip.eth_src = eth->src;
    ip.eth_dst = eth->dst;
    ip.has_vlan = eth->has_vlan;
    ip.vlan_tci = eth->vlan_tci;
    ip.l3_off = eth->payload_off;

    if (eth->type == ETH_TYPE_IPV4) {
        result = ipv4_parse(frame, &ip);
    } else if (eth->type == ETH_TYPE_IPV6) {
        result = ipv6_parse(frame, &ip);
    } else {
        return IP_PARSE_NOT_IP;
    }
    if (result == IP_PARSE_OK) {
        *ret_ip = ip;
    }
    return result;
}

size_t ip_headers_len(sa_family_t family)
{
    return ETH_HEADER_LEN +
           (family == AF_INET ? IPV4_HEADER_MIN : IPV6_HEADER_LEN);
}

size_t ip_payload_max(sa_family_t family)
{
    return UINT16_MAX - (family == AF_INET ? IPV4_HEADER_MIN : 0);
}

static void ipv4_header_build(uint8_t *buf, const IpHeaders *headers,
                              uint16_t frag, size_t l4_len)
{
    uint16_t check;

    buf[0] = 0x45;
    buf[1] = headers->tos;
    writer_put_u16(buf + 2, IPV4_HEADER_MIN + l4_len);
    writer_put_u16(buf + 4, headers->id);
    writer_put_u16(buf + 6, frag);
    buf[8] = headers->ttl;
    buf[9] = headers->proto;
    writer_put_u16(buf + 10, 0);
    writer_put_u32(buf + 12, headers->src.v4);
    writer_put_u32(buf + 16, headers->dst.v4);
    check = csum_fold(csum_add(0, buf, IPV4_HEADER_MIN));
    memcpy(buf + 10, &check, sizeof(check));
}

static void ipv6_header_build(uint8_t *buf, const IpHeaders *headers,
                              uint8_t next, size_t payload_len)
{
    writer_put_u32(buf, 6u << 28 | (uint32_t)headers->tos << 20);
    writer_put_u16(buf + 4, payload_len);
    buf[6] = next;
    buf[7] = headers->ttl;
    memcpy(buf + 8, &headers->src.v6, 16);
    memcpy(buf + 24, &headers->dst.v6, 16);
}

size_t ip_headers_build(uint8_t *buf, const IpHeaders *headers, size_t l4_len)
{
    uint8_t *l3 = buf + ETH_HEADER_LEN;

    if (headers->src.family == AF_INET) {
        eth_build(buf, &headers->eth_dst, &headers->eth_src, ETH_TYPE_IPV4);
        ipv4_header_build(l3, headers,
                          headers->dont_fragment ? IPV4_FLAG_DF : 0, l4_len);
    } else {
        eth_build(buf, &headers->eth_dst, &headers->eth_src, ETH_TYPE_IPV6);
        ipv6_header_build(l3, headers, headers->proto, l4_len);
    }
    return ip_headers_len(headers->src.family);
}

size_t ip_fragment_headers_len(sa_family_t family)
{
    return ip_headers_len(family) + (family == AF_INET ? 0 : IP6_FRAGMENT_LEN);
}

size_t ip_fragment_headers_build(uint8_t *buf, const IpHeaders *headers,
                                 uint32_t id, uint16_t offset, bool more,
                                 size_t len)
{
    uint8_t *l3 = buf + ETH_HEADER_LEN;
    IpHeaders h = *headers;

    if (headers->src.family == AF_INET) {
        h.id = id;
        eth_build(buf, &h.eth_dst, &h.eth_src, ETH_TYPE_IPV4);
        ipv4_header_build(l3, &h, offset / 8 | (more ? IPV4_FLAG_MF : 0), len);
    } else {
        uint8_t *frag = l3 + IPV6_HEADER_LEN;

        eth_build(buf, &h.eth_dst, &h.eth_src, ETH_TYPE_IPV6);
        ipv6_header_build(l3, &h, IPPROTO_FRAGMENT, IP6_FRAGMENT_LEN + len);
        frag[0] = headers->proto;
        frag[1] = 0;
        writer_put_u16(frag + 2, (offset & 0xfff8) | more);
        writer_put_u32(frag + 4, id);
    }
    return ip_fragment_headers_len(headers->src.family);
}

size_t ip_fragment_payload_max(sa_family_t family, uint32_t mtu_bytes)
{
    size_t headers = ip_fragment_headers_len(family) - ETH_HEADER_LEN;

    return mtu_bytes < headers + 8 ? 8 : (mtu_bytes - headers) & ~(size_t)7;
}

uint32_t ip_pseudo_sum(const IpAddr *src, const IpAddr *dst, uint8_t proto,
                       uint32_t l4_len)
{
    uint8_t buf[40];
    Writer w = writer_new(buf, sizeof(buf));

    if (src->family == AF_INET) {
        writer_u32(&w, src->v4);
        writer_u32(&w, dst->v4);
    } else {
        writer_bytes(&w, &src->v6, sizeof(src->v6));
        writer_bytes(&w, &dst->v6, sizeof(dst->v6));
    }
    writer_u32(&w, l4_len);
    writer_u32(&w, proto);
    return csum_add(0, buf, writer_len(&w));
}

uint16_t ip_checksum_partial(const IpAddr *src, const IpAddr *dst,
                             uint8_t proto, uint32_t l4_len)
{
    return ~csum_fold(ip_pseudo_sum(src, dst, proto, l4_len));
}

bool ip_checksum_ok(const Frame *frame, const IpPacket *ip)
{
    uint32_t sum;

    if (frame->vnet.flags &
        (VIRTIO_NET_HDR_F_NEEDS_CSUM | VIRTIO_NET_HDR_F_DATA_VALID)) {
        return true;
    }
    sum = ip_pseudo_sum(&ip->src, &ip->dst, ip->proto, ip->l4_len);
    sum = csum_add_iov(sum, frame->iov, frame->n_iov, ip->l4_off, ip->l4_len);
    return csum_fold(sum) == 0;
}
