/*
 * ICMPv6 (RFC 4443) without neighbour discovery, which is in ndp.c
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "proto/icmp6.h"

#include "proto/checksum.h"
#include "proto/cursor.h"

#define ICMP6_CHECKSUM_OFFSET 2

bool icmp6_parse(const Frame *frame, const IpPacket *ip, IcmpMessage *ret_icmp)
{
    uint8_t buf[ICMP_HEADER_LEN];
    Cursor c = cursor_new(buf, sizeof(buf));

    if (ip->proto != IPPROTO_ICMPV6 || ip->src.family != AF_INET6 ||
        ip->is_fragment || ip->l4_len < sizeof(buf) ||
        frame_peek(frame, ip->l4_off, buf, sizeof(buf)) != sizeof(buf) ||
        !ip_checksum_ok(frame, ip)) {
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

size_t icmp6_build(uint8_t *buf, size_t size, const IpHeaders *headers,
                   uint8_t type, uint8_t code, uint32_t rest,
                   const void *payload, size_t payload_len)
{
    size_t l3_len = ip_headers_len(AF_INET6);
    size_t l4_len = ICMP_HEADER_LEN + payload_len;
    uint8_t *l4 = buf + l3_len;
    IpHeaders h = *headers;
    uint16_t check;
    uint32_t sum;

    if (payload_len > ip_payload_max(AF_INET6) - ICMP_HEADER_LEN ||
        size < l3_len + l4_len) {
        return 0;
    }
    h.proto = IPPROTO_ICMPV6;
    ip_headers_build(buf, &h, l4_len);
    l4[0] = type;
    l4[1] = code;
    writer_put_u16(l4 + ICMP6_CHECKSUM_OFFSET, 0);
    writer_put_u32(l4 + 4, rest);
    if (payload_len > 0) {
        memmove(l4 + ICMP_HEADER_LEN, payload, payload_len);
    }
    sum = ip_pseudo_sum(&h.src, &h.dst, IPPROTO_ICMPV6, l4_len);
    check = csum_fold(csum_add(sum, l4, l4_len));
    memcpy(l4 + ICMP6_CHECKSUM_OFFSET, &check, sizeof(check));
    return l3_len + l4_len;
}

bool icmp6_error_allowed(const Frame *frame, const IpPacket *ip,
                         uint8_t type, uint8_t code)
{
    /* RFC 4443 2.4 (e.3): path MTU discovery must work for groups, too. */
    bool to_group_allowed = type == ICMP6_PACKET_TOO_BIG ||
                            (type == ICMP6_PARAM_PROB &&
                             code == ICMP6_PARAMPROB_OPTION);
    uint8_t what;

    if (ip->src.family != AF_INET6 || ip->frag_off > 0 ||
        ip_addr_is_any(&ip->src) || ip_addr_is_group(&ip->src) ||
        ip_addr_is_loopback(&ip->src)) {
        return false;
    }
    if ((mac_is_group(ip->eth_dst.b) || ip_addr_is_group(&ip->dst)) &&
        !to_group_allowed) {
        return false;
    }
    if (ip->proto != IPPROTO_ICMPV6) {
        return true;
    }
    /* Errors are all below 128; a redirect informs like one. */
    return ip->l4_len > 0 &&
           frame_peek(frame, ip->l4_off, &what, sizeof(what)) == sizeof(what) &&
           (what & ICMP6_INFOMSG_MASK) != 0 && what != ND_REDIRECT;
}

size_t icmp6_error_build_quote(uint8_t buf[ICMP6_ERROR_FRAME_MAX],
                               const IpHeaders *headers, uint8_t type,
                               uint8_t code, uint32_t rest,
                               const uint8_t *quote, size_t quote_len)
{
    size_t room = ICMP6_ERROR_FRAME_MAX - ip_headers_len(AF_INET6) -
                  ICMP_HEADER_LEN;

    return icmp6_build(buf, ICMP6_ERROR_FRAME_MAX, headers, type, code, rest,
                       quote, MIN(quote_len, room));
}

size_t icmp6_error_build(uint8_t buf[ICMP6_ERROR_FRAME_MAX],
                         const IpHeaders *headers, uint8_t type, uint8_t code,
                         uint32_t rest, const Frame *frame,
                         const IpPacket *ip)
{
    size_t before = ip_headers_len(AF_INET6) + ICMP_HEADER_LEN;
    size_t len = ip->l4_off - ip->l3_off + ip->l4_len;

    len = frame_peek(frame, ip->l3_off, buf + before,
                     MIN(len, ICMP6_ERROR_FRAME_MAX - before));
    return icmp6_error_build_quote(buf, headers, type, code, rest,
                                   buf + before, len);
}
