/*
 * Receive steering: flows and the queue pairs that they come back by
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "limits.h"
#include "port/steering.h"
#include "proto/ip.h"

#define FRAME_BYTES 128

typedef struct TestFrame {
    uint8_t bytes[FRAME_BYTES];
    struct iovec iov;
    Frame frame;
} TestFrame;

static const uint8_t all_pairs[] = { 0, 1, 2, 3, 4, 5, 6, 7 };

static IpAddr address(sa_family_t family, uint32_t host)
{
    struct in6_addr v6 = { { { 0xfd, [14] = host >> 8, [15] = host } } };

    return family == AF_INET ? ip_addr_v4(0x0a000000 | host) : ip_addr_v6(&v6);
}

/* From port @from of host @from to port @to of host @to. */
static const Frame *make(TestFrame *f, sa_family_t family, uint8_t proto,
                         uint16_t from, uint16_t to)
{
    IpHeaders headers = {
        .eth_src = { { 2, 0, 0, 0, from >> 8, from } },
        .eth_dst = { { 2, 0, 0, 0, to >> 8, to } },
        .src = address(family, from), .dst = address(family, to),
        .proto = proto, .ttl = 64,
    };
    size_t at;

    memset(f, 0, sizeof(*f));
    at = ip_headers_build(f->bytes, &headers, 20);
    f->bytes[at] = from >> 8;
    f->bytes[at + 1] = from;
    f->bytes[at + 2] = to >> 8;
    f->bytes[at + 3] = to;
    f->iov = (struct iovec) { f->bytes, at + 20 };
    frame_init(&f->frame, &f->iov, 1);
    return &f->frame;
}

static void test_comes_back_where_it_left(void)
{
    static const uint8_t protos[] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP };
    g_autoptr(Steering) steering = steering_new();
    TestFrame f;
    unsigned i, n_right = 0, n = 0;

    for (i = 0; i < 60; i++) {
        uint8_t proto = protos[i % 3];
        sa_family_t family = i & 1 ? AF_INET : AF_INET6;

        steering_learn(steering, make(&f, family, proto, i, 1000 + i), i % 8, 1);
        n++;
        n_right += steering_find(steering,
                                 make(&f, family, proto, 1000 + i, i),
                                 all_pairs, 8) == i % 8;
        /* The guest goes on elsewhere, and so does what it receives. */
        steering_learn(steering, make(&f, family, proto, i, 1000 + i),
                       (i + 3) % 8, 2);
        n++;
        n_right += steering_find(steering,
                                 make(&f, family, proto, 1000 + i, i),
                                 all_pairs, 8) == (i + 3) % 8;
    }
    /* Two that meet in a place are possible: 60 flows, 1024 places. */
    g_assert_cmpuint(n_right, >=, n - 24);
}

static void test_ports_are_part_of_a_flow(void)
{
    g_autoptr(Steering) steering = steering_new();
    unsigned i, n[8] = { 0 };
    TestFrame f;

    for (i = 0; i < 800; i++) {
        unsigned pair;

        make(&f, AF_INET, IPPROTO_UDP, 1, 2);
        /* With a header checksum that is wrong, which is not our business. */
        f.bytes[24] = 0xff;
        f.bytes[34] = i >> 8;
        f.bytes[35] = i;
        pair = steering_find(steering, &f.frame, all_pairs, 8);
        g_assert_cmpuint(steering_find(steering, &f.frame, all_pairs, 8), ==,
                         pair);
        n[pair]++;
    }
    for (i = 0; i < 8; i++) {
        g_assert_cmpuint(n[i], >, 50);
        g_assert_cmpuint(n[i], <, 160);
    }
}

static void test_only_pairs_that_can(void)
{
    static const uint8_t some[] = { 1, 6 };
    g_autoptr(Steering) steering = steering_new();
    TestFrame f;
    unsigned i, n_six = 0;

    for (i = 0; i < 200; i++) {
        unsigned pair;

        steering_learn(steering, make(&f, AF_INET, IPPROTO_TCP, i, 500), 3, 1);
        pair = steering_find(steering, &f.frame, some, 2);
        g_assert_true(pair == 1 || pair == 6);
        n_six += pair == 6;
    }
    g_assert_cmpuint(n_six, >, 50);
    g_assert_cmpuint(n_six, <, 150);
}

/* Every place is taken; late ones have none, and stay where their hash says. */
static void test_a_place_is_kept(void)
{
    g_autoptr(Steering) steering = steering_new();
    unsigned i, before[100], n_moved = 0;
    TestFrame f;

    for (i = 0; i < 40 * LIMIT_STEERED_FLOWS; i++) {
        steering_learn(steering, make(&f, AF_INET, IPPROTO_TCP, i, 1), 0, 1000);
    }
    for (i = 0; i < 100; i++) {
        make(&f, AF_INET6, IPPROTO_TCP, i, 1);
        before[i] = steering_find(steering, &f.frame, all_pairs, 8);
        steering_learn(steering, &f.frame, (before[i] + 1) % 8, 2000);
        g_assert_cmpuint(steering_find(steering, &f.frame, all_pairs, 8), ==,
                         before[i]);
    }
    /* Until those who had them have been silent. */
    for (i = 0; i < 100; i++) {
        make(&f, AF_INET6, IPPROTO_TCP, i, 1);
        steering_learn(steering, &f.frame, (before[i] + 1) % 8, 5000);
        n_moved += steering_find(steering, &f.frame, all_pairs, 8) !=
                   before[i];
    }
    g_assert_cmpuint(n_moved, >, 60);
}

/* What is no flow, cut off, or a fragment has a pair, and always the same. */
static void test_what_is_not_ip(void)
{
    g_autoptr(Steering) other = steering_new();
    unsigned len, pair;
    TestFrame f;

    for (len = 0; len < 54; len++) {
        /* Of its own: flows of another length could hold the place. */
        g_autoptr(Steering) steering = steering_new();

        make(&f, AF_INET, IPPROTO_TCP, 1, 2);
        f.iov.iov_len = len;
        frame_init(&f.frame, &f.iov, 1);
        pair = steering_find(steering, &f.frame, all_pairs, 8);
        g_assert_cmpuint(pair, <, 8);
        steering_learn(steering, &f.frame, 5, 1);
        g_assert_cmpuint(steering_find(steering, &f.frame, all_pairs, 8), ==, 5);
    }
    make(&f, AF_INET, IPPROTO_TCP, 1, 2);
    f.bytes[12] = 0x88;
    f.bytes[13] = 0xb5;
    steering_learn(other, &f.frame, 2, 1);
    f.bytes[60] = 1;
    g_assert_cmpuint(steering_find(other, &f.frame, all_pairs, 8), ==, 2);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/steering/comes-back-where-it-left",
                    test_comes_back_where_it_left);
    g_test_add_func("/steering/ports-are-part-of-a-flow",
                    test_ports_are_part_of_a_flow);
    g_test_add_func("/steering/only-pairs-that-can", test_only_pairs_that_can);
    g_test_add_func("/steering/a-place-is-kept", test_a_place_is_kept);
    g_test_add_func("/steering/what-is-not-ip", test_what_is_not_ip);
    return g_test_run();
}
