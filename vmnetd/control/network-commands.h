/*
 * Networks that are held without a netdev: network-add
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_CONTROL_NETWORK_COMMANDS_H
#define VMNETD_CONTROL_NETWORK_COMMANDS_H

#include "control/control.h"

typedef struct ControlNetwork ControlNetwork;

/**
 * held_network_add: what network-add does.
 *
 * Returns: (transfer none): it is in the control's list. NULL with @error:
 * nothing was made.
 */
ControlNetwork *held_network_add(Client *client, const NetworkOptions *options,
                                 GError **error);
/** held_network_free: for the list only. */
void held_network_free(void *held);
/** held_networks_client_gone: those of lifetime "client" go with @client. */
void held_networks_client_gone(Client *client);
/** held_network_stays: somebody added @network to stay. */
bool held_network_stays(const Control *control, const Network *network);
/** held_network_record: NetworkOptions of those that stay. (transfer full) */
JsonValue *held_network_record(Control *control);

#endif
