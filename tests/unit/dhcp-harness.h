/*
 * What a DHCP server has noted, as numbers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_UNIT_DHCP_HARNESS_H
#define TESTS_UNIT_DHCP_HARNESS_H

#include "gateway-harness.h"

#define ELSEWHERE 0x0a000005u   /* 10.0.0.5 */

static inline unsigned count_events(Harness *h, GatewayEventType type)
{
    unsigned i, n = 0;

    for (i = 0; i < h->events->len; i++) {
        n += harness_event_at(h, i)->type == type;
    }
    return n;
}

static inline LeaseState state_of(Harness *h, uint32_t addr)
{
    g_autoptr(GArray) leases = gateway_leases(h->gw);
    unsigned i;

    for (i = 0; i < leases->len; i++) {
        if (g_array_index(leases, Lease, i).addr.v4 == addr) {
            return g_array_index(leases, Lease, i).state;
        }
    }
    return LEASE__MAX;
}

#endif
