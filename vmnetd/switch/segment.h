/*
 * Frames for a receiver that takes less: cut into segments, sums completed
 *
 *   TSO frame   [ headers | data ......................... ]
 *                    |         |          |          |
 *   segments    [ copy | slice ] [ copy | slice ] [ copy | slice ]
 *
 * Each segment begins with a copy of the headers, in which lengths, IPv4 id,
 * sequence number, flags and checksums are made its own; its data stays where
 * it is and is described by slices of the frame's iovec.  A frame that only
 * lacks a checksum is one such segment.
 *
 *   IPv4 id        counts up from the frame's
 *   TCP FIN, PSH   on the last segment only
 *   TCP CWR        on the first only (RFC 3168 6.1.2: once a window)
 *   checksums      completed, or, for a receiver that takes them so, left to be
 *                  completed segment by segment
 *
 * A sum is made of data that a guest may change before it is copied: it gets
 * what it wrote, with a checksum that does not fit.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_SWITCH_SEGMENT_H
#define VMNETD_SWITCH_SEGMENT_H

#include "switch/offload.h"

/**
 * SegmentBatch: frames made ready for one receiver; about 40 KiB.  They refer to
 * the memory of the frames that they were made from.
 */
typedef struct SegmentBatch {
    Frame frames[FRAME_BATCH_MAX];
    unsigned n_frames, n_iov;
    struct iovec iov[FRAME_BATCH_MAX + OFFLOAD_IOV_MAX];
    uint8_t headers[FRAME_BATCH_MAX][OFFLOAD_HEADER_MAX];
} SegmentBatch;

static inline void segment_batch_clear(SegmentBatch *batch)
{
    batch->n_frames = batch->n_iov = 0;
}

/**
 * segment_batch_add: as much of @frame as fits, from segment @frame->n_sent on,
 * in the form that a receiver of @takes (SwitchOffloads) is given.
 *
 * Returns: whether the last segment is in.  An empty batch takes at least one.
 */
bool segment_batch_add(SegmentBatch *batch, const Frame *frame,
                       const Offload *offload, unsigned takes);

#endif
