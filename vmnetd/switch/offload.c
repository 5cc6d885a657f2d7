/*
 * What a frame's virtio_net_hdr asks of its receiver, checked
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "switch/offload.h"

#include "limits.h"
#include "proto/eth.h"
#include "proto/tcp.h"
#include "proto/udp.h"

/* Segments that mean something to a connection as a whole are not cut. */
#define TCP_FLAGS_UNCUT (TCP_SYN | TCP_RST | TCP_URG)

/* A gso_type; @family is 0 for both. */
typedef struct GsoKind {
    uint8_t gso_type, proto;
    sa_family_t family;
    unsigned offload;
} GsoKind;

static const GsoKind gso_kinds[] = {
    { VIRTIO_NET_HDR_GSO_TCPV4, IPPROTO_TCP, AF_INET, SWITCH_OFFLOAD_TSO4 },
    { VIRTIO_NET_HDR_GSO_TCPV6, IPPROTO_TCP, AF_INET6, SWITCH_OFFLOAD_TSO6 },
    { VIRTIO_NET_HDR_GSO_UDP_L4, IPPROTO_UDP, 0, SWITCH_OFFLOAD_USO },
};

static uint16_t checksum_offset(uint8_t proto)
{
    return proto == IPPROTO_TCP ? TCP_CHECKSUM_OFFSET : UDP_CHECKSUM_OFFSET;
}

static const GsoKind *gso_kind_find(uint8_t gso_type)
{
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(gso_kinds); i++) {
        if (gso_kinds[i].gso_type == (gso_type & ~VIRTIO_NET_HDR_GSO_ECN)) {
            return &gso_kinds[i];
        }
    }
    return NULL;
}

/*
 * The frame's TCP or UDP header, which must be where the sum begins.  Sets what
 * is known then; header_len is that of a frame that is cut.
 */
static bool check_transport(const Frame *frame, const IpPacket *ip,
                            uint16_t csum_offset, Offload *offload)
{
    UdpDatagram udp;
    TcpHeader tcp;

    if (ip->proto == IPPROTO_TCP && tcp_parse(frame, ip, &tcp)) {
        if (offload->gso_size && tcp.flags & TCP_FLAGS_UNCUT) {
            return false;
        }
        offload->header_len = tcp.payload_off;
        offload->end = tcp.payload_off + tcp.payload_len;
    } else if (ip->proto == IPPROTO_UDP && udp_parse(frame, ip, &udp)) {
        offload->header_len = udp.payload_off;
        offload->end = udp.payload_off + udp.payload_len;
    } else {
        return false;
    }
    offload->proto = ip->proto;
    offload->is_ipv6 = ip->src.family == AF_INET6;
    offload->l3_off = ip->l3_off;
    return offload->l4_off == ip->l4_off &&
           csum_offset == checksum_offset(ip->proto);
}

/* NEEDS_CSUM of a frame that is not to be cut */
static bool check_csum(const Frame *frame, uint16_t csum_offset,
                       Offload *offload)
{
    IpPacket ip;
    IpParse parsed = ip_packet_parse(frame, &ip);

    if (parsed == IP_PARSE_OK && offload->l4_off <= ip.l4_off) {
        if (ip.is_fragment ||
            !check_transport(frame, &ip, csum_offset, offload)) {
            return false;
        }
    } else if ((parsed == IP_PARSE_OK || parsed == IP_PARSE_NOT_IP) &&
               offload->l4_off >= ETH_HEADER_LEN &&
               (csum_offset == TCP_CHECKSUM_OFFSET ||
                csum_offset == UDP_CHECKSUM_OFFSET)) {
        offload->proto = 0;
        offload->end = frame->len;
    } else {
        return false;
    }
    offload->header_len = offload->csum_at + sizeof(uint16_t);
    offload->needs = SWITCH_OFFLOAD_CSUM;
    return offload->header_len <= offload->end;
}

static bool check_gso(const Frame *frame, const GsoKind *kind,
                      uint16_t csum_offset, Offload *offload)
{
    uint32_t payload_len;
    IpPacket ip;

    if (ip_packet_parse(frame, &ip) != IP_PARSE_OK || ip.is_fragment ||
        ip.proto != kind->proto ||
        (kind->family && ip.src.family != kind->family) ||
        !check_transport(frame, &ip, csum_offset, offload) ||
        offload->end != frame->len) {
        return false;
    }
    offload->needs = SWITCH_OFFLOAD_CSUM | kind->offload;
    payload_len = offload->end - offload->header_len;
    offload->n_segments = payload_len == 0 ? 1
                          : (payload_len - 1) / offload->gso_size + 1;
    return offload->n_segments <= LIMIT_SEGMENTS_PER_FRAME;
}

static bool is_giant(const Frame *frame, const Offload *offload,
                     uint32_t mtu_bytes)
{
    uint32_t segment_len = offload->header_len + offload->gso_size;

    return offload->gso_size > 0 &&
           (frame->len > FRAME_LEN_MAX ||
            segment_len > mtu_bytes + offload->l3_off);
}

/* What a receiver may read in the header, all of it checked. */
static void rewrite(Frame *frame, uint8_t gso_type, const Offload *offload)
{
    frame->vnet = (struct virtio_net_hdr_v1) {
        .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
        .gso_type = gso_type,
        .hdr_len = GUINT16_TO_LE(gso_type ? offload->header_len : 0),
        .gso_size = GUINT16_TO_LE(offload->gso_size),
        .csum_start = GUINT16_TO_LE(offload->l4_off),
        .csum_offset = GUINT16_TO_LE(offload->csum_at - offload->l4_off),
    };
}

/* A frame that asks for something. */
static bool check_header(Frame *frame, uint32_t mtu_bytes, Offload *offload,
                         SwitchDrop *ret_reason)
{
    const struct virtio_net_hdr_v1 vnet = frame->vnet;
    uint16_t csum_offset = GUINT16_FROM_LE(vnet.csum_offset);
    uint32_t csum_at = GUINT16_FROM_LE(vnet.csum_start) + csum_offset;
    const GsoKind *kind = NULL;

    *ret_reason = SWITCH_DROP_BAD_OFFLOAD;
    if (!(vnet.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) ||
        frame->n_iov > OFFLOAD_IOV_MAX ||
        csum_at + sizeof(uint16_t) > MIN(frame->len, OFFLOAD_HEADER_MAX)) {
        return false;
    }
    offload->l4_off = GUINT16_FROM_LE(vnet.csum_start);
    offload->csum_at = csum_at;
    if (vnet.gso_type == VIRTIO_NET_HDR_GSO_NONE) {
        if (!check_csum(frame, csum_offset, offload)) {
            return false;
        }
    } else {
        kind = gso_kind_find(vnet.gso_type);
        offload->gso_size = GUINT16_FROM_LE(vnet.gso_size);
        if (!kind || offload->gso_size == 0 ||
            !check_gso(frame, kind, csum_offset, offload) ||
            offload->header_len > OFFLOAD_HEADER_MAX) {
            return false;
        }
        if (vnet.gso_type & VIRTIO_NET_HDR_GSO_ECN) {
            if (kind->proto != IPPROTO_TCP) {
                return false;
            }
            offload->needs |= SWITCH_OFFLOAD_ECN;
        }
    }
    if (is_giant(frame, offload, mtu_bytes)) {
        *ret_reason = SWITCH_DROP_GIANT;
        return false;
    }
    rewrite(frame, vnet.gso_type, offload);
    return true;
}

bool offload_check(Frame *frame, uint32_t mtu_bytes, Offload *ret_offload,
                   SwitchDrop *ret_reason)
{
    const uint8_t flags = frame->vnet.flags;

    ret_offload->needs = 0;
    ret_offload->gso_size = 0;
    ret_offload->n_segments = 1;
    if (flags & ~(VIRTIO_NET_HDR_F_NEEDS_CSUM | VIRTIO_NET_HDR_F_DATA_VALID)) {
        *ret_reason = SWITCH_DROP_BAD_OFFLOAD;
        return false;
    }
    if (flags & VIRTIO_NET_HDR_F_NEEDS_CSUM || frame->vnet.gso_type) {
        if (!check_header(frame, mtu_bytes, ret_offload, ret_reason)) {
            return false;
        }
    } else {
        frame->vnet = (struct virtio_net_hdr_v1) { .flags = flags };
        ret_offload->needs = flags ? SWITCH_OFFLOAD_CSUM : 0;
        ret_offload->csum_at = 0;
    }
    if (frame->n_sent >= ret_offload->n_segments) {
        frame->n_sent = 0;
    }
    return true;
}
