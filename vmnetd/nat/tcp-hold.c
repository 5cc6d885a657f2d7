/*
 * Data of a guest that cannot be written yet: behind a hole, or the socket is
 * full
 *
 * Pieces in order of their sequence numbers, copied, bounded, charged to the
 * guest's port.  They may overlap; what has been written already is skipped
 * when they are.  Nothing here has been acknowledged, so any of it may be
 * forgotten: then the guest sends it again.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "nat/tcp-int.h"
#include <errno.h>
#include <string.h>

/* Pieces of a flow at most: a window's worth at an MTU of 1280. */
#define HELD_PIECES_MAX 2048

typedef struct TcpHeld {
    uint32_t seq, len;
    uint8_t data[];
} TcpHeld;

static TcpHeld *held_at(const TcpFlow *f, unsigned i)
{
    return f->held->pdata[i];
}

/* Forget the first @n pieces. */
static void held_forget(TcpFlow *f, unsigned n)
{
    ssize_t bytes = 0;
    unsigned i;

    for (i = 0; i < n; i++) {
        bytes += sizeof(TcpHeld) + held_at(f, i)->len;
        f->held_bytes -= held_at(f, i)->len;
        g_free(held_at(f, i));
    }
    if (n) {
        g_ptr_array_remove_range(f->held, 0, n);
        flow_charge(&f->flow, -bytes);
    }
    if (f->held->len == 0) {
        g_clear_pointer(&f->held, g_ptr_array_unref);
    }
}

void tcp_hold_clear(TcpFlow *f)
{
    if (f->held) {
        held_forget(f, f->held->len);
    }
}

/* Where a piece at @seq belongs; false: it is there already. */
static bool held_place(const TcpFlow *f, uint32_t seq, uint32_t len,
                       unsigned *ret_i)
{
    unsigned i = f->held->len;

    while (i > 0 && tcp_seq_gt(held_at(f, i - 1)->seq, seq)) {
        i--;
    }
    *ret_i = i;
    return i == 0 || tcp_seq_lt(held_at(f, i - 1)->seq +
                                held_at(f, i - 1)->len, seq + len);
}

bool tcp_hold(TcpFlow *f, const struct iovec *iov, unsigned n_iov,
              size_t offset, uint32_t seq, uint32_t len)
{
    size_t at = 0, skip, take;
    TcpHeld *piece;
    unsigned i;

    if (!f->held) {
        f->held = g_ptr_array_new();
    }
    if (!held_place(f, seq, len, &i)) {
        return true;
    }
    if (f->held->len >= HELD_PIECES_MAX ||
        f->held_bytes + len > LIMIT_NAT_WINDOW_BYTES ||
        !flow_charge(&f->flow, sizeof(*piece) + len)) {
        return false;
    }
    piece = g_malloc(sizeof(*piece) + len);
    piece->seq = f->held_last = seq;
    piece->len = len;
    f->held_bytes += len;
    g_ptr_array_insert(f->held, i, piece);
    for (i = 0; i < n_iov && at < len; i++) {
        skip = MIN(offset, iov[i].iov_len);
        offset -= skip;
        take = MIN(iov[i].iov_len - skip, len - at);
        memcpy(piece->data + at, (uint8_t *)iov[i].iov_base + skip, take);
        at += take;
    }
    return true;
}

/* Describe what follows rcv_nxt without a hole. Returns: elements. */
static unsigned held_ready(TcpFlow *f, struct iovec iov[FRAME_BATCH_MAX])
{
    uint32_t next = f->rcv_nxt, old;
    unsigned i, n = 0;

    for (i = 0; i < f->held->len && n < FRAME_BATCH_MAX; i++) {
        TcpHeld *piece = held_at(f, i);

        if (tcp_seq_gt(piece->seq, next)) {
            break;
        }
        old = next - piece->seq;
        if (old < piece->len) {
            iov[n++] = (struct iovec){ piece->data + old, piece->len - old };
            next = piece->seq + piece->len;
        }
    }
    return n;
}

/* Pieces that lie before rcv_nxt as a whole. */
static unsigned held_old(const TcpFlow *f)
{
    unsigned n = 0;

    while (n < f->held->len &&
           tcp_seq_leq(held_at(f, n)->seq + held_at(f, n)->len, f->rcv_nxt)) {
        n++;
    }
    return n;
}

void tcp_hold_write(TcpFlow *f)
{
    struct iovec iov[FRAME_BATCH_MAX];
    struct msghdr msg = { .msg_iov = iov };

    while (f->held && !f->blocked && !f->error) {
        msg.msg_iovlen = held_ready(f, iov);
        if (msg.msg_iovlen) {
            tcp_write(f, &msg);
        }
        held_forget(f, held_old(f));
        if (!msg.msg_iovlen) {
            return;
        }
    }
}

unsigned tcp_hold_blocks(const TcpFlow *f, TcpBlock ret_blocks[TCP_BLOCKS_MAX])
{
    unsigned i, j, n = 0;
    TcpBlock block;

    for (i = 0; f->held && i < f->held->len; i = j) {
        block.start = held_at(f, i)->seq;
        block.end = block.start + held_at(f, i)->len;
        for (j = i + 1; j < f->held->len &&
             tcp_seq_leq(held_at(f, j)->seq, block.end); j++) {
            uint32_t end = held_at(f, j)->seq + held_at(f, j)->len;

            block.end = tcp_seq_gt(end, block.end) ? end : block.end;
        }
        if (tcp_seq_leq(block.start, f->rcv_nxt)) {
            continue;       /* no hole in front: the socket is full */
        }
        if (tcp_seq_leq(block.start, f->held_last) &&
            tcp_seq_lt(f->held_last, block.end) && n > 0) {
            memmove(&ret_blocks[1], &ret_blocks[0],
                    MIN(n, TCP_BLOCKS_MAX - 1) * sizeof(block));
            ret_blocks[0] = block;      /* RFC 2018 4: the newest is first */
            n = MIN(n + 1, TCP_BLOCKS_MAX);
        } else if (n < TCP_BLOCKS_MAX) {
            ret_blocks[n++] = block;
        }
    }
    return n;
}
