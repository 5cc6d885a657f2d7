/*
 * Waiting for room at a guest's port
 *
 *   nat_room(): too little -> nat_wait() --- nat_resume(port) ---> resume()
 *
 * Each port has a line of its own, so that one whose guest takes nothing costs
 * the others nothing when these have room, however many wait for it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "nat/nat-int.h"

static NatLine *line_of(Nat *nat, uint32_t port_id)
{
    return g_hash_table_lookup(nat->lines, GUINT_TO_POINTER(port_id));
}

static NatLine *line_get(Nat *nat, uint32_t port_id)
{
    NatLine *line = line_of(nat, port_id);

    if (!line) {
        line = g_new0(NatLine, 1);
        line->port_id = port_id;
        g_hash_table_insert(nat->lines, GUINT_TO_POINTER(port_id), line);
    }
    return line;
}

/* One that is being resumed stays until nat_resume() has done with it. */
static void line_tidy(Nat *nat, NatLine *line)
{
    if (line->waits.length == 0 && line != nat->resuming) {
        g_hash_table_remove(nat->lines, GUINT_TO_POINTER(line->port_id));
    }
}

void nat_wait(Nat *nat, NatWait *wait)
{
    if (wait->line && wait->line->port_id == wait->port_id) {
        return;
    }
    nat_wait_cancel(nat, wait);
    wait->line = line_get(nat, wait->port_id);
    wait->queue = &wait->line->waits;
    wait->link = (GList){ .data = wait };
    g_queue_push_tail_link(wait->queue, &wait->link);
}

void nat_wait_cancel(Nat *nat, NatWait *wait)
{
    NatLine *line = g_steal_pointer(&wait->line);

    if (line) {
        g_queue_unlink(wait->queue, &wait->link);
        line_tidy(nat, line);
    }
}

static void move(GList *link, GQueue *from, GQueue *to, bool to_head)
{
    NatWait *wait = link->data;

    g_queue_unlink(from, link);
    wait->queue = to;
    if (to_head) {
        g_queue_push_head_link(to, link);
    } else {
        g_queue_push_tail_link(to, link);
    }
}

/*
 * Round robin: who got something goes to the end, who did not keeps its place.
 * Any of them, @kept or not, may be cancelled by what another one does.
 */
static void resume_line(Nat *nat, NatLine *line, int64_t now_ms)
{
    GList *link;
    NatWait *wait;
    uint64_t before;
    unsigned n;

    for (n = line->waits.length; n > 0 && line->waits.head; n--) {
        link = g_queue_pop_head_link(&line->waits);
        wait = link->data;
        wait->line = NULL;
        before = nat->n_output;
        wait->resume(nat, wait->owner, now_ms);
        /* @wait may be gone, unless it has queued up again. */
        if (line->waits.tail == link && nat->n_output == before) {
            move(link, &line->waits, &line->kept, false);
        }
    }
    while (line->kept.tail) {
        move(line->kept.tail, &line->kept, &line->waits, true);
    }
}

void nat_resume(Nat *nat, uint32_t port_id, int64_t now_ms)
{
    NatLine *line = line_of(nat, port_id);

    if (!line || nat->resuming || nat->outputting) {
        return;
    }
    nat->resuming = line;
    resume_line(nat, line, now_ms);
    nat->resuming = NULL;
    line_tidy(nat, line);
    nat_done(nat, now_ms);
}
