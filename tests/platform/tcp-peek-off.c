/*
 * SO_PEEK_OFF on TCP (Linux 6.9; IPv6 6.10): a peek begins where the last one
 * ended, over any number of pieces, and MSG_TRUNC discards without copying and
 * moves the offset back by as much.  After the last byte a peek returns 0 once
 * the peer has closed, though nothing has been read.
 *
 * What relies on it: nat/tcp-out.c.  Without it: nat/ring.c.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "platform.h"
#include <sys/uio.h>

static int peek_off(int fd)
{
    int value = -2;
    socklen_t len = sizeof(value);

    MUST(getsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &value, &len) == 0);
    return value;
}

static void check(int family)
{
    int fd[2], off = 0;
    char a[4], b[8];
    struct iovec iov[2] = { { a, 4 }, { b, 8 } };
    struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };

    tcp_pair(family, fd);
    if (setsockopt(fd[1], SOL_SOCKET, SO_PEEK_OFF, &off, sizeof(off)) < 0) {
        skip(family == AF_INET ? "no SO_PEEK_OFF on TCP"
                               : "no SO_PEEK_OFF on TCP over IPv6");
    }
    MUST(send(fd[0], "01234567", 8, 0) == 8);
    MUST(send(fd[0], "89abcdef", 8, 0) == 8);

    /* One peek scatters over both sends, the next goes on. */
    MUST(recvmsg(fd[1], &msg, MSG_PEEK) == 12);
    MUST(!memcmp(a, "0123", 4) && !memcmp(b, "456789ab", 8));
    MUST(peek_off(fd[1]) == 12);
    MUST(recv(fd[1], b, 8, MSG_PEEK) == 4);
    MUST(!memcmp(b, "cdef", 4));
    MUST(recv(fd[1], b, 8, MSG_PEEK | MSG_DONTWAIT) == -1 && errno == EAGAIN);

    /* Discarding moves the offset back. */
    MUST(recv(fd[1], NULL, 10, MSG_TRUNC | MSG_DONTWAIT) == 10);
    MUST(peek_off(fd[1]) == 6);
    MUST(recv(fd[1], b, 8, MSG_PEEK | MSG_DONTWAIT) == -1 && errno == EAGAIN);

    /* Going back repeats. */
    MUST(setsockopt(fd[1], SOL_SOCKET, SO_PEEK_OFF, &off, sizeof(off)) == 0);
    MUST(recv(fd[1], b, 8, MSG_PEEK) == 6);
    MUST(!memcmp(b, "abcdef", 6));

    /* Discarding more than was peeked makes it 0, not negative. */
    MUST(setsockopt(fd[1], SOL_SOCKET, SO_PEEK_OFF, &off, sizeof(off)) == 0);
    MUST(recv(fd[1], b, 2, MSG_PEEK) == 2);
    MUST(recv(fd[1], NULL, 4, MSG_TRUNC) == 4);
    MUST(peek_off(fd[1]) == 0);
    MUST(recv(fd[1], b, 8, MSG_PEEK) == 2);

    /* The end is seen while data is still there. */
    close(fd[0]);
    MUST(recv(fd[1], b, 8, MSG_PEEK) == 0);
    MUST(setsockopt(fd[1], SOL_SOCKET, SO_PEEK_OFF, &off, sizeof(off)) == 0);
    MUST(recv(fd[1], b, 8, MSG_PEEK) == 2);
    MUST(recv(fd[1], b, 8, MSG_PEEK) == 0);
    close(fd[1]);
}

int main(void)
{
    check(AF_INET);
    check(AF_INET6);
    return 0;
}
