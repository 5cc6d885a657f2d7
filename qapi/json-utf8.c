/*
 * UTF-8 as JSON strings hold it
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "qapi/json-int.h"

static bool is_character(int32_t code)
{
    bool is_surrogate = code >= 0xD800 && code <= 0xDFFF;
    bool is_noncharacter = (code >= 0xFDD0 && code <= 0xFDEF)
                           || (code & 0xFFFE) == 0xFFFE;

    return code >= 0 && code <= 0x10FFFF && !is_surrogate && !is_noncharacter;
}

int32_t json_utf8_get(const char *text, size_t len, size_t *ret_len)
{
    /* Smallest code point that needs so many bytes. */
    static const int64_t min[] = { 0, 0, 0x80, 0x800, 0x10000, 0x200000,
                                   0x4000000 };
    const uint8_t *byte = (const uint8_t *)text;
    unsigned n = 0;
    int64_t code;

    *ret_len = 1;
    if (byte[0] < 0x80) {
        return byte[0];
    }
    while (n < 7 && (byte[0] & (0x80 >> n)) != 0) {
        n++;
    }
    if (n < 2 || n > 6) {
        return -1;      /* a continuation byte, FE or FF */
    }
    code = byte[0] & (0x7F >> n);
    for (unsigned i = 1; i < n; i++) {
        if (i >= len || (byte[i] & 0xC0) != 0x80) {
            return -1;
        }
        code = (code << 6) | (byte[i] & 0x3F);
        *ret_len = i + 1;
    }
    if (code < min[n] && !(code == 0 && n == 2)) {
        return -1;
    }
    return code <= 0x10FFFF && is_character((int32_t)code) ? (int32_t)code : -1;
}

bool json_utf8_append(GString *text, int32_t code)
{
    if (!is_character(code)) {
        return false;
    }
    if (code == 0) {
        g_string_append(text, "\xC0\x80");
    } else {
        g_string_append_unichar(text, (gunichar)code);
    }
    return true;
}
