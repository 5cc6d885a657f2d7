/*
 * Ports: frames over streams, VMMs that come, stall, lie and go
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "port-vms.h"

static void test_stream_carries_frames(Fixture *f, const void *data)
{
    uint8_t sent[FRAME_LEN], buf[HEADER_LEN + FRAME_LEN];

    stream_pair(f);
    make_frame(sent, 0xb, 0xa, FRAME_LEN, 7);
    vm_write(&f->a, buf, make_framed(buf, 0xb, 0xa, FRAME_LEN, 7));
    run(f);
    g_assert_cmpuint(vm_read_framed(&f->b, buf), ==, FRAME_LEN);
    g_assert_cmpmem(buf, FRAME_LEN, sent, FRAME_LEN);
    g_assert_cmpuint(vm_read_framed(&f->a, buf), ==, 0);
    g_assert_cmpuint(counters(&f->a)->input_frames, ==, 2);
    g_assert_cmpuint(counters(&f->b)->output_frames, ==, 2);
    g_assert_cmpuint(counters(&f->b)->output_bytes, ==, 2 * FRAME_LEN);
}

static void test_stream_pads(Fixture *f, const void *data)
{
    uint8_t buf[FRAME_LEN];

    stream_pair(f);
    vm_write(&f->a, buf, make_framed(buf, 0xb, 0xa, 42, 1));
    run(f);
    g_assert_cmpuint(vm_read_framed(&f->b, buf), ==, 60);
    g_assert_cmpuint(buf[41], ==, 0x5a);
    g_assert_cmpuint(buf[42] | buf[59], ==, 0);
}

static void test_stream_split_anywhere(Fixture *f, const void *data)
{
    uint8_t wire[3 * (HEADER_LEN + FRAME_LEN)], buf[FRAME_LEN];
    size_t split, len = 0;
    unsigned i;

    stream_pair(f);
    for (i = 0; i < 3; i++) {
        len += make_framed(wire + len, 0xb, 0xa, FRAME_LEN, i);
    }
    for (split = 1; split < len; split++) {
        vm_write(&f->a, wire, split);
        run(f);
        vm_write(&f->a, wire + split, len - split);
        run(f);
        for (i = 0; i < 3; i++) {
            g_assert_cmpuint(vm_read_framed(&f->b, buf), ==, FRAME_LEN);
            g_assert_cmpmem(buf, FRAME_LEN,
                            wire + i * (HEADER_LEN + FRAME_LEN) + HEADER_LEN,
                            FRAME_LEN);
        }
        g_assert_cmpuint(vm_read_framed(&f->b, buf), ==, 0);
    }
}

static void test_stream_byte_by_byte(Fixture *f, const void *data)
{
    uint8_t wire[HEADER_LEN + FRAME_LEN], buf[FRAME_LEN];
    size_t i, len = make_framed(wire, 0xb, 0xa, FRAME_LEN, 1);

    stream_pair(f);
    for (i = 0; i < len; i++) {
        g_assert_cmpuint(vm_read_framed(&f->b, buf), ==, 0);
        vm_write(&f->a, wire + i, 1);
        run(f);
    }
    g_assert_cmpuint(vm_read_framed(&f->b, buf), ==, FRAME_LEN);
}

/* Who sends the smallest frames gets no more turns than others. */
static void test_stream_small_frames_take_turns(Fixture *f, const void *data)
{
    enum { N = 3000 };
    g_autofree uint8_t *wire = g_malloc(N * (HEADER_LEN + 14));
    size_t len = 0;
    unsigned i;

    stream_pair(f);
    for (i = 0; i < N; i++) {
        len += make_framed(wire + len, 0xff, 0xa, 14, i);
    }
    port_disconnect(f->b.port);
    vm_write(&f->a, wire, len);
    g_main_context_iteration(f->context, FALSE);
    g_assert_cmpuint(counters(&f->a)->input_frames, ==, 1 + 256);
    g_main_context_iteration(f->context, FALSE);
    g_assert_cmpuint(counters(&f->a)->input_frames, ==, 1 + 512);
    run(f);
    g_assert_cmpuint(counters(&f->a)->input_frames, ==, 1 + N);
    vm_close(&f->b);
}

static void test_stream_many_at_once(Fixture *f, const void *data)
{
    enum { N = 300 };
    g_autofree uint8_t *wire = g_malloc(N * (HEADER_LEN + FRAME_LEN));
    uint8_t buf[FRAME_LEN];
    size_t len = 0;
    unsigned i, seq;

    stream_pair(f);
    for (i = 0; i < N; i++) {
        len += make_framed(wire + len, 0xb, 0xa, FRAME_LEN, i);
    }
    vm_write(&f->a, wire, len);
    run(f);
    for (i = 0; i < N; i++) {
        g_assert_cmpuint(vm_read_framed(&f->b, buf), ==, FRAME_LEN);
        memcpy(&seq, buf + 14, sizeof(seq));
        g_assert_cmpuint(seq, ==, i);
    }
}

static void check_bad_length(Fixture *f, uint32_t len, const char *text)
{
    uint8_t buf[HEADER_LEN + FRAME_LEN];
    uint32_t header = GUINT32_TO_BE(len);

    stream_pair(f);
    vm_write(&f->a, buf, make_framed(buf, 0xb, 0xa, FRAME_LEN, 1));
    vm_write(&f->a, &header, sizeof(header));
    vm_write(&f->a, buf, sizeof(buf));
    run(f);
    g_assert_cmpuint(vm_read_framed(&f->b, buf), ==, FRAME_LEN);
    g_assert_cmpuint(f->a.n_ended, ==, 1);
    g_assert_nonnull(strstr(f->a.reason, text));
    g_assert_false(port_is_connected(f->a.port));
    g_assert_cmpuint(f->b.n_ended, ==, 0);

    /* It may come back. */
    vm_close(&f->a);
    vm_close(&f->b);
    run(f);
    stream_pair(f);
}

static void test_stream_length_0(Fixture *f, const void *data)
{
    check_bad_length(f, 0, " 0,");
}

static void test_stream_length_too_long(Fixture *f, const void *data)
{
    check_bad_length(f, FRAME_LEN_MAX + 1, " 65554,");
}

static void test_stream_length_huge(Fixture *f, const void *data)
{
    check_bad_length(f, UINT32_MAX, " 4294967295,");
}

static void test_stream_giant_is_dropped(Fixture *f, const void *data)
{
    g_autofree uint8_t *buf = g_malloc(HEADER_LEN + FRAME_LEN_MAX);

    stream_pair(f);
    vm_write(&f->a, buf, make_framed(buf, 0xb, 0xa, MTU + 15, 1));
    vm_write(&f->a, buf, make_framed(buf, 0xb, 0xa, FRAME_LEN_MAX, 1));
    vm_write(&f->a, buf, make_framed(buf, 0xb, 0xa, MTU + 14, 1));
    run(f);
    g_assert_cmpuint(vm_read_framed(&f->b, buf), ==, MTU + 14);
    g_assert_cmpuint(vm_read_framed(&f->b, buf), ==, 0);
    g_assert_cmpuint(counters(&f->a)->drops[SWITCH_DROP_GIANT], ==, 2);
}

static void test_stream_garbage(Fixture *f, const void *data)
{
    uint8_t buf[4096];
    unsigned i, n;

    for (i = 0; i < 200; i++) {
        vm_connect(&f->a, PORT_KIND_STREAM, SOCK_STREAM);
        for (n = 0; n < sizeof(buf); n++) {
            buf[n] = n % 4 < 3 && g_test_rand_bit() ? 0 : g_test_rand_int();
        }
        vm_write(&f->a, buf, sizeof(buf));
        vm_close(&f->a);
        run(f);
        g_assert_cmpuint(f->a.n_ended, ==, i + 1);
        g_assert_false(port_is_connected(f->a.port));
    }
}

static void test_stream_end_is_orderly(Fixture *f, const void *data)
{
    stream_pair(f);
    vm_close(&f->a);
    run(f);
    g_assert_cmpuint(f->a.n_ended, ==, 1);
    g_assert_null(f->a.reason);
    g_assert_null(switch_lookup(f->sw, &(MacAddr) { { 2, 0, 0, 0, 0, 0xa } },
                                loop_now_ms()));
}

static void test_stream_end_within_frame(Fixture *f, const void *data)
{
    uint8_t buf[HEADER_LEN + FRAME_LEN];

    stream_pair(f);
    make_framed(buf, 0xb, 0xa, FRAME_LEN, 1);
    vm_write(&f->a, buf, 54);
    vm_close(&f->a);
    run(f);
    g_assert_nonnull(strstr(f->a.reason, "50 bytes short"));
}

static void test_end_may_free_port(Fixture *f, const void *data)
{
    stream_pair(f);
    f->a.free_on_end = f->b.free_on_end = true;
    vm_close(&f->a);
    vm_close(&f->b);
    run(f);
    g_assert_null(f->a.port);
    g_assert_null(f->b.port);
}

static void test_end_is_noticed_by_sender(Fixture *f, const void *data)
{
    uint8_t buf[HEADER_LEN + FRAME_LEN];

    /* Both events are in one batch, whichever comes first. */
    stream_pair(f);
    f->b.free_on_end = true;
    vm_write(&f->a, buf, make_framed(buf, 0xb, 0xa, FRAME_LEN, 1));
    vm_close(&f->b);
    run(f);
    g_assert_cmpuint(f->b.n_ended, ==, 1);
    g_assert_null(f->b.reason);
    g_assert_null(f->b.port);
    g_assert_cmpuint(f->a.n_ended, ==, 0);
}

static void test_not_connected_is_counted(Fixture *f, const void *data)
{
    uint8_t buf[HEADER_LEN + FRAME_LEN];

    vm_connect(&f->a, PORT_KIND_STREAM, SOCK_STREAM);
    vm_write(&f->a, buf, make_framed(buf, 0xb, 0xa, FRAME_LEN, 1));
    run(f);
    g_assert_cmpuint(counters(&f->b)->drops[SWITCH_DROP_NOT_CONNECTED], ==, 1);
    g_assert_cmpuint(counters(&f->b)->output_frames, ==, 0);
}

/* Send @n frames from a to b as fast as a's socket takes them. */
static void push(Fixture *f, unsigned *seq, unsigned n, size_t len)
{
    g_autofree uint8_t *buf = g_malloc(HEADER_LEN + len);

    while (n--) {
        size_t done = 0, total = make_framed(buf, 0xb, 0xa, len, (*seq)++);

        while (done < total) {
            ssize_t sent = send(f->a.fd, buf + done, total - done, 0);

            if (sent < 0) {
                g_assert_cmpint(errno, ==, EAGAIN);
                g_main_context_iteration(f->context, TRUE);
            } else {
                done += sent;
            }
        }
    }
}

static void test_stalled_reader_costs_its_own(Fixture *f, const void *data)
{
    Vm c;
    uint8_t buf[MTU + 18];
    unsigned i, seq = 0, last = 0, n = 0;

    stream_pair(f);
    vm_init(&c, f);
    vm_connect(&c, PORT_KIND_STREAM, SOCK_STREAM);
    vm_write(&c, buf, make_framed(buf, 0xa, 0xc, FRAME_LEN, 1));
    run(f);

    /* b does not read; a is held up, but not for ever. */
    vm_shrink_send_buffer(&f->b);
    push(f, &seq, 3000, MTU);
    run(f);
    g_assert_cmpuint(counters(&f->b)->drops[SWITCH_DROP_FULL], >, 0);
    g_assert_cmpuint(f->b.n_ended, ==, 0);

    /* a and c still reach each other. */
    for (i = 0; i < 3; i++) {
        vm_write(&f->a, buf, make_framed(buf, 0xc, 0xa, FRAME_LEN, i));
        run(f);
        g_assert_cmpuint(vm_read_framed(&c, buf), ==, FRAME_LEN);
    }

    /* What b gets when it wakes up is whole and in order. */
    for (;;) {
        size_t len = vm_read_framed(&f->b, buf);
        unsigned this;

        if (!len) {
            run(f);
            len = vm_read_framed(&f->b, buf);
        }
        if (!len) {
            break;
        }
        g_assert_cmpuint(len, ==, MTU);
        memcpy(&this, buf + 14, sizeof(this));
        g_assert_true(n == 0 || this > last);
        last = this;
        n++;
    }
    g_assert_cmpuint(n, ==, counters(&f->b)->output_frames - 1);
    g_assert_cmpuint(n + counters(&f->b)->drops[SWITCH_DROP_FULL], ==, 3000);

    /* And from then on all. */
    push(f, &seq, 20, MTU);
    run(f);
    for (i = 0; i < 20; i++) {
        g_assert_cmpuint(vm_read_framed(&f->b, buf), ==, MTU);
    }
    port_free(c.port);
    vm_close(&c);
}

static void test_slow_reader_loses_nothing(Fixture *f, const void *data)
{
    uint8_t buf[MTU + 18];
    unsigned i, j, n = 0, seq = 0;

    /* Always less on the way than queue and sockets hold. */
    stream_pair(f);
    vm_shrink_send_buffer(&f->b);
    for (i = 0; i < 100; i++) {
        push(f, &seq, 100, MTU);
        for (j = 0; j < 100; j++, n++) {
            unsigned this;

            run_until_readable(f, f->b.fd);
            g_assert_cmpuint(vm_read_framed(&f->b, buf), ==, MTU);
            memcpy(&this, buf + 14, sizeof(this));
            g_assert_cmpuint(this, ==, n);
        }
    }
    g_assert_cmpuint(counters(&f->b)->drops[SWITCH_DROP_FULL], ==, 0);
}

static void test_leaves_while_queue_is_full(Fixture *f, const void *data)
{
    uint8_t buf[MTU + 18];
    unsigned seq = 0;

    stream_pair(f);
    vm_shrink_send_buffer(&f->b);
    push(f, &seq, 1000, MTU);
    vm_close(&f->b);
    run(f);
    g_assert_cmpuint(f->b.n_ended, ==, 1);
    vm_connect(&f->b, PORT_KIND_STREAM, SOCK_STREAM);
    push(f, &seq, 1, FRAME_LEN);
    run(f);
    g_assert_cmpuint(vm_read_framed(&f->b, buf), ==, FRAME_LEN);
    g_assert_cmpuint(vm_read_framed(&f->b, buf), ==, 0);
}

static void test_idle_port_sets_no_timer(Fixture *f, const void *data)
{
    int timeout;

    stream_pair(f);
    run(f);
    g_main_context_prepare(f->context, NULL);
    g_main_context_query(f->context, G_MAXINT, &timeout, NULL, 0);
    g_assert_cmpint(timeout, ==, -1);
}

static void refuse(Fixture *f, PortKind kind, int fd, const char *text)
{
    g_autoptr(GError) error = NULL;

    g_assert_false(port_connect(f->a.port, kind, fd, &error));
    g_assert_nonnull(strstr(error->message, text));
    g_assert_cmpint(close(fd), ==, -1);
}

static void test_wrong_sockets_are_refused(Fixture *f, const void *data)
{
    g_autoptr(GError) error = NULL;
    int fds[2];

    g_assert_cmpint(pipe(fds), ==, 0);
    refuse(f, PORT_KIND_STREAM, fds[0], "fd");
    close(fds[1]);
    refuse(f, PORT_KIND_DGRAM, socket(AF_UNIX, SOCK_STREAM, 0), "SOCK_DGRAM");
    refuse(f, PORT_KIND_STREAM, socket(AF_UNIX, SOCK_DGRAM, 0), "SOCK_STREAM");
    refuse(f, PORT_KIND_STREAM, socket(AF_UNIX, SOCK_STREAM, 0), "fd");
    refuse(f, PORT_KIND_DGRAM, socket(AF_UNIX, SOCK_SEQPACKET, 0), "fd");
    refuse(f, PORT_KIND_DGRAM, socket(AF_UNIX, SOCK_DGRAM, 0), "fd");
    g_assert_false(port_is_connected(f->a.port));

    vm_connect(&f->a, PORT_KIND_STREAM, SOCK_STREAM);
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), ==, 0);
    refuse(f, PORT_KIND_STREAM, fds[0], "connected already");
    close(fds[1]);
    g_assert_true(port_is_connected(f->a.port));
    g_assert_cmpint(port_kind(f->a.port), ==, PORT_KIND_STREAM);
}

static void test_disconnect_is_silent(Fixture *f, const void *data)
{
    char byte;

    stream_pair(f);
    port_disconnect(f->a.port);
    run(f);
    g_assert_cmpuint(f->a.n_ended, ==, 0);
    g_assert_cmpint(recv(f->a.fd, &byte, 1, 0), ==, 0);
    vm_close(&f->a);
    g_assert_cmpuint(counters(&f->a)->input_frames, ==, 1);
    vm_connect(&f->a, PORT_KIND_DGRAM, SOCK_DGRAM);
    g_assert_cmpint(port_kind(f->a.port), ==, PORT_KIND_DGRAM);
}

static void test_isolation(Fixture *f, const void *data)
{
    uint8_t buf[HEADER_LEN + FRAME_LEN];

    stream_pair(f);
    port_set_isolated(f->b.port, true);
    vm_write(&f->a, buf, make_framed(buf, 0xb, 0xa, FRAME_LEN, 1));
    run(f);
    g_assert_cmpuint(vm_read_framed(&f->b, buf), ==, 0);
    g_assert_cmpuint(counters(&f->a)->drops[SWITCH_DROP_ISOLATED], ==, 1);
    port_set_isolated(f->b.port, false);
    vm_write(&f->a, buf, make_framed(buf, 0xb, 0xa, FRAME_LEN, 1));
    run(f);
    g_assert_cmpuint(vm_read_framed(&f->b, buf), ==, FRAME_LEN);
}

static void test_queue_is_a_ring(void)
{
    PortQueue queue = { 0 };
    g_autofree uint8_t *data = g_malloc(PORT_BUFFER_LEN);
    struct iovec iov[2];
    uint32_t value;
    unsigned i;

    for (i = 0; i < PORT_BUFFER_LEN; i++) {
        data[i] = i * 7;
    }
    port_queue_append(&queue, data, PORT_BUFFER_LEN);
    g_assert_cmpuint(port_queue_room(&queue), ==, 0);
    port_queue_consume(&queue, PORT_BUFFER_LEN - 2);
    value = 0x12345678;
    port_queue_append(&queue, &value, sizeof(value));
    port_queue_consume(&queue, 1);
    g_assert_cmphex(port_queue_u32(&queue, 1), ==, value);
    g_assert_cmpuint(port_queue_peek(&queue, 0, 5, iov), ==, 2);
    g_assert_cmpuint(iov[0].iov_len, ==, 1);
    g_assert_cmpuint(iov[1].iov_len, ==, 4);
    g_assert_cmphex(*(uint8_t *)iov[0].iov_base, ==,
                    data[PORT_BUFFER_LEN - 1]);
    port_queue_consume(&queue, 5);
    g_assert_null(queue.buf);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("stream/carries-frames", test_stream_carries_frames);
    ADD("stream/pads", test_stream_pads);
    ADD("stream/split-anywhere", test_stream_split_anywhere);
    ADD("stream/byte-by-byte", test_stream_byte_by_byte);
    ADD("stream/many-at-once", test_stream_many_at_once);
    ADD("stream/small-frames-take-turns", test_stream_small_frames_take_turns);
    ADD("stream/length-0", test_stream_length_0);
    ADD("stream/length-too-long", test_stream_length_too_long);
    ADD("stream/length-huge", test_stream_length_huge);
    ADD("stream/giant-is-dropped", test_stream_giant_is_dropped);
    ADD("stream/garbage", test_stream_garbage);
    ADD("stream/end-is-orderly", test_stream_end_is_orderly);
    ADD("stream/end-within-frame", test_stream_end_within_frame);
    ADD("stream/stalled-reader", test_stalled_reader_costs_its_own);
    ADD("stream/slow-reader", test_slow_reader_loses_nothing);
    ADD("stream/leaves-while-queue-is-full", test_leaves_while_queue_is_full);
    ADD("end/may-free-port", test_end_may_free_port);
    ADD("end/is-noticed-by-sender", test_end_is_noticed_by_sender);
    ADD("connect/not-connected-is-counted", test_not_connected_is_counted);
    ADD("connect/wrong-sockets-are-refused", test_wrong_sockets_are_refused);
    ADD("connect/disconnect-is-silent", test_disconnect_is_silent);
    ADD("isolation", test_isolation);
    ADD("idle-sets-no-timer", test_idle_port_sets_no_timer);
    g_test_add_func("/port/queue-is-a-ring", test_queue_is_a_ring);
    return g_test_run();
}
