/*
 * UDP and echo through the translator
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "nat-guest.h"
#include "nat/frag.h"

static void send_udp(Guest *g, uint16_t sport, uint16_t dport,
                     const void *payload, size_t len)
{
    IpHeaders headers = guest_headers(g);
    g_autofree uint8_t *buf = g_malloc(UDP_HEADROOM + len);
    size_t n = udp_build(buf, UDP_HEADROOM + len, &headers, sport, dport,
                         payload, len);

    g_assert_cmpuint(n, >, 0);
    g_assert_cmpint(guest_input(g, buf, n), ==, NAT_OK);
    guest_flush(g);
}

/* The next frame is a datagram from @sport with exactly this payload. */
static void expect_udp(Guest *g, const IpAddr *src, uint16_t sport,
                       uint16_t dport, const void *payload, size_t len)
{
    g_autoptr(GuestFrame) f = guest_get(g);
    UdpDatagram udp;

    g_assert_true(udp_parse(&f->frame, &f->ip, &udp));
    g_assert_true(ip_addr_equal(&f->ip.src, src));
    g_assert_true(ip_addr_equal(&f->ip.dst, &g->addr));
    g_assert_cmpuint(udp.sport, ==, sport);
    g_assert_cmpuint(udp.dport, ==, dport);
    g_assert_cmpmem(f->data + udp.payload_off, udp.payload_len, payload, len);
}

static void recv_from(int fd, const char *text, struct sockaddr_storage *ss,
                      socklen_t *len)
{
    char buf[64];
    ssize_t n;

    *len = sizeof(*ss);
    n = recvfrom(fd, buf, sizeof(buf), 0, (struct sockaddr *)ss, len);
    g_assert_cmpmem(buf, n, text, strlen(text));
}

static unsigned n_flows(Guest *g)
{
    NatStats stats;

    nat_stats(g->nat, &stats);
    return stats.udp_flows;
}

/* ---- flows ---- */

static void test_there_and_back(Guest *g)
{
    uint16_t port;
    int fd = outside_socket(g, SOCK_DGRAM, &port);
    struct sockaddr_storage ss;
    socklen_t len;

    send_udp(g, 5000, port, "ping", 4);
    recv_from(fd, "ping", &ss, &len);
    g_assert_cmpint(sendto(fd, "pong", 4, 0, (struct sockaddr *)&ss, len), ==,
                    4);
    expect_udp(g, &g->outside, port, 5000, "pong", 4);
    /* Nothing is a datagram as well. */
    send_udp(g, 5000, port, NULL, 0);
    recv_from(fd, "", &ss, &len);
    g_assert_cmpint(sendto(fd, "", 0, 0, (struct sockaddr *)&ss, len), ==, 0);
    expect_udp(g, &g->outside, port, 5000, "", 0);
    g_assert_cmpuint(n_flows(g), ==, 1);
    close(fd);
}

/* RFC 4787 REQ-1: two destinations see the same port. */
static void test_one_mapping(Guest *g)
{
    uint16_t port[2];
    int fd[2], i;
    struct sockaddr_storage ss[2];
    socklen_t len[2];

    for (i = 0; i < 2; i++) {
        fd[i] = outside_socket(g, SOCK_DGRAM, &port[i]);
        send_udp(g, 5000, port[i], "x", 1);
        recv_from(fd[i], "x", &ss[i], &len[i]);
    }
    g_assert_cmpmem(&ss[0], len[0], &ss[1], len[1]);
    g_assert_cmpuint(n_flows(g), ==, 1);
    for (i = 0; i < 2; i++) {
        sendto(fd[i], "y", 1, 0, (struct sockaddr *)&ss[i], len[i]);
        expect_udp(g, &g->outside, port[i], 5000, "y", 1);
        close(fd[i]);
    }
}

/*
 * REQ-8: only addresses that the guest has sent to.  IPv6, which has one
 * loopback address only: test-nat-netns.c
 */
static void test_strangers(Guest *g)
{
    uint16_t port, other_port;
    int fd = outside_socket(g, SOCK_DGRAM, &port), other;
    struct sockaddr_storage ss;
    socklen_t len;

    send_udp(g, 5000, port, "x", 1);
    recv_from(fd, "x", &ss, &len);
    g->loopback.v4++;                           /* 127.0.0.2 */
    other = outside_socket(g, SOCK_DGRAM, &other_port);
    sendto(other, "stranger", 8, 0, (struct sockaddr *)&ss, len);
    guest_iterate(g);
    guest_expect_nothing(g);
    g->loopback.v4--;
    close(other);
    /* Another port of the known address may. */
    other = outside_socket(g, SOCK_DGRAM, &other_port);
    sendto(other, "known", 5, 0, (struct sockaddr *)&ss, len);
    expect_udp(g, &g->outside, other_port, 5000, "known", 5);
    close(other);
    close(fd);
}

static void test_forbidden(Guest *g)
{
    IpHeaders headers = guest_headers(g);
    uint8_t buf[UDP_HEADROOM + 1];

    headers.dst = guest_gateway(g, g->family);
    g_assert_cmpint(guest_input(g, buf, udp_build(buf, sizeof(buf), &headers,
                                                  1, 2, "x", 1)),
                    ==, NAT_REFUSED);
    guest_flush(g);
    guest_expect_nothing(g);
    g_assert_cmpuint(n_flows(g), ==, 0);
}

/* A closed port: its ICMP error comes to the guest, about its own datagram. */
static void test_port_unreachable(Guest *g)
{
    uint16_t port;
    int fd = outside_socket(g, SOCK_DGRAM, &port);
    g_autoptr(GuestFrame) f = NULL;
    IcmpMessage icmp;
    IcmpQuote quote;

    close(fd);
    send_udp(g, 5000, port, "anyone?", 7);
    f = guest_get(g);
    g_assert_true(icmp_parse(&f->frame, &f->ip, &icmp));
    if (g->family == AF_INET) {
        g_assert_cmpuint(icmp.type, ==, ICMP_DEST_UNREACH);
        g_assert_cmpuint(icmp.code, ==, ICMP_PORT_UNREACH);
    } else {
        g_assert_cmpuint(icmp.type, ==, ICMP6_DST_UNREACH);
        g_assert_cmpuint(icmp.code, ==, ICMP6_DST_UNREACH_NOPORT);
    }
    g_assert_true(icmp_quote_parse(&f->frame, &f->ip, &icmp, &quote));
    g_assert_cmpuint(quote.sport, ==, 5000);
    g_assert_cmpuint(quote.dport, ==, port);
    g_assert_true(ip_addr_equal(&quote.src, &g->addr));
    g_assert_true(ip_addr_equal(&quote.dst, &g->outside));
    /* And the next datagram is sent, not eaten by the error. */
    send_udp(g, 5000, port, "again", 5);
    g_assert_cmpuint(n_flows(g), ==, 1);
}

/* What the kernel refuses to send at all is answered as well. */
static void test_send_refused(Guest *g)
{
    g_autoptr(GuestFrame) f = NULL;
    IcmpMessage icmp;
    IcmpQuote quote;

    g->source = g->outside;     /* not an address of this host */
    send_udp(g, 5000, 7, "x", 1);
    f = guest_get(g);
    g_assert_true(icmp_parse(&f->frame, &f->ip, &icmp));
    g_assert_cmpuint(icmp.type, ==, g->family == AF_INET ? ICMP_DEST_UNREACH
                                                         : ICMP6_DST_UNREACH);
    g_assert_true(icmp_quote_parse(&f->frame, &f->ip, &icmp, &quote));
    g_assert_cmpuint(quote.sport, ==, 5000);
    g_assert_cmpuint(quote.dport, ==, 7);
}

static void test_idle(Guest *g)
{
    uint16_t port;
    int fd = outside_socket(g, SOCK_DGRAM, &port);

    send_udp(g, 5000, port, "x", 1);
    guest_advance(g, 299 * 1000);
    g_assert_cmpuint(n_flows(g), ==, 1);
    send_udp(g, 5000, port, "x", 1);
    guest_advance(g, 299 * 1000);
    g_assert_cmpuint(n_flows(g), ==, 1);
    guest_advance(g, 2 * 1000);
    g_assert_cmpuint(n_flows(g), ==, 0);

    send_udp(g, 5001, 53, "name?", 5);
    guest_advance(g, 31 * 1000);
    g_assert_cmpuint(n_flows(g), ==, 0);
    /* One that did more than look up names lives as long as others. */
    send_udp(g, 5001, 53, "name?", 5);
    send_udp(g, 5001, port, "x", 1);
    guest_advance(g, 31 * 1000);
    g_assert_cmpuint(n_flows(g), ==, 1);
    close(fd);
}

static void test_burst(Guest *g)
{
    uint16_t port;
    int fd = outside_socket(g, SOCK_DGRAM, &port), i;
    struct sockaddr_storage ss;
    socklen_t len;

    send_udp(g, 5000, port, "go", 2);
    recv_from(fd, "go", &ss, &len);
    for (i = 0; i < 100; i++) {
        sendto(fd, &i, sizeof(i), 0, (struct sockaddr *)&ss, len);
    }
    for (i = 0; i < 100; i++) {
        expect_udp(g, &g->outside, port, 5000, &i, sizeof(i));
    }
    close(fd);
}

static void test_no_room_no_loss(Guest *g)
{
    uint16_t port;
    int fd = outside_socket(g, SOCK_DGRAM, &port), i;
    struct sockaddr_storage ss;
    socklen_t len;

    send_udp(g, 5000, port, "go", 2);
    recv_from(fd, "go", &ss, &len);
    g->room = 0;
    for (i = 0; i < 10; i++) {
        sendto(fd, &i, sizeof(i), 0, (struct sockaddr *)&ss, len);
    }
    guest_iterate(g);
    guest_expect_nothing(g);
    for (i = 0; i < 10; i++) {
        g->room = 1540;
        nat_resume(g->nat, GUEST_PORT_ID, g->now_ms);
        expect_udp(g, &g->outside, port, 5000, &i, sizeof(i));
        guest_expect_nothing(g);
    }
    close(fd);
}

static void test_quota(Guest *g)
{
    uint16_t port;
    int fd = outside_socket(g, SOCK_DGRAM, &port), i;
    NatStats stats;

    for (i = 0; i < 20; i++) {
        send_udp(g, 6000 + i, port, "x", 1);
    }
    nat_stats(g->nat, &stats);
    g_assert_cmpuint(stats.udp_flows, ==, 8);
    g_assert_cmpuint(stats.flows_recycled, ==, 12);
    nat_port_gone(g->nat, GUEST_PORT_ID, g->now_ms);
    g_assert_cmpuint(n_flows(g), ==, 0);
    close(fd);
}

/* One port of a guest that talks to everybody: the last ones are known. */
static void test_many_peers(Guest *g)
{
    uint16_t port;
    int fd = outside_socket(g, SOCK_DGRAM, &port), i;
    struct sockaddr_storage ss;
    socklen_t len;

    for (i = 0; i < 1000; i++) {
        send_udp(g, 5000, 1 + i, "x", 1);
    }
    guest_settle(g);
    g_queue_clear_full(&g->got, (GDestroyNotify)guest_frame_free);
    send_udp(g, 5000, port, "x", 1);
    recv_from(fd, "x", &ss, &len);
    sendto(fd, "y", 1, 0, (struct sockaddr *)&ss, len);
    do {
        g_autoptr(GuestFrame) f = guest_get(g);

        if (f->ip.proto == IPPROTO_UDP) {
            break;
        }
    } while (true);
    g_assert_cmpuint(n_flows(g), ==, 1);
    close(fd);
}

/* ---- sizes ---- */

/* More than an MTU comes in fragments, which make the datagram again. */
static void test_big_in(Guest *g)
{
    uint16_t port;
    int fd = outside_socket(g, SOCK_DGRAM, &port);
    static uint8_t data[60000];
    struct sockaddr_storage ss;
    socklen_t len;
    g_autoptr(FragTable) frags = frag_table_new();
    FragPacket *whole = NULL;
    Frame frame;
    IpPacket ip;
    UdpDatagram udp;
    size_t i;

    for (i = 0; i < sizeof(data); i++) {
        data[i] = i * 31;
    }
    send_udp(g, 5000, port, "go", 2);
    recv_from(fd, "go", &ss, &len);
    g_assert_cmpint(sendto(fd, data, sizeof(data), 0, (struct sockaddr *)&ss,
                           len), ==, sizeof(data));
    while (!whole) {
        g_autoptr(GuestFrame) f = guest_get(g);

        g_assert_true(f->ip.is_fragment);
        g_assert_cmpuint(f->len, <=, 1514);
        g_assert_cmpint(frag_input(frags, &f->frame, &f->ip, 0, &whole), !=,
                        FRAG_MALFORMED);
    }
    guest_expect_nothing(g);
    frag_packet(whole, &frame, &ip);
    g_assert_true(udp_parse(&frame, &ip, &udp));
    g_assert_cmpuint(udp.sport, ==, port);
    g_assert_cmpuint(udp.dport, ==, 5000);
    g_assert_cmpuint(udp.payload_len, ==, sizeof(data));
    {
        static uint8_t got[sizeof(data)];

        frame_peek(&frame, udp.payload_off, got, sizeof(got));
        g_assert_cmpmem(got, sizeof(got), data, sizeof(data));
    }
    frag_packet_free(whole);
    close(fd);
}

/* A guest's fragments arrive as one datagram, in whatever order they come. */
/* All fragments or none, and what came later waits behind them. */
static void test_big_waits_for_room(Guest *g)
{
    uint16_t port;
    int fd = outside_socket(g, SOCK_DGRAM, &port), i;
    static uint8_t data[5000];
    struct sockaddr_storage ss;
    NatStats stats;
    socklen_t len;

    send_udp(g, 5000, port, "go", 2);
    recv_from(fd, "go", &ss, &len);
    for (i = 0; i < 2; i++) {
        g_assert_cmpint(sendto(fd, data, sizeof(data), 0,
                               (struct sockaddr *)&ss, len), >, 0);
        g_assert_cmpint(sendto(fd, "small", 5, 0, (struct sockaddr *)&ss, len),
                        ==, 5);
        g->room = 3 * 1540;
        guest_iterate(g);
        guest_expect_nothing(g);
        nat_resume(g->nat, GUEST_PORT_ID, g->now_ms);
        guest_expect_nothing(g);
        if (i == 0) {
            g->room = 5 * 1540;
            nat_resume(g->nat, GUEST_PORT_ID, g->now_ms);
            g_assert_cmpuint(g->got.length, ==, 5);
            g_queue_clear_full(&g->got, (GDestroyNotify)guest_frame_free);
        }
    }
    /* A port that will never have so much. */
    g->now_ms += 2000;
    nat_resume(g->nat, GUEST_PORT_ID, g->now_ms);
    expect_udp(g, &g->outside, port, 5000, "small", 5);
    guest_expect_nothing(g);
    nat_stats(g->nat, &stats);
    g_assert_cmpuint(stats.datagrams_dropped, ==, 1);
    close(fd);
}

static void test_big_out(Guest *g)
{
    uint16_t port;
    int fd = outside_socket(g, SOCK_DGRAM, &port), i;
    IpHeaders headers = guest_headers(g);
    static uint8_t data[5000], got[6000];
    uint8_t whole[UDP_HEADROOM + sizeof(data)];
    size_t at = ip_headers_len(g->family), l4_len = sizeof(data) + 8;
    unsigned n = frag_count(g->family, l4_len, 1500);

    memset(data, 'd', sizeof(data));
    g_assert_cmpuint(udp_build(whole, sizeof(whole), &headers, 5000, port,
                               data, sizeof(data)), >, 0);
    headers.proto = IPPROTO_UDP;
    headers.id = 77;
    for (i = n - 1; i >= 0; i--) {
        uint8_t buf[FRAG_HEADER_MAX + 1500];
        size_t offset, len;
        size_t head = frag_build(buf, &headers, 77, l4_len, 1500, i, &offset,
                                 &len);

        memcpy(buf + head, whole + at + offset, len);
        g_assert_cmpint(guest_input(g, buf, head + len), ==, NAT_OK);
    }
    guest_flush(g);
    g_assert_cmpint(recv(fd, got, sizeof(got), 0), ==, sizeof(data));
    g_assert_cmpmem(got, sizeof(data), data, sizeof(data));
    close(fd);
}

/* ---- forwards ---- */

static void test_forward(Guest *g)
{
    IpEndpoint guest = { g->addr, 53 };
    IpAddr gateway = guest_gateway(g, g->family);
    uint16_t port, client_port[2];
    int fd = outside_socket(g, SOCK_DGRAM, &port), client[2], i;
    IpEndpoint ep = { g->loopback, port };
    struct sockaddr_storage ss;
    socklen_t len = ip_endpoint_to_sockaddr(&ep, &ss);
    NatUdpForward *forward = nat_udp_forward(g->nat, fd, &guest, g->now_ms);
    char buf[8];

    g_assert_nonnull(forward);
    for (i = 0; i < 2; i++) {
        client[i] = outside_socket(g, SOCK_DGRAM, &client_port[i]);
        sendto(client[i], "question", 8, 0, (struct sockaddr *)&ss, len);
        expect_udp(g, &gateway, client_port[i], 53, "question", 8);
    }
    g_assert_cmpuint(n_flows(g), ==, 2);
    g->outside = gateway;
    for (i = 1; i >= 0; i--) {
        send_udp(g, 53, client_port[i], "answer", 6);
        g_assert_cmpint(recv(client[i], buf, sizeof(buf), 0), ==, 6);
    }
    guest_advance(g, 301 * 1000);
    g_assert_cmpuint(n_flows(g), ==, 0);

    /* Its guest has no address for a while: dropped; then it has another. */
    guest.addr.family = AF_UNSPEC;
    nat_udp_forward_set_guest(forward, &guest);
    sendto(client[0], "lost", 4, 0, (struct sockaddr *)&ss, len);
    guest_iterate(g);
    guest_expect_nothing(g);
    guest.addr = g->addr;
    nat_udp_forward_set_guest(forward, &guest);
    sendto(client[0], "found", 5, 0, (struct sockaddr *)&ss, len);
    expect_udp(g, &gateway, client_port[0], 53, "found", 5);
    nat_udp_forward_free(forward);
    g_assert_cmpuint(n_flows(g), ==, 0);
    close(client[0]);
    close(client[1]);
}

static void test_forward_finds_guest(Guest *g)
{
    IpEndpoint guest = { g->addr, 53 };
    IpAddr gateway = guest_gateway(g, g->family);
    uint16_t port, client_port;
    int fd = outside_socket(g, SOCK_DGRAM, &port);
    int client = outside_socket(g, SOCK_DGRAM, &client_port);
    IpEndpoint ep = { g->loopback, port };
    struct sockaddr_storage ss;
    socklen_t len = ip_endpoint_to_sockaddr(&ep, &ss);
    NatUdpForward *forward = nat_udp_forward(g->nat, fd, &guest, g->now_ms);

    g->neighbour_known = false;
    sendto(client, "first", 5, 0, (struct sockaddr *)&ss, len);
    guest_iterate(g);
    guest_advance(g, 300);
    guest_expect_nothing(g);
    g->neighbour_known = true;
    guest_advance(g, 100);
    expect_udp(g, &gateway, client_port, 53, "first", 5);

    /* It never answers: what waited is dropped, and nothing is due. */
    g->neighbour_known = false;
    nat_port_gone(g->nat, GUEST_PORT_ID, g->now_ms);
    sendto(client, "second", 6, 0, (struct sockaddr *)&ss, len);
    guest_iterate(g);
    guest_advance(g, 10 * 1000);
    g_assert_cmpint(g->deadline_ms, ==, -1);
    guest_expect_nothing(g);
    nat_udp_forward_free(forward);
    close(client);
}

/* ---- echo ---- */

static bool ping_allowed(sa_family_t family)
{
    int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC,
                    family == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6);

    if (fd < 0) {
        return false;
    }
    close(fd);
    return true;
}

static void test_echo(Guest *g)
{
    IpHeaders headers = guest_headers(g);
    bool v4 = g->family == AF_INET;
    uint8_t buf[IP_HEADROOM + 8 + 4];
    size_t n = icmp_build(buf, sizeof(buf), &headers,
                          v4 ? ICMP_ECHO : ICMP6_ECHO_REQUEST, 0, 0xabcd0003,
                          "echo", 4);
    IcmpMessage icmp;
    NatStats stats;

    g_assert_cmpint(guest_input(g, buf, n), ==, NAT_OK);
    guest_flush(g);
    if (!ping_allowed(g->family)) {
        guest_expect_nothing(g);        /* nobody answers */
        return;
    }
    {
        g_autoptr(GuestFrame) f = guest_get(g);

        g_assert_true(icmp_parse(&f->frame, &f->ip, &icmp));
        g_assert_cmpuint(icmp.type, ==, v4 ? ICMP_ECHOREPLY : ICMP6_ECHO_REPLY);
        g_assert_cmphex(icmp.rest, ==, 0xabcd0003);
        g_assert_true(ip_addr_equal(&f->ip.src, &g->outside));
        g_assert_cmpmem(f->data + icmp.payload_off, icmp.payload_len, "echo", 4);
    }
    nat_stats(g->nat, &stats);
    g_assert_cmpuint(stats.icmp_flows, ==, 1);
    guest_advance(g, 61 * 1000);
    nat_stats(g->nat, &stats);
    g_assert_cmpuint(stats.icmp_flows, ==, 0);
}

static const struct {
    const char *name;
    void (*func)(Guest *g);
    bool only_v4;
} tests[] = {
    { "there-and-back", test_there_and_back },
    { "one-mapping", test_one_mapping },
    { "strangers", test_strangers, true },
    { "forbidden", test_forbidden },
    { "port-unreachable", test_port_unreachable },
    { "send-refused", test_send_refused },
    { "idle", test_idle },
    { "burst", test_burst },
    { "no-room-no-loss", test_no_room_no_loss },
    { "quota", test_quota },
    { "many-peers", test_many_peers },
    { "big-in", test_big_in },
    { "big-out", test_big_out },
    { "big-waits-for-room", test_big_waits_for_room },
    { "forward", test_forward },
    { "forward-finds-guest", test_forward_finds_guest },
    { "echo", test_echo },
};

typedef struct Case {
    unsigned test;
    GuestPath path;
} Case;

static void run(gconstpointer data)
{
    const Case *c = data;
    g_autoptr(Guest) g = guest_new(&c->path);

    tests[c->test].func(g);
}

int main(int argc, char **argv)
{
    static Case cases[G_N_ELEMENTS(tests)][2];
    unsigned i, v6;

    g_test_init(&argc, &argv, NULL);
    for (i = 0; i < G_N_ELEMENTS(tests); i++) {
        for (v6 = 0; v6 < (tests[i].only_v4 ? 1 : 2); v6++) {
            g_autofree char *name = g_strdup_printf("/nat-udp/%s/%s",
                                                    v6 ? "v6" : "v4",
                                                    tests[i].name);

            cases[i][v6] = (Case){ i, { .family = v6 ? AF_INET6 : AF_INET,
                                        .flows_per_port = 8 } };
            g_test_add_data_func(name, &cases[i][v6], run);
        }
    }
    return g_test_run();
}
