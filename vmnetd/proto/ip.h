/*
 * IPv4 (RFC 791) and IPv6 (RFC 8200) headers seen as one: who, to whom, what
 *
 * ip_packet_parse() copies the headers of a frame to the stack once, checks
 * every length, walks IPv4 options and IPv6 extension headers (at most
 * IP6_EXT_MAX of them) and says where the transport header begins.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_PROTO_IP_H
#define VMNETD_PROTO_IP_H

#include "proto/addr.h"
#include "proto/eth.h"
#include "proto/frame.h"

/** Extension headers that are walked before a packet is given up (RFC 9288). */
#define IP6_EXT_MAX 8

/** Bytes in front of a transport header that ip_packet_build() writes at most. */
#define IP_HEADROOM (14 + 40)

/**
 * IpPacket: the parsed headers of one frame. Offsets count from the frame's
 * first byte; all lengths have been checked against the frame's and a frame's
 * padding is not part of them.
 * @proto: of the transport header (the last one for IPv6)
 * @l3_off: of the IP header
 * @l4_off: of the transport header, or of the fragment's data
 * @l4_len: bytes from @l4_off to the end of the IP packet
 * @is_fragment: @frag_off is not 0 or more follow
 * @frag_off: in bytes
 * @frag_id: IPv4: 16 bits
 */
typedef struct IpPacket {
    IpAddr src, dst;
    MacAddr eth_src, eth_dst;
    uint8_t proto;
    uint8_t ttl;
    uint8_t tos;
    bool is_fragment, more_fragments, dont_fragment;
    bool has_vlan;
    uint16_t vlan_tci;
    uint16_t l3_off, l4_off;
    uint32_t l4_len;
    uint16_t frag_off;
    uint32_t frag_id;
} IpPacket;

typedef enum IpParse {
    IP_PARSE_OK,
    IP_PARSE_NOT_IP,     /* another ethertype: ARP and the rest */
    IP_PARSE_MALFORMED,  /* a length, version or IPv4 header checksum lies */
    IP_PARSE_UNSUPPORTED /* too many extension headers, unknown one, jumbogram */
} IpParse;

IpParse ip_packet_parse(const Frame *frame, IpPacket *ret_ip);
/** ip_packet_parse_behind: the same, where the caller has parsed @eth. */
IpParse ip_packet_parse_behind(const Frame *frame, const EthHeader *eth,
                               IpPacket *ret_ip);
/**
 * ip_first_fragment_walk: @ip is an IPv6 packet's first fragment: step over the
 * extension headers that were cut with the rest, of which it has all (RFC 7112).
 * Sets @proto, @l4_off and @l4_len to what is behind them.
 */
IpParse ip_first_fragment_walk(const Frame *frame, IpPacket *ip);

/**
 * IpHeaders: what goes in front of a transport header that we send.
 * @id: IPv4 identification; 0 with @dont_fragment (RFC 6864)
 */
typedef struct IpHeaders {
    MacAddr eth_src, eth_dst;
    IpAddr src, dst;
    uint8_t proto, ttl, tos;
    bool dont_fragment;
    uint16_t id;
} IpHeaders;

/** ip_headers_len: Ethernet and IP header bytes for @family: 34 or 54. */
size_t ip_headers_len(sa_family_t family);

/** ip_payload_max: the largest @l4_len below: 65515 (IPv4) or 65535. */
size_t ip_payload_max(sa_family_t family);

/**
 * ip_headers_build: write Ethernet and IP headers for @l4_len bytes of
 * transport header and payload, IPv4 checksum included.
 *
 * Returns: bytes written: ip_headers_len(headers->src.family).
 */
size_t ip_headers_build(uint8_t *buf, const IpHeaders *headers, size_t l4_len);

/** Bytes of an IPv6 fragment header. */
#define IP6_FRAGMENT_LEN 8

/** ip_fragment_headers_len: as ip_headers_len(), with a fragment header. */
size_t ip_fragment_headers_len(sa_family_t family);

/** ip_fragment_payload_max: bytes in all but the last fragment; whole blocks. */
size_t ip_fragment_payload_max(sa_family_t family, uint32_t mtu_bytes);

/**
 * ip_fragment_headers_build: headers of one fragment (RFC 791 3.2, RFC 8200
 * 4.5) that carries @len bytes from byte @offset of the packet on.
 * @headers: its id and dont_fragment do not count
 * @id: the same for all fragments of a packet; 16 bits for IPv4
 * @offset: a multiple of 8
 *
 * Returns: bytes written: ip_fragment_headers_len(headers->src.family).
 */
size_t ip_fragment_headers_build(uint8_t *buf, const IpHeaders *headers,
                                 uint32_t id, uint16_t offset, bool more,
                                 size_t len);

/** Sum of the pseudo header (RFC 793, RFC 8200 8.1), not folded. */
uint32_t ip_pseudo_sum(const IpAddr *src, const IpAddr *dst, uint8_t proto,
                       uint32_t l4_len);

/**
 * ip_checksum_partial: what the checksum field of a transport header holds
 * when the receiver completes it (VIRTIO_NET_HDR_F_NEEDS_CSUM): the folded
 * pseudo header, not complemented.
 */
uint16_t ip_checksum_partial(const IpAddr *src, const IpAddr *dst,
                             uint8_t proto, uint32_t l4_len);

/**
 * ip_checksum_ok: the transport checksum (TCP, UDP, ICMPv6) of a packet that
 * is not a fragment.  A frame whose virtio_net_hdr says that the checksum is
 * still to be filled in, or was checked, is taken at its word.
 * Cost: reads the whole packet.
 */
bool ip_checksum_ok(const Frame *frame, const IpPacket *ip);

#endif
