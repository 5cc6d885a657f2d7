/*
 * A virtqueue whose two ends run at the same time and sleep: nobody is forgotten
 *
 *   driver's thread --kick--> device's thread (vring.c) --call--> driver's thread
 *
 * Either sleeps only when the ring has nothing for it and the other end has been
 * asked to wake it: a notification that is left out is a sleep without end.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <glib.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "port/vring.h"
#include "vring-driver.h"

#define MEMORY_LEN (1024 * 1024)
#define NUM 8
#define BUF_LEN 64
#define RUN_US (200 * 1000)
#define CHAINS_MIN 1000
#define LOST_MS (30 * 1000)

/* A feature combination. */
typedef struct Case {
    const char *name;
    bool is_packed, has_event_idx;
} Case;

static const Case cases[] = {
    { "split", false, false },
    { "split/event-idx", false, true },
    { "packed", true, false },
    { "packed/event-idx", true, true },
};

/** Fixture: @kick, @call: eventfds; @is_over: the driver has had its all */
typedef struct Fixture {
    DriverMemory memory;
    GuestMemory guest;
    DriverRing driver;
    Vring ring;
    int kick, call;
    gint is_over;
    uint32_t n_chains, n_driver_sleeps, n_device_sleeps;
    size_t bufs;
} Fixture;

static void ring_bell(int fd)
{
    uint64_t one = 1;

    g_assert_cmpint(write(fd, &one, sizeof(one)), ==, sizeof(one));
}

static void sleep_for_bell(int fd, const char *who)
{
    struct pollfd pfd = { .fd = fd, .events = POLLIN };
    uint64_t count;

    if (poll(&pfd, 1, LOST_MS) != 1) {
        g_error("the %s was forgotten", who);
    }
    g_assert_cmpint(read(fd, &count, sizeof(count)), ==, sizeof(count));
}

/* What there is, at most @max. */
static void serve(Fixture *f, unsigned max)
{
    struct iovec iov[NUM];
    VringPool pool = { .iov = iov, .max = NUM };
    VringChain chain;
    VringFetch got = VRING_FETCHED;

    while (max-- && (got = vring_fetch(&f->ring, &pool, &chain)) ==
           VRING_FETCHED) {
        g_assert_cmpuint(chain.readable_len, ==, BUF_LEN);
        vring_use(&f->ring, &chain, 0);
        pool.n = 0;
    }
    g_assert_cmpint(got, !=, VRING_BROKEN);
    vring_publish(&f->ring);
    if (vring_should_call(&f->ring)) {
        ring_bell(f->call);
    }
}

static gpointer device(gpointer data)
{
    Fixture *f = data;
    g_autoptr(GRand) dice = g_rand_new();

    while (!g_atomic_int_get(&f->is_over)) {
        serve(f, g_rand_int_range(dice, 1, NUM + 1));
        if (!vring_enable_kick(&f->ring)) {
            f->n_device_sleeps++;
            sleep_for_bell(f->kick, "device");
        }
        vring_disable_kick(&f->ring);
    }
    return NULL;
}

/* Chains that came back, in order. */
static void reap(Fixture *f, uint32_t *n_back)
{
    uint32_t cookie, len;

    while (driver_get_used(&f->driver, &cookie, &len)) {
        g_assert_cmpuint(cookie, ==, (*n_back)++);
    }
}

static void offer(Fixture *f, unsigned max)
{
    for (; max; max--, f->n_chains++) {
        DriverBuf buf = { f->bufs + f->n_chains % NUM * BUF_LEN, BUF_LEN };

        if (!driver_add(&f->driver, &buf, 1, 1, f->n_chains)) {
            break;
        }
    }
    if (driver_kick_wanted(&f->driver)) {
        ring_bell(f->kick);
    }
}

static void drive(Fixture *f)
{
    int64_t end_us = g_get_monotonic_time() + RUN_US;
    uint32_t n_back = 0;
    bool more = true;

    while (more || n_back < f->n_chains) {
        more = f->n_chains < CHAINS_MIN || g_get_monotonic_time() < end_us;
        if (more) {
            offer(f, g_random_int_range(1, NUM + 1));
        }
        reap(f, &n_back);
        if (n_back < f->n_chains && !driver_enable_calls(&f->driver)) {
            f->n_driver_sleeps++;
            sleep_for_bell(f->call, "driver");
        }
        driver_disable_calls(&f->driver);
    }
}

static void set_up(Fixture *f, const Case *c)
{
    g_autoptr(GError) error = NULL;
    VringConfig config = {
        .num = NUM, .is_packed = c->is_packed,
        .has_event_idx = c->has_event_idx,
        .base = c->is_packed ? 0x80008000 : 0,
    };
    VuRegion region;

    g_assert_true(driver_memory_init(&f->memory, MEMORY_LEN));
    region = driver_memory_region(&f->memory);
    g_assert_true(guest_memory_add(&f->guest, &region, f->memory.fd, &error));
    driver_ring_init(&f->driver, &f->memory, NUM, c->is_packed,
                     c->has_event_idx, false);
    config.addr = driver_ring_addr(&f->driver, 0);
    f->bufs = driver_memory_take(&f->memory, NUM * BUF_LEN);
    g_assert_null(vring_start(&f->ring, &config, &f->guest));
    f->kick = eventfd(0, EFD_CLOEXEC);
    f->call = eventfd(0, EFD_CLOEXEC);
}

static void test_nobody_is_forgotten(gconstpointer data)
{
    Fixture f = { 0 };
    GThread *thread;

    set_up(&f, data);
    thread = g_thread_new("device", device, &f);
    drive(&f);
    g_atomic_int_set(&f.is_over, 1);
    ring_bell(f.kick);
    g_thread_join(thread);
    g_test_message("%u chains, the driver slept %u times, the device %u",
                   f.n_chains, f.n_driver_sleeps, f.n_device_sleeps);
    g_assert_cmpuint(f.n_driver_sleeps, >, 0);
    g_assert_cmpuint(f.n_device_sleeps, >, 0);
    guest_memory_clear(&f.guest);
    driver_memory_clear(&f.memory);
    close(f.kick);
    close(f.call);
}

int main(int argc, char **argv)
{
    unsigned i;

    g_test_init(&argc, &argv, NULL);
    for (i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *name = g_strdup_printf("/vring-stress/%s",
                                                cases[i].name);

        g_test_add_data_func(name, &cases[i], test_nobody_is_forgotten);
    }
    return g_test_run();
}
