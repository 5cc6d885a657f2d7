/*
 * Enums' names
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "qapi/qapi-util.h"

#include <string.h>

const char *qapi_enum_lookup(const QEnumLookup *lookup, int value)
{
    g_assert(value >= 0 && value < lookup->size);
    return lookup->array[value];
}

int qapi_enum_find(const QEnumLookup *lookup, const char *name)
{
    for (int i = 0; i < lookup->size; i++) {
        if (lookup->array[i] != NULL && strcmp(lookup->array[i], name) == 0) {
            return i;
        }
    }
    return -1;
}
