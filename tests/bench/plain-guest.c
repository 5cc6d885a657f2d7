/*
 * Two plain guests of a bench
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "plain-guest.h"

#include <arpa/inet.h>
#include <glib.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define FRAME_LEN 1514
#define BATCH 16
#define PREFIX_LEN 4

static void fail(const char *what)
{
    perror(what);
    _exit(1);
}

static void fill(uint8_t *p, uint8_t dst, uint8_t src)
{
    const uint8_t ethernet[14] = { 2, 0, 0, 1, 0, dst, 2, 0, 0, 1, 0, src,
                                   0x88, 0xb5 };
    uint32_t prefix = htonl(FRAME_LEN);

    memset(p, 0, PREFIX_LEN + FRAME_LEN);
    memcpy(p, &prefix, PREFIX_LEN);
    memcpy(p + PREFIX_LEN, ethernet, sizeof(ethernet));
}

static void send_for_ever(int fd)
{
    uint8_t buf[BATCH][PREFIX_LEN + FRAME_LEN];
    unsigned i;

    for (i = 0; i < BATCH; i++) {
        fill(buf[i], 2, 1);
    }
    /* A blocking socket takes all of it. */
    while (send(fd, buf, sizeof(buf), MSG_NOSIGNAL) > 0) {
    }
    _exit(1);
}

/* Of bytes, since only such frames come here once it is known. */
static void count_for_ever(int fd, uint64_t *n_frames)
{
    static uint8_t buf[256 * 1024];
    uint64_t n_bytes = 0;
    ssize_t len;

    while ((len = recv(fd, buf, sizeof(buf), 0)) > 0) {
        n_bytes += len;
        __atomic_store_n(n_frames, n_bytes / (PREFIX_LEN + FRAME_LEN),
                         __ATOMIC_RELAXED);
    }
    _exit(1);
}

static void introduce(int fd)
{
    uint8_t hello[PREFIX_LEN + FRAME_LEN];

    fill(hello, 3, 2);
    memset(hello + PREFIX_LEN, 0xff, 6);
    if (send(fd, hello, sizeof(hello), MSG_NOSIGNAL) != sizeof(hello)) {
        fail("introduce");
    }
}

const uint64_t *plain_guests_start(int sender, int receiver)
{
    uint64_t *n_frames = mmap(NULL, sizeof(*n_frames), PROT_READ | PROT_WRITE,
                              MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (n_frames == MAP_FAILED) {
        fail("mmap");
    }
    introduce(receiver);
    if (fork() == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        count_for_ever(receiver, n_frames);
    }
    if (fork() == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        send_for_ever(sender);
    }
    close(sender);
    close(receiver);
    return n_frames;
}
