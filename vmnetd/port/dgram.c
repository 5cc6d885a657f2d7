/*
 * Datagram links: a frame a datagram, on SOCK_DGRAM or SOCK_SEQPACKET
 *
 * What vfkit, krunkit and QEMU's -netdev dgram speak.  Frames are received and
 * sent in batches (recvmmsg, sendmmsg); a receive buffer is a row of slots of
 * the largest frame, and what does not fit into one is a giant.
 *
 * A socket that is bound but not connected has no peer until the first
 * datagram comes: the link then connects back to its sender, which must be
 * bound too, and stays with it.  vfkit and krunkit send the word "VFKT" first;
 * it is no frame.
 *
 * With a virtio_net_hdr in front of each frame (PORT_KIND_DGRAM_VNET) frames may
 * be of 64 KiB; their slots lie in a batch buffer.
 *
 * The end of a SOCK_DGRAM peer shows only when something is sent to it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "port/dgram-output.h"
#include "vmnet/error.h"

/* What we ask for; the kernel gives what net.core.wmem_max allows. */
#define DGRAM_SNDBUF_BYTES (4 * 1024 * 1024)

/* Ethernet header with a VLAN tag, on top of the MTU. */
#define DGRAM_HEADER_MAX 18

#define VFKT_LEN_MAX 64

/**
 * DgramLink:
 * @has_vnet: each datagram begins with a virtio_net_hdr_v1
 * @slot_len: bytes of a receive slot; @n_slots of them are a buffer
 * @has_peer: false: waits for its first sender
 * @is_new: nothing has come yet
 * @in: NULL while nothing is left over; what is, is @datagrams from @in_next on
 * @in_sent: n_sent of the first of these
 */
typedef struct DgramLink {
    Port *port;
    int fd;
    bool has_vnet, is_seqpacket, has_peer, is_new;
    LoopWatch *watch;
    uint32_t events;

    size_t slot_len;
    unsigned n_slots;
    uint8_t *in;
    struct iovec datagrams[FRAME_BATCH_MAX];
    unsigned in_next, n_in;
    uint32_t in_sent;

    DgramOutput out;
} DgramLink;

static void update_watch(DgramLink *link)
{
    uint32_t events = 0;

    if (!port_link_is_parked(link->port, 0)) {
        events |= EPOLLIN;
    }
    if (link->out.queue.len) {
        events |= EPOLLOUT;
    }
    if (events != link->events) {
        link->events = events;
        loop_watch_set_events(link->watch, events);
    }
}

static unsigned dgram_send(void *opaque, const Frame *frames, unsigned n,
                           int64_t now_ms)
{
    DgramLink *link = opaque;
    unsigned done = dgram_output_send(&link->out, frames, n);

    update_watch(link);
    return done;
}

static size_t dgram_room(void *opaque, const Frame *head)
{
    DgramLink *link = opaque;

    return dgram_output_room(&link->out);
}

static void get_buffer(DgramLink *link)
{
    link->in = link->has_vnet ? port_batch_get() : port_buffer_get();
}

static void put_buffer(DgramLink *link)
{
    uint8_t *buf = g_steal_pointer(&link->in);

    if (link->has_vnet) {
        port_batch_put(buf);
    } else {
        port_buffer_put(buf);
    }
}

static size_t header_len(const DgramLink *link)
{
    return link->has_vnet ? sizeof(struct virtio_net_hdr_v1) : 0;
}

/* The frame in a datagram; @iov is to be its only piece. */
static void make_frame(const DgramLink *link, const struct iovec *datagram,
                       Frame *frame, struct iovec *iov)
{
    size_t skip = header_len(link);

    *iov = (struct iovec) { (uint8_t *)datagram->iov_base + skip,
                            datagram->iov_len - skip };
    frame_init(frame, iov, 1);
    memcpy(&frame->vnet, datagram->iov_base, skip);
}

/* Hand over what was received. */
static void input_frames(DgramLink *link, int64_t now_ms)
{
    Frame frames[FRAME_BATCH_MAX];
    struct iovec iov[FRAME_BATCH_MAX];
    unsigned i, taken, n = link->n_in - link->in_next;

    for (i = 0; i < n; i++) {
        make_frame(link, &link->datagrams[link->in_next + i], &frames[i],
                   &iov[i]);
    }
    if (n) {
        frames[0].n_sent = link->in_sent;
        taken = port_link_input(link->port, 0, frames, n, now_ms);
        link->in_sent = taken < n ? frames[taken].n_sent : 0;
        link->in_next += taken;
    }
    if (link->in_next == link->n_in) {
        link->in_next = link->n_in = 0;
        put_buffer(link);
    }
}

static bool is_vfkt(const DgramLink *link, const void *data, size_t len)
{
    return link->is_new && !link->has_vnet && len < VFKT_LEN_MAX && len >= 4 &&
           !memcmp(data, "VFKT", 4);
}

/* Count a datagram that the switch never sees. */
static void refuse(DgramLink *link, SwitchDrop reason)
{
    port_counter_add(&port_link_counters(link->port)->input_frames, 1);
    port_link_count_drop(link->port, reason);
}

static void take_datagram(DgramLink *link, uint8_t *data, size_t len,
                          int flags)
{
    if (flags & MSG_TRUNC) {
        refuse(link, SWITCH_DROP_GIANT);
    } else if (len < header_len(link)) {
        refuse(link, SWITCH_DROP_RUNT);
    } else if (!is_vfkt(link, data, len)) {
        link->datagrams[link->n_in++] = (struct iovec) { data, len };
    }
    link->is_new = false;
}

static void receive_failed(DgramLink *link, int errnum)
{
    switch (errnum) {
    case EAGAIN:
    case EINTR:
    case ENOMEM:
        break;
    case ECONNREFUSED:
    case ECONNRESET:
        port_link_fail(link->port, NULL);
        break;
    default:
        port_link_fail(link->port, "cannot read from the VMM: %s",
                       g_strerror(errnum));
        break;
    }
}

static void read_input(DgramLink *link, uint32_t events, int64_t now_ms)
{
    struct mmsghdr msgs[FRAME_BATCH_MAX];
    struct iovec iov[FRAME_BATCH_MAX];
    unsigned i;
    int n;

    get_buffer(link);
    memset(msgs, 0, link->n_slots * sizeof(msgs[0]));
    for (i = 0; i < link->n_slots; i++) {
        iov[i] = (struct iovec) { link->in + i * link->slot_len,
                                  link->slot_len };
        msgs[i].msg_hdr.msg_iov = &iov[i];
        msgs[i].msg_hdr.msg_iovlen = 1;
    }
    n = recvmmsg(link->fd, msgs, link->n_slots, MSG_DONTWAIT, NULL);
    if (n < 0) {
        receive_failed(link, events & EPOLLHUP ? ECONNRESET : errno);
    }
    for (i = 0; (int)i < n; i++) {
        if (msgs[i].msg_len == 0 && link->is_seqpacket) {
            port_link_fail(link->port, NULL);
            break;
        }
        take_datagram(link, iov[i].iov_base, msgs[i].msg_len,
                      msgs[i].msg_hdr.msg_flags);
    }
    input_frames(link, now_ms);
}

/* The first datagram is here: connect to who sent it, or throw it away. */
static void meet_peer(DgramLink *link)
{
    struct sockaddr_storage addr;
    socklen_t len = sizeof(addr);
    char byte;

    if (recvfrom(link->fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK,
                 (struct sockaddr *)&addr, &len) < 0) {
        receive_failed(link, errno);
        return;
    }
    /* Without a name (len is that of the family) it could not be answered. */
    if (len > sizeof(sa_family_t) &&
        connect(link->fd, (struct sockaddr *)&addr, len) == 0) {
        link->has_peer = true;
        port_link_up(link->port);
        return;
    }
    if (recv(link->fd, &byte, 1, MSG_DONTWAIT) >= 0) {
        port_link_count_drop(link->port, SWITCH_DROP_NOT_CONNECTED);
    }
}

static void dgram_resume(void *opaque, unsigned lane, int64_t now_ms)
{
    DgramLink *link = opaque;

    input_frames(link, now_ms);
    update_watch(link);
}

static void retry_due(void *opaque, int64_t now_ms)
{
    DgramLink *link = opaque;

    dgram_output_retry(&link->out, now_ms);
    update_watch(link);
}

static void dgram_event(void *opaque, uint32_t events, int64_t now_ms)
{
    DgramLink *link = opaque;

    if (events & EPOLLOUT) {
        dgram_output_retry(&link->out, now_ms);
    }
    if ((events & ~EPOLLOUT) && !link->has_peer) {
        meet_peer(link);
    }
    if ((events & ~EPOLLOUT) && link->has_peer &&
        !port_link_is_parked(link->port, 0)) {
        read_input(link, events, now_ms);
    }
    update_watch(link);
}

/* What kind of socket @fd is, and whether it is connected. */
static bool inspect(DgramLink *link, GError **error)
{
    struct sockaddr_storage addr;
    socklen_t len = sizeof(int);
    int type;

    if (getsockopt(link->fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0) {
        goto fail;
    }
    link->is_seqpacket = type == SOCK_SEQPACKET;
    len = sizeof(addr);
    link->has_peer = getpeername(link->fd, (struct sockaddr *)&addr, &len) == 0;
    if (link->has_peer) {
        return true;
    }
    len = sizeof(addr);
    if (link->is_seqpacket || errno != ENOTCONN ||
        getsockname(link->fd, (struct sockaddr *)&addr, &len) < 0) {
        goto fail;
    }
    if (len <= sizeof(sa_family_t)) {
        errno = EDESTADDRREQ;
        goto fail;
    }
    return true;

fail:
    g_set_error(error, VMNET_ERROR, VMNET_INVALID_ARGUMENT,
                "dgram port: fd %d: %s", link->fd, g_strerror(errno));
    return false;
}

static void choose_slots(DgramLink *link)
{
    size_t frame_max = MIN(port_link_mtu(link->port) + DGRAM_HEADER_MAX,
                           FRAME_LEN_MAX);

    link->slot_len = link->has_vnet ? header_len(link) + FRAME_LEN_MAX
                                    : frame_max;
    link->n_slots = (link->has_vnet ? PORT_BATCH_LEN : PORT_BUFFER_LEN) /
                    link->slot_len;
    link->n_slots = MIN(link->n_slots, FRAME_BATCH_MAX);
}

static void *open_link(Port *port, int fd, bool has_vnet, GError **error)
{
    g_autofree DgramLink *link = g_new0(DgramLink, 1);
    int bytes = DGRAM_SNDBUF_BYTES;

    link->port = port;
    link->fd = fd;
    link->is_new = true;
    link->events = EPOLLIN;
    link->has_vnet = has_vnet;
    choose_slots(link);
    if (!inspect(link, error)) {
        return NULL;
    }
    link->watch = loop_watch_new(port_link_loop(port), fd, link->events,
                                 dgram_event, link, error);
    if (!link->watch) {
        return NULL;
    }
    dgram_output_init(&link->out, port, fd, has_vnet, retry_due, link);
    /* Best effort: less means that the queue is used sooner. */
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
    if (link->has_peer) {
        port_link_up(port);
    }
    return g_steal_pointer(&link);
}

static void *dgram_open(Port *port, int fd, GError **error)
{
    return open_link(port, fd, false, error);
}

static void *dgram_vnet_open(Port *port, int fd, GError **error)
{
    return open_link(port, fd, true, error);
}

static void dgram_close(void *opaque)
{
    DgramLink *link = opaque;

    loop_watch_free(link->watch);
    dgram_output_clear(&link->out);
    close(link->fd);
    put_buffer(link);
    g_free(link);
}

#define DGRAM_DRIVER(open_func) {                                           \
    .socket_types = 1u << SOCK_DGRAM | 1u << SOCK_SEQPACKET,                \
    .socket_types_str = "SOCK_DGRAM or SOCK_SEQPACKET",                     \
    .open = open_func,                                                      \
    .close = dgram_close,                                                   \
    .send = dgram_send,                                                     \
    .room = dgram_room,                                                     \
    .resume = dgram_resume,                                                 \
}

const PortLinkDriver port_link_dgram = DGRAM_DRIVER(dgram_open);
const PortLinkDriver port_link_dgram_vnet = DGRAM_DRIVER(dgram_vnet_open);
