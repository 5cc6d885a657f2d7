/*
 * TCP headers (RFC 9293) with the options of RFC 7323 and RFC 2018
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_PROTO_TCP_H
#define VMNETD_PROTO_TCP_H

#include "proto/ip.h"

#define TCP_HEADER_MIN 20
#define TCP_HEADER_MAX 60

/** Bytes of headers in front of a segment's data at most. */
#define TCP_HEADROOM (IP_HEADROOM + TCP_HEADER_MAX)

/** RFC 9293 3.7.1: what a peer that sends no MSS option takes. */
#define TCP_MSS_DEFAULT_V4 536
#define TCP_MSS_DEFAULT_V6 1220

/** RFC 7323 2.3: a larger shift count counts as this one. */
#define TCP_WSCALE_MAX 14

typedef enum TcpFlags {
    TCP_FIN = 1 << 0,
    TCP_SYN = 1 << 1,
    TCP_RST = 1 << 2,
    TCP_PSH = 1 << 3,
    TCP_ACK = 1 << 4,
    TCP_URG = 1 << 5,
    TCP_ECE = 1 << 6,
    TCP_CWR = 1 << 7,
} TcpFlags;

/** TcpBlock: of sequence numbers, from @start up to, without, @end. */
typedef struct TcpBlock {
    uint32_t start, end;
} TcpBlock;
#define TCP_BLOCKS_MAX 4

/**
 * TcpHeader:
 * @window: as on the wire, not scaled
 * @data_off: bytes of the header with its options, 20 to 60
 * @mss: 0: no option
 * @wscale: 0 to TCP_WSCALE_MAX, if @has_wscale
 * @sack: @n_sack blocks, in order or not; 4 fit where there is no timestamp,
 *     and 3 beside one
 * @payload_off: from the frame's first byte (parse only)
 * @payload_len: bytes of data (parse only)
 */
typedef struct TcpHeader {
    uint16_t sport, dport;
    uint32_t seq, ack;
    uint8_t flags;
    uint16_t window;
    uint16_t urgent;
    uint16_t data_off;
    uint16_t mss;
    bool has_wscale, sack_permitted, has_timestamp;
    uint8_t wscale;
    uint32_t ts_value, ts_echo;
    uint8_t n_sack;
    TcpBlock sack[TCP_BLOCKS_MAX];
    uint32_t payload_off, payload_len;
} TcpHeader;

/**
 * tcp_parse: the segment's header; the checksum is not looked at.
 *
 * An option whose length lies ends the options, as in every TCP; those before
 * it count.  MSS, window scale and SACK-permitted count on a SYN only.
 *
 * Returns: false: not TCP, a fragment, or a header longer than the segment.
 */
bool tcp_parse(const Frame *frame, const IpPacket *ip, TcpHeader *ret_tcp);

/** tcp_checksum_ok: see ip_checksum_ok(). */
static inline bool tcp_checksum_ok(const Frame *frame, const IpPacket *ip)
{
    return ip_checksum_ok(frame, ip);
}

/**
 * tcp_header_build: header and options as @tcp says; checksum 0, @data_off and
 * payload_* of @tcp are not used.
 *
 * Returns: bytes written, a multiple of 4, at most TCP_HEADER_MAX.
 */
size_t tcp_header_build(uint8_t buf[TCP_HEADER_MAX], const TcpHeader *tcp);

/**
 * tcp_headers_build: Ethernet, IP and TCP headers for data that lies elsewhere.
 * @headers: @proto is set to TCP here
 * @payload_sum: csum_add(0, data); ignored if @partial
 * @partial: leave the checksum to the receiver: the caller sets the frame's
 *     VIRTIO_NET_HDR_F_NEEDS_CSUM, csum_start and csum_offset
 *     (TCP_CHECKSUM_OFFSET)
 *
 * Returns: bytes written, at most TCP_HEADROOM.
 */
size_t tcp_headers_build(uint8_t buf[TCP_HEADROOM], const IpHeaders *headers,
                         const TcpHeader *tcp, size_t payload_len,
                         uint32_t payload_sum, bool partial);

/** Where the checksum lies in a TCP header. */
#define TCP_CHECKSUM_OFFSET 16

/** Comparison of sequence numbers modulo 2^32 (RFC 9293 3.4). */
static inline int32_t tcp_seq_diff(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b);
}

static inline bool tcp_seq_lt(uint32_t a, uint32_t b)
{
    return tcp_seq_diff(a, b) < 0;
}

static inline bool tcp_seq_leq(uint32_t a, uint32_t b)
{
    return tcp_seq_diff(a, b) <= 0;
}

static inline bool tcp_seq_gt(uint32_t a, uint32_t b)
{
    return tcp_seq_diff(a, b) > 0;
}

static inline bool tcp_seq_geq(uint32_t a, uint32_t b)
{
    return tcp_seq_diff(a, b) >= 0;
}

#endif
