/*
 * Fuzz the translator: a guest, a listener and time, driven by bytes
 *
 * The input is a program: a byte says what happens, bytes after it how.  The
 * guest's segments get right checksums and numbers near those that the
 * translator expects, so that they get past the first checks; raw frames get
 * neither.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <netinet/udp.h>
#include "../unit/nat-guest.h"
#include "proto/cursor.h"
#include "switch/switch.h"

#define OUTSIDE_MAX 8
/* Linux 4.18 */
#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

typedef struct World {
    Guest *g;
    int listener, datagrams;
    uint16_t tcp_port, udp_port;
    int outside[OUTSIDE_MAX];
    unsigned n_outside;
    uint32_t seq, ack;      /* of the last segment for the guest */
} World;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What the translator said last is what the guest answers to. */
static void listen_to_guest(World *w)
{
    GuestFrame *f;
    TcpHeader tcp;

    while ((f = g_queue_pop_head(&w->g->got))) {
        if (tcp_parse(&f->frame, &f->ip, &tcp)) {
            w->seq = tcp.ack;
            w->ack = tcp.seq + tcp.payload_len +
                     !!(tcp.flags & (TCP_SYN | TCP_FIN));
        }
        guest_frame_free(f);
    }
}

static void do_raw(World *w, Cursor *c)
{
    size_t len = MIN(cursor_u16(c) % 2048, cursor_left(c));
    const uint8_t *bytes = cursor_bytes(c, len);
    struct iovec iov = { (void *)bytes, len };
    Frame frame;
    IpPacket ip;

    if (!bytes || len == 0) {
        return;
    }
    frame_init(&frame, &iov, 1);
    frame.src_port = GUEST_PORT_ID;
    if (ip_packet_parse(&frame, &ip) == IP_PARSE_OK) {
        ip.eth_src = w->g->mac;
        nat_input(w->g->nat, &frame, &ip, w->g->now_ms);
    }
}

static void do_tcp(World *w, Cursor *c)
{
    static uint8_t payload[2048];
    TcpHeader tcp = {
        .sport = 40000 + cursor_u8(c) % 4, .dport = w->tcp_port,
        .flags = cursor_u8(c),
        .seq = w->seq + (int8_t)cursor_u8(c),
        .ack = w->ack + (int8_t)cursor_u8(c),
        .window = cursor_u16(c), .urgent = 1,
    };
    size_t len = cursor_u16(c) % sizeof(payload);

    if (tcp.flags & TCP_SYN) {
        tcp.mss = cursor_u16(c);
        tcp.wscale = cursor_u8(c) % 16;
        tcp.has_wscale = tcp.wscale > 0;
    }
    guest_tcp_raw(w->g, &tcp, payload, tcp.flags & TCP_SYN ? 0 : len);
}

static void do_udp(World *w, Cursor *c)
{
    IpHeaders headers = guest_headers(w->g);
    uint8_t buf[UDP_HEADROOM + 256];
    size_t len = cursor_u8(c);
    size_t n = udp_build(buf, sizeof(buf), &headers, 5000 + cursor_u8(c) % 16,
                         cursor_u8(c) & 1 ? w->udp_port : w->tcp_port, buf,
                         len);

    guest_input(w->g, buf, n);
}

/* Datagrams that are to be cut, by a header that may lie. */
static void do_uncut(World *w, Cursor *c)
{
    static const uint8_t data[65536];
    IpHeaders headers = guest_headers(w->g);
    uint8_t buf[FRAME_LEN_MAX];
    size_t len = cursor_u16(c) % 65000;
    size_t n = udp_headers_build_partial(buf, &headers,
                                         5000 + cursor_u8(c) % 16,
                                         w->udp_port, len);
    struct virtio_net_hdr_v1 vnet = {
        .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .gso_type = cursor_u8(c) % 8,
        .gso_size = GUINT16_TO_LE(cursor_u16(c)),
    };

    w->g->piece_len = cursor_u8(c) * 16;
    memcpy(buf + n, data, len);
    guest_input_vnet(w->g, buf, n + len, &vnet);
    w->g->piece_len = 0;
}

/* Somebody answers the guest's datagrams with many that are merged. */
static void do_answer(World *w, Cursor *c)
{
    static uint8_t data[65536];
    struct sockaddr_storage ss;
    socklen_t len = sizeof(ss);
    uint16_t size = cursor_u16(c);
    size_t n = cursor_u16(c) % 65000;

    w->g->offloads = cursor_u8(c) & (SWITCH_OFFLOAD_CSUM | SWITCH_OFFLOAD_USO);
    while (recvfrom(w->datagrams, data, sizeof(data), MSG_DONTWAIT,
                    (struct sockaddr *)&ss, &len) >= 0) {
        setsockopt(w->datagrams, IPPROTO_UDP, UDP_SEGMENT, &size, sizeof(size));
        if (sendto(w->datagrams, data, n, MSG_DONTWAIT, (struct sockaddr *)&ss,
                   len) < 0) {
            break;
        }
        len = sizeof(ss);
    }
}

static void do_fragment(World *w, Cursor *c)
{
    static const uint8_t data[65536];
    IpHeaders headers = guest_headers(w->g);
    uint8_t buf[FRAME_LEN_MAX];
    uint8_t id = cursor_u8(c);
    size_t off, len, total = cursor_u16(c), head;
    unsigned mtu = 576 + cursor_u16(c) % 1000, n;

    total = CLAMP(total, 1, 60000);
    n = frag_count(w->g->family, total, mtu);
    headers.proto = IPPROTO_UDP;
    headers.id = id;
    if (n > 1) {
        head = frag_build(buf, &headers, id, total, mtu, cursor_u8(c) % n,
                          &off, &len);
        memcpy(buf + head, data + off, len);
        guest_input(w->g, buf, head + len);
    }
}

static void do_outside(World *w, Cursor *c)
{
    static const uint8_t data[65536];
    uint8_t what = cursor_u8(c);
    unsigned i;
    int fd;

    if (w->n_outside < OUTSIDE_MAX) {
        fd = accept4(w->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0) {
            w->outside[w->n_outside++] = fd;
        }
    }
    if (w->n_outside == 0) {
        return;
    }
    i = what % w->n_outside;
    fd = w->outside[i];
    switch (cursor_u8(c) % 4) {
    case 0:
        if (send(fd, data, cursor_u16(c), MSG_NOSIGNAL) < 0) {
            break;
        }
        break;
    case 1:
        shutdown(fd, SHUT_WR);
        break;
    case 2: {
        uint8_t buf[65536];

        while (recv(fd, buf, sizeof(buf), 0) > 0) {
            /* all of it */
        }
        break;
    }
    default:
        close(fd);
        w->n_outside--;
        w->outside[i] = w->outside[w->n_outside];
        break;
    }
}

static void step(World *w, Cursor *c)
{
    Guest *g = w->g;

    switch (cursor_u8(c) % 12) {
    case 0:
        do_raw(w, c);
        break;
    case 1:
    case 2:
    case 3:
        do_tcp(w, c);
        break;
    case 4:
        do_udp(w, c);
        break;
    case 5:
        do_fragment(w, c);
        break;
    case 6:
        do_outside(w, c);
        break;
    case 7:
        g->room = cursor_u8(c) & 1 ? SIZE_MAX : cursor_u16(c);
        nat_resume(g->nat, GUEST_PORT_ID, g->now_ms);
        break;
    case 8:
        guest_advance(g, cursor_u16(c));
        break;
    case 10:
        do_uncut(w, c);
        break;
    case 11:
        do_answer(w, c);
        break;
    default:
        guest_flush(g);
        guest_settle(g);
        listen_to_guest(w);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Cursor c = cursor_new(data, MIN(size, 4096));
    uint8_t mode = cursor_u8(&c);
    GuestPath path = {
        .family = mode & 1 ? AF_INET6 : AF_INET,
        .no_peek_off = mode & 2, .hold_frames = mode & 4,
        .flows_per_port = 8,
    };
    World w = { .g = guest_new(&path) };

    w.listener = outside_listen(w.g, &w.tcp_port);
    fcntl(w.listener, F_SETFL, O_NONBLOCK);
    w.datagrams = outside_socket(w.g, SOCK_DGRAM, &w.udp_port);
    while (cursor_left(&c)) {
        step(&w, &c);
    }
    guest_flush(w.g);
    listen_to_guest(&w);
    while (w.n_outside) {
        close(w.outside[--w.n_outside]);
    }
    close(w.listener);
    close(w.datagrams);
    guest_free(w.g);
    return 0;
}
