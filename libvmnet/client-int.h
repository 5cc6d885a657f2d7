/*
 * What the files of a client share
 *
 *   client.c         what a client is, its life, its dispatch
 *   client-io.c      bytes: messages out and in, the descriptor to poll
 *   client-call.c    commands: answers told from each other, deadlines
 *   client-sync.c    the calls that wait
 *   connect.c        finding the daemon or starting it, step by step
 *   greet.c          the greeting, and what it says
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef LIBVMNET_CLIENT_INT_H
#define LIBVMNET_CLIENT_INT_H

#include "libvmnet/client-private.h"
#include "libvmnet/deadline.h"
#include "libvmnet/refs.h"
#include "vmnet/error.h"

typedef struct Connector Connector;

/**
 * VmnetClient:
 * @epoll_fd: what the caller polls: @fd, @timer_fd, and a connector's pipe
 * @fd: the connection; -1: none
 * @path: of the socket; for messages
 * @events: what @fd is watched for
 * @told: the state that was called back last
 * @lost: why it is lost; set once
 * @connector: while it connects
 * @messages: JsonValue, received and not yet looked at
 * @stream_error: the daemon spoke no JSON
 * @eof: the daemon has closed its end
 * @output: of ClientOutput: what is still to be sent
 * @calls: of ClientCall, oldest first
 * @networks: name -> how many references to that network there are
 */
struct VmnetClient {
    int refs;
    int epoll_fd, timer_fd, fd;
    char *path;
    uint32_t events;
    bool closed;

    VmnetClientState state, told;
    GError *lost;
    Connector *connector;

    JsonStream *stream;
    GQueue messages;
    GError *stream_error;
    bool eof;
    GQueue output;

    GQueue calls;
    int64_t next_id;
    GHashTable *networks;

    char *version;
    char *notice;

    VmnetClientStateFunc state_func;
    gpointer state_data;
    VmnetClientEventFunc event_func;
    gpointer event_data;
};

/** ClientAnswer: @result: (transfer none) NULL with @error. */
typedef void (*ClientAnswer)(VmnetClient *client, const JsonValue *result,
                             const GError *error, gpointer user_data);

/* client.c */
VmnetClient *vmnet_client_new(GError **error);
/** client_lose: it is LOST, and dispatch is to say so. @error: (transfer full) */
void client_lose(VmnetClient *client, GError *error);
/** client_set_connected: the greeting is over. */
void client_set_connected(VmnetClient *client);
/** client_count_network: one more reference to network @name. */
void client_count_network(VmnetClient *client, const char *name);
/** client_arm: make the descriptor readable at the next deadline. */
void client_arm(VmnetClient *client);

/* client-io.c */
/** client_io_attach: @fd (transfer full) is the connection now. */
void client_io_attach(VmnetClient *client, int fd);
/** client_io_detach: close it; what was received is forgotten, what is to be
 * sent stays, but for a greeting. */
void client_io_detach(VmnetClient *client);
/**
 * client_io_push: a message to be sent.
 * @fd: (transfer none): sent along; -1 for none
 * @greeting: goes before all others, which wait for the greeting's end
 */
bool client_io_push(VmnetClient *client, const JsonValue *message, int fd,
                    bool greeting, GError **error);
/** client_io_send: as much as the socket takes. */
void client_io_send(VmnetClient *client);
/** client_io_receive: what is there, into @messages; sets @eof at the end. */
void client_io_receive(VmnetClient *client);
/** client_io_error: why the connection cannot be used; NULL if it can. */
GError *client_io_error(const VmnetClient *client);
void client_io_update(VmnetClient *client);
void client_io_clear(VmnetClient *client);

/* client-call.c */
/**
 * client_call: execute a command.
 * @args: (transfer full) (nullable)
 * @func: (nullable)
 *
 * Returns: a number for client_call_undo(); 0 with @error: it was not begun,
 * @func is not called.
 */
int64_t client_call(VmnetClient *client, const char *command, JsonValue *args,
                    int fd, int64_t deadline_us, ClientAnswer func,
                    gpointer user_data, GError **error);
/** client_call_owned: the same; @user_data (transfer full) is freed by g_free()
 * if @func is not called. */
int64_t client_call_owned(VmnetClient *client, const char *command,
                          JsonValue *args, int64_t deadline_us,
                          ClientAnswer func, gpointer user_data,
                          GError **error);
/** ClientUndo: take back what a command has made that returned @result. */
typedef void ClientUndo(VmnetClient *client, const JsonValue *result,
                        const char *what);
/**
 * client_call_undo: nobody waits any more for the command that had @number
 * when it was begun; should it succeed yet, @undo is called with @what.
 */
void client_call_undo(VmnetClient *client, int64_t number, ClientUndo *undo,
                      const char *what);
/** client_netdev_del: remove a netdev, whose answer nobody waits for. */
void client_netdev_del(VmnetClient *client, const char *netdev);
/** client_call_forget: @func of calls with @user_data is not called. */
void client_call_forget(VmnetClient *client, gpointer user_data);
/** client_call_answer: is @message (transfer none) an answer? Call back. */
bool client_call_answer(VmnetClient *client, const JsonValue *message);
/** client_call_expire: call back those whose time is up. */
void client_call_expire(VmnetClient *client);
/** client_call_fail: all of them, with the client's error. */
void client_call_fail(VmnetClient *client);
void client_call_clear(VmnetClient *client);
/** client_call_deadline: the earliest; G_MAXINT64: none. */
int64_t client_call_deadline(const VmnetClient *client);

/* client-sync.c */
/** client_wait: dispatch until @done; false if the client was closed. */
bool client_wait(VmnetClient *client, const bool *done);
/** client_execute: execute a command and wait for its answer. */
JsonValue *client_execute(VmnetClient *client, const char *command,
                          JsonValue *args, int timeout_ms, GError **error);
/** client_take_result: the result in the answer @message, or its error. */
const JsonValue *client_take_result(const JsonValue *message, GError **error);

/* connect.c */
bool connector_start(VmnetClient *client, VmnetConnectFlags flags,
                     int64_t deadline_us, GError **error);
/** connector_run: the next steps that do not wait. */
void connector_run(VmnetClient *client);
int64_t connector_deadline(const Connector *connector);
void connector_free(VmnetClient *client);

/* greet.c */
typedef enum GreetResult { GREET_GOES_ON, GREET_DONE, GREET_FAILED } GreetResult;
/** greet_message: the next message of the daemon. @state: 0 at first. */
GreetResult greet_message(VmnetClient *client, const JsonValue *message,
                          unsigned *state, GError **error);

#endif
