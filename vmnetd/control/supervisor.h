/*
 * The supervisor: a small parent that starts the engine again when it dies
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_CONTROL_SUPERVISOR_H
#define VMNETD_CONTROL_SUPERVISOR_H

#include <stdbool.h>
#include <sys/types.h>

/**
 * SupervisorConfig:
 * @on_end: called in the supervisor before it exits, to remove files that an
 *     engine cannot, or that one that has @failed may have left behind: it could
 *     not start, or died over and over
 * @passes_hup: SIGHUP is for the engine, which reads its policy again
 */
typedef struct SupervisorConfig {
    void (*on_end)(void *opaque, bool failed);
    void *opaque;
    bool passes_hup;
} SupervisorConfig;

/**
 * supervisor_start: fork the engine.
 * @ret_remover_fd: in the engine: where to ask for sockets to be removed
 *     (remover.h); -1: nobody is there
 *
 * Returns: in the engine, and there only: the supervisor's pid.  In every
 * engine that is started later it returns again.  0: fork() failed, which is
 * logged: the caller goes on alone.
 */
pid_t supervisor_start(const SupervisorConfig *config, int *ret_remover_fd);

#endif
