/*
 * What the parts of vmnet-core share
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef NET_VMNET_CORE_INT_H
#define NET_VMNET_CORE_INT_H

#include <vmnet/vmnet.h>

#include "vmnet-batch.h"
#include "vmnet-core.h"

/* What the daemon has for an answer that nothing waits for. */
#define ANSWER_MS 5000

struct VmnetCore {
    const VmnetCoreOps *ops;
    void *opaque;
    char *options;
    VmnetConnectFlags connect;
    bool vhost_user;            /* frames go past us: no tx, rx and offloads */
    size_t interface_header_len;

    VmnetCoreState state;
    VmnetClient *client;
    VmnetInterface *interface;
    GError *error;
    int retry_ms;
    bool was_running;

    VmnetTx *tx;
    VmnetRx *rx;
    size_t header_len;
    unsigned offloads;
    unsigned told_offloads;
    bool telling_offloads;
    bool receiving;             /* the machine runs */
    bool nic_full;
    bool sender_waits;          /* vmnet_core_send() returned false */
    bool scheduled;
    VmnetCoreCounters counters;
};

/** core_lost: there is no daemon, or no netdev; @error (nullable) says why. */
void core_lost(VmnetCore *core, const GError *error);

/** core_frames_begin: the interface runs: watch it, tell what the NIC takes. */
void core_frames_begin(VmnetCore *core);

#endif
