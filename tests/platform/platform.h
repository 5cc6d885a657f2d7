/*
 * Beliefs about Linux that the daemon is built on, each as a program
 *
 * Exit status: 0 it is so, 77 this kernel cannot do it at all (and the daemon
 * does without), otherwise the belief is wrong and the message names the line.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_PLATFORM_PLATFORM_H
#define TESTS_PLATFORM_PLATFORM_H

#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SKIP 77

#define MUST(condition)                                                     \
    do {                                                                    \
        if (!(condition)) {                                                 \
            fprintf(stderr, "%s:%d: not so: %s (%s)\n", __FILE__, __LINE__, \
                    #condition, strerror(errno));                           \
            exit(EXIT_FAILURE);                                             \
        }                                                                   \
    } while (0)

static inline _Noreturn void skip(const char *why)
{
    printf("%s\n", why);
    exit(SKIP);
}

static inline socklen_t loopback(int family, struct sockaddr_storage *ss)
{
    struct sockaddr_in *in = (struct sockaddr_in *)ss;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ss;

    memset(ss, 0, sizeof(*ss));
    ss->ss_family = family;
    if (family == AF_INET) {
        in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        return sizeof(*in);
    }
    in6->sin6_addr = in6addr_loopback;
    return sizeof(*in6);
}

/* A bound socket and its address. */
static inline int bound_socket(int family, int type,
                               struct sockaddr_storage *ret_ss,
                               socklen_t *ret_len)
{
    int fd = socket(family, type | SOCK_CLOEXEC, 0);

    *ret_len = loopback(family, ret_ss);
    MUST(fd >= 0);
    MUST(bind(fd, (struct sockaddr *)ret_ss, *ret_len) == 0);
    MUST(getsockname(fd, (struct sockaddr *)ret_ss, ret_len) == 0);
    return fd;
}

/* Both ends of a TCP connection over loopback. */
static inline void tcp_pair(int family, int fd[2])
{
    struct sockaddr_storage ss;
    socklen_t len;
    int listener = bound_socket(family, SOCK_STREAM, &ss, &len);

    MUST(listen(listener, 1) == 0);
    fd[0] = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    MUST(connect(fd[0], (struct sockaddr *)&ss, len) == 0);
    fd[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    MUST(fd[1] >= 0);
    close(listener);
}

#endif
