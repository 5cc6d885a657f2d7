/*
 * What one daemon hands over to the next: items of bytes, and descriptors
 *
 *   item     tag (2 bytes) | length of body (4) | body: numbers, items
 *
 * Numbers are in network byte order.  A descriptor is the number of its place
 * among those that travel beside the bytes (SCM_RIGHTS).  An engine has one
 * item, whose body begins with a version of its own; a reader steps over items
 * whose tag it does not know, and over what is left of a body that it does.
 *
 * Reading is by Cursor (cursor.h): checked, with a sticky error.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_PROTO_HANDOVER_H
#define VMNETD_PROTO_HANDOVER_H

#include <glib.h>
#include "proto/addr.h"
#include "proto/cursor.h"

/** HandoverTag: never given to anything else once it was in a release. */
typedef enum HandoverTag {
    HANDOVER_SWITCH = 1,
    HANDOVER_SWITCH_ENTRY = 2,
    HANDOVER_NAT = 16,
    HANDOVER_NAT_TCP = 17,
    HANDOVER_NAT_UDP = 18,
    HANDOVER_NAT_UDP_PEER = 19,
    HANDOVER_NAT_ICMP = 20,
    HANDOVER_NAT_FORWARD = 21,
} HandoverTag;

/**
 * Handover: what is being written.
 * @fds: int; they stay the writer's
 */
typedef struct Handover {
    GByteArray *bytes;
    GArray *fds;
} Handover;

Handover *handover_new(void);
void handover_free(Handover *out);

/** handover_begin: an item; items may be nested. Returns: for handover_end(). */
unsigned handover_begin(Handover *out, HandoverTag tag);
void handover_end(Handover *out, unsigned begin);
void handover_u8(Handover *out, uint8_t value);
void handover_u16(Handover *out, uint16_t value);
void handover_u32(Handover *out, uint32_t value);
void handover_u64(Handover *out, uint64_t value);
void handover_bytes(Handover *out, const void *bytes, size_t len);
void handover_mac(Handover *out, const MacAddr *mac);
void handover_addr(Handover *out, const IpAddr *addr);
void handover_endpoint(Handover *out, const IpEndpoint *ep);
/** handover_fd: -1 is written as well, and read as such. */
void handover_fd(Handover *out, int fd);
/** handover_age: of something that happened at @then_ms. */
void handover_age(Handover *out, int64_t then_ms, int64_t now_ms);

/** handover_next: the next item of @c. False: no more, or @c->error. */
bool handover_next(Cursor *c, uint16_t *ret_tag, Cursor *ret_body);
void handover_read_mac(Cursor *c, MacAddr *ret_mac);
/** handover_read_addr: an unknown family sets @c->error. */
void handover_read_addr(Cursor *c, IpAddr *ret_addr);
void handover_read_endpoint(Cursor *c, IpEndpoint *ret_ep);
/** handover_read_age: Returns: when it happened, never after @now_ms. */
int64_t handover_read_age(Cursor *c, int64_t now_ms);

/** HandoverFds: the descriptors that came with an item read. */
typedef struct HandoverFds {
    int *fds;           /* -1: taken */
    unsigned n;
} HandoverFds;

/**
 * handover_take_fd: Returns: (transfer full): the descriptor that @c names; -1:
 * none, or it was taken before
 */
int handover_take_fd(HandoverFds *fds, Cursor *c);
/** handover_fds_close: those that nobody has taken. */
void handover_fds_close(HandoverFds *fds);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Handover, handover_free)

#endif
