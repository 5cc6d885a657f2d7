/*
 * Fragments put together and taken apart; the flow table
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include "limits.h"
#include "nat/flow.h"
#include "nat/frag.h"
#include "nat/ring.h"

typedef struct Piece {
    uint8_t data[2000];
    struct iovec iov;
    Frame frame;
    IpPacket ip;
} Piece;

/* Fragment of packet @id: @len bytes at @off, each the low byte of its place. */
static void piece_init(Piece *p, sa_family_t family, uint32_t id, unsigned off,
                       unsigned len, bool more)
{
    bool v4 = family == AF_INET;
    unsigned i;

    memset(p, 0, sizeof(*p));
    p->ip = (IpPacket){
        .proto = IPPROTO_UDP, .is_fragment = true, .more_fragments = more,
        .frag_off = off, .frag_id = id, .l3_off = 14,
        .l4_off = v4 ? 34 : 62, .l4_len = len,
    };
    g_assert_true(ip_addr_parse(v4 ? "10.0.0.1" : "fd00::1", &p->ip.src));
    g_assert_true(ip_addr_parse(v4 ? "10.0.0.2" : "fd00::2", &p->ip.dst));
    for (i = 0; i < len; i++) {
        p->data[p->ip.l4_off + i] = (off + i) * 3 + (off + i) / 256;
    }
    p->iov = (struct iovec){ p->data, p->ip.l4_off + len };
    frame_init(&p->frame, &p->iov, 1);
    p->frame.src_port = 1;
}

static FragVerdict put(FragTable *table, uint32_t id, unsigned off,
                       unsigned len, bool more, FragPacket **ret)
{
    Piece p;

    piece_init(&p, AF_INET, id, off, len, more);
    return frag_input(table, &p.frame, &p.ip, 0, ret);
}

static void check_whole(FragPacket *packet, unsigned len)
{
    Frame frame;
    IpPacket ip;
    unsigned i;
    uint8_t byte;

    frag_packet(packet, &frame, &ip);
    g_assert_false(ip.is_fragment);
    g_assert_cmpuint(ip.l4_len, ==, len);
    g_assert_cmpuint(frame.len, ==, ip.l4_off + len);
    for (i = 0; i < len; i++) {
        g_assert_cmpuint(frame_peek(&frame, ip.l4_off + i, &byte, 1), ==, 1);
        g_assert_cmpuint(byte, ==, (uint8_t)(i * 3 + i / 256));
    }
    frag_packet_free(packet);
}

static void test_any_order(void)
{
    static const unsigned orders[][3] = {
        { 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 }, { 1, 2, 0 }, { 2, 0, 1 },
        { 2, 1, 0 },
    };
    g_autoptr(FragTable) table = frag_table_new();
    FragPacket *packet = NULL;
    unsigned i, j;

    for (i = 0; i < G_N_ELEMENTS(orders); i++) {
        for (j = 0; j < 3; j++) {
            unsigned k = orders[i][j];

            g_assert_cmpint(put(table, i, k * 800, k == 2 ? 77 : 800, k != 2,
                                &packet), ==, j == 2 ? FRAG_COMPLETE
                                                     : FRAG_WAIT);
        }
        check_whole(packet, 1677);
    }
    g_assert_cmpint(frag_deadline(table), ==, INT64_MAX);
}

/* RFC 5722: an overlap ends the packet, a repetition does not. */
static void test_overlaps(void)
{
    g_autoptr(FragTable) table = frag_table_new();
    FragPacket *packet = NULL;

    g_assert_cmpint(put(table, 1, 0, 800, true, &packet), ==, FRAG_WAIT);
    g_assert_cmpint(put(table, 1, 0, 800, true, &packet), ==, FRAG_WAIT);
    g_assert_cmpint(put(table, 1, 800, 8, false, &packet), ==, FRAG_COMPLETE);
    check_whole(packet, 808);

    g_assert_cmpint(put(table, 2, 0, 800, true, &packet), ==, FRAG_WAIT);
    g_assert_cmpint(put(table, 2, 792, 16, false, &packet), ==, FRAG_MALFORMED);
    /* What follows is swallowed, and makes no new packet. */
    g_assert_cmpint(put(table, 2, 800, 8, false, &packet), ==, FRAG_MALFORMED);
    g_assert_cmpint(put(table, 2, 0, 800, true, &packet), ==, FRAG_MALFORMED);
}

static void test_lies(void)
{
    g_autoptr(FragTable) table = frag_table_new();
    FragPacket *packet = NULL;

    /* Not a multiple of 8, though more follow. */
    g_assert_cmpint(put(table, 1, 0, 801, true, &packet), ==, FRAG_MALFORMED);
    g_assert_cmpint(put(table, 2, 0, 0, true, &packet), ==, FRAG_MALFORMED);
    /* Past 65535 (the ping of death). */
    g_assert_cmpint(put(table, 3, 65528, 800, false, &packet), ==,
                    FRAG_MALFORMED);
    /* Two ends. */
    g_assert_cmpint(put(table, 4, 800, 8, false, &packet), ==, FRAG_WAIT);
    g_assert_cmpint(put(table, 4, 1600, 8, false, &packet), ==,
                    FRAG_MALFORMED);
    g_assert_cmpint(put(table, 5, 800, 8, false, &packet), ==, FRAG_WAIT);
    g_assert_cmpint(put(table, 5, 1600, 8, true, &packet), ==, FRAG_MALFORMED);
}

static void test_timeout(void)
{
    g_autoptr(FragTable) table = frag_table_new();
    FragPacket *packet = NULL;

    g_assert_cmpint(put(table, 1, 0, 800, true, &packet), ==, FRAG_WAIT);
    g_assert_cmpint(frag_deadline(table), ==, 30000);
    frag_expire(table, 29999);
    g_assert_cmpint(frag_deadline(table), ==, 30000);
    frag_expire(table, 30000);
    g_assert_cmpint(frag_deadline(table), ==, INT64_MAX);
    g_assert_cmpint(put(table, 1, 800, 8, false, &packet), ==, FRAG_WAIT);
    frag_port_gone(table, 1);
    g_assert_cmpint(frag_deadline(table), ==, INT64_MAX);
}

/* A flood by one port leaves another's packet alone. */
static void test_flood(void)
{
    g_autoptr(FragTable) table = frag_table_new();
    FragPacket *packet = NULL;
    unsigned i;
    Piece p;

    piece_init(&p, AF_INET6, 1, 0, 800, true);
    p.frame.src_port = 2;
    g_assert_cmpint(frag_input(table, &p.frame, &p.ip, 0, &packet), ==,
                    FRAG_WAIT);
    for (i = 0; i < 10 * LIMIT_REASSEMBLY_PACKETS; i++) {
        g_assert_cmpint(put(table, i, 60000, 800, true, &packet), ==,
                        FRAG_WAIT);
    }
    piece_init(&p, AF_INET6, 1, 800, 8, false);
    p.frame.src_port = 2;
    g_assert_cmpint(frag_input(table, &p.frame, &p.ip, 0, &packet), ==,
                    FRAG_COMPLETE);
    check_whole(packet, 808);
}

static void test_apart_and_together(gconstpointer data)
{
    sa_family_t family = GPOINTER_TO_INT(data);
    g_autoptr(FragTable) table = frag_table_new();
    FragPacket *packet = NULL;
    IpHeaders headers = { .proto = IPPROTO_UDP, .ttl = 64, .id = 9 };
    static uint8_t l4[4000];
    unsigned n = frag_count(family, sizeof(l4), 1500), i, j;

    g_assert_true(ip_addr_parse(family == AF_INET ? "10.0.0.1" : "fd00::1",
                                &headers.src));
    g_assert_true(ip_addr_parse(family == AF_INET ? "10.0.0.2" : "fd00::2",
                                &headers.dst));
    g_assert_cmpuint(n, ==, 3);
    g_assert_cmpuint(frag_count(family, 1400, 1500), ==, 1);
    for (i = 0; i < sizeof(l4); i++) {
        l4[i] = i * 3 + i / 256;
    }
    for (i = 0; i < n; i++) {
        uint8_t buf[FRAG_HEADER_MAX + 1500];
        size_t off, len, head = frag_build(buf, &headers, 9, sizeof(l4), 1500,
                                           i, &off, &len);
        struct iovec iov = { buf, head + len };
        Frame frame;
        IpPacket ip;

        memcpy(buf + head, l4 + off, len);
        g_assert_cmpuint(head + len, <=, 1514);
        frame_init(&frame, &iov, 1);
        g_assert_cmpint(ip_packet_parse(&frame, &ip), ==, IP_PARSE_OK);
        g_assert_true(ip.is_fragment);
        g_assert_cmpuint(ip.l4_len, ==, len);
        g_assert_cmpuint(ip.frag_off, ==, off);
        g_assert_cmpuint(ip.proto, ==, IPPROTO_UDP);
        for (j = 0; j < 1; j++) {
            g_assert_cmpint(frag_input(table, &frame, &ip, 0, &packet), ==,
                            i == n - 1 ? FRAG_COMPLETE : FRAG_WAIT);
        }
    }
    check_whole(packet, sizeof(l4));
}

/* ---- flows ---- */

static Flow *flow_new(FlowTable *table, uint16_t sport, uint32_t port_id,
                      int64_t now_ms)
{
    Flow *flow = g_new0(Flow, 1);

    flow->guest = (IpEndpoint){ ip_addr_v4(0x0a000001), sport };
    flow_key_init(&flow->key, FLOW_UDP, &flow->guest, NULL);
    g_assert_null(flow_table_find(table, &flow->key));
    flow_table_add(table, flow, port_id, now_ms);
    g_assert_true(flow_table_find(table, &flow->key) == flow);
    return flow;
}

static void flow_end(Flow *flow)
{
    flow_table_remove(flow);
    g_free(flow);
}

static void test_flow_deadlines(void)
{
    static const uint8_t key[16];
    FlowQuota *quota = flow_quota_new(2000);
    FlowTable *table = flow_table_new(key, 2000, quota, NULL);
    Flow *flows[1000], *due;
    int64_t last = 0;
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(flows); i++) {
        flows[i] = flow_new(table, i, 1, 0);
        flow_set_deadline(flows[i], 1 + (i * 7919) % 1000);
    }
    for (i = 0; i < G_N_ELEMENTS(flows); i += 2) {
        flow_set_deadline(flows[i], flows[i]->deadline_ms + 5000);
    }
    for (i = 0; i < G_N_ELEMENTS(flows); i++) {
        int64_t now_ms = flow_table_deadline(table);

        while (!(due = flow_table_due(table, now_ms))) {
            g_assert_cmpint(flow_table_deadline(table), >, now_ms);
            now_ms = flow_table_deadline(table);
        }
        g_assert_cmpint(now_ms, >=, last);
        last = now_ms;
        flow_end(due);
    }
    g_assert_cmpint(flow_table_deadline(table), ==, FLOW_NEVER);
    flow_table_free(table);
    flow_quota_free(quota);
}

static void test_flow_quota(void)
{
    static const uint8_t key[16];
    FlowQuota *quota = flow_quota_new(5);
    FlowTable *table = flow_table_new(key, 3, quota, NULL);
    FlowTable *other = flow_table_new(key, 3, quota, quota);
    Flow *a[3], *b[2], *c;
    unsigned i;

    for (i = 0; i < 3; i++) {
        g_assert_null(flow_table_victim(table, 1, false));
        a[i] = flow_new(table, i, 1, i);
    }
    /* The oldest of its own; one that lasts goes last. */
    g_assert_true(flow_table_victim(table, 1, false) == a[0]);
    flow_touch(a[0], FLOW_LASTING, 10);
    g_assert_true(flow_table_victim(table, 1, false) == a[1]);
    flow_touch(a[1], FLOW_TRANSIENT, 11);
    g_assert_true(flow_table_victim(table, 1, false) == a[2]);

    for (i = 0; i < 2; i++) {
        g_assert_null(flow_table_victim(table, 2, false));
        b[i] = flow_new(table, 100 + i, 2, 20 + i);
    }
    /* The table is full: the port with the most gives. */
    g_assert_true(flow_table_victim(table, 2, false) == a[2]);
    g_assert_true(flow_table_victim(table, 3, false) == a[2]);
    flow_end(a[2]);
    g_assert_null(flow_table_victim(table, 2, false));
    g_assert_nonnull(flow_table_victim(table, 2, true));

    /* Another network's flow counts, and has to go where it has the most. */
    g_assert_null(flow_table_victim(other, 1, false));
    c = flow_new(other, 200, 1, 0);
    g_assert_cmpuint(flow_quota_used(quota), ==, 5);
    g_assert_true(flow_table_victim(other, 1, false) == a[1]);
    g_assert_true(flow_owner(c) == quota);
    flow_end(c);
    g_assert_cmpuint(flow_quota_used(quota), ==, 4);
    g_assert_true(flow_table_of_port(table, 2) == b[0]);
    for (i = 0; i < 2; i++) {
        flow_end(a[i]);
        flow_end(b[i]);
    }
    g_assert_null(flow_table_of_port(table, 1));
    flow_table_free(table);
    flow_table_free(other);
    flow_quota_free(quota);
}

static void test_ring(void)
{
    Ring *ring = ring_new(16);
    struct iovec iov[2];
    unsigned i, n, in = 0, out = 0;

    for (i = 1; i < 200; i++) {
        unsigned want = i % 13, j, k, put_n = 0;

        n = ring_tail(ring, iov);
        for (j = 0; j < n; j++) {
            for (k = 0; k < iov[j].iov_len && put_n < want; k++, put_n++) {
                ((uint8_t *)iov[j].iov_base)[k] = in++;
            }
        }
        ring_push(ring, put_n);
        want = MIN(ring->len, i % 7);
        n = ring_slice(ring, 0, want, iov);
        for (j = 0; j < n; j++) {
            for (k = 0; k < iov[j].iov_len; k++) {
                g_assert_cmpuint(((uint8_t *)iov[j].iov_base)[k], ==,
                                 (uint8_t)out++);
            }
        }
        ring_drop(ring, want);
    }
    ring_free(ring);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/nat-frag/any-order", test_any_order);
    g_test_add_func("/nat-frag/overlaps", test_overlaps);
    g_test_add_func("/nat-frag/lies", test_lies);
    g_test_add_func("/nat-frag/timeout", test_timeout);
    g_test_add_func("/nat-frag/flood", test_flood);
    g_test_add_data_func("/nat-frag/apart-and-together/v4",
                         GINT_TO_POINTER(AF_INET), test_apart_and_together);
    g_test_add_data_func("/nat-frag/apart-and-together/v6",
                         GINT_TO_POINTER(AF_INET6), test_apart_and_together);
    g_test_add_func("/nat-flow/deadlines", test_flow_deadlines);
    g_test_add_func("/nat-flow/quota", test_flow_quota);
    g_test_add_func("/nat-ring/wraps", test_ring);
    return g_test_run();
}
