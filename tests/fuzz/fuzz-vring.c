/*
 * Fuzz target: guest memory that is a ring, written by whoever wants to
 *
 *   byte 0      packed, event index, indirect
 *   byte 1, 2   size of the ring, base
 *   byte 3      what is done with each chain
 *   then        the first bytes of guest memory: descriptors, available ring,
 *               used ring and whatever else fits
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <glib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "port/vring.h"

#define MEMORY_LEN 16384
#define GUEST_BASE 0x1000
#define ROUNDS 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static GuestMemory memory;

static uint8_t *guest_memory(void)
{
    VuRegion low = { GUEST_BASE, MEMORY_LEN / 2, 0x100000, 0 };
    VuRegion high = { GUEST_BASE + MEMORY_LEN / 2, MEMORY_LEN / 2,
                      0x200000, MEMORY_LEN / 2 };
    int fd;

    if (!memory.n) {
        fd = memfd_create("guest", 0);
        g_assert(fd >= 0 && ftruncate(fd, MEMORY_LEN) == 0);
        g_assert(guest_memory_add(&memory, &low, fd, NULL));
        g_assert(guest_memory_add(&memory, &high, fd, NULL));
        close(fd);
    }
    memset(memory.at[0].host, 0, MEMORY_LEN / 2);
    memset(memory.at[1].host, 0, MEMORY_LEN / 2);
    return memory.at[0].host;
}

/* Every byte that a chain names is ours to read and write. */
static void touch(const VringChain *chain)
{
    uint64_t sum = 0;
    unsigned i;

    for (i = 0; i < chain->n_readable + chain->n_writable; i++) {
        uint8_t *base = chain->iov[i].iov_base;
        size_t len = chain->iov[i].iov_len;

        g_assert(len > 0);
        sum += len;
        base[0] ^= 1;
        base[len - 1] ^= 1;
    }
    g_assert(sum == chain->readable_len + chain->writable_len);
}

static void drive(Vring *ring, uint8_t actions)
{
    static struct iovec iov[LIMIT_CHAIN_DESCRIPTORS];
    VringChain chain;
    unsigned n;

    for (n = 0; n < ROUNDS; n++) {
        VringPool pool = { .iov = iov, .max = G_N_ELEMENTS(iov) };

        if (vring_fetch(ring, &pool, &chain) != VRING_FETCHED) {
            break;
        }
        touch(&chain);
        if (actions & 1 && n % 3 == 0) {
            vring_rewind(ring, &chain, 1);
            continue;
        }
        vring_use(ring, &chain, 1);
        if (actions & 2) {
            vring_publish(ring);
            vring_should_call(ring);
        }
        if (actions & 4) {
            vring_enable_kick(ring);
        } else {
            vring_disable_kick(ring);
        }
    }
    vring_publish(ring);
    vring_available(ring);
    vring_base(ring);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    VringConfig config = { 0 };
    Vring ring;
    uint8_t *base;

    if (size < 4) {
        return 0;
    }
    base = guest_memory();
    config.is_packed = data[0] & 1;
    config.has_event_idx = data[0] & 2;
    config.has_indirect = data[0] & 4;
    config.num = config.is_packed ? data[1] : 1u << data[1] % 16;
    config.base = data[2];
    if (config.is_packed) {
        config.base = (data[2] & 0x7f) | (data[2] & 0x80) << 8;
        config.base |= config.base << 16;
    }
    config.addr.desc = 0x100000;
    config.addr.avail = 0x100000 + MIN(config.num * 16, MEMORY_LEN);
    config.addr.used = config.addr.avail + config.num * 2 + 8 - config.num * 2 % 4;
    memcpy(base, data + 4, MIN(size - 4, MEMORY_LEN / 2));
    if (!vring_start(&ring, &config, &memory)) {
        drive(&ring, data[3]);
    }
    return 0;
}
