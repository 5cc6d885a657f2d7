/*
 * A TCP flow's life through the translator: opening from either side, failing, ending
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "nat-tcp-paths.h"

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
    g_assert_true(icmp_parse(&f->frame, &f->ip, &icmp));
    if (g->family == AF_INET) {
        g_assert_cmpuint(icmp.type, ==, ICMP_DEST_UNREACH);
        g_assert_cmpuint(icmp.code, ==, ICMP_NET_UNREACH);
    } else {
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

static const TcpTest tests[] = {
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
    { "options", test_options },
    { "mss-is-bounded", test_mss_is_bounded },
    { "accept", test_accept },
    { "accept-refused", test_accept_refused },
    { "accept-unanswered", test_accept_unanswered },
    { "idle-established", test_idle_established },
    { "port-gone", test_port_gone },
    { "flow-of", test_flow_of },
};

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    tcp_tests_add("nat-tcp", tests, G_N_ELEMENTS(tests));
    return g_test_run();
}
