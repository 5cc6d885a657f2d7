/*
 * Two plain guests of a bench: one sends frames of 1514 bytes to the other
 *
 * Both are on stream ports, without offloads, in processes of their own.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_BENCH_PLAIN_GUEST_H
#define TESTS_BENCH_PLAIN_GUEST_H

#include <stdint.h>

/**
 * plain_guests_start: never ends but with this process
 * @sender: the guest's end of a stream port, taken
 * @receiver: likewise
 *
 * Returns: a count of frames that arrived, which goes on by itself.
 */
const uint64_t *plain_guests_start(int sender, int receiver);

#endif
