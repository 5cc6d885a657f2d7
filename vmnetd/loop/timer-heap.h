/*
 * Timers ordered by deadline: a binary heap that knows where each one is
 *
 * Only loop.c uses it.  Arming and disarming cost O(log n), the next deadline
 * is the root.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_LOOP_TIMER_HEAP_H
#define VMNETD_LOOP_TIMER_HEAP_H

#include "loop/loop.h"

/** TimerHeap: an empty one is all zero. */
typedef struct TimerHeap {
    LoopTimer **timers;
    unsigned n_timers, allocated;
} TimerHeap;

/**
 * LoopTimer:
 * @heap_index: its place in the heap plus one; 0 while not armed
 */
struct LoopTimer {
    Loop *loop;
    LoopTimerFunc func;
    void *opaque;
    int64_t deadline_ns;
    unsigned heap_index;
};

/** timer_heap_set: insert @timer, or move it after its deadline changed. */
void timer_heap_set(TimerHeap *heap, LoopTimer *timer, int64_t deadline_ns);
/** timer_heap_remove: does nothing if @timer is not in the heap. */
void timer_heap_remove(TimerHeap *heap, LoopTimer *timer);
void timer_heap_clear(TimerHeap *heap);

/** timer_heap_first: NULL if nothing is armed. */
static inline LoopTimer *timer_heap_first(const TimerHeap *heap)
{
    return heap->n_timers ? heap->timers[0] : NULL;
}

#endif
