/*
 * ICMPv6 (RFC 4443) without neighbour discovery, which is in ndp.h
 *
 * Types and codes have the names of <netinet/icmp6.h>: ICMP6_ECHO_REQUEST,
 * ICMP6_DST_UNREACH, ICMP6_PACKET_TOO_BIG, ...
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_PROTO_ICMP6_H
#define VMNETD_PROTO_ICMP6_H

#include <netinet/icmp6.h>
#include "proto/icmp.h"

/** RFC 4443 2.4 (c): an error's IP packet is at most the minimum MTU. */
#define ICMP6_ERROR_PACKET_MAX 1280

/** Bytes of a frame that icmp6_error_build() writes at most. */
#define ICMP6_ERROR_FRAME_MAX (14 + ICMP6_ERROR_PACKET_MAX)

/** icmp6_parse: as icmp_parse(), for ICMPv6. */
bool icmp6_parse(const Frame *frame, const IpPacket *ip, IcmpMessage *ret_icmp);

/** icmp6_build: as icmp_build(), for ICMPv6. */
size_t icmp6_build(uint8_t *buf, size_t size, const IpHeaders *headers,
                   uint8_t type, uint8_t code, uint32_t rest,
                   const void *payload, size_t payload_len);

/**
 * icmp6_error_allowed: RFC 4443 2.4 (e): not about an ICMPv6 error or
 * redirect, nor from a group or missing address, nor to a group, @type and
 * @code being "packet too big" or "unrecognized option" excepted.
 */
bool icmp6_error_allowed(const Frame *frame, const IpPacket *ip,
                         uint8_t type, uint8_t code);

/**
 * icmp6_error_build: an error about @ip, which it quotes from its IPv6 header
 * on.  The caller has asked icmp6_error_allowed().
 * @headers: from us to the offender; @proto is set to ICMPv6 here
 * @rest: for ICMP6_PACKET_TOO_BIG the MTU, for ICMP6_PARAM_PROB a pointer
 *
 * Returns: bytes of the frame.
 */
size_t icmp6_error_build(uint8_t buf[ICMP6_ERROR_FRAME_MAX],
                         const IpHeaders *headers, uint8_t type, uint8_t code,
                         uint32_t rest, const Frame *frame,
                         const IpPacket *ip);

/** icmp6_error_build_quote: as icmp_error_build_quote(), for ICMPv6. */
size_t icmp6_error_build_quote(uint8_t buf[ICMP6_ERROR_FRAME_MAX],
                               const IpHeaders *headers, uint8_t type,
                               uint8_t code, uint32_t rest,
                               const uint8_t *quote, size_t quote_len);

#endif
