/*
 * How the gateway hands packets on that are not for itself
 *
 * An uplink is how a network reaches beyond itself: by sockets (uplink/ with
 * nat/) or by the host's kernel.  The gateway has checked the packet: headers
 * parsed, source address belongs to the network and to that port, destination
 * is not the network's own subnet (the gateway's address excepted), host mode
 * and net-uuid have been refused.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_GATEWAY_UPLINK_OPS_H
#define VMNETD_GATEWAY_UPLINK_OPS_H

#include "proto/frame.h"
#include "proto/ip.h"
#include "switch/switch.h"

typedef enum UplinkVerdict {
    UPLINK_OK,
    UPLINK_REFUSED,     /* policy: answered administratively prohibited */
    UPLINK_MALFORMED,   /* transport header lies */
    UPLINK_LIMIT,       /* a bound was reached */
} UplinkVerdict;

typedef struct UplinkOps {
    /* One packet from a guest. Must not output frames before flush(). */
    UplinkVerdict (*input)(void *uplink, const Frame *frame,
                           const IpPacket *ip, int64_t now_ms);
    /* The batch has ended: acknowledge, answer. */
    void (*flush)(void *uplink, int64_t now_ms);
    /* Port @id has room again after room() said there was none. */
    void (*resume)(void *uplink, uint32_t id, int64_t now_ms);
    /* A DNS query of a guest for the outside: answer by gateway_dns_reply(). */
    bool (*dns_query)(void *uplink, uint32_t token, const uint8_t *msg,
                      size_t len, int64_t now_ms);
    /*
     * (optional) An ARP reply or neighbour advertisement to the gateway, of one
     * who may speak so: the host, which has its address, may have asked.
     */
    void (*neighbour)(void *uplink, const Frame *frame, int64_t now_ms);
    /* Port @id went: end its flows. */
    void (*port_gone)(void *uplink, uint32_t id, int64_t now_ms);
} UplinkOps;

#endif
