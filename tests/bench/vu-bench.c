/*
 * Bench: frames from one vhost-user port to another
 *
 *   driver a -- rings --> port a --> switch --> port b -- rings --> driver b
 *   \___ this process, on one core ___ the daemon's code in a child, on another
 *
 * Both drivers run in one thread, which polls: a guest's own cost is not
 * measured.  The limit is one memcpy() of the payload over the same buffers in
 * the same order, measured in the same run.  With --sleep it is a test, too: of
 * calls and kicks between two processes, of which each that is lost ends it.
 *
 *   vu-bench [--packed] [--small] [--sleep] [--rx-len BYTES] [--seconds N]
 *            [--pairs N] [--idle N] [--plain] [--listen DIR --pid PID]
 *
 * --small: frames of 64 bytes rather than TSO frames of 64 KiB
 * --sleep: drivers ask to be called, and wait for that, as guests do
 * --pairs, --idle: so many pairs that send, and ports more that are silent
 * --plain: also two stream ports, without offloads, one sending to the other;
 *          alone with --pairs 0
 * --listen, --pid: not our daemon but process PID, which connects to the sockets
 *          DIR/0 and DIR/1, and whose offloads are not used
 *
 * Prints a line of JSON: rates of delivered frames, the daemon's CPU time for
 * each, what memcpy needs for as much, and the daemon's RssAnon + RssFile.
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
#include "bench-frame.h"
#include "listener.h"
#include "plain-guest.h"

#define NUM 256
#define SLOT_LEN 65536
#define MTU 1500
#define PAIRS_MAX 16
#define IDLE_MAX 62
#define FDS_MAX (2 * PAIRS_MAX + IDLE_MAX + 2)
#define MEMORY_LEN (24 << 20)
#define IDLE_MEMORY_LEN (1 << 20)
#define FOREIGN_WAIT_S 20
#define CALL_WAIT_S 10
#define DRIVER_OK (VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER |     \
                   VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK)

/* Two ports: a sends what b receives. */
typedef struct Pair {
    uint8_t number;
    Frontend a, b;
    size_t tx_slots, rx_slots;
    uint32_t next;
} Pair;

typedef struct Bench {
    gboolean packed, small, sleep, plain;
    int rx_len, seconds, n_pairs, n_idle, pid;
    char *listen;
    size_t frame_len;
    unsigned n_rx_slots;
    Pair pairs[PAIRS_MAX];
    Frontend idle[IDLE_MAX];
    pid_t daemon;
    const uint64_t *n_plain;
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
static void serve(const int *fds, unsigned n_fds, unsigned n_stream)
{
    SwitchConfig config = {
        .mtu_bytes = MTU,
        .gateway_mac = { { 2, 0, 0, 0, 0, 0xff } },
    };
    GMainContext *context = g_main_context_new();
    Loop *loop = loop_new(context, NULL);
    Switch *sw = switch_new(&config);
    unsigned i;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    pin(1);
    for (i = 0; i < n_fds; i++) {
        Port *port = port_new(loop, sw, 0, MTU, NULL, NULL);

        if (!port_connect(port, i < n_fds - n_stream ? PORT_KIND_VHOST_USER
                                                     : PORT_KIND_STREAM,
                          fds[i], NULL)) {
            fail("port_connect");
        }
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

static void connect_port(const Bench *bench, Frontend *fe, int fd,
                         size_t memory_len)
{
    if (!frontend_init(fe, fd, memory_len, features(bench), 1, NUM) ||
        !frontend_connect(fe)) {
        fail("front end");
    }
}

/* A back end that is not ours: no more than it offers is asked for. */
static void start_foreign(Bench *bench)
{
    Frontend *fes[2] = { &bench->pairs[0].a, &bench->pairs[0].b };
    g_autofree char *paths[2] = {
        g_strdup_printf("%s/0", bench->listen),
        g_strdup_printf("%s/1", bench->listen),
    };
    int listeners[2] = { listener_new(paths[0]), listener_new(paths[1]) };
    const uint64_t wanted = FRONTEND_BIT(VIRTIO_F_VERSION_1) |
                            FRONTEND_BIT(VIRTIO_NET_F_MRG_RXBUF) |
                            FRONTEND_BIT(VIRTIO_RING_F_EVENT_IDX) |
                            FRONTEND_BIT(VU_F_PROTOCOL_FEATURES) |
                            (bench->packed
                             ? FRONTEND_BIT(VIRTIO_F_RING_PACKED) : 0);
    uint64_t offered;
    unsigned i;

    bench->daemon = bench->pid;
    pin(0);
    for (i = 0; i < 2; i++) {
        Frontend asking = {
            .fd = listener_take(listeners[i], paths[i], FOREIGN_WAIT_S),
        };

        if (asking.fd < 0 || !frontend_get(&asking, VU_GET_FEATURES, &offered) ||
            !frontend_init(fes[i], asking.fd, MEMORY_LEN, wanted & offered, 1,
                           NUM) ||
            !frontend_connect(fes[i]) ||
            !frontend_u64(fes[i], VU_SET_STATUS, DRIVER_OK)) {
            fail("front end");
        }
    }
}

static void start(Bench *bench)
{
    int ours[FDS_MAX], theirs[FDS_MAX];
    unsigned n_stream = bench->plain ? 2 : 0;
    unsigned n = 2 * bench->n_pairs + bench->n_idle + n_stream, i;

    for (i = 0; i < n; i++) {
        int fds[2];

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0) {
            fail("socketpair");
        }
        ours[i] = fds[0];
        theirs[i] = fds[1];
    }
    bench->daemon = fork();
    if (bench->daemon == 0) {
        for (i = 0; i < n; i++) {
            close(ours[i]);
        }
        serve(theirs, n, n_stream);
    }
    pin(0);
    for (i = 0; i < n; i++) {
        close(theirs[i]);
    }
    for (i = 0; i < (unsigned)bench->n_pairs; i++) {
        Pair *pair = &bench->pairs[i];

        pair->number = i;
        connect_port(bench, &pair->a, ours[2 * i], MEMORY_LEN);
        connect_port(bench, &pair->b, ours[2 * i + 1], MEMORY_LEN);
    }
    for (i = 0; i < (unsigned)bench->n_idle; i++) {
        connect_port(bench, &bench->idle[i], ours[2 * bench->n_pairs + i],
                     IDLE_MEMORY_LEN);
    }
    if (bench->plain) {
        bench->n_plain = plain_guests_start(ours[n - 2], ours[n - 1]);
    }
}

static uint8_t *tx_slot(Pair *pair, unsigned slot)
{
    return pair->a.memory.base + pair->tx_slots + slot * SLOT_LEN;
}

/* As a driver that polls does. */
static void disable_calls(Pair *pair)
{
    driver_disable_calls(&pair->b.rings[0]);
    driver_disable_calls(&pair->a.rings[1]);
}

static void prepare(Bench *bench, Pair *pair)
{
    unsigned i;

    disable_calls(pair);

    pair->tx_slots = driver_memory_take(&pair->a.memory, NUM * SLOT_LEN);
    pair->rx_slots = driver_memory_take(&pair->b.memory, NUM * SLOT_LEN);
    for (i = 0; i < NUM; i++) {
        bench_frame_fill(tx_slot(pair, i), bench->frame_len, !bench->small,
                         pair->number);
    }
}

static void post(Bench *bench, Pair *pair, uint32_t slot)
{
    DriverBuf buf = { pair->rx_slots + (size_t)slot * bench->rx_len,
                      bench->rx_len };

    driver_add(&pair->b.rings[0], &buf, 0, 1, slot);
}

/* Let the switch learn where b is: a frame of its own, to nobody. */
static void introduce(const Bench *bench, Pair *pair)
{
    size_t at = driver_memory_take(&pair->b.memory, 128);
    DriverBuf buf = { at, BENCH_HEADER_LEN + 60 };
    uint8_t *p = pair->b.memory.base + at;
    double end = now_s(CLOCK_MONOTONIC) + (bench->listen ? FOREIGN_WAIT_S : 10);
    uint32_t cookie, len;

    memset(p, 0, BENCH_HEADER_LEN + 60);
    bench_frame_introduce(p + BENCH_HEADER_LEN, pair->number);
    driver_add(&pair->b.rings[1], &buf, 1, 1, 0);
    frontend_kick(&pair->b, 1);
    while (!driver_get_used(&pair->b.rings[1], &cookie, &len)) {
        if (now_s(CLOCK_MONOTONIC) > end) {
            fprintf(stderr, "vu-bench: the first frame was not taken\n");
            _exit(1);
        }
    }
}

/* Take what has arrived, and give the buffers back. Returns: frames. */
static unsigned receive(Bench *bench, Pair *pair)
{
    uint32_t slot, len;
    unsigned n = 0;

    while (driver_get_used(&pair->b.rings[0], &slot, &len)) {
        const uint8_t *p = pair->b.memory.base + pair->rx_slots +
                           (size_t)slot * bench->rx_len;

        if (!bench->small && p[BENCH_HEADER_LEN] == 2 && len < BENCH_LARGE_LEN &&
            bench->rx_len > BENCH_LARGE_LEN) {
            fprintf(stderr, "vu-bench: a frame was segmented\n");
            _exit(1);
        }
        /* num_buffers is only there in the first of a frame. */
        n += bench->rx_len > (int)bench->frame_len ||
             (p[BENCH_HEADER_LEN] == 2 && p[1] == 1);
        post(bench, pair, slot);
    }
    return n;
}

static unsigned send_more(Bench *bench, Pair *pair)
{
    uint32_t cookie, len;
    unsigned n = 0;

    while (driver_get_used(&pair->a.rings[1], &cookie, &len)) {
    }
    while (pair->a.rings[1].n_free) {
        DriverBuf buf = { pair->tx_slots + pair->next % NUM * SLOT_LEN,
                          BENCH_HEADER_LEN + bench->frame_len };

        driver_add(&pair->a.rings[1], &buf, 1, 1, 0);
        pair->next++;
        n++;
    }
    return n;
}

/* Of a single pair. */
static void wait_called(Pair *pair)
{
    struct pollfd pfds[] = {
        { .fd = pair->b.call[0], .events = POLLIN },
        { .fd = pair->a.call[1], .events = POLLIN },
    };

    if (!driver_enable_calls(&pair->b.rings[0]) &&
        !driver_enable_calls(&pair->a.rings[1])) {
        if (poll(pfds, 2, CALL_WAIT_S * 1000) == 0) {
            fprintf(stderr, "vu-bench: no call came within %d s\n", CALL_WAIT_S);
            _exit(1);
        }
        frontend_take_call(&pair->b, 0);
        frontend_take_call(&pair->a, 1);
    }
    disable_calls(pair);
}

static void turn(Bench *bench, Pair *pair)
{
    unsigned n = receive(bench, pair);

    bench->n_frames += n;
    n += send_more(bench, pair);
    frontend_kick(&pair->b, 0);
    frontend_kick(&pair->a, 1);
    if (n == 0 && bench->sleep) {
        wait_called(pair);
    }
}

static double run(Bench *bench)
{
    double begin = now_s(CLOCK_MONOTONIC);
    unsigned i;

    if (bench->n_pairs == 0) {
        sleep(bench->seconds);
        return now_s(CLOCK_MONOTONIC) - begin;
    }
    do {
        for (i = 0; i < 64; i++) {
            turn(bench, &bench->pairs[i % bench->n_pairs]);
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
    Pair *pair = &bench->pairs[0];
    double begin = now_s(CLOCK_PROCESS_CPUTIME_ID), elapsed;
    uint64_t n = 0;

    do {
        unsigned i;

        for (i = 0; i < NUM; i++) {
            memcpy(pair->b.memory.base + pair->rx_slots + i * SLOT_LEN,
                   tx_slot(pair, i), BENCH_HEADER_LEN + bench->frame_len);
            __asm__ volatile("" : : : "memory");
        }
        n += NUM;
        elapsed = now_s(CLOCK_PROCESS_CPUTIME_ID) - begin;
    } while (elapsed < 1);
    return n * (double)bench->frame_len / elapsed;
}

/* RssAnon + RssFile of the daemon, in KiB: guests' memory is RssShmem. */
static long daemon_kib(const Bench *bench)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/status",
                                            (int)bench->daemon);
    FILE *file = fopen(path, "re");
    char line[256];
    long sum = 0, kib;

    if (!file) {
        fail(path);
    }
    while (fgets(line, sizeof(line), file)) {
        if (sscanf(line, "RssAnon: %ld", &kib) == 1 ||
            sscanf(line, "RssFile: %ld", &kib) == 1) {
            sum += kib;
        }
    }
    fclose(file);
    return sum;
}

static void measure(Bench *bench)
{
    double limit = bench->n_pairs ? memcpy_rate(bench) : 0, elapsed, cpu;
    uint64_t n_plain = bench->plain ? *bench->n_plain : 0;
    clockid_t daemon_clock;

    clock_getcpuclockid(bench->daemon, &daemon_clock);
    cpu = now_s(daemon_clock);
    elapsed = run(bench);
    cpu = now_s(daemon_clock) - cpu;
    n_plain = bench->plain ? *bench->n_plain - n_plain : 0;
    printf("{\"frames\": %.0f, \"gbps\": %.3f, \"memcpy-gbps\": %.3f, "
           "\"frame-cpu-ns\": %.1f, \"frame-memcpy-ns\": %.1f, "
           "\"plain-frames\": %.0f, \"cpu\": %.4f, "
           "\"daemon-kib\": %ld}\n", bench->n_frames / elapsed,
           bench->n_frames * 8e-9 * bench->frame_len / elapsed, limit * 8e-9,
           bench->n_frames ? cpu * 1e9 / bench->n_frames : 0,
           limit ? bench->frame_len / limit * 1e9 : 0, n_plain / elapsed, cpu / elapsed,
           daemon_kib(bench));
}

static bool parse(Bench *bench, int argc, char **argv)
{
    const GOptionEntry entries[] = {
        { "packed", 0, 0, G_OPTION_ARG_NONE, &bench->packed, NULL, NULL },
        { "small", 0, 0, G_OPTION_ARG_NONE, &bench->small, NULL, NULL },
        { "sleep", 0, 0, G_OPTION_ARG_NONE, &bench->sleep, NULL, NULL },
        { "rx-len", 0, 0, G_OPTION_ARG_INT, &bench->rx_len, NULL, NULL },
        { "seconds", 0, 0, G_OPTION_ARG_INT, &bench->seconds, NULL, NULL },
        { "pairs", 0, 0, G_OPTION_ARG_INT, &bench->n_pairs, NULL, NULL },
        { "idle", 0, 0, G_OPTION_ARG_INT, &bench->n_idle, NULL, NULL },
        { "plain", 0, 0, G_OPTION_ARG_NONE, &bench->plain, NULL, NULL },
        { "listen", 0, 0, G_OPTION_ARG_FILENAME, &bench->listen, NULL, NULL },
        { "pid", 0, 0, G_OPTION_ARG_INT, &bench->pid, NULL, NULL },
        { NULL },
    };
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);

    g_option_context_add_main_entries(context, entries, NULL);
    return g_option_context_parse(context, &argc, &argv, NULL) &&
           bench->rx_len >= 2048 && bench->rx_len <= SLOT_LEN &&
           bench->n_pairs >= !bench->plain && bench->n_pairs <= PAIRS_MAX &&
           bench->n_idle >= 0 && bench->n_idle <= IDLE_MAX &&
           !(bench->sleep && bench->n_pairs > 1) &&
           (!bench->listen || (bench->pid > 0 && bench->small &&
                               bench->n_pairs == 1 && bench->n_idle == 0 &&
                               !bench->plain));
}

int main(int argc, char **argv)
{
    static Bench bench = { .rx_len = SLOT_LEN, .seconds = 2, .n_pairs = 1 };
    unsigned i, slot;

    if (!parse(&bench, argc, argv)) {
        fprintf(stderr, "vu-bench: see the head of its source\n");
        return 1;
    }
    bench.frame_len = bench.small ? BENCH_SMALL_LEN : BENCH_LARGE_LEN;
    bench.n_rx_slots = MIN(NUM, NUM * SLOT_LEN / bench.rx_len);
    if (bench.listen) {
        start_foreign(&bench);
    } else {
        start(&bench);
    }
    for (i = 0; i < (unsigned)bench.n_pairs; i++) {
        prepare(&bench, &bench.pairs[i]);
        for (slot = 0; slot < bench.n_rx_slots; slot++) {
            post(&bench, &bench.pairs[i], slot);
        }
        introduce(&bench, &bench.pairs[i]);
    }
    measure(&bench);
    if (!bench.listen) {
        kill(bench.daemon, SIGTERM);
        waitpid(bench.daemon, NULL, 0);
    }
    for (i = 0; i < (unsigned)bench.n_pairs; i++) {
        frontend_clear(&bench.pairs[i].a);
        frontend_clear(&bench.pairs[i].b);
    }
    for (i = 0; i < (unsigned)bench.n_idle; i++) {
        frontend_clear(&bench.idle[i]);
    }
    return 0;
}
