/*
 * Ports on datagram sockets: truncation, peers that bind a path, full queues
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "port-vms.h"

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
    room = switch_port_room(port_switch_port(f->b.port), NULL);
    g_assert_cmpuint(room, <, len);
    for (n = 0; n < 2; n++) {
        g_assert_cmpuint(vm_recv(&f->b, frame, len), ==, len);
    }
    push_datagrams(f, 21, 21, FRAME_LEN);
    g_assert_cmpuint(switch_port_room(port_switch_port(f->b.port), NULL), >, room);
}

static void test_dgram_timer_tries(Fixture *f, const void *data)
{
    size_t len = f->mtu_bytes + 14;
    g_autofree uint8_t *frame = g_malloc(len);
    size_t room;

    dgram_pair(f);
    push_datagrams(f, 1, 6, len);
    room = switch_port_room(port_switch_port(f->b.port), NULL);
    g_assert_cmpuint(vm_recv(&f->b, frame, len), ==, len);
    while (switch_port_room(port_switch_port(f->b.port), NULL) <= room) {
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

static int send_buffer(int fd)
{
    socklen_t len = sizeof(int);
    int bytes;

    g_assert_cmpint(getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, &len), ==, 0);
    return bytes;
}

/* As much of 4 MiB as net.core.wmem_max allows, which not all can read. */
static int allowed_send_buffer(int type)
{
    int wanted = 4 * 1024 * 1024;
    int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
    int bytes;

    g_assert_cmpint(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &wanted,
                               sizeof(wanted)), ==, 0);
    bytes = send_buffer(fd);
    close(fd);
    return bytes;
}

static void test_dgram_asks_for_a_send_buffer(Fixture *f, const void *data)
{
    vm_connect(&f->a, PORT_KIND_DGRAM, SOCK_DGRAM);
    vm_connect(&f->b, PORT_KIND_DGRAM, SOCK_SEQPACKET);
    g_test_message("granted %d bytes", send_buffer(f->a.port_fd));
    g_assert_cmpint(send_buffer(f->a.port_fd), ==,
                    allowed_send_buffer(SOCK_DGRAM));
    g_assert_cmpint(send_buffer(f->b.port_fd), ==,
                    allowed_send_buffer(SOCK_SEQPACKET));
    /* What the tests of full queues force is what it is where nothing more is
     * allowed: a few frames of 64 KiB. */
    vm_shrink_send_buffer(&f->b);
    g_assert_cmpint(send_buffer(f->b.port_fd), ==, 212992);
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

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
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
    ADD("dgram/asks-for-a-send-buffer", test_dgram_asks_for_a_send_buffer);
    ADD("dgram/connects-back", test_dgram_connects_back);
    return g_test_run();
}
