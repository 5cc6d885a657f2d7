/*
 * Runs each test of TCP on every path: IPv4 and IPv6, SO_PEEK_OFF and ring, and
 * with frames that the guest's port holds until its batch ends
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_UNIT_NAT_TCP_PATHS_H
#define TESTS_UNIT_NAT_TCP_PATHS_H

#include "nat-guest.h"

typedef struct TcpTest {
    const char *name;
    void (*func)(Guest *g);
} TcpTest;

static const struct {
    const char *name;
    GuestPath path;
} tcp_paths[] = {
    { "v4-peek", { .family = AF_INET } },
    { "v4-ring", { .family = AF_INET, .no_peek_off = true } },
    { "v6-peek", { .family = AF_INET6 } },
    { "v6-ring", { .family = AF_INET6, .no_peek_off = true } },
    { "v4-peek-held", { .family = AF_INET, .hold_frames = true } },
};

typedef struct TcpCase {
    const TcpTest *test;
    const GuestPath *path;
} TcpCase;

static inline void tcp_case_run(gconstpointer data)
{
    const TcpCase *c = data;
    g_autoptr(Guest) g = NULL;

    if (!c->path->no_peek_off && !nat_probe_peek_off(c->path->family)) {
        g_test_skip("no SO_PEEK_OFF on TCP: this kernel has the ring only");
        return;
    }
    g = guest_new(c->path);
    c->test->func(g);
}

static inline void tcp_tests_add(const char *area, const TcpTest *tests,
                                 unsigned n)
{
    unsigned i, j;

    for (i = 0; i < n; i++) {
        for (j = 0; j < G_N_ELEMENTS(tcp_paths); j++) {
            g_autofree char *name = g_strdup_printf("/%s/%s/%s", area,
                                                    tcp_paths[j].name,
                                                    tests[i].name);
            TcpCase *c = g_new(TcpCase, 1);

            *c = (TcpCase){ &tests[i], &tcp_paths[j].path };
            g_test_add_data_func_full(name, c, tcp_case_run, g_free);
        }
    }
}

static inline void fill(uint8_t *buf, size_t len)
{
    size_t i;

    for (i = 0; i < len; i++) {
        buf[i] = i * 7 + (i >> 8);
    }
}

#endif
