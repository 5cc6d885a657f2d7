/*
 * The system instance: what vmnetd does as root, and how it stops being root
 *
 *   root: directories, listening socket -- fork --> vmnetd-priv
 *     |
 *     `--> --user, no rights: supervisor, engine, first byte read
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_CONTROL_SYSTEM_H
#define VMNETD_CONTROL_SYSTEM_H

#include "control/options.h"
#include "control/policy-source.h"
#include "control/qmp-socket.h"

#define SYSTEM_RUNTIME_DIR "/run/vmnet"
#define SYSTEM_STATE_DIR "/var/lib/vmnet"
#define SYSTEM_USER "vmnet"
#define SYSTEM_GROUP "vmnet"

/**
 * System:
 * @uid, @gid: of engine and supervisor
 * @has_group: members of @gid may use it; otherwise root alone
 * @socket: default of --socket, owned
 * @policy: what the group's members and others may do
 */
typedef struct System {
    uid_t uid;
    gid_t gid;
    bool has_group;
    const char *runtime_dir, *state_dir;
    char *socket;
    PolicySource policy;
} System;

/** system_prepare: who it will be, and directories that belong to that user. */
bool system_prepare(System *system, const Options *options, GError **error);
void system_clear(System *system);

/**
 * system_act_as_user: files are made and looked at as @system's user until
 * system_act_as_root().
 */
void system_act_as_user(const System *system);
void system_act_as_root(void);

/** system_share_socket: let the group's members connect to what root made. */
bool system_share_socket(const System *system, const QmpSocket *sock,
                         GError **error);

/**
 * system_start_priv: fork vmnetd-priv.
 *
 * Returns: a descriptor for priv_new(); -1 with @error.
 */
int system_start_priv(const System *system, const Options *options,
                      GError **error);

/** system_drop: be the user for good, without any capability. */
bool system_drop(const System *system, GError **error);

#endif
