/*
 * Fuzz target: neighbour discovery
 *
 * The input is an ICMPv6 message behind 16 bytes of source and 16 of
 * destination address; hop limit and checksum are made right, so that the
 * fuzzer reaches what lies behind them.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <glib.h>

#include "proto/ndp.h"

#define ADDRESSES_LEN 32
#define FRAME_MAX (54 + 2048)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool parse(uint8_t *bytes, size_t len, NdpMessage *ret_ndp)
{
    struct iovec iov = { bytes, len };
    Frame frame;
    IpPacket ip;

    frame_init(&frame, &iov, 1);
    frame.vnet.flags = VIRTIO_NET_HDR_F_DATA_VALID;
    return ip_packet_parse(&frame, &ip) == IP_PARSE_OK &&
           ndp_parse(&frame, &ip, ret_ndp);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t bytes[FRAME_MAX], built[FRAME_MAX];
    IpHeaders headers = { .proto = IPPROTO_ICMPV6, .ttl = 255 };
    NdpMessage ndp, again;
    size_t l4_len, len;

    if (size < ADDRESSES_LEN || size - ADDRESSES_LEN > 2048) {
        return 0;
    }
    headers.src = ip_addr_v6((const struct in6_addr *)data);
    headers.dst = ip_addr_v6((const struct in6_addr *)(data + 16));
    l4_len = size - ADDRESSES_LEN;
    len = ip_headers_build(bytes, &headers, l4_len);
    memcpy(bytes + len, data + ADDRESSES_LEN, l4_len);
    if (!parse(bytes, len + l4_len, &ndp)) {
        return 0;
    }
    if (ndp.type == ND_ROUTER_ADVERT) {
        len = ndp_ra_build(built, sizeof(built), &headers, &ndp.ra);
        g_assert(len > 0 && parse(built, len, &again));
        g_assert(again.ra.n_prefixes == ndp.ra.n_prefixes &&
                 again.ra.n_routes == ndp.ra.n_routes &&
                 again.ra.n_rdnss == ndp.ra.n_rdnss &&
                 again.ra.mtu_bytes == ndp.ra.mtu_bytes &&
                 g_str_equal(again.ra.domain, ndp.ra.domain));
    }
    return 0;
}
