/*
 * A vhost-user front end with a driver of our own, for tests and benches
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_UNIT_VU_FRONTEND_H
#define TESTS_UNIT_VU_FRONTEND_H

#include <errno.h>
#include <linux/vhost_types.h>
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "vring-driver.h"

#define FRONTEND_RINGS_MAX 16
#define FRONTEND_BIT(n) (UINT64_C(1) << (n))

/**
 * Frontend:
 * @pump: called before an answer is waited for, where the back end is in this
 *     very thread
 */
typedef struct Frontend {
    int fd;
    DriverMemory memory;
    uint64_t features;
    DriverRing rings[FRONTEND_RINGS_MAX];
    int kick[FRONTEND_RINGS_MAX], call[FRONTEND_RINGS_MAX];
    unsigned n_rings;
    void (*pump)(void *opaque);
    void *opaque;
} Frontend;

/** frontend_send: a request; false if the back end has closed. */
static inline bool frontend_send(Frontend *fe, uint32_t request,
                                 uint32_t flags, const void *payload,
                                 uint32_t size, const int *fds, unsigned n_fds)
{
    uint32_t header[3] = { request, 1 | flags, size };
    struct iovec iov[2] = { { header, sizeof(header) },
                            { (void *)payload, size } };
    union {
        char buf[CMSG_SPACE(sizeof(int) * VU_REGIONS_MAX)];
        struct cmsghdr align;
    } control = { 0 };
    struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };

    if (n_fds) {
        struct cmsghdr *cmsg;

        msg.msg_control = control.buf;
        msg.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
        cmsg = CMSG_FIRSTHDR(&msg);
        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_RIGHTS;
        cmsg->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
        memcpy(CMSG_DATA(cmsg), fds, sizeof(int) * n_fds);
    }
    return sendmsg(fe->fd, &msg, MSG_NOSIGNAL) == (ssize_t)(12 + size);
}

/** frontend_receive: an answer's payload; false if the back end has closed. */
static inline bool frontend_receive(Frontend *fe, void *ret, uint32_t size)
{
    uint32_t header[3];

    if (fe->pump) {
        fe->pump(fe->opaque);
    }
    return recv(fe->fd, header, 12, MSG_WAITALL) == 12 && header[2] == size &&
           recv(fe->fd, ret, size, MSG_WAITALL) == (ssize_t)size;
}

static inline bool frontend_u64(Frontend *fe, uint32_t request, uint64_t value)
{
    return frontend_send(fe, request, 0, &value, sizeof(value), NULL, 0);
}

static inline bool frontend_get(Frontend *fe, uint32_t request, uint64_t *ret)
{
    return frontend_send(fe, request, 0, NULL, 0, NULL, 0) &&
           frontend_receive(fe, ret, sizeof(*ret));
}

static inline bool frontend_state(Frontend *fe, uint32_t request,
                                  uint32_t index, uint32_t num)
{
    VuVringState state = { index, num };

    return frontend_send(fe, request, 0, &state, sizeof(state), NULL, 0);
}

static inline bool frontend_vring_fd(Frontend *fe, uint32_t request,
                                     unsigned index, int fd)
{
    uint64_t value = index;

    return frontend_send(fe, request, 0, &value, sizeof(value), &fd, 1);
}

static inline bool frontend_share_memory(Frontend *fe)
{
    struct {
        uint32_t n, padding;
        VuRegion region;
    } table = { 1, 0, driver_memory_region(&fe->memory) };

    return frontend_send(fe, VU_SET_MEM_TABLE, 0, &table, sizeof(table),
                         &fe->memory.fd, 1);
}

/** frontend_start_ring: make it known and start it, at @base. */
static inline bool frontend_start_ring(Frontend *fe, unsigned index,
                                       uint32_t base)
{
    VuVringAddr addr = driver_ring_addr(&fe->rings[index], index);

    return frontend_state(fe, VU_SET_VRING_NUM, index, fe->rings[index].num) &&
           frontend_state(fe, VU_SET_VRING_BASE, index, base) &&
           frontend_send(fe, VU_SET_VRING_ADDR, 0, &addr, sizeof(addr), NULL,
                         0) &&
           frontend_vring_fd(fe, VU_SET_VRING_CALL, index, fe->call[index]) &&
           frontend_vring_fd(fe, VU_SET_VRING_KICK, index, fe->kick[index]);
}

/** frontend_init: memory and @n_pairs of rings of @num entries; no messages. */
static inline bool frontend_init(Frontend *fe, int fd, size_t memory_len,
                                 uint64_t features, unsigned n_pairs,
                                 uint16_t num)
{
    unsigned i;

    *fe = (Frontend) { .fd = fd, .features = features,
                       .n_rings = 2 * n_pairs };
    if (!driver_memory_init(&fe->memory, memory_len)) {
        return false;
    }
    for (i = 0; i < fe->n_rings; i++) {
        driver_ring_init(&fe->rings[i], &fe->memory, num,
                         features & FRONTEND_BIT(VIRTIO_F_RING_PACKED),
                         features & FRONTEND_BIT(VIRTIO_RING_F_EVENT_IDX),
                         features & FRONTEND_BIT(VIRTIO_RING_F_INDIRECT_DESC));
        fe->kick[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        fe->call[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    }
    return true;
}

static inline void frontend_clear(Frontend *fe)
{
    unsigned i;

    for (i = 0; i < fe->n_rings; i++) {
        close(fe->kick[i]);
        close(fe->call[i]);
    }
    if (fe->fd >= 0) {
        close(fe->fd);
    }
    driver_memory_clear(&fe->memory);
}

/** frontend_connect: all that is said before frames flow. */
static inline bool frontend_connect(Frontend *fe)
{
    uint64_t offered, protocol;
    uint32_t base = fe->features & FRONTEND_BIT(VIRTIO_F_RING_PACKED)
                    ? 0x80008000 : 0;
    unsigned i;

    if (!frontend_get(fe, VU_GET_FEATURES, &offered) ||
        (fe->features & ~offered) ||
        !frontend_get(fe, VU_GET_PROTOCOL_FEATURES, &protocol) ||
        !frontend_u64(fe, VU_SET_PROTOCOL_FEATURES, protocol) ||
        !frontend_send(fe, VU_SET_OWNER, 0, NULL, 0, NULL, 0) ||
        !frontend_u64(fe, VU_SET_FEATURES, fe->features) ||
        !frontend_share_memory(fe)) {
        return false;
    }
    for (i = 0; i < fe->n_rings; i++) {
        if (!frontend_start_ring(fe, i, base) ||
            !frontend_state(fe, VU_SET_VRING_ENABLE, i, 1)) {
            return false;
        }
    }
    /* An answer says that all of it has been dealt with. */
    return frontend_get(fe, VU_GET_FEATURES, &offered);
}

/** frontend_kick: tell the back end of what was added, if it wants to know. */
static inline bool frontend_kick(Frontend *fe, unsigned index)
{
    uint64_t one = 1;

    return driver_kick_wanted(&fe->rings[index]) &&
           write(fe->kick[index], &one, sizeof(one)) == sizeof(one);
}

/** frontend_take_call: whether the back end has called since. */
static inline bool frontend_take_call(Frontend *fe, unsigned index)
{
    uint64_t count;

    return read(fe->call[index], &count, sizeof(count)) == sizeof(count);
}

#endif
