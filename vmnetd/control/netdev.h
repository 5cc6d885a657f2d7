/*
 * Netdevs: a guest's interface on a network, and how long it lives
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_CONTROL_NETDEV_H
#define VMNETD_CONTROL_NETDEV_H

#include "control/control.h"
#include "control/peer-process.h"

/**
 * ControlNetdev:
 * @owner: the client that made it, to whom it is @id; NULL once that has gone
 * @full_id: VM/ID, unique in the daemon: what all others call it
 * @uid: of who made it, and who alone may use it (and root)
 * @options: as they were given, with @mac and @vm filled in
 * @has_mac: @mac is claimed on the network
 * @was_connected: it has had a VMM
 * @process: the last VMM's; before the first one that which made it, and which
 *     is to become the VMM; see orphan.c
 * @is_restored: from the former daemon's record, and nobody has connected since
 * @forwards: of hostfwd, and those whose lifetime is the netdev's; owned
 * @grace: lifetime "export": fires when no VMM has been there for too long
 */
struct ControlNetdev {
    Control *control;
    Client *owner;
    char *id;
    char *vm;
    char *full_id;
    uid_t uid;
    Netdev *options;
    NetdevLifetime lifetime;
    Network *network;
    Port *port;
    MacAddr mac;
    bool has_mac;
    bool was_connected;
    PeerProcess process;
    bool is_restored;
    ControlExport *export;
    GPtrArray *forwards;
    LoopTimer *grace;
};

/**
 * netdev_new: validates all of @options, then makes network, port, forwards.
 * @client: whose it is
 *
 * Returns: (transfer none): it is in @client's control's list. NULL with
 * @error: nothing was made.
 */
ControlNetdev *netdev_new(Client *client, const Netdev *options,
                          GError **error);
/** netdev_remove: take it off the list and free it. */
void netdev_remove(ControlNetdev *netdev);

/** netdev_find: @client's own @id, else the VM/ID of any of the same user's. */
ControlNetdev *netdev_find(Client *client, const char *id, GError **error);
/** netdev_is_for: whether @uid may use it. */
bool netdev_is_for(const ControlNetdev *netdev, uid_t uid);
ControlNetdev *netdev_by_port(Control *control, Network *network,
                              uint32_t port_id);
uint32_t netdev_port_id(const ControlNetdev *netdev);

/**
 * netdev_connected, netdev_disconnected: its export has a VMM, or lost it.
 * @vmm: its process (contents transferred)
 */
void netdev_connected(ControlNetdev *netdev, PeerProcess *vmm);
void netdev_disconnected(ControlNetdev *netdev);

/** netdev_is_recorded: a restarted daemon makes it again from the record. */
bool netdev_is_recorded(const ControlNetdev *netdev);
/** netdev_comes_back: the record or the command line makes it again. */
bool netdev_comes_back(const ControlNetdev *netdev);

/** netdev_client_gone: what lives as long as @client goes with it. */
void netdev_client_gone(Client *client);

/** id_is_wellformed: QEMU's rule: a letter, then letters, digits, "-._". */
bool id_is_wellformed(const char *id);

#endif
