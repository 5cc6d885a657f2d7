/*
 * Fuzz target: framing on a byte stream
 *
 * The first byte is how many bytes a read gives; the rest is what a VMM sends.
 * The frames must be the same as when all of it comes at once, and each must
 * lie within what was read.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <glib.h>
#include <string.h>

#include "port/framing.h"
#include "proto/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What came out of a stream. */
typedef struct Output {
    GByteArray *bytes;
    unsigned n_frames;
    bool has_ended;
} Output;

/* Parse the start of [@data, @data + @len). Returns: bytes dealt with. */
static size_t parse(const uint8_t *data, size_t len, unsigned max, Output *out)
{
    /* Of its own, so that a sanitizer sees its ends. */
    g_autofree uint8_t *exact = g_memdup2(data, len);
    struct iovec iov[FRAME_BATCH_MAX];
    size_t done = 0;
    Framing framing;

    do {
        unsigned i;

        framing = framing_parse(exact + done, len - done, iov, max);
        g_assert_cmpuint(framing.n_frames, <=, max);
        g_assert_cmpuint(framing.consumed, <=, len - done);
        for (i = 0; i < framing.n_frames; i++) {
            g_assert_cmpuint(iov[i].iov_len, >, 0);
            g_assert_cmpuint(iov[i].iov_len, <=, FRAME_LEN_MAX);
            g_byte_array_append(out->bytes, iov[i].iov_base, iov[i].iov_len);
        }
        out->n_frames += framing.n_frames;
        done += framing.consumed;
        out->has_ended = framing.has_bad_len;
    } while (framing.n_frames == max && !framing.has_bad_len);
    if (!framing.has_bad_len && len > done) {
        g_assert_cmpuint(framing_missing(exact + done, len - done), >, 0);
    }
    return done;
}

/* As a link does: read, deal with whole frames, keep the rest. */
static void feed(const uint8_t *data, size_t size, size_t step, Output *out)
{
    size_t start = 0, end;

    for (end = 0; end < size && !out->has_ended; ) {
        end = MIN(end + step, size);
        start += parse(data + start, end - start, 3, out);
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
    parse(data + 1, size - 1, FRAME_BATCH_MAX, &whole);
    feed(data + 1, size - 1, data[0] + 1u, &parts);
    g_assert_cmpuint(whole.n_frames, ==, parts.n_frames);
    g_assert_cmpmem(whole.bytes->data, whole.bytes->len,
                    parts.bytes->data, parts.bytes->len);
    g_assert_true(whole.has_ended == parts.has_ended);
    g_byte_array_unref(whole.bytes);
    g_byte_array_unref(parts.bytes);
    return 0;
}
