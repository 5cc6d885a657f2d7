/*
 * A Unix socket that one connection is taken from
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_BENCH_LISTENER_H
#define TESTS_BENCH_LISTENER_H

/** listener_new: listens at @path, or ends the process. */
int listener_new(const char *path);

/**
 * listener_take: the first connection; the socket and @path are gone then.
 *
 * Returns: -1: none came within @wait_s
 */
int listener_take(int listener, const char *path, int wait_s);

#endif
