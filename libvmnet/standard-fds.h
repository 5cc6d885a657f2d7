/*
 * Standard descriptors that the caller has closed
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef LIBVMNET_STANDARD_FDS_H
#define LIBVMNET_STANDARD_FDS_H

/**
 * standard_fds_open: make those of 0, 1 and 2 that are closed /dev/null.
 *
 * To be called before anything else is opened: it would get one of these
 * numbers, and our messages.  A command that is executed keeps them, for the
 * same reason: its sockets are not where its warnings go.
 */
void standard_fds_open(void);

#endif
