/*
 * A switch that takes over what another one has learnt
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "switch/switch.h"

#define AGEING_MS 300000
#define NOW_MS 1000000

static unsigned port_send(void *opaque, const Frame *frames, unsigned n,
                          int64_t now_ms)
{
    return n;
}

static void port_flush(void *opaque)
{
}

static const PortOps ops = { .send = port_send, .flush = port_flush };

static MacAddr mac_of(unsigned i)
{
    return (MacAddr){ { 2, 0, 0, 0, i >> 8, i } };
}

static Switch *make_switch(void)
{
    SwitchConfig config = {
        .mtu_bytes = 1500, .gateway_mac = { { 2, 0, 0, 0, 0xff, 0xff } },
        .ageing_ms = AGEING_MS,
    };

    return switch_new(&config);
}

static void learn(SwitchPort *port, MacAddr mac, int64_t now_ms)
{
    uint8_t bytes[60] = { 2, 0, 0, 0, 9, 9 };
    struct iovec iov = { bytes, sizeof(bytes) };
    Frame frame;

    memcpy(bytes + 6, &mac, 6);
    frame_init(&frame, &iov, 1);
    g_assert_cmpuint(switch_input(port, &frame, 1, now_ms), ==, 1);
}

static bool load(Switch *sw, const GByteArray *bytes, size_t len)
{
    Cursor c = cursor_new(bytes->data, len), body;
    uint16_t tag;

    return handover_next(&c, &tag, &body) && tag == HANDOVER_SWITCH &&
           switch_load(sw, &body, NOW_MS);
}

static void test_goes_on(void)
{
    g_autoptr(Handover) out = handover_new();
    Switch *old = make_switch(), *sw = make_switch();
    SwitchPort *ports[4], *a, *b;
    MacAddr mac;
    unsigned i;

    for (i = 0; i < 4; i++) {
        ports[i] = switch_port_add(old, &ops, NULL, 0, 16);
    }
    switch_port_remove(ports[0], NOW_MS);
    learn(ports[1], mac_of(1), NOW_MS - AGEING_MS + 1000);
    learn(ports[2], mac_of(2), NOW_MS);
    learn(ports[3], mac_of(3), NOW_MS);
    switch_save(old, out, NOW_MS);

    /* Port 4 has not come back; the others in another order. */
    b = switch_port_add(sw, &ops, NULL, 0, 16);
    g_assert_true(switch_port_set_id(b, 3));
    a = switch_port_add(sw, &ops, NULL, 0, 16);
    g_assert_true(switch_port_set_id(a, 2));
    g_assert_false(switch_port_set_id(a, 3));
    g_assert_false(switch_port_set_id(a, 0));
    g_assert_true(load(sw, out->bytes, out->bytes->len));
    mac = mac_of(1);
    g_assert_true(switch_lookup(sw, &mac, NOW_MS) == a);
    g_assert_true(switch_port_by_id(sw, 2) == a);
    /* It had a second left. */
    g_assert_null(switch_lookup(sw, &mac, NOW_MS + 2000));
    mac = mac_of(2);
    g_assert_true(switch_lookup(sw, &mac, NOW_MS + 2000) == b);
    mac = mac_of(3);
    g_assert_null(switch_lookup(sw, &mac, NOW_MS));
    /* No id comes twice. */
    g_assert_cmpuint(switch_port_id(switch_port_add(sw, &ops, NULL, 0, 0)), ==,
                     5);
    while (switch_port_by_id(sw, 5)) {
        switch_port_remove(switch_port_by_id(sw, 5), NOW_MS);
    }
    switch_port_remove(a, NOW_MS);
    switch_port_remove(b, NOW_MS);
    for (i = 1; i < 4; i++) {
        switch_port_remove(ports[i], NOW_MS);
    }
    switch_free(old);
    switch_free(sw);
}

/* Cut anywhere it is refused, and what was read before counts. */
static void test_cut(void)
{
    g_autoptr(Handover) out = handover_new();
    Switch *old = make_switch(), *sw = make_switch();
    SwitchPort *from = switch_port_add(old, &ops, NULL, 0, 16);
    SwitchPort *to = switch_port_add(sw, &ops, NULL, 0, 16);
    unsigned i;

    for (i = 0; i < 8; i++) {
        learn(from, mac_of(i), NOW_MS);
    }
    switch_save(old, out, NOW_MS);
    for (i = 0; i < out->bytes->len; i++) {
        g_assert_false(load(sw, out->bytes, i));
    }
    out->bytes->data[7]++;          /* its version */
    g_assert_false(load(sw, out->bytes, out->bytes->len));
    switch_port_remove(from, NOW_MS);
    switch_port_remove(to, NOW_MS);
    switch_free(old);
    switch_free(sw);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/switch-save/goes-on", test_goes_on);
    g_test_add_func("/switch-save/cut", test_cut);
    return g_test_run();
}
