/*
 * A forward as vmnetctl takes it, which is as QEMU's hostfwd is written:
 *
 *     [tcp:|udp:][[HOSTADDR]:]HOSTPORT-GUEST:GUESTPORT
 *
 * with IPv6 addresses in brackets.  GUEST is a host name, an address, or a
 * netdev as VM/ID.  To remove a rule, what stands before the "-" is enough.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TOOLS_FORWARD_SPEC_H
#define TOOLS_FORWARD_SPEC_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/**
 * ForwardSpec:
 * @protocol: "tcp", "udp", or NULL: not written
 * @host_address: NULL: not written
 * @host_port: 0 to 65535
 * @guest: NULL if only the host's part was parsed; never ""
 * @guest_port: 1 to 65535
 */
typedef struct ForwardSpec {
    const char *protocol;
    char *host_address;
    int64_t host_port;
    char *guest;
    int64_t guest_port;
} ForwardSpec;

/** forward_spec_parse: NULL with an @error that names the rule. */
ForwardSpec *forward_spec_parse(const char *text, GError **error);

/** forward_spec_parse_host: only what stands before the "-", if there is one. */
ForwardSpec *forward_spec_parse_host(const char *text, GError **error);

void forward_spec_free(ForwardSpec *spec);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ForwardSpec, forward_spec_free)

/** forward_spec_parse_port: @min to 65535. */
bool forward_spec_parse_port(const char *text, unsigned min, int64_t *ret,
                             GError **error);

#endif
