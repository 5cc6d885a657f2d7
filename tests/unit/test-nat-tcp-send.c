/*
 * TCP data that a guest sends: order, holes, acknowledgements, the window it is told
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "nat-tcp-paths.h"

/* ---- from the guest ---- */

static void test_order(Guest *g)
{
    uint16_t port;
    int listener = outside_listen(g, &port);
    int fd = guest_connect(g, listener, port, 7, 1460);
    uint32_t seq = g->seq;
    TcpHeader tcp;
    char buf[16];

    /* A hole: asked for, what is behind it is kept. */
    g->seq = seq + 4;
    guest_tcp(g, TCP_ACK, "5678", 4);
    guest_expect_tcp(g, TCP_ACK, &tcp);
    g_assert_cmpuint(tcp.ack, ==, seq);
    g->seq = seq;
    guest_tcp(g, TCP_ACK, "1234", 4);
    guest_expect_tcp(g, TCP_ACK, &tcp);
    g_assert_cmpuint(tcp.ack, ==, seq + 8);
    guest_expect_nothing(g);
    /* Overlap: trimmed. */
    g->seq = seq + 6;
    guest_tcp(g, TCP_ACK, "789a", 4);
    guest_expect_tcp(g, TCP_ACK, &tcp);
    g_assert_cmpuint(tcp.ack, ==, seq + 10);
    /* Old: acknowledged once more. */
    g->seq = seq;
    guest_tcp(g, TCP_ACK, "1234", 4);
    guest_expect_tcp(g, TCP_ACK, &tcp);
    g_assert_cmpuint(tcp.ack, ==, seq + 10);
    outside_read(fd, buf, 10);
    g_assert_cmpmem(buf, 10, "123456789a", 10);
    /* Keepalive (RFC 1122 4.2.3.6): one below, empty. */
    g->seq = seq + 9;
    guest_tcp(g, TCP_ACK, NULL, 0);
    guest_expect_tcp(g, TCP_ACK, &tcp);
    g_assert_cmpuint(tcp.ack, ==, seq + 10);
    close(fd);
    close(listener);
}

/* Pieces in any order, overlapping, with the FIN first: all of it, once. */
static void test_holes(Guest *g)
{
    uint16_t port;
    int listener = outside_listen(g, &port);
    int fd = guest_connect(g, listener, port, 7, 1460);
    static const struct {
        unsigned off, len;
    } pieces[] = {
        { 7000, 500 }, { 1000, 1000 }, { 5000, 1000 }, { 1500, 1000 },
        { 2200, 100 }, { 4000, 1400 }, { 1000, 1000 }, { 6000, 1000 },
        { 3000, 1000 }, { 2500, 600 }, { 0, 1000 },
    };
    static uint8_t data[7500], got[sizeof(data)];
    uint32_t seq = g->seq;
    TcpHeader tcp;
    unsigned i;
    char c;

    fill(data, sizeof(data));
    g->seq = seq + sizeof(data);
    guest_tcp(g, TCP_FIN | TCP_ACK, NULL, 0);
    for (i = 0; i < G_N_ELEMENTS(pieces); i++) {
        g->seq = seq + pieces[i].off;
        guest_tcp(g, TCP_ACK, data + pieces[i].off, pieces[i].len);
    }
    do {
        guest_expect_tcp(g, TCP_ACK, &tcp);
    } while (g->got.length);
    g_assert_cmpuint(tcp.ack, ==, seq + sizeof(data) + 1);
    outside_read(fd, got, sizeof(got));
    g_assert_cmpmem(got, sizeof(got), data, sizeof(data));
    g_assert_cmpint(read(fd, &c, 1), ==, 0);
    close(fd);
    close(listener);
}

/* The first @n words of the SACK option of @f; false: there is none. */
static bool sack_of(const GuestFrame *f, const TcpHeader *tcp,
                    uint32_t *ret_words, unsigned n)
{
    const uint8_t *p = f->data + f->ip.l4_off + TCP_HEADER_MIN;
    unsigned i;

    if (tcp->data_off != TCP_HEADER_MIN + 4 + 4 * n || p[2] != 5) {
        return false;
    }
    g_assert_cmpuint(p[3], ==, 2 + 4 * n);
    for (i = 0; i < n; i++) {
        memcpy(&ret_words[i], p + 4 + 4 * i, 4);
        ret_words[i] = g_ntohl(ret_words[i]);
    }
    return true;
}

/* RFC 2018: what is behind holes is told, the newest first. */
static void test_sack(Guest *g)
{
    uint16_t port;
    int listener = outside_listen(g, &port), fd;
    TcpHeader syn, tcp;
    uint32_t seq, blocks[4];
    unsigned i;

    g->dport = port;
    syn = guest_tcp_header(g, TCP_SYN);
    syn.sack_permitted = true;
    guest_tcp_raw(g, &syn, NULL, 0);
    g->seq++;
    guest_flush(g);
    guest_expect_tcp(g, TCP_SYN | TCP_ACK, &tcp);
    g_assert_true(tcp.sack_permitted);
    g->ack = tcp.seq + 1;
    guest_tcp(g, TCP_ACK, NULL, 0);
    fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    seq = g->seq;
    for (i = 0; i < 3; i++) {
        static const unsigned offs[] = { 10, 30, 40 };

        g->seq = seq + offs[i];
        guest_tcp(g, TCP_ACK, "0123456789", 10);
    }
    guest_expect_tcp(g, TCP_ACK, NULL);
    guest_expect_tcp(g, TCP_ACK, NULL);
    {
        g_autoptr(GuestFrame) f = guest_get_tcp(g, &tcp);

        g_assert_true(sack_of(f, &tcp, blocks, 4));
        g_assert_cmpuint(blocks[0], ==, seq + 30);
        g_assert_cmpuint(blocks[1], ==, seq + 50);
        g_assert_cmpuint(blocks[2], ==, seq + 10);
        g_assert_cmpuint(blocks[3], ==, seq + 20);
    }
    g->seq = seq;
    guest_tcp(g, TCP_ACK, "0123456789", 10);
    {
        g_autoptr(GuestFrame) f = guest_get_tcp(g, &tcp);

        g_assert_cmpuint(tcp.ack, ==, seq + 20);
        g_assert_true(sack_of(f, &tcp, blocks, 2));
        g_assert_cmpuint(blocks[0], ==, seq + 30);
    }
    g->seq = seq + 20;
    guest_tcp(g, TCP_ACK, "0123456789", 10);
    guest_expect_tcp(g, TCP_ACK, &tcp);
    g_assert_cmpuint(tcp.ack, ==, seq + 50);
    g_assert_cmpuint(tcp.data_off, ==, TCP_HEADER_MIN);
    close(fd);
    close(listener);
}

/* Three segments behind a hole make three duplicate ACKs, in one batch too. */
static void test_duplicate_acks(Guest *g)
{
    uint16_t port;
    int listener = outside_listen(g, &port);
    int fd = guest_connect(g, listener, port, 7, 1460);
    TcpHeader tcp = guest_tcp_header(g, TCP_ACK), reply;
    unsigned i;

    for (i = 0; i < 5; i++) {
        tcp.seq += 1;
        g_assert_cmpint(guest_tcp_raw(g, &tcp, "x", 1), ==, NAT_OK);
    }
    guest_flush(g);
    for (i = 0; i < 3; i++) {
        guest_expect_tcp(g, TCP_ACK, &reply);
        g_assert_cmpuint(reply.ack, ==, g->seq);
    }
    guest_expect_nothing(g);
    close(fd);
    close(listener);
}

/* A stream of full segments is acknowledged in pairs, later in eights. */
static void test_stream_shares_acks(Guest *g)
{
    uint16_t port;
    int listener = outside_listen(g, &port);
    int fd = guest_connect(g, listener, port, 7, 1460);
    static uint8_t data[1460], got[1460];
    unsigned i, n_acks = 0, early = 0;
    TcpHeader tcp;

    for (i = 0; i < 200; i++) {
        guest_tcp(g, TCP_ACK, data, sizeof(data));
        n_acks += g->got.length;
        g_queue_clear_full(&g->got, (GDestroyNotify)guest_frame_free);
        early = i == 79 ? n_acks : early;
        outside_read(fd, got, sizeof(got));
    }
    g_assert_cmpuint(early, ==, 40);
    g_assert_cmpuint(n_acks, <, 40 + 30);
    g_assert_cmpuint(n_acks, >=, 40 + 14);
    /* The end of a write is acknowledged at once. */
    guest_tcp(g, TCP_ACK | TCP_PSH, data, sizeof(data));
    guest_expect_tcp(g, TCP_ACK, &tcp);
    g_assert_cmpuint(tcp.ack, ==, g->seq);
    /* One that is alone is not forgotten, and begins slowly again. */
    guest_tcp(g, TCP_ACK, data, sizeof(data));
    guest_expect_nothing(g);
    guest_advance(g, 4);
    guest_expect_tcp(g, TCP_ACK, &tcp);
    g_assert_cmpuint(tcp.ack, ==, g->seq);
    guest_tcp(g, TCP_ACK, data, sizeof(data));
    guest_expect_nothing(g);
    guest_tcp(g, TCP_ACK, data, sizeof(data));
    guest_expect_tcp(g, TCP_ACK, &tcp);
    /* Ends of writes. */
    guest_tcp(g, TCP_ACK, data, 100);
    guest_expect_tcp(g, TCP_ACK, &tcp);
    guest_tcp(g, TCP_ACK | TCP_PSH, data, sizeof(data));
    guest_expect_tcp(g, TCP_ACK, &tcp);
    close(fd);
    close(listener);
}

/* Returns: ACKs that came since it was asked last. */
static unsigned count_acks(Guest *g)
{
    unsigned n = g->got.length;

    g_queue_clear_full(&g->got, (GDestroyNotify)guest_frame_free);
    return n;
}

/* Writes of 128 KiB in large segments: in a stream, their ends share as well. */
static void test_large_writes_share_acks(Guest *g)
{
    uint16_t port;
    int listener = outside_listen(g, &port);
    int fd = guest_connect(g, listener, port, 7, 61440);
    static uint8_t data[61440], got[2 * 61440 + 8192];
    unsigned i, n_acks = 0;
    TcpHeader tcp;

    for (i = 0; i < 40; i++) {
        if (i == 20) {
            n_acks = 0;
        }
        guest_tcp(g, TCP_ACK, data, sizeof(data));
        guest_tcp(g, TCP_ACK, data, sizeof(data));
        guest_tcp(g, TCP_ACK | TCP_PSH, data, 8192);
        n_acks += count_acks(g);
        outside_read(fd, got, sizeof(got));
    }
    g_assert_cmpuint(n_acks, >=, 8);
    g_assert_cmpuint(n_acks, <=, 12);
    /* The last one is not forgotten. */
    guest_tcp(g, TCP_ACK | TCP_PSH, data, 100);
    guest_advance(g, 4);
    guest_expect_tcp(g, TCP_ACK, &tcp);
    g_assert_cmpuint(tcp.ack, ==, g->seq);
    close(fd);
    close(listener);
}

/* A guest that has only three segments in flight seldom waits for the timer. */
static void test_short_flight_seldom_waits(Guest *g)
{
    uint16_t port;
    int listener = outside_listen(g, &port);
    int fd = guest_connect(g, listener, port, 7, 1460);
    static uint8_t data[1460], got[3 * 1460];
    unsigned i, j, n_waits = 0;

    for (i = 0; i < 1000; i++) {
        for (j = 0; j < 3; j++) {
            guest_tcp(g, TCP_ACK, data, sizeof(data));
        }
        outside_read(fd, got, sizeof(got));
        if (!count_acks(g)) {
            guest_advance(g, 4);
            g_assert_cmpuint(count_acks(g), ==, 1);
            n_waits++;
        }
    }
    g_assert_cmpuint(n_waits, >=, 1);
    g_assert_cmpuint(n_waits, <=, 6);
    close(fd);
    close(listener);
}

/* A pause makes the timer send an ACK: the stream behind it is one again. */
static void test_pauses_cost_little(Guest *g)
{
    uint16_t port;
    int listener = outside_listen(g, &port);
    int fd = guest_connect(g, listener, port, 7, 61440);
    static uint8_t data[61440], got[61440];
    unsigned i, j, n_acks = 0;

    for (i = 0; i < 8; i++) {
        n_acks = 0;
        for (j = 0; j < 33; j++) {
            guest_tcp(g, TCP_ACK, data, sizeof(data));
            n_acks += count_acks(g);
            outside_read(fd, got, sizeof(got));
        }
        guest_advance(g, 4);
        g_assert_cmpuint(count_acks(g), ==, 1);
    }
    g_assert_cmpuint(n_acks, >=, 7);
    g_assert_cmpuint(n_acks, <=, 8);
    close(fd);
    close(listener);
}

static void test_batch_has_one_ack(Guest *g)
{
    uint16_t port;
    int listener = outside_listen(g, &port);
    int fd = guest_connect(g, listener, port, 7, 1460);
    TcpHeader tcp = guest_tcp_header(g, TCP_ACK), reply;
    static uint8_t data[64][1000], got[64 * 1000];
    static uint8_t frames[64][TCP_HEADROOM + 1000];
    unsigned i;

    fill(data[0], sizeof(data));
    for (i = 0; i < 64; i++) {
        IpHeaders headers = guest_headers(g);
        size_t n = tcp_headers_build(frames[i], &headers, &tcp, 1000,
                                     csum_add(0, data[i], 1000), false);

        memcpy(frames[i] + n, data[i], 1000);
        g_assert_cmpint(guest_input(g, frames[i], n + 1000), ==, NAT_OK);
        tcp.seq += 1000;
    }
    guest_flush(g);
    guest_expect_tcp(g, TCP_ACK, &reply);
    g_assert_cmpuint(reply.ack, ==, tcp.seq);
    guest_expect_nothing(g);
    outside_read(fd, got, sizeof(got));
    g_assert_cmpmem(got, sizeof(got), data, sizeof(data));
    close(fd);
    close(listener);
}

/*
 * The outside does not read: the window closes, nothing is lost, and it opens
 * again.  The guest repeats from the last ACK on, as it does after duplicates.
 */
static void test_window_closes_and_opens(Guest *g)
{
    uint16_t port;
    int listener = outside_listen(g, &port);
    int fd = guest_connect(g, listener, port, 8, 1460);
    static uint8_t data[1400], got[1400 * 16];
    uint32_t first = g->seq, acked = g->seq, edge = g->seq + 0xffff, i;
    size_t total = 0, have = 0;
    TcpHeader tcp;
    bool zero = false;
    ssize_t n;

    for (i = 0; i < 100000 && !zero; i++) {
        size_t len = MIN(sizeof(data), edge - g->seq);

        memset(data, (g->seq - first) / 1400, sizeof(data));
        guest_tcp(g, TCP_ACK | TCP_PSH, data, len);
        guest_expect_tcp(g, TCP_ACK, &tcp);
        acked = tcp.ack;
        edge = tcp.ack + ((uint32_t)tcp.window << 8);
        zero = edge == g->seq || acked != g->seq;
    }
    g_assert_true(zero);
    total = acked - first;
    g_assert_cmpuint(total, >, 64 * 1024);
    g_queue_clear_full(&g->got, (GDestroyNotify)guest_frame_free);

    /* Now it reads: a window update must come by itself. */
    while (have < total) {
        n = recv(fd, got, sizeof(got), MSG_DONTWAIT);
        if (n > 0) {
            have += n;
        } else {
            guest_iterate(g);
        }
    }
    do {
        guest_expect_tcp(g, TCP_ACK, &tcp);
    } while (tcp.window == 0);
    g_assert_cmpuint(tcp.ack, ==, acked);
    g->seq = acked;
    guest_tcp(g, TCP_ACK, "on", 2);
    outside_read(fd, got, 2);
    close(fd);
    close(listener);
}

/* Frames of many pieces, as guests' rings have them: in order, behind a hole,
 * and more at a time than the socket takes. */
static void test_many_pieces(Guest *g)
{
    uint16_t port;
    int listener = outside_listen(g, &port);
    int fd = guest_connect(g, listener, port, 7, 1460);
    enum { PIECE = 30000, SIZE = 40 * PIECE };
    g_autofree uint8_t *data = g_malloc(SIZE), *got = g_malloc(SIZE);
    uint32_t first = g->seq, seq = first, end = first + SIZE;
    size_t done = 0;
    TcpHeader tcp;

    fill(data, SIZE);
    g->piece_len = 100;
    g->seq = seq + PIECE;
    guest_tcp(g, TCP_ACK, data + PIECE, PIECE);
    while (done < SIZE) {
        ssize_t n;

        g->seq = seq;
        if (seq != end) {
            guest_tcp(g, TCP_ACK, data + (seq - first), MIN(PIECE, end - seq));
        }
        n = recv(fd, got + done, SIZE - done, MSG_DONTWAIT);
        done += MAX(n, 0);
        guest_settle(g);
        while (g->got.length) {
            guest_expect_tcp(g, TCP_ACK, &tcp);
            seq = tcp.ack;
        }
    }
    g_assert_cmpmem(got, SIZE, data, SIZE);
    close(fd);
    close(listener);
}

static const TcpTest tests[] = {
    { "order", test_order },
    { "holes", test_holes },
    { "sack", test_sack },
    { "duplicate-acks", test_duplicate_acks },
    { "stream-shares-acks", test_stream_shares_acks },
    { "large-writes-share-acks", test_large_writes_share_acks },
    { "short-flight-seldom-waits", test_short_flight_seldom_waits },
    { "pauses-cost-little", test_pauses_cost_little },
    { "many-pieces", test_many_pieces },
    { "batch-has-one-ack", test_batch_has_one_ack },
    { "window-closes-and-opens", test_window_closes_and_opens },
};

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    tcp_tests_add("nat-tcp-send", tests, G_N_ELEMENTS(tests));
    return g_test_run();
}
