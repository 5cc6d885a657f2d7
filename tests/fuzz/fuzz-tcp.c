/*
 * Fuzz target: TCP headers: the input is what IP carries
 *
 * A header that was parsed and built again must parse to the same.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <glib.h>

#include "proto/tcp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool parse(const uint8_t *data, size_t size, TcpHeader *ret_tcp)
{
    struct iovec iov = { (void *)data, size };
    IpPacket ip = { .proto = IPPROTO_TCP, .l4_len = size };
    Frame frame;

    frame_init(&frame, &iov, 1);
    return tcp_parse(&frame, &ip, ret_tcp);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t buf[TCP_HEADER_MAX];
    TcpHeader tcp, again;
    size_t len;

    if (!parse(data, size, &tcp)) {
        return 0;
    }
    g_assert(tcp.payload_off + tcp.payload_len == size);

    len = tcp_header_build(buf, &tcp);
    g_assert(len % 4 == 0 && len <= sizeof(buf));
    g_assert(parse(buf, len, &again));
    g_assert(again.seq == tcp.seq && again.flags == tcp.flags &&
             again.mss == tcp.mss && again.has_wscale == tcp.has_wscale &&
             again.wscale == tcp.wscale &&
             again.sack_permitted == tcp.sack_permitted &&
             again.has_timestamp == tcp.has_timestamp &&
             again.ts_value == tcp.ts_value && again.ts_echo == tcp.ts_echo);
    return 0;
}
