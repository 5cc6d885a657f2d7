/*
 * A guest made of frames, for the tests of nat/
 *
 *   Guest: builds and parses frames  <-->  Nat  <-->  real loopback sockets
 *
 * Time is a number that starts at loop_now_ms(), since events of sockets come
 * with the loop's; guest_advance() runs what is due on the way.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_UNIT_NAT_GUEST_H
#define TESTS_UNIT_NAT_GUEST_H

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <string.h>
#include <unistd.h>
#include "nat/frag.h"
#include "nat/nat.h"
#include "proto/checksum.h"
#include "proto/icmp6.h"
#include "proto/tcp.h"
#include "proto/udp.h"

#define GUEST_PORT_ID 7
#define GUEST_WAIT_S 10

/* One frame that the guest has got. */
typedef struct GuestFrame {
    uint8_t *data;
    size_t len;
    struct iovec iov;
    Frame frame;
    IpPacket ip;
} GuestFrame;

typedef struct GuestPath {
    sa_family_t family;
    bool no_peek_off;
    bool hold_frames;
    uint32_t mtu_bytes;
    unsigned flows_per_port;
    FlowQuota *quota;       /* shared with other guests; NULL: its own */
} GuestPath;

typedef struct Guest {
    GuestPath path;
    GMainContext *context;
    Loop *loop;
    Nat *nat;
    FlowQuota *own_quota;
    sa_family_t family;
    MacAddr mac, gateway_mac;
    IpAddr addr;            /* its own */
    IpAddr outside;         /* what route() takes to the loopback address */
    IpAddr loopback;
    int64_t now_ms;
    int64_t deadline_ms;
    size_t room, asked_room;    /* of its port; what was told last */
    unsigned n_asked;
    /* (optional) Of the queue that this goes by, where there are several. */
    size_t (*room_of)(const struct Guest *g, const NatHead *head);
    unsigned offloads;      /* that its port takes */
    bool neighbour_known;
    bool any_mac;           /* frames may be for others: flows were made up */
    GQueue got;             /* of GuestFrame */
    bool hold_frames;
    size_t piece_len;       /* frames lie in pieces of this; 0: in one */
    GPtrArray *held;        /* frames of this batch, if hold_frames */
    unsigned n_output_calls;
    IpAddr source;          /* what route() tells to send from */
    const char *state;      /* of the flow that changed last */

    /* One TCP connection, as its guest keeps it. */
    uint16_t sport, dport;
    uint32_t seq, ack;      /* next to send, next expected */
    uint32_t peer_isn;
    uint16_t window;
} Guest;

static inline void guest_frame_free(GuestFrame *f)
{
    if (f) {
        g_free(f->data);
        g_free(f);
    }
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(GuestFrame, guest_frame_free)

/* ---- NatOps ---- */

static inline bool guest_route(void *opaque, uint8_t proto,
                               const IpEndpoint *dst, NatRoute *ret)
{
    Guest *g = opaque;

    if (!ip_addr_equal(&dst->addr, &g->outside)) {
        return false;
    }
    memset(ret, 0, sizeof(*ret));
    ret->target = (IpEndpoint){ g->loopback, dst->port };
    ret->source = g->source;
    return true;
}

static inline IpAddr guest_gateway(const Guest *g, sa_family_t family)
{
    IpAddr addr;

    g_assert_true(ip_addr_parse(family == AF_INET ? "192.168.107.1"
                                                  : "fd00:107::1", &addr));
    return addr;
}

static inline IpAddr guest_peer_seen(void *opaque, const IpAddr *peer)
{
    return ip_addr_is_loopback(peer) ? guest_gateway(opaque, peer->family)
                                     : *peer;
}

static inline bool guest_neighbour(void *opaque, const IpAddr *addr,
                                   int64_t now_ms, MacAddr *ret_mac,
                                   uint32_t *ret_port)
{
    Guest *g = opaque;

    if (!g->neighbour_known || !ip_addr_equal(addr, &g->addr)) {
        return false;
    }
    *ret_mac = g->mac;
    *ret_port = GUEST_PORT_ID;
    return true;
}

static inline NatRoom guest_room(void *opaque, const NatHead *head,
                                 int64_t now_ms)
{
    Guest *g = opaque;

    g_assert_true(g->any_mac || mac_equal(&head->ip.eth_dst, &g->mac));
    g->asked_room = g->room;
    g->n_asked++;
    return (NatRoom){
        g->room_of ? g->room_of(g, head) : g->room, GUEST_PORT_ID, g->room_of
    };
}

static inline unsigned guest_offloads(void *opaque, const MacAddr *mac,
                                      int64_t now_ms)
{
    Guest *g = opaque;

    g_assert_true(g->any_mac || mac_equal(mac, &g->mac));
    return g->offloads;
}

/* Small, or a piece of something whole: sent whether there is room or not. */
static inline bool guest_is_control(const GuestFrame *f)
{
    TcpHeader tcp;

    if (tcp_parse(&f->frame, &f->ip, &tcp)) {
        return tcp.payload_len == 0;
    }
    return f->ip.proto != IPPROTO_UDP || f->ip.is_fragment;
}

static inline void guest_output(void *opaque, Frame *frames, unsigned n,
                                int64_t now_ms)
{
    Guest *g = opaque;
    unsigned i;

    g_assert_cmpuint(n, >, 0);
    g_assert_cmpuint(n, <=, FRAME_BATCH_MAX);
    g->n_output_calls++;
    for (i = 0; i < n; i++) {
        GuestFrame *f = g_new0(GuestFrame, 1);

        f->len = frames[i].len;
        f->data = g_malloc(f->len);
        g_assert_cmpuint(frame_peek(&frames[i], 0, f->data, f->len), ==, f->len);
        f->iov = (struct iovec){ f->data, f->len };
        frame_init(&f->frame, &f->iov, 1);
        f->frame.vnet = frames[i].vnet;
        /* Merged datagrams are cut by the switch, if the guest does not. */
        g_assert_true(g->offloads || f->frame.vnet.flags == 0 ||
                      f->frame.vnet.gso_type == VIRTIO_NET_HDR_GSO_UDP_L4);
        g_assert_cmpint(ip_packet_parse(&f->frame, &f->ip), ==, IP_PARSE_OK);
        g_assert_true(g->any_mac || mac_equal(&f->ip.eth_dst, &g->mac));
        g_assert_true(mac_equal(&f->ip.eth_src, &g->gateway_mac));
        if (f->ip.proto == IPPROTO_TCP) {
            g_assert_true(tcp_checksum_ok(&f->frame, &f->ip));
        }
        if (g->room != SIZE_MAX) {
            g_assert_true(f->len <= g->room || guest_is_control(f));
            g->room -= MIN(g->room, f->len);
        }
        g_queue_push_tail(&g->got, f);
    }
}

static inline void guest_deadline(void *opaque, int64_t deadline_ms)
{
    ((Guest *)opaque)->deadline_ms = deadline_ms;
}

static inline void guest_trace(void *opaque, const IpEndpoint *guest,
                               const char *from, const char *to)
{
    ((Guest *)opaque)->state = to;
}

/* ---- the guest ---- */

static inline Nat *guest_make_nat(Guest *g)
{
    static const NatOps ops = {
        .route = guest_route, .peer_seen = guest_peer_seen,
        .neighbour = guest_neighbour, .room = guest_room,
        .offloads = guest_offloads,
        .output = guest_output, .deadline = guest_deadline,
        .trace = guest_trace,
    };
    NatConfig config = {
        .loop = g->loop,
        .gateway_mac = g->gateway_mac,
        .gateway4 = guest_gateway(g, AF_INET),
        .gateway6 = guest_gateway(g, AF_INET6),
        .mtu_bytes = g->path.mtu_bytes ? g->path.mtu_bytes : 1500,
        .hash_key = "a key for tests",
        .no_peek_off = g->path.no_peek_off,
        .hold_frames = g->path.hold_frames,
        .flows_per_port = g->path.flows_per_port,
        .quota = g->path.quota ? g->path.quota : g->own_quota,
    };

    return nat_new(&config, &ops, g);
}

static inline Guest *guest_new(const GuestPath *path)
{
    Guest *g = g_new0(Guest, 1);
    bool v4 = path->family == AF_INET;

    g->path = *path;
    g->family = path->family;
    g->hold_frames = path->hold_frames;
    g->held = g_ptr_array_new_with_free_func(g_free);
    g->context = g_main_context_new();
    g->loop = loop_new(g->context, NULL);
    g_assert_nonnull(g->loop);
    g->mac = (MacAddr){ { 2, 0, 0, 0, 0, 2 } };
    g->gateway_mac = (MacAddr){ { 2, 0, 0, 0, 0, 1 } };
    g_assert_true(ip_addr_parse(v4 ? "192.168.107.2" : "fd00:107::2", &g->addr));
    g_assert_true(ip_addr_parse(v4 ? "192.0.2.1" : "2001:db8::1", &g->outside));
    g_assert_true(ip_addr_parse(v4 ? "127.0.0.1" : "::1", &g->loopback));
    g->now_ms = loop_now_ms();
    g->deadline_ms = -1;
    g->room = SIZE_MAX;
    g->neighbour_known = true;
    g->sport = 40000;
    g->seq = 1000;
    g->window = 0xffff;
    if (!path->quota) {
        g->own_quota = flow_quota_new(65536);
    }
    g->nat = guest_make_nat(g);
    return g;
}

static inline void guest_free(Guest *g)
{
    nat_free(g->nat);
    flow_quota_free(g->own_quota);
    loop_free(g->loop);
    g_main_context_unref(g->context);
    g_queue_clear_full(&g->got, (GDestroyNotify)guest_frame_free);
    g_ptr_array_unref(g->held);
    g_free(g);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Guest, guest_free)

static inline IpHeaders guest_headers(const Guest *g)
{
    return (IpHeaders){
        .eth_src = g->mac, .eth_dst = g->gateway_mac,
        .src = g->addr, .dst = g->outside, .ttl = 64, .dont_fragment = true,
    };
}

/*
 * A whole frame goes in; nat_flush() is the caller's.  Its memory is gone when
 * nat_input() returns, unless frames are held until the flush.
 */
static inline NatVerdict guest_input_vnet(Guest *g, const uint8_t *data,
                                          size_t len,
                                          const struct virtio_net_hdr_v1 *vnet)
{
    size_t piece = g->piece_len ? g->piece_len : len, done;
    g_autofree struct iovec *iov = g_new(struct iovec, len / piece + 1);
    uint8_t *copy = g_memdup2(data, len);
    unsigned before = g->n_output_calls, n = 0;
    Frame frame;
    IpPacket ip;
    NatVerdict verdict;

    for (done = 0; done < len; done += iov[n++].iov_len) {
        iov[n] = (struct iovec){ copy + done, MIN(piece, len - done) };
    }
    frame_init(&frame, iov, n);
    frame.vnet = *vnet;
    frame.src_port = GUEST_PORT_ID;
    g_assert_cmpint(ip_packet_parse(&frame, &ip), ==, IP_PARSE_OK);
    verdict = nat_input(g->nat, &frame, &ip, g->now_ms);
    g_assert_cmpuint(g->n_output_calls, ==, before);
    if (g->hold_frames) {
        g_ptr_array_add(g->held, copy);
    } else {
        g_free(copy);
    }
    return verdict;
}

static inline NatVerdict guest_input(Guest *g, const uint8_t *data, size_t len)
{
    static const struct virtio_net_hdr_v1 none;

    return guest_input_vnet(g, data, len, &none);
}

static inline void guest_flush(Guest *g)
{
    nat_flush(g->nat, g->now_ms);
    g_ptr_array_set_size(g->held, 0);
}

/* Run the loop until something has happened; fails after GUEST_WAIT_S. */
static inline gboolean guest_too_long(gpointer unused)
{
    g_error("nothing happened within %d s", GUEST_WAIT_S);
    return G_SOURCE_REMOVE;
}

static inline void guest_iterate(Guest *g)
{
    GSource *watchdog = g_timeout_source_new_seconds(GUEST_WAIT_S);

    g_source_set_callback(watchdog, guest_too_long, NULL, NULL);
    g_source_attach(watchdog, g->context);
    g_main_context_iteration(g->context, TRUE);
    g_source_destroy(watchdog);
    g_source_unref(watchdog);
    g->now_ms = MAX(g->now_ms, loop_now_ms());
    /* A deadline that is due at once: the rest of a long turn. */
    if (g->deadline_ms >= 0 && g->deadline_ms <= g->now_ms) {
        nat_run(g->nat, g->now_ms);
    }
}

/* What is pending without waiting for it. */
static inline void guest_settle(Guest *g)
{
    while (g_main_context_iteration(g->context, FALSE)) {
        /* again */
    }
}

static inline void guest_advance(Guest *g, int64_t ms)
{
    int64_t end_ms = g->now_ms + ms;

    while (g->deadline_ms >= 0 && g->deadline_ms <= end_ms) {
        g->now_ms = MAX(g->now_ms, g->deadline_ms);
        nat_run(g->nat, g->now_ms);
    }
    g->now_ms = end_ms;
}

/* The next frame, waited for. */
static inline GuestFrame *guest_get(Guest *g)
{
    while (g_queue_is_empty(&g->got)) {
        guest_iterate(g);
    }
    return g_queue_pop_head(&g->got);
}

/* ---- TCP ---- */

static inline NatVerdict guest_tcp_raw(Guest *g, const TcpHeader *tcp,
                                       const void *payload, size_t len)
{
    IpHeaders headers = guest_headers(g);
    g_autofree uint8_t *buf = g_malloc(TCP_HEADROOM + len);
    size_t n = tcp_headers_build(buf, &headers, tcp, len,
                                 csum_add(0, payload, len), false);

    if (len) {
        memcpy(buf + n, payload, len);
    }
    return guest_input(g, buf, n + len);
}

static inline TcpHeader guest_tcp_header(const Guest *g, uint8_t flags)
{
    return (TcpHeader){
        .sport = g->sport, .dport = g->dport, .seq = g->seq, .ack = g->ack,
        .flags = flags, .window = g->window,
    };
}

/* A segment at the right place, and the end of the batch. */
static inline void guest_tcp(Guest *g, uint8_t flags, const void *payload,
                             size_t len)
{
    TcpHeader tcp = guest_tcp_header(g, flags);

    g_assert_cmpint(guest_tcp_raw(g, &tcp, payload, len), ==, NAT_OK);
    g->seq += len + !!(flags & TCP_SYN) + !!(flags & TCP_FIN);
    guest_flush(g);
}

static inline GuestFrame *guest_get_tcp(Guest *g, TcpHeader *ret_tcp)
{
    GuestFrame *f = guest_get(g);

    g_assert_true(tcp_parse(&f->frame, &f->ip, ret_tcp));
    return f;
}

/* The next segment has exactly @flags; its payload is taken. */
static inline void guest_expect_tcp(Guest *g, uint8_t flags, TcpHeader *ret_tcp)
{
    TcpHeader tcp;

    guest_frame_free(guest_get_tcp(g, &tcp));
    g_assert_cmphex(tcp.flags, ==, flags);
    if (ret_tcp) {
        *ret_tcp = tcp;
    }
}

static inline void guest_expect_nothing(Guest *g)
{
    guest_settle(g);
    g_assert_cmpuint(g->got.length, ==, 0);
}

/* ---- the outside ---- */

static inline int outside_socket(Guest *g, int type, uint16_t *ret_port)
{
    IpEndpoint ep = { .addr = g->loopback };
    struct sockaddr_storage ss;
    socklen_t len = ip_endpoint_to_sockaddr(&ep, &ss);
    int fd = socket(g->family, type | SOCK_CLOEXEC, 0);

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(bind(fd, (struct sockaddr *)&ss, len), ==, 0);
    len = sizeof(ss);
    g_assert_cmpint(getsockname(fd, (struct sockaddr *)&ss, &len), ==, 0);
    g_assert_true(ip_endpoint_from_sockaddr((struct sockaddr *)&ss, len, &ep));
    *ret_port = ep.port;
    return fd;
}

static inline int outside_listen(Guest *g, uint16_t *ret_port)
{
    int fd = outside_socket(g, SOCK_STREAM, ret_port);

    g_assert_cmpint(listen(fd, 128), ==, 0);
    return fd;
}

/* The guest connects to @listener; returns the outside's end. */
static inline int guest_connect(Guest *g, int listener, uint16_t port,
                                uint8_t wscale, uint16_t mss)
{
    TcpHeader syn, tcp;
    int fd;

    g->dport = port;
    g->ack = 0;
    syn = guest_tcp_header(g, TCP_SYN);
    syn.mss = mss;
    syn.has_wscale = wscale > 0;
    syn.wscale = wscale;
    g_assert_cmpint(guest_tcp_raw(g, &syn, NULL, 0), ==, NAT_OK);
    g->seq++;
    guest_flush(g);
    guest_expect_tcp(g, TCP_SYN | TCP_ACK, &tcp);
    g_assert_cmpuint(tcp.ack, ==, g->seq);
    g->peer_isn = tcp.seq;
    g->ack = tcp.seq + 1;
    guest_tcp(g, TCP_ACK, NULL, 0);
    fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    g_assert_cmpint(fd, >=, 0);
    return fd;
}

/* Read exactly @len bytes that have been sent already. */
static inline void outside_read(int fd, void *buf, size_t len)
{
    g_assert_cmpint(recv(fd, buf, len, MSG_WAITALL), ==, (ssize_t)len);
}

/* Take data segments in order until @len bytes are there; acknowledge each. */
static inline void guest_take(Guest *g, void *buf, size_t len, bool ack)
{
    size_t at = 0;

    while (at < len) {
        TcpHeader tcp;
        g_autoptr(GuestFrame) f = guest_get_tcp(g, &tcp);

        if (tcp.payload_len == 0) {
            continue;
        }
        g_assert_cmpuint(tcp.seq, ==, g->ack);
        g_assert_cmpuint(tcp.payload_len, <=, len - at);
        g_assert_cmpuint(frame_peek(&f->frame, tcp.payload_off,
                                    (uint8_t *)buf + at, tcp.payload_len), ==,
                         tcp.payload_len);
        at += tcp.payload_len;
        g->ack += tcp.payload_len;
        if (ack) {
            guest_tcp(g, TCP_ACK, NULL, 0);
        }
    }
}

#endif
