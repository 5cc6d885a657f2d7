/*
 * UDP (RFC 768)
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_PROTO_UDP_H
#define VMNETD_PROTO_UDP_H

#include <endian.h>
#include <sys/uio.h>
#include "proto/ip.h"

#define UDP_HEADER_LEN 8
#define UDP_CHECKSUM_OFFSET 6

/** Bytes of headers that udp_headers_build() writes at most. */
#define UDP_HEADROOM (IP_HEADROOM + UDP_HEADER_LEN)

/**
 * UdpDatagram:
 * @payload_off: from the frame's first byte
 * @payload_len: as the UDP header says, at most what IP carries
 */
typedef struct UdpDatagram {
    uint16_t sport, dport;
    uint32_t payload_off, payload_len;
} UdpDatagram;

/**
 * udp_parse: the datagram in @ip, which must not be a fragment.
 *
 * Returns: false: not UDP, a fragment, a length that lies, or a bad checksum;
 * no checksum at all is allowed over IPv4 only (RFC 8200 8.1).
 */
bool udp_parse(const Frame *frame, const IpPacket *ip, UdpDatagram *ret_udp);

/**
 * udp_cut_size: bytes of payload in each of the datagrams that @frame, in which
 * @udp was found, is to be cut into: all of it, unless its virtio_net_hdr says
 * otherwise.
 */
static inline uint32_t udp_cut_size(const Frame *frame, const UdpDatagram *udp)
{
    uint32_t size = le16toh(frame->vnet.gso_size);

    return frame->vnet.gso_type == VIRTIO_NET_HDR_GSO_UDP_L4 && size > 0 &&
           size < udp->payload_len ? size : udp->payload_len;
}

/**
 * udp_headers_build: Ethernet, IP and UDP headers for a payload that lies
 * elsewhere, checksum included.
 * @headers: @proto is set to UDP here
 * @payload_len: at most 65507 (IPv4) or 65527 (IPv6)
 *
 * Returns: bytes written, at most UDP_HEADROOM.
 */
size_t udp_headers_build(uint8_t *buf, const IpHeaders *headers,
                         uint16_t sport, uint16_t dport,
                         const struct iovec *payload, unsigned n_iov,
                         size_t payload_len);

/**
 * udp_headers_build_partial: the same, but the checksum is left to the receiver:
 * the caller sets the frame's VIRTIO_NET_HDR_F_NEEDS_CSUM, csum_start and
 * csum_offset (UDP_CHECKSUM_OFFSET).
 */
size_t udp_headers_build_partial(uint8_t *buf, const IpHeaders *headers,
                                 uint16_t sport, uint16_t dport,
                                 size_t payload_len);

/**
 * udp_build: a whole frame in contiguous memory.
 * @payload: may already lie in its place in @buf
 *
 * Returns: bytes of the frame; 0 if they do not fit into @size or an IP packet.
 */
size_t udp_build(uint8_t *buf, size_t size, const IpHeaders *headers,
                 uint16_t sport, uint16_t dport,
                 const void *payload, size_t payload_len);

#endif
