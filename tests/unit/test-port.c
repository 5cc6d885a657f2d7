/*
 * Ports: frames over sockets of each kind, VMMs that come, stall, lie and go
 *
 *   VMM a --socketpair-- port a --+
 *                                 switch
 *   VMM b --socketpair-- port b --+
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "port/buffer.h"
#include "port/port.h"

#define MTU 1500
#define HEADER_LEN 4
#define FRAME_LEN 100

typedef struct Fixture Fixture;

typedef struct Vm {
    Fixture *f;
    Port *port;
    int fd, port_fd;
    unsigned n_ended;
    char *reason;
    bool free_on_end;
} Vm;

struct Fixture {
    GMainContext *context;
    Loop *loop;
    Switch *sw;
    uint32_t mtu_bytes;
    Vm a, b;
};

static void disconnected(void *opaque, const char *reason)
{
    Vm *vm = opaque;

    vm->n_ended++;
    g_free(vm->reason);
    vm->reason = g_strdup(reason);
    if (vm->free_on_end) {
        g_clear_pointer(&vm->port, port_free);
    }
}

static const PortEvents events = { .disconnected = disconnected };

static void vm_init(Vm *vm, Fixture *f)
{
    *vm = (Vm) { .f = f, .fd = -1 };
    vm->port = port_new(f->loop, f->sw, 0, f->mtu_bytes, &events, vm);
}

static void vm_close(Vm *vm)
{
    if (vm->fd >= 0) {
        close(vm->fd);
        vm->fd = -1;
    }
}

static void vm_connect(Vm *vm, PortKind kind, int type)
{
    g_autoptr(GError) error = NULL;
    int fds[2];

    g_assert_cmpint(socketpair(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC,
                               0, fds), ==, 0);
    g_assert_true(port_connect(vm->port, kind, fds[0], &error));
    g_assert_no_error(error);
    vm->fd = fds[1];
    vm->port_fd = fds[0];
}

/* What an unprivileged daemon gets where net.core.wmem_max is small. */
static void vm_shrink_send_buffer(Vm *vm)
{
    int bytes = 212992 / 2;

    g_assert_cmpint(setsockopt(vm->port_fd, SOL_SOCKET, SO_SNDBUF, &bytes,
                               sizeof(bytes)), ==, 0);
}

static void fixture_set_up(Fixture *f, const void *data)
{
    SwitchConfig config = {
        .mtu_bytes = GPOINTER_TO_UINT(data),
        .gateway_mac = { { 2, 0, 0, 0, 0, 0xff } },
    };

    f->mtu_bytes = config.mtu_bytes;
    f->context = g_main_context_new();
    f->loop = loop_new(f->context, NULL);
    f->sw = switch_new(&config);
    vm_init(&f->a, f);
    vm_init(&f->b, f);
}

static void fixture_tear_down(Fixture *f, const void *data)
{
    port_free(f->a.port);
    port_free(f->b.port);
    vm_close(&f->a);
    vm_close(&f->b);
    g_free(f->a.reason);
    g_free(f->b.reason);
    switch_free(f->sw);
    loop_free(f->loop);
    g_main_context_unref(f->context);
}

/* Let the loop do all that it can do now. */
static void run(Fixture *f)
{
    while (g_main_context_iteration(f->context, FALSE)) {
    }
}

/* Let it also wait for timers until @fd is readable. */
static void run_until_readable(Fixture *f, int fd)
{
    char byte;

    while (recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0) {
        g_assert_cmpint(errno, ==, EAGAIN);
        g_main_context_iteration(f->context, TRUE);
    }
}

static PortCounters *counters(Vm *vm)
{
    return switch_port_counters(port_switch_port(vm->port));
}

/* Frame @seq of @len bytes from station @src to @dst. */
static void make_frame(uint8_t *frame, uint8_t dst, uint8_t src, size_t len,
                       unsigned seq)
{
    static const uint8_t base[6] = { 2, 0, 0, 0, 0, 0 };

    memset(frame, 0x5a, len);
    memcpy(frame, base, 6);
    memcpy(frame + 6, base, 6);
    frame[5] = dst;
    frame[11] = src;
    frame[12] = 0x88;
    frame[13] = 0xb5;
    if (len >= 18) {
        memcpy(frame + 14, &seq, sizeof(seq));
    }
}

/* The same with its length in front. Returns: bytes. */
static size_t make_framed(uint8_t *buf, uint8_t dst, uint8_t src, size_t len,
                          unsigned seq)
{
    uint32_t header = GUINT32_TO_BE(len);

    memcpy(buf, &header, sizeof(header));
    make_frame(buf + HEADER_LEN, dst, src, len, seq);
    return HEADER_LEN + len;
}

static void vm_write(Vm *vm, const void *data, size_t len)
{
    g_assert_cmpint(send(vm->fd, data, len, 0), ==, len);
}

/* Read @len bytes, or nothing if nothing is there. */
static size_t vm_read_bytes(Vm *vm, void *buf, size_t len)
{
    size_t done = 0;

    while (done < len) {
        ssize_t n = recv(vm->fd, (uint8_t *)buf + done, len - done, 0);

        if (n < 0) {
            g_assert_cmpint(errno, ==, EAGAIN);
            if (done == 0) {
                return 0;
            }
            run(vm->f);
        } else {
            g_assert_cmpint(n, >, 0);
            done += n;
        }
    }
    return done;
}

/* Read one frame of a stream. Returns: its length; 0: nothing is there. */
static size_t vm_read_framed(Vm *vm, uint8_t *frame)
{
    uint32_t header;

    if (!vm_read_bytes(vm, &header, sizeof(header))) {
        return 0;
    }
    header = GUINT32_FROM_BE(header);
    g_assert_cmpuint(header, <=, FRAME_LEN_MAX);
    g_assert_cmpuint(vm_read_bytes(vm, frame, header), ==, header);
    return header;
}

static void stream_pair(Fixture *f)
{
    uint8_t buf[HEADER_LEN + FRAME_LEN];

    vm_connect(&f->a, PORT_KIND_STREAM, SOCK_STREAM);
    vm_connect(&f->b, PORT_KIND_STREAM, SOCK_STREAM);
    /* Make the stations known: nothing after this is flooded. */
    vm_write(&f->a, buf, make_framed(buf, 0xb, 0xa, FRAME_LEN, 0));
    vm_write(&f->b, buf, make_framed(buf, 0xa, 0xb, FRAME_LEN, 0));
    run(f);
    g_assert_cmpuint(vm_read_framed(&f->a, buf), ==, FRAME_LEN);
    g_assert_cmpuint(vm_read_framed(&f->b, buf), ==, FRAME_LEN);
}

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

static size_t vm_recv(Vm *vm, void *buf, size_t len)
{
    ssize_t n = recv(vm->fd, buf, len, 0);

    g_assert_true(n >= 0 || errno == EAGAIN);
    return n < 0 ? 0 : n;
}

static void check_datagrams(Fixture *f, int type)
{
    uint8_t frame[MTU + 18], buf[MTU + 18];
    unsigned i;

    vm_connect(&f->a, PORT_KIND_DGRAM, type);
    vm_connect(&f->b, PORT_KIND_DGRAM, type);
    for (i = 0; i < 200; i++) {
        size_t len = 14 + i;

        make_frame(frame, 0xb, 0xa, len, i);
        vm_write(&f->a, frame, len);
        run(f);
        g_assert_cmpuint(vm_recv(&f->b, buf, sizeof(buf)), ==, MAX(len, 60));
        g_assert_cmpmem(buf, len, frame, len);
    }
    make_frame(frame, 0xb, 0xa, MTU + 14, 0);
    vm_write(&f->a, frame, MTU + 14);
    run(f);
    g_assert_cmpuint(vm_recv(&f->b, buf, sizeof(buf)), ==, MTU + 14);
}

static void test_dgram_carries_frames(Fixture *f, const void *data)
{
    check_datagrams(f, SOCK_DGRAM);
}

static void test_seqpacket_carries_frames(Fixture *f, const void *data)
{
    check_datagrams(f, SOCK_SEQPACKET);
    vm_close(&f->a);
    run(f);
    g_assert_cmpuint(f->a.n_ended, ==, 1);
    g_assert_null(f->a.reason);
}

static void test_dgram_truncated_is_giant(Fixture *f, const void *data)
{
    g_autofree uint8_t *frame = g_malloc(FRAME_LEN_MAX);
    uint8_t buf[MTU + 18];

    vm_connect(&f->a, PORT_KIND_DGRAM, SOCK_DGRAM);
    vm_connect(&f->b, PORT_KIND_DGRAM, SOCK_DGRAM);
    make_frame(frame, 0xb, 0xa, FRAME_LEN_MAX, 0);
    vm_write(&f->a, frame, FRAME_LEN_MAX);
    vm_write(&f->a, frame, MTU + 19);
    vm_write(&f->a, frame, MTU + 15);
    vm_write(&f->a, frame, FRAME_LEN);
    run(f);
    g_assert_cmpuint(vm_recv(&f->b, buf, sizeof(buf)), ==, FRAME_LEN);
    g_assert_cmpuint(counters(&f->a)->drops[SWITCH_DROP_GIANT], ==, 3);
    g_assert_cmpuint(counters(&f->a)->input_frames, ==, 4);
}

static void test_dgram_vfkt_is_ignored_once(Fixture *f, const void *data)
{
    vm_connect(&f->a, PORT_KIND_DGRAM, SOCK_DGRAM);
    vm_write(&f->a, "VFKT", 4);
    run(f);
    g_assert_cmpuint(counters(&f->a)->input_frames, ==, 0);
    vm_write(&f->a, "VFKT", 4);
    run(f);
    g_assert_cmpuint(counters(&f->a)->drops[SWITCH_DROP_RUNT], ==, 1);
}

static void test_dgram_gone_is_noticed(Fixture *f, const void *data)
{
    uint8_t frame[FRAME_LEN];

    vm_connect(&f->a, PORT_KIND_DGRAM, SOCK_DGRAM);
    vm_connect(&f->b, PORT_KIND_DGRAM, SOCK_DGRAM);
    vm_close(&f->b);
    make_frame(frame, 0xb, 0xa, sizeof(frame), 0);
    vm_write(&f->a, frame, sizeof(frame));
    run(f);
    g_assert_cmpuint(f->b.n_ended, ==, 1);
    g_assert_null(f->b.reason);
}

/* b reads nothing; a sends frames @first to @last. */
static void push_datagrams(Fixture *f, unsigned first, unsigned last,
                           size_t len)
{
    g_autofree uint8_t *frame = g_malloc(len);
    unsigned i;

    for (i = first; i <= last; i++) {
        make_frame(frame, 0xb, 0xa, len, i);
        while (send(f->a.fd, frame, len, 0) < 0) {
            g_assert_cmpint(errno, ==, EAGAIN);
            g_main_context_iteration(f->context, TRUE);
        }
    }
    run(f);
}

static void dgram_pair(Fixture *f)
{
    uint8_t frame[FRAME_LEN];

    vm_connect(&f->a, PORT_KIND_DGRAM, SOCK_SEQPACKET);
    vm_connect(&f->b, PORT_KIND_DGRAM, SOCK_SEQPACKET);
    make_frame(frame, 0xa, 0xb, FRAME_LEN, 0);
    vm_write(&f->b, frame, FRAME_LEN);
    run(f);
    g_assert_cmpuint(vm_recv(&f->a, frame, FRAME_LEN), ==, FRAME_LEN);
    vm_shrink_send_buffer(&f->b);
}

static void check_dgram_stall(Fixture *f, size_t len, unsigned n_pushed)
{
    g_autofree uint8_t *frame = g_malloc(len);
    unsigned n = 0, seq, last = 0;

    dgram_pair(f);
    push_datagrams(f, 1, n_pushed, len);
    g_assert_cmpuint(counters(&f->b)->drops[SWITCH_DROP_FULL], >, 0);
    for (;;) {
        size_t got = vm_recv(&f->b, frame, len);

        if (!got) {
            run(f);
            got = vm_recv(&f->b, frame, len);
        }
        if (!got) {
            break;
        }
        g_assert_cmpuint(got, ==, len);
        memcpy(&seq, frame + 14, sizeof(seq));
        g_assert_cmpuint(seq, >, last);
        last = seq;
        n++;
    }
    g_assert_cmpuint(n + counters(&f->b)->drops[SWITCH_DROP_FULL], ==,
                     n_pushed);
}

static void test_dgram_stalled_reader(Fixture *f, const void *data)
{
    check_dgram_stall(f, MTU, 2000);
}

static void test_dgram_stalled_reader_of_large(Fixture *f, const void *data)
{
    check_dgram_stall(f, f->mtu_bytes + 14, 40);
}

/*
 * With large frames the kernel says that there is room only when all have been
 * read: the next frame must not wait for that.
 */
static void test_dgram_next_batch_tries(Fixture *f, const void *data)
{
    size_t len = f->mtu_bytes + 14;
    g_autofree uint8_t *frame = g_malloc(len);
    size_t room;
    unsigned n;

    dgram_pair(f);
    push_datagrams(f, 1, 20, len);
    room = switch_port_room(port_switch_port(f->b.port));
    g_assert_cmpuint(room, <, len);
    for (n = 0; n < 2; n++) {
        g_assert_cmpuint(vm_recv(&f->b, frame, len), ==, len);
    }
    push_datagrams(f, 21, 21, FRAME_LEN);
    g_assert_cmpuint(switch_port_room(port_switch_port(f->b.port)), >, room);
}

static void test_dgram_timer_tries(Fixture *f, const void *data)
{
    size_t len = f->mtu_bytes + 14;
    g_autofree uint8_t *frame = g_malloc(len);
    size_t room;

    dgram_pair(f);
    push_datagrams(f, 1, 6, len);
    room = switch_port_room(port_switch_port(f->b.port));
    g_assert_cmpuint(vm_recv(&f->b, frame, len), ==, len);
    while (switch_port_room(port_switch_port(f->b.port)) <= room) {
        g_main_context_iteration(f->context, TRUE);
    }
}

/* A bound socket at a path of its own. */
static int bind_dgram(struct sockaddr_un *addr, const char *dir,
                      const char *name)
{
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    *addr = (struct sockaddr_un) { .sun_family = AF_UNIX };
    g_snprintf(addr->sun_path, sizeof(addr->sun_path), "%s/%s", dir, name);
    g_assert_cmpint(bind(fd, (struct sockaddr *)addr, sizeof(*addr)), ==, 0);
    return fd;
}

static void test_dgram_connects_back(Fixture *f, const void *data)
{
    g_autofree char *dir = g_dir_make_tmp("vmnet-port-XXXXXX", NULL);
    struct sockaddr_un ours, theirs;
    g_autoptr(GError) error = NULL;
    uint8_t frame[FRAME_LEN], buf[MTU];
    int fd = bind_dgram(&ours, dir, "port.sock");
    int stranger = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    g_assert_true(port_connect(f->a.port, PORT_KIND_DGRAM, fd, &error));
    g_assert_no_error(error);
    vm_connect(&f->b, PORT_KIND_DGRAM, SOCK_DGRAM);

    /* Nobody is there yet. */
    make_frame(frame, 0xa, 0xb, sizeof(frame), 0);
    vm_write(&f->b, frame, sizeof(frame));
    run(f);
    g_assert_cmpuint(counters(&f->a)->drops[SWITCH_DROP_NOT_CONNECTED], ==, 1);

    /* Who has no name cannot be answered. */
    g_assert_cmpint(sendto(stranger, frame, sizeof(frame), 0,
                           (struct sockaddr *)&ours, sizeof(ours)),
                    ==, sizeof(frame));
    run(f);
    g_assert_cmpuint(counters(&f->a)->drops[SWITCH_DROP_NOT_CONNECTED], ==, 2);

    f->a.fd = bind_dgram(&theirs, dir, "vmm.sock");
    g_assert_cmpint(connect(f->a.fd, (struct sockaddr *)&ours, sizeof(ours)),
                    ==, 0);
    vm_write(&f->a, "VFKT", 4);
    make_frame(frame, 0xb, 0xa, sizeof(frame), 1);
    vm_write(&f->a, frame, sizeof(frame));
    run(f);
    g_assert_cmpuint(vm_recv(&f->b, buf, sizeof(buf)), ==, sizeof(frame));
    make_frame(frame, 0xa, 0xb, sizeof(frame), 2);
    vm_write(&f->b, frame, sizeof(frame));
    run(f);
    g_assert_cmpuint(vm_recv(&f->a, buf, sizeof(buf)), ==, sizeof(frame));
    g_assert_cmpmem(buf, sizeof(frame), frame, sizeof(frame));
    g_assert_cmpuint(counters(&f->a)->input_frames, ==, 1);

    close(stranger);
    unlink(ours.sun_path);
    unlink(theirs.sun_path);
    rmdir(dir);
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

#define ADD_MTU(path, mtu, func)                                            \
    g_test_add("/port/" path, Fixture, GUINT_TO_POINTER(mtu),               \
               fixture_set_up, func, fixture_tear_down)
#define ADD(path, func) ADD_MTU(path, MTU, func)

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
    ADD("dgram/carries-frames", test_dgram_carries_frames);
    ADD("dgram/seqpacket-carries-frames", test_seqpacket_carries_frames);
    ADD("dgram/truncated-is-giant", test_dgram_truncated_is_giant);
    ADD("dgram/vfkt-is-ignored-once", test_dgram_vfkt_is_ignored_once);
    ADD("dgram/gone-is-noticed", test_dgram_gone_is_noticed);
    ADD("dgram/stalled-reader", test_dgram_stalled_reader);
    ADD_MTU("dgram/stalled-reader-of-large", 65520,
            test_dgram_stalled_reader_of_large);
    ADD_MTU("dgram/next-batch-tries", 65520, test_dgram_next_batch_tries);
    ADD_MTU("dgram/timer-tries", 65520, test_dgram_timer_tries);
    ADD("dgram/connects-back", test_dgram_connects_back);
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
