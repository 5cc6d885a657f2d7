/*
 * UDP sockets: datagrams and errors, in and out
 *
 * Theory of operation
 *
 * A socket is never connected, so it hears of errors only by IP_RECVERR: each
 * waits in the error queue with the address it is about and the beginning of
 * the datagram, of which an ICMP error for the guest is made again.
 *
 * Datagrams are received many at a time, right behind the place for their
 * headers.  One that is longer than a slot goes on in a buffer of its own, and
 * leaves in fragments.
 *
 * The watch is level-triggered, so that a turn may end early; a socket that
 * waits for its receiver (room, or a MAC) is not watched for that long.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "nat/udp-int.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <linux/errqueue.h>
#include "proto/checksum.h"

#define UDP_BATCH NAT_N_BIG
/* Read in one turn: who sends without end has to wait for the others. */
#define ERRORS_MAX 16
#define BATCHES_MAX 8

typedef union UdpControl {
    struct cmsghdr align;
    uint8_t buf[CMSG_SPACE(sizeof(struct in6_pktinfo)) +
                CMSG_SPACE(sizeof(struct sock_extended_err) +
                           sizeof(struct sockaddr_in6))];
} UdpControl;

/* ---- errors ---- */

/* The ICMP error that @ee stands for. */
static IcmpCode udp_error_code(const struct sock_extended_err *ee,
                               sa_family_t family, uint32_t *ret_rest)
{
    const NatError *error = nat_error_find(ee->ee_errno);

    *ret_rest = 0;
    if (ee->ee_errno == EMSGSIZE) {
        *ret_rest = ee->ee_info;
        return family == AF_INET
               ? (IcmpCode){ ICMP_DEST_UNREACH, ICMP_FRAG_NEEDED }
               : (IcmpCode){ ICMP6_PACKET_TOO_BIG, 0 };
    }
    if (ee->ee_origin == SO_EE_ORIGIN_ICMP ||
        ee->ee_origin == SO_EE_ORIGIN_ICMP6) {
        return (IcmpCode){ ee->ee_type, ee->ee_code };
    }
    return family == AF_INET ? error->v4 : error->v6;
}

static void udp_error(UdpSocket *sock, const struct sock_extended_err *ee,
                      const IpEndpoint *target, const uint8_t *payload,
                      size_t len, int64_t now_ms)
{
    uint8_t quote[ICMP6_ERROR_PACKET_MAX + 14];
    IpEndpoint outside, offender;
    IpHeaders headers = { .ttl = 64, .src = sock->guest.addr };
    IpAddr from = { 0 };
    uint32_t rest;
    IcmpCode code = udp_error_code(ee, sock->guest.addr.family, &rest);
    size_t n;

    if (!sock->ops->sent(sock, target, &outside)) {
        return;
    }
    if (ee->ee_origin != SO_EE_ORIGIN_LOCAL &&
        ip_endpoint_from_sockaddr(SO_EE_OFFENDER(ee),
                                  sizeof(struct sockaddr_in6), &offender)) {
        from = sock->nat->ops.peer_seen(sock->nat->opaque, &offender.addr);
    }
    headers.dst = outside.addr;
    n = udp_build(quote, sizeof(quote), &headers, sock->guest.port,
                  outside.port, payload, MIN(len, 512));
    if (n) {
        nat_out_icmp_error(sock->nat, &sock->mac, &sock->guest.addr, code,
                           rest, &from, quote + 14, n - 14, now_ms);
    }
}

static const struct sock_extended_err *find_error(struct msghdr *msg)
{
    struct cmsghdr *cmsg;

    for (cmsg = CMSG_FIRSTHDR(msg); cmsg; cmsg = CMSG_NXTHDR(msg, cmsg)) {
        if ((cmsg->cmsg_level == IPPROTO_IP && cmsg->cmsg_type == IP_RECVERR) ||
            (cmsg->cmsg_level == IPPROTO_IPV6 &&
             cmsg->cmsg_type == IPV6_RECVERR)) {
            return (struct sock_extended_err *)CMSG_DATA(cmsg);
        }
    }
    return NULL;
}

static void udp_read_errors(UdpSocket *sock, int64_t now_ms)
{
    uint8_t payload[ICMP6_ERROR_PACKET_MAX];
    unsigned i;

    for (i = 0; i < ERRORS_MAX; i++) {
        struct sockaddr_storage ss;
        UdpControl control;
        struct iovec iov = { payload, sizeof(payload) };
        struct msghdr msg = {
            .msg_name = &ss, .msg_namelen = sizeof(ss),
            .msg_iov = &iov, .msg_iovlen = 1,
            .msg_control = &control, .msg_controllen = sizeof(control),
        };
        const struct sock_extended_err *ee;
        IpEndpoint target;
        ssize_t n = recvmsg(sock->fd, &msg, MSG_ERRQUEUE | MSG_DONTWAIT);

        if (n < 0) {
            return;
        }
        ee = find_error(&msg);
        if (ee && ip_endpoint_from_sockaddr((struct sockaddr *)&ss,
                                            msg.msg_namelen, &target)) {
            udp_error(sock, ee, &target, payload, n, now_ms);
        }
    }
}

/* ---- from guests ---- */

/* Pass on whether the guest lets its datagram be fragmented. */
static void udp_set_pmtu(UdpSocket *sock, const IpPacket *ip)
{
    bool v4 = ip->src.family == AF_INET;
    bool dont = v4 ? ip->dont_fragment : !sock->nat->reassembled;
    int value = dont ? IP_PMTUDISC_DO : IP_PMTUDISC_DONT;

    G_STATIC_ASSERT(IP_PMTUDISC_DO == IPV6_PMTUDISC_DO);
    G_STATIC_ASSERT(IP_PMTUDISC_DONT == IPV6_PMTUDISC_DONT);
    if (sock->pmtu != value) {
        sock->pmtu = value;
        setsockopt(sock->fd, v4 ? IPPROTO_IP : IPPROTO_IPV6,
                   v4 ? IP_MTU_DISCOVER : IPV6_MTU_DISCOVER, &value,
                   sizeof(value));
    }
}

static void put_source(struct msghdr *msg, UdpControl *control,
                       const IpAddr *source)
{
    struct in_pktinfo info4 = { 0 };
    struct in6_pktinfo info6 = { 0 };
    struct cmsghdr *cmsg = &control->align;
    bool v4 = source->family == AF_INET;
    size_t len = v4 ? sizeof(info4) : sizeof(info6);

    if (source->family == AF_UNSPEC) {
        return;
    }
    memset(control, 0, sizeof(*control));
    msg->msg_control = control;
    msg->msg_controllen = CMSG_SPACE(len);
    cmsg->cmsg_len = CMSG_LEN(len);
    cmsg->cmsg_level = v4 ? IPPROTO_IP : IPPROTO_IPV6;
    cmsg->cmsg_type = v4 ? IP_PKTINFO : IPV6_PKTINFO;
    if (v4) {
        info4.ipi_spec_dst.s_addr = g_htonl(source->v4);
        memcpy(CMSG_DATA(cmsg), &info4, len);
    } else {
        info6.ipi6_addr = source->v6;
        memcpy(CMSG_DATA(cmsg), &info6, len);
    }
}

/* An error that no error queue tells: the kernel refused right here. */
static void udp_refused(UdpSocket *sock, const Frame *frame,
                        const IpPacket *ip, int errnum, int64_t now_ms)
{
    const NatError *error = nat_error_find(errnum);
    bool v4 = ip->src.family == AF_INET;
    uint8_t quote[128];
    size_t n = frame_peek(frame, ip->l3_off, quote,
                          MIN(sizeof(quote), frame->len - ip->l3_off));

    if (error->tcp != NAT_ERROR_SILENT) {
        nat_out_icmp_error(sock->nat, &ip->eth_src, &ip->src,
                           v4 ? error->v4 : error->v6, 0, NULL, quote, n,
                           now_ms);
    }
}

void udp_socket_send(UdpSocket *sock, const Frame *frame, const IpPacket *ip,
                     const UdpDatagram *udp, const IpEndpoint *target,
                     const IpAddr *source, int64_t now_ms)
{
    struct sockaddr_storage ss;
    UdpControl control;
    struct iovec iov[FRAME_BATCH_MAX];
    struct msghdr msg = { .msg_name = &ss, .msg_iov = iov };
    size_t left = udp->payload_len;
    unsigned i, n;
    ssize_t sent;

    n = left ? frame_slice(frame, udp->payload_off, iov, G_N_ELEMENTS(iov)) : 0;
    for (i = 0; i < n && left; i++) {
        iov[i].iov_len = MIN(iov[i].iov_len, left);
        left -= iov[i].iov_len;
    }
    if (left) {
        return;
    }
    msg.msg_iovlen = i;
    msg.msg_namelen = ip_endpoint_to_sockaddr(target, &ss);
    put_source(&msg, &control, source);
    udp_set_pmtu(sock, ip);
    sent = sendmsg(sock->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0) {
        int first = errno;

        /* It may be the error of a datagram before: then once again. */
        udp_read_errors(sock, now_ms);
        if (first == EMSGSIZE || first == EAGAIN) {
            return;
        }
        sent = sendmsg(sock->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0 && errno == first) {
            udp_refused(sock, frame, ip, first, now_ms);
        }
    }
}

/* ---- for guests ---- */

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

/*
 * A datagram over the MTU: @len bytes, the first in slot @i, the rest in its
 * big buffer.
 */
static void udp_output_big(UdpSocket *sock, const IpEndpoint *outside,
                           unsigned i, size_t slot_len, size_t len,
                           int64_t now_ms)
{
    Nat *nat = sock->nat;
    IpHeaders headers = udp_headers(sock, outside);
    size_t at = ip_headers_len(headers.src.family);
    g_autofree uint8_t *whole = g_malloc(UDP_HEADROOM + len);

    memcpy(whole + at + UDP_HEADER_LEN, nat_stage_slot(nat, i) + TCP_HEADROOM,
           slot_len);
    memcpy(whole + at + UDP_HEADER_LEN + slot_len, nat_big(nat, i),
           len - slot_len);
    if (udp_build(whole, UDP_HEADROOM + len, &headers, outside->port,
                  sock->guest.port, whole + at + UDP_HEADER_LEN, len)) {
        nat_out_fragments(nat, &headers, whole + at, UDP_HEADER_LEN + len,
                          now_ms);
    }
}

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

/* Frames for the guest of what has been received. */
static void udp_deliver(UdpSocket *sock, UdpReceived *r, unsigned n,
                        size_t slot_len, int64_t now_ms)
{
    Nat *nat = sock->nat;
    unsigned i, n_frames = 0;
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
        if (len > slot_len) {
            udp_output_big(sock, &outside, i, slot_len, len, now_ms);
        } else {
            udp_output(sock, &outside, i, len, n_frames++);
        }
    }
    if (n_frames) {
        nat_output(nat, nat->stage.frames, n_frames, now_ms);
    }
}

void udp_socket_watch(UdpSocket *sock, bool on)
{
    if (sock->unwatched == on) {
        sock->unwatched = !on;
        sock->is_failing = false;
        loop_watch_set_events(sock->watch, on ? EPOLLIN : 0);
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

void udp_socket_read(UdpSocket *sock, int64_t now_ms)
{
    Nat *nat = sock->nat;
    unsigned headers = sock->guest.addr.family == AF_INET ? 28 : 48, i, max;
    size_t slot_len = nat->config.mtu_bytes - headers;
    bool is_failing;
    UdpReceived r;
    int n = 1;

    for (i = 0; i < BATCHES_MAX && n > 0; i++) {
        max = nat_room(nat, &sock->mac, 14 + nat->config.mtu_bytes,
                       MIN(UDP_BATCH, nat->stage.n_slots), now_ms);
        if (max == 0) {
            nat_wait(nat, &sock->wait);
            udp_socket_watch(sock, false);
            return;
        }
        n = udp_receive(sock, &r, max, slot_len);
        if (n < 0 && errno != EAGAIN && errno != EINTR) {
            udp_read_errors(sock, now_ms);      /* the error was theirs */
            n = udp_receive(sock, &r, max, slot_len);
        }
        if (n > 0) {
            udp_deliver(sock, &r, n, slot_len, now_ms);
        }
    }
    is_failing = n < 0 && errno != EAGAIN && errno != EINTR;
    udp_socket_watch(sock, true);
    set_failing(sock, is_failing);
}

static void udp_socket_event(void *opaque, uint32_t events, int64_t now_ms)
{
    UdpSocket *sock = opaque;
    Nat *nat = sock->nat;
    int error;
    socklen_t len = sizeof(error);

    if (events & EPOLLERR) {
        udp_read_errors(sock, now_ms);
        /* One that found no room in the queue would come for ever. */
        getsockopt(sock->fd, SOL_SOCKET, SO_ERROR, &error, &len);
    }
    if (events & EPOLLIN) {
        sock->ops->ready(sock, now_ms);
    }
    nat_done(nat, now_ms);
}

static void udp_socket_resume(Nat *nat, void *owner, int64_t now_ms)
{
    udp_socket_read(owner, now_ms);
}

bool udp_socket_init(UdpSocket *sock, Nat *nat, const UdpSocketOps *ops,
                     int fd)
{
    static const int one = 1;
    int family = AF_INET;
    socklen_t len = sizeof(family);
    g_autoptr(GError) error = NULL;
    bool v4;

    getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &len);
    v4 = family == AF_INET;
    sock->ops = ops;
    sock->nat = nat;
    sock->fd = fd;
    sock->pmtu = -1;
    sock->wait.owner = sock;
    sock->wait.resume = udp_socket_resume;
    setsockopt(fd, v4 ? IPPROTO_IP : IPPROTO_IPV6,
               v4 ? IP_RECVERR : IPV6_RECVERR, &one, sizeof(one));
    sock->watch = loop_watch_new(nat->config.loop, fd, EPOLLIN,
                                 udp_socket_event, sock, &error);
    return sock->watch != NULL;
}

void udp_socket_clear(UdpSocket *sock)
{
    g_clear_pointer(&sock->watch, loop_watch_free);
    nat_wait_cancel(sock->nat, &sock->wait);
    close(sock->fd);
}
