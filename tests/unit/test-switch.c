/*
 * Switch: who gets which frame, what is dropped for which reason, who waits
 *
 * Ports are fakes that write down what they were sent.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <limits.h>

#include "limits.h"
#include "switch/fdb.h"
#include "switch/switch.h"

#define MTU 1500
#define N_GUESTS 3
#define GATEWAY N_GUESTS        /* index of the gateway's fake */
#define N_FAKES (N_GUESTS + 1)
#define AGEING_MS 300000

typedef struct Fixture Fixture;

/**
 * Fake:
 * @room: frames that it takes; counted down
 * @runs: sizes of the batches that it was sent
 * @answer: the gateway's: input this frame when flushed
 */
typedef struct Fake {
    Fixture *f;
    SwitchPort *port;
    unsigned room;
    unsigned n_frames, n_runs, n_flushes, n_resumes;
    unsigned runs[64];
    uint32_t last_src, last_len;
    SwitchPort *resumed_by;
    bool answers, offers_again;
    Frame *pending;
    unsigned n_pending;
} Fake;

struct Fixture {
    Switch *sw;
    Fake fakes[N_FAKES];
    int64_t now_ms;
    unsigned n_duplicates;
    MacAddr duplicate;
    uint32_t old_id, new_id;
};

static const MacAddr gateway_mac = { { 2, 0, 0, 0, 0, 0xff } };
static const MacAddr broadcast = { { 255, 255, 255, 255, 255, 255 } };
static const MacAddr unknown = { { 2, 0, 0, 0, 9, 9 } };

/* Guest @i's address. */
static MacAddr mac_of(unsigned i)
{
    return (MacAddr) { { 2, 0, 0, 0, 0, i + 1 } };
}

/* A frame with its bytes; of these only the header exists. */
typedef struct TestFrame {
    uint8_t header[18];
    struct iovec iov[2];
} TestFrame;

static void fill_frame(Frame *frame, TestFrame *bytes, MacAddr dst,
                       MacAddr src, uint32_t len)
{
    memcpy(bytes->header, &dst, 6);
    memcpy(bytes->header + 6, &src, 6);
    bytes->header[12] = 0x08;
    bytes->header[13] = 0x00;
    /* The header lies in two pieces. */
    bytes->iov[0] = (struct iovec) { bytes->header, MIN(len, 8) };
    bytes->iov[1] = (struct iovec) { bytes->header + 8,
                                     MIN(len, 18) - bytes->iov[0].iov_len };
    frame_init(frame, bytes->iov, 2);
    frame->len = len;
}

static unsigned fake_send(void *opaque, const Frame *frames, unsigned n,
                          int64_t now_ms)
{
    Fake *fake = opaque;
    unsigned taken = MIN(n, fake->room);

    fake->runs[fake->n_runs++ % G_N_ELEMENTS(fake->runs)] = n;
    fake->room -= taken;
    fake->n_frames += taken;
    if (taken) {
        fake->last_src = frames[taken - 1].src_port;
        fake->last_len = frames[taken - 1].len;
    }
    return taken;
}

static unsigned input(Fixture *f, unsigned from, MacAddr dst, MacAddr src,
                      uint32_t len)
{
    TestFrame bytes;
    Frame frame;

    fill_frame(&frame, &bytes, dst, src, len);
    return switch_input(f->fakes[from].port, &frame, 1, f->now_ms);
}

static void fake_flush(void *opaque)
{
    Fake *fake = opaque;

    fake->n_flushes++;
    if (fake->answers && fake->n_flushes < 10) {
        input(fake->f, GATEWAY, broadcast, gateway_mac, 60);
    }
}

static size_t fake_room(void *opaque)
{
    Fake *fake = opaque;

    return fake->room;
}

static void fake_resume(void *opaque, SwitchPort *dst, int64_t now_ms)
{
    Fake *fake = opaque;

    fake->n_resumes++;
    fake->resumed_by = dst;
    if (fake->offers_again) {
        unsigned n = switch_input(fake->port, fake->pending, fake->n_pending,
                                  now_ms);

        fake->pending += n;
        fake->n_pending -= n;
    }
}

static const PortOps fake_ops = {
    .send = fake_send,
    .flush = fake_flush,
    .room = fake_room,
    .resume = fake_resume,
};

static const PortOps fake_ops_impatient = { .send = fake_send };

static void told_duplicate(void *opaque, const MacAddr *mac, uint32_t old_id,
                           uint32_t new_id)
{
    Fixture *f = opaque;

    f->n_duplicates++;
    f->duplicate = *mac;
    f->old_id = old_id;
    f->new_id = new_id;
}

static void fixture_set_up(Fixture *f, const void *data)
{
    SwitchConfig config = {
        .mtu_bytes = MTU,
        .gateway_mac = gateway_mac,
        .duplicate_mac = told_duplicate,
        .opaque = f,
    };
    unsigned i;

    f->sw = switch_new(&config);
    f->now_ms = 1000;
    for (i = 0; i < N_FAKES; i++) {
        Fake *fake = &f->fakes[i];

        fake->f = f;
        fake->room = 1000;
        fake->port = switch_port_add(f->sw, &fake_ops, fake,
                                     i == GATEWAY ? SWITCH_PORT_GATEWAY : 0,
                                     4);
    }
}

static void fixture_tear_down(Fixture *f, const void *data)
{
    unsigned i;

    for (i = 0; i < N_FAKES; i++) {
        /* What was pending has gone with the test's stack. */
        f->fakes[i].offers_again = false;
    }
    for (i = 0; i < N_FAKES; i++) {
        if (f->fakes[i].port) {
            switch_port_remove(f->fakes[i].port, f->now_ms);
        }
    }
    switch_free(f->sw);
}

static void reset(Fixture *f)
{
    unsigned i;

    for (i = 0; i < N_FAKES; i++) {
        f->fakes[i].n_frames = f->fakes[i].n_runs = 0;
        f->fakes[i].n_flushes = f->fakes[i].n_resumes = 0;
    }
}

/* Make all guests' addresses known. */
static void introduce(Fixture *f)
{
    unsigned i;

    for (i = 0; i < N_GUESTS; i++) {
        input(f, i, gateway_mac, mac_of(i), 60);
    }
    reset(f);
}

static uint64_t drops(Fixture *f, unsigned i, SwitchDrop reason)
{
    return switch_port_counters(f->fakes[i].port)->drops[reason];
}

/* Who of the fakes got a frame since reset(): a bit each. */
static unsigned receivers(Fixture *f)
{
    unsigned i, bits = 0;

    for (i = 0; i < N_FAKES; i++) {
        bits |= (f->fakes[i].n_frames > 0) << i;
    }
    reset(f);
    return bits;
}

static void test_unknown_floods_then_is_learnt(Fixture *f, const void *data)
{
    input(f, 0, mac_of(1), mac_of(0), 60);
    g_assert_cmphex(receivers(f), ==, 0x6);
    input(f, 1, mac_of(0), mac_of(1), 60);
    g_assert_cmphex(receivers(f), ==, 0x1);
    input(f, 0, mac_of(1), mac_of(0), 60);
    g_assert_cmphex(receivers(f), ==, 0x2);
    g_assert_cmpuint(f->fakes[1].last_src, ==,
                     switch_port_id(f->fakes[0].port));
}

static void test_groups_go_to_all(Fixture *f, const void *data)
{
    MacAddr group = { { 0x33, 0x33, 0, 0, 0, 1 } };

    introduce(f);
    input(f, 0, broadcast, mac_of(0), 60);
    g_assert_cmphex(receivers(f), ==, 0xe);
    input(f, 1, group, mac_of(1), 60);
    g_assert_cmphex(receivers(f), ==, 0xd);
    input(f, GATEWAY, broadcast, gateway_mac, 60);
    g_assert_cmphex(receivers(f), ==, 0x7);
    g_assert_null(switch_lookup(f->sw, &broadcast, f->now_ms));
}

static void test_reserved_groups_go_nowhere(Fixture *f, const void *data)
{
    MacAddr group = { { 0x01, 0x80, 0xc2, 0, 0, 0 } };

    for (group.b[5] = 0; group.b[5] <= 0x0f; group.b[5]++) {
        input(f, 0, group, mac_of(0), 60);
        g_assert_cmphex(receivers(f), ==, 0);
    }
    g_assert_cmpuint(drops(f, 0, SWITCH_DROP_RESERVED), ==, 16);
    input(f, 0, group, mac_of(0), 60);
    g_assert_cmphex(receivers(f), ==, 0xe);
}

static void test_gateway_by_its_address(Fixture *f, const void *data)
{
    input(f, 0, gateway_mac, mac_of(0), 60);
    g_assert_cmphex(receivers(f), ==, 1 << GATEWAY);
    g_assert_true(switch_lookup(f->sw, &gateway_mac, f->now_ms) ==
                  f->fakes[GATEWAY].port);
    input(f, GATEWAY, mac_of(0), gateway_mac, 60);
    g_assert_cmphex(receivers(f), ==, 0x1);
}

static void test_bad_sources(Fixture *f, const void *data)
{
    MacAddr zero = { { 0 } };

    input(f, 0, mac_of(1), broadcast, 60);
    input(f, 0, mac_of(1), zero, 60);
    g_assert_cmpuint(drops(f, 0, SWITCH_DROP_BAD_SOURCE), ==, 2);
    input(f, 0, mac_of(1), gateway_mac, 60);
    g_assert_cmpuint(drops(f, 0, SWITCH_DROP_OWN_SOURCE), ==, 1);
    g_assert_cmphex(receivers(f), ==, 0);
    g_assert_true(switch_lookup(f->sw, &gateway_mac, f->now_ms) ==
                  f->fakes[GATEWAY].port);
}

static void test_own_address_stays_here(Fixture *f, const void *data)
{
    introduce(f);
    input(f, 0, mac_of(0), mac_of(0), 60);
    g_assert_cmphex(receivers(f), ==, 0);
    g_assert_cmpuint(drops(f, 0, SWITCH_DROP_SAME_PORT), ==, 1);
}

static void test_runts_and_giants(Fixture *f, const void *data)
{
    introduce(f);
    input(f, 0, mac_of(1), mac_of(0), 13);
    input(f, 0, mac_of(1), mac_of(0), 0);
    g_assert_cmpuint(drops(f, 0, SWITCH_DROP_RUNT), ==, 2);
    g_assert_cmphex(receivers(f), ==, 0);
    input(f, 0, mac_of(1), mac_of(0), 14);
    g_assert_cmphex(receivers(f), ==, 0x2);
    input(f, 0, mac_of(1), mac_of(0), MTU + 14);
    g_assert_cmphex(receivers(f), ==, 0x2);
    input(f, 0, mac_of(1), mac_of(0), MTU + 15);
    input(f, 0, mac_of(1), mac_of(0), FRAME_LEN_MAX);
    g_assert_cmphex(receivers(f), ==, 0);
    g_assert_cmpuint(drops(f, 0, SWITCH_DROP_GIANT), ==, 2);
}

static void test_vlan_tag_is_kept_and_allowed_for(Fixture *f, const void *data)
{
    static const uint8_t types[][2] = { { 0x81, 0 }, { 0x88, 0xa8 } };
    TestFrame bytes;
    Frame frame;
    size_t i;

    introduce(f);
    for (i = 0; i < G_N_ELEMENTS(types); i++) {
        fill_frame(&frame, &bytes, mac_of(1), mac_of(0), MTU + 18);
        memcpy(bytes.header + 12, types[i], 2);
        switch_input(f->fakes[0].port, &frame, 1, f->now_ms);
        g_assert_cmpuint(f->fakes[1].last_len, ==, MTU + 18);
        g_assert_cmphex(receivers(f), ==, 0x2);
        fill_frame(&frame, &bytes, mac_of(1), mac_of(0), MTU + 19);
        memcpy(bytes.header + 12, types[i], 2);
        switch_input(f->fakes[0].port, &frame, 1, f->now_ms);
        g_assert_cmphex(receivers(f), ==, 0);
    }
    /* An address is where it is whatever the tag. */
    input(f, 1, mac_of(0), mac_of(1), 60);
    g_assert_cmphex(receivers(f), ==, 0x1);
}

static void test_offloads_are_dropped(Fixture *f, const void *data)
{
    TestFrame bytes;
    Frame frame;

    introduce(f);
    fill_frame(&frame, &bytes, mac_of(1), mac_of(0), 60);
    frame.vnet.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
    switch_input(f->fakes[0].port, &frame, 1, f->now_ms);
    fill_frame(&frame, &bytes, mac_of(1), mac_of(0), 60);
    frame.vnet.gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
    switch_input(f->fakes[0].port, &frame, 1, f->now_ms);
    g_assert_cmphex(receivers(f), ==, 0);
    g_assert_cmpuint(drops(f, 0, SWITCH_DROP_BAD_OFFLOAD), ==, 2);
}

static void test_isolated_sees_the_gateway_only(Fixture *f, const void *data)
{
    introduce(f);
    switch_port_set_isolated(f->fakes[0].port, true);
    input(f, 0, mac_of(1), mac_of(0), 60);
    input(f, 1, mac_of(0), mac_of(1), 60);
    input(f, 0, unknown, mac_of(0), 60);
    g_assert_cmphex(receivers(f), ==, 0);
    g_assert_cmpuint(drops(f, 0, SWITCH_DROP_ISOLATED), ==, 2);
    g_assert_cmpuint(drops(f, 1, SWITCH_DROP_ISOLATED), ==, 1);
    input(f, 0, broadcast, mac_of(0), 60);
    g_assert_cmphex(receivers(f), ==, 1 << GATEWAY);
    input(f, 0, gateway_mac, mac_of(0), 60);
    g_assert_cmphex(receivers(f), ==, 1 << GATEWAY);
    input(f, 1, broadcast, mac_of(1), 60);
    g_assert_cmphex(receivers(f), ==, 0xc);
    input(f, 1, unknown, mac_of(1), 60);
    g_assert_cmphex(receivers(f), ==, 0x4);
    input(f, GATEWAY, mac_of(0), gateway_mac, 60);
    g_assert_cmphex(receivers(f), ==, 0x1);
    input(f, GATEWAY, broadcast, gateway_mac, 60);
    g_assert_cmphex(receivers(f), ==, 0x7);
    switch_port_set_isolated(f->fakes[0].port, false);
    input(f, 0, mac_of(1), mac_of(0), 60);
    g_assert_cmphex(receivers(f), ==, 0x2);
}

static void test_addresses_age(Fixture *f, const void *data)
{
    MacAddr mac = mac_of(0);

    introduce(f);
    f->now_ms += AGEING_MS - 1;
    g_assert_nonnull(switch_lookup(f->sw, &mac, f->now_ms));
    input(f, 0, broadcast, mac, 60);
    f->now_ms += AGEING_MS - 1;
    g_assert_nonnull(switch_lookup(f->sw, &mac, f->now_ms));
    f->now_ms += 1;
    g_assert_null(switch_lookup(f->sw, &mac, f->now_ms));
    reset(f);
    input(f, 1, mac, mac_of(1), 60);
    g_assert_cmphex(receivers(f), ==, 0x5);
}

static void test_runs_are_handed_over_whole(Fixture *f, const void *data)
{
    static const uint8_t to[] = { 1, 1, 1, 2, 2, 1, 9, 9, 1 };
    enum { N = G_N_ELEMENTS(to) };
    TestFrame bytes[N];
    Frame frames[N];
    unsigned i;

    introduce(f);
    for (i = 0; i < N; i++) {
        fill_frame(&frames[i], &bytes[i],
                   to[i] == 9 ? broadcast : mac_of(to[i]), mac_of(0), 60 + i);
    }
    g_assert_cmpuint(switch_input(f->fakes[0].port, frames, N, f->now_ms),
                     ==, N);
    g_assert_cmpuint(f->fakes[1].n_runs, ==, 4);
    g_assert_cmpuint(f->fakes[1].runs[0], ==, 3);
    g_assert_cmpuint(f->fakes[1].runs[1], ==, 1);
    g_assert_cmpuint(f->fakes[1].runs[2], ==, 2);
    g_assert_cmpuint(f->fakes[1].runs[3], ==, 1);
    g_assert_cmpuint(f->fakes[1].n_flushes, ==, 1);
    g_assert_cmpuint(f->fakes[2].n_runs, ==, 2);
    g_assert_cmpuint(f->fakes[2].runs[0], ==, 2);
    g_assert_cmpuint(f->fakes[2].n_flushes, ==, 1);
    g_assert_cmpuint(f->fakes[GATEWAY].n_frames, ==, 2);
}

static void test_counters(Fixture *f, const void *data)
{
    const PortCounters *a = switch_port_counters(f->fakes[0].port);
    const PortCounters *b = switch_port_counters(f->fakes[1].port);

    input(f, 0, broadcast, mac_of(0), 60);
    input(f, 1, mac_of(0), mac_of(1), 1000);
    input(f, 1, mac_of(0), mac_of(1), 10);
    g_assert_cmpuint(a->input_frames, ==, 1);
    g_assert_cmpuint(a->input_bytes, ==, 60);
    g_assert_cmpuint(a->output_frames, ==, 1);
    g_assert_cmpuint(a->output_bytes, ==, 1000);
    g_assert_cmpuint(b->input_frames, ==, 2);
    g_assert_cmpuint(b->input_bytes, ==, 1010);
    g_assert_cmpuint(b->output_frames, ==, 1);
    g_assert_cmpstr(switch_drop_str(SWITCH_DROP_RUNT), ==, "runt");
}

static void test_duplicate_is_told_once(Fixture *f, const void *data)
{
    MacAddr twin = mac_of(0);

    introduce(f);
    input(f, 1, broadcast, twin, 60);       /* may be a move */
    g_assert_cmpuint(f->n_duplicates, ==, 0);
    f->now_ms += 999;
    input(f, 0, broadcast, twin, 60);       /* is not */
    g_assert_cmpuint(f->n_duplicates, ==, 1);
    g_assert_true(mac_equal(&f->duplicate, &twin));
    g_assert_cmpuint(f->old_id, ==, switch_port_id(f->fakes[1].port));
    g_assert_cmpuint(f->new_id, ==, switch_port_id(f->fakes[0].port));
    input(f, 1, broadcast, twin, 60);
    input(f, 0, broadcast, twin, 60);
    f->now_ms += 9999;
    input(f, 1, broadcast, twin, 60);
    input(f, 0, broadcast, twin, 60);
    g_assert_cmpuint(f->n_duplicates, ==, 1);
    f->now_ms += 1;
    input(f, 1, broadcast, twin, 60);
    g_assert_cmpuint(f->n_duplicates, ==, 2);
}

static void test_move_is_not_told(Fixture *f, const void *data)
{
    introduce(f);
    input(f, 1, broadcast, mac_of(0), 60);
    f->now_ms += 1000;
    input(f, 0, broadcast, mac_of(0), 60);
    input(f, 2, broadcast, mac_of(0), 60);
    g_assert_cmpuint(f->n_duplicates, ==, 0);
    reset(f);
    input(f, 1, mac_of(0), mac_of(1), 60);
    g_assert_cmphex(receivers(f), ==, 0x4);
}

static void test_inventor_pushes_out_its_own(Fixture *f, const void *data)
{
    MacAddr mac = { { 2, 0, 0, 0, 1, 0 } };
    unsigned i;

    introduce(f);
    for (i = 0; i < 100; i++) {
        f->now_ms++;
        mac.b[5] = i;
        input(f, 0, broadcast, mac, 60);
        input(f, 0, broadcast, mac_of(0), 60);  /* in use: stays */
    }
    for (i = 0; i < N_GUESTS; i++) {
        MacAddr guest = mac_of(i);

        g_assert_true(switch_lookup(f->sw, &guest, f->now_ms) ==
                      f->fakes[i].port);
    }
    mac.b[5] = 50;
    g_assert_null(switch_lookup(f->sw, &mac, f->now_ms));
    mac.b[5] = 98;
    g_assert_nonnull(switch_lookup(f->sw, &mac, f->now_ms));
}

static void test_forget(Fixture *f, const void *data)
{
    MacAddr mac = mac_of(0);

    introduce(f);
    switch_port_forget(f->fakes[0].port);
    g_assert_null(switch_lookup(f->sw, &mac, f->now_ms));
    g_assert_cmpuint(switch_port_counters(f->fakes[0].port)->input_frames,
                     ==, 1);
}

static void test_ids_are_not_used_again(Fixture *f, const void *data)
{
    uint32_t id = switch_port_id(f->fakes[1].port);
    SwitchPort *port;

    g_assert_true(switch_port_by_id(f->sw, id) == f->fakes[1].port);
    switch_port_remove(f->fakes[1].port, f->now_ms);
    g_assert_null(switch_port_by_id(f->sw, id));
    port = switch_port_add(f->sw, &fake_ops, &f->fakes[1], 0, 1);
    f->fakes[1].port = port;
    g_assert_cmpuint(switch_port_id(port), >, id);
    g_assert_true(switch_port_by_id(f->sw, switch_port_id(port)) == port);
    g_assert_null(switch_port_by_id(f->sw, 0));
    g_assert_null(switch_port_by_id(f->sw, UINT32_MAX));
}

static void test_answer_from_flush(Fixture *f, const void *data)
{
    introduce(f);
    f->fakes[GATEWAY].answers = true;
    input(f, 0, gateway_mac, mac_of(0), 60);
    g_assert_cmpuint(f->fakes[GATEWAY].n_flushes, ==, 1);
    g_assert_cmpuint(f->fakes[0].n_frames, ==, 1);
    g_assert_cmpuint(f->fakes[0].n_flushes, ==, 1);
    g_assert_cmpuint(f->fakes[1].n_flushes, ==, 1);
}

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
    g_assert_cmpuint(switch_port_room(port), ==, SIZE_MAX);
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
    g_assert_cmpuint(switch_port_room(f->fakes[1].port), ==, SIZE_MAX);

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

static void test_fdb_many_addresses(void)
{
    static const uint8_t key[16] = { 1, 2, 3 };
    g_autoptr(Fdb) fdb = fdb_new(key, AGEING_MS);
    FdbPort a, b, *old = NULL;
    MacAddr mac = { { 2, 0, 0, 0, 0, 0 } };
    unsigned i;

    fdb_port_init(&a, 1, 2000);
    fdb_port_init(&b, 2, 0);
    for (i = 0; i < 3000; i++) {
        mac.b[4] = i >> 8;
        mac.b[5] = i;
        g_assert_cmpint(fdb_learn(fdb, &mac, &a, i, &old), ==, FDB_ADDED);
        g_assert_cmpint(fdb_learn(fdb, &mac, &a, i, &old), ==, FDB_KNOWN);
        g_assert_cmpint(fdb_learn(fdb, &mac, &b, i, &old), ==, FDB_REFUSED);
    }
    g_assert_cmpuint(fdb_n_entries(fdb), ==, 2000);
    for (i = 0; i < 3000; i++) {
        mac.b[4] = i >> 8;
        mac.b[5] = i;
        g_assert_true(fdb_lookup(fdb, &mac, 3000) == (i < 1000 ? NULL : &a));
    }
    fdb_port_forget(fdb, &a);
    g_assert_cmpuint(fdb_n_entries(fdb), ==, 0);
}

#define ADD(path, func)                                                     \
    g_test_add("/switch/" path, Fixture, NULL, fixture_set_up, func,        \
               fixture_tear_down)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("forward/unknown-floods-then-is-learnt",
        test_unknown_floods_then_is_learnt);
    ADD("forward/groups-go-to-all", test_groups_go_to_all);
    ADD("forward/reserved-groups-go-nowhere", test_reserved_groups_go_nowhere);
    ADD("forward/gateway-by-its-address", test_gateway_by_its_address);
    ADD("forward/runs-are-handed-over-whole", test_runs_are_handed_over_whole);
    ADD("forward/answer-from-flush", test_answer_from_flush);
    ADD("forward/counters", test_counters);
    ADD("drop/bad-sources", test_bad_sources);
    ADD("drop/own-address-stays-here", test_own_address_stays_here);
    ADD("drop/runts-and-giants", test_runts_and_giants);
    ADD("drop/vlan-tag", test_vlan_tag_is_kept_and_allowed_for);
    ADD("drop/offloads", test_offloads_are_dropped);
    ADD("drop/isolation", test_isolated_sees_the_gateway_only);
    ADD("fdb/addresses-age", test_addresses_age);
    ADD("fdb/duplicate-is-told-once", test_duplicate_is_told_once);
    ADD("fdb/move-is-not-told", test_move_is_not_told);
    ADD("fdb/inventor-pushes-out-its-own", test_inventor_pushes_out_its_own);
    ADD("fdb/forget", test_forget);
    ADD("port/ids-are-not-used-again", test_ids_are_not_used_again);
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
    g_test_add_func("/switch/fdb/many-addresses", test_fdb_many_addresses);
    return g_test_run();
}
