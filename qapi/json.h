/*
 * JSON as QMP has it: values, a streaming bounded parser, a writer
 *
 * Numbers keep their text, so that nothing is lost on the way through an "id".
 * Duplicate keys are refused, single-quoted strings are accepted, input is a
 * stream of values without separators (QEMU: docs/interop/qmp-spec).
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef QAPI_JSON_H
#define QAPI_JSON_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef enum JsonType {
    JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_LIST, JSON_DICT
} JsonType;

/** JsonValue: reference counted, immutable once shared. Dicts keep order. */
typedef struct JsonValue JsonValue;

JsonValue *json_ref(JsonValue *value);
void json_unref(JsonValue *value);
JsonType json_type(const JsonValue *value);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(JsonValue, json_unref)

JsonValue *json_null(void);
JsonValue *json_bool(bool value);
JsonValue *json_int(int64_t value);
JsonValue *json_uint(uint64_t value);
JsonValue *json_string(const char *utf8);
JsonValue *json_list(void);
JsonValue *json_dict(void);
/** json_list_append, json_dict_set: (transfer full) @value; set replaces. */
void json_list_append(JsonValue *list, JsonValue *value);
void json_dict_set(JsonValue *dict, const char *key, JsonValue *value);
/** Conveniences for json_dict_set() with a scalar. */
void json_dict_set_string(JsonValue *dict, const char *key, const char *value);
void json_dict_set_int(JsonValue *dict, const char *key, int64_t value);
void json_dict_set_bool(JsonValue *dict, const char *key, bool value);

/** Getters: false (or NULL, 0) if @value is of another type or out of range. */
bool json_get_bool(const JsonValue *value, bool *ret);
bool json_get_int(const JsonValue *value, int64_t *ret);
bool json_get_uint(const JsonValue *value, uint64_t *ret);
const char *json_get_string(const JsonValue *value);
size_t json_list_size(const JsonValue *list);
const JsonValue *json_list_get(const JsonValue *list, size_t index);
size_t json_dict_size(const JsonValue *dict);
/** json_dict_at: the @index-th member in order of arrival. */
const JsonValue *json_dict_at(const JsonValue *dict, size_t index,
                              const char **ret_key);
const JsonValue *json_dict_get(const JsonValue *dict, const char *key);
/** json_dict_get_*: NULL/false if absent or of another type. */
const char *json_dict_get_string(const JsonValue *dict, const char *key);
bool json_dict_get_int(const JsonValue *dict, const char *key, int64_t *ret);
bool json_dict_get_bool(const JsonValue *dict, const char *key, bool *ret);

/** json_to_text: one line, ASCII (QMP's escapes). (transfer full) */
char *json_to_text(const JsonValue *value);
/** json_to_pretty: indented by 4 spaces, for people. (transfer full) */
char *json_to_pretty(const JsonValue *value);
/** json_parse: exactly one value. Error texts are QEMU's. */
JsonValue *json_parse(const char *text, size_t len, GError **error);

typedef struct JsonStream JsonStream;

/** Called per value, or with NULL and an error (QEMU's text) per broken one. */
typedef void (*JsonStreamFunc)(void *opaque, JsonValue *value /* full */,
                               const GError *error);

typedef struct JsonLimits {
    size_t max_bytes;     /* of one value; QEMU: 64 MiB */
    size_t max_tokens;    /* of one value; QEMU: 2 Mi */
    unsigned max_depth;   /* QEMU: 1024 */
} JsonLimits;

JsonStream *json_stream_new(const JsonLimits *limits, JsonStreamFunc func,
                            void *opaque);
/** json_stream_feed: may call @func any number of times, which may call
 * json_stream_pause() to have the rest kept until the next feed. */
void json_stream_feed(JsonStream *stream, const char *data, size_t len);
void json_stream_pause(JsonStream *stream);
/** json_stream_end: end of input: a value begun is an error. */
void json_stream_end(JsonStream *stream);
void json_stream_free(JsonStream *stream);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(JsonStream, json_stream_free)

#endif
