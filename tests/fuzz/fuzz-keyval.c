/*
 * Fuzz target: key=value lines and JSON, into the decoder of every type
 *
 * The first line names the type; Netdev, if there is none of that name.  What a
 * decoder takes, its encoder must give back so that it is taken again.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qapi-recode.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const QapiRecode *choose(const char *name)
{
    const QapiRecode *netdev = NULL;

    for (const QapiRecode *type = qapi_recode; type->name != NULL; type++) {
        if (strcmp(type->name, name) == 0) {
            return type;
        }
        if (strcmp(type->name, "Netdev") == 0) {
            netdev = type;
        }
    }
    return netdev;
}

static void check_recode(const QapiRecode *type, const JsonValue *value,
                         QapiInput input)
{
    g_autoptr(JsonValue) once = NULL;
    g_autoptr(JsonValue) twice = NULL;
    g_autoptr(GError) error = NULL;
    g_autofree char *text_once = NULL;
    g_autofree char *text_twice = NULL;

    if (!type->recode(value, input, &once, &error)) {
        g_assert_nonnull(error);
        return;
    }
    g_assert_no_error(error);
    type->recode(once, QAPI_INPUT_JSON, &twice, &error);
    g_assert_no_error(error);
    text_once = json_to_text(once);
    text_twice = json_to_text(twice);
    g_assert_cmpstr(text_once, ==, text_twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *name = size > 0 ? g_strndup((const char *)data, size)
                                     : g_strdup("");
    char *text = strchr(name, '\n');
    g_autoptr(JsonValue) value = NULL;
    g_autoptr(GError) error = NULL;
    QapiInput input;

    if (text == NULL) {
        return 0;
    }
    *text++ = '\0';
    value = keyval_parse(text, "type", &input, &error);
    if (value == NULL) {
        g_assert_nonnull(error);
        return 0;
    }
    check_recode(choose(name), value, input);
    return 0;
}
