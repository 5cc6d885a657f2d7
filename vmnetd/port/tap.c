/*
 * Tap links: the netdev is a network interface of the kernel's, in whatever
 * namespace the descriptor's owner made it
 *
 *   kernel --> read()  --> port --> switch      a frame a system call, each
 *   kernel <-- writev() <-- port <-- switch     behind a virtio_net_hdr_v1
 *
 * The kernel takes every offload in what is written, and is told to make use of
 * all that the switch can undo.  A frame that is written is processed by the
 * kernel's stack before the call returns: there is no queue that could be full.
 *
 * Several queues are several descriptors of one interface (IFF_MULTI_QUEUE).
 * What a source sends goes through one of them, so that it stays in order; one
 * whose frames have to wait is not read meanwhile.
 *
 * An interface that is down takes no frames (EIO), which are dropped; one that
 * is gone (EBADFD) ends the link.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <linux/if.h>
#include <linux/if_tun.h>

#include "port/buffer.h"
#include "port/link.h"
#include "switch/offload.h"
#include "vmnet/error.h"

/* Linux 6.2; Debian 12's headers lack them. */
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

#define VNET_LEN sizeof(struct virtio_net_hdr_v1)

/* A frame with its header, at most. */
#define SLOT_LEN (VNET_LEN + FRAME_LEN_MAX)

#define TUN_F_TSO (TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN)
#define SWITCH_OFFLOADS_TSO (SWITCH_OFFLOAD_CSUM | SWITCH_OFFLOAD_TSO4 |    \
                             SWITCH_OFFLOAD_TSO6 | SWITCH_OFFLOAD_ECN)

typedef struct TapLink TapLink;

/**
 * TapQueue: one descriptor
 * @lane: its place among the link's
 * @in: NULL while nothing is left over; what is, is @packets from @next on
 * @sent: n_sent of the first of these
 */
typedef struct TapQueue {
    TapLink *link;
    unsigned lane;
    int fd;
    LoopWatch *watch;
    uint32_t events;
    uint8_t *in;
    struct iovec packets[FRAME_BATCH_MAX];
    unsigned next, n;
    uint32_t sent;
} TapQueue;

struct TapLink {
    Port *port;
    TapQueue *queues[LIMIT_TAP_QUEUES];
    unsigned n_queues;
};

static bool is_parked(const TapQueue *queue)
{
    return port_link_is_parked(queue->link->port, queue->lane);
}

static void update_watch(TapQueue *queue)
{
    uint32_t events = is_parked(queue) ? 0 : EPOLLIN;

    if (queue->events != events) {
        queue->events = events;
        loop_watch_set_events(queue->watch, events);
    }
}

/* The kernel did not take a frame that was written. */
static void write_failed(TapLink *link, int errnum)
{
    switch (errnum) {
    case EIO:
        port_link_count_drop(link->port, SWITCH_DROP_NOT_CONNECTED);
        break;
    case EAGAIN:
    case ENOBUFS:
    case ENOMEM:
        port_link_count_drop(link->port, SWITCH_DROP_FULL);
        break;
    case EINVAL:
    case EFAULT:        /* the sender has taken its memory away */
        port_link_count_drop(link->port, SWITCH_DROP_BAD_OFFLOAD);
        break;
    case EBADFD:
        port_link_fail(link->port, NULL);
        break;
    default:
        port_link_fail(link->port, "cannot write to the tap: %s",
                       g_strerror(errnum));
        break;
    }
}

static void write_frame(TapLink *link, const Frame *frame)
{
    TapQueue *queue = link->queues[frame->src_port % link->n_queues];
    struct iovec iov[1 + OFFLOAD_IOV_MAX];
    ssize_t len;

    /* One element is the header's: the kernel takes 1024. */
    if (frame->n_iov > OFFLOAD_IOV_MAX - 1) {
        port_link_count_drop(link->port, SWITCH_DROP_LIMIT);
        return;
    }
    iov[0] = (struct iovec) { (void *)&frame->vnet, VNET_LEN };
    memcpy(iov + 1, frame->iov, frame->n_iov * sizeof(*iov));
    do {
        len = writev(queue->fd, iov, frame->n_iov + 1);
    } while (len < 0 && errno == EINTR);
    if (len < 0) {
        write_failed(link, errno);
    }
}

static unsigned tap_send(void *opaque, const Frame *frames, unsigned n,
                         int64_t now_ms)
{
    TapLink *link = opaque;
    unsigned i;

    for (i = 0; i < n; i++) {
        write_frame(link, &frames[i]);
    }
    return n;
}

static size_t tap_room(void *opaque, const Frame *head)
{
    return SIZE_MAX;
}

/* Hand over what was read. */
static void input_frames(TapQueue *queue, int64_t now_ms)
{
    Frame frames[FRAME_BATCH_MAX];
    struct iovec iov[FRAME_BATCH_MAX];
    unsigned i, taken, n = queue->n - queue->next;

    for (i = 0; i < n; i++) {
        const struct iovec *packet = &queue->packets[queue->next + i];

        iov[i] = (struct iovec) { (uint8_t *)packet->iov_base + VNET_LEN,
                                  packet->iov_len - VNET_LEN };
        frame_init(&frames[i], &iov[i], 1);
        memcpy(&frames[i].vnet, packet->iov_base, VNET_LEN);
    }
    if (n) {
        frames[0].n_sent = queue->sent;
        taken = port_link_input(queue->link->port, queue->lane, frames, n,
                                now_ms);
        queue->sent = taken < n ? frames[taken].n_sent : 0;
        queue->next += taken;
    }
    if (queue->next == queue->n) {
        queue->next = queue->n = 0;
        port_buffer_put(g_steal_pointer(&queue->in));
    }
}

static void read_failed(TapLink *link, int errnum)
{
    switch (errnum) {
    case EAGAIN:
    case EINTR:
    case ENOMEM:
        break;
    case EBADFD:
        port_link_fail(link->port, NULL);
        break;
    default:
        port_link_fail(link->port, "cannot read from the tap: %s",
                       g_strerror(errnum));
        break;
    }
}

/* Packets lie one behind another: many small ones, or a few of 64 KiB. */
static void read_input(TapQueue *queue, int64_t now_ms)
{
    size_t used = 0;

    queue->in = port_buffer_get();
    while (queue->n < FRAME_BATCH_MAX && used + SLOT_LEN <= PORT_BUFFER_LEN) {
        ssize_t len = read(queue->fd, queue->in + used, SLOT_LEN);

        if (len < 0) {
            read_failed(queue->link, errno);
            break;
        }
        if (len < (ssize_t)VNET_LEN) {
            continue;
        }
        queue->packets[queue->n++] = (struct iovec) { queue->in + used, len };
        used += (len + 63) & ~(size_t)63;
    }
    input_frames(queue, now_ms);
}

static void tap_event(void *opaque, uint32_t events, int64_t now_ms)
{
    TapQueue *queue = opaque;

    /* EPOLLERR is reported whether asked for or not. */
    if (!is_parked(queue)) {
        read_input(queue, now_ms);
    }
    update_watch(queue);
}

static void tap_resume(void *opaque, unsigned lane, int64_t now_ms)
{
    TapLink *link = opaque;

    input_frames(link->queues[lane], now_ms);
    update_watch(link->queues[lane]);
}

/*
 * A tap whose frames have the header that we take; it is not changed.  Whether
 * they have a struct tun_pi too cannot be asked: the kernel always says
 * IFF_NO_PI.  Such frames are dropped for what their headers say.
 */
static bool check_tap(int fd, GError **error)
{
    struct ifreq ifr = { 0 };
    const char *wrong = NULL;
    struct stat st;

    if (fstat(fd, &st) < 0 || !S_ISCHR(st.st_mode) ||
        ioctl(fd, TUNGETIFF, &ifr) < 0 || !(ifr.ifr_flags & IFF_TAP)) {
        wrong = "is no tap interface";
    } else if (!(ifr.ifr_flags & IFF_VNET_HDR)) {
        wrong = "is a tap without IFF_VNET_HDR";
    }
    if (wrong) {
        g_set_error(error, VMNET_ERROR, VMNET_INVALID_ARGUMENT,
                    "tap port: fd %d %s", fd, wrong);
    }
    return !wrong;
}

/* Returns: SwitchOffloads that the kernel takes, which are those it gives. */
static unsigned choose_offloads(int fd)
{
    if (ioctl(fd, TUNSETOFFLOAD, TUN_F_TSO | TUN_F_USO4 | TUN_F_USO6) == 0) {
        return SWITCH_OFFLOADS_TSO | SWITCH_OFFLOAD_USO;
    }
    return ioctl(fd, TUNSETOFFLOAD, TUN_F_TSO) == 0 ? SWITCH_OFFLOADS_TSO : 0;
}

static bool set_header(int fd, GError **error)
{
    int len = VNET_LEN, little_endian = 1;

    if (ioctl(fd, TUNSETVNETHDRSZ, &len) < 0 ||
        ioctl(fd, TUNSETVNETLE, &little_endian) < 0) {
        g_set_error(error, VMNET_ERROR, VMNET_INVALID_ARGUMENT,
                    "tap port: fd %d: %s", fd, g_strerror(errno));
        return false;
    }
    return true;
}

static TapQueue *queue_new(TapLink *link, int fd, GError **error)
{
    TapQueue *queue = g_new0(TapQueue, 1);

    queue->link = link;
    queue->lane = link->n_queues;
    queue->fd = fd;
    queue->events = EPOLLIN;
    queue->watch = loop_watch_new(port_link_loop(link->port), fd,
                                  queue->events, tap_event, queue, error);
    if (!queue->watch) {
        g_free(queue);
        return NULL;
    }
    return queue;
}

static bool tap_add_queue(void *opaque, int fd, GError **error)
{
    TapLink *link = opaque;
    TapQueue *queue;

    if (link->n_queues == LIMIT_TAP_QUEUES) {
        g_set_error(error, VMNET_ERROR, VMNET_INVALID_ARGUMENT,
                    "tap port: more than %d queues", LIMIT_TAP_QUEUES);
        return false;
    }
    if (!check_tap(fd, error)) {
        return false;
    }
    queue = queue_new(link, fd, error);
    if (!queue) {
        return false;
    }
    link->queues[link->n_queues++] = queue;
    return true;
}

static void *tap_open(Port *port, int fd, GError **error)
{
    TapLink *link = g_new0(TapLink, 1);

    link->port = port;
    if (!check_tap(fd, error) || !set_header(fd, error) ||
        !tap_add_queue(link, fd, error)) {
        g_free(link);
        return NULL;
    }
    port_set_offloads(port, choose_offloads(fd));
    port_link_up(port);
    return link;
}

static void tap_close(void *opaque)
{
    TapLink *link = opaque;
    unsigned i;

    for (i = 0; i < link->n_queues; i++) {
        TapQueue *queue = link->queues[i];

        loop_watch_free(queue->watch);
        close(queue->fd);
        port_buffer_put(queue->in);
        g_free(queue);
    }
    g_free(link);
}

const PortLinkDriver port_link_tap = {
    .open = tap_open,
    .add_queue = tap_add_queue,
    .close = tap_close,
    .send = tap_send,
    .room = tap_room,
    .resume = tap_resume,
};
