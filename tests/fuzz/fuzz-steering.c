/*
 * Fuzz target: the flow of a frame, as receive steering sees it
 *
 * Byte 0 says in pieces of which size the frame lies, byte 1 which queue pairs
 * can receive; the frame follows.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "port/steering.h"
#include "pieces.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PAIRS 8

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(Steering) steering = steering_new();
    struct iovec iov[PIECES_MAX], whole_iov;
    Frame frame, whole;
    uint8_t pairs[PAIRS];
    unsigned i, n = 0, before, learnt;

    if (size < 2) {
        return 0;
    }
    for (i = 0; i < PAIRS; i++) {
        if (data[1] & 1u << i) {
            pairs[n++] = i;
        }
    }
    if (!n) {
        return 0;
    }
    pieces_describe(&frame, iov, data + 2, size - 2, data[0]);
    pieces_describe(&whole, &whole_iov, data + 2, size - 2, 0);
    before = steering_find(steering, &frame, pairs, n);
    g_assert_nonnull(memchr(pairs, before, n));
    /* How it lies in memory does not matter. */
    g_assert_cmpuint(steering_find(steering, &whole, pairs, n), ==, before);
    learnt = pairs[data[0] % n];
    steering_learn(steering, &frame, learnt, 1000);
    g_assert_cmpuint(steering_find(steering, &whole, pairs, n), ==, learnt);
    /* A pair that cannot receive any more is not found. */
    g_assert_cmpuint(steering_find(steering, &frame, &pairs[n - 1], 1), ==,
                     pairs[n - 1]);
    return 0;
}
