/*
 * A reset, from either side, in each state of a TCP flow; and 10,000 flows
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "nat-states.h"
#include <sys/wait.h>

/* @resets: the outside's end can still send a reset */
static const struct {
    const char *name;
    int (*enter)(Guest *g, int listener, uint16_t port);
    bool resets;
} states[] = {
    { "syn-rcvd", to_syn_rcvd, true },
    { "established", to_established, true },
    { "close-wait", to_close_wait, true },
    { "fin-wait-1", to_fin_wait_1, true },
    { "fin-wait-2", to_fin_wait_2, true },
    { "closing", to_closing, false },
    { "last-ack", to_last_ack, false },
    { "time-wait", to_time_wait, false },
};

static void test_guest_resets(Guest *g)
{
    uint16_t port;
    int listener = outside_listen(g, &port);
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(states); i++) {
        TcpHeader rst;
        int fd;
        char c;

        g->sport++;
        fd = states[i].enter(g, listener, port);
        g_assert_cmpstr(g->state, ==, states[i].name);
        /* A wrong number, even one in the window, ends nothing. */
        rst = guest_tcp_header(g, TCP_RST);
        rst.seq = g->seq + 1;
        g_assert_cmpint(guest_tcp_raw(g, &rst, NULL, 0), ==, NAT_OK);
        guest_flush(g);
        g_assert_cmpuint(n_flows(g), ==, 1);
        g_queue_clear_full(&g->got, (GDestroyNotify)guest_frame_free);

        rst.seq = g->seq;
        g_assert_cmpint(guest_tcp_raw(g, &rst, NULL, 0), ==, NAT_OK);
        guest_flush(g);
        g_assert_cmpuint(n_flows(g), ==, 0);
        guest_expect_nothing(g);
        if (strcmp(states[i].name, "established") == 0) {
            g_assert_cmpint(recv(fd, &c, 1, 0), ==, -1);
            g_assert_cmpint(errno, ==, ECONNRESET);
        }
        close(fd);
    }
    close(listener);
}

static void test_outside_resets(Guest *g)
{
    static const struct linger at_once = { 1, 0 };
    uint16_t port;
    int listener = outside_listen(g, &port);
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(states); i++) {
        TcpHeader tcp;
        int fd;

        if (!states[i].resets) {
            continue;
        }
        g->sport++;
        fd = states[i].enter(g, listener, port);
        g_assert_cmpstr(g->state, ==, states[i].name);
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
        close(fd);
        guest_frame_free(guest_get_tcp(g, &tcp));
        g_assert_true(tcp.flags & TCP_RST);
        g_assert_cmpuint(tcp.dport, ==, g->sport);
        g_assert_cmpuint(n_flows(g), ==, 0);
        guest_expect_nothing(g);
    }
    close(listener);
}

/* ---- many ---- */

/* With 20,000 descriptors in all: the outside's ends are a child's. */
#define N_MANY 10000

static struct {
    uint32_t seq[N_MANY], ack[N_MANY];
} many;

/* Greets whoever comes, then wants a byte from each. Returns: exit status */
static int many_outside(int listener)
{
    static int fds[N_MANY];
    unsigned i;
    char c;

    for (i = 0; i < N_MANY; i++) {
        fds[i] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (fds[i] < 0 || write(fds[i], "x", 1) != 1) {
            return 1;
        }
    }
    for (i = 0; i < N_MANY; i++) {
        if (read(fds[i], &c, 1) != 1 || c != 'y') {
            return 2;
        }
    }
    return 0;
}

/* Connect, and take the greeting. */
static void many_connect(Guest *g, unsigned i, uint16_t port)
{
    TcpHeader tcp;

    g->sport = 20000 + i;
    g->seq = 1000;
    g->dport = port;
    guest_tcp(g, TCP_SYN, NULL, 0);
    guest_expect_tcp(g, TCP_SYN | TCP_ACK, &tcp);
    g->ack = tcp.seq + 1;
    guest_tcp(g, TCP_ACK, NULL, 0);
    guest_expect_tcp(g, TCP_ACK | TCP_PSH, &tcp);
    g_assert_cmpuint(tcp.seq, ==, g->ack);
    g_assert_cmpuint(tcp.dport, ==, g->sport);
    g->ack += tcp.payload_len;
    guest_tcp(g, TCP_ACK, NULL, 0);
    many.seq[i] = g->seq;
    many.ack[i] = g->ack;
}

static void test_many(Guest *g)
{
    uint16_t port;
    int listener = outside_listen(g, &port), status;
    pid_t child = fork();
    unsigned i;

    g_assert_cmpint(child, >=, 0);
    if (child == 0) {
        _exit(many_outside(listener));
    }
    for (i = 0; i < N_MANY; i++) {
        many_connect(g, i, port);
    }
    g_assert_cmpuint(n_flows(g), ==, N_MANY);
    for (i = 0; i < N_MANY; i++) {
        g->sport = 20000 + i;
        g->seq = many.seq[i];
        g->ack = many.ack[i];
        guest_tcp(g, TCP_ACK | TCP_PSH, "y", 1);
    }
    g_assert_cmpint(waitpid(child, &status, 0), ==, child);
    g_assert_cmpint(status, ==, 0);
    g_assert_cmpuint(n_flows(g), ==, N_MANY);
    nat_port_gone(g->nat, GUEST_PORT_ID, g->now_ms);
    g_assert_cmpuint(n_flows(g), ==, 0);
    close(listener);
}

static const TcpTest many_test = { "ten-thousand", test_many };

/* On both paths of data for the guest; their families share the rest. */
static void add_many(void)
{
    unsigned i;

    for (i = 0; i < 2; i++) {
        g_autofree char *name = g_strdup_printf("/nat-states/%s/%s",
                                                tcp_paths[i].name,
                                                many_test.name);
        TcpCase *c = g_new(TcpCase, 1);

        *c = (TcpCase){ &many_test, &tcp_paths[i].path };
        g_test_add_data_func_full(name, c, tcp_case_run, g_free);
    }
}

static const TcpTest tests[] = {
    { "guest-resets", test_guest_resets },
    { "outside-resets", test_outside_resets },
};

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    tcp_tests_add("nat-states", tests, G_N_ELEMENTS(tests));
    add_many();
    return g_test_run();
}
