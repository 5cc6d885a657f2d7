/*
 * Virtqueues: what both formats share
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "port/vring.h"

#include <string.h>

static inline const VringFormat *format_of(const Vring *ring)
{
    return ring->config.is_packed ? &vring_packed : &vring_split;
}

const char *vring_start(Vring *ring, const VringConfig *config,
                       GuestMemory *memory)
{
    const char *problem;

    if (config->num == 0 || config->num > LIMIT_VRING_ENTRIES ||
        (!config->is_packed && (config->num & (config->num - 1)))) {
        return "its size is not one that a ring can have";
    }
    memset(ring, 0, sizeof(*ring));
    ring->config = *config;
    ring->memory = memory;
    /* What a driver's new ring says. */
    ring->is_kick_enabled = true;
    problem = format_of(ring)->map(ring);
    return problem ? problem : format_of(ring)->start(ring);
}

const char *vring_remap(Vring *ring)
{
    return format_of(ring)->map(ring);
}

uint32_t vring_base(const Vring *ring)
{
    return format_of(ring)->base(ring);
}

VringFetch vring_fetch(Vring *ring, VringPool *pool, VringChain *ret)
{
    unsigned n = pool->n;
    VringFetch fetch;

    if (ring->broken) {
        return VRING_BROKEN;
    }
    *ret = (VringChain) { .iov = pool->iov + n, .at = ring->fetched };
    fetch = format_of(ring)->fetch(ring, pool, ret);
    if (fetch != VRING_FETCHED) {
        pool->n = n;
    }
    return fetch;
}

void vring_rewind(Vring *ring, const VringChain *chain, unsigned n_chains)
{
    unsigned i;

    ring->fetched = chain->at;
    for (i = 0; i < n_chains; i++) {
        if (ring->config.is_packed) {
            ring->n_in_use -= chain[i].n_desc;
            ring->u.packed.count.n_desc += chain[i].n_desc;
            ring->u.packed.count.n_chains++;
        } else {
            ring->n_in_use--;
        }
    }
}

void vring_use(Vring *ring, const VringChain *chain, uint32_t written)
{
    format_of(ring)->use(ring, chain, written);
}

void vring_publish(Vring *ring)
{
    format_of(ring)->publish(ring);
}

bool vring_should_call(Vring *ring)
{
    return format_of(ring)->should_call(ring);
}

bool vring_enable_kick(Vring *ring)
{
    ring->is_kick_enabled = true;
    return format_of(ring)->enable_kick(ring);
}

void vring_disable_kick(Vring *ring)
{
    if (ring->is_kick_enabled) {
        ring->is_kick_enabled = false;
        format_of(ring)->disable_kick(ring);
    }
}

unsigned vring_available(Vring *ring)
{
    return format_of(ring)->available(ring);
}

VringFetch vring_add_buffer(Vring *ring, VringPool *pool, VringChain *chain,
                            uint64_t addr, uint32_t len, bool is_writable)
{
    is_writable &= !ring->config.is_read_only;
    if (chain->n_writable && !is_writable) {
        vring_fail(ring, "a chain has a readable buffer after a writable one");
        return VRING_BROKEN;
    }
    while (len) {
        uint64_t piece;
        void *base = guest_memory_at(ring->memory, addr, len, &piece);

        if (!base) {
            vring_fail(ring, "a descriptor points outside of guest memory");
            return VRING_BROKEN;
        }
        if (chain->n_readable + chain->n_writable == LIMIT_CHAIN_DESCRIPTORS) {
            vring_fail(ring, "a chain is too long");
            return VRING_BROKEN;
        }
        if (pool->n == pool->max) {
            return VRING_POOL_FULL;
        }
        pool->iov[pool->n++] = (struct iovec) { base, piece };
        if (is_writable) {
            chain->n_writable++;
            chain->writable_len += piece;
        } else {
            chain->n_readable++;
            chain->readable_len += piece;
        }
        addr += piece;
        len -= piece;
    }
    return VRING_FETCHED;
}

const uint8_t *vring_table(Vring *ring, uint64_t addr, uint32_t len,
                           unsigned *ret_n)
{
    uint64_t there;
    const uint8_t *table;

    if (!ring->config.has_indirect) {
        vring_fail(ring, "an indirect descriptor was not negotiated");
        return NULL;
    }
    if (len == 0 || len % sizeof(struct vring_desc) ||
        len / sizeof(struct vring_desc) > LIMIT_CHAIN_DESCRIPTORS) {
        vring_fail(ring, "an indirect table has a length that none can have");
        return NULL;
    }
    table = guest_memory_at(ring->memory, addr, len, &there);
    if (!table || there < len) {
        vring_fail(ring, "an indirect table is outside of guest memory");
        return NULL;
    }
    *ret_n = len / sizeof(struct vring_desc);
    return table;
}

void *vring_area(Vring *ring, uint64_t user_addr, uint64_t len, unsigned align)
{
    void *host = guest_memory_at_user(ring->memory, user_addr, len);

    return (uintptr_t)host % align ? NULL : host;
}
