/*
 * Virtqueues, from the device's side: chains are fetched and come back used
 *
 * Theory of operation
 * -------------------
 * One interface, two formats: split (virtio 1.2, 2.7) and packed (2.8).  The
 * device completes in order, so a ring is two cursors that follow each other:
 *
 *       used                 fetched             available
 *   ------|----- in use here ---|------ waiting -----|---------
 *
 *   vring_fetch()    moves the second, and describes a chain
 *   vring_rewind()   moves it back: the chain will be fetched again
 *   vring_use()      moves the first over the oldest chain
 *   vring_publish()  shows the driver what was used since, at once
 *
 * What lies in the driver's memory is read once, checked, and never looked at
 * again; a chain that was rewound is read and checked anew.  A ring that breaks
 * a rule is broken for good: the front end has to start over.
 *
 * Notifications: the driver is called at most once for what was published
 * together (vring_should_call()).  It kicks us only after vring_enable_kick(),
 * which must be asked once more whether something came meanwhile.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_PORT_VRING_H
#define VMNETD_PORT_VRING_H

#include <linux/virtio_ring.h>
#include <sys/uio.h>

#include "port/guest-memory.h"

/**
 * VringCursor: a place in a ring.
 * @index: split: the free-running index; packed: that of the descriptor
 * @wrap: packed: the wrap counter
 */
typedef struct VringCursor {
    uint16_t index;
    bool wrap;
} VringCursor;

/**
 * VringChain: buffers of one fetch.
 * @iov: readable ones first; points into the pool
 * @readable_len, @writable_len: their bytes
 * @id, @n_desc: what vring_use() is to be given
 * @at: where it was, for vring_rewind()
 */
typedef struct VringChain {
    struct iovec *iov;
    unsigned n_readable, n_writable;
    uint64_t readable_len, writable_len;
    uint16_t id, n_desc;
    VringCursor at;
} VringChain;

/** VringPool: elements for the chains of a batch. */
typedef struct VringPool {
    struct iovec *iov;
    unsigned n, max;
} VringPool;

/**
 * VringConfig:
 * @is_read_only: nothing is ever written to its buffers, so that it does not
 *     matter for which of them that is allowed.  DPDK's driver marks its
 *     headers writable in the indirect tables of packed rings; the device
 *     should not read such buffers, but may (virtio 1.2, 2.6).
 */
typedef struct VringConfig {
    uint32_t num;
    bool is_packed, has_event_idx, has_indirect, is_read_only;
    /* As in VHOST_USER_SET_VRING_ADDR and SET_VRING_BASE. */
    VuVringAddr addr;
    uint32_t base;
} VringConfig;

/** VringCount: packed: available from @fetched on, as far as was looked. */
typedef struct VringCount {
    unsigned n_desc, n_chains;
} VringCount;

/**
 * Vring:
 * @broken: what rule was broken; NULL: none
 * @fetched, @used: the cursors
 * @n_in_use: fetched but not used: chains (split), descriptors (packed)
 * @avail_index: split: the driver's, as last read
 * @called, @is_called_valid: up to where the driver was told of used chains
 * @first, @has_first: packed: used descriptor that is held back until
 *     vring_publish(), since it shows all behind it
 * @is_kick_enabled: what the driver was last told
 */
typedef struct Vring {
    VringConfig config;
    GuestMemory *memory;
    const char *broken;

    union {
        struct {
            const struct vring_desc *desc;
            const struct vring_avail *avail;
            struct vring_used *used;
        } split;
        struct {
            struct vring_packed_desc *desc;
            const struct vring_packed_desc_event *driver;
            struct vring_packed_desc_event *device;
            VringCount count;
        } packed;
    } u;

    VringCursor fetched, used;
    unsigned n_in_use;
    uint16_t avail_index;
    VringCursor called;
    bool is_called_valid;
    VringCursor first;
    uint16_t first_flags;
    bool has_first;
    bool is_kick_enabled;
} Vring;

/**
 * vring_start: start at config's base.
 *
 * Returns: NULL, or what is wrong with the configuration.
 */
const char *vring_start(Vring *ring, const VringConfig *config,
                       GuestMemory *memory);
/** vring_remap: guest memory changed. As vring_start(); cursors stay. */
const char *vring_remap(Vring *ring);
/** vring_base: what GET_VRING_BASE answers: all that was not used comes again. */
uint32_t vring_base(const Vring *ring);

typedef enum VringFetch {
    VRING_EMPTY,        /* nothing is available */
    VRING_FETCHED,
    VRING_POOL_FULL,    /* there is a chain, too long for what the pool has */
    VRING_BROKEN,       /* @broken says why */
} VringFetch;

/** vring_fetch: describe the next chain. */
VringFetch vring_fetch(Vring *ring, VringPool *pool, VringChain *ret);
/** vring_rewind: @chain and those after it were not fetched. */
void vring_rewind(Vring *ring, const VringChain *chain, unsigned n_chains);
/** vring_use: the oldest fetched chain is done; @written bytes of it. */
void vring_use(Vring *ring, const VringChain *chain, uint32_t written);
/** vring_publish: show the driver all used chains. */
void vring_publish(Vring *ring);
/** vring_should_call: whether the driver wants to be told of them. Once. */
bool vring_should_call(Vring *ring);

/**
 * vring_enable_kick: ask for a kick when there is more.
 *
 * Returns: true if there is more already.
 */
bool vring_enable_kick(Vring *ring);
void vring_disable_kick(Vring *ring);

/** vring_available: chains that could be fetched, if the driver does not lie. */
unsigned vring_available(Vring *ring);

/* For the files of the two formats. */

static inline bool vring_fail(Vring *ring, const char *why)
{
    ring->broken = ring->broken ? ring->broken : why;
    return false;
}

/**
 * vring_add_buffer: append a descriptor's buffer to @chain.
 *
 * Returns: VRING_FETCHED, VRING_POOL_FULL or VRING_BROKEN.
 */
VringFetch vring_add_buffer(Vring *ring, VringPool *pool, VringChain *chain,
                            uint64_t addr, uint32_t len, bool is_writable);
/** vring_table: an indirect table, contiguous; NULL: broken. */
const uint8_t *vring_table(Vring *ring, uint64_t addr, uint32_t len,
                           unsigned *ret_n);
/** vring_area: our address of a part of the ring; NULL if it is not there. */
void *vring_area(Vring *ring, uint64_t user_addr, uint64_t len, unsigned align);
/** VringFormat: what the formats do differently; contracts as above. */
typedef struct VringFormat {
    const char *(*map)(Vring *ring);
    const char *(*start)(Vring *ring);
    uint32_t (*base)(const Vring *ring);
    VringFetch (*fetch)(Vring *ring, VringPool *pool, VringChain *ret);
    void (*use)(Vring *ring, const VringChain *chain, uint32_t written);
    void (*publish)(Vring *ring);
    bool (*should_call)(Vring *ring);
    bool (*enable_kick)(Vring *ring);
    void (*disable_kick)(Vring *ring);
    unsigned (*available)(Vring *ring);
} VringFormat;

extern const VringFormat vring_split, vring_packed;

#endif
