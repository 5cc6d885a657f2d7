/*
 * Stream links: many frames per read and per write
 *
 * Input: one recv() takes what fits into the buffer, which holds a hundred
 * and more frames; whole ones go to the switch in batches, where they lie.
 * What is left is the beginning of one frame, or frames that a full receiver
 * did not take: then nothing is read until the port is resumed.
 *
 * Output: a batch is one sendmsg() of lengths, frames and padding, from where
 * they lie.  What the socket does not take is copied to a bounded queue, which
 * goes first from then on; EPOLLOUT is asked for only while something is in
 * it.  The kernel reports EPOLLOUT late, when three quarters of the socket's
 * buffer have drained: before a frame is refused, the socket is tried again.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "port/buffer.h"
#include "port/framing.h"
#include "port/link.h"
#include "vmnet/error.h"

/*
 * What we ask for; the kernel gives twice as much, it counts its overhead, or
 * what net.core.wmem_max allows.  A TCP window of a guest should fit, and not
 * much more: what lies here is delay.
 */
#define STREAM_SNDBUF_BYTES (1024 * 1024)

/* Elements of one sendmsg(): length, two pieces and padding for each frame. */
#define STREAM_IOV_MAX (FRAME_BATCH_MAX * 4)

/**
 * StreamLink:
 * @in: NULL while nothing is left over; what is, is [@in_start, @in_end)
 * @events: what @watch is set to
 * @owes_room: something was queued since room was last told of
 * @is_resting: the kernel had no memory, and @rest ends that: EPOLLOUT, which
 *     speaks of the socket's room only, would call us over and over
 */
typedef struct StreamLink {
    Port *port;
    int fd;
    LoopWatch *watch;
    uint32_t events;

    uint8_t *in;
    size_t in_start, in_end;

    PortQueue out;
    bool owes_room;

    LoopTimer *rest;
    bool is_resting;
} StreamLink;

/*
 * Batches of one turn.  A buffer of large frames is less than that; one of the
 * smallest would be 4,000, and whoever sends them would have all of our time.
 */
#define STREAM_TURN_BATCHES 4

/* How long a kernel without memory is left alone. */
#define STREAM_REST_MS 10

static const uint8_t padding[FRAME_LEN_MIN];

static void update_watch(StreamLink *link)
{
    uint32_t events = 0;

    if (!port_link_is_parked(link->port, 0)) {
        events |= EPOLLIN;
    }
    if (link->out.len && !link->is_resting) {
        events |= EPOLLOUT;
    }
    if (events != link->events) {
        link->events = events;
        loop_watch_set_events(link->watch, events);
    }
}

/* Bytes that @frame takes on the stream. */
static size_t framed_len(const Frame *frame)
{
    return FRAMING_HEADER_LEN + MAX(frame->len, FRAME_LEN_MIN);
}

/**
 * StreamBatch: one sendmsg()
 * @n_frames: how many of the frames offered are in it
 */
typedef struct StreamBatch {
    struct iovec iov[STREAM_IOV_MAX];
    uint32_t headers[FRAME_BATCH_MAX];
    unsigned n_iov, n_frames;
} StreamBatch;

static void batch_add(StreamBatch *batch, const void *data, size_t len)
{
    batch->iov[batch->n_iov++] = (struct iovec) { (void *)data, len };
}

static void batch_fill(StreamBatch *batch, const Frame *frames, unsigned n)
{
    unsigned i, j;

    batch->n_iov = batch->n_frames = 0;
    for (i = 0; i < n && batch->n_iov + frames[i].n_iov + 2 <= STREAM_IOV_MAX;
         i++) {
        uint32_t len = framed_len(&frames[i]) - FRAMING_HEADER_LEN;

        batch->headers[i] = GUINT32_TO_BE(len);
        batch_add(batch, &batch->headers[i], FRAMING_HEADER_LEN);
        for (j = 0; j < frames[i].n_iov; j++) {
            batch_add(batch, frames[i].iov[j].iov_base,
                      frames[i].iov[j].iov_len);
        }
        if (len > frames[i].len) {
            batch_add(batch, padding, len - frames[i].len);
        }
    }
    batch->n_frames = i;
}

/* Returns: bytes that the socket took; 0 if it is full or has failed. */
static size_t write_iov(StreamLink *link, struct iovec *iov, unsigned n_iov)
{
    struct msghdr msg = { .msg_iov = iov, .msg_iovlen = n_iov };
    ssize_t sent;

    do {
        sent = sendmsg(link->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    if (sent >= 0) {
        return sent;
    }
    if (errno == EPIPE || errno == ECONNRESET) {
        port_link_fail(link->port, NULL);
    } else if (errno == ENOBUFS || errno == ENOMEM) {
        link->is_resting = true;
        loop_timer_arm(link->rest, loop_now_ms() + STREAM_REST_MS);
    } else if (errno != EAGAIN) {
        port_link_fail(link->port, "cannot write to the VMM: sendmsg: %s",
                       g_strerror(errno));
    }
    return 0;
}

static void write_queue(StreamLink *link)
{
    struct iovec iov[2];

    while (link->out.len) {
        unsigned n = port_queue_peek(&link->out, 0, link->out.len, iov);
        size_t sent = write_iov(link, iov, n);

        if (!sent) {
            break;
        }
        port_queue_consume(&link->out, sent);
    }
}

/* Queue @frame from its framed byte @offset on. */
static void enqueue(StreamLink *link, const Frame *frame, size_t offset)
{
    uint32_t len = framed_len(frame) - FRAMING_HEADER_LEN;
    uint32_t header = GUINT32_TO_BE(len);
    struct iovec pad = { (void *)padding, len - frame->len };

    link->owes_room = true;
    if (offset < FRAMING_HEADER_LEN) {
        port_queue_append(&link->out, (uint8_t *)&header + offset,
                          FRAMING_HEADER_LEN - offset);
        offset = FRAMING_HEADER_LEN;
    }
    offset -= FRAMING_HEADER_LEN;
    port_queue_append_iov(&link->out, frame->iov, frame->n_iov, offset);
    offset -= MIN(offset, frame->len);
    port_queue_append_iov(&link->out, &pad, 1, offset);
}

/* Write while nothing is queued. Returns: frames sent, or begun. */
static unsigned send_directly(StreamLink *link, const Frame *frames,
                              unsigned n)
{
    StreamBatch batch;
    unsigned i, done = 0;

    while (done < n && !link->out.len) {
        size_t sent;

        batch_fill(&batch, frames + done, n - done);
        if (batch.n_frames == 0) {
            /* In too many pieces: the queue makes it one. */
            enqueue(link, &frames[done++], 0);
            break;
        }
        sent = write_iov(link, batch.iov, batch.n_iov);
        if (!sent) {
            break;
        }
        for (i = 0; i < batch.n_frames && sent; i++, done++) {
            size_t len = framed_len(&frames[done]);

            if (sent < len) {
                enqueue(link, &frames[done++], sent);
                break;
            }
            sent -= len;
        }
    }
    return done;
}

static unsigned send_queued(StreamLink *link, const Frame *frames, unsigned n)
{
    unsigned done = 0;

    while (done < n &&
           framed_len(&frames[done]) <= port_queue_room(&link->out)) {
        enqueue(link, &frames[done++], 0);
    }
    return done;
}

/* Returns: whether room is to be told of, which the caller does. */
static bool take_room_owed(StreamLink *link)
{
    if (!link->owes_room || link->out.len > PORT_BUFFER_LEN / 2) {
        return false;
    }
    link->owes_room = false;
    return true;
}

static unsigned stream_send(void *opaque, const Frame *frames, unsigned n,
                            int64_t now_ms)
{
    StreamLink *link = opaque;
    unsigned done = 0;

    if (link->out.len) {
        done = send_queued(link, frames, n);
        if (done < n) {
            write_queue(link);
            if (take_room_owed(link)) {
                port_link_has_room_later(link->port);
            }
        }
    }
    if (!link->out.len) {
        done += send_directly(link, frames + done, n - done);
    }
    done += send_queued(link, frames + done, n - done);
    update_watch(link);
    return done;
}

static size_t stream_room(void *opaque, const Frame *head)
{
    StreamLink *link = opaque;

    return port_queue_frame_room(&link->out, FRAMING_HEADER_LEN);
}

/* Hand over one batch. Returns: whether there may be another. */
static bool input_batch(StreamLink *link, int64_t now_ms)
{
    struct iovec iov[FRAME_BATCH_MAX];
    Frame frames[FRAME_BATCH_MAX];
    Framing framing = framing_parse(link->in + link->in_start,
                                    link->in_end - link->in_start,
                                    iov, FRAME_BATCH_MAX);
    unsigned i, taken = 0;

    for (i = 0; i < framing.n_frames; i++) {
        frame_init(&frames[i], &iov[i], 1);
    }
    if (framing.n_frames) {
        taken = port_link_input(link->port, 0, frames, framing.n_frames, now_ms);
    }
    for (i = 0; i < taken; i++) {
        link->in_start += FRAMING_HEADER_LEN + iov[i].iov_len;
    }
    if (taken < framing.n_frames) {
        return false;
    }
    if (framing.has_bad_len) {
        port_link_fail(link->port, "the VMM sent a frame length of "
                       "%" G_GUINT32_FORMAT ", not 1 to %d",
                       framing.bad_len, FRAME_LEN_MAX);
        return false;
    }
    return framing.n_frames == FRAME_BATCH_MAX;
}

/* Hand over what was read, until the port is parked or the turn is over. */
static void input_frames(StreamLink *link, int64_t now_ms)
{
    unsigned n;

    for (n = 0; n < STREAM_TURN_BATCHES; n++) {
        if (!input_batch(link, now_ms)) {
            return;
        }
    }
    port_link_yield(link->port, 0);
}

/* Keep what is left over where the rest of it will fit behind it. */
static void tidy_input(StreamLink *link)
{
    size_t left = link->in_end - link->in_start;

    if (port_link_is_parked(link->port, 0)) {
        return;
    }
    if (left) {
        memmove(link->in, link->in + link->in_start, left);
    } else {
        port_buffer_put(g_steal_pointer(&link->in));
    }
    link->in_start = 0;
    link->in_end = left;
}

static void read_input(StreamLink *link, int64_t now_ms)
{
    ssize_t len;

    if (!link->in) {
        link->in = port_buffer_get();
    }
    do {
        len = recv(link->fd, link->in + link->in_end,
                   PORT_BUFFER_LEN - link->in_end, MSG_DONTWAIT);
    } while (len < 0 && errno == EINTR);
    if (len > 0) {
        link->in_end += len;
        input_frames(link, now_ms);
    } else if (len == 0 && link->in_end) {
        port_link_fail(link->port, "the VMM closed the connection in the "
                       "middle of a frame, %zu bytes short",
                       framing_missing(link->in, link->in_end));
    } else if (len == 0 || errno == ECONNRESET) {
        /* Reset: it left without reading all that we had sent. */
        port_link_fail(link->port, NULL);
    } else if (errno != EAGAIN) {
        port_link_fail(link->port, "cannot read from the VMM: recv: %s",
                       g_strerror(errno));
    }
    tidy_input(link);
}

static void stream_resume(void *opaque, unsigned lane, int64_t now_ms)
{
    StreamLink *link = opaque;

    input_frames(link, now_ms);
    tidy_input(link);
    update_watch(link);
}

static void drain_queue(StreamLink *link, int64_t now_ms)
{
    write_queue(link);
    if (take_room_owed(link)) {
        port_link_has_room(link->port, now_ms);
    }
}

static void on_rested(void *opaque, int64_t now_ms)
{
    StreamLink *link = opaque;

    link->is_resting = false;
    drain_queue(link, now_ms);
    update_watch(link);
}

static void stream_event(void *opaque, uint32_t events, int64_t now_ms)
{
    StreamLink *link = opaque;

    if (events & EPOLLOUT) {
        drain_queue(link, now_ms);
    }
    if ((events & ~EPOLLOUT) && !port_link_is_parked(link->port, 0)) {
        read_input(link, now_ms);
    }
    update_watch(link);
}

static void *stream_open(Port *port, int fd, GError **error)
{
    StreamLink *link = g_new0(StreamLink, 1);
    struct sockaddr_storage peer;
    socklen_t len = sizeof(peer);
    int bytes = STREAM_SNDBUF_BYTES;

    if (getpeername(fd, (struct sockaddr *)&peer, &len) < 0) {
        g_set_error(error, VMNET_ERROR, VMNET_INVALID_ARGUMENT,
                    "stream port: fd %d: %s", fd, g_strerror(errno));
        g_free(link);
        return NULL;
    }
    link->port = port;
    link->fd = fd;
    link->events = EPOLLIN;
    link->watch = loop_watch_new(port_link_loop(port), fd, link->events,
                                 stream_event, link, error);
    if (!link->watch) {
        g_free(link);
        return NULL;
    }
    link->rest = loop_timer_new(port_link_loop(port), on_rested, link);
    /* Best effort: less means that the queue is used sooner. */
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
    port_link_up(port);
    return link;
}

static void stream_close(void *opaque)
{
    StreamLink *link = opaque;

    loop_watch_free(link->watch);
    loop_timer_free(link->rest);
    close(link->fd);
    port_buffer_put(link->in);
    port_queue_clear(&link->out);
    g_free(link);
}

const PortLinkDriver port_link_stream = {
    .socket_types = 1u << SOCK_STREAM,
    .socket_types_str = "SOCK_STREAM",
    .open = stream_open,
    .close = stream_close,
    .send = stream_send,
    .room = stream_room,
    .resume = stream_resume,
};
