/*
 * DNS messages on a byte stream
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "proto/dns-stream.h"

#include "proto/cursor.h"
#include "proto/dns.h"

DnsStream dns_stream_next(const uint8_t *data, size_t len, size_t *ret_len)
{
    Cursor c = cursor_new(data, len);
    size_t msg_len = cursor_u16(&c);

    if (c.error) {
        return DNS_STREAM_PART;
    }
    if (msg_len < DNS_HEADER_LEN) {
        return DNS_STREAM_BAD;
    }
    if (cursor_left(&c) < msg_len) {
        return DNS_STREAM_PART;
    }
    *ret_len = msg_len;
    return DNS_STREAM_MESSAGE;
}
