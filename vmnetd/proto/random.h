/*
 * Secrets: keys of hashes, and numbers that nobody may guess
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_PROTO_RANDOM_H
#define VMNETD_PROTO_RANDOM_H

#include <stddef.h>

/**
 * random_bytes: fill @buf, at most 256 bytes: a secret where the kernel gives
 * one, else a number of GLib's.
 */
void random_bytes(void *buf, size_t len);

#endif
