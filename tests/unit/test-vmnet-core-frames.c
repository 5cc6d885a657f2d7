/*
 * Tests for the frames of the core of QEMU's netdevs: both ways, whole or cut,
 * and a side that takes no more
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "core-owner.h"

#define LONG_FRAME_BYTES 8000

static void test_frames(size_t size)
{
    g_autoptr(Owner) a = owner_new();
    g_autoptr(Owner) b = owner_new();
    Owner *both[] = { a, b };
    VmnetCoreCounters counters;
    uint32_t last = 0;
    guint i;

    owner_start(a);
    owner_start(b);
    for (i = 0; i < 200; i++) {
        while (!send_frame(a, size, 1, i)) {
            turn(both, 2);
        }
        if (i % 5 == 4) {       /* long ones fill a socket soon */
            RUN_UNTIL(both, n_numbered(b, size, &last) == i + 1);
        }
    }
    g_assert_cmpuint(last, ==, 199);
    vmnet_core_get_counters(a->core, &counters);
    g_assert_cmpuint(counters.tx_frames, ==, 200);
    g_assert_cmpuint(counters.tx_bytes, ==, 200 * size);
    g_assert_cmpuint(counters.tx_dropped, ==, 0);
    vmnet_core_get_counters(b->core, &counters);
    g_assert_cmpuint(counters.rx_frames, >=, 200);
}

static void test_short_frames(void)
{
    test_frames(FRAME_BYTES);
}

static void test_long_frames(void)
{
    test_frames(LONG_FRAME_BYTES);
}

static void test_bad_frames(void)
{
    g_autoptr(Owner) a = owner_new();
    uint8_t frame[14] = { 0 };
    struct iovec runt = { frame, 13 };
    g_autofree uint8_t *huge = g_malloc0(70000);
    struct iovec too_long = { huge, 70000 };
    struct iovec overflow[2] = { { huge, SIZE_MAX }, { huge, 2 } };
    VmnetCoreCounters counters;

    owner_start(a);
    g_assert_true(vmnet_core_send(a->core, &runt, 1));
    g_assert_true(vmnet_core_send(a->core, &too_long, 1));
    g_assert_true(vmnet_core_send(a->core, overflow, 2));
    g_assert_true(vmnet_core_send(a->core, NULL, 0));
    vmnet_core_get_counters(a->core, &counters);
    g_assert_cmpuint(counters.tx_dropped, ==, 4);
    g_assert_cmpuint(counters.tx_frames, ==, 0);
}

static void test_full_nic(void)
{
    g_autoptr(Owner) a = owner_new();
    g_autoptr(Owner) b = owner_new();
    Owner *both[] = { a, b };
    uint32_t last;
    guint i;

    owner_start(a);
    owner_start(b);
    RUN_UNTIL(both, !b->scheduled);
    b->nic_room = b->frames->len = 0;
    b->nic_room = 1;
    for (i = 0; i < 20; i++) {
        g_assert_true(send_frame(a, FRAME_BYTES, 1, i));
    }
    for (i = 1; i <= 20; i++) {
        RUN_UNTIL(both, n_numbered(b, FRAME_BYTES, &last) == i);
        g_assert_cmpuint(b->nic_room, ==, 0);
        turn(both, 2);
        g_assert_cmpuint(n_numbered(b, FRAME_BYTES, &last), ==, i);
        b->nic_room = 1;
        vmnet_core_receive_again(b->core);
    }
}

static void test_stopped_machine(void)
{
    g_autoptr(Owner) a = owner_new();
    g_autoptr(Owner) b = owner_new();
    Owner *both[] = { a, b };
    uint32_t last;
    guint i;

    owner_start(a);
    owner_start(b);
    vmnet_core_set_receiving(b->core, false);
    turn(both, 2);
    g_ptr_array_set_size(b->frames, 0);
    for (i = 0; i < 10; i++) {
        g_assert_true(send_frame(a, FRAME_BYTES, 1, i));
    }
    for (i = 0; i < 20; i++) {
        turn(both, 2);
    }
    g_assert_cmpuint(b->frames->len, ==, 0);
    vmnet_core_set_receiving(b->core, true);
    RUN_UNTIL(both, n_numbered(b, FRAME_BYTES, &last) == 10);
}

/* A daemon that is stopped: the sender is told, and waits for room. */
static void test_back_pressure(size_t size)
{
    g_autoptr(Owner) a = owner_new();
    Owner *one[] = { a };
    VmnetCoreCounters counters;
    pid_t daemon, parent;
    guint n = 0;

    owner_start(a);
    find_daemon(a->core, &daemon, &parent);
    stop_process(daemon);
    while (n < 100000 && send_frame(a, size, 1, n)) {
        n++;
    }
    g_assert_cmpuint(n, <, 100000);
    g_assert_cmpuint(a->n_rooms, ==, 0);
    g_assert_false(send_frame(a, size, 1, n));
    kill(daemon, SIGCONT);
    RUN_UNTIL(one, a->n_rooms > 0);
    g_assert_cmpuint(a->n_rooms, ==, 1);
    /* Room for some frames is not always room for the longest. */
    while (!send_frame(a, size, 1, n)) {
        guint before = a->n_rooms;

        RUN_UNTIL(one, a->n_rooms > before);
    }
    vmnet_core_get_counters(a->core, &counters);
    g_assert_cmpuint(counters.tx_frames, ==, n + 1);
    g_assert_cmpuint(counters.tx_dropped, ==, 0);
}

static void test_back_pressure_short(void)
{
    test_back_pressure(FRAME_BYTES);
}

static void test_back_pressure_long(void)
{
    test_back_pressure(LONG_FRAME_BYTES);
}

/* A machine whose NIC has headers, and takes @offloads. */
static Owner *owner_new_header(size_t header_len, unsigned offloads)
{
    VmnetCoreConfig config = {
        .options = "{\"type\": \"vmnet-host\", \"id\": \"net0\","
                   " \"network\": \"header\"}",
        .may_start = true, .header = true,
    };
    Owner *owner = owner_new_config(&config);

    vmnet_core_set_header_len(owner->core, header_len);
    vmnet_core_set_offloads(owner->core, offloads);
    owner_start(owner);
    return owner;
}

#define TSO_PAYLOAD 5000
#define TSO_MSS 1460
#define TCP_FRAME_BYTES (14 + 20 + 20)

/* TCP to be cut and summed, to everybody, behind a header of @header_len. */
static void send_tso(Owner *owner, size_t header_len, uint16_t ip_id)
{
    static const uint8_t header[VMNET_CORE_HEADER_BYTES] = {
        1, 1, TCP_FRAME_BYTES, 0, TSO_MSS & 0xff, TSO_MSS >> 8, 34, 0, 16, 0,
    };
    static const uint8_t ip[] = {
        0x45, 0, (TSO_PAYLOAD + 40) >> 8, (TSO_PAYLOAD + 40) & 0xff, 0, 0,
        0, 0, 64, 6, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2,
        0, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0x10,
    };
    uint8_t frame[TCP_FRAME_BYTES + TSO_PAYLOAD] = { 0 };
    struct iovec iov[] = {
        { (void *)header, header_len }, { frame, sizeof(frame) },
    };
    uint32_t sum = 0;
    guint i;

    make_frame(frame, sizeof(frame), 1, 0);
    memset(frame + 14, 0, TCP_FRAME_BYTES - 14);
    memcpy(frame + 12, (uint8_t[]){ 8, 0 }, 2);
    memcpy(frame + 14, ip, sizeof(ip));
    frame[18] = ip_id >> 8;
    frame[19] = ip_id;
    for (i = 14; i < 34; i += 2) {
        sum += frame[i] << 8 | frame[i + 1];
    }
    sum = ~((sum & 0xffff) + (sum >> 16));
    frame[24] = sum >> 8;
    frame[25] = sum;
    g_assert_true(vmnet_core_send(owner->core, iov, G_N_ELEMENTS(iov)));
}

/* Frames of TCP that came, and the size of the first, with its header. */
static guint n_tcp(const Owner *owner, size_t header_len, size_t *ret_size)
{
    guint n = 0;
    guint i;

    for (i = 0; i < owner->frames->len; i++) {
        gsize len;
        const uint8_t *frame = g_bytes_get_data(owner->frames->pdata[i], &len);

        if (len > header_len + 23 && frame[header_len + 12] == 8
            && frame[header_len + 23] == 6) {
            *ret_size = n ? *ret_size : len;
            n++;
        }
    }
    return n;
}

/* What is to be cut comes whole to who takes that, behind its own header. */
static void test_offloads(void)
{
    const unsigned all = VMNET_OFFLOAD_CSUM | VMNET_OFFLOAD_TSO4;
    const guint n_cut = (TSO_PAYLOAD + TSO_MSS - 1) / TSO_MSS;
    g_autoptr(Owner) a = owner_new_header(12, 0);
    g_autoptr(Owner) b = owner_new_header(10, all);
    g_autoptr(Owner) c = owner_new_header(0, 0);
    Owner *three[] = { a, b, c };
    size_t size;

    send_tso(a, 12, 1);
    RUN_UNTIL(three, n_tcp(b, 10, &size) == 1 && n_tcp(c, 0, &size) == n_cut);
    g_assert_cmpuint(size, ==, TCP_FRAME_BYTES + TSO_MSS);
    n_tcp(b, 10, &size);
    g_assert_cmpuint(size, ==, 10 + TCP_FRAME_BYTES + TSO_PAYLOAD);
}

/* A guest that changes its mind all the time, and a daemon that is busy: one
 * request waits, and the last word counts. */
static void test_offloads_that_change(void)
{
    const unsigned all = VMNET_OFFLOAD_CSUM | VMNET_OFFLOAD_TSO4;
    g_autoptr(Owner) a = owner_new_header(12, 0);
    g_autoptr(Owner) b = owner_new_header(12, 0);
    Owner *both[] = { a, b };
    pid_t daemon, parent;
    size_t size = 0;
    uint16_t id = 0;
    guint i;

    find_daemon(a->core, &daemon, &parent);
    stop_process(daemon);
    for (i = 0; i < 100000; i++) {
        vmnet_core_set_offloads(b->core, i % 2 ? 0 : all);
    }
    vmnet_core_set_offloads(b->core, all);
    kill(daemon, SIGCONT);
    while (size != 12 + TCP_FRAME_BYTES + TSO_PAYLOAD) {
        g_ptr_array_set_size(b->frames, 0);
        send_tso(a, 12, id++);
        RUN_UNTIL(both, n_tcp(b, 12, &size) >= 1);
        g_assert_cmpuint(id, <, 1000);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vmnet-core/short-frames", test_short_frames);
    g_test_add_func("/vmnet-core/long-frames", test_long_frames);
    g_test_add_func("/vmnet-core/bad-frames", test_bad_frames);
    g_test_add_func("/vmnet-core/full-nic", test_full_nic);
    g_test_add_func("/vmnet-core/stopped-machine", test_stopped_machine);
    g_test_add_func("/vmnet-core/back-pressure/short", test_back_pressure_short);
    g_test_add_func("/vmnet-core/back-pressure/long", test_back_pressure_long);
    g_test_add_func("/vmnet-core/offloads", test_offloads);
    g_test_add_func("/vmnet-core/offloads-that-change", test_offloads_that_change);
    return run_tests();
}
