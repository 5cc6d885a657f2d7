/*
 * TCP data for a guest: its window, losses, timers, and room on its port
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "nat-tcp-paths.h"
#include "switch/offload.h"

/* ---- for the guest ---- */

static void test_bulk_respects_window(Guest *g)
{
    uint16_t port;
    int listener = outside_listen(g, &port);
    int fd;
    static uint8_t data[300000], got[sizeof(data)];
    size_t sent = 0, have = 0;
    ssize_t n;

    g->window = 40;                 /* times 256 */
    fd = guest_connect(g, listener, port, 8, 1460);
    fill(data, sizeof(data));
    fcntl(fd, F_SETFL, O_NONBLOCK);
    while (have < sizeof(data)) {
        size_t before = have, room = 40 * 256;

        n = write(fd, data + sent, sizeof(data) - sent);
        sent += MAX(n, 0);
        /* Everything that comes without an ACK fits into the window. */
        do {
            TcpHeader tcp;
            g_autoptr(GuestFrame) f = guest_get_tcp(g, &tcp);

            g_assert_cmpuint(tcp.payload_len, <=, 1460);
            g_assert_cmpuint(f->len, <=, 1514);
            g_assert_cmpuint(tcp.seq, ==, g->ack);
            g_assert_cmpuint(have - before + tcp.payload_len, <=, room);
            frame_peek(&f->frame, tcp.payload_off, got + have, tcp.payload_len);
            have += tcp.payload_len;
            g->ack += tcp.payload_len;
            guest_settle(g);
        } while (g->got.length);
        guest_tcp(g, TCP_ACK, NULL, 0);
    }
    g_assert_cmpmem(got, have, data, sizeof(data));
    close(fd);
    close(listener);
}

/* A frame to be cut by the guest is what the switch would let pass. */
static void check_uncut(Guest *g, GuestFrame *f, const TcpHeader *tcp)
{
    unsigned tso = g->family == AF_INET ? SWITCH_OFFLOAD_TSO4
                                        : SWITCH_OFFLOAD_TSO6;
    bool is_cut = tcp->payload_len > 1400;
    SwitchDrop reason;
    Offload offload;

    g_assert_true(offload_check(&f->frame, 1500, &offload, &reason));
    g_assert_cmphex(offload.needs, ==,
                    SWITCH_OFFLOAD_CSUM | (is_cut ? tso : 0));
    g_assert_cmpuint(offload.gso_size, ==, is_cut ? 1400 : 0);
}

/* A port that takes it gets 64 KiB at a time, or what it has room for. */
static void check_offloads(Guest *g, size_t room)
{
    uint16_t port;
    int listener = outside_listen(g, &port);
    int fd = guest_connect(g, listener, port, 8, 1400);
    static uint8_t data[1000000], got[sizeof(data)];
    size_t sent = 0, have = 0;
    uint32_t longest = 0;

    g->offloads = SWITCH_OFFLOAD_CSUM | SWITCH_OFFLOAD_TSO4 |
                  SWITCH_OFFLOAD_TSO6;
    fill(data, sizeof(data));
    fcntl(fd, F_SETFL, O_NONBLOCK);
    while (have < sizeof(data)) {
        ssize_t n = write(fd, data + sent, sizeof(data) - sent);

        sent += MAX(n, 0);
        g->room = room;
        nat_resume(g->nat, GUEST_PORT_ID, g->now_ms);
        guest_settle(g);
        if (!g->got.length) {
            guest_iterate(g);
        }
        while (g->got.length) {
            TcpHeader tcp;
            g_autoptr(GuestFrame) f = guest_get_tcp(g, &tcp);

            if (tcp.payload_len == 0) {
                continue;
            }
            check_uncut(g, f, &tcp);
            g_assert_cmpuint(tcp.seq, ==, g->ack);
            frame_peek(&f->frame, tcp.payload_off, got + have, tcp.payload_len);
            have += tcp.payload_len;
            g->ack += tcp.payload_len;
            longest = MAX(longest, tcp.payload_len);
        }
        guest_tcp(g, TCP_ACK, NULL, 0);
    }
    g_assert_cmpmem(got, have, data, sizeof(data));
    g_assert_cmpuint(longest, >, room < 65536 ? 1000 : 60000);
    close(fd);
    close(listener);
}

static void test_offloads(Guest *g)
{
    check_offloads(g, SIZE_MAX);
}

static void test_offloads_with_little_room(Guest *g)
{
    check_offloads(g, 20000);
}

static void test_in_flight_wakes_nobody(Guest *g)
{
    uint16_t port;
    int listener = outside_listen(g, &port);
    int fd = guest_connect(g, listener, port, 0, 1460);
    static uint8_t data[200000];
    unsigned calls;

    g->window = 0xffff;
    fcntl(fd, F_SETFL, O_NONBLOCK);
    g_assert_cmpint(write(fd, data, sizeof(data)), >, 0x10000);
    guest_iterate(g);
    guest_settle(g);
    calls = g->n_output_calls;
    g_assert_cmpuint(calls, >, 0);
    /* More data waits than the window takes: no event repeats itself. */
    g_assert_false(g_main_context_pending(g->context));
    g_assert_cmpuint(g->n_output_calls, ==, calls);
    close(fd);
    close(listener);
}

static void test_zero_window_is_probed(Guest *g)
{
    uint16_t port;
    int listener = outside_listen(g, &port);
    int fd = guest_connect(g, listener, port, 0, 1460);
    TcpHeader tcp;
    char buf[4];
    unsigned i;

    g->window = 0;
    guest_tcp(g, TCP_ACK, "x", 1);
    guest_expect_tcp(g, TCP_ACK, NULL);
    g_assert_cmpint(write(fd, "data", 4), ==, 4);
    guest_iterate(g);
    guest_expect_nothing(g);
    /* For as long as it answers: far longer than retries would last. */
    for (i = 0; i < 30; i++) {
        guest_advance(g, 60 * 1000);
        while (g->got.length) {
            guest_expect_tcp(g, TCP_ACK, &tcp);
            g_assert_cmpuint(tcp.seq, ==, g->ack - 1);
            guest_tcp(g, TCP_ACK, NULL, 0);
        }
    }
    g->window = 100;
    guest_tcp(g, TCP_ACK, NULL, 0);
    guest_take(g, buf, 4, true);
    g_assert_cmpmem(buf, 4, "data", 4);
    close(fd);
    close(listener);
}

static void test_fast_retransmit(Guest *g)
{
    uint16_t port;
    int listener = outside_listen(g, &port);
    int fd = guest_connect(g, listener, port, 7, 1000);
    static uint8_t data[10000];
    uint32_t base = g->ack;
    TcpHeader tcp;
    NatStats stats;
    unsigned i;

    fill(data, sizeof(data));
    g_assert_cmpint(write(fd, data, sizeof(data)), ==, sizeof(data));
    for (i = 0; i < 10; i++) {
        guest_expect_tcp(g, TCP_ACK | (i == 9 ? TCP_PSH : 0), &tcp);
        g_assert_cmpuint(tcp.seq, ==, base + 1000 * i);
    }
    /* Segments 2 and 5 were lost; the others the guest has kept. */
    g->ack = base + 2000;
    guest_tcp(g, TCP_ACK, NULL, 0);
    guest_expect_nothing(g);
    for (i = 0; i < 3; i++) {
        guest_expect_nothing(g);
        guest_tcp(g, TCP_ACK, NULL, 0);
    }
    {
        g_autoptr(GuestFrame) f = guest_get_tcp(g, &tcp);

        g_assert_cmpuint(tcp.seq, ==, base + 2000);
        g_assert_cmpuint(tcp.payload_len, ==, 1000);
        g_assert_cmpmem(f->data + tcp.payload_off, 1000, data + 2000, 1000);
    }
    guest_tcp(g, TCP_ACK, NULL, 0);             /* a fourth changes nothing */
    guest_expect_nothing(g);
    g->ack = base + 5000;                       /* partial */
    guest_tcp(g, TCP_ACK, NULL, 0);
    {
        g_autoptr(GuestFrame) f = guest_get_tcp(g, &tcp);

        g_assert_cmpuint(tcp.seq, ==, base + 5000);
        g_assert_cmpmem(f->data + tcp.payload_off, 1000, data + 5000, 1000);
    }
    g->ack = base + 10000;
    guest_tcp(g, TCP_ACK, NULL, 0);
    guest_expect_nothing(g);
    nat_stats(g->nat, &stats);
    g_assert_cmpuint(stats.retransmits, ==, 2);
    /* And the stream goes on where it was. */
    g_assert_cmpint(write(fd, data, 5), ==, 5);
    guest_expect_tcp(g, TCP_ACK | TCP_PSH, &tcp);
    g_assert_cmpuint(tcp.seq, ==, g->ack);
    close(fd);
    close(listener);
}

static void test_timeout(Guest *g)
{
    uint16_t port;
    int listener = outside_listen(g, &port);
    int fd = guest_connect(g, listener, port, 7, 1000);
    static uint8_t data[5000], got[5000];
    uint32_t base = g->ack;
    unsigned i;
    TcpHeader tcp;

    fill(data, sizeof(data));
    g_assert_cmpint(write(fd, data, sizeof(data)), ==, sizeof(data));
    for (i = 0; i < 5; i++) {
        g_autoptr(GuestFrame) f = guest_get(g);
    }
    /* All were lost.  It begins again with one, and doubles. */
    guest_advance(g, 250);
    guest_expect_tcp(g, TCP_ACK | TCP_PSH, &tcp);
    g_assert_cmpuint(tcp.seq, ==, base);
    g_assert_cmpuint(tcp.payload_len, ==, 1000);
    guest_expect_nothing(g);
    guest_advance(g, 450);                     /* and waits twice as long */
    guest_expect_tcp(g, TCP_ACK | TCP_PSH, &tcp);
    g_assert_cmpuint(tcp.seq, ==, base);
    g->ack = base + 1000;
    guest_tcp(g, TCP_ACK, NULL, 0);
    guest_take(g, got + 1000, 4000, true);
    g_assert_cmpmem(got + 1000, 4000, data + 1000, 4000);
    guest_expect_nothing(g);
    close(fd);
    close(listener);
}

static void test_silent_guest_is_given_up(Guest *g)
{
    uint16_t port;
    int listener = outside_listen(g, &port);
    int fd = guest_connect(g, listener, port, 7, 1000);
    NatStats stats;
    char c;

    g_assert_cmpint(write(fd, "x", 1), ==, 1);
    guest_iterate(g);
    guest_advance(g, 20 * 60 * 1000);
    nat_stats(g->nat, &stats);
    g_assert_cmpuint(stats.tcp_flows, ==, 0);
    g_assert_cmpint(read(fd, &c, 1), ==, -1);
    close(fd);
    close(listener);
}

static void test_fin_is_repeated(Guest *g)
{
    uint16_t port;
    int listener = outside_listen(g, &port);
    int fd = guest_connect(g, listener, port, 7, 1460);
    TcpHeader tcp;

    g_assert_cmpint(write(fd, "bye", 3), ==, 3);
    close(fd);
    guest_expect_tcp(g, TCP_FIN | TCP_PSH | TCP_ACK, &tcp);
    g_assert_cmpuint(tcp.seq, ==, g->ack);
    g_assert_cmpuint(tcp.payload_len, ==, 3);
    /* The guest had room for the data, and none for the FIN. */
    g->ack += 3;
    guest_tcp(g, TCP_ACK, NULL, 0);
    guest_advance(g, 250);
    guest_expect_tcp(g, TCP_FIN | TCP_ACK, &tcp);
    g_assert_cmpuint(tcp.seq, ==, g->ack);
    g->ack++;
    guest_tcp(g, TCP_FIN | TCP_ACK, NULL, 0);
    guest_expect_tcp(g, TCP_ACK, &tcp);
    close(listener);
}

static void test_both_lost_data_and_fin(Guest *g)
{
    uint16_t port;
    int listener = outside_listen(g, &port);
    int fd = guest_connect(g, listener, port, 7, 1460);
    TcpHeader tcp;
    char buf[3];

    g_assert_cmpint(write(fd, "bye", 3), ==, 3);
    close(fd);
    guest_expect_tcp(g, TCP_FIN | TCP_PSH | TCP_ACK, NULL);
    guest_advance(g, 1000);
    {
        g_autoptr(GuestFrame) f = guest_get_tcp(g, &tcp);

        g_assert_cmphex(tcp.flags, ==, TCP_FIN | TCP_PSH | TCP_ACK);
        g_assert_cmpuint(tcp.seq, ==, g->ack);
        frame_peek(&f->frame, tcp.payload_off, buf, 3);
        g_assert_cmpmem(buf, tcp.payload_len, "bye", 3);
    }
    g->ack += 4;
    guest_tcp(g, TCP_ACK, NULL, 0);
    g_assert_cmpstr(g->state, ==, "fin-wait-2");
    close(listener);
}

static void test_syn_ack_is_repeated(Guest *g)
{
    uint16_t port;
    int listener = outside_listen(g, &port), fd;
    TcpHeader first, tcp;
    NatStats stats;
    char c;

    g->dport = port;
    guest_tcp(g, TCP_SYN, NULL, 0);
    guest_expect_tcp(g, TCP_SYN | TCP_ACK, &first);
    guest_advance(g, 1000);
    guest_expect_tcp(g, TCP_SYN | TCP_ACK, &tcp);
    g_assert_cmpuint(tcp.seq, ==, first.seq);
    /* The guest's SYN again: the same answer. */
    g->seq--;
    guest_tcp(g, TCP_SYN, NULL, 0);
    guest_expect_tcp(g, TCP_SYN | TCP_ACK, &tcp);
    g_assert_cmpuint(tcp.seq, ==, first.seq);
    /* Half open for 30 s and no longer. */
    guest_advance(g, 31 * 1000);
    nat_stats(g->nat, &stats);
    g_assert_cmpuint(stats.tcp_flows, ==, 0);
    fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    g_assert_cmpint(read(fd, &c, 1), ==, -1);
    g_assert_cmpint(errno, ==, ECONNRESET);
    close(fd);
    close(listener);
}

/* ---- room ---- */

static void test_no_room_no_loss(Guest *g)
{
    uint16_t port;
    int listener = outside_listen(g, &port);
    int fd = guest_connect(g, listener, port, 7, 1460);
    static uint8_t data[50000], got[sizeof(data)];
    size_t have = 0;

    fill(data, sizeof(data));
    g->room = 0;
    g_assert_cmpint(write(fd, data, sizeof(data)), ==, sizeof(data));
    guest_iterate(g);
    guest_expect_nothing(g);
    while (have < sizeof(data)) {
        g->room = 5000;
        nat_resume(g->nat, GUEST_PORT_ID, g->now_ms);
        g_assert_cmpuint(g->got.length, >, 0);
        while (g->got.length) {
            TcpHeader tcp;
            g_autoptr(GuestFrame) f = guest_get_tcp(g, &tcp);

            g_assert_cmpuint(tcp.seq, ==, g->ack);
            frame_peek(&f->frame, tcp.payload_off, got + have, tcp.payload_len);
            have += tcp.payload_len;
            g->ack += tcp.payload_len;
        }
        g->room = 0;
        guest_tcp(g, TCP_ACK, NULL, 0);
    }
    g_assert_cmpmem(got, have, data, sizeof(data));
    close(fd);
    close(listener);
}

/* Two flows of one guest: the room goes to both in turn. */
static void test_room_is_shared(Guest *g)
{
    uint16_t port;
    int listener = outside_listen(g, &port), fd[2], i, count[2] = { 0 };
    static uint8_t data[60000];

    for (i = 0; i < 2; i++) {
        g->sport = 40000 + i;
        fd[i] = guest_connect(g, listener, port, 7, 1460);
    }
    g->room = 0;
    for (i = 0; i < 2; i++) {
        g_assert_cmpint(write(fd[i], data, sizeof(data)), ==, sizeof(data));
    }
    guest_iterate(g);
    guest_settle(g);
    for (i = 0; i < 10; i++) {
        g->room = 3200;
        nat_resume(g->nat, GUEST_PORT_ID, g->now_ms);
        while (g->got.length) {
            TcpHeader tcp;
            g_autoptr(GuestFrame) f = guest_get_tcp(g, &tcp);

            count[tcp.dport - 40000]++;
        }
    }
    g_assert_cmpint(count[0] + count[1], ==, 20);
    g_assert_cmpint(ABS(count[0] - count[1]), <=, 2);
    for (i = 0; i < 2; i++) {
        close(fd[i]);
    }
    close(listener);
}

static const TcpTest tests[] = {
    { "bulk-respects-window", test_bulk_respects_window },
    { "offloads", test_offloads },
    { "offloads-with-little-room", test_offloads_with_little_room },
    { "in-flight-wakes-nobody", test_in_flight_wakes_nobody },
    { "zero-window-is-probed", test_zero_window_is_probed },
    { "fast-retransmit", test_fast_retransmit },
    { "timeout", test_timeout },
    { "silent-guest-is-given-up", test_silent_guest_is_given_up },
    { "fin-is-repeated", test_fin_is_repeated },
    { "both-lost-data-and-fin", test_both_lost_data_and_fin },
    { "syn-ack-is-repeated", test_syn_ack_is_repeated },
    { "no-room-no-loss", test_no_room_no_loss },
    { "room-is-shared", test_room_is_shared },
};

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    tcp_tests_add("nat-tcp-receive", tests, G_N_ELEMENTS(tests));
    return g_test_run();
}
