/*
 * SipHash-2-4: the keyed hash of every table that a guest fills
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_PROTO_SIPHASH_H
#define VMNETD_PROTO_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

/** siphash24: the 64 bit hash of @len bytes at @data under @key. */
uint64_t siphash24(const uint8_t key[16], const void *data, size_t len);

#endif
