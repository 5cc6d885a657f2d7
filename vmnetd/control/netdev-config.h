/*
 * What a user wrote of a netdev, checked and turned into numbers
 *
 * The three modes differ in which members they have; here they become one
 * NetworkConfig.  Nothing is made, nothing of the host is looked at.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_CONTROL_NETDEV_CONFIG_H
#define VMNETD_CONTROL_NETDEV_CONFIG_H

#include "control/control.h"

/**
 * NetdevConfig:
 * @network: its strings belong to the options that were read
 * @forwards: of HostfwdRule
 */
typedef struct NetdevConfig {
    NetworkConfig network;
    bool isolated;
    bool has_mac;
    MacAddr mac;
    GArray *forwards;
    char *uuid;
} NetdevConfig;

/**
 * netdev_config_read:
 * @config: zeroed
 * @options: must outlive @config
 *
 * Returns: false with an @error in QEMU's words where QEMU has that option.
 */
bool netdev_config_read(NetdevConfig *config, const Netdev *options,
                        GError **error);
void netdev_config_clear(NetdevConfig *config);

/** netdev_options_copy: (transfer full) */
Netdev *netdev_options_copy(const Netdev *options);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(NetdevConfig, netdev_config_clear)

#endif
