/*
 * Small files that are replaced as a whole
 *
 * Private to libvmnet, the tools and vmnetd.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef LIBVMNET_FILE_H
#define LIBVMNET_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/**
 * vmnet_file_replace: put @text where @path is, at once: whoever reads finds
 * the old text or the new one.  It is written as PATH.new, mode 0600; one
 * writer at a time.
 * @durable: it is also on disk when this returns; else it outlives the process
 *     but not the machine
 *
 * Returns: false with errno; the old file is untouched.
 */
bool vmnet_file_replace(const char *path, const char *text, bool durable);

/** vmnet_file_read_fd: up to the end, or @size.  Returns: bytes; -1 with errno. */
ssize_t vmnet_file_read_fd(int fd, char *text, size_t size);

/**
 * vmnet_file_read: a regular file of ours, or root's.
 * @max_bytes: a longer one is not read
 * @ret_len: (optional): without the terminating NUL
 *
 * Returns: (transfer full): NULL with errno, among them EFBIG, and EPERM for
 * what is no such file.
 */
char *vmnet_file_read(const char *path, size_t max_bytes, size_t *ret_len);

#endif
