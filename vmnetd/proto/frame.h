/*
 * A frame: Ethernet bytes with the virtio_net_hdr that travels with them
 *
 * The bytes belong to whoever made the frame, and may be memory that a guest
 * can write while we look: copy headers to the stack with frame_peek() before
 * parsing, and never read them twice.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_PROTO_FRAME_H
#define VMNETD_PROTO_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/uio.h>
#include <linux/virtio_net.h>

/* Linux 6.2 (virtio 1.2): UDP datagrams of gso_size bytes each */
#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif

/** Frames that one call hands over at most (architecture, data path 4). */
#define FRAME_BATCH_MAX 64

/** The largest frame: 64 KiB of IP, an Ethernet header and a VLAN tag. */
#define FRAME_LEN_MAX (65535 + 18)

/** Shortest frame on a wire, without its FCS (IEEE 802.3): ports pad to it. */
#define FRAME_LEN_MIN 60

/**
 * Frame:
 * @vnet: offload metadata, little endian as in virtio 1.1, 5.1.6; all zero for
 *     a plain frame
 * @iov: Ethernet header first; valid until the call that got the frame returns
 * @n_iov: elements in @iov, at least 1
 * @len: sum of @iov's lengths, in bytes
 * @src_port: set by switch_input(): id of the port that it came from
 * @n_sent: segments of it that its receiver has; 0 for a frame that is new.
 *     Whoever offers a frame again that switch_input() did not take leaves it
 *     as it is.
 */
typedef struct Frame {
    struct virtio_net_hdr_v1 vnet;
    struct iovec *iov;
    unsigned n_iov;
    uint32_t len;
    uint32_t src_port;
    uint32_t n_sent;
} Frame;

/** frame_init: make @frame a plain frame of @iov's first @n_iov elements. */
static inline void
frame_init(Frame *frame, struct iovec *iov, unsigned n_iov)
{
    unsigned i;

    memset(&frame->vnet, 0, sizeof(frame->vnet));
    frame->iov = iov;
    frame->n_iov = n_iov;
    frame->len = 0;
    frame->src_port = 0;
    frame->n_sent = 0;
    for (i = 0; i < n_iov; i++) {
        frame->len += iov[i].iov_len;
    }
}

/**
 * frame_peek: copy bytes [@offset, @offset + @len) of @frame to @dst.
 *
 * Returns: the number of bytes copied, less than @len where the frame ends.
 */
size_t frame_peek(const Frame *frame, size_t offset, void *dst, size_t len);

/**
 * frame_slice: describe @frame from @offset on with at most @max elements.
 *
 * Returns: elements written to @ret_iov; 0 if @offset is past the end or @max
 * do not suffice.
 */
unsigned frame_slice(const Frame *frame, size_t offset,
                     struct iovec *ret_iov, unsigned max);

#endif
