/*
 * vhost-user links: frames from the guest
 *
 *   transmit ring --fetch--> chain = virtio_net_hdr | frame --> the switch
 *                 <--use----       dealt with
 *                 <-rewind--       not taken: it stays in the ring
 *
 * The virtio_net_hdr and the frame's first bytes are copied, so that what was
 * checked is what the receiver gets, whatever the guest writes meanwhile; the
 * rest stays where it is.  A batch is used and published when the switch has
 * returned, and the driver called once for it.
 *
 * Polling: a kick costs the driver a system call, or an exit, and us a wake-up.
 * Where the last frames came close together, the ring is looked at again in each
 * turn of the loop for a while, in which others have their turns too, before
 * the driver is asked to kick.  An idle guest is never polled.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "port/vhost-user.h"

#include <string.h>

#include "switch/offload.h"

/* How far apart frames may come for which polling pays. */
#define POLL_NS 50000
/* Batches of one turn: others are to have theirs. */
#define TURN_BATCHES 4
/* Elements for the chains of a batch; one chain always fits. */
#define POOL_LEN (LIMIT_CHAIN_DESCRIPTORS + 512)
/* Bytes of a frame that are copied: all headers that anybody looks at. */
#define HEAD_LEN OFFLOAD_HEADER_MAX

/** InputBatch: frames[i] is what chains[i] holds, and begins with heads[i]. */
typedef struct InputBatch {
    struct iovec iov[POOL_LEN];
    VringChain chains[FRAME_BATCH_MAX];
    Frame frames[FRAME_BATCH_MAX];
    uint8_t heads[FRAME_BATCH_MAX][HEAD_LEN];
    unsigned n;
} InputBatch;

/* Copy what @chain has of @len bytes out of it. Returns: how many. */
static size_t chain_pull(VringChain *chain, void *to, size_t len)
{
    size_t done = 0;

    while (chain->n_readable && done < len) {
        struct iovec *iov = chain->iov;
        size_t piece = MIN(len - done, iov->iov_len);

        memcpy((uint8_t *)to + done, iov->iov_base, piece);
        done += piece;
        iov->iov_base = (uint8_t *)iov->iov_base + piece;
        iov->iov_len -= piece;
        if (iov->iov_len == 0) {
            chain->iov++;
            chain->n_readable--;
        }
    }
    chain->readable_len -= done;
    return done;
}

/*
 * Make a frame of @chain, which has a free element before its first.  Too long
 * ones keep no offloads: the switch drops and counts them for their length.
 */
static void split_chain(const VhostUser *dev, VringChain *chain, Frame *frame,
                        uint8_t head[HEAD_LEN])
{
    uint8_t header[sizeof(frame->vnet)] = { 0 };
    size_t n_head;

    chain_pull(chain, header, dev->header_len);
    n_head = chain_pull(chain, head, HEAD_LEN);
    *frame = (Frame) {
        .iov = chain->iov - 1,
        .n_iov = chain->n_readable + 1,
        .len = MIN(n_head + chain->readable_len, FRAME_LEN_MAX + 1),
    };
    frame->iov[0] = (struct iovec) { head, n_head };
    if (frame->len <= FRAME_LEN_MAX) {
        memcpy(&frame->vnet, header, sizeof(header));
        /* The flags of a driver; the switch looks at the rest. */
        frame->vnet.flags &= VIRTIO_NET_HDR_F_NEEDS_CSUM;
    }
}

/* Fetch up to a batch. Returns: false if the ring is broken. */
static bool fill_batch(VuRing *ring, InputBatch *batch)
{
    VringPool pool = { .iov = batch->iov, .max = POOL_LEN };
    VringFetch fetch = VRING_FETCHED;

    batch->n = 0;
    while (batch->n < FRAME_BATCH_MAX && pool.n < pool.max) {
        pool.n++;   /* for the head */
        fetch = vring_fetch(&ring->vring, &pool, &batch->chains[batch->n]);
        if (fetch != VRING_FETCHED) {
            break;
        }
        split_chain(ring->dev, &batch->chains[batch->n],
                    &batch->frames[batch->n], batch->heads[batch->n]);
        batch->n++;
    }
    return fetch != VRING_BROKEN;
}

/* What comes back of these flows is wanted by this pair. */
static void learn(VuRing *ring, const InputBatch *batch, int64_t now_ms)
{
    Steering *steering = ring->dev->steering;
    unsigned i;

    for (i = 0; steering && i < batch->n; i++) {
        steering_learn(steering, &batch->frames[i], vu_ring_pair(ring), now_ms);
    }
}

/*
 * Hand over one batch.
 *
 * Returns: whether all that it had was taken and the link goes on; @ret_more:
 * whether there may be another.
 */
static bool input_batch(VuRing *ring, int64_t now_ms, bool *ret_more)
{
    VhostUser *dev = ring->dev;
    InputBatch batch;
    unsigned i, taken = 0;

    *ret_more = false;
    if (!fill_batch(ring, &batch)) {
        vring_rewind(&ring->vring, batch.chains, batch.n);
        return vu_ring_check(ring);
    }
    if (batch.n == 0) {
        return vu_ring_check(ring);
    }
    ring->has_input = true;
    learn(ring, &batch, now_ms);
    batch.frames[0].n_sent = ring->n_sent;
    taken = port_link_input(dev->port, vu_ring_pair(ring), batch.frames, batch.n,
                            now_ms);
    ring->n_sent = 0;
    if (taken < batch.n) {
        ring->n_sent = batch.frames[taken].n_sent;
        vring_rewind(&ring->vring, &batch.chains[taken], batch.n - taken);
    }
    for (i = 0; i < taken; i++) {
        vring_use(&ring->vring, &batch.chains[i], 0);
    }
    ring->is_dirty |= taken > 0;
    vu_ring_flush(ring);
    *ret_more = batch.n == FRAME_BATCH_MAX;
    return vu_ring_check(ring) && taken == batch.n;
}

/* Returns: false if the lane is parked or the link has failed. */
static bool drain_ring(VuRing *ring, int64_t now_ms, bool *ret_more)
{
    unsigned n;

    vring_disable_kick(&ring->vring);
    for (n = 0; n < TURN_BATCHES; n++) {
        bool has_more;

        if (!input_batch(ring, now_ms, &has_more)) {
            return false;
        }
        if (!has_more) {
            return true;
        }
    }
    *ret_more = true;
    return true;
}

/* Whether to look again in the next turn, though nothing is left. */
static bool should_poll(VuRing *ring)
{
    int64_t now_ns = loop_now_ns();

    if (ring->has_input) {
        ring->has_input = false;
        ring->poll_ns = now_ns - ring->input_ns < POLL_NS ? POLL_NS : 0;
        ring->input_ns = now_ns;
    }
    return now_ns - ring->input_ns < ring->poll_ns;
}

void vu_input_run(VuRing *ring, int64_t now_ms)
{
    VhostUser *dev = ring->dev;
    bool has_more = false;

    if (dev->is_failed || !vu_ring_is_live(ring) ||
        !drain_ring(ring, now_ms, &has_more)) {
        return;
    }
    if (has_more || should_poll(ring) || vring_enable_kick(&ring->vring)) {
        port_link_yield(dev->port, vu_ring_pair(ring));
    }
}

void vu_input_discard(VuRing *ring)
{
    uint64_t *counter = &port_link_counters(ring->dev->port)
                             ->drops[SWITCH_DROP_NOT_CONNECTED];
    struct iovec iov[POOL_LEN];
    VringChain chain;
    unsigned left = ring->config.num;

    do {
        VringPool pool = { .iov = iov, .max = POOL_LEN };

        while (left && vring_fetch(&ring->vring, &pool, &chain) ==
                       VRING_FETCHED) {
            vring_use(&ring->vring, &chain, 0);
            ring->is_dirty = true;
            port_counter_add(counter, 1);
            pool.n = 0;
            left--;
        }
        vu_ring_flush(ring);
    } while (vu_ring_check(ring) && left && vring_enable_kick(&ring->vring));
}
