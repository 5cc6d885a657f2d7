/*
 * A hostile guest: sends a file of frames to a stream export at full rate
 *
 *   blaster --socket PATH --frames FILE --seconds N [--gateway MAC]
 *
 * The gateway's MAC address takes the place of 02:00:00:00:00:01 as destination.
 * FILE holds frames as the stream port takes them: 32 bit big-endian length,
 * then that many bytes, or fewer at its end.  What comes back is read and
 * thrown away.  A connection that the daemon ends is made again.  Prints
 * frames sent, bytes sent and connections made.
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

/* Send until the daemon ends the connection or the time is over. */
static void
blast(int fd, const uint8_t *data, size_t len, double end)
{
    static uint8_t sink[256 * 1024];
    struct pollfd pfd = { fd, POLLIN | POLLOUT, 0 };
    size_t at = 0;

    while (now() < end) {
        ssize_t n;

        if (poll(&pfd, 1, 100) < 0) {
            return;
        }
        if (pfd.revents & POLLIN) {
            n = read(fd, sink, sizeof(sink));
            if (n == 0 || (n < 0 && errno != EAGAIN)) {
                return;
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
        { NULL, 0, NULL, 0 }
    };
    const char *path = NULL, *file = NULL, *gateway = NULL;
    double seconds = 1, end;
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
    signal(SIGPIPE, SIG_IGN);
    end = now() + seconds;
    while (now() < end) {
        int sock = dial(path);

        if (sock < 0) {
            usleep(10000);
            continue;
        }
        blast(sock, data, st.st_size, end);
        close(sock);
    }
    printf("%.0f frames, %llu bytes, %llu connections\n",
           (double)bytes_sent / st.st_size * count_frames(data, st.st_size),
           (unsigned long long)bytes_sent, (unsigned long long)connections);
    return 0;
}
