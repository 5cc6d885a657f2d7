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

/** Bytes of a frame that icmp_error_build() writes for ICMPv6 at most. */
#define ICMP6_ERROR_FRAME_MAX (14 + ICMP6_ERROR_PACKET_MAX)

/**
 * icmp6_error_allowed: RFC 4443 2.4 (e): not about an ICMPv6 error or
 * redirect, nor from a group or missing address, nor to a group, @type and
 * @code being "packet too big" or "unrecognized option" excepted.
 */
bool icmp6_error_allowed(const Frame *frame, const IpPacket *ip,
                         uint8_t type, uint8_t code);

#endif
