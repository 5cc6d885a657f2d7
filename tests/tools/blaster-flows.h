/*
 * TCP of the hostile guest: its segments' numbers follow the answers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef BLASTER_FLOWS_H
#define BLASTER_FLOWS_H

#include <stddef.h>
#include <stdint.h>

typedef struct Flows Flows;

/**
 * flows_new: Find the TCP segments to port 9 among the frames of [@data, @data +
 * @len), and send them to @port instead.  In a SYN's numbers are as they are;
 * other segments have them relative to what the peer expects and has sent.
 */
Flows *flows_new(uint8_t *data, size_t len, uint16_t port);

/** flows_hear: a frame that came: the segments of its flow get its numbers. */
void flows_hear(Flows *flows, const uint8_t *frame, size_t len);

/** flows_answered: SYNs that were answered. */
uint64_t flows_answered(const Flows *flows);

#endif
