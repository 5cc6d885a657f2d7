/*
 * Ping sockets (icmp(7)): where net.ipv4.ping_group_range lets us, an echo
 * request leaves with an identifier of the kernel's choice, its answer comes to
 * the socket that asked, and a raw socket is not needed.
 *
 * What relies on it: nat/icmp.c.  Without it: guests' pings to the outside are
 * not answered.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "platform.h"
#include <fcntl.h>
#include <net/if.h>
#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>
#include <sched.h>
#include <sys/ioctl.h>

/* A network of our own, in which everybody may ping. */
static void own_network(void)
{
    int fd = open("/proc/sys/net/ipv4/ping_group_range", O_WRONLY | O_CLOEXEC);
    struct ifreq ifr = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };

    if (fd < 0 || write(fd, "0 0", 3) != 3) {
        skip("net.ipv4.ping_group_range cannot be set here");
    }
    close(fd);
    fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    MUST(ioctl(fd, SIOCSIFFLAGS, &ifr) == 0);
    close(fd);
}

static void check(int family)
{
    bool v4 = family == AF_INET;
    struct sockaddr_storage ss;
    socklen_t len = loopback(family, &ss);
    uint8_t request[12] = { v4 ? ICMP_ECHO : ICMP6_ECHO_REQUEST, 0, 0, 0,
                            0xab, 0xcd, 0, 7, 'e', 'c', 'h', 'o' };
    uint8_t reply[64];
    int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC,
                    v4 ? IPPROTO_ICMP : IPPROTO_ICMPV6);

    if (fd < 0) {
        skip("no ping sockets");
    }
    if (connect(fd, (struct sockaddr *)&ss, len) < 0) {
        skip("no route to this family's loopback address");
    }
    MUST(send(fd, request, sizeof(request), 0) == sizeof(request));
    MUST(recv(fd, reply, sizeof(reply), 0) == sizeof(request));
    MUST(reply[0] == (v4 ? ICMP_ECHOREPLY : ICMP6_ECHO_REPLY));
    MUST(reply[6] == 0 && reply[7] == 7);
    MUST(!memcmp(reply + 8, "echo", 4));
    close(fd);
}

int main(void)
{
    if (unshare(CLONE_NEWNET) < 0) {
        skip("no network namespace of our own");
    }
    own_network();
    check(AF_INET);
    check(AF_INET6);
    return 0;
}
