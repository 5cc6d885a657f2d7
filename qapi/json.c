/*
 * JSON values and their text
 *
 * Dicts keep the order of arrival.  Up to a handful of members are searched
 * one by one; more get an index that is a balanced tree, not a hash: a client
 * chooses the keys, and cannot choose them so that lookups degrade.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "qapi/json-int.h"

#include <errno.h>
#include <string.h>

#define DICT_LINEAR_MAX 16

typedef struct Member {
    char *key;
    JsonValue *value;
} Member;

struct JsonValue {
    gint n_refs;
    JsonType type;
    union {
        bool boolean;
        char *text;             /* number, string */
        GPtrArray *list;        /* of JsonValue */
        struct {
            GArray *members;    /* of Member */
            GTree *index;       /* key to position + 1; NULL while small */
        } dict;
    };
};

static JsonValue *value_new(JsonType type)
{
    JsonValue *value = g_new0(JsonValue, 1);

    value->n_refs = 1;
    value->type = type;
    return value;
}

JsonValue *json_ref(JsonValue *value)
{
    g_atomic_int_inc(&value->n_refs);
    return value;
}

void json_unref(JsonValue *value)
{
    if (value == NULL || !g_atomic_int_dec_and_test(&value->n_refs)) {
        return;
    }
    switch (value->type) {
    case JSON_NUMBER:
    case JSON_STRING:
        g_free(value->text);
        break;
    case JSON_LIST:
        g_ptr_array_unref(value->list);
        break;
    case JSON_DICT:
        if (value->dict.index != NULL) {
            g_tree_destroy(value->dict.index);
        }
        g_array_unref(value->dict.members);
        break;
    case JSON_NULL:
    case JSON_BOOL:
        break;
    }
    g_free(value);
}

JsonType json_type(const JsonValue *value)
{
    return value->type;
}

static bool is_type(const JsonValue *value, JsonType type)
{
    return value != NULL && value->type == type;
}

JsonValue *json_null(void)
{
    return value_new(JSON_NULL);
}

JsonValue *json_bool(bool boolean)
{
    JsonValue *value = value_new(JSON_BOOL);

    value->boolean = boolean;
    return value;
}

JsonValue *json_number(const char *text)
{
    JsonValue *value = value_new(JSON_NUMBER);

    value->text = g_strdup(text);
    return value;
}

JsonValue *json_int(int64_t number)
{
    char text[32];

    g_snprintf(text, sizeof(text), "%" G_GINT64_FORMAT, number);
    return json_number(text);
}

JsonValue *json_uint(uint64_t number)
{
    char text[32];

    g_snprintf(text, sizeof(text), "%" G_GUINT64_FORMAT, number);
    return json_number(text);
}

JsonValue *json_string(const char *utf8)
{
    JsonValue *value = value_new(JSON_STRING);

    value->text = g_strdup(utf8);
    return value;
}

static void unref_item(void *value)
{
    json_unref(value);
}

JsonValue *json_list(void)
{
    JsonValue *value = value_new(JSON_LIST);

    value->list = g_ptr_array_new_with_free_func(unref_item);
    return value;
}

static void member_clear(void *data)
{
    Member *member = data;

    g_free(member->key);
    json_unref(member->value);
}

JsonValue *json_dict(void)
{
    JsonValue *value = value_new(JSON_DICT);

    value->dict.members = g_array_new(FALSE, FALSE, sizeof(Member));
    g_array_set_clear_func(value->dict.members, member_clear);
    return value;
}

void json_list_append(JsonValue *list, JsonValue *value)
{
    g_assert(list->type == JSON_LIST);
    g_ptr_array_add(list->list, value);
}

static Member *dict_find(const JsonValue *dict, const char *key)
{
    GArray *members = dict->dict.members;
    size_t at;

    if (dict->dict.index != NULL) {
        at = GPOINTER_TO_SIZE(g_tree_lookup(dict->dict.index, key));
        return at == 0 ? NULL : &g_array_index(members, Member, at - 1);
    }
    for (guint i = 0; i < members->len; i++) {
        Member *member = &g_array_index(members, Member, i);

        if (strcmp(member->key, key) == 0) {
            return member;
        }
    }
    return NULL;
}

static int compare_keys(const void *a, const void *b)
{
    return strcmp(a, b);
}

static void dict_index(JsonValue *dict)
{
    GArray *members = dict->dict.members;
    guint first = members->len - 1;

    if (members->len <= DICT_LINEAR_MAX) {
        return;
    }
    if (dict->dict.index == NULL) {
        dict->dict.index = g_tree_new(compare_keys);
        first = 0;
    }
    for (guint i = first; i < members->len; i++) {
        g_tree_insert(dict->dict.index,
                      g_array_index(members, Member, i).key,
                      GSIZE_TO_POINTER((size_t)i + 1));
    }
}

void json_dict_set(JsonValue *dict, const char *key, JsonValue *value)
{
    Member *old;
    Member new;

    g_assert(dict->type == JSON_DICT);
    old = dict_find(dict, key);
    if (old != NULL) {
        json_unref(old->value);
        old->value = value;
        return;
    }
    new.key = g_strdup(key);
    new.value = value;
    g_array_append_val(dict->dict.members, new);
    dict_index(dict);
}

void json_dict_set_string(JsonValue *dict, const char *key, const char *value)
{
    json_dict_set(dict, key, json_string(value));
}

void json_dict_set_int(JsonValue *dict, const char *key, int64_t value)
{
    json_dict_set(dict, key, json_int(value));
}

void json_dict_set_bool(JsonValue *dict, const char *key, bool value)
{
    json_dict_set(dict, key, json_bool(value));
}

bool json_get_bool(const JsonValue *value, bool *ret)
{
    if (!is_type(value, JSON_BOOL)) {
        return false;
    }
    *ret = value->boolean;
    return true;
}

bool json_get_int(const JsonValue *value, int64_t *ret)
{
    char *end;
    int64_t number;

    if (!is_type(value, JSON_NUMBER)) {
        return false;
    }
    errno = 0;
    number = g_ascii_strtoll(value->text, &end, 10);
    if (errno != 0 || *end != '\0') {
        return false;
    }
    *ret = number;
    return true;
}

bool json_get_uint(const JsonValue *value, uint64_t *ret)
{
    char *end;
    uint64_t number;

    if (!is_type(value, JSON_NUMBER)) {
        return false;
    }
    errno = 0;
    number = g_ascii_strtoull(value->text, &end, 10);
    if (errno != 0 || *end != '\0' || (value->text[0] == '-' && number != 0)) {
        return false;
    }
    *ret = number;
    return true;
}

const char *json_get_string(const JsonValue *value)
{
    return is_type(value, JSON_STRING) ? value->text : NULL;
}

size_t json_list_size(const JsonValue *list)
{
    return is_type(list, JSON_LIST) ? list->list->len : 0;
}

const JsonValue *json_list_get(const JsonValue *list, size_t index)
{
    return index < json_list_size(list) ? list->list->pdata[index] : NULL;
}

size_t json_dict_size(const JsonValue *dict)
{
    return is_type(dict, JSON_DICT) ? dict->dict.members->len : 0;
}

const JsonValue *json_dict_at(const JsonValue *dict, size_t index,
                              const char **ret_key)
{
    const Member *member;

    if (index >= json_dict_size(dict)) {
        return NULL;
    }
    member = &g_array_index(dict->dict.members, Member, index);
    if (ret_key != NULL) {
        *ret_key = member->key;
    }
    return member->value;
}

const JsonValue *json_dict_get(const JsonValue *dict, const char *key)
{
    const Member *member;

    if (!is_type(dict, JSON_DICT)) {
        return NULL;
    }
    member = dict_find(dict, key);
    return member != NULL ? member->value : NULL;
}

const char *json_dict_get_string(const JsonValue *dict, const char *key)
{
    return json_get_string(json_dict_get(dict, key));
}

bool json_dict_get_int(const JsonValue *dict, const char *key, int64_t *ret)
{
    return json_get_int(json_dict_get(dict, key), ret);
}

bool json_dict_get_bool(const JsonValue *dict, const char *key, bool *ret)
{
    return json_get_bool(json_dict_get(dict, key), ret);
}

static void write_code(GString *out, int32_t code)
{
    if (code > 0xFFFF) {
        g_string_append_printf(out, "\\u%04X\\u%04X",
                               0xD800 + (unsigned)((code - 0x10000) >> 10),
                               0xDC00 + (unsigned)(code & 0x3FF));
    } else if (code < 0x20 || code >= 0x7F) {
        g_string_append_printf(out, "\\u%04X", (unsigned)code);
    } else {
        g_string_append_c(out, (char)code);
    }
}

static void write_string(GString *out, const char *text)
{
    static const char from[] = "\"\\\b\f\n\r\t";
    static const char to[] = "\"\\bfnrt";
    const char *end = text + strlen(text);
    size_t len;

    g_string_append_c(out, '"');
    for (; text < end; text += len) {
        int32_t code = json_utf8_get(text, (size_t)(end - text), &len);
        const char *at = code > 0 && code < 0x80 ? strchr(from, code) : NULL;

        if (at != NULL) {
            g_string_append_c(out, '\\');
            g_string_append_c(out, to[at - from]);
        } else {
            write_code(out, code >= 0 ? code : 0xFFFD);
        }
    }
    g_string_append_c(out, '"');
}

/* A new line for people, @wide spaces for programs. */
static void write_break(GString *out, int indent, const char *wide)
{
    if (indent < 0) {
        g_string_append(out, wide);
        return;
    }
    g_string_append_printf(out, "\n%*s", indent * 4, "");
}

static void write_value(GString *out, const JsonValue *value, int indent);

/* @indent: of the members, in steps; negative: all on one line */
static void write_members(GString *out, const JsonValue *value, int indent)
{
    bool is_dict = value->type == JSON_DICT;
    size_t n = is_dict ? json_dict_size(value) : json_list_size(value);

    for (size_t i = 0; i < n; i++) {
        const JsonValue *item;
        const char *key;

        if (i > 0) {
            g_string_append_c(out, ',');
        }
        write_break(out, indent, i > 0 ? " " : "");
        if (is_dict) {
            item = json_dict_at(value, i, &key);
            write_string(out, key);
            g_string_append(out, ": ");
        } else {
            item = json_list_get(value, i);
        }
        write_value(out, item, indent);
    }
    if (n > 0) {
        write_break(out, indent < 0 ? -1 : indent - 1, "");
    }
}

static void write_value(GString *out, const JsonValue *value, int indent)
{
    int inner = indent < 0 ? -1 : indent + 1;

    switch (value->type) {
    case JSON_NULL:
        g_string_append(out, "null");
        break;
    case JSON_BOOL:
        g_string_append(out, value->boolean ? "true" : "false");
        break;
    case JSON_NUMBER:
        g_string_append(out, value->text);
        break;
    case JSON_STRING:
        write_string(out, value->text);
        break;
    case JSON_LIST:
        g_string_append_c(out, '[');
        write_members(out, value, inner);
        g_string_append_c(out, ']');
        break;
    case JSON_DICT:
        g_string_append_c(out, '{');
        write_members(out, value, inner);
        g_string_append_c(out, '}');
        break;
    }
}

char *json_to_text(const JsonValue *value)
{
    GString *out = g_string_new(NULL);

    write_value(out, value, -1);
    return g_string_free(out, FALSE);
}

char *json_to_pretty(const JsonValue *value)
{
    GString *out = g_string_new(NULL);

    write_value(out, value, 0);
    return g_string_free(out, FALSE);
}
