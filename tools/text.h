/*
 * Text for a terminal: escapes, tables
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TOOLS_TEXT_H
#define TOOLS_TEXT_H

#include <glib.h>

/**
 * text_escape: @text with control characters and what is not UTF-8 as \xNN,
 * and characters that change the direction or show nothing as \u{NNNN}: names
 * come from guests, who would like to write on the user's terminal.
 *
 * Returns: (transfer full)
 */
char *text_escape(const char *text);

/** TextTable: rows of cells, printed with aligned columns. */
typedef struct TextTable TextTable;

/** text_table_new: @headers ends with NULL. */
TextTable *text_table_new(const char *const *headers);
/**
 * text_table_add: add a cell; a row is full when it has as many as there are
 * headers.
 * @cell: (nullable): escaped here; NULL is shown as "-"
 */
void text_table_add(TextTable *table, const char *cell);
/** text_table_print: to stdout, each line begun by @indent; without rows,
 * nothing. */
void text_table_print(const TextTable *table, const char *indent);
void text_table_free(TextTable *table);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TextTable, text_table_free)

#endif
