/*
 * What a guest has of our data behind holes: its SACK blocks (RFC 2018)
 *
 * Theory of operation
 *
 *   snd_una   rxt_nxt                                        snd_max
 *   ---+---------+-----+##########+------+####+------------------+---
 *      |repeated |     | sacked   | hole |    | nothing is known  |
 *
 * Blocks are kept in order, apart from each other, and few: one that finds no
 * place is forgotten, and what it told is sent once more than needed.  They are
 * hints only: nothing is discarded before it is acknowledged, a timeout forgets
 * them all (RFC 2018 8: the guest may have done so as well), and a block is
 * believed only between snd_una and snd_max.
 *
 * More than two segments behind a hole say that it is lost (RFC 6675 4), or as
 * many as there are.  A hole is filled once a round; a round lasts as long as
 * an answer may take, so that what was lost twice is not left to the timeout.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "nat/tcp-int.h"
#include <string.h>

/* Blocks remembered of a flow: a window of 2 MiB that loses 5% has 70 holes. */
#define SACKED_MAX 128
/* Shorter than this no answer is missing: the clock counts milliseconds. */
#define ROUND_MIN_MS 20
/* Rounds without an acknowledgement, before the timeout is waited for. */
#define ROUNDS_MAX 4

void tcp_sack_clear(TcpFlow *f)
{
    g_clear_pointer(&f->sacked, g_free);
    f->n_sacked = 0;
}

void tcp_sack_trim(TcpFlow *f)
{
    unsigned n = 0;

    while (n < f->n_sacked && tcp_seq_leq(f->sacked[n].end, f->snd_una)) {
        n++;
    }
    f->n_sacked -= n;
    memmove(f->sacked, f->sacked + n, f->n_sacked * sizeof(*f->sacked));
    if (f->n_sacked == 0) {
        tcp_sack_clear(f);
    }
}

/* Returns: it told something new. */
static bool tcp_sack_add(TcpFlow *f, TcpBlock block)
{
    unsigned i = 0, j;

    while (i < f->n_sacked && tcp_seq_lt(f->sacked[i].end, block.start)) {
        i++;
    }
    if (i < f->n_sacked && tcp_seq_leq(f->sacked[i].start, block.start) &&
        tcp_seq_geq(f->sacked[i].end, block.end)) {
        return false;
    }
    /* All that it touches become one. */
    for (j = i; j < f->n_sacked &&
         tcp_seq_leq(f->sacked[j].start, block.end); j++) {
        if (tcp_seq_lt(f->sacked[j].start, block.start)) {
            block.start = f->sacked[j].start;
        }
        if (tcp_seq_gt(f->sacked[j].end, block.end)) {
            block.end = f->sacked[j].end;
        }
    }
    if (i == j && f->n_sacked == SACKED_MAX) {
        if (i == SACKED_MAX) {
            return false;
        }
        f->n_sacked--;          /* the highest is needed last */
    }
    if (!f->sacked) {
        f->sacked = g_new(TcpBlock, SACKED_MAX);
    }
    memmove(f->sacked + i + 1, f->sacked + j,
            (f->n_sacked - MIN(j, f->n_sacked)) * sizeof(block));
    f->n_sacked = f->n_sacked + 1 - (j - i);
    f->sacked[i] = block;
    return true;
}

bool tcp_sack_input(TcpFlow *f, const TcpHeader *tcp)
{
    bool is_new = false;
    unsigned i;

    for (i = 0; i < tcp->n_sack; i++) {
        const TcpBlock *block = &tcp->sack[i];

        if (tcp_seq_geq(block->start, f->snd_una) &&
            tcp_seq_lt(block->start, block->end) &&
            tcp_seq_leq(block->end, f->snd_max)) {
            is_new |= tcp_sack_add(f, *block);
        }
    }
    return is_new;
}

uint32_t tcp_sack_skip(const TcpFlow *f, uint32_t seq, uint32_t *ret_len)
{
    unsigned i;

    *ret_len = G_MAXUINT32;
    for (i = 0; i < f->n_sacked; i++) {
        const TcpBlock *block = &f->sacked[i];

        if (tcp_seq_lt(seq, block->start)) {
            *ret_len = block->start - seq;
            break;
        }
        if (tcp_seq_lt(seq, block->end)) {
            seq = block->end;
        }
    }
    return seq;
}

bool tcp_sack_hole(const TcpFlow *f, TcpBlock *ret_hole)
{
    uint32_t from = f->snd_una, len;

    if (tcp_seq_gt(f->rxt_nxt, from)) {
        from = f->rxt_nxt;
    } else if (f->n_sacked == 0 && f->snd_una != f->snd_max) {
        /* RFC 6582: without blocks no more is known than this. */
        *ret_hole = (TcpBlock){ from, from + MIN(f->mss, f->snd_max - from) };
        return true;
    }
    from = tcp_sack_skip(f, from, &len);
    /* Behind the last block nothing is known; behind snd_nxt a timeout's
     * repetition goes on. */
    if (len == G_MAXUINT32 || tcp_seq_geq(from, f->snd_nxt)) {
        return false;
    }
    *ret_hole = (TcpBlock){ from, from + MIN(len, f->snd_nxt - from) };
    return true;
}

/* ---- recovery ---- */

static bool tcp_sack_tells_loss(const TcpFlow *f)
{
    uint32_t bytes = 0;
    unsigned i;

    for (i = 0; i < f->n_sacked; i++) {
        bytes += f->sacked[i].end - f->sacked[i].start;
    }
    return bytes > 2u * f->mss ||
           (i > 0 && f->sacked[i - 1].end == f->snd_max);
}

static int64_t tcp_round_length_ms(const TcpFlow *f)
{
    return MAX(f->srtt_ms + 4 * f->rttvar_ms, ROUND_MIN_MS);
}

static void tcp_round_start(TcpFlow *f, int64_t now_ms)
{
    f->rxt_nxt = f->snd_una;
    f->round_ms = now_ms;
    tcp_timer_start(f, now_ms);
}

void tcp_recover(TcpFlow *f, int64_t now_ms)
{
    f->recovering = true;
    f->recover = f->snd_max;
    f->n_rounds = 0;
    tcp_round_start(f, now_ms);
}

void tcp_recover_on(TcpFlow *f, bool sack_is_new, int64_t now_ms)
{
    if (!f->recovering) {
        if (sack_is_new && tcp_sack_tells_loss(f)) {
            tcp_recover(f, now_ms);
        }
    } else if (f->n_sacked &&
               now_ms - f->round_ms >= tcp_round_length_ms(f)) {
        tcp_round_start(f, now_ms);
    }
}

int64_t tcp_recover_wait_ms(const TcpFlow *f)
{
    if (!f->recovering || !f->n_sacked || f->n_rounds >= ROUNDS_MAX) {
        return 0;
    }
    return tcp_round_length_ms(f);
}

bool tcp_recover_again(TcpFlow *f, int64_t now_ms)
{
    if (!tcp_recover_wait_ms(f)) {
        return false;
    }
    f->n_rounds++;
    tcp_round_start(f, now_ms);
    tcp_pend(f);
    return true;
}
