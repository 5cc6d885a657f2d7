/*
 * Data for a guest that tells what it has behind holes
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "nat-tcp-paths.h"
#include <netinet/tcp.h>

#define MSS 1000
#define PIECES 500
/* NAT asks again before (RFC 6298 2.5); what it waits for later is the end. */
#define RTO_MAX_MS (60 * 1000)

static uint8_t data[PIECES * MSS];

/* A connection whose guest understands SACK. */
static int connect_sack(Guest *g, int listener, uint16_t port)
{
    TcpHeader syn, tcp;
    int fd;

    g->dport = port;
    syn = guest_tcp_header(g, TCP_SYN);
    syn.mss = MSS;
    syn.has_wscale = syn.sack_permitted = true;
    syn.wscale = 8;
    g_assert_cmpint(guest_tcp_raw(g, &syn, NULL, 0), ==, NAT_OK);
    g->seq++;
    guest_flush(g);
    guest_expect_tcp(g, TCP_SYN | TCP_ACK, &tcp);
    g_assert_true(tcp.sack_permitted);
    g->ack = tcp.seq + 1;
    guest_tcp(g, TCP_ACK, NULL, 0);
    fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    g_assert_cmpint(fd, >=, 0);
    return fd;
}

static void send_sack(Guest *g, const TcpBlock *blocks, unsigned n)
{
    TcpHeader tcp = guest_tcp_header(g, TCP_ACK);

    tcp.n_sack = n;
    memcpy(tcp.sack, blocks, n * sizeof(*blocks));
    g_assert_cmpint(guest_tcp_raw(g, &tcp, NULL, 0), ==, NAT_OK);
    guest_flush(g);
}

static void drop_all(Guest *g)
{
    guest_settle(g);
    g_queue_clear_full(&g->got, (GDestroyNotify)guest_frame_free);
}

static unsigned n_retransmits(Guest *g)
{
    NatStats stats;

    nat_stats(g->nat, &stats);
    return stats.retransmits;
}

/* Take @n segments; the numbers of their pieces of @data are checked. */
static void expect_pieces(Guest *g, uint32_t base, const unsigned *pieces,
                          unsigned n)
{
    unsigned i;

    for (i = 0; i < n; i++) {
        TcpHeader tcp;
        g_autoptr(GuestFrame) f = guest_get_tcp(g, &tcp);

        g_assert_cmpuint(tcp.seq - base, ==, pieces[i] * MSS);
        g_assert_cmpmem(f->data + tcp.payload_off, tcp.payload_len,
                        data + pieces[i] * MSS, MSS);
    }
}

/* @n pieces are on their way, none acknowledged. */
static uint32_t send_pieces(Guest *g, int fd, unsigned n)
{
    uint32_t base = g->ack;
    unsigned i;

    g_assert_cmpint(write(fd, data, n * MSS), ==, n * MSS);
    for (i = 0; i < n; i++) {
        expect_pieces(g, base, &i, 1);
    }
    return base;
}

static void test_holes(Guest *g)
{
    static const unsigned lost[] = { 2, 3, 6 };
    uint16_t port;
    int listener = outside_listen(g, &port);
    int fd = connect_sack(g, listener, port);
    uint32_t base = send_pieces(g, fd, 10);
    TcpBlock blocks[] = {
        { base + 7 * MSS, base + 10 * MSS }, { base + 4 * MSS, base + 6 * MSS },
    };

    /* Two segments behind a hole may have overtaken it. */
    g->ack = base + 2 * MSS;
    send_sack(g, &blocks[1], 1);
    guest_expect_nothing(g);
    /* More have not: both holes at once, and once only. */
    send_sack(g, blocks, 2);
    expect_pieces(g, base, lost, 3);
    send_sack(g, blocks, 2);
    guest_expect_nothing(g);
    /* The first has come; the others are on their way. */
    g->ack = base + 6 * MSS;
    send_sack(g, blocks, 1);
    guest_expect_nothing(g);
    g->ack = base + 10 * MSS;
    guest_tcp(g, TCP_ACK, NULL, 0);
    guest_expect_nothing(g);
    g_assert_cmpuint(n_retransmits(g), ==, 3);
    send_pieces(g, fd, 3);
    close(fd);
    close(listener);
}

/* The repetition is lost as well: a round later, long before the timeout. */
static void test_lost_again(Guest *g)
{
    static const unsigned lost[] = { 2, 6 };
    uint16_t port;
    int listener = outside_listen(g, &port);
    int fd = connect_sack(g, listener, port);
    uint32_t base = send_pieces(g, fd, 10);
    TcpBlock blocks[] = {
        { base + 7 * MSS, base + 10 * MSS }, { base + 3 * MSS, base + 6 * MSS },
    };
    unsigned i;

    g->ack = base + 2 * MSS;
    send_sack(g, blocks, 2);
    for (i = 0; i < 3; i++) {
        expect_pieces(g, base, lost, 2);
        guest_expect_nothing(g);
        guest_advance(g, 25);
    }
    /* Until the real timeout says that the guest may have forgotten it all. */
    guest_advance(g, 2000);
    drop_all(g);
    guest_advance(g, 4000);
    g_assert_cmpuint(g->got.length, ==, 1);
    expect_pieces(g, base, lost, 1);
    g->ack += MSS;
    guest_tcp(g, TCP_ACK, NULL, 0);
    for (i = 3; i < 5; i++) {
        expect_pieces(g, base, &i, 1);
    }
    close(fd);
    close(listener);
}

/* What was never sent, or is acknowledged, or is upside down. */
static void test_lies(Guest *g)
{
    uint16_t port;
    int listener = outside_listen(g, &port);
    int fd = connect_sack(g, listener, port);
    uint32_t base = send_pieces(g, fd, 10);
    const TcpBlock lies[] = {
        { base + 3 * MSS, base + 10 * MSS + 1 },
        { base + 20 * MSS, base + 30 * MSS },
        { base - 5 * MSS, base - 1 },
        { base + 8 * MSS, base + 4 * MSS },
        { base + 0x80000000u, base + 0x80000001u },
        { base, base },
    };
    uint8_t buf[20 * MSS];
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(lies); i++) {
        g->window--;            /* lest these be duplicate ACKs */
        send_sack(g, &lies[i], 1);
        guest_expect_nothing(g);
    }
    /* Said to be there, never acknowledged: it is sent all the same. */
    send_sack(g, &(TcpBlock){ base, base + 10 * MSS }, 1);
    drop_all(g);
    guest_advance(g, 10 * 1000);
    g_assert_cmpuint(g->got.length, >, 0);
    g_assert_cmpint(write(fd, data + 10 * MSS, 10 * MSS), ==, 10 * MSS);
    while (g->got.length) {
        TcpHeader tcp;
        g_autoptr(GuestFrame) f = g_queue_pop_head(&g->got);

        g_assert_true(tcp_parse(&f->frame, &f->ip, &tcp));
        g_assert_cmpuint(tcp.seq, ==, base);
    }
    g->ack = base + MSS;
    memcpy(buf, data, MSS);
    guest_tcp(g, TCP_ACK, NULL, 0);
    guest_take(g, buf + MSS, 19 * MSS, true);
    g_assert_cmpmem(buf, sizeof(buf), data, sizeof(buf));
    close(fd);
    close(listener);
}

/* A FIN that is lost behind data that is lost. */
static void test_fin(Guest *g)
{
    static const unsigned lost[] = { 1 };
    uint16_t port;
    int listener = outside_listen(g, &port);
    int fd = connect_sack(g, listener, port);
    uint32_t base = send_pieces(g, fd, 6);

    close(fd);
    guest_expect_tcp(g, TCP_FIN | TCP_ACK, NULL);
    g->ack = base + MSS;
    send_sack(g, &(TcpBlock){ base + 2 * MSS, base + 6 * MSS }, 1);
    expect_pieces(g, base, lost, 1);
    g->ack = base + 6 * MSS;
    guest_tcp(g, TCP_ACK, NULL, 0);
    guest_expect_tcp(g, TCP_FIN | TCP_ACK, NULL);
    g->ack++;
    guest_tcp(g, TCP_ACK, NULL, 0);
    g_assert_cmpstr(g->state, ==, "fin-wait-2");
    close(listener);
}

/* ---- a guest that loses segments by dice ---- */

typedef struct Receiver {
    bool have[PIECES * MSS];
    unsigned next;              /* the first byte that is missing */
    uint32_t base;
    GRand *dice;
    double loss;
} Receiver;

/* Up to three blocks: around @newest, and those before it. */
static unsigned receiver_blocks(const Receiver *r, unsigned newest,
                                TcpBlock blocks[3])
{
    unsigned first, end, n = 0, at = newest;

    while (n < 3 && at > r->next && r->have[at]) {
        for (first = at; r->have[first - 1]; first--) {
            /* its beginning */
        }
        for (end = at; end < sizeof(data) && r->have[end]; end++) {
            /* its end */
        }
        blocks[n++] = (TcpBlock){ r->base + first, r->base + end };
        for (at = first - 1; at > r->next && !r->have[at]; at--) {
            /* the block before */
        }
    }
    return n;
}

static void receiver_get(Receiver *r, Guest *g, GuestFrame *f)
{
    TcpBlock blocks[3];
    TcpHeader tcp;
    unsigned at, n;

    g_assert_true(tcp_parse(&f->frame, &f->ip, &tcp));
    at = tcp.seq - r->base;
    if (tcp.payload_len == 0 || g_rand_double(r->dice) < r->loss) {
        return;
    }
    g_assert_cmpuint(at + tcp.payload_len, <=, sizeof(data));
    g_assert_cmpmem(f->data + tcp.payload_off, tcp.payload_len,
                    data + at, tcp.payload_len);
    memset(r->have + at, true, tcp.payload_len);
    while (r->next < sizeof(data) && r->have[r->next]) {
        r->next++;
    }
    g->ack = r->base + r->next;
    n = receiver_blocks(r, at, blocks);
    if (g_rand_double(r->dice) >= r->loss) {
        send_sack(g, blocks, n);
    }
}

/*
 * Time passes where NAT waits for the guest.  Where it does not, the kernel has
 * not yet brought what was written: it takes the time that it needs.
 */
static void wait_or_advance(Guest *g, bool has_come)
{
    if (!has_come && (g->deadline_ms < 0 ||
                      g->deadline_ms > g->now_ms + RTO_MAX_MS)) {
        guest_iterate(g);
    } else {
        guest_advance(g, 1);
    }
}

/* A fifth is lost, both ways: nothing is missing, little is repeated twice. */
static void test_dice(Guest *g)
{
    uint16_t port;
    int listener = outside_listen(g, &port);
    int fd = connect_sack(g, listener, port);
    static const int one = 1;
    static Receiver r;
    unsigned sent = 0;
    int64_t begin_ms = g->now_ms;

    r = (Receiver){ .base = g->ack, .loss = 0.2 };
    r.dice = g_rand_new_with_seed(7);
    /* The kernel's own timers know nothing of the test's time. */
    g_assert_cmpint(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one,
                               sizeof(one)), ==, 0);
    while (r.next < sizeof(data)) {
        unsigned before = r.next;
        GuestFrame *f;

        for (; sent < MIN(r.next + 60 * MSS, sizeof(data)); sent += MSS) {
            g_assert_cmpint(write(fd, data + sent, MSS), ==, MSS);
        }
        guest_settle(g);
        while ((f = g_queue_pop_head(&g->got))) {
            receiver_get(&r, g, f);
            guest_frame_free(f);
        }
        wait_or_advance(g, r.next != before);
        g_assert_cmpint(g->now_ms - begin_ms, <, 20 * 1000);
    }
    g_assert_cmpuint(n_retransmits(g), <, PIECES);
    g_rand_free(r.dice);
    close(fd);
    close(listener);
}

static const TcpTest tests[] = {
    { "holes", test_holes },
    { "lost-again", test_lost_again },
    { "lies", test_lies },
    { "fin", test_fin },
    { "dice", test_dice },
};

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    fill(data, sizeof(data));
    tcp_tests_add("nat-sack", tests, G_N_ELEMENTS(tests));
    return g_test_run();
}
