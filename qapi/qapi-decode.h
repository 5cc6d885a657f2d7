/*
 * Reading C types from JSON values, for the generated decoders
 *
 * A node is a value with the way to it, so that an error can name
 * "addr.type" or "children[0].size".  Texts are QEMU's.  QEMU has two readers
 * of command lines: a flat one, which -netdev vmnet-shared goes through, and
 * one for dotted keys.  A member of the outermost object speaks as the first
 * does, a nested one as the second.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef QAPI_DECODE_H
#define QAPI_DECODE_H

#include "qapi/json.h"
#include "qapi/keyval.h"
#include "qapi/qapi-util.h"

typedef struct QapiNode {
    const struct QapiNode *parent;      /* NULL: the outermost value */
    const JsonValue *value;
    const char *name;                   /* NULL: an element of a list */
    size_t index;
    QapiInput input;
} QapiNode;

/** qapi_node_is_dict: an error unless the node is an object. */
bool qapi_node_is_dict(const QapiNode *node, GError **error);
/** qapi_node_find: the member @name of @dict; false if it has none. */
bool qapi_node_find(const QapiNode *dict, const char *name, QapiNode *ret);
/** qapi_node_require: the member @name of @dict; an error if it has none. */
bool qapi_node_require(const QapiNode *dict, const char *name, QapiNode *ret,
                       GError **error);
/** qapi_node_check: an error if @dict has a member not in @known. */
bool qapi_node_check(const QapiNode *dict, const char *const *known,
                     GError **error);
/** qapi_node_is_list: an error unless the node is an array; a scalar of a
 * command line is an array of one. */
bool qapi_node_is_list(const QapiNode *node, GError **error);
/** qapi_node_at: the element @index of @list; false behind the last. */
bool qapi_node_at(const QapiNode *list, size_t index, QapiNode *ret);

/** qapi_read_*: the value; @ret is untouched on failure. */
bool qapi_read_str(const QapiNode *node, char **ret, GError **error);
bool qapi_read_bool(const QapiNode *node, bool *ret, GError **error);
bool qapi_read_int(const QapiNode *node, int64_t *ret, GError **error);
bool qapi_read_int8(const QapiNode *node, int8_t *ret, GError **error);
bool qapi_read_int16(const QapiNode *node, int16_t *ret, GError **error);
bool qapi_read_int32(const QapiNode *node, int32_t *ret, GError **error);
bool qapi_read_int64(const QapiNode *node, int64_t *ret, GError **error);
bool qapi_read_uint8(const QapiNode *node, uint8_t *ret, GError **error);
bool qapi_read_uint16(const QapiNode *node, uint16_t *ret, GError **error);
bool qapi_read_uint32(const QapiNode *node, uint32_t *ret, GError **error);
bool qapi_read_uint64(const QapiNode *node, uint64_t *ret, GError **error);
/** qapi_read_size: on a command line with an optional suffix k, M, G, T, P,
 * E, powers of 1024. */
bool qapi_read_size(const QapiNode *node, uint64_t *ret, GError **error);
bool qapi_read_any(const QapiNode *node, JsonValue **ret, GError **error);
bool qapi_read_enum(const QapiNode *node, const QEnumLookup *lookup, int *ret,
                    GError **error);

#endif
