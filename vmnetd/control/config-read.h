/*
 * What a user wrote of a network, of netdevs or of itself, as numbers
 *
 * Each looks at the form alone; whether the values are possible is
 * network_config_check()'s to say.  @who stands before an error's text:
 * "netdev 'net0'".
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_CONTROL_CONFIG_READ_H
#define VMNETD_CONTROL_CONFIG_READ_H

#include "network/network.h"
#include "qapi/qapi-types.h"

/** config_refuse: Returns: false, with an error of status INVALID_ARGUMENT. */
bool config_refuse(GError **error, const char *who, const char *format, ...)
    G_GNUC_PRINTF(3, 4);

NetworkSwitch config_read_switch(bool has_value, bool value);
/** config_read_bridge_mode: @value counts if @has_value. */
NetworkBridgeMode config_read_bridge_mode(bool has_value, VmnetBridgeMode value);
/** config_read_range: all three, or none. */
bool config_read_range(NetworkConfig *config, const char *who,
                       const char *start, const char *end, const char *mask,
                       GError **error);
/** config_read_prefix6: @text may be NULL, and may end in "/64". */
bool config_read_prefix6(NetworkConfig *config, const char *who,
                         const char *key, const char *text, GError **error);
bool config_read_number(const char *who, const char *key, bool has_value,
                        uint32_t value, uint32_t *ret_value, GError **error);

/** config_read_uplink: @value counts if @is_written. */
NetworkUplink config_read_uplink(bool is_written, VmnetUplink value);

#endif
