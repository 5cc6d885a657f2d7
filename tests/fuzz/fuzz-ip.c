/*
 * Fuzz target: Ethernet, ARP and IP headers, UDP, ICMP, and the errors that
 * are built about them
 *
 * The first byte says where the frame is cut into pieces; the rest is it.
 * Checksums are made right first, or a fuzzer would never see what lies behind
 * them.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <glib.h>

#include "proto/arp.h"
#include "proto/checksum.h"
#include "proto/eth.h"
#include "proto/icmp6.h"
#include "proto/udp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Read every byte that a parser says is there. */
static void touch(const Frame *frame, size_t offset, size_t len)
{
    g_autofree uint8_t *copy = g_malloc(len + 1);

    g_assert_cmpuint(frame_peek(frame, offset, copy, len), ==, len);
}

static void sum_set(uint8_t *data, size_t len, size_t offset)
{
    uint16_t check;

    if (len >= offset + sizeof(check)) {
        memset(data + offset, 0, sizeof(check));
        check = csum_fold(csum_add(0, data, len));
        memcpy(data + offset, &check, sizeof(check));
    }
}

/* Of the IPv4 header, and of ICMP behind it; those of others are waived. */
static void sums_set(uint8_t *bytes, size_t len, size_t l3_off)
{
    uint8_t *l3 = bytes + l3_off;
    size_t header_len, total_len;

    if (len < l3_off + 20 || l3[0] >> 4 != 4) {
        return;
    }
    header_len = (l3[0] & 0xf) * 4;
    total_len = l3[2] << 8 | l3[3];
    if (header_len > total_len || total_len > len - l3_off) {
        return;
    }
    sum_set(l3, header_len, 10);
    if (l3[9] == IPPROTO_ICMP) {
        sum_set(l3 + header_len, total_len - header_len, 2);
    }
}

static void fuzz_icmp(const Frame *frame, const IpPacket *ip)
{
    uint8_t buf[ICMP6_ERROR_FRAME_MAX];
    IpHeaders headers = { .src = ip->dst, .dst = ip->src, .ttl = 64 };
    IcmpMessage icmp;
    IcmpQuote quote;
    size_t len;

    if (icmp_parse(frame, ip, &icmp)) {
        touch(frame, icmp.payload_off, icmp.payload_len);
        icmp_quote_parse(frame, ip, &icmp, &quote);
    }
    if (icmp_error_allowed(frame, ip)) {
        len = icmp_error_build(buf, &headers, ICMP_DEST_UNREACH,
                               ICMP_FRAG_NEEDED, 1500, frame, ip);
        g_assert(len > 0 && len <= ICMP_ERROR_FRAME_MAX);
    }
    if (icmp6_error_allowed(frame, ip, ICMP6_PACKET_TOO_BIG, 0)) {
        len = icmp_error_build(buf, &headers, ICMP6_PACKET_TOO_BIG, 0, 1280,
                                frame, ip);
        g_assert(len > 0 && len <= ICMP6_ERROR_FRAME_MAX);
    }
}

static void fuzz_frame(const Frame *frame)
{
    UdpDatagram udp;
    IpPacket ip;

    if (ip_packet_parse(frame, &ip) != IP_PARSE_OK) {
        return;
    }
    touch(frame, ip.l4_off, ip.l4_len);
    if (udp_parse(frame, &ip, &udp)) {
        touch(frame, udp.payload_off, udp.payload_len);
    }
    fuzz_icmp(frame, &ip);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree uint8_t *bytes = NULL;
    struct iovec iov[2];
    ArpPacket arp;
    EthHeader eth;
    Frame frame;
    size_t cut;

    if (size < 2) {
        return 0;
    }
    cut = MIN(data[0], size - 1);
    size--;
    bytes = g_memdup2(data + 1, size);
    iov[0] = (struct iovec){ bytes, cut };
    iov[1] = (struct iovec){ bytes + cut, size - cut };
    frame_init(&frame, iov, 2);
    frame.vnet.flags = VIRTIO_NET_HDR_F_DATA_VALID;

    if (eth_parse(&frame, &eth)) {
        arp_parse(bytes + eth.payload_off, size - eth.payload_off, &arp);
        sums_set(bytes, size, eth.payload_off);
    }
    fuzz_frame(&frame);
    return 0;
}
