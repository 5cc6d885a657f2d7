/*
 * Waiting for a full port
 *
 *   send() took less --> wait --+-- has_room() ----> resume()
 *                               +-- expire() ------> overrun: drop and count
 *                               +-- VMM or port goes -> resume()
 *
 * A waiter is on the list of the port that it waits for, once, and may wait for
 * many: a source with several queues, or NAT, which looks at room() before it
 * reads a socket.  Who has stopped waiting stays on the list, and is resumed
 * once for nothing.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "switch/switch-internal.h"

size_t switch_port_room(SwitchPort *port, const Frame *head)
{
    return port->connected && port->ops->room
           ? port->ops->room(port->opaque, head) : SIZE_MAX;
}

void switch_port_wait(SwitchPort *dst, SwitchPort *src)
{
    if (!g_ptr_array_find(dst->waiters, src, NULL)) {
        g_ptr_array_add(dst->waiters, src);
    }
}

static void resume_waiters(SwitchPort *dst, int64_t now_ms)
{
    unsigned n = dst->waiters->len;

    /* Who finds no room waits again at the end of the list: not now. */
    while (n-- && dst->waiters->len) {
        SwitchPort *src = g_ptr_array_steal_index(dst->waiters, 0);

        if (src->ops->resume) {
            src->ops->resume(src->opaque, dst, now_ms);
        }
    }
}

void switch_port_has_room(SwitchPort *port, int64_t now_ms)
{
    port->overrun = false;
    resume_waiters(port, now_ms);
}

uint32_t switch_parked_at(const SwitchPort *src)
{
    return src->parked_at;
}

void switch_park_expire(SwitchPort *src, uint32_t id)
{
    SwitchPort *dst = id ? switch_port_by_id(src->sw, id) : NULL;

    if (!dst) {
        return;
    }
    if (!dst->has_queues) {
        dst->overrun = true;
    } else if (dst->connected) {
        dst->ops->expire(dst->opaque);
    }
}

void switch_port_set_connected(SwitchPort *port, bool connected,
                               int64_t now_ms)
{
    port->connected = connected;
    switch_port_has_room(port, now_ms);
}

void switch_port_unpark(SwitchPort *dst, int64_t now_ms)
{
    Switch *sw = dst->sw;
    unsigned i;

    for (i = 0; i < sw->ports->len; i++) {
        SwitchPort *other = g_ptr_array_index(sw->ports, i);

        g_ptr_array_remove(other->waiters, dst);
    }
    /* Nobody sends to it any more: each waiter is resumed once. */
    resume_waiters(dst, now_ms);
}
