/*
 * A frame that lies in several pieces
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_FUZZ_PIECES_H
#define TESTS_FUZZ_PIECES_H

#include <glib.h>

#include "proto/frame.h"

#define PIECES_MAX 32

/* @frame is @data of @size, in pieces of @piece bytes (0: one) in @iov. */
static inline void pieces_describe(Frame *frame, struct iovec *iov,
                                   const uint8_t *data, size_t size,
                                   size_t piece)
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

#endif
