/*
 * Switch: who waits for a port that is full, and how long
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <limits.h>

#include "limits.h"
#include "switch-fakes.h"

/* A source that offers its frames as ports do. */
static void offer(Fixture *f, unsigned from, unsigned to, Frame *frames,
                  TestFrame *bytes, unsigned n)
{
    Fake *fake = &f->fakes[from];
    unsigned i, done;

    for (i = 0; i < n; i++) {
        fill_frame(&frames[i], &bytes[i], mac_of(to), mac_of(from), 60);
    }
    done = switch_input(fake->port, frames, n, f->now_ms);
    fake->pending = frames + done;
    fake->n_pending = n - done;
    fake->offers_again = true;
}

#define N_OFFERED 10

static void test_full_receiver_parks(Fixture *f, const void *data)
{
    Frame frames[N_OFFERED];
    TestFrame bytes[N_OFFERED];

    introduce(f);
    f->fakes[1].room = 4;
    offer(f, 0, 1, frames, bytes, N_OFFERED);
    g_assert_cmpuint(f->fakes[0].n_pending, ==, 6);
    g_assert_cmpuint(f->fakes[1].n_frames, ==, 4);
    g_assert_cmpuint(f->fakes[1].n_flushes, ==, 1);
    g_assert_cmpuint(switch_port_counters(f->fakes[0].port)->input_frames,
                     ==, 1 + 4);

    f->fakes[1].room = 3;
    switch_port_has_room(f->fakes[1].port, f->now_ms);
    g_assert_cmpuint(f->fakes[0].n_resumes, ==, 1);
    g_assert_true(f->fakes[0].resumed_by == f->fakes[1].port);
    g_assert_cmpuint(f->fakes[0].n_pending, ==, 3);

    f->fakes[1].room = 100;
    switch_port_has_room(f->fakes[1].port, f->now_ms);
    g_assert_cmpuint(f->fakes[0].n_pending, ==, 0);
    g_assert_cmpuint(f->fakes[1].n_frames, ==, N_OFFERED);
    switch_port_has_room(f->fakes[1].port, f->now_ms);
    g_assert_cmpuint(f->fakes[0].n_resumes, ==, 2);
    g_assert_cmpuint(drops(f, 1, SWITCH_DROP_FULL), ==, 0);
    g_assert_cmpuint(switch_port_counters(f->fakes[0].port)->input_frames,
                     ==, 1 + N_OFFERED);
}

static void test_wait_expires(Fixture *f, const void *data)
{
    Frame frames[N_OFFERED];
    TestFrame bytes[N_OFFERED];

    introduce(f);
    f->fakes[1].room = 4;
    offer(f, 0, 1, frames, bytes, N_OFFERED);
    switch_park_expire(f->fakes[0].port,
                       switch_parked_at(f->fakes[0].port));
    f->fakes[1].room = 1;
    g_assert_cmpuint(switch_input(f->fakes[0].port, f->fakes[0].pending, 6,
                                  f->now_ms), ==, 6);
    g_assert_cmpuint(drops(f, 1, SWITCH_DROP_FULL), ==, 5);
    f->fakes[0].n_pending = 0;

    /* Nobody waits for it now: not even who has not yet. */
    offer(f, 2, 1, frames, bytes, N_OFFERED);
    g_assert_cmpuint(f->fakes[2].n_pending, ==, 0);
    g_assert_cmpuint(drops(f, 1, SWITCH_DROP_FULL), ==, 15);

    /* Until it has room. */
    switch_port_has_room(f->fakes[1].port, f->now_ms);
    offer(f, 2, 1, frames, bytes, N_OFFERED);
    g_assert_cmpuint(f->fakes[2].n_pending, ==, N_OFFERED);
}

/* Its answers are dropped, and others may still wait. */
static void test_gateway_does_not_wait(Fixture *f, const void *data)
{
    Frame frames[N_OFFERED];
    TestFrame bytes[N_OFFERED];

    introduce(f);
    f->fakes[1].room = 0;
    switch_port_wait(f->fakes[1].port, f->fakes[GATEWAY].port);
    g_assert_cmpuint(input(f, GATEWAY, mac_of(1), gateway_mac, 60), ==, 1);
    g_assert_cmpuint(drops(f, 1, SWITCH_DROP_FULL), ==, 1);
    switch_park_expire(f->fakes[GATEWAY].port,
                       switch_parked_at(f->fakes[GATEWAY].port));
    offer(f, 0, 1, frames, bytes, N_OFFERED);
    g_assert_cmpuint(f->fakes[0].n_pending, ==, N_OFFERED);
    switch_port_has_room(f->fakes[1].port, f->now_ms);
    g_assert_cmpuint(f->fakes[GATEWAY].n_resumes, ==, 1);
    g_assert_cmpuint(f->fakes[0].n_resumes, ==, 1);
}

static void test_waiters_are_served_in_turn(Fixture *f, const void *data)
{
    Frame frames[2][N_OFFERED];
    TestFrame bytes[2][N_OFFERED];

    introduce(f);
    f->fakes[1].room = 0;
    offer(f, 0, 1, frames[0], bytes[0], N_OFFERED);
    offer(f, 2, 1, frames[1], bytes[1], N_OFFERED);
    f->fakes[1].room = N_OFFERED;
    switch_port_has_room(f->fakes[1].port, f->now_ms);
    g_assert_cmpuint(f->fakes[0].n_pending, ==, 0);
    g_assert_cmpuint(f->fakes[2].n_pending, ==, N_OFFERED);
    g_assert_cmpuint(f->fakes[2].n_resumes, ==, 1);
    f->fakes[1].room = N_OFFERED;
    switch_port_has_room(f->fakes[1].port, f->now_ms);
    g_assert_cmpuint(f->fakes[2].n_pending, ==, 0);
}

static void test_floods_do_not_wait(Fixture *f, const void *data)
{
    introduce(f);
    f->fakes[1].room = 0;
    g_assert_cmpuint(input(f, 0, broadcast, mac_of(0), 60), ==, 1);
    g_assert_cmphex(receivers(f), ==, 0xc);
    g_assert_cmpuint(drops(f, 1, SWITCH_DROP_FULL), ==, 1);
}

/* Frames that @from may flood now, one after another. */
static unsigned flood_until_refused(Fixture *f, unsigned from, MacAddr src)
{
    uint64_t before = drops(f, from, SWITCH_DROP_LIMIT);
    unsigned n = 0;

    for (;;) {
        input(f, from, broadcast, src, 60);
        if (drops(f, from, SWITCH_DROP_LIMIT) > before) {
            return n;
        }
        n++;
        g_assert_cmpuint(n, <=, 10 * LIMIT_FLOOD_BURST);
    }
}

static void test_floods_are_limited(Fixture *f, const void *data)
{
    unsigned i;

    for (i = 0; i < N_FAKES; i++) {
        f->fakes[i].room = UINT_MAX;
    }
    introduce(f);
    g_assert_cmpuint(flood_until_refused(f, 0, mac_of(0)), ==,
                     LIMIT_FLOOD_BURST);
    g_assert_cmpuint(f->fakes[1].n_frames, ==, LIMIT_FLOOD_BURST);
    f->now_ms += 100;
    g_assert_cmpuint(flood_until_refused(f, 0, mac_of(0)), ==,
                     LIMIT_FLOOD_PER_SECOND / 10);
    f->now_ms += INT32_MAX;
    g_assert_cmpuint(flood_until_refused(f, 0, mac_of(0)), ==,
                     LIMIT_FLOOD_BURST);

    /* Others may, the gateway always, and what is known is not flooded. */
    reset(f);
    input(f, 1, broadcast, mac_of(1), 60);
    g_assert_cmphex(receivers(f), ==, 0xd);
    introduce(f);
    input(f, 0, mac_of(1), mac_of(0), 60);
    g_assert_cmphex(receivers(f), ==, 0x2);
    for (i = 0; i < 2 * LIMIT_FLOOD_BURST; i++) {
        input(f, GATEWAY, broadcast, gateway_mac, 60);
    }
    g_assert_cmpuint(f->fakes[0].n_frames, ==, 2 * LIMIT_FLOOD_BURST);
}

static void test_who_cannot_resume_does_not_wait(Fixture *f, const void *data)
{
    SwitchPort *port = switch_port_add(f->sw, &fake_ops_impatient, NULL, 0, 1);
    MacAddr mac = mac_of(N_FAKES);
    TestFrame bytes;
    Frame frame;

    introduce(f);
    f->fakes[1].room = 0;
    fill_frame(&frame, &bytes, mac_of(1), mac, 60);
    g_assert_cmpuint(switch_input(port, &frame, 1, f->now_ms), ==, 1);
    g_assert_cmpuint(drops(f, 1, SWITCH_DROP_FULL), ==, 1);
    g_assert_cmpuint(switch_port_room(port, NULL), ==, SIZE_MAX);
    switch_port_remove(port, f->now_ms);
}

static void test_receiver_goes_while_waited_for(Fixture *f, const void *data)
{
    Frame frames[N_OFFERED];
    TestFrame bytes[N_OFFERED];

    introduce(f);
    f->fakes[1].room = 0;
    offer(f, 0, 1, frames, bytes, N_OFFERED);
    switch_port_set_connected(f->fakes[1].port, false, f->now_ms);
    g_assert_cmpuint(f->fakes[0].n_pending, ==, 0);
    g_assert_cmpuint(drops(f, 1, SWITCH_DROP_NOT_CONNECTED), ==, N_OFFERED);
    g_assert_cmpuint(switch_port_room(f->fakes[1].port, NULL), ==, SIZE_MAX);

    switch_port_set_connected(f->fakes[1].port, true, f->now_ms);
    offer(f, 0, 1, frames, bytes, N_OFFERED);
    g_assert_cmpuint(f->fakes[0].n_pending, ==, N_OFFERED);
    reset(f);
    switch_port_remove(f->fakes[1].port, f->now_ms);
    f->fakes[1].port = NULL;
    g_assert_cmpuint(f->fakes[0].n_resumes, ==, 1);
    g_assert_cmpuint(f->fakes[0].n_pending, ==, 0);
    g_assert_cmpuint(f->fakes[2].n_frames, ==, N_OFFERED);
}

static void test_waiter_goes(Fixture *f, const void *data)
{
    Frame frames[N_OFFERED];
    TestFrame bytes[N_OFFERED];

    introduce(f);
    f->fakes[1].room = 0;
    offer(f, 0, 1, frames, bytes, N_OFFERED);
    switch_port_wait(f->fakes[2].port, f->fakes[0].port);
    switch_port_remove(f->fakes[0].port, f->now_ms);
    f->fakes[0].port = NULL;
    switch_port_has_room(f->fakes[1].port, f->now_ms);
    switch_port_has_room(f->fakes[2].port, f->now_ms);
    g_assert_cmpuint(f->fakes[0].n_resumes, ==, 0);
}

static void test_wait_for_many(Fixture *f, const void *data)
{
    Fake *nat = &f->fakes[GATEWAY];

    switch_port_wait(f->fakes[0].port, nat->port);
    switch_port_wait(f->fakes[1].port, nat->port);
    switch_port_wait(f->fakes[1].port, nat->port);
    switch_port_has_room(f->fakes[1].port, f->now_ms);
    g_assert_cmpuint(nat->n_resumes, ==, 1);
    g_assert_true(nat->resumed_by == f->fakes[1].port);
    switch_port_has_room(f->fakes[0].port, f->now_ms);
    g_assert_cmpuint(nat->n_resumes, ==, 2);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("park/full-receiver-parks", test_full_receiver_parks);
    ADD("park/wait-expires", test_wait_expires);
    ADD("park/gateway-does-not-wait", test_gateway_does_not_wait);
    ADD("park/waiters-are-served-in-turn", test_waiters_are_served_in_turn);
    ADD("park/floods-do-not-wait", test_floods_do_not_wait);
    ADD("drop/floods-are-limited", test_floods_are_limited);
    ADD("park/who-cannot-resume", test_who_cannot_resume_does_not_wait);
    ADD("park/receiver-goes", test_receiver_goes_while_waited_for);
    ADD("park/waiter-goes", test_waiter_goes);
    ADD("park/wait-for-many", test_wait_for_many);
    return g_test_run();
}
