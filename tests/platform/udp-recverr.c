/*
 * IP_RECVERR on an unconnected UDP socket: an ICMP error waits in the error
 * queue with the address that the datagram was sent to and its payload, raises
 * EPOLLERR, and fails the next send once.
 *
 * What relies on it: nat/udp-socket.c.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "platform.h"
#include <linux/errqueue.h>
#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>
#include <poll.h>

static void check(int family)
{
    static const int one = 1;
    bool v4 = family == AF_INET;
    struct sockaddr_storage closed, name;
    socklen_t len;
    int fd = bound_socket(family, SOCK_DGRAM, &closed, &len);
    char payload[64], control[512];
    struct iovec iov = { payload, sizeof(payload) };
    struct msghdr msg = {
        .msg_name = &name, .msg_namelen = sizeof(name),
        .msg_iov = &iov, .msg_iovlen = 1,
        .msg_control = control, .msg_controllen = sizeof(control),
    };
    struct sock_extended_err *ee;
    struct cmsghdr *cmsg;
    struct pollfd pfd;

    close(fd);                      /* nobody has that port now */
    fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    MUST(setsockopt(fd, v4 ? IPPROTO_IP : IPPROTO_IPV6,
                    v4 ? IP_RECVERR : IPV6_RECVERR, &one, sizeof(one)) == 0);
    MUST(sendto(fd, "payload", 7, 0, (struct sockaddr *)&closed, len) == 7);
    pfd = (struct pollfd){ .fd = fd };
    MUST(poll(&pfd, 1, 1000) == 1 && (pfd.revents & POLLERR));
    MUST(sendto(fd, "again", 5, 0, (struct sockaddr *)&closed, len) == -1);
    MUST(errno == ECONNREFUSED);

    MUST(recvmsg(fd, &msg, MSG_ERRQUEUE) == 7);
    MUST(!memcmp(payload, "payload", 7));
    MUST(((struct sockaddr_in *)&name)->sin_port ==
         ((struct sockaddr_in *)&closed)->sin_port);
    cmsg = CMSG_FIRSTHDR(&msg);
    MUST(cmsg && cmsg->cmsg_type == (v4 ? IP_RECVERR : IPV6_RECVERR));
    ee = (struct sock_extended_err *)CMSG_DATA(cmsg);
    MUST(ee->ee_errno == ECONNREFUSED);
    MUST(ee->ee_origin == (v4 ? SO_EE_ORIGIN_ICMP : SO_EE_ORIGIN_ICMP6));
    MUST(ee->ee_type == (v4 ? ICMP_DEST_UNREACH : ICMP6_DST_UNREACH));
    MUST(ee->ee_code == (v4 ? ICMP_PORT_UNREACH : ICMP6_DST_UNREACH_NOPORT));
    MUST(recvmsg(fd, &msg, MSG_ERRQUEUE | MSG_DONTWAIT) == -1);
    close(fd);
}

int main(void)
{
    check(AF_INET);
    check(AF_INET6);
    return 0;
}
