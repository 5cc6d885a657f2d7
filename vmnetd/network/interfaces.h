/*
 * Host interfaces whose network guests could join
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_NETWORK_INTERFACES_H
#define VMNETD_NETWORK_INTERFACES_H

#include <glib.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

/**
 * HostInterface:
 * @is_bridge: a tap joins it; otherwise each guest has a macvtap on it
 * @is_wireless: it carries frames of its own MAC address alone
 * @is_fit: of a kind that can be joined, whatever @why_not says of it now
 * @why_not: static; NULL: it can be joined
 */
typedef struct HostInterface {
    char name[IF_NAMESIZE];
    int ifindex;
    uint32_t mtu_bytes;
    bool is_bridge, is_wireless, is_fit;
    const char *why_not;
} HostInterface;

/**
 * host_interfaces_list: all but loopback, as they are now.
 * @allowed: NULL-terminated: others may not be joined; NULL: all may
 *
 * Returns: (transfer full) (element-type HostInterface): sorted by name
 */
GArray *host_interfaces_list(const char *const *allowed);

/**
 * host_interface_find: @name, which can be joined.
 *
 * Returns: false with @error: upstream's words where it is not one of those
 * that could be.
 */
bool host_interface_find(const char *name, const char *const *allowed,
                         HostInterface *ret_interface, GError **error);

#endif
