/*
 * TCP through the translator, on every path: IPv4 and IPv6, SO_PEEK_OFF and ring
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "nat-guest.h"

static void fill(uint8_t *buf, size_t len)
{
    size_t i;

    for (i = 0; i < len; i++) {
        buf[i] = i * 7 + (i >> 8);
    }
}

/* ---- open and close ---- */

static void test_connect_and_talk(Guest *g)
{
    uint16_t port;
    int listener = outside_listen(g, &port);
    int fd = guest_connect(g, listener, port, 7, 1460);
    TcpHeader tcp;
    char buf[16];

    guest_tcp(g, TCP_ACK | TCP_PSH, "hello", 5);
    guest_expect_tcp(g, TCP_ACK, &tcp);
    g_assert_cmpuint(tcp.ack, ==, g->seq);
    outside_read(fd, buf, 5);
    g_assert_cmpmem(buf, 5, "hello", 5);

    g_assert_cmpint(write(fd, "world", 5), ==, 5);
    guest_take(g, buf, 5, true);
    g_assert_cmpmem(buf, 5, "world", 5);

    /* The guest closes first. */
    guest_tcp(g, TCP_FIN | TCP_ACK, NULL, 0);
    guest_expect_tcp(g, TCP_ACK, &tcp);
    g_assert_cmpuint(tcp.ack, ==, g->seq);
    g_assert_cmpint(read(fd, buf, 1), ==, 0);
    /* Half open: data still comes. */
    g_assert_cmpint(write(fd, "more", 4), ==, 4);
    guest_take(g, buf, 4, true);
    close(fd);
    guest_expect_tcp(g, TCP_FIN | TCP_ACK, &tcp);
    g_assert_cmpuint(tcp.seq, ==, g->ack);
    g->ack++;
    guest_tcp(g, TCP_ACK, NULL, 0);
    guest_expect_nothing(g);
    close(listener);
}

static void test_outside_closes_first(Guest *g)
{
    uint16_t port;
    int listener = outside_listen(g, &port);
    int fd = guest_connect(g, listener, port, 7, 1460);
    TcpHeader tcp;
    char buf[8];

    shutdown(fd, SHUT_WR);
    guest_expect_tcp(g, TCP_FIN | TCP_ACK, &tcp);
    g_assert_cmpuint(tcp.seq, ==, g->ack);
    g->ack++;
    guest_tcp(g, TCP_ACK, NULL, 0);
    g_assert_cmpstr(g->state, ==, "fin-wait-2");
    /* The other half is still open. */
    guest_tcp(g, TCP_ACK | TCP_PSH, "late", 4);
    guest_expect_tcp(g, TCP_ACK, &tcp);
    outside_read(fd, buf, 4);
    guest_tcp(g, TCP_FIN | TCP_ACK, NULL, 0);
    guest_expect_tcp(g, TCP_ACK, &tcp);
    g_assert_cmpuint(tcp.ack, ==, g->seq);
    g_assert_cmpint(read(fd, buf, 1), ==, 0);
    g_assert_cmpstr(g->state, ==, "time-wait");
    /* Our last ACK was lost: the FIN comes again, and is acknowledged again. */
    g->seq--;
    guest_tcp(g, TCP_FIN | TCP_ACK, NULL, 0);
    guest_expect_tcp(g, TCP_ACK, &tcp);
    g_assert_cmpuint(tcp.ack, ==, g->seq);
    guest_advance(g, 61 * 1000);
    guest_expect_nothing(g);
    guest_tcp(g, TCP_ACK, NULL, 0);
    guest_expect_tcp(g, TCP_RST, NULL);     /* forgotten */
    close(fd);
    close(listener);
}

static void test_simultaneous_close(Guest *g)
{
    uint16_t port;
    int listener = outside_listen(g, &port);
    int fd = guest_connect(g, listener, port, 7, 1460);
    TcpHeader tcp;
    char c;

    shutdown(fd, SHUT_WR);
    guest_expect_tcp(g, TCP_FIN | TCP_ACK, NULL);
    guest_tcp(g, TCP_FIN | TCP_ACK, NULL, 0);   /* has not seen ours */
    guest_expect_tcp(g, TCP_ACK, &tcp);
    g_assert_cmpuint(tcp.ack, ==, g->seq);
    g_assert_cmpstr(g->state, ==, "closing");
    g->ack++;
    guest_tcp(g, TCP_ACK, NULL, 0);
    g_assert_cmpstr(g->state, ==, "time-wait");
    g_assert_cmpint(read(fd, &c, 1), ==, 0);
    close(fd);
    close(listener);
}

static void test_time_wait_is_reused(Guest *g)
{
    uint16_t port;
    int listener = outside_listen(g, &port);
    int fd = guest_connect(g, listener, port, 7, 1460);

    close(fd);
    guest_expect_tcp(g, TCP_FIN | TCP_ACK, NULL);
    g->ack++;
    guest_tcp(g, TCP_FIN | TCP_ACK, NULL, 0);
    guest_expect_tcp(g, TCP_ACK, NULL);
    g_assert_cmpstr(g->state, ==, "time-wait");
    g->seq += 100000;
    fd = guest_connect(g, listener, port, 7, 1460);
    g_assert_cmpstr(g->state, ==, "established");
    close(fd);
    close(listener);
}

/* ---- failures ---- */

static void test_refused(Guest *g)
{
    uint16_t port;
    int fd = outside_socket(g, SOCK_STREAM, &port);     /* does not listen */
    TcpHeader tcp;

    g->dport = port;
    guest_tcp(g, TCP_SYN, NULL, 0);
    guest_expect_tcp(g, TCP_RST | TCP_ACK, &tcp);
    g_assert_cmpuint(tcp.ack, ==, g->seq);
    close(fd);
}

static void test_forbidden(Guest *g)
{
    TcpHeader syn = guest_tcp_header(g, TCP_SYN);
    NatStats stats;

    g->outside = guest_gateway(g, g->family);
    g->loopback = g->outside;
    syn.dport = 80;
    /* route() compares with g->outside; the packet goes elsewhere. */
    g->outside.family == AF_INET ? g->outside.v4++ :
                                   g->outside.v6.s6_addr[15]++;
    {
        IpHeaders headers = guest_headers(g);
        uint8_t buf[TCP_HEADROOM];

        headers.dst = g->loopback;
        g_assert_cmpint(guest_input(g, buf, tcp_headers_build(buf, &headers,
                                    &syn, 0, 0, false)), ==, NAT_REFUSED);
    }
    guest_flush(g);
    guest_expect_nothing(g);
    nat_stats(g->nat, &stats);
    g_assert_cmpuint(stats.tcp_flows, ==, 0);
    g_assert_cmpuint(stats.flows_refused, ==, 1);
}

/* An errno that is no refusal comes as ICMP, and quotes the SYN. */
static void test_unreachable(Guest *g)
{
    g_autoptr(GuestFrame) f = NULL;
    IcmpMessage icmp;
    IcmpQuote quote;

    /* An address that this host has not: bind() says EADDRNOTAVAIL. */
    g->source = g->outside;
    g->dport = 80;
    guest_tcp(g, TCP_SYN, NULL, 0);
    f = guest_get(g);
    if (g->family == AF_INET) {
        g_assert_true(icmp_parse(&f->frame, &f->ip, &icmp));
        g_assert_cmpuint(icmp.type, ==, ICMP_DEST_UNREACH);
        g_assert_cmpuint(icmp.code, ==, ICMP_NET_UNREACH);
    } else {
        g_assert_true(icmp6_parse(&f->frame, &f->ip, &icmp));
        g_assert_cmpuint(icmp.type, ==, ICMP6_DST_UNREACH);
        g_assert_cmpuint(icmp.code, ==, ICMP6_DST_UNREACH_NOROUTE);
    }
    g_assert_true(icmp_quote_parse(&f->frame, &f->ip, &icmp, &quote));
    g_assert_true(ip_addr_equal(&quote.src, &g->addr));
    g_assert_true(ip_addr_equal(&quote.dst, &g->outside));
    g_assert_cmpuint(quote.sport, ==, g->sport);
    g_assert_cmpuint(quote.dport, ==, 80);
    g_assert_cmpuint(quote.seq, ==, g->seq - 1);
}

static void test_guest_resets(Guest *g)
{
    uint16_t port;
    int listener = outside_listen(g, &port);
    int fd = guest_connect(g, listener, port, 7, 1460);
    uint32_t seq = g->seq;
    TcpHeader tcp;
    char c;

    /* RFC 5961: inside the window, but not the next: asked again. */
    g->seq = seq + 100;
    guest_tcp(g, TCP_RST, NULL, 0);
    guest_expect_tcp(g, TCP_ACK, &tcp);
    g_assert_cmpuint(tcp.ack, ==, seq);
    /* Outside of it: nothing. */
    g->seq = seq - 100;
    guest_tcp(g, TCP_RST, NULL, 0);
    guest_expect_nothing(g);
    g->seq = seq;
    guest_tcp(g, TCP_RST, NULL, 0);
    guest_expect_nothing(g);
    g_assert_cmpint(read(fd, &c, 1), ==, -1);
    g_assert_cmpint(errno, ==, ECONNRESET);
    close(fd);
    close(listener);
}

static void test_outside_resets(Guest *g)
{
    static const struct linger at_once = { 1, 0 };
    uint16_t port;
    int listener = outside_listen(g, &port);
    int fd = guest_connect(g, listener, port, 7, 1460);
    TcpHeader tcp;

    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    close(fd);
    guest_expect_tcp(g, TCP_RST | TCP_ACK, &tcp);
    g_assert_cmpuint(tcp.seq, ==, g->ack);
    close(listener);
}

static void test_no_flow_no_mercy(Guest *g)
{
    TcpHeader tcp, reply;

    g->dport = 9;
    g->ack = 4711;
    guest_tcp(g, TCP_ACK, "abc", 3);
    guest_expect_tcp(g, TCP_RST, &reply);
    g_assert_cmpuint(reply.seq, ==, 4711);
    guest_tcp(g, TCP_FIN, "abc", 3);
    guest_expect_tcp(g, TCP_RST | TCP_ACK, &reply);
    g_assert_cmpuint(reply.ack, ==, g->seq);
    guest_tcp(g, TCP_RST, NULL, 0);
    guest_expect_nothing(g);

    /* A wrong checksum is nobody's packet. */
    tcp = guest_tcp_header(g, TCP_ACK);
    {
        IpHeaders headers = guest_headers(g);
        uint8_t buf[TCP_HEADROOM];
        size_t n = tcp_headers_build(buf, &headers, &tcp, 0, 0, false);

        buf[n - 20 + TCP_CHECKSUM_OFFSET] ^= 1;
        g_assert_cmpint(guest_input(g, buf, n), ==, NAT_MALFORMED);
    }
    guest_flush(g);
    guest_expect_nothing(g);
}

static void test_challenge_acks(Guest *g)
{
    uint16_t port;
    int listener = outside_listen(g, &port);
    int fd = guest_connect(g, listener, port, 7, 1460);
    uint32_t seq = g->seq, ack = g->ack;
    TcpHeader tcp;

    guest_tcp(g, TCP_SYN, NULL, 0);             /* RFC 5961 4.2 */
    guest_expect_tcp(g, TCP_ACK, &tcp);
    g_assert_cmpuint(tcp.ack, ==, seq);
    g->seq = seq;
    g->ack = ack + 1000;                        /* 5.2: never sent */
    guest_tcp(g, TCP_ACK, "x", 1);
    guest_expect_tcp(g, TCP_ACK, &tcp);
    g_assert_cmpuint(tcp.ack, ==, seq);
    close(fd);
    close(listener);
}

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
    /* One that is alone is not forgotten, and begins slowly again. */
    guest_advance(g, 10);
    g_queue_clear_full(&g->got, (GDestroyNotify)guest_frame_free);
    guest_tcp(g, TCP_ACK, data, sizeof(data));
    guest_expect_nothing(g);
    guest_advance(g, 4);
    guest_expect_tcp(g, TCP_ACK, &tcp);
    g_assert_cmpuint(tcp.ack, ==, g->seq);
    guest_tcp(g, TCP_ACK, data, sizeof(data));
    guest_expect_nothing(g);
    guest_tcp(g, TCP_ACK, data, sizeof(data));
    guest_expect_tcp(g, TCP_ACK, &tcp);
    /* What ends a write is acknowledged at once. */
    guest_tcp(g, TCP_ACK, data, 100);
    guest_expect_tcp(g, TCP_ACK, &tcp);
    guest_tcp(g, TCP_ACK | TCP_PSH, data, sizeof(data));
    guest_expect_tcp(g, TCP_ACK, &tcp);
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
    guest_advance(g, 1000);
    guest_expect_tcp(g, TCP_ACK | TCP_PSH, &tcp);
    g_assert_cmpuint(tcp.seq, ==, base);
    g_assert_cmpuint(tcp.payload_len, ==, 1000);
    guest_expect_nothing(g);
    guest_advance(g, 2000);                     /* and waits twice as long */
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
    {
        g_autoptr(GuestFrame) data = guest_get(g);
    }
    guest_expect_tcp(g, TCP_FIN | TCP_ACK, &tcp);
    g_assert_cmpuint(tcp.seq, ==, g->ack + 3);
    /* Data arrived, FIN did not. */
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
    while (g->got.length < 2) {
        guest_iterate(g);
    }
    g_queue_clear_full(&g->got, (GDestroyNotify)guest_frame_free);
    guest_advance(g, 1000);
    guest_take(g, buf, 3, true);
    g_assert_cmpmem(buf, 3, "bye", 3);
    guest_expect_tcp(g, TCP_FIN | TCP_ACK, &tcp);
    g_assert_cmpuint(tcp.seq, ==, g->ack);
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

/* ---- options ---- */

static void test_options(Guest *g)
{
    unsigned headers = g->family == AF_INET ? 40 : 60;
    uint16_t port;
    int listener = outside_listen(g, &port);
    TcpHeader syn, tcp;

    g->dport = port;
    syn = guest_tcp_header(g, TCP_SYN);         /* none at all */
    guest_tcp_raw(g, &syn, NULL, 0);
    guest_flush(g);
    guest_expect_tcp(g, TCP_SYN | TCP_ACK, &tcp);
    g_assert_cmpuint(tcp.mss, ==, 1500 - headers);
    g_assert_false(tcp.has_wscale);

    g->sport++;
    syn = guest_tcp_header(g, TCP_SYN);
    syn.has_wscale = true;
    guest_tcp_raw(g, &syn, NULL, 0);
    guest_flush(g);
    guest_expect_tcp(g, TCP_SYN | TCP_ACK, &tcp);
    g_assert_true(tcp.has_wscale);
    close(listener);
}

static void test_mss_is_bounded(Guest *g)
{
    uint16_t port;
    int listener = outside_listen(g, &port);
    int fd = guest_connect(g, listener, port, 7, 9000);
    static uint8_t data[20000], got[sizeof(data)];

    fill(data, sizeof(data));
    g_assert_cmpint(write(fd, data, sizeof(data)), ==, sizeof(data));
    while (g->got.length < 14) {
        guest_iterate(g);
    }
    g_assert_cmpuint(((GuestFrame *)g->got.head->data)->len, ==, 1514);
    guest_take(g, got, sizeof(got), true);
    g_assert_cmpmem(got, sizeof(got), data, sizeof(data));
    close(fd);
    guest_expect_tcp(g, TCP_FIN | TCP_ACK, NULL);

    g->sport++;
    fd = guest_connect(g, listener, port, 7, 1);    /* nobody's MSS */
    g_assert_cmpint(write(fd, data, 640), ==, 640);
    while (g->got.length < 10) {
        guest_iterate(g);
    }
    g_assert_cmpuint(g->got.length, ==, 10);
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
        nat_resume(g->nat, g->now_ms);
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
        nat_resume(g->nat, g->now_ms);
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

/* ---- from outside ---- */

static int forwarded(Guest *g, IpEndpoint *ret_peer, int *ret_fd)
{
    uint16_t port;
    int listener = outside_listen(g, &port), client, fd;
    IpEndpoint ep = { g->loopback, port };
    struct sockaddr_storage ss;
    socklen_t len = ip_endpoint_to_sockaddr(&ep, &ss);

    client = socket(g->family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(connect(client, (struct sockaddr *)&ss, len), ==, 0);
    len = sizeof(ss);
    fd = accept4(listener, (struct sockaddr *)&ss, &len,
                 SOCK_CLOEXEC | SOCK_NONBLOCK);
    g_assert_true(ip_endpoint_from_sockaddr((struct sockaddr *)&ss, len,
                                            ret_peer));
    close(listener);
    *ret_fd = fd;
    return client;
}

static void test_accept(Guest *g)
{
    IpEndpoint peer, guest = { g->addr, 22 };
    IpAddr gateway = guest_gateway(g, g->family);
    int fd, client = forwarded(g, &peer, &fd);
    TcpHeader tcp;
    char buf[4];

    g->neighbour_known = false;
    g_assert_true(nat_tcp_accept(g->nat, fd, &peer, &guest, g->now_ms));
    guest_expect_nothing(g);
    guest_advance(g, 1000);
    guest_expect_nothing(g);
    g->neighbour_known = true;
    guest_advance(g, 1000);
    {
        g_autoptr(GuestFrame) f = guest_get_tcp(g, &tcp);

        g_assert_cmphex(tcp.flags, ==, TCP_SYN);
        g_assert_true(ip_addr_equal(&f->ip.src, &gateway));
        g_assert_cmpuint(tcp.sport, ==, peer.port);
        g_assert_cmpuint(tcp.dport, ==, 22);
        g_assert_true(tcp.has_wscale);
    }
    guest_advance(g, 2000);
    guest_expect_tcp(g, TCP_SYN, &tcp);         /* repeated */
    g->outside = gateway;
    g->sport = 22;
    g->dport = peer.port;
    g->ack = tcp.seq + 1;
    guest_tcp(g, TCP_SYN | TCP_ACK, NULL, 0);
    guest_expect_tcp(g, TCP_ACK, &tcp);
    g_assert_cmpuint(tcp.ack, ==, g->seq);
    guest_tcp(g, TCP_ACK | TCP_PSH, "SSH!", 4);
    guest_expect_tcp(g, TCP_ACK, &tcp);
    outside_read(client, buf, 4);
    g_assert_cmpint(write(client, "hi", 2), ==, 2);
    guest_take(g, buf, 2, true);
    close(client);
}

static void test_accept_refused(Guest *g)
{
    IpEndpoint peer, guest = { g->addr, 22 };
    int fd, client = forwarded(g, &peer, &fd);
    TcpHeader tcp;
    char c;

    g_assert_true(nat_tcp_accept(g->nat, fd, &peer, &guest, g->now_ms));
    guest_expect_tcp(g, TCP_SYN, &tcp);
    g->outside = guest_gateway(g, g->family);
    g->sport = 22;
    g->dport = peer.port;
    g->seq = 0;
    g->ack = tcp.seq + 1;
    guest_tcp(g, TCP_RST | TCP_ACK, NULL, 0);
    guest_expect_nothing(g);
    g_assert_cmpint(read(client, &c, 1), ==, -1);
    g_assert_cmpint(errno, ==, ECONNRESET);
    close(client);
}

static void test_accept_unanswered(Guest *g)
{
    IpEndpoint peer, guest = { g->addr, 22 };
    int fd, client = forwarded(g, &peer, &fd);
    NatStats stats;
    char c;

    g->neighbour_known = false;
    g_assert_true(nat_tcp_accept(g->nat, fd, &peer, &guest, g->now_ms));
    guest_advance(g, 31 * 1000);
    nat_stats(g->nat, &stats);
    g_assert_cmpuint(stats.tcp_flows, ==, 0);
    g_assert_cmpint(read(client, &c, 1), ==, -1);
    close(client);
}

/* ---- life ---- */

static void test_idle_established(Guest *g)
{
    uint16_t port;
    int listener = outside_listen(g, &port);
    int fd = guest_connect(g, listener, port, 7, 1460);
    TcpHeader tcp;
    NatStats stats;

    guest_advance(g, 7199 * 1000);
    guest_expect_nothing(g);
    guest_advance(g, 2 * 1000);
    guest_expect_tcp(g, TCP_ACK, &tcp);         /* are you there? */
    g_assert_cmpuint(tcp.seq, ==, g->ack - 1);
    guest_tcp(g, TCP_ACK, NULL, 0);             /* yes */
    guest_advance(g, 7150 * 1000);
    nat_stats(g->nat, &stats);
    g_assert_cmpuint(stats.tcp_flows, ==, 1);
    guest_advance(g, 300 * 1000);
    guest_expect_tcp(g, TCP_ACK, &tcp);         /* not any more */
    guest_expect_tcp(g, TCP_RST | TCP_ACK, &tcp);
    nat_stats(g->nat, &stats);
    g_assert_cmpuint(stats.tcp_flows, ==, 0);
    close(fd);
    close(listener);
}

static void test_port_gone(Guest *g)
{
    uint16_t port;
    int listener = outside_listen(g, &port);
    int fd = guest_connect(g, listener, port, 7, 1460);
    NatStats stats;
    char c;

    nat_port_gone(g->nat, GUEST_PORT_ID + 1, g->now_ms);
    nat_stats(g->nat, &stats);
    g_assert_cmpuint(stats.tcp_flows, ==, 1);
    nat_port_gone(g->nat, GUEST_PORT_ID, g->now_ms);
    nat_stats(g->nat, &stats);
    g_assert_cmpuint(stats.tcp_flows, ==, 0);
    g_assert_cmpint(read(fd, &c, 1), ==, -1);
    g_assert_cmpint(errno, ==, ECONNRESET);
    close(fd);
    close(listener);
}

static void test_flow_of(Guest *g)
{
    uint16_t port;
    int listener = outside_listen(g, &port);
    int fd = guest_connect(g, listener, port, 7, 1460);
    struct sockaddr_storage ss;
    socklen_t len = sizeof(ss);
    IpEndpoint local, guest;

    getpeername(fd, (struct sockaddr *)&ss, &len);
    g_assert_true(ip_endpoint_from_sockaddr((struct sockaddr *)&ss, len,
                                            &local));
    g_assert_true(nat_tcp_flow_of(g->nat, &local, &guest));
    g_assert_cmpuint(guest.port, ==, g->sport);
    g_assert_true(ip_addr_equal(&guest.addr, &g->addr));
    local.port ^= 1;
    g_assert_false(nat_tcp_flow_of(g->nat, &local, &guest));
    close(fd);
    close(listener);
}

static const struct {
    const char *name;
    void (*func)(Guest *g);
} tests[] = {
    { "connect-and-talk", test_connect_and_talk },
    { "outside-closes-first", test_outside_closes_first },
    { "simultaneous-close", test_simultaneous_close },
    { "time-wait-is-reused", test_time_wait_is_reused },
    { "refused", test_refused },
    { "forbidden", test_forbidden },
    { "unreachable", test_unreachable },
    { "guest-resets", test_guest_resets },
    { "outside-resets", test_outside_resets },
    { "no-flow-no-mercy", test_no_flow_no_mercy },
    { "challenge-acks", test_challenge_acks },
    { "order", test_order },
    { "holes", test_holes },
    { "sack", test_sack },
    { "duplicate-acks", test_duplicate_acks },
    { "stream-shares-acks", test_stream_shares_acks },
    { "batch-has-one-ack", test_batch_has_one_ack },
    { "window-closes-and-opens", test_window_closes_and_opens },
    { "bulk-respects-window", test_bulk_respects_window },
    { "in-flight-wakes-nobody", test_in_flight_wakes_nobody },
    { "zero-window-is-probed", test_zero_window_is_probed },
    { "fast-retransmit", test_fast_retransmit },
    { "timeout", test_timeout },
    { "silent-guest-is-given-up", test_silent_guest_is_given_up },
    { "fin-is-repeated", test_fin_is_repeated },
    { "both-lost-data-and-fin", test_both_lost_data_and_fin },
    { "syn-ack-is-repeated", test_syn_ack_is_repeated },
    { "options", test_options },
    { "mss-is-bounded", test_mss_is_bounded },
    { "no-room-no-loss", test_no_room_no_loss },
    { "room-is-shared", test_room_is_shared },
    { "accept", test_accept },
    { "accept-refused", test_accept_refused },
    { "accept-unanswered", test_accept_unanswered },
    { "idle-established", test_idle_established },
    { "port-gone", test_port_gone },
    { "flow-of", test_flow_of },
};

static const struct {
    const char *name;
    GuestPath path;
} paths[] = {
    { "v4-peek", { .family = AF_INET } },
    { "v4-ring", { .family = AF_INET, .no_peek_off = true } },
    { "v6-peek", { .family = AF_INET6 } },
    { "v6-ring", { .family = AF_INET6, .no_peek_off = true } },
    { "v4-peek-held", { .family = AF_INET, .hold_frames = true } },
};

typedef struct Case {
    unsigned test, path;
} Case;

static void run(gconstpointer data)
{
    const Case *c = data;
    const GuestPath *path = &paths[c->path].path;
    g_autoptr(Guest) g = NULL;

    if (!path->no_peek_off && !nat_probe_peek_off(path->family)) {
        g_test_skip("no SO_PEEK_OFF on TCP: this kernel has the ring only");
        return;
    }
    g = guest_new(path);
    tests[c->test].func(g);
}

int main(int argc, char **argv)
{
    static Case cases[G_N_ELEMENTS(tests)][G_N_ELEMENTS(paths)];
    unsigned i, j;

    g_test_init(&argc, &argv, NULL);
    for (i = 0; i < G_N_ELEMENTS(tests); i++) {
        for (j = 0; j < G_N_ELEMENTS(paths); j++) {
            g_autofree char *name = g_strdup_printf("/nat-tcp/%s/%s",
                                                    paths[j].name,
                                                    tests[i].name);

            cases[i][j] = (Case){ i, j };
            g_test_add_data_func(name, &cases[i][j], run);
        }
    }
    return g_test_run();
}
