/*
 * A tap interface joined to a stream export, with an impaired link on demand
 *
 *   tap-relay --tap NAME --socket PATH [--loss P] [--duplicate P] [--reorder P]
 *             [--seed N]
 *
 * Makes the tap in the network namespace that it runs in, connects to the
 * socket, writes "ready" to standard output and relays until either side ends.
 * P is a percentage that applies to each direction; a reordered frame is held
 * back until the next one has passed, or 10 ms.  The same seed impairs the
 * same frames.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#define FRAME_MAX 65600
#define HOLD_MS 10

typedef struct Impairment {
    double loss, duplicate, reorder;
} Impairment;

/* One direction: where frames go, and the one that is held back. */
typedef struct Direction {
    void (*send)(int fd, const uint8_t *frame, size_t len);
    int fd;
    uint8_t held[FRAME_MAX];
    size_t held_len;
} Direction;

static void
fail(const char *what)
{
    fprintf(stderr, "tap-relay: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int
open_tap(const char *name)
{
    struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI };
    int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0) {
        fail("/dev/net/tun");
    }
    snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
    if (ioctl(fd, TUNSETIFF, &request) < 0) {
        fail(name);
    }
    return fd;
}

static int
open_socket(const char *path)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (strlen(path) >= sizeof(addr.sun_path)) {
        errno = ENAMETOOLONG;
        fail(path);
    }
    strcpy(addr.sun_path, path);
    if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
        fail(path);
    }
    return fd;
}

static void
send_tap(int fd, const uint8_t *frame, size_t len)
{
    if (write(fd, frame, len) < 0 && errno != EAGAIN && errno != EIO &&
        errno != EINVAL) {
        fail("tap");
    }
}

static void
send_stream(int fd, const uint8_t *frame, size_t len)
{
    uint32_t header = htonl(len);
    struct iovec iov[2] = {
        { &header, sizeof(header) }, { (void *)frame, len }
    };
    size_t done = 0, total = sizeof(header) + len;

    while (done < total) {
        struct iovec *first = done < 4 ? iov : iov + 1;
        ssize_t n = writev(fd, first, done < 4 ? 2 : 1);

        if (n < 0) {
            if (errno == EINTR) {
                continue;
            }
            exit(0);
        }
        if (done < 4 && done + n >= 4) {
            size_t into = done + n - 4;

            iov[1].iov_base = (uint8_t *)frame + into;
            iov[1].iov_len = len - into;
        } else if (done < 4) {
            iov[0].iov_base = (uint8_t *)iov[0].iov_base + n;
            iov[0].iov_len -= n;
        } else {
            iov[1].iov_base = (uint8_t *)iov[1].iov_base + n;
            iov[1].iov_len -= n;
        }
        done += n;
    }
}

static bool
happens(double percent)
{
    return percent > 0 && drand48() * 100 < percent;
}

static void
release(Direction *direction)
{
    if (direction->held_len) {
        direction->send(direction->fd, direction->held, direction->held_len);
        direction->held_len = 0;
    }
}

static void
relay(Direction *direction, const Impairment *impairment,
      const uint8_t *frame, size_t len)
{
    if (happens(impairment->loss)) {
        return;
    }
    if (!direction->held_len && happens(impairment->reorder)) {
        memcpy(direction->held, frame, len);
        direction->held_len = len;
        return;
    }
    direction->send(direction->fd, frame, len);
    if (happens(impairment->duplicate)) {
        direction->send(direction->fd, frame, len);
    }
    release(direction);
}

/* Take whole frames from @buf; returns the bytes that are left of it. */
static size_t
split_stream(Direction *direction, const Impairment *impairment,
             uint8_t *buf, size_t have)
{
    size_t at = 0;

    while (have - at >= 4) {
        uint32_t len;

        memcpy(&len, buf + at, 4);
        len = ntohl(len);
        if (len == 0 || len > FRAME_MAX) {
            fprintf(stderr, "tap-relay: frame of %u bytes\n", len);
            exit(1);
        }
        if (have - at - 4 < len) {
            break;
        }
        relay(direction, impairment, buf + at + 4, len);
        at += 4 + len;
    }
    memmove(buf, buf + at, have - at);
    return have - at;
}

static void
run(int tap, int sock, const Impairment *impairment)
{
    static Direction to_tap, to_stream;
    static uint8_t frame[FRAME_MAX], stream[4 * FRAME_MAX];
    struct pollfd fds[2] = { { tap, POLLIN, 0 }, { sock, POLLIN, 0 } };
    size_t have = 0;

    to_tap.send = send_tap;
    to_tap.fd = tap;
    to_stream.send = send_stream;
    to_stream.fd = sock;
    for (;;) {
        bool holds = to_tap.held_len || to_stream.held_len;

        if (poll(fds, 2, holds ? HOLD_MS : -1) == 0) {
            release(&to_tap);
            release(&to_stream);
        }
        for (int i = 0; i < 32 && (fds[0].revents & POLLIN); i++) {
            ssize_t n = read(tap, frame, sizeof(frame));

            if (n <= 0) {
                break;
            }
            relay(&to_stream, impairment, frame, n);
        }
        if (fds[1].revents) {
            ssize_t n = read(sock, stream + have, sizeof(stream) - have);

            if (n <= 0) {
                return;
            }
            have = split_stream(&to_tap, impairment, stream, have + n);
        }
    }
}

int
main(int argc, char **argv)
{
    static const struct option options[] = {
        { "tap", required_argument, NULL, 't' },
        { "socket", required_argument, NULL, 's' },
        { "loss", required_argument, NULL, 'l' },
        { "duplicate", required_argument, NULL, 'd' },
        { "reorder", required_argument, NULL, 'r' },
        { "seed", required_argument, NULL, 'n' },
        { NULL, 0, NULL, 0 }
    };
    const char *tap = NULL, *path = NULL;
    Impairment impairment = { 0 };
    int c, tap_fd, sock_fd;

    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (c) {
        case 't':
            tap = optarg;
            break;
        case 's':
            path = optarg;
            break;
        case 'l':
            impairment.loss = atof(optarg);
            break;
        case 'd':
            impairment.duplicate = atof(optarg);
            break;
        case 'r':
            impairment.reorder = atof(optarg);
            break;
        case 'n':
            srand48(atol(optarg));
            break;
        default:
            return 2;
        }
    }
    if (!tap || !path) {
        fprintf(stderr, "tap-relay: --tap and --socket are needed\n");
        return 2;
    }
    tap_fd = open_tap(tap);
    sock_fd = open_socket(path);
    puts("ready");
    fflush(stdout);
    run(tap_fd, sock_fd, &impairment);
    return 0;
}
