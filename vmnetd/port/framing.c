/*
 * Framing of frames on a byte stream
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <glib.h>

#include "port/framing.h"
#include "proto/frame.h"

static uint32_t get_len(const uint8_t *buf)
{
    return (uint32_t)buf[0] << 24 | buf[1] << 16 | buf[2] << 8 | buf[3];
}

Framing framing_parse(const uint8_t *buf, size_t len,
                      struct iovec *ret_frames, unsigned max)
{
    Framing result = { 0 };

    while (result.n_frames < max &&
           len - result.consumed >= FRAMING_HEADER_LEN) {
        const uint8_t *header = buf + result.consumed;
        uint32_t frame_len = get_len(header);

        if (frame_len == 0 || frame_len > FRAME_LEN_MAX) {
            result.has_bad_len = true;
            result.bad_len = frame_len;
            break;
        }
        if (len - result.consumed - FRAMING_HEADER_LEN < frame_len) {
            break;
        }
        ret_frames[result.n_frames++] = (struct iovec) {
            .iov_base = (uint8_t *)header + FRAMING_HEADER_LEN,
            .iov_len = frame_len,
        };
        result.consumed += FRAMING_HEADER_LEN + frame_len;
    }
    return result;
}

size_t framing_missing(const uint8_t *buf, size_t len)
{
    size_t whole = FRAMING_HEADER_LEN;

    if (len >= FRAMING_HEADER_LEN) {
        whole += get_len(buf);
    }
    return whole > len ? whole - len : 0;
}
