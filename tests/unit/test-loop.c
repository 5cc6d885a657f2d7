/*
 * Event loop: descriptors, timers, and freeing either from any callback
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loop/loop.h"

#define N_PAIRS 4
#define N_TIMERS 100
#define N_CROWD 150

/* Who turns the loop. */
enum { BY_GLIB, BY_ITSELF };

typedef struct Fixture {
    bool by_itself;
    GMainContext *context;
    Loop *loop;
    int fds[N_PAIRS][2];            /* [0] is watched, [1] written to */
    LoopWatch *watches[N_PAIRS];
    LoopTimer *timers[N_TIMERS];
    unsigned n_calls;
    uint32_t events;                /* of the last call */
    int64_t now_ms;                 /* of the last call */
} Fixture;

static void fixture_set_up(Fixture *f, const void *data)
{
    g_autoptr(GError) error = NULL;
    int i;

    f->by_itself = GPOINTER_TO_INT(data) == BY_ITSELF;
    f->context = g_main_context_new();
    f->loop = loop_new(f->context, &error);
    g_assert_no_error(error);
    for (i = 0; i < N_PAIRS; i++) {
        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0,
                                   f->fds[i]), ==, 0);
    }
}

static void free_all(Fixture *f)
{
    int i;

    for (i = 0; i < N_PAIRS; i++) {
        g_clear_pointer(&f->watches[i], loop_watch_free);
    }
    for (i = 0; i < N_TIMERS; i++) {
        g_clear_pointer(&f->timers[i], loop_timer_free);
    }
}

static void fixture_tear_down(Fixture *f, const void *data)
{
    int i;

    free_all(f);
    loop_free(f->loop);
    g_main_context_unref(f->context);
    for (i = 0; i < N_PAIRS; i++) {
        close(f->fds[i][0]);
        if (f->fds[i][1] >= 0) {
            close(f->fds[i][1]);
        }
    }
}

static bool turn_or_sleep(Fixture *f, bool may_sleep)
{
    return f->by_itself ? loop_turn(f->loop, may_sleep)
                        : g_main_context_iteration(f->context, may_sleep);
}

/* One turn of the loop that does not sleep. */
static bool turn(Fixture *f)
{
    return turn_or_sleep(f, false);
}

static void wake(Fixture *f, int i)
{
    g_assert_cmpint(write(f->fds[i][1], "x", 1), ==, 1);
}

static void count_watch(void *opaque, uint32_t events, int64_t now_ms)
{
    Fixture *f = opaque;

    f->n_calls++;
    f->events = events;
    f->now_ms = now_ms;
}

static void count_timer(void *opaque, int64_t now_ms)
{
    Fixture *f = opaque;

    f->n_calls++;
    f->now_ms = now_ms;
}

static void watch(Fixture *f, int i, uint32_t events, LoopWatchFunc func)
{
    g_autoptr(GError) error = NULL;

    f->watches[i] = loop_watch_new(f->loop, f->fds[i][0], events, func, f,
                                   &error);
    g_assert_no_error(error);
}

static void test_level_triggered(Fixture *f, const void *data)
{
    watch(f, 0, EPOLLIN, count_watch);
    g_assert_false(turn(f));
    wake(f, 0);
    g_assert_true(turn(f));
    g_assert_true(turn(f));
    g_assert_cmpuint(f->n_calls, ==, 2);
    g_assert_cmpuint(f->events, ==, EPOLLIN);
    g_assert_cmpint(f->now_ms, >, 0);
    g_assert_cmpint(f->now_ms, <=, loop_now_ms());
}

static void test_edge_triggered(Fixture *f, const void *data)
{
    watch(f, 0, EPOLLIN | EPOLLET, count_watch);
    wake(f, 0);
    g_assert_true(turn(f));
    g_assert_false(turn(f));
    wake(f, 0);
    g_assert_true(turn(f));
    g_assert_cmpuint(f->n_calls, ==, 2);
    loop_watch_set_events(f->watches[0], EPOLLIN | EPOLLET);
    g_assert_true(turn(f));
    g_assert_cmpuint(f->n_calls, ==, 3);
}

static void test_events_can_change(Fixture *f, const void *data)
{
    watch(f, 0, 0, count_watch);
    wake(f, 0);
    g_assert_false(turn(f));
    loop_watch_set_events(f->watches[0], EPOLLIN | EPOLLOUT);
    g_assert_true(turn(f));
    g_assert_cmpuint(f->events, ==, EPOLLIN | EPOLLOUT);
    loop_watch_set_events(f->watches[0], 0);
    g_assert_false(turn(f));
}

static void test_hangup_is_always_told(Fixture *f, const void *data)
{
    watch(f, 0, 0, count_watch);
    close(f->fds[0][1]);
    f->fds[0][1] = -1;
    g_assert_true(turn(f));
    g_assert_cmpuint(f->events & EPOLLHUP, !=, 0);
}

static void test_regular_file_is_refused(Fixture *f, const void *data)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *path = NULL;
    int fd = g_file_open_tmp(NULL, &path, NULL);

    g_assert_null(loop_watch_new(f->loop, fd, EPOLLIN, count_watch, f, &error));
    g_assert_nonnull(error);
    close(fd);
    unlink(path);
}

static void free_all_watches(void *opaque, uint32_t events, int64_t now_ms)
{
    Fixture *f = opaque;

    f->n_calls++;
    free_all(f);
}

static void test_free_others_of_same_batch(Fixture *f, const void *data)
{
    int i;

    for (i = 0; i < N_PAIRS; i++) {
        watch(f, i, EPOLLIN, free_all_watches);
        wake(f, i);
    }
    g_assert_true(turn(f));
    g_assert_cmpuint(f->n_calls, ==, 1);
    g_assert_false(turn(f));
}

static void test_free_timer_from_watch(Fixture *f, const void *data)
{
    watch(f, 0, EPOLLIN, free_all_watches);
    f->timers[0] = loop_timer_new(f->loop, count_timer, f);
    loop_timer_arm(f->timers[0], 1);
    wake(f, 0);
    g_assert_true(turn(f));
    g_assert_cmpuint(f->n_calls, ==, 1);
}

static void free_all_timers(void *opaque, int64_t now_ms)
{
    Fixture *f = opaque;

    f->n_calls++;
    free_all(f);
}

static void test_free_timers_from_timer(Fixture *f, const void *data)
{
    int i;

    for (i = 0; i < N_TIMERS; i++) {
        f->timers[i] = loop_timer_new(f->loop, free_all_timers, f);
        loop_timer_arm(f->timers[i], i);
    }
    g_assert_true(turn(f));
    g_assert_cmpuint(f->n_calls, ==, 1);
    g_assert_false(turn(f));
}

static void test_timer_fires_once(Fixture *f, const void *data)
{
    f->timers[0] = loop_timer_new(f->loop, count_timer, f);
    g_assert_false(turn(f));
    loop_timer_arm(f->timers[0], loop_now_ms());
    g_assert_true(turn(f));
    g_assert_false(turn(f));
    g_assert_cmpuint(f->n_calls, ==, 1);
}

static void test_timer_is_never_early(Fixture *f, const void *data)
{
    int64_t deadline_ms = loop_now_ms() + 3;

    f->timers[0] = loop_timer_new(f->loop, count_timer, f);
    loop_timer_arm(f->timers[0], deadline_ms);
    while (!f->n_calls) {
        turn_or_sleep(f, true);
    }
    g_assert_cmpint(f->now_ms, >=, deadline_ms);
}

static void test_turn_sleeps_until_timer(Fixture *f, const void *data)
{
    unsigned n_turns = 0;

    f->timers[0] = loop_timer_new(f->loop, count_timer, f);
    loop_timer_arm(f->timers[0], loop_now_ms() + 20);
    while (!f->n_calls) {
        turn_or_sleep(f, true);
        n_turns++;
    }
    /* GLib wakes itself once for a source that is new. */
    g_assert_cmpuint(n_turns, <=, 2);
}

static void test_timer_below_a_millisecond(Fixture *f, const void *data)
{
    int64_t deadline_ns = loop_now_ns() + 50000;

    f->timers[0] = loop_timer_new(f->loop, count_timer, f);
    loop_timer_arm_ns(f->timers[0], deadline_ns);
    while (!f->n_calls) {
        turn_or_sleep(f, true);
    }
    g_assert_cmpint(loop_now_ns(), >=, deadline_ns);
}

static void test_timer_moves(Fixture *f, const void *data)
{
    f->timers[0] = loop_timer_new(f->loop, count_timer, f);
    loop_timer_arm(f->timers[0], INT64_MAX);
    g_assert_false(turn(f));
    loop_timer_arm(f->timers[0], 1);
    loop_timer_arm(f->timers[0], INT64_MAX);
    g_assert_false(turn(f));
    loop_timer_arm(f->timers[0], INT64_MIN);
    g_assert_true(turn(f));
    loop_timer_arm(f->timers[0], 1);
    loop_timer_disarm(f->timers[0]);
    loop_timer_disarm(f->timers[0]);
    g_assert_false(turn(f));
    g_assert_cmpuint(f->n_calls, ==, 1);
}

static void rearm_timer(void *opaque, int64_t now_ms)
{
    Fixture *f = opaque;

    f->n_calls++;
    loop_timer_arm(f->timers[0], now_ms);
}

static void test_greedy_timer_lets_others_run(Fixture *f, const void *data)
{
    f->timers[0] = loop_timer_new(f->loop, rearm_timer, f);
    loop_timer_arm(f->timers[0], 1);
    g_assert_true(turn(f));
    g_assert_cmpuint(f->n_calls, ==, 64);
    g_assert_true(turn_or_sleep(f, true));
    g_assert_cmpuint(f->n_calls, ==, 128);
}

static void count_one(void *opaque, uint32_t events, int64_t now_ms)
{
    unsigned *n_calls = opaque;

    (*n_calls)++;
}

/* More than a turn takes are always ready: nobody is left out. */
static void test_crowd_is_served_in_turn(Fixture *f, const void *data)
{
    LoopWatch *watches[N_CROWD];
    unsigned n_calls[N_CROWD] = { 0 };
    int fds[N_CROWD];
    unsigned i;

    for (i = 0; i < N_CROWD; i++) {
        fds[i] = eventfd(1, EFD_CLOEXEC);
        g_assert_cmpint(fds[i], >=, 0);
        watches[i] = loop_watch_new(f->loop, fds[i], EPOLLIN, count_one,
                                    &n_calls[i], NULL);
        g_assert_nonnull(watches[i]);
    }
    for (i = 0; i < 6; i++) {
        g_assert_true(turn_or_sleep(f, true));
    }
    for (i = 0; i < N_CROWD; i++) {
        g_assert_cmpuint(n_calls[i], >=, 1);
        loop_watch_free(watches[i]);
        close(fds[i]);
    }
}

typedef struct Order {
    Fixture *f;
    int64_t deadline_ms, last_ms;
} Order;

static int64_t order_last_ms;

static void check_order(void *opaque, int64_t now_ms)
{
    Order *order = opaque;

    g_assert_cmpint(order->deadline_ms, >=, order_last_ms);
    order_last_ms = order->deadline_ms;
    order->f->n_calls++;
}

static void test_timers_run_in_order(Fixture *f, const void *data)
{
    Order orders[N_TIMERS];
    int i, n_left = 0;

    order_last_ms = 0;
    for (i = 0; i < N_TIMERS; i++) {
        orders[i] = (Order) { f, 1 + g_test_rand_int_range(0, 1000) };
        f->timers[i] = loop_timer_new(f->loop, check_order, &orders[i]);
        loop_timer_arm(f->timers[i], g_test_rand_int_range(1, 1000));
    }
    for (i = 0; i < N_TIMERS; i++) {
        loop_timer_arm(f->timers[i], orders[i].deadline_ms);
        if (i % 3 == 0) {
            loop_timer_disarm(f->timers[i]);
        } else {
            n_left++;
        }
    }
    while (turn(f)) {
    }
    g_assert_cmpuint(f->n_calls, ==, n_left);
}

static void test_timers_and_watches_share_a_turn(Fixture *f, const void *data)
{
    watch(f, 0, EPOLLIN, count_watch);
    f->timers[0] = loop_timer_new(f->loop, count_timer, f);
    loop_timer_arm(f->timers[0], 1);
    wake(f, 0);
    g_assert_true(turn(f));
    g_assert_cmpuint(f->n_calls, ==, 2);
}

typedef void (*TestFunc)(Fixture *f, const void *data);

static const struct {
    const char *name;
    TestFunc func;
} tests[] = {
    { "watch/level-triggered", test_level_triggered },
    { "watch/edge-triggered", test_edge_triggered },
    { "watch/events-can-change", test_events_can_change },
    { "watch/hangup-is-always-told", test_hangup_is_always_told },
    { "watch/regular-file-is-refused", test_regular_file_is_refused },
    { "watch/free-others-of-same-batch", test_free_others_of_same_batch },
    { "watch/free-timer", test_free_timer_from_watch },
    { "watch/crowd-is-served-in-turn", test_crowd_is_served_in_turn },
    { "timer/free-timers", test_free_timers_from_timer },
    { "timer/fires-once", test_timer_fires_once },
    { "timer/never-early", test_timer_is_never_early },
    { "timer/turn-sleeps-until-it", test_turn_sleeps_until_timer },
    { "timer/below-a-millisecond", test_timer_below_a_millisecond },
    { "timer/moves", test_timer_moves },
    { "timer/greedy-lets-others-run", test_greedy_timer_lets_others_run },
    { "timer/in-order", test_timers_run_in_order },
    { "timer/shares-a-turn", test_timers_and_watches_share_a_turn },
};

/* What is true of the loop is true whoever turns it. */
static void add(const char *by, int who)
{
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(tests); i++) {
        g_autofree char *path = g_strdup_printf("/loop/%s/%s", by,
                                                tests[i].name);

        g_test_add(path, Fixture, GINT_TO_POINTER(who), fixture_set_up,
                   tests[i].func, fixture_tear_down);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    add("by-itself", BY_ITSELF);
    add("by-glib", BY_GLIB);
    return g_test_run();
}
