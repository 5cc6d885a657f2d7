/*
 * Fuzz target: DNS over TCP: what a guest sends to the gateway's listener, and a
 * name server to the resolver
 *
 * The first byte is how many bytes a read gives, less one; the rest is what comes.
 * The messages must be the same as when all of it comes at once, and each must
 * lie within what was read.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <glib.h>

#include "proto/dns.h"
#include "proto/dns-stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What came out of a connection. */
typedef struct Output {
    GByteArray *bytes;
    unsigned n_messages;
    bool is_bad;
} Output;

/* Whole messages at the start of @data. Returns: bytes dealt with. */
static size_t parse(const uint8_t *data, size_t len, Output *out)
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
            out->n_messages++;
        }
    }
    if (off > 0) {
        g_byte_array_append(out->bytes, exact, off);
    }
    out->is_bad = next == DNS_STREAM_BAD;
    return off;
}

/* As a connection does: read, deal with whole messages, keep the rest. */
static void feed(const uint8_t *data, size_t size, size_t step, Output *out)
{
    size_t start = 0, end;

    for (end = 0; end < size && !out->is_bad;) {
        end = MIN(end + step, size);
        start += parse(data + start, end - start, out);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Output whole = { 0 }, parts = { 0 };

    if (size < 2) {
        return 0;
    }
    whole.bytes = g_byte_array_new();
    parts.bytes = g_byte_array_new();
    parse(data + 1, size - 1, &whole);
    feed(data + 1, size - 1, data[0] + 1u, &parts);
    g_assert_cmpuint(whole.n_messages, ==, parts.n_messages);
    g_assert_cmpmem(whole.bytes->data, whole.bytes->len,
                    parts.bytes->data, parts.bytes->len);
    g_assert_true(whole.is_bad == parts.is_bad);
    g_byte_array_unref(whole.bytes);
    g_byte_array_unref(parts.bytes);
    return 0;
}
