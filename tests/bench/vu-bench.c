/*
 * Bench: frames from one vhost-user port to another
 *
 *   driver a -- rings --> port a --> switch --> port b -- rings --> driver b
 *   \___ this process, on one core ___ the daemon's code in a child, on another
 *
 * Both drivers run in one thread, which polls: a guest's own cost is not
 * measured.  The limit is one memcpy() of the payload over the same buffers in
 * the same order, measured in the same run.  Not part of the tests.
 *
 *   vu-bench [--packed] [--small] [--sleep] [--rx-len BYTES] [--seconds N]
 *
 * --small: frames of 64 bytes rather than TSO frames of 64 KiB
 * --sleep: drivers ask to be called, and wait for that, as guests do
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

#include "port/port.h"
#include "../unit/vu-frontend.h"

#define NUM 256
#define HEADER_LEN 12
#define SLOT_LEN 65536
#define MTU 1500
#define MSS 1460
/* Ethernet, IPv4 and TCP headers, and as much data as IP can have. */
#define LARGE_LEN (14 + 65160)
#define SMALL_LEN 64

typedef struct Bench {
    gboolean packed, small, sleep;
    int rx_len, seconds;
    size_t frame_len;
    Frontend a, b;
    size_t tx_slots, rx_slots;
    unsigned n_rx_slots;
    pid_t daemon;
    uint64_t n_frames;
} Bench;

static void fail(const char *what)
{
    perror(what);
    _exit(1);
}

static void pin(int cpu)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    sched_setaffinity(0, sizeof(set), &set);
}

static double now_s(clockid_t clock)
{
    struct timespec ts;

    clock_gettime(clock, &ts);
    return ts.tv_sec + ts.tv_nsec * 1e-9;
}

/* The child: as much of a daemon as frames need. */
static void serve(int fd_a, int fd_b)
{
    SwitchConfig config = {
        .mtu_bytes = MTU,
        .gateway_mac = { { 2, 0, 0, 0, 0, 0xff } },
    };
    GMainContext *context = g_main_context_new();
    Loop *loop = loop_new(context, NULL);
    Switch *sw = switch_new(&config);
    Port *a = port_new(loop, sw, 0, MTU, NULL, NULL);
    Port *b = port_new(loop, sw, 0, MTU, NULL, NULL);

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    pin(1);
    if (!port_connect(a, PORT_KIND_VHOST_USER, fd_a, NULL) ||
        !port_connect(b, PORT_KIND_VHOST_USER, fd_b, NULL)) {
        fail("port_connect");
    }
    for (;;) {
        g_main_context_iteration(context, TRUE);
    }
}

static uint64_t features(const Bench *bench)
{
    return FRONTEND_BIT(VIRTIO_F_VERSION_1) |
           FRONTEND_BIT(VIRTIO_NET_F_MRG_RXBUF) |
           FRONTEND_BIT(VIRTIO_RING_F_EVENT_IDX) |
           FRONTEND_BIT(VU_F_PROTOCOL_FEATURES) |
           FRONTEND_BIT(VIRTIO_NET_F_CSUM) |
           FRONTEND_BIT(VIRTIO_NET_F_GUEST_CSUM) |
           FRONTEND_BIT(VIRTIO_NET_F_HOST_TSO4) |
           FRONTEND_BIT(VIRTIO_NET_F_GUEST_TSO4) |
           (bench->packed ? FRONTEND_BIT(VIRTIO_F_RING_PACKED) : 0);
}

static void start(Bench *bench)
{
    int a[2], b[2];

    if (socketpair(AF_UNIX, SOCK_STREAM, 0, a) < 0 ||
        socketpair(AF_UNIX, SOCK_STREAM, 0, b) < 0) {
        fail("socketpair");
    }
    bench->daemon = fork();
    if (bench->daemon == 0) {
        serve(a[0], b[0]);
    }
    close(a[0]);
    close(b[0]);
    pin(0);
    if (!frontend_init(&bench->a, a[1], 24 << 20, features(bench), 1, NUM) ||
        !frontend_init(&bench->b, b[1], 24 << 20, features(bench), 1, NUM) ||
        !frontend_connect(&bench->a) || !frontend_connect(&bench->b)) {
        fail("front end");
    }
}

static uint8_t *tx_slot(Bench *bench, unsigned slot)
{
    return bench->a.memory.base + bench->tx_slots + slot * SLOT_LEN;
}

/* A frame in a slot; only its place in memory differs from slot to slot. */
static void fill(Bench *bench, uint8_t *p)
{
    static const uint8_t ip_tcp[40] = {
        0x45, 0, 0, 0, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,
        0, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0x10,
    };
    uint32_t sum = 0;
    size_t i;

    memset(p, 0x5a, HEADER_LEN + bench->frame_len);
    memset(p, 0, HEADER_LEN + 14);
    if (!bench->small) {
        p[0] = VIRTIO_NET_HDR_F_NEEDS_CSUM;
        p[1] = VIRTIO_NET_HDR_GSO_TCPV4;
        p[2] = 54;
        p[4] = MSS & 0xff;
        p[5] = MSS >> 8;
        p[6] = 34;
        p[8] = 16;
    }
    p += HEADER_LEN;
    p[0] = p[6] = 2;
    p[5] = 2;
    p[11] = 1;
    p[12] = 8;
    memcpy(p + 14, ip_tcp, sizeof(ip_tcp));
    p[16] = (bench->frame_len - 14) >> 8;
    p[17] = bench->frame_len - 14;
    for (i = 14; i < 34; i += 2) {
        sum += p[i] << 8 | p[i + 1];
    }
    sum = ~(sum % 0xffff);
    p[24] = sum >> 8;
    p[25] = sum;
}

static void prepare(Bench *bench)
{
    unsigned i;

    bench->frame_len = bench->small ? SMALL_LEN : LARGE_LEN;
    bench->tx_slots = driver_memory_take(&bench->a.memory, NUM * SLOT_LEN);
    bench->rx_slots = driver_memory_take(&bench->b.memory, NUM * SLOT_LEN);
    bench->n_rx_slots = MIN(NUM, NUM * SLOT_LEN / bench->rx_len);
    for (i = 0; i < NUM; i++) {
        fill(bench, tx_slot(bench, i));
    }
}

static void post(Bench *bench, uint32_t slot)
{
    DriverBuf buf = { bench->rx_slots + (size_t)slot * bench->rx_len,
                      bench->rx_len };

    driver_add(&bench->b.rings[0], &buf, 0, 1, slot);
}

/* Let the switch learn where b is: a frame of its own, to nobody. */
static void introduce(Bench *bench)
{
    size_t at = driver_memory_take(&bench->b.memory, 128);
    DriverBuf buf = { at, HEADER_LEN + 60 };
    uint8_t *p = bench->b.memory.base + at;
    uint32_t cookie, len;

    memset(p, 0, HEADER_LEN + 60);
    memset(p + HEADER_LEN, 0xff, 6);
    p[HEADER_LEN + 6] = 2;
    p[HEADER_LEN + 11] = 2;
    driver_add(&bench->b.rings[1], &buf, 1, 1, 0);
    frontend_kick(&bench->b, 1);
    while (!driver_get_used(&bench->b.rings[1], &cookie, &len)) {
    }
}

/* Take what has arrived, and give the buffers back. Returns: frames. */
static unsigned receive(Bench *bench)
{
    uint32_t slot, len;
    unsigned n = 0;

    while (driver_get_used(&bench->b.rings[0], &slot, &len)) {
        const uint8_t *p = bench->b.memory.base + bench->rx_slots +
                           (size_t)slot * bench->rx_len;

        /* num_buffers is only there in the first of a frame. */
        n += bench->rx_len > (int)bench->frame_len ||
             (p[HEADER_LEN] == 2 && p[HEADER_LEN + 5] == 2 && p[1] == 1);
        post(bench, slot);
    }
    return n;
}

static unsigned send_more(Bench *bench, uint32_t *next)
{
    uint32_t cookie, len;
    unsigned n = 0;

    while (driver_get_used(&bench->a.rings[1], &cookie, &len)) {
    }
    while (bench->a.rings[1].n_free) {
        DriverBuf buf = { bench->tx_slots + *next % NUM * SLOT_LEN,
                          HEADER_LEN + bench->frame_len };

        driver_add(&bench->a.rings[1], &buf, 1, 1, 0);
        (*next)++;
        n++;
    }
    return n;
}

static void wait_called(Bench *bench)
{
    struct pollfd pfds[] = {
        { .fd = bench->b.call[0], .events = POLLIN },
        { .fd = bench->a.call[1], .events = POLLIN },
    };

    if (driver_enable_calls(&bench->b.rings[0]) ||
        driver_enable_calls(&bench->a.rings[1])) {
        return;
    }
    if (poll(pfds, 2, 1000) == 0) {
        fprintf(stderr, "vu-bench: no call came within 1 s\n");
        _exit(1);
    }
    frontend_take_call(&bench->b, 0);
    frontend_take_call(&bench->a, 1);
}

static double run(Bench *bench)
{
    double begin = now_s(CLOCK_MONOTONIC);
    uint32_t next = 0;

    do {
        unsigned i;

        for (i = 0; i < 64; i++) {
            unsigned n = receive(bench);

            bench->n_frames += n;
            n += send_more(bench, &next);
            frontend_kick(&bench->b, 0);
            frontend_kick(&bench->a, 1);
            if (n == 0 && bench->sleep) {
                wait_called(bench);
            }
        }
    } while (now_s(CLOCK_MONOTONIC) - begin < bench->seconds);
    return now_s(CLOCK_MONOTONIC) - begin;
}

/*
 * Bytes a second of one memcpy() over the same buffers, of CPU time: other
 * processes do not count.
 */
static double memcpy_rate(Bench *bench)
{
    double begin = now_s(CLOCK_PROCESS_CPUTIME_ID), elapsed;
    uint64_t n = 0;

    do {
        unsigned i;

        for (i = 0; i < NUM; i++) {
            memcpy(bench->b.memory.base + bench->rx_slots + i * SLOT_LEN,
                   tx_slot(bench, i), HEADER_LEN + bench->frame_len);
            __asm__ volatile("" : : : "memory");
        }
        n += NUM;
        elapsed = now_s(CLOCK_PROCESS_CPUTIME_ID) - begin;
    } while (elapsed < 1);
    return n * (double)bench->frame_len / elapsed;
}

int main(int argc, char **argv)
{
    Bench bench = { .rx_len = SLOT_LEN, .seconds = 2 };
    const GOptionEntry entries[] = {
        { "packed", 0, 0, G_OPTION_ARG_NONE, &bench.packed, NULL, NULL },
        { "small", 0, 0, G_OPTION_ARG_NONE, &bench.small, NULL, NULL },
        { "sleep", 0, 0, G_OPTION_ARG_NONE, &bench.sleep, NULL, NULL },
        { "rx-len", 0, 0, G_OPTION_ARG_INT, &bench.rx_len, NULL, NULL },
        { "seconds", 0, 0, G_OPTION_ARG_INT, &bench.seconds, NULL, NULL },
        { NULL },
    };
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);
    clockid_t daemon_clock;
    double elapsed, cpu, rate, limit;
    unsigned i;

    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, &argc, &argv, NULL) ||
        bench.rx_len < 2048 || bench.rx_len > SLOT_LEN) {
        fprintf(stderr, "vu-bench: see the head of its source\n");
        return 1;
    }
    start(&bench);
    prepare(&bench);
    for (i = 0; i < bench.n_rx_slots; i++) {
        post(&bench, i);
    }
    introduce(&bench);
    limit = memcpy_rate(&bench);
    clock_getcpuclockid(bench.daemon, &daemon_clock);
    cpu = now_s(daemon_clock);
    elapsed = run(&bench);
    cpu = now_s(daemon_clock) - cpu;
    rate = bench.n_frames * (double)bench.frame_len / elapsed;
    printf("%s %s %s: %.0f frames/s, %.2f Gbit/s, %.2f of memcpy (%.2f "
           "Gbit/s); a frame: %.0f ns of CPU, memcpy %.0f ns\n", bench.packed ? "packed" : "split",
           bench.small ? "64 B" : "64 KiB", bench.sleep ? "asleep" : "polled",
           bench.n_frames / elapsed, rate * 8e-9, rate / limit, limit * 8e-9,
           cpu * 1e9 / MAX(bench.n_frames, 1),
           bench.frame_len / limit * 1e9);
    kill(bench.daemon, SIGKILL);
    waitpid(bench.daemon, NULL, 0);
    frontend_clear(&bench.a);
    frontend_clear(&bench.b);
    return 0;
}
