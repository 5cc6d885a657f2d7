/*
 * ICMP (RFC 792, RFC 1122 3.2.2, RFC 1812 4.3) and ICMPv6 (RFC 4443): messages
 * of both versions, and what an error quotes
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "proto/icmp.h"

#include "proto/checksum.h"
#include "proto/cursor.h"
#include "proto/icmp6.h"

#define ICMP_CHECKSUM_OFFSET 2

/* The quoted headers that are looked at: IPv6, a few extensions, transport */
#define ICMP_QUOTE_PEEK 160

static bool icmp_checksum_ok(const Frame *frame, const IpPacket *ip)
{
    if (ip->src.family == AF_INET6) {
        return ip_checksum_ok(frame, ip);
    }
    return csum_fold(csum_add_iov(0, frame->iov, frame->n_iov, ip->l4_off,
                                  ip->l4_len)) == 0;
}

static uint8_t icmp_proto(sa_family_t family)
{
    return family == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6;
}

bool icmp_parse(const Frame *frame, const IpPacket *ip, IcmpMessage *ret_icmp)
{
    uint8_t buf[ICMP_HEADER_LEN];
    Cursor c = cursor_new(buf, sizeof(buf));

    if (ip->proto != icmp_proto(ip->src.family) || ip->is_fragment ||
        ip->l4_len < sizeof(buf) ||
        frame_peek(frame, ip->l4_off, buf, sizeof(buf)) != sizeof(buf) ||
        !icmp_checksum_ok(frame, ip)) {
        return false;
    }
    ret_icmp->type = cursor_u8(&c);
    ret_icmp->code = cursor_u8(&c);
    cursor_u16(&c); /* checksum */
    ret_icmp->rest = cursor_u32(&c);
    ret_icmp->payload_off = ip->l4_off + sizeof(buf);
    ret_icmp->payload_len = ip->l4_len - sizeof(buf);
    return true;
}

size_t icmp_build(uint8_t *buf, size_t size, const IpHeaders *headers,
                  uint8_t type, uint8_t code, uint32_t rest,
                  const void *payload, size_t payload_len)
{
    sa_family_t family = headers->src.family;
    size_t l3_len = ip_headers_len(family);
    size_t l4_len = ICMP_HEADER_LEN + payload_len;
    uint8_t *l4 = buf + l3_len;
    IpHeaders h = *headers;
    uint16_t check;
    uint32_t sum;

    if (payload_len > ip_payload_max(family) - ICMP_HEADER_LEN ||
        size < l3_len + l4_len) {
        return 0;
    }
    h.proto = icmp_proto(family);
    ip_headers_build(buf, &h, l4_len);
    l4[0] = type;
    l4[1] = code;
    writer_put_u16(l4 + ICMP_CHECKSUM_OFFSET, 0);
    writer_put_u32(l4 + 4, rest);
    if (payload_len > 0) {
        memmove(l4 + ICMP_HEADER_LEN, payload, payload_len);
    }
    /* RFC 4443 2.3: ICMPv6 alone has a pseudo-header. */
    sum = family == AF_INET ? 0 : ip_pseudo_sum(&h.src, &h.dst, h.proto, l4_len);
    check = csum_fold(csum_add(sum, l4, l4_len));
    memcpy(l4 + ICMP_CHECKSUM_OFFSET, &check, sizeof(check));
    return l3_len + l4_len;
}

/* All that are not errors (RFC 1122 3.2.2); an unknown type may be one. */
static bool icmp_type_is_query(uint8_t type)
{
    switch (type) {
    case ICMP_ECHOREPLY:
    case ICMP_ECHO:
    case ICMP_ROUTERADVERT:
    case ICMP_ROUTERSOLICIT:
    case ICMP_TIMESTAMP:
    case ICMP_TIMESTAMPREPLY:
    case ICMP_INFO_REQUEST:
    case ICMP_INFO_REPLY:
    case ICMP_ADDRESS:
    case ICMP_ADDRESSREPLY:
        return true;
    default:
        return false;
    }
}

/* RFC 1122 3.2.2: an address that defines no single host */
static bool addr_is_host(const IpAddr *addr)
{
    return addr->v4 >> 24 != 0 && !ip_addr_is_loopback(addr) &&
           addr->v4 >> 28 < 0xe;
}

bool icmp_error_allowed(const Frame *frame, const IpPacket *ip)
{
    uint8_t type;

    if (ip->src.family != AF_INET || ip->frag_off > 0 ||
        mac_is_group(ip->eth_dst.b) || !addr_is_host(&ip->src) ||
        ip_addr_is_group(&ip->dst) || ip->dst.v4 == INADDR_BROADCAST) {
        return false;
    }
    if (ip->proto != IPPROTO_ICMP) {
        return true;
    }
    return ip->l4_len > 0 &&
           frame_peek(frame, ip->l4_off, &type, sizeof(type)) == sizeof(type) &&
           icmp_type_is_query(type);
}

/* Bytes of an error's frame. */
static size_t icmp_error_max(sa_family_t family)
{
    return family == AF_INET ? ICMP_ERROR_FRAME_MAX : ICMP6_ERROR_FRAME_MAX;
}

size_t icmp_error_build_quote(uint8_t *buf, const IpHeaders *headers,
                              uint8_t type, uint8_t code, uint32_t rest,
                              const uint8_t *quote, size_t quote_len)
{
    size_t max = icmp_error_max(headers->src.family);
    size_t room = max - ip_headers_len(headers->src.family) - ICMP_HEADER_LEN;

    return icmp_build(buf, max, headers, type, code, rest, quote,
                      MIN(quote_len, room));
}

size_t icmp_error_build(uint8_t *buf, const IpHeaders *headers, uint8_t type,
                        uint8_t code, uint32_t rest, const Frame *frame,
                        const IpPacket *ip)
{
    size_t before = ip_headers_len(headers->src.family) + ICMP_HEADER_LEN;
    size_t len = ip->l4_off - ip->l3_off + ip->l4_len;

    len = frame_peek(frame, ip->l3_off, buf + before,
                     MIN(len, icmp_error_max(headers->src.family) - before));
    return icmp_error_build_quote(buf, headers, type, code, rest,
                                  buf + before, len);
}

static bool icmp_type_is_error(sa_family_t family, uint8_t type)
{
    if (family == AF_INET) {
        return type == ICMP_DEST_UNREACH || type == ICMP_SOURCE_QUENCH ||
               type == ICMP_TIME_EXCEEDED || type == ICMP_PARAMETERPROB;
    }
    return type >= ICMP6_DST_UNREACH && type <= ICMP6_PARAM_PROB;
}

/* The quoted IPv4 header; leaves @c at the transport header. */
static bool quote_ipv4_parse(Cursor *c, IcmpQuote *quote)
{
    const uint8_t *header = cursor_bytes(c, 20);
    Cursor fields = cursor_new(header, header ? 20 : 0);
    size_t header_len;
    uint16_t frag;

    if (!header || header[0] >> 4 != 4) {
        return false;
    }
    header_len = (header[0] & 0xf) * 4;
    cursor_bytes(&fields, 6);
    frag = cursor_u16(&fields);
    cursor_u8(&fields); /* time to live */
    quote->proto = cursor_u8(&fields);
    cursor_u16(&fields); /* checksum: routers may have changed the header */
    quote->src = ip_addr_v4(cursor_u32(&fields));
    quote->dst = ip_addr_v4(cursor_u32(&fields));
    if (header_len < 20 || (frag & 0x1fff) != 0) {
        return false;
    }
    return cursor_bytes(c, header_len - 20) != NULL;
}

/* The quoted IPv6 header; leaves @c at the transport header. */
static bool quote_ipv6_parse(Cursor *c, IcmpQuote *quote)
{
    struct in6_addr src, dst;
    unsigned n_ext;

    if (cursor_u32(c) >> 28 != 6) {
        return false;
    }
    cursor_u16(c); /* payload length */
    quote->proto = cursor_u8(c);
    cursor_u8(c); /* hop limit */
    cursor_copy(c, &src, sizeof(src));
    cursor_copy(c, &dst, sizeof(dst));
    quote->src = ip_addr_v6(&src);
    quote->dst = ip_addr_v6(&dst);

    for (n_ext = 0; n_ext < IP6_EXT_MAX; n_ext++) {
        uint8_t next, len;

        if (quote->proto != IPPROTO_HOPOPTS &&
            quote->proto != IPPROTO_ROUTING &&
            quote->proto != IPPROTO_FRAGMENT &&
            quote->proto != IPPROTO_DSTOPTS) {
            return !c->error;
        }
        next = cursor_u8(c);
        len = cursor_u8(c);
        if (quote->proto == IPPROTO_FRAGMENT) {
            if ((cursor_u16(c) & 0xfff8) != 0) {
                return false;
            }
            cursor_u32(c);
        } else {
            cursor_bytes(c, 6 + len * 8);
        }
        quote->proto = next;
    }
    return false;
}

/* RFC 792 promises the first 8 bytes of what IP carried. */
static bool quote_transport_parse(Cursor *c, IcmpQuote *quote)
{
    uint8_t type;

    switch (quote->proto) {
    case IPPROTO_UDP:
    case IPPROTO_TCP:
        quote->sport = cursor_u16(c);
        quote->dport = cursor_u16(c);
        quote->seq = cursor_u32(c); /* UDP: length and checksum */
        break;
    case IPPROTO_ICMP:
    case IPPROTO_ICMPV6:
        type = cursor_u8(c);
        if (quote->proto == IPPROTO_ICMP
                ? type != ICMP_ECHO && type != ICMP_ECHOREPLY
                : type != ICMP6_ECHO_REQUEST && type != ICMP6_ECHO_REPLY) {
            return false;
        }
        cursor_bytes(c, 3); /* code, checksum */
        quote->sport = cursor_u16(c);
        quote->seq = cursor_u16(c);
        break;
    default:
        return false;
    }
    return !c->error;
}

bool icmp_quote_parse(const Frame *frame, const IpPacket *ip,
                      const IcmpMessage *icmp, IcmpQuote *ret_quote)
{
    uint8_t buf[ICMP_QUOTE_PEEK];
    IcmpQuote quote = { 0 };
    Cursor c;

    if (!icmp_type_is_error(ip->src.family, icmp->type)) {
        return false;
    }
    c = cursor_new(buf, frame_peek(frame, icmp->payload_off, buf,
                                   MIN(sizeof(buf), icmp->payload_len)));
    if (ip->src.family == AF_INET ? !quote_ipv4_parse(&c, &quote)
                                  : !quote_ipv6_parse(&c, &quote)) {
        return false;
    }
    if (!quote_transport_parse(&c, &quote)) {
        return false;
    }
    *ret_quote = quote;
    return true;
}
