/*
 * UDP sockets: datagrams of guests, errors of the outside
 *
 * Theory of operation
 *
 * A socket is never connected, so it hears of errors only by IP_RECVERR: each
 * waits in the error queue with the address it is about and the beginning of
 * the datagram, of which an ICMP error for the guest is made again.
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
#include "proto/checksum.h"

/* Read in one turn. */
#define ERRORS_MAX 16

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

    /* One's own link is too small: who has sent tells (udp_socket_send), as
     * an unconnected socket's error does not say where to. */
    if (ee->ee_origin == SO_EE_ORIGIN_LOCAL && ee->ee_errno == EMSGSIZE) {
        sock->link_mtu = ee->ee_info;
        return;
    }
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

void udp_read_errors(UdpSocket *sock, int64_t now_ms)
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

/* The guest's own packet, as far as an ICMP error needs it. Returns: bytes */
static size_t quote_frame(const Frame *frame, const IpPacket *ip,
                          uint8_t quote[ICMP6_ERROR_PACKET_MAX])
{
    return frame_peek(frame, ip->l3_off, quote,
                      MIN(ICMP6_ERROR_PACKET_MAX, frame->len - ip->l3_off));
}

static void udp_too_big(UdpSocket *sock, const Frame *frame,
                        const IpPacket *ip, int64_t now_ms)
{
    uint8_t quote[ICMP6_ERROR_PACKET_MAX];
    size_t n = quote_frame(frame, ip, quote);
    IcmpCode code = ip->src.family == AF_INET
                    ? (IcmpCode){ ICMP_DEST_UNREACH, ICMP_FRAG_NEEDED }
                    : (IcmpCode){ ICMP6_PACKET_TOO_BIG, 0 };

    nat_out_icmp_error(sock->nat, &ip->eth_src, &ip->src, code,
                       sock->link_mtu, NULL, quote, n, now_ms);
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

/*
 * Returns: 0 or errno. The error queue has been read then; sock->link_mtu is not
 * 0 if this very datagram was too big for the link that it would take.
 */
static int udp_try_send(UdpSocket *sock, const struct msghdr *msg,
                        int64_t now_ms)
{
    int error;

    sock->link_mtu = 0;
    if (sendmsg(sock->fd, msg, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) {
        return 0;
    }
    error = errno;
    udp_read_errors(sock, now_ms);
    return error;
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
    int first, error;

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
    first = udp_try_send(sock, &msg, now_ms);
    if (first == 0 || first == EAGAIN) {
        return;
    }
    /* It may be the error of a datagram before: then once again. */
    error = sock->link_mtu ? first : udp_try_send(sock, &msg, now_ms);
    if (sock->link_mtu) {
        udp_too_big(sock, frame, ip, now_ms);
    } else if (error == first && first != EMSGSIZE) {
        udp_refused(sock, frame, ip, first, now_ms);
    }
}

/* ---- events ---- */

void udp_socket_watch(UdpSocket *sock, bool on)
{
    if (sock->unwatched == on) {
        sock->unwatched = !on;
        sock->is_failing = false;
        loop_watch_set_events(sock->watch, on ? EPOLLIN : 0);
    }
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
    udp_kept_clear(sock);
    close(sock->fd);
}
