/*
 * Frames: read parts of the scattered bytes
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "proto/frame.h"

size_t frame_peek(const Frame *frame, size_t offset, void *dst, size_t len)
{
    uint8_t *out = dst;
    size_t done = 0;
    unsigned i;

    /* Headers are nearly always in one piece. */
    if (frame->n_iov > 0 && offset < frame->iov[0].iov_len &&
        len <= frame->iov[0].iov_len - offset) {
        memcpy(dst, (const uint8_t *)frame->iov[0].iov_base + offset, len);
        return len;
    }
    for (i = 0; i < frame->n_iov && done < len; i++) {
        const struct iovec *iov = &frame->iov[i];
        size_t piece = iov->iov_len;

        if (offset >= piece) {
            offset -= piece;
            continue;
        }
        piece -= offset;
        if (piece > len - done) {
            piece = len - done;
        }
        memcpy(out + done, (const uint8_t *)iov->iov_base + offset, piece);
        done += piece;
        offset = 0;
    }
    return done;
}

unsigned frame_slice(const Frame *frame, size_t offset,
                     struct iovec *ret_iov, unsigned max)
{
    unsigned i, n = 0;

    for (i = 0; i < frame->n_iov; i++) {
        const struct iovec *iov = &frame->iov[i];

        if (offset >= iov->iov_len) {
            offset -= iov->iov_len;
            continue;
        }
        if (n == max) {
            return 0;
        }
        ret_iov[n].iov_base = (uint8_t *)iov->iov_base + offset;
        ret_iov[n].iov_len = iov->iov_len - offset;
        n++;
        offset = 0;
    }
    return n;
}
