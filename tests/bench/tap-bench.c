/*
 * Bench: the same frames as vu-bench's through the kernel
 *
 *   write() --> tap a --> bridge --> tap b --> read()
 *
 * in a network namespace of its own.  The kernel delivers within write(), so a
 * thread does all, and its CPU time is the cost.  Needs root.
 *
 *   tap-bench [--small] [--seconds N]
 *
 * Prints a line of JSON: rates of delivered frames, CPU time for each.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bench-frame.h"

/* As many buffers as vu-bench has: 16 MiB each way. */
#define NUM 256
#define SLOT_LEN (BENCH_HEADER_LEN + BENCH_LARGE_LEN + 64)
#define BATCH 16

static void fail(const char *what)
{
    perror(what);
    _exit(1);
}

static double now_s(clockid_t clock)
{
    struct timespec ts;

    clock_gettime(clock, &ts);
    return ts.tv_sec + ts.tv_nsec * 1e-9;
}

static void name_it(struct ifreq *ifr, const char *name)
{
    memset(ifr, 0, sizeof(*ifr));
    g_strlcpy(ifr->ifr_name, name, sizeof(ifr->ifr_name));
}

static void set_up(int fd, const char *name)
{
    struct ifreq ifr;

    name_it(&ifr, name);
    if (ioctl(fd, SIOCGIFFLAGS, &ifr) < 0) {
        fail(name);
    }
    ifr.ifr_flags |= IFF_UP;
    if (ioctl(fd, SIOCSIFFLAGS, &ifr) < 0) {
        fail(name);
    }
}

static int make_tap(int control, const char *name)
{
    int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
    int header_len = BENCH_HEADER_LEN;
    struct ifreq ifr;

    name_it(&ifr, name);
    ifr.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
    if (fd < 0 || ioctl(fd, TUNSETIFF, &ifr) < 0 ||
        ioctl(fd, TUNSETVNETHDRSZ, &header_len) < 0 ||
        ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4) < 0) {
        fail("/dev/net/tun");
    }
    name_it(&ifr, "bridge");
    ifr.ifr_ifindex = if_nametoindex(name);
    if (ioctl(control, SIOCBRADDIF, &ifr) < 0) {
        fail("SIOCBRADDIF");
    }
    set_up(control, name);
    return fd;
}

static void make_network(int fds[2])
{
    int control;

    if (unshare(CLONE_NEWNET) < 0) {
        fail("unshare");
    }
    control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (control < 0 || ioctl(control, SIOCBRADDBR, "bridge") < 0) {
        fail("bridge");
    }
    fds[0] = make_tap(control, "a");
    fds[1] = make_tap(control, "b");
    set_up(control, "bridge");
    close(control);
}

/* Until the bridge forwards, and has learnt where b is. */
static void introduce(const int fds[2], uint8_t *buf)
{
    double end = now_s(CLOCK_MONOTONIC) + 5;

    memset(buf, 0, SLOT_LEN);
    bench_frame_introduce(buf + BENCH_HEADER_LEN, 0);
    for (;;) {
        ssize_t len;

        if (write(fds[1], buf, BENCH_HEADER_LEN + 60) < 0) {
            fail("write");
        }
        while ((len = read(fds[0], buf + 128, SLOT_LEN - 128)) > 0) {
            if (len >= BENCH_HEADER_LEN + 12 &&
                memcmp(buf, buf + 128, BENCH_HEADER_LEN + 12) == 0) {
                return;
            }
        }
        if (now_s(CLOCK_MONOTONIC) > end) {
            fprintf(stderr, "tap-bench: the bridge does not forward\n");
            _exit(1);
        }
    }
}

/* Returns: frames that arrived. */
static uint64_t run(const int fds[2], uint8_t *tx, uint8_t *rx, size_t len,
                    int seconds)
{
    double begin = now_s(CLOCK_MONOTONIC);
    uint64_t n_frames = 0;
    unsigned in = 0, out = 0, i;

    do {
        for (i = 0; i < BATCH; i++, out++) {
            if (write(fds[0], tx + out % NUM * SLOT_LEN, len) < 0 &&
                errno != EAGAIN) {
                fail("write");
            }
        }
        for (;;) {
            uint8_t *p = rx + in % NUM * SLOT_LEN;
            ssize_t n = read(fds[1], p, SLOT_LEN);

            if (n < 0) {
                break;
            }
            in++;
            n_frames += n == (ssize_t)len && p[BENCH_HEADER_LEN] == 2;
        }
    } while (now_s(CLOCK_MONOTONIC) - begin < seconds);
    return n_frames;
}

int main(int argc, char **argv)
{
    gboolean small = FALSE;
    int seconds = 2, fds[2];
    const GOptionEntry entries[] = {
        { "small", 0, 0, G_OPTION_ARG_NONE, &small, NULL, NULL },
        { "seconds", 0, 0, G_OPTION_ARG_INT, &seconds, NULL, NULL },
        { NULL },
    };
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);
    g_autofree uint8_t *tx = g_malloc(NUM * SLOT_LEN);
    g_autofree uint8_t *rx = g_malloc0(NUM * SLOT_LEN);
    size_t len;
    double begin, cpu;
    uint64_t n;
    unsigned i;

    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, &argc, &argv, NULL)) {
        fprintf(stderr, "tap-bench: see the head of its source\n");
        return 1;
    }
    len = small ? BENCH_SMALL_LEN : BENCH_LARGE_LEN;
    for (i = 0; i < NUM; i++) {
        bench_frame_fill(tx + i * SLOT_LEN, len, !small, 0);
    }
    make_network(fds);
    introduce(fds, rx);
    begin = now_s(CLOCK_MONOTONIC);
    cpu = now_s(CLOCK_PROCESS_CPUTIME_ID);
    n = run(fds, tx, rx, BENCH_HEADER_LEN + len, seconds);
    cpu = now_s(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    begin = now_s(CLOCK_MONOTONIC) - begin;
    printf("{\"frames\": %.0f, \"gbps\": %.3f, \"frame-cpu-ns\": %.1f}\n",
           n / begin, n * 8e-9 * len / begin, cpu * 1e9 / MAX(n, 1));
    return 0;
}
