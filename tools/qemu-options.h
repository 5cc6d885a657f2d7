/*
 * QEMU's options: which of them take a value
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TOOLS_QEMU_OPTIONS_H
#define TOOLS_QEMU_OPTIONS_H

#include <stdbool.h>

/** QemuOptionArity: what follows an option. */
typedef enum QemuOptionArity {
    QEMU_OPTION_UNKNOWN,
    QEMU_OPTION_FLAG,       /* nothing */
    QEMU_OPTION_VALUE,      /* its value */
} QemuOptionArity;

/**
 * qemu_option_arity:
 * @name: without dashes
 *
 * Returns: for all options from QEMU 5.2 to 10.1, on any target and host.
 */
QemuOptionArity qemu_option_arity(const char *name);

/** qemu_option_table_is_sorted: for the test. */
bool qemu_option_table_is_sorted(void);

/**
 * qemu_option_name: @arg without its one or two dashes; NULL if it is not an
 * option but a disk image, as QEMU sees it.
 */
const char *qemu_option_name(const char *arg);

#endif
