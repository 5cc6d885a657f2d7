/*
 * Offloads in the switch: what is refused, what passes as it is, and what a
 * receiver that takes less is given instead
 *
 * A frame goes from one port to others of a real switch; what arrives is
 * compared with what a slow segmenter makes of it (offload-frames.h).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "limits.h"
#include "offload-frames.h"
#include "switch/switch.h"

#define MTU 1500
#define N_RECEIVERS 3
#define ALL_TSO (SWITCH_OFFLOAD_CSUM | SWITCH_OFFLOAD_TSO4 | \
                 SWITCH_OFFLOAD_TSO6)
#define ALL (ALL_TSO | SWITCH_OFFLOAD_ECN | SWITCH_OFFLOAD_USO)

/**
 * Receiver:
 * @room: frames that it takes; counted down
 * @got: what it was sent, FlatFrames
 */
typedef struct Receiver {
    SwitchPort *port;
    unsigned room, n_sends;
    GPtrArray *got;
} Receiver;

typedef struct Fixture {
    Switch *sw;
    SwitchPort *src;
    Receiver receivers[N_RECEIVERS];
    FlatFrame frame, want;
} Fixture;

static const uint8_t macs[N_RECEIVERS][6] = {
    { 2, 0, 0, 0, 0, 1 }, { 2, 0, 0, 0, 0, 2 }, { 2, 0, 0, 0, 0, 3 },
};
static const uint8_t src_mac[6] = { 2, 0, 0, 0, 1, 0 };
static const uint8_t group_mac[6] = { 0x33, 0x33, 0, 0, 0, 1 };

static unsigned receiver_send(void *opaque, const Frame *frames, unsigned n,
                              int64_t now_ms)
{
    Receiver *receiver = opaque;
    unsigned i, taken = MIN(n, receiver->room);

    g_assert_cmpuint(n, >, 0);
    g_assert_cmpuint(n, <=, FRAME_BATCH_MAX);
    for (i = 0; i < taken; i++) {
        FlatFrame *flat = g_new(FlatFrame, 1);

        flat->vnet = frames[i].vnet;
        flat->len = frame_peek(&frames[i], 0, flat->bytes,
                               sizeof(flat->bytes));
        g_assert_cmpuint(flat->len, ==, frames[i].len);
        g_ptr_array_add(receiver->got, flat);
    }
    receiver->n_sends++;
    receiver->room -= taken;
    return taken;
}

static void source_resume(void *opaque, SwitchPort *dst, int64_t now_ms)
{
}

static unsigned source_send(void *opaque, const Frame *frames, unsigned n,
                            int64_t now_ms)
{
    return n;
}

static const PortOps receiver_ops = { .send = receiver_send };
static const PortOps source_ops = { .send = source_send,
                                    .resume = source_resume };

static void clear(Fixture *f)
{
    unsigned i;

    for (i = 0; i < N_RECEIVERS; i++) {
        g_ptr_array_set_size(f->receivers[i].got, 0);
        f->receivers[i].n_sends = 0;
        f->receivers[i].room = UINT_MAX;
    }
}

static void fixture_set_up(Fixture *f, const void *data)
{
    SwitchConfig config = { .mtu_bytes = MTU };
    unsigned i;

    f->sw = switch_new(&config);
    f->src = switch_port_add(f->sw, &source_ops, NULL, 0, 4);
    for (i = 0; i < N_RECEIVERS; i++) {
        Receiver *receiver = &f->receivers[i];
        uint8_t bytes[60] = { 0 };
        struct iovec iov = { bytes, sizeof(bytes) };
        Frame frame;

        receiver->got = g_ptr_array_new_with_free_func(g_free);
        receiver->room = UINT_MAX;
        receiver->port = switch_port_add(f->sw, &receiver_ops, receiver, 0, 4);
        memcpy(bytes, src_mac, 6);
        memcpy(bytes + 6, macs[i], 6);
        frame_init(&frame, &iov, 1);
        switch_input(receiver->port, &frame, 1, 0);
    }
    clear(f);
}

static void fixture_tear_down(Fixture *f, const void *data)
{
    unsigned i;

    for (i = 0; i < N_RECEIVERS; i++) {
        switch_port_remove(f->receivers[i].port, 0);
        g_ptr_array_unref(f->receivers[i].got);
    }
    switch_port_remove(f->src, 0);
    switch_free(f->sw);
}

/* Describe @flat in pieces: @piece bytes each, or of all kinds (0). */
static unsigned split(FlatFrame *flat, size_t piece, struct iovec *iov)
{
    size_t done = 0, len;
    unsigned n = 0;

    while (done < flat->len) {
        len = piece ? piece : 1 + (size_t)n * n * 13 % 4000;
        if (n == 1000) {
            len = flat->len;
        }
        len = MIN(len, flat->len - done);
        iov[n++] = (struct iovec) { flat->bytes + done, len };
        done += len;
    }
    return n;
}

static bool input(Fixture *f, size_t piece)
{
    struct iovec iov[1001];
    Frame frame;

    frame_init(&frame, iov, split(&f->frame, piece, iov));
    frame.vnet = f->frame.vnet;
    return switch_input(f->src, &frame, 1, 0) == 1;
}

static uint64_t drops(SwitchPort *port, SwitchDrop reason)
{
    return switch_port_counters(port)->drops[reason];
}

static void assert_bytes(const FlatFrame *got, const FlatFrame *want)
{
    g_assert_cmpmem(got->bytes, got->len, want->bytes, want->len);
}

/* Segments as the slow segmenter makes them, with nothing left to be done. */
static void assert_segments(Fixture *f, const Receiver *receiver)
{
    static const struct virtio_net_hdr_v1 none;
    unsigned i;

    for (i = 0; slow_segment(&f->frame, i, &f->want); i++) {
        const FlatFrame *got;

        g_assert_cmpuint(i, <, receiver->got->len);
        got = g_ptr_array_index(receiver->got, i);
        assert_bytes(got, &f->want);
        g_assert_cmpmem(&got->vnet, sizeof(none), &none, sizeof(none));
    }
    g_assert_cmpuint(receiver->got->len, ==, i);
}

/* The frame as it is, with what its header may say. */
static void assert_unchanged(const Fixture *f, const Receiver *receiver)
{
    struct virtio_net_hdr_v1 vnet = f->frame.vnet;
    const FlatFrame *got;

    g_assert_cmpuint(receiver->got->len, ==, 1);
    got = g_ptr_array_index(receiver->got, 0);
    assert_bytes(got, &f->frame);
    if (vnet.gso_type == 0) {
        vnet.hdr_len = 0;
    }
    g_assert_cmpmem(&got->vnet, sizeof(vnet), &vnet, sizeof(vnet));
}

static void make(Fixture *f, const FrameShape *shape)
{
    flat_frame_make(shape, macs[0], src_mac, &f->frame);
    clear(f);
}

static void test_segments_are_right(Fixture *f, const void *data)
{
    static const size_t pieces[] = { FLAT_LEN_MAX, 0, 79, 1500 };
    size_t i, j;

    for (i = 0; i < G_N_ELEMENTS(frame_shapes); i++) {
        for (j = 0; j < G_N_ELEMENTS(pieces); j++) {
            make(f, &frame_shapes[i]);
            g_assert_true(input(f, pieces[j]));
            assert_segments(f, &f->receivers[0]);
        }
    }
}

static void test_who_takes_it_gets_it_whole(Fixture *f, const void *data)
{
    size_t i;

    switch_port_set_offloads(f->receivers[0].port, ALL);
    for (i = 0; i < G_N_ELEMENTS(frame_shapes); i++) {
        make(f, &frame_shapes[i]);
        g_assert_true(input(f, 0));
        assert_unchanged(f, &f->receivers[0]);
    }
}

/* Segments whose checksum is left to the receiver, and what it makes of them */
static void test_who_takes_checksums_gets_them_partial(Fixture *f,
                                                       const void *data)
{
    size_t i;
    unsigned j;

    switch_port_set_offloads(f->receivers[0].port, SWITCH_OFFLOAD_CSUM);
    for (i = 0; i < G_N_ELEMENTS(frame_shapes); i++) {
        make(f, &frame_shapes[i]);
        g_assert_true(input(f, 0));
        for (j = 0; slow_segment(&f->frame, j, &f->want); j++) {
            FlatFrame *got = g_ptr_array_index(f->receivers[0].got, j);
            SlowHeaders h = slow_headers(got->bytes);

            g_assert_cmpuint(got->vnet.flags, ==, VIRTIO_NET_HDR_F_NEEDS_CSUM);
            g_assert_cmpuint(got->vnet.gso_type, ==, 0);
            g_assert_cmpuint(GUINT16_FROM_LE(got->vnet.csum_start), ==, h.l4);
            g_assert_cmpuint(h.l4 + GUINT16_FROM_LE(got->vnet.csum_offset),
                             ==, h.csum);
            g_assert_cmphex(get16(got->bytes + h.csum), ==,
                            slow_pseudo(got->bytes, &h, got->len - h.l4));
            slow_complete(got->bytes, got->len);
            assert_bytes(got, &f->want);
        }
        g_assert_cmpuint(f->receivers[0].got->len, ==, j);
    }
}

/* A receiver that takes a few at a time: none is lost, none comes twice. */
static void test_full_in_the_middle(Fixture *f, const void *data)
{
    static const unsigned rooms[] = { 1, 7, 44, 63, 64, 65 };
    Receiver *receiver = &f->receivers[0];
    Frame frames[2];
    struct iovec iov[1001];
    size_t i, j;

    for (i = 0; i < G_N_ELEMENTS(frame_shapes); i++) {
        for (j = 0; j < G_N_ELEMENTS(rooms); j++) {
            unsigned n = 0, rounds = 0;

            make(f, &frame_shapes[i]);
            frame_init(&frames[0], iov, split(&f->frame, 0, iov));
            frames[0].vnet = f->frame.vnet;
            frames[1] = frames[0];
            while (n < 2) {
                receiver->room = rooms[j];
                n += switch_input(f->src, frames + n, 2 - n, 0);
                g_assert_cmpuint(rounds++, <=, 2 * LIMIT_SEGMENTS_PER_FRAME);
            }
            g_assert_cmpuint(receiver->got->len % 2, ==, 0);
            n = receiver->got->len / 2;
            g_ptr_array_remove_range(receiver->got, j % 2 ? n : 0, n);
            assert_segments(f, receiver);
        }
    }
    g_assert_cmpuint(drops(receiver->port, SWITCH_DROP_FULL), ==, 0);
}

static void test_what_is_left_after_the_wait_is_dropped(Fixture *f,
                                                        const void *data)
{
    Receiver *receiver = &f->receivers[0];
    const PortCounters *counters = switch_port_counters(receiver->port);
    uint64_t before = counters->output_frames;
    struct iovec iov[1001];
    Frame frame;

    make(f, &frame_shapes[0]);
    frame_init(&frame, iov, split(&f->frame, 0, iov));
    frame.vnet = f->frame.vnet;
    receiver->room = 10;
    g_assert_cmpuint(switch_input(f->src, &frame, 1, 0), ==, 0);
    g_assert_cmpuint(frame.n_sent, ==, 10);
    switch_park_expire(f->src, switch_parked_at(f->src));
    receiver->room = 5;
    g_assert_cmpuint(switch_input(f->src, &frame, 1, 0), ==, 1);
    g_assert_cmpuint(receiver->got->len, ==, 15);
    g_assert_cmpuint(drops(receiver->port, SWITCH_DROP_FULL), ==, 45 - 15);
    g_assert_cmpuint(counters->output_frames - before, ==, 15);
    g_assert_cmpuint(switch_port_counters(f->src)->input_frames, ==, 1);
}

/* Of one flooded frame each gets what it takes. */
static void test_flood_to_a_mixed_network(Fixture *f, const void *data)
{
    Receiver *r = f->receivers;

    switch_port_set_offloads(r[0].port, ALL);
    switch_port_set_offloads(r[2].port, ALL_TSO);
    flat_frame_make(&frame_shapes[10], group_mac, src_mac, &f->frame);
    g_assert_true(input(f, 0));
    assert_unchanged(f, &r[0]);
    assert_segments(f, &r[1]);
    assert_unchanged(f, &r[2]);

    /* CWR: the third has not said that it takes such frames. */
    clear(f);
    flat_frame_make(&frame_shapes[11], group_mac, src_mac, &f->frame);
    r[1].room = 1;
    g_assert_true(input(f, 0));
    assert_unchanged(f, &r[0]);
    g_assert_cmpuint(r[1].got->len, ==, 1);
    g_assert_cmpuint(drops(r[1].port, SWITCH_DROP_FULL), ==, 3);
    g_assert_cmpuint(r[2].got->len, ==, 4);
}

/* Frames that pass and frames that are cut keep their order, in one batch. */
static void test_mixed_batch(Fixture *f, const void *data)
{
    static const FrameShape plain = { "plain", .payload_len = 10 };
    g_autofree FlatFrame *small = g_new0(FlatFrame, 1);
    struct iovec iov[3];
    Frame frames[3];
    unsigned i;

    make(f, &frame_shapes[1]);
    flat_frame_make(&plain, macs[0], src_mac, small);
    slow_complete(small->bytes, small->len);
    for (i = 0; i < 3; i++) {
        FlatFrame *flat = i == 1 ? &f->frame : small;

        iov[i] = (struct iovec) { flat->bytes, flat->len };
        frame_init(&frames[i], &iov[i], 1);
    }
    frames[1].vnet = f->frame.vnet;
    g_assert_cmpuint(switch_input(f->src, frames, 3, 0), ==, 3);
    g_assert_cmpuint(f->receivers[0].n_sends, ==, 1);
    g_assert_cmpuint(f->receivers[0].got->len, ==, 5);
    assert_bytes(g_ptr_array_index(f->receivers[0].got, 0), small);
    assert_bytes(g_ptr_array_index(f->receivers[0].got, 4), small);
    g_ptr_array_remove_index(f->receivers[0].got, 4);
    g_ptr_array_remove_index(f->receivers[0].got, 0);
    assert_segments(f, &f->receivers[0]);
}

static void test_data_valid(Fixture *f, const void *data)
{
    const FlatFrame *got;

    switch_port_set_offloads(f->receivers[1].port, SWITCH_OFFLOAD_CSUM);
    flat_frame_make(&frame_shapes[18], group_mac, src_mac, &f->frame);
    slow_complete(f->frame.bytes, f->frame.len);
    f->frame.vnet = (struct virtio_net_hdr_v1) {
        .flags = VIRTIO_NET_HDR_F_DATA_VALID, .csum_start = 0x1234,
        .gso_size = 7, .num_buffers = 9,
    };
    g_assert_true(input(f, 0));
    got = g_ptr_array_index(f->receivers[0].got, 0);
    assert_bytes(got, &f->frame);
    g_assert_cmpuint(got->vnet.flags, ==, 0);
    got = g_ptr_array_index(f->receivers[1].got, 0);
    assert_bytes(got, &f->frame);
    g_assert_cmpuint(got->vnet.flags, ==, VIRTIO_NET_HDR_F_DATA_VALID);
    g_assert_cmpuint(got->vnet.csum_start, ==, 0);
    g_assert_cmpuint(got->vnet.gso_size, ==, 0);
    g_assert_cmpuint(got->vnet.num_buffers, ==, 0);
}

/* A TCP checksum of a packet within UDP (VXLAN), and behind two VLAN tags */
static void test_checksum_in_a_carried_packet(Fixture *f, const void *data)
{
    static const FrameShape inner_shape = { "inner", .payload_len = 333,
                                            .l4_extra = 12 };
    static const uint8_t tags[] = { 0x88, 0xa8, 0, 1, 0x81, 0, 0, 2 };
    g_autofree FlatFrame *inner = g_new0(FlatFrame, 1);
    FrameShape outer = { "outer", .is_udp = true };
    uint8_t *bytes = f->frame.bytes;
    unsigned i;

    for (i = 0; i < 2; i++) {
        /* Where the inner frame begins; its addresses count for both. */
        size_t offset = i == 0 ? 14 + 20 + 8 + 8 : sizeof(tags);

        flat_frame_make(&inner_shape, macs[0], src_mac, inner);
        outer.payload_len = 8 + inner->len;
        make(f, &outer);
        if (i == 1) {
            memcpy(bytes + 12, tags, sizeof(tags));
            f->frame.len = sizeof(tags) + inner->len;
        }
        f->frame.vnet = inner->vnet;
        f->frame.vnet.csum_start = GUINT16_TO_LE(34 + offset);
        memcpy(bytes + offset + 12, inner->bytes + 12, inner->len - 12);
        g_assert_true(input(f, 0));
        slow_complete(inner->bytes, inner->len);
        memcpy(bytes + offset + 12, inner->bytes + 12, inner->len - 12);
        g_assert_cmpuint(f->receivers[0].got->len, ==, 1);
        assert_bytes(g_ptr_array_index(f->receivers[0].got, 0), &f->frame);
    }
}

/* What is behind the IP packet is no part of a sum, but travels along. */
static void test_padding(Fixture *f, const void *data)
{
    static const FrameShape tiny = { "tiny", .is_udp = true,
                                     .payload_len = 1 };

    make(f, &tiny);
    memset(f->frame.bytes + f->frame.len, 0xee, 60 - f->frame.len);
    f->want = f->frame;
    slow_complete(f->want.bytes, f->want.len);
    f->frame.len = f->want.len = 60;
    g_assert_true(input(f, 0));
    g_assert_cmpuint(f->receivers[0].got->len, ==, 1);
    assert_bytes(g_ptr_array_index(f->receivers[0].got, 0), &f->want);
}

/* Mistakes, each made in a frame that is right otherwise */
typedef enum Mistake {
    GSO_WITHOUT_CSUM, GSO_SIZE_0, GSO_UFO, GSO_UNKNOWN, GSO_OTHER_FAMILY,
    GSO_OTHER_PROTO, GSO_FRAGMENT, GSO_SYN, GSO_TRAILING, GSO_ECN_OF_UDP,
    GSO_TOO_MANY, FLAG_UNKNOWN, CSUM_START_BEFORE, CSUM_START_BEHIND,
    CSUM_START_PAST_END, CSUM_OFFSET_OTHER, CSUM_OFFSET_HUGE, TCP_HEADER_LONG,
    IP_LENGTH_LIES, IP_CHECKSUM_BAD, UDP_LENGTH_LIES, ARP_WITH_GSO,
    TOO_MANY_PIECES, MISTAKE__MAX,
} Mistake;

static void make_mistake(Fixture *f, Mistake mistake)
{
    struct virtio_net_hdr_v1 *vnet = &f->frame.vnet;
    uint8_t *l3 = f->frame.bytes + 14, *l4 = l3 + 20;
    bool is_udp = mistake == GSO_ECN_OF_UDP || mistake == UDP_LENGTH_LIES;

    make(f, &frame_shapes[is_udp ? 14 : 1]);
    switch (mistake) {
    case GSO_WITHOUT_CSUM:
        vnet->flags = 0;
        break;
    case GSO_SIZE_0:
        vnet->gso_size = 0;
        break;
    case GSO_UFO:
        vnet->gso_type = VIRTIO_NET_HDR_GSO_UDP;
        break;
    case GSO_UNKNOWN:
        vnet->gso_type = 0x21;
        break;
    case GSO_OTHER_FAMILY:
        vnet->gso_type = VIRTIO_NET_HDR_GSO_TCPV6;
        break;
    case GSO_OTHER_PROTO:
        vnet->gso_type = VIRTIO_NET_HDR_GSO_UDP_L4;
        break;
    case GSO_FRAGMENT:
        l3[6] = 0x20;
        slow_set_lengths(f->frame.bytes, f->frame.len);
        break;
    case GSO_SYN:
        l4[13] |= 0x02;
        break;
    case GSO_TRAILING:
        f->frame.len++;
        break;
    case GSO_ECN_OF_UDP:
        vnet->gso_type |= VIRTIO_NET_HDR_GSO_ECN;
        break;
    case GSO_TOO_MANY:
        vnet->gso_size = GUINT16_TO_LE(1);
        break;
    case FLAG_UNKNOWN:
        vnet->flags |= 4;
        break;
    case CSUM_START_BEFORE:
        vnet->csum_start = GUINT16_TO_LE(33);
        break;
    case CSUM_START_BEHIND:
        vnet->csum_start = GUINT16_TO_LE(35);
        break;
    case CSUM_START_PAST_END:
        vnet->csum_start = 0xffff;
        break;
    case CSUM_OFFSET_OTHER:
        vnet->csum_offset = GUINT16_TO_LE(14);
        break;
    case CSUM_OFFSET_HUGE:
        vnet->csum_offset = 0xffff;
        break;
    case TCP_HEADER_LONG:
        f->frame.len = 14 + 20 + 40;
        l4[12] = 0xf0;
        slow_set_lengths(f->frame.bytes, f->frame.len);
        break;
    case IP_LENGTH_LIES:
        put16(l3 + 2, f->frame.len);
        break;
    case IP_CHECKSUM_BAD:
        l3[10]++;
        break;
    case UDP_LENGTH_LIES:
        put16(l4 + 4, 9);
        break;
    case ARP_WITH_GSO:
        put16(l3 - 2, 0x0806);
        break;
    case TOO_MANY_PIECES:
    case MISTAKE__MAX:
        break;
    }
}

static void test_lies_are_refused(Fixture *f, const void *data)
{
    struct iovec iov[1025] = { 0 };
    Frame frame;
    Mistake i;

    switch_port_set_offloads(f->receivers[0].port, ALL);
    for (i = 0; i < MISTAKE__MAX; i++) {
        make_mistake(f, i);
        iov[0] = (struct iovec) { f->frame.bytes, f->frame.len };
        frame_init(&frame, iov, i == TOO_MANY_PIECES ? 1025 : 1);
        frame.vnet = f->frame.vnet;
        g_test_message("mistake %u", i);
        g_assert_cmpuint(switch_input(f->src, &frame, 1, 0), ==, 1);
        g_assert_cmpuint(drops(f->src, SWITCH_DROP_BAD_OFFLOAD), ==, i + 1);
        g_assert_cmpuint(f->receivers[0].got->len, ==, 0);
    }
}

/* Every value of every field: bounded, and never passed on unless it is true */
static void test_every_header_is_survived(Fixture *f, const void *data)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(1);
    unsigned i, j;

    for (i = 0; i < 20000; i++) {
        uint8_t *vnet = (uint8_t *)&f->frame.vnet;
        unsigned piece = g_rand_int_range(rand, 1, 200);

        if (i % 100 == 0) {
            make(f, &frame_shapes[i / 100 % G_N_ELEMENTS(frame_shapes)]);
            f->frame.len = MIN(f->frame.len, 4000);
            slow_set_lengths(f->frame.bytes, f->frame.len);
        }
        for (j = 0; j < 3; j++) {
            vnet[g_rand_int_range(rand, 0, sizeof(f->frame.vnet))] =
                g_rand_int(rand) % 80;
        }
        f->frame.bytes[g_rand_int_range(rand, 12, 100)] = g_rand_int(rand);
        input(f, piece);
        g_ptr_array_set_size(f->receivers[0].got, 0);
    }
}

static void test_mtu_is_that_of_segments(Fixture *f, const void *data)
{
    FrameShape shape = { "mtu", .l4_extra = 12, .tcp_flags = 0x10,
                         .payload_len = 20000, .gso_size = MTU - 52 };

    switch_port_set_offloads(f->receivers[0].port, ALL);
    make(f, &shape);
    g_assert_true(input(f, 0));
    assert_unchanged(f, &f->receivers[0]);
    shape.gso_size++;
    make(f, &shape);
    g_assert_true(input(f, 0));
    g_assert_cmpuint(f->receivers[0].got->len, ==, 0);
    g_assert_cmpuint(drops(f->src, SWITCH_DROP_GIANT), ==, 1);

    /* Not to be cut: the whole frame counts. */
    shape = (FrameShape) { "csum", .payload_len = MTU - 39 };
    make(f, &shape);
    g_assert_true(input(f, 0));
    g_assert_cmpuint(drops(f->src, SWITCH_DROP_GIANT), ==, 2);
}

static void test_without_checksums_no_segments(Fixture *f, const void *data)
{
    switch_port_set_offloads(f->receivers[0].port, SWITCH_OFFLOAD_TSO4);
    g_assert_cmpuint(switch_port_offloads(f->receivers[0].port), ==, 0);
    make(f, &frame_shapes[1]);
    g_assert_true(input(f, 0));
    assert_segments(f, &f->receivers[0]);
}

#define ADD(path, func)                                                     \
    g_test_add("/segment/" path, Fixture, NULL, fixture_set_up, func,       \
               fixture_tear_down)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("cut/segments-are-right", test_segments_are_right);
    ADD("cut/partial-checksums", test_who_takes_checksums_gets_them_partial);
    ADD("cut/mixed-batch", test_mixed_batch);
    ADD("cut/needs-checksums", test_without_checksums_no_segments);
    ADD("pass/whole", test_who_takes_it_gets_it_whole);
    ADD("pass/flood-to-a-mixed-network", test_flood_to_a_mixed_network);
    ADD("pass/data-valid", test_data_valid);
    ADD("checksum/in-a-carried-packet", test_checksum_in_a_carried_packet);
    ADD("checksum/padding", test_padding);
    ADD("full/in-the-middle", test_full_in_the_middle);
    ADD("full/left-after-the-wait",
        test_what_is_left_after_the_wait_is_dropped);
    ADD("refuse/lies", test_lies_are_refused);
    ADD("refuse/every-header-is-survived", test_every_header_is_survived);
    ADD("refuse/mtu-is-that-of-segments", test_mtu_is_that_of_segments);
    return g_test_run();
}
