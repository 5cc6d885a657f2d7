/*
 * Migration: every page that is written for a guest is in the dirty log
 *
 * The front end takes bits out of the log at any time, and copies the pages after
 * that.  So a page has to be in the log after the last byte was written to it:
 * memory is compared with what it was when the log was last emptied, after each
 * single step of a ring, and after all that a port does between two messages.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "port/vring.h"
#include "vhost-user-vms.h"

#define PAGE 4096
#define N_PAGES (MEMORY_LEN / PAGE)
#define FIRST_PAGE (DRIVER_GUEST_BASE / PAGE)
/* The log begins behind a page of its file that is none of it. */
#define LOG_OFFSET PAGE
#define LOG_LEN (FIRST_PAGE / 8 + N_PAGES / 8)
#define BURST 20
/* Another one in the same place of the ring, and none that stood there before. */
#define WRITTEN(i) (64 + (i) % 61)

/* The front end's view: the log, and memory when it was last emptied. */
typedef struct Log {
    DriverMemory file;
    const DriverMemory *memory;
    uint8_t *before;
} Log;

static void log_init(Log *log, const DriverMemory *memory)
{
    g_assert_cmpuint(memory->len, ==, MEMORY_LEN);
    g_assert_true(driver_memory_init(&log->file, LOG_OFFSET + LOG_LEN));
    log->memory = memory;
    log->before = g_malloc(MEMORY_LEN);
}

static void log_clear(Log *log)
{
    driver_memory_clear(&log->file);
    g_free(log->before);
}

/* As after a round of migration. */
static void log_empty(Log *log)
{
    memset(log->file.base, 0, log->file.len);
    memcpy(log->before, log->memory->base, MEMORY_LEN);
}

static bool log_has(const Log *log, unsigned page)
{
    unsigned bit = FIRST_PAGE + page;

    return log->file.base[LOG_OFFSET + bit / 8] & 1u << bit % 8;
}

/* Returns: how many pages were written, all of which are in the log. */
static unsigned log_check(Log *log, const char *after)
{
    unsigned page, n = 0;

    for (page = 0; page < N_PAGES; page++) {
        if (!memcmp(log->before + page * PAGE, log->memory->base + page * PAGE,
                    PAGE)) {
            continue;
        }
        if (!log_has(log, page)) {
            g_error("page %u is not in the log after %s", page, after);
        }
        n++;
    }
    log_empty(log);
    return n;
}

static VuVringAddr logged_addr(const DriverRing *ring, unsigned index)
{
    VuVringAddr addr = driver_ring_addr(ring, index);

    addr.flags = VU_VRING_LOG;
    addr.log = driver_addr(ring->used);
    return addr;
}

/* One chain, each step by itself; other chains do not cover for it. */
static void check_steps(DriverRing *driver, Vring *ring, Log *log)
{
    DriverBuf buf = { driver_memory_take(driver->memory, 128), 128 };
    struct iovec iov[4];
    VringPool pool = { .iov = iov, .max = G_N_ELEMENTS(iov) };
    VringChain chain;
    uint32_t cookie, len;
    unsigned i, n_switched = 0;

    for (i = 0; i < 3 * NUM; i++) {
        g_assert_true(driver_add(driver, &buf, 0, 1, i));
        log_empty(log);
        g_assert_cmpint(vring_fetch(ring, &pool, &chain), ==, VRING_FETCHED);
        g_assert_cmpuint(log_check(log, "a fetch"), ==, 0);
        vring_use(ring, &chain, WRITTEN(i));
        g_assert_cmpuint(log_check(log, "a use"), ==, 1);
        vring_publish(ring);
        g_assert_cmpuint(log_check(log, "a publication"), ==, 1);
        vring_disable_kick(ring);
        n_switched += log_check(log, "refusing kicks");
        vring_enable_kick(ring);
        n_switched += log_check(log, "asking for a kick");
        g_assert_true(driver_get_used(driver, &cookie, &len));
        g_assert_cmpuint(len, ==, WRITTEN(i));
        pool.n = 0;
    }
    g_assert_cmpuint(n_switched, >=, 2 * NUM);
}

static void test_steps(const void *data)
{
    uint64_t features = *(const uint64_t *)data;
    bool is_packed = features & FEATURES_PACKED;
    DriverMemory memory;
    DriverRing driver;
    GuestMemory guest = { 0 };
    VringConfig config = {
        .num = NUM,
        .is_packed = is_packed,
        .has_event_idx = features & FEATURES_EVENT,
        .has_indirect = features & FEATURES_INDIRECT,
        .base = is_packed ? 0x80008000 : 0,
    };
    VuLog where = { LOG_LEN, LOG_OFFSET };
    VuRegion region;
    Vring ring;
    Log log;

    g_assert_true(driver_memory_init(&memory, MEMORY_LEN));
    region = driver_memory_region(&memory);
    g_assert_true(guest_memory_add(&guest, &region, memory.fd, NULL));
    driver_ring_init(&driver, &memory, NUM, is_packed, config.has_event_idx,
                     config.has_indirect);
    config.addr = logged_addr(&driver, 0);
    log_init(&log, &memory);
    g_assert_true(guest_memory_set_log(&guest, &where, log.file.fd, NULL));
    g_assert_null(vring_start(&ring, &config, &guest));

    check_steps(&driver, &ring, &log);

    guest_memory_set_log(&guest, NULL, -1, NULL);
    guest_memory_clear(&guest);
    log_clear(&log);
    driver_memory_clear(&memory);
}

/* What a front end says when a migration begins. */
static void start_logging(Vm *vm, Log *log)
{
    VuLog where = { LOG_LEN, LOG_OFFSET };
    uint64_t answer;
    unsigned i;

    log_init(log, &vm->fe.memory);
    g_assert_true(frontend_send(&vm->fe, VU_SET_LOG_BASE, 0, &where,
                                sizeof(where), &log->file.fd, 1));
    g_assert_true(frontend_receive(&vm->fe, &answer, sizeof(answer)));
    g_assert_true(frontend_u64(&vm->fe, VU_SET_FEATURES, vm->fe.features |
                               FRONTEND_BIT(VHOST_F_LOG_ALL)));
    for (i = 0; i < vm->fe.n_rings; i++) {
        VuVringAddr addr = logged_addr(&vm->fe.rings[i], i);

        g_assert_true(frontend_send(&vm->fe, VU_SET_VRING_ADDR, 0, &addr,
                                    sizeof(addr), NULL, 0));
    }
    run(vm->f);
}

/* Frames from @src to @dst are there, and nobody knows yet. */
static void prepare(Vm *src, Vm *dst)
{
    uint32_t number;
    unsigned i;

    reap(src);
    while (receive(dst, &number)) {
    }
    post_all(dst);
    run(src->f);
    for (i = 0; i < BURST; i++) {
        g_assert_true(transmit(src, dst, i, 60 + 70 * i));
    }
}

/* QEMU's order: the rings are disabled, or not, and their bases asked for. */
static void stop_ring(Vm *vm, unsigned index, bool disable)
{
    DriverRing *ring = &vm->fe.rings[index];
    VuVringState state;

    if (disable) {
        g_assert_true(frontend_state(&vm->fe, VU_SET_VRING_ENABLE, index, 0));
    }
    g_assert_true(frontend_state(&vm->fe, VU_GET_VRING_BASE, index, 0));
    g_assert_true(frontend_receive(&vm->fe, &state, sizeof(state)));
    if (!ring->is_packed) {
        g_assert_cmpuint(state.num, ==, driver_used(ring)->idx);
    }
}

static void test_port(Fixture *f, const void *data, bool disable)
{
    Log a, b;
    unsigned i;

    connect_both(f, *(const uint64_t *)data);
    start_logging(&f->a, &a);
    start_logging(&f->b, &b);
    for (i = 0; i < 2 * NUM / BURST + 1; i++) {
        prepare(&f->a, &f->b);
        log_empty(&a);
        log_empty(&b);
        frontend_kick(&f->a.fe, 1);
        run(f);
        g_assert_cmpuint(log_check(&a, "transmission"), >, 0);
        /* A page of each frame, and some of the ring. */
        g_assert_cmpuint(log_check(&b, "reception"), >, BURST);
    }
    prepare(&f->a, &f->b);
    log_empty(&a);
    log_empty(&b);
    frontend_kick(&f->a.fe, 1);
    stop_ring(&f->a, 1, disable);
    stop_ring(&f->b, 0, disable);
    log_check(&a, "the transmit ring's end");
    log_check(&b, "the receive ring's end");
    g_assert_cmpuint(reap(&f->a), ==, BURST);
    run(f);
    g_assert_cmpuint(log_check(&a, "the end") + log_check(&b, "the end"), ==, 0);
    g_assert_cmpuint(f->a.n_ended + f->b.n_ended, ==, 0);
    log_clear(&a);
    log_clear(&b);
}

static void test_last_buffers(Fixture *f, const void *data)
{
    test_port(f, data, false);
}

static void test_disabled_first(Fixture *f, const void *data)
{
    test_port(f, data, true);
}

int main(int argc, char **argv)
{
    static const VmsTest tests[] = {
        { "dirty-log/last-buffers", test_last_buffers },
        { "dirty-log/disabled-first", test_disabled_first },
    };
    unsigned i;

    g_test_init(&argc, &argv, NULL);
    for (i = 0; i < G_N_ELEMENTS(feature_sets); i++) {
        g_autofree char *name = g_strdup_printf("/vring/dirty-log/%u", i);

        g_test_add_data_func(name, &feature_sets[i], test_steps);
    }
    add_on_all(tests, G_N_ELEMENTS(tests));
    return g_test_run();
}
