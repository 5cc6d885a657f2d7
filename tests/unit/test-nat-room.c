/*
 * Room at a guest's port: who waits for it, and who does not
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "nat-tcp-paths.h"

/* Frames of this port, at either end, go by a queue that is full. */
static uint16_t stuck_port;

static size_t room_of(const Guest *g, const NatHead *head)
{
    return head->ip.src.family != AF_UNSPEC &&
           (head->sport == stuck_port || head->dport == stuck_port)
           ? 0 : g->room;
}

/* Data of the flow of the guest's port @sport that came since. */
static size_t take(Guest *g, uint16_t sport)
{
    size_t len = 0;

    while (g->got.length) {
        TcpHeader tcp;
        g_autoptr(GuestFrame) f = guest_get_tcp(g, &tcp);

        g_assert_cmpuint(tcp.dport, ==, sport);
        len += tcp.payload_len;
    }
    return len;
}

/* A guest's queue that is stuck stops the flows that go by it, and no others. */
static void test_stuck_queue_stops_its_flows(Guest *g)
{
    static uint8_t data[60000];
    uint16_t port;
    int listener = outside_listen(g, &port), fd[2], i;

    for (i = 0; i < 2; i++) {
        g->sport = 40000 + i;
        fd[i] = guest_connect(g, listener, port, 7, 1460);
    }
    g->room_of = room_of;
    stuck_port = 40000;
    for (i = 0; i < 2; i++) {
        g_assert_cmpint(write(fd[i], data, sizeof(data)), ==, sizeof(data));
    }
    guest_iterate(g);
    guest_settle(g);
    g_assert_cmpuint(take(g, 40001), ==, sizeof(data));
    nat_resume(g->nat, GUEST_PORT_ID, g->now_ms);
    guest_expect_nothing(g);
    stuck_port = 0;
    nat_resume(g->nat, GUEST_PORT_ID, g->now_ms);
    g_assert_cmpuint(take(g, 40000), ==, sizeof(data));
    for (i = 0; i < 2; i++) {
        close(fd[i]);
    }
    close(listener);
}

/* Whoever waits for one guest's port is not asked when another's has room. */
static void test_other_port_asks_nobody(Guest *g)
{
    uint16_t port;
    int listener = outside_listen(g, &port);
    int fd = guest_connect(g, listener, port, 7, 1460);
    unsigned before;

    g->room = 0;
    g_assert_cmpint(write(fd, "data", 4), ==, 4);
    guest_iterate(g);
    before = g->n_asked;
    g_assert_cmpuint(before, >, 0);
    g->room = SIZE_MAX;
    nat_resume(g->nat, GUEST_PORT_ID + 1, g->now_ms);
    g_assert_cmpuint(g->n_asked, ==, before);
    guest_expect_nothing(g);
    nat_resume(g->nat, GUEST_PORT_ID, g->now_ms);
    g_assert_cmpuint(take(g, g->sport), ==, 4);
    close(fd);
    close(listener);
}

/* ---- datagrams ---- */

static void send_to(Guest *g, uint16_t sport, uint16_t dport)
{
    IpHeaders headers = guest_headers(g);
    uint8_t buf[UDP_HEADROOM + 2];
    size_t n = udp_build(buf, sizeof(buf), &headers, sport, dport, "go", 2);

    g_assert_cmpint(guest_input(g, buf, n), ==, NAT_OK);
    guest_flush(g);
}

static void expect_from(Guest *g, uint16_t sport, const char *text)
{
    g_autoptr(GuestFrame) f = guest_get(g);
    UdpDatagram udp;

    g_assert_true(udp_parse(&f->frame, &f->ip, &udp));
    g_assert_cmpuint(udp.sport, ==, sport);
    g_assert_cmpmem(f->data + udp.payload_off, udp.payload_len, text,
                    strlen(text));
}

/*
 * One socket, two peers by two queues: what finds no room is lost no more than
 * if there was one queue, nor is what comes behind it.
 */
static void test_datagrams_of_two_queues(Guest *g)
{
    struct sockaddr_storage ss;
    socklen_t len;
    uint16_t port[2];
    int fd[2], i;
    char buf[8];

    for (i = 0; i < 2; i++) {
        fd[i] = outside_socket(g, SOCK_DGRAM, &port[i]);
        send_to(g, 5000, port[i]);
        len = sizeof(ss);
        g_assert_cmpint(recvfrom(fd[i], buf, sizeof(buf), 0,
                                 (struct sockaddr *)&ss, &len), ==, 2);
    }
    g->room_of = room_of;
    stuck_port = port[1];
    for (i = 0; i < 3; i++) {
        g_assert_cmpint(sendto(fd[i % 2], i ? "later" : "now", i ? 5 : 3, 0,
                               (struct sockaddr *)&ss, len), >, 0);
    }
    expect_from(g, port[0], "now");
    guest_expect_nothing(g);
    nat_resume(g->nat, GUEST_PORT_ID, g->now_ms);
    guest_expect_nothing(g);
    stuck_port = 0;
    nat_resume(g->nat, GUEST_PORT_ID, g->now_ms);
    expect_from(g, port[1], "later");
    expect_from(g, port[0], "later");
    guest_expect_nothing(g);
    close(fd[0]);
    close(fd[1]);
}

/* One that was asked in vain goes because of one that was asked after it. */
static void test_recycled_while_it_waits(Guest *g)
{
    GuestPath path = g->path;
    g_autoptr(Guest) few = NULL;
    IpEndpoint guest, at;
    struct sockaddr_storage ss;
    NatUdpForward *forward;
    uint16_t port, client_port;
    int listener, fd, client;
    socklen_t len;
    NatStats stats;

    path.flows_per_port = 1;
    few = guest_new(&path);
    listener = outside_listen(few, &port);
    fd = guest_connect(few, listener, port, 7, 1460);
    client = outside_socket(few, SOCK_DGRAM, &client_port);
    guest = (IpEndpoint){ few->addr, 53 };
    at.addr = few->loopback;
    forward = nat_udp_forward(few->nat, outside_socket(few, SOCK_DGRAM, &at.port),
                              &guest, few->now_ms);
    len = ip_endpoint_to_sockaddr(&at, &ss);

    few->room = 0;
    g_assert_cmpint(write(fd, "data", 4), ==, 4);
    guest_iterate(few);
    g_assert_cmpint(sendto(client, "first", 5, 0, (struct sockaddr *)&ss, len),
                    ==, 5);
    guest_iterate(few);
    guest_expect_nothing(few);
    /* Enough for a datagram of the MTU, not for a segment with all options. */
    few->room = 14 + 1500 + 16;
    nat_resume(few->nat, GUEST_PORT_ID, few->now_ms);
    nat_stats(few->nat, &stats);
    g_assert_cmpuint(stats.flows_recycled, ==, 1);
    expect_from(few, client_port, "first");
    guest_expect_tcp(few, TCP_RST | TCP_ACK, NULL);
    few->room = SIZE_MAX;
    nat_resume(few->nat, GUEST_PORT_ID, few->now_ms);
    guest_expect_nothing(few);
    nat_udp_forward_free(forward);
    close(client);
    close(fd);
    close(listener);
}

static const TcpTest tests[] = {
    { "stuck-queue-stops-its-flows", test_stuck_queue_stops_its_flows },
    { "other-port-asks-nobody", test_other_port_asks_nobody },
    { "datagrams-of-two-queues", test_datagrams_of_two_queues },
    { "recycled-while-it-waits", test_recycled_while_it_waits },
};

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    tcp_tests_add("nat-room", tests, G_N_ELEMENTS(tests));
    return g_test_run();
}
