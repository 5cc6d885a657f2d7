/*
 * What the engine asks of the privileged process, and what it answers
 *
 *   engine -- PrivRequest, a packet --> vmnetd-priv
 *          <-- PrivAnswer, a packet, perhaps with a descriptor --
 *
 * Both have no pointers, and one size: a request that of its type (some have a
 * PrivGateway behind it).  A packet of any other size, or with a descriptor, is
 * refused.  There is nothing to parse.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_PRIV_MESSAGE_H
#define VMNETD_PRIV_MESSAGE_H

#include <net/if.h>
#include <stdint.h>

#include "priv/rules.h"

/** What interfaces of ours on bridged networks are called. */
#define PRIV_LINK_PREFIX "vmnetd"

typedef enum PrivType {
    PRIV_RESET = 1,     /* remove whatever was made, also by a former daemon */
    PRIV_BRIDGE_TAP,    /* a tap that is a port of bridge @ifname */
    PRIV_MACVTAP,       /* a macvtap on interface @ifname, with address @mac */
    PRIV_REMOVE,        /* @ifname is a macvtap that was made */
    PRIV_GATEWAY_TAP,   /* @ifname is a tap to be made with address @mac */
    PRIV_RULES,         /* of the network whose tap @ifname was made */
    PRIV_NO_RULES,
    PRIV_PACKET,        /* a packet socket on interface @ifname */
    PRIV_RELOAD,        /* read the policy again */
} PrivType;

/**
 * PrivRequest:
 * @seq: comes back in the answer
 * @flags: PRIV_PRIVATE, PRIV_OWN_MAC or 0
 * @ifname: ends with a NUL, after which there are only NULs
 */
typedef struct PrivRequest {
    uint32_t type;
    uint32_t seq;
    uint32_t flags;
    char ifname[IF_NAMESIZE];
    uint8_t mac[6];
    uint8_t zero[2];
} PrivRequest;

/** PRIV_MACVTAP: it exchanges no frames with others on the same interface. */
#define PRIV_PRIVATE 1u
/** PRIV_RULES: the network's mode, and what is translated. */
#define PRIV_SHARED 1u
#define PRIV_NAT44 2u
#define PRIV_NAT66 4u
/** PRIV_PACKET: frames for the interface's own address, and for groups. */
#define PRIV_OWN_MAC 2u

/**
 * PrivGateway: the host's interface on a network; addresses in network order
 * @gateway4: the host's own on it, from a private range
 * @gateway6: the first of a unique local /64; all 0: none
 */
typedef struct PrivGateway {
    uint8_t gateway4[4];
    uint8_t gateway6[16];
    uint16_t mtu_bytes;
    uint8_t prefix4_len;
    uint8_t zero;
} PrivGateway;

typedef enum PrivOutcome {
    PRIV_DONE,
    PRIV_BAD_REQUEST,
    PRIV_NOT_ALLOWED,   /* the policy does not name @ifname */
    PRIV_NO_INTERFACE,
    PRIV_WRONG_KIND,    /* no bridge, or no interface that a macvtap fits on */
    PRIV_IS_DOWN,
    PRIV_HAS_MASTER,    /* it is a port of a bridge or bond itself */
    PRIV_NOT_OURS,      /* to be removed, and not made here */
    PRIV_TOO_MANY,
    PRIV_EXISTS,        /* to be made, and there already */
    PRIV_NO_KERNEL,     /* rules: the log says what the kernel lacks */
    PRIV_SLOW_BRIDGE,   /* STP would keep the port from carrying frames */
    PRIV_FAILED,        /* @errnum says why */
} PrivOutcome;

/** PrivAnswer: @ifname: what was made; a descriptor of it comes along */
typedef struct PrivAnswer {
    uint32_t outcome;
    uint32_t seq;
    int32_t errnum;
    char ifname[IF_NAMESIZE];
} PrivAnswer;

_Static_assert(sizeof(PrivRequest) == 36, "PrivRequest has a hole");
_Static_assert(sizeof(PrivGateway) == 24, "PrivGateway has a hole");
_Static_assert(sizeof(PrivAnswer) == 28, "PrivAnswer has a hole");

/** PrivGatewayRequest: PRIV_GATEWAY_TAP */
typedef struct PrivGatewayRequest {
    PrivRequest head;
    PrivGateway gateway;
} PrivGatewayRequest;

/**
 * PrivForwardEntry: addresses are of @family (AF_INET in the first 4 bytes), in
 * network order; @host all 0: any
 */
typedef struct PrivForwardEntry {
    uint8_t proto, family;
    uint16_t host_port, guest_port;
    uint8_t host[16], guest[16];
} PrivForwardEntry;

/**
 * PrivRulesRequest: PRIV_RULES
 * @external: as PrivRequest.ifname, or all 0
 * @forwards: those after the first @n_forwards are all 0
 */
typedef struct PrivRulesRequest {
    PrivRequest head;
    PrivGateway gateway;
    char external[IF_NAMESIZE];
    uint32_t n_forwards;
    PrivForwardEntry forwards[PRIV_FORWARDS_MAX];
} PrivRulesRequest;

_Static_assert(sizeof(PrivForwardEntry) == 38, "PrivForwardEntry has a hole");
_Static_assert(sizeof(PrivRulesRequest) == 80 + 38 * PRIV_FORWARDS_MAX,
               "PrivRulesRequest has a hole");

#endif
