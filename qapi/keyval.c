/*
 * key=value,... lines to JSON values
 *
 * Theory of operation: elements are taken from left to right, and each value
 * is put where its dotted key leads, making the objects on the way.  An
 * object whose keys turn out to be all numbers is an array: when all is read,
 * it is turned into one.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "qapi/keyval.h"
#include "qapi/qapi-error.h"

#include <string.h>

#define FRAGMENT_MAX 127
/* Dots in a key: deeper than any type of the schema, shallow for the stack. */
#define DEPTH_MAX 32

static bool G_GNUC_PRINTF(2, 3) fail(GError **error, const char *format, ...)
{
    va_list args;

    if (error != NULL) {
        va_start(args, format);
        *error = g_error_new_valist(QAPI_ERROR, QAPI_ERROR_GENERIC,
                                    format, args);
        va_end(args);
    }
    return false;
}

static bool is_index(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (!g_ascii_isdigit(text[i])) {
            return false;
        }
    }
    return len > 0;
}

static bool is_name(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (!g_ascii_isalnum(text[i]) && text[i] != '-' && text[i] != '_') {
            return false;
        }
    }
    return len > 0 && (g_ascii_isalpha(text[0]) || text[0] == '_');
}

/* The parts of a dotted key. (transfer full) */
static char **split_key(const char *key, GError **error)
{
    g_auto(GStrv) parts = g_strsplit(key, ".", -1);

    if (g_strv_length(parts) == 0) {
        fail(error, "Invalid parameter ''");
        return NULL;
    }
    if (g_strv_length(parts) > DEPTH_MAX) {
        fail(error, "Parameter '%.*s...' has too many parts", FRAGMENT_MAX,
             key);
        return NULL;
    }
    for (size_t i = 0; parts[i] != NULL; i++) {
        size_t len = strlen(parts[i]);

        if (!is_name(parts[i], len)
            && (i == 0 || !is_index(parts[i], len))) {
            fail(error, "Invalid parameter '%s'", key);
            return NULL;
        }
        if (len > FRAGMENT_MAX) {
            fail(error, "Parameter%s '%s' is too long",
                 parts[1] != NULL ? " fragment" : "", parts[i]);
            return NULL;
        }
    }
    return g_steal_pointer(&parts);
}

/* The beginning of a key: its first @n parts. */
static char *join(char **parts, size_t n)
{
    GString *key = g_string_new(parts[0]);

    for (size_t i = 1; i < n; i++) {
        g_string_append_printf(key, ".%s", parts[i]);
    }
    return g_string_free(key, FALSE);
}

/* The member that is being filled: made here, so not shared. */
static JsonValue *member_of(JsonValue *dict, const char *name)
{
    return (JsonValue *)json_dict_get(dict, name);
}

/* Puts @text under the last part; a key that is repeated makes a list. */
static void put_text(JsonValue *dict, const char *name, const char *text)
{
    JsonValue *old = member_of(dict, name);
    JsonValue *list;

    if (old == NULL) {
        json_dict_set_string(dict, name, text);
    } else if (json_type(old) == JSON_LIST) {
        json_list_append(old, json_string(text));
    } else {
        list = json_list();
        json_list_append(list, json_ref(old));
        json_list_append(list, json_string(text));
        json_dict_set(dict, name, list);
    }
}

static bool put(JsonValue *root, char **parts, const char *text,
                GError **error)
{
    JsonValue *dict = root;
    g_autofree char *key = NULL;
    JsonValue *next;
    size_t i;

    for (i = 0; parts[i + 1] != NULL; i++) {
        next = member_of(dict, parts[i]);
        if (next == NULL) {
            next = json_dict();
            json_dict_set(dict, parts[i], next);
        }
        if (json_type(next) != JSON_DICT) {
            key = join(parts, i + 1);
            return fail(error, "Parameters '%s.*' used inconsistently", key);
        }
        dict = next;
    }
    next = member_of(dict, parts[i]);
    if (next != NULL && json_type(next) == JSON_DICT) {
        key = join(parts, i + 1);
        return fail(error, "Parameters '%s.*' used inconsistently", key);
    }
    put_text(dict, parts[i], text);
    return true;
}

/* The value at @at, up to a single comma; @ret_end: behind that. */
static char *take_value(const char *at, const char **ret_end)
{
    GString *text = g_string_new(NULL);

    while (*at != '\0') {
        if (*at == ',') {
            at++;
            if (*at != ',') {
                break;
            }
        }
        g_string_append_c(text, *at++);
    }
    *ret_end = at;
    return g_string_free(text, FALSE);
}

/* One element of the line: @at is moved behind it. */
static bool take_element(JsonValue *root, const char **at,
                         const char *implied_key, GError **error)
{
    size_t len = strcspn(*at, "=,");
    g_autofree char *key = g_strndup(*at, len);
    g_auto(GStrv) parts = NULL;
    g_autofree char *text = NULL;

    if ((*at)[len] == '=') {
        *at += len + 1;
    } else if (implied_key != NULL && len > 0) {
        g_free(key);
        key = g_strdup(implied_key);
    } else {
        parts = split_key(key, error);
        return parts != NULL
               && fail(error, "Expected '=' after parameter '%s'", key);
    }
    parts = split_key(key, error);
    if (parts == NULL) {
        return false;
    }
    text = take_value(*at, at);
    return put(root, parts, text, error);
}

/* Whether keys are array indices: all, or an error. */
static bool find_indices(const JsonValue *dict, const char *name,
                         size_t *ret_n, GError **error)
{
    size_t n = json_dict_size(dict);
    const char *key;

    *ret_n = 0;
    for (size_t i = 0; i < n; i++) {
        json_dict_at(dict, i, &key);
        *ret_n += is_index(key, strlen(key));
    }
    if (*ret_n != 0 && *ret_n != n) {
        return fail(error, "Parameters '%s.*' used inconsistently", name);
    }
    return true;
}

/* Turns objects with numbers for keys into arrays. (transfer full) */
static JsonValue *listify(const JsonValue *value, const char *name,
                          GError **error)
{
    g_autoptr(JsonValue) ret = NULL;
    size_t n;

    if (json_type(value) != JSON_DICT) {
        return json_ref((JsonValue *)value);
    }
    if (!find_indices(value, name, &n, error)) {
        return NULL;
    }
    ret = n > 0 ? json_list() : json_dict();
    for (size_t i = 0; i < json_dict_size(value); i++) {
        g_autofree char *inner = NULL;
        g_autofree char *digits = g_strdup_printf("%zu", i);
        const char *key = digits;
        const JsonValue *item = json_dict_get(value, digits);
        JsonValue *done;

        if (n == 0) {
            item = json_dict_at(value, i, &key);
        }
        inner = name[0] != '\0' ? g_strdup_printf("%s.%s", name, key)
                                : g_strdup(key);
        if (item == NULL) {
            fail(error, "Parameter '%s' missing", inner);
            return NULL;
        }
        done = listify(item, inner, error);
        if (done == NULL) {
            return NULL;
        }
        if (n > 0) {
            json_list_append(ret, done);
        } else {
            json_dict_set(ret, key, done);
        }
    }
    return g_steal_pointer(&ret);
}

static JsonValue *parse_json(const char *text, GError **error)
{
    g_autoptr(JsonValue) value = json_parse(text, strlen(text), error);

    if (value != NULL && json_type(value) != JSON_DICT) {
        fail(error, "Expecting a JSON object");
        return NULL;
    }
    return g_steal_pointer(&value);
}

JsonValue *keyval_parse(const char *text, const char *implied_key,
                        QapiInput *ret_input, GError **error)
{
    g_autoptr(JsonValue) root = NULL;
    const char *at = text;

    if (text[0] == '{') {
        *ret_input = QAPI_INPUT_JSON;
        return parse_json(text, error);
    }
    *ret_input = QAPI_INPUT_KEYVAL;
    root = json_dict();
    while (*at != '\0') {
        if (!take_element(root, &at, implied_key, error)) {
            return NULL;
        }
        implied_key = NULL;
    }
    return listify(root, "", error);
}
