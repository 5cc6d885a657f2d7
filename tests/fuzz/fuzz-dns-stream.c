/*
 * Fuzz target: DNS over TCP: what a guest sends to the gateway's listener, and a
 * name server to the resolver
 *
 * Read as stream-parts.h does; each message must lie within what was read.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "proto/dns.h"
#include "proto/dns-stream.h"
#include "stream-parts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whole messages at the start of @data. Returns: bytes dealt with. */
static size_t parse(const uint8_t *data, size_t len, bool is_whole,
                    StreamOutput *out)
{
    /* Of its own, so that a sanitizer sees its ends. */
    g_autofree uint8_t *exact = g_memdup2(data, len);
    DnsStream next = DNS_STREAM_MESSAGE;
    size_t off = 0, msg_len;

    while (next == DNS_STREAM_MESSAGE) {
        const uint8_t *at = exact ? exact + off : NULL;
        DnsMessage msg;

        next = dns_stream_next(at, len - off, &msg_len);
        if (next == DNS_STREAM_MESSAGE) {
            g_assert_cmpuint(msg_len, >=, DNS_HEADER_LEN);
            g_assert_cmpuint(msg_len, <=, len - off - DNS_STREAM_PREFIX_LEN);
            dns_parse(at + DNS_STREAM_PREFIX_LEN, msg_len, &msg);
            off += DNS_STREAM_PREFIX_LEN + msg_len;
            out->n++;
        }
    }
    if (off > 0) {
        g_byte_array_append(out->bytes, exact, off);
    }
    out->has_ended = next == DNS_STREAM_BAD;
    return off;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    stream_parts_check(parse, data, size);
    return 0;
}
