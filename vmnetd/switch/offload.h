/*
 * What a frame's virtio_net_hdr asks of its receiver, checked
 *
 * A header is a guest's word about where in its frame things are.  It is taken
 * only where the frame's own headers say the same (virtio 1.1, 5.1.6.2):
 *
 *   flags     NEEDS_CSUM  the sum field of TCP or UDP holds that of the pseudo
 *                         header; the rest is to be added
 *             DATA_VALID  the checksum was verified: passed on to who takes
 *                         checksums to be completed, whose kernel then does not
 *                         verify it either; others are not told.  A guest that
 *                         lies here could as well send the wrong data
 *   gso_type  TCP, UDP    cut into segments of gso_size bytes of data; only
 *                         together with NEEDS_CSUM
 *   hdr_len               a hint, replaced by what was found
 *
 * A checksum inside a packet that is carried by another one (VXLAN, GRE, a
 * second VLAN tag) is taken at its word as long as it lies within the frame:
 * who cannot complete it gets it completed.  Segments inside another packet are
 * refused: we offer nobody the features for them.  So are UFO and every bit
 * that is not named here.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_SWITCH_OFFLOAD_H
#define VMNETD_SWITCH_OFFLOAD_H

#include "switch/switch.h"

/** Headers of a frame up to its data, or up to a checksum to be completed. */
#define OFFLOAD_HEADER_MAX 256

/** Pieces of memory in which such a frame may lie. */
#define OFFLOAD_IOV_MAX 1024

/**
 * Offload: offsets are from the frame's first byte.  Of a frame that asks for
 * nothing only @needs, @gso_size and @n_segments are set.
 * @needs: SwitchOffloads that a receiver must take to be given it as it is
 * @proto: TCP or UDP; 0: a checksum in a packet that is carried
 * @l4_off: where summing begins: csum_start
 * @csum_at: of the checksum
 * @header_len: bytes that are not data, which each segment begins with; of a
 *     frame that is not cut, bytes up to and with the checksum
 * @end: of what is summed
 * @gso_size: data in each segment; 0: not to be cut
 * @n_segments: 1 if not to be cut
 */
typedef struct Offload {
    unsigned needs;
    uint8_t proto;
    bool is_ipv6;
    uint16_t l3_off, l4_off, csum_at;
    uint16_t header_len;
    uint16_t gso_size;
    uint32_t end;
    uint32_t n_segments;
} Offload;

/**
 * offload_check: @frame's header is what it says, and no more.
 *
 * Changes the header: what means nothing is 0, hdr_len is right.  Also n_sent,
 * if there are fewer segments.
 *
 * Returns: false with SWITCH_DROP_BAD_OFFLOAD, or SWITCH_DROP_GIANT if segments
 * are longer than @mtu_bytes.
 */
bool offload_check(Frame *frame, uint32_t mtu_bytes, Offload *ret_offload,
                   SwitchDrop *ret_reason);

#endif
