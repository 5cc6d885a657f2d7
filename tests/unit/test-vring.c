/*
 * Virtqueues of both formats, against a driver of our own, and one that lies
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <glib.h>

#include "port/vring.h"
#include "vring-driver.h"

#define MEMORY_LEN (1024 * 1024)
#define NUM 8
#define BUF_LEN 64

/* A feature combination. */
typedef struct Case {
    const char *name;
    bool is_packed, has_event_idx, is_indirect;
} Case;

static const Case cases[] = {
    { "split", false, false, false },
    { "split/event-idx", false, true, false },
    { "split/indirect", false, false, true },
    { "split/event-idx/indirect", false, true, true },
    { "packed", true, false, false },
    { "packed/event-idx", true, true, false },
    { "packed/indirect", true, false, true },
    { "packed/event-idx/indirect", true, true, true },
};

typedef struct Fixture {
    DriverMemory memory;
    GuestMemory guest;
    DriverRing driver;
    VringConfig config;
    Vring ring;
    struct iovec iov[64];
    VringPool pool;
    size_t bufs;
} Fixture;

static void start_ring(Fixture *f)
{
    g_assert_null(vring_start(&f->ring, &f->config, &f->guest));
}

static void set_up(Fixture *f, const void *data)
{
    const Case *c = data;
    g_autoptr(GError) error = NULL;
    VuRegion region;

    memset(f, 0, sizeof(*f));
    g_assert_true(driver_memory_init(&f->memory, MEMORY_LEN));
    region = driver_memory_region(&f->memory);
    g_assert_true(guest_memory_add(&f->guest, &region, f->memory.fd, &error));
    driver_ring_init(&f->driver, &f->memory, NUM, c->is_packed,
                     c->has_event_idx, c->is_indirect);
    f->config = (VringConfig) {
        .num = NUM,
        .is_packed = c->is_packed,
        .has_event_idx = c->has_event_idx,
        .has_indirect = c->is_indirect,
        .addr = driver_ring_addr(&f->driver, 0),
        .base = c->is_packed ? 0x80008000 : 0,
    };
    f->bufs = driver_memory_take(&f->memory, 64 * BUF_LEN);
    f->pool = (VringPool) { .iov = f->iov, .max = G_N_ELEMENTS(f->iov) };
    start_ring(f);
}

static void tear_down(Fixture *f, const void *data)
{
    guest_memory_clear(&f->guest);
    driver_memory_clear(&f->memory);
}

static DriverBuf buf_at(const Fixture *f, unsigned i)
{
    return (DriverBuf) { f->bufs + i * BUF_LEN, BUF_LEN };
}

/* A chain of @n buffers whose first byte is @tag + its place. */
static bool add_readable(Fixture *f, unsigned n, uint32_t tag)
{
    DriverBuf bufs[4];
    unsigned i;

    for (i = 0; i < n; i++) {
        bufs[i] = buf_at(f, (tag % NUM) * 4 + i);
        f->memory.base[bufs[i].offset] = tag + i;
    }
    return driver_add(&f->driver, bufs, n, n, tag);
}

static VringFetch fetch(Fixture *f, VringChain *chain)
{
    f->pool.n = 0;
    return vring_fetch(&f->ring, &f->pool, chain);
}

static void assert_chain(const VringChain *chain, unsigned n, uint8_t tag)
{
    unsigned i;

    g_assert_cmpuint(chain->n_readable, ==, n);
    g_assert_cmpuint(chain->n_writable, ==, 0);
    g_assert_cmpuint(chain->readable_len, ==, n * BUF_LEN);
    for (i = 0; i < n; i++) {
        g_assert_cmpuint(*(uint8_t *)chain->iov[i].iov_base, ==,
                         (uint8_t)(tag + i));
    }
}

/* Chains of one to three buffers, until both indices have gone round. */
static void test_wraps(Fixture *f, const void *data)
{
    uint32_t tag, cookie, len;

    for (tag = 0; tag < 70000; tag++) {
        VringChain chain, none;

        g_assert_true(add_readable(f, tag % 3 + 1, tag));
        g_assert_cmpint(fetch(f, &chain), ==, VRING_FETCHED);
        assert_chain(&chain, tag % 3 + 1, tag);
        g_assert_cmpint(fetch(f, &none), ==, VRING_EMPTY);
        g_assert_false(driver_has_used(&f->driver));
        vring_use(&f->ring, &chain, tag % 7);
        g_assert_false(driver_has_used(&f->driver));
        vring_publish(&f->ring);
        g_assert_true(driver_get_used(&f->driver, &cookie, &len));
        g_assert_cmpuint(cookie, ==, tag);
        g_assert_cmpuint(len, ==, tag % 7);
        g_assert_false(driver_has_used(&f->driver));
    }
}

/* A full ring is fetched, half of it given back, and all of it used in order. */
static void test_rewinds(Fixture *f, const void *data)
{
    VringChain chains[NUM], none;
    uint32_t round, i, cookie, len;

    for (round = 0; round < 5; round++) {
        f->pool.n = 0;
        for (i = 0; i < NUM; i++) {
            g_assert_true(add_readable(f, 1, i));
        }
        g_assert_false(add_readable(f, 1, i));
        for (i = 0; i < NUM; i++) {
            g_assert_cmpint(vring_fetch(&f->ring, &f->pool, &chains[i]), ==,
                            VRING_FETCHED);
        }
        g_assert_cmpint(fetch(f, &none), ==, VRING_EMPTY);
        vring_rewind(&f->ring, &chains[3], NUM - 3);
        for (i = 3; i < NUM; i++) {
            g_assert_cmpint(fetch(f, &chains[i]), ==, VRING_FETCHED);
            assert_chain(&chains[i], 1, i);
        }
        for (i = 0; i < NUM; i++) {
            vring_use(&f->ring, &chains[i], 0);
        }
        vring_publish(&f->ring);
        for (i = 0; i < NUM; i++) {
            g_assert_true(driver_get_used(&f->driver, &cookie, &len));
            g_assert_cmpuint(cookie, ==, i);
        }
    }
}

/* What was fetched and not used comes again after a stop and a start. */
/* However they are looked at in between, and wherever the ring's end is. */
static void test_available(Fixture *f, const void *data)
{
    VringChain chains[NUM];
    uint32_t round, n, i, cookie, len;

    for (round = 0; round < 5 * NUM; round++) {
        f->pool.n = 0;
        for (n = 0; n < NUM && add_readable(f, 1 + (n + round) % 2, n); n++) {
            if (round % 3) {
                g_assert_cmpuint(vring_available(&f->ring), ==, n + 1);
            }
        }
        for (i = 0; i < n - round % 2; i++) {
            g_assert_cmpint(vring_fetch(&f->ring, &f->pool, &chains[i]), ==,
                            VRING_FETCHED);
        }
        g_assert_cmpuint(vring_available(&f->ring), ==, n - i);
        vring_rewind(&f->ring, &chains[1], i - 1);
        g_assert_cmpuint(vring_available(&f->ring), ==, n - 1);
        for (i = 1; i < n; i++) {
            g_assert_cmpint(fetch(f, &chains[i]), ==, VRING_FETCHED);
            g_assert_cmpuint(vring_available(&f->ring), ==, n - 1 - i);
        }
        for (i = 0; i < n; i++) {
            vring_use(&f->ring, &chains[i], 0);
        }
        vring_publish(&f->ring);
        g_assert_cmpuint(vring_available(&f->ring), ==, 0);
        while (driver_get_used(&f->driver, &cookie, &len)) {
        }
    }
}

static void test_base(Fixture *f, const void *data)
{
    VringChain chain;
    uint32_t cookie, len, tag = 0;
    unsigned round;

    for (round = 0; round < 3 * NUM; round++) {
        add_readable(f, 1, tag);
        add_readable(f, 1, tag + 1);
        g_assert_cmpint(fetch(f, &chain), ==, VRING_FETCHED);
        vring_use(&f->ring, &chain, 0);
        vring_publish(&f->ring);
        g_assert_true(driver_get_used(&f->driver, &cookie, &len));
        g_assert_cmpint(fetch(f, &chain), ==, VRING_FETCHED);

        f->config.base = vring_base(&f->ring);
        start_ring(f);
        g_assert_cmpint(fetch(f, &chain), ==, VRING_FETCHED);
        assert_chain(&chain, 1, tag + 1);
        vring_use(&f->ring, &chain, 0);
        vring_publish(&f->ring);
        g_assert_true(driver_get_used(&f->driver, &cookie, &len));
        g_assert_cmpuint(cookie, ==, tag + 1);
        tag += 2;
    }
}

/* A front end may know 16 bits of a packed ring's base: DPDK's does. */
static void test_half_base(Fixture *f, const void *data)
{
    VringChain chain;
    uint32_t cookie, len, tag;

    for (tag = 0; tag < 3 * NUM; tag++) {
        f->config.base = vring_base(&f->ring) & 0xffff;
        start_ring(f);
        add_readable(f, 1, tag);
        g_assert_cmpint(fetch(f, &chain), ==, VRING_FETCHED);
        assert_chain(&chain, 1, tag);
        vring_use(&f->ring, &chain, 0);
        vring_publish(&f->ring);
        g_assert_true(driver_get_used(&f->driver, &cookie, &len));
        g_assert_cmpuint(cookie, ==, tag);
    }
}

/* Neither a kick nor a call is ever missed, and none comes unasked. */
static void test_notifications(Fixture *f, const void *data)
{
    uint32_t cookie, len, tag;

    for (tag = 0; tag < 20000; tag++) {
        VringChain chain;
        bool asks_kick = g_random_boolean(), asks_call = g_random_boolean();
        unsigned n = g_random_int_range(1, NUM + 1), i;

        if (asks_kick) {
            g_assert_false(vring_enable_kick(&f->ring));
        } else {
            vring_disable_kick(&f->ring);
        }
        if (asks_call) {
            g_assert_false(driver_enable_calls(&f->driver));
        } else if (!f->config.has_event_idx || f->config.is_packed) {
            driver_disable_calls(&f->driver);
        }
        for (i = 0; i < n; i++) {
            g_assert_true(add_readable(f, 1, i));
        }
        if (asks_kick) {
            g_assert_true(driver_kick_wanted(&f->driver));
            g_assert_true(vring_enable_kick(&f->ring));
        } else if (tag > 0 && !f->config.has_event_idx) {
            g_assert_false(driver_kick_wanted(&f->driver));
        } else {
            driver_kick_wanted(&f->driver);
        }
        for (i = 0; i < n; i++) {
            g_assert_cmpint(fetch(f, &chain), ==, VRING_FETCHED);
            vring_use(&f->ring, &chain, 0);
        }
        vring_publish(&f->ring);
        if (asks_call) {
            g_assert_true(vring_should_call(&f->ring));
        } else if (tag > 0 && !f->config.has_event_idx) {
            g_assert_false(vring_should_call(&f->ring));
        } else {
            vring_should_call(&f->ring);
        }
        for (i = 0; i < n; i++) {
            g_assert_true(driver_get_used(&f->driver, &cookie, &len));
        }
    }
}

static void expect_broken(Fixture *f, const char *why)
{
    VringChain chain;

    g_assert_cmpint(fetch(f, &chain), ==, VRING_BROKEN);
    g_assert_nonnull(strstr(f->ring.broken, why));
    /* For good, and nothing is left in the pool. */
    g_assert_cmpint(fetch(f, &chain), ==, VRING_BROKEN);
    g_assert_cmpuint(f->pool.n, ==, 0);
}

static void test_address_outside(Fixture *f, const void *data)
{
    DriverBuf bufs[2] = { buf_at(f, 0), { MEMORY_LEN - 8, 16 } };

    driver_add(&f->driver, bufs, 2, 2, 0);
    expect_broken(f, "outside of guest memory");
}

static void test_address_wraps(Fixture *f, const void *data)
{
    DriverBuf buf = { -DRIVER_GUEST_BASE - 16, 0xffffffff };

    driver_add(&f->driver, &buf, 1, 1, 0);
    expect_broken(f, "outside of guest memory");
}

/* A chain of a writable buffer and a readable one. */
static void add_writable_first(Fixture *f)
{
    DriverBuf bufs[2] = { buf_at(f, 0), buf_at(f, 1) };

    driver_add(&f->driver, bufs, 0, 2, 0);
    if (f->driver.is_packed) {
        struct vring_packed_desc *desc = driver_packed(&f->driver);

        if (f->driver.is_indirect) {
            desc = (void *)(f->memory.base + desc[0].addr - DRIVER_GUEST_BASE);
        }
        desc[1].flags &= ~VRING_DESC_F_WRITE;
    } else {
        struct vring_desc *desc = driver_desc(&f->driver);

        if (f->driver.is_indirect) {
            desc = (void *)(f->memory.base + desc[0].addr - DRIVER_GUEST_BASE);
        }
        desc[1].flags &= ~VRING_DESC_F_WRITE;
    }
}

static void test_readable_after_writable(Fixture *f, const void *data)
{
    add_writable_first(f);
    expect_broken(f, "after a writable one");
}

/* As DPDK's driver has it: nothing is written, and both are read. */
static void test_writable_to_read(Fixture *f, const void *data)
{
    VringChain chain;

    f->config.is_read_only = true;
    start_ring(f);
    add_writable_first(f);
    g_assert_cmpint(vring_fetch(&f->ring, &f->pool, &chain), ==, VRING_FETCHED);
    g_assert_cmpuint(chain.n_readable, ==, 2);
    g_assert_cmpuint(chain.n_writable, ==, 0);
}

/* The first descriptor of the ring, of either format. */
static void patch_first(Fixture *f, uint16_t set, uint16_t clear, uint32_t len)
{
    if (f->driver.is_packed) {
        struct vring_packed_desc *desc = driver_packed(&f->driver);

        desc->flags = (desc->flags & ~clear) | set;
        desc->len = len;
    } else {
        struct vring_desc *desc = driver_desc(&f->driver);

        desc->flags = (desc->flags & ~clear) | set;
        desc->len = len;
    }
}

static void test_indirect_length(Fixture *f, const void *data)
{
    static const uint32_t lens[] = { 0, 8, 17, 16 * 1025, 0xfffffff0 };
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(lens); i++) {
        tear_down(f, data);
        set_up(f, data);
        f->config.has_indirect = true;
        start_ring(f);
        add_readable(f, 1, 0);
        patch_first(f, VRING_DESC_F_INDIRECT, 0, lens[i]);
        expect_broken(f, "indirect table");
    }
}

static void test_indirect_unasked(Fixture *f, const void *data)
{
    f->config.has_indirect = false;
    start_ring(f);
    add_readable(f, 1, 0);
    patch_first(f, VRING_DESC_F_INDIRECT, 0, 16);
    expect_broken(f, "not negotiated");
}

static void test_indirect_and_next(Fixture *f, const void *data)
{
    f->config.has_indirect = true;
    start_ring(f);
    add_readable(f, 1, 0);
    patch_first(f, VRING_DESC_F_INDIRECT | VRING_DESC_F_NEXT, 0, 16);
    expect_broken(f, "wrong place");
}

static void test_split_loop(Fixture *f, const void *data)
{
    struct vring_desc *desc = driver_desc(&f->driver);

    add_readable(f, 2, 0);
    desc[0].next = 1;
    desc[1].next = 0;
    desc[1].flags |= VRING_DESC_F_NEXT;
    expect_broken(f, "loop");
}

static void test_split_next_outside(Fixture *f, const void *data)
{
    add_readable(f, 2, 0);
    driver_desc(&f->driver)->next = NUM;
    expect_broken(f, "not in the table");
}

static void test_split_head_outside(Fixture *f, const void *data)
{
    add_readable(f, 1, 0);
    driver_avail(&f->driver)->ring[0] = NUM;
    expect_broken(f, "not in the table");
}

static void test_split_index_ahead(Fixture *f, const void *data)
{
    driver_avail(&f->driver)->idx = NUM + 1;
    expect_broken(f, "too far ahead");
}

/* A ring that is one chain, which never ends. */
static void test_packed_endless(Fixture *f, const void *data)
{
    unsigned i;

    for (i = 0; i < NUM; i++) {
        add_readable(f, 1, i);
        driver_packed(&f->driver)[i].flags |= VRING_DESC_F_NEXT;
    }
    expect_broken(f, "longer than its ring");
}

static void test_bad_configs(Fixture *f, const void *data)
{
    VringConfig config = f->config;

    config.num = 0;
    g_assert_nonnull(vring_start(&f->ring, &config, &f->guest));
    config.num = 65536;
    g_assert_nonnull(vring_start(&f->ring, &config, &f->guest));
    config = f->config;
    config.addr.desc += 1;
    g_assert_nonnull(vring_start(&f->ring, &config, &f->guest));
    config = f->config;
    config.addr.avail = config.addr.desc + MEMORY_LEN - 2;
    g_assert_nonnull(vring_start(&f->ring, &config, &f->guest));
    config = f->config;
    config.addr.used = UINT64_MAX - 3;
    g_assert_nonnull(vring_start(&f->ring, &config, &f->guest));
    config = f->config;
    if (config.is_packed) {
        config.base = (uint32_t)NUM << 16;
    } else {
        config.num = 12;
    }
    g_assert_nonnull(vring_start(&f->ring, &config, &f->guest));
}

/* Used descriptors and their pages: a bit each. */
static void test_dirty_log(Fixture *f, const void *data)
{
    DriverMemory log;
    VuLog where = { 4096, 4096 };
    const uint64_t page = DRIVER_GUEST_BASE / 4096;
    DriverBuf buf = { 5 * 4096 + 4000, 200 };
    VringChain chain;
    size_t i, set = 0;

    g_assert_true(driver_memory_init(&log, 65536));
    where.size = 65536 - where.fd_offset;
    g_assert_true(guest_memory_set_log(&f->guest, &where, log.fd, NULL));
    driver_add(&f->driver, &buf, 0, 1, 0);
    g_assert_cmpint(fetch(f, &chain), ==, VRING_FETCHED);
    guest_memory_log_host(&f->guest, chain.iov[0].iov_base, 200);
    if (page / 8 < where.size) {
        const uint8_t *bits = log.base + where.fd_offset;

        g_assert_cmpuint(bits[(page + 5) / 8] & 1 << (page + 5) % 8, !=, 0);
        g_assert_cmpuint(bits[(page + 6) / 8] & 1 << (page + 6) % 8, !=, 0);
    }
    /* Beyond the log's end nothing is written. */
    guest_memory_log(&f->guest, UINT64_MAX - 4096, 4096);
    for (i = 0; i < log.len; i++) {
        set += __builtin_popcount(log.base[i]);
    }
    g_assert_cmpuint(set, ==, page / 8 < where.size ? 2 : 0);
    guest_memory_set_log(&f->guest, NULL, -1, NULL);
    driver_memory_clear(&log);
}

typedef struct Test {
    const char *name;
    void (*func)(Fixture *, const void *);
    bool on_split, on_packed, direct_only;
} Test;

static const Test tests[] = {
    { "wraps", test_wraps, true, true },
    { "rewinds", test_rewinds, true, true },
    { "available", test_available, true, true },
    { "base", test_base, true, true },
    { "half-base", test_half_base, true, true },
    { "notifications", test_notifications, true, true },
    { "address-outside", test_address_outside, true, true },
    { "address-wraps", test_address_wraps, true, true },
    { "readable-after-writable", test_readable_after_writable, true, true },
    { "writable-to-read", test_writable_to_read, true, true },
    { "indirect-length", test_indirect_length, true, true },
    { "indirect-unasked", test_indirect_unasked, true, true },
    { "indirect-and-next", test_indirect_and_next, true, true },
    { "loop", test_split_loop, true, false, true },
    { "next-outside", test_split_next_outside, true, false, true },
    { "head-outside", test_split_head_outside, true, false },
    { "index-ahead", test_split_index_ahead, true, false },
    { "endless", test_packed_endless, false, true, true },
    { "bad-configs", test_bad_configs, true, true },
    { "dirty-log", test_dirty_log, true, true },
};

int main(int argc, char **argv)
{
    unsigned i, j;

    g_test_init(&argc, &argv, NULL);
    for (i = 0; i < G_N_ELEMENTS(cases); i++) {
        for (j = 0; j < G_N_ELEMENTS(tests); j++) {
            const Test *t = &tests[j];
            g_autofree char *name = g_strdup_printf("/vring/%s/%s",
                                                    cases[i].name, t->name);

            if ((cases[i].is_packed ? t->on_packed : t->on_split) &&
                !(t->direct_only && cases[i].is_indirect)) {
                g_test_add(name, Fixture, &cases[i], set_up, t->func,
                           tear_down);
            }
        }
    }
    return g_test_run();
}
