/*
 * What a stream is parsed to, however the reads cut it; for fuzz targets
 *
 * The first byte of the input is how many bytes a read gives, less one; the rest
 * is what comes.  What is found must be the same as when all of it comes at once.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_FUZZ_STREAM_PARTS_H
#define TESTS_FUZZ_STREAM_PARTS_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** StreamOutput: what came out of a stream; @has_ended: by a wrong length. */
typedef struct StreamOutput {
    GByteArray *bytes;
    unsigned n;
    bool has_ended;
} StreamOutput;

/**
 * StreamParse: parse the start of [@data, @data + @len).
 * @is_whole: all comes at once
 *
 * Returns: bytes dealt with; the rest comes again, with more behind it.
 */
typedef size_t (*StreamParse)(const uint8_t *data, size_t len, bool is_whole,
                              StreamOutput *out);

/* As a link does: read, deal with what is whole, keep the rest. */
static inline void stream_parts_feed(StreamParse parse, const uint8_t *data,
                                     size_t size, size_t step,
                                     StreamOutput *out)
{
    size_t start = 0, end;

    for (end = 0; end < size && !out->has_ended;) {
        end = MIN(end + step, size);
        start += parse(data + start, end - start, false, out);
    }
}

static inline void stream_parts_check(StreamParse parse, const uint8_t *data,
                                      size_t size)
{
    StreamOutput whole = { 0 }, parts = { 0 };

    if (size < 2) {
        return;
    }
    whole.bytes = g_byte_array_new();
    parts.bytes = g_byte_array_new();
    parse(data + 1, size - 1, true, &whole);
    stream_parts_feed(parse, data + 1, size - 1, data[0] + 1u, &parts);
    g_assert_cmpuint(whole.n, ==, parts.n);
    g_assert_cmpmem(whole.bytes->data, whole.bytes->len,
                    parts.bytes->data, parts.bytes->len);
    g_assert_true(whole.has_ended == parts.has_ended);
    g_byte_array_unref(whole.bytes);
    g_byte_array_unref(parts.bytes);
}

#endif
