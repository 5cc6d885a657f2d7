/*
 * JSON tokens to values: one document, or a stream of them
 *
 * Theory of operation: a stack of the lists and dicts that are open takes
 * token after token; no recursion, nothing is kept twice.  A value is handed
 * out when as many brackets and braces have closed as were opened.
 *
 * The first mistake in a value is remembered, what was built is dropped, and
 * the rest of it is only counted up to the point where brackets and braces
 * balance, or one closes that was never opened: there the error is handed out,
 * and the next value begins.  That is how QEMU finds into step again after a
 * client's mistake, and which mistake it names.  Text that is no token at all
 * is reported at once and ends the value.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "qapi/json-int.h"
#include "qapi/qapi-error.h"

#include <string.h>

typedef enum Expect {
    EXPECT_VALUE,
    EXPECT_FIRST,           /* a value or key, or the end of an empty one */
    EXPECT_COLON,
    EXPECT_SEPARATOR,       /* comma or end */
} Expect;

typedef struct Level {
    JsonValue *value;       /* list or dict being filled */
    char *key;              /* of the dict's member being read */
    bool in_key;            /* the value read next is a key */
} Level;

struct JsonStream {
    JsonLexer lexer;
    JsonLimits limits;
    JsonStreamFunc func;
    void *opaque;
    GByteArray *rest;       /* input kept while paused */
    bool paused;
    bool feeding;
    bool doomed;            /* freed by @func */

    /* The value being read */
    GArray *stack;          /* of Level */
    Expect expect;
    JsonValue *result;
    GError *error;          /* its first mistake */
    int64_t braces;         /* opened less closed */
    int64_t brackets;
    size_t n_tokens;
    size_t n_bytes;         /* of its tokens */
};

static void level_clear(void *data)
{
    Level *level = data;

    json_unref(level->value);
    g_free(level->key);
}

static Level *top(JsonStream *stream)
{
    if (stream->stack->len == 0) {
        return NULL;
    }
    return &g_array_index(stream->stack, Level, stream->stack->len - 1);
}

static void value_reset(JsonStream *stream)
{
    g_array_set_size(stream->stack, 0);
    g_clear_pointer(&stream->result, json_unref);
    g_clear_error(&stream->error);
    stream->expect = EXPECT_VALUE;
    stream->braces = 0;
    stream->brackets = 0;
    stream->n_tokens = 0;
    stream->n_bytes = 0;
}

static void G_GNUC_PRINTF(2, 3) mistake(JsonStream *stream,
                                        const char *format, ...)
{
    va_list args;

    if (stream->error == NULL) {
        va_start(args, format);
        stream->error = g_error_new_valist(QAPI_ERROR, QAPI_ERROR_GENERIC,
                                           format, args);
        va_end(args);
    }
    g_array_set_size(stream->stack, 0);
    g_clear_pointer(&stream->result, json_unref);
}

/* Hands out what was read, and begins anew. */
static void emit(JsonStream *stream)
{
    g_autoptr(GError) error = g_steal_pointer(&stream->error);
    JsonValue *value = g_steal_pointer(&stream->result);

    value_reset(stream);
    stream->func(stream->opaque, value, error);
}

/* A value is complete: (transfer full) into the one around it. */
static void put_value(JsonStream *stream, JsonValue *value)
{
    Level *level = top(stream);

    stream->expect = EXPECT_SEPARATOR;
    if (level == NULL) {
        stream->result = value;
        return;
    }
    if (json_type(level->value) == JSON_LIST) {
        json_list_append(level->value, value);
        return;
    }
    if (level->in_key) {
        level->in_key = false;
        if (json_type(value) != JSON_STRING) {
            mistake(stream, "JSON parse error, key is not a string in object");
        } else {
            level->key = g_strdup(json_get_string(value));
            stream->expect = EXPECT_COLON;
        }
        json_unref(value);
        return;
    }
    if (json_dict_get(level->value, level->key) != NULL) {
        json_unref(value);
        mistake(stream, "JSON parse error, duplicate key");
        return;
    }
    json_dict_set(level->value, level->key, value);
    g_clear_pointer(&level->key, g_free);
}

static void open_value(JsonStream *stream, JsonValue *value)
{
    Level level = { .value = value, .in_key = json_type(value) == JSON_DICT };

    g_array_append_val(stream->stack, level);
    stream->expect = EXPECT_FIRST;
}

static void close_value(JsonStream *stream)
{
    JsonValue *value = g_steal_pointer(&top(stream)->value);

    g_array_set_size(stream->stack, stream->stack->len - 1);
    put_value(stream, value);
}

static JsonValue *parse_keyword(JsonStream *stream, const char *text)
{
    if (strcmp(text, "true") == 0) {
        return json_bool(true);
    }
    if (strcmp(text, "false") == 0) {
        return json_bool(false);
    }
    if (strcmp(text, "null") == 0) {
        return json_null();
    }
    mistake(stream, "JSON parse error, invalid keyword '%s'", text);
    return NULL;
}

/* Where a value must begin. */
static void begin_value(JsonStream *stream, JsonToken token,
                        const GString *text)
{
    g_autoptr(GError) error = NULL;
    JsonValue *value = NULL;

    if (token == JSON_TOKEN_LCURLY) {
        open_value(stream, json_dict());
        return;
    }
    if (token == JSON_TOKEN_LSQUARE) {
        open_value(stream, json_list());
        return;
    }
    if (token == JSON_TOKEN_STRING) {
        value = json_parse_string(text, &error);
        if (value == NULL) {
            mistake(stream, "JSON parse error, %s", error->message);
        }
    } else if (token == JSON_TOKEN_NUMBER) {
        value = json_number(text->str);
    } else if (token == JSON_TOKEN_KEYWORD) {
        value = parse_keyword(stream, text->str);
    } else {
        mistake(stream, "JSON parse error, expecting value");
    }
    if (value != NULL) {
        put_value(stream, value);
    }
}

/* After a member: a comma, or the end of the list or dict. */
static void separate(JsonStream *stream, JsonToken token)
{
    Level *level = top(stream);
    bool is_dict = json_type(level->value) == JSON_DICT;

    if (token == (is_dict ? JSON_TOKEN_RCURLY : JSON_TOKEN_RSQUARE)) {
        close_value(stream);
    } else if (token == JSON_TOKEN_COMMA) {
        level->in_key = is_dict;
        stream->expect = EXPECT_VALUE;
    } else {
        mistake(stream, "JSON parse error, expected separator in %s",
                is_dict ? "dict" : "list");
    }
}

static void parse_token(JsonStream *stream, JsonToken token,
                        const GString *text)
{
    Level *level = top(stream);
    bool is_end;

    switch (stream->expect) {
    case EXPECT_FIRST:
        is_end = token == (json_type(level->value) == JSON_DICT
                           ? JSON_TOKEN_RCURLY : JSON_TOKEN_RSQUARE);
        if (is_end) {
            close_value(stream);
        } else {
            begin_value(stream, token, text);
        }
        break;
    case EXPECT_VALUE:
        begin_value(stream, token, text);
        break;
    case EXPECT_COLON:
        if (token == JSON_TOKEN_COLON) {
            stream->expect = EXPECT_VALUE;
        } else {
            mistake(stream, "JSON parse error, missing : in object pair");
        }
        break;
    case EXPECT_SEPARATOR:
        separate(stream, token);
        break;
    }
}

static void count_nesting(JsonStream *stream, JsonToken token)
{
    stream->braces += (token == JSON_TOKEN_LCURLY)
                      - (token == JSON_TOKEN_RCURLY);
    stream->brackets += (token == JSON_TOKEN_LSQUARE)
                        - (token == JSON_TOKEN_RSQUARE);
}

/* The text of the limit that is exceeded, or NULL. */
static const char *exceeded(const JsonStream *stream)
{
    if (stream->n_bytes > stream->limits.max_bytes) {
        return "JSON token size limit exceeded";
    }
    if (stream->n_tokens > stream->limits.max_tokens) {
        return "JSON token count limit exceeded";
    }
    if (stream->braces + stream->brackets > stream->limits.max_depth) {
        return "JSON nesting depth limit exceeded";
    }
    return NULL;
}

/* Ends the value at once, whatever was wrong with it before. */
static void G_GNUC_PRINTF(2, 3) give_up(JsonStream *stream,
                                        const char *format, ...)
{
    va_list args;

    g_clear_error(&stream->error);
    va_start(args, format);
    stream->error = g_error_new_valist(QAPI_ERROR, QAPI_ERROR_GENERIC,
                                       format, args);
    va_end(args);
    g_clear_pointer(&stream->result, json_unref);
    emit(stream);
}

static void take_token(JsonStream *stream, JsonToken token)
{
    const GString *text = stream->lexer.text;
    const char *limit;

    if (token == JSON_TOKEN_ERROR) {
        give_up(stream, "JSON parse error, stray '%s'", text->str);
        return;
    }
    if (token == JSON_TOKEN_TOO_LONG) {
        give_up(stream, "JSON token size limit exceeded");
        return;
    }
    count_nesting(stream, token);
    stream->n_tokens++;
    stream->n_bytes += text->len + 1;
    limit = exceeded(stream);
    if (limit != NULL) {
        give_up(stream, "%s", limit);
        return;
    }
    stream->n_bytes--;
    if (stream->error == NULL) {
        parse_token(stream, token, text);
    }
    if (stream->braces < 0 || stream->brackets < 0
        || (stream->braces == 0 && stream->brackets == 0)) {
        emit(stream);
    }
}

JsonStream *json_stream_new(const JsonLimits *limits, JsonStreamFunc func,
                            void *opaque)
{
    static const JsonLimits qemu = { JSON_MAX_BYTES, JSON_MAX_TOKENS,
                                     JSON_MAX_DEPTH };
    JsonStream *stream = g_new0(JsonStream, 1);

    stream->limits = limits != NULL ? *limits : qemu;
    stream->func = func;
    stream->opaque = opaque;
    stream->rest = g_byte_array_new();
    stream->stack = g_array_new(FALSE, FALSE, sizeof(Level));
    g_array_set_clear_func(stream->stack, level_clear);
    json_lexer_init(&stream->lexer, stream->limits.max_bytes);
    return stream;
}

void json_stream_free(JsonStream *stream)
{
    if (stream == NULL) {
        return;
    }
    if (stream->feeding) {
        stream->doomed = true;
        return;
    }
    value_reset(stream);
    g_array_unref(stream->stack);
    g_byte_array_unref(stream->rest);
    json_lexer_clear(&stream->lexer);
    g_free(stream);
}

void json_stream_pause(JsonStream *stream)
{
    stream->paused = true;
}

/* Takes @data until the end or a pause. Returns: bytes taken. */
static size_t run(JsonStream *stream, const uint8_t *data, size_t len)
{
    size_t i = 0;
    bool again = false;

    while (i < len && !stream->doomed && !stream->paused) {
        JsonToken token = json_lexer_step(&stream->lexer, data[i], &again);

        if (!again) {
            i++;
        }
        if (token != JSON_TOKEN_NONE) {
            take_token(stream, token);
            json_lexer_next(&stream->lexer);
        }
    }
    return i;
}

void json_stream_feed(JsonStream *stream, const char *data, size_t len)
{
    size_t taken;

    if (stream->feeding) {      /* from @func: in its turn */
        g_byte_array_append(stream->rest, (const guint8 *)data, (guint)len);
        return;
    }
    stream->feeding = true;
    stream->paused = false;
    while (stream->rest->len > 0 && !stream->doomed && !stream->paused) {
        g_autoptr(GByteArray) rest = g_steal_pointer(&stream->rest);

        stream->rest = g_byte_array_new();
        taken = run(stream, rest->data, rest->len);
        g_byte_array_prepend(stream->rest, rest->data + taken,
                             (guint)(rest->len - taken));
    }
    taken = run(stream, (const uint8_t *)data, len);
    if (taken < len && !stream->doomed) {
        g_byte_array_append(stream->rest, (const guint8 *)data + taken,
                            (guint)(len - taken));
    }
    stream->feeding = false;
    if (stream->doomed) {
        json_stream_free(stream);
    }
}

void json_stream_end(JsonStream *stream)
{
    JsonToken token = json_lexer_finish(&stream->lexer);

    if (token != JSON_TOKEN_NONE) {
        take_token(stream, token);
    }
    json_lexer_next(&stream->lexer);
    if (stream->n_tokens > 0) {
        mistake(stream, "JSON parse error, premature EOI");
        emit(stream);
    }
}

typedef struct ParseState {
    JsonValue *value;
    GError *error;
} ParseState;

static void parse_one(void *opaque, JsonValue *value, const GError *error)
{
    ParseState *state = opaque;

    if (state->value != NULL) {
        g_clear_pointer(&state->value, json_unref);
        g_set_error(&state->error, QAPI_ERROR, QAPI_ERROR_GENERIC,
                    "Expecting at most one JSON value");
    }
    if (state->error != NULL) {
        json_unref(value);
        return;
    }
    state->value = value;
    state->error = error != NULL ? g_error_copy(error) : NULL;
}

JsonValue *json_parse(const char *text, size_t len, GError **error)
{
    ParseState state = { NULL, NULL };
    g_autoptr(JsonStream) stream = json_stream_new(NULL, parse_one, &state);

    json_stream_feed(stream, text, len);
    json_stream_end(stream);
    if (state.error != NULL) {
        g_propagate_error(error, state.error);
        return NULL;
    }
    if (state.value == NULL) {
        g_set_error(error, QAPI_ERROR, QAPI_ERROR_GENERIC,
                    "Expecting a JSON value");
    }
    return state.value;
}
