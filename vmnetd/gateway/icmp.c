/*
 * ICMP and ICMPv6 of the gateway itself: echo, and errors about packets that
 * go nowhere (RFC 792, RFC 1812 4.3, RFC 4443)
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "gateway/gateway-internal.h"

#include "limits.h"

/* RFC 1340, RFC 1700: the default for what a host sends. */
#define GATEWAY_TTL 64

typedef struct ErrorKind {
    uint8_t type4, code4, type6, code6;
} ErrorKind;

static const ErrorKind error_kinds[GATEWAY_ERROR__MAX] = {
    [GATEWAY_ERROR_PROHIBITED] = {
        ICMP_DEST_UNREACH, ICMP_PKT_FILTERED,
        ICMP6_DST_UNREACH, ICMP6_DST_UNREACH_ADMIN,
    },
    [GATEWAY_ERROR_NO_PORT] = {
        ICMP_DEST_UNREACH, ICMP_PORT_UNREACH,
        ICMP6_DST_UNREACH, ICMP6_DST_UNREACH_NOPORT,
    },
    [GATEWAY_ERROR_NO_PROTOCOL] = {
        ICMP_DEST_UNREACH, ICMP_PROT_UNREACH,
        ICMP6_PARAM_PROB, ICMP6_PARAMPROB_NEXTHEADER,
    },
    [GATEWAY_ERROR_TTL] = {
        ICMP_TIME_EXCEEDED, ICMP_EXC_TTL,
        ICMP6_TIME_EXCEEDED, ICMP6_TIME_EXCEED_TRANSIT,
    },
};

IpHeaders gateway_answer_headers(const Gateway *gw, const IpPacket *ip,
                                 const IpAddr *src)
{
    return (IpHeaders) {
        .eth_src = gw->config.mac,
        .eth_dst = ip->eth_src,
        .src = *src,
        .dst = ip->src,
        .ttl = GATEWAY_TTL,
        .dont_fragment = true,
    };
}

/* The address that a guest with @ip's source knows us by. */
static const IpAddr *own_address_for(const Gateway *gw, const IpPacket *ip)
{
    if (ip->src.family == AF_INET) {
        return &gw->config.gateway4;
    }
    return ip_addr_is_link_local(&ip->src) ? &gw->link_local6 : &gw->gateway6;
}

bool gateway_echo_input(Gateway *gw, const Frame *frame, const IpPacket *ip)
{
    bool is_v4 = ip->src.family == AF_INET;
    const IpAddr *src = ip_addr_is_group(&ip->dst) ?
                        own_address_for(gw, ip) : &ip->dst;
    size_t headers_len = ip_headers_len(ip->src.family) + ICMP_HEADER_LEN;
    IcmpMessage icmp;
    IpHeaders headers;
    size_t size, len;
    uint8_t *buf;

    if (!icmp_parse(frame, ip, &icmp) ||
        icmp.type != (is_v4 ? ICMP_ECHO : ICMP6_ECHO_REQUEST) ||
        icmp.code != 0) {
        return false;
    }
    size = headers_len + icmp.payload_len;
    buf = outbox_room(&gw->outbox, size);
    if (!buf) {
        gateway_drop(gw, frame->src_port, SWITCH_DROP_LIMIT);
        return true;
    }

    headers = gateway_answer_headers(gw, ip, src);
    headers.tos = ip->tos; /* RFC 1122 3.2.1.6 */
    frame_peek(frame, icmp.payload_off, buf + headers_len, icmp.payload_len);
    len = icmp_build(buf, size, &headers,
                     is_v4 ? ICMP_ECHOREPLY : ICMP6_ECHO_REPLY, 0, icmp.rest,
                     buf + headers_len, icmp.payload_len);
    if (len > 0) {
        outbox_add(&gw->outbox, len);
    }
    return true;
}

/* RFC 1122 3.2.2: nothing that was sent to many is answered by an error. */
static bool error_allowed(const Gateway *gw, const Frame *frame,
                          const IpPacket *ip, const ErrorKind *kind)
{
    if (ip->src.family == AF_INET) {
        uint32_t host_mask = ~ip_len_to_mask(gw->config.prefix4.len);

        if (ip_prefix_contains(&gw->config.prefix4, &ip->dst) &&
            (ip->dst.v4 & host_mask) == host_mask) {
            return false;
        }
        return icmp_error_allowed(frame, ip);
    }
    return icmp6_error_allowed(frame, ip, kind->type6, kind->code6);
}

void gateway_icmp_error(Gateway *gw, const Frame *frame, const IpPacket *ip,
                        GatewayError error)
{
    const ErrorKind *kind = &error_kinds[error];
    GatewayPort *port = gateway_port(gw, frame->src_port);
    uint32_t rest = 0;
    IpHeaders headers;
    uint8_t *buf;

    if (!error_allowed(gw, frame, ip, kind) ||
        !rate_limit_take(&port->icmp_errors, LIMIT_ICMP_ERROR_BURST,
                         LIMIT_ICMP_ERROR_PER_SECOND, gw->now_ms)) {
        return;
    }
    buf = outbox_room(&gw->outbox, ICMP6_ERROR_FRAME_MAX);
    if (!buf) {
        return;
    }
    headers = gateway_answer_headers(gw, ip, own_address_for(gw, ip));
    if (ip->src.family == AF_INET) {
        outbox_add(&gw->outbox,
                   icmp_error_build(buf, &headers, kind->type4, kind->code4,
                                    rest, frame, ip));
        return;
    }
    if (error == GATEWAY_ERROR_NO_PROTOCOL) {
        /* RFC 4443 3.4: a pointer to the next header field; ours to guess
         * only where no extension headers follow. */
        rest = 6;
    }
    outbox_add(&gw->outbox,
               icmp_error_build(buf, &headers, kind->type6, kind->code6,
                                rest, frame, ip));
}
