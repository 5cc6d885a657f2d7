/*
 * key=value,... lines to the JsonValue that decoders take as QAPI_INPUT_KEYVAL
 *
 * Grammar: dotted keys make nested objects, ",," is a comma in a value, a
 * first element without "=" is the value of @implied_key, "key" alone is an
 * error ("Expected '=' after parameter 'key'").  A text that begins with "{"
 * is JSON.  A key that is repeated makes a list of its values.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef QAPI_KEYVAL_H
#define QAPI_KEYVAL_H

#include "qapi/json.h"

/** How a decoder reads scalars. */
typedef enum QapiInput { QAPI_INPUT_JSON, QAPI_INPUT_KEYVAL } QapiInput;

/**
 * keyval_parse: @text to a dict.
 * @implied_key: (nullable)
 * @ret_input: QAPI_INPUT_JSON if @text was JSON
 */
JsonValue *keyval_parse(const char *text, const char *implied_key,
                        QapiInput *ret_input, GError **error);

#endif
