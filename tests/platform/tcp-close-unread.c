/*
 * close() of a TCP socket with unread data resets the connection, and what was
 * still to be sent is lost; once the data has been discarded with MSG_TRUNC it
 * closes in order.  SO_LINGER of 0 resets at once.
 *
 * What relies on it: tcp_close_fd() in nat/tcp.c.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "platform.h"

/* How the peer sees the close: 0 in order, -1 reset. */
static ssize_t close_seen(bool discard, bool linger)
{
    static const struct linger at_once = { 1, 0 };
    int fd[2];
    char c;
    ssize_t n;

    tcp_pair(AF_INET, fd);
    MUST(send(fd[0], "unread", 6, 0) == 6);
    MUST(recv(fd[1], &c, 1, MSG_PEEK) == 1);
    if (discard) {
        MUST(recv(fd[1], NULL, 6, MSG_TRUNC) == 6);
    }
    if (linger) {
        MUST(setsockopt(fd[1], SOL_SOCKET, SO_LINGER, &at_once,
                        sizeof(at_once)) == 0);
    }
    close(fd[1]);
    n = recv(fd[0], &c, 1, 0);
    if (n < 0) {
        MUST(errno == ECONNRESET);
    }
    close(fd[0]);
    return n;
}

int main(void)
{
    MUST(close_seen(false, false) == -1);
    MUST(close_seen(true, false) == 0);
    MUST(close_seen(true, true) == -1);
    return 0;
}
