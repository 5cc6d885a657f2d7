/*
 * Ringing eventfds that belong to others
 *
 * Theory of operation
 * -------------------
 * write() waits while the counter of an eventfd is at its end, unless
 * O_NONBLOCK is set.  That flag is the open file's: whoever gave us the
 * descriptor still shares it, and may clear it, and fill the counter, at any
 * time, between a check and the write too.
 *
 * The kernel itself never waits to signal an eventfd.  So it is made to do it:
 * an asynchronous read of nothing from /dev/null is over before io_submit()
 * returns, and tells the eventfd.  What has completed is forgotten by moving
 * the head of the ring that the kernel shares with us; each thread has one
 * ring, since they are few on a machine.
 *
 * Where there is no asynchronous I/O, write() follows a look at whether it
 * would wait: enough against who has filled the counter, not against who does
 * so at the very moment.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "port/bell.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <poll.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The ring's first words, which <linux/aio_abi.h> does not have. */
typedef struct AioRing {
    uint32_t id, n, head, tail, magic;
} AioRing;

#define AIO_RING_MAGIC 0xa10a10a1
#define AIO_RING_LEN 16

/**
 * Bells: of a thread, for as long as it lives
 * @null_fd: what is read from; -1: there is no asynchronous I/O
 */
typedef struct Bells {
    bool is_open;
    int null_fd;
    aio_context_t context;
} Bells;

static __thread Bells bells;

static void bells_open(void)
{
    const AioRing *ring;

    bells.is_open = true;
    bells.null_fd = -1;
    if (syscall(SYS_io_setup, AIO_RING_LEN, &bells.context) < 0) {
        return;
    }
    ring = (const AioRing *)(uintptr_t)bells.context;
    if (ring->magic == AIO_RING_MAGIC) {
        bells.null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    }
}

/* Returns: false: it cannot be done in this way. */
static bool ring_by_kernel(int fd)
{
    struct iocb request = {
        .aio_lio_opcode = IOCB_CMD_PREAD,
        .aio_fildes = bells.null_fd,
        .aio_flags = IOCB_FLAG_RESFD,
        .aio_resfd = fd,
    };
    struct iocb *requests[] = { &request };
    AioRing *ring = (AioRing *)(uintptr_t)bells.context;

    if (bells.null_fd < 0) {
        return false;
    }
    __atomic_store_n(&ring->head, __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE),
                     __ATOMIC_RELEASE);
    return syscall(SYS_io_submit, bells.context, 1, requests) == 1;
}

bool bell_is_eventfd(int fd)
{
    int own = eventfd(0, EFD_CLOEXEC);
    struct stat one, other;
    bool is_same;

    if (own < 0) {
        return false;
    }
    /* All of them share one inode, with epoll sets and others of the kind. */
    is_same = fstat(own, &one) == 0 && fstat(fd, &other) == 0 &&
              one.st_dev == other.st_dev && one.st_ino == other.st_ino;
    close(own);
    return is_same;
}

void bell_ring(int fd)
{
    struct pollfd pfd = { .fd = fd, .events = POLLOUT };
    uint64_t one = 1;
    ssize_t len;

    if (!bells.is_open) {
        bells_open();
    }
    if (ring_by_kernel(fd) || poll(&pfd, 1, 0) != 1 ||
        !(pfd.revents & POLLOUT)) {
        return;
    }
    do {
        len = write(fd, &one, sizeof(one));
    } while (len < 0 && errno == EINTR);
}
