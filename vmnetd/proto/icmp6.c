/*
 * What an ICMPv6 error may be about (RFC 4443); messages are in icmp.c
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "proto/icmp6.h"

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
