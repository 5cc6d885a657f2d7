/*
 * The resolver, asked through real sockets
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "resolver-fixture.h"

static void test_answer(Fixture *f, const void *unused)
{
    ask(f, false);
    server_receive(f, f->server);
    server_answer(f->server, 0, DNS_RCODE_NOERROR);
    wait_answer(f);
    g_assert_false(f->failed);
    g_assert_cmpuint(f->answer.header.id, ==, 4711);
    g_assert_cmpuint(f->answer.header.n_answers, ==, 1);
}

static void test_ids_and_ports_differ(Fixture *f, const void *unused)
{
    uint16_t ports[2], ids[2];
    unsigned i;

    /* Four bytes of both: one in 2^28 for equal ones. */
    for (i = 0; i < 2; i++) {
        IpEndpoint client;

        ask(f, false);
        server_receive(f, f->server);
        ip_endpoint_from_sockaddr((struct sockaddr *)&f->server->client, f->server->client_len,
                                  &client);
        ports[i] = client.port;
        ids[i] = f->server->query.header.id;
    }
    g_assert_true(ports[0] != ports[1] || ids[0] != ids[1]);
}

static void test_forged_answers_are_passed_over(Fixture *f, const void *unused)
{
    DnsName name;
    uint8_t buf[512];
    size_t len;

    ask(f, false);
    server_receive(f, f->server);

    /* Another id. */
    len = server_build(f->server, buf, 0, DNS_RCODE_NOERROR);
    dns_set_id(buf, f->server->query.header.id ^ 1);
    server_send(f->server, buf, len);
    /* A query, not an answer. */
    g_assert_true(dns_name_from_text("www.example.com", &name));
    len = dns_query_build(buf, sizeof(buf), f->server->query.header.id, &name,
                          DNS_TYPE_A, 0);
    server_send(f->server, buf, len);
    /* Another question. */
    {
        DnsMessage right = f->server->query;

        g_assert_true(dns_name_from_text("www.example.net", &f->server->query.qname));
        len = server_build(f->server, buf, 0, DNS_RCODE_NOERROR);
        server_send(f->server, buf, len);
        f->server->query = right;
    }
    /* Cut. */
    len = server_build(f->server, buf, 0, DNS_RCODE_NOERROR);
    server_send(f->server, buf, len - 1);
    server_send(f->server, buf, 3);

    server_answer(f->server, 0, DNS_RCODE_NXDOMAIN);
    wait_answer(f);
    g_assert_cmpint(dns_rcode(f->answer.header.flags), ==, DNS_RCODE_NXDOMAIN);
}

static void test_next_server_when_refused(Fixture *f, const void *unused)
{
    set_servers(f, "nameserver 127.0.0.1#%u\nnameserver 127.0.0.1#%u\n",
                dead_port(), f->server->port);
    ask(f, false);
    server_receive(f, f->server);
    server_answer(f->server, 0, DNS_RCODE_NOERROR);
    wait_answer(f);
    g_assert_false(f->failed);
}

/* One that is not there takes no time from one that is slow. */
static void test_slow_server_beside_a_dead_one(Fixture *f, const void *unused)
{
    struct sockaddr_storage first;

    set_servers(f, "nameserver 127.0.0.1#%u\nnameserver 127.0.0.1#%u\n",
                dead_port(), f->server->port);
    ask(f, false);
    server_receive(f, f->server);
    first = f->server->client;
    server_receive(f, f->server);
    g_assert_cmpint(memcmp(&first, &f->server->client, f->server->client_len), ==, 0);
    server_answer(f->server, 0, DNS_RCODE_NOERROR);
    wait_answer(f);
    g_assert_false(f->failed);
}

static void test_silence_has_an_end(Fixture *f, const void *unused)
{
    int64_t start_ms = loop_now_ms();

    ask(f, false);
    wait_answer(f);
    g_assert_true(f->failed);
    g_assert_cmpint(loop_now_ms() - start_ms, >=, 4000);
    g_assert_cmpint(loop_now_ms() - start_ms, <, 8000);
}

static void test_all_servers_refuse(Fixture *f, const void *unused)
{
    set_servers(f, "nameserver 127.0.0.1#%u\n", dead_port());
    ask(f, false);
    wait_answer(f);
    g_assert_true(f->failed);
}

static void test_next_server_after_servfail(Fixture *f, const void *unused)
{
    set_servers(f, "nameserver 127.0.0.1#%u\nnameserver 127.0.0.1#%u\n",
                f->server->port, f->server->port);
    ask(f, false);
    server_receive(f, f->server);
    server_answer(f->server, 0, DNS_RCODE_SERVFAIL);
    server_receive(f, f->server);
    /* The last one's word counts. */
    server_answer(f->server, 0, DNS_RCODE_SERVFAIL);
    wait_answer(f);
    g_assert_false(f->failed);
    g_assert_cmpint(dns_rcode(f->answer.header.flags), ==, DNS_RCODE_SERVFAIL);
}

static void test_next_server_after_a_second(Fixture *f, const void *unused)
{
    int64_t start_ms = loop_now_ms();
    struct sockaddr_storage first;

    set_servers(f, "nameserver 127.0.0.1#%u\n", f->server->port);
    ask(f, false);
    server_receive(f, f->server);
    first = f->server->client;
    /* Silence: once more, so that the answer to the first counts as well. */
    server_receive(f, f->server);
    g_assert_cmpint(loop_now_ms() - start_ms, >=, 1000);
    g_assert_cmpint(memcmp(&first, &f->server->client, f->server->client_len), ==, 0);
    server_answer(f->server, 0, DNS_RCODE_NOERROR);
    wait_answer(f);
    g_assert_false(f->failed);
}

static void test_truncated_for_udp(Fixture *f, const void *unused)
{
    ask(f, false);
    server_receive(f, f->server);
    server_answer(f->server, DNS_FLAG_TC, DNS_RCODE_NOERROR);
    wait_answer(f);
    g_assert_cmphex(f->answer.header.flags & DNS_FLAG_TC, !=, 0);
}

static void test_truncated_for_tcp(Fixture *f, const void *unused)
{
    uint8_t buf[514];
    size_t len;
    ssize_t n;
    int fd;

    ask(f, true);
    server_receive(f, f->server);
    server_answer(f->server, DNS_FLAG_TC, DNS_RCODE_NOERROR);
    while ((fd = accept4(f->server->tcp, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) <
           0) {
        iterate();
    }
    while ((n = recv(fd, buf, sizeof(buf), 0)) < 0) {
        iterate();
    }
    g_assert_cmpint(buf[0] << 8 | buf[1], ==, n - 2);
    g_assert_true(dns_parse(buf + 2, n - 2, &f->server->query));

    len = server_build(f->server, buf + 2, 0, DNS_RCODE_NOERROR);
    buf[0] = len >> 8;
    buf[1] = len;
    /* In two pieces. */
    g_assert_cmpint(send(fd, buf, 1, 0), ==, 1);
    g_main_context_iteration(NULL, FALSE);
    g_assert_cmpint(send(fd, buf + 1, len + 1, 0), ==, (ssize_t)len + 1);
    wait_answer(f);
    g_assert_false(f->failed);
    g_assert_cmphex(f->answer.header.flags & DNS_FLAG_TC, ==, 0);
    g_assert_cmpuint(f->answer.header.id, ==, 4711);
    close(fd);
}

static void test_limit(Fixture *f, const void *unused)
{
    uint8_t buf[512];
    size_t len = build_query(buf);
    unsigned n = 0;

    while (resolver_query(f->resolver, n, buf, len, false, loop_now_ms())) {
        n++;
        g_assert_cmpuint(n, <=, 256);
    }
    g_assert_cmpuint(n, ==, 256);
    g_assert_false(resolver_query(f->resolver, 1, buf, 11, false, 0));
}

#define ADD(name, func) \
    g_test_add("/resolver/" name, Fixture, NULL, set_up, func, tear_down)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("answer", test_answer);
    ADD("ids-and-ports-differ", test_ids_and_ports_differ);
    ADD("forged-answers-are-passed-over", test_forged_answers_are_passed_over);
    ADD("next-server-when-refused", test_next_server_when_refused);
    ADD("slow-server-beside-a-dead-one", test_slow_server_beside_a_dead_one);
    ADD("silence-has-an-end", test_silence_has_an_end);
    ADD("all-servers-refuse", test_all_servers_refuse);
    ADD("next-server-after-servfail", test_next_server_after_servfail);
    ADD("next-server-after-a-second", test_next_server_after_a_second);
    ADD("truncated-for-udp", test_truncated_for_udp);
    ADD("truncated-for-tcp", test_truncated_for_tcp);
    ADD("limit", test_limit);
    return g_test_run();
}
