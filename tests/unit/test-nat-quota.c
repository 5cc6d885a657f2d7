/*
 * Networks share what their daemon can have of flows and descriptors
 *
 *   Guest a --> Nat a --+-- FlowQuota
 *   Guest b --> Nat b --+
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "nat-tcp-paths.h"
#include <sys/resource.h>

typedef struct Networks {
    FlowQuota *quota;
    Guest *a, *b;
    uint16_t port_a, port_b;
    int listener_a, listener_b;
} Networks;

static void networks_start(Networks *n, unsigned max)
{
    GuestPath path = { .family = AF_INET };

    path.quota = n->quota = flow_quota_new(max);
    n->a = guest_new(&path);
    n->b = guest_new(&path);
    n->listener_a = outside_listen(n->a, &n->port_a);
    n->listener_b = outside_listen(n->b, &n->port_b);
}

static void networks_stop(Networks *n)
{
    guest_free(n->a);
    guest_free(n->b);
    g_assert_cmpuint(flow_quota_used(n->quota), ==, 0);
    flow_quota_free(n->quota);
    close(n->listener_a);
    close(n->listener_b);
}

static void connect_from(Guest *g, uint16_t sport, int listener, uint16_t port)
{
    g->sport = sport;
    g->seq = 1000;
    close(guest_connect(g, listener, port, 7, 1460));
    guest_expect_tcp(g, TCP_FIN | TCP_ACK, NULL);
}

static uint64_t n_recycled(Guest *g)
{
    NatStats stats;

    nat_stats(g->nat, &stats);
    return stats.flows_recycled;
}

/* Who has the most gives, and its guest is told. */
static void test_shared(void)
{
    Networks n;
    TcpHeader tcp;
    unsigned i;

    networks_start(&n, 4);
    for (i = 0; i < 4; i++) {
        connect_from(n.a, 40000 + i, n.listener_a, n.port_a);
    }
    g_assert_cmpuint(n_recycled(n.a), ==, 0);
    for (i = 0; i < 2; i++) {
        connect_from(n.b, 40000 + i, n.listener_b, n.port_b);
        guest_expect_tcp(n.a, TCP_RST | TCP_ACK, &tcp);
        g_assert_cmpuint(tcp.dport, ==, 40000 + i);
    }
    g_assert_cmpuint(n_recycled(n.a), ==, 2);
    g_assert_cmpuint(n_recycled(n.b), ==, 0);
    g_assert_cmpuint(flow_quota_used(n.quota), ==, 4);
    /* Both have two: a third is at the cost of either, never refused. */
    connect_from(n.b, 40002, n.listener_b, n.port_b);
    g_assert_cmpuint(n_recycled(n.a) + n_recycled(n.b), ==, 3);
    networks_stop(&n);
}

/* Descriptors end before the quota does. */
static void test_descriptors(void)
{
    struct rlimit before, few;
    Networks n;
    int fds[8];
    unsigned i;

    g_assert_cmpint(getrlimit(RLIMIT_NOFILE, &before), ==, 0);
    networks_start(&n, 1000);
    for (i = 0; i < G_N_ELEMENTS(fds); i++) {
        n.a->sport = 40000 + i;
        n.a->seq = 1000;
        fds[i] = guest_connect(n.a, n.listener_a, n.port_a, 7, 1460);
    }
    few = before;
    few.rlim_cur = dup(0);
    close(few.rlim_cur);
    g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &few), ==, 0);
    n.b->dport = n.port_b;
    guest_tcp(n.b, TCP_SYN, NULL, 0);
    g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &before), ==, 0);
    guest_expect_tcp(n.b, TCP_SYN | TCP_ACK, NULL);
    guest_expect_tcp(n.a, TCP_RST | TCP_ACK, NULL);
    g_assert_cmpuint(n_recycled(n.a), ==, 1);
    for (i = 0; i < G_N_ELEMENTS(fds); i++) {
        close(fds[i]);
    }
    networks_stop(&n);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/nat-quota/shared", test_shared);
    g_test_add_func("/nat-quota/descriptors", test_descriptors);
    return g_test_run();
}
