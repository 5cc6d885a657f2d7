/*
 * What the files of networks share
 *
 *   network-configuration.c  what is wanted
 *   network.c                references to networks
 *   forwarding.c             port forwarding rules
 *   host-interfaces.c        what could be bridged
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef LIBVMNET_NETWORK_INT_H
#define LIBVMNET_NETWORK_INT_H

#include "libvmnet/client-int.h"
#include "vmnet/network.h"

/** network_mode_name: as the schema has it; "": there is none. */
const char *network_mode_name(VmnetOperatingMode mode);
/** network_configuration_args: of network-add. (transfer full) */
JsonValue *network_configuration_args(const VmnetNetworkConfiguration *config);
/** network_rule_check: is it one of a configuration or forward-add? */
bool network_rule_check(const VmnetPortForwardingRule *rule, GError **error);
VmnetClient *network_client(const VmnetNetwork *network);

#endif
