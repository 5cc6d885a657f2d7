/*
 * Fuzz target: the JSON stream, in two ways of cutting the same bytes
 *
 * The first byte says where input is cut into pieces.  What comes out must
 * not depend on it, and what was taken must survive being written and read.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qapi/json.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_value(const JsonValue *value)
{
    g_autofree char *text = json_to_text(value);
    g_autofree char *pretty = json_to_pretty(value);
    g_autoptr(JsonValue) again = json_parse(text, strlen(text), NULL);
    g_autofree char *text_again = NULL;

    g_assert_nonnull(again);
    text_again = json_to_text(again);
    g_assert_cmpstr(text, ==, text_again);
    g_clear_pointer(&again, json_unref);
    again = json_parse(pretty, strlen(pretty), NULL);
    g_assert_nonnull(again);
}

static void take(void *opaque, JsonValue *value, const GError *error)
{
    GString *log = opaque;

    g_assert((value == NULL) != (error == NULL));
    if (value != NULL) {
        g_autofree char *text = json_to_text(value);

        g_string_append(log, text);
        check_value(value);
        json_unref(value);
    } else {
        g_string_append(log, error->message);
    }
    g_string_append_c(log, '\n');
}

static char *run(const char *data, size_t size, size_t piece)
{
    static const JsonLimits limits = { .max_bytes = 4096, .max_tokens = 512,
                                       .max_depth = 64 };
    GString *log = g_string_new(NULL);
    g_autoptr(JsonStream) stream = json_stream_new(&limits, take, log);

    for (size_t i = 0; i < size; i += piece) {
        json_stream_feed(stream, data + i, MIN(piece, size - i));
    }
    json_stream_end(stream);
    return g_string_free(log, FALSE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *whole = NULL;
    g_autofree char *pieces = NULL;

    if (size < 1) {
        return 0;
    }
    whole = run((const char *)data + 1, size - 1, size);
    pieces = run((const char *)data + 1, size - 1, 1 + data[0] % 16);
    g_assert_cmpstr(whole, ==, pieces);
    return 0;
}
