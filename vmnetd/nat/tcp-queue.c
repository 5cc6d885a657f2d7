/*
 * The queue of data for a guest: peeked at, repeated, discarded
 *
 * Theory of operation
 *
 * Sequence numbers are offsets into the socket's receive queue:
 *
 *      sock_una      snd_una         snd_nxt      snd_max     fin_seq
 *   ------+-------------+---------------+------------+-----------+---
 *         | acknowledged, | in flight   | to be sent   not sent   our
 *         | to discard    |             | again        yet        FIN
 *
 * SO_PEEK_OFF is where the next peek begins, snd_nxt - sock_una; peeking moves
 * it on and discarding moves it back by itself, so that it is set only to
 * repeat something.  With a ring (ring.h) the offsets are into the ring.
 *
 * A kernel without memory, or a port at its bound of rings, gives nothing now
 * and tells nobody when it has some again: such a flow is starved, and asks
 * again by a timer (tcp_out).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "nat/tcp-int.h"
#include <errno.h>
#include <string.h>

#define RING_BYTES LIMIT_NAT_RING_BYTES

/* What a call on the socket said that has not done its work. */
static void tcp_note_error(TcpFlow *f, const char *call, int errnum)
{
    nat_fault(f->nat, &f->flow.guest, call, errnum);
    if (tcp_error_is_soft(errnum)) {
        f->is_starved = true;
    } else if (errnum == EAGAIN) {
        f->readable = false;
    } else {
        f->error = errnum;
    }
}

/* The kernel stops at an urgent mark, so that it may take more than one call. */
static uint32_t tcp_discard_kernel(TcpFlow *f, uint32_t n)
{
    uint32_t left = n;
    ssize_t done;

    do {
        done = recv(f->fd, NULL, left, MSG_TRUNC | MSG_DONTWAIT);
        if (done > 0) {
            left -= done;
            f->peek_off -= MIN(f->peek_off, done);
        }
    } while (left && (done > 0 || (done < 0 && errno == EINTR)));
    if (done < 0 && errno != EAGAIN) {
        tcp_note_error(f, "recv", errno);
    }
    return n - left;
}

void tcp_discard(TcpFlow *f)
{
    uint32_t una = f->snd_una, n;

    /* Neither our SYN nor our FIN is in the queue. */
    if (tcp_seq_lt(una, f->sock_una)) {
        return;
    }
    if (f->eof && tcp_seq_gt(una, f->fin_seq)) {
        una = f->fin_seq;
    }
    n = una - f->sock_una;
    if (n == 0) {
        return;
    }
    if (f->peek) {
        n = tcp_discard_kernel(f, n);
    } else {
        ring_drop(f->ring, n);
        tcp_ring_trim(f);
    }
    f->sock_una += n;
}

void tcp_ring_trim(TcpFlow *f)
{
    if (f->ring && f->ring->len == 0) {
        flow_charge(&f->flow, -(ssize_t)f->ring->size);
        g_clear_pointer(&f->ring, ring_free);
    }
}

static bool tcp_seek(TcpFlow *f, uint32_t off)
{
    int value = off;

    if (f->peek_off == off) {
        return true;
    }
    if (setsockopt(f->fd, SOL_SOCKET, SO_PEEK_OFF, &value, sizeof(value)) < 0) {
        return false;
    }
    f->peek_off = off;
    return true;
}

static bool tcp_ring_make(TcpFlow *f)
{
    if (!flow_charge(&f->flow, RING_BYTES)) {
        return false;
    }
    f->ring = ring_new(RING_BYTES);
    if (!f->ring) {
        flow_charge(&f->flow, -(ssize_t)RING_BYTES);
    }
    return f->ring != NULL;
}

bool tcp_ring_put(TcpFlow *f, const uint8_t *bytes, uint32_t len)
{
    struct iovec iov[2];

    if (len > RING_BYTES || !tcp_ring_make(f)) {
        return false;
    }
    ring_tail(f->ring, iov);        /* empty: all of it in one piece */
    memcpy(iov[0].iov_base, bytes, len);
    ring_push(f->ring, len);
    return true;
}

/* Read the socket until it or the ring has no more. */
static void tcp_fill_ring(TcpFlow *f)
{
    struct iovec iov[2];
    struct msghdr msg = { .msg_iov = iov };
    ssize_t n;

    if (!f->ring && !tcp_ring_make(f)) {
        f->is_starved = true;
        return;
    }
    while (f->readable && ring_space(f->ring)) {
        msg.msg_iovlen = ring_tail(f->ring, iov);
        n = recvmsg(f->fd, &msg, MSG_DONTWAIT);
        if (n > 0) {
            ring_push(f->ring, n);
        } else if (n == 0) {
            f->eof = true;
            f->fin_seq = f->sock_una + f->ring->len;
            f->readable = false;
        } else if (errno != EINTR) {
            tcp_note_error(f, "recvmsg", errno);
            break;
        }
    }
    tcp_ring_trim(f);
}

/* Peek at up to @max bytes, for the stage's bytes from @at on. 0: no more. */
static uint32_t tcp_peek_at(TcpFlow *f, uint32_t at, uint32_t max,
                            const TcpCut *cut)
{
    struct iovec iov[FRAME_BATCH_MAX];
    struct msghdr msg = { .msg_iov = iov };
    uint32_t skip = at % cut->unit;
    unsigned i;
    ssize_t n;

    for (i = at / cut->unit; i < cut->n_frames && max; i++, skip = 0) {
        struct iovec *piece = &iov[msg.msg_iovlen++];

        piece->iov_base = tcp_cut_slot(f->nat, cut, i) + TCP_HEADROOM + skip;
        piece->iov_len = MIN(max, cut->unit - skip);
        max -= piece->iov_len;
    }
    if (msg.msg_iovlen == 0) {
        return 0;
    }
    do {
        n = recvmsg(f->fd, &msg, MSG_PEEK | MSG_DONTWAIT);
    } while (n < 0 && errno == EINTR);
    if (n < 0) {
        tcp_note_error(f, "recvmsg", errno);
        return 0;
    }
    if (n == 0) {
        f->eof = true;
        f->fin_seq = f->sock_una + f->peek_off;
        f->readable = false;
    }
    f->peek_off += n;
    return n;
}

/*
 * Until the socket has no more or the stage is full: what ends a stream comes
 * to light before its last data leaves, and goes with it.
 */
static uint32_t tcp_stage_peek(TcpFlow *f, uint32_t seq, uint32_t max,
                               const TcpCut *cut)
{
    NatStage *stage = &f->nat->stage;
    uint32_t done = 0, left, n;
    unsigned i;

    if (!tcp_seek(f, seq - f->sock_una)) {
        tcp_note_error(f, "setsockopt", errno);
        return 0;
    }
    do {
        n = tcp_peek_at(f, done, max - done, cut);
        done += n;
    } while (n && !(f->eof && seq + done == f->fin_seq));

    for (i = 0, left = done; left; i++) {
        stage->frames[i].n_iov = 1;
        stage->iov[i * NAT_STAGE_IOV] = (struct iovec){
            tcp_cut_slot(f->nat, cut, i) + TCP_HEADROOM, MIN(left, cut->unit)
        };
        left -= stage->iov[i * NAT_STAGE_IOV].iov_len;
    }
    return done;
}

static uint32_t tcp_stage_ring(TcpFlow *f, uint32_t seq, uint32_t max,
                               const TcpCut *cut)
{
    NatStage *stage = &f->nat->stage;
    uint32_t offset, n, left;
    unsigned i;

    if (f->readable) {
        tcp_fill_ring(f);
    }
    if (!f->ring) {
        return 0;
    }
    offset = seq - f->sock_una;
    n = MIN(f->ring->len - offset, MIN(max, cut->n_frames * cut->unit));
    for (i = 0, left = n; left; i++) {
        uint32_t len = MIN(left, cut->unit);

        stage->frames[i].n_iov = ring_slice(f->ring, offset, len,
                                            &stage->iov[i * NAT_STAGE_IOV]);
        offset += len;
        left -= len;
    }
    return n;
}

uint32_t tcp_stage(TcpFlow *f, uint32_t seq, uint32_t max, const TcpCut *cut)
{
    return f->peek ? tcp_stage_peek(f, seq, max, cut)
                   : tcp_stage_ring(f, seq, max, cut);
}
