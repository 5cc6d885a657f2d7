/*
 * Switch: who gets which frame, what is dropped for which reason
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "switch/fdb.h"
#include "switch-fakes.h"

static void test_unknown_floods_then_is_learnt(Fixture *f, const void *data)
{
    input(f, 0, mac_of(1), mac_of(0), 60);
    g_assert_cmphex(receivers(f), ==, 0x6);
    input(f, 1, mac_of(0), mac_of(1), 60);
    g_assert_cmphex(receivers(f), ==, 0x1);
    input(f, 0, mac_of(1), mac_of(0), 60);
    g_assert_cmphex(receivers(f), ==, 0x2);
    g_assert_cmpuint(f->fakes[1].last_src, ==,
                     switch_port_id(f->fakes[0].port));
}

static void test_groups_go_to_all(Fixture *f, const void *data)
{
    MacAddr group = { { 0x33, 0x33, 0, 0, 0, 1 } };

    introduce(f);
    input(f, 0, broadcast, mac_of(0), 60);
    g_assert_cmphex(receivers(f), ==, 0xe);
    input(f, 1, group, mac_of(1), 60);
    g_assert_cmphex(receivers(f), ==, 0xd);
    input(f, GATEWAY, broadcast, gateway_mac, 60);
    g_assert_cmphex(receivers(f), ==, 0x7);
    g_assert_null(switch_lookup(f->sw, &broadcast, f->now_ms));
}

static void test_reserved_groups_go_nowhere(Fixture *f, const void *data)
{
    MacAddr group = { { 0x01, 0x80, 0xc2, 0, 0, 0 } };

    for (group.b[5] = 0; group.b[5] <= 0x0f; group.b[5]++) {
        input(f, 0, group, mac_of(0), 60);
        g_assert_cmphex(receivers(f), ==, 0);
    }
    g_assert_cmpuint(drops(f, 0, SWITCH_DROP_RESERVED), ==, 16);
    input(f, 0, group, mac_of(0), 60);
    g_assert_cmphex(receivers(f), ==, 0xe);
}

static void test_gateway_by_its_address(Fixture *f, const void *data)
{
    input(f, 0, gateway_mac, mac_of(0), 60);
    g_assert_cmphex(receivers(f), ==, 1 << GATEWAY);
    g_assert_true(switch_lookup(f->sw, &gateway_mac, f->now_ms) ==
                  f->fakes[GATEWAY].port);
    input(f, GATEWAY, mac_of(0), gateway_mac, 60);
    g_assert_cmphex(receivers(f), ==, 0x1);
}

static void test_bad_sources(Fixture *f, const void *data)
{
    MacAddr zero = { { 0 } };

    input(f, 0, mac_of(1), broadcast, 60);
    input(f, 0, mac_of(1), zero, 60);
    g_assert_cmpuint(drops(f, 0, SWITCH_DROP_BAD_SOURCE), ==, 2);
    input(f, 0, mac_of(1), gateway_mac, 60);
    g_assert_cmpuint(drops(f, 0, SWITCH_DROP_OWN_SOURCE), ==, 1);
    g_assert_cmphex(receivers(f), ==, 0);
    g_assert_true(switch_lookup(f->sw, &gateway_mac, f->now_ms) ==
                  f->fakes[GATEWAY].port);
}

/* The host shares the gateway's address, and is sent what the gateway says. */
static void test_host_beside_the_gateway(Fixture *f, const void *data)
{
    MacAddr other = { { 2, 0, 0, 0, 9, 8 } };
    Fake *host = &f->fakes[2];

    switch_port_remove(host->port, f->now_ms);
    host->port = switch_port_add(f->sw, &fake_ops, host, SWITCH_PORT_HOST, 0);
    input(f, 0, gateway_mac, mac_of(0), 60);
    g_assert_cmphex(receivers(f), ==, 1 << GATEWAY);
    input(f, 0, broadcast, mac_of(0), 60);
    g_assert_cmphex(receivers(f), ==, 0x2 | 1 << GATEWAY);
    input(f, 0, unknown, mac_of(0), 60);
    g_assert_cmphex(receivers(f), ==, 0x2);
    input(f, GATEWAY, broadcast, gateway_mac, 60);
    g_assert_cmphex(receivers(f), ==, 0x3);

    input(f, 2, broadcast, gateway_mac, 60);
    g_assert_cmphex(receivers(f), ==, 0x3);
    input(f, 2, mac_of(0), gateway_mac, 60);
    g_assert_cmphex(receivers(f), ==, 0x1);
    switch_port_set_isolated(f->fakes[0].port, true);
    input(f, 2, mac_of(0), gateway_mac, 60);
    g_assert_cmphex(receivers(f), ==, 0x1);
    input(f, 2, gateway_mac, gateway_mac, 60);
    input(f, 2, mac_of(0), other, 60);
    g_assert_cmphex(receivers(f), ==, 0);
    g_assert_cmpuint(drops(f, 2, SWITCH_DROP_SAME_PORT), ==, 1);
    g_assert_cmpuint(drops(f, 2, SWITCH_DROP_BAD_SOURCE), ==, 1);
}

static void test_own_address_stays_here(Fixture *f, const void *data)
{
    introduce(f);
    input(f, 0, mac_of(0), mac_of(0), 60);
    g_assert_cmphex(receivers(f), ==, 0);
    g_assert_cmpuint(drops(f, 0, SWITCH_DROP_SAME_PORT), ==, 1);
}

static void test_runts_and_giants(Fixture *f, const void *data)
{
    introduce(f);
    input(f, 0, mac_of(1), mac_of(0), 13);
    input(f, 0, mac_of(1), mac_of(0), 0);
    g_assert_cmpuint(drops(f, 0, SWITCH_DROP_RUNT), ==, 2);
    g_assert_cmphex(receivers(f), ==, 0);
    input(f, 0, mac_of(1), mac_of(0), 14);
    g_assert_cmphex(receivers(f), ==, 0x2);
    input(f, 0, mac_of(1), mac_of(0), MTU + 14);
    g_assert_cmphex(receivers(f), ==, 0x2);
    input(f, 0, mac_of(1), mac_of(0), MTU + 15);
    input(f, 0, mac_of(1), mac_of(0), FRAME_LEN_MAX);
    g_assert_cmphex(receivers(f), ==, 0);
    g_assert_cmpuint(drops(f, 0, SWITCH_DROP_GIANT), ==, 2);
}

static void test_vlan_tag_is_kept_and_allowed_for(Fixture *f, const void *data)
{
    static const uint8_t types[][2] = { { 0x81, 0 }, { 0x88, 0xa8 } };
    TestFrame bytes;
    Frame frame;
    size_t i;

    introduce(f);
    for (i = 0; i < G_N_ELEMENTS(types); i++) {
        fill_frame(&frame, &bytes, mac_of(1), mac_of(0), MTU + 18);
        memcpy(bytes.header + 12, types[i], 2);
        switch_input(f->fakes[0].port, &frame, 1, f->now_ms);
        g_assert_cmpuint(f->fakes[1].last_len, ==, MTU + 18);
        g_assert_cmphex(receivers(f), ==, 0x2);
        fill_frame(&frame, &bytes, mac_of(1), mac_of(0), MTU + 19);
        memcpy(bytes.header + 12, types[i], 2);
        switch_input(f->fakes[0].port, &frame, 1, f->now_ms);
        g_assert_cmphex(receivers(f), ==, 0);
    }
    /* An address is where it is whatever the tag. */
    input(f, 1, mac_of(0), mac_of(1), 60);
    g_assert_cmphex(receivers(f), ==, 0x1);
}

static void test_offloads_are_dropped(Fixture *f, const void *data)
{
    TestFrame bytes;
    Frame frame;

    introduce(f);
    fill_frame(&frame, &bytes, mac_of(1), mac_of(0), 60);
    frame.vnet.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
    switch_input(f->fakes[0].port, &frame, 1, f->now_ms);
    fill_frame(&frame, &bytes, mac_of(1), mac_of(0), 60);
    frame.vnet.gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
    switch_input(f->fakes[0].port, &frame, 1, f->now_ms);
    g_assert_cmphex(receivers(f), ==, 0);
    g_assert_cmpuint(drops(f, 0, SWITCH_DROP_BAD_OFFLOAD), ==, 2);
}

static void test_isolated_sees_the_gateway_only(Fixture *f, const void *data)
{
    introduce(f);
    switch_port_set_isolated(f->fakes[0].port, true);
    input(f, 0, mac_of(1), mac_of(0), 60);
    input(f, 1, mac_of(0), mac_of(1), 60);
    input(f, 0, unknown, mac_of(0), 60);
    g_assert_cmphex(receivers(f), ==, 0);
    g_assert_cmpuint(drops(f, 0, SWITCH_DROP_ISOLATED), ==, 2);
    g_assert_cmpuint(drops(f, 1, SWITCH_DROP_ISOLATED), ==, 1);
    input(f, 0, broadcast, mac_of(0), 60);
    g_assert_cmphex(receivers(f), ==, 1 << GATEWAY);
    input(f, 0, gateway_mac, mac_of(0), 60);
    g_assert_cmphex(receivers(f), ==, 1 << GATEWAY);
    input(f, 1, broadcast, mac_of(1), 60);
    g_assert_cmphex(receivers(f), ==, 0xc);
    input(f, 1, unknown, mac_of(1), 60);
    g_assert_cmphex(receivers(f), ==, 0x4);
    input(f, GATEWAY, mac_of(0), gateway_mac, 60);
    g_assert_cmphex(receivers(f), ==, 0x1);
    input(f, GATEWAY, broadcast, gateway_mac, 60);
    g_assert_cmphex(receivers(f), ==, 0x7);
    switch_port_set_isolated(f->fakes[0].port, false);
    input(f, 0, mac_of(1), mac_of(0), 60);
    g_assert_cmphex(receivers(f), ==, 0x2);
}

/* An uplink is no other guest: isolated ones reach what is behind it. */
static void test_isolated_sees_the_uplink(Fixture *f, const void *data)
{
    SwitchPort *uplink = switch_port_add(f->sw, &fake_ops, &f->fakes[2],
                                         SWITCH_PORT_UPLINK, 16);

    switch_port_remove(f->fakes[2].port, f->now_ms);
    f->fakes[2].port = uplink;
    introduce(f);
    switch_port_set_isolated(f->fakes[0].port, true);
    input(f, 0, mac_of(1), mac_of(0), 60);
    g_assert_cmphex(receivers(f), ==, 0);
    input(f, 0, mac_of(2), mac_of(0), 60);
    g_assert_cmphex(receivers(f), ==, 0x4);
    input(f, 0, unknown, mac_of(0), 60);
    g_assert_cmphex(receivers(f), ==, 0x4);
    input(f, 0, broadcast, mac_of(0), 60);
    g_assert_cmphex(receivers(f), ==, 1 << GATEWAY | 0x4);
    input(f, 2, mac_of(0), mac_of(2), 60);
    g_assert_cmphex(receivers(f), ==, 0x1);
}

static void test_addresses_age(Fixture *f, const void *data)
{
    MacAddr mac = mac_of(0);

    introduce(f);
    f->now_ms += AGEING_MS - 1;
    g_assert_nonnull(switch_lookup(f->sw, &mac, f->now_ms));
    input(f, 0, broadcast, mac, 60);
    f->now_ms += AGEING_MS - 1;
    g_assert_nonnull(switch_lookup(f->sw, &mac, f->now_ms));
    f->now_ms += 1;
    g_assert_null(switch_lookup(f->sw, &mac, f->now_ms));
    reset(f);
    input(f, 1, mac, mac_of(1), 60);
    g_assert_cmphex(receivers(f), ==, 0x5);
}

static void test_runs_are_handed_over_whole(Fixture *f, const void *data)
{
    static const uint8_t to[] = { 1, 1, 1, 2, 2, 1, 9, 9, 1 };
    enum { N = G_N_ELEMENTS(to) };
    TestFrame bytes[N];
    Frame frames[N];
    unsigned i;

    introduce(f);
    for (i = 0; i < N; i++) {
        fill_frame(&frames[i], &bytes[i],
                   to[i] == 9 ? broadcast : mac_of(to[i]), mac_of(0), 60 + i);
    }
    g_assert_cmpuint(switch_input(f->fakes[0].port, frames, N, f->now_ms),
                     ==, N);
    g_assert_cmpuint(f->fakes[1].n_runs, ==, 4);
    g_assert_cmpuint(f->fakes[1].runs[0], ==, 3);
    g_assert_cmpuint(f->fakes[1].runs[1], ==, 1);
    g_assert_cmpuint(f->fakes[1].runs[2], ==, 2);
    g_assert_cmpuint(f->fakes[1].runs[3], ==, 1);
    g_assert_cmpuint(f->fakes[1].n_flushes, ==, 1);
    g_assert_cmpuint(f->fakes[2].n_runs, ==, 2);
    g_assert_cmpuint(f->fakes[2].runs[0], ==, 2);
    g_assert_cmpuint(f->fakes[2].n_flushes, ==, 1);
    g_assert_cmpuint(f->fakes[GATEWAY].n_frames, ==, 2);
}

static void test_counters(Fixture *f, const void *data)
{
    const PortCounters *a = switch_port_counters(f->fakes[0].port);
    const PortCounters *b = switch_port_counters(f->fakes[1].port);

    input(f, 0, broadcast, mac_of(0), 60);
    input(f, 1, mac_of(0), mac_of(1), 1000);
    input(f, 1, mac_of(0), mac_of(1), 10);
    g_assert_cmpuint(a->input_frames, ==, 1);
    g_assert_cmpuint(a->input_bytes, ==, 60);
    g_assert_cmpuint(a->output_frames, ==, 1);
    g_assert_cmpuint(a->output_bytes, ==, 1000);
    g_assert_cmpuint(b->input_frames, ==, 2);
    g_assert_cmpuint(b->input_bytes, ==, 1010);
    g_assert_cmpuint(b->output_frames, ==, 1);
    g_assert_cmpstr(switch_drop_str(SWITCH_DROP_RUNT), ==, "runt");
}

static void test_duplicate_is_told_once(Fixture *f, const void *data)
{
    MacAddr twin = mac_of(0);

    introduce(f);
    input(f, 1, broadcast, twin, 60);       /* may be a move */
    g_assert_cmpuint(f->n_duplicates, ==, 0);
    f->now_ms += 999;
    input(f, 0, broadcast, twin, 60);       /* is not */
    g_assert_cmpuint(f->n_duplicates, ==, 1);
    g_assert_true(mac_equal(&f->duplicate, &twin));
    g_assert_cmpuint(f->old_id, ==, switch_port_id(f->fakes[1].port));
    g_assert_cmpuint(f->new_id, ==, switch_port_id(f->fakes[0].port));
    input(f, 1, broadcast, twin, 60);
    input(f, 0, broadcast, twin, 60);
    f->now_ms += 9999;
    input(f, 1, broadcast, twin, 60);
    input(f, 0, broadcast, twin, 60);
    g_assert_cmpuint(f->n_duplicates, ==, 1);
    f->now_ms += 1;
    input(f, 1, broadcast, twin, 60);
    g_assert_cmpuint(f->n_duplicates, ==, 2);
}

static void test_move_is_not_told(Fixture *f, const void *data)
{
    introduce(f);
    input(f, 1, broadcast, mac_of(0), 60);
    f->now_ms += 1000;
    input(f, 0, broadcast, mac_of(0), 60);
    input(f, 2, broadcast, mac_of(0), 60);
    g_assert_cmpuint(f->n_duplicates, ==, 0);
    reset(f);
    input(f, 1, mac_of(0), mac_of(1), 60);
    g_assert_cmphex(receivers(f), ==, 0x4);
}

static void test_inventor_pushes_out_its_own(Fixture *f, const void *data)
{
    MacAddr mac = { { 2, 0, 0, 0, 1, 0 } };
    unsigned i;

    introduce(f);
    for (i = 0; i < 100; i++) {
        f->now_ms++;
        mac.b[5] = i;
        input(f, 0, broadcast, mac, 60);
        input(f, 0, broadcast, mac_of(0), 60);  /* in use: stays */
    }
    for (i = 0; i < N_GUESTS; i++) {
        MacAddr guest = mac_of(i);

        g_assert_true(switch_lookup(f->sw, &guest, f->now_ms) ==
                      f->fakes[i].port);
    }
    mac.b[5] = 50;
    g_assert_null(switch_lookup(f->sw, &mac, f->now_ms));
    mac.b[5] = 98;
    g_assert_nonnull(switch_lookup(f->sw, &mac, f->now_ms));
}

static void test_forget(Fixture *f, const void *data)
{
    MacAddr mac = mac_of(0);

    introduce(f);
    switch_port_forget(f->fakes[0].port);
    g_assert_null(switch_lookup(f->sw, &mac, f->now_ms));
    g_assert_cmpuint(switch_port_counters(f->fakes[0].port)->input_frames,
                     ==, 1);
}

static void test_ids_are_not_used_again(Fixture *f, const void *data)
{
    uint32_t id = switch_port_id(f->fakes[1].port);
    SwitchPort *port;

    g_assert_true(switch_port_by_id(f->sw, id) == f->fakes[1].port);
    switch_port_remove(f->fakes[1].port, f->now_ms);
    g_assert_null(switch_port_by_id(f->sw, id));
    port = switch_port_add(f->sw, &fake_ops, &f->fakes[1], 0, 1);
    f->fakes[1].port = port;
    g_assert_cmpuint(switch_port_id(port), >, id);
    g_assert_true(switch_port_by_id(f->sw, switch_port_id(port)) == port);
    g_assert_null(switch_port_by_id(f->sw, 0));
    g_assert_null(switch_port_by_id(f->sw, UINT32_MAX));
}

static void test_answer_from_flush(Fixture *f, const void *data)
{
    introduce(f);
    f->fakes[GATEWAY].answers = true;
    input(f, 0, gateway_mac, mac_of(0), 60);
    g_assert_cmpuint(f->fakes[GATEWAY].n_flushes, ==, 1);
    g_assert_cmpuint(f->fakes[0].n_frames, ==, 1);
    g_assert_cmpuint(f->fakes[0].n_flushes, ==, 1);
    g_assert_cmpuint(f->fakes[1].n_flushes, ==, 1);
}

static void test_fdb_many_addresses(void)
{
    static const uint8_t key[16] = { 1, 2, 3 };
    g_autoptr(Fdb) fdb = fdb_new(key, AGEING_MS);
    FdbPort a, b, *old = NULL;
    MacAddr mac = { { 2, 0, 0, 0, 0, 0 } };
    unsigned i;

    fdb_port_init(&a, 1, 2000);
    fdb_port_init(&b, 2, 0);
    for (i = 0; i < 3000; i++) {
        mac.b[4] = i >> 8;
        mac.b[5] = i;
        g_assert_cmpint(fdb_learn(fdb, &mac, &a, i, &old), ==, FDB_ADDED);
        g_assert_cmpint(fdb_learn(fdb, &mac, &a, i, &old), ==, FDB_KNOWN);
        g_assert_cmpint(fdb_learn(fdb, &mac, &b, i, &old), ==, FDB_REFUSED);
    }
    g_assert_cmpuint(fdb_n_entries(fdb), ==, 2000);
    for (i = 0; i < 3000; i++) {
        mac.b[4] = i >> 8;
        mac.b[5] = i;
        g_assert_true(fdb_lookup(fdb, &mac, 3000) == (i < 1000 ? NULL : &a));
    }
    fdb_port_forget(fdb, &a);
    g_assert_cmpuint(fdb_n_entries(fdb), ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("forward/unknown-floods-then-is-learnt",
        test_unknown_floods_then_is_learnt);
    ADD("forward/groups-go-to-all", test_groups_go_to_all);
    ADD("forward/reserved-groups-go-nowhere", test_reserved_groups_go_nowhere);
    ADD("forward/gateway-by-its-address", test_gateway_by_its_address);
    ADD("forward/runs-are-handed-over-whole", test_runs_are_handed_over_whole);
    ADD("forward/answer-from-flush", test_answer_from_flush);
    ADD("forward/counters", test_counters);
    ADD("drop/bad-sources", test_bad_sources);
    ADD("forward/host-beside-the-gateway", test_host_beside_the_gateway);
    ADD("drop/own-address-stays-here", test_own_address_stays_here);
    ADD("drop/runts-and-giants", test_runts_and_giants);
    ADD("drop/vlan-tag", test_vlan_tag_is_kept_and_allowed_for);
    ADD("drop/offloads", test_offloads_are_dropped);
    ADD("drop/isolation", test_isolated_sees_the_gateway_only);
    ADD("drop/isolation-uplink", test_isolated_sees_the_uplink);
    ADD("fdb/addresses-age", test_addresses_age);
    ADD("fdb/duplicate-is-told-once", test_duplicate_is_told_once);
    ADD("fdb/move-is-not-told", test_move_is_not_told);
    ADD("fdb/inventor-pushes-out-its-own", test_inventor_pushes_out_its_own);
    ADD("fdb/forget", test_forget);
    ADD("port/ids-are-not-used-again", test_ids_are_not_used_again);
    g_test_add_func("/switch/fdb/many-addresses", test_fdb_many_addresses);
    return g_test_run();
}
