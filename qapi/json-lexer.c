/*
 * Bytes to JSON tokens, one byte at a time
 *
 * Theory of operation: a state machine whose state survives between calls, so
 * that a token may arrive in any number of pieces.  It accepts what QMP's
 * accepts: strings in double or single quotes, keywords of lower-case letters.
 *
 * Text that begins no token is an error token, whose text ends with the byte
 * that did not fit.  What follows is then skipped up to a byte that cannot be
 * inside a value: one of []{}:, or a control character but tab, or FE or FF,
 * which UTF-8 never contains and which clients send to get into step.  It is
 * looked at again as the beginning of a token.
 *
 * Escapes and UTF-8 inside strings are the parser's business.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "qapi/json-int.h"

enum {
    LEX_START,
    LEX_RECOVERY,
    LEX_DOUBLE,         /* in "..." */
    LEX_DOUBLE_ESCAPE,
    LEX_SINGLE,         /* in '...' */
    LEX_SINGLE_ESCAPE,
    LEX_KEYWORD,
    LEX_SIGN,           /* - */
    LEX_ZERO,           /* 0 or -0 */
    LEX_DIGITS,
    LEX_POINT,          /* 1. */
    LEX_FRACTION,
    LEX_EXP,            /* 1e */
    LEX_EXP_SIGN,       /* 1e- */
    LEX_EXP_DIGITS,
};

void json_lexer_init(JsonLexer *lexer, size_t max_bytes)
{
    lexer->state = LEX_START;
    lexer->text = g_string_new(NULL);
    lexer->max_bytes = max_bytes;
}

void json_lexer_clear(JsonLexer *lexer)
{
    if (lexer->text != NULL) {
        g_string_free(lexer->text, TRUE);
        lexer->text = NULL;
    }
}

void json_lexer_next(JsonLexer *lexer)
{
    g_string_truncate(lexer->text, 0);
}

static JsonToken structural(uint8_t byte)
{
    switch (byte) {
    case '{':
        return JSON_TOKEN_LCURLY;
    case '}':
        return JSON_TOKEN_RCURLY;
    case '[':
        return JSON_TOKEN_LSQUARE;
    case ']':
        return JSON_TOKEN_RSQUARE;
    case ':':
        return JSON_TOKEN_COLON;
    case ',':
        return JSON_TOKEN_COMMA;
    default:
        return JSON_TOKEN_NONE;
    }
}

/* Keeps the byte and goes to @state. */
static JsonToken advance(JsonLexer *lexer, uint8_t byte, unsigned state)
{
    g_string_append_c(lexer->text, (char)byte);
    lexer->state = state;
    if (lexer->text->len > lexer->max_bytes) {
        lexer->state = LEX_RECOVERY;
        return JSON_TOKEN_TOO_LONG;
    }
    return JSON_TOKEN_NONE;
}

static JsonToken complete(JsonLexer *lexer, uint8_t byte, JsonToken token)
{
    g_string_append_c(lexer->text, (char)byte);
    lexer->state = LEX_START;
    return token;
}

static JsonToken refuse(JsonLexer *lexer, uint8_t byte)
{
    g_string_append_c(lexer->text, (char)byte);
    lexer->state = LEX_RECOVERY;
    return JSON_TOKEN_ERROR;
}

static JsonToken step_start(JsonLexer *lexer, uint8_t byte)
{
    JsonToken token = structural(byte);

    if (token != JSON_TOKEN_NONE) {
        return complete(lexer, byte, token);
    }
    if (byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n') {
        return JSON_TOKEN_NONE;
    }
    if (byte == '"') {
        return advance(lexer, byte, LEX_DOUBLE);
    }
    if (byte == '\'') {
        return advance(lexer, byte, LEX_SINGLE);
    }
    if (byte == '-') {
        return advance(lexer, byte, LEX_SIGN);
    }
    if (g_ascii_isdigit(byte)) {
        return advance(lexer, byte, byte == '0' ? LEX_ZERO : LEX_DIGITS);
    }
    if (g_ascii_islower(byte)) {
        return advance(lexer, byte, LEX_KEYWORD);
    }
    return refuse(lexer, byte);
}

static JsonToken step_string(JsonLexer *lexer, uint8_t byte)
{
    bool is_double = lexer->state == LEX_DOUBLE
                     || lexer->state == LEX_DOUBLE_ESCAPE;
    bool is_escape = lexer->state == LEX_DOUBLE_ESCAPE
                     || lexer->state == LEX_SINGLE_ESCAPE;

    if (byte < 0x20 || byte >= 0xFE) {
        return refuse(lexer, byte);
    }
    if (is_escape) {
        return advance(lexer, byte, is_double ? LEX_DOUBLE : LEX_SINGLE);
    }
    if (byte == '\\') {
        return advance(lexer, byte,
                       is_double ? LEX_DOUBLE_ESCAPE : LEX_SINGLE_ESCAPE);
    }
    if (byte == (is_double ? '"' : '\'')) {
        return complete(lexer, byte, JSON_TOKEN_STRING);
    }
    return advance(lexer, byte, lexer->state);
}

/* The state after @byte within a number; LEX_START where the number ends. */
static unsigned number_state(unsigned state, uint8_t byte)
{
    bool is_digit = g_ascii_isdigit(byte);
    bool is_exp = byte == 'e' || byte == 'E';

    switch (state) {
    case LEX_SIGN:
        return byte == '0' ? LEX_ZERO : is_digit ? LEX_DIGITS : LEX_RECOVERY;
    case LEX_ZERO:
        /* "0e1" is 0 and a keyword: QMP's lexer has no exponent after a 0. */
        return byte == '.' ? LEX_POINT : is_digit ? LEX_RECOVERY : LEX_START;
    case LEX_DIGITS:
        return is_digit ? LEX_DIGITS : byte == '.' ? LEX_POINT
               : is_exp ? LEX_EXP : LEX_START;
    case LEX_POINT:
        return is_digit ? LEX_FRACTION : LEX_RECOVERY;
    case LEX_FRACTION:
        return is_digit ? LEX_FRACTION : is_exp ? LEX_EXP : LEX_START;
    case LEX_EXP:
        return is_digit ? LEX_EXP_DIGITS
               : byte == '+' || byte == '-' ? LEX_EXP_SIGN : LEX_RECOVERY;
    case LEX_EXP_SIGN:
        return is_digit ? LEX_EXP_DIGITS : LEX_RECOVERY;
    case LEX_EXP_DIGITS:
        return is_digit ? LEX_EXP_DIGITS : LEX_START;
    default:
        g_assert_not_reached();
    }
}

static JsonToken step_number(JsonLexer *lexer, uint8_t byte, bool *ret_again)
{
    unsigned state = number_state(lexer->state, byte);

    if (state == LEX_RECOVERY) {
        return refuse(lexer, byte);
    }
    if (state == LEX_START) {
        lexer->state = LEX_START;
        *ret_again = true;
        return JSON_TOKEN_NUMBER;
    }
    return advance(lexer, byte, state);
}

JsonToken json_lexer_step(JsonLexer *lexer, uint8_t byte, bool *ret_again)
{
    *ret_again = false;
    switch (lexer->state) {
    case LEX_START:
        return step_start(lexer, byte);
    case LEX_RECOVERY:
        if ((byte < 0x20 && byte != '\t') || byte >= 0xFE
            || structural(byte) != JSON_TOKEN_NONE) {
            lexer->state = LEX_START;
            *ret_again = true;
        }
        return JSON_TOKEN_NONE;
    case LEX_DOUBLE:
    case LEX_DOUBLE_ESCAPE:
    case LEX_SINGLE:
    case LEX_SINGLE_ESCAPE:
        return step_string(lexer, byte);
    case LEX_KEYWORD:
        if (g_ascii_islower(byte)) {
            return advance(lexer, byte, LEX_KEYWORD);
        }
        lexer->state = LEX_START;
        *ret_again = true;
        return JSON_TOKEN_KEYWORD;
    default:
        return step_number(lexer, byte, ret_again);
    }
}

JsonToken json_lexer_finish(JsonLexer *lexer)
{
    unsigned state = lexer->state;

    lexer->state = LEX_START;
    switch (state) {
    case LEX_START:
    case LEX_RECOVERY:
        return JSON_TOKEN_NONE;
    case LEX_KEYWORD:
        return JSON_TOKEN_KEYWORD;
    case LEX_ZERO:
    case LEX_DIGITS:
    case LEX_FRACTION:
    case LEX_EXP_DIGITS:
        return JSON_TOKEN_NUMBER;
    default:
        return JSON_TOKEN_ERROR;
    }
}
