/*
 * vhost-user links: frames to the guest
 *
 *   frame = vnet + iovecs --copied once--> buffers of the receive ring
 *
 * With MRG_RXBUF a frame takes as many chains as it needs, and the first says
 * how many; without, one chain has to be long enough.  Where too few are there
 * the frame is refused, and a kick is asked for.
 *
 * With several rings the frame's flow says which; the others take their frames
 * while one is full.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "port/vhost-user.h"

#include <string.h>

/* Buffers of one frame: Linux's hold 1.5 KiB and more. */
#define MERGE_MAX 256
/* What senders reckon with beside the MTU. */
#define HEADERS_MAX 128

/* The buffers that a frame goes to. */
typedef struct Target {
    struct iovec iov[LIMIT_CHAIN_DESCRIPTORS + MERGE_MAX];
    VringChain chains[MERGE_MAX];
    unsigned n_chains;
    uint64_t len;
} Target;

typedef enum Put {
    PUT_DONE,
    PUT_FULL,       /* not enough buffers now */
    PUT_DROPPED,    /* buffers of this size will never do */
    PUT_FAILED,
} Put;

static void give_back(VuRing *ring, Target *target)
{
    if (target->n_chains) {
        vring_rewind(&ring->vring, target->chains, target->n_chains);
    }
}

/* Fetch buffers for @len bytes. */
static Put reserve(VuRing *ring, Target *target, size_t len)
{
    bool is_mergeable = vu_has_feature(ring->dev, VIRTIO_NET_F_MRG_RXBUF);
    VringPool pool = { .iov = target->iov, .max = G_N_ELEMENTS(target->iov) };

    target->n_chains = 0;
    target->len = 0;
    while (target->len < len) {
        VringChain *chain = &target->chains[target->n_chains];

        if (target->n_chains == (is_mergeable ? MERGE_MAX : 1)) {
            return PUT_DROPPED;
        }
        switch (vring_fetch(&ring->vring, &pool, chain)) {
        case VRING_EMPTY:
            return PUT_FULL;
        case VRING_POOL_FULL:
            return PUT_DROPPED;
        case VRING_BROKEN:
            return PUT_FAILED;
        case VRING_FETCHED:
            break;
        }
        target->n_chains++;
        if (chain->n_readable || chain->writable_len < ring->dev->header_len) {
            vring_fail(&ring->vring, "a receive buffer has no room to write");
            return PUT_FAILED;
        }
        target->len += chain->writable_len;
    }
    return PUT_DONE;
}

/* A place in an array of iovecs. */
typedef struct Place {
    const struct iovec *iov;
    size_t offset;
} Place;

/* Both have @len bytes. */
static void copy(Place *dst, Place *src, size_t len)
{
    while (len) {
        size_t piece = MIN(dst->iov->iov_len - dst->offset,
                           src->iov->iov_len - src->offset);

        piece = MIN(piece, len);
        memcpy((uint8_t *)dst->iov->iov_base + dst->offset,
               (const uint8_t *)src->iov->iov_base + src->offset, piece);
        len -= piece;
        dst->offset += piece;
        src->offset += piece;
        if (dst->offset == dst->iov->iov_len) {
            *dst = (Place) { dst->iov + 1, 0 };
        }
        if (src->offset == src->iov->iov_len) {
            *src = (Place) { src->iov + 1, 0 };
        }
    }
}

static void write_frame(VuRing *ring, Target *target, const Frame *frame)
{
    struct virtio_net_hdr_v1 vnet = frame->vnet;
    struct iovec header = { &vnet, ring->dev->header_len };
    Place dst = { target->iov, 0 }, from = { &header, 0 };

    vnet.num_buffers = GUINT16_TO_LE(target->n_chains);
    copy(&dst, &from, header.iov_len);
    from = (Place) { frame->iov, 0 };
    copy(&dst, &from, frame->len);
}

static void log_written(VuRing *ring, const Target *target, size_t len)
{
    const struct iovec *iov = target->iov;

    for (; len; iov++) {
        size_t piece = MIN(len, iov->iov_len);

        guest_memory_log_host(&ring->dev->memory, iov->iov_base, piece);
        len -= piece;
    }
}

static Put put_frame(VuRing *ring, const Frame *frame)
{
    size_t left = ring->dev->header_len + frame->len;
    Target target;
    Put put = reserve(ring, &target, left);
    unsigned i;

    if (put != PUT_DONE) {
        give_back(ring, &target);
        return put;
    }
    write_frame(ring, &target, frame);
    if (guest_memory_has_log(&ring->dev->memory)) {
        log_written(ring, &target, left);
    }
    for (i = 0; i < target.n_chains; i++) {
        size_t written = MIN(left, target.chains[i].writable_len);

        vring_use(&ring->vring, &target.chains[i], written);
        left -= written;
    }
    ring->is_dirty = true;
    return PUT_DONE;
}

static VuRing *ring_for(VhostUser *dev, const Frame *frame)
{
    unsigned pair = dev->live[0];

    if (dev->steering) {
        pair = steering_find(dev->steering, frame, dev->live, dev->n_live);
    }
    return &dev->rings[2 * pair];
}

/* Ask for a kick. Returns: whether there are buffers after all. */
static bool await_room(VuRing *ring)
{
    ring->owes_room = true;
    return vring_enable_kick(&ring->vring);
}

unsigned vu_output_send(VhostUser *dev, const Frame *frames, unsigned n)
{
    unsigned i = 0, asked = 0;

    while (i < n && !dev->is_failed) {
        VuRing *ring = ring_for(dev, &frames[i]);
        unsigned bit = 1u << vu_ring_pair(ring);
        Put put = put_frame(ring, &frames[i]);

        if (put == PUT_FULL) {
            /* Once: whoever posts one buffer at a time is not followed. */
            if ((asked & bit) || !await_room(ring)) {
                break;
            }
            asked |= bit;
            continue;
        }
        if (put == PUT_FAILED) {
            vu_ring_check(ring);
        } else if (put == PUT_DROPPED) {
            port_link_count_drop(dev->port, SWITCH_DROP_GIANT);
        }
        i++;
    }
    return dev->is_failed ? n : i;
}

void vu_output_expire(VhostUser *dev)
{
    unsigned i;

    for (i = 0; i < dev->n_live; i++) {
        VuRing *ring = &dev->rings[2 * dev->live[i]];

        ring->is_overrun |= ring->owes_room;
    }
}

unsigned vu_output_n_expired(VhostUser *dev, const Frame *frames, unsigned n)
{
    unsigned i = 0;

    while (i < n && ring_for(dev, &frames[i])->is_overrun) {
        i++;
    }
    return i;
}

static size_t ring_room(VuRing *ring)
{
    size_t frame_len = port_link_mtu(ring->dev->port) + HEADERS_MAX;
    size_t room = vring_available(&ring->vring) * frame_len;

    if (room < SWITCH_ROOM_WANTED && await_room(ring)) {
        room = vring_available(&ring->vring) * frame_len;
    }
    vu_ring_check(ring);
    return room;
}

size_t vu_output_room(VhostUser *dev, const Frame *head)
{
    size_t room = 0;
    unsigned i;

    if (dev->is_failed) { /* its memory may be gone already */
        return SIZE_MAX;
    }
    if (head) {
        room = ring_room(ring_for(dev, head));
    }
    for (i = 0; i < dev->n_live && !head && !dev->is_failed; i++) {
        room = MAX(room, ring_room(&dev->rings[2 * dev->live[i]]));
    }
    return dev->is_failed ? SIZE_MAX : room;
}

void vu_output_flush(VhostUser *dev)
{
    unsigned i;

    for (i = 0; i < dev->n_rings; i += 2) {
        VuRing *ring = &dev->rings[i];

        if (ring->is_dirty && !dev->is_failed) {
            vu_ring_flush(ring);
            vu_ring_check(ring);
        }
    }
}

void vu_output_kicked(VuRing *ring, int64_t now_ms)
{
    ring->owes_room = ring->is_overrun = false;
    vring_disable_kick(&ring->vring);
    port_link_has_room(ring->dev->port, now_ms);
}
