/*
 * What the parts of the JSON library share: lexer, parser, values, UTF-8
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef QAPI_JSON_INT_H
#define QAPI_JSON_INT_H

#include "qapi/json.h"

/* QEMU's, used where the caller names no limits. */
#define JSON_MAX_BYTES (64u * 1024 * 1024)
#define JSON_MAX_TOKENS (2u * 1024 * 1024)
#define JSON_MAX_DEPTH 1024u

typedef enum JsonToken {
    JSON_TOKEN_NONE,
    JSON_TOKEN_LCURLY, JSON_TOKEN_RCURLY,
    JSON_TOKEN_LSQUARE, JSON_TOKEN_RSQUARE,
    JSON_TOKEN_COLON, JSON_TOKEN_COMMA,
    JSON_TOKEN_NUMBER, JSON_TOKEN_KEYWORD, JSON_TOKEN_STRING,
    JSON_TOKEN_ERROR,       /* text that begins no token */
    JSON_TOKEN_TOO_LONG,
    JSON_TOKEN_END,         /* end of input */
} JsonToken;

typedef struct JsonLexer {
    unsigned state;
    GString *text;          /* of the token begun */
    size_t max_bytes;
} JsonLexer;

void json_lexer_init(JsonLexer *lexer, size_t max_bytes);
void json_lexer_clear(JsonLexer *lexer);
/**
 * json_lexer_step: one byte.
 * @ret_again: set if the byte ended a token that it is not part of: step
 *             again with the same byte
 *
 * Returns: the token that is complete, its text in @lexer->text until
 * json_lexer_next(), or JSON_TOKEN_NONE
 */
JsonToken json_lexer_step(JsonLexer *lexer, uint8_t byte, bool *ret_again);
/** json_lexer_finish: the token that the end of input completes, if any. */
JsonToken json_lexer_finish(JsonLexer *lexer);
/** json_lexer_next: forget the text of the token that was returned. */
void json_lexer_next(JsonLexer *lexer);

/**
 * json_utf8_get: the code point at @text.
 * @len: bytes that may be looked at, more than 0
 * @ret_len: bytes it takes; of a broken sequence, those to skip
 *
 * UTF-8 with one exception: C0 80 is U+0000, so that text stays a C string.
 *
 * Returns: -1 if the sequence is broken, overlong, a surrogate or a
 * noncharacter
 */
int32_t json_utf8_get(const char *text, size_t len, size_t *ret_len);
/** json_utf8_append: false if @code is not a character. */
bool json_utf8_append(GString *text, int32_t code);

/**
 * json_parse_string: a string token, with its quotes, to the string it means.
 *
 * Returns: NULL with a text that goes behind "JSON parse error, "
 */
JsonValue *json_parse_string(const GString *token, GError **error);
/** json_number: @text must be a JSON number. */
JsonValue *json_number(const char *text);

#endif
