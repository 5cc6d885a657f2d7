/*
 * Every number that a guest, a client or a file could otherwise push up
 *
 * Reaching one is a counter, never a log line per packet, never an abort.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_LIMITS_H
#define VMNETD_LIMITS_H

/* Networks and netdevs of one daemon: a user's machines, with room to spare. */
#define LIMIT_NETWORKS 64
#define LIMIT_NETDEVS 1024
/* FDB entries per guest port: a guest that bridges containers of its own. */
#define LIMIT_FDB_PER_PORT 1024
/* Addresses remembered per port by ARP and ND. */
#define LIMIT_NEIGHBOURS_PER_PORT 256
/* Leases per network: a /16's worth would be a file of 8 MiB. */
#define LIMIT_LEASES 4096
/* DNS queries that wait for an answer, per port and per network. */
#define LIMIT_DNS_PER_PORT 64
#define LIMIT_DNS_PER_NETWORK 256
/* Flows (architecture): per port and for the daemon. */
#define LIMIT_FLOWS_PER_PORT 16384
#define LIMIT_FLOWS 65536
/* Fragmented packets being put together: packets and bytes per network. */
#define LIMIT_REASSEMBLY_PACKETS 64
#define LIMIT_REASSEMBLY_BYTES (1024 * 1024)
/* Forwards per network. */
#define LIMIT_FORWARDS 1024
/* Control connections, and of one client: descriptors and request size. */
#define LIMIT_CLIENTS 256
#define LIMIT_CLIENT_FDS 16
#define LIMIT_CLIENT_OUTPUT_BYTES (1024 * 1024)
/* A stream port's queue towards its VMM, and its read buffer, in bytes. */
#define LIMIT_PORT_QUEUE_BYTES (256 * 1024)
#define LIMIT_PORT_READ_BYTES (256 * 1024)

#endif
