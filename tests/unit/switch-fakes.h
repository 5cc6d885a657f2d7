/*
 * A switch whose ports are fakes: they write down what they were sent
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_UNIT_SWITCH_FAKES_H
#define TESTS_UNIT_SWITCH_FAKES_H

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
static inline MacAddr mac_of(unsigned i)
{
    return (MacAddr) { { 2, 0, 0, 0, 0, i + 1 } };
}

/* A frame with its bytes; of these only the header exists. */
typedef struct TestFrame {
    uint8_t header[18];
    struct iovec iov[2];
} TestFrame;

static inline void fill_frame(Frame *frame, TestFrame *bytes, MacAddr dst,
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

static inline unsigned fake_send(void *opaque, const Frame *frames, unsigned n,
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

static inline unsigned input(Fixture *f, unsigned from, MacAddr dst, MacAddr src,
                             uint32_t len)
{
    TestFrame bytes;
    Frame frame;

    fill_frame(&frame, &bytes, dst, src, len);
    return switch_input(f->fakes[from].port, &frame, 1, f->now_ms);
}

static inline void fake_flush(void *opaque)
{
    Fake *fake = opaque;

    fake->n_flushes++;
    if (fake->answers && fake->n_flushes < 10) {
        input(fake->f, GATEWAY, broadcast, gateway_mac, 60);
    }
}

static inline size_t fake_room(void *opaque, const Frame *head)
{
    Fake *fake = opaque;

    return fake->room;
}

static inline void fake_resume(void *opaque, SwitchPort *dst, int64_t now_ms)
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

static inline void told_duplicate(void *opaque, const MacAddr *mac, uint32_t old_id,
                                  uint32_t new_id)
{
    Fixture *f = opaque;

    f->n_duplicates++;
    f->duplicate = *mac;
    f->old_id = old_id;
    f->new_id = new_id;
}

static inline void fixture_set_up(Fixture *f, const void *data)
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

static inline void fixture_tear_down(Fixture *f, const void *data)
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

static inline void reset(Fixture *f)
{
    unsigned i;

    for (i = 0; i < N_FAKES; i++) {
        f->fakes[i].n_frames = f->fakes[i].n_runs = 0;
        f->fakes[i].n_flushes = f->fakes[i].n_resumes = 0;
    }
}

/* Make all guests' addresses known. */
static inline void introduce(Fixture *f)
{
    unsigned i;

    for (i = 0; i < N_GUESTS; i++) {
        input(f, i, gateway_mac, mac_of(i), 60);
    }
    reset(f);
}

static inline uint64_t drops(Fixture *f, unsigned i, SwitchDrop reason)
{
    return switch_port_counters(f->fakes[i].port)->drops[reason];
}

/* Who of the fakes got a frame since reset(): a bit each. */
static inline unsigned receivers(Fixture *f)
{
    unsigned i, bits = 0;

    for (i = 0; i < N_FAKES; i++) {
        bits |= (f->fakes[i].n_frames > 0) << i;
    }
    reset(f);
    return bits;
}

#define ADD(path, func)                                                     \
    g_test_add("/switch/" path, Fixture, NULL, fixture_set_up, func,        \
               fixture_tear_down)

#endif
