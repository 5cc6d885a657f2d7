/*
 * Timers ordered by deadline: a binary heap that knows where each one is
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "loop/timer-heap.h"

static void place(TimerHeap *heap, unsigned at, LoopTimer *timer)
{
    heap->timers[at] = timer;
    timer->heap_index = at + 1;
}

static void sift_up(TimerHeap *heap, unsigned at, LoopTimer *timer)
{
    while (at > 0) {
        unsigned parent = (at - 1) / 2;

        if (heap->timers[parent]->deadline_ns <= timer->deadline_ns) {
            break;
        }
        place(heap, at, heap->timers[parent]);
        at = parent;
    }
    place(heap, at, timer);
}

static void sift_down(TimerHeap *heap, unsigned at, LoopTimer *timer)
{
    for (;;) {
        unsigned child = 2 * at + 1;

        if (child >= heap->n_timers) {
            break;
        }
        if (child + 1 < heap->n_timers &&
            heap->timers[child + 1]->deadline_ns <
            heap->timers[child]->deadline_ns) {
            child++;
        }
        if (heap->timers[child]->deadline_ns >= timer->deadline_ns) {
            break;
        }
        place(heap, at, heap->timers[child]);
        at = child;
    }
    place(heap, at, timer);
}

/* Put @timer at @at, whose former content has moved away, or near it. */
static void settle(TimerHeap *heap, unsigned at, LoopTimer *timer)
{
    sift_up(heap, at, timer);
    sift_down(heap, timer->heap_index - 1, timer);
}

void timer_heap_set(TimerHeap *heap, LoopTimer *timer, int64_t deadline_ns)
{
    unsigned at;

    timer->deadline_ns = deadline_ns;
    if (timer->heap_index) {
        at = timer->heap_index - 1;
    } else {
        if (heap->n_timers == heap->allocated) {
            heap->allocated = MAX(16, heap->allocated * 2);
            heap->timers = g_renew(LoopTimer *, heap->timers, heap->allocated);
        }
        at = heap->n_timers++;
    }
    settle(heap, at, timer);
}

void timer_heap_remove(TimerHeap *heap, LoopTimer *timer)
{
    unsigned at = timer->heap_index - 1;
    LoopTimer *last;

    if (!timer->heap_index) {
        return;
    }
    timer->heap_index = 0;
    last = heap->timers[--heap->n_timers];
    if (last != timer) {
        settle(heap, at, last);
    }
}

void timer_heap_clear(TimerHeap *heap)
{
    g_free(heap->timers);
    *heap = (TimerHeap) { 0 };
}
