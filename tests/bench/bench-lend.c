/*
 * Bench: what NAT would save if a guest's buffers were lent to it
 *
 *   child: send() --loopback TCP--> recvmsg(MSG_PEEK) --> 16 MiB of buffers
 *
 * Data for a guest is peeked into 272 KiB that are used over and over, and copied
 * from there into the guest's buffers, of which there are many.  Here this is
 * done in turns with a peek straight into the buffers, each frame of 64 KiB with
 * room for its headers in its first one.  That is all that lending could
 * save, and nothing of what it would cost.  Not part of the tests.
 *
 *   bench-lend [BUFFER_BYTES [TURNS]]
 *
 * Prints a line of JSON: CPU time of the receiving thread, ms a Gbit, medians
 * of turns of 0.25 s.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <glib.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define RING_BYTES (16u << 20)
#define HEADERS 78
#define FRAME_BYTES (44 * 1460)
#define N_FRAMES 4
#define TURN_NS 250000000
#define TURNS_MAX 1000

/** Target: @at: where the next buffer begins, of @buffer bytes each */
typedef struct Target {
    uint8_t *ring, *stage;
    size_t buffer, at;
    struct iovec iov[1024];
} Target;

static double clock_ns(clockid_t clock)
{
    struct timespec ts;

    clock_gettime(clock, &ts);
    return ts.tv_sec * 1e9 + ts.tv_nsec;
}

/* Describe buffers for @len bytes, in frames. Returns: how many. */
static unsigned take_buffers(Target *t, size_t len)
{
    unsigned n = 0;

    while (len) {
        size_t left = MIN(len, FRAME_BYTES), skip = HEADERS;

        len -= left;
        while (left && n < G_N_ELEMENTS(t->iov)) {
            size_t piece = MIN(left, t->buffer - skip);

            if (t->at + t->buffer > RING_BYTES) {
                t->at = 0;
            }
            t->iov[n++] = (struct iovec) { t->ring + t->at + skip, piece };
            t->at += t->buffer;
            left -= piece;
            skip = 0;
        }
    }
    return n;
}

static ssize_t receive(int fd, struct iovec *iov, unsigned n)
{
    struct msghdr msg = { .msg_iov = iov, .msg_iovlen = n };

    return recvmsg(fd, &msg, MSG_PEEK);
}

static ssize_t receive_lent(int fd, Target *t)
{
    size_t at = t->at;
    ssize_t len = receive(fd, t->iov, take_buffers(t, N_FRAMES * FRAME_BYTES));

    t->at = at;
    if (len > 0) {
        take_buffers(t, len);
    }
    return len;
}

static ssize_t receive_staged(int fd, Target *t)
{
    struct iovec iov = { t->stage, N_FRAMES * FRAME_BYTES };
    ssize_t len = receive(fd, &iov, 1);
    size_t done = 0;
    unsigned i, n = len > 0 ? take_buffers(t, len) : 0;

    for (i = 0; i < n; i++) {
        memcpy(t->iov[i].iov_base, t->stage + done, t->iov[i].iov_len);
        done += t->iov[i].iov_len;
    }
    return len;
}

/* Returns: CPU time, ms a Gbit. */
static double run_turn(int fd, Target *t, ssize_t (*func)(int fd, Target *t))
{
    double begin = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    double end = clock_ns(CLOCK_MONOTONIC) + TURN_NS, bits = 0;

    while (clock_ns(CLOCK_MONOTONIC) < end || bits == 0) {
        ssize_t len = func(fd, t);

        if (len <= 0 || recv(fd, NULL, len, MSG_TRUNC) != len) {
            perror("recv");
            exit(1);
        }
        bits += len * 8.0;
    }
    return (clock_ns(CLOCK_THREAD_CPUTIME_ID) - begin) / 1e6 / (bits / 1e9);
}

static void send_for_ever(const struct sockaddr_in *to)
{
    static const uint8_t data[128 * 1024];
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    if (connect(fd, (const struct sockaddr *)to, sizeof(*to)) == 0) {
        while (send(fd, data, sizeof(data), MSG_NOSIGNAL) > 0) {
        }
    }
    _exit(0);
}

/* A connection whose other end is a child that sends. */
static int connect_child(pid_t *ret_child)
{
    struct sockaddr_in addr = { .sin_family = AF_INET,
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof(addr);
    int zero = 0, fd, listener = socket(AF_INET, SOCK_STREAM, 0);

    if (bind(listener, (struct sockaddr *)&addr, len) < 0 ||
        listen(listener, 1) < 0 ||
        getsockname(listener, (struct sockaddr *)&addr, &len) < 0) {
        perror("listen");
        exit(1);
    }
    *ret_child = fork();
    if (*ret_child == 0) {
        send_for_ever(&addr);
    }
    fd = accept(listener, NULL, NULL);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &zero,
                             sizeof(zero)) < 0) {
        perror("SO_PEEK_OFF");
        exit(1);
    }
    return fd;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    static double staged[TURNS_MAX], lent[TURNS_MAX];
    unsigned turns = CLAMP(argc > 2 ? atoi(argv[2]) : 20, 1, TURNS_MAX), i;
    static Target t;
    pid_t child;
    int fd = connect_child(&child);

    t.buffer = CLAMP(argc > 1 ? atoi(argv[1]) : 4096, 1024, 128 * 1024);
    t.ring = mmap(NULL, RING_BYTES, PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    t.stage = g_malloc0(N_FRAMES * FRAME_BYTES);
    for (i = 0; i < turns; i++) {
        staged[i] = run_turn(fd, &t, receive_staged);
        lent[i] = run_turn(fd, &t, receive_lent);
    }
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    qsort(staged, turns, sizeof(*staged), compare);
    qsort(lent, turns, sizeof(*lent), compare);
    printf("{\"buffer_bytes\": %zu, \"staged_ms\": %.1f, \"lent_ms\": %.1f, "
           "\"ratio\": %.3f}\n", t.buffer, staged[turns / 2], lent[turns / 2],
           lent[turns / 2] / staged[turns / 2]);
    return 0;
}
