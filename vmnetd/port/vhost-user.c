/*
 * vhost-user links: the socket to the front end
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "port/vhost-user.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "port/bell.h"

/* Messages of one turn: a front end could send for ever. */
#define VU_TURN_MESSAGES 32

void vu_fail(VhostUser *dev, const char *format, ...)
{
    g_autofree char *reason = NULL;
    unsigned i;
    va_list args;

    if (dev->is_failed) {
        return;
    }
    dev->is_failed = true;
    if (!format) {
        port_link_fail(dev->port, NULL);
        return;
    }
    va_start(args, format);
    reason = g_strdup_vprintf(format, args);
    va_end(args);
    port_link_fail(dev->port, "%s", reason);
    for (i = 0; i < dev->n_rings; i++) {
        if (dev->rings[i].err_fd >= 0) {
            bell_ring(dev->rings[i].err_fd);
        }
    }
}

int vu_take_fd(VhostUser *dev, unsigned i)
{
    int fd = dev->fds[i];

    dev->fds[i] = -1;
    return fd;
}

static void forget_message(VhostUser *dev)
{
    unsigned i;

    for (i = 0; i < dev->n_fds; i++) {
        if (dev->fds[i] >= 0) {
            close(dev->fds[i]);
        }
    }
    dev->n_fds = 0;
    dev->have = 0;
}

static void reply(VhostUser *dev, const uint8_t *buf, size_t len)
{
    ssize_t sent;

    do {
        sent = send(dev->fd, buf, len, MSG_DONTWAIT | MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    if (sent < 0 && (errno == EPIPE || errno == ECONNRESET)) {
        vu_fail(dev, NULL);
    } else if (sent < 0 || (size_t)sent < len) {
        vu_fail(dev, "the front end does not read its answers");
    }
}

void vu_reply_u64(VhostUser *dev, uint32_t request, uint64_t value)
{
    uint8_t buf[VU_REPLY_MAX];

    reply(dev, buf, vu_build_u64(buf, request, value));
}

void vu_reply_state(VhostUser *dev, uint32_t request,
                    const VuVringState *state)
{
    uint8_t buf[VU_REPLY_MAX];

    reply(dev, buf, vu_build_state(buf, request, state));
}

static void handle_message(VhostUser *dev, VuMessage *msg)
{
    const char *problem = vu_parse_payload(dev->buf + VU_HEADER_LEN,
                                           dev->n_fds, msg);
    VuResult result;

    if (problem) {
        vu_fail(dev, "message %s %s", vu_request_str(msg->request), problem);
        return;
    }
    result = vu_handle(dev, msg);
    if ((result == VU_DONE || result == VU_REFUSED) && msg->needs_reply &&
        (dev->protocol_features & VU_PROTOCOL_REPLY_ACK) &&
        !vu_request_has_reply(msg->request)) {
        vu_reply_u64(dev, msg->request, result == VU_REFUSED);
    }
}

/* Keep the descriptors of a recvmsg(). False: more than any message has. */
static bool keep_fds(VhostUser *dev, struct msghdr *hdr)
{
    struct cmsghdr *cmsg;
    bool fits = !(hdr->msg_flags & MSG_CTRUNC);

    for (cmsg = CMSG_FIRSTHDR(hdr); cmsg; cmsg = CMSG_NXTHDR(hdr, cmsg)) {
        const uint8_t *data = CMSG_DATA(cmsg);
        size_t i, n = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);

        if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS) {
            continue;
        }
        for (i = 0; i < n; i++) {
            int fd;

            memcpy(&fd, data + i * sizeof(fd), sizeof(fd));
            if (dev->n_fds < VU_REGIONS_MAX) {
                dev->fds[dev->n_fds++] = fd;
            } else {
                close(fd);
                fits = false;
            }
        }
    }
    return fits;
}

/* Returns: whether @want bytes of the message are here. */
static bool read_up_to(VhostUser *dev, size_t want)
{
    union {
        char buf[CMSG_SPACE(sizeof(int) * VU_REGIONS_MAX)];
        struct cmsghdr align;
    } control;
    struct iovec iov = { dev->buf + dev->have, want - dev->have };
    struct msghdr hdr = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = control.buf,
        .msg_controllen = sizeof(control.buf),
    };
    ssize_t len;

    if (dev->have == want) {
        return true;
    }
    do {
        len = recvmsg(dev->fd, &hdr, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    } while (len < 0 && errno == EINTR);
    if (len > 0) {
        dev->have += len;
        if (!keep_fds(dev, &hdr)) {
            vu_fail(dev, "a message has more descriptors than it can");
            return false;
        }
        return dev->have == want;
    }
    if (len == 0 && dev->have) {
        vu_fail(dev, "the front end closed the connection in the middle of a "
                "message");
    } else if (len == 0 || errno == ECONNRESET) {
        vu_fail(dev, NULL);
    } else if (errno != EAGAIN) {
        vu_fail(dev, "cannot read from the front end: %s", g_strerror(errno));
    }
    return false;
}

/* Returns: whether there may be another. */
static bool read_message(VhostUser *dev)
{
    const char *problem;
    VuMessage msg;

    if (dev->have < VU_HEADER_LEN && !read_up_to(dev, VU_HEADER_LEN)) {
        return false;
    }
    problem = vu_parse_header(dev->buf, &msg);
    if (problem) {
        vu_fail(dev, "message %s (%" G_GUINT32_FORMAT ") %s",
                vu_request_str(msg.request), msg.request, problem);
        return false;
    }
    if (!read_up_to(dev, VU_HEADER_LEN + msg.size)) {
        return false;
    }
    handle_message(dev, &msg);
    forget_message(dev);
    return !dev->is_failed;
}

static void on_readable(void *opaque, uint32_t events, int64_t now_ms)
{
    VhostUser *dev = opaque;
    unsigned n;

    for (n = 0; n < VU_TURN_MESSAGES && !dev->is_failed; n++) {
        if (!read_message(dev)) {
            return;
        }
    }
}

static void *vhost_user_open(Port *port, int fd, GError **error)
{
    VhostUser *dev = g_new0(VhostUser, 1);
    unsigned i;

    dev->port = port;
    dev->fd = fd;
    dev->watch = loop_watch_new(port_link_loop(port), fd, EPOLLIN, on_readable,
                                dev, error);
    if (!dev->watch) {
        g_free(dev);
        return NULL;
    }
    dev->n_rings = 2 * port_link_queue_pairs(port);
    for (i = 0; i < dev->n_rings; i++) {
        vu_ring_init(&dev->rings[i], dev, i);
    }
    vu_reset(dev);
    return dev;
}

static void vhost_user_close(void *opaque)
{
    VhostUser *dev = opaque;
    unsigned i;

    dev->is_failed = true;
    for (i = 0; i < dev->n_rings; i++) {
        vu_ring_clear(&dev->rings[i]);
    }
    guest_memory_set_log(&dev->memory, NULL, -1, NULL);
    guest_memory_clear(&dev->memory);
    forget_message(dev);
    steering_free(dev->steering);
    loop_watch_free(dev->watch);
    close(dev->fd);
    g_free(dev);
}

static unsigned vhost_user_send(void *opaque, const Frame *frames, unsigned n,
                                int64_t now_ms)
{
    return vu_output_send(opaque, frames, n);
}

static size_t vhost_user_room(void *opaque, const Frame *head)
{
    return vu_output_room(opaque, head);
}

static void vhost_user_flush(void *opaque)
{
    vu_output_flush(opaque);
}

static void vhost_user_resume(void *opaque, unsigned lane, int64_t now_ms)
{
    VhostUser *dev = opaque;

    vu_input_run(&dev->rings[2 * lane + 1], now_ms);
}

static void vhost_user_expire(void *opaque)
{
    vu_output_expire(opaque);
}

static unsigned vhost_user_n_expired(void *opaque, const Frame *frames,
                                     unsigned n)
{
    return vu_output_n_expired(opaque, frames, n);
}

const PortLinkDriver port_link_vhost_user = {
    .socket_types = 1u << SOCK_STREAM,
    .socket_types_str = "SOCK_STREAM",
    .open = vhost_user_open,
    .close = vhost_user_close,
    .send = vhost_user_send,
    .room = vhost_user_room,
    .flush = vhost_user_flush,
    .resume = vhost_user_resume,
    .expire = vhost_user_expire,
    .n_expired = vhost_user_n_expired,
};
