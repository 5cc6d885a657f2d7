/*
 * Event loop: epoll and one timer descriptor behind one GSource
 *
 * Theory of operation:
 *
 *   loop_turn() ---------v
 *   GLib -> g_poll() -> epoll fd -> { watched fds, timerfd } -> callbacks
 *                                                      heap  -> timers
 *
 * A turn takes up to LOOP_EVENTS_MAX events from epoll and then runs the timers
 * that were due when it began, at most as many: whatever else is ready gets its
 * turn however busy a network is.  loop_turn() sleeps in epoll_wait() itself.
 * GLib sleeps in poll(), which looks into the epoll set from outside, and then
 * dispatches a turn that does not sleep: two system calls, and two wake-ups
 * within the kernel, for one.
 *
 * The Loop is the GSource itself, hence alive for the whole of GLib's dispatch
 * even if a callback frees it.
 *
 * A callback may free any watch, also one whose event is still to come in this
 * very batch: loop_watch_free() strikes it from the batch.
 *
 * The timerfd is watched edge-triggered and never read.  It is set in
 * set_wakeup(), before the process sleeps, and not when a timer is armed: a timer
 * that is armed and disarmed within one dispatch costs no system call.  When
 * the first deadline moves to later, and the old one is still far, the timerfd
 * is left alone: one early wake-up is cheaper than a call per packet.  One that
 * has passed already needs no timerfd: the loop does not sleep.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <errno.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "loop/loop.h"
#include "loop/timer-heap.h"
#include "vmnet/error.h"

#define NS_PER_MS INT64_C(1000000)
#define NS_PER_S INT64_C(1000000000)

/* Events, and timers, of one dispatch. */
#define LOOP_EVENTS_MAX 64
/* A deadline nearer than this is taken back when it is no longer wanted. */
#define LOOP_NEAR_NS (100 * NS_PER_MS)

struct Loop {
    GSource source;
    int epoll_fd, timer_fd;
    gpointer poll_tag;

    TimerHeap heap;
    int64_t armed_ns;       /* what the timerfd is set to; 0: nothing */
    int64_t dispatch_ns;    /* when the last dispatch began */

    /* The batch that is being dispatched. */
    struct epoll_event events[LOOP_EVENTS_MAX];
    int n_events, next_event;
};

struct LoopWatch {
    Loop *loop;
    int fd;
    uint32_t events;
    LoopWatchFunc func;
    void *opaque;
};

int64_t loop_now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_BOOTTIME, &ts);
    return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

int64_t loop_now_ms(void)
{
    return loop_now_ns() / NS_PER_MS;
}

static void set_timer_fd(Loop *loop, int64_t deadline_ns)
{
    struct itimerspec spec = {
        .it_value.tv_sec = deadline_ns / NS_PER_S,
        .it_value.tv_nsec = deadline_ns % NS_PER_S,
    };

    /* Cannot fail: the fd is ours and the time is normalised. */
    timerfd_settime(loop->timer_fd, TFD_TIMER_ABSTIME, &spec, NULL);
    loop->armed_ns = deadline_ns;
}

/* The clock is only read if it may be so. */
static bool is_due(const Loop *loop, const LoopTimer *timer)
{
    return timer && timer->deadline_ns - loop->dispatch_ns < NS_PER_MS &&
           timer->deadline_ns <= loop_now_ns();
}

/* Before the process sleeps.  Returns: it must not, for a timer is due. */
static bool set_wakeup(Loop *loop)
{
    LoopTimer *first = timer_heap_first(&loop->heap);
    int64_t wanted_ns = first ? first->deadline_ns : 0;

    if (is_due(loop, first)) {
        return true;
    }
    if (wanted_ns == loop->armed_ns) {
        return false;
    }
    if (loop->armed_ns && (!wanted_ns || wanted_ns > loop->armed_ns) &&
        loop->armed_ns - loop->dispatch_ns > LOOP_NEAR_NS) {
        return false;
    }
    set_timer_fd(loop, wanted_ns);
    return false;
}

/* Returns: how many there were. */
static unsigned run_timers(Loop *loop)
{
    int64_t now_ns = loop->dispatch_ns;
    unsigned n;

    for (n = 0; n < LOOP_EVENTS_MAX; n++) {
        LoopTimer *timer = timer_heap_first(&loop->heap);

        if (!timer || timer->deadline_ns > now_ns) {
            break;
        }
        timer_heap_remove(&loop->heap, timer);
        timer->func(timer->opaque, now_ns / NS_PER_MS);
    }
    return n;
}

/* Returns: something was to be done. */
static bool run_batch(Loop *loop, int timeout_ms)
{
    bool has_events;

    loop->n_events = epoll_wait(loop->epoll_fd, loop->events,
                                LOOP_EVENTS_MAX, timeout_ms);
    has_events = loop->n_events > 0;
    loop->dispatch_ns = loop_now_ns();
    if (loop->armed_ns && loop->armed_ns <= loop->dispatch_ns) {
        loop->armed_ns = 0;
    }

    for (loop->next_event = 0; loop->next_event < loop->n_events; ) {
        const struct epoll_event *event = &loop->events[loop->next_event++];
        LoopWatch *watch = event->data.ptr;

        /* NULL: the timerfd, or a watch that was freed meanwhile. */
        if (watch) {
            watch->func(watch->opaque, event->events,
                        loop->dispatch_ns / NS_PER_MS);
        }
    }
    loop->n_events = loop->next_event = 0;
    return run_timers(loop) > 0 || has_events;
}

bool loop_turn(Loop *loop, bool may_sleep)
{
    bool is_late = set_wakeup(loop);

    return run_batch(loop, may_sleep && !is_late ? -1 : 0);
}

static gboolean loop_prepare(GSource *source, gint *timeout)
{
    bool is_late = set_wakeup((Loop *)source);

    *timeout = is_late ? 0 : -1;
    return is_late;
}

static gboolean loop_check(GSource *source)
{
    Loop *loop = (Loop *)source;

    return g_source_query_unix_fd(source, loop->poll_tag) != 0;
}

static gboolean loop_dispatch(GSource *source, GSourceFunc func, gpointer data)
{
    run_batch((Loop *)source, 0);
    return G_SOURCE_CONTINUE;
}

static void loop_finalize(GSource *source)
{
    Loop *loop = (Loop *)source;

    if (loop->epoll_fd >= 0) {
        close(loop->epoll_fd);
    }
    if (loop->timer_fd >= 0) {
        close(loop->timer_fd);
    }
    timer_heap_clear(&loop->heap);
}

static GSourceFuncs loop_funcs = {
    .prepare = loop_prepare,
    .check = loop_check,
    .dispatch = loop_dispatch,
    .finalize = loop_finalize,
};

static bool loop_open(Loop *loop, GError **error)
{
    struct epoll_event event = { .events = EPOLLIN | EPOLLET };
    const char *what;

    what = "epoll_create1";
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epoll_fd < 0) {
        goto fail;
    }
    what = "timerfd_create";
    loop->timer_fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    if (loop->timer_fd < 0) {
        goto fail;
    }
    what = "epoll_ctl";
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, loop->timer_fd, &event) < 0) {
        goto fail;
    }
    return true;

fail:
    g_set_error(error, VMNET_ERROR, vmnet_status_from_errno(errno),
                "event loop: %s: %s", what, g_strerror(errno));
    return false;
}

Loop *loop_new(GMainContext *context, GError **error)
{
    GSource *source = g_source_new(&loop_funcs, sizeof(Loop));
    Loop *loop = (Loop *)source;

    loop->epoll_fd = loop->timer_fd = -1;
    g_source_set_static_name(source, "vmnet-loop");
    /*
     * Nobody runs the loop from within a callback.  Without this GLib takes the
     * epoll fd out of its set for each dispatch and puts it back, and wakes
     * itself up for either: five system calls more for every turn.
     */
    g_source_set_can_recurse(source, TRUE);
    if (!loop_open(loop, error)) {
        g_source_unref(source);
        return NULL;
    }
    loop->poll_tag = g_source_add_unix_fd(source, loop->epoll_fd, G_IO_IN);
    g_source_attach(source, context);
    return loop;
}

void loop_free(Loop *loop)
{
    if (!loop) {
        return;
    }
    g_assert(loop->heap.n_timers == 0);
    loop->n_events = 0;
    g_source_destroy(&loop->source);
    g_source_unref(&loop->source);
}

LoopWatch *loop_watch_new(Loop *loop, int fd, uint32_t events,
                          LoopWatchFunc func, void *opaque, GError **error)
{
    LoopWatch *watch = g_new(LoopWatch, 1);
    struct epoll_event event = { .events = events, .data.ptr = watch };

    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) {
        g_set_error(error, VMNET_ERROR, vmnet_status_from_errno(errno),
                    "cannot watch fd %d: epoll_ctl: %s", fd, g_strerror(errno));
        g_free(watch);
        return NULL;
    }
    *watch = (LoopWatch) {
        .loop = loop,
        .fd = fd,
        .events = events,
        .func = func,
        .opaque = opaque,
    };
    return watch;
}

void loop_watch_set_events(LoopWatch *watch, uint32_t events)
{
    struct epoll_event event = { .events = events, .data.ptr = watch };

    /* With EPOLLET the same events again mean: report what is set now. */
    if (events == watch->events && !(events & EPOLLET)) {
        return;
    }
    if (epoll_ctl(watch->loop->epoll_fd, EPOLL_CTL_MOD, watch->fd, &event) < 0) {
        g_warning("cannot change the watch of fd %d: %s", watch->fd,
                  g_strerror(errno));
        return;
    }
    watch->events = events;
}

void loop_watch_free(LoopWatch *watch)
{
    Loop *loop;
    int i;

    if (!watch) {
        return;
    }
    loop = watch->loop;
    epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
    for (i = loop->next_event; i < loop->n_events; i++) {
        if (loop->events[i].data.ptr == watch) {
            loop->events[i].data.ptr = NULL;
        }
    }
    g_free(watch);
}

LoopTimer *loop_timer_new(Loop *loop, LoopTimerFunc func, void *opaque)
{
    LoopTimer *timer = g_new(LoopTimer, 1);

    *timer = (LoopTimer) { .loop = loop, .func = func, .opaque = opaque };
    return timer;
}

void loop_timer_arm(LoopTimer *timer, int64_t deadline_ms)
{
    /* Far beyond any uptime: "never" of an engine must not overflow. */
    loop_timer_arm_ns(timer, CLAMP(deadline_ms, 0, INT64_MAX / NS_PER_MS) *
                             NS_PER_MS);
}

void loop_timer_arm_ns(LoopTimer *timer, int64_t deadline_ns)
{
    /* The timerfd takes 0 for "disarm" and refuses negative times. */
    timer_heap_set(&timer->loop->heap, timer, MAX(deadline_ns, 1));
}

void loop_timer_disarm(LoopTimer *timer)
{
    timer_heap_remove(&timer->loop->heap, timer);
}

void loop_timer_free(LoopTimer *timer)
{
    if (!timer) {
        return;
    }
    timer_heap_remove(&timer->loop->heap, timer);
    g_free(timer);
}
