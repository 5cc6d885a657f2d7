/*
 * Fuzz what a translator is handed over: flows, and sockets of every kind
 *
 * After it has been loaded the flows are used: their guest acknowledges and
 * closes, time passes, and they are saved again.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "../unit/nat-guest.h"

#define N_STREAMS 4

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Sockets that a record may name: 0 to 3 TCP, connected, 4 and 5 UDP. */
static unsigned make_fds(Guest *g, int listener, uint16_t port, int fds[6],
                         int peers[N_STREAMS])
{
    IpEndpoint server = { g->loopback, port };
    struct sockaddr_storage ss;
    socklen_t len = ip_endpoint_to_sockaddr(&server, &ss);
    uint16_t unused;
    unsigned i;

    for (i = 0; i < N_STREAMS; i++) {
        fds[i] = socket(g->family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        g_assert_cmpint(connect(fds[i], (struct sockaddr *)&ss, len), ==, 0);
        peers[i] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        g_assert_cmpint(write(peers[i], "some data", 9), ==, 9);
        fcntl(fds[i], F_SETFL, O_NONBLOCK);
    }
    fds[4] = outside_socket(g, SOCK_DGRAM, &unused);
    fds[5] = outside_socket(g, SOCK_DGRAM, &unused);
    return 6;
}

/* To each segment the guest has an answer. */
static void use(Guest *g)
{
    GuestFrame *f;
    TcpHeader tcp;
    unsigned i;

    guest_flush(g);
    guest_settle(g);
    for (i = 0; i < 64 && (f = g_queue_pop_head(&g->got)); i++) {
        if (tcp_parse(&f->frame, &f->ip, &tcp) && f->ip.src.family == g->family) {
            g->addr = f->ip.dst;
            g->outside = f->ip.src;
            g->sport = tcp.dport;
            g->dport = tcp.sport;
            g->seq = tcp.ack;
            g->ack = tcp.seq + tcp.payload_len + !!(tcp.flags & TCP_FIN);
            guest_tcp(g, i % 4 == 3 ? TCP_FIN | TCP_ACK : TCP_ACK, "x", i & 1);
        }
        guest_frame_free(f);
    }
    guest_advance(g, 100 * 1000);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    GuestPath path = {
        .family = size && data[0] & 1 ? AF_INET6 : AF_INET, .flows_per_port = 8,
    };
    Guest *g = guest_new(&path);
    g_autoptr(Handover) out = handover_new();
    Cursor c = cursor_new(data, MIN(size, 65536)), body;
    NatUdpForward *forward = NULL;
    int fds[6], peers[N_STREAMS], listener;
    HandoverFds taken = { .fds = fds };
    uint16_t port, tag;
    unsigned i;

    cursor_u8(&c);
    g->any_mac = true;
    listener = outside_listen(g, &port);
    taken.n = make_fds(g, listener, port, fds, peers);
    while (handover_next(&c, &tag, &body)) {
        if (tag == HANDOVER_NAT) {
            nat_load(g->nat, &body, &taken, g->now_ms);
        } else if (tag == HANDOVER_NAT_FORWARD && !forward) {
            forward = nat_udp_forward_load(g->nat, &body, &taken, g->now_ms);
        }
    }
    use(g);
    use(g);
    nat_save(g->nat, out, g->now_ms);
    nat_udp_forward_free(forward);
    handover_fds_close(&taken);
    for (i = 0; i < N_STREAMS; i++) {
        close(peers[i]);
    }
    close(listener);
    guest_free(g);
    return 0;
}
