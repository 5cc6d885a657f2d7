/*
 * UDP datagrams that the kernel has merged (UDP_GRO), for tests and benches
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_UNIT_UDP_MERGED_H
#define TESTS_UNIT_UDP_MERGED_H

#include <netinet/udp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

/* Linux 4.18 and 5.0 */
#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#define UDP_GRO 104
#endif

/** udp_merge: false where the kernel merges none. */
static inline bool udp_merge(int fd)
{
    static const int one = 1;

    return setsockopt(fd, IPPROTO_UDP, UDP_GRO, &one, sizeof(one)) == 0;
}

/**
 * udp_receive_merged: as recvfrom().
 * @ret_size: of each datagram but the last one; only if there is any
 */
static inline ssize_t udp_receive_merged(int fd, void *buf, size_t len,
                                         size_t *ret_size, void *ret_from,
                                         socklen_t from_len)
{
    struct iovec iov = { buf, len };
    union {
        struct cmsghdr align;
        uint8_t buf[CMSG_SPACE(sizeof(int))];
    } control;
    struct msghdr msg = {
        .msg_name = ret_from, .msg_namelen = from_len,
        .msg_iov = &iov, .msg_iovlen = 1,
        .msg_control = &control, .msg_controllen = sizeof(control),
    };
    ssize_t n = recvmsg(fd, &msg, 0);
    int size = n;

    if (n < 0) {
        return n;
    }
    if (CMSG_FIRSTHDR(&msg)) {
        memcpy(&size, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(size));
    }
    *ret_size = size;
    return n;
}

#endif
