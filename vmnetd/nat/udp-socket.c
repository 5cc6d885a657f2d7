/*
 * UDP sockets: life, events, errors of the outside
 *
 * Theory of operation
 *
 * A socket is never connected, so it hears of errors only by IP_RECVERR: each
 * waits in the error queue with the address it is about and the beginning of
 * the datagram, of which an ICMP error for the guest is made again.
 *
 * Datagrams are taken merged, where the kernel has merged those of one sender
 * (UDP_GRO, Linux 5.0; udp-receive.c).
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

    /* One's own link is too small: who has sent tells (udp_send_one), as
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
    sock->run_max = G_MAXUINT32;
    sock->expected = NAT_ROOM_WANTED;
    sock->wait.owner = sock;
    sock->wait.resume = udp_socket_resume;
    setsockopt(fd, v4 ? IPPROTO_IP : IPPROTO_IPV6,
               v4 ? IP_RECVERR : IPV6_RECVERR, &one, sizeof(one));
    setsockopt(fd, IPPROTO_UDP, UDP_GRO, &one, sizeof(one));
    sock->watch = loop_watch_new(nat->config.loop, fd, EPOLLIN,
                                 udp_socket_event, sock, &error);
    if (!sock->watch) {
        nat_fault(nat, &sock->guest, "epoll_ctl", errno);
    }
    return sock->watch != NULL;
}

void udp_socket_clear(UdpSocket *sock)
{
    g_clear_pointer(&sock->watch, loop_watch_free);
    nat_wait_cancel(sock->nat, &sock->wait);
    udp_gather_forget(sock);
    udp_kept_clear(sock);
    close(sock->fd);
}
