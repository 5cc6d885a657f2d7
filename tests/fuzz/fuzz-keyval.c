/*
 * Fuzz target: key=value lines and JSON, into the decoder of every type
 *
 * The first byte chooses the type, Netdev and ExportOptions among them; what
 * a decoder takes, its encoder must give back so that it is taken again.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qapi-recode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const QapiRecode *choose(uint8_t number)
{
    size_t n = 0;

    while (qapi_recode[n].name != NULL) {
        n++;
    }
    return &qapi_recode[number % n];
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
    g_autofree char *text = NULL;
    g_autoptr(JsonValue) value = NULL;
    g_autoptr(GError) error = NULL;
    QapiInput input;

    if (size < 1) {
        return 0;
    }
    text = g_strndup((const char *)data + 1, size - 1);
    value = keyval_parse(text, "type", &input, &error);
    if (value == NULL) {
        g_assert_nonnull(error);
        return 0;
    }
    check_recode(choose(data[0]), value, input);
    return 0;
}
