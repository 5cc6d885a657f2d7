/*
 * Text for a terminal
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "text.h"

#include <stdio.h>

#define COLUMN_GAP 2

struct TextTable {
    GPtrArray *cells;   /* of char *, escaped, row by row, headers first */
    guint n_columns;
};

char *text_escape(const char *text)
{
    GString *out = g_string_new(NULL);

    while (*text) {
        gunichar c = g_utf8_get_char_validated(text, -1);

        if (c == (gunichar)-1 || c == (gunichar)-2 || g_unichar_iscntrl(c)) {
            g_string_append_printf(out, "\\x%02x", (unsigned char)*text);
            text++;
            continue;
        }
        if (!g_unichar_isprint(c) || g_unichar_iszerowidth(c)) {
            g_string_append_printf(out, "\\u{%x}", c);
        } else {
            g_string_append_unichar(out, c);
        }
        text = g_utf8_next_char(text);
    }
    return g_string_free(out, FALSE);
}

TextTable *text_table_new(const char *const *headers)
{
    TextTable *table = g_new0(TextTable, 1);

    table->cells = g_ptr_array_new_with_free_func(g_free);
    for (; *headers; headers++) {
        g_ptr_array_add(table->cells, g_strdup(*headers));
        table->n_columns++;
    }
    return table;
}

void text_table_free(TextTable *table)
{
    if (table) {
        g_ptr_array_unref(table->cells);
        g_free(table);
    }
}

void text_table_add(TextTable *table, const char *cell)
{
    g_ptr_array_add(table->cells, cell ? text_escape(cell) : g_strdup("-"));
}

/* Columns on the terminal; a wide character takes two. */
static guint display_width(const char *text)
{
    guint width = 0;

    for (; *text; text = g_utf8_next_char(text)) {
        width += g_unichar_iswide(g_utf8_get_char(text)) ? 2 : 1;
    }
    return width;
}

static guint column_width(const TextTable *table, guint column)
{
    guint width = 0, i;

    for (i = column; i < table->cells->len; i += table->n_columns) {
        width = MAX(width, display_width(g_ptr_array_index(table->cells, i)));
    }
    return width;
}

void text_table_print(const TextTable *table, const char *indent)
{
    guint i;

    if (table->cells->len <= table->n_columns) {
        return;
    }
    for (i = 0; i < table->cells->len; i++) {
        const char *cell = g_ptr_array_index(table->cells, i);
        guint column = i % table->n_columns;
        int pad;

        if (column == 0) {
            fputs(indent, stdout);
        }
        fputs(cell, stdout);
        if (column == table->n_columns - 1) {
            putchar('\n');
            continue;
        }
        pad = column_width(table, column) - display_width(cell) + COLUMN_GAP;
        printf("%*s", pad, "");
    }
}
