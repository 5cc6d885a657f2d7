/*
 * A hostile guest: sends a file of frames to a stream export at full rate
 *
 *   blaster --socket PATH --frames FILE --seconds N [--gateway MAC]
 *           [--service PORT]
 *
 * The gateway's MAC address takes the place of 02:00:00:00:00:01 as destination,
 * PORT that of TCP port 9, where answers to SYNs establish connections: see
 * blaster-flows.c.  FILE holds frames as the stream port takes them: 32 bit
 * big-endian length, then that many bytes, or fewer at its end.  What else comes
 * back is read and thrown away.  A connection that the daemon ends is made
 * again.  Prints frames sent, bytes sent, connections made and SYNs answered.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "blaster-flows.h"

/* The longest frame, and room for more than one read gives. */
#define FRAME_MAX (64 * 1024 + 128)
#define READ_BYTES (256 * 1024)

static uint64_t bytes_sent, connections;

static double
now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec + ts.tv_nsec / 1e9;
}

static int
dial(const char *path)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
    if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
        close(fd);
        return -1;
    }
    fcntl(fd, F_SETFL, O_NONBLOCK);
    connections++;
    return fd;
}

/* Give whole frames of @buf to @flows. Returns: bytes that are left of it. */
static size_t
hear(Flows *flows, uint8_t *buf, size_t len)
{
    size_t at = 0;

    while (len - at >= 4) {
        uint32_t frame;

        memcpy(&frame, buf + at, 4);
        frame = ntohl(frame);
        if (frame > FRAME_MAX) {
            fprintf(stderr, "blaster: a frame of %u bytes came\n", frame);
            exit(1);
        }
        if (len - at - 4 < frame) {
            break;
        }
        flows_hear(flows, buf + at + 4, frame);
        at += 4 + frame;
    }
    memmove(buf, buf + at, len - at);
    return len - at;
}

/* Send until the daemon ends the connection or the time is over. */
static void
blast(int fd, const uint8_t *data, size_t len, Flows *flows, double end)
{
    static uint8_t buf[4 + FRAME_MAX + READ_BYTES];
    struct pollfd pfd = { fd, POLLIN | POLLOUT, 0 };
    size_t at = 0, kept = 0;

    while (now() < end) {
        ssize_t n;

        if (poll(&pfd, 1, 100) < 0) {
            return;
        }
        if (pfd.revents & POLLIN) {
            n = read(fd, buf + kept, READ_BYTES);
            if (n == 0 || (n < 0 && errno != EAGAIN)) {
                return;
            }
            if (flows && n > 0) {
                kept = hear(flows, buf, kept + n);
            }
        }
        if (pfd.revents & POLLOUT) {
            n = write(fd, data + at, len - at);
            if (n < 0 && errno != EAGAIN) {
                return;
            }
            if (n > 0) {
                bytes_sent += n;
                at = (at + n) % len;
            }
        } else if (pfd.revents & (POLLHUP | POLLERR)) {
            return;
        }
    }
}

static uint64_t
count_frames(const uint8_t *data, size_t len)
{
    uint64_t n = 0;
    size_t at = 0;

    while (at + 4 <= len) {
        uint32_t frame;

        memcpy(&frame, data + at, 4);
        at += 4 + (size_t)ntohl(frame);
        n++;
    }
    return n;
}

/* Put @text's address where frames have the placeholder. */
static void
aim(uint8_t *data, size_t len, const char *text)
{
    static const uint8_t placeholder[6] = { 2, 0, 0, 0, 0, 1 };
    uint8_t mac[6];
    size_t at = 0;

    if (sscanf(text, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", mac, mac + 1, mac + 2,
               mac + 3, mac + 4, mac + 5) != 6) {
        fprintf(stderr, "blaster: '%s' is no MAC address\n", text);
        exit(2);
    }
    while (at + 10 <= len) {
        uint32_t frame;

        memcpy(&frame, data + at, 4);
        if (memcmp(data + at + 4, placeholder, 6) == 0) {
            memcpy(data + at + 4, mac, 6);
        }
        at += 4 + (size_t)ntohl(frame);
    }
}

int
main(int argc, char **argv)
{
    static const struct option options[] = {
        { "socket", required_argument, NULL, 's' },
        { "frames", required_argument, NULL, 'f' },
        { "seconds", required_argument, NULL, 't' },
        { "gateway", required_argument, NULL, 'g' },
        { "service", required_argument, NULL, 'p' },
        { NULL, 0, NULL, 0 }
    };
    const char *path = NULL, *file = NULL, *gateway = NULL;
    double seconds = 1, end;
    Flows *flows = NULL;
    int service = 0;
    struct stat st;
    uint8_t *data;
    int c, fd;

    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (c) {
        case 's':
            path = optarg;
            break;
        case 'f':
            file = optarg;
            break;
        case 't':
            seconds = atof(optarg);
            break;
        case 'g':
            gateway = optarg;
            break;
        case 'p':
            service = atoi(optarg);
            break;
        default:
            return 2;
        }
    }
    fd = file ? open(file, O_RDONLY | O_CLOEXEC) : -1;
    if (!path || fd < 0 || fstat(fd, &st) < 0 || st.st_size == 0) {
        fprintf(stderr, "blaster: --socket PATH --frames FILE are needed\n");
        return 2;
    }
    data = mmap(NULL, st.st_size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED) {
        perror(file);
        return 1;
    }
    if (gateway) {
        aim(data, st.st_size, gateway);
    }
    if (service) {
        flows = flows_new(data, st.st_size, service);
    }
    signal(SIGPIPE, SIG_IGN);
    end = now() + seconds;
    while (now() < end) {
        int sock = dial(path);

        if (sock < 0) {
            usleep(10000);
            continue;
        }
        blast(sock, data, st.st_size, flows, end);
        close(sock);
    }
    printf("%.0f frames, %llu bytes, %llu connections, %llu SYNs answered\n",
           (double)bytes_sent / st.st_size * count_frames(data, st.st_size),
           (unsigned long long)bytes_sent, (unsigned long long)connections,
           (unsigned long long)(flows ? flows_answered(flows) : 0));
    free(flows);
    return 0;
}
