/*
 * Messages of vhost-user: memory and rings that come and go, and what is wrong
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "vhost-user-vms.h"

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
    uint32_t number = 0;

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
    uint32_t number = 0;

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
    uint32_t number = 0;

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

int main(int argc, char **argv)
{
    static const VmsTest on_all[] = {
        { "disabled", test_disabled },
        { "stop-and-start", test_stop_and_start },
        { "reconnect", test_reconnect },
    };
    static const VmsTest on_one[] = {
        { "liar", test_liar },
        { "truncated-memory", test_truncated_memory },
        { "sealed-memory", test_sealed_memory },
        { "refused", test_refused },
        { "regions-repeated", test_regions_repeated },
        { "rarp", test_rarp },
    };
    unsigned i;

    g_test_init(&argc, &argv, NULL);
    add_on_all(on_all, G_N_ELEMENTS(on_all));
    for (i = 0; i < G_N_ELEMENTS(on_one); i++) {
        add(&on_one[i]);
    }
    for (i = 0; i < G_N_ELEMENTS(bad_messages); i++) {
        g_autofree char *name = g_strdup_printf("/vhost-user/bad-message/%s",
                                                bad_messages[i].name);

        g_test_add(name, Fixture, &bad_messages[i], set_up, test_bad_message,
                   tear_down);
    }
    return g_test_run();
}
