/*
 * What the files of uplink/ share
 *
 *   uplink.c         UplinkOps <-> nat/, time
 *   policy.c         what a guest may reach
 *   host.c           the host's addresses and routes: host-table.c
 *   resolver.c       DNS to the host's servers: resolver-ask.c, resolv-conf.c
 *   dns-listener.c   DNS over TCP from guests
 *   fault.c          what the host lacks, in the log
 *   forward.c        what the outside may reach
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_UPLINK_UPLINK_INTERNAL_H
#define VMNETD_UPLINK_UPLINK_INTERNAL_H

#include "uplink/dns-listener.h"
#include "uplink/fault.h"
#include "uplink/policy.h"
#include "uplink/resolver.h"
#include "uplink/uplink.h"

struct Uplink {
    UplinkConfig config;
    Policy policy;
    Nat *nat;
    LoopTimer *timer;
    Resolver *resolver;
    FaultLog faults;
    DnsListener *dns;   /* NULL: none in host mode */
};

#endif
