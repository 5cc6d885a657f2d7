/*
 * Fragments: putting packets of guests together, taking those for them apart
 *
 * RFC 791 3.2, RFC 8200 4.5.  A packet with overlapping fragments is dropped
 * whole (RFC 5722), an exact repetition is not an overlap.  Bounded by
 * LIMIT_REASSEMBLY_*; at a bound the oldest packet of the port that has the
 * most goes.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_NAT_FRAG_H
#define VMNETD_NAT_FRAG_H

#include <glib.h>
#include "proto/ip.h"

typedef struct FragTable FragTable;

typedef enum FragVerdict {
    FRAG_WAIT,      /* more are missing */
    FRAG_COMPLETE,
    FRAG_MALFORMED, /* lengths that lie, an overlap */
} FragVerdict;

/** FragPacket: a packet put together; frag_packet_free() after use. */
typedef struct FragPacket FragPacket;

FragTable *frag_table_new(void);
void frag_table_free(FragTable *table);

/**
 * frag_input: one fragment (@ip->is_fragment).
 * @ret_packet: (transfer full): set with FRAG_COMPLETE
 */
FragVerdict frag_input(FragTable *table, const Frame *frame,
                       const IpPacket *ip, int64_t now_ms,
                       FragPacket **ret_packet);

/** frag_packet: the whole as if it had been one frame; memory of @packet. */
void frag_packet(FragPacket *packet, Frame *ret_frame, IpPacket *ret_ip);
void frag_packet_free(FragPacket *packet);

/** frag_expire: drop what is older than 30 s. */
void frag_expire(FragTable *table, int64_t now_ms);
/** frag_deadline: when frag_expire() is next needed; INT64_MAX: never. */
int64_t frag_deadline(const FragTable *table);
void frag_port_gone(FragTable *table, uint32_t port_id);

/**
 * frag_count: into how many frames of at most @mtu_bytes @l4_len bytes go; 1:
 * no fragmentation.
 */
unsigned frag_count(sa_family_t family, size_t l4_len, uint32_t mtu_bytes);

/**
 * frag_build: headers of fragment number @i of @n.
 * @headers: of the whole packet; @headers->id is its identification for IPv4,
 *     @id6 for IPv6
 * @buf: FRAG_HEADER_MAX bytes
 * @ret_offset, @ret_len: the piece of the transport packet that follows
 *
 * Returns: bytes written to @buf.
 */
#define FRAG_HEADER_MAX (IP_HEADROOM + 8)
size_t frag_build(uint8_t *buf, const IpHeaders *headers, uint32_t id6,
                  size_t l4_len, uint32_t mtu_bytes, unsigned i,
                  size_t *ret_offset, size_t *ret_len);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(FragTable, frag_table_free)

#endif
