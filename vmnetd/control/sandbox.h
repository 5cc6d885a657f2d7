/*
 * The sandbox: what the engine can no longer do once it serves guests
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_CONTROL_SANDBOX_H
#define VMNETD_CONTROL_SANDBOX_H

/**
 * sandbox_enter: give up, for good, what is not needed, best effort: a layer
 * that the kernel or the build has not is one line in the log.  To be called
 * before there are threads.
 * @read_write: NULL-terminated directories below which files are written
 * @read_only: NULL-terminated; files or directories that are read
 *
 * Returns: names of the layers in force, NULL-terminated, static:
 * "no-new-privs", "seccomp", "landlock".
 */
const char *const *sandbox_enter(const char *const *read_write,
                                 const char *const *read_only);

#endif
