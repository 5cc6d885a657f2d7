/*
 * Frames through vhost-user ports
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "proto/tcp.h"
#include "vhost-user-vms.h"

/*
 * Bursts of any length, both ends driven by notifications alone: one that is
 * lost, and frames stop.
 */
static void test_frames(Fixture *f, const void *data)
{
    uint32_t n_sent = 0, n_got = 0, number, total = 5000;
    g_autoptr(GRand) rand = g_rand_new_with_seed(1);
    bool b_sleeps = true;

    connect_both(f, *(const uint64_t *)data);
    driver_enable_calls(&f->b.fe.rings[0]);
    while (n_got + n_dropped(&f->b) < total) {
        unsigned burst = g_rand_int_range(rand, 1, 100), i;

        reap(&f->a);
        for (i = 0; i < burst && n_sent < total; i++) {
            size_t len = g_rand_int_range(rand, 60, MTU + 15);

            if (!transmit(&f->a, &f->b, n_sent, len)) {
                break;
            }
            n_sent++;
        }
        frontend_kick(&f->a.fe, 1);
        run(f);
        if (b_sleeps && !frontend_take_call(&f->b.fe, 0)) {
            g_assert_cmpuint(n_sent, ==, n_got + n_dropped(&f->b));
            continue;
        }
        b_sleeps = false;
        for (i = g_rand_int_range(rand, 1, 80); i && receive(&f->b, &number);
             i--) {
            g_assert_cmpuint(number, >=, n_got);
            g_assert_cmpuint(number, <=, n_got + n_dropped(&f->b));
            n_got++;
        }
        if (i) {
            post_all(&f->b);
            b_sleeps = !driver_enable_calls(&f->b.fe.rings[0]);
        }
    }
    g_assert_cmpuint(n_got, >, total / 2);
    g_assert_cmpuint(f->a.n_ended + f->b.n_ended, ==, 0);
}

/* Each buffer has room for a frame, whatever headers NAT reckons with. */
static void test_room(Fixture *f, const void *data)
{
    SwitchPort *port;
    unsigned i;

    vm_connect(&f->b, *(const uint64_t *)data);
    run(f);
    port = port_switch_port(f->b.port);
    g_assert_cmpuint(switch_port_room(port, NULL), ==, 0);
    for (i = 0; i < NUM; i++) {
        g_assert_true(post(&f->b, i, SLOT_LEN));
        g_assert_cmpuint(switch_port_room(port, NULL) / (TCP_HEADROOM + MTU), ==, i + 1);
    }
}

/* A receiver without buffers: the sender's frames wait, then are dropped. */
static void test_full_receiver(Fixture *f, const void *data)
{
    uint32_t number = 0, slot, len, i, n_reaped = 0;

    connect_both(f, *(const uint64_t *)data);
    for (i = 0; i < NUM / 4; i++) {
        g_assert_true(transmit(&f->a, &f->b, i, 100));
    }
    frontend_kick(&f->a.fe, 1);
    run(f);
    for (i = 0; i < NUM / 4; i++) {
        g_assert_cmpuint(receive(&f->b, &number), ==, 100);
        g_assert_cmpuint(number, ==, i);
    }
    /* NUM * 3 / 4 buffers are left. */
    reap(&f->a);
    for (i = 0; i < NUM / 2; i++) {
        g_assert_true(transmit(&f->a, &f->b, i, 100));
    }
    frontend_kick(&f->a.fe, 1);
    run(f);
    g_assert_cmpuint(reap(&f->a), ==, NUM / 2);
    for (i = 0; i < NUM / 2; i++) {
        g_assert_true(transmit(&f->a, &f->b, i, 100));
    }
    frontend_kick(&f->a.fe, 1);
    while ((n_reaped += reap(&f->a)) < NUM / 2) {
        g_main_context_iteration(f->context, TRUE);
    }
    g_assert_cmpuint(counters(&f->b)->drops[SWITCH_DROP_FULL], ==, NUM / 4);
    while (take(&f->b, &slot, &len)) {
    }
    post_all(&f->b);
    run(f);
    reap(&f->a);
    g_assert_true(transmit(&f->a, &f->b, 7, 100));
    frontend_kick(&f->a.fe, 1);
    run(f);
    g_assert_cmpuint(receive(&f->b, &number), ==, 100);
    g_assert_cmpuint(number, ==, 7);
}

static unsigned get_u16(const uint8_t *p)
{
    return p[0] | p[1] << 8;
}

/* A TSO frame of @n_segments, in memory of its own. */
static void transmit_tso(Vm *src, Vm *dst, unsigned n_segments)
{
    static const uint8_t ip_tcp[40] = {
        0x45, 0, 0, 0, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,
        0, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0x10,
    };
    const size_t frame_len = 54 + n_segments * 1460;
    DriverBuf buf = { 0, HEADER_LEN + frame_len };
    uint32_t sum = 0;
    uint8_t *p;
    size_t i;

    buf.offset = driver_memory_take(&src->fe.memory, buf.len);
    p = src->fe.memory.base + buf.offset;
    p[0] = VIRTIO_NET_HDR_F_NEEDS_CSUM;
    p[1] = VIRTIO_NET_HDR_GSO_TCPV4;
    p[2] = 54;
    p[4] = 1460 & 0xff;
    p[5] = 1460 >> 8;
    p[6] = 34;
    p[8] = 16;
    p += HEADER_LEN;
    p[0] = p[6] = 2;
    p[5] = dst->id;
    p[11] = src->id;
    p[12] = 8;
    memcpy(p + 14, ip_tcp, sizeof(ip_tcp));
    p[16] = (frame_len - 14) >> 8;
    p[17] = (frame_len - 14) & 0xff;
    for (i = 14; i < 34; i += 2) {
        sum += p[i] << 8 | p[i + 1];
    }
    sum = ~(sum % 0xffff);
    p[24] = sum >> 8;
    p[25] = sum;
    for (i = 54; i < frame_len; i++) {
        p[i] = i;
    }
    g_assert_true(driver_add(&src->fe.rings[1], &buf, 1, 1, 0));
    frontend_kick(&src->fe, 1);
}

/* For a driver that takes it: one frame, many buffers. */
static void test_tso_passes(Fixture *f, const void *data)
{
    const size_t frame_len = 54 + 10 * 1460;
    Vm *b = &f->b;
    uint32_t slot, len;
    size_t sum = 0, n = 0, i;

    connect_both(f, *(const uint64_t *)data | FEATURES_OFFLOAD);
    transmit_tso(&f->a, b, 10);
    run(f);
    for (; take(b, &slot, &len); n++) {
        const uint8_t *got = b->fe.memory.base + b->slots[0] + slot * SLOT_LEN;

        if (n == 0) {
            g_assert_cmpuint(got[0], ==, VIRTIO_NET_HDR_F_NEEDS_CSUM);
            g_assert_cmpuint(got[1], ==, VIRTIO_NET_HDR_GSO_TCPV4);
            g_assert_cmpuint(get_u16(got + 4), ==, 1460);
            g_assert_cmpuint(get_u16(got + 10), ==, 4);
        }
        for (i = 0; i < len; i++, sum++) {
            if (sum >= HEADER_LEN + 54) {
                g_assert_cmpuint(got[i], ==, (uint8_t)(sum - HEADER_LEN));
            }
        }
    }
    g_assert_cmpuint(n, ==, 4);
    g_assert_cmpuint(sum, ==, HEADER_LEN + frame_len);
}

/* Too few buffers for a frame: those that come then are waited for by a kick. */
static void test_tso_waits(Fixture *f, const void *data)
{
    Vm *b = &f->b;
    uint32_t slot, len, number;
    unsigned i;

    connect_both(f, *(const uint64_t *)data | FEATURES_OFFLOAD);
    /* All but two of its buffers are in use. */
    for (i = 0; i < NUM - 2; i++) {
        g_assert_true(transmit(&f->a, b, i, 60));
        if (i % 16 == 15) {
            frontend_kick(&f->a.fe, 1);
            run(f);
            reap(&f->a);
        }
    }
    frontend_kick(&f->a.fe, 1);
    run(f);
    reap(&f->a);
    transmit_tso(&f->a, b, 10);
    g_main_context_iteration(f->context, FALSE);
    for (i = 0; i < NUM - 2; i++) {
        g_assert_cmpuint(receive(b, &number), ==, 60);
    }
    post(b, 1, SLOT_LEN);
    post(b, 2, SLOT_LEN);
    g_assert_true(frontend_kick(&b->fe, 0));
    run(f);
    for (i = 0; i < 4 && take(b, &slot, &len); i++) {
    }
    /* Either it waited, or it was dropped after 50 us: the next one passes. */
    if (i == 0) {
        g_assert_cmpuint(n_dropped(b), ==, 1);
        transmit_tso(&f->a, b, 10);
        run(f);
        while (take(b, &slot, &len)) {
            i++;
        }
    }
    g_assert_cmpuint(i, ==, 4);
}

/* A counter at its end, and O_NONBLOCK taken away: nobody waits for it. */
static void test_call_that_would_block(Fixture *f, const void *data)
{
    uint32_t number, i;

    connect_both(f, FEATURES_BASE);
    frontend_take_call(&f->b.fe, 0);
    g_assert_cmpint(eventfd_write(f->b.fe.call[0], UINT64_MAX - 1), ==, 0);
    g_assert_cmpint(fcntl(f->b.fe.call[0], F_SETFL, 0), ==, 0);
    alarm(60);      /* whoever waits would do so for ever */
    for (i = 0; i < NUM; i++) {
        g_assert_true(transmit(&f->a, &f->b, i, 60));
        frontend_kick(&f->a.fe, 1);
        run(f);
        g_assert_cmpuint(reap(&f->a), ==, 1);
        g_assert_cmpuint(receive(&f->b, &number), ==, 60);
    }
    alarm(0);
    g_assert_true(frontend_take_call(&f->b.fe, 0));
}

/* A port whose VMM shares its memory with the sender's, and writes at once. */
typedef struct Scribbler {
    Vm *sender;
    unsigned n_frames;
} Scribbler;

static unsigned scribble(void *opaque, const Frame *frames, unsigned n,
                         int64_t now_ms)
{
    Scribbler *scribbler = opaque;
    Vm *vm = scribbler->sender;
    uint8_t before[128], after[128];
    unsigned i;

    for (i = 0; i < n; i++) {
        g_assert_cmpuint(frame_peek(&frames[i], 0, before, sizeof(before)), ==,
                         sizeof(before));
        memset(vm->fe.memory.base + vm->slots[1], 0xff, NUM * SLOT_LEN);
        frame_peek(&frames[i], 0, after, sizeof(after));
        g_assert_cmpmem(after, sizeof(after), before, sizeof(before));
        scribbler->n_frames++;
    }
    return n;
}

/* Headers that were checked are those that arrive. */
static void test_headers_stay(Fixture *f, const void *data)
{
    static const PortOps ops = { .send = scribble };
    Scribbler scribbler = { .sender = &f->a };
    SwitchPort *port = switch_port_add(f->sw, &ops, &scribbler, 0, 16);

    vm_connect(&f->a, *(const uint64_t *)data);
    g_assert_true(transmit(&f->a, NULL, 1, 1000));
    frontend_kick(&f->a.fe, 1);
    run(f);
    g_assert_cmpuint(scribbler.n_frames, ==, 1);
    switch_port_remove(port, loop_now_ms());
}

int main(int argc, char **argv)
{
    static const VmsTest on_all[] = {
        { "frames", test_frames },
        { "headers-stay", test_headers_stay },
        { "room", test_room },
        { "full-receiver", test_full_receiver },
        { "tso-passes", test_tso_passes },
        { "tso-waits", test_tso_waits },
    };

    g_test_init(&argc, &argv, NULL);
    add_on_all(on_all, G_N_ELEMENTS(on_all));
    add(&(VmsTest) { "call-that-would-block", test_call_that_would_block });
    return g_test_run();
}
