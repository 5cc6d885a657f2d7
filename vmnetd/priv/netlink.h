/*
 * What the kernel tells by netlink: dumps, and attributes of their messages
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_PRIV_NETLINK_H
#define VMNETD_PRIV_NETLINK_H

#include <linux/netlink.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** NetlinkAttrs: attributes in a message or in one of them */
typedef struct NetlinkAttrs {
    const void *data;
    size_t len;
} NetlinkAttrs;

/** netlink_attrs: those behind a header of @header_len bytes; none: len 0 */
NetlinkAttrs netlink_attrs(const struct nlmsghdr *message, size_t header_len);
/** netlink_find: the payload of the first of @type; data NULL: none. */
NetlinkAttrs netlink_find(NetlinkAttrs attrs, unsigned type);
/** netlink_text: a NUL-terminated payload; NULL: none, or not terminated */
const char *netlink_text(NetlinkAttrs attrs, unsigned type);
/** netlink_u32: in the order it was sent in; @otherwise: none */
uint32_t netlink_u32(NetlinkAttrs attrs, unsigned type, uint32_t otherwise);

/** NetlinkRequest: @header: NLM_F_REQUEST | NLM_F_DUMP are set by the dump */
typedef struct NetlinkRequest {
    struct nlmsghdr header;
    uint8_t body[256];
} NetlinkRequest;

/** netlink_request: @header: what follows the message's header */
NetlinkRequest netlink_request(unsigned type, const void *header, size_t len);
/** netlink_add_text: @text of at most 64 bytes */
void netlink_add_text(NetlinkRequest *request, unsigned type, const char *text);

typedef void NetlinkEach(void *opaque, const struct nlmsghdr *message);

/**
 * netlink_dump: @each for each message of @protocol's answer; perhaps some twice,
 * if what is dumped changes meanwhile
 *
 * Returns: 0 or an errno: EINTR: it does not stop changing.
 */
int netlink_dump(int protocol, NetlinkRequest *request, NetlinkEach *each,
                 void *opaque);

#endif
