/*
 * What a client of the system instance may do: the policy, asked
 *
 * Each answer is one line in the log.  The daemon's own command line and record,
 * root, and every client of a user's own vmnetd are not asked.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_CONTROL_AUTHORIZE_H
#define VMNETD_CONTROL_AUTHORIZE_H

#include "control/client.h"

/**
 * authorize_network: use or start the network that @config means, and join the
 * host interface that it is bridged to.
 * @forwards: (element-type HostfwdRule): wanted on it
 *
 * Returns: false with @error, which names the rule and what would mend it.
 */
bool authorize_network(const Client *client, const NetworkConfig *config,
                       const GArray *forwards, GError **error);

/** authorize_netdev: one more netdev on the network that @config means. */
bool authorize_netdev(const Client *client, const NetworkConfig *config,
                      GError **error);

/** authorize_forward: one from @port of the host; 0: from whichever is free. */
bool authorize_forward(const Client *client, Network *network, uint16_t port,
                       GError **error);

/** authorize_end: end network @name, which stays until somebody does. */
bool authorize_end(const Client *client, const char *name, GError **error);

/** authorize_quit: end the daemon, and with it what all others have. */
bool authorize_quit(const Client *client, GError **error);

/** authorize_why_not: NULL, or why it may not join @ifname; no log. */
const char *authorize_why_not(const Client *client, const char *ifname);

#endif
