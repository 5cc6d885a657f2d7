/*
 * ICMP for IPv4 (RFC 792, RFC 1122 3.2.2, RFC 1812 4.3)
 *
 * Types and codes have the names of <netinet/ip_icmp.h>: ICMP_ECHO,
 * ICMP_DEST_UNREACH, ICMP_FRAG_NEEDED, ICMP_PKT_FILTERED, ...
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_PROTO_ICMP_H
#define VMNETD_PROTO_ICMP_H

#include <netinet/ip_icmp.h>
#include "proto/ip.h"

#define ICMP_HEADER_LEN 8

/** RFC 1812 4.3.2.3: an error's IP packet is at most this long. */
#define ICMP_ERROR_PACKET_MAX 576

/** Bytes of a frame that icmp_error_build() writes at most. */
#define ICMP_ERROR_FRAME_MAX (14 + ICMP_ERROR_PACKET_MAX)

/**
 * IcmpMessage: ICMP or ICMPv6.
 * @rest: the four bytes behind the checksum, in host order: an echo's
 *     identifier and sequence number, the MTU in the low 16 bits of "frag
 *     needed" or in all of "packet too big"
 * @payload_off: from the frame's first byte
 */
typedef struct IcmpMessage {
    uint8_t type, code;
    uint32_t rest;
    uint32_t payload_off, payload_len;
} IcmpMessage;

static inline uint16_t icmp_echo_id(const IcmpMessage *icmp)
{
    return icmp->rest >> 16;
}

static inline uint16_t icmp_echo_seq(const IcmpMessage *icmp)
{
    return icmp->rest & 0xffff;
}

/**
 * icmp_parse: an ICMP message, or ICMPv6 over IPv6, with a right checksum, not
 * in a fragment.
 * Cost: reads the whole packet.
 */
bool icmp_parse(const Frame *frame, const IpPacket *ip, IcmpMessage *ret_icmp);

/**
 * icmp_build: a whole frame in contiguous memory; for echo messages.
 * @headers: @proto is set here; the version is that of @src
 * @payload: may already lie in its place in @buf: at ip_headers_len() + 8
 *
 * Returns: bytes of the frame; 0 if they do not fit into @size or an IP packet.
 */
size_t icmp_build(uint8_t *buf, size_t size, const IpHeaders *headers,
                  uint8_t type, uint8_t code, uint32_t rest,
                  const void *payload, size_t payload_len);

/**
 * icmp_error_allowed: may @ip be answered with an ICMP error at all?  Not an
 * ICMP error or unknown ICMP type, not a fragment but the first, not to or
 * from a group, broadcast, loopback or missing address, not a link-layer
 * broadcast (RFC 1122 3.2.2).  Directed broadcast is the caller's to know.
 */
bool icmp_error_allowed(const Frame *frame, const IpPacket *ip);

/**
 * icmp_error_build: an error about @ip, which it quotes from its IP header on,
 * as far as 576 bytes allow (ICMPv6: 1280).  The caller has asked
 * icmp_error_allowed() or icmp6_error_allowed().
 * @buf: ICMP_ERROR_FRAME_MAX bytes, of ICMPv6 ICMP6_ERROR_FRAME_MAX
 * @headers: from us to the offender; @proto is set here
 * @rest: for ICMP_FRAG_NEEDED (RFC 1191 4) and ICMP6_PACKET_TOO_BIG the MTU, for
 *     ICMP6_PARAM_PROB a pointer, else 0
 *
 * Returns: bytes of the frame.
 */
size_t icmp_error_build(uint8_t *buf, const IpHeaders *headers, uint8_t type,
                        uint8_t code, uint32_t rest, const Frame *frame,
                        const IpPacket *ip);

/**
 * icmp_error_build_quote: the same about a packet that exists no more: @quote
 * begins with its IP header and goes on with at least 8 bytes.
 */
size_t icmp_error_build_quote(uint8_t *buf, const IpHeaders *headers,
                              uint8_t type, uint8_t code, uint32_t rest,
                              const uint8_t *quote, size_t quote_len);

/**
 * IcmpQuote: the packet that an ICMP or ICMPv6 error is about, as it says.
 * @sport, @dport: of TCP and UDP; an echo's identifier is in @sport
 * @seq: of TCP; of an echo its sequence number
 */
typedef struct IcmpQuote {
    IpAddr src, dst;
    uint8_t proto;
    uint16_t sport, dport;
    uint32_t seq;
} IcmpQuote;

/**
 * icmp_quote_parse: read what @icmp, an error of either version, quotes.
 *
 * Returns: false: not an error, too short to say, a quoted fragment that is
 * not the first, or a transport that is none of TCP, UDP and ICMP echo.
 */
bool icmp_quote_parse(const Frame *frame, const IpPacket *ip,
                      const IcmpMessage *icmp, IcmpQuote *ret_quote);

#endif
