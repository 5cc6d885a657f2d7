/*
 * What the files of the privileged process share
 *
 *   serve.c    receives, looks at what each kind of request may contain,
 *              answers, logs
 *   check.c    what is allowed
 *   policy.c   what the policy's file says of that
 *   tap.c, macvtap.c, packet.c   what is made
 *   gateway.c  the host's interfaces on networks, and their rules
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_PRIV_SERVE_INTERNAL_H
#define VMNETD_PRIV_SERVE_INTERNAL_H

#include <stdbool.h>

#include "policy/policy.h"
#include "priv/links.h"
#include "priv/message.h"
#include "priv/serve.h"

/** PrivServer: @fd: requests; @nl: of links_open(); @file: NULL: there is none */
typedef struct PrivServer {
    int fd, nl;
    const PrivPolicy *policy;
    Policy *file;
} PrivServer;

/** PrivResult: @made_fd: -1, or for the engine, closed after that */
typedef struct PrivResult {
    PrivAnswer answer;
    int made_fd;
} PrivResult;

void priv_set_outcome(PrivResult *result, PrivOutcome outcome);
/** priv_went_well: whether @errnum is 0, so that one can go on. */
bool priv_went_well(PrivResult *result, int errnum);

/* check.c */

bool priv_is_all_zero(const void *bytes, size_t n);
bool priv_is_name(const char ifname[IF_NAMESIZE]);
/** priv_has_our_name: as only interfaces that were made here are called. */
bool priv_has_our_name(const Link *link);
/**
 * priv_check_lower: whether guests may join the interface of @request, and
 * could: an Ethernet one that is up.
 */
bool priv_check_lower(PrivServer *server, const PrivRequest *request,
                      Link *ret_link, PrivResult *result);
/** priv_check_unbridged: @link is no bridge, port of one, or guest's. */
bool priv_check_unbridged(const Link *link, PrivResult *result);
/** priv_has_place: one more than there are may be made. */
bool priv_has_place(PrivServer *server, PrivResult *result);

/* policy.c */

void priv_policy_start(PrivServer *server);
/** priv_policy_bridges: whether anybody may join @ifname. */
bool priv_policy_bridges(const PrivServer *server, const char *ifname);
void priv_do_reload(PrivServer *server, const PrivRequest *request,
                    PrivResult *result);

/* tap.c */

/**
 * priv_make_tap: one that did not exist.
 * @name: may end with "%d", for a number that the kernel chooses
 *
 * Returns: 0 or an errno; EBUSY: @name exists
 */
int priv_make_tap(const char *name, char ret_name[IF_NAMESIZE], int *ret_fd);

/* tap.c, macvtap.c, packet.c, gateway.c: requests */

void priv_do_bridge_tap(PrivServer *server, const PrivRequest *request,
                        PrivResult *result);
void priv_do_macvtap(PrivServer *server, const PrivRequest *request,
                     PrivResult *result);
void priv_do_packet(PrivServer *server, const PrivRequest *request,
                    PrivResult *result);
void priv_do_remove(PrivServer *server, const PrivRequest *request,
                    PrivResult *result);
bool priv_is_gateway(const PrivRequest *request);
void priv_do_gateway_tap(PrivServer *server, const PrivRequest *request,
                         PrivResult *result);
bool priv_is_rules(const PrivRequest *request);
void priv_do_rules(PrivServer *server, const PrivRequest *request,
                   PrivResult *result);
void priv_do_no_rules(PrivServer *server, const PrivRequest *request,
                      PrivResult *result);
/** priv_remove_macvtaps: those of this instance. Returns: 0 or an errno. */
int priv_remove_macvtaps(PrivServer *server);

#endif
