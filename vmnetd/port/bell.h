/*
 * Ringing eventfds that belong to others
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_PORT_BELL_H
#define VMNETD_PORT_BELL_H

#include <stdbool.h>

/**
 * bell_is_eventfd: whether @fd is of the kernel's own making, as eventfds are:
 * to watch it, or to ring it, asks no file system, and nobody who is one.
 */
bool bell_is_eventfd(int fd);

/**
 * bell_ring: add one to the eventfd @fd.  Never waits; one that is at its end
 * stays there, and who has not looked at it has been told already.
 */
void bell_ring(int fd);

#endif
