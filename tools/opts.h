/*
 * QEMU's comma-separated option strings, read without judging them
 *
 * "driver,netdev=net0,multifunction": what QEMU itself would accept or refuse
 * is its own affair; here a value is looked up and everything else left as it
 * is.  ",," stands for a comma.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TOOLS_OPTS_H
#define TOOLS_OPTS_H

#include <glib.h>
#include <stdbool.h>

/** Opt: one element of the string. */
typedef struct Opt {
    char *key;
    char *value;    /* NULL: the element had no "=" and no implied key */
    char *text;     /* the element as it was written */
} Opt;

/**
 * opts_parse: split @text.
 * @implied_key: (nullable): key of a first element without "="
 *
 * Returns: (transfer full): of Opt, in order
 */
GPtrArray *opts_parse(const char *text, const char *implied_key);

/** opts_get: the last value of @key; NULL if it is not there. */
const char *opts_get(const GPtrArray *opts, const char *key);

/** opts_get_on: whether the last value of @key is "on" (or it has none). */
bool opts_get_on(const GPtrArray *opts, const char *key);

/** opts_escape: @value with its commas doubled.  (transfer full) */
char *opts_escape(const char *value);

#endif
