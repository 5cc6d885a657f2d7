/*
 * What the generated code and its users share: enums' names, lists
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef QAPI_UTIL_H
#define QAPI_UTIL_H

#include <glib.h>
#include <stdbool.h>

/** QEnumLookup: the names of an enum's values, by value. */
typedef struct QEnumLookup {
    const char *const *array;
    int size;
} QEnumLookup;

/** qapi_enum_lookup: the name of @value, which must be one of the enum's. */
const char *qapi_enum_lookup(const QEnumLookup *lookup, int value);
/** qapi_enum_find: the value named @name, or -1. */
int qapi_enum_find(const QEnumLookup *lookup, const char *name);

/** QAPI_LIST_PREPEND: @element (transfer full) before @list, an lvalue. */
#define QAPI_LIST_PREPEND(list, element) do { \
    __typeof__(list) list_new_ = g_malloc0(sizeof(*(list))); \
    list_new_->value = (element); \
    list_new_->next = (list); \
    (list) = list_new_; \
} while (0)

/** QAPI_LIST_APPEND: @element (transfer full) at @tail, a pointer to the
 * list's end: first to the list itself, moved by each call. */
#define QAPI_LIST_APPEND(tail, element) do { \
    *(tail) = g_malloc0(sizeof(**(tail))); \
    (*(tail))->value = (element); \
    (tail) = &(*(tail))->next; \
} while (0)

#endif
