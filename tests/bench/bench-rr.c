/*
 * Bench: requests and connections over TCP, in a guest, a namespace or a host
 *
 *   bench-rr serve                       prints its port; answers 14 bytes
 *   bench-rr request HOST PORT SECONDS   prints JSON: p50 and p99 in us
 *   bench-rr connect HOST PORT SECONDS   prints JSON: connections a second
 *
 * A connection counts when it was made, asked once, answered and closed.  The
 * server closes it first: whoever does keeps the addresses in TIME_WAIT, and
 * from the client's side a minute of them would be all ports of a translator,
 * whose connect() searches ever longer for a free one.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MESSAGE_LEN 14
#define MESSAGE "fourteen bytes"
#define MESSAGE_LAST "the last of us"    /* the server is to close */
#define TIMES_MAX (1 << 22)

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static double now_us(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1e6 + ts.tv_nsec * 1e-3;
}

static void set_nodelay(int fd)
{
    int one = 1;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

static void *answer(void *opaque)
{
    int fd = (intptr_t)opaque;
    char message[MESSAGE_LEN] = "";

    while (memcmp(message, MESSAGE_LAST, MESSAGE_LEN) != 0 &&
           recv(fd, message, sizeof(message), MSG_WAITALL) == MESSAGE_LEN &&
           send(fd, message, sizeof(message), MSG_NOSIGNAL) == MESSAGE_LEN) {
    }
    close(fd);
    return NULL;
}

static void serve(void)
{
    struct sockaddr_in addr = { .sin_family = AF_INET };
    socklen_t len = sizeof(addr);
    int listener = socket(AF_INET, SOCK_STREAM, 0);

    if (bind(listener, (struct sockaddr *)&addr, len) < 0 ||
        listen(listener, 1024) < 0 ||
        getsockname(listener, (struct sockaddr *)&addr, &len) < 0) {
        fail("listen");
    }
    printf("%d\n", ntohs(addr.sin_port));
    fflush(stdout);
    for (;;) {
        intptr_t fd = accept(listener, NULL, NULL);
        pthread_t thread;

        if (fd < 0) {
            fail("accept");
        }
        set_nodelay(fd);
        if (pthread_create(&thread, NULL, answer, (void *)fd) != 0) {
            fail("thread");
        }
        pthread_detach(thread);
    }
}

static int dial(const struct sockaddr_in *addr)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    if (connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) < 0) {
        fail("connect");
    }
    set_nodelay(fd);
    return fd;
}

static void ask(int fd, const char *text)
{
    char message[MESSAGE_LEN];

    if (send(fd, text, MESSAGE_LEN, MSG_NOSIGNAL) != MESSAGE_LEN ||
        recv(fd, message, sizeof(message), MSG_WAITALL) != MESSAGE_LEN) {
        fail("request");
    }
}

static int compare(const void *a, const void *b)
{
    const float *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

static void request(const struct sockaddr_in *addr, double seconds)
{
    static float times[TIMES_MAX];
    int fd = dial(addr);
    double end, now;
    size_t n = 0;

    now = now_us();
    end = now + seconds * 1e6;
    while (now < end && n < TIMES_MAX) {
        double begin = now;

        ask(fd, MESSAGE);
        now = now_us();
        times[n++] = now - begin;
    }
    close(fd);
    qsort(times, n, sizeof(times[0]), compare);
    printf("{\"p50\": %.1f, \"p99\": %.1f, \"n\": %zu}\n", times[n / 2],
           times[n * 99 / 100], n);
}

static void count_connections(const struct sockaddr_in *addr, double seconds)
{
    double begin = now_us(), elapsed;
    unsigned long n = 0;

    do {
        int fd = dial(addr);
        char end;

        ask(fd, MESSAGE_LAST);
        if (recv(fd, &end, 1, 0) != 0) {
            fail("close");
        }
        close(fd);
        n++;
        elapsed = now_us() - begin;
    } while (elapsed < seconds * 1e6);
    printf("{\"rate\": %.1f}\n", n * 1e6 / elapsed);
}

int main(int argc, char **argv)
{
    struct sockaddr_in addr = { .sin_family = AF_INET };

    if (argc == 2 && strcmp(argv[1], "serve") == 0) {
        serve();
    }
    if (argc != 5 || inet_pton(AF_INET, argv[2], &addr.sin_addr) != 1 ||
        !(atof(argv[4]) > 0)) {
        fprintf(stderr, "bench-rr: see the head of its source\n");
        return 1;
    }
    addr.sin_port = htons(atoi(argv[3]));
    if (strcmp(argv[1], "connect") == 0) {
        count_connections(&addr, atof(argv[4]));
    } else {
        request(&addr, atof(argv[4]));
    }
    return 0;
}
