/*
 * A client: one QMP connection and all that it holds
 *
 * What it holds is found by its owner pointer in the lists of Control; a
 * client that goes takes with it netdevs and forwards of lifetime "client",
 * exports of those netdevs, and descriptors.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_CONTROL_CLIENT_H
#define VMNETD_CONTROL_CLIENT_H

#include "control/control.h"
#include "control/peer-process.h"
#include "policy/policy.h"

/**
 * Client:
 * @qmp: NULL: the command line
 * @name: default for a netdev's VM: the pid, "vmnetd" for the command line
 * @process: who connected
 * @peer: as whom; its groups are owned
 * @fds: name to descriptor, what getfd received
 */
struct Client {
    Control *control;
    QmpSession *qmp;
    char *name;
    PeerProcess process;
    uid_t uid;
    PolicyPeer peer;
    GHashTable *fds;
};

/**
 * client_new: greet a client and add it to the control's list.
 * @fd: (transfer full); -1: the command line, which is in no list
 *
 * Returns: NULL with @error where the loop refuses the socket.
 */
Client *client_new(Control *control, int fd, pid_t pid, uid_t uid,
                   GError **error);
/** client_free: drop what it holds; the caller takes it off the list. */
void client_free(Client *client);

/** client_put_fd: keep @fd (transfer full) under @name, which is replaced. */
bool client_put_fd(Client *client, const char *name, int fd, GError **error);
/** client_take_fd: Returns: the descriptor, now the caller's; -1 with @error. */
int client_take_fd(Client *client, const char *name, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Client, client_free)

#endif
