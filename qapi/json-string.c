/*
 * JSON strings: escapes, and UTF-8 that is what it should be
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "qapi/json-int.h"
#include "qapi/qapi-error.h"

#include <string.h>

static int32_t hex4(const char *text)
{
    int32_t code = 0;

    for (int i = 0; i < 4; i++) {
        if (!g_ascii_isxdigit(text[i])) {
            return -1;
        }
        code = code << 4 | g_ascii_xdigit_value(text[i]);
    }
    return code;
}

/*
 * "\uXXXX" or a surrogate pair at @text.  The token's quote and NUL behind it
 * end each of the looks ahead.
 */
static bool unescape_unicode(const char *text, size_t *ret_len, GString *ret,
                             GError **error)
{
    int32_t code = hex4(text + 2);
    int32_t low;

    *ret_len = 6;
    if (code >= 0xD800 && code <= 0xDBFF && text[6] == '\\'
        && text[7] == 'u') {
        low = hex4(text + 8);
        if (low >= 0xDC00 && low <= 0xDFFF) {
            code = 0x10000 + ((code & 0x3FF) << 10 | (low & 0x3FF));
            *ret_len = 12;
        }
    }
    if (!json_utf8_append(ret, code)) {
        g_set_error(error, QAPI_ERROR, QAPI_ERROR_GENERIC,
                    "%.*s is not a valid Unicode character", (int)*ret_len,
                    text);
        return false;
    }
    return true;
}

/* One escape sequence at @text. */
static bool unescape(const char *text, size_t *ret_len, GString *ret,
                     GError **error)
{
    static const char from[] = "\"'\\/bfnrt";
    static const char to[] = "\"'\\/\b\f\n\r\t";
    const char *at;

    if (text[1] == 'u') {
        return unescape_unicode(text, ret_len, ret, error);
    }
    at = strchr(from, text[1]);
    if (at == NULL || text[1] == '\0') {
        g_set_error(error, QAPI_ERROR, QAPI_ERROR_GENERIC,
                    "invalid escape sequence in string");
        return false;
    }
    g_string_append_c(ret, to[at - from]);
    *ret_len = 2;
    return true;
}

JsonValue *json_parse_string(const GString *token, GError **error)
{
    g_autoptr(GString) text = g_string_sized_new(token->len);
    const char *end = token->str + token->len - 1;
    const char *at = token->str + 1;
    size_t len;

    for (; at < end; at += len) {
        if (*at == '\\') {
            if (!unescape(at, &len, text, error)) {
                return NULL;
            }
            continue;
        }
        if (json_utf8_get(at, (size_t)(end - at), &len) < 0) {
            g_set_error(error, QAPI_ERROR, QAPI_ERROR_GENERIC,
                        "invalid UTF-8 sequence in string");
            return NULL;
        }
        g_string_append_len(text, at, (gssize)len);
    }
    return json_string(text->str);
}
