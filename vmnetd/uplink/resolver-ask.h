/*
 * One name server, asked for one query: the sockets below resolver.c
 *
 * By UDP first; by TCP (RFC 7766) when resolver.c says so, of the same server.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_UPLINK_RESOLVER_ASK_H
#define VMNETD_UPLINK_RESOLVER_ASK_H

#include <glib.h>
#include "loop/loop.h"
#include "proto/dns.h"
#include "uplink/fault.h"
#include "uplink/resolv-conf.h"

typedef struct Ask Ask;

#define ASK_MESSAGE_BYTES 65535

/**
 * AskDone: the server has answered; the question is the one that was asked, or
 * it did not take the query (@answer NULL).  @ask may be freed in here.
 * @msg: of @len bytes, valid during the call or until @ask is freed
 */
typedef void (*AskDone)(void *opaque, Ask *ask, uint8_t *msg, size_t len,
                        const DnsMessage *answer, int64_t now_ms);

/**
 * AskQuery: what all servers are asked; outlives their Asks.
 * @buf: for what comes in, of ASK_MESSAGE_BYTES; may be shared
 * @question: of @msg, our id in its header
 * @msg: two bytes of length, then the query of @len bytes
 * @faults: shared by all queries
 */
typedef struct AskQuery {
    Loop *loop;
    uint8_t *buf;
    DnsMessage question;
    uint8_t *msg;
    size_t len;
    AskDone done;
    void *opaque;
    FaultLog *faults;
} AskQuery;

/** ask_new: by UDP. Returns: NULL: the host cannot send to @server. */
Ask *ask_new(const AskQuery *query, const ResolvServer *server);
void ask_free(Ask *ask);

/**
 * ask_again: repeat a query by UDP, from the same socket, so that an answer to
 * the first counts as well. What goes by TCP is left to that.
 */
bool ask_again(Ask *ask);
/** ask_by_tcp: from now on. Returns: false: no connection: @ask is of no use. */
bool ask_by_tcp(Ask *ask);
bool ask_is_tcp(const Ask *ask);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Ask, ask_free)

#endif
