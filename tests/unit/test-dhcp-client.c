/*
 * vmnet-run's DHCP client: what it asks, what it believes, when it asks again
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <glib.h>
#include <string.h>

#include "dhcp-client.h"
#include "proto/dhcp4.h"
#include "proto/udp.h"

#define ADDRESS 0xc0a86b05
#define SERVER 0xc0a86b01
#define LEASE_S 100
#define XID 0x12345678

static const MacAddr mac = { { 0x52, 0x54, 0, 1, 2, 3 } };
static const MacAddr server_mac = { { 2, 0, 0, 0, 0, 1 } };

typedef struct Fixture {
    DhcpClient client;
    int64_t now_ms;
    uint8_t frame[DHCP_CLIENT_FRAME_MAX];
    Dhcp4Message asked;
} Fixture;

/** Answer: what a server says; 0 is what a good one would. */
typedef struct Answer {
    Dhcp4Type type;
    uint32_t xid, address;
    bool other_mac, no_server, no_lease_time;
    const char *domain;
} Answer;

static void set_up(Fixture *f, const void *data)
{
    f->now_ms = 1000;
    dhcp_client_init(&f->client, &mac, XID, data, f->now_ms);
}

static void tear_down(Fixture *f, const void *data)
{
}

/* What the client sends now. */
static void expect_message(Fixture *f, Dhcp4Type type)
{
    size_t len = dhcp_client_step(&f->client, f->now_ms, f->frame);
    struct iovec iov = { f->frame, len };
    UdpDatagram udp;
    Frame frame;
    IpPacket ip;

    g_assert_cmpuint(len, >, 0);
    frame_init(&frame, &iov, 1);
    g_assert_cmpint(ip_packet_parse(&frame, &ip), ==, IP_PARSE_OK);
    g_assert_true(udp_parse(&frame, &ip, &udp));
    g_assert_cmpuint(udp.dport, ==, DHCP4_SERVER_PORT);
    g_assert_cmphex(ip.dst.v4, ==, INADDR_BROADCAST);
    g_assert_true(dhcp4_parse(f->frame + udp.payload_off, udp.payload_len,
                              &f->asked));
    g_assert_cmpint(f->asked.type, ==, type);
    g_assert_cmphex(f->asked.xid, ==, XID);
    g_assert_cmpmem(f->asked.chaddr, 6, mac.b, 6);
}

static void expect_silence(Fixture *f)
{
    g_assert_cmpuint(dhcp_client_step(&f->client, f->now_ms, f->frame), ==, 0);
}

static bool answer(Fixture *f, Answer a)
{
    uint8_t message[DHCP4_PACKET_DEFAULT], frame[DHCP_CLIENT_FRAME_MAX];
    g_autofree Dhcp4Message *header = g_new0(Dhcp4Message, 1);
    IpHeaders headers = { .eth_src = server_mac, .eth_dst = mac, .ttl = 64,
                          .src = ip_addr_v4(SERVER),
                          .dst = ip_addr_v4(ADDRESS) };
    uint32_t server = SERVER;
    Dhcp4Builder b;
    size_t len;

    header->op = DHCP4_BOOTREPLY;
    header->htype = 1;
    header->hlen = 6;
    header->xid = a.xid ? a.xid : XID;
    header->yiaddr = a.type == DHCP4_NAK ? 0 : a.address ? a.address : ADDRESS;
    memcpy(header->chaddr, a.other_mac ? server_mac.b : mac.b, 6);
    dhcp4_begin(&b, message, sizeof(message), header, a.type);
    if (!a.no_server) {
        dhcp4_add_u32(&b, DHCP4_OPTION_SERVER_ID, SERVER);
    }
    if (!a.no_lease_time) {
        dhcp4_add_u32(&b, DHCP4_OPTION_LEASE_TIME, LEASE_S);
    }
    dhcp4_add_u32(&b, DHCP4_OPTION_SUBNET_MASK, 0xffff0000);
    dhcp4_add_addrs(&b, DHCP4_OPTION_ROUTER, &server, 1);
    dhcp4_add_addrs(&b, DHCP4_OPTION_DNS, &server, 1);
    dhcp4_add_string(&b, DHCP4_OPTION_DOMAIN_NAME,
                     a.domain ? a.domain : "vmnet.internal");
    len = dhcp4_finish(&b);
    len = udp_build(frame, sizeof(frame), &headers, DHCP4_SERVER_PORT,
                    DHCP4_CLIENT_PORT, message, len);
    g_assert_cmpuint(len, >, 0);
    return dhcp_client_input(&f->client, frame, len, f->now_ms);
}

static void bind_it(Fixture *f)
{
    expect_message(f, DHCP4_DISCOVER);
    g_assert_false(answer(f, (Answer) { DHCP4_OFFER }));
    expect_message(f, DHCP4_REQUEST);
    g_assert_cmphex(f->asked.requested_ip, ==, ADDRESS);
    g_assert_cmphex(f->asked.server_id, ==, SERVER);
    g_assert_cmphex(f->asked.ciaddr, ==, 0);
    g_assert_true(answer(f, (Answer) { DHCP4_ACK }));
}

static void test_lease(Fixture *f, const void *data)
{
    const DhcpLease *lease = &f->client.lease;

    bind_it(f);
    g_assert_cmpint(f->client.state, ==, DHCP_CLIENT_BOUND);
    g_assert_cmphex(lease->address, ==, ADDRESS);
    g_assert_cmphex(lease->mask, ==, 0xffff0000);
    g_assert_cmphex(lease->router, ==, SERVER);
    g_assert_cmpuint(lease->n_dns, ==, 1);
    g_assert_cmphex(lease->dns[0], ==, SERVER);
    g_assert_cmpstr(lease->domain, ==, "vmnet.internal");
    expect_silence(f);
}

/* In what asks for an offer, and in what takes it; else there is none. */
static void test_name(Fixture *f, const void *data)
{
    unsigned i;

    for (i = 0; i < 2; i++) {
        const Dhcp4Bytes *name = &f->asked.hostname;

        expect_message(f, i ? DHCP4_REQUEST : DHCP4_DISCOVER);
        if (data) {
            g_assert_cmpmem(name->data, name->len, data, strlen(data));
        } else {
            g_assert_null(name->data);
        }
        answer(f, (Answer) { i ? DHCP4_ACK : DHCP4_OFFER });
    }
}

static void test_asks_again(Fixture *f, const void *data)
{
    unsigned i;

    for (i = 0; i < 20; i++) {
        int64_t before = f->now_ms;

        expect_message(f, DHCP4_DISCOVER);
        expect_silence(f);
        f->now_ms = f->client.next_ms;
        g_assert_cmpint(f->now_ms - before, ==, MIN(500 << MIN(i, 8), 8000));
    }
    g_assert_false(answer(f, (Answer) { DHCP4_OFFER }));
    for (i = 0; i < 3; i++) {
        expect_message(f, DHCP4_REQUEST);
        f->now_ms = f->client.next_ms;
    }
    expect_message(f, DHCP4_DISCOVER);
}

static void test_renewal(Fixture *f, const void *data)
{
    bind_it(f);
    f->now_ms += LEASE_S * 1000 / 2 - 1;
    expect_silence(f);
    f->now_ms++;
    expect_message(f, DHCP4_REQUEST);
    g_assert_cmphex(f->asked.ciaddr, ==, ADDRESS);
    g_assert_cmphex(f->asked.requested_ip, ==, 0);
    g_assert_cmphex(f->asked.server_id, ==, 0);
    /* The same lease again is no news. */
    g_assert_false(answer(f, (Answer) { DHCP4_ACK }));
    f->now_ms += LEASE_S * 1000 / 2;
    expect_message(f, DHCP4_REQUEST);
    g_assert_true(answer(f, (Answer) { DHCP4_ACK, .address = ADDRESS + 1 }));
}

static void test_lease_runs_out(Fixture *f, const void *data)
{
    int64_t end;
    unsigned n = 0;

    bind_it(f);
    end = f->client.expire_ms;
    while (f->client.next_ms < end) {
        f->now_ms = f->client.next_ms;
        expect_message(f, DHCP4_REQUEST);
        g_assert_cmpuint(n++, <, 20);
    }
    f->now_ms = f->client.next_ms;
    g_assert_cmpint(f->now_ms, ==, end);
    expect_message(f, DHCP4_DISCOVER);
    g_assert_cmphex(f->asked.ciaddr, ==, 0);
}

static void test_nak(Fixture *f, const void *data)
{
    bind_it(f);
    f->now_ms = f->client.next_ms;
    expect_message(f, DHCP4_REQUEST);
    g_assert_false(answer(f, (Answer) { DHCP4_NAK }));
    expect_message(f, DHCP4_DISCOVER);
}

static void test_others_answers_are_ignored(Fixture *f, const void *data)
{
    static const Answer answers[] = {
        { DHCP4_OFFER, .xid = 1 },
        { DHCP4_OFFER, .other_mac = true },
        { DHCP4_OFFER, .no_server = true },
        { DHCP4_OFFER, .no_lease_time = true },
        { DHCP4_ACK },
        { DHCP4_NAK },
        { DHCP4_REQUEST },
    };
    size_t i;

    expect_message(f, DHCP4_DISCOVER);
    for (i = 0; i < G_N_ELEMENTS(answers); i++) {
        g_assert_false(answer(f, answers[i]));
        g_assert_cmpint(f->client.state, ==, DHCP_CLIENT_SELECTING);
        expect_silence(f);
    }
}

/* What goes into a file is no more than a name. */
static void test_domain_is_a_name(Fixture *f, const void *data)
{
    expect_message(f, DHCP4_DISCOVER);
    answer(f, (Answer) { DHCP4_OFFER });
    expect_message(f, DHCP4_REQUEST);
    g_assert_true(answer(f, (Answer) { DHCP4_ACK,
                                       .domain = "a\nnameserver 6.6.6.6" }));
    g_assert_cmpstr(f->client.lease.domain, ==, "");
}

static void test_garbage(Fixture *f, const void *data)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(1);
    uint8_t frame[DHCP_CLIENT_FRAME_MAX];
    size_t i, len, own;

    own = dhcp_client_step(&f->client, f->now_ms, frame);
    for (i = 0; i < 20000; i++) {
        len = g_rand_int_range(rand, 0, own + 1);
        frame[g_rand_int_range(rand, 0, own)] = g_rand_int(rand);
        g_assert_false(dhcp_client_input(&f->client, frame, len, f->now_ms));
    }
}

#define ADD(path, func)                                                     \
    g_test_add("/dhcp-client/" path, Fixture, NULL, set_up, func, tear_down)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("lease", test_lease);
    ADD("no-name", test_name);
    g_test_add("/dhcp-client/name", Fixture, "web", set_up, test_name, tear_down);
    ADD("asks-again", test_asks_again);
    ADD("renewal", test_renewal);
    ADD("lease-runs-out", test_lease_runs_out);
    ADD("nak", test_nak);
    ADD("others-answers-are-ignored", test_others_answers_are_ignored);
    ADD("domain-is-a-name", test_domain_is_a_name);
    ADD("garbage", test_garbage);
    return g_test_run();
}
