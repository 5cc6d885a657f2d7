/*
 * The supervisor: a small parent that starts the engine again when it dies
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_CONTROL_SUPERVISOR_H
#define VMNETD_CONTROL_SUPERVISOR_H

#include <sys/types.h>

/**
 * supervisor_start: fork the engine.
 * @on_give_up: called in the supervisor before it exits because the engine
 *     dies over and over (removes what the engine would have)
 *
 * Returns: in the engine, and there only: the supervisor's pid.  In every
 * engine that is started later it returns again.  0: fork() failed, which is
 * logged: the caller goes on alone.
 */
pid_t supervisor_start(void (*on_give_up)(void *opaque), void *opaque);

#endif
