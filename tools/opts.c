/*
 * QEMU's comma-separated option strings
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "opts.h"

#include <string.h>

static void opt_free(void *opaque)
{
    Opt *opt = opaque;

    g_free(opt->key);
    g_free(opt->value);
    g_free(opt->text);
    g_free(opt);
}

/* End of the element that begins at @p: a comma that stands alone, or NUL. */
static const char *element_end(const char *p)
{
    while (*p && !(p[0] == ',' && p[1] != ',')) {
        p += p[0] == ',' ? 2 : 1;
    }
    return p;
}

static char *unescape(const char *p, const char *end)
{
    GString *s = g_string_new(NULL);

    while (p < end) {
        g_string_append_c(s, *p);
        p += p[0] == ',' ? 2 : 1;
    }
    return g_string_free(s, FALSE);
}

GPtrArray *opts_parse(const char *text, const char *implied_key)
{
    GPtrArray *opts = g_ptr_array_new_with_free_func(opt_free);
    const char *p = text;

    while (*p) {
        const char *end = element_end(p);
        const char *equals = memchr(p, '=', end - p);
        Opt *opt = g_new0(Opt, 1);

        opt->text = g_strndup(p, end - p);
        if (equals) {
            opt->key = g_strndup(p, equals - p);
            opt->value = unescape(equals + 1, end);
        } else if (p == text && implied_key) {
            opt->key = g_strdup(implied_key);
            opt->value = unescape(p, end);
        } else {
            opt->key = unescape(p, end);
        }
        g_ptr_array_add(opts, opt);
        p = *end ? end + 1 : end;
    }
    return opts;
}

static const Opt *find_last(const GPtrArray *opts, const char *key)
{
    guint i;

    for (i = opts->len; i > 0; i--) {
        const Opt *opt = g_ptr_array_index(opts, i - 1);

        if (strcmp(opt->key, key) == 0) {
            return opt;
        }
    }
    return NULL;
}

const char *opts_get(const GPtrArray *opts, const char *key)
{
    const Opt *opt = find_last(opts, key);

    return opt ? opt->value : NULL;
}

bool opts_get_on(const GPtrArray *opts, const char *key)
{
    const Opt *opt = find_last(opts, key);

    return opt && (!opt->value || strcmp(opt->value, "on") == 0);
}

char *opts_escape(const char *value)
{
    GString *s = g_string_new(NULL);

    for (; *value; value++) {
        g_string_append_c(s, *value);
        if (*value == ',') {
            g_string_append_c(s, ',');
        }
    }
    return g_string_free(s, FALSE);
}
