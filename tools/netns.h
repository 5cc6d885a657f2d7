/*
 * vmnet-run --netns: a command in a network namespace of its own
 *
 *   vmnet-run (outside)                  COMMAND-to-be (inside)
 *     fork ------------------------------> unshare, make eth0, sockets
 *     tap to vmnetd  <------------------- descriptors
 *     configure eth0, DHCP
 *     resolv.conf -----------------------> mount it, execute COMMAND
 *     renew the lease, forward signals, wait
 *
 * All that stays outside reaches in by descriptors that were made inside: a
 * socket belongs to the namespace where it was made, and who made a user
 * namespace may configure what is in it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TOOLS_NETNS_H
#define TOOLS_NETNS_H

#include <signal.h>

#include "dhcp-client.h"
#include "run.h"

#define NETNS_INTERFACE "eth0"

/** Bytes of a resolv.conf at most. */
#define NETNS_RESOLV_MAX 1024

/**
 * NetnsFds: made inside
 * @tap: NETNS_INTERFACE
 * @inet: for ioctls; @packet: AF_PACKET, not bound
 */
typedef struct NetnsFds {
    int tap, inet, packet;
} NetnsFds;

/**
 * netns_child: what the forked child does; says on standard error what fails.
 * @channel: SOCK_SEQPACKET to the parent: NetnsFds go out, a resolv.conf comes in
 * @mask: of signals, for COMMAND
 *
 * Returns: an exit status; not at all if COMMAND was executed.
 */
int netns_child(const Run *run, int channel, const sigset_t *mask);

/** netns_receive_fds: from the child; all -1 if it has ended. */
NetnsFds netns_receive_fds(int channel);

/** netns_link_setup: address and MTU of the interface; it and lo go up. */
bool netns_link_setup(const NetnsFds *fds, const MacAddr *mac, uint32_t mtu,
                      GError **error);
/** netns_link_configure: as the lease says, instead of what was before. */
bool netns_link_configure(const NetnsFds *fds, const DhcpLease *lease,
                          GError **error);

/** run_in_netns: the whole of it. Returns: an exit status. */
int run_in_netns(Run *run);

#endif
