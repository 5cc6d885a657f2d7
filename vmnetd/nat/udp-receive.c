/*
 * UDP datagrams for guests
 *
 * Theory of operation
 *
 *   message of the kernel's    [ slot .... | big ............... ]
 *   datagram                   [ len ]
 *   datagrams of one sender    [ size | size | size | size | rest ]
 *
 * Messages are received many at a time, right behind the place for their
 * headers; one that is longer than a slot goes on in a buffer of its own.  A
 * message may be many datagrams that the kernel has merged, all of one size but
 * the last (UDP_GRO): it leaves as one frame, to be cut by the guest or, where
 * its port does not take that, by the switch.  Datagrams over the MTU leave in
 * fragments: all of a datagram's, or none.
 *
 * How much room that takes is known only when the message has been read.  As
 * many are read as fit if they are no longer than the last ones; where the
 * guest's port has no room all the same, the message and those behind it are
 * kept, and the socket is not read until they have left, a part of a message at
 * a time if need be.  Of a port with several queues that is the room of the one
 * that a message goes by; a socket waits for that of whom it last heard from.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "nat/udp-int.h"
#include <errno.h>
#include <string.h>
#include "switch/switch.h"

#define UDP_BATCH NAT_N_BIG
/* Read in one turn: who sends without end has to wait for the others. */
#define BATCHES_MAX 8
/* What is kept goes after this: its frames fit into no queue of the port. */
#define KEPT_MS 1000

/**
 * UdpMessage: datagrams that came from one sender at a time
 * @len, @size: of all, and of each but the last
 */
typedef struct UdpMessage {
    IpEndpoint outside;
    size_t len, size;
} UdpMessage;

/* Room for a frame, besides its payload. */
#define ROOM_PER_FRAME (UDP_HEADROOM + NAT_FRAME_OVERHEAD)

/**
 * UdpKept:
 * @message: what is left of it: @data from @at on
 * @bytes: of @data
 */
typedef struct UdpKept {
    GList link;
    UdpMessage message;
    size_t at, bytes;
    int64_t until_ms;
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

/* Of @len bytes that were received. */
static size_t find_size(struct msghdr *msg, size_t len)
{
    struct cmsghdr *cmsg;
    int size;

    for (cmsg = CMSG_FIRSTHDR(msg); cmsg; cmsg = CMSG_NXTHDR(msg, cmsg)) {
        if (cmsg->cmsg_level == IPPROTO_UDP && cmsg->cmsg_type == UDP_GRO) {
            memcpy(&size, CMSG_DATA(cmsg), sizeof(size));
            return size > 0 && (size_t)size < len ? (size_t)size : len;
        }
    }
    return len;
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

/* Of the room for one frame within the MTU. */
static size_t udp_frame_bytes(const UdpSocket *sock)
{
    return 14 + sock->nat->config.mtu_bytes + NAT_FRAME_OVERHEAD;
}

static unsigned udp_n_datagrams(const UdpMessage *message)
{
    return message->len ? (message->len - 1) / message->size + 1 : 1;
}

/* Does it leave as one frame? */
static bool udp_is_one_frame(const UdpSocket *sock, const UdpMessage *message)
{
    return message->size <= udp_slot_len(sock) &&
           udp_n_datagrams(message) <= LIMIT_SEGMENTS_PER_FRAME;
}

/* How the frames that @message leaves in begin. */
static NatHead udp_head(UdpSocket *sock, const UdpMessage *message)
{
    NatHead head = {
        .ip = udp_headers(sock, &message->outside),
        .sport = message->outside.port, .dport = sock->guest.port,
    };

    if (!udp_is_one_frame(sock, message)) {
        nat_head_of_fragments(&head);
    }
    return head;
}

/* Bytes of the room of a port with @offloads. */
static size_t udp_need(const UdpSocket *sock, const UdpMessage *message,
                       unsigned offloads)
{
    if (!udp_is_one_frame(sock, message)) {
        return udp_frame_bytes(sock) *
               frag_count(sock->guest.addr.family,
                          UDP_HEADER_LEN + message->len,
                          sock->nat->config.mtu_bytes);
    }
    return message->len + ROOM_PER_FRAME *
           (offloads & SWITCH_OFFLOAD_USO ? 1 : udp_n_datagrams(message));
}

/*
 * @frame: @head, for the headers, and then the message's bytes, which are
 * @n_iov elements from @iov[1] on.
 */
static void udp_frame(UdpSocket *sock, const UdpMessage *message, Frame *frame,
                      uint8_t *head, struct iovec *iov, unsigned n_iov,
                      unsigned offloads)
{
    Nat *nat = sock->nat;
    IpHeaders headers = udp_headers(sock, &message->outside);
    size_t head_len = ip_headers_len(headers.src.family) + UDP_HEADER_LEN;
    unsigned n = udp_n_datagrams(message);
    bool partial = n > 1 || offloads & SWITCH_OFFLOAD_CSUM;

    headers.id = nat->ip_id + 1;
    nat->ip_id += n;
    iov[0] = (struct iovec){ head, head_len };
    frame_init(frame, iov, n_iov + 1);
    if (!partial) {
        udp_headers_build(head, &headers, message->outside.port,
                          sock->guest.port, iov + 1, n_iov, message->len);
        return;
    }
    udp_headers_build_partial(head, &headers, message->outside.port,
                              sock->guest.port, message->len);
    frame->vnet.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
    frame->vnet.csum_start = GUINT16_TO_LE(head_len - UDP_HEADER_LEN);
    frame->vnet.csum_offset = GUINT16_TO_LE(UDP_CHECKSUM_OFFSET);
    if (n > 1) {
        frame->vnet.gso_type = VIRTIO_NET_HDR_GSO_UDP_L4;
        frame->vnet.gso_size = GUINT16_TO_LE(message->size);
        frame->vnet.hdr_len = GUINT16_TO_LE(head_len);
    }
}

/* ---- what does not fit ---- */

/* A datagram over the MTU. */
static void udp_output_long(UdpSocket *sock, const UdpMessage *message,
                            const uint8_t *data, int64_t now_ms)
{
    IpHeaders headers = udp_headers(sock, &message->outside);
    g_autofree uint8_t *whole = g_malloc(UDP_HEADROOM + message->len);
    size_t n = udp_build(whole, UDP_HEADROOM + message->len, &headers,
                         message->outside.port, sock->guest.port, data,
                         message->len);

    if (n) {
        nat_out_packet(sock->nat, &headers, whole, n, now_ms);
    }
}

static void udp_output(UdpSocket *sock, const UdpMessage *message,
                       uint8_t *data, unsigned offloads, int64_t now_ms)
{
    uint8_t head[UDP_HEADROOM];
    struct iovec iov[2] = { { 0 }, { data, message->len } };
    Frame frame;

    nat_out_flush(sock->nat, now_ms);
    if (udp_is_one_frame(sock, message)) {
        udp_frame(sock, message, &frame, head, iov, 1, offloads);
        nat_output(sock->nat, &frame, 1, now_ms);
    } else {
        udp_output_long(sock, message, data, now_ms);
    }
}

/* @message, which @source holds from @offset on. */
static UdpKept *udp_kept_new(const UdpMessage *message, const Frame *source,
                             size_t offset, int64_t now_ms)
{
    UdpKept *kept = g_malloc(sizeof(*kept) + message->len);

    *kept = (UdpKept){
        .link.data = kept, .message = *message, .bytes = message->len,
        .until_ms = now_ms + KEPT_MS,
    };
    frame_peek(source, offset, kept->data, message->len);
    return kept;
}

static void udp_keep(UdpSocket *sock, UdpKept *kept)
{
    Nat *nat = sock->nat;

    if (nat->kept_bytes + kept->bytes > LIMIT_NAT_KEPT_BYTES) {
        nat->stats.datagrams_dropped += udp_n_datagrams(&kept->message);
        g_free(kept);
        return;
    }
    nat->kept_bytes += kept->bytes;
    g_queue_push_tail_link(&sock->kept, &kept->link);
}

static void udp_kept_free(UdpSocket *sock, UdpKept *kept)
{
    sock->nat->kept_bytes -= kept->bytes;
    g_queue_unlink(&sock->kept, &kept->link);
    g_free(kept);
}

void udp_kept_clear(UdpSocket *sock)
{
    while (sock->kept.head) {
        udp_kept_free(sock, sock->kept.head->data);
    }
}

/* Of @message as much as there is @room for. False: not for a datagram. */
static bool udp_part(UdpSocket *sock, const UdpMessage *message, size_t room,
                     unsigned offloads, UdpMessage *ret_part)
{
    size_t n = room / (message->size + ROOM_PER_FRAME);
    bool fits = udp_need(sock, message, offloads) <= room;

    if (!fits && (message->len <= message->size || n == 0)) {
        return false;
    }
    *ret_part = *message;
    if (!fits) {
        ret_part->len = n * message->size;
    }
    return true;
}

/*
 * Leaves nothing, if the port has NAT_ROOM_WANTED; else it is waited for.
 * False: something is left.
 */
static bool udp_send_kept(UdpSocket *sock, unsigned offloads, int64_t now_ms)
{
    Nat *nat = sock->nat;

    while (sock->kept.head) {
        UdpKept *kept = sock->kept.head->data;
        NatHead head = udp_head(sock, &kept->message);
        NatRoom room = nat_room(nat, &sock->wait, &head, now_ms);
        UdpMessage part;

        if (udp_part(sock, &kept->message, room.bytes, offloads, &part)) {
            udp_output(sock, &part, kept->data + kept->at, offloads, now_ms);
            kept->at += part.len;
            kept->message.len -= part.len;
            kept->until_ms = now_ms + KEPT_MS;
            if (kept->message.len) {
                continue;
            }
        } else if (now_ms < kept->until_ms) {
            return false;
        } else {
            nat->stats.datagrams_dropped += udp_n_datagrams(&kept->message);
        }
        udp_kept_free(sock, kept);
    }
    return true;
}

/* ---- many at a time ---- */

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

/* Who has sent message @i, and what. False: the guest is not to have it. */
static bool udp_accept(UdpSocket *sock, UdpReceived *r, unsigned i,
                       UdpMessage *ret_message, int64_t now_ms)
{
    struct msghdr *msg = &r->msgs[i].msg_hdr;
    IpAddr to = find_destination(msg);
    IpEndpoint from;

    ret_message->len = r->msgs[i].msg_len;
    ret_message->size = find_size(msg, ret_message->len);
    return ip_endpoint_from_sockaddr((struct sockaddr *)&r->names[i],
                                     msg->msg_namelen, &from) &&
           sock->ops->came(sock, &from, &to, now_ms, &ret_message->outside);
}

/**
 * UdpDelivery: what has been received, on its way to the guest
 * @room: what is left of its port's, for what begins as the socket's head
 * @n_frames: in the stage
 * @longest: what a message has needed
 */
typedef struct UdpDelivery {
    UdpSocket *sock;
    unsigned offloads;
    NatRoom room;
    size_t longest;
    unsigned n_frames;
    int64_t now_ms;
} UdpDelivery;

static void deliver_frames(UdpDelivery *d)
{
    Nat *nat = d->sock->nat;

    if (d->n_frames) {
        nat_output(nat, nat->stage.frames, d->n_frames, d->now_ms);
        d->n_frames = 0;
    }
}

/* Slot @i and its big buffer hold it: the next frame. */
static void deliver_staged(UdpDelivery *d, const UdpMessage *message,
                           unsigned i)
{
    Nat *nat = d->sock->nat;
    Frame *frame = &nat->stage.frames[d->n_frames];
    struct iovec *iov = &nat->stage.iov[d->n_frames * NAT_STAGE_IOV];
    size_t head_len = ip_headers_len(d->sock->guest.addr.family) +
                      UDP_HEADER_LEN;
    size_t first = MIN(message->len, udp_slot_len(d->sock));
    uint8_t *data = nat_stage_slot(nat, i) + TCP_HEADROOM;
    unsigned n_iov = 1;

    iov[1] = (struct iovec){ data, first };
    if (first < message->len) {
        iov[2] = (struct iovec){ nat_big(nat, i), message->len - first };
        n_iov = 2;
    }
    udp_frame(d->sock, message, frame, data - head_len, iov, n_iov,
              d->offloads);
    d->n_frames++;
}

/* Several queues: @message may go by another one than what came before it. */
static void deliver_ask(UdpDelivery *d, const UdpMessage *message)
{
    UdpSocket *sock = d->sock;
    NatHead head, *last = &sock->head;

    if (!d->room.is_by_flow) {
        return;
    }
    head = udp_head(sock, message);
    if (head.sport == last->sport && head.dport == last->dport &&
        head.ip.proto == last->ip.proto &&
        ip_addr_equal(&head.ip.src, &last->ip.src) &&
        ip_addr_equal(&head.ip.dst, &last->ip.dst)) {
        return;
    }
    sock->head = head;
    deliver_frames(d);
    d->room = nat_room(sock->nat, &sock->wait, &head, d->now_ms);
}

/* @message, which @source, slot @i and its big buffer, holds from @offset on. */
static void deliver_message(UdpDelivery *d, const UdpMessage *message,
                            const Frame *source, size_t offset, unsigned i)
{
    UdpSocket *sock = d->sock;
    size_t need = udp_need(sock, message, d->offloads);

    d->longest = MAX(d->longest, need);
    deliver_ask(d, message);
    if (sock->kept.head || need > d->room.bytes) {
        udp_keep(sock, udp_kept_new(message, source, offset, d->now_ms));
        return;
    }
    d->room.bytes -= need;
    if (offset == 0 && udp_is_one_frame(sock, message)) {
        deliver_staged(d, message, i);
    } else {
        g_autofree UdpKept *kept = udp_kept_new(message, source, offset,
                                                d->now_ms);

        deliver_frames(d);
        udp_output(sock, message, kept->data, d->offloads, d->now_ms);
    }
}

/* Merged datagrams that are over the guest's MTU are each on their own. */
static void deliver_received(UdpDelivery *d, UdpReceived *r, unsigned i)
{
    UdpMessage all, one;
    Frame source;
    size_t done = 0;

    if (!udp_accept(d->sock, r, i, &all, d->now_ms)) {
        return;
    }
    frame_init(&source, r->iov[i], 2);
    one = all;
    if (udp_is_one_frame(d->sock, &all)) {
        deliver_message(d, &all, &source, 0, i);
        return;
    }
    for (; done < all.len; done += one.len) {
        one.len = one.size = MIN(all.size, all.len - done);
        deliver_message(d, &one, &source, done, i);
    }
}

static void udp_deliver(UdpSocket *sock, UdpReceived *r, unsigned n,
                        NatRoom room, unsigned offloads, int64_t now_ms)
{
    UdpDelivery d = {
        .sock = sock, .offloads = offloads, .room = room, .now_ms = now_ms,
    };
    unsigned i;

    nat_out_flush(sock->nat, now_ms);
    for (i = 0; i < n; i++) {
        deliver_received(&d, r, i);
    }
    deliver_frames(&d);
    sock->expected = MAX(d.longest, sock->expected / 2);
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

/* Messages to be read into @room bytes of the guest's port. */
static unsigned udp_batch_max(UdpSocket *sock, size_t room)
{
    size_t expected = MAX(sock->expected, udp_frame_bytes(sock));

    if (room < udp_frame_bytes(sock)) {
        return 0;
    }
    return CLAMP(room / expected, 1, MIN(UDP_BATCH, sock->nat->stage.n_slots));
}

/* False: the receiver's room is to be waited for. */
static bool udp_read_batch(UdpSocket *sock, int *ret_n, int64_t now_ms)
{
    Nat *nat = sock->nat;
    unsigned offloads = nat->ops.offloads
                        ? nat->ops.offloads(nat->opaque, &sock->mac, now_ms)
                        : 0;
    UdpReceived r;
    unsigned max;
    NatRoom room;

    if (!udp_send_kept(sock, offloads, now_ms)) {
        return false;
    }
    sock->head.ip.eth_dst = sock->mac;
    room = nat_room(nat, &sock->wait, &sock->head, now_ms);
    max = udp_batch_max(sock, room.bytes);
    if (max == 0) {
        return false;
    }
    *ret_n = udp_receive(sock, &r, max, udp_slot_len(sock));
    if (*ret_n < 0 && errno != EAGAIN && errno != EINTR) {
        nat_fault(nat, &sock->guest, "recvmmsg", errno);
        udp_read_errors(sock, now_ms);          /* the error was theirs */
        *ret_n = udp_receive(sock, &r, max, udp_slot_len(sock));
    }
    if (*ret_n > 0) {
        udp_deliver(sock, &r, *ret_n, room, offloads, now_ms);
    }
    return udp_send_kept(sock, offloads, now_ms);
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
