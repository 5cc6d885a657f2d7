/*
 * Ports whose datagrams begin with a virtio_net_hdr: frames of 64 KiB, and the
 * buffers of sockets that were not made for them
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "offload-frames.h"
#include "port-vms.h"

#define VNET_LEN sizeof(struct virtio_net_hdr_v1)
#define TSO (SWITCH_OFFLOAD_CSUM | SWITCH_OFFLOAD_TSO4)

/* What is received. */
typedef struct Datagram {
    struct virtio_net_hdr_v1 vnet;
    uint8_t bytes[FLAT_LEN_MAX];
} Datagram;

static const uint8_t mac_a[6] = { 2, 0, 0, 0, 0, 0xa };
static const uint8_t mac_b[6] = { 2, 0, 0, 0, 0, 0xb };

static const FrameShape tso_shape = { "tso4", .l4_extra = 12, .tcp_flags = 0x10,
                                      .payload_len = 65000, .gso_size = 1448 };

static size_t vm_recv(Vm *vm, void *buf, size_t len)
{
    ssize_t n = recv(vm->fd, buf, len, 0);

    g_assert_true(n >= 0 || errno == EAGAIN);
    return n < 0 ? 0 : n;
}

/* Send @flat. Returns: false: the socket is full. */
static bool vm_send_flat(Vm *vm, const FlatFrame *flat)
{
    struct iovec iov[] = {
        { (void *)&flat->vnet, VNET_LEN },
        { (void *)flat->bytes, flat->len },
    };
    struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };
    ssize_t sent = sendmsg(vm->fd, &msg, 0);

    g_assert_true(sent >= 0 || errno == EAGAIN);
    return sent >= 0;
}

/* a speaks with headers, b as @kind says; both are known. */
static void pair(Fixture *f, PortKind kind)
{
    uint8_t hello[VNET_LEN + 60] = { 0 };
    size_t skip = kind == PORT_KIND_DGRAM_VNET ? 0 : VNET_LEN;

    vm_connect(&f->a, PORT_KIND_DGRAM_VNET, SOCK_SEQPACKET);
    vm_connect(&f->b, kind, SOCK_SEQPACKET);
    make_frame(hello + VNET_LEN, 0xb, 0xa, 60, 0);
    vm_write(&f->a, hello, sizeof(hello));
    make_frame(hello + VNET_LEN, 0xa, 0xb, 60, 0);
    vm_write(&f->b, hello + skip, sizeof(hello) - skip);
    run(f);
    g_assert_cmpuint(vm_recv(&f->a, hello, sizeof(hello)), ==, sizeof(hello));
    vm_recv(&f->b, hello, sizeof(hello));
}

static void test_header_travels(Fixture *f, const void *data)
{
    g_autofree FlatFrame *flat = g_new(FlatFrame, 1);
    g_autofree Datagram *got = g_new(Datagram, 1);

    pair(f, PORT_KIND_DGRAM_VNET);
    port_set_offloads(f->b.port, TSO);
    flat_frame_make(&tso_shape, mac_b, mac_a, flat);
    g_assert_true(vm_send_flat(&f->a, flat));
    run(f);
    g_assert_cmpuint(vm_recv(&f->b, got, sizeof(*got)), ==,
                     VNET_LEN + flat->len);
    g_assert_cmpmem(&got->vnet, VNET_LEN, &flat->vnet, VNET_LEN);
    g_assert_cmpmem(got->bytes, flat->len, flat->bytes, flat->len);
}

static void test_short_datagrams_are_runts(Fixture *f, const void *data)
{
    uint8_t bytes[VNET_LEN + 14] = { 0 };
    size_t len;

    pair(f, PORT_KIND_DGRAM_VNET);
    for (len = 1; len < sizeof(bytes); len++) {
        vm_write(&f->a, bytes, len);
    }
    run(f);
    g_assert_cmpuint(counters(&f->a)->drops[SWITCH_DROP_RUNT], ==, len - 1);
    g_assert_cmpuint(counters(&f->a)->input_frames, ==, len);
}

/* The end of the VMM ends what it takes: the next one may be another. */
static void test_offloads_end_with_the_vmm(Fixture *f, const void *data)
{
    pair(f, PORT_KIND_DGRAM_VNET);
    port_set_offloads(f->b.port, TSO);
    port_disconnect(f->b.port);
    g_assert_cmpuint(switch_port_offloads(port_switch_port(f->b.port)), ==, 0);
}

/*
 * b reads only when nothing moves any more; @n frames of 64 KiB from a must
 * arrive all the same, or be counted: whole where @segments is 0, cut otherwise.
 */
static void check_slow_reader(Fixture *f, unsigned n, unsigned segments)
{
    g_autofree FlatFrame *flat = g_new(FlatFrame, 1);
    g_autofree Datagram *got = g_new(Datagram, 1);
    uint64_t before = counters(&f->b)->output_frames;
    unsigned sent = 0, n_got = 0, idle = 0;

    flat_frame_make(&tso_shape, mac_b, mac_a, flat);
    while (idle < 20) {
        size_t len = vm_recv(&f->b, got, sizeof(*got));

        n_got += len > 0;
        idle = len > 0 ? 0 : idle + 1;
        while (sent < n && vm_send_flat(&f->a, flat)) {
            sent++;
        }
        if (idle > 1) {
            g_usleep(1000); /* parked sources and retries have timers */
        }
        run(f);
    }
    g_assert_cmpuint(sent, ==, n);
    g_assert_cmpuint(counters(&f->b)->output_frames - before, ==, n_got);
    g_assert_cmpuint(n_got + counters(&f->b)->drops[SWITCH_DROP_FULL], ==,
                     n * MAX(segments, 1));
    g_assert_cmpuint(n_got, >, 0);
}

static void test_slow_reader(Fixture *f, const void *data)
{
    pair(f, PORT_KIND_DGRAM_VNET);
    port_set_offloads(f->b.port, TSO);
    vm_shrink_send_buffer(&f->b);
    check_slow_reader(f, 100, 0);
}

static void test_slow_reader_of_segments(Fixture *f, const void *data)
{
    pair(f, PORT_KIND_DGRAM);
    vm_shrink_send_buffer(&f->b);
    check_slow_reader(f, 100, 45);
}

/* Who reads at once loses nothing, with the buffers that anybody gets. */
static void test_reader_in_time_loses_nothing(Fixture *f, const void *data)
{
    g_autofree FlatFrame *flat = g_new(FlatFrame, 1);
    g_autofree Datagram *got = g_new(Datagram, 1);
    unsigned sent = 0, n_got = 0;

    pair(f, PORT_KIND_DGRAM_VNET);
    port_set_offloads(f->b.port, TSO);
    vm_shrink_send_buffer(&f->b);
    flat_frame_make(&tso_shape, mac_b, mac_a, flat);
    while (n_got < 500) {
        while (sent < 500 && sent - n_got < 8 && vm_send_flat(&f->a, flat)) {
            sent++;
        }
        g_main_context_iteration(f->context, FALSE);
        while (vm_recv(&f->b, got, sizeof(*got))) {
            n_got++;
        }
    }
    g_assert_cmpuint(counters(&f->b)->drops[SWITCH_DROP_FULL], ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("vnet/header-travels", test_header_travels);
    ADD("vnet/short-datagrams-are-runts", test_short_datagrams_are_runts);
    ADD("vnet/offloads-end-with-the-vmm", test_offloads_end_with_the_vmm);
    ADD("vnet/slow-reader", test_slow_reader);
    ADD("vnet/slow-reader-of-segments", test_slow_reader_of_segments);
    ADD("vnet/reader-in-time-loses-nothing",
        test_reader_in_time_loses_nothing);
    return g_test_run();
}
