/*
 * The RAM of a QEMU: whether it is shared, or can be, as vhost-user needs it
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TOOLS_RUN_MEMORY_H
#define TOOLS_RUN_MEMORY_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "run-version.h"

/**
 * RunMemory: what a command line says of it.
 * @machine: type of the machine; NULL: QEMU's choice
 * @backend: -machine memory-backend=, NULL: none
 * @shared_backends: ids of backends with share=on
 * @size_bytes: by -m; 0: not given
 * @obstacle: what is the user's own way, and left alone; NULL: nothing
 * @has_kvm: it runs under KVM, or not at all
 */
typedef struct RunMemory {
    char *machine;
    char *backend;
    GPtrArray *shared_backends;
    uint64_t size_bytes;
    char *obstacle;
    bool has_kvm;
} RunMemory;

RunMemory *run_memory_new(void);
void run_memory_free(RunMemory *memory);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(RunMemory, run_memory_free)

/** run_memory_scan: @option (without dashes), its @value (NULL: it has none). */
void run_memory_scan(RunMemory *memory, const char *option, const char *value);

/**
 * run_memory_plan: how RAM becomes shared.
 * @command: argv[0]
 * @ret_args: (transfer full) (nullable): options to add; NULL: it is shared
 *
 * Returns: (transfer full): NULL, or why it cannot be.
 */
char *run_memory_plan(const RunMemory *memory, const char *command,
                      char ***ret_args);

/**
 * run_memory_is_safe: whether that QEMU survives vhost-user.  Version 7.2
 * without KVM does not: it crashes when the guest's driver enables MSI-X.
 */
bool run_memory_is_safe(const RunMemory *memory, const QemuVersion *version);

#endif
