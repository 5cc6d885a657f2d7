/*
 * Framing of frames on a byte stream: a 32 bit big-endian length, the frame
 *
 *   | 00 00 05 ea | 1514 bytes ... | 00 00 00 2a | 42 bytes ... |
 *
 * What QEMU's -netdev stream and socket, passt and socket_vmnet speak.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_PORT_FRAMING_H
#define VMNETD_PORT_FRAMING_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define FRAMING_HEADER_LEN 4

/**
 * Framing: what framing_parse() found.
 * @n_frames: whole frames
 * @consumed: their bytes, headers included
 * @has_bad_len: the stream cannot go on after them: the next length is
 *     @bad_len, which is 0 or above FRAME_LEN_MAX
 */
typedef struct Framing {
    unsigned n_frames;
    size_t consumed;
    _Bool has_bad_len;
    uint32_t bad_len;
} Framing;

/**
 * framing_parse: describe the whole frames at the start of @len bytes at @buf.
 * @ret_frames: room for @max; each points into @buf
 */
Framing framing_parse(const uint8_t *buf, size_t len,
                      struct iovec *ret_frames, unsigned max);

/** framing_missing: bytes that the first frame in @buf, not whole, needs yet. */
size_t framing_missing(const uint8_t *buf, size_t len);

#endif
