/*
 * Fuzz what a switch is handed over
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "switch/switch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned port_send(void *opaque, const Frame *frames, unsigned n,
                          int64_t now_ms)
{
    return n;
}

static void port_flush(void *opaque)
{
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const PortOps ops = { .send = port_send, .flush = port_flush };
    SwitchConfig config = { .mtu_bytes = 1500 };
    Switch *sw = switch_new(&config);
    SwitchPort *ports[3];
    Cursor c = cursor_new(data, size), body;
    uint16_t tag;
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(ports); i++) {
        ports[i] = switch_port_add(sw, &ops, NULL, 0, 4);
    }
    while (handover_next(&c, &tag, &body)) {
        switch_load(sw, &body, 1000 * 1000);
    }
    for (i = 0; i < G_N_ELEMENTS(ports); i++) {
        switch_port_remove(ports[i], 1000 * 1000);
    }
    switch_free(sw);
    return 0;
}
