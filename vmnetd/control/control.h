/*
 * The daemon's control side: who is connected, and what each of them holds
 *
 *   Control -- Server -- listening socket
 *     |-- Client*          a QMP connection; one more for the command line
 *     |-- ControlNetdev*   --- Network, Port (network/)
 *     |     |-- ControlExport     how a VMM reaches it
 *     |     `-- ControlForward*   of its hostfwd
 *     |-- ControlForward*  of forward-add
 *     `-- ControlNetwork*  of network-add
 *
 * All of it belongs to the main loop's thread.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_CONTROL_CONTROL_H
#define VMNETD_CONTROL_CONTROL_H

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>
#include "control/policy-source.h"
#include "control/qmp.h"
#include "loop/loop.h"
#include "network/network.h"
#include "priv/priv.h"
#include "qapi/qapi-types.h"

typedef struct Control Control;
typedef struct Client Client;
typedef struct ControlNetdev ControlNetdev;
typedef struct ControlExport ControlExport;
typedef struct ControlForward ControlForward;
typedef struct Server Server;

/**
 * ControlConfig: where things are; strings are copied.
 * @listen_fd: (transfer full) the QMP socket
 * @socket_path: its path; NULL: not known (systemd's)
 * @owns_socket: @socket_path is removed at the end
 * @lock_fd: (transfer none) the starter's lock file, or -1
 * @state_dir, @log_file: NULL: none
 * @resolv_conf: NULL: /etc/resolv.conf
 * @idle_ms: 0: leave never
 * @supervisor_pid: 0: none
 * @priv_fd: (transfer full) see priv_new(); -1: there are no rights
 * @bridged: (transfer none) see NetworkRegisterConfig
 * @is_system: other users are clients, too
 * @policy: (transfer none): where what they may do is written; system only
 * @sandbox: (transfer none) layers in force, NULL-terminated, static strings
 */
typedef struct ControlConfig {
    int listen_fd;
    const char *socket_path;
    bool owns_socket;
    int lock_fd;
    const char *state_dir;
    const char *runtime_dir;
    const char *log_file;
    const char *resolv_conf;
    int64_t idle_ms;
    pid_t supervisor_pid;
    int priv_fd;
    const char *const *bridged;
    bool is_system;
    const PolicySource *policy;
    const char *const *sandbox;
} ControlConfig;

struct Control {
    Loop *loop;
    Priv *priv;             /* NULL: no rights */
    const char *const *bridged;
    bool is_system;
    const PolicySource *policy_source;
    Policy *policy;         /* NULL: not the system instance: all is allowed */
    NetworkRegister *networks;
    Server *server;
    Client *self;           /* the command line, and what was recorded */
    GPtrArray *clients;     /* of Client, owned; without @self */
    GPtrArray *netdevs;     /* of ControlNetdev, owned */
    GPtrArray *forwards;    /* of ControlForward: those of no netdev; owned */
    GPtrArray *held;        /* of ControlNetwork; owned */
    struct Record *record;
    LoopTimer *idle;
    LoopTimer *late_events; /* see forward_event_moved() */
    bool restoring;         /* netdevs are being made from the record */
    bool ended;             /* the main loop is to end */

    char *socket_path;
    bool owns_socket;
    dev_t socket_dev;
    ino_t socket_ino;
    int lock_fd;
    char *state_dir;
    char *runtime_dir;
    char *log_file;
    char *resolv_conf;
    int64_t idle_ms;
    int64_t started_s;
    pid_t supervisor_pid;
    const char *const *sandbox;
};

Control *control_new(Loop *loop, const ControlConfig *config, GError **error);
/** control_free: everything goes: clients, netdevs, networks, the socket. */
void control_free(Control *control);

/** control_run: until control_end() or the idle time is over. */
void control_run(Control *control);
/** control_end: leave the main loop soon; from a command or a signal. */
void control_end(Control *control);

/** control_reload: read the policy again; a wrong one changes nothing. */
void control_reload(Control *control);

/** control_touch: something came or went: look whether the daemon is idle. */
void control_touch(Control *control);

/** The "version" of the greeting. (transfer full) */
VersionTriple *control_version(void);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Control, control_free)

#endif
