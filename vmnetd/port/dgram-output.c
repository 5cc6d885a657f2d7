/*
 * Output of datagram links
 *
 *   frames --> sendmmsg() --> socket
 *                  \ no room --> queue --> sendmmsg(): the next batch,
 *                                          EPOLLOUT, or the retry timer
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "port/dgram-output.h"

/* The first wait and the last one: after 32 ms only EPOLLOUT and sends try. */
#define DGRAM_RETRY_MIN_NS 250000
#define DGRAM_RETRY_MAX_NS 16000000

/* Pieces of a frame that are sent from where they lie; of more, one is made. */
#define DGRAM_PIECES_MAX 7

/* One sendmmsg(). */
typedef struct DgramBatch {
    struct mmsghdr msgs[FRAME_BATCH_MAX];
    struct iovec iov[FRAME_BATCH_MAX][DGRAM_PIECES_MAX + 2];
    unsigned n;
} DgramBatch;

static const uint8_t padding[FRAME_LEN_MIN];

static void arm_retry(DgramOutput *out)
{
    if (out->queue.len && out->retry_ns <= DGRAM_RETRY_MAX_NS) {
        loop_timer_arm_ns(out->retry_timer, loop_now_ns() + out->retry_ns);
    } else {
        loop_timer_disarm(out->retry_timer);
    }
}

/* Returns: whether room is to be told of, which the caller does. */
static bool take_room_owed(DgramOutput *out)
{
    if (!out->owes_room || out->queue.len > PORT_BUFFER_LEN / 2) {
        return false;
    }
    out->owes_room = false;
    return true;
}

/* What is to be done about a send that failed. */
typedef enum SendError {
    SEND_LATER,     /* no room now */
    SEND_SKIP,      /* this datagram can never be sent */
    SEND_GONE,      /* the link has failed */
} SendError;

static SendError send_failed(DgramOutput *out, int errnum)
{
    switch (errnum) {
    case EAGAIN:
    case ENOBUFS:
    case ENOMEM:
        return SEND_LATER;
    case EMSGSIZE:
        port_link_count_drop(out->port, SWITCH_DROP_GIANT);
        return SEND_SKIP;
    case EFAULT:        /* the sender has taken its memory away */
        port_link_count_drop(out->port, SWITCH_DROP_BAD_OFFLOAD);
        return SEND_SKIP;
    case ECONNREFUSED:
    case ECONNRESET:
    case EPIPE:
    case ENOTCONN:
        port_link_fail(out->port, NULL);
        return SEND_GONE;
    default:
        port_link_fail(out->port, "cannot send to the VMM: %s",
                       g_strerror(errnum));
        return SEND_GONE;
    }
}

/*
 * Send all of @batch that the socket takes.
 *
 * Returns: how many of the first are done with: sent, skipped, or all if the
 * link has failed.
 */
static unsigned send_batch(DgramOutput *out, DgramBatch *batch)
{
    unsigned done = 0;

    while (done < batch->n) {
        int n = sendmmsg(out->fd, batch->msgs + done, batch->n - done,
                         MSG_DONTWAIT | MSG_NOSIGNAL);

        if (n > 0) {
            done += n;
            continue;
        }
        if (n < 0 && errno == EINTR) {
            continue;
        }
        switch (send_failed(out, n < 0 ? errno : EIO)) {
        case SEND_LATER:
            return done;
        case SEND_SKIP:
            done++;
            break;
        case SEND_GONE:
            return batch->n;
        }
    }
    return done;
}

static void batch_begin(DgramBatch *batch)
{
    batch->n = 0;
}

static struct iovec *batch_next_iov(DgramBatch *batch)
{
    return batch->iov[batch->n];
}

static void batch_add(DgramBatch *batch, unsigned n_iov)
{
    struct mmsghdr *msg = &batch->msgs[batch->n];

    memset(msg, 0, sizeof(*msg));
    msg->msg_hdr.msg_iov = batch->iov[batch->n];
    msg->msg_hdr.msg_iovlen = n_iov;
    batch->n++;
}

static size_t header_len(const DgramOutput *out)
{
    return out->has_vnet ? sizeof(struct virtio_net_hdr_v1) : 0;
}

static size_t datagram_len(const DgramOutput *out, const Frame *frame)
{
    return header_len(out) + MAX(frame->len, FRAME_LEN_MIN);
}

static void enqueue(DgramOutput *out, const Frame *frame)
{
    uint32_t len = datagram_len(out, frame);

    out->owes_room = true;
    port_queue_append(&out->queue, &len, sizeof(len));
    port_queue_append(&out->queue, &frame->vnet, header_len(out));
    port_queue_append_iov(&out->queue, frame->iov, frame->n_iov, 0);
    port_queue_append(&out->queue, padding, len - header_len(out) - frame->len);
}

static unsigned send_queued(DgramOutput *out, const Frame *frames, unsigned n)
{
    unsigned done = 0;

    while (done < n && sizeof(uint32_t) + datagram_len(out, &frames[done]) <=
                       port_queue_room(&out->queue)) {
        enqueue(out, &frames[done++]);
    }
    return done;
}

/* Describe the first records of the queue. Returns: their bytes. */
static void batch_fill_from_queue(DgramOutput *out, DgramBatch *batch)
{
    size_t offset = 0;

    batch_begin(batch);
    while (batch->n < FRAME_BATCH_MAX && offset < out->queue.len) {
        uint32_t len = port_queue_u32(&out->queue, offset);

        offset += sizeof(len);
        batch_add(batch, port_queue_peek(&out->queue, offset, len,
                                         batch_next_iov(batch)));
        offset += len;
    }
}

static void write_queue(DgramOutput *out)
{
    DgramBatch batch;
    unsigned i, done;
    bool has_progress = false;

    while (out->queue.len) {
        batch_fill_from_queue(out, &batch);
        done = send_batch(out, &batch);
        for (i = 0; i < done; i++) {
            port_queue_consume(&out->queue, sizeof(uint32_t) +
                               port_queue_u32(&out->queue, 0));
        }
        has_progress |= done > 0;
        if (done < batch.n) {
            break;
        }
    }
    if (has_progress) {
        out->retry_ns = DGRAM_RETRY_MIN_NS;
    } else if (out->retry_ns <= DGRAM_RETRY_MAX_NS) {
        out->retry_ns *= 2;
    }
}

/* Add @frame from where it lies. Returns: false: it is in too many pieces. */
static bool batch_add_frame(const DgramOutput *out, DgramBatch *batch,
                            const Frame *frame)
{
    struct iovec *iov = batch_next_iov(batch);
    unsigned n = 0;

    if (frame->n_iov > DGRAM_PIECES_MAX) {
        return false;
    }
    if (out->has_vnet) {
        iov[n++] = (struct iovec) { (void *)&frame->vnet, header_len(out) };
    }
    memcpy(iov + n, frame->iov, frame->n_iov * sizeof(*iov));
    n += frame->n_iov;
    if (frame->len < FRAME_LEN_MIN) {
        iov[n++] = (struct iovec) { (void *)padding,
                                    FRAME_LEN_MIN - frame->len };
    }
    batch_add(batch, n);
    return true;
}

/* Nothing is queued: send what the socket takes. */
static unsigned send_directly(DgramOutput *out, const Frame *frames, unsigned n)
{
    DgramBatch batch;

    batch_begin(&batch);
    while (batch.n < n && batch.n < FRAME_BATCH_MAX &&
           batch_add_frame(out, &batch, &frames[batch.n])) {
    }
    out->retry_ns = DGRAM_RETRY_MIN_NS;
    return send_batch(out, &batch);
}

void dgram_output_init(DgramOutput *out, Port *port, int fd, bool has_vnet,
                       LoopTimerFunc retry, void *opaque)
{
    *out = (DgramOutput) {
        .port = port,
        .fd = fd,
        .has_vnet = has_vnet,
        .retry_timer = loop_timer_new(port_link_loop(port), retry, opaque),
        .retry_ns = DGRAM_RETRY_MIN_NS,
    };
}

void dgram_output_clear(DgramOutput *out)
{
    loop_timer_free(out->retry_timer);
    port_queue_clear(&out->queue);
}

size_t dgram_output_room(const DgramOutput *out)
{
    return port_queue_frame_room(&out->queue,
                                 sizeof(uint32_t) + header_len(out));
}

unsigned dgram_output_send(DgramOutput *out, const Frame *frames, unsigned n)
{
    unsigned done = 0;

    if (out->queue.len) {
        write_queue(out);
        if (take_room_owed(out)) {
            port_link_has_room_later(out->port);
        }
    }
    if (!out->queue.len) {
        done = send_directly(out, frames, n);
    }
    done += send_queued(out, frames + done, n - done);
    arm_retry(out);
    return done;
}

void dgram_output_retry(DgramOutput *out, int64_t now_ms)
{
    write_queue(out);
    if (take_room_owed(out)) {
        port_link_has_room(out->port, now_ms);
    }
    arm_retry(out);
}
