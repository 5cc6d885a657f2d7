/*
 * Data of guests, gathered and written to the socket
 *
 * Segments of one flow that follow each other are one sendmsg(): where their
 * frames stay until the batch ends they are written from where they lie, else
 * small ones are copied.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "nat/tcp-int.h"
#include <netinet/tcp.h>

/*
 * Nagle's algorithm keeps small data back while other small data is on its way:
 * the first is not, and many flows have no second.
 */
static void tcp_no_delay(TcpFlow *f)
{
    static const int one = 1;

    if (f->written && !f->nodelay) {
        f->nodelay = true;
        setsockopt(f->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    }
    f->written = true;
}

uint32_t tcp_write(TcpFlow *f, struct msghdr *msg)
{
    size_t len = 0, i;
    ssize_t n;

    for (i = 0; i < msg->msg_iovlen; i++) {
        len += msg->msg_iov[i].iov_len;
    }
    tcp_no_delay(f);
    do {
        n = sendmsg(f->fd, msg, MSG_DONTWAIT | MSG_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
    if (n < 0 && errno != EAGAIN) {
        nat_fault(f->nat, &f->flow.guest, "sendmsg", errno);
    }
    if (n < 0 && errno != EAGAIN && !tcp_error_is_soft(errno)) {
        f->error = errno;
        return 0;
    }
    f->is_starved |= n < 0 && errno != EAGAIN;
    n = MAX(n, 0);
    f->rcv_nxt += n;
    tcp_room_use(f, n);
    f->blocked = (size_t)n < len;
    return n;
}

void tcp_gather_flush(Nat *nat)
{
    TcpGather *gather = &nat->gather;
    TcpFlow *f = gather->flow;
    struct msghdr msg = {
        .msg_iov = gather->iov, .msg_iovlen = gather->n_iov,
    };
    uint32_t len = gather->len, n;

    gather->flow = NULL;
    gather->n_iov = 0;
    gather->len = 0;
    if (!f || f->error) {
        return;
    }
    n = tcp_write(f, &msg);
    if (n < len && !f->error) {
        f->ack_now = true;
        f->dropped |= !tcp_hold(f, msg.msg_iov, msg.msg_iovlen, n, f->rcv_nxt,
                                len - n);
    }
}

void tcp_hold_frame(TcpFlow *f, const Frame *frame, uint32_t offset,
                           uint32_t seq, uint32_t len)
{
    if (tcp_seq_gt(seq + len, f->rcv_edge) ||
        !tcp_hold(f, frame->iov, frame->n_iov, offset, seq, len)) {
        f->dropped = f->dropped || f->blocked;
    }
}

/*
 * Add a copy of @len bytes of @frame from @offset on: one piece of memory.
 * @seq: of the first
 */
static void tcp_gather_copy(TcpFlow *f, const Frame *frame, uint32_t offset,
                            uint32_t seq, uint32_t len)
{
    TcpGather *gather = &f->nat->gather;

    if (!gather->copy) {
        gather->copy = g_malloc(TCP_GATHER_BYTES);
    }
    if (gather->flow != f || gather->len + len > TCP_GATHER_BYTES ||
        gather->n_iov != 1 || gather->iov[0].iov_base != gather->copy) {
        tcp_gather_flush(f->nat);
    }
    if (f->blocked) {
        tcp_hold_frame(f, frame, offset, seq, len);
    } else if (frame_peek(frame, offset, gather->copy + gather->len, len) ==
               len) {
        gather->flow = f;
        gather->len += len;
        gather->n_iov = 1;
        gather->iov[0] = (struct iovec){ gather->copy, gather->len };
    }
}

/* Describe up to @len bytes of @frame from @offset on. Returns: bytes. */
static uint32_t tcp_gather_some(TcpGather *gather, const Frame *frame,
                                uint32_t offset, uint32_t len)
{
    uint32_t done = 0;
    unsigned i;

    for (i = 0; i < frame->n_iov && done < len &&
                gather->n_iov < FRAME_BATCH_MAX; i++) {
        size_t skip = MIN(offset, frame->iov[i].iov_len);
        size_t take = MIN(frame->iov[i].iov_len - skip, len - done);

        offset -= skip;
        if (take) {
            gather->iov[gather->n_iov++] = (struct iovec){
                (uint8_t *)frame->iov[i].iov_base + skip, take
            };
            done += take;
        }
    }
    gather->len += done;
    return done;
}

/*
 * Add @len bytes of @frame from @offset on, where they are; a frame may lie in
 * more pieces than are gathered at a time.
 * @seq: of the first
 */
static void tcp_gather_refer(TcpFlow *f, const Frame *frame, uint32_t offset,
                             uint32_t seq, uint32_t len)
{
    TcpGather *gather = &f->nat->gather;

    while (len > 0 && !f->error) {
        uint32_t n;

        if (gather->flow != f || gather->n_iov == FRAME_BATCH_MAX) {
            tcp_gather_flush(f->nat);
        }
        /* What is held goes first: nothing is written behind its back. */
        if (f->blocked) {
            tcp_hold_frame(f, frame, offset, seq, len);
            return;
        }
        gather->flow = f;
        n = tcp_gather_some(gather, frame, offset, len);
        if (n == 0) {
            return;
        }
        offset += n;
        seq += n;
        len -= n;
    }
}

void tcp_gather(TcpFlow *f, const Frame *frame, uint32_t offset,
                       uint32_t seq, uint32_t len)
{
    Nat *nat = f->nat;

    if (nat->config.hold_frames && !nat->reassembled) {
        tcp_gather_refer(f, frame, offset, seq, len);
    } else if (len <= TCP_GATHER_COPY_MAX) {
        tcp_gather_copy(f, frame, offset, seq, len);
    } else {
        tcp_gather_flush(nat);
        tcp_gather_refer(f, frame, offset, seq, len);
        tcp_gather_flush(nat);
    }
}
