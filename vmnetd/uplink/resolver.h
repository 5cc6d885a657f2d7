/*
 * The sockets behind the gateway's DNS proxy: a query to the host's name
 * servers, its answer back
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_UPLINK_RESOLVER_H
#define VMNETD_UPLINK_RESOLVER_H

#include <glib.h>
#include "loop/loop.h"

typedef struct Resolver Resolver;
typedef struct ResolverQuota ResolverQuota;

/** @msg: valid during the call; NULL: no server answered in time. */
typedef void (*ResolverReply)(void *opaque, uint32_t token,
                              const uint8_t *msg, size_t len, int64_t now_ms);

/**
 * resolver_quota_new: at most @max sockets for all resolvers that are made with
 * it; they end before it does.
 */
ResolverQuota *resolver_quota_new(unsigned max);
void resolver_quota_free(ResolverQuota *quota);
unsigned resolver_quota_used(const ResolverQuota *quota);

/** @resolv_conf: path of resolv.conf(5); NULL: /etc/resolv.conf */
Resolver *resolver_new(Loop *loop, const char *resolv_conf,
                       ResolverQuota *quota, ResolverReply reply, void *opaque);
/** resolver_free: what is outstanding is not answered any more. */
void resolver_free(Resolver *resolver);

/**
 * resolver_query: ask for @msg, one query. Its answer comes by
 * ResolverReply, at the latest 4 s later and never from within this call.
 * @by_tcp: the client can take any length: a truncated answer is asked for
 *     again by TCP
 *
 * Returns: false: not a query, or LIMIT_DNS_PER_NETWORK are outstanding.
 */
bool resolver_query(Resolver *resolver, uint32_t token, const uint8_t *msg,
                    size_t len, bool by_tcp, int64_t now_ms);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Resolver, resolver_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ResolverQuota, resolver_quota_free)

#endif
