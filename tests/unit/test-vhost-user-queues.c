/*
 * vhost-user ports with several pairs of rings
 *
 *   driver a, 2 pairs -- port a -- switch -- port b -- driver b, 4 pairs
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <glib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "port/port.h"
#include "proto/ip.h"
#include "vu-frontend.h"

#define MTU 1500
#define NUM 32
#define MEMORY_LEN (4 * 1024 * 1024)
#define SLOT_LEN 2048
#define HEADER_LEN 12
#define PAIRS_A 2
#define PAIRS_B 4
#define FLOWS 64

#define FEATURES \
    (FRONTEND_BIT(VIRTIO_F_VERSION_1) | FRONTEND_BIT(VIRTIO_NET_F_MRG_RXBUF) | \
     FRONTEND_BIT(VIRTIO_NET_F_MQ) | FRONTEND_BIT(VU_F_PROTOCOL_FEATURES))

typedef struct Fixture Fixture;

/** Vm: @slots: of each ring, where its buffers are */
typedef struct Vm {
    Fixture *f;
    Port *port;
    Frontend fe;
    size_t slots[FRONTEND_RINGS_MAX];
    uint8_t id;
} Vm;

struct Fixture {
    GMainContext *context;
    Loop *loop;
    Switch *sw;
    uint16_t flow;      /* on_other_event()'s, and what it was told */
    size_t room;
    Vm a, b;
};

static void run(void *opaque)
{
    Fixture *f = opaque;

    while (g_main_context_iteration(f->context, FALSE)) {
    }
}

static void post(Vm *vm, unsigned pair)
{
    unsigned i;

    for (i = 0; i < NUM; i++) {
        DriverBuf buf = { vm->slots[2 * pair] + i * SLOT_LEN, SLOT_LEN };

        if (!driver_add(&vm->fe.rings[2 * pair], &buf, 0, 1, i)) {
            break;
        }
    }
    frontend_kick(&vm->fe, 2 * pair);
}

static void vm_init(Vm *vm, Fixture *f, uint8_t id, unsigned n_pairs,
                    uint64_t features)
{
    g_autoptr(GError) error = NULL;
    int fds[2];
    unsigned i;

    *vm = (Vm) { .f = f, .id = id };
    vm->port = port_new(f->loop, f->sw, 0, MTU, NULL, NULL);
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds),
                    ==, 0);
    g_assert_true(port_connect(vm->port, PORT_KIND_VHOST_USER, fds[0], &error));
    g_assert_no_error(error);
    g_assert_true(frontend_init(&vm->fe, fds[1], MEMORY_LEN, features, n_pairs,
                                NUM));
    vm->fe.pump = run;
    vm->fe.opaque = f;
    for (i = 0; i < 2 * n_pairs; i++) {
        vm->slots[i] = driver_memory_take(&vm->fe.memory, NUM * SLOT_LEN);
        g_assert_cmpuint(vm->slots[i], !=, SIZE_MAX);
    }
    g_assert_true(frontend_connect(&vm->fe));
}

static void vm_clear(Vm *vm)
{
    port_free(vm->port);
    frontend_clear(&vm->fe);
}

/* Flow @flow, from @src to @dst (NULL: nobody), by transmit ring @pair. */
static void transmit(Vm *src, unsigned pair, Vm *dst, uint16_t flow)
{
    DriverRing *ring = &src->fe.rings[2 * pair + 1];
    unsigned slot = ring->n_free_ids - 1;
    DriverBuf buf = { src->slots[2 * pair + 1] + slot * SLOT_LEN, 0 };
    uint8_t *p = src->fe.memory.base + buf.offset, dst_id = dst ? dst->id : 9;
    /* The port of b is the flow's, that of a is fixed. */
    bool is_to_b = dst_id == 2;
    uint16_t own = is_to_b ? 7 : flow, other = is_to_b ? flow : 7;
    IpHeaders headers = {
        .eth_src = { { 2, 0, 0, 0, 0, src->id } },
        .eth_dst = { { 2, 0, 0, 0, 0, dst_id } },
        .src = ip_addr_v4(0x0a000000 | src->id),
        .dst = ip_addr_v4(0x0a000000 | dst_id),
        .proto = IPPROTO_UDP, .ttl = 64,
    };

    memset(p, 0, SLOT_LEN);
    p += HEADER_LEN;
    p += ip_headers_build(p, &headers, 100);
    p[0] = own >> 8;
    p[1] = own;
    p[2] = other >> 8;
    p[3] = other;
    p[5] = 100;
    buf.len = HEADER_LEN + 34 + 100;
    g_assert_true(driver_add(ring, &buf, 1, 1, 0));
}

static void kick(Vm *vm, unsigned pair)
{
    frontend_kick(&vm->fe, 2 * pair + 1);
    run(vm->f);
}

/* Take back what was transmitted. Returns: how many. */
static unsigned reap(Vm *vm, unsigned pair)
{
    uint32_t cookie, len;
    unsigned n = 0;

    while (driver_get_used(&vm->fe.rings[2 * pair + 1], &cookie, &len)) {
        n++;
    }
    return n;
}

static void transmit_now(Vm *src, unsigned pair, Vm *dst, uint16_t flow)
{
    transmit(src, pair, dst, flow);
    kick(src, pair);
    g_assert_cmpuint(reap(src, pair), ==, 1);
}

/* A frame of receive ring @pair of b. Returns: its flow; 0: none. */
static uint16_t receive(Vm *vm, unsigned pair)
{
    uint32_t slot, len;
    const uint8_t *p;

    if (!driver_get_used(&vm->fe.rings[2 * pair], &slot, &len)) {
        return 0;
    }
    p = vm->fe.memory.base + vm->slots[2 * pair] + slot * SLOT_LEN +
        HEADER_LEN + 34;
    g_assert_cmpuint(len, ==, HEADER_LEN + 34 + 100);
    return p[2] << 8 | p[3];
}

static void empty(Vm *vm, unsigned n_pairs)
{
    unsigned i;

    for (i = 0; i < n_pairs; i++) {
        while (receive(vm, i)) {
        }
        post(vm, i);
    }
}

/* The pair of b by which one frame of @flow came; it gets its buffer back. */
static unsigned pair_of(Vm *vm, uint16_t flow)
{
    unsigned i, found = PAIRS_B;

    for (i = 0; i < PAIRS_B; i++) {
        uint16_t got = receive(vm, i);

        if (got) {
            g_assert_cmpuint(got, ==, flow);
            g_assert_cmpuint(found, ==, PAIRS_B);
            found = i;
            post(vm, i);
        }
    }
    g_assert_cmpuint(found, <, PAIRS_B);
    return found;
}

static void set_up(Fixture *f, const void *data)
{
    SwitchConfig config = {
        .mtu_bytes = MTU,
        .gateway_mac = { { 2, 0, 0, 0, 0, 0xff } },
    };
    uint64_t features = FEATURES | *(const uint64_t *)data;
    unsigned i;

    f->context = g_main_context_new();
    f->loop = loop_new(f->context, NULL);
    f->sw = switch_new(&config);
    vm_init(&f->a, f, 1, PAIRS_A, features);
    vm_init(&f->b, f, 2, PAIRS_B, features);
    transmit_now(&f->a, 0, NULL, 1);
    transmit_now(&f->b, 0, NULL, 1);
    for (i = 0; i < PAIRS_B; i++) {
        post(&f->b, i);
    }
    for (i = 0; i < PAIRS_A; i++) {
        post(&f->a, i);
    }
}

static void tear_down(Fixture *f, const void *data)
{
    vm_clear(&f->a);
    vm_clear(&f->b);
    switch_free(f->sw);
    loop_free(f->loop);
    g_main_context_unref(f->context);
}

static uint64_t n_dropped(Fixture *f)
{
    return switch_port_counters(
        port_switch_port(f->b.port))->drops[SWITCH_DROP_FULL];
}

/* Answers come by the pair that has asked. */
static void test_flows_come_back(Fixture *f, const void *data)
{
    unsigned i, n_right = 0;

    for (i = 0; i < FLOWS; i++) {
        transmit_now(&f->b, i % PAIRS_B, &f->a, 100 + i);
        empty(&f->a, PAIRS_A);
    }
    for (i = 0; i < FLOWS; i++) {
        transmit_now(&f->a, i % PAIRS_A, &f->b, 100 + i);
        n_right += pair_of(&f->b, 100 + i) == i % PAIRS_B;
    }
    /* Two flows may meet in one of 1024 places. */
    g_assert_cmpuint(n_right, >=, FLOWS - 12);
}

/* Unknown ones are spread, over those that are enabled. */
static void test_only_enabled_pairs(Fixture *f, const void *data)
{
    unsigned i, enabled, n[PAIRS_B + 1] = { 0 };

    for (enabled = PAIRS_B; enabled > 0; enabled /= 2) {
        memset(n, 0, sizeof(n));
        for (i = 0; i < FLOWS; i++) {
            transmit_now(&f->a, 0, &f->b, 100 + i);
            n[pair_of(&f->b, 100 + i)]++;
        }
        for (i = 0; i < PAIRS_B; i++) {
            g_assert_true(i < enabled ? n[i] > 3 : n[i] == 0);
        }
        for (i = enabled / 2; i < enabled; i++) {
            uint64_t answer;

            g_assert_true(frontend_state(&f->b.fe, VU_SET_VRING_ENABLE, 2 * i,
                                         0));
            g_assert_true(frontend_get(&f->b.fe, VU_GET_FEATURES, &answer));
        }
    }
    /* Where none is left frames are dropped, by the switch. */
    transmit_now(&f->a, 0, &f->b, 1);
}

/* Flows of b's pair @pair, by what its hash says; answers go there too. */
static uint16_t flow_for(Fixture *f, unsigned pair)
{
    uint16_t flow;

    for (flow = 1000; flow < 1100; flow++) {
        transmit_now(&f->a, 0, &f->b, flow);
        if (pair_of(&f->b, flow) == pair) {
            return flow;
        }
    }
    g_assert_not_reached();
}

static unsigned receive_all(Fixture *f, unsigned pair, uint16_t flow)
{
    unsigned n = 0;

    while (receive(&f->b, pair) == flow) {
        n++;
    }
    return n;
}

/* Ring @pair of b, which was full, is so again, and waited for. */
static void fill_again(Fixture *f, unsigned pair, uint16_t flow)
{
    unsigned n = receive_all(f, pair, flow);

    post(&f->b, pair);
    run(f);
    while (n--) {
        transmit_now(&f->a, 0, &f->b, flow);
    }
}

/* What has waited in ring @pair of a is dropped after a while. */
static void await_drop(Fixture *f, unsigned pair)
{
    while (reap(&f->a, pair) == 0) {
        g_main_context_iteration(f->context, TRUE);
    }
}

/*
 * Whether a's pair 1 goes on while pair 0 waits: it may have waited for too
 * long when this is looked at.
 */
static bool goes_on(Fixture *f, uint16_t full, uint16_t free)
{
    uint64_t before = n_dropped(f);
    bool is_seen;

    transmit(&f->a, 0, &f->b, full);
    transmit(&f->a, 1, &f->b, free);
    frontend_kick(&f->a.fe, 1);
    frontend_kick(&f->a.fe, 3);
    g_main_context_iteration(f->context, TRUE);
    is_seen = driver_has_used(&f->b.fe.rings[4]) && n_dropped(f) == before;
    await_drop(f, 0);
    run(f);
    g_assert_cmpuint(n_dropped(f), ==, before + 1);
    g_assert_cmpuint(reap(&f->a, 1), ==, 1);
    g_assert_cmpuint(receive_all(f, 2, free), ==, 1);
    post(&f->b, 2);
    return is_seen;
}

/*
 * Ring 1 of b is full.  What a sends to it waits in a's pair 0, and pair 1
 * goes on; then it is dropped, and nothing else is.
 */
static void test_full_ring_stops_no_other(Fixture *f, const void *data)
{
    uint16_t full = flow_for(f, 1), free = flow_for(f, 2);
    uint64_t before;
    unsigned i;

    for (i = 0; i < NUM; i++) {
        transmit_now(&f->a, 0, &f->b, full);
    }
    for (i = 0; i < 1000 && !goes_on(f, full, free); i++) {
        fill_again(f, 1, full);
    }
    g_assert_cmpuint(i, <, 1000);

    /* From now on they do not wait, and one batch has both kinds. */
    before = n_dropped(f);
    for (i = 0; i < NUM / 2; i++) {
        transmit(&f->a, 0, &f->b, i & 1 ? full : free);
    }
    kick(&f->a, 0);
    g_assert_cmpuint(reap(&f->a, 0), ==, NUM / 2);
    g_assert_cmpuint(receive_all(f, 2, free), ==, NUM / 4);
    post(&f->b, 2);
    g_assert_cmpuint(n_dropped(f), ==, before + NUM / 4);

    /* Room ends it. */
    g_assert_cmpuint(receive_all(f, 1, full), ==, NUM);
    post(&f->b, 1);
    run(f);
    transmit_now(&f->a, 0, &f->b, full);
    g_assert_cmpuint(receive_all(f, 1, full), ==, 1);
}

/* Of b's ring by which frames of @flow go; 0: of the one that has most. */
static size_t room_for(Fixture *f, uint16_t flow)
{
    uint8_t buf[34 + 4] = { 0 };
    struct iovec iov = { buf, sizeof(buf) };
    IpHeaders headers = {
        .src = ip_addr_v4(0x0a000001), .dst = ip_addr_v4(0x0a000002),
        .proto = IPPROTO_UDP, .ttl = 64,
    };
    Frame head;

    ip_headers_build(buf, &headers, 4);
    buf[35] = 7;
    buf[36] = flow >> 8;
    buf[37] = flow;
    frame_init(&head, &iov, 1);
    return switch_port_room(port_switch_port(f->b.port), flow ? &head : NULL);
}

/* NAT asks before it reads a socket: a full ring says nothing of the others. */
static void test_room_is_that_of_the_flow(Fixture *f, const void *data)
{
    uint16_t full = flow_for(f, 1), free = flow_for(f, 2);
    unsigned i;

    for (i = 0; i < NUM; i++) {
        transmit_now(&f->a, 0, &f->b, full);
    }
    g_assert_cmpuint(room_for(f, full), ==, 0);
    g_assert_cmpuint(room_for(f, free), >=, (NUM - 2) * MTU);
    g_assert_cmpuint(room_for(f, 0), >=, (NUM - 2) * MTU);
    g_assert_cmpuint(receive_all(f, 1, full), ==, NUM);
    post(&f->b, 1);
    g_assert_cmpuint(room_for(f, full), >=, NUM * MTU);
}

/* As NAT, whose socket has data in the same turn of the loop. */
static void on_other_event(void *opaque, uint32_t events, int64_t now_ms)
{
    Fixture *f = opaque;

    f->room = room_for(f, f->flow);
}

/* Its memory is gone before the failure is carried out: nothing looks at it. */
static void test_room_of_one_that_has_failed(Fixture *f, const void *data)
{
    struct {
        uint32_t n, padding;
        VuRegion region;
    } table = { 1, 0, driver_memory_region(&f->b.fe.memory) };
    int fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
    LoopWatch *watch;

    g_assert_cmpint(fd, >=, 0);
    f->flow = flow_for(f, 2);
    table.region.size *= 2;     /* longer than its file: refused */
    g_assert_true(frontend_send(&f->b.fe, VU_SET_MEM_TABLE, 0, &table,
                                sizeof(table), &f->b.fe.memory.fd, 1));
    watch = loop_watch_new(f->loop, fd, EPOLLIN | EPOLLET, on_other_event, f,
                           NULL);
    g_assert_nonnull(watch);
    while (!f->room) {
        g_main_context_iteration(f->context, TRUE);
    }
    g_assert_cmpuint(f->room, ==, SIZE_MAX);
    loop_watch_free(watch);
    close(fd);
    run(f);
}

int main(int argc, char **argv)
{
    static const uint64_t feature_sets[] = {
        0,
        FRONTEND_BIT(VIRTIO_RING_F_EVENT_IDX),
        FRONTEND_BIT(VIRTIO_F_RING_PACKED),
        FRONTEND_BIT(VIRTIO_F_RING_PACKED) |
        FRONTEND_BIT(VIRTIO_RING_F_EVENT_IDX),
    };
    static const struct {
        const char *name;
        void (*func)(Fixture *f, const void *data);
    } tests[] = {
        { "flows-come-back", test_flows_come_back },
        { "only-enabled-pairs", test_only_enabled_pairs },
        { "full-ring-stops-no-other", test_full_ring_stops_no_other },
        { "room-is-that-of-the-flow", test_room_is_that_of_the_flow },
        { "room-of-one-that-has-failed", test_room_of_one_that_has_failed },
    };
    unsigned i, j;

    g_test_init(&argc, &argv, NULL);
    for (i = 0; i < G_N_ELEMENTS(tests); i++) {
        for (j = 0; j < G_N_ELEMENTS(feature_sets); j++) {
            g_autofree char *name = g_strdup_printf("/vhost-user-queues/%s/%u",
                                                    tests[i].name, j);

            g_test_add(name, Fixture, &feature_sets[j], set_up, tests[i].func,
                       tear_down);
        }
    }
    return g_test_run();
}
