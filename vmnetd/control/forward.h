/*
 * Forwards: who made them, and how long they live
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_CONTROL_FORWARD_H
#define VMNETD_CONTROL_FORWARD_H

#include "control/control.h"
#include "control/hostfwd.h"

/**
 * ControlForward:
 * @network: (transfer none): it outlives the forward, see
 *     forward_network_gone()
 * @owner: lifetime "client": whose; else NULL
 * @netdev: whose lease it follows, or NULL
 * @of_options: the netdev's hostfwd made it, by @rule
 * @told: clients know of it
 * @moved: they do not know its guest's address yet
 */
struct ControlForward {
    Control *control;
    Network *network;
    NetworkForward *forward;
    ForwardLifetime lifetime;
    Client *owner;
    ControlNetdev *netdev;
    bool of_options;
    bool told, moved;
    HostfwdRule rule;
};

/** forward_new_hostfwd: a rule of @netdev, in whose list it is. */
bool forward_new_hostfwd(ControlNetdev *netdev, const HostfwdRule *rule,
                         GError **error);
/** forward_make: in no list yet; the caller sets its lifetime. */
ControlForward *forward_make(Control *control, Network *network,
                             const NetworkForwardConfig *config,
                             GError **error);
/**
 * forward_keep: put @forward (transfer full) where it belongs by its lifetime,
 * as one that @client made.  Returns: (transfer full): its description.
 */
ForwardInfo *forward_keep(ControlForward *forward, Client *client);
ForwardInfo *forward_describe(const ControlForward *forward);
ForwardInfo *forward_describe_network(Network *network,
                                      const NetworkForward *forward,
                                      const ControlNetdev *netdev,
                                      ForwardLifetime lifetime);
/** forward_add: what forward-add does. Returns: (transfer full). */
ForwardInfo *forward_add(Client *client, const ForwardOptions *options,
                         GError **error);
/** forward_record: ForwardOptions of those that a restart would lose. */
JsonValue *forward_record(Control *control);
/** forward_record_netdev: add those that follow @netdev to @list. */
void forward_record_netdev(const ControlNetdev *netdev, JsonValue *list);
/** forward_record_hostfwd: the rules of @netdev that are in force, with the
 * ports that were chosen. (transfer full) a list of strings. */
JsonValue *forward_record_hostfwd(const ControlNetdev *netdev);
/** forward_free: for lists of ControlForward. */
void forward_free(void *forward);

/** forward_client_gone, forward_network_gone: drop what lives no longer. */
void forward_client_gone(Client *client);
void forward_network_gone(Control *control, Network *network);
/** forward_netdev_gone: those of other lists that follow @netdev go too. */
void forward_netdev_gone(ControlNetdev *netdev);

#endif
