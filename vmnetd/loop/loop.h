/*
 * Event loop: epoll and one timer descriptor behind one GSource
 *
 * Theory of operation: one descriptor, the epoll set, is waited for, however many
 * are watched: by loop_turn(), or by GLib among others.  Timers live in a heap whose first deadline is set on a single
 * CLOCK_BOOTTIME timerfd, which is a member of the set: nothing wakes the
 * process while nothing is due.  All calls belong to the thread of the
 * GMainContext.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_LOOP_LOOP_H
#define VMNETD_LOOP_LOOP_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

typedef struct Loop Loop;
typedef struct LoopWatch LoopWatch;
typedef struct LoopTimer LoopTimer;

/** Called with the epoll bits that are set and the time of this dispatch. */
typedef void (*LoopWatchFunc)(void *opaque, uint32_t events, int64_t now_ms);
typedef void (*LoopTimerFunc)(void *opaque, int64_t now_ms);

/**
 * loop_new: attach a loop to @context (NULL: the default one).
 *
 * Returns: (nullable): NULL with @error where epoll or timerfd cannot be made.
 */
Loop *loop_new(GMainContext *context, GError **error);
/** All watches and timers must have been freed before. */
void loop_free(Loop *loop);

/**
 * loop_turn: a batch of events, and the timers that are due
 * @may_sleep: wait until there is one of them
 *
 * What g_main_context_iteration() does, with one system call instead of two, for
 * a program whose GMainContext has no other source: only @loop is served.  No
 * callback may free @loop.
 *
 * Returns: false if there was nothing to be done, or a signal ended the wait.
 */
bool loop_turn(Loop *loop, bool may_sleep);

/** loop_now_ms: CLOCK_BOOTTIME in ms, read anew. */
int64_t loop_now_ms(void);
/** loop_now_ns: CLOCK_BOOTTIME in ns, read anew. */
int64_t loop_now_ns(void);

/**
 * loop_watch_new: watch @fd for @events (EPOLLIN, EPOLLOUT, EPOLLRDHUP,
 * EPOLLET); EPOLLERR and EPOLLHUP are always reported.
 *
 * The fd stays the caller's, who closes it after loop_watch_free().  A watch
 * may be freed in any callback, its own included; its callback is not called
 * afterwards.
 *
 * Returns: NULL with @error where epoll refuses (EPERM, ENOSPC, ENOMEM).
 */
LoopWatch *loop_watch_new(Loop *loop, int fd, uint32_t events,
                          LoopWatchFunc func, void *opaque, GError **error);
void loop_watch_set_events(LoopWatch *watch, uint32_t events);
void loop_watch_free(LoopWatch *watch);

/** loop_timer_new: a timer that is not armed. Never fails. */
LoopTimer *loop_timer_new(Loop *loop, LoopTimerFunc func, void *opaque);
/** loop_timer_arm: fire once at or after @deadline_ms; moves an armed timer. */
void loop_timer_arm(LoopTimer *timer, int64_t deadline_ms);
/** loop_timer_arm_ns: as above in ns, for waits shorter than 1 ms. */
void loop_timer_arm_ns(LoopTimer *timer, int64_t deadline_ns);
void loop_timer_disarm(LoopTimer *timer);
void loop_timer_free(LoopTimer *timer);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Loop, loop_free)

#endif
