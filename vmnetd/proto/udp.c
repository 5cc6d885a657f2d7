/*
 * UDP (RFC 768)
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "proto/udp.h"

#include "proto/checksum.h"
#include "proto/cursor.h"

bool udp_parse(const Frame *frame, const IpPacket *ip, UdpDatagram *ret_udp)
{
    uint8_t buf[UDP_HEADER_LEN];
    Cursor c = cursor_new(buf, sizeof(buf));
    IpPacket covered = *ip;
    UdpDatagram udp;
    uint16_t len, check;

    if (ip->proto != IPPROTO_UDP || ip->is_fragment ||
        ip->l4_len < sizeof(buf) ||
        frame_peek(frame, ip->l4_off, buf, sizeof(buf)) != sizeof(buf)) {
        return false;
    }
    udp.sport = cursor_u16(&c);
    udp.dport = cursor_u16(&c);
    len = cursor_u16(&c);
    check = cursor_u16(&c);
    if (len < sizeof(buf) || len > ip->l4_len) {
        return false;
    }
    /* What IP carries behind the datagram is not part of it. */
    covered.l4_len = len;
    if (check == 0 ? ip->src.family != AF_INET
                   : !ip_checksum_ok(frame, &covered)) {
        return false;
    }
    udp.payload_off = ip->l4_off + sizeof(buf);
    udp.payload_len = len - sizeof(buf);
    *ret_udp = udp;
    return true;
}

/* All but the checksum, which is 0. Returns: where the UDP header begins. */
static size_t put_headers(uint8_t *buf, const IpHeaders *headers,
                          uint16_t sport, uint16_t dport, size_t payload_len)
{
    size_t len = UDP_HEADER_LEN + payload_len, l4_off;
    IpHeaders h = *headers;
    uint8_t *udp;

    h.proto = IPPROTO_UDP;
    l4_off = ip_headers_build(buf, &h, len);
    udp = buf + l4_off;
    writer_put_u16(udp, sport);
    writer_put_u16(udp + 2, dport);
    writer_put_u16(udp + 4, len);
    writer_put_u16(udp + UDP_CHECKSUM_OFFSET, 0);
    return l4_off;
}

size_t udp_headers_build(uint8_t *buf, const IpHeaders *headers,
                         uint16_t sport, uint16_t dport,
                         const struct iovec *payload, unsigned n_iov,
                         size_t payload_len)
{
    size_t l4_off = put_headers(buf, headers, sport, dport, payload_len);
    uint8_t *udp = buf + l4_off;
    uint16_t check;
    uint32_t sum;

    sum = ip_pseudo_sum(&headers->src, &headers->dst, IPPROTO_UDP,
                        UDP_HEADER_LEN + payload_len);
    sum = csum_add(sum, udp, UDP_HEADER_LEN);
    check = csum_fold(csum_add_iov(sum, payload, n_iov, 0, payload_len));
    if (check == 0) {
        check = 0xffff; /* RFC 768: 0 would say that there is none */
    }
    memcpy(udp + UDP_CHECKSUM_OFFSET, &check, sizeof(check));
    return l4_off + UDP_HEADER_LEN;
}

size_t udp_headers_build_partial(uint8_t *buf, const IpHeaders *headers,
                                 uint16_t sport, uint16_t dport,
                                 size_t payload_len)
{
    size_t l4_off = put_headers(buf, headers, sport, dport, payload_len);
    uint16_t check = ip_checksum_partial(&headers->src, &headers->dst,
                                         IPPROTO_UDP,
                                         UDP_HEADER_LEN + payload_len);

    memcpy(buf + l4_off + UDP_CHECKSUM_OFFSET, &check, sizeof(check));
    return l4_off + UDP_HEADER_LEN;
}

size_t udp_build(uint8_t *buf, size_t size, const IpHeaders *headers,
                 uint16_t sport, uint16_t dport,
                 const void *payload, size_t payload_len)
{
    size_t headers_len = ip_headers_len(headers->src.family) + UDP_HEADER_LEN;
    struct iovec iov;

    if (size < headers_len || payload_len > size - headers_len ||
        payload_len > ip_payload_max(headers->src.family) - UDP_HEADER_LEN) {
        return 0;
    }
    iov.iov_base = buf + headers_len;
    iov.iov_len = payload_len;
    if (payload_len > 0) {
        memmove(iov.iov_base, payload, payload_len);
    }
    udp_headers_build(buf, headers, sport, dport, &iov, 1, payload_len);
    return headers_len + payload_len;
}
