/*
 * Fuzz target: Ethernet, ARP and IP headers, UDP, ICMP, and the errors that
 * are built about them
 *
 * The first byte says where the frame is cut into pieces; the rest is it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <glib.h>

#include "proto/arp.h"
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

static void fuzz_icmp(const Frame *frame, const IpPacket *ip)
{
    uint8_t buf[ICMP6_ERROR_FRAME_MAX];
    IpHeaders headers = { .src = ip->dst, .dst = ip->src, .ttl = 64 };
    IcmpMessage icmp;
    IcmpQuote quote;
    size_t len;

    if (icmp_parse(frame, ip, &icmp) || icmp6_parse(frame, ip, &icmp)) {
        touch(frame, icmp.payload_off, icmp.payload_len);
        icmp_quote_parse(frame, ip, &icmp, &quote);
    }
    if (icmp_error_allowed(frame, ip)) {
        len = icmp_error_build(buf, &headers, ICMP_DEST_UNREACH,
                               ICMP_FRAG_NEEDED, 1500, frame, ip);
        g_assert(len > 0 && len <= ICMP_ERROR_FRAME_MAX);
    }
    if (icmp6_error_allowed(frame, ip, ICMP6_PACKET_TOO_BIG, 0)) {
        len = icmp6_error_build(buf, &headers, ICMP6_PACKET_TOO_BIG, 0, 1280,
                                frame, ip);
        g_assert(len > 0 && len <= ICMP6_ERROR_FRAME_MAX);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct iovec iov[2];
    UdpDatagram udp;
    ArpPacket arp;
    EthHeader eth;
    Frame frame;
    IpPacket ip;
    size_t cut;

    if (size < 1) {
        return 0;
    }
    cut = MIN(data[0], size - 1);
    iov[0] = (struct iovec){ (void *)(data + 1), cut };
    iov[1] = (struct iovec){ (void *)(data + 1 + cut), size - 1 - cut };
    frame_init(&frame, iov, 2);

    if (eth_parse(&frame, &eth)) {
        arp_parse(data + 1 + eth.payload_off, size - 1 - eth.payload_off, &arp);
    }
    if (ip_packet_parse(&frame, &ip) == IP_PARSE_OK) {
        touch(&frame, ip.l4_off, ip.l4_len);
        if (udp_parse(&frame, &ip, &udp)) {
            touch(&frame, udp.payload_off, udp.payload_len);
        }
        fuzz_icmp(&frame, &ip);
    }
    return 0;
}
