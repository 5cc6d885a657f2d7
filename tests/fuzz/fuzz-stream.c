/*
 * Fuzz target: framing on a byte stream
 *
 * What a VMM sends, as stream-parts.h reads it; each frame must lie within what
 * was read.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "port/framing.h"
#include "proto/frame.h"
#include "stream-parts.h"

/* Of a read that is a part: less than it may have. */
#define PART_MAX 3

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t parse(const uint8_t *data, size_t len, bool is_whole,
                    StreamOutput *out)
{
    unsigned max = is_whole ? FRAME_BATCH_MAX : PART_MAX;
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
        out->n += framing.n_frames;
        done += framing.consumed;
        out->has_ended = framing.has_bad_len;
    } while (framing.n_frames == max && !framing.has_bad_len);
    if (!framing.has_bad_len && len > done) {
        g_assert_cmpuint(framing_missing(exact + done, len - done), >, 0);
    }
    return done;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    stream_parts_check(parse, data, size);
    return 0;
}
