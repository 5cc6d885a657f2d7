/*
 * What query commands and events show: the daemon's things in schema types
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_CONTROL_QUERY_H
#define VMNETD_CONTROL_QUERY_H

#include "control/control.h"

VmnetMode query_mode(NetworkMode mode);
/** query_lease: @lease of @network. (transfer full) */
LeaseInfo *query_lease(Control *control, Network *network, const Lease *lease);
/** query_prefix: ADDRESS/LENGTH; NULL if @prefix is none. (transfer full) */
char *query_prefix(const IpPrefix *prefix);
/** query_network: what query-networks tells of one. (transfer full) */
NetworkDetails *query_network(Control *control, Network *network);

#endif
