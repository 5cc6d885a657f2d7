/*
 * Two VMMs, each at the end of a socket, on one switch
 *
 *   VMM a --socketpair-- port a --+
 *                                 switch
 *   VMM b --socketpair-- port b --+
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_UNIT_PORT_VMS_H
#define TESTS_UNIT_PORT_VMS_H

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

static inline void disconnected(void *opaque, const char *reason)
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

static inline void vm_init(Vm *vm, Fixture *f)
{
    *vm = (Vm) { .f = f, .fd = -1 };
    vm->port = port_new(f->loop, f->sw, 0, f->mtu_bytes, &events, vm);
}

static inline void vm_close(Vm *vm)
{
    if (vm->fd >= 0) {
        close(vm->fd);
        vm->fd = -1;
    }
}

static inline void vm_connect(Vm *vm, PortKind kind, int type)
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
static inline void vm_shrink_send_buffer(Vm *vm)
{
    int bytes = 212992 / 2;

    g_assert_cmpint(setsockopt(vm->port_fd, SOL_SOCKET, SO_SNDBUF, &bytes,
                               sizeof(bytes)), ==, 0);
}

static inline void fixture_set_up(Fixture *f, const void *data)
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

static inline void fixture_tear_down(Fixture *f, const void *data)
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
static inline void run(Fixture *f)
{
    while (g_main_context_iteration(f->context, FALSE)) {
    }
}

/* Let it also wait for timers until @fd is readable. */
static inline void run_until_readable(Fixture *f, int fd)
{
    char byte;

    while (recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0) {
        g_assert_cmpint(errno, ==, EAGAIN);
        g_main_context_iteration(f->context, TRUE);
    }
}

static inline PortCounters *counters(Vm *vm)
{
    return switch_port_counters(port_switch_port(vm->port));
}

/* Frame @seq of @len bytes from station @src to @dst. */
static inline void make_frame(uint8_t *frame, uint8_t dst, uint8_t src, size_t len,
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
static inline size_t make_framed(uint8_t *buf, uint8_t dst, uint8_t src, size_t len,
                          unsigned seq)
{
    uint32_t header = GUINT32_TO_BE(len);

    memcpy(buf, &header, sizeof(header));
    make_frame(buf + HEADER_LEN, dst, src, len, seq);
    return HEADER_LEN + len;
}

static inline void vm_write(Vm *vm, const void *data, size_t len)
{
    g_assert_cmpint(send(vm->fd, data, len, 0), ==, len);
}

/* Read @len bytes, or nothing if nothing is there. */
static inline size_t vm_read_bytes(Vm *vm, void *buf, size_t len)
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
static inline size_t vm_read_framed(Vm *vm, uint8_t *frame)
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

static inline void stream_pair(Fixture *f)
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

#define ADD_MTU(path, mtu, func)                                            \
    g_test_add("/port/" path, Fixture, GUINT_TO_POINTER(mtu),               \
               fixture_set_up, func, fixture_tear_down)
#define ADD(path, func) ADD_MTU(path, MTU, func)

#endif
