/*
 * What the files of the DHCP server share
 *
 *   dhcp-server.c    messages, and what they do to leases
 *   dhcp-policy.c    which address a client gets
 *   dhcp-reply.c     OFFER, ACK and NAK
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_GATEWAY_DHCP_SERVER_H
#define VMNETD_GATEWAY_DHCP_SERVER_H

#include "gateway/gateway-internal.h"
#include "proto/dhcp4.h"

/**
 * DhcpRequest: a message that has passed all checks.
 * @port: where it came from
 * @mac: of the client; @eth_src: of who sent the frame, a relay perhaps
 * @id: client-id of @id_len bytes; NULL: none
 */
typedef struct DhcpRequest {
    const Dhcp4Message *msg;
    uint32_t port;
    MacAddr mac, eth_src;
    const uint8_t *id;
    size_t id_len;
} DhcpRequest;

/**
 * dhcp_lease_of: the entry that is this client's, in whatever state.
 * @ret_clone: the lease of another live client that has the same client-id
 *
 * Returns: NULL: none is.
 */
LeaseEntry *dhcp_lease_of(Gateway *gw, const DhcpRequest *req,
                          LeaseEntry **ret_clone);
/**
 * dhcp_lease_for: what a client is given: its own, or a new one.
 * @wanted: an address that it asks for; 0: any
 *
 * Returns: NULL: nothing is left, or not yet: see is_abandoned().
 */
LeaseEntry *dhcp_lease_for(Gateway *gw, const DhcpRequest *req,
                           uint32_t wanted);
/** dhcp_lease_make: an entry for a client that has none; NULL: as above. */
LeaseEntry *dhcp_lease_make(Gateway *gw, const DhcpRequest *req,
                            uint32_t wanted);
/** dhcp_lease_is_usable: may @mac, whose entry it is, have it (still)? Not if
 * it lapsed and somebody else has set the address by hand since. */
bool dhcp_lease_is_usable(Gateway *gw, const LeaseEntry *entry,
                          const MacAddr *mac);
/** dhcp_is_fresh: in the pool, nobody's, and used by no other than @mac. */
bool dhcp_is_fresh(Gateway *gw, uint32_t addr, const MacAddr *mac);

/** dhcp_lease_time: seconds that @msg's client is given. */
uint32_t dhcp_lease_time(const Gateway *gw, const Dhcp4Message *msg);

/** dhcp_reply: DHCP4_OFFER or DHCP4_ACK; @entry NULL: in answer to INFORM. */
void dhcp_reply(Gateway *gw, const DhcpRequest *req, Dhcp4Type type,
                const LeaseEntry *entry);
/** dhcp_reply_nak: @why: a phrase for the client's log. */
void dhcp_reply_nak(Gateway *gw, const DhcpRequest *req, const char *why);

#endif
