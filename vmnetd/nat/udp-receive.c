/*
 * UDP datagrams for guests
 *
 * Theory of operation
 *
 * Datagrams are received many at a time, right behind the place for their
 * headers.  One that is longer than a slot goes on in a buffer of its own, and
 * leaves in fragments: all of them, or none.
 *
 * How many there will be is known only when the datagram has been read.  Where
 * the guest's port has no room for so many, it and those behind it are kept,
 * and the socket is not read until they have left.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "nat/udp-int.h"
#include <errno.h>
#include <string.h>

#define UDP_BATCH NAT_N_BIG
/* Read in one turn: who sends without end has to wait for the others. */
#define BATCHES_MAX 8
/* What is kept goes after this: its fragments fit into no queue of the port. */
#define KEPT_MS 1000

typedef struct UdpKept {
    GList link;
    IpEndpoint outside;
    int64_t until_ms;
    size_t len;
    uint8_t data[];
} UdpKept;

static IpAddr find_destination(struct msghdr *msg)
{
    struct cmsghdr *cmsg;
    struct in_pktinfo info4;
    struct in6_pktinfo info6;
    IpAddr none = { 0 };

    for (cmsg = CMSG_FIRSTHDR(msg); cmsg; cmsg = CMSG_NXTHDR(msg, cmsg)) {
        if (cmsg->cmsg_level == IPPROTO_IP && cmsg->cmsg_type == IP_PKTINFO) {
            memcpy(&info4, CMSG_DATA(cmsg), sizeof(info4));
            return ip_addr_v4(g_ntohl(info4.ipi_spec_dst.s_addr));
        }
        if (cmsg->cmsg_level == IPPROTO_IPV6 &&
            cmsg->cmsg_type == IPV6_PKTINFO) {
            memcpy(&info6, CMSG_DATA(cmsg), sizeof(info6));
            return ip_addr_v6(&info6.ipi6_addr);
        }
    }
    return none;
}

static IpHeaders udp_headers(UdpSocket *sock, const IpEndpoint *outside)
{
    return (IpHeaders){
        .eth_src = sock->nat->config.gateway_mac, .eth_dst = sock->mac,
        .src = outside->addr, .dst = sock->guest.addr,
        .proto = IPPROTO_UDP, .ttl = 64,
    };
}

static size_t udp_slot_len(const UdpSocket *sock)
{
    return sock->nat->config.mtu_bytes -
           (sock->guest.addr.family == AF_INET ? 28 : 48);
}

static size_t udp_frame_len(const UdpSocket *sock)
{
    return 14 + sock->nat->config.mtu_bytes;
}

/* Frames that a datagram of @len bytes becomes. */
static unsigned udp_n_frames(const UdpSocket *sock, size_t len)
{
    return frag_count(sock->guest.addr.family, UDP_HEADER_LEN + len,
                      sock->nat->config.mtu_bytes);
}

/* ---- longer than the MTU ---- */

static void udp_output_one(UdpSocket *sock, const IpEndpoint *outside,
                           const uint8_t *data, size_t len, int64_t now_ms)
{
    IpHeaders headers = udp_headers(sock, outside);
    g_autofree uint8_t *whole = g_malloc(UDP_HEADROOM + len);
    size_t n = udp_build(whole, UDP_HEADROOM + len, &headers, outside->port,
                         sock->guest.port, data, len);

    if (n) {
        nat_out_packet(sock->nat, &headers, whole, n, now_ms);
    }
}

/* @len bytes have been received: the first in slot @i, the rest in its big
 * buffer. */
static UdpKept *udp_kept_new(UdpSocket *sock, const IpEndpoint *outside,
                             unsigned i, size_t len, int64_t now_ms)
{
    size_t first = MIN(len, udp_slot_len(sock));
    UdpKept *kept = g_malloc(sizeof(*kept) + len);

    *kept = (UdpKept){
        .link.data = kept, .outside = *outside, .len = len,
        .until_ms = now_ms + KEPT_MS,
    };
    memcpy(kept->data, nat_stage_slot(sock->nat, i) + TCP_HEADROOM, first);
    memcpy(kept->data + first, nat_big(sock->nat, i), len - first);
    return kept;
}

static void udp_keep(UdpSocket *sock, UdpKept *kept)
{
    Nat *nat = sock->nat;

    if (nat->kept_bytes + kept->len > LIMIT_NAT_KEPT_BYTES) {
        nat->stats.datagrams_dropped++;
        g_free(kept);
        return;
    }
    nat->kept_bytes += kept->len;
    g_queue_push_tail_link(&sock->kept, &kept->link);
}

static void udp_kept_free(UdpSocket *sock, UdpKept *kept)
{
    sock->nat->kept_bytes -= kept->len;
    g_queue_unlink(&sock->kept, &kept->link);
    g_free(kept);
}

void udp_kept_clear(UdpSocket *sock)
{
    while (sock->kept.head) {
        udp_kept_free(sock, sock->kept.head->data);
    }
}

/* False: there is no room for the first of them yet. */
static bool udp_send_kept(UdpSocket *sock, int64_t now_ms)
{
    while (sock->kept.head) {
        UdpKept *kept = sock->kept.head->data;
        unsigned n = udp_n_frames(sock, kept->len);

        if (nat_room(sock->nat, &sock->mac, udp_frame_len(sock), n,
                     now_ms) == n) {
            udp_output_one(sock, &kept->outside, kept->data, kept->len,
                           now_ms);
        } else if (now_ms < kept->until_ms) {
            return false;
        } else {
            sock->nat->stats.datagrams_dropped++;
        }
        udp_kept_free(sock, kept);
    }
    return true;
}

/* ---- within the MTU, many at a time ---- */

static void udp_output(UdpSocket *sock, const IpEndpoint *outside, unsigned i,
                       size_t len, unsigned frame_index)
{
    NatStage *stage = &sock->nat->stage;
    IpHeaders headers = udp_headers(sock, outside);
    size_t head_len = ip_headers_len(headers.src.family) + UDP_HEADER_LEN;
    struct iovec *iov = &stage->iov[frame_index * NAT_STAGE_IOV];
    uint8_t *data = nat_stage_slot(sock->nat, i) + TCP_HEADROOM;
    struct iovec payload = { data, len };

    headers.dont_fragment = false;
    headers.id = ++sock->nat->ip_id;
    udp_headers_build(data - head_len, &headers, outside->port,
                      sock->guest.port, &payload, 1, len);
    iov[0] = (struct iovec){ data - head_len, head_len + len };
    frame_init(&stage->frames[frame_index], iov, 1);
}

typedef struct UdpReceived {
    struct mmsghdr msgs[UDP_BATCH];
    struct iovec iov[UDP_BATCH][2];
    struct sockaddr_storage names[UDP_BATCH];
    UdpControl control[UDP_BATCH];
} UdpReceived;

static int udp_receive(UdpSocket *sock, UdpReceived *r, unsigned n,
                       size_t slot_len)
{
    unsigned i;

    for (i = 0; i < n; i++) {
        r->iov[i][0] = (struct iovec){
            nat_stage_slot(sock->nat, i) + TCP_HEADROOM, slot_len
        };
        r->iov[i][1] = (struct iovec){ nat_big(sock->nat, i), NAT_BIG_BYTES };
        r->msgs[i].msg_hdr = (struct msghdr){
            .msg_name = &r->names[i], .msg_namelen = sizeof(r->names[i]),
            .msg_iov = r->iov[i], .msg_iovlen = 2,
            .msg_control = &r->control[i],
            .msg_controllen = sizeof(r->control[i]),
        };
    }
    return recvmmsg(sock->fd, r->msgs, n, MSG_DONTWAIT, NULL);
}

/* Frames for the guest of what has been received; there is room for @room. */
static void udp_deliver(UdpSocket *sock, UdpReceived *r, unsigned n,
                        unsigned room, int64_t now_ms)
{
    Nat *nat = sock->nat;
    unsigned i, n_frames = 0, need;
    IpEndpoint from, outside;
    IpAddr to;

    nat_out_flush(nat, now_ms);
    for (i = 0; i < n; i++) {
        size_t len = r->msgs[i].msg_len;

        to = find_destination(&r->msgs[i].msg_hdr);
        if (!ip_endpoint_from_sockaddr((struct sockaddr *)&r->names[i],
                                       r->msgs[i].msg_hdr.msg_namelen, &from) ||
            !sock->ops->came(sock, &from, &to, now_ms, &outside)) {
            continue;
        }
        need = udp_n_frames(sock, len);
        if (sock->kept.head || need > room) {
            udp_keep(sock, udp_kept_new(sock, &outside, i, len, now_ms));
        } else if (need == 1) {
            udp_output(sock, &outside, i, len, n_frames++);
            room--;
        } else {
            g_autofree UdpKept *big = udp_kept_new(sock, &outside, i, len,
                                                   now_ms);

            if (n_frames) {
                nat_output(nat, nat->stage.frames, n_frames, now_ms);
                n_frames = 0;
            }
            udp_output_one(sock, &outside, big->data, len, now_ms);
            room -= need;
        }
    }
    if (n_frames) {
        nat_output(nat, nat->stage.frames, n_frames, now_ms);
    }
}

/*
 * While the kernel has no memory to receive with, only the next datagram tells
 * us to try again: the ones that wait would do so over and over.
 */
static void set_failing(UdpSocket *sock, bool is_failing)
{
    if (sock->is_failing != is_failing) {
        sock->is_failing = is_failing;
        loop_watch_set_events(sock->watch,
                              is_failing ? EPOLLIN | EPOLLET : EPOLLIN);
    }
}

/* False: the receiver's room is to be waited for. */
static bool udp_read_batch(UdpSocket *sock, int *ret_n, int64_t now_ms)
{
    Nat *nat = sock->nat;
    unsigned room, max;
    UdpReceived r;

    if (!udp_send_kept(sock, now_ms)) {
        return false;
    }
    room = nat_room(nat, &sock->mac, udp_frame_len(sock), G_MAXINT, now_ms);
    max = MIN(room, MIN(UDP_BATCH, nat->stage.n_slots));
    if (max == 0) {
        return false;
    }
    *ret_n = udp_receive(sock, &r, max, udp_slot_len(sock));
    if (*ret_n < 0 && errno != EAGAIN && errno != EINTR) {
        udp_read_errors(sock, now_ms);          /* the error was theirs */
        *ret_n = udp_receive(sock, &r, max, udp_slot_len(sock));
    }
    if (*ret_n > 0) {
        udp_deliver(sock, &r, *ret_n, room, now_ms);
    }
    return sock->kept.head == NULL;
}

void udp_socket_read(UdpSocket *sock, int64_t now_ms)
{
    bool is_failing;
    unsigned i;
    int n = 1;

    for (i = 0; i < BATCHES_MAX && n > 0; i++) {
        if (!udp_read_batch(sock, &n, now_ms)) {
            nat_wait(sock->nat, &sock->wait);
            udp_socket_watch(sock, false);
            return;
        }
    }
    is_failing = n < 0 && errno != EAGAIN && errno != EINTR;
    udp_socket_watch(sock, true);
    set_failing(sock, is_failing);
}
