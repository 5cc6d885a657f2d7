/*
 * Bench: frames through the switch between two stream ports
 *
 *   sender process --> port a --> switch --> port b --> receiver process
 *
 * The sender writes and the receiver reads as QEMU's -netdev stream does: one
 * frame a write, and reads of up to 68 KiB.  With --joined the two are
 * connected directly: what the switch costs is the ratio of both.  Not part of
 * the tests.
 *
 *   bench-switch [--joined] [--dgram] [--batch N] [--len BYTES] [--seconds N]
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "port/port.h"

#define HEADER_LEN 4
#define READ_LEN (68 * 1024)

typedef struct Bench {
    gboolean joined, dgram;
    int batch, len, seconds;
} Bench;

static void fail(const char *what)
{
    perror(what);
    _exit(1);
}

static void wait_writable(int fd)
{
    struct pollfd pfd = { .fd = fd, .events = POLLOUT };

    if (poll(&pfd, 1, -1) < 0) {
        fail("poll");
    }
}

static void send_all(int fd, const uint8_t *data, size_t len)
{
    while (len) {
        ssize_t sent = send(fd, data, len, MSG_NOSIGNAL);

        if (sent < 0 && errno == EAGAIN) {
            wait_writable(fd);
        } else if (sent < 0) {
            _exit(0);
        } else {
            data += sent;
            len -= sent;
        }
    }
}

static void run_sender(const Bench *bench, int fd)
{
    size_t one = HEADER_LEN + bench->len;
    g_autofree uint8_t *buf = g_malloc0(one * bench->batch);
    uint32_t header = GUINT32_TO_BE(bench->len);
    int i;

    for (i = 0; i < bench->batch; i++) {
        uint8_t *frame = buf + i * one;

        memcpy(frame, &header, sizeof(header));
        memcpy(frame + HEADER_LEN, "\2\0\0\0\0\2\2\0\0\0\0\1\x88\xb5", 14);
    }
    for (;;) {
        if (bench->dgram) {
            send_all(fd, buf + HEADER_LEN, bench->len);
        } else {
            send_all(fd, buf, one * bench->batch);
        }
    }
}

/* Says who it is, waits for the first frame, counts for the time given. */
static void run_receiver(const Bench *bench, int fd)
{
    g_autofree uint8_t *buf = g_malloc(READ_LEN);
    uint8_t hello[HEADER_LEN + 60] = { 0, 0, 0, 60, 2, 0, 0, 0, 0, 1,
                                       2, 0, 0, 0, 0, 2, 0x88, 0xb5 };
    size_t skip = bench->dgram ? HEADER_LEN : 0;
    uint64_t bytes = 0, reads = 0, frames;
    int64_t begin, now;
    ssize_t len;

    send_all(fd, hello + skip, sizeof(hello) - skip);
    begin = 0;
    do {
        len = recv(fd, buf, READ_LEN, 0);
        if (len <= 0) {
            fail("recv");
        }
        now = loop_now_ns();
        if (!begin) {
            begin = now;
        }
        bytes += len;
        reads++;
    } while (now - begin < bench->seconds * INT64_C(1000000000));
    frames = bytes / (bench->len + (bench->dgram ? 0 : HEADER_LEN));
    printf("%-8s %d bytes: %8.0f frames/s %6.2f Gbit/s %5.1f frames/read\n",
           bench->joined ? "joined" : "switched", bench->len,
           frames * 1e9 / (now - begin),
           frames * 8e0 * bench->len / (now - begin), (double)frames / reads);
}

static pid_t start(void (*func)(const Bench *, int), const Bench *bench,
                   int fd, int other)
{
    pid_t pid = fork();

    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (other >= 0) {
            close(other);
        }
        func(bench, fd);
        fflush(stdout);
        _exit(0);
    }
    close(fd);
    return pid;
}

static Port *make_port(const Bench *bench, Loop *loop, Switch *sw, int fd)
{
    Port *port = port_new(loop, sw, 0, MAX(1500, bench->len), NULL, NULL);
    g_autoptr(GError) error = NULL;

    if (!port_connect(port, bench->dgram ? PORT_KIND_DGRAM : PORT_KIND_STREAM,
                      fd, &error)) {
        fprintf(stderr, "%s\n", error->message);
        exit(1);
    }
    return port;
}

static void report(const char *name, Port *port)
{
    const PortCounters *c = switch_port_counters(port_switch_port(port));

    printf("  %s: input %" G_GUINT64_FORMAT ", output %" G_GUINT64_FORMAT
           ", full %" G_GUINT64_FORMAT "\n", name, c->input_frames,
           c->output_frames, c->drops[SWITCH_DROP_FULL]);
}

static void switched(const Bench *bench, int a[2], int b[2])
{
    SwitchConfig config = { .mtu_bytes = MAX(1500, bench->len) };
    Loop *loop = loop_new(NULL, NULL);
    Switch *sw = switch_new(&config);
    Port *port_a, *port_b;
    struct rusage usage;
    pid_t sender, receiver;

    receiver = start(run_receiver, bench, b[1], b[0]);
    port_b = make_port(bench, loop, sw, b[0]);
    port_a = make_port(bench, loop, sw, a[0]);
    g_main_context_iteration(NULL, TRUE);
    sender = start(run_sender, bench, a[1], -1);
    while (waitpid(receiver, NULL, WNOHANG) == 0) {
        g_main_context_iteration(NULL, TRUE);
    }
    kill(sender, SIGKILL);
    waitpid(sender, NULL, 0);
    getrusage(RUSAGE_SELF, &usage);
    report("a", port_a);
    report("b", port_b);
    printf("  daemon: user %ld.%02ld s, system %ld.%02ld s, %ld switches\n",
           usage.ru_utime.tv_sec, usage.ru_utime.tv_usec / 10000,
           usage.ru_stime.tv_sec, usage.ru_stime.tv_usec / 10000,
           usage.ru_nvcsw + usage.ru_nivcsw);
    port_free(port_a);
    port_free(port_b);
    switch_free(sw);
    loop_free(loop);
}

int main(int argc, char **argv)
{
    Bench bench = { .batch = 1, .len = 1514, .seconds = 3 };
    GOptionEntry entries[] = {
        { "joined", 0, 0, G_OPTION_ARG_NONE, &bench.joined, NULL, NULL },
        { "dgram", 0, 0, G_OPTION_ARG_NONE, &bench.dgram, NULL, NULL },
        { "batch", 0, 0, G_OPTION_ARG_INT, &bench.batch, NULL, "N" },
        { "len", 0, 0, G_OPTION_ARG_INT, &bench.len, NULL, "BYTES" },
        { "seconds", 0, 0, G_OPTION_ARG_INT, &bench.seconds, NULL, "N" },
        { NULL }
    };
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);
    g_autoptr(GError) error = NULL;
    int type, a[2], b[2];

    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &error)) {
        fprintf(stderr, "%s\n", error->message);
        return 1;
    }
    type = bench.dgram ? SOCK_SEQPACKET : SOCK_STREAM;
    if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, a) < 0 ||
        socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, b) < 0) {
        fail("socketpair");
    }
    if (bench.joined) {
        pid_t sender = start(run_sender, &bench, a[1], a[0]);

        run_receiver(&bench, a[0]);
        kill(sender, SIGKILL);
    } else {
        switched(&bench, a, b);
    }
    return 0;
}
