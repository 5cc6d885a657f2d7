/*
 * How long a TCP flow lives in each state, and what is asked before it ends
 *
 * What happens on sockets comes with the loop's time, which is the kernel's: this
 * file sets that clock forward, so that a flow can go on after two hours.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "nat-states.h"
#include <sys/syscall.h>
#include <time.h>

#define HALF_OPEN_S 30
#define CLOSING_S 60
#define ESTABLISHED_S 7440
#define PROBE_S 7200

static int64_t forward_s;

int clock_gettime(clockid_t clock, struct timespec *ret)
{
    int result = syscall(SYS_clock_gettime, clock, ret);

    if (result == 0 && clock == CLOCK_BOOTTIME) {
        ret->tv_sec += forward_s;
    }
    return result;
}

static void advance_s(Guest *g, int64_t s)
{
    forward_s += s;
    guest_advance(g, s * 1000);
}

/* A queue of connections that is full: the next SYN has no answer. */
static int to_connecting(Guest *g, int listener, uint16_t port)
{
    IpEndpoint ep = { g->loopback, port };
    struct sockaddr_storage ss;
    socklen_t len = ip_endpoint_to_sockaddr(&ep, &ss);
    int fd = socket(g->family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_assert_cmpint(listen(listener, 0), ==, 0);
    g_assert_cmpint(connect(fd, (struct sockaddr *)&ss, len), ==, 0);
    g->dport = port;
    guest_tcp(g, TCP_SYN, NULL, 0);
    guest_expect_nothing(g);
    g_assert_cmpuint(n_flows(g), ==, 1);
    g->state = "connecting";
    return fd;
}

static int to_syn_sent(Guest *g, int listener, uint16_t port)
{
    IpEndpoint ep = { g->loopback, port }, peer, guest = { g->addr, 22 };
    struct sockaddr_storage ss;
    socklen_t len = ip_endpoint_to_sockaddr(&ep, &ss);
    int client = socket(g->family, SOCK_STREAM | SOCK_CLOEXEC, 0), fd;

    g_assert_cmpint(connect(client, (struct sockaddr *)&ss, len), ==, 0);
    len = sizeof(ss);
    fd = accept4(listener, (struct sockaddr *)&ss, &len,
                 SOCK_CLOEXEC | SOCK_NONBLOCK);
    g_assert_true(ip_endpoint_from_sockaddr((struct sockaddr *)&ss, len, &peer));
    g_assert_true(nat_tcp_accept(g->nat, fd, &peer, &guest, g->now_ms));
    return client;
}

static const struct {
    const char *name;
    int (*enter)(Guest *g, int listener, uint16_t port);
    int life_s;
} states[] = {
    { "syn-sent", to_syn_sent, HALF_OPEN_S },
    { "syn-rcvd", to_syn_rcvd, HALF_OPEN_S },
    { "established", to_established, ESTABLISHED_S },
    { "close-wait", to_close_wait, ESTABLISHED_S },
    { "fin-wait-1", to_fin_wait_1, CLOSING_S },
    { "fin-wait-2", to_fin_wait_2, ESTABLISHED_S },
    { "closing", to_closing, CLOSING_S },
    { "last-ack", to_last_ack, CLOSING_S },
    { "time-wait", to_time_wait, CLOSING_S },
    /* The last: its listener takes nobody any more. */
    { "connecting", to_connecting, HALF_OPEN_S },
};

/* What the guest has got, its last segment excepted. */
static GuestFrame *last_of(Guest *g)
{
    while (g->got.length > 1) {
        guest_frame_free(g_queue_pop_head(&g->got));
    }
    return g_queue_pop_head(&g->got);
}

/* A guest that tried to connect learns that nobody answered; others are reset. */
static void expect_end(Guest *g, const char *state)
{
    g_autoptr(GuestFrame) f = last_of(g);
    IcmpMessage icmp;
    TcpHeader tcp;

    if (strcmp(state, "time-wait") == 0) {
        g_assert_null(f);
        return;
    }
    g_assert_nonnull(f);
    if (strcmp(state, "connecting") == 0) {
        g_assert_true(icmp_parse(&f->frame, &f->ip, &icmp));
        return;
    }
    g_assert_true(tcp_parse(&f->frame, &f->ip, &tcp));
    g_assert_true(tcp.flags & TCP_RST);
}

static void test_lives(Guest *g)
{
    uint16_t port;
    int listener = outside_listen(g, &port);
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(states); i++) {
        int fd;

        g->sport++;
        fd = states[i].enter(g, listener, port);
        g_assert_cmpstr(g->state, ==, states[i].name);
        guest_settle(g);
        advance_s(g, states[i].life_s - 1);
        g_assert_cmpuint(n_flows(g), ==, 1);
        g_queue_clear_full(&g->got, (GDestroyNotify)guest_frame_free);
        advance_s(g, 2);
        g_assert_cmpuint(n_flows(g), ==, 0);
        expect_end(g, states[i].name);
        close(fd);
    }
    close(listener);
}

/* A half that has closed says nothing about the other: it may take its time. */
static void test_half_closed_lives_on(Guest *g)
{
    uint16_t port;
    int listener = outside_listen(g, &port);
    int fd = to_fin_wait_2(g, listener, port);
    TcpHeader tcp;
    unsigned i;
    char c;

    for (i = 0; i < 3; i++) {
        advance_s(g, 5000);
        guest_expect_nothing(g);
        guest_tcp(g, TCP_ACK | TCP_PSH, "x", 1);
        guest_expect_tcp(g, TCP_ACK, &tcp);
        g_assert_cmpuint(tcp.ack, ==, g->seq);
        outside_read(fd, &c, 1);
    }
    close(fd);
    guest_tcp(g, TCP_RST | TCP_ACK, NULL, 0);

    g->sport++;
    fd = to_close_wait(g, listener, port);
    for (i = 0; i < 3; i++) {
        advance_s(g, 5000);
        guest_expect_nothing(g);
        g_assert_cmpint(write(fd, "y", 1), ==, 1);
        guest_take(g, &c, 1, true);
    }
    g_assert_cmpuint(n_flows(g), ==, 1);
    close(fd);
    close(listener);
}

/* It is asked before it ends, and what it answers is a new beginning. */
static void test_half_closed_is_asked(Guest *g)
{
    int (*const enter[])(Guest *, int, uint16_t) = {
        to_close_wait, to_fin_wait_2
    };
    uint16_t port;
    int listener = outside_listen(g, &port), fd;
    TcpHeader tcp;
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(enter); i++) {
        g->sport++;
        fd = enter[i](g, listener, port);
        advance_s(g, PROBE_S - 1);
        guest_expect_nothing(g);
        advance_s(g, 2);
        guest_expect_tcp(g, TCP_ACK, &tcp);
        g_assert_cmpuint(tcp.seq, ==, g->ack - 1);
        guest_tcp(g, TCP_ACK, NULL, 0);
        advance_s(g, ESTABLISHED_S - PROBE_S + 60);
        g_assert_cmpuint(n_flows(g), ==, 1);
        /* Its system knows nothing of the connection: that is an end as well. */
        guest_tcp(g, TCP_RST, NULL, 0);
        g_assert_cmpuint(n_flows(g), ==, 0);
        guest_expect_nothing(g);
        close(fd);
    }
    close(listener);
}

/* Repeated SYNs do not make one that is half open live longer. */
static void test_repeated_syns(Guest *g)
{
    uint16_t port;
    int listener = outside_listen(g, &port);
    int fd = to_syn_rcvd(g, listener, port);
    unsigned i;

    for (i = 0; i < 29; i++) {
        advance_s(g, 1);
        g->seq--;
        guest_tcp(g, TCP_SYN, NULL, 0);
    }
    g_assert_cmpuint(n_flows(g), ==, 1);
    advance_s(g, 2);
    g_assert_cmpuint(n_flows(g), ==, 0);
    close(fd);
    close(listener);
}

/* ---- keepalive ---- */

/* The host's socket whose other end is @fd. */
static int host_socket_of(int fd)
{
    struct sockaddr_storage peer, local;
    socklen_t peer_len = sizeof(peer), len;
    int i;

    g_assert_cmpint(getpeername(fd, (struct sockaddr *)&peer, &peer_len), ==, 0);
    for (i = 3; i < 1024; i++) {
        len = sizeof(local);
        if (getsockname(i, (struct sockaddr *)&local, &len) == 0 &&
            len == peer_len && memcmp(&local, &peer, len) == 0) {
            return i;
        }
    }
    g_assert_not_reached();
}

static int is_kept_alive(int fd)
{
    int value = -1;
    socklen_t len = sizeof(value);

    g_assert_cmpint(getsockopt(host_socket_of(fd), SOL_SOCKET, SO_KEEPALIVE,
                               &value, &len), ==, 0);
    return value;
}

/* A guest that asks whether its peer is there: so does the host's socket. */
static void test_keepalive_is_mirrored(Guest *g)
{
    uint16_t port;
    int listener = outside_listen(g, &port);
    int fd = guest_connect(g, listener, port, 7, 1460);
    TcpHeader tcp;
    unsigned i;

    guest_tcp(g, TCP_ACK | TCP_PSH, "x", 1);
    guest_expect_tcp(g, TCP_ACK, NULL);
    g_assert_cmpint(is_kept_alive(fd), ==, 0);
    for (i = 0; i < 2; i++) {
        advance_s(g, 75);
        g->seq--;
        guest_tcp(g, TCP_ACK, NULL, 0);
        g->seq++;
        guest_expect_tcp(g, TCP_ACK, &tcp);
        g_assert_cmpuint(tcp.ack, ==, g->seq);
        g_assert_cmpint(is_kept_alive(fd), ==, 1);
    }
    /* What it asks for keeps the flow, too. */
    for (i = 0; i < 200; i++) {
        advance_s(g, 75);
        g->seq--;
        guest_tcp(g, TCP_ACK, NULL, 0);
        g->seq++;
        guest_expect_tcp(g, TCP_ACK, NULL);
    }
    g_assert_cmpuint(n_flows(g), ==, 1);
    close(fd);
    close(listener);
}

static const TcpTest tests[] = {
    { "lives", test_lives },
    { "half-closed-lives-on", test_half_closed_lives_on },
    { "half-closed-is-asked", test_half_closed_is_asked },
    { "repeated-syns", test_repeated_syns },
    { "keepalive-is-mirrored", test_keepalive_is_mirrored },
};

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    tcp_tests_add("nat-timers", tests, G_N_ELEMENTS(tests));
    return g_test_run();
}
