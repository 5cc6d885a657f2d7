/*
 * Fuzz target: frames and what happens to ports, in any order
 *
 * The input is a program: an opcode and its operands, again and again.
 * Whatever it does, each frame is accounted for: what a port says that came in
 * is what was dealt with, and what the ports were sent is what was counted.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <glib.h>

#include "switch/switch.h"

#define N_PORTS 4       /* the first is the gateway's */
#define QUOTA 4

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct FuzzPort {
    SwitchPort *port;
    unsigned room;
    uint64_t n_sent, n_offered;
} FuzzPort;

typedef struct Program {
    const uint8_t *data;
    size_t left;
} Program;

static uint8_t next(Program *program)
{
    if (!program->left) {
        return 0;
    }
    program->left--;
    return *program->data++;
}

static unsigned fuzz_send(void *opaque, const Frame *frames, unsigned n,
                          int64_t now_ms)
{
    FuzzPort *port = opaque;
    unsigned i, taken = MIN(n, port->room);

    g_assert_cmpuint(n, >, 0);
    g_assert_cmpuint(n, <=, FRAME_BATCH_MAX);
    for (i = 0; i < n; i++) {
        g_assert_cmpuint(frames[i].len, >=, 14);
        g_assert_cmpuint(frames[i].src_port, !=, switch_port_id(port->port));
    }
    port->room -= taken;
    port->n_sent += taken;
    return taken;
}

static void fuzz_resume(void *opaque, SwitchPort *dst, int64_t now_ms)
{
}

static const PortOps ops = { .send = fuzz_send, .resume = fuzz_resume };

/* Frames of 0 to 31 bytes, in two pieces, to and from few stations. */
static void input(FuzzPort *port, Program *program, int64_t now_ms)
{
    uint8_t bytes[FRAME_BATCH_MAX][32];
    struct iovec iov[FRAME_BATCH_MAX][2];
    Frame frames[FRAME_BATCH_MAX];
    unsigned i, n = next(program) % FRAME_BATCH_MAX + 1;

    for (i = 0; i < n; i++) {
        uint8_t dst = next(program), src = next(program), len = next(program);
        unsigned j;

        for (j = 0; j < sizeof(bytes[i]); j++) {
            bytes[i][j] = 0;
        }
        bytes[i][0] = dst >> 4;
        bytes[i][5] = dst & 15;
        bytes[i][6] = src >> 4;
        bytes[i][11] = src & 15;
        iov[i][0] = (struct iovec) { bytes[i], MIN(len & 31, 9) };
        iov[i][1] = (struct iovec) { bytes[i] + 9,
                                     (len & 31) - iov[i][0].iov_len };
        frame_init(&frames[i], iov[i], 2);
        frames[i].vnet.gso_type = len >> 7;
    }
    port->n_offered += switch_input(port->port, frames, n, now_ms);
}

static void step(Switch *sw, FuzzPort *port, Program *program, int64_t now_ms)
{
    switch (next(program) % 8) {
    case 0:
    case 1:
        input(port, program, now_ms);
        break;
    case 2:
        port->room = next(program);
        switch_port_has_room(port->port, now_ms);
        break;
    case 3:
        switch_park_expire(port->port, switch_parked_at(port->port));
        break;
    case 4:
        switch_port_set_connected(port->port, next(program) & 1, now_ms);
        break;
    case 5:
        switch_port_set_isolated(port->port, next(program) & 1);
        break;
    case 6:
        switch_port_forget(port->port);
        break;
    case 7:
        g_assert_true(switch_port_by_id(sw, switch_port_id(port->port)) ==
                      port->port);
        break;
    }
}

static void check(const FuzzPort *port)
{
    const PortCounters *counters = switch_port_counters(port->port);

    g_assert_cmpuint(counters->input_frames, ==, port->n_offered);
    g_assert_cmpuint(counters->output_frames, ==, port->n_sent);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    SwitchConfig config = { .mtu_bytes = 12, .gateway_mac = { { 2, 0 } } };
    Program program = { data, size };
    Switch *sw = switch_new(&config);
    FuzzPort ports[N_PORTS] = { 0 };
    int64_t now_ms = 0;
    unsigned i;

    for (i = 0; i < N_PORTS; i++) {
        ports[i].port = switch_port_add(sw, &ops, &ports[i],
                                        i ? 0 : SWITCH_PORT_GATEWAY, QUOTA);
    }
    while (program.left) {
        now_ms += next(&program) * 10;
        step(sw, &ports[next(&program) % N_PORTS], &program, now_ms);
    }
    for (i = 0; i < N_PORTS; i++) {
        check(&ports[i]);
        switch_port_remove(ports[i].port, now_ms);
    }
    switch_free(sw);
    return 0;
}
