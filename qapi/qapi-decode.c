/*
 * Reading C types from JSON values
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "qapi/qapi-decode.h"
#include "qapi/qapi-error.h"

#include <errno.h>
#include <string.h>

/* "addr.type", "children[0].size"; "list.0" on a command line */
static char *full_name(const QapiNode *node)
{
    GString *name = g_string_new(NULL);

    for (; node->parent != NULL; node = node->parent) {
        g_autofree char *part = NULL;

        if (node->name != NULL) {
            part = g_strdup_printf(".%s", node->name);
        } else if (node->input == QAPI_INPUT_KEYVAL) {
            part = g_strdup_printf(".%zu", node->index);
        } else {
            part = g_strdup_printf("[%zu]", node->index);
        }
        g_string_prepend(name, part);
    }
    if (name->str[0] == '.') {
        g_string_erase(name, 0, 1);
    }
    return g_string_free(name, FALSE);
}

/* @format has one %s, for the name; @last: just the last part of it */
static bool fail(const QapiNode *node, bool last, GError **error,
                 const char *before, const char *after)
{
    g_autofree char *full = full_name(node);
    const char *name = full;

    if (node->parent == NULL || (last && node->name == NULL)) {
        name = "null";
    } else if (last) {
        name = node->name;
    }
    g_set_error(error, QAPI_ERROR, QAPI_ERROR_GENERIC, "%s'%s'%s",
                before, name, after);
    return false;
}

static bool fail_type(const QapiNode *node, const char *type, GError **error)
{
    g_autofree char *after = g_strdup_printf(", expected: %s", type);

    return fail(node, false, error, "Invalid parameter type for ", after);
}

static bool fail_expects(const QapiNode *node, bool last, const char *what,
                         GError **error)
{
    g_autofree char *after = g_strdup_printf(" expects %s", what);

    return fail(node, last, error, "Parameter ", after);
}

/* Whether QEMU's flat reader would read it. */
static bool is_flat(const QapiNode *node)
{
    return node->input == QAPI_INPUT_KEYVAL
           && (node->parent == NULL || node->parent->parent == NULL);
}

/* The text of a command line's scalar: of a repeated key, the last one's. */
static const char *keyval_text(const QapiNode *node, GError **error)
{
    const JsonValue *value = node->value;
    g_autofree char *name = NULL;

    if (json_type(value) == JSON_LIST && json_list_size(value) > 0) {
        value = json_list_get(value, json_list_size(value) - 1);
    }
    if (json_type(value) != JSON_STRING) {
        name = full_name(node);
        g_set_error(error, QAPI_ERROR, QAPI_ERROR_GENERIC,
                    "Parameters '%s.*' are unexpected", name);
        return NULL;
    }
    return json_get_string(value);
}

bool qapi_node_is_dict(const QapiNode *node, GError **error)
{
    if (json_type(node->value) != JSON_DICT) {
        return fail_type(node, "object", error);
    }
    return true;
}

bool qapi_node_find(const QapiNode *dict, const char *name, QapiNode *ret)
{
    const JsonValue *value = json_dict_get(dict->value, name);

    if (value == NULL) {
        return false;
    }
    *ret = (QapiNode) { .parent = dict, .value = value, .name = name,
                        .input = dict->input };
    return true;
}

bool qapi_node_require(const QapiNode *dict, const char *name, QapiNode *ret,
                       GError **error)
{
    QapiNode missing = { .parent = dict, .name = name, .input = dict->input };

    if (!qapi_node_find(dict, name, ret)) {
        return fail(&missing, false, error, "Parameter ", " is missing");
    }
    return true;
}

bool qapi_node_check(const QapiNode *dict, const char *const *known,
                     GError **error)
{
    QapiNode node = { .parent = dict, .input = dict->input };

    for (size_t i = 0; i < json_dict_size(dict->value); i++) {
        node.value = json_dict_at(dict->value, i, &node.name);
        if (g_strv_contains(known, node.name)) {
            continue;
        }
        if (is_flat(&node)) {
            return fail(&node, false, error, "Invalid parameter ", "");
        }
        return fail(&node, false, error, "Parameter ", " is unexpected");
    }
    return true;
}

bool qapi_node_is_list(const QapiNode *node, GError **error)
{
    bool is_text = json_type(node->value) == JSON_STRING;

    if (json_type(node->value) == JSON_LIST
        || (is_text && node->input == QAPI_INPUT_KEYVAL)) {
        return true;
    }
    return fail_type(node, "array", error);
}

bool qapi_node_at(const QapiNode *list, size_t index, QapiNode *ret)
{
    const JsonValue *value = list->value;

    if (json_type(value) == JSON_LIST) {
        value = json_list_get(value, index);
    } else if (index > 0) {
        value = NULL;
    }
    if (value == NULL) {
        return false;
    }
    *ret = (QapiNode) { .parent = list, .value = value, .index = index,
                        .input = list->input };
    return true;
}

bool qapi_read_str(const QapiNode *node, char **ret, GError **error)
{
    const char *text = json_get_string(node->value);

    if (node->input == QAPI_INPUT_KEYVAL) {
        text = keyval_text(node, error);
        if (text == NULL) {
            return false;
        }
    }
    if (text == NULL) {
        return fail_type(node, "string", error);
    }
    *ret = g_strdup(text);
    return true;
}

bool qapi_read_bool(const QapiNode *node, bool *ret, GError **error)
{
    static const char *const on[] = { "on", "yes", "true", "y", NULL };
    static const char *const off[] = { "off", "no", "false", "n", NULL };
    const char *text;

    if (node->input == QAPI_INPUT_JSON) {
        return json_get_bool(node->value, ret)
               || fail_type(node, "boolean", error);
    }
    text = keyval_text(node, error);
    if (text == NULL) {
        return false;
    }
    if (g_strv_contains(on, text)) {
        *ret = true;
    } else if (g_strv_contains(off, text)) {
        *ret = false;
    } else {
        return fail_expects(node, false, "'on' or 'off'", error);
    }
    return true;
}

bool qapi_read_int64(const QapiNode *node, int64_t *ret, GError **error)
{
    const char *text;
    char *end;
    int64_t number;

    if (node->input == QAPI_INPUT_JSON) {
        return json_get_int(node->value, ret)
               || fail_type(node, "integer", error);
    }
    text = keyval_text(node, error);
    if (text == NULL) {
        return false;
    }
    errno = 0;
    number = g_ascii_strtoll(text, &end, 0);
    if (errno != 0 || end == text || *end != '\0') {
        return fail_expects(node, false,
                            is_flat(node) ? "an int64 value" : "integer",
                            error);
    }
    *ret = number;
    return true;
}

bool qapi_read_int(const QapiNode *node, int64_t *ret, GError **error)
{
    return qapi_read_int64(node, ret, error);
}

/*
 * @is_negative: the number is below 0 by @ret; a reader of a narrower type
 * then says that it is out of range, as QEMU does.
 */
static bool read_uint(const QapiNode *node, uint64_t *ret, bool *is_negative,
                      GError **error)
{
    const char *text;
    char *end;
    uint64_t number;
    int64_t negative;

    *is_negative = false;
    if (node->input == QAPI_INPUT_JSON) {
        if (json_get_uint(node->value, ret)) {
            return true;
        }
        *is_negative = json_get_int(node->value, &negative);
        return *is_negative || fail_expects(node, false, "uint64", error);
    }
    text = keyval_text(node, error);
    if (text == NULL) {
        return false;
    }
    errno = 0;
    number = g_ascii_strtoull(text, &end, 0);
    *is_negative = strchr(text, '-') != NULL && number != 0;
    if (errno != 0 || end == text || *end != '\0'
        || (*is_negative && is_flat(node))) {
        return fail_expects(node, false,
                            is_flat(node) ? "a uint64 value" : "integer",
                            error);
    }
    *ret = number;
    return true;
}

bool qapi_read_uint64(const QapiNode *node, uint64_t *ret, GError **error)
{
    bool is_negative;
    uint64_t number;

    if (!read_uint(node, &number, &is_negative, error)) {
        return false;
    }
    if (is_negative) {
        return fail_expects(node, false, "uint64", error);
    }
    *ret = number;
    return true;
}

#define READ_UINT(type, max) \
    bool qapi_read_##type(const QapiNode *node, type##_t *ret, \
                          GError **error) \
    { \
        bool is_negative; \
        uint64_t number; \
 \
        if (!read_uint(node, &number, &is_negative, error)) { \
            return false; \
        } \
        if (is_negative || number > (max)) { \
            return fail_expects(node, true, #type "_t", error); \
        } \
        *ret = (type##_t)number; \
        return true; \
    }

READ_UINT(uint8, UINT8_MAX)
READ_UINT(uint16, UINT16_MAX)
READ_UINT(uint32, UINT32_MAX)

#define READ_INT(type, min, max) \
    bool qapi_read_##type(const QapiNode *node, type##_t *ret, \
                          GError **error) \
    { \
        int64_t number; \
 \
        if (!qapi_read_int64(node, &number, error)) { \
            return false; \
        } \
        if (number < (min) || number > (max)) { \
            return fail_expects(node, true, #type "_t", error); \
        } \
        *ret = (type##_t)number; \
        return true; \
    }

READ_INT(int8, INT8_MIN, INT8_MAX)
READ_INT(int16, INT16_MIN, INT16_MAX)
READ_INT(int32, INT32_MIN, INT32_MAX)

bool qapi_read_size(const QapiNode *node, uint64_t *ret, GError **error)
{
    static const char suffixes[] = "BKMGTPE";
    const char *text;
    const char *at;
    char *end;
    uint64_t number;
    unsigned shift = 0;

    if (node->input == QAPI_INPUT_JSON) {
        return qapi_read_uint64(node, ret, error);
    }
    text = keyval_text(node, error);
    if (text == NULL) {
        return false;
    }
    errno = 0;
    number = g_ascii_strtoull(text, &end, 10);
    at = *end != '\0' ? strchr(suffixes, g_ascii_toupper(*end)) : NULL;
    if (at != NULL) {
        shift = 10 * (unsigned)(at - suffixes);
        end++;
    }
    if (errno != 0 || !g_ascii_isdigit(text[0]) || *end != '\0'
        || number << shift >> shift != number) {
        return fail_expects(node, false,
                            is_flat(node) ? "a size value" : "size", error);
    }
    *ret = number << shift;
    return true;
}

bool qapi_read_any(const QapiNode *node, JsonValue **ret, GError **error)
{
    /* A reference does not change the value: not const to be counted. */
    *ret = json_ref((JsonValue *)node->value);
    return true;
}

bool qapi_read_enum(const QapiNode *node, const QEnumLookup *lookup, int *ret,
                    GError **error)
{
    g_autofree char *text = NULL;
    g_autofree char *after = NULL;
    int value;

    if (!qapi_read_str(node, &text, error)) {
        return false;
    }
    value = qapi_enum_find(lookup, text);
    if (value < 0) {
        after = g_strdup_printf(" does not accept value '%s'", text);
        return fail(node, true, error, "Parameter ", after);
    }
    *ret = value;
    return true;
}
