/*
 * Fuzz target: a frame, and what its virtio_net_hdr says of it
 *
 *   1 byte what the receiver takes | 1 byte pieces | 12 bytes header | frame
 *
 * What is not refused is cut into segments that are complete: no byte of data
 * is lost or comes twice, and no receiver is given what it does not take.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <glib.h>

#include "switch/segment.h"

#define MTU 1500
#define PIECES_MAX 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned split(const uint8_t *data, size_t len, size_t piece,
                      struct iovec iov[PIECES_MAX])
{
    unsigned n = 0;

    do {
        size_t part = n == PIECES_MAX - 1 ? len : MIN(piece, len);

        iov[n++] = (struct iovec) { (void *)data, part };
        data += part;
        len -= part;
    } while (len > 0);
    return n;
}

/* Returns: bytes of data in @frame, which was made of one with @offload. */
static size_t check_segment(const Frame *frame, const Offload *offload,
                            unsigned takes)
{
    size_t len = 0;
    unsigned i;

    for (i = 0; i < frame->n_iov; i++) {
        len += frame->iov[i].iov_len;
    }
    g_assert_cmpuint(len, ==, frame->len);
    if (!(takes & SWITCH_OFFLOAD_CSUM)) {
        g_assert_cmpuint(frame->vnet.flags, ==, 0);
    }
    if (offload->needs & ~takes) {
        g_assert_cmpuint(frame->vnet.gso_type, ==, 0);
    }
    if (offload->gso_size && offload->needs & ~takes) {
        g_assert_cmpuint(len, <=, offload->l3_off + MTU);
        len -= offload->header_len;
    }
    return len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct iovec iov[PIECES_MAX];
    static SegmentBatch batch;
    unsigned takes, i, n = 0;
    size_t len = 0, want;
    SwitchDrop reason;
    Offload offload;
    Frame frame;
    bool done;

    if (size < 2 + sizeof(frame.vnet) + 1 || size > FRAME_LEN_MAX) {
        return 0;
    }
    takes = data[0] & SWITCH_OFFLOAD_CSUM ? data[0] : 0;
    frame_init(&frame, iov, split(data + 2 + sizeof(frame.vnet),
                                  size - 2 - sizeof(frame.vnet),
                                  data[1] + 1, iov));
    memcpy(&frame.vnet, data + 2, sizeof(frame.vnet));
    if (!offload_check(&frame, MTU, &offload, &reason)) {
        g_assert_true(reason == SWITCH_DROP_BAD_OFFLOAD ||
                      reason == SWITCH_DROP_GIANT);
        return 0;
    }
    want = frame.len;
    if (offload.gso_size && offload.needs & ~takes) {
        want -= offload.header_len;
    }
    do {
        segment_batch_clear(&batch);
        done = segment_batch_add(&batch, &frame, &offload, takes);
        g_assert_cmpuint(batch.n_frames, >, 0);
        for (i = 0; i < batch.n_frames; i++) {
            len += check_segment(&batch.frames[i], &offload, takes);
        }
        frame.n_sent += batch.n_frames;
        n += batch.n_frames;
    } while (!done);
    g_assert_cmpuint(len, ==, want);
    g_assert_cmpuint(n, <=, offload.n_segments);
    return 0;
}
