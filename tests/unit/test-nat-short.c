/*
 * What a connection with one request and one answer costs: system calls and
 * segments
 *
 *   Nat --> getsockopt(), setsockopt(), shutdown() of this file, which count
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "nat-tcp-paths.h"
#include <linux/sock_diag.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/syscall.h>

/* A socket of which only these bytes are free: the kernel says that it is full. */
#define NEARLY_FULL_BYTES 2000

static struct {
    unsigned meminfo, nodelay, shutdown, peeks;
    bool is_nearly_full;
} calls;

int getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
    int result = syscall(SYS_getsockopt, fd, level, name, value, len);

    if (level == SOL_SOCKET && name == SO_MEMINFO) {
        uint32_t *mem = value;

        calls.meminfo++;
        if (calls.is_nearly_full) {
            mem[SK_MEMINFO_WMEM_QUEUED] = mem[SK_MEMINFO_SNDBUF] -
                                          NEARLY_FULL_BYTES;
        }
    }
    return result;
}

/* The main loop polls its own descriptor and the one that wakes it. */
int poll(struct pollfd *fds, nfds_t n, int timeout_ms)
{
    struct timespec timeout = {
        timeout_ms / 1000, timeout_ms % 1000 * 1000000L,
    };

    if (calls.is_nearly_full && n == 1 && timeout_ms == 0) {
        return 0;
    }
    return syscall(SYS_ppoll, fds, n, timeout_ms < 0 ? NULL : &timeout, NULL,
                   0);
}

int setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
    calls.nodelay += level == IPPROTO_TCP && name == TCP_NODELAY;
    return syscall(SYS_setsockopt, fd, level, name, value, len);
}

int shutdown(int fd, int how)
{
    calls.shutdown++;
    return syscall(SYS_shutdown, fd, how);
}

ssize_t recvmsg(int fd, struct msghdr *msg, int flags)
{
    calls.peeks++;
    return syscall(SYS_recvmsg, fd, msg, flags);
}

/* The server closes first: each segment of the guest's is one that it needs. */
static void test_one_request(Guest *g)
{
    uint16_t port;
    int listener = outside_listen(g, &port), fd;
    TcpHeader tcp;
    char buf[7];

    memset(&calls, 0, sizeof(calls));
    fd = guest_connect(g, listener, port, 7, 1460);
    guest_tcp(g, TCP_ACK | TCP_PSH, "request", 7);
    guest_expect_tcp(g, TCP_ACK, NULL);
    outside_read(fd, buf, 7);
    g_assert_cmpint(write(fd, "answer", 6), ==, 6);
    close(fd);
    calls.peeks = 0;
    guest_expect_tcp(g, TCP_ACK | TCP_PSH | TCP_FIN, &tcp);
    g_assert_cmpuint(tcp.payload_len, ==, 6);
    g_assert_cmpuint(calls.peeks, ==, 2);       /* the answer, and its end */
    g->ack += 7;
    guest_tcp(g, TCP_ACK, NULL, 0);
    guest_tcp(g, TCP_FIN | TCP_ACK, NULL, 0);
    guest_expect_tcp(g, TCP_ACK, &tcp);
    g_assert_cmpuint(tcp.ack, ==, g->seq);
    g_assert_cmpstr(g->state, ==, "time-wait");
    guest_expect_nothing(g);
    g_assert_cmpuint(calls.meminfo, ==, 1);
    g_assert_cmpuint(calls.nodelay, ==, 0);
    g_assert_cmpuint(calls.shutdown, ==, 0);
    close(listener);
}

/* The second write of a flow is the first that Nagle's algorithm could delay. */
static void test_second_write_is_not_delayed(Guest *g)
{
    uint16_t port;
    int listener = outside_listen(g, &port), fd;
    char buf[3];
    unsigned i;

    memset(&calls, 0, sizeof(calls));
    fd = guest_connect(g, listener, port, 7, 1460);
    for (i = 0; i < 3; i++) {
        guest_tcp(g, TCP_ACK | TCP_PSH, "x", 1);
        guest_expect_tcp(g, TCP_ACK, NULL);
        g_assert_cmpuint(calls.nodelay, ==, i > 0);
    }
    outside_read(fd, buf, 3);
    close(fd);
    close(listener);
}

/* A socket that fills is asked again: its window is never more than it takes. */
static void test_window_follows_the_socket(Guest *g)
{
    static char data[1400];
    uint16_t port;
    int listener = outside_listen(g, &port), fd, size = 1;
    TcpHeader tcp = { .window = 1 };
    unsigned n = 0;

    g_assert_cmpint(setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &size,
                               sizeof(size)), ==, 0);
    fd = guest_connect(g, listener, port, 7, 1460);
    memset(&calls, 0, sizeof(calls));
    while (tcp.window) {
        guest_tcp(g, TCP_ACK | TCP_PSH, data, sizeof(data));
        guest_expect_tcp(g, TCP_ACK, &tcp);
        g_assert_cmpuint(++n, <, 20000);
    }
    g_assert_cmpuint(calls.meminfo, >, 1);
    g_assert_cmpuint(calls.meminfo, <=, n);
    /* What was acknowledged before is with the kernel, all of it. */
    g_assert_cmpuint(tcp.ack, >, g->seq - 2 * sizeof(data));
    close(fd);
    close(listener);
}

/* No window of a few bytes, however often it is asked for. */
static void test_no_silly_window(Guest *g)
{
    uint16_t port;
    int listener = outside_listen(g, &port), fd;
    TcpHeader tcp, probe;
    unsigned i;

    memset(&calls, 0, sizeof(calls));
    calls.is_nearly_full = true;
    fd = guest_connect(g, listener, port, 0, 1460);
    for (i = 0; i < 3; i++) {
        probe = guest_tcp_header(g, TCP_ACK);
        probe.seq--;
        g_assert_cmpint(guest_tcp_raw(g, &probe, NULL, 0), ==, NAT_OK);
        guest_flush(g);
        guest_expect_tcp(g, TCP_ACK, &tcp);
        g_assert_cmpuint(tcp.window, ==, 0);
    }
    calls.is_nearly_full = false;
    g_assert_cmpint(guest_tcp_raw(g, &probe, NULL, 0), ==, NAT_OK);
    guest_flush(g);
    guest_expect_tcp(g, TCP_ACK, &tcp);
    g_assert_cmpuint(tcp.window, >, 1460);
    close(fd);
    close(listener);
}

/* What ends a stream is known before its last data leaves: one segment less. */
static void test_fin_goes_with_data(Guest *g)
{
    uint16_t port;
    int listener = outside_listen(g, &port);
    int fd = guest_connect(g, listener, port, 7, 1460);
    static uint8_t data[5000], got[sizeof(data)];
    size_t at = 0;
    TcpHeader tcp;

    fill(data, sizeof(data));
    g_assert_cmpint(write(fd, data, sizeof(data)), ==, sizeof(data));
    close(fd);
    while (at < sizeof(data)) {
        g_autoptr(GuestFrame) f = guest_get_tcp(g, &tcp);

        g_assert_cmpuint(tcp.seq, ==, g->ack + at);
        frame_peek(&f->frame, tcp.payload_off, got + at, tcp.payload_len);
        at += tcp.payload_len;
        g_assert_cmphex(tcp.flags & TCP_FIN, ==,
                        at == sizeof(data) ? TCP_FIN : 0);
    }
    g_assert_cmpmem(got, at, data, sizeof(data));
    guest_expect_nothing(g);
    g->ack += at + 1;
    guest_tcp(g, TCP_FIN | TCP_ACK, NULL, 0);
    guest_expect_tcp(g, TCP_ACK, NULL);
    g_assert_cmpstr(g->state, ==, "time-wait");
    close(listener);
}

/* ... unless the guest's window ends where the data does. */
static void test_fin_keeps_to_the_window(Guest *g)
{
    uint16_t port;
    int listener = outside_listen(g, &port), fd;
    TcpHeader tcp;

    g->window = 500;
    fd = guest_connect(g, listener, port, 0, 1460);
    g_assert_cmpint(write(fd, "bye", 3), ==, 3);
    guest_expect_tcp(g, TCP_PSH | TCP_ACK, &tcp);
    g->ack += 3;
    g->window = 4;
    guest_tcp(g, TCP_ACK, NULL, 0);
    g_assert_cmpint(write(fd, "four", 4), ==, 4);
    close(fd);
    guest_expect_tcp(g, TCP_PSH | TCP_ACK, &tcp);
    g_assert_cmpuint(tcp.payload_len, ==, 4);
    close(listener);
}

static const TcpTest tests[] = {
    { "one-request", test_one_request },
    { "second-write-is-not-delayed", test_second_write_is_not_delayed },
    { "window-follows-the-socket", test_window_follows_the_socket },
    { "no-silly-window", test_no_silly_window },
    { "fin-goes-with-data", test_fin_goes_with_data },
    { "fin-keeps-to-the-window", test_fin_keeps_to_the_window },
};

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    tcp_tests_add("nat-short", tests, G_N_ELEMENTS(tests));
    return g_test_run();
}
