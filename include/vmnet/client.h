/*
 * A connection to vmnetd, which is started when none runs
 *
 * Theory of operation
 *
 * A client has one descriptor, vmnet_client_get_fd().  It belongs into the
 * caller's main loop; when it is readable, vmnet_client_dispatch() does what
 * is due and calls back.  No thread is made, and nothing called here waits:
 *
 *   connect_async --> CONNECTING --+--> CONNECTED --> LOST
 *                                  `----------------> LOST
 *
 * vmnet_client_connect() and vmnet_client_command() are for programs without a
 * main loop: they dispatch until what they began has ended, for as long as the
 * caller says.  A daemon that is stopped (SIGSTOP) costs that time, no more.
 *
 * Threads: different clients may be used by different threads at the same
 * time; one client is used by one thread at a time.  Callbacks come from
 * vmnet_client_dispatch() and from the calls that wait, in the thread that
 * called these.
 *
 * What a client makes and does not give another lifetime goes when its
 * connection closes.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VMNET_CLIENT_H
#define VMNET_CLIENT_H

#include <glib.h>

G_BEGIN_DECLS

/**
 * VMNET_PROTOCOL: version of the protocol between vmnetd and its clients.  A
 * daemon with another one is refused when a client connects.
 */
#define VMNET_PROTOCOL 1

/** VMNET_CONNECT_TIMEOUT_MS: long enough for a daemon that has to start. */
#define VMNET_CONNECT_TIMEOUT_MS 15000
/** VMNET_COMMAND_TIMEOUT_MS: what the tools wait for an answer. */
#define VMNET_COMMAND_TIMEOUT_MS 30000

typedef struct VmnetClient VmnetClient;

/**
 * VmnetConnectFlags:
 * @VMNET_CONNECT_START: start a daemon if none runs.
 * @VMNET_CONNECT_EXISTING: fail with %VMNET_SETUP_INCOMPLETE instead; no
 *     process is ever made.  (Connecting to a socket that systemd holds starts
 *     a daemon too, and is systemd's doing.)
 * @VMNET_CONNECT_RECOVER: as EXISTING, but start a daemon if the last one died
 *     while virtual machines used it, so that it makes their netdevs again.
 * @VMNET_CONNECT_SYSTEM: as EXISTING, but the system instance instead of the
 *     user's: the one for vmnet-bridged.
 */
typedef enum VmnetConnectFlags {
    VMNET_CONNECT_START,
    VMNET_CONNECT_EXISTING,
    VMNET_CONNECT_RECOVER,
    VMNET_CONNECT_SYSTEM,
} VmnetConnectFlags;

/**
 * VmnetClientState:
 * @VMNET_CLIENT_CONNECTING: the daemon is looked for, started, greeted.
 * @VMNET_CLIENT_CONNECTED: commands are answered.
 * @VMNET_CLIENT_LOST: there was no connection, or it has ended; final.
 */
typedef enum VmnetClientState {
    VMNET_CLIENT_CONNECTING,
    VMNET_CLIENT_CONNECTED,
    VMNET_CLIENT_LOST,
} VmnetClientState;

/**
 * VmnetClientStateFunc: @client has connected, or is lost.
 * @error: (nullable): why it is lost; of the caller's only while it is called
 *
 * The callback may drop its reference and start another client.
 */
typedef void (*VmnetClientStateFunc)(VmnetClient *client,
                                     VmnetClientState state,
                                     const GError *error, gpointer user_data);

/**
 * VmnetClientEventFunc: vmnetd tells something.
 * @event: such as "LEASE_ADDED"; docs/qmp describes all.  There may be events
 *     that this library does not know.
 * @data: its members, a JSON object
 */
typedef void (*VmnetClientEventFunc)(VmnetClient *client, const char *event,
                                     const char *data, gpointer user_data);

/**
 * VmnetCommandFunc: a command has ended.
 * @result: (nullable): what it returned, as JSON; NULL if it failed
 * @error: (nullable): the daemon's error text; that time was up; that the
 *     connection broke.  Unless the daemon said it, the command may have been
 *     executed, or may be executed yet.
 */
typedef void (*VmnetCommandFunc)(VmnetClient *client, const char *result,
                                 const GError *error, gpointer user_data);

/**
 * vmnet_client_connect_async: begin to find the user's daemon, or start it.
 * @timeout_ms: in which it has to be %VMNET_CLIENT_CONNECTED; then it is lost
 * @func: (nullable): called once when it has connected, and once when it is
 *     lost; never from this function
 *
 * The socket is $VMNET_SOCKET, else vmnetd.sock in $XDG_RUNTIME_DIR/vmnet,
 * /run/user/UID/vmnet or /tmp/vmnet-UID; the system instance's $VMNET_SOCKET,
 * else /run/vmnet/vmnetd.sock.  The daemon that is started is
 * $VMNETD, else the one beside the running program, else the installed one.
 * It belongs to a session of its own and outlives the caller.
 *
 * An error is %VMNET_SETUP_INCOMPLETE where no daemon could be reached; it
 * names both protocols when they differ, and the first error of a daemon that
 * did not start.
 *
 * Returns: (transfer full): NULL with @error if not even a descriptor could be
 * had for it.
 */
VmnetClient *vmnet_client_connect_async(VmnetConnectFlags flags,
                                        int timeout_ms,
                                        VmnetClientStateFunc func,
                                        gpointer user_data, GError **error);

/**
 * vmnet_client_connect: the same, and wait until it is connected.
 *
 * Returns: (transfer full): a client that is connected; NULL with @error.
 */
VmnetClient *vmnet_client_connect(VmnetConnectFlags flags, int timeout_ms,
                                  GError **error);

/** vmnet_client_ref: interfaces and networks keep a reference of their own. */
VmnetClient *vmnet_client_ref(VmnetClient *client);
/** vmnet_client_unref: the last one closes the connection.  (nullable) */
void vmnet_client_unref(VmnetClient *client);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmnetClient, vmnet_client_unref)

/**
 * vmnet_client_close: end the connection now, whoever has references.
 *
 * No function is called back any more, those of commands that wait included.
 * Can be called from a callback, and twice.
 */
void vmnet_client_close(VmnetClient *client);

/**
 * vmnet_client_get_fd: a descriptor that is readable (POLLIN) when
 * vmnet_client_dispatch() has something to do: messages, room, or a deadline.
 *
 * It is the same from the first to the last, an epoll(7) descriptor that is
 * only to be polled; level-triggered; owned by the client.
 */
int vmnet_client_get_fd(const VmnetClient *client);

/**
 * vmnet_client_dispatch: do what is due, and call back; never waits.
 *
 * Returns: false once the client is lost and all that was to be called back
 * has been: take its descriptor out of the main loop.
 */
gboolean vmnet_client_dispatch(VmnetClient *client);

/** vmnet_client_get_state: as of the last dispatch. */
VmnetClientState vmnet_client_get_state(const VmnetClient *client);

/** vmnet_client_set_event_callback: (nullable) @func: what vmnetd tells. */
void vmnet_client_set_event_callback(VmnetClient *client,
                                     VmnetClientEventFunc func,
                                     gpointer user_data);

/**
 * vmnet_client_command_async: execute a QMP command.
 * @name: such as "query-netdevs"
 * @arguments: (nullable): its arguments, a JSON object
 * @fd: sent along (SCM_RIGHTS), for "getfd"; the caller keeps its own copy;
 *     -1 for none
 * @timeout_ms: when the answer has to be there
 * @func: (nullable): called once, not from this function, unless the client is
 *     closed before
 *
 * Commands are executed in the order in which they were given.  While the
 * client connects they wait for the connection.
 *
 * Returns: false with @error, and @func is not called: @arguments are not
 * JSON (%VMNET_INVALID_ARGUMENT), the client is lost
 * (%VMNET_SETUP_INCOMPLETE), or 1024 commands wait (%VMNET_BUFFER_EXHAUSTED).
 */
gboolean vmnet_client_command_async(VmnetClient *client, const char *name,
                                    const char *arguments, int fd,
                                    int timeout_ms, VmnetCommandFunc func,
                                    gpointer user_data, GError **error);

/**
 * vmnet_client_command: the same, and wait for the answer; callbacks of other
 * things may be called meanwhile.
 *
 * Returns: (transfer full): what it returned, as JSON; NULL with @error.
 */
char *vmnet_client_command(VmnetClient *client, const char *name,
                           const char *arguments, int timeout_ms,
                           GError **error);

/**
 * vmnet_client_send_fd: hand a descriptor to the daemon, under a name that a
 * later command consumes (QMP's getfd), and wait until it has it.  The caller
 * keeps its own copy.
 */
gboolean vmnet_client_send_fd(VmnetClient *client, const char *name, int fd,
                              int timeout_ms, GError **error);

/**
 * vmnet_client_get_notice: something that the user should be told, such as
 * that the daemon is of another build; known once it is connected.
 *
 * Returns: (transfer none) (nullable)
 */
const char *vmnet_client_get_notice(const VmnetClient *client);

/**
 * vmnet_client_get_version: the daemon's version, such as "0.1.0"; known once
 * it is connected.
 *
 * Returns: (transfer none) (nullable)
 */
const char *vmnet_client_get_version(const VmnetClient *client);

G_END_DECLS

#endif
