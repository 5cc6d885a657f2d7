/*
 * What of the file system is left to the engine: the sandbox's lists
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_CONTROL_CONFINE_H
#define VMNETD_CONTROL_CONFINE_H

#include "control/options.h"

/** ConfinePlaces: where the daemon's files are; NULL: there is none. */
typedef struct ConfinePlaces {
    const Options *options;
    const char *state_dir;
    const char *runtime_dir;
    const char *socket_path;
} ConfinePlaces;

/** confine_has_log: whether files can be made beside the log afterwards. */
bool confine_has_log(const ConfinePlaces *places);

/** confine: enter the sandbox; see sandbox_enter(). */
const char *const *confine(const ConfinePlaces *places);

/** confine_resolv_conf: the file of name servers; NULL: the system's. */
const char *confine_resolv_conf(const Options *options);

#endif
