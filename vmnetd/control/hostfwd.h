/*
 * hostfwd: [tcp|udp]:[hostaddr]:hostport-[guestaddr]:guestport
 *
 * A parser and nothing else.  IPv6 addresses stand in brackets.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_CONTROL_HOSTFWD_H
#define VMNETD_CONTROL_HOSTFWD_H

#include <glib.h>
#include <stdbool.h>
#include "proto/addr.h"

/**
 * HostfwdRule:
 * @proto: IPPROTO_TCP (also where the text names none) or IPPROTO_UDP
 * @host: family AF_UNSPEC: all addresses; port 0: any that is free
 * @guest: family AF_UNSPEC: the netdev's lease
 */
typedef struct HostfwdRule {
    uint8_t proto;
    IpEndpoint host;
    IpEndpoint guest;
} HostfwdRule;

/**
 * hostfwd_parse:
 *
 * Returns: false with an error in the words of QEMU's user netdev, `Invalid
 * host forwarding rule 'TEXT' (REASON)`; @ret_rule is untouched.
 */
bool hostfwd_parse(const char *text, HostfwdRule *ret_rule, GError **error);

/** hostfwd_format: the text that parses to @rule. (transfer full) */
char *hostfwd_format(const HostfwdRule *rule);

#endif
