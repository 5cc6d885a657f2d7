/*
 * The sandbox: what the engine can no longer do once it serves guests
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_CONTROL_SANDBOX_H
#define VMNETD_CONTROL_SANDBOX_H

/**
 * SandboxLists: NULL-terminated; what is not there needs no permission.
 * @read_write: directories below which files are made, written, removed
 * @removal: directories below which files are removed and renamed; sockets
 *     are made everywhere
 * @read_only: files, or directories below which they are read
 * @syscalls: names of those that are left; NULL: the engine's
 * @more_syscalls: beside these; NULL: none
 */
typedef struct SandboxLists {
    const char *const *read_write;
    const char *const *removal;
    const char *const *read_only;
    const char *const *syscalls;
    const char *const *more_syscalls;
} SandboxLists;

/**
 * sandbox_enter: give up, for good, what is not needed, best effort: a layer
 * that the kernel or the build has not is one line in the log.  To be called
 * before there are threads.
 *
 * Returns: names of the layers in force, NULL-terminated, static:
 * "no-new-privs", "seccomp", "landlock".
 */
const char *const *sandbox_enter(const SandboxLists *lists);

#endif
