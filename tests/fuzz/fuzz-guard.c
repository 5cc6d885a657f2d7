/*
 * Fuzz target: frames of guests, some of which say that they are the gateway
 *
 * Byte 0 says in pieces of which size the frame that follows lies.  What the
 * gateway's own parsers take for a claim to its addresses is refused.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <glib.h>
#include <netinet/icmp6.h>

#include "proto/arp.h"
#include "proto/ndp.h"
#include "switch/guard.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PIECES_MAX 32
#define GATEWAY4 0xc0a86b01     /* 192.168.107.1 */

static void describe(Frame *frame, struct iovec *iov, const uint8_t *data,
                     size_t size, size_t piece)
{
    unsigned n = 0;
    size_t at = 0;

    do {
        size_t len = piece && n + 1 < PIECES_MAX ? MIN(piece, size - at)
                                                 : size - at;

        iov[n++] = (struct iovec) { (void *)(data + at), len };
        at += len;
    } while (at < size);
    frame_init(frame, iov, n);
}

static bool is_claim(const IpAddr *addrs, const Frame *whole,
                     const uint8_t *data, size_t size)
{
    NdpMessage ndp;
    ArpPacket arp;
    IpPacket ip;
    IpAddr target;

    if ((data[12] << 8 | data[13]) == ETH_TYPE_ARP) {
        return arp_parse(data + ETH_HEADER_LEN, size - ETH_HEADER_LEN, &arp) &&
               arp.spa == GATEWAY4;
    }
    if (ip_packet_parse(whole, &ip) != IP_PARSE_OK || ip.has_vlan ||
        !ndp_parse(whole, &ip, &ndp)) {
        return false;
    }
    target = ip_addr_v6(&ndp.target);
    return ip_addr_equal(&ip.src, &addrs[1]) ||
           (ndp.type == ND_NEIGHBOR_ADVERT && ip_addr_equal(&target, &addrs[1]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    IpAddr addrs[SWITCH_GATEWAY_ADDRS_MAX] = { ip_addr_v4(GATEWAY4) };
    struct iovec iov[PIECES_MAX], whole_iov;
    Frame frame, whole;
    bool refuses;

    if (size < 1 + ETH_HEADER_LEN) {
        return 0;
    }
    ip_addr_parse("fe80::1", &addrs[1]);
    describe(&frame, iov, data + 1, size - 1, data[0]);
    describe(&whole, &whole_iov, data + 1, size - 1, 0);
    refuses = guard_refuses(addrs, &frame, data + 1);
    g_assert_true(refuses == guard_refuses(addrs, &whole, data + 1));
    g_assert_true(refuses || !is_claim(addrs, &whole, data + 1, size - 1));
    return 0;
}
