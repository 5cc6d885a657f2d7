/*
 * Ways of a TCP flow to each of its states, for tests
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_UNIT_NAT_STATES_H
#define TESTS_UNIT_NAT_STATES_H

#include "nat-tcp-paths.h"

static inline unsigned n_flows(Guest *g)
{
    NatStats stats;

    nat_stats(g->nat, &stats);
    return stats.tcp_flows;
}

/* ---- ways to a state; each returns the outside's end ---- */

static inline int to_syn_rcvd(Guest *g, int listener, uint16_t port)
{
    int fd;

    g->dport = port;
    guest_tcp(g, TCP_SYN, NULL, 0);
    guest_expect_tcp(g, TCP_SYN | TCP_ACK, NULL);
    fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    g_assert_cmpint(fd, >=, 0);
    return fd;
}

static inline int to_established(Guest *g, int listener, uint16_t port)
{
    return guest_connect(g, listener, port, 7, 1460);
}

static inline void guest_fin(Guest *g)
{
    guest_tcp(g, TCP_FIN | TCP_ACK, NULL, 0);
    guest_expect_tcp(g, TCP_ACK, NULL);
}

static inline int to_close_wait(Guest *g, int listener, uint16_t port)
{
    int fd = to_established(g, listener, port);

    guest_fin(g);
    return fd;
}

static inline int to_fin_wait_1(Guest *g, int listener, uint16_t port)
{
    int fd = to_established(g, listener, port);

    shutdown(fd, SHUT_WR);
    guest_expect_tcp(g, TCP_FIN | TCP_ACK, NULL);
    return fd;
}

static inline int to_fin_wait_2(Guest *g, int listener, uint16_t port)
{
    int fd = to_fin_wait_1(g, listener, port);

    g->ack++;
    guest_tcp(g, TCP_ACK, NULL, 0);
    return fd;
}

static inline int to_closing(Guest *g, int listener, uint16_t port)
{
    int fd = to_fin_wait_1(g, listener, port);

    guest_fin(g);
    return fd;
}

static inline int to_last_ack(Guest *g, int listener, uint16_t port)
{
    int fd = to_close_wait(g, listener, port);

    shutdown(fd, SHUT_WR);
    guest_expect_tcp(g, TCP_FIN | TCP_ACK, NULL);
    return fd;
}

static inline int to_time_wait(Guest *g, int listener, uint16_t port)
{
    int fd = to_fin_wait_2(g, listener, port);

    guest_fin(g);
    return fd;
}

#endif
