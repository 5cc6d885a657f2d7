/*
 * vhost-user ports: two front ends of our own on one switch
 *
 *   driver a -- rings -- port a --+
 *                                 switch
 *   driver b -- rings -- port b --+
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <fcntl.h>
#include <glib.h>

#include "port/port.h"
#include "vu-frontend.h"

#define MTU 1500
#define NUM 64
#define MEMORY_LEN (4 * 1024 * 1024)
#define SLOT_LEN 4096
#define HEADER_LEN 12

typedef struct Fixture Fixture;

typedef struct Vm {
    Fixture *f;
    Port *port;
    Frontend fe;
    size_t slots[2];
    bool is_posted[NUM];
    uint8_t id;
    unsigned n_ended;
    char *reason;
} Vm;

struct Fixture {
    GMainContext *context;
    Loop *loop;
    Switch *sw;
    Vm a, b;
};

#define FEATURES_BASE \
    (FRONTEND_BIT(VIRTIO_F_VERSION_1) | FRONTEND_BIT(VIRTIO_NET_F_MRG_RXBUF) | \
     FRONTEND_BIT(VU_F_PROTOCOL_FEATURES))
#define FEATURES_OFFLOAD \
    (FRONTEND_BIT(VIRTIO_NET_F_CSUM) | FRONTEND_BIT(VIRTIO_NET_F_GUEST_CSUM) | \
     FRONTEND_BIT(VIRTIO_NET_F_HOST_TSO4) | \
     FRONTEND_BIT(VIRTIO_NET_F_GUEST_TSO4))
#define FEATURES_PACKED FRONTEND_BIT(VIRTIO_F_RING_PACKED)
#define FEATURES_EVENT FRONTEND_BIT(VIRTIO_RING_F_EVENT_IDX)
#define FEATURES_INDIRECT FRONTEND_BIT(VIRTIO_RING_F_INDIRECT_DESC)

static void disconnected(void *opaque, const char *reason)
{
    Vm *vm = opaque;

    vm->n_ended++;
    g_free(vm->reason);
    vm->reason = g_strdup(reason);
}

static const PortEvents events = { .disconnected = disconnected };

static void run(void *opaque)
{
    Fixture *f = opaque;

    while (g_main_context_iteration(f->context, FALSE)) {
    }
}

static void vm_init(Vm *vm, Fixture *f, uint8_t id)
{
    *vm = (Vm) { .f = f, .id = id, .fe.fd = -1 };
    vm->port = port_new(f->loop, f->sw, 0, MTU, &events, vm);
}

/* A socket to the port, and memory; no message is sent. */
static void vm_attach(Vm *vm, uint64_t features, unsigned n_pairs)
{
    g_autoptr(GError) error = NULL;
    int fds[2];
    unsigned i;

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds),
                    ==, 0);
    g_assert_true(port_connect(vm->port, PORT_KIND_VHOST_USER, fds[0], &error));
    g_assert_no_error(error);
    g_assert_true(frontend_init(&vm->fe, fds[1], MEMORY_LEN, features, n_pairs,
                                NUM));
    vm->fe.pump = run;
    vm->fe.opaque = vm->f;
    for (i = 0; i < 2; i++) {
        vm->slots[i] = driver_memory_take(&vm->fe.memory, NUM * SLOT_LEN);
        g_assert_cmpuint(vm->slots[i], !=, SIZE_MAX);
    }
}

static void vm_connect(Vm *vm, uint64_t features)
{
    vm_attach(vm, features, 1);
    g_assert_true(frontend_connect(&vm->fe));
}

static void vm_detach(Vm *vm)
{
    if (vm->fe.memory.base) {
        frontend_clear(&vm->fe);
        memset(&vm->fe, 0, sizeof(vm->fe));
        memset(vm->is_posted, 0, sizeof(vm->is_posted));
        vm->fe.fd = -1;
    }
}

static void vm_clear(Vm *vm)
{
    port_free(vm->port);
    vm_detach(vm);
    g_free(vm->reason);
}

static void set_up(Fixture *f, const void *data)
{
    SwitchConfig config = {
        .mtu_bytes = MTU,
        .gateway_mac = { { 2, 0, 0, 0, 0, 0xff } },
    };

    f->context = g_main_context_new();
    f->loop = loop_new(f->context, NULL);
    f->sw = switch_new(&config);
    vm_init(&f->a, f, 1);
    vm_init(&f->b, f, 2);
}

static void tear_down(Fixture *f, const void *data)
{
    vm_clear(&f->a);
    vm_clear(&f->b);
    switch_free(f->sw);
    loop_free(f->loop);
    g_main_context_unref(f->context);
}

static PortCounters *counters(Vm *vm)
{
    return switch_port_counters(port_switch_port(vm->port));
}

/* Put a receive buffer of @len bytes into ring 0. */
static bool post(Vm *vm, unsigned slot, uint32_t len)
{
    DriverBuf buf = { vm->slots[0] + slot * SLOT_LEN, len };

    vm->is_posted[slot] = vm->is_posted[slot] ||
                          driver_add(&vm->fe.rings[0], &buf, 0, 1, slot);
    return vm->is_posted[slot];
}

/* Take a buffer back from ring 0. */
static bool take(Vm *vm, uint32_t *ret_slot, uint32_t *ret_len)
{
    if (!driver_get_used(&vm->fe.rings[0], ret_slot, ret_len)) {
        return false;
    }
    vm->is_posted[*ret_slot] = false;
    return true;
}

static void post_all(Vm *vm)
{
    unsigned i;

    for (i = 0; i < NUM && post(vm, i, SLOT_LEN); i++) {
    }
    frontend_kick(&vm->fe, 0);
}

/* A frame from @src to @dst of @len bytes, numbered, in slot @number. */
static bool transmit(Vm *src, Vm *dst, uint32_t number, size_t len)
{
    size_t at = src->slots[1] + number % NUM * SLOT_LEN;
    uint8_t *p = src->fe.memory.base + at;
    DriverBuf bufs[2] = { { at, HEADER_LEN }, { at + HEADER_LEN, len } };
    size_t i;

    if (src->fe.rings[1].n_free < 2) {
        return false;
    }
    memset(p, 0, HEADER_LEN);
    p += HEADER_LEN;
    memset(p, 0, 12);
    p[0] = p[6] = 2;
    p[5] = dst ? dst->id : 0xfe;
    p[11] = src->id;
    p[12] = 0x88;
    p[13] = 0xb5;
    for (i = 14; i < len; i++) {
        p[i] = number + i;
    }
    memcpy(p + 14, &number, sizeof(number));
    return driver_add(&src->fe.rings[1], bufs, 2, 2, number);
}

/* Take back what was transmitted. Returns: how many. */
static unsigned reap(Vm *vm)
{
    uint32_t cookie, len;
    unsigned n = 0;

    while (driver_get_used(&vm->fe.rings[1], &cookie, &len)) {
        n++;
    }
    return n;
}

/* One frame, of one buffer, from ring 0. Returns: its length; 0: none. */
static size_t receive(Vm *vm, uint32_t *ret_number)
{
    uint32_t slot, len;
    const uint8_t *p;
    size_t i;

    if (!take(vm, &slot, &len)) {
        return 0;
    }
    p = vm->fe.memory.base + vm->slots[0] + slot * SLOT_LEN;
    g_assert_cmpuint(len, >, HEADER_LEN + 18);
    g_assert_cmpuint(p[10] | p[11] << 8, ==, 1);
    p += HEADER_LEN;
    len -= HEADER_LEN;
    memcpy(ret_number, p + 14, sizeof(*ret_number));
    for (i = 18; i < len; i++) {
        g_assert_cmpuint(p[i], ==, (uint8_t)(*ret_number + i));
    }
    return len;
}

/* Let the switch know where both are. */
static void introduce(Fixture *f)
{
    uint32_t number;

    post_all(&f->a);
    post_all(&f->b);
    g_assert_true(transmit(&f->b, NULL, 0, 60));
    frontend_kick(&f->b.fe, 1);
    run(f);
    g_assert_true(transmit(&f->a, NULL, 0, 60));
    frontend_kick(&f->a.fe, 1);
    run(f);
    g_assert_cmpuint(reap(&f->a) + reap(&f->b), ==, 2);
    while (receive(&f->a, &number) || receive(&f->b, &number)) {
    }
    post_all(&f->a);
    post_all(&f->b);
}

static void connect_both(Fixture *f, uint64_t features)
{
    vm_connect(&f->a, features);
    vm_connect(&f->b, features);
    introduce(f);
}

static const uint64_t feature_sets[] = {
    FEATURES_BASE,
    FEATURES_BASE | FEATURES_EVENT,
    FEATURES_BASE | FEATURES_INDIRECT,
    FEATURES_BASE | FEATURES_EVENT | FEATURES_INDIRECT,
    FEATURES_BASE | FEATURES_PACKED,
    FEATURES_BASE | FEATURES_PACKED | FEATURES_EVENT,
    FEATURES_BASE | FEATURES_PACKED | FEATURES_INDIRECT,
    FEATURES_BASE | FEATURES_PACKED | FEATURES_EVENT | FEATURES_INDIRECT,
};

/* For want of buffers, after the wait. */
static unsigned n_dropped(Vm *vm)
{
    return counters(vm)->drops[SWITCH_DROP_FULL];
}

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

/* A receiver without buffers: the sender's frames wait, then are dropped. */
static void test_full_receiver(Fixture *f, const void *data)
{
    uint32_t number, slot, len, i, n_reaped = 0;

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

static void assert_ended(Vm *vm, const char *why)
{
    g_assert_cmpuint(vm->n_ended, ==, 1);
    g_assert_nonnull(vm->reason);
    if (!strstr(vm->reason, why)) {
        g_error("'%s' is not in '%s'", why, vm->reason);
    }
    g_assert_false(port_is_connected(vm->port));
}

/* A driver that lies loses its port; the other guest stays. */
static void test_liar(Fixture *f, const void *data)
{
    DriverBuf buf = { MEMORY_LEN - 10, 100 };

    connect_both(f, FEATURES_BASE);
    driver_add(&f->a.fe.rings[1], &buf, 1, 1, 0);
    frontend_kick(&f->a.fe, 1);
    run(f);
    assert_ended(&f->a, "ring 1: a descriptor points outside of guest memory");
    g_assert_cmpuint(f->b.n_ended, ==, 0);
    g_assert_true(transmit(&f->b, &f->a, 0, 60));
    frontend_kick(&f->b.fe, 1);
    run(f);
    g_assert_cmpuint(reap(&f->b), ==, 1);
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

/* Memory that is gone is no SIGBUS for the daemon. */
static void test_truncated_memory(Fixture *f, const void *data)
{
    int fd;

    vm_attach(&f->a, FEATURES_BASE, 1);
    /* A memfd without sealing: as a file of a file system. */
    fd = memfd_create("unsealable", 0);
    g_assert_cmpint(ftruncate(fd, MEMORY_LEN), ==, 0);
    munmap(f->a.fe.memory.base, MEMORY_LEN);
    close(f->a.fe.memory.fd);
    f->a.fe.memory.fd = fd;
    f->a.fe.memory.base = mmap(NULL, MEMORY_LEN, PROT_READ | PROT_WRITE,
                               MAP_SHARED, fd, 0);
    g_assert_true(frontend_connect(&f->a.fe));
    post_all(&f->a);
    g_assert_true(transmit(&f->a, NULL, 0, 60));
    g_assert_cmpint(ftruncate(fd, 0), ==, 0);
    g_assert_cmpint(eventfd_write(f->a.fe.kick[1], 1), ==, 0);
    run(f);
    assert_ended(&f->a, "took guest memory away");
}

/* A memfd that can be sealed cannot be truncated any more. */
static void test_sealed_memory(Fixture *f, const void *data)
{
    vm_connect(&f->a, FEATURES_BASE);
    g_assert_cmpint(ftruncate(f->a.fe.memory.fd, 0), ==, -1);
}

/* A started ring that is disabled: what is sent is lost, not kept. */
static void test_disabled(Fixture *f, const void *data)
{
    uint64_t dummy;
    uint32_t number;

    connect_both(f, *(const uint64_t *)data);
    g_assert_true(frontend_state(&f->a.fe, VU_SET_VRING_ENABLE, 1, 0));
    g_assert_true(frontend_get(&f->a.fe, VU_GET_FEATURES, &dummy));
    g_assert_true(transmit(&f->a, &f->b, 1, 60));
    frontend_kick(&f->a.fe, 1);
    run(f);
    g_assert_cmpuint(reap(&f->a), ==, 1);
    g_assert_cmpuint(receive(&f->b, &number), ==, 0);
    g_assert_cmpuint(counters(&f->a)->drops[SWITCH_DROP_NOT_CONNECTED], ==, 1);
    g_assert_true(frontend_state(&f->a.fe, VU_SET_VRING_ENABLE, 1, 1));
    g_assert_true(transmit(&f->a, &f->b, 2, 60));
    frontend_kick(&f->a.fe, 1);
    run(f);
    g_assert_cmpuint(receive(&f->b, &number), ==, 60);
    g_assert_cmpuint(number, ==, 2);
}

/* Rings stop and start again where they were. */
static void test_stop_and_start(Fixture *f, const void *data)
{
    bool is_packed = *(const uint64_t *)data & FEATURES_PACKED;
    unsigned round, i;
    uint32_t number;

    connect_both(f, *(const uint64_t *)data);
    for (round = 0; round < 3 * NUM; round++) {
        VuVringState state[2];

        for (i = 0; i < 2; i++) {
            g_assert_true(frontend_state(&f->a.fe, VU_GET_VRING_BASE, i, 0));
            g_assert_true(frontend_receive(&f->a.fe, &state[i], 8));
            g_assert_cmpuint(state[i].index, ==, i);
        }
        g_assert_cmpuint(state[1].num & 0xffff, ==,
                         is_packed ? f->a.fe.rings[1].used_index |
                                     f->a.fe.rings[1].used_wrap << 15
                                   : f->a.fe.rings[1].used_index);
        /* What comes meanwhile waits for the start. */
        g_assert_true(transmit(&f->a, &f->b, round, 80));
        frontend_kick(&f->a.fe, 1);
        run(f);
        g_assert_cmpuint(receive(&f->b, &number), ==, 0);
        for (i = 0; i < 2; i++) {
            g_assert_true(frontend_start_ring(&f->a.fe, i, state[i].num));
        }
        run(f);
        g_assert_cmpuint(reap(&f->a), ==, 1);
        g_assert_cmpuint(receive(&f->b, &number), ==, 80);
        g_assert_cmpuint(number, ==, round);
        post_all(&f->b);
    }
}

/* The VMM comes back with the same memory; its driver kicks nobody. */
static void test_reconnect(Fixture *f, const void *data)
{
    unsigned round, i;
    uint32_t number;

    connect_both(f, *(const uint64_t *)data);
    for (round = 0; round < 20; round++) {
        int fds[2];
        uint32_t base[2];

        g_assert_true(transmit(&f->a, &f->b, 100 + round, 80));
        close(f->a.fe.fd);
        f->a.fe.fd = -1;
        run(f);
        g_assert_cmpuint(f->a.n_ended, ==, round + 1);
        g_assert_null(f->a.reason);
        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0,
                                   fds), ==, 0);
        g_assert_true(port_connect(f->a.port, PORT_KIND_VHOST_USER, fds[0],
                                   NULL));
        f->a.fe.fd = fds[1];
        g_assert_true(frontend_u64(&f->a.fe, VU_SET_FEATURES,
                                   f->a.fe.features));
        g_assert_true(frontend_share_memory(&f->a.fe));
        for (i = 0; i < 2; i++) {
            base[i] = f->a.fe.rings[i].used_index;
            if (f->a.fe.features & FEATURES_PACKED) {
                base[i] |= f->a.fe.rings[i].used_wrap << 15;
                base[i] |= base[i] << 16;
            }
            g_assert_true(frontend_start_ring(&f->a.fe, i, base[i]));
            g_assert_true(frontend_state(&f->a.fe, VU_SET_VRING_ENABLE, i, 1));
        }
        run(f);
        g_assert_cmpuint(receive(&f->b, &number), ==, 80);
        g_assert_cmpuint(number, ==, 100 + round);
        g_assert_cmpuint(reap(&f->a), ==, 1);
        post_all(&f->b);
    }
}

typedef struct BadMessage {
    const char *name, *why;
    uint32_t request, flags, size;
    uint64_t payload[5];
    unsigned n_fds;
} BadMessage;

static const BadMessage bad_messages[] = {
    { "version", "version", VU_GET_FEATURES, 2 },
    { "reply", "answer", VU_GET_FEATURES, 4 },
    { "short", "too short", VU_SET_FEATURES, 0, 4 },
    { "unoffered", "not offered", VU_SET_FEATURES, 0, 8, { UINT64_MAX } },
    { "protocol", "not offered", VU_SET_PROTOCOL_FEATURES, 0, 8,
      { UINT64_MAX } },
    { "fd-missing", "descriptors", VU_SET_VRING_KICK, 0, 8, { 0 } },
    { "fd-extra", "descriptors", VU_SET_FEATURES, 0, 8, { 0 }, 1 },
    { "fds-many", "more descriptors", VU_SET_FEATURES, 0, 8, { 0 }, 9 },
    { "ring", "names ring", VU_SET_VRING_NUM, 0, 8, { 16 } },
    { "ring-fd", "names ring", VU_SET_VRING_CALL, 0, 8, { 200 }, 1 },
    { "call-file", "else than an eventfd", VU_SET_VRING_CALL, 0, 8, { 0 }, 1 },
    { "no-memory", "not in guest memory", VU_SET_VRING_KICK, 0, 8, { 0 }, 1 },
    { "poll", "polled", VU_SET_VRING_KICK, 0, 8, { 0x100 } },
    { "regions", "too many", VU_SET_MEM_TABLE, 0, 8, { 9 } },
    { "region-fds", "descriptor for each", VU_SET_MEM_TABLE, 0, 40, { 1 } },
    { "region-wraps", "wraps", VU_ADD_MEM_REG, 0, 40,
      { 0, UINT64_MAX, 4096, 0, 0 }, 1 },
    { "region-empty", "empty", VU_ADD_MEM_REG, 0, 40, { 0, 0, 0, 0, 0 }, 1 },
    { "region-offset", "wraps", VU_ADD_MEM_REG, 0, 40,
      { 0, 0, 4096, 0, UINT64_MAX - 4 }, 1 },
    { "region-long", "bytes of a file", VU_ADD_MEM_REG, 0, 40,
      { 0, 0, MEMORY_LEN, 0, 4096 }, 1 },
    { "log-wraps", "wraps", VU_SET_LOG_BASE, 0, 16, { 2, UINT64_MAX }, 1 },
};

static void test_bad_message(Fixture *f, const void *data)
{
    const BadMessage *bad = data;
    int fds[9];
    unsigned i;

    vm_attach(&f->a, FEATURES_BASE, 1);
    /* A number for rings that are to fail for another reason. */
    g_assert_true(frontend_state(&f->a.fe, VU_SET_VRING_NUM, 0, NUM));
    for (i = 0; i < G_N_ELEMENTS(fds); i++) {
        fds[i] = bad->request == VU_SET_VRING_KICK ? f->a.fe.kick[0]
                                                   : f->a.fe.memory.fd;
    }
    if (bad->n_fds > VU_REGIONS_MAX) {
        /* Nine at once, by hand. */
        uint32_t header[3] = { bad->request, 1, bad->size };
        struct iovec iov = { header, sizeof(header) };
        union {
            char buf[CMSG_SPACE(sizeof(fds))];
            struct cmsghdr align;
        } control = { 0 };
        struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1,
                              .msg_control = control.buf,
                              .msg_controllen = sizeof(control.buf) };
        struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_RIGHTS;
        cmsg->cmsg_len = CMSG_LEN(sizeof(fds));
        memcpy(CMSG_DATA(cmsg), fds, sizeof(fds));
        g_assert_cmpint(sendmsg(f->a.fe.fd, &msg, 0), ==, 12);
    } else {
        g_assert_true(frontend_send(&f->a.fe, bad->request,
                                    bad->flags == 2 ? 3 : bad->flags,
                                    bad->payload, bad->size, fds, bad->n_fds));
    }
    run(f);
    assert_ended(&f->a, bad->why);
}

/* What is not known or not possible is answered, where answers are wanted. */
static void test_refused(Fixture *f, const void *data)
{
    uint64_t answer, mtu = MTU + 1;

    vm_connect(&f->a, FEATURES_BASE);
    g_assert_true(frontend_send(&f->a.fe, VU_NET_SET_MTU, 8, &mtu, 8, NULL, 0));
    g_assert_true(frontend_receive(&f->a.fe, &answer, 8));
    g_assert_cmpuint(answer, ==, 1);
    mtu = MTU;
    g_assert_true(frontend_send(&f->a.fe, VU_NET_SET_MTU, 8, &mtu, 8, NULL, 0));
    g_assert_true(frontend_receive(&f->a.fe, &answer, 8));
    g_assert_cmpuint(answer, ==, 0);
    g_assert_true(frontend_send(&f->a.fe, 99, 8, &mtu, 8, NULL, 0));
    g_assert_true(frontend_receive(&f->a.fe, &answer, 8));
    g_assert_cmpuint(answer, ==, 1);
    g_assert_cmpuint(f->a.n_ended, ==, 0);
}

/* A region that comes twice, goes, and goes once more. */
static void test_regions_repeated(Fixture *f, const void *data)
{
    struct {
        uint64_t padding;
        VuRegion region;
    } add = { 0, { 0, 4096, 0x10000, 0 } };
    uint64_t answer;
    unsigned i;

    vm_connect(&f->a, FEATURES_BASE);
    for (i = 0; i < 4; i++) {
        g_assert_true(frontend_send(&f->a.fe, i < 2 ? VU_ADD_MEM_REG
                                                    : VU_REM_MEM_REG,
                                    8, &add, sizeof(add), &f->a.fe.memory.fd,
                                    i < 2 ? 1 : 0));
        g_assert_true(frontend_receive(&f->a.fe, &answer, 8));
        g_assert_cmpuint(answer, ==, 0);
    }
    g_assert_cmpuint(f->a.n_ended, ==, 0);
}

/* SEND_RARP tells the switch, and all guests, where the address is now. */
static void test_rarp(Fixture *f, const void *data)
{
    uint64_t mac = 0;
    uint8_t bytes[6] = { 2, 0, 0, 0, 0, 1 };
    uint32_t slot, len;
    const uint8_t *p;

    vm_connect(&f->a, FEATURES_BASE);
    vm_connect(&f->b, FEATURES_BASE);
    post_all(&f->b);
    memcpy(&mac, bytes, sizeof(bytes));
    g_assert_true(frontend_u64(&f->a.fe, VU_SEND_RARP, mac));
    run(f);
    g_assert_true(take(&f->b, &slot, &len));
    p = f->b.fe.memory.base + f->b.slots[0] + slot * SLOT_LEN + HEADER_LEN;
    g_assert_cmpuint(len, ==, HEADER_LEN + 60);
    g_assert_cmpuint(p[12] << 8 | p[13], ==, 0x8035);
    g_assert_cmpmem(p + 6, 6, bytes, 6);
    g_assert_cmpmem(p + 22, 6, bytes, 6);
    g_assert_true(switch_lookup(f->sw, (const MacAddr *)bytes, loop_now_ms()) ==
                  port_switch_port(f->a.port));
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
    static const struct {
        const char *name;
        void (*func)(Fixture *, const void *);
    } on_all[] = {
        { "frames", test_frames },
        { "headers-stay", test_headers_stay },
        { "full-receiver", test_full_receiver },
        { "tso-passes", test_tso_passes },
        { "tso-waits", test_tso_waits },
        { "disabled", test_disabled },
        { "stop-and-start", test_stop_and_start },
        { "reconnect", test_reconnect },
    };
    unsigned i, j;

    g_test_init(&argc, &argv, NULL);
    for (i = 0; i < G_N_ELEMENTS(on_all); i++) {
        for (j = 0; j < G_N_ELEMENTS(feature_sets); j++) {
            g_autofree char *name = g_strdup_printf("/vhost-user/%s/%u",
                                                    on_all[i].name, j);

            g_test_add(name, Fixture, &feature_sets[j], set_up,
                       on_all[i].func, tear_down);
        }
    }
    for (i = 0; i < G_N_ELEMENTS(bad_messages); i++) {
        g_autofree char *name = g_strdup_printf("/vhost-user/bad-message/%s",
                                                bad_messages[i].name);

        g_test_add(name, Fixture, &bad_messages[i], set_up, test_bad_message,
                   tear_down);
    }
    g_test_add("/vhost-user/liar", Fixture, NULL, set_up, test_liar, tear_down);
    g_test_add("/vhost-user/call-that-would-block", Fixture, NULL, set_up,
               test_call_that_would_block, tear_down);
    g_test_add("/vhost-user/truncated-memory", Fixture, NULL, set_up,
               test_truncated_memory, tear_down);
    g_test_add("/vhost-user/sealed-memory", Fixture, NULL, set_up,
               test_sealed_memory, tear_down);
    g_test_add("/vhost-user/refused", Fixture, NULL, set_up, test_refused,
               tear_down);
    g_test_add("/vhost-user/regions-repeated", Fixture, NULL, set_up,
               test_regions_repeated, tear_down);
    g_test_add("/vhost-user/rarp", Fixture, NULL, set_up, test_rarp, tear_down);
    return g_test_run();
}
