/*
 * QEMU's version, asked of the binary and remembered
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TOOLS_RUN_VERSION_H
#define TOOLS_RUN_VERSION_H

#include <stdbool.h>

typedef struct QemuVersion {
    int major;
    int minor;
} QemuVersion;

/** The oldest version that has `-netdev stream`; what is not known is it. */
#define QEMU_VERSION_OLDEST ((QemuVersion){ 7, 2 })

/** How `-netdev stream` is told to connect again. */
typedef enum QemuReconnect {
    QEMU_RECONNECT_NONE,        /* 7.2 */
    QEMU_RECONNECT_SECONDS,     /* reconnect=, 8.0 to 9.1 */
    QEMU_RECONNECT_MS,          /* reconnect-ms=, from 9.2 */
} QemuReconnect;

QemuReconnect qemu_version_reconnect(const QemuVersion *version);

/**
 * qemu_version_is_asked: whether a command of that name is QEMU and answers
 * to --version: qemu-system-*, qemu-kvm and kvm.
 */
bool qemu_version_is_asked(const char *command);

/**
 * qemu_version_parse: the "version X.Y" in what QEMU prints.
 *
 * Returns: false, @ret untouched, if there is none
 */
bool qemu_version_parse(const char *text, QemuVersion *ret);

/**
 * qemu_version_recall: the version that the cache's @text has for @key.
 *
 * Returns: false, @ret untouched, if it has none
 */
bool qemu_version_recall(const char *text, const char *key, QemuVersion *ret);

/**
 * qemu_version_get: of the program @path, from the cache (by device, inode and
 * mtime) in the state directory, else by executing `@path --version`, for 10 s
 * at most.
 *
 * Returns: false, @ret being QEMU_VERSION_OLDEST, if it could not be learnt
 */
bool qemu_version_get(const char *path, QemuVersion *ret);

#endif
