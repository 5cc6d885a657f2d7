/*
 * A DHCPv4 client for one interface (RFC 2131): frames and time in, frames and
 * the next deadline out
 *
 *   SELECTING --offer--> REQUESTING --ack--> BOUND --T1--> RENEWING
 *       ^                    |                 ^              |
 *       +------- nak --------+                 +---- ack -----+
 *       +------------------- nak, lease over -----------------+
 *
 * A lease is renewed by broadcast from T1 on, which every server answers and
 * which needs no ARP.  There is one network and one server: the first offer is
 * taken, and addresses are not probed.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TOOLS_DHCP_CLIENT_H
#define TOOLS_DHCP_CLIENT_H

#include <stdbool.h>

#include "proto/addr.h"

/** Bytes of a frame that dhcp_client_step() writes at most. */
#define DHCP_CLIENT_FRAME_MAX 640

#define DHCP_LEASE_DNS_MAX 3

typedef enum DhcpClientState {
    DHCP_CLIENT_SELECTING,  /* asks for offers */
    DHCP_CLIENT_REQUESTING, /* has taken one */
    DHCP_CLIENT_BOUND,      /* has a lease */
    DHCP_CLIENT_RENEWING,   /* has one, and asks for it again */
} DhcpClientState;

/**
 * DhcpLease: in host order, 0 is none
 * @domain: "" is none; a host name's characters only
 */
typedef struct DhcpLease {
    uint32_t address, mask, router, server;
    uint32_t dns[DHCP_LEASE_DNS_MAX];
    unsigned n_dns;
    uint32_t lease_s;
    char domain[254];
} DhcpLease;

typedef struct DhcpClient {
    DhcpClientState state;
    MacAddr mac;
    uint32_t xid;
    const char *name;
    unsigned n_tries;
    int64_t next_ms, renew_ms, expire_ms;
    DhcpLease lease;
} DhcpClient;

/**
 * dhcp_client_init:
 * @xid: random
 * @name: (nullable): how others are to find this host, a DNS label; outlives
 *     the client
 */
void dhcp_client_init(DhcpClient *client, const MacAddr *mac, uint32_t xid,
                      const char *name, int64_t now_ms);

/**
 * dhcp_client_step: do what is due.
 *
 * Returns: bytes of the frame to be sent; 0: none is.  Call it again at
 * @client->next_ms.
 */
size_t dhcp_client_step(DhcpClient *client, int64_t now_ms,
                        uint8_t frame[DHCP_CLIENT_FRAME_MAX]);

/**
 * dhcp_client_input: an Ethernet frame, whatever it is.
 *
 * Returns: whether there is a lease that is new or has changed.
 */
bool dhcp_client_input(DhcpClient *client, const void *frame, size_t len,
                       int64_t now_ms);

#endif
