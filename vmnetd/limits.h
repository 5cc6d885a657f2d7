/*
 * Every number that a guest, a client or a file could otherwise push up
 *
 * Reaching one is a counter, never a log line per packet, never an abort.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifdef _GCC_NEXT_LIMITS_H
/* GCC's <limits.h> asks for the C library's, and goes by -iquote, too. */
#include_next <limits.h>
#elif !defined(VMNETD_LIMITS_H)
#define VMNETD_LIMITS_H

/* Networks and netdevs of one daemon: a user's machines, with room to spare. */
#define LIMIT_NETWORKS 64
#define LIMIT_NETDEVS 1024
/* FDB entries per guest port: a guest that bridges containers of its own. */
#define LIMIT_FDB_PER_PORT 1024
/* The same of an uplink: a large network of offices has fewer machines. */
#define LIMIT_FDB_PER_UPLINK 8192
/*
 * Frames of a port that go to all others (groups, unknown addresses): at once,
 * and per second.  A copy costs each of them; mDNS, ARP and a video stream fit.
 */
#define LIMIT_FLOOD_BURST 1024
#define LIMIT_FLOOD_PER_SECOND 4096
/* Segments that one frame stands for: 64 KiB in the smallest ones that Linux
 * sends (tcp_min_snd_mss, 48, with timestamps). */
#define LIMIT_SEGMENTS_PER_FRAME 2048
/* Addresses remembered per port by ARP and ND. */
#define LIMIT_NEIGHBOURS_PER_PORT 256
/* Addresses of a network that the gateway asks for at one time. */
#define LIMIT_NEIGHBOURS_PENDING 64
/* Leases per network: a /16's worth would be a file of 8 MiB. */
#define LIMIT_LEASES 4096
/* Of these, charged to one port: half of a /24, so that nobody takes all. */
#define LIMIT_LEASES_PER_PORT 128
/* Addresses that one port can have set aside by DHCPDECLINE. */
#define LIMIT_DECLINED_PER_PORT 8
/* DHCP messages of one port: at once, and per second. */
#define LIMIT_DHCP_BURST 256
#define LIMIT_DHCP_PER_SECOND 128
/* ICMP errors that one port is sent (RFC 4443 2.4 f): at once, per second. */
#define LIMIT_ICMP_ERROR_BURST 32
#define LIMIT_ICMP_ERROR_PER_SECOND 64
/* DNS queries that wait for an answer, per port and per network. */
#define LIMIT_DNS_PER_PORT 64
#define LIMIT_DNS_PER_NETWORK 256
/* Their sockets, one per server asked: each query has one as long as it waits. */
#define LIMIT_DNS_SOCKETS LIMIT_DNS_PER_NETWORK
/* Of all networks; half of what flows leave, where that is less. */
#define LIMIT_DNS_SOCKETS_DAEMON 1024
/* Queries of one port: at once, and per second.  Each is a socket and some ten
 * system calls, where its answer comes from beyond. */
#define LIMIT_DNS_BURST 1024
#define LIMIT_DNS_PER_SECOND 1024
/* DNS over TCP, per network: connections, and of one its queries that wait and
 * the bytes of answers that it has not read (one message is up to 64 KiB). */
#define LIMIT_DNS_TCP_CONNS 64
#define LIMIT_DNS_TCP_QUERIES 16
#define LIMIT_DNS_TCP_OUTPUT_BYTES (128 * 1024)
/* Flows (architecture): per port and for the daemon. */
#define LIMIT_FLOWS_PER_PORT 16384
#define LIMIT_FLOWS 65536
/* Fragmented packets being put together: packets and bytes per network. */
#define LIMIT_REASSEMBLY_PACKETS 64
#define LIMIT_REASSEMBLY_BYTES (1024 * 1024)
/* Where TCP has no SO_PEEK_OFF: a flow's ring, and all rings of a port. */
#define LIMIT_NAT_RING_BYTES (256 * 1024)
#define LIMIT_NAT_BYTES_PER_PORT (64 * 1024 * 1024)
/* The window told to a guest, and so what may have to be held behind a hole
 * (charged to the port as well): 1 ms at 16 Gbit/s. */
#define LIMIT_NAT_WINDOW_BYTES (2 * 1024 * 1024)
/* Peers that one UDP port of a guest, or one UDP forward, remembers. */
#define LIMIT_NAT_UDP_PEERS 256
/* Datagrams of a network that were received and wait for room: their bytes. */
#define LIMIT_NAT_KEPT_BYTES (8 * 1024 * 1024)
/* Forwards per network. */
#define LIMIT_FORWARDS 1024
/* Control connections, and of one client: descriptors and request size. */
#define LIMIT_CLIENTS 256
#define LIMIT_CLIENT_FDS 16
/* Ids and VM names: QEMU's own limit of a key is 127. */
#define LIMIT_ID_BYTES 127
/* A network's name: it is a directory's, and a label of DNS has 63. */
#define LIMIT_NETWORK_NAME_BYTES 63
#define LIMIT_CLIENT_OUTPUT_BYTES (1024 * 1024)
/* One QMP request: its bytes, tokens and nesting (QEMU: 64 MiB, 2 Mi, 1024). */
#define LIMIT_REQUEST_BYTES (1024 * 1024)
#define LIMIT_REQUEST_TOKENS (64 * 1024)
#define LIMIT_REQUEST_DEPTH 1024
/* The record of netdevs that a restarted daemon reads: 1024 of 4 KiB each. */
#define LIMIT_RECORD_BYTES (4 * 1024 * 1024)
/* A file of a network's in the state directory: leases, mostly. */
#define LIMIT_STATE_FILE_BYTES (16 * 1024 * 1024)
/* A stream port's queue towards its VMM, and its read buffer, in bytes. */
#define LIMIT_PORT_QUEUE_BYTES (256 * 1024)
#define LIMIT_PORT_READ_BYTES (256 * 1024)
/* Queues of a tap: as many as a guest has pairs of. */
#define LIMIT_TAP_QUEUES 8
/* The read buffer of a port whose VMM sends frames to be cut: 32 of 64 KiB. */
#define LIMIT_PORT_BATCH_BYTES (32 * (64 * 1024 + 128))
/* Regions of a guest's memory: all netdevs' stay below vm.max_map_count. */
#define LIMIT_MEMORY_REGIONS 32
/* Addresses of a guest behind an uplink that translates MAC addresses. */
#define LIMIT_TRANSLATED_PER_PORT 64
/* Pairs of rings of a vhost-user port, and entries of a ring (virtio 1.2). */
#define LIMIT_QUEUE_PAIRS 8
#define LIMIT_VRING_ENTRIES 32768
/* Flows of which a port with several pairs remembers the pair: 16 KiB. */
#define LIMIT_STEERED_FLOWS 1024
/* Descriptors of one chain: as many as one system call takes (IOV_MAX). */
#define LIMIT_CHAIN_DESCRIPTORS 1024

#endif
