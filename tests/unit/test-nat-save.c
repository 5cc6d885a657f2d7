/*
 * One translator hands its flows over to the next, in the middle of everything
 *
 *   Nat --nat_save()--> bytes, descriptors --nat_load()--> Nat
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "nat-tcp-paths.h"
#include <netinet/tcp.h>

typedef struct Copy {
    GByteArray *bytes;
    HandoverFds fds;
} Copy;

/* What another process would get: the same sockets, by other numbers. */
static void copy_take(Copy *copy, const Handover *out)
{
    unsigned i;

    copy->bytes = g_byte_array_ref(out->bytes);
    copy->fds = (HandoverFds){ g_new(int, out->fds->len), out->fds->len };
    for (i = 0; i < out->fds->len; i++) {
        copy->fds.fds[i] = fcntl(g_array_index(out->fds, int, i),
                                 F_DUPFD_CLOEXEC, 0);
        g_assert_cmpint(copy->fds.fds[i], >=, 0);
    }
}

static void copy_clear(Copy *copy)
{
    handover_fds_close(&copy->fds);
    g_free(copy->fds.fds);
    g_byte_array_unref(copy->bytes);
}

static bool copy_load(Guest *g, Copy *copy)
{
    Cursor c = cursor_new(copy->bytes->data, copy->bytes->len), body;
    uint16_t tag;

    g_assert_true(handover_next(&c, &tag, &body));
    g_assert_cmpuint(tag, ==, HANDOVER_NAT);
    return nat_load(g->nat, &body, &copy->fds, g->now_ms);
}

static void hand_over(Guest *g)
{
    g_autoptr(Handover) out = handover_new();
    Copy copy;
    NatStats stats;
    unsigned i;

    nat_save(g->nat, out, g->now_ms);
    copy_take(&copy, out);
    nat_free_saved(g->nat);
    g->nat = guest_make_nat(g);
    g_assert_true(copy_load(g, &copy));
    nat_stats(g->nat, &stats);
    g_assert_cmpuint(stats.flows_refused, ==, 0);
    for (i = 0; i < copy.fds.n; i++) {
        g_assert_cmpint(copy.fds.fds[i], ==, -1);       /* all have a use */
    }
    copy_clear(&copy);
}

/* ---- TCP ---- */

typedef struct Stream {
    uint8_t data[300 * 1000];
    size_t written, came;           /* outside to guest */
    size_t sent, acked, read;       /* guest to outside */
    uint32_t base;                  /* the guest's first sequence number */
} Stream;

/* In order it is taken; else the guest says again what it wants. */
static void stream_get(Stream *s, Guest *g, GuestFrame *f)
{
    TcpHeader tcp;

    g_assert_true(tcp_parse(&f->frame, &f->ip, &tcp));
    g_assert_false(tcp.flags & (TCP_RST | TCP_SYN));
    if (tcp_seq_gt(tcp.ack, s->base + s->acked)) {
        s->acked = tcp.ack - s->base;
        s->sent = MAX(s->sent, s->acked);
    }
    if (tcp.payload_len) {
        if (tcp.seq == g->ack) {
            g_assert_cmpuint(s->came + tcp.payload_len, <=, sizeof(s->data));
            g_assert_cmpmem(f->data + tcp.payload_off, tcp.payload_len,
                            s->data + s->came, tcp.payload_len);
            s->came += tcp.payload_len;
            g->ack += tcp.payload_len;
        }
        g->seq = s->base + s->sent;
        guest_tcp(g, TCP_ACK, NULL, 0);
    }
}

static void stream_outside(Stream *s, int fd)
{
    uint8_t buf[4096];
    ssize_t n = write(fd, s->data + s->written, sizeof(s->data) - s->written);

    s->written += MAX(n, 0);
    n = read(fd, buf, sizeof(buf));
    if (n > 0) {
        g_assert_cmpmem(buf, n, s->data + s->read, n);
        s->read += n;
    }
}

static void stream_guest_sends(Stream *s, Guest *g)
{
    size_t n = MIN(1000, sizeof(s->data) - s->sent);

    if (n && s->sent - s->acked < 30 * 1000) {
        g->seq = s->base + s->sent;
        guest_tcp(g, TCP_ACK, s->data + s->sent, n);
        s->sent += n;
    } else if (n) {
        s->sent = s->acked;         /* its timer */
    }
}

/* Every so often another process takes over; frames on their way are lost. */
static void test_mid_transfer(Guest *g)
{
    static const int one = 1;
    static Stream s;
    uint16_t port;
    int listener = outside_listen(g, &port), i;
    int fd = guest_connect(g, listener, port, 7, 1000);

    memset(&s, 0, sizeof(s));
    fill(s.data, sizeof(s.data));
    s.base = g->seq;
    fcntl(fd, F_SETFL, O_NONBLOCK);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    for (i = 0; s.came < sizeof(s.data) || s.read < sizeof(s.data); i++) {
        GuestFrame *f;

        stream_outside(&s, fd);
        stream_guest_sends(&s, g);
        guest_settle(g);
        if (i % 37 == 20) {
            g_queue_clear_full(&g->got, (GDestroyNotify)guest_frame_free);
            hand_over(g);
        }
        while ((f = g_queue_pop_head(&g->got))) {
            stream_get(&s, g, f);
            guest_frame_free(f);
        }
        guest_advance(g, 20);
        g_assert_cmpint(i, <, 100 * 1000);
    }
    /* And it ends in good order. */
    g->seq = s.base + s.read;
    guest_advance(g, 1000);
    g_queue_clear_full(&g->got, (GDestroyNotify)guest_frame_free);
    close(fd);
    guest_expect_tcp(g, TCP_FIN | TCP_ACK, NULL);
    hand_over(g);
    g->ack++;
    guest_tcp(g, TCP_FIN | TCP_ACK, NULL, 0);
    while (g_strcmp0(g->state, "time-wait") != 0) {
        guest_iterate(g);
    }
    hand_over(g);
    close(listener);
}

/* A connection that is being made, from either side. */
static void test_half_open(Guest *g)
{
    uint16_t port;
    int listener = outside_listen(g, &port), fd;
    TcpHeader tcp;

    g->dport = port;
    guest_tcp(g, TCP_SYN, NULL, 0);
    hand_over(g);                       /* connect() has not come back to us */
    guest_expect_tcp(g, TCP_SYN | TCP_ACK, &tcp);
    g->ack = tcp.seq + 1;
    hand_over(g);
    guest_tcp(g, TCP_ACK | TCP_PSH, "x", 1);
    fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(write(fd, "y", 1), ==, 1);
    do {
        guest_frame_free(guest_get_tcp(g, &tcp));
    } while (tcp.payload_len == 0);
    g_assert_cmpuint(tcp.ack, ==, g->seq);
    close(fd);
    close(listener);
}

/* A peer's reset finds the flow where it is now. */
static void test_reset(Guest *g)
{
    static const struct linger at_once = { 1, 0 };
    uint16_t port;
    int listener = outside_listen(g, &port);
    int fd = guest_connect(g, listener, port, 7, 1460);
    TcpHeader tcp;

    hand_over(g);
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    close(fd);
    do {
        guest_frame_free(guest_get_tcp(g, &tcp));
    } while (!(tcp.flags & TCP_RST));
    close(listener);
}

/* ---- UDP ---- */

static void guest_sends_udp(Guest *g, uint16_t dport, const char *text)
{
    IpHeaders headers = guest_headers(g);
    uint8_t buf[UDP_HEADROOM + 16];
    size_t n = udp_build(buf, sizeof(buf), &headers, 5000, dport,
                         (const uint8_t *)text, strlen(text));

    g_assert_cmpint(guest_input(g, buf, n), ==, NAT_OK);
    guest_flush(g);
}

static void guest_expects_udp(Guest *g, uint16_t sport, const char *text)
{
    g_autoptr(GuestFrame) f = guest_get(g);
    UdpDatagram udp;

    g_assert_true(udp_parse(&f->frame, &f->ip, &udp));
    g_assert_cmpuint(udp.sport, ==, sport);
    g_assert_cmpuint(udp.dport, ==, 5000);
    g_assert_cmpmem(f->data + udp.payload_off, udp.payload_len, text,
                    strlen(text));
}

/* The outside sees the same port before and after. */
static void test_udp(Guest *g)
{
    struct sockaddr_storage before, after;
    socklen_t len = sizeof(before);
    uint16_t port;
    int fd = outside_socket(g, SOCK_DGRAM, &port);
    NatStats stats;
    char buf[8];

    guest_sends_udp(g, port, "one");
    g_assert_cmpint(recvfrom(fd, buf, sizeof(buf), 0,
                             (struct sockaddr *)&before, &len), ==, 3);
    hand_over(g);
    sendto(fd, "two", 3, 0, (struct sockaddr *)&before, len);
    guest_expects_udp(g, port, "two");
    guest_sends_udp(g, port, "three");
    g_assert_cmpint(recvfrom(fd, buf, sizeof(buf), 0,
                             (struct sockaddr *)&after, &len), ==, 5);
    g_assert_cmpmem(&before, len, &after, len);
    /* Its time goes on as well. */
    guest_advance(g, 200 * 1000);
    hand_over(g);
    nat_stats(g->nat, &stats);
    g_assert_cmpuint(stats.udp_flows, ==, 1);
    guest_advance(g, 101 * 1000);
    nat_stats(g->nat, &stats);
    g_assert_cmpuint(stats.udp_flows, ==, 0);
    close(fd);
}

static void test_forward(Guest *g)
{
    IpEndpoint guest = { g->addr, 5000 }, server = { .addr = g->loopback };
    uint16_t peer_port;
    int peer = outside_socket(g, SOCK_DGRAM, &peer_port);
    int fd = outside_socket(g, SOCK_DGRAM, &server.port);
    NatUdpForward *forward = nat_udp_forward(g->nat, fd, &guest, g->now_ms);
    g_autoptr(Handover) out = handover_new();
    struct sockaddr_storage ss;
    socklen_t len = ip_endpoint_to_sockaddr(&server, &ss);
    Cursor c, body;
    uint16_t tag;
    Copy copy;
    char buf[8];

    g_assert_cmpint(sendto(peer, "in", 2, 0, (struct sockaddr *)&ss, len), ==,
                    2);
    g->outside = guest_gateway(g, g->family);
    guest_expects_udp(g, peer_port, "in");
    nat_udp_forward_save(forward, out, g->now_ms);
    copy_take(&copy, out);
    nat_udp_forward_free(forward);
    c = cursor_new(copy.bytes->data, copy.bytes->len);
    g_assert_true(handover_next(&c, &tag, &body));
    g_assert_cmpuint(tag, ==, HANDOVER_NAT_FORWARD);
    forward = nat_udp_forward_load(g->nat, &body, &copy.fds, g->now_ms);
    g_assert_nonnull(forward);
    copy_clear(&copy);
    /* An answer to who came before, without another word from there. */
    guest_sends_udp(g, peer_port, "out");
    g_assert_cmpint(recv(peer, buf, sizeof(buf), 0), ==, 3);
    nat_udp_forward_free(forward);
    close(peer);
}

/* ---- damaged ---- */

static void load_damaged(Guest *g, Copy *copy)
{
    Cursor c = cursor_new(copy->bytes->data, copy->bytes->len), body;
    uint16_t tag;

    if (handover_next(&c, &tag, &body)) {
        nat_load(g->nat, &body, &copy->fds, g->now_ms);
    }
}

/* Each byte is changed in turn, and the record cut: nothing breaks. */
static void test_damaged(Guest *g)
{
    uint16_t port;
    int listener = outside_listen(g, &port);
    int fd = guest_connect(g, listener, port, 7, 1460);
    g_autoptr(Handover) out = handover_new();
    unsigned i, len;
    Nat *saved;
    Copy copy;

    g->any_mac = true;
    g_assert_cmpint(write(fd, "hello", 5), ==, 5);
    guest_frame_free(guest_get(g));
    nat_save(g->nat, out, g->now_ms);
    saved = g->nat;
    len = out->bytes->len;
    for (i = 6; i < 2 * len; i++) {
        g->nat = guest_make_nat(g);
        copy_take(&copy, out);
        g_byte_array_unref(copy.bytes);
        copy.bytes = g_byte_array_new();
        g_byte_array_append(copy.bytes, out->bytes->data, len);
        if (i < len) {
            copy.bytes->data[i] ^= 0xff;
        } else {
            writer_put_u32(copy.bytes->data + 2, i - len);
        }
        load_damaged(g, &copy);
        guest_flush(g);
        guest_settle(g);
        guest_advance(g, 5000);
        copy_clear(&copy);
        nat_free_saved(g->nat);
        g_queue_clear_full(&g->got, (GDestroyNotify)guest_frame_free);
    }
    g->nat = saved;
    close(fd);
    close(listener);
}

static const TcpTest tests[] = {
    { "mid-transfer", test_mid_transfer },
    { "half-open", test_half_open },
    { "reset", test_reset },
    { "udp", test_udp },
    { "forward", test_forward },
    { "damaged", test_damaged },
};

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    tcp_tests_add("nat-save", tests, G_N_ELEMENTS(tests));
    return g_test_run();
}
