/*
 * Whether somebody answers at a vhost-user socket
 *
 * A message is a header of three words (request, flags, length of what
 * follows), in the byte order of the host; the answer to GET_FEATURES is a
 * word of 64 bits.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "vmnet-probe.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <vmnet/error.h>

#define GET_FEATURES 1
#define FLAGS_VERSION 0x1u
#define FLAGS_REPLY 0x4u
#define F_PROTOCOL_FEATURES (UINT64_C(1) << 30)

typedef struct Answer {
    uint32_t request;
    uint32_t flags;
    uint32_t size;
    uint64_t features;
} __attribute__((packed)) Answer;

/* Returns: the socket, which never blocks; -1 with errno */
static int open_socket(const char *path)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    int fd, error;

    if (strlen(path) >= sizeof(addr.sun_path)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    strcpy(addr.sun_path, path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return -1;
    }
    /* A queue of others that is full says EAGAIN: he does not answer. */
    if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
        error = errno;
        close(fd);
        errno = error == EAGAIN ? ETIMEDOUT : error;
        return -1;
    }
    return fd;
}

/* Returns: false with errno */
static bool ask(int fd)
{
    const uint32_t question[] = { GET_FEATURES, FLAGS_VERSION, 0 };
    ssize_t sent = send(fd, question, sizeof(question), MSG_NOSIGNAL);

    if (sent >= 0 && sent != sizeof(question)) {
        errno = EPROTO;
    }
    return sent == sizeof(question);
}

/* Returns: false with errno */
static bool take_answer(int fd, int64_t end_us, Answer *ret_answer)
{
    size_t have = 0;

    while (have < sizeof(*ret_answer)) {
        struct pollfd ready = { .fd = fd, .events = POLLIN };
        int64_t left_ms = (end_us - g_get_monotonic_time() + 999) / 1000;
        ssize_t n;

        if (left_ms <= 0) {
            errno = ETIMEDOUT;
            return false;
        }
        if (poll(&ready, 1, left_ms) <= 0) {
            continue;
        }
        n = recv(fd, (char *)ret_answer + have, sizeof(*ret_answer) - have, 0);
        if (n == 0) {
            errno = ECONNRESET;
            return false;
        }
        if (n < 0 && errno != EAGAIN && errno != EINTR) {
            return false;
        }
        have += MAX(n, 0);
    }
    return true;
}

static bool is_vhost_user(const Answer *answer)
{
    return answer->request == GET_FEATURES
           && answer->flags == (FLAGS_VERSION | FLAGS_REPLY)
           && answer->size == sizeof(answer->features)
           && (answer->features & F_PROTOCOL_FEATURES);
}

bool vmnet_probe_vhost_user(const char *path, int wait_ms, GError **error)
{
    int64_t end_us = g_get_monotonic_time() + wait_ms * INT64_C(1000);
    int fd = open_socket(path);
    Answer answer;
    bool ok = fd >= 0 && ask(fd) && take_answer(fd, end_us, &answer);

    if (ok && !is_vhost_user(&answer)) {
        ok = false;
        errno = EPROTO;
    }
    if (!ok && errno == ETIMEDOUT) {
        g_set_error(error, VMNET_ERROR, VMNET_SETUP_INCOMPLETE,
                    "vmnetd did not answer at '%s' in %d ms", path, wait_ms);
    } else if (!ok) {
        g_set_error(error, VMNET_ERROR, vmnet_status_from_errno(errno),
                    "vhost-user socket '%s': %s", path, g_strerror(errno));
    }
    if (fd >= 0) {
        close(fd);
    }
    return ok;
}
