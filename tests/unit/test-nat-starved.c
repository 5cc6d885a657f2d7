/*
 * A flow whose socket has had no memory goes on by itself
 *
 *   Nat --> recvmsg(), sendmsg(), recv() of this file --> the kernel's
 *
 * The three fail as often as a test says: by then no event is left that could
 * wake the flow, so that only its timer can.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "nat-tcp-paths.h"
#include "limits.h"
#include <sys/syscall.h>

static struct {
    unsigned reads, writes, discards;
    int errnum;
} faults;

static bool fault(unsigned *left, int flags)
{
    if (*left == 0 || !(flags & MSG_DONTWAIT)) {
        return false;
    }
    --*left;
    errno = faults.errnum;
    return true;
}

ssize_t recvmsg(int fd, struct msghdr *msg, int flags)
{
    return fault(&faults.reads, flags) ? -1
                                       : syscall(SYS_recvmsg, fd, msg, flags);
}

ssize_t sendmsg(int fd, const struct msghdr *msg, int flags)
{
    return fault(&faults.writes, flags) ? -1
                                        : syscall(SYS_sendmsg, fd, msg, flags);
}

ssize_t recv(int fd, void *buf, size_t len, int flags)
{
    if ((flags & MSG_TRUNC) && fault(&faults.discards, flags)) {
        return -1;
    }
    return syscall(SYS_recvfrom, fd, buf, len, flags, NULL, NULL);
}

static void test_read(Guest *g)
{
    uint16_t port;
    int listener = outside_listen(g, &port);
    int fd = guest_connect(g, listener, port, 7, 1460);
    char buf[5];

    guest_expect_nothing(g);
    faults.errnum = ENOMEM;
    faults.reads = 3;
    g_assert_cmpint(write(fd, "hello", 5), ==, 5);
    while (faults.reads == 3) {
        guest_iterate(g);
    }
    guest_expect_nothing(g);
    guest_advance(g, 1000);
    g_assert_cmpuint(faults.reads, ==, 0);
    guest_take(g, buf, 5, true);
    g_assert_cmpmem(buf, 5, "hello", 5);
    close(fd);
    close(listener);
}

static void test_write(Guest *g)
{
    uint16_t port;
    int listener = outside_listen(g, &port);
    int fd = guest_connect(g, listener, port, 7, 1460);
    TcpHeader tcp;
    char buf[5];

    guest_expect_nothing(g);
    faults.errnum = ENOBUFS;
    faults.writes = 1;
    guest_tcp(g, TCP_ACK | TCP_PSH, "hello", 5);
    guest_expect_tcp(g, TCP_ACK, &tcp);
    g_assert_cmpuint(tcp.window, ==, 0);
    g_assert_cmpuint(tcp.ack, ==, g->seq - 5);
    guest_advance(g, 100);
    outside_read(fd, buf, 5);
    g_assert_cmpmem(buf, 5, "hello", 5);
    guest_expect_tcp(g, TCP_ACK, &tcp);
    g_assert_cmpuint(tcp.window, >, 0);
    g_assert_cmpuint(tcp.ack, ==, g->seq);
    close(fd);
    close(listener);
}

static void test_discard(Guest *g)
{
    uint16_t port;
    int listener = outside_listen(g, &port);
    int fd = guest_connect(g, listener, port, 7, 1460);
    char buf[5];

    g_assert_cmpint(write(fd, "hello", 5), ==, 5);
    guest_take(g, buf, 5, false);
    faults.errnum = ENOMEM;
    faults.discards = 1;
    guest_tcp(g, TCP_ACK, NULL, 0);
    guest_advance(g, 100);
    g_assert_cmpint(write(fd, "world", 5), ==, 5);
    guest_take(g, buf, 5, true);
    g_assert_cmpmem(buf, 5, "world", 5);
    faults.discards = 0;        /* a ring discards nothing in the kernel */
    close(fd);
    guest_expect_tcp(g, TCP_FIN | TCP_ACK, NULL);
    close(listener);
}

/* More flows than a port may have rings: who found none has one later. */
static void test_rings_run_out(Guest *g)
{
    enum { RINGS = LIMIT_NAT_BYTES_PER_PORT / LIMIT_NAT_RING_BYTES };
    enum { N = RINGS + 8 };
    uint16_t port;
    int listener = outside_listen(g, &port), fds[N];
    uint32_t seq[N], ack[N];
    bool came[N] = { false };
    unsigned i, n = 0;

    for (i = 0; i < N; i++) {
        g->sport = 20000 + i;
        g->seq = 1000;
        fds[i] = guest_connect(g, listener, port, 7, 1460);
        seq[i] = g->seq;
        ack[i] = g->ack;
    }
    guest_expect_nothing(g);
    for (i = 0; i < N; i++) {
        g_assert_cmpint(write(fds[i], "x", 1), ==, 1);
    }
    for (i = 0; i < 100 && n < N; i++) {
        GuestFrame *f;
        TcpHeader tcp;

        guest_settle(g);
        while ((f = g_queue_pop_head(&g->got))) {
            unsigned k;

            g_assert_true(tcp_parse(&f->frame, &f->ip, &tcp));
            k = tcp.dport - 20000;
            if (tcp.payload_len && !came[k]) {
                came[k] = true;
                n++;
                g->sport = tcp.dport;
                g->seq = seq[k];
                g->ack = ack[k] + 1;
                guest_tcp(g, TCP_ACK, NULL, 0);
            }
            guest_frame_free(f);
        }
        guest_advance(g, 20);
    }
    g_assert_cmpuint(n, ==, N);
    for (i = 0; i < N; i++) {
        close(fds[i]);
    }
    close(listener);
}

static const TcpTest tests[] = {
    { "read", test_read },
    { "write", test_write },
    { "discard", test_discard },
    { "rings-run-out", test_rings_run_out },
};

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    tcp_tests_add("nat-starved", tests, G_N_ELEMENTS(tests));
    return g_test_run();
}
