/*
 * Edge-triggered epoll on TCP: data that stays in the queue wakes nobody, new
 * data does, also behind data that was peeked or left; EPOLLOUT comes once when
 * a full send buffer has room again, and poll() arms it like a failed send.
 *
 * What relies on it: nat/tcp.c, which never calls epoll_ctl() twice.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "platform.h"
#include <poll.h>
#include <sys/epoll.h>

static int epoll_fd;

static uint32_t events(int timeout_ms)
{
    struct epoll_event event = { 0 };
    int n = epoll_wait(epoll_fd, &event, 1, timeout_ms);

    MUST(n >= 0);
    return n ? event.events : 0;
}

static void watch(int fd)
{
    struct epoll_event event = {
        .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
    };

    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    MUST(epoll_fd >= 0);
    MUST(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0);
    MUST(events(0) == EPOLLOUT);
    MUST(events(0) == 0);
}

static void check_input(void)
{
    int fd[2];
    char c;

    tcp_pair(AF_INET, fd);
    watch(fd[1]);
    MUST(send(fd[0], "ab", 2, 0) == 2);
    MUST(events(1000) & EPOLLIN);
    MUST(events(0) == 0);
    MUST(recv(fd[1], &c, 1, MSG_PEEK) == 1);
    MUST(events(0) == 0);
    MUST(send(fd[0], "c", 1, 0) == 1);
    MUST(events(1000) & EPOLLIN);
    MUST(events(0) == 0);
    MUST(shutdown(fd[0], SHUT_WR) == 0);
    MUST((events(1000) & (EPOLLIN | EPOLLRDHUP)) == (EPOLLIN | EPOLLRDHUP));
    MUST(events(0) == 0);
    close(epoll_fd);
    close(fd[0]);
    close(fd[1]);
}

static void check_output(bool by_poll)
{
    static char buf[1 << 20];
    struct pollfd pfd;
    int fd[2];
    size_t sent = 0, got = 0;
    ssize_t n;

    tcp_pair(AF_INET, fd);
    watch(fd[1]);
    while ((n = send(fd[1], buf, sizeof(buf), MSG_DONTWAIT)) > 0) {
        sent += n;
    }
    MUST(errno == EAGAIN);
    while (events(0)) {
        /* what the kernel told while it was being filled */
    }
    pfd = (struct pollfd){ .fd = fd[1], .events = POLLOUT };
    if (by_poll) {
        MUST(poll(&pfd, 1, 0) == 0);
    }
    while (got < sent) {
        n = recv(fd[0], buf, sizeof(buf), MSG_DONTWAIT);
        if (n > 0) {
            got += n;
        } else {
            MUST(errno == EAGAIN);
            MUST(poll(&(struct pollfd){ .fd = fd[0], .events = POLLIN }, 1,
                      1000) == 1);
        }
    }
    MUST(events(1000) & EPOLLOUT);
    close(epoll_fd);
    close(fd[0]);
    close(fd[1]);
}

int main(void)
{
    check_input();
    check_output(false);
    check_output(true);
    return 0;
}
