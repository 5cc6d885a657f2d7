/*
 * DNS over TCP for guests (RFC 7766)
 *
 * A guest's connection to the gateway's port 53 is a NAT flow, spliced to a
 * listener of the daemon on a loopback address, which takes only connections
 * that are our own flows: nobody else on the host is served.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_UPLINK_DNS_LISTENER_H
#define VMNETD_UPLINK_DNS_LISTENER_H

#include <glib.h>
#include "gateway/gateway.h"
#include "loop/loop.h"

typedef struct DnsListener DnsListener;

/**
 * DnsListenerOps:
 * @is_ours: does a flow of ours come from @peer?  Of the guest at @ret_port.
 */
typedef struct DnsListenerOps {
    bool (*is_ours)(void *opaque, const IpEndpoint *peer, uint32_t *ret_port);
} DnsListenerOps;

/** Never fails: a family that cannot be listened on has port 0. */
DnsListener *dns_listener_new(Loop *loop, Gateway *gateway,
                              const DnsListenerOps *ops, void *opaque);
void dns_listener_free(DnsListener *listener);

/** dns_listener_port: on the loopback address of @family; 0: none. */
uint16_t dns_listener_port(const DnsListener *listener, sa_family_t family);

/** dns_listener_port_gone: the guest at @id went, and its connections do. */
void dns_listener_port_gone(DnsListener *listener, uint32_t id);

/** dns_listener_is_asking: the query being handed to the gateway is by TCP. */
bool dns_listener_is_asking(const DnsListener *listener);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(DnsListener, dns_listener_free)

#endif
