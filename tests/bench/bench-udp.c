/*
 * Bench: UDP datagrams through a network, in a namespace or a host
 *
 *   bench-udp serve                              prints its port
 *   bench-udp send HOST PORT SECONDS [runs]      prints JSON: datagrams a second
 *   bench-udp receive HOST PORT SECONDS [runs]   the same, the other way
 *
 * Datagrams go in bursts, of which two are on their way: each is answered, or
 * asked for, by a datagram the other way, so that a rate is one of delivery. With
 * "runs" a burst is one message (UDP_SEGMENT), else each datagram is; whoever
 * receives takes them merged (UDP_GRO).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <arpa/inet.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "../unit/udp-merged.h"

#define DATAGRAM_LEN 1400
#define BURST 32
#define ON_THE_WAY 2
/* Whoever has not answered by then has lost something. */
#define LOST_MS 100

/* What a datagram is, its first byte; a count of datagrams follows an ANSWER. */
enum { DATA = 1, LAST, ANSWER, ASK, ASK_RUNS };

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static double now_s(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec + ts.tv_nsec * 1e-9;
}

static int make_socket(void)
{
    int fd = socket(AF_INET, SOCK_DGRAM, 0);

    if (fd < 0) {
        fail("socket");
    }
    udp_merge(fd);
    return fd;
}

/* One burst. A full queue loses it, as any queue would. */
static void send_burst(int fd, const struct sockaddr_in *to, bool runs)
{
    static uint8_t data[BURST * DATAGRAM_LEN];
    struct iovec iov = { data, sizeof(data) };
    union {
        struct cmsghdr header;
        uint8_t buf[CMSG_SPACE(sizeof(uint16_t))];
    } control = { .header = { CMSG_LEN(2), IPPROTO_UDP, UDP_SEGMENT } };
    struct msghdr msg = {
        .msg_name = (void *)to, .msg_namelen = sizeof(*to),
        .msg_iov = &iov, .msg_iovlen = 1,
        .msg_control = &control, .msg_controllen = sizeof(control),
    };
    uint16_t size = DATAGRAM_LEN;
    unsigned i;

    for (i = 0; i < BURST; i++) {
        data[i * DATAGRAM_LEN] = i + 1 < BURST ? DATA : LAST;
    }
    memcpy(CMSG_DATA(&control.header), &size, sizeof(size));
    if (runs && sendmsg(fd, &msg, 0) < 0) {
        fail("UDP_SEGMENT");
    }
    for (i = 0; i < BURST && !runs; i++) {
        sendto(fd, data + i * DATAGRAM_LEN, DATAGRAM_LEN, 0,
               (const struct sockaddr *)to, sizeof(*to));
    }
}

static void send_small(int fd, const struct sockaddr_in *to, uint8_t what,
                       uint32_t count)
{
    uint8_t data[5] = { what };

    memcpy(data + 1, &count, sizeof(count));
    sendto(fd, data, sizeof(data), 0, (const struct sockaddr *)to, sizeof(*to));
}

/* Returns: bytes; *ret_size is that of each datagram in them. */
static size_t receive(int fd, uint8_t *buf, size_t len, size_t *ret_size,
                      struct sockaddr_in *ret_from)
{
    ssize_t n = udp_receive_merged(fd, buf, len, ret_size, ret_from,
                                   sizeof(*ret_from));

    if (n <= 0) {
        *ret_size = 1;
        return 0;
    }
    return n;
}

static void serve(void)
{
    struct sockaddr_in addr = { .sin_family = AF_INET };
    socklen_t addr_len = sizeof(addr);
    static uint8_t buf[65536];
    int fd = make_socket();
    uint32_t count = 0;

    if (bind(fd, (struct sockaddr *)&addr, addr_len) < 0 ||
        getsockname(fd, (struct sockaddr *)&addr, &addr_len) < 0) {
        fail("bind");
    }
    printf("%d\n", ntohs(addr.sin_port));
    fflush(stdout);
    for (;;) {
        size_t size, at, len = receive(fd, buf, sizeof(buf), &size, &addr);

        for (at = 0; at < len; at += size) {
            count += buf[at] == DATA || buf[at] == LAST;
            if (buf[at] == LAST) {
                send_small(fd, &addr, ANSWER, count);
                count = 0;
            } else if (buf[at] == ASK || buf[at] == ASK_RUNS) {
                send_burst(fd, &addr, buf[at] == ASK_RUNS);
            }
        }
    }
}

/* What one message says: bursts that have ended, datagrams that were there. */
static unsigned count_message(int fd, uint64_t *n_datagrams)
{
    static uint8_t buf[65536];
    struct sockaddr_in from;
    size_t size, at, len = receive(fd, buf, sizeof(buf), &size, &from);
    unsigned n_ended = 0;
    uint32_t count;

    for (at = 0; at < len; at += size) {
        if (buf[at] == ANSWER && len - at >= 5) {
            memcpy(&count, buf + at + 1, sizeof(count));
            *n_datagrams += count;
        }
        *n_datagrams += buf[at] == DATA || buf[at] == LAST;
        n_ended += buf[at] == ANSWER || buf[at] == LAST;
    }
    return n_ended;
}

static void run(const struct sockaddr_in *to, double seconds, bool sends,
                bool runs)
{
    int fd = make_socket(), on_the_way = 0;
    struct pollfd pfd = { .fd = fd, .events = POLLIN };
    double begin = now_s(), elapsed = 0;
    uint64_t n_datagrams = 0, n_bursts = 0;

    while (elapsed < seconds) {
        for (; on_the_way < ON_THE_WAY; on_the_way++, n_bursts++) {
            if (sends) {
                send_burst(fd, to, runs);
            } else {
                send_small(fd, to, runs ? ASK_RUNS : ASK, 0);
            }
        }
        if (poll(&pfd, 1, LOST_MS) > 0) {
            on_the_way -= count_message(fd, &n_datagrams);
        } else {
            on_the_way = 0;
        }
        on_the_way = on_the_way < 0 ? 0 : on_the_way;
        elapsed = now_s() - begin;
    }
    printf("{\"rate\": %.0f, \"arrived\": %.4f}\n", n_datagrams / elapsed,
           (double)n_datagrams / ((n_bursts - on_the_way) * BURST));
}

int main(int argc, char **argv)
{
    struct sockaddr_in addr = { .sin_family = AF_INET };

    if (argc == 2 && strcmp(argv[1], "serve") == 0) {
        serve();
    }
    if (argc < 5 || inet_pton(AF_INET, argv[2], &addr.sin_addr) != 1 ||
        !(atof(argv[4]) > 0)) {
        fprintf(stderr, "bench-udp: see the head of its source\n");
        return 1;
    }
    addr.sin_port = htons(atoi(argv[3]));
    run(&addr, atof(argv[4]), strcmp(argv[1], "send") == 0,
        argc > 5 && strcmp(argv[5], "runs") == 0);
    return 0;
}
