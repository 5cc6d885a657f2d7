/*
 * QMP: the protocol of one client over a connected Unix stream socket
 *
 * Knows JSON, the order of checks and the texts of QEMU 7.2's monitor, and a
 * table of commands; it does not know what the commands do.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_CONTROL_QMP_H
#define VMNETD_CONTROL_QMP_H

#include <glib.h>
#include <stdbool.h>
#include "loop/loop.h"
#include "qapi/json.h"
#include "qapi/qapi-commands.h"

typedef struct QmpSession QmpSession;

/**
 * QmpSessionConfig:
 * @fd: (transfer full): connected, non-blocking, AF_UNIX SOCK_STREAM
 * @commands: the table, ended by a NULL name; static
 * @greeting: (transfer none) the value of the greeting's "QMP" member
 * @client: first argument of every command, and of @closed
 * @closed: the connection has ended; called from the loop, never from within
 *     a command or another function of this header.  Must free the session.
 * @caught_up: the client has read all that was queued, and did not get
 *     @n_lost events that came meanwhile; called from the loop, too
 */
typedef struct QmpSessionConfig {
    Loop *loop;
    int fd;
    const QmpCommand *commands;
    JsonValue *greeting;
    void *client;
    void (*closed)(void *client);
    void (*caught_up)(void *client, uint64_t n_lost);
} QmpSessionConfig;

/**
 * qmp_session_new: greets the client.
 *
 * Returns: NULL with @error where the loop refuses the socket, which is closed.
 */
QmpSession *qmp_session_new(const QmpSessionConfig *config, GError **error);
/** qmp_session_free: tries once, without waiting, to write what is queued. */
void qmp_session_free(QmpSession *session);

/**
 * qmp_session_negotiate: what the command qmp_capabilities does: from now on
 * all commands are served and events are sent.
 */
bool qmp_session_negotiate(QmpSession *session, const QMPCapabilityList *enable,
                           GError **error);

/**
 * qmp_session_send_event: queue one line, without its CRLF.
 *
 * A client that does not read loses events: nothing is queued past
 * LIMIT_CLIENT_OUTPUT_BYTES, see qmp_session_events_lost().
 */
void qmp_session_send_event(QmpSession *session, const char *line);
uint64_t qmp_session_events_lost(const QmpSession *session);

/** qmp_session_failure: (nullable): the system call that ended it, and why. */
const char *qmp_session_failure(const QmpSession *session);

/**
 * qmp_session_take_fd: the first descriptor of the newest message that had
 * some; the others of that message are closed, as in QEMU.
 *
 * Returns: -1 if there is none; else the caller's.
 */
int qmp_session_take_fd(QmpSession *session);

/**
 * qmp_session_lost_fd: the newest message with descriptors came without them:
 * this process may have no more.
 */
bool qmp_session_lost_fd(const QmpSession *session);

/** qmp_session_stop: read no more requests; replies are still written. */
void qmp_session_stop(QmpSession *session);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(QmpSession, qmp_session_free)

#endif
