/*
 * Two vhost-user ports on one switch, and their front ends, for tests
 *
 *   driver a -- rings -- port a --+
 *                                 switch
 *   driver b -- rings -- port b --+
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_UNIT_VHOST_USER_VMS_H
#define TESTS_UNIT_VHOST_USER_VMS_H

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

static inline void disconnected(void *opaque, const char *reason)
{
    Vm *vm = opaque;

    vm->n_ended++;
    g_free(vm->reason);
    vm->reason = g_strdup(reason);
}

static const PortEvents events = { .disconnected = disconnected };

static inline void run(void *opaque)
{
    Fixture *f = opaque;

    while (g_main_context_iteration(f->context, FALSE)) {
    }
}

static inline void vm_init(Vm *vm, Fixture *f, uint8_t id)
{
    *vm = (Vm) { .f = f, .id = id, .fe.fd = -1 };
    vm->port = port_new(f->loop, f->sw, 0, MTU, &events, vm);
}

/* A socket to the port, and memory; no message is sent. */
static inline void vm_attach(Vm *vm, uint64_t features, unsigned n_pairs)
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

static inline void vm_connect(Vm *vm, uint64_t features)
{
    vm_attach(vm, features, 1);
    g_assert_true(frontend_connect(&vm->fe));
}

static inline void vm_detach(Vm *vm)
{
    if (vm->fe.memory.base) {
        frontend_clear(&vm->fe);
        memset(&vm->fe, 0, sizeof(vm->fe));
        memset(vm->is_posted, 0, sizeof(vm->is_posted));
        vm->fe.fd = -1;
    }
}

static inline void vm_clear(Vm *vm)
{
    port_free(vm->port);
    vm_detach(vm);
    g_free(vm->reason);
}

static inline void set_up(Fixture *f, const void *data)
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

static inline void tear_down(Fixture *f, const void *data)
{
    vm_clear(&f->a);
    vm_clear(&f->b);
    switch_free(f->sw);
    loop_free(f->loop);
    g_main_context_unref(f->context);
}

static inline PortCounters *counters(Vm *vm)
{
    return switch_port_counters(port_switch_port(vm->port));
}

/* Put a receive buffer of @len bytes into ring 0. */
static inline bool post(Vm *vm, unsigned slot, uint32_t len)
{
    DriverBuf buf = { vm->slots[0] + slot * SLOT_LEN, len };

    vm->is_posted[slot] = vm->is_posted[slot] ||
                          driver_add(&vm->fe.rings[0], &buf, 0, 1, slot);
    return vm->is_posted[slot];
}

/* Take a buffer back from ring 0. */
static inline bool take(Vm *vm, uint32_t *ret_slot, uint32_t *ret_len)
{
    if (!driver_get_used(&vm->fe.rings[0], ret_slot, ret_len)) {
        return false;
    }
    vm->is_posted[*ret_slot] = false;
    return true;
}

static inline void post_all(Vm *vm)
{
    unsigned i;

    for (i = 0; i < NUM && post(vm, i, SLOT_LEN); i++) {
    }
    frontend_kick(&vm->fe, 0);
}

/* A frame from @src to @dst of @len bytes, numbered, in slot @number. */
static inline bool transmit(Vm *src, Vm *dst, uint32_t number, size_t len)
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
static inline unsigned reap(Vm *vm)
{
    uint32_t cookie, len;
    unsigned n = 0;

    while (driver_get_used(&vm->fe.rings[1], &cookie, &len)) {
        n++;
    }
    return n;
}

/* One frame, of one buffer, from ring 0. Returns: its length; 0: none. */
static inline size_t receive(Vm *vm, uint32_t *ret_number)
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
static inline void introduce(Fixture *f)
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

static inline void connect_both(Fixture *f, uint64_t features)
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
static inline unsigned n_dropped(Vm *vm)
{
    return counters(vm)->drops[SWITCH_DROP_FULL];
}

static inline void assert_ended(Vm *vm, const char *why)
{
    g_assert_cmpuint(vm->n_ended, ==, 1);
    g_assert_nonnull(vm->reason);
    if (!strstr(vm->reason, why)) {
        g_error("'%s' is not in '%s'", why, vm->reason);
    }
    g_assert_false(port_is_connected(vm->port));
}

/** VmsTest: a test that is run with each of @feature_sets, which is its data. */
typedef struct VmsTest {
    const char *name;
    void (*func)(Fixture *, const void *);
} VmsTest;

static inline void add_on_all(const VmsTest *tests, unsigned n)
{
    unsigned i, j;

    for (i = 0; i < n; i++) {
        for (j = 0; j < G_N_ELEMENTS(feature_sets); j++) {
            g_autofree char *name = g_strdup_printf("/vhost-user/%s/%u",
                                                    tests[i].name, j);

            g_test_add(name, Fixture, &feature_sets[j], set_up, tests[i].func,
                       tear_down);
        }
    }
}

static inline void add(const VmsTest *test)
{
    g_autofree char *name = g_strdup_printf("/vhost-user/%s", test->name);

    g_test_add(name, Fixture, NULL, set_up, test->func, tear_down);
}

#endif
